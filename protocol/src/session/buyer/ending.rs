//! The last word on a grant that no session uses any more: what a buyer signs after the seller has shown what it holds.
//!
//! A buyer's journal may be behind the seller's, and the seller's behind the buyer's. The final receipt follows from the higher of the two, so that it
//! takes nothing back that the buyer has signed, and adds nothing that it has not.

use crate::{
    record::{grant::Grant, receipt::Receipt, tariff::Tariff},
    reject::Reject,
    rules::receipt::check_receipt,
    time::UnixMillis,
};

/// What a buyer does next.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum LastWord {
    /// The seller holds the final receipt: nothing more is to be said.
    Held,
    /// This is to be signed, written down and shown to the seller.
    Sign(Receipt),
}

/// What follows from `own`, the highest receipt that this buyer knows of and has shown, and `held`, the highest that the seller then has: a receipt of
/// this buyer's, as its signature says.
///
/// # Errors
/// What the seller shows is not of this grant, is not what the price list makes of it, or is less than it was shown.
pub fn last_word(
    grant: &Grant,
    tariff: &Tariff,
    own: Option<&Receipt>,
    held: Option<&Receipt>,
    now: UnixMillis,
) -> Result<LastWord, Reject> {
    let sequence = |receipt: Option<&Receipt>| receipt.map_or(0, |receipt| receipt.sequence);
    if let Some(held) = held {
        check_receipt(grant, tariff, None, held)?;
    }
    if held.is_some_and(|held| held.is_final) {
        return Ok(LastWord::Held);
    }
    if sequence(held) < sequence(own) {
        return Err(Reject::RECEIPT_SEQUENCE);
    }
    Ok(LastWord::Sign(final_after(grant, held, now)))
}

/// The final receipt that follows `last` and counts nothing more.
pub fn final_after(grant: &Grant, last: Option<&Receipt>, now: UnixMillis) -> Receipt {
    Receipt {
        buyer: grant.buyer_key,
        grant: grant.id,
        tariff: grant.tariff,
        sequence: last.map_or(0, |last| last.sequence) + 1,
        counters: last.map(|last| last.counters.clone()).unwrap_or_default(),
        amount: last.map(|last| last.amount).unwrap_or_default(),
        time: now,
        is_final: true,
    }
}
