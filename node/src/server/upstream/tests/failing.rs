//! Applications that are away, late, or break off.

use std::net::SocketAddr;

use bytes::Bytes;
use http::{Request, StatusCode};
use http_body_util::BodyExt;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};
use tokio::task::JoinSet;

use super::{fed, get, impatient, octets, text, upstream, visitor};
use crate::server::testing::Served;
use crate::server::upstream::Upstream;

async fn read_head(stream: &mut TcpStream) {
    let mut seen = Vec::new();
    while !seen.windows(4).any(|window| window == b"\r\n\r\n") {
        assert_ne!(stream.read_buf(&mut seen).await.unwrap(), 0);
    }
}

/// An application whose every connection reads a head, writes `answer` and closes.
async fn abrupt(answer: &'static str) -> (SocketAddr, JoinSet<()>) {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap();
    let mut tasks = JoinSet::new();
    tasks.spawn(async move {
        loop {
            let (mut stream, _) = listener.accept().await.unwrap();
            read_head(&mut stream).await;
            stream.write_all(answer.as_bytes()).await.unwrap();
        }
    });
    (address, tasks)
}

#[tokio::test]
async fn an_application_that_is_away_is_a_502() {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap();
    drop(listener);
    let reply = get(&upstream(address), "/").await;
    assert_eq!(
        (
            reply.response.status(),
            &reply.response.headers()["content-type"]
        ),
        (
            StatusCode::BAD_GATEWAY,
            &"application/problem+json".parse().unwrap()
        )
    );
    let document: serde_json::Value =
        serde_json::from_str(&text(reply.response.into_body()).await).unwrap();
    assert_eq!(
        (document["status"].as_u64(), document["type"].as_str()),
        (
            Some(502),
            Some("urn:madang:problem:application-not-running")
        )
    );
    let socket = Upstream::new("unix:/nonexistent/app.sock".parse().unwrap());
    assert_eq!(
        get(&socket, "/").await.response.status(),
        StatusCode::BAD_GATEWAY
    );
}

#[tokio::test]
async fn an_application_that_breaks_off_before_its_answer_is_a_502() {
    for answer in [
        "",
        "HTTP/1.1 200",
        "SSH-2.0-OpenSSH\r\n\r\n",
        "HTTP/1.1 200 OK\r\nContent-Length: x\r\n\r\n",
    ] {
        let (address, _tasks) = abrupt(answer).await;
        assert_eq!(
            get(&upstream(address), "/").await.response.status(),
            StatusCode::BAD_GATEWAY,
            "{answer:?}"
        );
        let post = Request::post("/").body(octets("x")).unwrap();
        assert_eq!(
            upstream(address)
                .forward(post, &visitor())
                .await
                .response
                .status(),
            StatusCode::BAD_GATEWAY
        );
    }
}

#[tokio::test]
async fn an_application_that_dies_in_its_answer_ends_the_body_with_an_error() {
    for answer in [
        "HTTP/1.1 200 OK\r\nContent-Length: 100\r\n\r\nonly this",
        "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n9\r\nonly this\r\n",
    ] {
        let (address, _tasks) = abrupt(answer).await;
        let reply = get(&upstream(address), "/").await;
        assert_eq!(reply.response.status(), StatusCode::OK);
        let mut body = reply.response.into_body();
        assert_eq!(
            body.frame().await.unwrap().unwrap().into_data().unwrap(),
            "only this"
        );
        assert!(body.frame().await.unwrap().is_err(), "{answer:?}");
    }
}

#[tokio::test]
async fn an_application_that_switches_unasked_is_a_502() {
    let (address, _tasks) = abrupt(
        "HTTP/1.1 101 Switching Protocols\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n\r\n",
    )
    .await;
    let reply = get(&upstream(address), "/").await;
    assert!(reply.response.status() == StatusCode::BAD_GATEWAY && reply.tunnel.is_none());
}

#[tokio::test]
async fn an_application_that_does_not_answer_is_a_504_and_a_silent_visitor_a_408() {
    let app = Served::by(|request| async move {
        let _ = request.into_body().collect().await;
        std::future::pending().await
    })
    .await;
    let upstream = impatient(app.address);
    assert_eq!(
        get(&upstream, "/").await.response.status(),
        StatusCode::GATEWAY_TIMEOUT
    );
    let post = Request::post("/").body(octets("all of it")).unwrap();
    assert_eq!(
        upstream.forward(post, &visitor()).await.response.status(),
        StatusCode::GATEWAY_TIMEOUT
    );
    let (mut sender, body) = fed();
    sender
        .try_send(Bytes::from_static(b"a part of it"))
        .unwrap();
    let reply = upstream
        .forward(Request::post("/").body(body).unwrap(), &visitor())
        .await;
    assert_eq!(reply.response.status(), StatusCode::REQUEST_TIMEOUT);
}

#[tokio::test]
async fn a_slow_upload_may_take_longer_than_the_wait_for_a_head() {
    let app = Served::by(|request| async move {
        let body = request.into_body().collect().await.unwrap().to_bytes();
        http::Response::new(octets(body))
    })
    .await;
    // Ten beats long, while the whole upload takes fifteen.
    let patient = Upstream {
        head_wait: std::time::Duration::from_millis(500),
        ..upstream(app.address)
    };
    let (mut sender, body) = fed();
    let mut tasks = JoinSet::new();
    tasks.spawn(async move {
        let mut beat = tokio::time::interval(std::time::Duration::from_millis(50));
        for _ in 0..15 {
            beat.tick().await;
            sender.try_send(Bytes::from_static(b".")).unwrap();
        }
    });
    let reply = patient
        .forward(Request::post("/").body(body).unwrap(), &visitor())
        .await;
    assert_eq!(text(reply.response.into_body()).await, ".".repeat(15));
}

#[tokio::test]
async fn a_pooled_connection_that_the_application_closes_is_replaced_for_a_safe_request() {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let upstream = upstream(listener.local_addr().unwrap());
    let mut tasks = JoinSet::new();
    tasks.spawn(async move {
        for answer in ["one", "two"] {
            let (mut stream, _) = listener.accept().await.unwrap();
            read_head(&mut stream).await;
            stream
                .write_all(
                    format!("HTTP/1.1 200 OK\r\nContent-Length: 3\r\n\r\n{answer}").as_bytes(),
                )
                .await
                .unwrap();
            if answer == "one" {
                // The second request arrives on this connection, which closes without an answer.
                read_head(&mut stream).await;
            }
        }
    });
    assert_eq!(
        text(get(&upstream, "/").await.response.into_body()).await,
        "one"
    );
    assert_eq!(
        text(get(&upstream, "/").await.response.into_body()).await,
        "two"
    );
}

#[tokio::test]
async fn connections_end_with_the_last_clone_and_body() {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let first = upstream(listener.local_addr().unwrap());
    let second = first.clone();
    let accepted = async {
        let (mut stream, _) = listener.accept().await.unwrap();
        read_head(&mut stream).await;
        stream
            .write_all(b"HTTP/1.1 200 OK\r\nContent-Length: 3\r\n\r\none")
            .await
            .unwrap();
        stream
    };
    let (mut stream, reply) = tokio::join!(accepted, get(&first, "/"));
    assert_eq!(text(reply.response.into_body()).await, "one");
    drop(first);
    drop(second);
    assert_eq!(stream.read(&mut [0; 1]).await.unwrap(), 0);
}
