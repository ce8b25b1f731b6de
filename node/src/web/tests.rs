//! HTTP between two nodes.
#![expect(clippy::unwrap_used, reason = "a test fails by panicking")]

use std::convert::Infallible;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use bytes::Bytes;
use http::{Method, Request, Response, StatusCode, header};
use http_body_util::{BodyExt, Empty, Full};
use hyper::body::Incoming;
use hyper::service::service_fn;
use hyper_util::rt::TokioIo;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::sync::Notify;
use tokio::task::JoinSet;
use tokio::time::timeout;
use tokio_util::sync::CancellationToken;

use super::*;
use crate::mesh::tests::{node, pair};
use crate::mesh::{Mesh, Protocol, Transport};

const PATIENCE: Duration = Duration::from_secs(20);

fn empty() -> Body {
    Empty::new().map_err(|never| match never {}).boxed_unsync()
}

fn full(bytes: impl Into<Bytes>) -> Body {
    Full::new(bytes.into())
        .map_err(|never| match never {})
        .boxed_unsync()
}

fn get(target: &str) -> Request<Body> {
    Request::get(target)
        .header(header::HOST, "alice")
        .body(empty())
        .unwrap()
}

/// Answers with the method, the target and the request's body; upgrades to an echo.
async fn answer(mut request: Request<Incoming>) -> Result<Response<Body>, Infallible> {
    if request.headers().contains_key(header::UPGRADE) {
        let upgrade = hyper::upgrade::on(&mut request);
        tokio::spawn(async move {
            let mut io = TokioIo::new(upgrade.await.unwrap());
            let mut word = [0; 5];
            io.read_exact(&mut word).await.unwrap();
            io.write_all(&word).await.unwrap();
            io.flush().await.unwrap();
        });
        let response = Response::builder()
            .status(StatusCode::SWITCHING_PROTOCOLS)
            .header(header::UPGRADE, "echo");
        return Ok(response
            .header(header::CONNECTION, "upgrade")
            .body(empty())
            .unwrap());
    }
    let head = format!("{} {} ", request.method(), request.uri());
    let body = request.into_body().collect().await.unwrap().to_bytes();
    Ok(Response::new(full([head.as_bytes(), &body].concat())))
}

/// A web server on a node's streams; counts the streams.
struct Server {
    streams: Arc<AtomicUsize>,
    _tasks: JoinSet<()>,
}

async fn serve_on(mesh: &Mesh) -> Server {
    let mut incoming = mesh.handle().accept(Protocol::Http).await.unwrap();
    let streams = Arc::new(AtomicUsize::new(0));
    let counter = Arc::clone(&streams);
    let mut tasks = JoinSet::new();
    tasks.spawn(async move {
        let mut connections = JoinSet::new();
        while let Some(stream) = incoming.next().await {
            counter.fetch_add(1, Ordering::SeqCst);
            connections.spawn(serve(stream, service_fn(answer), CancellationToken::new()));
        }
    });
    Server {
        streams,
        _tasks: tasks,
    }
}

async fn text(response: Response<Incoming>) -> String {
    String::from_utf8(
        response
            .into_body()
            .collect()
            .await
            .unwrap()
            .to_bytes()
            .to_vec(),
    )
    .unwrap()
}

#[tokio::test]
async fn nodes_exchange_http_over_every_transport() {
    for transport in [
        Transport::Memory,
        Transport::TcpTls,
        Transport::TcpNoise,
        Transport::Quic,
    ] {
        let (buyer, seller) = pair(transport).await;
        let server = serve_on(&seller).await;
        let pool = Pool::new(buyer.handle(), PoolLimits::default());
        let peer = seller.handle().peer_id();
        for number in 0..10 {
            let request = get(&format!("http://alice/page/{number}"));
            let response = timeout(PATIENCE, pool.send(peer, request))
                .await
                .unwrap()
                .unwrap();
            assert_eq!(
                text(response).await,
                format!("GET /page/{number} "),
                "over {transport:?}"
            );
        }
        let long = vec![b'x'; 2_000_000];
        let request = Request::post("/upload")
            .header(header::HOST, "alice")
            .body(full(long.clone()))
            .unwrap();
        let response = timeout(PATIENCE, pool.send(peer, request))
            .await
            .unwrap()
            .unwrap();
        assert!(text(response).await.into_bytes() == [b"POST /upload ".as_slice(), &long].concat());
        assert_eq!(
            server.streams.load(Ordering::SeqCst),
            1,
            "one connection serves one request after another"
        );
    }
}

#[tokio::test]
async fn an_upgraded_connection_carries_raw_bytes() {
    let (buyer, seller) = pair(Transport::Memory).await;
    let _server = serve_on(&seller).await;
    let pool = Pool::new(buyer.handle(), PoolLimits::default());
    let mut request = get("/live");
    request
        .headers_mut()
        .insert(header::UPGRADE, "echo".parse().unwrap());
    request
        .headers_mut()
        .insert(header::CONNECTION, "upgrade".parse().unwrap());
    let mut response = timeout(PATIENCE, pool.send(seller.handle().peer_id(), request))
        .await
        .unwrap()
        .unwrap();
    assert_eq!(response.status(), StatusCode::SWITCHING_PROTOCOLS);
    let mut io = TokioIo::new(hyper::upgrade::on(&mut response).await.unwrap());
    io.write_all(b"hello").await.unwrap();
    io.flush().await.unwrap();
    let mut word = [0; 5];
    timeout(PATIENCE, io.read_exact(&mut word))
        .await
        .unwrap()
        .unwrap();
    assert_eq!(&word, b"hello");
}

/// Reads one request's head from a raw stream.
async fn read_head(stream: &mut crate::mesh::Stream) -> String {
    let mut head = Vec::new();
    while !head.ends_with(b"\r\n\r\n") {
        head.push(timeout(PATIENCE, stream.read_u8()).await.unwrap().unwrap());
    }
    String::from_utf8(head).unwrap()
}

const SHORT: &[u8] = b"HTTP/1.1 200 OK\r\ncontent-length: 2\r\n\r\nok";

#[tokio::test]
async fn a_get_that_meets_a_stale_connection_is_sent_again_on_a_fresh_one() {
    let (buyer, seller) = pair(Transport::Memory).await;
    let mut incoming = seller.handle().accept(Protocol::Http).await.unwrap();
    let pool = Pool::new(buyer.handle(), PoolLimits::default());
    let peer = seller.handle().peer_id();
    let serving = async {
        let mut first = incoming.next().await.unwrap();
        assert!(read_head(&mut first).await.starts_with("GET /one "));
        first.write_all(SHORT).await.unwrap();
        first.flush().await.unwrap();
        // Dies with the second request in it.
        assert!(read_head(&mut first).await.starts_with("GET /two "));
        drop(first);
        let mut second = incoming.next().await.unwrap();
        assert!(read_head(&mut second).await.starts_with("GET /two "));
        second.write_all(SHORT).await.unwrap();
        second.flush().await.unwrap();
        // A POST is not repeated once it was written.
        assert!(read_head(&mut second).await.starts_with("POST /three "));
        drop(second);
    };
    let asking = async {
        for target in ["/one", "/two"] {
            assert_eq!(
                text(pool.send(peer, get(target)).await.unwrap()).await,
                "ok"
            );
        }
        let post = Request::builder()
            .method(Method::POST)
            .uri("/three")
            .body(empty())
            .unwrap();
        assert!(matches!(
            pool.send(peer, post).await,
            Err(FetchError::Broken(_))
        ));
    };
    timeout(PATIENCE, async { tokio::join!(serving, asking) })
        .await
        .unwrap();
}

#[tokio::test]
async fn a_pool_opens_no_more_connections_than_its_bound() {
    let (buyer, seller) = pair(Transport::Memory).await;
    let mut incoming = seller.handle().accept(Protocol::Http).await.unwrap();
    let limits = PoolLimits {
        per_peer: 1,
        ..PoolLimits::default()
    };
    let pool = Pool::new(buyer.handle(), limits);
    let peer = seller.handle().peer_id();
    let asking = pool.send(peer, get("/slow"));
    let serving = async {
        let mut stream = incoming.next().await.unwrap();
        read_head(&mut stream).await;
        assert!(matches!(
            pool.send(peer, get("/more")).await,
            Err(FetchError::Busy)
        ));
        stream.write_all(SHORT).await.unwrap();
        stream.flush().await.unwrap();
        stream
    };
    let (response, _stream) = timeout(PATIENCE, async { tokio::join!(asking, serving) })
        .await
        .unwrap();
    assert_eq!(text(response.unwrap()).await, "ok");
}

#[tokio::test]
async fn an_unused_connection_is_closed() {
    let (buyer, seller) = pair(Transport::Memory).await;
    let mut incoming = seller.handle().accept(Protocol::Http).await.unwrap();
    let limits = PoolLimits {
        idle_timeout: Duration::from_millis(200),
        ..PoolLimits::default()
    };
    let pool = Pool::new(buyer.handle(), limits);
    let peer = seller.handle().peer_id();
    let serving = async {
        let mut stream = incoming.next().await.unwrap();
        read_head(&mut stream).await;
        stream.write_all(SHORT).await.unwrap();
        stream.flush().await.unwrap();
        timeout(PATIENCE, stream.read_u8())
            .await
            .unwrap()
            .unwrap_err()
    };
    let asking = async { text(pool.send(peer, get("/")).await.unwrap()).await };
    let (end, _) = timeout(PATIENCE, async { tokio::join!(serving, asking) })
        .await
        .unwrap();
    assert_eq!(end.kind(), std::io::ErrorKind::UnexpectedEof);
}

#[tokio::test]
async fn a_peer_that_serves_no_http_says_so() {
    let (buyer, seller) = pair(Transport::Memory).await;
    let pool = Pool::new(buyer.handle(), PoolLimits::default());
    let result = timeout(PATIENCE, pool.send(seller.handle().peer_id(), get("/")))
        .await
        .unwrap();
    assert!(matches!(result, Err(FetchError::Unsupported)), "{result:?}");
    let nobody = node(9, Transport::Memory);
    let result = timeout(PATIENCE, pool.send(nobody.handle().peer_id(), get("/")))
        .await
        .unwrap();
    assert!(matches!(result, Err(FetchError::Open(_))), "{result:?}");
}

#[tokio::test(start_paused = true)]
async fn a_client_that_sends_nothing_is_dismissed() {
    let (_client, server) = tokio::io::duplex(1_024);
    let start = tokio::time::Instant::now();
    let result = serve(server, service_fn(answer), CancellationToken::new()).await;
    assert!(result.is_err());
    assert_eq!(start.elapsed().as_secs(), 10);
}

#[tokio::test]
async fn too_large_a_head_is_refused() {
    let (mut client, server) = tokio::io::duplex(1_024);
    let serving = serve(server, service_fn(answer), CancellationToken::new());
    let asking = async {
        let long = "x".repeat(17_000);
        client
            .write_all(format!("GET / HTTP/1.1\r\nhost: a\r\nlong: {long}\r\n\r\n").as_bytes())
            .await
            .unwrap();
        let mut status = [0; 12];
        client.read_exact(&mut status).await.unwrap();
        drop(client);
        status
    };
    let (_, status) = timeout(PATIENCE, async { tokio::join!(serving, asking) })
        .await
        .unwrap();
    assert_eq!(&status, b"HTTP/1.1 431");
}

#[tokio::test]
async fn a_stopped_server_finishes_what_it_began() {
    let (mut client, server) = tokio::io::duplex(1_024);
    let stop = CancellationToken::new();
    let begun = Arc::new(Notify::new());
    let service = service_fn(|request| {
        begun.notify_one();
        answer(request)
    });
    let serving = serve(server, service, stop.clone());
    let asking = async {
        client
            .write_all(b"POST / HTTP/1.1\r\nhost: a\r\ncontent-length: 2\r\n\r\n")
            .await
            .unwrap();
        begun.notified().await;
        stop.cancel();
        client.write_all(b"ok").await.unwrap();
        let mut answer = String::new();
        client.read_to_string(&mut answer).await.unwrap();
        answer
    };
    let (result, answer) = timeout(PATIENCE, async { tokio::join!(serving, asking) })
        .await
        .unwrap();
    result.unwrap();
    assert!(
        answer.starts_with("HTTP/1.1 200") && answer.ends_with("POST / ok"),
        "{answer}"
    );
}
