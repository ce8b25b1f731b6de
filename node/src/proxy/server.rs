//! Listens for browsers, on loopback only, and owns every connection.

use std::{
    io,
    net::{IpAddr, SocketAddr},
    sync::Arc,
    time::Duration,
};

use data_encoding::HEXLOWER;
use http::{Request, Response};
use hyper::{body::Incoming, service::service_fn};
use madang_protocol::amount::Currency;
use socket2::SockRef;
use tokio::{net::TcpListener, sync::Semaphore};
use tokio_util::{sync::CancellationToken, task::TaskTracker};

use super::{consent::Desk, local::Local, pending::Pending};
use crate::{
    fetch::{Consents, Fetch},
    web::{self, Body},
};

/// Connections at one time on one listener: a browser opens a handful for each site.
const CONNECTIONS_MAX: usize = 1_024;
/// A pause after a failed accept, so that a lack of descriptors does not spin.
const ACCEPT_PAUSE: Duration = Duration::from_millis(50);
/// What waits in the system for a browser to read it has been received, and paid: little, where the system would keep megabytes. It doubles the number
/// for its own bookkeeping.
const SEND_BUFFER_BYTES: usize = 128 * 1_024;
/// How long requests in progress may take to end at shutdown.
const SHUTDOWN_WITHIN: Duration = Duration::from_secs(3);

/// Where the proxy does listen.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct BoundAddresses {
    /// For sites: `http://<site>.localhost:PORT/`.
    pub sites: SocketAddr,
    /// For the consent page: `http://localhost:PORT/`.
    pub console: SocketAddr,
}

/// The proxy's two addresses, bound.
#[derive(Debug)]
pub struct Listeners {
    sites: TcpListener,
    console: TcpListener,
    bound: BoundAddresses,
}

impl Listeners {
    /// Listens for sites and for the consent page, within a tokio runtime; port 0 takes any free one.
    ///
    /// # Errors
    /// When an address is not loopback or cannot be listened at.
    pub fn bind(sites: SocketAddr, console: SocketAddr) -> io::Result<Self> {
        let (sites, console) = (listening(sites)?, listening(console)?);
        let bound = BoundAddresses {
            sites: sites.local_addr()?,
            console: console.local_addr()?,
        };
        Ok(Self {
            sites,
            console,
            bound,
        })
    }

    /// Where they listen.
    pub fn addresses(&self) -> BoundAddresses {
        self.bound
    }
}

/// The proxy, listening but not yet answering.
pub struct Proxy<F, C> {
    listeners: Listeners,
    local: Arc<Local<F>>,
    desk: Arc<Desk<C>>,
    tasks: TaskTracker,
    stop: CancellationToken,
}

impl<F: Fetch, C: Consents> Proxy<F, C> {
    /// A proxy behind `listeners`, in a network of this currency.
    ///
    /// # Errors
    /// When the system has no randomness to give.
    pub fn new(
        listeners: Listeners,
        currency: Currency,
        fetch: F,
        consents: C,
    ) -> io::Result<Self> {
        let bound = listeners.bound;
        let pending = Arc::new(Pending::new());
        let (tasks, stop) = (TaskTracker::new(), CancellationToken::new());
        let mut secret = [0; 32];
        getrandom::fill(&mut secret).map_err(io::Error::other)?;
        let local = Local {
            fetch,
            pending: pending.clone(),
            secret,
            port: bound.sites.port(),
            console: format!("http://localhost:{}", bound.console.port()),
            tasks: tasks.clone(),
            stop: stop.clone(),
        };
        let desk = Desk {
            consents,
            pending,
            port: bound.console.port(),
            currency,
        };
        Ok(Self {
            listeners,
            local: Arc::new(local),
            desk: Arc::new(desk),
            tasks,
            stop,
        })
    }

    /// Answers browsers until `stop` is cancelled; requests in progress then have a few seconds to end, and the rest is cut.
    pub async fn run(self, stop: CancellationToken) {
        let (local, desk) = (self.local, self.desk);
        let sites = accept(
            self.listeners.sites,
            &self.tasks,
            &self.stop,
            move |request| {
                let local = local.clone();
                async move { local.answer(request).await }
            },
        );
        let console = accept(
            self.listeners.console,
            &self.tasks,
            &self.stop,
            move |request| {
                let desk = desk.clone();
                async move { desk.answer(request).await }
            },
        );
        tokio::select! {
            () = stop.cancelled() => {}
            () = sites => {}
            () = console => {}
        }
        self.stop.cancel();
        self.tasks.close();
        if tokio::time::timeout(SHUTDOWN_WITHIN, self.tasks.wait())
            .await
            .is_err()
        {
            tracing::info!(
                connections = self.tasks.len(),
                "browsers were cut off at shutdown"
            );
        }
    }
}

/// 128 random bits in hexadecimal.
pub(super) fn token() -> io::Result<String> {
    let mut octets = [0; 16];
    getrandom::fill(&mut octets).map_err(io::Error::other)?;
    Ok(HEXLOWER.encode(&octets))
}

/// As [`listen`]; the error begins with the address.
fn listening(address: SocketAddr) -> io::Result<TcpListener> {
    listen(address).map_err(|error| io::Error::new(error.kind(), format!("{address}: {error}")))
}

fn listen(address: SocketAddr) -> io::Result<TcpListener> {
    if !is_loopback(address.ip()) {
        let text =
            "it is not a loopback address; others on the network could spend your money through it";
        return Err(io::Error::new(io::ErrorKind::InvalidInput, text));
    }
    let listener = std::net::TcpListener::bind(address)?;
    // Connections that it accepts have it too.
    SockRef::from(&listener).set_send_buffer_size(SEND_BUFFER_BYTES)?;
    listener.set_nonblocking(true)?;
    TcpListener::from_std(listener)
}

fn is_loopback(address: IpAddr) -> bool {
    address.to_canonical().is_loopback()
}

async fn accept<A, R>(
    listener: TcpListener,
    tasks: &TaskTracker,
    stop: &CancellationToken,
    answer: A,
) where
    A: Fn(Request<Incoming>) -> R + Clone + Send + Sync + 'static,
    R: Future<Output = Response<Body>> + Send + 'static,
{
    let places = Arc::new(Semaphore::new(CONNECTIONS_MAX));
    loop {
        let Ok(place) = places.clone().acquire_owned().await else {
            return;
        };
        let stream = match listener.accept().await {
            Ok((stream, _)) => stream,
            Err(error) => {
                tracing::warn!(%error, "accept a browser");
                tokio::time::sleep(ACCEPT_PAUSE).await;
                continue;
            }
        };
        if let Err(error) = stream.set_nodelay(true) {
            tracing::debug!(%error, "set TCP_NODELAY");
        }
        let (answer, stop) = (answer.clone(), stop.clone());
        tasks.spawn(async move {
            let service = service_fn(move |request| {
                let answer = answer.clone();
                async move { Ok(answer(request).await) }
            });
            if let Err(error) = web::serve(stream, service, stop).await {
                tracing::debug!(%error, "a browser's connection");
            }
            drop(place);
        });
    }
}
