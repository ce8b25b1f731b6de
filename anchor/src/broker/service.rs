//! [`Broker`]: what all calls work on. Shared by reference; nothing in it knows HTTP.

use std::{
    net::IpAddr,
    num::NonZeroUsize,
    sync::Arc,
    time::{Duration, Instant},
};

use madang_protocol::{
    ids::PublicKey,
    limits::{BOOTSTRAP_MAX, PASSPORT_LIFE, PASSPORT_RENEW_AFTER},
    name::Handle,
    record::{
        network::NetworkDescriptor,
        passport::{Passport, Role},
        revocation::RevocationList,
    },
    reject::Reject,
    sealed::{Record, Sealed, Trust},
    time::UnixMillis,
};
use parking_lot::Mutex;

use super::{
    bootstrap,
    call::BodyRoom,
    descriptor::{DescriptorError, DescriptorKeeper},
    directory::{Directory, DirectoryLimits, INTERVAL_MAX, INTERVALS_BELIEVED},
    follower::Follower,
    password::{PasswordError, Passwords},
    throttle::Throttle,
    work::Work,
};
use crate::{
    clock::Clock,
    config::{Config, Limits},
    keys::IssuerKeys,
    metrics::Metrics,
    network::Network,
    problem::Problem,
    store::{Authorised, Store, error::StoreError},
};

/// Devices that stand in for hubs where there is none.
const STAND_INS_MAX: usize = 8;
/// Entrances of the time before a restart are named beside those that are online for so long: by then whoever is there has said so.
const ENTRANCES_KEPT: Duration = INTERVAL_MAX.saturating_mul(INTERVALS_BELIEVED);

/// X-Broker, without HTTP.
pub struct Broker {
    network: Network,
    keys: IssuerKeys,
    trust: Trust,
    store: Arc<Store>,
    clock: Clock,
    limits: Limits,
    metrics: Metrics,
    /// From the configuration: where nodes enter the mesh at any time.
    bootstrap: Vec<String>,
    /// Accounts whose devices are hubs.
    hubs: Vec<Handle>,
    work: Work,
    bodies: BodyRoom,
    passwords: Passwords,
    throttles: Throttles,
    directory: Mutex<Directory>,
    follower: Follower,
    descriptor: Mutex<DescriptorKeeper>,
    entrances_kept_until: UnixMillis,
    revocations: Mutex<Option<Sealed<RevocationList>>>,
}

/// Why there is no broker.
#[derive(Debug, thiserror::Error)]
pub enum BrokerOpenError {
    /// There is no descriptor.
    #[error(transparent)]
    Descriptor(#[from] DescriptorError),
    /// No password can be hashed.
    #[error(transparent)]
    Password(#[from] PasswordError),
}

/// How often one may try.
#[derive(Debug)]
pub(super) struct Throttles {
    /// Passwords, by handle: ten at once, then one each half minute.
    pub(super) enrol_by_handle: Throttle<Handle>,
    /// Passwords, by subscriber line: thirty at once, then one each five seconds.
    pub(super) enrol_by_address: Throttle<IpAddr>,
    /// Sign-ins, by device: each writes to the journal.
    pub(super) sign_in: Throttle<PublicKey>,
}

impl Broker {
    /// A broker over an open store.
    pub fn new(
        config: &Config,
        network: Network,
        keys: IssuerKeys,
        store: Arc<Store>,
    ) -> Result<Self, BrokerOpenError> {
        let limits = config.limits.clone();
        let now = config.clock.now();
        let descriptor =
            DescriptorKeeper::open(&config.home, &network, &keys, config.bootstrap.clone(), now)?;
        Ok(Self {
            trust: Trust::new(network.id, &keys.public()),
            network,
            keys,
            store,
            clock: config.clock.clone(),
            metrics: Metrics::new(),
            bootstrap: config.bootstrap.clone(),
            hubs: config.hubs.clone(),
            work: Work::new(limits.store_calls_max),
            bodies: BodyRoom::new(limits.body_bytes_max),
            passwords: Passwords::new(limits.password_hashes_max)?,
            throttles: Throttles::new(),
            directory: Mutex::new(Directory::new(DirectoryLimits {
                devices_max: limits.present_devices_max,
                octets_max: limits.present_bytes_max,
                interval_min: limits.presence_interval,
                reports_per_second: limits.presence_reports_per_second,
            })),
            follower: Follower::new(),
            descriptor: Mutex::new(descriptor),
            entrances_kept_until: now.plus(ENTRANCES_KEPT),
            revocations: Mutex::new(None),
            limits,
        })
    }

    /// The network.
    pub fn network(&self) -> &Network {
        &self.network
    }

    /// What is trusted here: the network and its issuer's keys.
    pub fn trust(&self) -> &Trust {
        &self.trust
    }

    /// The store.
    pub fn store(&self) -> &Arc<Store> {
        &self.store
    }

    /// The network's time.
    pub fn now(&self) -> UnixMillis {
        self.clock.now()
    }

    /// The network's description as it is signed now.
    pub fn descriptor(&self) -> Sealed<NetworkDescriptor> {
        self.descriptor.lock().current().clone()
    }

    /// The number of devices that are online.
    pub fn devices_online(&self) -> usize {
        self.directory.lock().len()
    }

    /// Where a device listens, if it is online.
    pub fn addresses_of(&self, device: &PublicKey) -> Vec<String> {
        self.directory.lock().addresses_of(device).to_vec()
    }

    /// The device that signs a request, and its account, both known and good.
    pub(super) fn authorised(&self, device: &PublicKey) -> Result<Authorised, StoreError> {
        self.store.authorised(device)
    }

    /// A fresh passport.
    pub(super) fn passport(
        &self,
        who: &Authorised,
        now: UnixMillis,
    ) -> Result<Sealed<Passport>, Reject> {
        self.sign(Passport {
            issuer: self.keys.id(),
            account: who.account.id,
            handle: who.account.handle.clone(),
            device: who.device.key,
            role: self.role(who),
            issued: now,
            renew_after: now.plus(PASSPORT_RENEW_AFTER),
            expires: now.plus(PASSPORT_LIFE),
        })
    }

    /// What a device may be: a hub where its account is one of the configuration's.
    pub(super) fn role(&self, who: &Authorised) -> Role {
        if self.hubs.contains(&who.account.handle) {
            Role::Hub
        } else {
            who.device.role
        }
    }

    /// Who is no longer good, signed anew when that changes.
    pub(super) fn revocations(&self, now: UnixMillis) -> Result<Sealed<RevocationList>, Problem> {
        let revocations = self.store.revocations()?;
        let mut signed = self.revocations.lock();
        if let Some(list) = signed.as_ref()
            && list.sequence == revocations.sequence
            && list.devices == revocations.devices
            && list.accounts == revocations.accounts
        {
            return Ok(list.clone());
        }
        let list = self.sign(RevocationList {
            issuer: self.keys.id(),
            sequence: revocations.sequence,
            devices: revocations.devices,
            accounts: revocations.accounts,
            issued: now,
        })?;
        *signed = Some(list.clone());
        Ok(list)
    }

    pub(super) fn sign<T: Record>(&self, record: T) -> Result<Sealed<T>, Reject> {
        Sealed::sign(record, self.network.id, self.keys.signing())
    }

    pub(crate) fn keys(&self) -> &IssuerKeys {
        &self.keys
    }

    pub(super) fn limits(&self) -> &Limits {
        &self.limits
    }

    pub(crate) fn metrics(&self) -> &Metrics {
        &self.metrics
    }

    pub(crate) fn work(&self) -> &Work {
        &self.work
    }

    pub(super) fn bodies(&self) -> &BodyRoom {
        &self.bodies
    }

    pub(super) fn passwords(&self) -> &Passwords {
        &self.passwords
    }

    pub(super) fn follower(&self) -> &Follower {
        &self.follower
    }

    pub(super) fn throttles(&self) -> &Throttles {
        &self.throttles
    }

    pub(super) fn directory(&self) -> &Mutex<Directory> {
        &self.directory
    }

    /// A device was revoked, or its account closed: it is offline from now on, whatever it reported.
    pub fn handle_revoked(&self, device: &PublicKey) {
        self.directory.lock().handle_revoked(device);
    }

    /// Whether others have to stand in for hubs.
    pub(super) fn is_without_hub(&self) -> bool {
        self.bootstrap.is_empty() && self.directory.lock().hubs().next().is_none()
    }

    /// Counts who is online, and tells where to enter the mesh: a hub may have come, gone or moved. Where there is none, some of those who serve sites stand
    /// in; they announce their addresses in any case. Those that were known last stay after a restart until everybody has reported, and for as long as
    /// there is nobody else: a way in that is perhaps closed is better than none.
    pub(super) fn refresh_bootstrap(&self, now: UnixMillis) -> Result<(), DescriptorError> {
        let known_last = self.entrances_known_last();
        let bootstrap = {
            let directory = self.directory.lock();
            self.metrics.devices_online(directory.len());
            let named = bootstrap::addresses(&self.bootstrap, directory.hubs(), BOOTSTRAP_MAX);
            if named.is_empty() {
                let is_kept =
                    now < self.entrances_kept_until || directory.servers().next().is_none();
                let gone = known_last
                    .iter()
                    .filter(|(device, _)| is_kept && !directory.is_online(device))
                    .map(|(device, addresses)| (device, addresses.as_slice()));
                let entrances = directory.servers().chain(gone).take(STAND_INS_MAX);
                bootstrap::addresses(&[], entrances, BOOTSTRAP_MAX)
            } else {
                named
            }
        };
        let mut descriptor = self.descriptor.lock();
        if descriptor.handle_bootstrap(&self.network, &self.keys, bootstrap, now)? {
            tracing::info!(
                addresses = descriptor.current().bootstrap.len(),
                "the bootstrap addresses have changed"
            );
        }
        Ok(())
    }

    /// The devices by which the mesh was entered last, as far as they are still good.
    fn entrances_known_last(&self) -> Vec<(PublicKey, Vec<String>)> {
        let mut devices = bootstrap::devices(&self.descriptor.lock().current().bootstrap);
        devices.retain(|(device, _)| {
            // A store that fails says nothing against a device.
            !matches!(self.store.authorised(device), Err(StoreError::Refused(_)))
        });
        devices
    }

    /// What time brings: due holds end, silent devices go offline, hubs that come and go change the network's description.
    pub fn handle_tick(&self) -> Result<(), TickError> {
        let now = self.now();
        self.directory.lock().handle_timeout(now);
        self.refresh_bootstrap(now)?;
        if self.store.state_heads(now)? {
            tracing::info!("stated where the journal ends");
        }
        for _ in 0..TICK_STEPS_MAX {
            if !self.store.tick(now)? {
                break;
            }
        }
        for _ in 0..PERIOD_STEPS_MAX {
            if !self.store.tick_periods(now)? {
                break;
            }
        }
        let every = self.limits.statistics_interval;
        self.follower
            .handle_tick(&self.store, &self.metrics, every, now)?;
        Ok(())
    }

    /// Brings the figures up to date, as far as a bounded number of steps does.
    pub fn roll_up(&self) -> Result<bool, StoreError> {
        self.follower.roll_up(&self.store, self.now())
    }
}

/// What time brings could not be done; the next tick tries again.
#[derive(Debug, thiserror::Error)]
pub enum TickError {
    /// The store.
    #[error(transparent)]
    Store(#[from] StoreError),
    /// The network's description.
    #[error(transparent)]
    Descriptor(#[from] DescriptorError),
}

impl Throttles {
    fn new() -> Self {
        let seconds = Duration::from_secs;
        Self {
            enrol_by_handle: Throttle::new(KEYS_MAX, 10, seconds(30)),
            enrol_by_address: Throttle::new(KEYS_MAX, 30, seconds(5)),
            sign_in: Throttle::new(KEYS_MAX, 20, seconds(10)),
        }
    }

    /// Counts a password that is about to be tried. The wait, where there were too many.
    pub(super) fn handle_password(&self, handle: &Handle, address: IpAddr) -> Result<(), Duration> {
        let now = Instant::now();
        self.enrol_by_address.handle_try(address, now)?;
        self.enrol_by_handle.handle_try(handle.clone(), now)
    }

    /// The password was right.
    pub(super) fn handle_password_right(&self, handle: &Handle, address: IpAddr) {
        self.enrol_by_address.handle_success(&address);
        self.enrol_by_handle.handle_success(handle);
    }
}

/// Steps of the store's upkeep in one tick: what is left waits for the next, so that a backlog never keeps calls out.
const TICK_STEPS_MAX: u32 = 256;
/// Steps of closing a period in one tick: each may take a second.
const PERIOD_STEPS_MAX: u32 = 4;
/// Keys that one throttle remembers: some 10 MiB.
const KEYS_MAX: NonZeroUsize = NonZeroUsize::new(65_536).expect("it is not zero");
