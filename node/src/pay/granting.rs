//! Asks the anchor for permission to spend. Each request is written down before it is sent, so that one whose answer was lost is asked again under the
//! same id, and no hold is made twice.

use std::sync::Arc;

use madang_protocol::{
    amount::{Amount, MICROS_PER_UNIT},
    ids::{GrantId, RequestId},
    limits::GRANT_AMOUNT_MAX,
    record::{
        grant::Grant,
        network::Tax,
        passport::Passport,
        request::GrantRequest,
        tariff::{Rule, Tariff},
    },
    reject::Reject,
    rules::settlement::amount_within,
    sealed::{Sealed, Unverified},
};

use super::{BuyError, Buying, buying::Shared, leftover::Claim, purchase::Purchase};
use crate::{broker::BrokerError, store::Event};

/// What a grant is for, when the price of a single use is less. In main units of the currency, scaled as budgets are.
const GRANT_UNITS: u64 = 2_000;
/// Of a tariff's rule, this much is covered at least: so many requests, MiB and minutes.
const COVERED_USES: u64 = 4;

/// What a grant from before must have left.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Left {
    /// Nothing: what was bought with it can be had again.
    Nothing,
    /// Something to buy with.
    Something,
}

/// Says that a request is on its way: it is not repeated meanwhile.
struct Asking {
    shared: Arc<Shared>,
    request: RequestId,
}

impl Asking {
    fn begin(shared: Arc<Shared>, request: RequestId) -> Self {
        shared.asking.lock().insert(request);
        Self { shared, request }
    }
}

impl Drop for Asking {
    fn drop(&mut self) {
        self.shared.asking.lock().remove(&self.request);
    }
}

impl Buying {
    /// Presents a grant for `purchase` at the prices of `tariff`: one that is in hand, or a new one for which at most `left` leaves the
    /// wallet.
    pub(super) async fn present(
        &self,
        purchase: &Purchase,
        seller: &Sealed<Passport>,
        tariff: &Sealed<Tariff>,
        rule: usize,
        left: Amount,
        predecessor: Option<GrantId>,
    ) -> Result<GrantId, BuyError> {
        if predecessor.is_none()
            && let Some(id) = self.present_again(purchase, tariff, Left::Something)?
        {
            return Ok(id);
        }
        let wanted = tariff
            .rules
            .get(rule)
            .map_or(Amount::ZERO, sensible)
            .min(amount_within(left, self.tax()))
            .min(GRANT_AMOUNT_MAX);
        if wanted.is_zero() {
            return Err(BuyError::OverBudget);
        }
        let (grant, _claim) = match self.ask(seller, tariff, wanted, predecessor).await {
            Err(BuyError::NoCredit) => {
                // Less may be had: what the wallet holds, without the tax that comes on top.
                let available = self.affordable().await?.min(wanted);
                let least = tariff.rules.get(rule).map_or(Amount::ZERO, least);
                if available.is_zero() || available < least || available == wanted {
                    return Err(BuyError::NoCredit);
                }
                let amount = if tariff.rules.iter().any(|rule| !rule.quota.is_empty()) {
                    half(available).max(least)
                } else {
                    available
                };
                self.ask(seller, tariff, amount, predecessor).await?
            }
            other => other?,
        };
        let id = grant.id;
        purchase.present(grant, tariff.clone(), None)?;
        Ok(id)
    }

    /// A grant from before, for the same seller, site and prices, that is not over and has as much left.
    pub(super) fn present_again(
        &self,
        purchase: &Purchase,
        tariff: &Sealed<Tariff>,
        wanted: Left,
    ) -> Result<Option<GrantId>, BuyError> {
        let (parts, now) = (&self.0.parts, self.0.parts.clock.now());
        let trust = parts.standing.borrow().trust.clone();
        let hash = tariff.tariff_hash();
        let mut last = None;
        loop {
            let (page, next) = parts.store.grants_open_after(last)?;
            for row in page {
                let claims = row.grant.claims();
                let fits = claims.seller_key == purchase.seller
                    && claims.site == purchase.site
                    && claims.tariff == hash;
                if !fits || now >= claims.spend_until || claims.buyer_key != parts.key.public() {
                    continue;
                }
                // Whoever ends it meanwhile signs its last receipt.
                let Some(_claim) = self.claim(claims.id, Some(purchase)) else {
                    continue;
                };
                let latest = parts.store.signed(claims.id)?;
                if latest.as_ref().is_some_and(|latest| {
                    let latest = latest.claims();
                    let is_used_up = latest.amount >= claims.amount_max;
                    latest.is_final || (is_used_up && wanted == Left::Something)
                }) {
                    continue;
                }
                let latest = latest.map(|latest| latest.verify(&trust)).transpose()?;
                let grant = row.grant.verify(&trust)?;
                let id = grant.id;
                purchase.present(grant, tariff.clone(), latest)?;
                return Ok(Some(id));
            }
            if next.is_none() {
                return Ok(None);
            }
            last = next;
        }
    }

    async fn ask(
        &self,
        seller: &Sealed<Passport>,
        tariff: &Sealed<Tariff>,
        amount_max: Amount,
        predecessor: Option<GrantId>,
    ) -> Result<(Sealed<Grant>, Claim), BuyError> {
        let parts = &self.0.parts;
        let mut id = [0; 16];
        getrandom::fill(&mut id).map_err(|_| Reject::BUSY)?;
        let request = GrantRequest {
            device: parts.key.public(),
            id: RequestId(id),
            seller: seller.to_unverified(),
            tariff_hash: tariff.tariff_hash(),
            tariff: Some(tariff.to_unverified()),
            amount_max,
            predecessor,
            time: parts.clock.now(),
        };
        let network = parts.standing.borrow().trust.network();
        let request = parts.key.sign(request, network)?;
        let _asking = Asking::begin(Arc::clone(&self.0), request.id);
        parts
            .store
            .record_durably(&[Event::GrantAsked(request.to_unverified())])
            .await?;
        let (grant, claim) = self.send(&request, tariff.to_unverified()).await?;
        // Only who asks the same again could have it, and nobody does meanwhile.
        Ok((grant, claim.ok_or(BuyError::Stalled)?))
    }

    /// Sends a request that is written down, and writes the answer down. Nobody else uses or ends the grant while the claim lives.
    pub(super) async fn send(
        &self,
        request: &Sealed<GrantRequest>,
        tariff: Unverified<Tariff>,
    ) -> Result<(Sealed<Grant>, Option<Claim>), BuyError> {
        let store = &self.0.parts.store;
        match self.0.parts.broker.grant(request).await {
            Ok(grant) => {
                let claim = self.claim(grant.id, None);
                store
                    .record_durably(&[Event::GrantHeld {
                        request: request.id,
                        grant: grant.to_unverified(),
                        tariff,
                    }])
                    .await?;
                Ok((grant, claim))
            }
            Err(BrokerError::Refused(reject)) => {
                store
                    .record_durably(&[Event::GrantNotHeld(request.id)])
                    .await?;
                Err(if reject == Reject::CREDIT_INSUFFICIENT {
                    BuyError::NoCredit
                } else {
                    BuyError::Refused(reject)
                })
            }
            Err(error) => {
                tracing::info!(%error, "no grant now");
                Err(BuyError::AnchorAway)
            }
        }
    }

    /// What the wallet can be asked for, before a tax that comes on top.
    async fn affordable(&self) -> Result<Amount, BuyError> {
        let wallet = self
            .0
            .parts
            .broker
            .wallet()
            .await
            .map_err(|_| BuyError::AnchorAway)?;
        Ok(amount_within(wallet.available, self.tax()))
    }

    /// The tax that a new grant carries, as far as the issuer has said.
    pub(super) fn tax(&self) -> Tax {
        self.0.parts.standing.borrow().descriptor.tax
    }
}

/// Free use comes with each grant: the next one must find something in the wallet too.
fn half(available: Amount) -> Amount {
    Amount::from_micros(available.micros().div_ceil(2))
}

/// What a KiB or a second costs: with less left, what is priced by octets or time would end as soon as it begins.
pub(super) fn crumb(rule: &Rule) -> Amount {
    Amount::from_micros((rule.per_mib.micros() / 1_024).max(rule.per_minute.micros() / 60))
}

/// The least with which anything can be had under a rule.
fn least(rule: &Rule) -> Amount {
    let pass = rule
        .pass
        .filter(|_| rule.is_pass_only())
        .map_or(Amount::ZERO, |pass| pass.price);
    rule.per_request.max(pass)
}

/// A few uses, or the usual size of a grant: large enough to be asked for rarely, small enough to hold little money.
fn sensible(rule: &Rule) -> Amount {
    let dearest = [rule.per_request, rule.per_mib, rule.per_minute]
        .into_iter()
        .max()
        .unwrap_or_default();
    let uses = Amount::from_micros(dearest.micros().saturating_mul(COVERED_USES));
    let pass = rule.pass.map_or(Amount::ZERO, |pass| pass.price);
    uses.max(pass)
        .max(Amount::from_micros(GRANT_UNITS * MICROS_PER_UNIT))
}
