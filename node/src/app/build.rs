//! [`App::build`]: from a home folder and a configuration to bound addresses. Nothing is said to anyone yet.

use std::{
    sync::{Arc, OnceLock},
    time::Instant,
};

use thiserror::Error;
use tokio::sync::{Notify, watch};
use tokio_util::sync::CancellationToken;

use super::{
    Addresses, Node, SiteError,
    addresses::announced,
    alone::ask_while_alone,
    catalogue::{Catalogue, CatalogueError, Published},
    check_site,
    presence::Reporter,
    publish::Publisher,
    reports::UsageReporter,
    running::Running,
    sign_in::{Admission, SignIn},
    tasks::Tasks,
    yard::Yard,
};
use crate::{
    broker::{AnchorAddress, AnchorAddressError, Client, Endpoint, EndpointOptions, TlsError},
    clock::Clock,
    config::{Config, ConfigError, ProxyConfig},
    control,
    home::{Home, HomeError, HomeLock},
    identity::{DeviceKey, KeyError},
    mesh::{
        self, Mesh, MeshConfig,
        directory::{DirectoryConfig, Prepared},
    },
    proxy::Listeners,
    standing::{Keeper, StandingError},
    store::{NodeStore, StoreError},
    usage::Counters,
};

/// What a caller may put in the place of what the home folder says.
#[derive(Debug, Clone, Default)]
pub struct Overrides {
    /// The anchor's address.
    pub anchor: Option<AnchorAddress>,
    /// How to speak with it.
    pub endpoint: Option<EndpointOptions>,
    /// The time that this node signs with.
    pub clock: Option<Clock>,
}

/// Why a daemon cannot be put together. Each message is one line.
#[derive(Debug, Error)]
pub enum BuildError {
    /// The home folder's.
    #[error("{0}")]
    Home(#[from] HomeError),
    /// The configuration's.
    #[error("{0}")]
    Config(#[from] ConfigError),
    /// A site's.
    #[error("{0}")]
    Site(#[from] SiteError),
    /// The price lists'.
    #[error("{0}")]
    Catalogue(#[from] CatalogueError),
    /// The key's.
    #[error("{0}")]
    Key(#[from] KeyError),
    /// The standing's.
    #[error("{0}")]
    Standing(#[from] StandingError),
    /// No network has been joined.
    #[error("this node has not joined a network yet; run `madang join URL`")]
    NotJoined,
    /// The anchor's address.
    #[error("{0}")]
    Anchor(#[from] AnchorAddressError),
    /// The file of certificates that the configuration names.
    #[error("anchor.ca_file: {0}")]
    CaFile(#[source] TlsError),
    /// TLS.
    #[error("{0}")]
    Tls(#[source] TlsError),
    /// The mesh.
    #[error("{0}")]
    Mesh(#[from] mesh::BuildError),
    /// The control socket.
    #[error("{0}")]
    Control(#[from] control::BindError),
    /// The proxy's addresses.
    #[error("cannot listen for browsers on {0}")]
    Proxy(#[source] std::io::Error),
    /// The node's journal.
    #[error("cannot open the node's journal: {0}")]
    Store(#[from] StoreError),
}

impl BuildError {
    /// Whether the configuration is at fault, which is exit code 2.
    pub fn is_configuration(&self) -> bool {
        match self {
            Self::Config(error) => error.is_mistake(),
            Self::Site(_) | Self::Anchor(_) | Self::CaFile(_) => true,
            Self::Home(_)
            | Self::Catalogue(_)
            | Self::Key(_)
            | Self::Standing(_)
            | Self::NotJoined
            | Self::Tls(_)
            | Self::Mesh(_)
            | Self::Control(_)
            | Self::Proxy(_)
            | Self::Store(_) => false,
        }
    }
}

/// A daemon that listens and does nothing yet.
pub struct App {
    pub(super) lock: HomeLock,
    pub(super) node: Arc<Node>,
    pub(super) mesh: Mesh,
    pub(super) control: control::Listener,
    pub(super) tasks: Parts,
}

/// The tasks, ready to run.
pub(super) struct Parts {
    pub(super) sign_in: SignIn,
    pub(super) publisher: Publisher,
    pub(super) presence: Reporter,
    pub(super) usage: UsageReporter,
    pub(super) yard: Yard,
    pub(super) addresses: watch::Sender<Vec<String>>,
    pub(super) announce: Vec<mesh::Multiaddr>,
}

impl App {
    /// Locks `home`, loads what it holds, and binds every address of `config`. Must be called within a tokio runtime.
    ///
    /// # Errors
    /// [`BuildError`]
    pub fn build(home: Home, config: Config, overrides: Overrides) -> Result<Self, BuildError> {
        home.create()?;
        let lock = home.lock()?;
        let keeper = Arc::new(Keeper::open(&home)?.ok_or(BuildError::NotJoined)?);
        let key = DeviceKey::load(&home)?.ok_or(BuildError::NotJoined)?;
        let clock = overrides
            .clock
            .clone()
            .unwrap_or_else(|| Clock::load(&home));
        let standing = keeper.subscribe();
        for site in &config.sites {
            check_site(&home, site, &standing.borrow())?;
        }
        let endpoint = endpoint(&config, &keeper, &overrides)?;
        let client = Client::new(endpoint, key.clone(), clock.clone(), standing.clone());
        let counters = Counters::load(&home, clock.clone());
        let (currency, trust) = {
            let standing = standing.borrow();
            (standing.descriptor.currency, standing.trust.clone())
        };
        let catalogue =
            Catalogue::load(&home, key.clone(), clock.clone(), currency, trust.clone())?;
        let listeners = config
            .proxy
            .map(|proxy| Listeners::bind(proxy.listen, proxy.console))
            .transpose()
            .map_err(BuildError::Proxy)?;
        let (store, recovery) = NodeStore::open(&home.join("journal"))?;
        let store = Arc::new(store);
        tracing::debug!(?recovery, "the node's journal is open");
        let directory = Prepared::new(DirectoryConfig {
            keeper: Arc::clone(&keeper),
            clock: clock.clone(),
            peers_file: Some(home.join("peers")),
        });
        let mesh = Mesh::build(MeshConfig {
            listen: config.mesh.listen.clone(),
            transports: config.mesh.transports.clone(),
            policy: directory.policy(),
            ..MeshConfig::new(*key.secret(), &trust.network().to_string())
        })?;
        let control = control::Listener::bind(&home)?;

        let (published_sender, published) = watch::channel(Arc::new(Published::default()));
        let (admission_sender, admission) = watch::channel(Admission::Trying);
        let (addresses_sender, addresses) = watch::channel(Vec::new());
        let sites = watch::Sender::new(config.sites.clone());
        let again = Arc::new(Notify::new());
        let tasks = Parts {
            sign_in: SignIn {
                client: client.clone(),
                keeper: Arc::clone(&keeper),
                clock: clock.clone(),
                addresses: addresses.clone(),
                state: admission_sender,
                again: Arc::clone(&again),
            },
            publisher: Publisher {
                catalogue,
                sites: sites.subscribe(),
                addresses,
                standing: standing.clone(),
                admission: admission.clone(),
                published: published_sender,
            },
            presence: Reporter {
                client: client.clone(),
                key: key.clone(),
                clock: clock.clone(),
                standing: standing.clone(),
                published: published.clone(),
                sign_in_again: again,
                sequence: 0,
            },
            usage: UsageReporter {
                client: client.clone(),
                key: key.clone(),
                clock: clock.clone(),
                counters: counters.clone(),
                standing: standing.clone(),
                admission: admission.clone(),
            },
            yard: Yard {
                directory,
                store: Arc::clone(&store),
                listeners: listeners.map(|listeners| (listeners, currency)),
                budgets: config.budgets(currency)?,
                selling: config.selling(currency)?,
            },
            addresses: addresses_sender,
            announce: config.mesh.announce.clone(),
        };
        let proxy = tasks.yard.listeners.as_ref().map(|(listeners, _)| {
            let bound = listeners.addresses();
            ProxyConfig {
                listen: bound.sites,
                console: bound.console,
            }
        });
        let node = Node {
            home,
            key,
            clock,
            keeper,
            standing,
            client,
            counters,
            mesh: mesh.handle(),
            proxy,
            sites,
            published,
            admission,
            directory: OnceLock::new(),
            store,
            shop: OnceLock::new(),
            started: Instant::now(),
            stop_asked: CancellationToken::new(),
        };
        Ok(Self {
            lock,
            node: Arc::new(node),
            mesh,
            control,
            tasks,
        })
    }

    /// Where the daemon listens.
    pub fn addresses(&self) -> Addresses {
        self.node.addresses()
    }

    /// Starts everything.
    pub fn spawn(self) -> Running {
        let mut tasks = Tasks::default();
        let stop = tasks.stop();
        let Parts {
            sign_in,
            publisher,
            presence,
            usage,
            yard,
            addresses,
            announce,
        } = self.tasks;
        let listening = self.node.mesh.listen_addresses();
        tasks.spawn(
            "addresses",
            follow(listening, announce, addresses, stop.clone()),
        );
        let (mesh, again) = (self.node.mesh.clone(), Arc::clone(&sign_in.again));
        let connected = async move || Some(mesh.connected_peers().await.ok()?.len());
        tasks.spawn("sign-in", sign_in.run(stop.clone()));
        tasks.spawn("alone", ask_while_alone(connected, again, stop.clone()));
        tasks.spawn("publish", publisher.run(stop.clone()));
        tasks.spawn("presence", presence.run(stop.clone()));
        tasks.spawn("usage", usage.run(stop.clone()));
        tasks.spawn("yard", yard.run(Arc::clone(&self.node), stop.clone()));
        let control = self.control.run(Arc::clone(&self.node), stop);
        tasks.spawn("control", control);
        Running::new(self.lock, self.node, self.mesh, tasks)
    }
}

fn endpoint(
    config: &Config,
    keeper: &Keeper,
    overrides: &Overrides,
) -> Result<Endpoint, BuildError> {
    let address = match (&overrides.anchor, &config.anchor.url) {
        (Some(address), _) | (None, Some(address)) => address.clone(),
        (None, None) => AnchorAddress::parse(keeper.anchor(), config.anchor.insecure_http)?,
    };
    let mut options = overrides.endpoint.clone().unwrap_or_default();
    if options.ca_file.is_none() {
        options.ca_file = config.anchor.ca_file.clone();
    }
    Endpoint::new(address, &options).map_err(|error| match error {
        TlsError::File { .. } => BuildError::CaFile(error),
        TlsError::SystemRoots(_) | TlsError::Setup(_) => BuildError::Tls(error),
    })
}

/// Tells the others which addresses this node has, as its interfaces come and go.
async fn follow(
    mut listening: watch::Receiver<Vec<mesh::Multiaddr>>,
    announce: Vec<mesh::Multiaddr>,
    addresses: watch::Sender<Vec<String>>,
    stop: CancellationToken,
) {
    loop {
        let now = announced(&announce, &listening.borrow_and_update());
        addresses.send_if_modified(|before| {
            let has_changed = *before != now;
            *before = now;
            has_changed
        });
        tokio::select! {
            biased;
            () = stop.cancelled() => return,
            changed = listening.changed() => {
                if changed.is_err() {
                    // The mesh has ended, which the daemon hears of by itself.
                    stop.cancelled().await;
                    return;
                }
            }
        }
    }
}
