//! Small files that are held in memory, and change.

use std::os::unix::fs::symlink;

use http::StatusCode;

use super::Yard;
use crate::server::folder::TICK;

/// Asks until the file is held, which it is once it is older than the kernel's tick, and then once more.
async fn held(yard: &Yard, path: &str, content: &[u8]) {
    grow_old(yard, path).await;
    for _ in 0..2 {
        assert_eq!(yard.get(path, &[]).await.body, content);
        assert!(yard.folder.inner.hot.len() > 0, "{path} is not held");
    }
}

/// Until the file's last change is further back than the kernel's tick.
async fn grow_old(yard: &Yard, path: &str) {
    let file = yard.path(path.trim_start_matches('/'));
    let changed = file.metadata().unwrap().modified().unwrap();
    while changed.elapsed().unwrap_or_default() <= TICK {
        tokio::task::yield_now().await;
    }
}

#[tokio::test]
async fn a_held_file_that_is_written_anew_is_sent_anew() {
    let yard = Yard::new();
    for round in 0..20_u8 {
        let content = [round; 100];
        yard.write("page.bin", content);
        held(&yard, "/page.bin", &content).await;
    }
}

#[tokio::test]
async fn a_held_file_that_another_has_replaced_is_not_sent() {
    let yard = Yard::new();
    yard.write("page.bin", "old");
    held(&yard, "/page.bin", b"old").await;
    yard.write("next", "new");
    std::fs::rename(yard.path("next"), yard.path("page.bin")).unwrap();
    assert_eq!(yard.get("/page.bin", &[]).await.body, "new");
    std::fs::remove_file(yard.path("page.bin")).unwrap();
    assert_eq!(
        yard.get("/page.bin", &[]).await.status,
        StatusCode::NOT_FOUND
    );
}

#[tokio::test]
async fn a_held_file_whose_name_becomes_a_link_that_leads_out_is_not_sent() {
    let (yard, outside) = (Yard::new(), tempfile::tempdir().unwrap());
    yard.write("page.bin", "within");
    held(&yard, "/page.bin", b"within").await;
    let moved = outside.path().join("page.bin");
    std::fs::copy(yard.path("page.bin"), &moved).unwrap();
    std::fs::remove_file(yard.path("page.bin")).unwrap();
    symlink(&moved, yard.path("page.bin")).unwrap();
    assert_ne!(yard.get("/page.bin", &[]).await.status, StatusCode::OK);
}

#[tokio::test]
async fn a_held_index_and_its_sibling_are_each_what_was_asked_for() {
    let yard = Yard::new();
    yard.write("index.html", "<p>plain");
    yard.write("index.html.gz", "zipped");
    grow_old(&yard, "index.html.gz").await;
    for _ in 0..2 {
        assert_eq!(yard.get("/", &[]).await.body, "<p>plain");
        let zipped = yard.get("/", &[("accept-encoding", "gzip")]).await;
        assert_eq!(
            (zipped.header("content-encoding"), &zipped.body[..]),
            ("gzip", &b"zipped"[..])
        );
    }
    assert_eq!(yard.folder.inner.hot.len(), 2);
    // A plain file that is newer than its sibling has no sibling.
    yard.write("index.html", "<p>newer");
    let newer = yard.get("/", &[("accept-encoding", "gzip")]).await;
    assert_eq!(newer.body, "<p>newer");
}
