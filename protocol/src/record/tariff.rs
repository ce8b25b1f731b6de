//! [`Tariff`]: a seller's price list for one site. The first rule whose pattern fits a path holds; a path that none fits is free.

use serde::{Deserialize, Serialize};

use super::bounds::require;
use crate::{
    amount::{Amount, Currency},
    ids::{GroupId, PublicKey, TariffHash},
    limits::{
        COUNTER_MAX, PASS_DAYS_MAX, PRICE_MAX, QUOTA_PERIOD_DAYS_MAX, RECORD_BYTES_MAX,
        TARIFF_RULES_MAX,
    },
    name::SiteName,
    reject::Reject,
    rules::path::is_pattern,
    sealed::{Record, Sealed, Signer, Unverified},
    time::{MILLIS_PER_DAY, UnixMillis},
};

/// Who may use something.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub enum Audience {
    /// Anyone, known or not.
    Anyone,
    /// Subscribers of this network.
    Subscribers,
    /// Members of a group.
    Members(GroupId),
}

/// A price for free use of a rule's paths during some days.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct PassOffer {
    /// What it costs.
    pub price: Amount,
    /// How long it lasts, in days.
    pub days: u16,
}

/// What each buyer has free of charge in each period.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Quota {
    /// Requests.
    pub requests: u64,
    /// Octets.
    pub bytes: u64,
    /// Milliseconds.
    pub milliseconds: u64,
}

impl Quota {
    /// Whether nothing is free.
    pub fn is_empty(&self) -> bool {
        *self == Self::default()
    }
}

/// Prices for the paths that fit a pattern.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Rule {
    /// `/` and segments; `*` stands for any run of characters within a segment, a last segment `**` for any rest, also none.
    pub pattern: String,
    /// Who may use these paths.
    pub audience: Audience,
    /// For each counted request.
    pub per_request: Amount,
    /// For each 2^20 octets.
    pub per_mib: Amount,
    /// For each minute of open responses.
    pub per_minute: Amount,
    /// A pass in place of all of these.
    pub pass: Option<PassOffer>,
    /// Free use in each period.
    pub quota: Quota,
    /// The length of a quota's period in days, counted from 1970-01-01; 0 where there is no quota.
    pub quota_period_days: u16,
}

impl Rule {
    /// Whether anything on these paths costs anything.
    pub fn has_price(&self) -> bool {
        !(self.per_request.is_zero() && self.per_mib.is_zero() && self.per_minute.is_zero())
            || self.pass.is_some()
    }

    /// The number of the quota's period at `now`, and when that period ends. Every party counts the same free use in the same period.
    pub fn quota_period(&self, now: UnixMillis) -> (u64, UnixMillis) {
        let length = u64::from(self.quota_period_days).max(1) * MILLIS_PER_DAY;
        let period = now.0 / length;
        (period, UnixMillis((period + 1).saturating_mul(length)))
    }

    /// Whether a pass is the only way to use these paths.
    pub fn is_pass_only(&self) -> bool {
        self.pass.is_some()
            && self.per_request.is_zero()
            && self.per_mib.is_zero()
            && self.per_minute.is_zero()
    }

    fn check(&self) -> Result<(), Reject> {
        require(is_pattern(&self.pattern))?;
        require(
            [self.per_request, self.per_mib, self.per_minute]
                .iter()
                .all(|price| *price <= PRICE_MAX),
        )?;
        if let Some(pass) = self.pass {
            require(pass.price <= PRICE_MAX && (1..=PASS_DAYS_MAX).contains(&pass.days))?;
        }
        let quota = self.quota;
        require(
            [quota.requests, quota.bytes, quota.milliseconds]
                .iter()
                .all(|free| *free <= COUNTER_MAX),
        )?;
        require(
            self.quota_period_days <= QUOTA_PERIOD_DAYS_MAX
                && self.quota.is_empty() == (self.quota_period_days == 0),
        )
    }
}

/// A site's price list, signed by the device that serves it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Tariff {
    /// The seller's device.
    pub device: PublicKey,
    /// The site.
    pub site: SiteName,
    /// The currency of every price.
    pub currency: Currency,
    /// In the order in which they are tried.
    pub rules: Vec<Rule>,
    /// Good from this time on.
    pub valid_from: UnixMillis,
    /// Good until this time.
    pub valid_until: UnixMillis,
    /// Grows with each change of this site's prices.
    pub sequence: u64,
}

impl Tariff {
    /// Whether it is good at `now`.
    pub fn is_valid_at(&self, now: UnixMillis) -> bool {
        self.valid_from <= now && now < self.valid_until
    }
}

impl Record for Tariff {
    const DOMAIN: &'static str = "madang tariff";
    const VERSION: u16 = 1;
    const BYTES_MAX: usize = RECORD_BYTES_MAX;

    fn signer(&self) -> Signer {
        Signer::Device(self.device)
    }

    fn check(&self) -> Result<(), Reject> {
        require(
            self.currency.is_valid()
                && self.rules.len() <= TARIFF_RULES_MAX
                && self.valid_from < self.valid_until,
        )?;
        self.rules.iter().try_for_each(Rule::check)
    }
}

impl Sealed<Tariff> {
    /// The hash by which grants and receipts name this tariff.
    pub fn tariff_hash(&self) -> TariffHash {
        TariffHash(self.hash().0)
    }
}

impl Unverified<Tariff> {
    /// The hash by which grants and receipts name this tariff.
    pub fn tariff_hash(&self) -> TariffHash {
        TariffHash(self.hash().0)
    }
}
