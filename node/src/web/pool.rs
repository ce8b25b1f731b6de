//! Persistent HTTP/1.1 connections to peers.
//!
//! A connection is a stream under `/http/1.1` that carries one request at a time. It is kept for the next one; a broken or
//! stale one is thrown away. Opening a stream costs no round trip, so connections are kept for seconds only.

use std::collections::HashMap;
use std::error::Error as _;
use std::io;
use std::sync::{Arc, Weak};
use std::time::{Duration, Instant};

use http::{HeaderValue, Method, Request, Response, Uri, header};
use http_body::Body as _;
use http_body_util::{BodyExt, Empty};
use hyper::body::Incoming;
use hyper::client::conn::http1::{self, SendRequest};
use hyper_util::rt::TokioIo;
use parking_lot::Mutex;
use thiserror::Error;
use tokio::io::{AsyncRead, AsyncWrite, DuplexStream};
use tokio::sync::mpsc;
use tokio::task::JoinSet;
use tokio_util::task::AbortOnDropHandle;

use super::Body;
use crate::mesh::{Handle, OpenError, PeerId, Protocol};

/// What is read from a stream at once.
const BUFFER_BYTES: usize = 256 * 1024;

/// Bounds of a [`Pool`].
#[derive(Debug, Clone, Copy)]
pub struct PoolLimits {
    /// Connections with one peer, busy ones included. The peer's own limit is higher ([`crate::mesh::Limits`]).
    pub per_peer: usize,
    /// Connections in total, busy ones included.
    pub total: usize,
    /// A connection that was not used for so long is closed. Servers of ours close it after 10 s.
    pub idle_timeout: Duration,
}

impl Default for PoolLimits {
    fn default() -> Self {
        Self {
            per_peer: 128,
            total: 1_024,
            idle_timeout: Duration::from_secs(8),
        }
    }
}

/// Why there is no response.
#[derive(Debug, Error)]
pub enum FetchError {
    /// No stream could be opened.
    #[error("cannot open a stream to the peer")]
    Open(#[source] OpenError),
    /// The peer does not serve HTTP.
    #[error("the peer does not serve HTTP")]
    Unsupported,
    /// As many requests as the pool allows are in progress.
    #[error("too many requests are in progress")]
    Busy,
    /// The stream broke, or the response was malformed. The request may have been acted on.
    #[error("the exchange with the peer broke off")]
    Broken(#[source] hyper::Error),
}

/// A pool of client connections. Clones share it.
#[derive(Clone)]
pub struct Pool(Arc<Shared>);

struct Shared {
    handle: Handle,
    /// Who serves this node's own sites, to itself.
    own: Option<mpsc::Sender<DuplexStream>>,
    limits: PoolLimits,
    state: Arc<Mutex<State>>,
    _sweeper: AbortOnDropHandle<()>,
}

/// Connections by peer, and the tasks that drive them.
#[derive(Default)]
struct State {
    peers: HashMap<PeerId, Peer>,
    total: usize,
    tasks: JoinSet<()>,
}

#[derive(Default)]
struct Peer {
    /// Those that carry no request, or are still sending a response's body.
    connections: Vec<Connection>,
    /// All of them.
    open: usize,
}

struct Connection {
    sender: SendRequest<Body>,
    used: Instant,
    _slot: Slot,
}

/// A connection's place in the bounds.
struct Slot {
    state: Weak<Mutex<State>>,
    peer: PeerId,
}

impl Drop for Slot {
    fn drop(&mut self) {
        let Some(state) = self.state.upgrade() else {
            return;
        };
        let mut state = state.lock();
        state.total -= 1;
        if let Some(peer) = state.peers.get_mut(&self.peer) {
            peer.open -= 1;
            if peer.open == 0 {
                state.peers.remove(&self.peer);
            }
        }
    }
}

impl Pool {
    /// A pool of connections over `handle`'s mesh. Must be called within a tokio runtime.
    pub fn new(handle: Handle, limits: PoolLimits) -> Self {
        Self::with_own(handle, None, limits)
    }

    /// The same; connections with this node itself, which no mesh opens, are handed to `own` in this process.
    pub fn with_own(
        handle: Handle,
        own: Option<mpsc::Sender<DuplexStream>>,
        limits: PoolLimits,
    ) -> Self {
        let state = Arc::new(Mutex::new(State::default()));
        let sweeper = tokio::spawn(sweep(Arc::clone(&state), limits.idle_timeout));
        Self(Arc::new(Shared {
            handle,
            own,
            limits,
            state,
            _sweeper: AbortOnDropHandle::new(sweeper),
        }))
    }

    /// Who this node is.
    pub fn own_peer(&self) -> PeerId {
        self.0.handle.peer_id()
    }

    /// Sends a request to a peer and waits for the response's head.
    ///
    /// The request's target becomes its path and query; its authority, if it has one, becomes the `Host` field where that
    /// is missing. A request that met a connection closed by the other end is sent once more, on a new connection, if
    /// nothing of it was written or if it is a GET or HEAD without body. For an upgrade, ask `hyper::upgrade::on` with the
    /// response.
    ///
    /// # Errors
    /// [`FetchError`]
    pub async fn send(
        &self,
        peer: PeerId,
        mut request: Request<Body>,
    ) -> Result<Response<Incoming>, FetchError> {
        to_origin_form(&mut request);
        if let Some(mut connection) = self.take_ready(&peer) {
            let again = replay(&request);
            match connection.sender.try_send_request(request).await {
                Ok(response) => {
                    self.put_back(peer, connection);
                    return Ok(response);
                }
                Err(mut refused) => {
                    let Some(again) = refused.take_message().or(again) else {
                        return Err(broken(refused.into_error()));
                    };
                    request = again;
                }
            }
        }
        let mut connection = self.connect(peer).await?;
        let response = connection
            .sender
            .send_request(request)
            .await
            .map_err(broken)?;
        self.put_back(peer, connection);
        Ok(response)
    }

    /// A connection on which nothing is in progress.
    fn take_ready(&self, peer: &PeerId) -> Option<Connection> {
        let mut state = self.0.state.lock();
        let connections = &mut state.peers.get_mut(peer)?.connections;
        let index = connections
            .iter()
            .rposition(|connection| connection.sender.is_ready())?;
        Some(connections.swap_remove(index))
    }

    fn put_back(&self, peer: PeerId, mut connection: Connection) {
        connection.used = Instant::now();
        if let Some(peer) = self.0.state.lock().peers.get_mut(&peer) {
            peer.connections.push(connection);
        }
    }

    fn reserve(&self, peer: PeerId) -> Result<Slot, FetchError> {
        let PoolLimits {
            per_peer, total, ..
        } = self.0.limits;
        let mut state = self.0.state.lock();
        let open = state.peers.get(&peer).map_or(0, |peer| peer.open);
        if open >= per_peer || state.total >= total {
            return Err(FetchError::Busy);
        }
        state.total += 1;
        state.peers.entry(peer).or_default().open += 1;
        Ok(Slot {
            state: Arc::downgrade(&self.0.state),
            peer,
        })
    }

    async fn connect(&self, peer: PeerId) -> Result<Connection, FetchError> {
        let slot = self.reserve(peer)?;
        if let Some(own) = &self.0.own
            && peer == self.0.handle.peer_id()
        {
            let (near, far) = tokio::io::duplex(BUFFER_BYTES);
            own.try_send(far).map_err(|_| FetchError::Busy)?;
            return self.begin(peer, near, slot).await;
        }
        let opened = self.0.handle.open(peer, Protocol::Http).await;
        let stream = opened.map_err(|error| match error {
            OpenError::Unsupported => FetchError::Unsupported,
            OpenError::Unreachable | OpenError::Busy | OpenError::Timeout | OpenError::Closed => {
                FetchError::Open(error)
            }
        })?;
        self.begin(peer, stream, slot).await
    }

    async fn begin<I>(&self, peer: PeerId, io: I, slot: Slot) -> Result<Connection, FetchError>
    where
        I: AsyncRead + AsyncWrite + Unpin + Send + 'static,
    {
        let (sender, driver) = http1::Builder::new()
            .max_buf_size(BUFFER_BYTES)
            .handshake(TokioIo::new(io))
            .await
            .map_err(broken)?;
        let drive = async move {
            if let Err(error) = driver.with_upgrades().await {
                tracing::debug!(%peer, error = &error as &dyn std::error::Error, "a connection broke");
            }
        };
        let tasks = &mut self.0.state.lock().tasks;
        while tasks.try_join_next().is_some() {}
        tasks.spawn(drive);
        Ok(Connection {
            sender,
            used: Instant::now(),
            _slot: slot,
        })
    }
}

/// Closes what is unused or broken, from time to time.
async fn sweep(state: Arc<Mutex<State>>, idle_timeout: Duration) {
    let mut tick = tokio::time::interval((idle_timeout / 4).max(Duration::from_millis(100)));
    loop {
        tick.tick().await;
        let mut dropped = Vec::new();
        for peer in state.lock().peers.values_mut() {
            let over = |connection: &mut Connection| {
                connection.sender.is_closed()
                    || (connection.sender.is_ready() && connection.used.elapsed() >= idle_timeout)
            };
            dropped.extend(peer.connections.extract_if(.., over));
        }
        // Each takes the lock to give its place back.
        drop(dropped);
    }
}

/// The same request, if it may be sent twice.
fn replay(request: &Request<Body>) -> Option<Request<Body>> {
    let safe =
        matches!(*request.method(), Method::GET | Method::HEAD) && request.body().is_end_stream();
    if !safe || request.headers().contains_key(header::UPGRADE) {
        return None;
    }
    let mut again = Request::new(Empty::new().map_err(|never| match never {}).boxed_unsync());
    *again.method_mut() = request.method().clone();
    *again.uri_mut() = request.uri().clone();
    *again.headers_mut() = request.headers().clone();
    Some(again)
}

fn to_origin_form(request: &mut Request<Body>) {
    let Some(authority) = request.uri().authority() else {
        return;
    };
    if !request.headers().contains_key(header::HOST)
        && let Ok(host) = HeaderValue::from_str(authority.as_str())
    {
        request.headers_mut().insert(header::HOST, host);
    }
    let target = request.uri().path_and_query().cloned();
    *request.uri_mut() = target.map_or_else(|| Uri::from_static("/"), Uri::from);
}

fn broken(error: hyper::Error) -> FetchError {
    let mut source = error.source();
    while let Some(cause) = source {
        if cause
            .downcast_ref::<io::Error>()
            .is_some_and(|cause| cause.kind() == io::ErrorKind::Unsupported)
        {
            return FetchError::Unsupported;
        }
        source = cause.source();
    }
    FetchError::Broken(error)
}
