//! [`Service`]: the task behind the directory. It greets new peers, keeps this node in the mesh, publishes, looks up, and remembers.
//!
//! Each arm of its loop calls one method that awaits nothing; what takes time runs as a job in its `JoinSet` and comes back as [`Done`].

use std::collections::{BTreeMap, HashMap};
use std::path::PathBuf;
use std::sync::Arc;
use std::time::{Duration, Instant};

use libp2p::{Multiaddr, PeerId};
use madang_protocol::{
    name::SiteName,
    record::{announcement::Announcement, passport::Role},
    sealed::Sealed,
};
use tokio::sync::{broadcast, mpsc, oneshot, watch};
use tokio::task::JoinSet;
use tokio::time::{MissedTickBehavior, interval};
use tokio_util::sync::CancellationToken;

use super::announcer::Announcer;
use super::bootstrap::{Bootstrap, entrance, mixed};
use super::jobs::{self, Done};
use super::keys;
use super::shared::{Order, Shared};
use crate::mesh::handle::{Handle, PeerEvent};
use crate::mesh::hello::frame::Sites;
use crate::mesh::peers::remembered::Remembered;
use crate::mesh::stream::Stream;
use crate::mesh::streams::Incoming;
use crate::standing::{Keeper, Standing};

mod peers;

/// The loop looks at its deadlines this often.
const TICK: Duration = Duration::from_millis(250);
/// What is rarely needed is done this often.
const HOUSEKEEPING: Duration = Duration::from_secs(10);
/// The file of remembered peers is written this often, if anything has changed.
const SAVE_INTERVAL: Duration = Duration::from_secs(300);
/// Connections of a PC that is idle; hubs keep what they have.
const IDLE_CONNECTIONS_MAX: usize = 40;
/// Peers that are told at once what is announced here.
const TELLINGS_MAX: usize = 16;
/// Publications that run at once, each of a few queries.
const PUBLICATIONS_MAX: usize = 4;
/// Lookups that run at once.
const LOOKUPS_MAX: usize = 32;
/// Shards of announcements that a PC follows; a hub follows all.
const FOLLOWED_MAX: usize = 6;

/// What handles ask of the task.
#[derive(Debug)]
pub(super) enum Request {
    /// Announce exactly these.
    Announce {
        announcements: Vec<Sealed<Announcement>>,
        reply: oneshot::Sender<()>,
    },
    /// Look a site up; the answer is in the cache afterwards.
    LookUp {
        site: SiteName,
        thorough: bool,
        reply: Option<oneshot::Sender<()>>,
    },
    /// Follow the shard of a site that is in use here.
    Follow(SiteName),
}

/// What the task is made of.
pub(super) struct Parts {
    pub(super) mesh: Handle,
    pub(super) shared: Arc<Shared>,
    pub(super) keeper: Arc<Keeper>,
    pub(super) requests: mpsc::Receiver<Request>,
    pub(super) orders: mpsc::Receiver<Order>,
    pub(super) events: broadcast::Receiver<PeerEvent>,
    pub(super) hellos: Incoming,
    pub(super) asked: Incoming,
    pub(super) ready: watch::Sender<bool>,
    pub(super) peers_file: Option<PathBuf>,
    pub(super) stop: CancellationToken,
}

/// The task's state.
pub(super) struct Service {
    parts: Parts,
    standing: watch::Receiver<Standing>,
    listening: watch::Receiver<Vec<Multiaddr>>,
    announcer: Announcer,
    bootstrap: Bootstrap,
    remembered: Remembered,
    lookups: HashMap<SiteName, Vec<oneshot::Sender<()>>>,
    followed: BTreeMap<u8, Instant>,
    jobs: JoinSet<Done>,
    greetings: usize,
    publications: usize,
    tellings: usize,
    has_unsaved: bool,
    next_housekeeping: Instant,
    next_save: Instant,
    passport_shown: Option<madang_protocol::time::UnixMillis>,
    revocations_seen: u64,
    descriptor_seen: u64,
}

impl Service {
    pub(super) fn new(parts: Parts, remembered: Remembered) -> Self {
        let now = Instant::now();
        let standing = parts.keeper.subscribe();
        let listening = parts.mesh.listen_addresses();
        Self {
            standing,
            listening,
            announcer: Announcer::default(),
            bootstrap: Bootstrap::new(now),
            remembered,
            lookups: HashMap::new(),
            followed: BTreeMap::new(),
            jobs: JoinSet::new(),
            greetings: 0,
            publications: 0,
            tellings: 0,
            has_unsaved: false,
            next_housekeeping: now,
            // The first peers are remembered soon: a node that is killed says no goodbye.
            next_save: now + HOUSEKEEPING,
            passport_shown: None,
            revocations_seen: 0,
            descriptor_seen: 0,
            parts,
        }
    }

    /// Runs until it is stopped or the mesh has ended.
    pub(super) async fn run(mut self) {
        let mut tick = interval(TICK);
        tick.set_missed_tick_behavior(MissedTickBehavior::Delay);
        self.on_listening();
        self.on_standing();
        self.follow_topics();
        loop {
            tokio::select! {
                biased;
                () = self.parts.stop.cancelled() => break,
                Some(done) = self.jobs.join_next() => match done {
                    Ok(done) => self.on_done(done),
                    Err(error) => return fail(error),
                },
                _ = tick.tick() => self.on_tick(Instant::now()),
                Ok(()) = self.standing.changed() => self.on_standing(),
                Ok(()) = self.listening.changed() => self.on_listening(),
                Some(request) = self.parts.requests.recv() => self.on_request(request),
                Some(order) = self.parts.orders.recv() => self.on_order(order),
                event = self.parts.events.recv() => match event {
                    Ok(event) => self.on_peer_event(event),
                    Err(broadcast::error::RecvError::Lagged(_)) => self.catch_up(),
                    Err(broadcast::error::RecvError::Closed) => break,
                },
                Some(stream) = self.parts.hellos.next() => self.on_hello(stream),
                Some(stream) = self.parts.asked.next() => self.on_asked(stream),
                else => break,
            }
            self.advance(Instant::now());
        }
        self.end().await;
    }

    /// Remembers the peers for the next start, and ends all jobs.
    async fn end(mut self) {
        self.jobs.shutdown().await;
        if self.has_unsaved
            && let Some(path) = self.parts.peers_file.clone()
        {
            let remembered = self.remembered.clone();
            let saved = tokio::task::spawn_blocking(move || remembered.save(&path)).await;
            if !matches!(saved, Ok(Ok(()))) {
                tracing::warn!("the peers of this run could not be remembered");
            }
        }
    }

    fn on_tick(&mut self, now: Instant) {
        if now < self.next_housekeeping {
            return;
        }
        self.next_housekeeping = now + HOUSEKEEPING;
        let time = self.parts.shared.verifier.now();
        let pardoned = self.parts.shared.with(|inner| {
            inner.cache.expire(time);
            inner.conduct.pardoned(now)
        });
        if !pardoned.is_empty() {
            let mesh = self.parts.mesh.clone();
            self.jobs.spawn(jobs::unban(mesh, pardoned));
        }
        self.greet_the_stale(now);
        if !self.is_hub() {
            self.jobs
                .spawn(jobs::trim(self.parts.mesh.clone(), IDLE_CONNECTIONS_MAX));
        }
        if now >= self.next_save && self.has_unsaved {
            self.next_save = now + SAVE_INTERVAL;
            self.save();
        }
    }

    fn save(&mut self) {
        self.has_unsaved = false;
        if let Some(path) = self.parts.peers_file.clone() {
            let remembered = self.remembered.clone();
            self.jobs
                .spawn_blocking(move || Done::Saved(remembered.save(&path)));
        }
    }

    /// Begins whatever is due.
    fn advance(&mut self, now: Instant) {
        self.dial_entrances(now);
        if let Some(search) = self.bootstrap.search(now) {
            self.jobs
                .spawn(jobs::search(self.parts.mesh.clone(), search));
        }
        self.publish_due(now);
        self.greet_due();
    }

    fn dial_entrances(&mut self, now: Instant) {
        let own = self.parts.mesh.peer_id();
        let (shared, remembered, standing) = (&self.parts.shared, &self.remembered, &self.standing);
        let connected = shared.with(|inner| inner.links.len());
        let dials = self.bootstrap.dials(now, connected, rand::random(), || {
            let named = standing
                .borrow()
                .descriptor
                .bootstrap
                .iter()
                .filter_map(|text| entrance(text))
                .collect();
            let skip = |peer: &PeerId| {
                *peer == own
                    || shared.with(|inner| {
                        inner.links.contains_key(peer) || inner.conduct.is_banned(peer)
                    })
            };
            mixed(named, remembered.best(), skip)
        });
        for (peer, addresses) in dials {
            self.jobs
                .spawn(jobs::dial(self.parts.mesh.clone(), peer, addresses));
        }
    }

    fn publish_due(&mut self, now: Instant) {
        // Also before the mesh is found: what is in this node's own store is there for the first one who comes and asks.
        let room = PUBLICATIONS_MAX - self.publications;
        let time = self.parts.shared.verifier.now();
        for publication in self.announcer.due(now, time, room) {
            self.publications += 1;
            self.jobs
                .spawn(jobs::publish(self.parts.mesh.clone(), publication));
        }
    }

    fn on_asked(&mut self, stream: Stream) {
        if self.tellings < TELLINGS_MAX {
            self.tellings += 1;
            let announcements = self
                .announcer
                .announced()
                .map(Sealed::to_unverified)
                .collect();
            self.jobs
                .spawn(jobs::tell_sites(stream, Sites { announcements }));
        }
    }

    fn on_request(&mut self, request: Request) {
        match request {
            Request::Announce {
                announcements,
                reply,
            } => {
                self.announce(announcements);
                // Whoever asked may have given up.
                let _ = reply.send(());
            }
            Request::LookUp {
                site,
                thorough,
                reply,
            } => self.look_up(site, thorough, reply),
            Request::Follow(site) => self.follow(&site),
        }
    }

    fn announce(&mut self, announcements: Vec<Sealed<Announcement>>) {
        for announcement in &announcements {
            self.follow(&announcement.site);
        }
        let dropped = self.announcer.replace(announcements, Instant::now());
        if !dropped.is_empty() {
            self.jobs
                .spawn(jobs::stop_providing(self.parts.mesh.clone(), dropped));
        }
    }

    fn look_up(&mut self, site: SiteName, thorough: bool, reply: Option<oneshot::Sender<()>>) {
        if let Some(waiting) = self.lookups.get_mut(&site) {
            waiting.extend(reply);
            return;
        }
        // Beyond the bound the reply is dropped, and the one who asked goes by what is known.
        if self.lookups.len() < LOOKUPS_MAX {
            self.lookups
                .insert(site.clone(), reply.into_iter().collect());
            let (mesh, shared) = (self.parts.mesh.clone(), Arc::clone(&self.parts.shared));
            self.jobs.spawn(jobs::look_up(mesh, shared, site, thorough));
        }
    }

    /// Follows the shard of `site`; the one that was used longest ago makes way.
    fn follow(&mut self, site: &SiteName) {
        let shard = keys::gossip_shard(site);
        if self.followed.insert(shard, Instant::now()).is_some() {
            return;
        }
        self.jobs.spawn(jobs::follow(
            self.parts.mesh.clone(),
            keys::announce_topic(shard),
        ));
        let own: Vec<u8> = self.announcer.sites().map(keys::gossip_shard).collect();
        if self.followed.len() > FOLLOWED_MAX && !self.is_hub() {
            let others = self
                .followed
                .iter()
                .filter(|(shard, _)| !own.contains(shard));
            if let Some(oldest) = others
                .min_by_key(|(_, used)| **used)
                .map(|(shard, _)| *shard)
            {
                self.followed.remove(&oldest);
                self.jobs.spawn(jobs::unfollow(
                    self.parts.mesh.clone(),
                    keys::announce_topic(oldest),
                ));
            }
        }
    }

    fn follow_topics(&mut self) {
        self.jobs.spawn(jobs::follow(
            self.parts.mesh.clone(),
            keys::REVOCATIONS_TOPIC.to_owned(),
        ));
        if self.is_hub() {
            for shard in 0..keys::GOSSIP_SHARDS {
                if self.followed.insert(shard, Instant::now()).is_none() {
                    self.jobs.spawn(jobs::follow(
                        self.parts.mesh.clone(),
                        keys::announce_topic(shard),
                    ));
                }
            }
        }
    }

    fn is_hub(&self) -> bool {
        self.standing
            .borrow()
            .passport
            .as_ref()
            .is_some_and(|passport| passport.role == Role::Hub)
    }

    fn on_order(&mut self, order: Order) {
        match order {
            Order::Ban(peer) => {
                self.parts.shared.with(|inner| inner.verified.remove(&peer));
                self.remembered.remove(&peer);
                self.jobs.spawn(jobs::ban(self.parts.mesh.clone(), peer));
            }
            Order::Revocations(list) => {
                let keeper = Arc::clone(&self.parts.keeper);
                self.jobs
                    .spawn_blocking(move || Done::TookRevocations(keeper.take_revocations(*list)));
            }
        }
    }

    /// The passport was renewed, somebody was revoked, or neither.
    fn on_standing(&mut self) {
        let (passport, revocations, descriptor) = {
            let standing = self.standing.borrow_and_update();
            (
                standing.passport.as_ref().map(|passport| passport.issued),
                standing.revocations.clone(),
                standing.descriptor.sequence,
            )
        };
        if descriptor != self.descriptor_seen {
            self.descriptor_seen = descriptor;
            // Other entrances: whoever is alone dials them at once.
            if self.parts.shared.with(|inner| inner.links.is_empty()) {
                self.bootstrap.lost(Instant::now());
            }
        }
        if passport != self.passport_shown {
            self.passport_shown = passport;
            self.parts.shared.with(|inner| {
                inner
                    .links
                    .values_mut()
                    .for_each(|link| link.wants_greeting = true)
            });
        }
        let Some(list) = revocations.filter(|list| list.sequence > self.revocations_seen) else {
            return;
        };
        self.revocations_seen = list.sequence;
        let revoked = self.parts.shared.with(|inner| {
            inner.cache.revoke(&list);
            inner.verified.revoke(&list)
        });
        for peer in revoked {
            self.remembered.remove(&peer);
            self.jobs
                .spawn(jobs::disconnect(self.parts.mesh.clone(), peer));
        }
        self.jobs.spawn(jobs::spread_revocations(
            self.parts.mesh.clone(),
            list.to_bytes(),
        ));
    }

    /// Whoever can be reached answers queries; until reachability is measured, that is whoever listens.
    fn on_listening(&mut self) {
        let serves = !self.listening.borrow_and_update().is_empty();
        self.jobs
            .spawn(jobs::serve(self.parts.mesh.clone(), serves));
    }

    fn on_done(&mut self, done: Done) {
        match done {
            Done::Greeted(greeting) => self.on_greeted(*greeting),
            Done::Searched(has_succeeded) => {
                let is_first =
                    self.bootstrap
                        .searched(has_succeeded, Instant::now(), rand::random());
                if is_first {
                    self.announcer.again(Instant::now());
                    self.parts.ready.send_replace(true);
                }
            }
            Done::Published {
                site,
                sequence,
                has_succeeded,
            } => {
                self.publications -= 1;
                self.announcer.finished(
                    &site,
                    sequence,
                    has_succeeded,
                    Instant::now(),
                    rand::random(),
                );
            }
            Done::LookedUp(site) => {
                let time = self.parts.shared.verifier.now();
                self.parts
                    .shared
                    .with(|inner| inner.cache.looked_up(&site, time, Instant::now()));
                for reply in self.lookups.remove(&site).unwrap_or_default() {
                    // Whoever asked may have given up.
                    let _ = reply.send(());
                }
            }
            Done::AddedToTable => self.bootstrap.found(Instant::now()),
            Done::ToldSites => self.tellings -= 1,
            Done::ConnectedPeers(peers) => self.on_connected_peers(&peers),
            Done::Saved(Err(error)) => {
                self.has_unsaved = true;
                tracing::warn!(%error, "the file of remembered peers could not be written");
            }
            Done::TookRevocations(Err(error)) => {
                tracing::warn!(%error, "a newer revocation list could not be kept")
            }
            Done::Saved(Ok(())) | Done::TookRevocations(Ok(_)) | Done::Nothing => {}
        }
    }
}

fn fail(error: tokio::task::JoinError) {
    if error.is_panic() {
        tracing::error!("a job of the directory panicked");
    }
}
