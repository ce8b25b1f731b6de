//! Leaving: the account is closed, its money is settled, its identity is erased. Entries stay, under a pseudonym.
//!
//! ```text
//! active ── nothing stands in the way ──▶ closed ── still nothing ──▶ erased ── key deleted ──▶ shredded
//! ```
//!
//! * L-32 Nobody leaves with money, credit, debt, an open grant or an open dispute; promotional credit is given up by an explicit word only.
//! * L-33 What is below the currency's smallest unit cannot be paid to anybody: it becomes the provider's when its owner leaves.

use std::ops::Bound;

use madang_protocol::{
    amount::{Amount, Currency},
    ids::{AccountId, GrantId},
    limits::GRANT_SETTLE_WITHIN,
    name::Handle,
    record::request::Secret,
    reject::Reject,
    time::UnixMillis,
};
use serde::{Deserialize, Serialize};

use super::{
    account,
    books::{EntryKind, Moved},
    device, dispute,
    entry::{Posting, balance},
    event::Event,
    minor, organisation,
    policy::BILL_ROWS_MAX,
    profile, progress, promotion,
    table::{self, LedgerAccount, Table},
    terms,
    view::{Fault, Order, Tables, View},
};

/// Why an account cannot leave yet.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Obstacle {
    /// Open grants hold so much of its wallet and credit.
    Held(Amount),
    /// Its wallet holds so much.
    Wallet(Amount),
    /// Its wallet owes so much.
    Owes(Amount),
    /// It has so much promotional credit.
    Credit(Amount),
    /// So much of what it earned can be paid out.
    Payable(Amount),
    /// So much of what it earned may still be contested.
    Maturing(Amount),
    /// It has to earn so much again.
    Debt(Amount),
    /// It contests something.
    Disputes,
    /// It acts for this organisation.
    Member(AccountId),
    /// A grant by which it sells is open.
    Selling(GrantId),
}

/// A leaving that was decided.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Left {
    /// Whose.
    pub id: AccountId,
    /// What stands in the handle's place.
    pub pseudonym: Handle,
    /// The handle's keyed hash, by which it is refused for ever.
    pub name_hash: [u8; 32],
    /// The currency of what is left of its money, which is less than can be paid.
    pub currency: Currency,
    /// When.
    pub time: UnixMillis,
}

/// What stands in the way of leaving, but for grants by which it sells: those are many, and [`open_sale`] looks through them.
pub fn obstacles(
    view: &impl View,
    id: &AccountId,
    currency: Currency,
    forfeit: bool,
) -> Result<Vec<Obstacle>, Fault> {
    account::get(view, id)?.ok_or(Reject::ACCOUNT_UNKNOWN)?;
    let wallet = balance(view, LedgerAccount::Wallet(*id), currency)?;
    let credit = balance(view, LedgerAccount::Promotion(*id), currency)?;
    let earnings = balance(view, LedgerAccount::Earnings(*id), currency)?;
    let paid = |micros: i128| minor::floor(amount(micros), currency);
    let found = [
        Obstacle::Held(amount(wallet.held + credit.held)),
        Obstacle::Wallet(paid(wallet.free())),
        Obstacle::Owes(paid(-wallet.posted)),
        Obstacle::Credit(if forfeit {
            Amount::ZERO
        } else {
            amount(credit.free())
        }),
        Obstacle::Payable(paid(earnings.free())),
        Obstacle::Maturing(amount(earnings.held)),
        Obstacle::Debt(paid(-earnings.posted)),
    ];
    let mut obstacles: Vec<Obstacle> = found.into_iter().filter(Obstacle::is_there).collect();
    if dispute::has_open(view, id)? {
        obstacles.push(Obstacle::Disputes);
    }
    let member_of = organisation::of_person(view, id)?;
    obstacles.extend(member_of.into_iter().map(Obstacle::Member));
    Ok(obstacles)
}

/// A page of what an account bought and sold, from the newest on: an open grant by which it sells, or else where to look on. Grants older than the
/// time to settle are not looked at.
pub fn open_sale(
    view: &impl View,
    id: &AccountId,
    before: u64,
    now: UnixMillis,
) -> Result<(Option<GrantId>, Option<u64>), Fault> {
    let first = table::account_entry(id, 0);
    let end = table::account_entry(id, before);
    let keys = (Bound::Included(&first[..]), Bound::Excluded(&end[..]));
    let rows = view.range(Table::Bill, keys, Order::Backward, BILL_ROWS_MAX)?;
    let is_full = rows.len() == BILL_ROWS_MAX;
    let mut last = None;
    for (key, row) in rows {
        let grant = row.as_ref().try_into().map(GrantId);
        let grant = grant.map_err(|_| Fault::Unreadable(Table::Bill))?;
        let terms = terms::existing(view, &grant)?;
        if terms.issued.plus(GRANT_SETTLE_WITHIN * 2) < now {
            return Ok((None, None));
        }
        if terms.seller == *id
            && now <= terms.settle_until
            && !progress::get(view, &grant)?.hold_ended
        {
            return Ok((Some(grant), None));
        }
        last = key.last_chunk().copied().map(u64::from_be_bytes);
    }
    Ok((None, last.filter(|_| is_full)))
}

/// Decides that an account, which is closed and sells nothing any more, leaves; `None` where it has left.
///
/// # Errors
/// `ACCOUNT_UNKNOWN`; `NAME_TAKEN` for a pseudonym that another has; what stands in the way as the obstacles, which the caller asks for first:
/// here `GRANT_NOT_CLOSED` says that there is one.
pub fn decide(view: &impl View, left: Left, forfeit: bool) -> Result<Option<Event>, Fault> {
    let account = account::get(view, &left.id)?.ok_or(Reject::ACCOUNT_UNKNOWN)?;
    if has_left(&account.handle) {
        return Ok(None);
    }
    if account.is_active() || !obstacles(view, &left.id, left.currency, forfeit)?.is_empty() {
        return Err(Reject::GRANT_NOT_CLOSED.into());
    }
    if account::by_handle(view, &left.pseudonym)?.is_some() {
        return Err(Reject::NAME_TAKEN.into());
    }
    Ok(Some(Event::ProfileErased(left)))
}

/// Whether a handle is a pseudonym: nobody takes one of these.
pub fn has_left(handle: &Handle) -> bool {
    handle.as_str().strip_prefix(PSEUDONYM).is_some_and(|rest| {
        rest.len() == PSEUDONYM_DIGITS && rest.bytes().all(|octet| octet.is_ascii_hexdigit())
    })
}

pub(super) fn apply(tables: &mut impl Tables, entry: u64, left: &Left) -> Result<(), Fault> {
    let id = &left.id;
    let mut moved = Moved::by(entry, EntryKind::Leaving, left.time);
    for (lot, _) in promotion::list(tables, id, left.currency)? {
        promotion::lapse(tables, id, lot, &mut moved)?;
    }
    sweep_rest(tables, left, &mut moved)?;
    moved.write(tables)?;
    account::apply_left(tables, id, &left.pseudonym)?;
    for device in device::list(tables, id)? {
        device::apply_left(tables, device)?;
    }
    organisation::apply_left(tables, id)?;
    profile::apply_erased(tables, id, &left.name_hash, left.time)
}

/// L-33
fn sweep_rest(tables: &mut impl Tables, left: &Left, moved: &mut Moved) -> Result<(), Fault> {
    let mut posting = Posting::new(left.currency);
    for from in [
        LedgerAccount::Wallet(left.id),
        LedgerAccount::Earnings(left.id),
    ] {
        let rest = balance(tables, from, left.currency)?.posted;
        if rest != 0 {
            posting.credit(from, -rest)?;
            posting.credit(LedgerAccount::Commission, rest)?;
        }
    }
    posting.post(tables, moved)
}

impl Obstacle {
    fn is_there(&self) -> bool {
        match self {
            Self::Held(amount)
            | Self::Wallet(amount)
            | Self::Owes(amount)
            | Self::Credit(amount)
            | Self::Payable(amount)
            | Self::Maturing(amount)
            | Self::Debt(amount) => !amount.is_zero(),
            Self::Disputes | Self::Member(_) | Self::Selling(_) => true,
        }
    }
}

/// What is above nothing.
fn amount(micros: i128) -> Amount {
    u64::try_from(micros.max(0)).map_or(Amount::MAX, Amount::from_micros)
}

/// An account without a password: no hash is empty.
pub(super) fn no_password() -> Secret {
    Secret(String::new())
}

/// What pseudonyms begin with; hexadecimal digits follow.
pub const PSEUDONYM: &str = "left-";
const PSEUDONYM_DIGITS: usize = 8;
