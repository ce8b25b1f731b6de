//! Clients that stall, crowd or send monstrous heads.

use std::time::Duration;

use http::Method;
use madang_anchor::config::{Exposure, TlsFiles};
use madang_protocol::broker::{ENROL, WELL_KNOWN};
use std::{path::Path, sync::Arc};
use tokio::{
    io::{AsyncReadExt as _, AsyncWriteExt as _},
    net::TcpStream,
};

use crate::{
    harness::Anchor,
    http::{exchange, get, request},
};

/// Everything until the other end closes; a reset is an end too.
async fn read_to_end(stream: &mut TcpStream) -> String {
    let mut octets = Vec::new();
    let _ = stream.read_to_end(&mut octets).await;
    String::from_utf8_lossy(&octets).into_owned()
}

async fn send(anchor: &Anchor, octets: &[u8]) -> TcpStream {
    let mut stream = TcpStream::connect(anchor.running.address()).await.unwrap();
    stream.write_all(octets).await.unwrap();
    stream
}

#[tokio::test]
async fn a_head_that_does_not_end_is_cut() {
    let anchor =
        Anchor::start_with(|config| config.limits.header_timeout = Duration::from_millis(50)).await;
    for head in ["", "GET /health HTTP/1.1\r\nHost: a\r\n"] {
        let mut stream = send(&anchor, head.as_bytes()).await;
        let answer = read_to_end(&mut stream).await;
        assert!(
            answer.is_empty() || answer.starts_with("HTTP/1.1 408"),
            "{answer}"
        );
    }
}

#[tokio::test]
async fn a_body_that_does_not_come_is_cut() {
    let anchor =
        Anchor::start_with(|config| config.limits.request_timeout = Duration::from_millis(50))
            .await;
    let head = format!(
        "POST {ENROL} HTTP/1.1\r\nHost: a\r\nContent-Type: application/vnd.madang.v1\r\nContent-Length: 100\r\n\r\nx"
    );
    let mut stream = send(&anchor, head.as_bytes()).await;
    let answer = read_to_end(&mut stream).await;
    assert!(answer.starts_with("HTTP/1.1 503"), "{answer}");
}

#[tokio::test]
async fn a_connection_on_which_nothing_moves_is_cut() {
    let anchor =
        Anchor::start_with(|config| config.limits.idle_timeout = Duration::from_millis(50)).await;
    let mut stream = send(&anchor, b"").await;
    assert_eq!(read_to_end(&mut stream).await, "");
}

#[tokio::test]
async fn heads_are_bounded() {
    let anchor = Anchor::start().await;
    let many: String = (0..70).map(|at| format!("X-{at}: 1\r\n")).collect();
    let long = format!("X-Long: {}\r\n", "x".repeat(17 * 1_024));
    for headers in [many, long] {
        let head = format!("GET /health HTTP/1.1\r\nHost: a\r\n{headers}\r\n");
        let mut stream = send(&anchor, head.as_bytes()).await;
        let answer = read_to_end(&mut stream).await;
        assert!(answer.starts_with("HTTP/1.1 431"), "{answer}");
    }
}

#[tokio::test]
async fn one_address_has_only_so_many_connections_and_leaving_makes_room() {
    let anchor = Anchor::start_with(|config| config.limits.connections_per_address_max = 2).await;
    let health = b"GET /health HTTP/1.1\r\nHost: a\r\n\r\n";
    let mut kept = Vec::new();
    for _ in 0..2 {
        let mut stream = send(&anchor, health).await;
        let mut start = [0; 15];
        stream.read_exact(&mut start).await.unwrap();
        assert_eq!(&start, b"HTTP/1.1 200 OK");
        kept.push(stream);
    }
    let mut refused = TcpStream::connect(anchor.running.address()).await.unwrap();
    assert_eq!(read_to_end(&mut refused).await, "");
    let mut leaving = kept.pop().unwrap();
    leaving.shutdown().await.unwrap();
    read_to_end(&mut leaving).await;
    // The anchor has closed its end; its count falls a moment later.
    loop {
        let mut stream = TcpStream::connect(anchor.running.address()).await.unwrap();
        let _ = stream
            .write_all(b"GET /health HTTP/1.1\r\nHost: a\r\nConnection: close\r\n\r\n")
            .await;
        if read_to_end(&mut stream)
            .await
            .starts_with("HTTP/1.1 200 OK")
        {
            break;
        }
    }
}

#[tokio::test]
async fn tls_is_spoken_where_a_certificate_is_given() {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/daemon/tls");
    let certificate = folder.join("cert.pem");
    let files = TlsFiles {
        certificate: certificate.clone(),
        key: folder.join("key.pem"),
    };
    let home = tempfile::tempdir().unwrap();
    let mut config = madang_anchor::config::Config::new(home.path());
    config.exposure = Exposure::Tls(files);
    let running = madang_anchor::app::App::build(config)
        .await
        .unwrap_or_else(|error| panic!("{error}"))
        .spawn();
    assert!(running.url().starts_with("https://127.0.0.1:"));

    use rustls::pki_types::{CertificateDer, ServerName, pem::PemObject as _};
    let mut roots = rustls::RootCertStore::empty();
    roots
        .add(CertificateDer::from_pem_file(&certificate).unwrap())
        .unwrap();
    let provider = Arc::new(rustls::crypto::ring::default_provider());
    let client = rustls::ClientConfig::builder_with_provider(provider)
        .with_safe_default_protocol_versions()
        .unwrap()
        .with_root_certificates(roots)
        .with_no_client_auth();
    let connector = tokio_rustls::TlsConnector::from(Arc::new(client));
    let stream = TcpStream::connect(running.address()).await.unwrap();
    let stream = connector
        .connect(ServerName::try_from("localhost").unwrap(), stream)
        .await
        .unwrap();
    let response = exchange(stream, request(Method::GET, WELL_KNOWN, vec![])).await;
    assert_eq!(response.status, 200);
    running.shutdown().await.unwrap();
}

#[tokio::test]
async fn a_shutdown_ends_idle_connections_and_lets_go_of_everything() {
    let anchor = Anchor::start().await;
    let mut idle = send(&anchor, b"").await;
    let address = anchor.running.address();
    let (home, clock) = anchor.stop().await;
    assert_eq!(read_to_end(&mut idle).await, "");
    assert!(TcpStream::connect(address).await.is_err());
    assert!(!home.path().join("operator.sock").exists());
    let again = Anchor::start_in(home, clock, |_| {}).await;
    assert_eq!(get(again.running.address(), "/health").await.status, 200);
}
