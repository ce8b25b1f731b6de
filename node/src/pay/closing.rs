//! What a buyer does between requests: asks for successors, ends quiet sessions, and tells the anchor which grants are done, so that what is left of
//! their holds comes back early.

use std::{sync::Arc, time::Duration};

use madang_protocol::{
    amount::Amount,
    ids::GrantId,
    record::{receipt::Receipt, request::CloseGrant},
    reject::{Fault, Reject},
    sealed::{Sealed, Unverified},
    session::buyer::final_after,
};

use super::{
    BuyError, Buying,
    buy_error::unfollowed,
    forgetting::{Forgetting, forget_purchases},
    purchase::Purchase,
    wallet::Allowance,
};
use crate::{
    broker::BrokerError,
    store::{Event, GrantRow},
};

/// A session without a request for so long is ended, and its hold released.
const SESSION_IDLE: Duration = Duration::from_secs(60);
/// How often machines are looked after.
const TICK: Duration = Duration::from_millis(250);
/// How often old grants are looked through.
const SWEEP: Duration = Duration::from_secs(60);
/// Requests without an answer that are asked again at once.
const SWEEP_MAX: usize = 1_024;

impl Buying {
    /// Looks after sessions and grants, for as long as the node runs.
    pub async fn run(&self) {
        tokio::join!(
            self.0.outbox.run(),
            self.tick(),
            self.run_errands(),
            self.sweep(),
            self.end_leftovers(),
            self.follow_passes()
        );
    }

    async fn tick(&self) {
        let mut ticks = tokio::time::interval(TICK);
        ticks.set_missed_tick_behavior(tokio::time::MissedTickBehavior::Delay);
        loop {
            ticks.tick().await;
            for purchase in self.purchases() {
                purchase.tick();
                if purchase.is_quiet_for(SESSION_IDLE) {
                    purchase.finish();
                }
            }
            self.forget_ended();
        }
    }

    async fn run_errands(&self) {
        loop {
            self.0.errands.notified().await;
            for purchase in self.purchases() {
                if let Err(error) = self.follow_up(&purchase).await {
                    tracing::info!(site = %purchase.site, %error, "no successor of a grant");
                }
            }
            self.tell_closed().await;
            // What was settled with a closing has issued the passes that it bought.
            self.0.pass_bought.notify_one();
        }
    }

    /// Gets the successor that a session asks for, or tells the session that there is none.
    async fn follow_up(&self, purchase: &Arc<Purchase>) -> Result<(), BuyError> {
        let Some(predecessor) = purchase.look(|state| state.wants_successor.take()) else {
            return Ok(());
        };
        let followed = self.present_successor(purchase, predecessor).await;
        let why = match &followed {
            Ok(true) => None,
            Ok(false) => Some(Reject::BUDGET_EXCEEDED),
            Err(error) => Some(unfollowed(error)),
        };
        if let Some(why) = why {
            purchase.no_successor(predecessor, why);
        }
        followed.map(|_| ())
    }

    /// Whether there is a successor.
    async fn present_successor(
        &self,
        purchase: &Purchase,
        predecessor: GrantId,
    ) -> Result<bool, BuyError> {
        let Some(seller) = purchase.look(|state| state.passport.clone()) else {
            return Ok(false);
        };
        let Some(row) = self.0.parts.store.grant(predecessor)? else {
            return Ok(false);
        };
        let trust = self.0.parts.standing.borrow().trust.clone();
        let tariff = row.tariff.verify(&trust)?;
        let allowance =
            self.0
                .parts
                .wallet
                .allowance(&purchase.site, tariff.tariff_hash(), Amount::ZERO)?;
        let Allowance::Granted { left, .. } = allowance else {
            return Ok(false);
        };
        let rule = purchase.rule_in_use().unwrap_or_else(|| {
            let price = |at: &usize| tariff.rules[*at].per_mib.max(tariff.rules[*at].per_request);
            (0..tariff.rules.len()).max_by_key(price).unwrap_or(0)
        });
        self.present(purchase, &seller, &tariff, rule, left, Some(predecessor))
            .await?;
        Ok(true)
    }

    /// Ends every session and tells the anchor, as far as it can be reached: before the node stops.
    pub async fn finish_all(&self) {
        for purchase in self.purchases() {
            purchase.finish();
        }
        self.0.outbox.flushed().await;
        self.tell_closed().await;
    }

    async fn sweep(&self) {
        let mut sweeps = tokio::time::interval(SWEEP);
        sweeps.set_missed_tick_behavior(tokio::time::MissedTickBehavior::Delay);
        let mut forgetting = Forgetting::default();
        loop {
            sweeps.tick().await;
            if let Err(error) = self.sweep_once().await {
                tracing::info!(%error, "old grants wait");
            }
            self.tell_closed().await;
            let parts = &self.0.parts;
            // Here, so that nothing is signed for a grant while it is forgotten.
            forgetting
                .when_due(&parts.clock, async |now| {
                    forget_purchases(&parts.store, now).await
                })
                .await;
        }
    }

    /// Requests whose answer was lost are asked again; grants that can be spent no more get their final receipt.
    async fn sweep_once(&self) -> Result<(), BuyError> {
        let parts = &self.0.parts;
        let trust = parts.standing.borrow().trust.clone();
        for request in parts.store.asked(SWEEP_MAX)? {
            let request = request.verify(&trust)?;
            if self.0.asking.lock().contains(&request.id) {
                continue;
            }
            let Some(tariff) = request.tariff.clone() else {
                parts
                    .store
                    .record_durably(&[Event::GrantNotHeld(request.id)])
                    .await?;
                continue;
            };
            match self.send(&request, tariff).await {
                Ok(_) | Err(BuyError::Refused(_) | BuyError::NoCredit) => {}
                Err(error) => return Err(error),
            }
        }
        let now = parts.clock.now();
        let mut last = None;
        loop {
            let (page, next) = parts.store.grants_open_after(last)?;
            for row in &page {
                let grant = row.grant.claims();
                if now < grant.spend_until {
                    continue;
                }
                if let Some(_claim) = self.claim(grant.id, None) {
                    self.end_leftover(row).await?;
                }
            }
            if next.is_none() {
                return Ok(());
            }
            last = next;
            tokio::task::yield_now().await;
        }
    }

    /// A grant is of no more use to its seller: it is ended with what was signed so far.
    pub(super) async fn give_up(&self, grant: GrantId) -> Result<(), BuyError> {
        let Some(_claim) = self.claim(grant, None) else {
            return Ok(());
        };
        match self.0.parts.store.grant(grant)? {
            Some(row) => self.end_leftover(&row).await,
            None => Ok(()),
        }
    }

    /// Signs the last receipt of a grant that no session uses any more. It is claimed.
    pub(super) async fn end_leftover(&self, row: &GrantRow) -> Result<(), BuyError> {
        let parts = &self.0.parts;
        let grant = row.grant.claims();
        let latest = parts.store.signed(grant.id)?;
        if latest
            .as_ref()
            .is_some_and(|latest| latest.claims().is_final)
        {
            return Ok(());
        }
        let latest = latest.as_ref().map(|latest| latest.claims());
        let receipt = final_after(grant, latest, parts.clock.now());
        let network = parts.standing.borrow().trust.network();
        let receipt = parts.key.sign(receipt, network)?;
        parts
            .store
            .record_durably(&[Event::ReceiptSigned(receipt.to_unverified())])
            .await?;
        Ok(())
    }

    /// Tells the anchor which grants are done.
    async fn tell_closed(&self) {
        self.0.outbox.flushed().await;
        let parts = &self.0.parts;
        let Ok(grants) = parts.store.to_close() else {
            return;
        };
        for grant in grants {
            let Ok(Some(receipt)) = parts.store.signed(grant) else {
                continue;
            };
            match self.close(grant, receipt).await {
                Ok(()) => {}
                Err(error) => {
                    tracing::info!(%error, "the anchor is told later which grants are done");
                    return;
                }
            }
        }
    }

    async fn close(&self, grant: GrantId, receipt: Unverified<Receipt>) -> Result<(), BuyError> {
        let parts = &self.0.parts;
        let request = CloseGrant {
            device: parts.key.public(),
            grant,
            receipt: Some(receipt),
            time: parts.clock.now(),
        };
        let network = parts.standing.borrow().trust.network();
        let request: Sealed<CloseGrant> = parts.key.sign(request, network)?;
        match parts.broker.close(&request).await {
            Ok(_) => {}
            // What is refused for good is refused the next time as well.
            Err(BrokerError::Refused(reject)) if reject.fault() != Fault::NotNow => {
                tracing::warn!(grant = %grant.short(), slug = reject.slug(), "the anchor refuses a final receipt");
            }
            Err(_) => return Err(BuyError::AnchorAway),
        }
        parts
            .store
            .record_durably(&[Event::GrantClosed(grant)])
            .await?;
        Ok(())
    }
}
