//! What this node forgets: grants, receipts and passes that nobody can make anything of any more.
//!
//! Whether something is over is decided from its rows and the time alone; nothing is forgotten before the anchor has said what time it is. Tables are
//! looked through in pages, and what is over is deleted a few rows at a time, so that nobody waits long for the store.

use std::time::Duration;

use madang_protocol::{
    limits::{CLOCK_DIFFERENCE_TOLERATED, GRANT_SPEND_WITHIN},
    record::{
        grant::Grant,
        receipt::{Counters, Receipt},
    },
    time::UnixMillis,
};
use tokio::time::Instant;

use crate::{
    clock::Clock,
    store::{
        AgreementRow, BoughtRow, Event, GrantRow, HeldRow, NodeStore, PassRow, ROWS_PAGE,
        ShownGrant, StoreError, StoreRead,
    },
};

/// How long something is kept after it is over by our clock: by the other end's it may not be, and what was served under a grant is also asked of its
/// successor, for as long as that is spent.
const MARGIN: Duration = Duration::from_secs(24 * 3_600);
const _: () = assert!(
    MARGIN.as_secs() > GRANT_SPEND_WITHIN.as_secs() + 2 * CLOCK_DIFFERENCE_TOLERATED.as_secs()
);
/// How long a buyer can check a bill against what it signed: longer than any period that is billed, or argued about.
const PURCHASES_KEPT: Duration = Duration::from_secs(400 * 24 * 3_600);
/// How often everything is looked through.
const EVERY: Duration = Duration::from_secs(3_600);
/// Events that are written at once.
const EVENTS_MAX: usize = 16;

/// When everything was looked through last.
#[derive(Default)]
pub(super) struct Forgetting {
    last: Option<Instant>,
}

impl Forgetting {
    /// Looks through everything when it is time to, and known what time it is.
    pub(super) async fn when_due(
        &mut self,
        clock: &Clock,
        forget: impl AsyncFnOnce(UnixMillis) -> Result<(), StoreError>,
    ) {
        let is_due = self.last.is_none_or(|last| last.elapsed() >= EVERY);
        if !is_due || !clock.is_confirmed() {
            return;
        }
        match forget(clock.now()).await {
            Ok(()) => self.last = Some(Instant::now()),
            Err(error) => tracing::warn!(
                error = &error as &dyn std::error::Error,
                "what is long over is forgotten later"
            ),
        }
    }
}

/// Forgets sales that nothing more comes of, and passes that have ended.
pub(super) async fn forget_sales(store: &NodeStore, now: UnixMillis) -> Result<(), StoreError> {
    let shown =
        |last: Option<&ShownGrant>| store.grants_shown_after(last.map(|shown| shown.claims().id));
    forget(store, shown, |shown| {
        let grant = shown.claims();
        let held = store.held(grant.id)?;
        Ok(is_sale_over(grant, held.as_ref(), now).then(|| {
            if let Some(held) = held.filter(|held| !held.is_judged()) {
                let amount = held.receipt.claims().amount.saturating_sub(held.settled);
                tracing::warn!(grant = %grant.id.short(), micros = amount.micros(), "a receipt could not be handed in before its time was over");
            }
            Event::SaleForgotten(grant.id)
        }))
    })
    .await?;
    let sales =
        |last: Option<&HeldRow>| store.sales_after(last.map(|row| row.receipt.claims().grant));
    forget(store, sales, |held| {
        let grant = held.receipt.claims().grant;
        // A receipt that came when its grant was forgotten already.
        let is_alone = held.is_judged() && store.grant_shown(grant)?.is_none();
        Ok(is_alone.then_some(Event::SaleForgotten(grant)))
    })
    .await?;
    let passes = |last: Option<&PassRow>| store.passes_sold_after(last);
    forget(store, passes, |pass| {
        Ok(is_past(pass.until, now).then(|| Event::SoldPassForgotten(pass.clone())))
    })
    .await
}

/// Forgets purchases that nobody asks about any more, and passes that have ended.
pub(super) async fn forget_purchases(store: &NodeStore, now: UnixMillis) -> Result<(), StoreError> {
    let grants =
        |last: Option<&GrantRow>| store.grants_after(last.map(|row| row.grant.claims().id));
    forget(store, grants, |row| {
        let grant = row.grant.claims();
        let signed = store.signed(grant.id)?;
        let signed = signed.as_ref().map(|signed| signed.claims());
        Ok(is_purchase_over(grant, signed, now).then_some(Event::PurchaseForgotten(grant.id)))
    })
    .await?;
    let passes = |last: Option<&BoughtRow>| store.passes_bought_after(last.map(|row| &row.pass));
    forget(store, passes, |row| {
        let agreement = store.agreement(&row.pass.site)?;
        let is_over = is_bought_pass_over(row, agreement.as_ref(), now);
        Ok(is_over.then(|| Event::BoughtPassForgotten(row.pass.clone())))
    })
    .await
}

/// Looks through a table in pages, and forgets what is over.
async fn forget<T>(
    store: &NodeStore,
    page: impl Fn(Option<&T>) -> Result<Vec<T>, StoreRead>,
    over: impl Fn(&T) -> Result<Option<Event>, StoreRead>,
) -> Result<(), StoreError> {
    let mut last: Option<T> = None;
    loop {
        let mut rows = page(last.as_ref())?;
        let events = rows.iter().map(&over).filter_map(Result::transpose);
        let events = events.collect::<Result<Vec<Event>, _>>()?;
        for some in events.chunks(EVENTS_MAX) {
            store.record_durably(some).await?;
        }
        if !events.is_empty() {
            // The same page again: of a large sale some is left, and others have moved up.
            continue;
        }
        if rows.len() < ROWS_PAGE {
            return Ok(());
        }
        last = rows.pop();
        tokio::task::yield_now().await;
    }
}

/// Past what can be settled; or settled for good, and past what can be spent.
fn is_sale_over(grant: &Grant, held: Option<&HeldRow>, now: UnixMillis) -> bool {
    let is_final = held.is_some_and(|held| held.is_judged() && held.receipt.claims().is_final);
    is_past(grant.settle_until, now) || (is_final && is_past(grant.spend_until, now))
}

/// What was used is kept for bills; a grant that was not used is in none.
fn is_purchase_over(grant: &Grant, signed: Option<&Receipt>, now: UnixMillis) -> bool {
    let is_used = signed.is_some_and(|signed| {
        let has_counted = |counters: &Counters| *counters != Counters::default();
        !signed.amount.is_zero() || signed.counters.iter().any(has_counted)
    });
    let kept = if is_used { PURCHASES_KEPT } else { MARGIN };
    now >= grant.settle_until.plus(kept)
}

/// An agreement buys a pass once: while the one stands under which it was bought, it is remembered that it was.
fn is_bought_pass_over(row: &BoughtRow, agreement: Option<&AgreementRow>, now: UnixMillis) -> bool {
    let is_held_to = agreement.is_some_and(|agreement| row.bought >= agreement.since);
    is_past(row.pass.until, now) && !is_held_to
}

fn is_past(time: UnixMillis, now: UnixMillis) -> bool {
    now >= time.plus(MARGIN)
}

#[cfg(test)]
mod tests;
