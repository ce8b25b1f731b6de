//! [`Application`]: a local application behind a site, which remembers what it was asked.

use std::{convert::Infallible, net::SocketAddr, sync::Arc, time::Duration};

use anyhow::{Context as _, Result};
use bytes::Bytes;
use futures::stream;
use http::{Method, Request, Response, StatusCode};
use http_body_util::{BodyExt as _, Full, StreamBody, combinators::UnsyncBoxBody};
use hyper::{
    body::{Frame, Incoming},
    server::conn::http1,
    service::service_fn,
};
use hyper_util::rt::TokioIo;
use madang::config::RawSite;
use std::sync::Mutex;
use tokio::{
    net::{TcpListener, TcpStream},
    task::JoinSet,
    time::interval,
};
use tokio_util::task::AbortOnDropHandle;

/// Between two events of a stream.
const EVENT_EVERY: Duration = Duration::from_millis(50);

/// What an application was asked.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Asked {
    /// How.
    pub method: Method,
    /// The path as it came.
    pub path: String,
    /// `X-Forwarded-Host`
    pub forwarded_host: String,
    /// Octets of the request's body that have come so far.
    pub octets: u64,
}

/// An application. It answers `GET /events…` with a stream that does not end, `/missing…` with 404, and all else with 200 and the number of octets that came.
pub struct Application {
    address: SocketAddr,
    asked: Arc<Mutex<Vec<Asked>>>,
    _serving: AbortOnDropHandle<()>,
}

impl Application {
    /// Listens on loopback.
    ///
    /// # Errors
    /// It cannot.
    pub async fn start() -> Result<Self> {
        let listener = TcpListener::bind("127.0.0.1:0").await.context("listen")?;
        let address = listener.local_addr()?;
        let asked = Arc::new(Mutex::default());
        let serving = tokio::spawn(serve(listener, Arc::clone(&asked)));
        Ok(Self {
            address,
            asked,
            _serving: AbortOnDropHandle::new(serving),
        })
    }

    /// A site of it with these prices.
    pub fn site(&self, prices: &[&str]) -> RawSite {
        RawSite {
            port: Some(self.address.port()),
            prices: Some(prices.iter().map(ToString::to_string).collect()),
            ..RawSite::default()
        }
    }

    /// What it was asked so far.
    ///
    /// # Panics
    /// When it has panicked.
    pub fn asked(&self) -> Vec<Asked> {
        self.asked
            .lock()
            .expect("an application that lives")
            .clone()
    }
}

async fn serve(listener: TcpListener, asked: Arc<Mutex<Vec<Asked>>>) {
    let mut connections = JoinSet::new();
    while let Ok((stream, _)) = listener.accept().await {
        connections.spawn(converse(stream, Arc::clone(&asked)));
    }
}

async fn converse(stream: TcpStream, asked: Arc<Mutex<Vec<Asked>>>) {
    let service = service_fn(move |request| answer(request, Arc::clone(&asked)));
    // A visitor that goes away ends its connection in the middle.
    http1::Builder::new()
        .serve_connection(TokioIo::new(stream), service)
        .await
        .ok();
}

async fn answer(
    request: Request<Incoming>,
    asked: Arc<Mutex<Vec<Asked>>>,
) -> Result<Response<UnsyncBoxBody<Bytes, Infallible>>, hyper::Error> {
    let (head, mut body) = request.into_parts();
    let path = head.uri.path().to_owned();
    let at = {
        let mut asked = asked.lock().expect("an application that lives");
        asked.push(Asked {
            method: head.method.clone(),
            path: path.clone(),
            forwarded_host: head
                .headers
                .get("x-forwarded-host")
                .map_or("", |host| host.to_str().unwrap_or("not text"))
                .to_owned(),
            octets: 0,
        });
        asked.len() - 1
    };
    let mut octets = 0;
    while let Some(frame) = body.frame().await {
        octets += frame?.data_ref().map_or(0, Bytes::len) as u64;
        asked.lock().expect("an application that lives")[at].octets = octets;
    }
    if head.method == Method::GET && path.starts_with("/events") {
        return Ok(Response::new(events()));
    }
    let mut response = Response::new(Full::new(Bytes::from(octets.to_string())).boxed_unsync());
    if path.starts_with("/missing") {
        *response.status_mut() = StatusCode::NOT_FOUND;
    }
    Ok(response)
}

fn events() -> UnsyncBoxBody<Bytes, Infallible> {
    let ticks = stream::unfold(interval(EVENT_EVERY), |mut ticks| async {
        ticks.tick().await;
        Some((Ok(Frame::data(Bytes::from_static(b"data: x\n\n"))), ticks))
    });
    StreamBody::new(ticks).boxed_unsync()
}
