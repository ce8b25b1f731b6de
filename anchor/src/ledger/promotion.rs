//! Promotional credit: what the provider gives to be spent here, and never pays out. It stands in lots, each with its own end.
//!
//! * L-1 Which part of a hold is promotional is fixed when its grant is issued: as much as there is in lots that have not ended and are not
//!   held, of those that end first before the others.
//! * L-2 What is debited under a grant is drawn from that part first, lot by lot in the same order, and from paid credit after it. Both are
//!   functions of the cumulative debit alone, so that order and batching of receipts change nothing.
//! * L-3 Promotional credit never becomes paid credit: what of a hold or of a refund was promotional goes back to its lot. Paid credit is given back first.
//! * L-4 A lot that has ended lapses, but for what open grants hold of it.

use madang_protocol::{
    amount::{Amount, Currency},
    ids::AccountId,
    reject::Reject,
    time::UnixMillis,
};
use serde::{Deserialize, Serialize};

use super::{
    books::Moved,
    deadline::{self, Due},
    entry::{Posting, balance},
    pack,
    policy::LOTS_PER_ACCOUNT_MAX,
    table::{self, LedgerAccount, Table},
    terms::Terms,
    view::{Fault, Invariant, Order, Tables, View},
};

/// Names a lot of an account. Lots are drawn in this order.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
pub struct LotId {
    /// When it ends; the greatest time for never.
    pub expires: UnixMillis,
    /// The entry that gave it.
    pub entry: u64,
}

/// What is left of a lot.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct Lot {
    /// In which currency.
    pub currency: Currency,
    /// Not spent, what is held included.
    pub left: Amount,
    /// Held for open grants.
    pub held: Amount,
}

/// What a grant holds of a lot.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct LotHold {
    /// Of which.
    pub lot: LotId,
    /// How much.
    pub amount: Amount,
}

impl LotId {
    /// A lot that never ends.
    pub const NEVER: UnixMillis = UnixMillis(u64::MAX);

    /// Its key below its account.
    pub(super) fn to_bytes(self) -> [u8; 16] {
        let mut octets = [0; 16];
        octets[..8].copy_from_slice(&self.expires.0.to_be_bytes());
        octets[8..].copy_from_slice(&self.entry.to_be_bytes());
        octets
    }

    pub(super) fn of_bytes(octets: &[u8]) -> Option<Self> {
        let (expires, entry) = octets.split_first_chunk()?;
        Some(Self {
            expires: UnixMillis(u64::from_be_bytes(*expires)),
            entry: u64::from_be_bytes(entry.try_into().ok()?),
        })
    }
}

impl Lot {
    /// What can be held.
    pub fn free(&self) -> Amount {
        self.left.saturating_sub(self.held)
    }

    pub(super) fn of_row(row: &[u8]) -> Result<Self, Fault> {
        pack::value(Table::Promotion, row)
    }
}

/// The lots of an account in this currency of which anything is left, the first to end first.
pub fn list(
    view: &impl View,
    account: &AccountId,
    currency: Currency,
) -> Result<Vec<(LotId, Lot)>, Fault> {
    // Most accounts have none: one row says so.
    let promotion = LedgerAccount::Promotion(*account);
    if balance(view, promotion, currency)?.posted == 0 {
        return Ok(Vec::new());
    }
    let rows = view.prefix(
        Table::Promotion,
        account.as_bytes(),
        Order::Forward,
        LOTS_PER_ACCOUNT_MAX,
    )?;
    let mut lots = Vec::with_capacity(rows.len());
    for (key, row) in rows {
        let id = key
            .get(account.as_bytes().len()..)
            .and_then(LotId::of_bytes);
        let id = id.ok_or(Fault::Unreadable(Table::Promotion))?;
        lots.push((id, Lot::of_row(&row)?));
    }
    lots.retain(|(_, lot)| lot.currency == currency);
    Ok(lots)
}

/// Refuses one lot more than an account may have.
pub(super) fn check_room(view: &impl View, account: &AccountId) -> Result<(), Fault> {
    let prefix = account.as_bytes();
    let lots = view.prefix(
        Table::Promotion,
        prefix,
        Order::Forward,
        LOTS_PER_ACCOUNT_MAX,
    )?;
    if lots.len() < LOTS_PER_ACCOUNT_MAX {
        Ok(())
    } else {
        Err(Reject::TOO_MANY.into())
    }
}

/// L-1: what a hold of `hold` takes of each lot.
pub(super) fn plan(
    view: &impl View,
    account: &AccountId,
    currency: Currency,
    hold: Amount,
    now: UnixMillis,
) -> Result<Vec<LotHold>, Fault> {
    let mut rest = hold;
    let mut held = Vec::new();
    for (id, lot) in list(view, account, currency)? {
        let amount = lot.free().min(rest);
        if id.expires > now && !amount.is_zero() {
            held.push(LotHold { lot: id, amount });
            rest = rest.saturating_sub(amount);
        }
    }
    Ok(held)
}

/// The sum of what a grant holds of lots.
pub(super) fn sum(lots: &[LotHold]) -> Amount {
    let amounts = lots.iter().map(|held| held.amount);
    amounts.fold(Amount::ZERO, Amount::saturating_add)
}

/// L-2: what a cumulative debit draws from each lot of a grant. What is left over is paid.
fn drawn(lots: &[LotHold], debit: Amount) -> impl Iterator<Item = (LotId, Amount)> {
    let mut rest = debit;
    lots.iter().map(move |held| {
        let part = held.amount.min(rest);
        rest = rest.saturating_sub(part);
        (held.lot, part)
    })
}

/// What a higher cumulative debit draws beyond a lower one, of each lot of which it draws more.
fn apart(terms: &Terms, lower: Amount, higher: Amount) -> impl Iterator<Item = (LotId, Amount)> {
    let parts = drawn(&terms.lots, lower).zip(drawn(&terms.lots, higher));
    let parts = parts.map(|((lot, lower), (_, higher))| (lot, higher.saturating_sub(lower)));
    parts.filter(|(_, amount)| !amount.is_zero())
}

/// What a grant of which `debit` is debited still holds of each lot.
pub(super) fn still_held(terms: &Terms, debit: Amount) -> impl Iterator<Item = (LotId, Amount)> {
    let spent = drawn(&terms.lots, debit);
    let held = terms.lots.iter().zip(spent);
    held.map(|(held, (lot, spent))| (lot, held.amount.saturating_sub(spent)))
}

/// Holds what the grant's terms say of each lot. Gives their sum.
pub(super) fn reserve(
    tables: &mut impl Tables,
    posting: &mut Posting,
    terms: &Terms,
) -> Result<Amount, Fault> {
    for held in &terms.lots {
        change(tables, terms, held.lot, |lot| {
            lot.held = lot.held.checked_add(held.amount)?;
            Some(())
        })?;
    }
    let promotional = sum(&terms.lots);
    if !promotional.is_zero() {
        posting.hold(LedgerAccount::Promotion(terms.buyer), micros(promotional))?;
    }
    Ok(promotional)
}

/// L-2: spends from the hold what leads from one cumulative debit to a higher one. Gives the promotional part of the difference.
pub(super) fn spend(
    tables: &mut impl Tables,
    posting: &mut Posting,
    terms: &Terms,
    (before, after): (Amount, Amount),
) -> Result<Amount, Fault> {
    let mut promotional = Amount::ZERO;
    for (lot, moved) in apart(terms, before, after) {
        promotional = promotional.saturating_add(moved);
        change(tables, terms, lot, |lot| {
            lot.left = lot.left.checked_sub(moved)?;
            lot.held = lot.held.checked_sub(moved)?;
            Some(())
        })?;
    }
    if !promotional.is_zero() {
        let account = LedgerAccount::Promotion(terms.buyer);
        posting.credit(account, -micros(promotional))?;
        posting.hold(account, -micros(promotional))?;
    }
    Ok(promotional)
}

/// Lets go of what the grant holds of lots beyond `debit`, what was debited. Gives the sum.
pub(super) fn release(
    tables: &mut impl Tables,
    posting: &mut Posting,
    terms: &Terms,
    debit: Amount,
) -> Result<Amount, Fault> {
    let mut promotional = Amount::ZERO;
    for (lot, unspent) in still_held(terms, debit) {
        if unspent.is_zero() {
            continue;
        }
        promotional = promotional.saturating_add(unspent);
        change(tables, terms, lot, |lot| {
            lot.held = lot.held.checked_sub(unspent)?;
            Some(())
        })?;
        note_end(tables, &terms.buyer, lot)?;
    }
    if !promotional.is_zero() {
        posting.hold(LedgerAccount::Promotion(terms.buyer), -micros(promotional))?;
    }
    Ok(promotional)
}

/// L-3: puts back what leads from one cumulative debit to a lower one. Gives the promotional part of the difference.
pub(super) fn put_back(
    tables: &mut impl Tables,
    posting: &mut Posting,
    terms: &Terms,
    (before, after): (Amount, Amount),
) -> Result<Amount, Fault> {
    let mut promotional = Amount::ZERO;
    for (lot, back) in apart(terms, after, before) {
        promotional = promotional.saturating_add(back);
        raise(tables, &terms.buyer, terms.currency, lot, back)?;
    }
    if !promotional.is_zero() {
        posting.credit(LedgerAccount::Promotion(terms.buyer), micros(promotional))?;
    }
    Ok(promotional)
}

/// Adds to a lot, which may be new or spent. Its end is noted, be it past.
pub(super) fn raise(
    tables: &mut impl Tables,
    account: &AccountId,
    currency: Currency,
    id: LotId,
    amount: Amount,
) -> Result<(), Fault> {
    let mut lot = get(tables, account, id)?.unwrap_or(Lot {
        currency,
        left: Amount::ZERO,
        held: Amount::ZERO,
    });
    lot.left = lot.left.checked_add(amount).ok_or(Invariant::SumFits)?;
    put(tables, account, id, lot)?;
    note_end(tables, account, id)
}

/// Takes from what is free of a lot.
pub(super) fn lower(
    tables: &mut impl Tables,
    account: &AccountId,
    id: LotId,
    amount: Amount,
) -> Result<(), Fault> {
    let lot = get(tables, account, id)?.filter(|lot| lot.free() >= amount);
    let mut lot = lot.ok_or(Invariant::PromotionCovered)?;
    lot.left = lot.left.saturating_sub(amount);
    put(tables, account, id, lot)
}

/// L-4: what is free of a lot that has ended is the provider's again.
pub(super) fn lapse(
    tables: &mut impl Tables,
    account: &AccountId,
    id: LotId,
    moved: &mut Moved,
) -> Result<(), Fault> {
    let Some(lot) = get(tables, account, id)?.filter(|lot| !lot.free().is_zero()) else {
        return Ok(());
    };
    let lapsed = lot.free();
    let mut posting = Posting::new(lot.currency);
    posting.credit(LedgerAccount::Promotion(*account), -micros(lapsed))?;
    posting.credit(LedgerAccount::Promotions, micros(lapsed))?;
    posting.post(tables, moved)?;
    lower(tables, account, id, lapsed)
}

/// The lot, if anything is left of it.
pub(super) fn get(view: &impl View, account: &AccountId, id: LotId) -> Result<Option<Lot>, Fault> {
    view.get(Table::Promotion, &key(account, id))?
        .map(|row| Lot::of_row(&row))
        .transpose()
}

/// Changes a lot that a grant holds of. Nothing may be held that is not left.
fn change(
    tables: &mut impl Tables,
    terms: &Terms,
    id: LotId,
    change: impl FnOnce(&mut Lot) -> Option<()>,
) -> Result<(), Fault> {
    let known = get(tables, &terms.buyer, id)?;
    let mut lot = known.ok_or(Invariant::RowExists(Table::Promotion))?;
    let is_covered = change(&mut lot).is_some() && lot.held <= lot.left;
    if !is_covered {
        return Err(Invariant::PromotionCovered.into());
    }
    put(tables, &terms.buyer, id, lot)
}

/// Writes a lot; one that is spent has no row.
fn put(tables: &mut impl Tables, account: &AccountId, id: LotId, lot: Lot) -> Result<(), Fault> {
    let key = key(account, id);
    if lot.left.is_zero() {
        return tables.delete(Table::Promotion, &key);
    }
    tables.put(Table::Promotion, &key, pack::row(&lot))
}

/// Whenever more of a lot becomes free, its end is noted anew: the one before may have passed.
fn note_end(tables: &mut impl Tables, account: &AccountId, id: LotId) -> Result<(), Fault> {
    if id.expires == LotId::NEVER {
        return Ok(());
    }
    deadline::put(tables, id.expires, &Due::Promotion(*account, id))
}

fn key(account: &AccountId, id: LotId) -> Vec<u8> {
    table::pair(account.as_bytes(), &id.to_bytes())
}

fn micros(amount: Amount) -> i128 {
    i128::from(amount.micros())
}

#[cfg(test)]
#[expect(clippy::unwrap_used, reason = "a test fails by panicking")]
mod tests;
