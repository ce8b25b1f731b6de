//! [`Cache`]: the announcements that this node believes, by site and device, however they came. Bounded; time is an argument.
//!
//! It never holds what has not been verified. A withdrawal stays as a mark, so that what it withdrew does not come back by a slower way.

use std::collections::BTreeMap;
use std::num::NonZeroUsize;
use std::time::{Duration, Instant};

use libp2p::PeerId;
use lru::LruCache;
use madang_protocol::{
    ids::PublicKey,
    name::SiteName,
    record::revocation::RevocationList,
    reject::Reject,
    rules::announcement::{Believed, Succession, believed_until, succeeds},
    time::UnixMillis,
};

/// Sites that are remembered, the least recently used first to go.
const SITES_MAX: NonZeroUsize = NonZeroUsize::new(4_096).expect("not zero");
/// Devices of one site.
const DEVICES_PER_SITE_MAX: usize = 16;
/// Sites that are known not to be found.
const MISSING_MAX: NonZeroUsize = NonZeroUsize::new(1_024).expect("not zero");
/// A site that was not found is looked for again after this long: long enough to absorb a page that asks for it in each of its pictures.
const MISSING_LIFE: Duration = Duration::from_secs(2);
/// How long the answer of the first lookup of a site holds, of the second, and of any further one. The first may have come before the site's other devices
/// had announced theirs, or before this node heard of news; a device that is connected does not tell of another.
const ANSWER_LIVES: [Duration; 3] = [
    Duration::from_secs(3),
    Duration::from_secs(30),
    Duration::from_secs(300),
];
/// Peers that did not answer.
const UNREACHABLE_MAX: NonZeroUsize = NonZeroUsize::new(4_096).expect("not zero");
/// A peer that did not answer is tried again after this long.
const UNREACHABLE_LIFE: Duration = Duration::from_secs(30);

/// One device that serves a site.
#[derive(Debug, Clone)]
pub(in crate::mesh) struct Device {
    /// What it says.
    pub(in crate::mesh) believed: Believed,
    /// Who it is in the mesh.
    pub(in crate::mesh) peer: PeerId,
    /// When it was last known to be there, by its own word or by a connection.
    pub(in crate::mesh) seen: UnixMillis,
}

#[derive(Debug, Default)]
struct Site {
    devices: BTreeMap<PublicKey, Device>,
    looked_up: Option<LookedUp>,
}

/// The lookups of a site that had an answer.
#[derive(Debug, Clone, Copy)]
struct LookedUp {
    last: Instant,
    times: usize,
}

/// What is believed about sites.
#[derive(Debug)]
pub(in crate::mesh) struct Cache {
    sites: LruCache<SiteName, Site>,
    missing: LruCache<SiteName, Instant>,
    unreachable: LruCache<PeerId, Instant>,
}

impl Cache {
    /// Nothing is known.
    pub(in crate::mesh) fn new() -> Self {
        Self {
            sites: LruCache::new(SITES_MAX),
            missing: LruCache::new(MISSING_MAX),
            unreachable: LruCache::new(UNREACHABLE_MAX),
        }
    }

    /// Takes in an announcement of the device that is `peer` in the mesh.
    ///
    /// # Errors
    /// [`Reject::SEQUENCE_OLD`], or [`Reject::TOO_MANY`] when the site has too many devices already.
    pub(in crate::mesh) fn offer(
        &mut self,
        believed: Believed,
        peer: PeerId,
        now: UnixMillis,
    ) -> Result<Succession, Reject> {
        let site = self
            .sites
            .get_or_insert_mut(believed.announcement.site.clone(), Site::default);
        site.devices
            .retain(|_, device| now < believed_until(&device.believed.announcement));
        let key = believed.announcement.device;
        let seen = believed.announcement.issued.min(now);
        let succession = match site.devices.get(&key) {
            Some(held) => succeeds(&held.believed.announcement, &believed.announcement)?,
            None if site.devices.len() >= DEVICES_PER_SITE_MAX => return Err(Reject::TOO_MANY),
            None => Succession::Newer,
        };
        if succession == Succession::Newer {
            let held = site.devices.get(&key);
            let has_moved = held.is_some_and(|held| {
                held.believed.announcement.addresses != believed.announcement.addresses
            });
            let seen = held.map_or(seen, |held| held.seen.max(seen));
            self.missing.pop(&believed.announcement.site);
            site.devices.insert(
                key,
                Device {
                    believed,
                    peer,
                    seen,
                },
            );
            if has_moved {
                self.unreachable.pop(&peer);
            }
        }
        Ok(succession)
    }

    /// The devices that serve `site`, the best first; those that did not answer a moment ago are left out.
    pub(in crate::mesh) fn candidates(
        &mut self,
        site: &SiteName,
        now: UnixMillis,
        instant: Instant,
        is_connected: impl Fn(&PeerId) -> bool,
    ) -> Vec<Device> {
        let Some(known) = self.sites.get(site) else {
            return Vec::new();
        };
        let mut devices: Vec<_> = known
            .devices
            .values()
            .filter(|device| is_offered(device, now))
            .filter(|device| {
                is_connected(&device.peer) || !is_marked(&self.unreachable, &device.peer, instant)
            })
            .cloned()
            .collect();
        // Connected ones first, then those that were there last, then the newest word.
        devices.sort_by_key(|device| {
            let sequence = device.believed.announcement.sequence;
            std::cmp::Reverse((is_connected(&device.peer), device.seen, sequence))
        });
        devices
    }

    /// When any device of `site` was last known to be there; `None` if no announcement of it is believed.
    pub(in crate::mesh) fn last_seen(
        &self,
        site: &SiteName,
        now: UnixMillis,
    ) -> Option<UnixMillis> {
        let devices = self.sites.peek(site)?.devices.values();
        devices
            .filter(|device| is_offered(device, now))
            .map(|device| device.seen)
            .max()
    }

    /// `peer` is connected now.
    pub(in crate::mesh) fn reached(&mut self, peer: &PeerId, now: UnixMillis) {
        self.unreachable.pop(peer);
        for (_, site) in &mut self.sites {
            for device in site
                .devices
                .values_mut()
                .filter(|device| device.peer == *peer)
            {
                device.seen = device.seen.max(now);
            }
        }
    }

    /// `peer` did not answer at its addresses.
    pub(in crate::mesh) fn unreachable(&mut self, peer: PeerId, instant: Instant) {
        self.unreachable.put(peer, instant);
    }

    /// A lookup of `site` has ended.
    pub(in crate::mesh) fn looked_up(
        &mut self,
        site: &SiteName,
        now: UnixMillis,
        instant: Instant,
    ) {
        match self.sites.get_mut(site) {
            Some(known) if known.devices.values().any(|device| is_offered(device, now)) => {
                known.looked_up = Some(LookedUp {
                    last: instant,
                    times: known.looked_up.map_or(1, |before| before.times + 1),
                });
            }
            Some(_) | None => drop(self.missing.put(site.clone(), instant)),
        }
    }

    /// When a lookup of `site` last ended with an answer.
    pub(in crate::mesh) fn looked_up_at(&self, site: &SiteName) -> Option<Instant> {
        Some(self.sites.peek(site)?.looked_up?.last)
    }

    /// Whether what is known of `site` is to be looked up anew.
    pub(in crate::mesh) fn is_old(&self, site: &SiteName, instant: Instant) -> bool {
        let known = self.sites.peek(site).and_then(|site| site.looked_up);
        known.is_none_or(|known| {
            let life = ANSWER_LIVES[(known.times - 1).min(ANSWER_LIVES.len() - 1)];
            instant.saturating_duration_since(known.last) >= life
        })
    }

    /// Whether `site` was looked for a moment ago and not found.
    pub(in crate::mesh) fn is_missing(&self, site: &SiteName, instant: Instant) -> bool {
        let since = self.missing.peek(site);
        since.is_some_and(|since| instant.saturating_duration_since(*since) < MISSING_LIFE)
    }

    /// What is known of `device` serving `site`.
    pub(in crate::mesh) fn device(&self, site: &SiteName, device: &PublicKey) -> Option<&Device> {
        self.sites.peek(site)?.devices.get(device)
    }

    /// Every device of every site that is offered at `now`.
    pub(in crate::mesh) fn offered(&self, now: UnixMillis) -> impl Iterator<Item = &Device> {
        let devices = self
            .sites
            .iter()
            .flat_map(|(_, site)| site.devices.values());
        devices.filter(move |device| is_offered(device, now))
    }

    /// Drops what has expired.
    pub(in crate::mesh) fn expire(&mut self, now: UnixMillis) {
        self.retain(|device| now < believed_until(&device.believed.announcement));
    }

    /// Drops what revoked devices and accounts have announced.
    pub(in crate::mesh) fn revoke(&mut self, list: &RevocationList) {
        self.retain(|device| {
            !list.revokes(
                &device.believed.passport.device,
                &device.believed.passport.account,
            )
        });
    }

    fn retain(&mut self, keep: impl Fn(&Device) -> bool) {
        let mut empty = Vec::new();
        for (name, site) in &mut self.sites {
            site.devices.retain(|_, device| keep(device));
            if site.devices.is_empty() {
                empty.push(name.clone());
            }
        }
        for name in empty {
            self.sites.pop(&name);
        }
    }
}

fn is_offered(device: &Device, now: UnixMillis) -> bool {
    let announcement = &device.believed.announcement;
    !announcement.withdraws()
        && now < announcement.expires
        && now < device.believed.passport.expires
}

fn is_marked(unreachable: &LruCache<PeerId, Instant>, peer: &PeerId, instant: Instant) -> bool {
    let since = unreachable.peek(peer);
    since.is_some_and(|since| instant.saturating_duration_since(*since) < UNREACHABLE_LIFE)
}
