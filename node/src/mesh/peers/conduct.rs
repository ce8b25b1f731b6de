//! [`Conduct`]: refusals that count against the peer that caused them, until it is banned for a while. Time is an argument.

use std::collections::BTreeMap;
use std::num::NonZeroUsize;
use std::time::{Duration, Instant};

use libp2p::PeerId;
use lru::LruCache;
use madang_protocol::reject::{Reject, Score};

/// Peers with a mark against them that are remembered.
const MARKED_MAX: NonZeroUsize = NonZeroUsize::new(1_024).expect("not zero");
/// Marks at which a peer is banned.
const MARKS_MAX: u32 = 8;
/// One mark is forgotten after this long.
const MARK_LIFE: Duration = Duration::from_secs(60);
/// A ban's length: the next try costs the peer another one.
const BAN: Duration = Duration::from_secs(3_600);
/// Bans that run at once; beyond, the one that ends first ends now.
const BANNED_MAX: usize = 4_096;

/// What to do about a peer.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(in crate::mesh) enum Action {
    /// Nothing more.
    Keep,
    /// Disconnect it and keep it out until [`Conduct::pardoned`] names it.
    Ban,
}

/// The marks and bans of peers.
#[derive(Debug)]
pub(in crate::mesh) struct Conduct {
    marks: LruCache<PeerId, (u32, Instant)>,
    banned: BTreeMap<PeerId, Instant>,
}

impl Conduct {
    /// Nobody has done anything yet.
    pub(in crate::mesh) fn new() -> Self {
        Self {
            marks: LruCache::new(MARKED_MAX),
            banned: BTreeMap::new(),
        }
    }

    /// Counts `reject` against `peer`.
    pub(in crate::mesh) fn note(&mut self, peer: PeerId, reject: Reject, now: Instant) -> Action {
        match reject.score() {
            Score::Keep => Action::Keep,
            Score::Ban => self.ban(peer, now),
            Score::Lower => {
                let (marks, since) = self.marks.get_or_insert_mut(peer, || (0, now));
                let forgotten =
                    now.saturating_duration_since(*since).as_secs() / MARK_LIFE.as_secs();
                let forgotten = u32::try_from(forgotten).unwrap_or(u32::MAX);
                if forgotten > 0 {
                    *marks = marks.saturating_sub(forgotten);
                    *since = now;
                }
                *marks += 1;
                if *marks < MARKS_MAX {
                    return Action::Keep;
                }
                self.marks.pop(&peer);
                self.ban(peer, now)
            }
        }
    }

    /// Whether `peer` is kept out.
    pub(in crate::mesh) fn is_banned(&self, peer: &PeerId) -> bool {
        self.banned.contains_key(peer)
    }

    /// The peers whose bans have ended by `now`, each once.
    pub(in crate::mesh) fn pardoned(&mut self, now: Instant) -> Vec<PeerId> {
        let excess = self.banned.len().saturating_sub(BANNED_MAX);
        let mut ends: Vec<_> = self
            .banned
            .iter()
            .map(|(peer, end)| (*end, *peer))
            .collect();
        ends.sort_unstable();
        let due = ends
            .iter()
            .enumerate()
            .filter(|(at, (end, _))| *at < excess || *end <= now);
        let pardoned: Vec<_> = due.map(|(_, (_, peer))| *peer).collect();
        for peer in &pardoned {
            self.banned.remove(peer);
        }
        pardoned
    }

    fn ban(&mut self, peer: PeerId, now: Instant) -> Action {
        if self.banned.len() > 2 * BANNED_MAX {
            // Only until the next look at who is pardoned.
            return Action::Ban;
        }
        self.banned.insert(peer, now + BAN);
        Action::Ban
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_forgery_bans_at_once_and_for_a_while() {
        let (mut conduct, peer, now) = (Conduct::new(), PeerId::random(), Instant::now());
        assert_eq!(
            conduct.note(peer, Reject::SIGNATURE_WRONG, now),
            Action::Ban
        );
        assert!(conduct.is_banned(&peer));
        assert_eq!(conduct.pardoned(now + BAN / 2), []);
        assert_eq!(conduct.pardoned(now + BAN), [peer]);
        assert!(!conduct.is_banned(&peer));
        assert_eq!(conduct.pardoned(now + BAN), []);
    }

    #[test]
    fn small_faults_add_up_and_fade() {
        let (mut conduct, peer, now) = (Conduct::new(), PeerId::random(), Instant::now());
        for nth in 1..MARKS_MAX {
            assert_eq!(
                conduct.note(peer, Reject::NETWORK_FOREIGN, now),
                Action::Keep,
                "{nth}"
            );
        }
        let later = now + 2 * MARK_LIFE;
        assert_eq!(
            conduct.note(peer, Reject::NETWORK_FOREIGN, later),
            Action::Keep
        );
        assert_eq!(
            conduct.note(peer, Reject::NETWORK_FOREIGN, later),
            Action::Keep
        );
        assert_eq!(
            conduct.note(peer, Reject::NETWORK_FOREIGN, later),
            Action::Ban
        );
    }

    #[test]
    fn what_honest_peers_do_counts_nothing() {
        let (mut conduct, peer, now) = (Conduct::new(), PeerId::random(), Instant::now());
        for _ in 0..1_000 {
            assert_eq!(
                conduct.note(peer, Reject::RECORD_EXPIRED, now),
                Action::Keep
            );
            assert_eq!(conduct.note(peer, Reject::SEQUENCE_OLD, now), Action::Keep);
        }
        assert!(!conduct.is_banned(&peer));
    }

    #[test]
    fn bans_are_bounded() {
        let (mut conduct, now) = (Conduct::new(), Instant::now());
        for _ in 0..3 * BANNED_MAX {
            conduct.note(PeerId::random(), Reject::SIGNATURE_WRONG, now);
        }
        assert!(conduct.banned.len() <= 2 * BANNED_MAX + 1);
        conduct.pardoned(now);
        assert_eq!(conduct.banned.len(), BANNED_MAX);
    }
}
