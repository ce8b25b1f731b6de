//! The operator's socket of an anchor in this process.

use std::os::unix::fs::PermissionsExt as _;

use bytes::Bytes;
use http::{Method, Request, StatusCode, header};
use http_body_util::Full;
use madang_protocol::broker::SIGN_IN;
use tokio::net::UnixStream;

use crate::{
    harness::{Anchor, Device},
    http::{Response, exchange, request},
};

async fn on_socket(anchor: &Anchor, request: Request<Full<Bytes>>) -> Response {
    let path = anchor.home.path().join("operator.sock");
    exchange(UnixStream::connect(path).await.unwrap(), request).await
}

async fn command(anchor: &Anchor, json: &str) -> Response {
    let mut request = request(Method::POST, "/command", json.as_bytes().to_vec());
    let json = header::HeaderValue::from_static("application/json");
    request.headers_mut().insert(header::CONTENT_TYPE, json);
    on_socket(anchor, request).await
}

#[tokio::test]
async fn the_socket_is_its_owners_alone() {
    let anchor = Anchor::start().await;
    let path = anchor.home.path().join("operator.sock");
    let mode = std::fs::metadata(&path).unwrap().permissions().mode();
    assert_eq!(mode & 0o777, 0o600);
}

#[tokio::test]
async fn commands_are_json_and_refusals_are_problems() {
    let anchor = Anchor::start().await;
    let add = r#"{"command":"account-add","handle":"alice","class":"person","commission-bp":0,"credit-limit":"0","password":"correct horse"}"#;
    let added = command(&anchor, add).await;
    assert_eq!(
        (added.status, added.json()["handle"].as_str()),
        (StatusCode::OK, Some("alice")),
        "{added:?}"
    );
    assert_eq!(command(&anchor, add).await.slug(), "name-taken");
    let show = command(&anchor, r#"{"command":"account-show","handle":"bob"}"#).await;
    assert_eq!(
        (show.status.as_u16(), show.slug().as_str()),
        (404, "account-unknown")
    );
    assert_eq!(
        command(&anchor, r#"{"command":"reboot"}"#).await.status,
        400
    );
    let short = add
        .replace("alice", "carol")
        .replace("correct horse", "short");
    assert_eq!(command(&anchor, &short).await.status, 422);
    let status = command(&anchor, r#"{"command":"status"}"#).await.json();
    assert_eq!(
        (&status["devices-online"], &status["entry"]),
        (&0.into(), &1.into())
    );
}

#[tokio::test]
async fn metrics_count_calls_by_what_came_of_them() {
    let anchor = Anchor::start().await;
    anchor.add("alice").await;
    let alice = anchor.device("alice", 1).await;
    anchor.sign_in(&alice).await;
    let stranger = Device::new(&anchor, "alice", 2);
    anchor.post(SIGN_IN, &stranger.sign_in()).await;
    let metrics = on_socket(&anchor, request(Method::GET, "/metrics", vec![])).await;
    let text = std::str::from_utf8(&metrics.body).unwrap();
    for line in [
        "madang_anchor_calls_total{call=\"enrol\",outcome=\"ok\"} 1",
        "madang_anchor_calls_total{call=\"sign-in\",outcome=\"ok\"} 1",
        "madang_anchor_calls_total{call=\"sign-in\",outcome=\"device-unknown\"} 1",
        "madang_anchor_sign_ins_total{kind=\"enrolment\"} 1",
        "madang_anchor_sign_ins_total{kind=\"device\"} 1",
        "slug=\"device-unknown\"} 1",
        "madang_anchor_call_seconds_count{call=\"sign-in\"} 2",
    ] {
        assert!(text.contains(line), "{line}\n{text}");
    }
    assert!(text.ends_with("# EOF\n"));
}
