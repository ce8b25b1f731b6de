//! [`App`]: the anchor as a whole. Built, it has its store open and its addresses bound; spawned, it answers; shut down, everything that
//! was acknowledged is on disk.

use std::{io, net::SocketAddr, path::PathBuf, sync::Arc, time::Duration};

use madang_journal::CloseError;
use tokio::{
    net::{TcpListener, UnixListener},
    task::{JoinError, JoinSet, spawn_blocking},
    time::{MissedTickBehavior, interval, timeout},
};
use tokio_rustls::TlsAcceptor;
use tokio_util::sync::CancellationToken;

use crate::{
    broker::{
        routes,
        service::{Broker, BrokerOpenError},
    },
    config::{Config, Exposure, Limits},
    edge::{
        server::{AddressFrom, Server},
        tls::{self, TlsError},
    },
    open::{HomeLock, OpenError, Opened},
    operator::{
        desk::Desk,
        socket::{self, SocketFile},
    },
};

/// An anchor whose store is open and whose addresses are bound, and that does not answer yet.
pub struct App {
    parts: Parts,
    nodes: TcpListener,
    watchers: Option<TcpListener>,
    operator: UnixListener,
    tls: Option<TlsAcceptor>,
    address_from: AddressFrom,
}

/// An anchor that answers. Dropping it stops it at once, as a crash would; [`Running::shutdown`] is polite.
pub struct Running {
    parts: Parts,
    tasks: JoinSet<&'static str>,
    stop: CancellationToken,
    stop_asked: CancellationToken,
}

/// What an anchor has whether or not it answers.
struct Parts {
    address: SocketAddr,
    watch_address: Option<SocketAddr>,
    scheme: &'static str,
    broker: Arc<Broker>,
    desk: Desk,
    limits: Limits,
    _socket: SocketFile,
    /// Last, so that nobody else opens the home before the rest is let go of.
    _lock: HomeLock,
}

/// Why an anchor is not built.
#[derive(Debug, thiserror::Error)]
pub enum BuildError {
    /// The home does not open.
    #[error(transparent)]
    Open(#[from] OpenError),
    /// The broker is not ready.
    #[error(transparent)]
    Broker(#[from] BrokerOpenError),
    /// TLS cannot be spoken.
    #[error(transparent)]
    Tls(#[from] TlsError),
    /// An address is taken, or not this machine's.
    #[error("cannot listen on {address}: {source}")]
    Listen {
        /// The address.
        address: SocketAddr,
        /// Why.
        source: io::Error,
    },
    /// The operator's socket cannot be bound.
    #[error("cannot bind the operator's socket {path}: {source}")]
    Socket {
        /// The socket.
        path: PathBuf,
        /// Why.
        source: io::Error,
    },
    /// The thread that opened the store panicked.
    #[error("opening the store ended unexpectedly: {0}")]
    Panicked(JoinError),
}

/// A task of the anchor ended that never ends by itself.
#[derive(Debug, thiserror::Error)]
pub enum Stopped {
    /// It returned.
    #[error("the task {0:?} ended")]
    Ended(&'static str),
    /// It panicked.
    #[error("a task of the anchor panicked: {0}")]
    Panicked(JoinError),
}

/// What a shutdown could not do.
#[derive(Debug, thiserror::Error)]
pub enum ShutdownError {
    /// The store could not be closed; nothing that was acknowledged is lost.
    #[error("cannot close the store: {0}")]
    Close(#[from] CloseError),
    /// The thread that closed the store panicked.
    #[error("closing the store ended unexpectedly: {0}")]
    Panicked(JoinError),
}

impl BuildError {
    /// Whether the configuration is at fault, rather than the machine.
    pub fn is_mistake(&self) -> bool {
        match self {
            Self::Open(error) => error.is_mistake(),
            Self::Tls(_) => true,
            Self::Broker(_) | Self::Listen { .. } | Self::Socket { .. } | Self::Panicked(_) => {
                false
            }
        }
    }
}

impl App {
    /// Opens the home, making a new anchor where there is none, and binds the addresses.
    pub async fn build(config: Config) -> Result<Self, BuildError> {
        let (tls, scheme, address_from) = match &config.exposure {
            Exposure::Loopback => (None, "http", AddressFrom::Connection),
            Exposure::BehindProxy => (None, "http", AddressFrom::ReverseProxy),
            Exposure::Tls(files) => (
                Some(tls::acceptor(files)?),
                "https",
                AddressFrom::Connection,
            ),
        };
        let wished = config.clone();
        let opening = spawn_blocking(move || Opened::open_or_create(&wished));
        let opened = opening.await.map_err(BuildError::Panicked)??;
        let nodes = listen(config.listen).await?;
        let watchers = match config.metrics_listen {
            Some(address) => Some(listen(address).await?),
            None => None,
        };
        let path = config.home.socket();
        let (operator, socket) =
            socket::bind(&path).map_err(|source| BuildError::Socket { path, source })?;
        let (network, keys, store) = (opened.network, opened.keys, opened.store);
        let broker = Arc::new(Broker::new(&config, network, keys, store)?);
        let parts = Parts {
            address: local(&nodes, config.listen)?,
            watch_address: watchers
                .as_ref()
                .map(|listener| local(listener, config.listen))
                .transpose()?,
            scheme,
            desk: Desk::running(broker.clone(), config.clock.clone()),
            broker,
            limits: config.limits,
            _socket: socket,
            _lock: opened.lock,
        };
        Ok(Self {
            parts,
            nodes,
            watchers,
            operator,
            tls,
            address_from,
        })
    }

    /// Where nodes connect.
    pub fn address(&self) -> SocketAddr {
        self.parts.address
    }

    /// What nodes join by, such as `http://127.0.0.1:8440`.
    pub fn url(&self) -> String {
        self.parts.url()
    }

    /// Where Prometheus connects, beside the operator's socket.
    pub fn metrics_address(&self) -> Option<SocketAddr> {
        self.parts.watch_address
    }

    /// Does the operator's commands in this process. Its methods block.
    pub fn desk(&self) -> &Desk {
        &self.parts.desk
    }

    /// Begins to answer.
    pub fn spawn(self) -> Running {
        let Self {
            parts,
            nodes,
            watchers,
            operator,
            tls,
            address_from,
        } = self;
        let stop = CancellationToken::new();
        let stop_asked = CancellationToken::new();
        let mut tasks = JoinSet::new();
        let broker = &parts.broker;
        let server = |router, tls, address_from| Server {
            router,
            limits: parts.limits.clone(),
            address_from,
            tls,
            metrics: broker.metrics().clone(),
        };
        let own = AddressFrom::Connection;
        let for_nodes = server(routes::router(broker.clone()), tls, address_from);
        let serving = for_nodes.serve(nodes, stop.clone());
        tasks.spawn(named("nodes", serving));
        if let Some(watchers) = watchers {
            let for_watchers = server(socket::watching(broker.clone()), None, own);
            tasks.spawn(named(
                "watchers",
                for_watchers.serve(watchers, stop.clone()),
            ));
        }
        let commands = socket::router(broker.clone(), parts.desk.clone(), stop_asked.clone());
        let for_operator = server(commands, None, own);
        tasks.spawn(named(
            "operator",
            for_operator.serve_unix(operator, stop.clone()),
        ));
        let ticking = tick(broker.clone(), parts.limits.tick_interval, stop.clone());
        tasks.spawn(named("tick", ticking));
        Running {
            parts,
            tasks,
            stop,
            stop_asked,
        }
    }
}

impl Running {
    /// Where nodes connect.
    pub fn address(&self) -> SocketAddr {
        self.parts.address
    }

    /// What nodes join by, such as `http://127.0.0.1:8440`.
    pub fn url(&self) -> String {
        self.parts.url()
    }

    /// Where Prometheus connects, beside the operator's socket.
    pub fn metrics_address(&self) -> Option<SocketAddr> {
        self.parts.watch_address
    }

    /// Does the operator's commands in this process. Its methods block.
    pub fn desk(&self) -> &Desk {
        &self.parts.desk
    }

    /// What all calls work on.
    pub fn broker(&self) -> &Arc<Broker> {
        &self.parts.broker
    }

    /// Cancelled when the operator asks the anchor to stop; whoever runs it then calls [`Running::shutdown`].
    pub fn stop_asked(&self) -> CancellationToken {
        self.stop_asked.clone()
    }

    /// Ends when a task of the anchor does, which none should.
    pub async fn stopped(&mut self) -> Stopped {
        match self.tasks.join_next().await {
            Some(Ok(name)) => Stopped::Ended(name),
            Some(Err(error)) => Stopped::Panicked(error),
            None => Stopped::Ended("all"),
        }
    }

    /// Stops accepting, lets requests that are under way end, and closes the store.
    pub async fn shutdown(self) -> Result<(), ShutdownError> {
        let Self {
            parts,
            mut tasks,
            stop,
            stop_asked: _,
        } = self;
        stop.cancel();
        let all_ended = async { while tasks.join_next().await.is_some() {} };
        if timeout(parts.limits.shutdown_timeout + GRACE, all_ended)
            .await
            .is_err()
        {
            tracing::warn!(abandoned = tasks.len(), "tasks did not end in time");
        }
        let store = parts.broker.store().clone();
        let closing = spawn_blocking(move || store.close());
        closing.await.map_err(ShutdownError::Panicked)??;
        tracing::info!("the anchor has stopped");
        Ok(())
    }
}

impl Parts {
    fn url(&self) -> String {
        format!("{}://{}", self.scheme, self.address)
    }
}

async fn listen(address: SocketAddr) -> Result<TcpListener, BuildError> {
    TcpListener::bind(address)
        .await
        .map_err(|source| BuildError::Listen { address, source })
}

fn local(listener: &TcpListener, address: SocketAddr) -> Result<SocketAddr, BuildError> {
    listener
        .local_addr()
        .map_err(|source| BuildError::Listen { address, source })
}

async fn named(name: &'static str, task: impl Future<Output = ()>) -> &'static str {
    task.await;
    name
}

/// Lets time do its work, every `period`, until `stop`.
async fn tick(broker: Arc<Broker>, period: Duration, stop: CancellationToken) {
    let mut ticks = interval(period);
    ticks.set_missed_tick_behavior(MissedTickBehavior::Delay);
    loop {
        tokio::select! {
            biased;
            () = stop.cancelled() => return,
            _ = ticks.tick() => {}
        }
        let inside = broker.clone();
        match broker.work().run(move || inside.handle_tick()).await {
            Ok(Ok(())) => {}
            Ok(Err(error)) => tracing::warn!(%error, "what time brings could not be done"),
            Err(reject) => tracing::warn!(%reject, "what time brings could not be done"),
        }
    }
}

/// For what comes after the connections' own deadline.
const GRACE: Duration = Duration::from_secs(1);
