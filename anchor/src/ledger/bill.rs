//! Bills: what an account bought and sold, one line for each settled grant, in the order in which the grants were issued, the newest first.
//!
//! Lines stand where their grant was issued, so that paging is not disturbed by what settles meanwhile.

use std::ops::Bound;

use madang_protocol::{
    broker::{Bill, BillLine, Side},
    ids::{AccountId, GrantId},
    limits::BILL_PAGE_MAX,
    rules::rating,
};

use super::{
    account, line,
    policy::BILL_ROWS_MAX,
    progress,
    table::{self, Table},
    tariff, terms,
    view::{Fault, Invariant, Order, View},
};

/// A page of at most `limit` lines ([`BILL_PAGE_MAX`] at most) that goes on where the page before said. A page may be short, even empty, and not
/// be the last: grants that are not settled, or under which nothing with a price was counted, have no line.
pub fn page(
    view: &impl View,
    account: &AccountId,
    before: Option<u64>,
    limit: usize,
) -> Result<Bill, Fault> {
    let limit = limit.clamp(1, BILL_PAGE_MAX);
    let first = table::account_entry(account, 0);
    let end = table::account_entry(account, before.unwrap_or(u64::MAX));
    let rows = view.range(
        Table::Bill,
        (Bound::Included(&first), Bound::Excluded(&end)),
        Order::Backward,
        BILL_ROWS_MAX,
    )?;
    let mut lines = Vec::new();
    let mut looked_at = 0;
    for (_, row) in &rows {
        if lines.len() == limit {
            break;
        }
        looked_at += 1;
        let grant: [u8; 16] = row
            .as_ref()
            .try_into()
            .map_err(|_| Fault::Unreadable(Table::Bill))?;
        lines.extend(line_of(view, account, GrantId(grant))?);
    }
    let is_whole = looked_at == rows.len() && rows.len() < BILL_ROWS_MAX;
    let last = looked_at.checked_sub(1).and_then(|at| rows.get(at));
    let more_before = last
        .filter(|_| !is_whole)
        .and_then(|(key, _)| key.last_chunk().copied())
        .map(u64::from_be_bytes);
    Ok(Bill { lines, more_before })
}

fn line_of(
    view: &impl View,
    account: &AccountId,
    grant: GrantId,
) -> Result<Option<BillLine>, Fault> {
    let terms = terms::existing(view, &grant)?;
    let progress = progress::get(view, &grant)?;
    let net = line::net(&terms, &progress)?;
    let Some(best) = progress.best else {
        return Ok(None);
    };
    let tariff = tariff::get(view, &terms.tariff)?.ok_or(Invariant::RowExists(Table::Tariff))?;
    let priced = rating::priced(tariff.claims(), &best.counters);
    if priced.is_empty() {
        // A buyer that closes a grant it has not used signs for nothing.
        return Ok(None);
    }
    let (side, partner) = if terms.buyer == *account {
        (Side::Purchase, &terms.seller)
    } else {
        (Side::Sale, &terms.buyer)
    };
    Ok(Some(BillLine {
        entry: progress.entry,
        side,
        grant,
        partner: account::existing(view, partner)?.handle,
        site: terms.site_name()?,
        tariff: terms.tariff,
        free: rating::free_within(&terms.quotas, &priced),
        priced,
        counters: best.counters,
        amount: best.amount,
        refunded: progress.refunded,
        debit: net.debit,
        earned: net.seller,
        commission: net.commission,
        tax: net.tax,
        receipt: best.receipt,
        time: progress.time,
    }))
}
