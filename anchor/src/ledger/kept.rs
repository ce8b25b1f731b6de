//! What is kept on one account, a page at a time: what was booked for it by hand, and the grants by which it bought and sold.

use std::ops::Bound;

use madang_protocol::{
    amount::Amount,
    ids::{AccountId, GrantId, RequestId},
};

use super::{
    adjustment::{Adjusted, AdjustmentKind},
    pack,
    progress::{self, Progress},
    table::{self, Table},
    terms::{self, Terms},
    top_up,
    view::{Fault, Order, View},
};

/// Rows that are looked through for one page.
const ROWS_MAX: usize = 2_000;

/// What an operator booked.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Booked {
    /// Under which identifier.
    pub request: RequestId,
    /// What; `None` is a top-up.
    pub kind: Option<AdjustmentKind>,
    /// How much.
    pub amount: Amount,
    /// Why, where something was said.
    pub reason: String,
    /// Where it stands in the journal.
    pub entry: u64,
}

/// Where a list of what was booked goes on: after this one.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct BookedAt {
    /// Whether it was no top-up: those come last.
    pub is_adjustment: bool,
    /// Under which identifier; none for the first.
    pub request: Option<RequestId>,
}

/// A grant, what is fixed of it, and how far it is.
pub type Traded = (GrantId, Terms, Progress);

/// A page of what was booked for an account. Bookings are found by their identifiers, so that a page may be short, even empty, and not be the last.
pub fn booked(
    view: &impl View,
    id: &AccountId,
    after: Option<&BookedAt>,
) -> Result<(Vec<Booked>, Option<BookedAt>), Fault> {
    let is_adjustment = after.is_some_and(|after| after.is_adjustment);
    let table = if is_adjustment {
        Table::Adjustment
    } else {
        Table::TopUp
    };
    let request = after.and_then(|after| after.request);
    let from = request.as_ref().map(RequestId::as_bytes);
    let from = from.map_or(Bound::Unbounded, Bound::Excluded);
    let rows = view.range(table, (from, Bound::Unbounded), Order::Forward, ROWS_MAX)?;
    let mut found = Vec::new();
    let mut last = None;
    for (key, row) in &rows {
        let request = key.as_slice().try_into().map(RequestId);
        let request = request.map_err(|_| Fault::Unreadable(table))?;
        let (of, booked) = if is_adjustment {
            of_adjustment(request, row)?
        } else {
            of_top_up(request, row)?
        };
        found.extend((of == *id).then_some(booked));
        last = Some(request);
    }
    let more_after = if rows.len() == ROWS_MAX {
        Some(BookedAt {
            is_adjustment,
            request: last,
        })
    } else if is_adjustment {
        None
    } else {
        Some(BookedAt {
            is_adjustment: true,
            request: None,
        })
    };
    Ok((found, more_after))
}

/// A page of the grants by which an account bought or sold, the newest first, and where the next one goes on.
pub fn grants(
    view: &impl View,
    id: &AccountId,
    before: Option<u64>,
    limit: usize,
) -> Result<(Vec<Traded>, Option<u64>), Fault> {
    let first = table::account_entry(id, 0);
    let end = table::account_entry(id, before.unwrap_or(u64::MAX));
    let keys = (Bound::Included(&first[..]), Bound::Excluded(&end[..]));
    let rows = view.range(Table::Bill, keys, Order::Backward, limit)?;
    let mut grants = Vec::with_capacity(rows.len());
    for (_, row) in &rows {
        let grant = row.as_ref().try_into().map(GrantId);
        let grant = grant.map_err(|_| Fault::Unreadable(Table::Bill))?;
        let terms = terms::existing(view, &grant)?;
        grants.push((grant, terms, progress::get(view, &grant)?));
    }
    let last = rows.last().filter(|_| rows.len() == limit);
    let more_before = last.and_then(|(key, _)| key.last_chunk().copied());
    Ok((grants, more_before.map(u64::from_be_bytes)))
}

fn of_top_up(request: RequestId, row: &[u8]) -> Result<(AccountId, Booked), Fault> {
    let booked: top_up::Booked = pack::value(Table::TopUp, row)?;
    let page = Booked {
        request,
        kind: None,
        amount: booked.amount,
        reason: String::new(),
        entry: booked.entry,
    };
    Ok((booked.account, page))
}

fn of_adjustment(request: RequestId, row: &[u8]) -> Result<(AccountId, Booked), Fault> {
    let booked: Adjusted = pack::value(Table::Adjustment, row)?;
    let page = Booked {
        request,
        kind: Some(booked.kind),
        amount: booked.amount,
        reason: booked.reason,
        entry: booked.entry,
    };
    Ok((booked.account, page))
}
