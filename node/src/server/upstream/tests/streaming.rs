//! Bodies that stream, and heads that are rebuilt.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use bytes::Bytes;
use http::{Request, Response, StatusCode};
use http_body::Frame;
use http_body_util::{BodyExt, StreamBody};
use parking_lot::Mutex;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream, UnixListener};
use tokio::task::JoinSet;

use super::{fed, front, get, octets, text, upstream, visitor};
use crate::server::meter::Unmetered;
use crate::server::testing::{Served, connection};
use crate::server::upstream::{Target, Upstream};

#[tokio::test]
async fn content_streams_both_ways_at_once() {
    let app = Served::by(|request| async move {
        Response::new(
            request
                .into_body()
                .map_err(std::io::Error::other)
                .boxed_unsync(),
        )
    })
    .await;
    let (mut sender, body) = fed();
    let reply = upstream(app.address)
        .forward(Request::post("/echo").body(body).unwrap(), &visitor())
        .await;
    let mut echo = reply.response.into_body();
    for round in ["one", "two", "three"] {
        sender.try_send(Bytes::from(round)).unwrap();
        assert_eq!(
            echo.frame().await.unwrap().unwrap().into_data().unwrap(),
            round
        );
    }
    drop(sender);
    assert!(echo.frame().await.is_none());
}

#[tokio::test]
async fn events_arrive_one_by_one() {
    let (mut sender, events) = fed();
    let events = Mutex::new(Some(events));
    let app = Served::by(move |_| {
        let events = events.lock().take().unwrap();
        async move {
            Response::builder()
                .header("content-type", "text/event-stream")
                .body(events)
                .unwrap()
        }
    })
    .await;
    let mut stream = get(&upstream(app.address), "/events")
        .await
        .response
        .into_body();
    for round in 0..3 {
        let event = format!("data: {round}\n\n");
        sender.try_send(Bytes::from(event.clone())).unwrap();
        assert_eq!(
            stream.frame().await.unwrap().unwrap().into_data().unwrap(),
            event
        );
    }
}

#[tokio::test]
async fn a_large_upload_moves_no_faster_than_the_application_reads() {
    const UPLOAD: u64 = 50 * 1024 * 1024;
    // What the kernel's socket buffers hold on both sides, and hyper's.
    const AHEAD_MAX: u64 = 16 * 1024 * 1024;
    const FRAME: u64 = 64 * 1024;
    let (made, read, ahead) = (
        AtomicU64::new(0),
        Arc::new(AtomicU64::new(0)),
        Arc::new(AtomicU64::new(0)),
    );
    let reading = Arc::clone(&read);
    let app = Served::by(move |request| {
        let read = Arc::clone(&reading);
        async move {
            let mut body = request.into_body();
            while let Some(frame) = body.frame().await {
                read.fetch_add(
                    frame.unwrap().into_data().unwrap().len() as u64,
                    Ordering::SeqCst,
                );
                tokio::task::yield_now().await;
            }
            Response::new(octets(read.load(Ordering::SeqCst).to_string()))
        }
    })
    .await;
    let (reading, most) = (Arc::clone(&read), Arc::clone(&ahead));
    let frames = futures::stream::iter((0..UPLOAD / FRAME).map(move |_| {
        let made = made.fetch_add(FRAME, Ordering::SeqCst) + FRAME;
        most.fetch_max(
            made.saturating_sub(reading.load(Ordering::SeqCst)),
            Ordering::SeqCst,
        );
        Ok::<_, std::io::Error>(Frame::data(Bytes::from_static(&[0; 64 * 1024])))
    }));
    let request = Request::post("/")
        .body(StreamBody::new(frames).boxed_unsync())
        .unwrap();
    let reply = upstream(app.address).forward(request, &visitor()).await;
    assert_eq!(text(reply.response.into_body()).await, UPLOAD.to_string());
    assert!(
        ahead.load(Ordering::SeqCst) < AHEAD_MAX,
        "{} octets ahead",
        ahead.load(Ordering::SeqCst)
    );
}

#[tokio::test]
async fn an_answer_may_come_before_the_upload_has_ended() {
    let app = Served::by(|_| async {
        Response::builder()
            .status(413)
            .body(octets("too large"))
            .unwrap()
    })
    .await;
    let (mut sender, body) = fed();
    sender
        .try_send(Bytes::from_static(b"the beginning"))
        .unwrap();
    let reply = upstream(app.address)
        .forward(Request::post("/").body(body).unwrap(), &visitor())
        .await;
    assert_eq!(reply.response.status(), StatusCode::PAYLOAD_TOO_LARGE);
    assert_eq!(text(reply.response.into_body()).await, "too large");
    drop(sender);
}

#[tokio::test]
async fn a_unix_socket_is_as_good_as_a_port() {
    let directory = tempfile::tempdir().unwrap();
    let path = directory.path().join("app.sock");
    let listener = UnixListener::bind(&path).unwrap();
    let mut tasks = JoinSet::new();
    tasks.spawn(async move {
        let (stream, _) = listener.accept().await.unwrap();
        let handler = |request: Request<hyper::body::Incoming>| {
            let seen = format!(
                "{} {}",
                request.uri(),
                request.headers()["host"].to_str().unwrap()
            );
            async move { Response::new(octets(seen)) }
        };
        connection(stream, Arc::new(handler)).await;
    });
    let upstream = Upstream::new(
        format!("unix:{}", path.display())
            .parse::<Target>()
            .unwrap(),
    );
    assert_eq!(
        text(get(&upstream, "/a?b=c").await.response.into_body()).await,
        "/a?b=c localhost"
    );
}

/// Accepts one connection, answers its first request with `answer`, and returns what it read up to `until`.
async fn raw_app(listener: TcpListener, until: &str, answer: &str) -> String {
    let (mut stream, _) = listener.accept().await.unwrap();
    let mut seen = Vec::new();
    while !seen.ends_with(until.as_bytes()) {
        assert_ne!(
            stream.read_buf(&mut seen).await.unwrap(),
            0,
            "{}",
            String::from_utf8_lossy(&seen)
        );
    }
    stream.write_all(answer.as_bytes()).await.unwrap();
    String::from_utf8(seen).unwrap()
}

const NO_CONTENT: &str = "HTTP/1.1 204 No Content\r\nConnection: close\r\n\r\n";

#[tokio::test]
async fn two_framings_never_reach_the_application() {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let front = front(
        upstream(listener.local_addr().unwrap()),
        Arc::new(Unmetered),
    )
    .await;
    let shape = "POST / HTTP/1.1\r\nHost: x\r\nContent-Length: 4\r\nTransfer-Encoding: chunked\r\nConnection: close\r\n\r\n\
                 3\r\nabc\r\n0\r\n\r\nGET /smuggled HTTP/1.1\r\nHost: x\r\n\r\n";
    let (seen, _) = tokio::join!(
        raw_app(listener, "0\r\n\r\n", NO_CONTENT),
        front.exchange(shape)
    );
    let (head, body) = seen.split_once("\r\n\r\n").unwrap();
    assert_eq!(body, "3\r\nabc\r\n0\r\n\r\n");
    assert!(
        head.contains("transfer-encoding: chunked") && !head.contains("content-length"),
        "{head}"
    );
}

#[tokio::test]
async fn malformed_framing_is_refused_at_the_door() {
    let app =
        Served::by(|request| async move { panic!("reached the application: {request:?}") }).await;
    let front = front(upstream(app.address), Arc::new(Unmetered)).await;
    for shape in [
        "Content-Length: 4\r\nContent-Length: 5\r\n",
        "Content-Length: +4\r\n",
        "Transfer-Encoding: chunked, identity\r\n",
        "Transfer-Encoding : chunked\r\n",
        "X: a\r\n folded: b\r\n",
    ] {
        let answer = front
            .exchange(&format!("POST / HTTP/1.1\r\nHost: x\r\n{shape}\r\nabcd"))
            .await;
        assert!(answer.starts_with("HTTP/1.1 400"), "{shape:?}: {answer}");
    }
}

#[tokio::test]
async fn an_expectation_is_answered_here_once_the_application_is_reached() {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let front = front(
        upstream(listener.local_addr().unwrap()),
        Arc::new(Unmetered),
    )
    .await;
    let mut visitor = TcpStream::connect(front.address).await.unwrap();
    let exchange = async {
        visitor
            .write_all(
                b"POST / HTTP/1.1\r\nHost: x\r\nContent-Length: 4\r\nExpect: 100-continue\r\n\r\n",
            )
            .await
            .unwrap();
        let mut interim = [0; 25];
        visitor.read_exact(&mut interim).await.unwrap();
        assert_eq!(&interim, b"HTTP/1.1 100 Continue\r\n\r\n");
        visitor.write_all(b"body").await.unwrap();
        let mut answer = [0; 12];
        visitor.read_exact(&mut answer).await.unwrap();
        assert_eq!(&answer, b"HTTP/1.1 204");
    };
    let (seen, ()) = tokio::join!(raw_app(listener, "body", NO_CONTENT), exchange);
    assert!(
        seen.contains("content-length: 4\r\n") && !seen.contains("expect"),
        "{seen}"
    );
}

#[tokio::test]
async fn the_length_of_an_answer_to_head_is_kept() {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let front = front(
        upstream(listener.local_addr().unwrap()),
        Arc::new(Unmetered),
    )
    .await;
    let answer =
        "HTTP/1.1 200 OK\r\nContent-Length: 12345\r\nX_Y: kept\r\nKeep-Alive: timeout=5\r\n\r\n";
    let (_, head) = tokio::join!(
        raw_app(listener, "\r\n\r\n", answer),
        front.exchange("HEAD / HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n")
    );
    assert!(
        head.contains("content-length: 12345\r\n")
            && head.contains("x_y: kept")
            && !head.contains("keep-alive"),
        "{head}"
    );
}
