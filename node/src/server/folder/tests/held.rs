//! Small files that are held in memory, and change.

use std::os::unix::fs::symlink;

use http::StatusCode;

use super::Yard;

/// Asks often enough that the file is held: at first it is too young.
async fn held(yard: &Yard, path: &str, content: &[u8]) {
    for _ in 0..50 {
        assert_eq!(yard.get(path, &[]).await.body, content);
        if yard.folder.inner.hot.len() > 0 {
            assert_eq!(yard.get(path, &[]).await.body, content);
            return;
        }
        tokio::time::sleep(super::super::TICK).await;
    }
    unreachable!("{path} is never held");
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
    for _ in 0..3 {
        assert_eq!(yard.get("/", &[]).await.body, "<p>plain");
        let zipped = yard.get("/", &[("accept-encoding", "gzip")]).await;
        assert_eq!(
            (zipped.header("content-encoding"), &zipped.body[..]),
            ("gzip", &b"zipped"[..])
        );
        tokio::time::sleep(super::super::TICK).await;
    }
    // A plain file that is newer than its sibling has no sibling.
    tokio::time::sleep(super::super::TICK).await;
    yard.write("index.html", "<p>newer");
    let newer = yard.get("/", &[("accept-encoding", "gzip")]).await;
    assert_eq!(newer.body, "<p>newer");
}
