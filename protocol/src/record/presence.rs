//! [`Presence`]: a node tells the anchor that it is there, where, and what it serves.

use serde::{Deserialize, Serialize};

use super::{
    announcement::Announcement,
    bounds::{addresses, require},
    tariff::Tariff,
};
use crate::{
    ids::PublicKey,
    limits::{PRESENCE_BYTES_MAX, SITES_PER_DEVICE_MAX},
    reject::Reject,
    sealed::{Record, Signer, Unverified},
    time::UnixMillis,
};

/// The whole of what a node serves at one moment. The anchor's answer says when to report next.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Presence {
    /// The device, which signs.
    pub device: PublicKey,
    /// Where it listens.
    pub addresses: Vec<String>,
    /// Every site it serves.
    pub announcements: Vec<Unverified<Announcement>>,
    /// The price lists that the announcements name.
    pub tariffs: Vec<Unverified<Tariff>>,
    /// The node goes away with this report.
    pub leaving: bool,
    /// Grows with each report.
    pub sequence: u64,
    /// When it was made.
    pub time: UnixMillis,
}

impl Record for Presence {
    const DOMAIN: &'static str = "madang presence";
    const VERSION: u16 = 1;
    const BYTES_MAX: usize = PRESENCE_BYTES_MAX;

    fn signer(&self) -> Signer {
        Signer::Device(self.device)
    }

    fn check(&self) -> Result<(), Reject> {
        addresses(&self.addresses)?;
        require(
            self.announcements.len() <= SITES_PER_DEVICE_MAX
                && self.tariffs.len() <= SITES_PER_DEVICE_MAX,
        )?;
        require(
            self.announcements
                .iter()
                .all(|one| one.claims().device == self.device),
        )?;
        require(
            self.tariffs
                .iter()
                .all(|one| one.claims().device == self.device),
        )
    }
}
