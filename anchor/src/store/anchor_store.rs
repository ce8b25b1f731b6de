//! [`Store`]: accounts and money, in one folder or in a database.

use std::{num::NonZeroUsize, path::PathBuf, sync::Arc};

use ed25519_dalek::SigningKey;
use lru::LruCache;
use madang_journal::{CloseError, Head, Payload, Recovery, Store as Journal};
use madang_protocol::{
    ids::{KeyId, NetworkId, PublicKey, TariffHash},
    limits::{GRANT_SETTLE_WITHIN, GRANT_SPEND_WITHIN},
    record::tariff::Tariff,
    sealed::{Record, Sealed, Trust},
    time::UnixMillis,
};
use parking_lot::Mutex;

use super::{
    engine::{Engine, Seen},
    error::{StoreError, StoreOpenError},
    parallel::Helpers,
    persons::{PersonalFiles, open_vault},
    postgres::{Postgres, PostgresOptions},
    rows::Ledger,
};
use crate::{
    ledger::{event::Event, policy::Policy, view::Fault},
    vault::keep::Vault,
};

/// Where a store is.
#[derive(Debug, Clone)]
pub enum Place {
    /// A folder of one process: its journal's own options, so how much memory and disk it may use.
    Folder(madang_journal::Options),
    /// A database that several anchors may share.
    Postgres(PostgresOptions),
}

impl Place {
    /// The folder beside a folder, for its rows made anew.
    fn again(&self) -> Option<PathBuf> {
        let Self::Folder(journal) = self else {
            return None;
        };
        let mut name = journal.dir.clone().into_os_string();
        name.push(".again");
        Some(name.into())
    }
}

/// How a store is opened.
#[derive(Debug, Clone)]
pub struct Options {
    /// Where it is.
    pub place: Place,
    /// The network that every record names.
    pub network: NetworkId,
    /// The key that signs grants, verdicts and passes.
    pub issuer: Arc<SigningKey>,
    /// Issuer keys that are good beside it.
    pub issuers_before: Vec<PublicKey>,
    /// What the provider has decided.
    pub policy: Policy,
    /// Where the keys of personal data are; where there is no place, no personal data is taken.
    pub personal: Option<PersonalFiles>,
}

impl Options {
    /// A store in the folder `dir`, with the defaults for everything else.
    pub fn new(dir: impl Into<PathBuf>, network: NetworkId, issuer: Arc<SigningKey>) -> Self {
        Self::at(
            Place::Folder(madang_journal::Options::new(dir)),
            network,
            issuer,
        )
    }

    /// A store at `place`, with the defaults for everything else.
    pub fn at(place: Place, network: NetworkId, issuer: Arc<SigningKey>) -> Self {
        Self {
            place,
            network,
            issuer,
            issuers_before: Vec::new(),
            policy: Policy::DEFAULT,
            personal: None,
        }
    }
}

/// What was done, durably.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Done<T = ()> {
    /// The answer.
    pub value: T,
    /// Where it stands: the entry that did it, now or when it was first asked.
    pub entry: u64,
}

/// The anchor's store. Shared by reference between threads.
pub struct Store {
    pub(super) engine: Engine,
    pub(super) network: NetworkId,
    pub(super) issuer: Arc<SigningKey>,
    pub(super) trust: Trust,
    pub(super) policy: Policy,
    pub(super) tariffs: Mutex<LruCache<TariffHash, Arc<Tariff>>>,
    pub(super) helpers: Helpers,
    /// Where a folder's rows are made anew, beside it; held meanwhile.
    pub(super) again: Option<Mutex<PathBuf>>,
    pub(super) vault: Option<Vault>,
}

/// What was decided: the event to write, if any, and the answer.
pub(super) type Decided<R> = Result<(Option<Event>, R), Fault>;

impl Store {
    /// Opens a store, or makes an empty one. Blocks until the rows are at the journal's head; a folder's says what that took.
    ///
    /// # Errors
    /// The journal's or the database's own, and a policy that the protocol does not allow.
    pub fn open(options: Options) -> Result<(Self, Option<Recovery>), StoreOpenError> {
        let policy = options.policy;
        if policy.grant_spend_within > GRANT_SPEND_WITHIN
            || policy.grant_settle_within > GRANT_SETTLE_WITHIN
            || policy.grant_spend_within > policy.grant_settle_within
        {
            return Err(StoreOpenError::Policy);
        }
        let mut issuers = vec![PublicKey::of(&options.issuer)];
        issuers.extend_from_slice(&options.issuers_before);
        let again = options.place.again();
        let (engine, recovery) = match options.place.clone() {
            Place::Folder(place) => {
                let (journal, recovery) = Journal::open(place, Ledger)?;
                (Engine::Folder(Box::new(journal)), Some(recovery))
            }
            Place::Postgres(place) => {
                let postgres = Postgres::open(place, options.network)?;
                (Engine::Postgres(Box::new(postgres)), None)
            }
        };
        let vault = match &options.personal {
            Some(files) => Some(open_vault(&engine, &options.place, options.network, files)?),
            None => None,
        };
        let store = Self {
            engine,
            network: options.network,
            issuer: options.issuer,
            trust: Trust::new(options.network, &issuers),
            policy,
            tariffs: Mutex::new(LruCache::new(TARIFFS_CACHED_MAX)),
            helpers: Helpers::for_this_machine(),
            again: again.map(Mutex::new),
            vault,
        };
        store.finish_erasures()?;
        Ok((store, recovery))
    }

    /// Writes what is queued and lets go of the files. Later calls are refused with [`StoreError::Closed`].
    ///
    /// # Errors
    /// The journal's own; nothing that was acknowledged is lost.
    pub fn close(&self) -> Result<(), CloseError> {
        self.engine.close()
    }

    /// The last durable entry, and the hash of the chain that ends with it: the journal's, or this instance's in a database.
    ///
    /// # Errors
    /// The database's own.
    pub fn head(&self) -> Result<Head, StoreError> {
        self.engine.head()
    }

    /// What the provider has decided.
    pub fn policy(&self) -> &Policy {
        &self.policy
    }

    /// What this store trusts: its network and its issuer keys.
    pub fn trust(&self) -> &Trust {
        &self.trust
    }

    /// The name of the key that signs.
    pub fn issuer_id(&self) -> KeyId {
        KeyId::of(&PublicKey::of(&self.issuer))
    }

    /// Decides, writes, waits until it is durable. `entry` is the event's, or the last one where nothing is written.
    pub(super) fn commit<R>(
        &self,
        mut decide: impl FnMut(&Seen<'_>) -> Decided<R>,
    ) -> Result<Done<R>, StoreError> {
        self.commit_payload(|view| {
            let (event, answer) = decide(view)?;
            Ok((event.as_ref().map(Event::to_payload), answer))
        })
    }

    /// As `commit`, for events in a form of their own.
    pub(super) fn commit_payload<R>(
        &self,
        decide: impl FnMut(&Seen<'_>) -> Result<(Option<Payload>, R), Fault>,
    ) -> Result<Done<R>, StoreError> {
        let committed = self.engine.commit(decide)?;
        Ok(Done {
            value: committed.answer,
            entry: committed.entry,
        })
    }

    /// Reads what was committed so far.
    pub(super) fn read<R>(
        &self,
        read: impl FnMut(&Seen<'_>) -> Result<R, Fault>,
    ) -> Result<R, StoreError> {
        self.engine.read(read)
    }

    /// Reads much of what was committed so far, a page at a time.
    pub(super) fn scan<R>(
        &self,
        scan: impl FnOnce(&Seen<'_>) -> Result<R, Fault>,
    ) -> Result<R, StoreError> {
        self.engine.scan(scan)
    }

    pub(super) fn sign<T: Record>(&self, record: T) -> Result<Sealed<T>, StoreError> {
        Ok(Sealed::sign(record, self.network, &self.issuer)?)
    }
}

/// Tariffs kept decoded.
const TARIFFS_CACHED_MAX: NonZeroUsize = NonZeroUsize::new(4_096).unwrap();

/// An identifier of `N` octets: the time in its first six, so that rows of one time stand together, and chance.
pub(super) fn draw_id<const N: usize>(now: UnixMillis) -> Result<[u8; N], StoreError> {
    let mut id = [0; N];
    getrandom::fill(&mut id).map_err(|error| StoreError::Failed(Arc::new(error)))?;
    let time = now.0.to_be_bytes();
    id[..6].copy_from_slice(&time[2..]);
    Ok(id)
}
