//! The tables and the keys of their rows. Numbers are never reused.

use madang_protocol::{
    amount::Currency,
    ids::{AccountId, BatchId, PublicKey, RequestId},
    time::{Day, UnixMillis},
};

use super::{month::Month, pack::Unpacker, view::Fault};

/// A table of rows.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
#[repr(u8)]
pub enum Table {
    /// Not a table: the events of the journal.
    Journal = 0,
    /// Account → who it is.
    Account = 1,
    /// Handle → account.
    Handle = 2,
    /// Device → whose it is.
    Device = 3,
    /// Account, device → nothing: the devices of an account.
    AccountDevice = 4,
    /// Device → its last sign-in.
    SignIn = 5,
    /// Device → what it was granted lately.
    Spending = 6,
    /// Ledger account → its balance.
    Balance = 7,
    /// Request of a top-up → what it was.
    TopUp = 8,
    /// Device, request of a grant → the grant.
    Request = 9,
    /// Grant → its terms, which never change.
    Grant = 10,
    /// Grant → how far it is settled and closed.
    Progress = 11,
    /// Tariff → its sealed bytes.
    Tariff = 12,
    /// Tariff → number of grants that name it.
    TariffUse = 13,
    /// Buyer, rule, period → free use taken.
    Quota = 14,
    /// Device, batch → its verdict.
    Batch = 15,
    /// Account, rule → how long its pass lasts.
    Pass = 16,
    /// Account, entry of the grant → the grant: bills.
    Bill = 17,
    /// Time, what → nothing: what is to be done when.
    Deadline = 18,
    /// Time, device or account → nothing: who is no longer good.
    Revocation = 19,
    /// One row: the sequence of the revocation list.
    RevocationSequence = 20,
    /// Device, day → its usage report.
    Usage = 21,
    /// Device → its reported presence, while a hold waits for it.
    Presence = 22,
    /// Account, end, entry → promotional credit that is left.
    Promotion = 23,
    /// Entry that an operator booked → how much of it stands.
    Booking = 24,
    /// Request of an operator's adjustment → what it was.
    Adjustment = 25,
    /// Grant → its dispute.
    Dispute = 26,
    /// Whose list, time, grant → nothing: disputes in the order in which they began.
    DisputeList = 27,
    /// Organisation → its tax and its members.
    Organisation = 28,
    /// Person, organisation → nothing: what a person is a member of.
    MemberOf = 29,
    /// Entry → the money that it moved.
    Entry = 30,
    /// Day → the sealed statement of where the chains ended.
    HeadStatement = 31,
    /// Account → its profile, sealed.
    Profile = 41,
    /// Keyed hash of a handle whose owner left → nothing.
    HandleLeft = 42,
    /// Account that left → when, until its data key is known to be deleted.
    Erasing = 43,
    /// One row: which billing period is open, and what is frozen.
    Calendar = 34,
    /// Period → its entries, and how far it is closed.
    Period = 35,
    /// Period, account, entry of the grant → what moved in it under a grant of an earlier, frozen period.
    Late = 36,
    /// Kind, year, number → a document: an invoice, a seller's statement, what corrects them.
    Document = 37,
    /// Account, period, kind → the document's number.
    DocumentOf = 38,
    /// Kind, year → the last number that was given.
    DocumentCount = 39,
    /// Kind of subject, day, month or year, subject → its figures.
    Statistic = 50,
    /// Until when it is needed, device, day, use → what is counted of the device's usage report.
    StatisticReport = 51,
    /// Until when it is needed, day or month, who → nothing: who was there then.
    StatisticSeen = 52,
    /// One row: how far the figures reach.
    StatisticCursor = 53,
}

impl Table {
    /// All tables of rows.
    pub const ALL: [Self; 44] = [
        Self::Account,
        Self::Handle,
        Self::Device,
        Self::AccountDevice,
        Self::SignIn,
        Self::Spending,
        Self::Balance,
        Self::TopUp,
        Self::Request,
        Self::Grant,
        Self::Progress,
        Self::Tariff,
        Self::TariffUse,
        Self::Quota,
        Self::Batch,
        Self::Pass,
        Self::Bill,
        Self::Deadline,
        Self::Revocation,
        Self::RevocationSequence,
        Self::Usage,
        Self::Presence,
        Self::Promotion,
        Self::Booking,
        Self::Adjustment,
        Self::Dispute,
        Self::DisputeList,
        Self::Organisation,
        Self::MemberOf,
        Self::Entry,
        Self::HeadStatement,
        Self::Profile,
        Self::HandleLeft,
        Self::Erasing,
        Self::Calendar,
        Self::Period,
        Self::Late,
        Self::Document,
        Self::DocumentOf,
        Self::DocumentCount,
        Self::Statistic,
        Self::StatisticReport,
        Self::StatisticSeen,
        Self::StatisticCursor,
    ];
}

/// One side of every entry. Every entry moves money between these, in one currency.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum LedgerAccount {
    /// What the provider received from its subscribers.
    Cash,
    /// What a subscriber may spend; below zero: owes.
    Wallet(AccountId),
    /// What a subscriber has earned by serving; below zero: must first be earned again.
    Earnings(AccountId),
    /// What the provider has earned.
    Commission,
    /// What goes to the state.
    Tax,
    /// What a subscriber may spend, and is never paid out.
    Promotion(AccountId),
    /// What the provider has given as promotional credit.
    Promotions,
}

impl LedgerAccount {
    /// The key of its balance in `currency`.
    pub fn key(self, currency: Currency) -> Vec<u8> {
        let (tag, account) = self.parts();
        let mut key = vec![tag];
        key.extend_from_slice(currency.as_str().as_bytes());
        key.extend_from_slice(account.as_ref().map_or(&[], AccountId::as_bytes));
        key
    }

    /// The ledger account and the currency of a balance's key.
    pub(super) fn of_key(key: &[u8]) -> Option<(Self, Currency)> {
        let (tag, rest) = key.split_first()?;
        let (currency, account) = rest.split_at_checked(3)?;
        let currency = std::str::from_utf8(currency).ok()?.parse().ok()?;
        let of_account = Self::of_account(*tag);
        let ledger_account = match (of_account, account) {
            (Some(of), account) => of(AccountId(account.try_into().ok()?)),
            (None, []) => Self::of_provider(*tag)?,
            (None, _) => return None,
        };
        Some((ledger_account, currency))
    }

    /// The number of its kind, and whose it is, unless it is the provider's own.
    pub(super) fn parts(self) -> (u8, Option<AccountId>) {
        match self {
            Self::Cash => (0, None),
            Self::Wallet(account) => (1, Some(account)),
            Self::Earnings(account) => (2, Some(account)),
            Self::Commission => (3, None),
            Self::Tax => (4, None),
            Self::Promotion(account) => (5, Some(account)),
            Self::Promotions => (6, None),
        }
    }

    /// Reads its parts, one behind the other.
    pub(super) fn read(row: &mut Unpacker<'_>) -> Result<Self, Fault> {
        let tag = row.u8()?;
        match Self::of_account(tag) {
            Some(of) => Ok(of(AccountId(row.array()?))),
            None => Self::of_provider(tag).ok_or_else(|| row.bad()),
        }
    }

    fn of_account(tag: u8) -> Option<fn(AccountId) -> Self> {
        match tag {
            1 => Some(Self::Wallet),
            2 => Some(Self::Earnings),
            5 => Some(Self::Promotion),
            _ => None,
        }
    }

    fn of_provider(tag: u8) -> Option<Self> {
        match tag {
            0 => Some(Self::Cash),
            3 => Some(Self::Commission),
            4 => Some(Self::Tax),
            6 => Some(Self::Promotions),
            _ => None,
        }
    }
}

/// Whether a balance's key is of the provider's own: every settlement adds to those.
pub(crate) fn is_providers(key: &[u8]) -> bool {
    key.len() == 4
}

/// A key of two identifiers.
pub(super) fn pair(first: &[u8], second: &[u8]) -> Vec<u8> {
    let mut key = Vec::with_capacity(first.len() + second.len());
    key.extend_from_slice(first);
    key.extend_from_slice(second);
    key
}

pub(super) fn account_device(account: &AccountId, device: &PublicKey) -> Vec<u8> {
    pair(account.as_bytes(), device.as_bytes())
}

pub(super) fn revocation(time: UnixMillis, tag: u8, id: &[u8]) -> Vec<u8> {
    let mut key = time.0.to_be_bytes().to_vec();
    key.push(tag);
    key.extend_from_slice(id);
    key
}

pub(super) fn device_request(device: &PublicKey, request: &RequestId) -> Vec<u8> {
    pair(device.as_bytes(), request.as_bytes())
}

pub(super) fn device_batch(device: &PublicKey, batch: &BatchId) -> Vec<u8> {
    pair(device.as_bytes(), batch.as_bytes())
}

pub(super) fn account_entry(account: &AccountId, entry: u64) -> Vec<u8> {
    pair(account.as_bytes(), &entry.to_be_bytes())
}

pub(super) fn month_account_entry(month: Month, account: &AccountId, entry: u64) -> Vec<u8> {
    pair(&month_account(month, account), &entry.to_be_bytes())
}

pub(super) fn month_account(month: Month, account: &AccountId) -> Vec<u8> {
    pair(&month.to_bytes(), account.as_bytes())
}

pub(super) fn device_day(device: &PublicKey, day: Day) -> Vec<u8> {
    pair(device.as_bytes(), &day.0.to_be_bytes())
}

pub(super) fn account_rule(account: &AccountId, rule: &[u8; 32]) -> Vec<u8> {
    pair(account.as_bytes(), rule)
}
