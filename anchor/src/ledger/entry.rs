//! Balances, and the double entries that are the only way to change them.

use std::collections::BTreeMap;

use madang_protocol::{
    amount::{Amount, Currency},
    ids::AccountId,
};

use super::{
    books::Moved,
    table::{LedgerAccount, Table},
    view::{Fault, Invariant, Row, Tables, View},
};

/// A ledger account's balance in one currency, in base units.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Balance {
    /// Credits less debits. Cash is an asset, so that it stands below zero by what came in.
    pub posted: i128,
    /// Of a wallet and of promotional credit: what open grants may still cost. Of earnings: what is not payable yet. Nothing else holds.
    pub held: i128,
}

/// The balance of a ledger account.
pub fn balance(
    view: &impl View,
    account: LedgerAccount,
    currency: Currency,
) -> Result<Balance, Fault> {
    let row = view.get(Table::Balance, &account.key(currency))?;
    row.map_or(Ok(Balance::default()), |row| Balance::of_row(&row))
}

/// What a wallet can be granted now beside promotional credit, in base units: posted − held + credit limit.
pub fn available(
    view: &impl View,
    account: AccountId,
    credit_limit: Amount,
    currency: Currency,
) -> Result<i128, Fault> {
    let free = balance(view, LedgerAccount::Wallet(account), currency)?.free();
    Ok(free + i128::from(credit_limit.micros()))
}

/// What of an account's earnings can be paid out now: nothing that may still be contested, and nothing while the account owes.
pub fn payable(view: &impl View, account: AccountId, currency: Currency) -> Result<Amount, Fault> {
    let free = balance(view, LedgerAccount::Earnings(account), currency)?.free();
    u64::try_from(free.max(0))
        .map(Amount::from_micros)
        .map_err(|_| Invariant::SumFits.into())
}

impl Balance {
    /// What is not held.
    pub fn free(&self) -> i128 {
        self.posted - self.held
    }

    pub(super) fn of_row(row: &[u8]) -> Result<Self, Fault> {
        let octets: &[u8; ROW_BYTES] = row
            .try_into()
            .map_err(|_| Fault::Unreadable(Table::Balance))?;
        if octets[0] != VERSION {
            return Err(Fault::Unreadable(Table::Balance));
        }
        let half = |from: usize| {
            let mut number = [0; 16];
            number.copy_from_slice(&octets[from..from + 16]);
            i128::from_le_bytes(number)
        };
        Ok(Self {
            posted: half(1),
            held: half(17),
        })
    }

    fn to_row(self) -> Row {
        let mut octets = [0; ROW_BYTES];
        octets[0] = VERSION;
        octets[1..17].copy_from_slice(&self.posted.to_le_bytes());
        octets[17..].copy_from_slice(&self.held.to_le_bytes());
        octets.as_slice().into()
    }
}

/// The balance that several rows are parts of; `None` of none.
pub(crate) fn sum_of_rows(rows: &[Row]) -> Result<Option<Row>, Fault> {
    let mut sum = Balance::default();
    for row in rows {
        let part = Balance::of_row(row)?;
        sum.posted = sum
            .posted
            .checked_add(part.posted)
            .ok_or(Invariant::SumFits)?;
        sum.held = sum.held.checked_add(part.held).ok_or(Invariant::SumFits)?;
    }
    Ok((!rows.is_empty()).then(|| sum.to_row()))
}

/// What one event moves: gathered per ledger account, so that a batch touches each balance once.
#[derive(Debug)]
pub(super) struct Posting {
    currency: Currency,
    moves: BTreeMap<LedgerAccount, Balance>,
}

impl Posting {
    pub(super) fn new(currency: Currency) -> Self {
        Self {
            currency,
            moves: BTreeMap::new(),
        }
    }

    pub(super) fn currency(&self) -> Currency {
        self.currency
    }

    /// Credits `account`; below zero is a debit.
    pub(super) fn credit(&mut self, account: LedgerAccount, micros: i128) -> Result<(), Fault> {
        let moved = self.moves.entry(account).or_default();
        moved.posted = moved.posted.checked_add(micros).ok_or(Invariant::SumFits)?;
        Ok(())
    }

    /// Holds so much more of `account`; below zero lets go.
    pub(super) fn hold(&mut self, account: LedgerAccount, micros: i128) -> Result<(), Fault> {
        let moved = self.moves.entry(account).or_default();
        moved.held = moved.held.checked_add(micros).ok_or(Invariant::SumFits)?;
        Ok(())
    }

    /// Writes the balances, if the entry balances and nobody would hold less than nothing. The caller writes `moved`, after all postings of the event.
    pub(super) fn post(self, tables: &mut impl Tables, moved: &mut Moved) -> Result<(), Fault> {
        for (account, change) in &self.moves {
            moved.add(self.currency, *account, change.posted)?;
        }
        self.write(tables)
    }

    /// As [`Posting::post`], where nothing moves but what is held.
    pub(super) fn hold_only(self, tables: &mut impl Tables) -> Result<(), Fault> {
        if self.moves.values().any(|change| change.posted != 0) {
            return Err(Invariant::BooksAgree.into());
        }
        self.write(tables)
    }

    fn write(self, tables: &mut impl Tables) -> Result<(), Fault> {
        let total = self
            .moves
            .values()
            .try_fold(0_i128, |sum, moved| sum.checked_add(moved.posted));
        if total != Some(0) {
            return Err(Invariant::EntryBalanced.into());
        }
        let keys = self.moves.keys().map(|account| account.key(self.currency));
        let keys: Vec<Vec<u8>> = keys.collect();
        tables.expect(Table::Balance, keys.iter().map(Vec::as_slice))?;
        for (account, moved) in self.moves {
            let before = balance(tables, account, self.currency)?;
            let after = Balance {
                posted: before
                    .posted
                    .checked_add(moved.posted)
                    .ok_or(Invariant::SumFits)?,
                held: before
                    .held
                    .checked_add(moved.held)
                    .ok_or(Invariant::SumFits)?,
            };
            if after.held < 0 {
                return Err(Invariant::HoldCovers.into());
            }
            tables.put(Table::Balance, &account.key(self.currency), after.to_row())?;
        }
        Ok(())
    }
}

const VERSION: u8 = 1;
const ROW_BYTES: usize = 33;
