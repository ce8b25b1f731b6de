//! The folder behind a real HTTP server.

use std::sync::Arc;

use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;

use super::{Ways, Yard, pattern};
use crate::server::testing::Served;

#[tokio::test]
async fn heads_match_on_the_wire() {
    let yard = Arc::new(Yard::new());
    yard.write("f.bin", pattern(300_000));
    yard.write("t.txt", "text ".repeat(1_000));
    let serving = Arc::clone(&yard);
    let served = Served::by(move |request| {
        let yard = Arc::clone(&serving);
        async move {
            yard.folder
                .respond(&request.into_parts().0, &Ways::ALL)
                .await
        }
    })
    .await;
    for (path, extra) in [
        ("/f.bin", ""),
        ("/t.txt", "Accept-Encoding: br\r\n"),
        ("/missing", ""),
    ] {
        let ask = |method: &str| {
            format!("{method} {path} HTTP/1.1\r\nHost: x\r\n{extra}Connection: close\r\n\r\n")
        };
        let head = served.exchange(&ask("HEAD")).await;
        assert!(
            head.ends_with("\r\n\r\n") && head.contains("content-length: "),
            "{head}"
        );
        if path == "/f.bin" {
            assert!(head.contains("content-length: 300000\r\n"), "{head}");
        }
    }
}

#[tokio::test]
async fn a_file_that_shrinks_cuts_the_connection() {
    let yard = Arc::new(Yard::new());
    yard.write("f.bin", vec![b'x'; 50_000_000]);
    let serving = Arc::clone(&yard);
    let served = Served::by(move |request| {
        let yard = Arc::clone(&serving);
        async move {
            yard.folder
                .respond(&request.into_parts().0, &Ways::ALL)
                .await
        }
    })
    .await;
    let mut visitor = TcpStream::connect(served.address).await.unwrap();
    visitor
        .write_all(b"GET /f.bin HTTP/1.1\r\nHost: x\r\n\r\n")
        .await
        .unwrap();
    let mut answer = vec![0; 64 * 1024];
    visitor.read_exact(&mut answer).await.unwrap();
    assert!(String::from_utf8_lossy(&answer).contains("content-length: 50000000\r\n"));
    let file = std::fs::File::options()
        .write(true)
        .open(yard.path("f.bin"));
    file.unwrap().set_len(100).unwrap();
    // Sent ahead is what sockets hold. The end may be a reset.
    let _ = visitor.read_to_end(&mut answer).await;
    assert!(answer.len() < 40_000_000, "{} octets", answer.len());
}
