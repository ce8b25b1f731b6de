//! [`Opened`]: a home folder with its keys, its network and its store, locked for one process.

use std::{fs, io, path::PathBuf, sync::Arc};

use crate::{
    broker::descriptor::{DescriptorError, Kept},
    config::{Config, ConfigError},
    home::Home,
    keys::{IssuerKeys, KeysError},
    ledger::policy::Policy,
    network::{Network, NetworkError},
    store::{Options, PersonalFiles, Place, Store, error::StoreOpenError},
    vault::keep::VaultError,
};

/// An anchor's home, open. Nobody else opens it until this is dropped.
pub struct Opened {
    /// Which network.
    pub network: Network,
    /// The issuer's keys.
    pub keys: IssuerKeys,
    /// Accounts and money.
    pub store: Arc<Store>,
    /// Last, so that it is let go of after the store.
    pub lock: HomeLock,
}

/// Keeps other processes out of a home. The operating system lets go of it when the process ends, however that happens.
#[derive(Debug)]
pub struct HomeLock(#[expect(dead_code, reason = "held, never read")] fs::File);

/// Why a home does not open.
#[derive(Debug, thiserror::Error)]
pub enum OpenError {
    /// The folder cannot be made or used.
    #[error("cannot use the folder {path}: {source}")]
    Home {
        /// The folder.
        path: PathBuf,
        /// Why.
        source: io::Error,
    },
    /// Another process has it.
    #[error("another madang-anchor is using {0}")]
    Busy(PathBuf),
    /// No anchor was ever started there.
    #[error("there is no anchor in {0}; start one with `madang-anchor serve`, or name its --home")]
    Missing(PathBuf),
    /// The keys.
    #[error(transparent)]
    Keys(#[from] KeysError),
    /// The network.
    #[error(transparent)]
    Network(#[from] NetworkError),
    /// What was signed last.
    #[error(transparent)]
    Descriptor(#[from] DescriptorError),
    /// What was signed last cannot be read, and not all of it is said anew.
    #[error(
        "{0} is damaged: its tax rate and name are not known any more; say both anew with --tax-rate and --name"
    )]
    Forgotten(PathBuf),
    /// The store.
    #[error("cannot open the store")]
    Store(#[source] StoreOpenError),
    /// Its personal data.
    #[error(transparent)]
    Vault(VaultError),
}

impl OpenError {
    /// Whether the configuration is at fault.
    pub fn is_mistake(&self) -> bool {
        match self {
            Self::Vault(error) => error.is_mistake(),
            Self::Network(error) => {
                matches!(error, NetworkError::Config(ConfigError::Pinned { .. }))
            }
            Self::Home { .. }
            | Self::Busy(_)
            | Self::Missing(_)
            | Self::Keys(_)
            | Self::Descriptor(_)
            | Self::Forgotten(_)
            | Self::Store(_) => false,
        }
    }
}

impl From<StoreOpenError> for OpenError {
    fn from(error: StoreOpenError) -> Self {
        match error {
            StoreOpenError::Vault(error) => Self::Vault(error),
            error @ (StoreOpenError::Journal(_)
            | StoreOpenError::Postgres(_)
            | StoreOpenError::Unfinished(_)
            | StoreOpenError::Policy) => Self::Store(error),
        }
    }
}

impl Opened {
    /// Opens `home`, or makes a new anchor there. Blocks until the store is ready.
    pub fn open_or_create(config: &Config) -> Result<Self, OpenError> {
        let (home, wish) = (&config.home, &config.network);
        home.create().map_err(|source| unusable(home, source))?;
        let lock = HomeLock::take(home)?;
        let network = Network::load_or_create(home, wish)?;
        Self::with(config, network, lock)
    }

    /// Opens `home`, where an anchor was started before. Blocks until the store is ready.
    pub fn open(config: &Config) -> Result<Self, OpenError> {
        let (home, wish) = (&config.home, &config.network);
        let missing = || OpenError::Missing(home.path().to_owned());
        if !home.network().exists() {
            return Err(missing());
        }
        let lock = HomeLock::take(home)?;
        let network = Network::load(home, wish)?.ok_or_else(missing)?;
        Self::with(config, network, lock)
    }

    fn with(config: &Config, network: Network, lock: HomeLock) -> Result<Self, OpenError> {
        let (home, wish) = (&config.home, &config.network);
        let keys = IssuerKeys::load_or_create(&home.issuer_keys())?;
        let says_all = wish.name.is_some() && wish.tax_rate_bp.is_some();
        let network = match Kept::read(home, &network, &keys)? {
            Kept::Signed(last) => network.continuing(&last, wish),
            Kept::Damaged if !says_all => return Err(OpenError::Forgotten(home.descriptor())),
            Kept::Damaged | Kept::Nothing => network,
        };
        let place = match &config.database {
            Some(database) => Place::Postgres(database.clone()),
            None => Place::Folder(madang_journal::Options::new(home.store())),
        };
        let mut options = Options::at(place, network.id, Arc::new(keys.signing().clone()));
        options.issuers_before = keys.public().split_off(1);
        options.policy = Policy {
            currency: network.currency,
            tax: network.tax,
            period_offset: config.period_offset,
            period_grace: config.period_grace,
            ..Policy::DEFAULT
        };
        options.personal = Some(PersonalFiles {
            key: home.personal_key(),
            wrapped: home.personal(),
        });
        let (store, recovery) = Store::open(options)?;
        match recovery {
            Some(recovery) => tracing::info!(
                network = %network.id.short(),
                entry = recovery.head.seq,
                replayed = recovery.replayed,
                rebuilt = recovery.rebuilt.is_some(),
                "opened the store"
            ),
            None => tracing::info!(network = %network.id.short(), "opened the database"),
        }
        Ok(Self {
            network,
            keys,
            store: Arc::new(store),
            lock,
        })
    }
}

impl HomeLock {
    fn take(home: &Home) -> Result<Self, OpenError> {
        let file = fs::OpenOptions::new()
            .create(true)
            .truncate(false)
            .write(true)
            .open(home.lock())
            .map_err(|source| unusable(home, source))?;
        match file.try_lock() {
            Ok(()) => Ok(Self(file)),
            Err(fs::TryLockError::WouldBlock) => Err(OpenError::Busy(home.path().to_owned())),
            Err(fs::TryLockError::Error(source)) => Err(unusable(home, source)),
        }
    }
}

fn unusable(home: &Home, source: io::Error) -> OpenError {
    OpenError::Home {
        path: home.path().to_owned(),
        source,
    }
}
