//! What is held for open grants, summed by going through the rows a page at a time: no settlement keeps such a sum.

use std::ops::Bound;

use crate::ledger::{
    entry::Balance,
    pack,
    spending::Spending,
    table::{LedgerAccount, Table},
    view::{Fault, Order, View},
};

/// What is held.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Holds {
    /// Grants whose hold has not ended.
    pub grants: u64,
    /// What wallets and promotional credit hold for them, in base units.
    pub micros: i128,
}

/// How far the sum is. Commits go on meanwhile, so that it is of no single moment.
#[derive(Debug, Clone, Default)]
pub struct HoldsWalk {
    sum: Holds,
    is_in_balances: bool,
    after: Option<Vec<u8>>,
}

/// Goes through one page; the sum, where it was the last one, and the next walk begins anew.
pub fn step(view: &impl View, walk: &HoldsWalk) -> Result<(HoldsWalk, Option<Holds>), Fault> {
    let mut walk = walk.clone();
    let table = if walk.is_in_balances {
        Table::Balance
    } else {
        Table::Spending
    };
    let from = walk.after.as_deref();
    let from = from.map_or(Bound::Unbounded, Bound::Excluded);
    let rows = view.range(table, (from, Bound::Unbounded), Order::Forward, PAGE)?;
    for (key, row) in &rows {
        if walk.is_in_balances {
            let of_key = LedgerAccount::of_key(key);
            let (account, _) = of_key.ok_or(Fault::Unreadable(table))?;
            if let LedgerAccount::Wallet(_) | LedgerAccount::Promotion(_) = account {
                walk.sum.micros += Balance::of_row(row)?.held;
            }
        } else {
            let spending: Spending = pack::value(table, row)?;
            walk.sum.grants += u64::from(spending.open);
        }
    }
    let is_last = rows.len() < PAGE;
    walk.after = rows.into_iter().next_back().map(|(key, _)| key);
    if !is_last {
        return Ok((walk, None));
    }
    if walk.is_in_balances {
        return Ok((HoldsWalk::default(), Some(walk.sum)));
    }
    let in_balances = HoldsWalk {
        is_in_balances: true,
        after: None,
        ..walk
    };
    Ok((in_balances, None))
}

const PAGE: usize = 4_096;
