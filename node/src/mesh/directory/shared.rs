//! [`Shared`]: what the directory's task, its handles and the swarm's policy know together. Locks are held for moments, never across an await
//! and never while a signature is checked.

use std::collections::{HashMap, VecDeque};
use std::num::NonZeroUsize;
use std::time::{Duration, Instant};

use libp2p::multiaddr::Protocol;
use libp2p::{Multiaddr, PeerId};
use madang_protocol::{
    ids::PublicKey,
    limits::ADDRESSES_MAX,
    record::{passport::Passport, revocation::RevocationList},
    reject::{Reject, Score},
    sealed::Sealed,
};
use parking_lot::Mutex;
use tokio::sync::{Notify, mpsc};

use super::cache::Cache;
use super::refusals::{Refusals, Way};
use super::verifier::Verifier;
use crate::mesh::kademlia::Entry;
use crate::mesh::peers::conduct::{Action, Conduct};
use crate::mesh::peers::rate::{Allowance, Rates};
use crate::mesh::peers::verified::Verified;

/// Peers whose rates are remembered.
const RATED_MAX: NonZeroUsize = NonZeroUsize::new(1_024).expect("not zero");
/// Messages and records that one peer may have us check: each costs two signatures, 80 µs.
const CHECKS: Allowance = Allowance {
    burst: 512,
    every: Duration::from_millis(50),
};
/// Newer announcements of one device that are passed on: all of its sites twice, and then now and then one.
const NEWS: Allowance = Allowance {
    burst: 128,
    every: Duration::from_secs(10),
};
/// Entries that wait for the hello of the peer that sent them.
const WAITING_MAX: usize = 512;
/// Of these, entries of one peer.
const WAITING_PER_PEER: usize = 32;
/// How long they wait: a hello that takes longer has failed.
const WAITING_LIFE: Duration = Duration::from_secs(10);

/// A hello that failed is tried again so often.
const GREETINGS_TRIED: u8 = 3;
/// A peer whose passport is no longer fresh is asked for another one this often.
const ASK_AGAIN_AFTER: Duration = Duration::from_secs(600);

/// Something that the swarm's policy has the directory's task do.
#[derive(Debug)]
pub(in crate::mesh) enum Order {
    /// Keep a peer out.
    Ban(PeerId),
    /// Take in a newer revocation list.
    Revocations(Box<Sealed<RevocationList>>),
}

/// A connected peer.
#[derive(Debug, Clone, Default)]
pub(in crate::mesh) struct Link {
    /// Where it can be dialled, as far as we know, the address that worked first.
    pub(in crate::mesh) addresses: Vec<Multiaddr>,
    /// Whether it answers queries of the directory.
    pub(in crate::mesh) serves: bool,
    /// Whether a hello of ours with it is to begin.
    pub(in crate::mesh) wants_greeting: bool,
    /// Whether a hello of ours with it runs.
    pub(in crate::mesh) greeting: bool,
    /// Whether a hello with it has ended.
    pub(in crate::mesh) was_greeted: bool,
    /// Hellos of ours that failed.
    failures: u8,
    /// When we last said hello because its passport was no longer fresh.
    asked_again: Option<Instant>,
    /// Whether it runs on this machine, or in this process.
    is_local: bool,
}

impl Link {
    /// A new connection: where it leads, and whether we dialled it.
    pub(in crate::mesh) fn connected(&mut self, remote: &Multiaddr, dialed: bool) {
        self.is_local = is_local(remote);
        self.wants_greeting = dialed;
        if dialed {
            self.addresses = vec![remote.clone()];
        }
    }

    /// The peer says where it listens. Addresses on its own machine are of no use on another.
    pub(in crate::mesh) fn identified(&mut self, addresses: Vec<Multiaddr>, serves: bool) {
        self.serves = serves;
        let usable = addresses
            .into_iter()
            .filter(|address| self.is_local || !is_local(address));
        for address in usable.collect::<Vec<_>>() {
            if self.addresses.len() < ADDRESSES_MAX && !self.addresses.contains(&address) {
                self.addresses.push(address);
            }
        }
    }

    /// A hello has ended.
    pub(in crate::mesh) fn greeted(&mut self, is_good: bool, has_failed: bool, by_us: bool) {
        self.was_greeted |= is_good || !has_failed || self.failures + 1 >= GREETINGS_TRIED;
        if by_us {
            self.greeting = false;
            self.failures = if has_failed {
                self.failures.saturating_add(1)
            } else {
                0
            };
            self.wants_greeting |= has_failed && self.failures < GREETINGS_TRIED;
        }
    }

    /// Asks for a fresh passport, now and then.
    pub(in crate::mesh) fn greet_when_stale(&mut self, now: Instant) {
        let is_due = self
            .asked_again
            .is_none_or(|at| now.saturating_duration_since(at) >= ASK_AGAIN_AFTER);
        if is_due {
            self.asked_again = Some(now);
            self.wants_greeting = true;
        }
    }
}

fn is_local(address: &Multiaddr) -> bool {
    let first = address.iter().next();
    if let Some(Protocol::Ip4(ip)) = first {
        return ip.is_loopback();
    }
    if let Some(Protocol::Ip6(ip)) = first {
        return ip.is_loopback();
    }
    matches!(first, Some(Protocol::Memory(_)))
}

/// What is behind the lock.
pub(in crate::mesh) struct Inner {
    pub(in crate::mesh) cache: Cache,
    pub(in crate::mesh) conduct: Conduct,
    pub(in crate::mesh) verified: Verified,
    pub(in crate::mesh) links: HashMap<PeerId, Link>,
    pub(in crate::mesh) checks: Rates<PeerId>,
    pub(in crate::mesh) news: Rates<PublicKey>,
    waiting: VecDeque<(Instant, PeerId, Entry)>,
}

/// What is known together.
pub(in crate::mesh) struct Shared {
    pub(in crate::mesh) verifier: Verifier,
    pub(in crate::mesh) refusals: Refusals,
    /// Told whenever a hello ends or a peer goes.
    pub(in crate::mesh) greeted: Notify,
    orders: mpsc::Sender<Order>,
    inner: Mutex<Inner>,
}

impl Shared {
    pub(in crate::mesh) fn new(verifier: Verifier, orders: mpsc::Sender<Order>) -> Self {
        let inner = Inner {
            cache: Cache::new(),
            conduct: Conduct::new(),
            verified: Verified::new(),
            links: HashMap::new(),
            checks: Rates::new(CHECKS, RATED_MAX),
            news: Rates::new(NEWS, RATED_MAX),
            waiting: VecDeque::new(),
        };
        Self {
            verifier,
            refusals: Refusals::default(),
            greeted: Notify::new(),
            orders,
            inner: Mutex::new(inner),
        }
    }

    /// Reads or changes what is behind the lock.
    pub(in crate::mesh) fn with<T>(&self, act: impl FnOnce(&mut Inner) -> T) -> T {
        act(&mut self.inner.lock())
    }

    /// The passport of `peer`, if it has shown one that is good now.
    pub(in crate::mesh) fn passport_of(&self, peer: &PeerId) -> Option<Sealed<Passport>> {
        let now = self.verifier.now();
        self.with(|inner| inner.verified.get(peer, now).cloned())
    }

    /// Counts a refusal and holds it against `source` if it is its fault.
    pub(in crate::mesh) fn refuse(&self, way: Way, reject: Reject, source: PeerId) {
        self.refusals.note(way, reject);
        if !is_fault_of_source(way, reject) {
            return;
        }
        tracing::debug!(peer = %source, ?reject, ?way, "refused");
        let action = self.with(|inner| inner.conduct.note(source, reject, Instant::now()));
        if action == Action::Ban {
            self.order(Order::Ban(source));
        }
    }

    /// Has the directory's task do something. When it is far behind, the order is dropped: what caused it comes again.
    pub(in crate::mesh) fn order(&self, order: Order) {
        if self.orders.try_send(order).is_err() {
            tracing::debug!("the directory's task is behind with its orders");
        }
    }

    /// Keeps an entry until the hello of the peer that sent it has ended.
    pub(in crate::mesh) fn wait_for_hello(&self, source: PeerId, entry: Entry, now: Instant) {
        self.with(|inner| {
            let waiting = &mut inner.waiting;
            while waiting
                .front()
                .is_some_and(|(since, _, _)| now.saturating_duration_since(*since) >= WAITING_LIFE)
            {
                waiting.pop_front();
            }
            let of_peer = waiting
                .iter()
                .filter(|(_, peer, _)| *peer == source)
                .count();
            if waiting.len() < WAITING_MAX && of_peer < WAITING_PER_PEER {
                waiting.push_back((now, source, entry));
            }
        });
    }

    /// The entries that waited for the hello of `peer`.
    pub(in crate::mesh) fn waited(&self, peer: &PeerId, now: Instant) -> Vec<Entry> {
        self.with(|inner| {
            let (of_peer, others) = std::mem::take(&mut inner.waiting)
                .into_iter()
                .partition(|(_, by, _)| by == peer);
            inner.waiting = others;
            let of_peer: VecDeque<(Instant, PeerId, Entry)> = of_peer;
            let fresh = of_peer
                .into_iter()
                .filter(|(at, _, _)| now.saturating_duration_since(*at) < WAITING_LIFE);
            fresh.map(|(_, _, entry)| entry).collect()
        })
    }
}

/// Whoever passes on another's record answers for its form and its signature, but not for what depends on the time, or on how much of the
/// issuer's word has reached whom.
pub(in crate::mesh) fn is_fault_of_source(way: Way, reject: Reject) -> bool {
    const DEPENDS_ON_STANDING: &[Reject] = &[
        Reject::SIGNER_UNKNOWN,
        Reject::RECORD_EXPIRED,
        Reject::RECORD_FROM_FUTURE,
        Reject::SEQUENCE_OLD,
        Reject::PASSPORT_EXPIRED,
        Reject::PASSPORT_NOT_FRESH,
        Reject::DEVICE_REVOKED,
        Reject::ACCOUNT_CLOSED,
    ];
    let passes_on = match way {
        Way::Gossip | Way::Record | Way::Lookup => true,
        Way::Hello | Way::Provider | Way::Session => false,
    };
    reject.score() != Score::Keep && !(passes_on && DEPENDS_ON_STANDING.contains(&reject))
}
