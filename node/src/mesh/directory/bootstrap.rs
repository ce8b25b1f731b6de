//! [`Bootstrap`]: whom to dial, and when to search, so that this node is part of the mesh and stays so. No I/O; time and jitter are arguments.
//!
//! Entrances are the network's bootstrap peers and those remembered from earlier runs, mixed: neither a provider that went away nor a file that
//! someone filled cuts this node off.

use std::collections::VecDeque;
use std::time::{Duration, Instant};

use libp2p::multiaddr::Protocol;
use libp2p::{Multiaddr, PeerId};

use super::announcer::jittered;

/// Fewer connections than this, and entrances are dialled.
const CONNECTED_ENOUGH: usize = 4;
/// Entrances that are dialled at once.
const DIALS_AT_ONCE: usize = 6;
/// Between two rounds of dials; doubled each time nobody answered, up to the longest.
const ROUND_SHORTEST: Duration = Duration::from_secs(1);
const ROUND_LONGEST: Duration = Duration::from_secs(60);
/// After the first searches, how long until the next; the last one from then on. The first ones find who joined at the same time.
const SEARCH_INTERVALS: [Duration; 3] = [
    Duration::from_secs(60),
    Duration::from_secs(180),
    Duration::from_secs(600),
];

/// After a search that nobody answered.
const SEARCH_RETRY: Duration = Duration::from_secs(5);

/// How far a search goes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(in crate::mesh) enum Search {
    /// To this node's own neighbourhood: enough to be found, and to find.
    Near,
    /// To random places as well, which fill the far parts of the routing table.
    Wide,
}

/// A peer and where it was.
pub(in crate::mesh) type Entrance = (PeerId, Vec<Multiaddr>);

/// When to dial and when to search.
#[derive(Debug)]
pub(in crate::mesh) struct Bootstrap {
    /// Entrances in the order in which they are tried.
    round: VecDeque<Entrance>,
    next_dials: Instant,
    fruitless: u32,
    next_search: Option<Instant>,
    searches: usize,
    is_searching: bool,
}

impl Bootstrap {
    /// Nobody is connected; dials are due.
    pub(in crate::mesh) fn new(now: Instant) -> Self {
        Self {
            round: VecDeque::new(),
            next_dials: now,
            fruitless: 0,
            next_search: None,
            searches: 0,
            is_searching: false,
        }
    }

    /// The entrances to dial now, of which none is connected. `entrances` gives all of them when a new round begins.
    pub(in crate::mesh) fn dials(
        &mut self,
        now: Instant,
        connected: usize,
        jitter: f64,
        entrances: impl FnOnce() -> Vec<Entrance>,
    ) -> Vec<Entrance> {
        if connected >= CONNECTED_ENOUGH {
            self.fruitless = 0;
            self.round.clear();
            self.next_dials = now;
            return Vec::new();
        }
        if now < self.next_dials {
            return Vec::new();
        }
        if self.round.is_empty() {
            self.round = entrances().into();
        }
        let wait = ROUND_LONGEST.min(ROUND_SHORTEST * 2_u32.saturating_pow(self.fruitless.min(16)));
        self.next_dials = now + jittered(wait, jitter);
        // Whoever has a connection is in no hurry to have four.
        self.fruitless = if connected > 0 {
            self.fruitless.max(3)
        } else {
            self.fruitless
        };
        self.fruitless = self.fruitless.saturating_add(1);
        self.round
            .drain(..self.round.len().min(DIALS_AT_ONCE))
            .collect()
    }

    /// A peer that answers queries is new in the routing table.
    pub(in crate::mesh) fn found(&mut self, now: Instant) {
        if self.next_search.is_none() {
            self.next_search = Some(now);
        }
    }

    /// The search of this node's neighbourhood that is to begin now, if one is. It is [`Bootstrap::searched`] later.
    pub(in crate::mesh) fn search(&mut self, now: Instant) -> Option<Search> {
        let is_due = !self.is_searching && self.next_search.is_some_and(|next| next <= now);
        self.is_searching |= is_due;
        is_due.then_some(if self.searches == 0 {
            Search::Near
        } else {
            Search::Wide
        })
    }

    /// The search has ended; whether it was the first that succeeded.
    pub(in crate::mesh) fn searched(
        &mut self,
        has_succeeded: bool,
        now: Instant,
        jitter: f64,
    ) -> bool {
        self.is_searching = false;
        if !has_succeeded {
            self.next_search = Some(now + jittered(SEARCH_RETRY, jitter));
            return false;
        }
        self.searches += 1;
        let wait = SEARCH_INTERVALS[(self.searches - 1).min(SEARCH_INTERVALS.len() - 1)];
        self.next_search = Some(now + jittered(wait, jitter));
        self.searches == 1
    }

    /// The mesh has been lost: this machine slept, or its network went away.
    pub(in crate::mesh) fn lost(&mut self, now: Instant) {
        let is_searching = self.is_searching;
        *self = Self {
            is_searching,
            ..Self::new(now)
        };
    }
}

/// An address that ends in a peer id, taken apart.
pub(in crate::mesh) fn entrance(address: &str) -> Option<Entrance> {
    let mut address: Multiaddr = address.parse().ok()?;
    let Protocol::P2p(peer) = address.pop()? else {
        return None;
    };
    (!address.is_empty()).then(|| (peer, vec![address]))
}

/// `a` and `b` in turn, each peer once, without those that `skip` names.
pub(in crate::mesh) fn mixed(
    a: Vec<Entrance>,
    b: Vec<Entrance>,
    skip: impl Fn(&PeerId) -> bool,
) -> Vec<Entrance> {
    let (mut a, mut b) = (VecDeque::from(a), VecDeque::from(b));
    let mut all: Vec<Entrance> = Vec::new();
    while !(a.is_empty() && b.is_empty()) {
        for (peer, addresses) in [a.pop_front(), b.pop_front()].into_iter().flatten() {
            if skip(&peer) {
                continue;
            }
            match all.iter_mut().find(|(known, _)| *known == peer) {
                Some((_, known)) => known.extend(
                    addresses
                        .into_iter()
                        .filter(|one| !known.contains(one))
                        .collect::<Vec<_>>(),
                ),
                None => all.push((peer, addresses)),
            }
        }
    }
    all
}

#[cfg(test)]
#[expect(clippy::unwrap_used, reason = "a test may stop at a surprise")]
mod tests {
    use super::*;

    fn peers(count: u16) -> Vec<Entrance> {
        let address = |n| format!("/ip4/192.0.2.1/tcp/{}", 1_000 + n).parse().unwrap();
        (0..count)
            .map(|n| (PeerId::random(), vec![address(n)]))
            .collect()
    }

    #[test]
    fn entrances_are_dialled_in_turn_and_ever_less_often() {
        let now = Instant::now();
        let (mut bootstrap, all) = (Bootstrap::new(now), peers(8));
        let dialled = bootstrap.dials(now, 0, 0.5, || all.clone());
        assert_eq!(dialled, all[..DIALS_AT_ONCE]);
        assert!(bootstrap.dials(now, 0, 0.5, || all.clone()).is_empty());
        let dialled = bootstrap.dials(now + ROUND_SHORTEST, 0, 0.5, || all.clone());
        assert_eq!(dialled, all[DIALS_AT_ONCE..]);
        assert!(
            bootstrap
                .dials(now + ROUND_SHORTEST * 2, 0, 0.5, || all.clone())
                .is_empty()
        );
        assert_eq!(
            bootstrap
                .dials(now + ROUND_SHORTEST * 3, 0, 0.5, || all.clone())
                .len(),
            DIALS_AT_ONCE
        );
        let mut at = now + ROUND_SHORTEST * 3;
        for _ in 0..20 {
            at += ROUND_LONGEST * 2;
            assert!(!bootstrap.dials(at, 0, 0.5, || all.clone()).is_empty());
        }
        assert!(
            bootstrap
                .dials(at + ROUND_LONGEST / 2, 0, 0.5, || all.clone())
                .is_empty()
        );
    }

    #[test]
    fn who_is_connected_dials_nobody_and_who_loses_all_dials_at_once() {
        let now = Instant::now();
        let mut bootstrap = Bootstrap::new(now);
        assert!(
            bootstrap
                .dials(now, CONNECTED_ENOUGH, 0.5, || peers(8))
                .is_empty()
        );
        assert!(!bootstrap.dials(now, 0, 0.5, || peers(8)).is_empty());
    }

    #[test]
    fn searches_begin_with_the_first_peer_and_become_rare() {
        let now = Instant::now();
        let mut bootstrap = Bootstrap::new(now);
        assert_eq!(bootstrap.search(now), None);
        bootstrap.found(now);
        assert_eq!(
            (bootstrap.search(now), bootstrap.search(now)),
            (Some(Search::Near), None)
        );
        assert!(bootstrap.searched(true, now, 0.5));
        assert_eq!(bootstrap.search(now), None);
        assert_eq!(
            bootstrap.search(now + SEARCH_INTERVALS[0]),
            Some(Search::Wide)
        );
        assert!(!bootstrap.searched(true, now, 0.5));
        assert_eq!(
            bootstrap.search(now + SEARCH_INTERVALS[1]),
            Some(Search::Wide)
        );
        // Nobody answered: again soon.
        assert!(!bootstrap.searched(false, now, 0.5));
        assert_eq!(bootstrap.search(now), None);
        assert_eq!(bootstrap.search(now + SEARCH_RETRY), Some(Search::Wide));
        bootstrap.lost(now);
        assert!(!bootstrap.searched(false, now, 0.5));
        assert_eq!(bootstrap.search(now + SEARCH_RETRY), Some(Search::Near));
        assert!(bootstrap.searched(true, now, 0.5));
    }

    #[test]
    fn both_kinds_of_entrances_take_turns() {
        let (named, remembered) = (peers(2), peers(3));
        let mut both = remembered.clone();
        both.push(named[0].clone());
        let skipped = remembered[1].0;
        let order: Vec<_> = mixed(named.clone(), both, |peer| *peer == skipped)
            .into_iter()
            .map(|(peer, _)| peer)
            .collect();
        assert_eq!(
            order,
            [named[0].0, remembered[0].0, named[1].0, remembered[2].0]
        );
    }

    #[test]
    fn an_entrance_names_its_peer() {
        let peer = PeerId::random();
        let (read, addresses) = entrance(&format!("/ip4/192.0.2.1/tcp/4001/p2p/{peer}")).unwrap();
        assert_eq!(
            (read, addresses[0].to_string().as_str()),
            (peer, "/ip4/192.0.2.1/tcp/4001")
        );
        for bad in [
            "",
            "/ip4/192.0.2.1/tcp/4001",
            "nonsense",
            &format!("/p2p/{peer}"),
        ] {
            assert_eq!(entrance(bad), None, "{bad}");
        }
    }
}
