//! Compression and digests.

use std::time::{Duration, SystemTime};

use async_compression::tokio::bufread::{BrotliDecoder, GzipDecoder, ZstdDecoder};
use http::StatusCode;
use sha2::{Digest, Sha256};
use tokio::io::AsyncReadExt;

use super::{Answer, Yard, pattern};
use crate::server::folder::FolderOptions;

async fn decoded(answer: &Answer) -> Vec<u8> {
    let mut plain = Vec::new();
    match answer.header("content-encoding") {
        "br" => BrotliDecoder::new(&answer.body[..])
            .read_to_end(&mut plain)
            .await
            .unwrap(),
        "gzip" => GzipDecoder::new(&answer.body[..])
            .read_to_end(&mut plain)
            .await
            .unwrap(),
        "zstd" => ZstdDecoder::new(&answer.body[..])
            .read_to_end(&mut plain)
            .await
            .unwrap(),
        other => panic!("unexpected coding {other:?}"),
    };
    plain
}

fn digest_of(octets: &[u8]) -> String {
    format!(
        "sha-256=:{}:",
        data_encoding::BASE64.encode(&Sha256::digest(octets))
    )
}

#[tokio::test]
async fn texts_are_compressed_as_asked_and_head_says_the_same() {
    let yard = Yard::new();
    let text = "마당은 이웃이 함께 쓰는 뜰이다. ".repeat(500);
    yard.write("t.txt", &text);
    let plain = yard.get("/t.txt", &[]).await;
    for (accept, coding) in [
        ("gzip", "gzip"),
        ("br, gzip", "br"),
        ("zstd", "zstd"),
        ("gzip, br;q=0.5", "gzip"),
        ("*", "br"),
    ] {
        let answer = yard.get("/t.txt", &[("accept-encoding", accept)]).await;
        assert_eq!(
            (answer.header("content-encoding"), answer.header("vary")),
            (coding, "accept-encoding"),
            "{accept}"
        );
        assert!(answer.body.len() < text.len() / 4 && decoded(&answer).await == text.as_bytes());
        assert!(
            answer.header("etag").starts_with("W/")
                && answer.header("etag") != plain.header("etag")
        );
        let head = yard
            .request("HEAD", "/t.txt", &[("accept-encoding", accept)])
            .await;
        assert_eq!(head.headers, answer.headers, "{accept}");
        let again = yard
            .get(
                "/t.txt",
                &[
                    ("accept-encoding", accept),
                    ("if-none-match", answer.header("etag")),
                ],
            )
            .await;
        assert_eq!(
            (again.status, again.header("vary")),
            (StatusCode::NOT_MODIFIED, "accept-encoding")
        );
        let other = yard
            .get("/t.txt", &[("if-none-match", answer.header("etag"))])
            .await;
        assert_eq!(
            other.status,
            StatusCode::OK,
            "the plain file is another representation"
        );
    }
    let head = yard.request("HEAD", "/t.txt", &[]).await;
    assert_eq!((head.headers, head.body.len()), (plain.headers.clone(), 0));
    assert_eq!(
        (plain.header("vary"), plain.header("content-length")),
        ("accept-encoding", text.len().to_string().as_str())
    );
}

#[tokio::test]
async fn what_would_not_profit_is_left_plain() {
    let yard = Yard::new();
    yard.write("small.txt", "x".repeat(1023));
    yard.write("large.txt", "x".repeat(2 * 1024 * 1024 + 1));
    yard.write("picture.png", "x".repeat(5_000));
    yard.write("archive.zip", "x".repeat(5_000));
    yard.write("noise.txt", pattern(5_000));
    yard.write("t.txt", "x".repeat(5_000));
    let accept = ("accept-encoding", "gzip, br");
    for path in [
        "/small.txt",
        "/large.txt",
        "/picture.png",
        "/archive.zip",
        "/noise.txt",
    ] {
        let answer = yard.get(path, &[accept]).await;
        assert_eq!(
            (
                answer.header("content-encoding"),
                answer.header("etag").starts_with('"')
            ),
            ("", true),
            "{path}"
        );
    }
    for (headers, status) in [
        (vec![accept, ("range", "bytes=0-9")], 206),
        (vec![("accept-encoding", "gzip;q=0")], 200),
        (vec![("accept-encoding", "identity")], 200),
    ] {
        let answer = yard.get("/t.txt", &headers).await;
        assert_eq!(
            (answer.status.as_u16(), answer.header("content-encoding")),
            (status, ""),
            "{headers:?}"
        );
    }
    let yard = Yard::with(FolderOptions {
        compress: false,
        ..FolderOptions::default()
    });
    yard.write("t.txt", "x".repeat(5_000));
    assert_eq!(yard.get("/t.txt", &[accept]).await.body.len(), 5_000);
}

#[tokio::test]
async fn a_changed_text_is_compressed_anew() {
    let yard = Yard::new();
    for round in ["one ", "two "] {
        yard.write("t.txt", round.repeat(1_000));
        let answer = yard.get("/t.txt", &[("accept-encoding", "gzip")]).await;
        assert_eq!(decoded(&answer).await, round.repeat(1_000).as_bytes());
    }
}

#[tokio::test]
async fn precompressed_siblings_are_preferred_while_they_are_not_older() {
    let yard = Yard::new();
    yard.write("a.js", "plain".repeat(1_000));
    yard.write("a.js.gz", "the gzip form");
    yard.write("a.js.br", "the brotli form");
    let plain = yard.get("/a.js", &[]).await;
    assert_eq!(
        (plain.body.len(), plain.header("content-encoding")),
        (5_000, "")
    );
    let mut tags = vec![plain.header("etag").to_owned()];
    for (accept, coding, body) in [
        ("gzip, br", "br", "the brotli form"),
        ("gzip", "gzip", "the gzip form"),
        ("br;q=0.2, gzip;q=0.8", "gzip", "the gzip form"),
    ] {
        let answer = yard.get("/a.js", &[("accept-encoding", accept)]).await;
        assert_eq!(
            (answer.header("content-encoding"), &answer.body[..]),
            (coding, body.as_bytes()),
            "{accept}"
        );
        assert_eq!(
            (answer.header("content-type"), answer.header("vary")),
            ("text/javascript; charset=utf-8", "accept-encoding")
        );
        tags.push(answer.header("etag").to_owned());
        let part = yard
            .get(
                "/a.js",
                &[
                    ("accept-encoding", accept),
                    ("range", "bytes=4-"),
                    ("if-range", answer.header("etag")),
                ],
            )
            .await;
        assert_eq!(
            (part.status, part.header("content-encoding"), &part.body[..]),
            (StatusCode::PARTIAL_CONTENT, coding, &body.as_bytes()[4..])
        );
    }
    tags.sort();
    tags.dedup();
    assert_eq!(tags.len(), 3, "each form has its tag");
    for sibling in ["a.js.gz", "a.js.br"] {
        let file = std::fs::File::options()
            .write(true)
            .open(yard.path(sibling))
            .unwrap();
        file.set_modified(SystemTime::now() - Duration::from_secs(100))
            .unwrap();
    }
    let answer = yard.get("/a.js", &[("accept-encoding", "gzip")]).await;
    assert_eq!(decoded(&answer).await, "plain".repeat(1_000).as_bytes());
    assert_eq!(
        yard.get("/a.js.gz", &[]).await.header("content-encoding"),
        "",
        "asked by name it is a file like another"
    );
}

#[tokio::test]
async fn a_digest_is_computed_when_wanted_and_kept() {
    let yard = Yard::new();
    let content = pattern(1_000_000);
    yard.write("f.bin", &content);
    assert_eq!(yard.get("/f.bin", &[]).await.header("repr-digest"), "");
    assert_eq!(
        yard.get("/f.bin", &[("want-repr-digest", "sha-256=0")])
            .await
            .header("repr-digest"),
        ""
    );
    let part = yard
        .get(
            "/f.bin",
            &[("want-repr-digest", "sha-256=5"), ("range", "bytes=5-9")],
        )
        .await;
    assert_eq!(
        part.header("repr-digest"),
        digest_of(&content),
        "of the whole, not of the part"
    );
    assert_eq!(
        yard.request("HEAD", "/f.bin", &[])
            .await
            .header("repr-digest"),
        digest_of(&content)
    );
    yard.write("f.bin", "changed");
    assert_eq!(yard.get("/f.bin", &[]).await.header("repr-digest"), "");
    assert_eq!(
        yard.get("/f.bin", &[("want-repr-digest", "sha-256=1")])
            .await
            .header("repr-digest"),
        digest_of(b"changed")
    );
}

#[tokio::test]
async fn a_digest_is_of_the_octets_of_the_chosen_form() {
    let yard = Yard::new();
    yard.write("t.txt", "text ".repeat(1_000));
    yard.write("u.txt", "text ".repeat(1_000));
    yard.write("u.txt.gz", "the gzip form");
    for path in ["/t.txt", "/u.txt"] {
        let answer = yard
            .get(
                path,
                &[
                    ("want-repr-digest", "sha-256=1"),
                    ("accept-encoding", "gzip"),
                ],
            )
            .await;
        assert_eq!(
            (
                answer.header("content-encoding"),
                answer.header("repr-digest")
            ),
            ("gzip", digest_of(&answer.body).as_str()),
            "{path}"
        );
    }
}

#[tokio::test]
async fn a_page_in_another_charset_is_left_to_speak_for_itself() {
    let yard = Yard::new();
    yard.write("utf8.html", "<p>한글");
    yard.write("declared.html", "<meta charset=utf-8><p>한글");
    yard.write("euc-kr.txt", [0xb0, 0xa1]);
    for (path, expected) in [
        ("/utf8.html", "text/html; charset=utf-8"),
        ("/declared.html", "text/html"),
        ("/euc-kr.txt", "text/plain"),
    ] {
        let answer = yard.get(path, &[]).await;
        assert_eq!(
            (
                answer.header("content-type"),
                answer.header("x-content-type-options")
            ),
            (expected, "nosniff"),
            "{path}"
        );
    }
}
