//! What the provider has decided: applied when something is decided, never when it is applied again.

use std::time::Duration;

use madang_protocol::{
    amount::{Amount, Currency},
    limits::{GRANT_SETTLE_WITHIN, GRANT_SPEND_WITHIN},
    record::network::Tax,
};

use super::month::UtcOffset;

/// The provider's decisions on money and sizes.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Policy {
    /// The one currency of wallets and prices.
    pub currency: Currency,
    /// The tax that new grants carry.
    pub tax: Tax,
    /// Devices of one account that are good at one time.
    pub devices_per_account_max: usize,
    /// Grants of one device whose hold has not ended.
    pub open_grants_per_device_max: u32,
    /// Grants of one device in one UTC day.
    pub grants_per_device_and_day_max: u32,
    /// What one device may be granted in one UTC day, without tax on top, less what was returned the same day:
    /// what a stolen key can cost before it is revoked.
    pub amount_per_device_and_day_max: Amount,
    /// How long a grant may be spent; at most [`GRANT_SPEND_WITHIN`].
    pub grant_spend_within: Duration,
    /// How long a grant may be settled; at most [`GRANT_SETTLE_WITHIN`].
    pub grant_settle_within: Duration,
    /// In whose time a month begins and ends: a billing period is one.
    pub period_offset: UtcOffset,
    /// How long after its end a period still takes what is settled late under its grants, before it is closed.
    pub period_grace: Duration,
}

impl Policy {
    /// The defaults, in won and without tax.
    pub const DEFAULT: Self = Self {
        currency: Currency::KRW,
        tax: Tax::NONE,
        devices_per_account_max: 16,
        open_grants_per_device_max: 1_000,
        grants_per_device_and_day_max: 10_000,
        amount_per_device_and_day_max: Amount::from_micros(1_000_000 * 1_000_000),
        grant_spend_within: GRANT_SPEND_WITHIN,
        grant_settle_within: GRANT_SETTLE_WITHIN,
        period_offset: UtcOffset::UTC,
        period_grace: Duration::from_secs(3 * 24 * 3_600),
    };
}

impl Default for Policy {
    fn default() -> Self {
        Self::DEFAULT
    }
}

/// Devices that one account may ever enrol, revoked ones included: their keys stay refused, so that the rows must stay.
pub const DEVICES_EVER_PER_ACCOUNT_MAX: usize = 512;
/// The most that all top-ups together may come to, in base units: keeps every wallet within 63 bits.
pub const CASH_MAX: u64 = 1 << 62;
/// The most promotional credit that all accounts together may have been given, in base units.
pub const PROMOTIONS_MAX: u64 = 1 << 62;
/// Lots of promotional credit that one account has at one time: a grant names those it holds.
pub const LOTS_PER_ACCOUNT_MAX: usize = 16;
/// Octets of the reason that an operator gives for an entry.
pub const REASON_BYTES_MAX: usize = 500;
/// A buyer may contest what was settled for this long after it was settled last; until then nobody is paid it out.
pub const DISPUTE_WITHIN: Duration = Duration::from_secs(14 * 24 * 3_600);
/// Members of one organisation, and organisations of one person.
pub const MEMBERS_MAX: usize = 64;
/// Disputes that one buyer has open at one time.
pub const DISPUTES_OPEN_PER_ACCOUNT_MAX: usize = 100;
/// A grant whose earnings could become payable but for a dispute is looked at no more often than this.
pub const CONTESTED_LOOK_AGAIN: Duration = Duration::from_secs(24 * 3_600);
/// A hold that waits for its seller's presence is looked at no more often than this.
pub const RELEASE_LOOK_AGAIN_MIN: Duration = Duration::from_secs(3_600);
/// Presence is written down no more often than this, for a device that a hold waits for.
pub const PRESENCE_NOTED_EVERY: Duration = Duration::from_secs(10 * 60);
/// Between two reports no further apart a device counts as present.
pub const PRESENCE_GAP_MAX: Duration = Duration::from_secs(3_600);
/// A batch's verdict is kept this long: no receipt of it can be settled afterwards.
pub const VERDICT_KEPT: Duration = Duration::from_secs(15 * 24 * 3_600);
/// Free use of a period is forgotten this long after its end: no grant of it is open then.
pub const QUOTA_KEPT: Duration = Duration::from_secs(15 * 24 * 3_600);
/// Usage reports are taken for days this far back.
pub const USAGE_DAYS_BACK_MAX: u32 = 7;
/// Usage reports are kept this long.
pub const USAGE_KEPT: Duration = Duration::from_secs(400 * 24 * 3_600);
/// Due things done in one step, so that nobody waits long for a sweep.
pub const SWEEP_STEP: usize = 256;
/// Steps that the statistics' follower takes in one tick: a long history is caught up with over several.
pub const ROLL_UPS_PER_TICK: u32 = 16;
/// Passes of one account that are looked through.
pub const PASSES_LISTED_MAX: usize = 1_000;
/// Rows of one account's bill that are looked through for one page.
pub const BILL_ROWS_MAX: usize = 2_000;
/// Accounts whose documents are made by one event.
pub const PERIOD_STEP_ACCOUNTS: usize = 256;
/// Grants that are looked through at one time for a period's documents, and for a page of one document.
pub const DOCUMENT_ROWS_MAX: usize = 500;
/// Lines of one page of a document.
pub const DOCUMENT_PAGE_MAX: usize = 200;
/// Documents of one page of an account's list.
pub const DOCUMENTS_LISTED_MAX: usize = 200;
/// Periods in a list.
pub const PERIODS_LISTED_MAX: usize = 120;
/// Taxes that the lines of one document have.
pub const DOCUMENT_TAXES_MAX: usize = 64;
