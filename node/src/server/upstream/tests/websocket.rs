//! WebSockets through the tunnel.

use std::io;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::task::{Context, Poll};

use futures::{SinkExt, StreamExt};
use http::{Request, Response};
use hyper::body::Incoming;
use hyper_util::rt::TokioIo;
use parking_lot::Mutex;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;
use tokio::task::JoinSet;
use tokio_tungstenite::WebSocketStream;
use tokio_tungstenite::tungstenite::handshake::derive_accept_key;
use tokio_tungstenite::tungstenite::protocol::{Message, Role};

use super::{front, octets, upstream};
use crate::server::meter::{Direction, Meter, Unmetered};
use crate::server::testing::Served;

/// An application that switches every request to the protocol asked and runs `talk` on it.
async fn switching<T, F>(talk: T) -> Served
where
    T: Fn(TokioIo<hyper::upgrade::Upgraded>) -> F + Copy + Send + Sync + 'static,
    F: Future<Output = ()> + Send + 'static,
{
    let tasks = Arc::new(Mutex::new(JoinSet::new()));
    Served::by(move |mut request: Request<Incoming>| {
        let tasks = Arc::clone(&tasks);
        async move {
            assert_eq!(request.headers()["upgrade"], "websocket");
            assert_eq!(request.headers()["madang-account"], "a1");
            let accept = request
                .headers()
                .get("sec-websocket-key")
                .map(|key| derive_accept_key(key.as_bytes()))
                .unwrap_or_default();
            let upgrade = hyper::upgrade::on(&mut request);
            tasks
                .lock()
                .spawn(async move { talk(TokioIo::new(upgrade.await.unwrap())).await });
            let answer = Response::builder()
                .status(101)
                .header("connection", "Upgrade")
                .header("upgrade", "websocket");
            answer
                .header("sec-websocket-accept", accept)
                .body(octets(""))
                .unwrap()
        }
    })
    .await
}

#[derive(Default)]
struct Counts {
    up: AtomicU64,
    down: AtomicU64,
}

impl Meter for Counts {
    fn poll_allowance(&self, _: Direction, _: u64, _: &mut Context<'_>) -> Poll<io::Result<u64>> {
        Poll::Ready(Ok(1000))
    }

    fn passed(&self, direction: Direction, octets: u64) {
        match direction {
            Direction::Up => self.up.fetch_add(octets, Ordering::SeqCst),
            Direction::Down => self.down.fetch_add(octets, Ordering::SeqCst),
        };
    }
}

#[tokio::test]
async fn messages_pass_both_ways_and_are_counted() {
    let app = switching(|stream| async move {
        let mut socket = WebSocketStream::from_raw_socket(stream, Role::Server, None).await;
        while let Some(Ok(message)) = socket.next().await {
            if message.is_text() || message.is_binary() {
                socket.send(message).await.unwrap();
            }
        }
    })
    .await;
    let counts = Arc::new(Counts::default());
    let front = front(upstream(app.address), Arc::clone(&counts)).await;
    let (mut socket, _) = tokio_tungstenite::connect_async(format!("ws://{}/chat", front.address))
        .await
        .unwrap();
    for message in [
        Message::text("안녕하세요"),
        Message::binary(vec![7; 100_000]),
    ] {
        socket.send(message.clone()).await.unwrap();
        assert_eq!(socket.next().await.unwrap().unwrap(), message);
    }
    socket.close(None).await.unwrap();
    while let Some(Ok(_)) = socket.next().await {}
    // Frames: 15 and 100,000 octets of payload, 2 and 10 of head, 4 of mask upwards, and the two closing frames.
    assert_eq!(
        (
            counts.up.load(Ordering::SeqCst),
            counts.down.load(Ordering::SeqCst)
        ),
        (15 + 2 + 4 + 100_000 + 10 + 4 + 6, 15 + 2 + 100_000 + 10 + 2)
    );
}

#[tokio::test]
async fn the_end_of_one_direction_leaves_the_other_open() {
    let app = switching(|mut stream| async move {
        let mut seen = Vec::new();
        stream.read_to_end(&mut seen).await.unwrap();
        stream
            .write_all(format!("read {} to the end", seen.len()).as_bytes())
            .await
            .unwrap();
        stream.shutdown().await.unwrap();
    })
    .await;
    let front = front(upstream(app.address), Arc::new(Unmetered)).await;
    let mut visitor = TcpStream::connect(front.address).await.unwrap();
    visitor.write_all(b"GET / HTTP/1.1\r\nHost: x\r\nConnection: keep-alive, Upgrade\r\nUpgrade: WebSocket\r\n\r\n").await.unwrap();
    let mut head = Vec::new();
    while !head.ends_with(b"\r\n\r\n") {
        head.push(visitor.read_u8().await.unwrap());
    }
    assert!(
        head.starts_with(b"HTTP/1.1 101 "),
        "{}",
        String::from_utf8_lossy(&head)
    );
    visitor.write_all(&[1; 70_000]).await.unwrap();
    visitor.shutdown().await.unwrap();
    let mut answer = String::new();
    visitor.read_to_string(&mut answer).await.unwrap();
    assert_eq!(answer, "read 70000 to the end");
}

#[tokio::test]
async fn another_upgrade_is_an_ordinary_request() {
    let app = Served::by(|request| async move {
        Response::new(octets(format!("{:?}", request.headers().get("upgrade"))))
    })
    .await;
    let front = front(upstream(app.address), Arc::new(Unmetered)).await;
    let answer = front
        .exchange("GET / HTTP/1.1\r\nHost: x\r\nConnection: Upgrade, close\r\nUpgrade: h2c\r\n\r\n")
        .await;
    assert!(
        answer.starts_with("HTTP/1.1 200 OK") && answer.ends_with("None"),
        "{answer}"
    );
}
