//! [`Server`]: a listener whose connections speak HTTP/1.1 within limits, until it is told to stop.

use std::{
    convert::Infallible,
    future::Future,
    io,
    net::{IpAddr, SocketAddr},
    pin::pin,
    time::Duration,
};

use axum::{Router, body::Body};
use http::{HeaderMap, Request};
use hyper::{body::Incoming, server::conn::http1, service::service_fn};
use hyper_util::rt::{TokioIo, TokioTimer};
use tokio::{
    io::{AsyncRead, AsyncWrite},
    net::{TcpListener, TcpStream, UnixListener},
    task::JoinSet,
    time::{sleep, timeout},
};
use tokio_rustls::TlsAcceptor;
use tokio_util::sync::CancellationToken;
use tower::ServiceExt as _;
use tracing::Instrument as _;

use super::{
    admission::{Admission, Admitted, Full},
    idle::Idle,
    tls,
};
use crate::{config::Limits, metrics::Metrics};

/// The address from which a request came; in its extensions.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct ClientAddress(pub IpAddr);

/// Who may say from where a request came.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum AddressFrom {
    /// The connection.
    Connection,
    /// The last entry of `X-Forwarded-For`, which the reverse proxy appended.
    ReverseProxy,
}

/// Accepts connections and answers what comes on them.
pub struct Server {
    /// What answers.
    pub router: Router,
    /// How long and how many.
    pub limits: Limits,
    /// Who says from where a request came.
    pub address_from: AddressFrom,
    /// What accepts TLS; `None` for plain HTTP.
    pub tls: Option<TlsAcceptor>,
    /// Where it counts.
    pub metrics: Metrics,
}

impl Server {
    /// Serves `listener` until `stop`; then finishes what is under way, within the limits' `shutdown_timeout`.
    pub async fn serve(self, listener: TcpListener, stop: CancellationToken) {
        // Behind a reverse proxy all connections come from one address, which must not be limited like a subscriber's.
        let per_address_max = match self.address_from {
            AddressFrom::Connection => self.limits.connections_per_address_max,
            AddressFrom::ReverseProxy => self.limits.connections_max,
        };
        let admission = Admission::new(self.limits.connections_max, per_address_max);
        let mut connections = JoinSet::new();
        loop {
            let accepted = tokio::select! {
                biased;
                () = stop.cancelled() => break,
                Some(ended) = connections.join_next() => {
                    note_end(ended);
                    continue;
                }
                accepted = listener.accept() => accepted,
            };
            match accepted {
                Ok((stream, peer)) => {
                    self.handle_connection(&mut connections, &admission, stream, peer, &stop)
                }
                Err(error) => pause_after(error).await,
            }
        }
        drop(listener);
        finish(connections, self.limits.shutdown_timeout).await;
    }

    /// Serves a Unix socket until `stop`. Its clients are the operator's: no addresses, no TLS.
    pub async fn serve_unix(self, listener: UnixListener, stop: CancellationToken) {
        let mut connections = JoinSet::new();
        loop {
            let accepted = tokio::select! {
                biased;
                () = stop.cancelled() => break,
                Some(ended) = connections.join_next() => {
                    note_end(ended);
                    continue;
                }
                accepted = listener.accept(), if connections.len() < UNIX_CONNECTIONS_MAX => accepted,
            };
            match accepted {
                Ok((stream, _)) => {
                    connections.spawn(self.plain().serve(stream, None, stop.clone()));
                }
                Err(error) => pause_after(error).await,
            }
        }
        drop(listener);
        finish(connections, self.limits.shutdown_timeout).await;
    }

    fn handle_connection(
        &self,
        connections: &mut JoinSet<()>,
        admission: &Admission,
        stream: TcpStream,
        peer: SocketAddr,
        stop: &CancellationToken,
    ) {
        let address = peer.ip().to_canonical();
        let admitted = match admission.admit(address) {
            Ok(admitted) => admitted,
            Err(full) => {
                self.metrics.connection_refused(match full {
                    Full::Total => "total",
                    Full::Address => "address",
                });
                return;
            }
        };
        // Answers are written in one piece; waiting for more to send only delays them.
        if let Err(error) = stream.set_nodelay(true) {
            tracing::debug!(%error, "cannot set TCP_NODELAY");
        }
        let span = tracing::debug_span!("connection", %peer);
        let serving = self.tcp_connection(stream, address, admitted, stop.clone());
        connections.spawn(serving.instrument(span));
    }

    fn tcp_connection(
        &self,
        stream: TcpStream,
        address: IpAddr,
        admitted: Admitted,
        stop: CancellationToken,
    ) -> impl Future<Output = ()> + use<> {
        let plain = self.plain();
        let tls = self.tls.clone();
        let open = self.metrics.connection_opened();
        async move {
            match tls {
                None => plain.serve(stream, Some(address), stop).await,
                Some(tls) => {
                    let handshake = timeout(plain.limits.header_timeout, tls.accept(stream)).await;
                    match handshake.unwrap_or_else(|_| Err(tls::handshake_timed_out())) {
                        Ok(stream) => plain.serve(stream, Some(address), stop).await,
                        Err(error) => tracing::debug!(%error, "no TLS handshake"),
                    }
                }
            }
            drop((open, admitted));
        }
    }

    fn plain(&self) -> Plain {
        Plain {
            router: self.router.clone(),
            limits: self.limits.clone(),
            address_from: self.address_from,
        }
    }
}

/// What one connection needs once its octets are plain.
struct Plain {
    router: Router,
    limits: Limits,
    address_from: AddressFrom,
}

impl Plain {
    async fn serve(
        self,
        stream: impl AsyncRead + AsyncWrite + Unpin + Send + 'static,
        address: Option<IpAddr>,
        stop: CancellationToken,
    ) {
        let stream = Idle::new(stream, self.limits.idle_timeout);
        let (router, address_from) = (self.router, self.address_from);
        let service = service_fn(move |mut request: Request<Incoming>| {
            let router = router.clone();
            if let Some(address) = address {
                let address = client_address(address, address_from, request.headers());
                request.extensions_mut().insert(ClientAddress(address));
            }
            async move {
                let answered = router.oneshot(request.map(Body::new)).await;
                Ok::<_, Infallible>(answered.unwrap_or_else(|never| match never {}))
            }
        });
        let connection = http1::Builder::new()
            .timer(TokioTimer::new())
            .header_read_timeout(self.limits.header_timeout)
            .max_headers(HEADERS_MAX)
            .max_header_size(HEADER_BYTES_MAX)
            .max_buf_size(BUFFER_BYTES_MAX)
            .serve_connection(TokioIo::new(stream), service);
        let mut connection = pin!(connection);
        let ended = tokio::select! {
            ended = connection.as_mut() => ended,
            () = stop.cancelled() => {
                connection.as_mut().graceful_shutdown();
                connection.await
            }
        };
        if let Err(error) = ended {
            tracing::debug!(%error, "connection failed");
        }
    }
}

/// From where a request came. A header that cannot be read is taken as the proxy's own request.
fn client_address(connection: IpAddr, from: AddressFrom, headers: &HeaderMap) -> IpAddr {
    match from {
        AddressFrom::Connection => connection,
        AddressFrom::ReverseProxy => headers
            .get_all("x-forwarded-for")
            .iter()
            .next_back()
            .and_then(|value| value.to_str().ok())
            .and_then(|list| list.rsplit(',').next())
            .and_then(|last| last.trim().parse().ok())
            .unwrap_or(connection),
    }
}

/// Out of descriptors or memory: the next try may succeed, and trying at once would only burn the processor.
async fn pause_after(error: io::Error) {
    tracing::warn!(%error, "cannot accept a connection");
    sleep(ACCEPT_PAUSE).await;
}

async fn finish(mut connections: JoinSet<()>, deadline: Duration) {
    let all_ended = async {
        while let Some(ended) = connections.join_next().await {
            note_end(ended);
        }
    };
    if timeout(deadline, all_ended).await.is_err() {
        tracing::warn!(
            abandoned = connections.len(),
            "connections did not end in time"
        );
    }
}

fn note_end(ended: Result<(), tokio::task::JoinError>) {
    if let Err(error) = ended
        && error.is_panic()
    {
        tracing::error!(%error, "a connection's task panicked");
    }
}

/// Headers of one request: browsers and our nodes send a dozen.
const HEADERS_MAX: usize = 64;
/// Octets of a request's head.
const HEADER_BYTES_MAX: usize = 16 * 1_024;
/// Octets that one connection buffers in each direction.
const BUFFER_BYTES_MAX: usize = 64 * 1_024;
/// Connections of the operator at once.
const UNIX_CONNECTIONS_MAX: usize = 32;
/// How long nothing is accepted after accepting failed.
const ACCEPT_PAUSE: Duration = Duration::from_millis(100);

#[cfg(test)]
mod tests {
    #![expect(clippy::unwrap_used, reason = "a test may stop at a surprise")]

    use http::HeaderValue;

    use super::*;

    #[test]
    fn only_the_reverse_proxys_own_entry_counts() {
        let own: IpAddr = "127.0.0.1".parse().unwrap();
        let mut headers = HeaderMap::new();
        headers.append("x-forwarded-for", HeaderValue::from_static("203.0.113.9"));
        headers.append(
            "x-forwarded-for",
            HeaderValue::from_static("203.0.113.8, 192.0.2.7"),
        );
        assert_eq!(client_address(own, AddressFrom::Connection, &headers), own);
        let said = client_address(own, AddressFrom::ReverseProxy, &headers);
        assert_eq!(said, "192.0.2.7".parse::<IpAddr>().unwrap());
        headers.append("x-forwarded-for", HeaderValue::from_static("unknown"));
        assert_eq!(
            client_address(own, AddressFrom::ReverseProxy, &headers),
            own
        );
    }
}
