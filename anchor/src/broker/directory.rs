//! [`Directory`]: who is online, where, and with which sites and prices. Soft state: a restart forgets it, and the next reports fill it.
//!
//! It holds only what was verified. No device stays longer than its report is good for, and devices and octets are bounded.

use std::{
    collections::{BTreeMap, BTreeSet},
    ops::Bound,
    time::Duration,
};

use madang_protocol::{
    broker::{self, Listing},
    ids::{AccountId, PublicKey, RecordHash},
    record::{announcement::Announcement, passport::Role, tariff::Tariff},
    reject::Reject,
    sealed::Sealed,
    time::UnixMillis,
};

/// One site of one device, verified.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Offer {
    /// The hash of the announcement's octets.
    pub hash: RecordHash,
    /// The announcement.
    pub announcement: Sealed<Announcement>,
    /// The price list that it names.
    pub tariff: Option<Sealed<Tariff>>,
    /// Octets of both.
    pub octets: usize,
}

/// What a device says of itself, verified.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Report {
    /// The device.
    pub device: PublicKey,
    /// Whose it is.
    pub account: AccountId,
    /// What it may be.
    pub role: Role,
    /// Where it listens.
    pub addresses: Vec<String>,
    /// Its sites.
    pub offers: Vec<Offer>,
    /// Grows with each report.
    pub sequence: u64,
}

/// How much the directory takes.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct DirectoryLimits {
    /// Devices.
    pub devices_max: usize,
    /// Octets of announcements and tariffs.
    pub octets_max: usize,
    /// The shortest time between two reports that is asked for.
    pub interval_min: Duration,
    /// Reports a second that are wanted at most.
    pub reports_per_second: u32,
}

/// Who is online.
#[derive(Debug)]
pub struct Directory {
    limits: DirectoryLimits,
    devices: BTreeMap<PublicKey, Present>,
    /// Site → the devices that serve it.
    sites: BTreeMap<String, BTreeSet<PublicKey>>,
    /// When each device's last report is no longer believed.
    deadlines: BTreeSet<(UnixMillis, PublicKey)>,
    hubs: BTreeSet<PublicKey>,
    octets: usize,
}

#[derive(Debug)]
struct Present {
    report: Report,
    octets: usize,
    seen: UnixMillis,
    until: UnixMillis,
}

impl Directory {
    /// Nobody is online.
    pub fn new(limits: DirectoryLimits) -> Self {
        Self {
            limits,
            devices: BTreeMap::new(),
            sites: BTreeMap::new(),
            deadlines: BTreeSet::new(),
            hubs: BTreeSet::new(),
            octets: 0,
        }
    }

    /// Replaces what is known of the report's device, and says when the next report is wanted. [`Reject::SEQUENCE_OLD`] unless the sequence grew since its last one,
    /// [`Reject::BUSY`] where there is no room.
    pub fn handle_report(&mut self, report: Report, now: UnixMillis) -> Result<Duration, Reject> {
        self.handle_timeout(now);
        let octets: usize = report.offers.iter().map(|offer| offer.octets).sum();
        let before = self.devices.get(&report.device);
        if before.is_some_and(|before| before.report.sequence >= report.sequence) {
            return Err(Reject::SEQUENCE_OLD);
        }
        let octets_of_others = self.octets - before.map_or(0, |before| before.octets);
        let is_room = before.is_some() || self.devices.len() < self.limits.devices_max;
        if !is_room || octets_of_others.saturating_add(octets) > self.limits.octets_max {
            return Err(Reject::BUSY);
        }
        self.remove(&report.device);
        let next_report = self.interval();
        self.insert(Present {
            octets,
            seen: now,
            until: now.plus(next_report * INTERVALS_BELIEVED),
            report,
        });
        Ok(next_report)
    }

    /// The device says that it goes away.
    pub fn handle_leave(
        &mut self,
        device: &PublicKey,
        sequence: u64,
        now: UnixMillis,
    ) -> Result<(), Reject> {
        self.handle_timeout(now);
        let Some(before) = self.devices.get(device) else {
            return Ok(());
        };
        if before.report.sequence >= sequence {
            return Err(Reject::SEQUENCE_OLD);
        }
        self.remove(device);
        Ok(())
    }

    /// The device is no longer good.
    pub fn handle_revoked(&mut self, device: &PublicKey) {
        self.remove(device);
    }

    /// Forgets the devices whose reports are no longer believed.
    pub fn handle_timeout(&mut self, now: UnixMillis) {
        while let Some((until, device)) = self.deadlines.first().copied()
            && until <= now
        {
            self.remove(&device);
        }
    }

    /// The device's offers as it reported them last, by the hash of the announcement: what need not be verified again.
    pub fn offers(&self, device: &PublicKey) -> BTreeMap<RecordHash, Offer> {
        let offers = self
            .devices
            .get(device)
            .map(|present| &present.report.offers);
        let offers = offers.into_iter().flatten();
        offers.map(|offer| (offer.hash, offer.clone())).collect()
    }

    /// The number of devices that are online.
    pub fn len(&self) -> usize {
        self.devices.len()
    }

    /// Whether nobody is online.
    pub fn is_empty(&self) -> bool {
        self.devices.is_empty()
    }

    /// Sites in the order of their names, after `after`, at most `limit`.
    pub fn sites(&self, after: Option<&str>, limit: usize) -> broker::Directory {
        let from = after.map_or(Bound::Unbounded, Bound::Excluded);
        let mut names = self.sites.range::<str, _>((from, Bound::Unbounded));
        let sites: Vec<Listing> = names
            .by_ref()
            .take(limit)
            .filter_map(|(site, devices)| self.listing(site, devices))
            .collect();
        let more_after = match (sites.last(), names.next()) {
            (Some(last), Some(_)) => Some(last.site.to_string()),
            (Some(_) | None, None) | (None, Some(_)) => None,
        };
        broker::Directory { sites, more_after }
    }

    /// Whether the device is online.
    pub fn is_online(&self, device: &PublicKey) -> bool {
        self.devices.contains_key(device)
    }

    /// Where a device listens, if it is online.
    pub fn addresses_of(&self, device: &PublicKey) -> &[String] {
        let present = self.devices.get(device);
        present.map_or(&[], |present| present.report.addresses.as_slice())
    }

    /// Where the hubs that are online can be reached, one hub after another, with their keys.
    pub fn hubs(&self) -> impl Iterator<Item = (&PublicKey, &[String])> {
        self.hubs
            .iter()
            .filter_map(|device| self.devices.get_key_value(device))
            .map(|(device, present)| (device, present.report.addresses.as_slice()))
    }

    /// The same of the devices that serve something.
    pub fn servers(&self) -> impl Iterator<Item = (&PublicKey, &[String])> {
        self.devices
            .iter()
            .filter(|(_, present)| !present.report.offers.is_empty())
            .map(|(device, present)| (device, present.report.addresses.as_slice()))
    }

    /// The newest announcement of the site, whichever device it comes from.
    fn listing(&self, site: &str, devices: &BTreeSet<PublicKey>) -> Option<Listing> {
        let present = devices.iter().filter_map(|device| self.devices.get(device));
        let newest = present.max_by_key(|present| present.seen)?;
        let offer = newest
            .report
            .offers
            .iter()
            .find(|offer| offer.name() == site)?;
        let announcement = &offer.announcement;
        Some(Listing {
            site: announcement.site.clone(),
            title: announcement.title.clone(),
            description: announcement.description.clone(),
            keywords: announcement.keywords.clone(),
            audience: announcement.audience,
            tariff: announcement.tariff,
            seen: newest.seen,
        })
    }

    /// Grows with the number of devices, so that reports come no faster than wanted.
    fn interval(&self) -> Duration {
        let devices = u32::try_from(self.devices.len()).unwrap_or(u32::MAX);
        let for_all = Duration::from_secs(1) * devices / self.limits.reports_per_second.max(1);
        for_all.clamp(
            self.limits.interval_min,
            INTERVAL_MAX.max(self.limits.interval_min),
        )
    }

    fn insert(&mut self, present: Present) {
        let device = present.report.device;
        for offer in &present.report.offers {
            self.sites.entry(offer.name()).or_default().insert(device);
        }
        if present.report.role == Role::Hub {
            self.hubs.insert(device);
        }
        self.octets += present.octets;
        self.deadlines.insert((present.until, device));
        self.devices.insert(device, present);
    }

    fn remove(&mut self, device: &PublicKey) {
        let Some(present) = self.devices.remove(device) else {
            return;
        };
        for offer in &present.report.offers {
            let name = offer.name();
            if let Some(devices) = self.sites.get_mut(&name) {
                devices.remove(device);
                if devices.is_empty() {
                    self.sites.remove(&name);
                }
            }
        }
        self.hubs.remove(device);
        self.octets -= present.octets;
        self.deadlines.remove(&(present.until, *device));
    }
}

impl Offer {
    fn name(&self) -> String {
        self.announcement.site.to_string()
    }
}

/// A report is believed this many intervals: one may be lost, and the next be late.
pub(super) const INTERVALS_BELIEVED: u32 = 3;
/// The longest interval, however many devices there are: a list of who is online must not be older than that.
pub(super) const INTERVAL_MAX: Duration = Duration::from_secs(15 * 60);

#[cfg(test)]
mod tests;
