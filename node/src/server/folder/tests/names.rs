//! What a path reaches, and what it does not.

use std::os::unix::fs::symlink;

use http::StatusCode;
use unicode_normalization::UnicodeNormalization;

use super::Yard;
use crate::server::folder::{Folder, FolderError, FolderOptions, Ways};

#[tokio::test]
async fn files_indexes_and_directories_are_found() {
    let yard = Yard::new();
    yard.write("index.html", "home");
    yard.write("a/index.html", "a");
    yard.write("empty", "");
    std::fs::create_dir(yard.path("bare")).unwrap();
    const NOTHING: &str = r#"{"status":404,"title":"There is nothing at this address.","type":"urn:madang:problem:nothing-here"}"#;
    for (path, status, body) in [
        ("/", 200, "home"),
        ("/index.html", 200, "home"),
        ("/a/", 200, "a"),
        ("/a/index.html", 200, "a"),
        ("/empty", 200, ""),
        ("/a", 308, ""),
        ("/bare", 308, ""),
        ("/bare/", 404, NOTHING),
        ("/index.html/", 404, NOTHING),
        ("/index.html/x", 404, NOTHING),
        ("/missing", 404, NOTHING),
    ] {
        let answer = yard.get(path, &[]).await;
        assert_eq!(
            (answer.status.as_u16(), &answer.body[..]),
            (status, body.as_bytes()),
            "{path}"
        );
    }
    assert_eq!(yard.get("/a?x=1", &[]).await.header("location"), "/a/?x=1");
}

#[tokio::test]
async fn nothing_outside_of_the_folder_or_hidden_in_it_is_reached() {
    let yard = Yard::new();
    let outside = tempfile::tempdir().unwrap();
    std::fs::write(outside.path().join("secret"), "secret").unwrap();
    yard.write("inside", "inside");
    yard.write(".env", "secret");
    yard.write(".git/config", "secret");
    yard.write(".well-known/open", "open");
    yard.write("sub/file", "file");
    symlink(outside.path().join("secret"), yard.path("absolute")).unwrap();
    symlink(outside.path(), yard.path("directory")).unwrap();
    let up = std::path::Path::new("..")
        .join(outside.path().file_name().unwrap())
        .join("secret");
    symlink(up, yard.path("relative")).unwrap();
    symlink("loop", yard.path("loop")).unwrap();
    symlink("inside", yard.path("link")).unwrap();
    symlink("../inside", yard.path("sub/link")).unwrap();
    for path in [
        "/absolute",
        "/directory/secret",
        "/directory/",
        "/relative",
        "/loop",
        "/.env",
        "/.git/config",
        "/%2eenv",
    ] {
        assert_eq!(
            yard.get(path, &[]).await.status,
            StatusCode::NOT_FOUND,
            "{path}"
        );
    }
    let name = outside.path().file_name().unwrap().to_str().unwrap();
    for path in [
        format!("/../{name}/secret"),
        format!("/%2e%2e/{name}/secret"),
        format!("/sub/..%2f..%2f{name}/secret"),
        format!("/sub/..%5c..%5c{name}/secret"),
        "/inside%00.html".to_owned(),
        "/%c0%ae%c0%ae/".to_owned(),
    ] {
        assert_eq!(
            yard.get(&path, &[]).await.status,
            StatusCode::BAD_REQUEST,
            "{path}"
        );
    }
    assert_eq!(
        yard.get(&format!("/{}", outside.path().display()), &[])
            .await
            .status,
        StatusCode::NOT_FOUND
    );
    assert_eq!(
        yard.get(&format!("/{}", "n".repeat(300)), &[]).await.status,
        StatusCode::NOT_FOUND
    );
    assert_eq!(
        yard.get(&format!("/{}", "n".repeat(13_000)), &[])
            .await
            .status,
        StatusCode::URI_TOO_LONG
    );
    for (path, body) in [
        ("/link", "inside"),
        ("/sub/link", "inside"),
        ("/.well-known/open", "open"),
    ] {
        assert_eq!(yard.get(path, &[]).await.body, body, "{path}");
    }
}

#[tokio::test]
async fn a_secret_key_is_never_sent_whatever_leads_to_it() {
    let yard = Yard::with(FolderOptions {
        listing: true,
        dotfiles: true,
        ..FolderOptions::default()
    });
    for name in ["device.key", "anchor/issuer.key", ".node/device.key"] {
        yard.write(name, "secret");
    }
    yard.write("device.key.txt", "about keys");
    symlink("anchor/issuer.key", yard.path("alias")).unwrap();
    symlink(".node", yard.path("node")).unwrap();
    for path in [
        "/device.key",
        "/device%2ekey",
        "/anchor/issuer.key",
        "/.node/device.key",
        "/alias",
        "/node/device.key",
    ] {
        for method in ["GET", "HEAD"] {
            let answer = yard.request(method, path, &[]).await;
            assert_eq!(answer.status, StatusCode::NOT_FOUND, "{method} {path}");
        }
    }
    let page = yard.get("/anchor/", &[]).await;
    assert_eq!(page.status, StatusCode::OK);
    let page = String::from_utf8(page.body.to_vec()).unwrap();
    assert!(!page.contains("issuer"), "{page}");
    assert_eq!(yard.get("/device.key.txt", &[]).await.body, "about keys");
}

#[tokio::test]
async fn a_pipe_or_a_socket_is_not_a_file_and_is_not_waited_for() {
    let yard = Yard::with(FolderOptions {
        listing: true,
        ..FolderOptions::default()
    });
    rustix::fs::mknodat(
        rustix::fs::CWD,
        yard.path("pipe"),
        rustix::fs::FileType::Fifo,
        rustix::fs::Mode::RWXU,
        0,
    )
    .unwrap();
    let _socket = std::os::unix::net::UnixListener::bind(yard.path("socket")).unwrap();
    assert_eq!(yard.get("/pipe", &[]).await.status, StatusCode::NOT_FOUND);
    assert_eq!(yard.get("/socket", &[]).await.status, StatusCode::NOT_FOUND);
    assert!(
        !String::from_utf8(yard.get("/", &[]).await.body.to_vec())
            .unwrap()
            .contains("pipe")
    );
}

#[tokio::test]
async fn korean_names_are_found_in_either_unicode_form() {
    let composed: String = "사진/한글 이름.txt".nfc().collect();
    let decomposed: String = composed.nfd().collect();
    for stored in [&composed, &decomposed] {
        let yard = Yard::new();
        yard.write(stored, "찾았다");
        for asked in [&composed, &decomposed] {
            let path: String = asked
                .bytes()
                .map(|octet| {
                    if octet == b'/' {
                        "/".to_owned()
                    } else {
                        format!("%{octet:02x}")
                    }
                })
                .collect();
            let answer = yard.get(&format!("/{path}"), &[]).await;
            assert_eq!(answer.body, "찾았다", "{stored:?} asked as {asked:?}");
            assert_eq!(answer.header("content-type"), "text/plain; charset=utf-8");
        }
    }
    let yard = Yard::new();
    yard.write(&format!("{}/x", "가".nfd().collect::<String>()), "mixed");
    std::fs::rename(
        yard.path("가".nfd().collect::<String>().as_str()),
        yard.path("나"),
    )
    .unwrap();
    std::fs::rename(
        yard.path("나/x"),
        yard.path(&format!("나/{}", "다".nfd().collect::<String>())),
    )
    .unwrap();
    assert_eq!(yard.get("/%EB%82%98/%EB%8B%A4", &[]).await.body, "mixed");
    assert_eq!(
        yard.get("/%EB%82%98/%EB%9D%BC", &[]).await.status,
        StatusCode::NOT_FOUND
    );
}

#[tokio::test]
async fn a_listing_names_what_can_be_opened_and_escapes_it() {
    let yard = Yard::with(FolderOptions {
        listing: true,
        ..FolderOptions::default()
    });
    let outside = tempfile::tempdir().unwrap();
    yard.write("<b>&\".txt", "x".repeat(2048));
    yard.write("한글/그림.png", "");
    yard.write(".hidden", "");
    symlink(outside.path(), yard.path("outside")).unwrap();
    symlink("../.hidden", yard.path("한글/alias")).unwrap();
    let answer = yard.get("/", &[]).await;
    let page = std::str::from_utf8(&answer.body).unwrap();
    assert_eq!(
        (answer.status, answer.header("content-type")),
        (StatusCode::OK, "text/html; charset=utf-8")
    );
    assert!(
        page.contains("lang=\"en\"")
            && page.contains("&lt;b&gt;&amp;&quot;.txt</a>")
            && page.contains("2.0 KiB"),
        "{page}"
    );
    assert!(page.contains("href=\"%3Cb%3E%26%22.txt\""), "{page}");
    assert!(
        page.find("%ED%95%9C%EA%B8%80/").unwrap() < page.find("%3Cb").unwrap(),
        "directories come first"
    );
    assert!(
        !page.contains("hidden") && !page.contains("outside"),
        "{page}"
    );
    let answer = yard
        .get(
            "/%ED%95%9C%EA%B8%80/",
            &[("accept-language", "ko-KR,ko;q=0.9,en;q=0.8")],
        )
        .await;
    let page = std::str::from_utf8(&answer.body).unwrap();
    assert!(
        page.contains("lang=\"ko\"")
            && page.contains("목록: /한글/")
            && page.contains("href=\"../\"")
            && page.contains("alias"),
        "{page}"
    );
    let again = yard
        .get(
            "/%ED%95%9C%EA%B8%80/",
            &[
                ("accept-language", "ko"),
                ("if-none-match", answer.header("etag")),
            ],
        )
        .await;
    assert_eq!(
        (again.status, again.header("vary")),
        (StatusCode::NOT_MODIFIED, "accept-language")
    );
}

#[tokio::test]
async fn only_reading_is_allowed() {
    let yard = Yard::new();
    yard.write("x", "x");
    for method in [
        "POST", "PUT", "DELETE", "PATCH", "TRACE", "CONNECT", "PROPFIND",
    ] {
        let answer = yard.request(method, "/x", &[]).await;
        assert_eq!(
            (answer.status, answer.header("allow")),
            (StatusCode::METHOD_NOT_ALLOWED, "GET, HEAD, OPTIONS"),
            "{method}"
        );
    }
    let answer = yard.request("OPTIONS", "/x", &[]).await;
    assert_eq!(
        (answer.status, answer.header("allow")),
        (StatusCode::NO_CONTENT, "GET, HEAD, OPTIONS")
    );
}

#[tokio::test]
async fn a_folder_that_is_not_there_is_named() {
    let directory = tempfile::tempdir().unwrap();
    std::fs::write(directory.path().join("file"), "").unwrap();
    for name in ["missing", "file"] {
        let error =
            Folder::open(directory.path().join(name), FolderOptions::default()).unwrap_err();
        assert!(matches!(&error, FolderError::Open { path, .. } if path.ends_with(name)));
        assert!(error.to_string().contains(name));
    }
}

#[tokio::test]
async fn what_stands_in_a_home_is_never_sent_whatever_leads_there() {
    let yard = Yard::with(FolderOptions {
        listing: true,
        ..FolderOptions::default()
    });
    for name in [
        ".local/node/device.key",
        ".local/node/standing",
        ".local/node/journal/0001.log",
        "provider/issuer.key",
        "provider/network.toml",
        "provider/store/0001.log",
        "provider/index.html",
        "keys/device.key",
        "keys/about.txt",
        "plain.txt",
    ] {
        yard.write(name, name);
    }
    symlink(".local/node", yard.path("link")).unwrap();
    symlink(".local/node/journal/0001.log", yard.path("log")).unwrap();
    // Twice: once before anything is known of the directories, and once after.
    for _ in 0..2 {
        for path in [
            "/link/standing",
            "/link/journal/0001.log",
            "/link/journal/",
            "/link/",
            "/link",
            "/log",
            "/provider",
            "/provider/",
            "/provider/network.toml",
            "/provider/store/0001.log",
            "/provider/store/",
            "/keys/device.key",
        ] {
            let answer = yard.get(path, &[]).await;
            assert_eq!(answer.status, StatusCode::NOT_FOUND, "{path}");
        }
        for path in ["/plain.txt", "/keys/about.txt", "/keys/", "/"] {
            assert_eq!(yard.get(path, &[]).await.status, StatusCode::OK, "{path}");
        }
    }
    for home in ["provider", "provider/store", "link/journal"] {
        let refused = Folder::open(yard.path(home), FolderOptions::default()).unwrap_err();
        assert!(matches!(refused, FolderError::Home { .. }), "{refused}");
    }
}

#[tokio::test]
async fn under_exact_names_a_file_is_found_as_it_is_listed_and_links_lead_where_they_may() {
    let yard = Yard::with(FolderOptions {
        listing: true,
        ..FolderOptions::default()
    });
    yard.write("a/b/file", "file");
    yard.write("한글/가", "decomposed elsewhere");
    symlink("a/b", yard.path("short")).unwrap();
    let led = std::sync::Mutex::new(Vec::new());
    let status = async |path: &str, may_lead: bool| {
        let request = http::Request::builder().uri(path).body(()).unwrap();
        let ways = Ways {
            exact: true,
            leads: &|path| {
                led.lock().unwrap().push(path.to_owned());
                may_lead
            },
        };
        let head = request.into_parts().0;
        yard.folder.respond(&head, &ways).await.status().as_u16()
    };
    let decomposed: String = "/한글/가".nfd().collect();
    for path in [
        "/a/b/file",
        "/",
        "/a/b/",
        "/%ED%95%9C%EA%B8%80/%EA%B0%80",
        &encoded(&decomposed),
    ] {
        assert_eq!(status(path, false).await, 200, "{path}");
    }
    assert_eq!(status("/a/B/file", true).await, 404);
    assert!(led.lock().unwrap().is_empty(), "no link was asked for");
    for (path, real) in [("/short/file", "a/b/file"), ("/short/", "a/b/")] {
        assert_eq!(status(path, true).await, 200, "{path}");
        assert_eq!(status(path, false).await, 404, "{path}");
        assert_eq!(led.lock().unwrap().split_off(0), [real, real]);
    }
}

#[tokio::test]
async fn a_compressed_sibling_is_no_way_around_a_link_that_may_not_lead_there() {
    let yard = Yard::new();
    yard.write("paid/page.html", "<p>dear");
    yard.write("paid/page.html.gz", "zipped");
    symlink("paid/page.html", yard.path("page.html")).unwrap();
    for coding in ["gzip", "identity"] {
        for (may_lead, status) in [(true, 200), (false, 404)] {
            let request = http::Request::builder().uri("/page.html");
            let request = request.header("accept-encoding", coding).body(()).unwrap();
            let ways = Ways {
                exact: false,
                leads: &|path| {
                    assert_eq!(path, "paid/page.html");
                    may_lead
                },
            };
            let head = request.into_parts().0;
            let answer = yard.folder.respond(&head, &ways).await;
            assert_eq!(answer.status().as_u16(), status, "{coding}");
        }
    }
}

fn encoded(path: &str) -> String {
    let octets = path.bytes().map(|octet| match octet {
        b'/' => "/".to_owned(),
        octet => format!("%{octet:02x}"),
    });
    octets.collect()
}
