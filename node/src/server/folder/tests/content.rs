//! Ranges, preconditions and files that change.

use std::os::unix::fs::FileExt;

use http::StatusCode;
use http_body_util::BodyExt;
use proptest::prelude::*;
use proptest::test_runner::TestRunner;

use super::{Yard, pattern};
use crate::server::folder::FolderOptions;

#[tokio::test]
async fn ranges_are_obeyed() {
    let yard = Yard::new();
    let content = pattern(1_000_000);
    yard.write("f.bin", &content);
    for (range, start, end) in [
        ("bytes=0-0", 0, 1),
        ("bytes=999999-", 999_999, 1_000_000),
        ("bytes=-3", 999_997, 1_000_000),
        ("bytes=262143-524288", 262_143, 524_289),
        ("bytes=5-2000000", 5, 1_000_000),
        ("bytes=0-9,10-19", 0, 20),
    ] {
        let answer = yard.get("/f.bin", &[("range", range)]).await;
        assert_eq!(answer.status, StatusCode::PARTIAL_CONTENT, "{range}");
        assert_eq!(
            answer.header("content-range"),
            format!("bytes {start}-{}/1000000", end - 1)
        );
        assert_eq!(answer.header("content-length"), (end - start).to_string());
        assert!(answer.body == content[start..end], "{range}");
    }
    let answer = yard.get("/f.bin", &[("range", "bytes=1000000-")]).await;
    assert_eq!(
        (answer.status, answer.header("content-range")),
        (StatusCode::RANGE_NOT_SATISFIABLE, "bytes */1000000")
    );
    for ignored in ["bytes=9-1", "lines=0-1", "bytes"] {
        let answer = yard.get("/f.bin", &[("range", ignored)]).await;
        assert!(
            answer.status == StatusCode::OK && answer.body == content,
            "{ignored}"
        );
    }
    let answer = yard
        .request("HEAD", "/f.bin", &[("range", "bytes=0-0")])
        .await;
    assert_eq!(
        (answer.status, answer.header("accept-ranges")),
        (StatusCode::OK, "bytes")
    );
}

#[tokio::test]
async fn several_ranges_come_as_parts() {
    let yard = Yard::new();
    let content = pattern(700_000);
    yard.write("f.png", &content);
    let answer = yard
        .get("/f.png", &[("range", "bytes=600000-600009, 0-4, -2")])
        .await;
    assert_eq!(answer.status, StatusCode::PARTIAL_CONTENT);
    let boundary = answer
        .header("content-type")
        .strip_prefix("multipart/byteranges; boundary=")
        .unwrap();
    assert!(answer.header("content-range").is_empty());
    let mut expected = Vec::new();
    for (start, end) in [(0, 5), (600_000, 600_010), (699_998, 700_000)] {
        let lead = if start == 0 { "" } else { "\r\n" };
        expected.extend_from_slice(format!("{lead}--{boundary}\r\nContent-Type: image/png\r\nContent-Range: bytes {start}-{}/700000\r\n\r\n", end - 1).as_bytes());
        expected.extend_from_slice(&content[start..end]);
    }
    expected.extend_from_slice(format!("\r\n--{boundary}--\r\n").as_bytes());
    assert!(answer.body == expected);
    let many = (0..17)
        .map(|n| format!("{}-{}", n * 1000, n * 1000))
        .collect::<Vec<_>>()
        .join(",");
    assert_eq!(
        yard.get("/f.png", &[("range", &format!("bytes={many}"))])
            .await
            .status,
        StatusCode::RANGE_NOT_SATISFIABLE
    );
}

#[test]
fn any_range_of_any_file_returns_exactly_these_octets() {
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()
        .unwrap();
    let yard = Yard::new();
    let content = pattern(1_200_000);
    let lengths = [0, 1, 65_535, 65_536, 65_537, 262_144, 262_145, 1_200_000];
    for length in lengths {
        yard.write(&length.to_string(), &content[..length]);
    }
    let cases = (0..lengths.len(), 0..1_300_000_u64, 0..600_000_u64);
    let mut runner = TestRunner::new(ProptestConfig {
        cases: 128,
        failure_persistence: None,
        ..ProptestConfig::default()
    });
    let run = |(file, first, more): (usize, u64, u64)| {
        let length = lengths[file];
        let last = first + more;
        let answer = runtime.block_on(yard.get(
            &format!("/{length}"),
            &[("range", &format!("bytes={first}-{last}"))],
        ));
        if first < length as u64 {
            let (start, end) = (
                usize::try_from(first).unwrap(),
                length.min(usize::try_from(last).unwrap() + 1),
            );
            prop_assert_eq!(answer.status, StatusCode::PARTIAL_CONTENT);
            prop_assert!(answer.body == content[start..end]);
        } else {
            prop_assert_eq!(answer.status, StatusCode::RANGE_NOT_SATISFIABLE);
        }
        Ok(())
    };
    runner.run(&cases, run).unwrap();
}

#[tokio::test]
async fn preconditions_and_if_range_use_the_tag_and_the_date() {
    let yard = Yard::with(FolderOptions {
        max_age: std::time::Duration::from_secs(60),
        ..FolderOptions::default()
    });
    yard.write("f.bin", pattern(100));
    let file = std::fs::File::options()
        .write(true)
        .open(yard.path("f.bin"))
        .unwrap();
    file.set_modified(httpdate::parse_http_date("Mon, 02 Nov 2020 00:00:00 GMT").unwrap())
        .unwrap();
    let first = yard.get("/f.bin", &[]).await;
    let (tag, date) = (first.header("etag"), first.header("last-modified"));
    assert!(
        tag.starts_with('"')
            && date == "Mon, 02 Nov 2020 00:00:00 GMT"
            && first.header("cache-control") == "max-age=60"
    );
    let part = |name, value| [("range", "bytes=0-0"), (name, value)];
    for (headers, status) in [
        (vec![("if-none-match", tag)], 304),
        (vec![("if-modified-since", date)], 304),
        (
            vec![("if-none-match", "\"other\""), ("if-modified-since", date)],
            200,
        ),
        (vec![("if-match", "\"other\"")], 412),
        (
            vec![("if-unmodified-since", "Sat, 02 Nov 2019 00:00:00 GMT")],
            412,
        ),
        (part("if-range", tag).to_vec(), 206),
        (part("if-range", date).to_vec(), 206),
        (part("if-range", "\"other\"").to_vec(), 200),
        (
            part("if-range", "Sat, 02 Nov 2019 00:00:00 GMT").to_vec(),
            200,
        ),
        (part("if-match", "\"other\"").to_vec(), 412),
        (part("if-none-match", tag).to_vec(), 304),
    ] {
        for method in ["GET", "HEAD"] {
            let answer = yard.request(method, "/f.bin", &headers).await;
            let expected = if method == "HEAD" && status == 206 {
                200
            } else {
                status
            };
            assert_eq!(answer.status.as_u16(), expected, "{method} {headers:?}");
            if status == 304 {
                assert_eq!(
                    (
                        answer.header("etag"),
                        answer.header("cache-control"),
                        answer.header("content-length")
                    ),
                    (tag, "max-age=60", "")
                );
            }
        }
    }
}

#[tokio::test]
async fn the_tag_changes_with_every_change_of_the_file() {
    let yard = Yard::new();
    let mut seen = std::collections::BTreeSet::new();
    for round in 0..20_u8 {
        yard.write("f.bin", [round; 100]);
        let answer = yard.get("/f.bin", &[]).await;
        assert_eq!(answer.body, vec![round; 100]);
        assert!(
            seen.insert(answer.header("etag").to_owned()),
            "round {round}"
        );
    }
    let before = yard.get("/f.bin", &[]).await;
    let modified = std::fs::metadata(yard.path("f.bin"))
        .unwrap()
        .modified()
        .unwrap();
    yard.write("f.bin", [77; 100]);
    std::fs::File::options()
        .write(true)
        .open(yard.path("f.bin"))
        .unwrap()
        .set_modified(modified)
        .unwrap();
    let after = yard
        .get("/f.bin", &[("if-none-match", before.header("etag"))])
        .await;
    assert_eq!(
        (after.status, &after.body[..]),
        (StatusCode::OK, &[77; 100][..]),
        "same size and time, other content"
    );
}

#[tokio::test]
async fn a_file_that_shrinks_or_changes_while_it_is_sent_ends_in_an_error() {
    let length = 4_000_000;
    for change in ["shrink", "change"] {
        let yard = Yard::new();
        yard.write("f.bin", pattern(length));
        let mut body = yard.ask("GET", "/f.bin", &[]).await.into_body();
        let mut received = body
            .frame()
            .await
            .unwrap()
            .unwrap()
            .into_data()
            .unwrap()
            .len();
        let file = std::fs::File::options()
            .write(true)
            .open(yard.path("f.bin"))
            .unwrap();
        match change {
            "shrink" => file.set_len(1_000_000).unwrap(),
            _ => file.write_all_at(b"other", 3_000_000).unwrap(),
        }
        let error = loop {
            match body.frame().await.unwrap() {
                Ok(frame) => received += frame.into_data().unwrap().len(),
                Err(error) => break error,
            }
        };
        assert!(
            received < length && error.to_string().contains("the file"),
            "{change}: {received} {error}"
        );
        assert!(body.frame().await.is_none());
    }
}

#[tokio::test]
async fn a_file_that_is_replaced_or_removed_while_it_is_sent_is_sent_whole() {
    let yard = Yard::new();
    let content = pattern(3_000_000);
    yard.write("f.bin", &content);
    yard.write("g.bin", &content);
    let replaced = yard.ask("GET", "/f.bin", &[]).await.into_body();
    let removed = yard.ask("GET", "/g.bin", &[]).await.into_body();
    yard.write("new", "new");
    std::fs::rename(yard.path("new"), yard.path("f.bin")).unwrap();
    std::fs::remove_file(yard.path("g.bin")).unwrap();
    for body in [replaced, removed] {
        assert!(body.collect().await.unwrap().to_bytes() == content);
    }
}
