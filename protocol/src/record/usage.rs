//! [`UsageReport`]: a node says how much its sites were used on one day, free use included. For statistics, never for money.

use serde::{Deserialize, Serialize};

use super::bounds::require;
use crate::{
    ids::{GroupId, PublicKey},
    limits::{COUNTER_MAX, USAGE_BYTES_MAX, USAGE_ROWS_MAX},
    name::SiteName,
    reject::Reject,
    sealed::{Record, Signer},
    time::{Day, UnixMillis},
};

/// Who used a site.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
pub enum Visitor {
    /// A client that did not say who it is.
    Stranger,
    /// A subscriber of the network.
    Subscriber,
    /// A subscriber who came as a member of the row's group.
    Member,
}

/// The use of one site by one kind of visitor on one day, so far.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct UsageRow {
    /// The site.
    pub site: SiteName,
    /// The group, where the use belongs to one.
    pub group: Option<GroupId>,
    /// The kind of visitor.
    pub visitor: Visitor,
    /// Requests on paths without a price.
    pub requests_free: u64,
    /// Requests on paths with a price.
    pub requests_paid: u64,
    /// Content octets, free and paid.
    pub bytes: u64,
    /// Connections on which at least one request came.
    pub sessions: u64,
}

/// The whole of one day so far; a higher sequence of the same device and day replaces it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct UsageReport {
    /// The serving device, which signs.
    pub device: PublicKey,
    /// The day, in UTC.
    pub day: Day,
    /// Grows with each report of the same day.
    pub sequence: u64,
    /// In ascending order of site, group and visitor, each once.
    pub rows: Vec<UsageRow>,
    /// When it was made.
    pub time: UnixMillis,
}

impl Record for UsageReport {
    const DOMAIN: &'static str = "madang usage report";
    const VERSION: u16 = 1;
    const BYTES_MAX: usize = USAGE_BYTES_MAX;

    fn signer(&self) -> Signer {
        Signer::Device(self.device)
    }

    fn check(&self) -> Result<(), Reject> {
        let key = |row: &UsageRow| (row.site.clone(), row.group, row.visitor);
        require(
            self.rows.len() <= USAGE_ROWS_MAX
                && self
                    .rows
                    .windows(2)
                    .all(|pair| key(&pair[0]) < key(&pair[1])),
        )?;
        let within = |row: &UsageRow| {
            [
                row.requests_free,
                row.requests_paid,
                row.bytes,
                row.sessions,
            ]
            .iter()
            .all(|count| *count <= COUNTER_MAX)
        };
        require(self.rows.iter().all(within))
    }
}
