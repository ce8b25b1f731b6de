//! What a node's rows hold.

use std::collections::BTreeSet;

use madang_protocol::{
    amount::Amount,
    ids::{AccountId, GrantId, TariffHash},
    name::SiteName,
    record::{grant::Grant, receipt::Receipt, tariff::Tariff},
    sealed::Unverified,
    time::UnixMillis,
};
use serde::{Deserialize, Serialize};

/// A receipt that a seller holds.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct HeldRow {
    /// The highest receipt of its grant.
    pub receipt: Unverified<Receipt>,
    /// What the anchor has settled of the grant.
    pub settled: Amount,
    /// What of that is the seller's.
    pub earned: Amount,
    /// The sequence of the receipt that the anchor has judged last; 0 before the first verdict.
    pub judged: u64,
}

impl HeldRow {
    /// Whether the anchor has judged the receipt.
    pub fn is_judged(&self) -> bool {
        self.receipt.claims().sequence <= self.judged
    }
}

/// A pass that a seller has sold.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct PassRow {
    /// Who bought it.
    pub account: AccountId,
    /// The site.
    pub site: SiteName,
    /// The pattern of the tariff's rule.
    pub pattern: String,
    /// The grant that bought it.
    pub grant: GrantId,
    /// When it ends.
    pub until: UnixMillis,
}

/// A pass that a buyer has signed for.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct BoughtRow {
    /// What was bought, by whom, and until when it lasts by this node's own count.
    pub pass: PassRow,
    /// When it was signed for.
    pub bought: UnixMillis,
}

/// A visitor's agreement to pay a site.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct AgreementRow {
    /// The site.
    pub site: SiteName,
    /// At these prices.
    pub tariff: TariffHash,
    /// At most so much is to leave the wallet in all.
    pub budget: Amount,
    /// Buy the passes of these rules.
    pub passes: BTreeSet<u16>,
    /// When it was given.
    pub since: UnixMillis,
    /// What leaves the wallet for what was signed for under it.
    pub spent: Amount,
    /// When the site was stopped for not delivering.
    pub stopped: Option<UnixMillis>,
}

/// A grant that a buyer holds.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct GrantRow {
    /// The grant.
    pub grant: Unverified<Grant>,
    /// Its price list.
    pub tariff: Unverified<Tariff>,
    /// The anchor knows that this node is done with it.
    pub closed: bool,
}
