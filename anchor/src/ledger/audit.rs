//! The money invariants over all rows at once.

use std::{collections::BTreeMap, ops::Bound};

use madang_protocol::{
    amount::Currency,
    ids::{AccountId, GrantId, RecordHash},
};

use super::{
    entry::Balance,
    progress,
    table::{LedgerAccount, Table},
    terms::Terms,
    view::{Fault, Invariant, Order, View},
};

/// What an audit went through.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Audit {
    /// Balances.
    pub balances: u64,
    /// Grants.
    pub grants: u64,
    /// Grants whose hold has not ended.
    pub open: u64,
    /// Rows of all tables.
    pub rows: u64,
    /// BLAKE3 over all rows in their order: the same for two stores of the same journal.
    pub digest: RecordHash,
}

/// Goes through all balances and grants: debits equal credits in every currency; each wallet holds what its open grants may still cost; what is
/// settled is within its grant and split whole; earnings, commission and tax are what was debited.
pub fn audit(view: &impl View) -> Result<Audit, Fault> {
    let (rows, digest) = digest(view)?;
    let mut audit = Audit {
        balances: 0,
        grants: 0,
        open: 0,
        rows,
        digest,
    };
    let mut posted: BTreeMap<[u8; 3], i128> = BTreeMap::new();
    let mut held: BTreeMap<(AccountId, [u8; 3]), i128> = BTreeMap::new();
    each(view, Table::Balance, |key, row| {
        audit.balances += 1;
        let of_key = LedgerAccount::of_key(key);
        let (account, currency) = of_key.ok_or(Fault::Unreadable(Table::Balance))?;
        let balance = Balance::of_row(row)?;
        *posted.entry(letters(currency)).or_default() += balance.posted;
        if let LedgerAccount::Wallet(owner) = account {
            *held.entry((owner, letters(currency))).or_default() += balance.held;
        } else if balance.held != 0 {
            return Err(Invariant::HoldCovers.into());
        }
        Ok(())
    })?;
    if posted.values().any(|sum| *sum != 0) {
        return Err(Invariant::EntryBalanced.into());
    }
    each(view, Table::Grant, |key, row| {
        audit.grants += 1;
        let id: [u8; 16] = key
            .try_into()
            .map_err(|_| Fault::Unreadable(Table::Grant))?;
        let terms = Terms::of_row(row)?;
        let progress = progress::get(view, &GrantId(id))?;
        let split = progress.split();
        let parts = split.seller.micros() + split.commission.micros() + split.tax.micros();
        if split.debit.micros() != parts {
            return Err(Invariant::SplitWhole.into());
        }
        let rest = terms.hold.checked_sub(split.debit);
        let rest = rest.ok_or(Invariant::SettledWithinGrant)?;
        if !progress.hold_ended {
            audit.open += 1;
            let key = (terms.buyer, letters(terms.currency));
            *held.entry(key).or_default() -= i128::from(rest.micros());
        }
        Ok(())
    })?;
    if held.values().any(|left| *left != 0) {
        return Err(Invariant::HoldCovers.into());
    }
    Ok(audit)
}

fn digest(view: &impl View) -> Result<(u64, RecordHash), Fault> {
    let (mut rows, mut hasher) = (0, blake3::Hasher::new());
    for table in Table::ALL {
        each(view, table, |key, row| {
            rows += 1;
            hasher.update(&[table as u8]);
            for part in [key, row] {
                hasher.update(&(part.len() as u64).to_le_bytes());
                hasher.update(part);
            }
            Ok(())
        })?;
    }
    Ok((rows, RecordHash(*hasher.finalize().as_bytes())))
}

fn letters(currency: Currency) -> [u8; 3] {
    let mut letters = [0; 3];
    letters.copy_from_slice(currency.as_str().as_bytes());
    letters
}

/// Every row of a table, a page at a time.
fn each(
    view: &impl View,
    table: Table,
    mut look: impl FnMut(&[u8], &[u8]) -> Result<(), Fault>,
) -> Result<(), Fault> {
    let mut after: Option<Vec<u8>> = None;
    loop {
        let from = after.as_deref().map_or(Bound::Unbounded, Bound::Excluded);
        let rows = view.range(table, from, Bound::Unbounded, Order::Forward, PAGE)?;
        for (key, row) in &rows {
            look(key, row)?;
        }
        match rows.into_iter().next_back() {
            Some((key, _)) => after = Some(key),
            None => return Ok(()),
        }
    }
}

const PAGE: usize = 4_096;
