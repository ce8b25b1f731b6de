//! [`Application`]: a local application behind a site, which remembers what it was asked.

use std::{convert::Infallible, io, path::PathBuf, sync::Arc, time::Duration};

use anyhow::{Context as _, Result};
use bytes::Bytes;
use futures::{Stream, StreamExt as _, TryStreamExt as _, stream};
use http::{HeaderValue, Method, Request, Response, StatusCode, header};
use http_body_util::{BodyExt as _, Full, StreamBody, combinators::UnsyncBoxBody};
use hyper::{
    body::{Frame, Incoming},
    server::conn::http1,
    service::service_fn,
    upgrade::OnUpgrade,
};
use hyper_util::rt::TokioIo;
use madang::config::RawSite;
use std::sync::Mutex;
use tokio::{
    io::{AsyncRead, AsyncWrite, AsyncWriteExt as _},
    net::{TcpListener, UnixListener},
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
    /// `Madang-Account`, where it came.
    pub account: Option<String>,
    /// `Madang-Handle`, where it came.
    pub handle: Option<String>,
    /// Octets of the request's body that have come so far.
    pub octets: u64,
}

/// An application. It answers `GET /events…` with a stream that does not end, `/missing…` with 404, and all else with 200 and the number of octets that came.
/// Whoever wants a WebSocket gets one: at `/flood…` it sends without an end, anywhere else it says nothing until the other end closes.
pub struct Application {
    place: Place,
    asked: Arc<Mutex<Vec<Asked>>>,
    _serving: AbortOnDropHandle<()>,
}

/// Where an application listens.
enum Place {
    Port(u16),
    Socket(PathBuf),
}

impl Application {
    /// Listens on loopback.
    ///
    /// # Errors
    /// It cannot.
    pub async fn start() -> Result<Self> {
        let listener = TcpListener::bind("127.0.0.1:0").await.context("listen")?;
        let place = Place::Port(listener.local_addr()?.port());
        let visitors = stream::poll_fn(move |context| listener.poll_accept(context).map(Some));
        Ok(Self::serve(place, visitors.map_ok(|(visitor, _)| visitor)))
    }

    /// Listens on a Unix socket at `path`.
    ///
    /// # Errors
    /// It cannot.
    pub fn start_at(path: PathBuf) -> Result<Self> {
        let listener = UnixListener::bind(&path).context("listen")?;
        let visitors = stream::poll_fn(move |context| listener.poll_accept(context).map(Some));
        let visitors = visitors.map_ok(|(visitor, _)| visitor);
        Ok(Self::serve(Place::Socket(path), visitors))
    }

    fn serve<S>(
        place: Place,
        mut visitors: impl Stream<Item = io::Result<S>> + Unpin + Send + 'static,
    ) -> Self
    where
        S: AsyncRead + AsyncWrite + Unpin + Send + 'static,
    {
        let asked = Arc::new(Mutex::default());
        let to_serve = Arc::clone(&asked);
        let serving = tokio::spawn(async move {
            let mut connections = JoinSet::new();
            while let Some(Ok(stream)) = visitors.next().await {
                connections.spawn(converse(stream, Arc::clone(&to_serve)));
            }
        });
        Self {
            place,
            asked,
            _serving: AbortOnDropHandle::new(serving),
        }
    }

    /// A site of it with these prices.
    pub fn site(&self, prices: &[&str]) -> RawSite {
        let (port, unix) = match &self.place {
            Place::Port(port) => (Some(*port), None),
            Place::Socket(path) => (None, Some(path.clone())),
        };
        RawSite {
            port,
            unix,
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

async fn converse(
    stream: impl AsyncRead + AsyncWrite + Unpin + Send + 'static,
    asked: Arc<Mutex<Vec<Asked>>>,
) {
    let sockets = Arc::new(Mutex::new(JoinSet::new()));
    let held = Arc::clone(&sockets);
    let service = service_fn(move |mut request: Request<Incoming>| {
        if request.headers().contains_key(header::UPGRADE) {
            let is_flood = request.uri().path().starts_with("/flood");
            let upgrade = hyper::upgrade::on(&mut request);
            let mut sockets = held.lock().expect("an application that lives");
            sockets.spawn(talk(upgrade, is_flood));
        }
        answer(request, Arc::clone(&asked))
    });
    // A visitor that goes away ends its connection in the middle.
    http1::Builder::new()
        .serve_connection(TokioIo::new(stream), service)
        .with_upgrades()
        .await
        .ok();
    let mut sockets = std::mem::take(&mut *sockets.lock().expect("an application that lives"));
    while sockets.join_next().await.is_some() {}
}

/// One end of a WebSocket, as far as octets go.
async fn talk(upgrade: OnUpgrade, is_flood: bool) {
    let Ok(socket) = upgrade.await else { return };
    let mut socket = TokioIo::new(socket);
    if is_flood {
        while socket.write_all(&[7; 8_192]).await.is_ok() {}
    } else {
        tokio::io::copy(&mut socket, &mut tokio::io::sink())
            .await
            .ok();
    }
}

async fn answer(
    request: Request<Incoming>,
    asked: Arc<Mutex<Vec<Asked>>>,
) -> Result<Response<UnsyncBoxBody<Bytes, Infallible>>, hyper::Error> {
    let (head, mut body) = request.into_parts();
    let path = head.uri.path().to_owned();
    let told = |name: &str| {
        let value = head.headers.get(name)?;
        Some(value.to_str().unwrap_or("not text").to_owned())
    };
    let at = {
        let mut asked = asked.lock().expect("an application that lives");
        asked.push(Asked {
            method: head.method.clone(),
            path: path.clone(),
            forwarded_host: told("x-forwarded-host").unwrap_or_default(),
            account: told("madang-account"),
            handle: told("madang-handle"),
            octets: 0,
        });
        asked.len() - 1
    };
    if let Some(protocol) = head.headers.get(header::UPGRADE) {
        let mut response = Response::new(Full::default().boxed_unsync());
        *response.status_mut() = StatusCode::SWITCHING_PROTOCOLS;
        let headers = response.headers_mut();
        headers.insert(header::CONNECTION, HeaderValue::from_static("upgrade"));
        headers.insert(header::UPGRADE, protocol.clone());
        return Ok(response);
    }
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
