//! How a hold ends: once, and whole.
//!
//! It ends when both ends have closed; or 24 h of the seller's presence, 72 h at most, after the buyer closed; or when the grant cannot be
//! settled any more. A closing by the buyer with less than the seller can show does not count. What was not debited is the buyer's again, with the free use that was not taken.

use madang_protocol::{
    ids::GrantId,
    limits::{HOLD_RELEASE_AFTER, HOLD_RELEASE_AFTER_PRESENCE},
    time::UnixMillis,
};

use super::{
    deadline::{self, Due},
    entry::Posting,
    policy::RELEASE_LOOK_AGAIN_MIN,
    presence,
    progress::{self, BuyerClosed, Progress},
    promotion, quota, spending,
    table::LedgerAccount,
    terms::{self, Terms},
    view::{Fault, Invariant, Tables},
};

/// Ends the hold of a grant. The caller writes `progress`.
pub(super) fn end(
    tables: &mut impl Tables,
    posting: &mut Posting,
    terms: &Terms,
    progress: &mut Progress,
) -> Result<(), Fault> {
    if progress.hold_ended {
        return Err(Invariant::HoldEndsOnce.into());
    }
    let rest = terms.hold.checked_sub(progress.split().debit);
    let rest = rest.ok_or(Invariant::SettledWithinGrant)?;
    let promotional = promotion::release(tables, posting, terms, progress.split().debit)?;
    let paid = rest.saturating_sub(promotional);
    posting.hold(
        LedgerAccount::Wallet(terms.buyer),
        -i128::from(paid.micros()),
    )?;
    let counters = progress.best.as_ref().map(|best| best.counters.as_slice());
    quota::give_back(tables, terms, counters.unwrap_or_default())?;
    spending::ended(tables, terms, progress.amount())?;
    if progress.buyer_closed.is_some() {
        presence::no_longer_awaited(tables, &terms.seller_key)?;
    }
    progress.hold_ended = true;
    Ok(())
}

/// The buyer closes at `now`: from then on the seller's presence counts. The caller writes `progress`.
pub(super) fn buyer_closes(
    tables: &mut impl Tables,
    grant: &GrantId,
    terms: &Terms,
    progress: &mut Progress,
    now: UnixMillis,
) -> Result<(), Fault> {
    if progress.buyer_closed.is_some() || progress.hold_ended {
        return Ok(());
    }
    let presence_ms = presence::await_one_more(tables, &terms.seller_key)?;
    progress.buyer_closed = Some(BuyerClosed {
        time: now,
        presence_ms,
    });
    let earliest = now.plus(HOLD_RELEASE_AFTER_PRESENCE);
    deadline::put(tables, earliest, &Due::EarlyRelease(*grant))
}

/// A higher receipt than the one that the buyer closed with was shown: its closing does not count.
pub(super) fn reopen_buyer(
    tables: &mut impl Tables,
    terms: &Terms,
    progress: &mut Progress,
) -> Result<(), Fault> {
    if progress.buyer_closed.take().is_some() && !progress.hold_ended {
        presence::no_longer_awaited(tables, &terms.seller_key)?;
    }
    Ok(())
}

/// Ends the hold of a grant that the buyer closed, if the seller was there for long enough; otherwise notes when to look again.
pub(super) fn release_early(
    tables: &mut impl Tables,
    grant: &GrantId,
    now: UnixMillis,
) -> Result<(), Fault> {
    let Some(terms) = terms::get(tables, grant)? else {
        return Ok(());
    };
    let progress = progress::get(tables, grant)?;
    let Some(closed) = progress.buyer_closed.filter(|_| !progress.hold_ended) else {
        return Ok(());
    };
    let present_ms =
        presence::counted(tables, &terms.seller_key)?.saturating_sub(closed.presence_ms);
    let present = std::time::Duration::from_millis(present_ms);
    let at_most = closed.time.plus(HOLD_RELEASE_AFTER);
    if present >= HOLD_RELEASE_AFTER_PRESENCE || now >= at_most {
        return end_now(tables, grant, &terms, progress);
    }
    let missing = HOLD_RELEASE_AFTER_PRESENCE.saturating_sub(present);
    let again = now.plus(missing.max(RELEASE_LOOK_AGAIN_MIN)).min(at_most);
    deadline::put(tables, again, &Due::EarlyRelease(*grant))
}

/// Ends the hold of a grant by itself.
pub(super) fn end_now(
    tables: &mut impl Tables,
    grant: &GrantId,
    terms: &Terms,
    mut progress: Progress,
) -> Result<(), Fault> {
    let mut posting = Posting::new(terms.currency);
    end(tables, &mut posting, terms, &mut progress)?;
    posting.hold_only(tables)?;
    progress::put(tables, grant, &progress)
}
