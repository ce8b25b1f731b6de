//! Whether a receipt follows: from its grant, from the price list, and from the receipt before it. Seller and anchor ask the same question.
//!
//! In the order of the checks, cheap before dear; the first that fails is what a peer sees. The signature is checked before any of them, by the type.
//!
//! * R-10 It names the grant, the grant's buyer key and the grant's price list.
//! * R-11 Its sequence grows. The same receipt again changes nothing; another with the same sequence is a fork, a lower one is old.
//! * R-13 Nothing follows a final receipt.
//! * R-12 No counter and no amount falls.
//! * R-15 The amount is within the grant.
//! * R-14 The amount follows from the counters.
//!
//! R-16 The receipt's own time decides nothing.

use crate::{
    record::{
        grant::Grant,
        receipt::{Counters, Receipt},
        tariff::Tariff,
    },
    reject::Reject,
    rules::rating::rate,
};

/// Checks `next` against `grant`, its `tariff` (the one that the grant names by hash) and the highest receipt accepted so far.
pub fn check_receipt(
    grant: &Grant,
    tariff: &Tariff,
    previous: Option<&Receipt>,
    next: &Receipt,
) -> Result<(), Reject> {
    let names_grant =
        next.grant == grant.id && next.buyer == grant.buyer_key && next.tariff == grant.tariff;
    if !names_grant {
        return Err(Reject::GRANT_NOT_FOR_US);
    }
    if let Some(previous) = previous {
        if next == previous {
            return Ok(());
        }
        check_succession(previous, next)?;
    }
    if next.amount > grant.amount_max {
        return Err(Reject::RECEIPT_OVER_GRANT);
    }
    if rate(tariff, &grant.quotas, &next.counters)? != next.amount {
        return Err(Reject::RECEIPT_MISRATED);
    }
    Ok(())
}

fn check_succession(previous: &Receipt, next: &Receipt) -> Result<(), Reject> {
    if next.sequence == previous.sequence {
        return Err(Reject::RECEIPT_FORKED);
    }
    if next.sequence < previous.sequence {
        return Err(Reject::RECEIPT_SEQUENCE);
    }
    if previous.is_final {
        return Err(Reject::RECEIPT_AFTER_FINAL);
    }
    if next.amount < previous.amount || !covers(&next.counters, &previous.counters) {
        return Err(Reject::RECEIPT_FALLS);
    }
    Ok(())
}

/// Whether no counter of `later` is below `earlier`'s; missing ones are zero.
pub fn covers(later: &[Counters], earlier: &[Counters]) -> bool {
    earlier
        .iter()
        .enumerate()
        .all(|(at, one)| later.get(at).copied().unwrap_or_default().covers(one))
}

/// `counters` as a receipt has them: without rules at the end that were not used.
pub fn trimmed(counters: &[Counters]) -> &[Counters] {
    let used = counters
        .iter()
        .rposition(|one| *one != Counters::default())
        .map_or(0, |last| last + 1);
    &counters[..used]
}
