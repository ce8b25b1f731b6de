//! The part of the directory's task that deals with connected peers: hello, and what a good one leads to.

use std::sync::Arc;
use std::time::Instant;

use libp2p::{Multiaddr, PeerId};

use super::Service;
use crate::mesh::directory::jobs::{self, Greeting};
use crate::mesh::directory::shared::Order;
use crate::mesh::handle::{ConnectedPeer, PeerEvent};
use crate::mesh::stream::Stream;

/// Hellos that run at once.
const GREETINGS_MAX: usize = 64;

impl Service {
    /// Asks for the newer passports of peers that have been connected for long.
    pub(super) fn greet_the_stale(&mut self, now: Instant) {
        let verifier = self.parts.shared.verifier.clone();
        let time = verifier.now();
        self.parts.shared.with(|inner| {
            for (peer, link) in &mut inner.links {
                let passport = inner.verified.get(peer, time);
                if passport.is_some_and(|passport| verifier.check_again(passport).is_err()) {
                    link.greet_when_stale(now);
                }
            }
        });
    }

    pub(super) fn greet_due(&mut self) {
        let room = GREETINGS_MAX.saturating_sub(self.greetings);
        let due: Vec<_> = self.parts.shared.with(|inner| {
            let due = inner
                .links
                .iter_mut()
                .filter(|(_, link)| link.wants_greeting && !link.greeting);
            due.take(room)
                .map(|(peer, link)| {
                    link.wants_greeting = false;
                    link.greeting = true;
                    *peer
                })
                .collect()
        });
        for peer in due {
            self.greetings += 1;
            let greeting = jobs::greet(
                self.parts.mesh.clone(),
                self.parts.shared.verifier.clone(),
                peer,
            );
            self.jobs.spawn(greeting);
        }
    }

    pub(super) fn on_hello(&mut self, stream: Stream) {
        if self.greetings < GREETINGS_MAX {
            self.greetings += 1;
            self.jobs
                .spawn(jobs::answer(stream, self.parts.shared.verifier.clone()));
        }
    }

    pub(super) fn on_peer_event(&mut self, event: PeerEvent) {
        match event {
            PeerEvent::Connected(connected) => self.on_connected(&connected),
            PeerEvent::Identified {
                peer,
                addresses,
                serves,
            } => self.on_identified(peer, addresses, serves),
            PeerEvent::Disconnected(peer) => self.on_disconnected(&peer),
            PeerEvent::Unreachable(peer) => {
                self.remembered.failed(&peer);
                self.parts
                    .shared
                    .with(|inner| inner.cache.unreachable(peer, Instant::now()));
            }
        }
    }

    pub(super) fn on_connected(&mut self, connected: &ConnectedPeer) {
        let time = self.parts.shared.verifier.now();
        self.parts.shared.with(|inner| {
            inner.cache.reached(&connected.peer, time);
            let link = inner.links.entry(connected.peer).or_default();
            link.connected(&connected.address, connected.dialed);
        });
    }

    pub(super) fn on_identified(&mut self, peer: PeerId, addresses: Vec<Multiaddr>, serves: bool) {
        let is_known = self.parts.shared.with(|inner| {
            let Some(link) = inner.links.get_mut(&peer) else {
                return false;
            };
            link.identified(addresses, serves);
            true
        });
        if is_known && self.parts.shared.passport_of(&peer).is_some() {
            self.welcome(peer);
        }
    }

    pub(super) fn on_disconnected(&mut self, peer: &PeerId) {
        let left = self.parts.shared.with(|inner| {
            inner.links.remove(peer);
            inner.links.len()
        });
        self.parts.shared.greeted.notify_waiters();
        if left == 0 {
            self.bootstrap.lost(Instant::now());
        }
    }

    /// Events were missed: the links are made anew from what is connected.
    pub(super) fn catch_up(&mut self) {
        self.jobs
            .spawn(jobs::connected_peers(self.parts.mesh.clone()));
    }

    pub(super) fn on_connected_peers(&mut self, peers: &[ConnectedPeer]) {
        let known: Vec<_> = self
            .parts
            .shared
            .with(|inner| inner.links.keys().copied().collect());
        for peer in known
            .iter()
            .filter(|peer| !peers.iter().any(|one| one.peer == **peer))
        {
            self.on_disconnected(peer);
        }
        for connected in peers.iter().filter(|one| !known.contains(&one.peer)) {
            self.on_connected(connected);
        }
    }

    /// A peer has shown a good passport and said where it is: it becomes part of what we know of the mesh.
    pub(super) fn welcome(&mut self, peer: PeerId) {
        let link = self
            .parts
            .shared
            .with(|inner| inner.links.get(&peer).cloned());
        let Some(link) = link.filter(|link| link.serves && !link.addresses.is_empty()) else {
            return;
        };
        self.remembered
            .connected(&peer, &link.addresses, self.parts.shared.verifier.now());
        self.has_unsaved = true;
        self.jobs.spawn(jobs::add_to_table(
            self.parts.mesh.clone(),
            peer,
            link.addresses,
        ));
    }

    pub(super) fn on_greeted(&mut self, greeting: Greeting) {
        self.greetings -= 1;
        let peer = greeting.peer;
        let shared = Arc::clone(&self.parts.shared);
        let has_failed = greeting.outcome.is_err();
        let is_good = match greeting.outcome {
            Ok(learned) => {
                if let Some(list) = learned.revocations {
                    self.on_order(Order::Revocations(Box::new(list)));
                }
                if let Some(reject) = learned.refused_by_peer {
                    tracing::debug!(%peer, ?reject, "a peer does not take our passport");
                }
                jobs::take_passport(&shared, peer, learned.passport)
            }
            Err(error) => {
                jobs::blame(&shared, peer, &error, greeting.by_us);
                false
            }
        };
        shared.with(|inner| {
            if let Some(link) = inner.links.get_mut(&peer) {
                link.greeted(is_good, has_failed, greeting.by_us);
            }
        });
        shared.greeted.notify_waiters();
        if is_good {
            self.welcome(peer);
            let waited = shared.waited(&peer, Instant::now());
            if !waited.is_empty() {
                self.jobs
                    .spawn(jobs::offer(self.parts.mesh.clone(), peer, waited));
            }
        }
    }
}
