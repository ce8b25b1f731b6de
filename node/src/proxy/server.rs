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
/// How long requests in progress may take to end at shutdown.
const SHUTDOWN_WITHIN: Duration = Duration::from_secs(3);

/// Where the proxy listens. Both must be loopback addresses; port 0 takes any free one.
#[derive(Debug, Clone)]
pub struct ProxyConfig {
    /// For sites: `http://<site>.localhost:PORT/`.
    pub sites: SocketAddr,
    /// For the consent page: `http://localhost:PORT/`.
    pub console: SocketAddr,
    /// The network's currency, for pages.
    pub currency: String,
}

/// Where the proxy does listen.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct BoundAddresses {
    /// For sites.
    pub sites: SocketAddr,
    /// For the consent page.
    pub console: SocketAddr,
}

/// The proxy, listening but not yet answering.
pub struct Proxy<F, C> {
    sites: TcpListener,
    console: TcpListener,
    bound: BoundAddresses,
    local: Arc<Local<F>>,
    desk: Arc<Desk<C>>,
    tasks: TaskTracker,
    stop: CancellationToken,
}

impl<F: Fetch, C: Consents> Proxy<F, C> {
    /// Listens at the addresses of `config`.
    ///
    /// # Errors
    /// When an address is not loopback or cannot be listened at, or the system has no randomness to give.
    pub async fn bind(config: ProxyConfig, fetch: F, consents: C) -> io::Result<Self> {
        let sites = listen(config.sites).await?;
        let console = listen(config.console).await?;
        let bound = BoundAddresses {
            sites: sites.local_addr()?,
            console: console.local_addr()?,
        };
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
            currency: config.currency,
        };
        Ok(Self {
            sites,
            console,
            bound,
            local: Arc::new(local),
            desk: Arc::new(desk),
            tasks,
            stop,
        })
    }

    /// Where it listens.
    pub fn addresses(&self) -> BoundAddresses {
        self.bound
    }

    /// Answers browsers until `stop` is cancelled; requests in progress then have a few seconds to end, and the rest is cut.
    pub async fn run(self, stop: CancellationToken) {
        let (local, desk) = (self.local, self.desk);
        let sites = accept(self.sites, &self.tasks, &self.stop, move |request| {
            let local = local.clone();
            async move { local.answer(request).await }
        });
        let console = accept(self.console, &self.tasks, &self.stop, move |request| {
            let desk = desk.clone();
            async move { desk.answer(request).await }
        });
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

async fn listen(address: SocketAddr) -> io::Result<TcpListener> {
    if !is_loopback(address.ip()) {
        let text = format!(
            "{address} is not a loopback address; others on the network could spend your money through it"
        );
        return Err(io::Error::new(io::ErrorKind::InvalidInput, text));
    }
    TcpListener::bind(address).await
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
