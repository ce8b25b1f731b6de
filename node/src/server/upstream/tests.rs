//! The proxy between real HTTP servers and clients on loopback.
#![expect(clippy::unwrap_used, reason = "a failed step fails its test")]

mod failing;
mod streaming;
mod websocket;

use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use futures::channel::mpsc;
use http::Request;
use http_body::Frame;
use http_body_util::{BodyExt, Full, StreamBody};
use parking_lot::Mutex;
use tokio::task::JoinSet;

use super::{Forwarded, Reply, Upstream};
use crate::server::meter::Meter;
use crate::server::testing::Served;
use crate::web::Body;

/// A proxy for the application at this address, impatient enough for tests of its patience.
fn upstream(address: SocketAddr) -> Upstream {
    Upstream::new(format!("http://{address}").parse().unwrap())
}

fn impatient(address: SocketAddr) -> Upstream {
    Upstream {
        head_wait: Duration::from_millis(50),
        ..upstream(address)
    }
}

fn visitor() -> Forwarded {
    Forwarded {
        account: Some("a1".to_owned()),
        host: "alice.localhost".to_owned(),
        proto: "http".to_owned(),
        ..Forwarded::default()
    }
}

fn octets(text: impl Into<Bytes>) -> Body {
    Full::new(text.into())
        .map_err(|never| match never {})
        .boxed_unsync()
}

/// Frames that a test feeds ahead of its reader.
const FED_MAX: usize = 16;

/// A body that the test feeds frame by frame.
fn fed() -> (mpsc::Sender<Bytes>, Body) {
    use futures::StreamExt as _;
    let (sender, receiver) = mpsc::channel(FED_MAX);
    (
        sender,
        StreamBody::new(receiver.map(|octets| Ok(Frame::data(octets)))).boxed_unsync(),
    )
}

async fn get(upstream: &Upstream, path: &str) -> Reply {
    upstream
        .forward(Request::get(path).body(octets("")).unwrap(), &visitor())
        .await
}

async fn text(body: Body) -> String {
    String::from_utf8(body.collect().await.unwrap().to_bytes().to_vec()).unwrap()
}

/// A visitor's end: a server that passes everything on, and runs the tunnels.
async fn front<M: Meter>(upstream: Upstream, meter: Arc<M>) -> Served {
    let tunnels = Arc::new(Mutex::new(JoinSet::new()));
    Served::by(move |request| {
        let (upstream, tunnels, meter) =
            (upstream.clone(), Arc::clone(&tunnels), Arc::clone(&meter));
        async move {
            let reply = upstream.forward(request, &visitor()).await;
            if let Some(tunnel) = reply.tunnel {
                tunnels.lock().spawn(tunnel.run(meter));
            }
            reply.response
        }
    })
    .await
}
