//! What a settled grant comes to: a line of a bill. When its seller can be paid, and how some of it is taken back.
//!
//! * L-7 What is taken back is the difference of two splits of the grant, from the seller, the commission and the tax to the buyer: parts of any
//!   size sum to the same, and all of them to all that was moved. Only a grant whose hold has ended has anything taken back.
//! * L-8 What a seller earned under a grant is held until the grant can neither be settled nor contested any more, and no dispute on it is open.
//! * L-9 What is taken back of earnings that were paid out is the seller's debt: it is taken from what is earned next, and nothing is payable before.

use madang_protocol::{
    amount::Amount,
    ids::GrantId,
    reject::Reject,
    rules::settlement::{Split, split},
    time::UnixMillis,
};

use super::{
    books::Moved,
    deadline::{self, Due},
    entry::Posting,
    late, period,
    policy::{CONTESTED_LOOK_AGAIN, DISPUTE_WITHIN},
    progress::{self, Progress},
    promotion,
    table::LedgerAccount,
    terms::{self, Terms},
    view::{Fault, Invariant, Tables, View},
};

/// Who got what of a grant, less what was taken back.
pub fn net(terms: &Terms, progress: &Progress) -> Result<Split, Fault> {
    if progress.refunded.is_zero() {
        return Ok(progress.split());
    }
    let left = progress.amount().checked_sub(progress.refunded);
    let left = left.ok_or(Invariant::TakenBackOnce)?;
    Ok(split(left, terms.tax, terms.commission_bp).map_err(|_| Invariant::SplitWhole)?)
}

/// When what a grant's seller earned becomes payable, unless a dispute is open then.
pub fn payable_from(terms: &Terms, progress: &Progress) -> UnixMillis {
    terms.settle_until.max(contested_until(progress))
}

/// Until when a grant may be contested.
pub fn contested_until(progress: &Progress) -> UnixMillis {
    progress.time.plus(DISPUTE_WITHIN)
}

/// Refuses to take `amount` back where it cannot be.
///
/// # Errors
/// `GRANT_NOT_CLOSED`; `MORE_THAN_IS_LEFT`; `FIELD_OUT_OF_BOUNDS` for nothing.
pub(super) fn check_refund(progress: &Progress, amount: Amount) -> Result<(), Fault> {
    if amount.is_zero() {
        return Err(Reject::FIELD_OUT_OF_BOUNDS.into());
    }
    check_claim(progress, amount)?;
    if !progress.hold_ended {
        return Err(Reject::GRANT_NOT_CLOSED.into());
    }
    Ok(())
}

/// Refuses to speak of more than is left of a grant.
pub(super) fn check_claim(progress: &Progress, amount: Amount) -> Result<(), Fault> {
    if amount > progress.amount().saturating_sub(progress.refunded) {
        return Err(Reject::MORE_THAN_IS_LEFT.into());
    }
    Ok(())
}

/// The grant's terms and progress, for one of its two parties or for an operator.
pub(super) fn settled(view: &impl View, grant: &GrantId) -> Result<(Terms, Progress), Fault> {
    let terms = terms::get(view, grant)?.ok_or(Reject::GRANT_UNKNOWN)?;
    Ok((terms, progress::get(view, grant)?))
}

/// L-7: takes `amount` of the receipt back. The caller writes `progress`.
pub(super) fn refund(
    tables: &mut impl Tables,
    grant: &GrantId,
    terms: &Terms,
    progress: &mut Progress,
    amount: Amount,
    moved: &mut Moved,
) -> Result<(), Fault> {
    if !progress.hold_ended {
        return Err(Invariant::TakenBackOnce.into());
    }
    let before = net(terms, progress)?;
    let calendar = period::calendar(tables)?;
    let frozen = late::before_move(calendar.as_ref(), terms, progress);
    let refunded = progress.refunded.checked_add(amount);
    progress.refunded = refunded.ok_or(Invariant::SumFits)?;
    if let (Some(from), Some(calendar)) = (frozen, &calendar) {
        late::note(tables, calendar, grant, terms, from, progress)?;
    }
    let after = net(terms, progress)?;
    let back = before.since(&after).ok_or(Invariant::SplitWhole)?;
    let mut posting = Posting::new(terms.currency);
    let debits = (before.debit, after.debit);
    let promotional = promotion::put_back(tables, &mut posting, terms, debits)?;
    let paid = back.debit.saturating_sub(promotional);
    let seller = LedgerAccount::Earnings(terms.seller);
    posting.credit(LedgerAccount::Wallet(terms.buyer), micros(paid))?;
    // L-9: below zero where it was paid out.
    posting.credit(seller, -micros(back.seller))?;
    if !progress.payable {
        posting.hold(seller, -micros(back.seller))?;
    }
    posting.credit(LedgerAccount::Commission, -micros(back.commission))?;
    posting.credit(LedgerAccount::Tax, -micros(back.tax))?;
    posting.post(tables, moved)
}

/// L-8: lets go of what the seller earned, if no dispute is open; otherwise notes when to look again.
pub(super) fn become_payable(
    tables: &mut impl Tables,
    grant: &GrantId,
    now: UnixMillis,
) -> Result<(), Fault> {
    let terms = terms::existing(tables, grant)?;
    let mut progress = progress::get(tables, grant)?;
    if progress.payable {
        return Ok(());
    }
    if progress.contested {
        let again = now.plus(CONTESTED_LOOK_AGAIN);
        return deadline::put(tables, again, &Due::Payable(*grant));
    }
    let earned = net(&terms, &progress)?.seller;
    let mut posting = Posting::new(terms.currency);
    posting.hold(LedgerAccount::Earnings(terms.seller), -micros(earned))?;
    posting.hold_only(tables)?;
    progress.payable = true;
    progress::put(tables, grant, &progress)
}

fn micros(amount: Amount) -> i128 {
    i128::from(amount.micros())
}

#[cfg(test)]
#[expect(clippy::unwrap_used, reason = "a test fails by panicking")]
mod tests;
