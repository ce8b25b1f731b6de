//! [`Announcer`]: when this node's own announcements go out again. No I/O; time and the jitter are arguments.
//!
//! An announcement goes out at once, a few times soon after (the first copies may have gone to the wrong peers, while the mesh was still being
//! found), and then every hour, so that it outlives those who held it.

use std::collections::{BTreeMap, BTreeSet};
use std::time::{Duration, Instant};

use madang_protocol::{
    limits::{ANNOUNCEMENT_LIFE, SITES_PER_DEVICE_MAX},
    name::SiteName,
    record::announcement::Announcement,
    rules::announcement::believed_until,
    sealed::Sealed,
    time::{UnixMillis, time_until},
};

use super::keys;

/// After the first publications, how long until the next; the last one from then on. The first of all may have gone to peers that had not been shown
/// this node's passport yet, and so do not keep it.
const INTERVALS: [Duration; 5] = [
    Duration::from_secs(3),
    Duration::from_secs(12),
    Duration::from_secs(60),
    Duration::from_secs(600),
    Duration::from_secs(3_600),
];
/// After a publication that failed; doubled each time up to the longest.
const RETRY_SHORTEST: Duration = Duration::from_secs(2);
const RETRY_LONGEST: Duration = Duration::from_secs(120);
/// Publications of a withdrawal; then its site is forgotten.
const WITHDRAWAL_ROUNDS: usize = 3;
/// The part of an interval, in percent, by which it is longer or shorter, so that nodes that started together do not publish together.
const JITTER_PERCENT: u32 = 10;

/// What goes out.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(in crate::mesh) struct Publication {
    /// The site.
    pub(in crate::mesh) site: SiteName,
    /// Which word on it.
    pub(in crate::mesh) sequence: u64,
    /// Where the record lies.
    pub(in crate::mesh) key: Vec<u8>,
    /// The sealed announcement.
    pub(in crate::mesh) octets: Vec<u8>,
    /// How long it is to be kept.
    pub(in crate::mesh) life: Duration,
    /// Under which keys this node is a provider.
    pub(in crate::mesh) provided: BTreeSet<Vec<u8>>,
    /// The topic on which it is news.
    pub(in crate::mesh) topic: Option<String>,
}

#[derive(Debug)]
struct Own {
    announcement: Sealed<Announcement>,
    next: Instant,
    rounds: usize,
    failures: u32,
    is_running: bool,
    /// The mesh was found while it ran: it may have gone to nobody.
    is_stale: bool,
}

impl Own {
    fn provided(&self) -> BTreeSet<Vec<u8>> {
        if self.announcement.withdraws() {
            return BTreeSet::new();
        }
        let device = &self.announcement.device;
        let words = self.announcement.keywords.iter();
        let words = words.map(|word| keys::keyword_key(word, keys::keyword_shard(word, device)));
        words
            .chain([keys::site_key(&self.announcement.site)])
            .collect()
    }
}

/// This node's own announcements.
#[derive(Debug, Default)]
pub(in crate::mesh) struct Announcer {
    own: BTreeMap<SiteName, Own>,
}

impl Announcer {
    /// Announces exactly `announcements` from now on, of at most [`SITES_PER_DEVICE_MAX`] sites. Gives the keys that are provided no more.
    pub(in crate::mesh) fn replace(
        &mut self,
        announcements: Vec<Sealed<Announcement>>,
        now: Instant,
    ) -> BTreeSet<Vec<u8>> {
        let before = self.provided();
        let mut previous = std::mem::take(&mut self.own);
        for announcement in announcements.into_iter().take(SITES_PER_DEVICE_MAX) {
            let site = announcement.site.clone();
            let own = match previous.remove(&site) {
                Some(own) if own.announcement == announcement => own,
                Some(_) | None => Own {
                    announcement,
                    next: now,
                    rounds: 0,
                    failures: 0,
                    is_running: false,
                    is_stale: false,
                },
            };
            self.own.insert(site, own);
        }
        let after = self.provided();
        before.difference(&after).cloned().collect()
    }

    /// What is to go out by `now`, at `most` so many; `time` is the same moment as it is signed. Each is [`Announcer::finished`] later.
    pub(in crate::mesh) fn due(
        &mut self,
        now: Instant,
        time: UnixMillis,
        most: usize,
    ) -> Vec<Publication> {
        self.own
            .retain(|_, own| time < believed_until(&own.announcement));
        let due = self
            .own
            .values_mut()
            .filter(|own| !own.is_running && own.next <= now);
        due.take(most)
            .map(|own| {
                own.is_running = true;
                publication(own, time)
            })
            .collect()
    }

    /// A publication has ended. `jitter` lies between 0 and 1.
    pub(in crate::mesh) fn finished(
        &mut self,
        site: &SiteName,
        sequence: u64,
        has_succeeded: bool,
        now: Instant,
        jitter: f64,
    ) {
        // What was replaced meanwhile is due by itself.
        let Some(own) = self
            .own
            .get_mut(site)
            .filter(|own| own.announcement.sequence == sequence)
        else {
            return;
        };
        own.is_running = false;
        if std::mem::take(&mut own.is_stale) {
            own.next = now;
            return;
        }
        let wait = if has_succeeded {
            own.failures = 0;
            own.rounds += 1;
            INTERVALS[(own.rounds - 1).min(INTERVALS.len() - 1)]
        } else {
            own.failures += 1;
            RETRY_LONGEST.min(RETRY_SHORTEST * 2_u32.saturating_pow((own.failures - 1).min(16)))
        };
        own.next = now + jittered(wait, jitter);
        if own.announcement.withdraws() && own.rounds >= WITHDRAWAL_ROUNDS {
            self.own.remove(site);
        }
    }

    /// The mesh has been found, again: everything goes out now.
    pub(in crate::mesh) fn again(&mut self, now: Instant) {
        for own in self.own.values_mut() {
            own.next = now;
            own.rounds = 0;
            own.failures = 0;
            own.is_stale = own.is_running;
        }
    }

    /// The sites that are announced.
    pub(in crate::mesh) fn sites(&self) -> impl Iterator<Item = &SiteName> {
        self.own.keys()
    }

    /// What is announced and not withdrawn.
    pub(in crate::mesh) fn announced(&self) -> impl Iterator<Item = &Sealed<Announcement>> {
        self.own
            .values()
            .map(|own| &own.announcement)
            .filter(|announcement| !announcement.withdraws())
    }

    fn provided(&self) -> BTreeSet<Vec<u8>> {
        self.own.values().flat_map(Own::provided).collect()
    }
}

fn publication(own: &Own, time: UnixMillis) -> Publication {
    let announcement = &own.announcement;
    Publication {
        site: announcement.site.clone(),
        sequence: announcement.sequence,
        key: keys::announcement_key(&announcement.site, &announcement.device),
        octets: announcement.to_bytes(),
        life: time_until(time, believed_until(announcement), ANNOUNCEMENT_LIFE),
        provided: own.provided(),
        topic: (own.rounds < INTERVALS.len())
            .then(|| keys::announce_topic(keys::gossip_shard(&announcement.site))),
    }
}

/// `wait`, longer or shorter by a tenth.
pub(in crate::mesh) fn jittered(wait: Duration, jitter: f64) -> Duration {
    let range = wait * JITTER_PERCENT / 100;
    wait - range + range.mul_f64(2.0 * jitter.clamp(0.0, 1.0))
}
