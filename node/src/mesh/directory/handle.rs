//! [`Directory`]: what the rest of the node holds of the directory; and how it is built around a mesh.

use std::path::PathBuf;
use std::sync::Arc;
use std::time::{Duration, Instant};

use libp2p::{Multiaddr, PeerId};
use madang_protocol::{
    keyword,
    name::SiteName,
    record::{announcement::Announcement, passport::Passport},
    reject::Reject,
    sealed::Sealed,
    time::UnixMillis,
};
use thiserror::Error;
use tokio::sync::{mpsc, oneshot, watch};
use tokio::time::timeout;
use tokio_util::sync::{CancellationToken, DropGuard};
use tokio_util::task::AbortOnDropHandle;

use super::cache::Device;
use super::lookup;
use super::policy::DirectoryPolicy;
use super::refusals::{Refusals, Way};
use super::service::{Parts, Request, Service};
use super::shared::{Order, Shared};
use super::verifier::Verifier;
use crate::clock::Clock;
use crate::mesh::handle::{AcceptError, Closed, Handle};
use crate::mesh::peers::remembered::Remembered;
use crate::mesh::policy::Policy;
use crate::mesh::streams::Protocol;
use crate::standing::Keeper;

/// Requests that wait for the directory's task.
const REQUESTS: usize = 256;
/// Orders of the swarm's policy that wait for it.
const ORDERS: usize = 256;
/// A site that was looked up so lately is not looked up again, whatever came of it.
const LOOKUP_AGAIN_AFTER: Duration = Duration::from_secs(3);
/// How long [`Directory::resolve`] waits for this node's place in the mesh: after a start it is found well within this.
const READY_WAIT: Duration = Duration::from_secs(5);
/// How long [`Directory::await_passport`] waits: a hello has ended by then, or does not end well.
const PASSPORT_WAIT: Duration = Duration::from_secs(5);

/// What a directory is built from.
pub struct DirectoryConfig {
    /// The issuer's word: trust, the own passport, revocations; and where a newer revocation list goes.
    pub keeper: Arc<Keeper>,
    /// The time.
    pub clock: Clock,
    /// Where peers are remembered; `None` to remember nobody.
    pub peers_file: Option<PathBuf>,
}

/// Why a directory did not start.
#[derive(Debug, Error)]
pub enum StartError {
    /// The directory's protocols are accepted by someone else: a mesh has one directory.
    #[error("this mesh has a directory already")]
    Taken,
    /// The mesh has been shut down.
    #[error("the mesh is closed")]
    Closed,
}

/// A directory that has no mesh yet: the mesh needs its policy first.
pub struct Prepared {
    config: DirectoryConfig,
    shared: Arc<Shared>,
    orders: mpsc::Receiver<Order>,
}

impl Prepared {
    /// Prepares a directory.
    pub fn new(config: DirectoryConfig) -> Self {
        let (sender, orders) = mpsc::channel(ORDERS);
        let verifier = Verifier::new(config.keeper.subscribe(), config.clock.clone());
        Self {
            shared: Arc::new(Shared::new(verifier, sender)),
            config,
            orders,
        }
    }

    /// The policy for the mesh's configuration.
    pub fn policy(&self) -> Box<dyn Policy> {
        Box::new(DirectoryPolicy::new(Arc::clone(&self.shared)))
    }

    /// Starts the directory on the mesh that was built with its policy.
    ///
    /// # Errors
    /// [`StartError`]
    pub async fn start(self, mesh: Handle) -> Result<Running, StartError> {
        let refused = |error| match error {
            AcceptError::Taken => StartError::Taken,
            AcceptError::Closed => StartError::Closed,
        };
        let hellos = mesh.accept(Protocol::Hello).await.map_err(refused)?;
        let asked = mesh.accept(Protocol::Sites).await.map_err(refused)?;
        let events = mesh.peer_events().map_err(|Closed| StartError::Closed)?;
        let network = self.config.keeper.subscribe().borrow().trust.network();
        let peers_file = self.config.peers_file;
        let remembered = match &peers_file {
            None => Remembered::new(network),
            Some(path) => Remembered::load(path, network).unwrap_or_else(|error| {
                tracing::warn!(%error, "the remembered peers cannot be used; the network's descriptor names others");
                Remembered::new(network)
            }),
        };
        let (requests_sender, requests) = mpsc::channel(REQUESTS);
        let (ready_sender, ready) = watch::channel(false);
        let stop = CancellationToken::new();
        let directory = Directory {
            mesh: mesh.clone(),
            shared: Arc::clone(&self.shared),
            requests: requests_sender,
            ready,
        };
        let parts = Parts {
            mesh,
            shared: self.shared,
            keeper: self.config.keeper,
            requests,
            orders: self.orders,
            events,
            hellos,
            asked,
            ready: ready_sender,
            peers_file,
            stop: stop.clone(),
        };
        let task = AbortOnDropHandle::new(tokio::spawn(Service::new(parts, remembered).run()));
        Ok(Running {
            directory,
            stop: stop.drop_guard(),
            task,
        })
    }
}

/// A running directory. Dropping it aborts; [`Running::shutdown`] remembers the peers first.
pub struct Running {
    directory: Directory,
    stop: DropGuard,
    task: AbortOnDropHandle<()>,
}

impl Running {
    /// A handle.
    pub fn directory(&self) -> Directory {
        self.directory.clone()
    }

    /// Ends the task, before the mesh is shut down. What is to be withdrawn has been announced so before.
    pub async fn shutdown(self) {
        drop(self.stop);
        if let Err(error) = self.task.await
            && error.is_panic()
        {
            tracing::error!("the directory's task panicked");
        }
    }

    /// Waits for the task to end by itself, which the end of the mesh or a fault does.
    pub async fn failed(&mut self) {
        // Ended is ended.
        let _ = (&mut self.task).await;
    }
}

/// A device that serves a site.
#[derive(Debug, Clone, PartialEq)]
pub struct Located {
    /// What it announces.
    pub announcement: Sealed<Announcement>,
    /// Whose it is.
    pub passport: Sealed<Passport>,
    /// Who it is in the mesh. May be this node itself.
    pub peer: PeerId,
    /// Whether it is connected now.
    pub connected: bool,
}

/// Why a site is not to be had.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Error)]
pub enum ResolveError {
    /// Nobody announces it.
    #[error("nobody announces this site")]
    Unknown,
    /// It is announced, and none of its devices answers.
    #[error("none of the site's devices answers")]
    Offline {
        /// When one of them was last known to be there.
        last_seen: UnixMillis,
    },
    /// The mesh has been shut down.
    #[error("the mesh is closed")]
    Closed,
}

/// Finds sites and announces them. Cheap to clone.
#[derive(Clone)]
pub struct Directory {
    mesh: Handle,
    shared: Arc<Shared>,
    requests: mpsc::Sender<Request>,
    ready: watch::Receiver<bool>,
}

impl Directory {
    /// Announces exactly `announcements` from now on, and republishes them until they expire. One that withdraws its site is published a few
    /// times; a site that is left out is no longer provided, and expires.
    ///
    /// Whoever signs gives a newer one when the addresses, the tariff or the passport change, and before it expires.
    ///
    /// # Errors
    /// [`Closed`] after the mesh was shut down.
    pub async fn announce(&self, announcements: Vec<Sealed<Announcement>>) -> Result<(), Closed> {
        for announcement in &announcements {
            // An own one that was replaced already is none to keep; nor is one whose passport has expired.
            if let Ok(believed) = self.shared.verifier.announcement(&announcement.to_bytes()) {
                let (own, now) = (self.mesh.peer_id(), self.shared.verifier.now());
                let _ = self
                    .shared
                    .with(|inner| inner.cache.offer(believed, own, now));
            }
        }
        let (reply, answer) = oneshot::channel();
        self.requests
            .send(Request::Announce {
                announcements,
                reply,
            })
            .await
            .map_err(|_| Closed)?;
        answer.await.map_err(|_| Closed)
    }

    /// The devices that serve `site`, the best first: connected ones, then those that were there last, then the newest word.
    ///
    /// What is known is given at once; else the directory is asked, for 15 s at most. The mesh knows where to dial each of them afterwards.
    ///
    /// # Errors
    /// [`ResolveError`]
    pub async fn resolve(&self, site: &SiteName) -> Result<Vec<Located>, ResolveError> {
        let known = self.candidates(site);
        if !known.is_empty() {
            self.refresh_if_old(site);
            return self.dialable(known).await;
        }
        let now = Instant::now();
        let (is_missing, looked_up_at) = self.shared.with(|inner| {
            (
                inner.cache.is_missing(site, now),
                inner.cache.looked_up_at(site),
            )
        });
        let was_looked_up =
            looked_up_at.is_some_and(|at| now.saturating_duration_since(at) < LOOKUP_AGAIN_AFTER);
        if !is_missing && !was_looked_up {
            // Before this node has found its place there is nobody to ask, and that would be remembered as an answer.
            let _ = tokio::time::timeout(READY_WAIT, self.ready()).await;
            // Whoever was known and does not answer may have moved: then every copy counts.
            self.look_up(site, self.last_seen(site).is_some()).await?;
        }
        let found = self.candidates(site);
        if !found.is_empty() {
            self.follow(site);
            return self.dialable(found).await;
        }
        Err(self
            .last_seen(site)
            .map_or(ResolveError::Unknown, |last_seen| ResolveError::Offline {
                last_seen,
            }))
    }

    /// `peer` did not answer, or did not serve what it announces: [`Directory::resolve`] prefers others for half a minute, or until it
    /// announces other addresses or connects. Dials that fail are known already.
    pub fn unreachable(&self, peer: &PeerId) {
        self.shared
            .with(|inner| inner.cache.unreachable(*peer, Instant::now()));
    }

    /// When any device of `site` was last known to be there; `None` if none is known.
    pub fn last_seen(&self, site: &SiteName) -> Option<UnixMillis> {
        let now = self.shared.verifier.now();
        self.shared.with(|inner| inner.cache.last_seen(site, now))
    }

    /// Every device of every site that is known here, in no order: what was announced by gossip, and what was looked up.
    pub fn known_sites(&self) -> Vec<Located> {
        let now = self.shared.verifier.now();
        let own = self.mesh.peer_id();
        self.shared.with(|inner| {
            let is_connected = |peer: &PeerId| *peer == own || inner.links.contains_key(peer);
            inner
                .cache
                .offered(now)
                .map(|device| located(device, is_connected(&device.peer)))
                .collect()
        })
    }

    /// The sites that announce `word`: of the devices that the directory names for it, and of those known here.
    ///
    /// # Errors
    /// [`Closed`] after the mesh was shut down.
    pub async fn search(&self, word: &str) -> Result<Vec<Located>, Closed> {
        let Some(word) = keyword::normalise(word) else {
            return Ok(Vec::new());
        };
        match lookup::devices_of_keyword(&self.mesh, &word).await {
            Ok(devices) => {
                lookup::sites_of_devices(&self.mesh, &self.shared, devices).await;
            }
            Err(error) => tracing::debug!(%error, "a keyword was searched among known sites only"),
        }
        if self.mesh.is_closed() {
            return Err(Closed);
        }
        Ok(self
            .known_sites()
            .into_iter()
            .filter(|one| one.announcement.keywords.contains(&word))
            .collect())
    }

    /// The passport that `peer` has shown on its connection, if it is good now. Without one the peer is a stranger.
    pub fn passport_of(&self, peer: &PeerId) -> Option<Sealed<Passport>> {
        let passport = self.shared.passport_of(peer)?;
        self.shared
            .verifier
            .check_again(&passport)
            .is_ok()
            .then_some(passport)
    }

    /// [`Directory::passport_of`], waiting for a hello that has not ended yet, for 5 s at most.
    pub async fn await_passport(&self, peer: &PeerId) -> Option<Sealed<Passport>> {
        let greeted = async {
            loop {
                let ended = self.shared.greeted.notified();
                tokio::pin!(ended);
                ended.as_mut().enable();
                let passport = self.passport_of(peer);
                let is_pending = self
                    .shared
                    .with(|inner| inner.links.get(peer).is_some_and(|link| !link.was_greeted));
                if passport.is_some() || !is_pending {
                    return passport;
                }
                ended.await;
            }
        };
        timeout(PASSPORT_WAIT, greeted).await.unwrap_or_default()
    }

    /// Holds a refusal against the peer that caused it, by whatever protocol.
    pub fn report(&self, peer: &PeerId, reject: Reject) {
        self.shared.refuse(Way::Session, reject, *peer);
    }

    /// What was refused.
    pub fn refusals(&self) -> &Refusals {
        &self.shared.refusals
    }

    /// Waits until this node has found the mesh, by the first search that was answered; `false` if the mesh was shut down before.
    pub async fn ready(&self) -> bool {
        self.ready.clone().wait_for(|ready| *ready).await.is_ok()
    }

    /// Whether this node has found the mesh.
    pub fn is_ready(&self) -> bool {
        *self.ready.borrow()
    }

    /// The connected peers whose passports are held, and the strangers.
    pub fn connected(&self) -> (usize, usize) {
        let now = self.shared.verifier.now();
        self.shared.with(|inner| {
            let known = inner
                .links
                .keys()
                .filter(|peer| inner.verified.get(peer, now).is_some())
                .count();
            (known, inner.links.len() - known)
        })
    }

    fn candidates(&self, site: &SiteName) -> Vec<Located> {
        let (own, now) = (self.mesh.peer_id(), self.shared.verifier.now());
        self.shared.with(|inner| {
            let links = &inner.links;
            let is_connected = |peer: &PeerId| *peer == own || links.contains_key(peer);
            let devices = inner
                .cache
                .candidates(site, now, Instant::now(), is_connected);
            devices
                .iter()
                .map(|device| located(device, is_connected(&device.peer)))
                .collect()
        })
    }

    /// Tells the mesh where to dial those that are not connected.
    async fn dialable(&self, found: Vec<Located>) -> Result<Vec<Located>, ResolveError> {
        for one in found.iter().filter(|one| !one.connected) {
            let addresses: Vec<Multiaddr> = one
                .announcement
                .addresses
                .iter()
                .filter_map(|text| text.parse().ok())
                .collect();
            self.mesh
                .add_addresses(one.peer, addresses)
                .await
                .map_err(|Closed| ResolveError::Closed)?;
        }
        Ok(found)
    }

    async fn look_up(&self, site: &SiteName, thorough: bool) -> Result<(), ResolveError> {
        let (reply, answer) = oneshot::channel();
        let request = Request::LookUp {
            site: site.clone(),
            thorough,
            reply: Some(reply),
        };
        self.requests
            .send(request)
            .await
            .map_err(|_| ResolveError::Closed)?;
        // When too many lookups run, nobody answers, and what is known counts.
        let _ = answer.await;
        Ok(())
    }

    /// Asks in the background, where the answer is old.
    fn refresh_if_old(&self, site: &SiteName) {
        let now = Instant::now();
        if self.shared.with(|inner| inner.cache.is_old(site, now)) {
            // When the task is busy, the next one asks.
            let _ = self.requests.try_send(Request::LookUp {
                site: site.clone(),
                thorough: false,
                reply: None,
            });
        }
    }

    fn follow(&self, site: &SiteName) {
        // When the task is busy, the next one asks.
        let _ = self.requests.try_send(Request::Follow(site.clone()));
    }
}

fn located(device: &Device, connected: bool) -> Located {
    Located {
        announcement: device.believed.announcement.clone(),
        passport: device.believed.passport.clone(),
        peer: device.peer,
        connected,
    }
}
