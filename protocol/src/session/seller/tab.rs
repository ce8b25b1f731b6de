//! What a seller counts under one grant.

use crate::session::exposure::Exposure;
use crate::{
    amount::Amount,
    ids::{AccountId, GrantId},
    limits::COUNTER_MAX,
    record::{
        grant::Grant,
        receipt::{Counters, Receipt},
        tariff::{Rule, Tariff},
    },
    reject::Reject,
    rules::{
        metering::{RequestKey, Requests},
        rating::{
            Value, fits_within, list_value, list_value_of, millisecond_price, milliseconds_within,
            octet_price, octets_within,
        },
        receipt::check_receipt,
    },
    sealed::Sealed,
    time::UnixMillis,
};

/// Octets of a counted response that were sent and not receipted, as far as is known: from the first to before the second.
pub(super) type Unreceipted = (u64, u64);

/// One grant with its counts. `counters` never fall below what is receipted; the value between the two is `live`, unless the buyer's count was taken.
#[derive(Debug, Clone)]
pub(super) struct Tab {
    pub(super) grant: Sealed<Grant>,
    pub(super) tariff: Sealed<Tariff>,
    /// The seller's count. Of requests: those whose price is receipted and whose body may go.
    pub(super) counters: Vec<Counters>,
    pub(super) receipt: Option<Sealed<Receipt>>,
    /// This tab's part of the account's live debt.
    pub(super) live: Value,
    /// Value of closed responses that stands as lost already, and that the buyer may still receipt.
    given_up: Value,
    pub(super) requests: Requests<Unreceipted>,
    /// Of the grant that this one succeeds.
    requests_before: Requests<Unreceipted>,
    /// Requests receipted under the grant before and not yet served, by rule.
    credit: Vec<u64>,
}

/// What a receipt did.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Effect {
    /// It was known.
    Repeated,
    /// It counts, and these passes were bought: a rule's index, and how many.
    Honoured { passes: Vec<(usize, u64)> },
}

impl Tab {
    pub(super) fn new(
        grant: Sealed<Grant>,
        tariff: Sealed<Tariff>,
        receipt: Option<Sealed<Receipt>>,
    ) -> Self {
        let rules = tariff.rules.len();
        let mut tab = Self {
            grant,
            tariff,
            counters: vec![Counters::default(); rules],
            receipt,
            live: Value::ZERO,
            given_up: Value::ZERO,
            requests: Requests::default(),
            requests_before: Requests::default(),
            credit: vec![0; rules],
        };
        tab.take_buyers_count();
        // Which requests a receipt from before a restart paid is not known any more: each may be served once.
        for one in &mut tab.counters {
            one.requests = 0;
        }
        tab
    }

    pub(super) fn id(&self) -> GrantId {
        self.grant.id
    }

    pub(super) fn is_final(&self) -> bool {
        self.receipt
            .as_ref()
            .is_some_and(|receipt| receipt.is_final)
    }

    pub(super) fn is_open_at(&self, now: UnixMillis) -> bool {
        !self.is_final() && now < self.grant.spend_until
    }

    pub(super) fn rule(&self, rule: usize) -> Option<&Rule> {
        self.tariff.rules.get(rule)
    }

    fn receipted(&self, rule: usize) -> Counters {
        let counters = self
            .receipt
            .as_ref()
            .map_or(&[][..], |receipt| &receipt.counters);
        counters.get(rule).copied().unwrap_or_default()
    }

    /// Requests of `rule` that are receipted and not served.
    pub(super) fn slots(&self, rule: usize) -> u64 {
        let served = self.counters.get(rule).map_or(0, |one| one.requests);
        let credit = self.credit.get(rule).copied().unwrap_or(0);
        self.receipted(rule).requests.saturating_sub(served) + credit
    }

    /// Serves a receipted request; false when there is none.
    pub(super) fn use_slot(&mut self, rule: usize, key: Option<RequestKey>) -> bool {
        if self.slots(rule) == 0 {
            return false;
        }
        if self.receipted(rule).requests > self.counters[rule].requests {
            self.counters[rule].requests += 1;
        } else {
            self.credit[rule] -= 1;
        }
        if let Some(key) = key {
            // Without room the request is served all the same, and would be counted again.
            self.requests.note(key, (0, 0));
        }
        true
    }

    /// Takes back that a request was served: nothing of its body went.
    pub(super) fn return_slot(&mut self, rule: usize) {
        self.credit[rule] += 1;
    }

    /// What is known of an earlier response to the same request.
    pub(super) fn known(&self, key: &RequestKey) -> Option<Unreceipted> {
        self.requests
            .get(key)
            .or_else(|| self.requests_before.get(key))
            .copied()
    }

    /// Whether one more request, beside `due` unpaid ones, is within the grant.
    pub(super) fn has_room_for_request(&self, rule: usize, due: u64) -> bool {
        let wanted = Counters {
            requests: due + 1,
            ..Counters::default()
        };
        fits_within(
            &self.tariff,
            &self.grant.quotas,
            &self.counters,
            rule,
            &wanted,
            self.grant.amount_max,
        )
    }

    /// Counts as many octets of `wanted` as the grant and `room` allow, up to `again` of them as served before.
    pub(super) fn take_octets(
        &mut self,
        exposure: &mut Exposure,
        account: &AccountId,
        rule: usize,
        wanted: u64,
        again: u64,
        floor: Value,
    ) -> u64 {
        let Some(priced) = self.tariff.rules.get(rule) else {
            return 0;
        };
        let price = octet_price(priced);
        let granted = octets_within(
            &self.tariff,
            &self.grant.quotas,
            &self.counters,
            rule,
            self.grant.amount_max,
        );
        let wanted = wanted.min(granted);
        if price.is_zero() {
            let is_blocked = !millisecond_price(priced).is_zero()
                && exposure.room(account, floor) < millisecond_price(priced);
            let taken = if is_blocked { 0 } else { wanted };
            self.counters[rule].bytes += taken;
            return taken;
        }
        let repeated = wanted
            .min(again)
            .min(exposure.debt(account).lost.count_of(price));
        let fresh = (wanted - repeated).min(exposure.room(account, floor).count_of(price));
        exposure.serve_again(account, price.times(repeated));
        if fresh > 0 {
            exposure.serve(account, price.times(fresh));
        }
        self.live += price.times(repeated + fresh);
        self.counters[rule].bytes += repeated + fresh;
        repeated + fresh
    }

    /// Counts as many milliseconds of `elapsed` as the grant and the account's room allow.
    pub(super) fn take_milliseconds(
        &mut self,
        exposure: &mut Exposure,
        account: &AccountId,
        rule: usize,
        elapsed: u64,
        floor: Value,
    ) -> u64 {
        let Some(priced) = self.tariff.rules.get(rule) else {
            return 0;
        };
        let price = millisecond_price(priced);
        let granted = milliseconds_within(
            &self.tariff,
            &self.grant.quotas,
            &self.counters,
            rule,
            self.grant.amount_max,
        );
        let taken = elapsed
            .min(granted)
            .min(exposure.room(account, floor).count_of(price));
        if taken > 0 {
            exposure.serve(account, price.times(taken));
            self.live += price.times(taken);
            self.counters[rule].milliseconds += taken;
        }
        taken
    }

    /// Takes a receipt.
    pub(super) fn honour(
        &mut self,
        exposure: &mut Exposure,
        account: &AccountId,
        next: &Sealed<Receipt>,
    ) -> Result<Effect, Reject> {
        let previous = self.receipt.as_deref();
        check_receipt(&self.grant, &self.tariff, previous, next)?;
        if previous == Some(&**next) {
            return Ok(Effect::Repeated);
        }
        let before = previous.map_or(&[][..], |receipt| &receipt.counters);
        let paid = list_value(&self.tariff, &next.counters) - list_value(&self.tariff, before);
        // What a request or a pass costs is paid before it is served, and never stands in the window.
        let mut ahead = Value::ZERO;
        let mut passes = Vec::new();
        for (at, (rule, now)) in self.tariff.rules.iter().zip(&next.counters).enumerate() {
            let then = before.get(at).copied().unwrap_or_default();
            let bought = Counters {
                requests: now.requests - then.requests,
                passes: now.passes - then.passes,
                ..Counters::default()
            };
            ahead += list_value_of(rule, &bought);
            if bought.passes > 0 {
                passes.push((at, bought.passes));
            }
        }
        let used = paid - ahead;
        let from_live = used.min(self.live);
        self.live -= from_live;
        self.given_up -= used - from_live;
        exposure.honour(account, from_live, used - from_live, ahead);
        for (counted, signed) in self.counters.iter_mut().zip(&next.counters) {
            counted.bytes = counted.bytes.max(signed.bytes);
            counted.milliseconds = counted.milliseconds.max(signed.milliseconds);
            counted.passes = signed.passes;
        }
        self.receipt = Some(next.clone());
        Ok(Effect::Honoured { passes })
    }

    /// A response has ended of which so much is not receipted.
    pub(super) fn give_up(
        &mut self,
        exposure: &mut Exposure,
        account: &AccountId,
        value: Value,
        now: UnixMillis,
    ) {
        let value = value.min(self.live);
        exposure.lose(account, value, now);
        self.live -= value;
        self.given_up += value;
    }

    /// Whether a receipt may still come that makes room.
    pub(super) fn may_be_receipted(&self) -> bool {
        !self.live.is_zero() || !self.given_up.is_zero()
    }

    /// Nothing is open under this grant, and the buyer has had its say: its count holds, and the difference is lost.
    pub(super) fn accept_difference(
        &mut self,
        exposure: &mut Exposure,
        account: &AccountId,
        now: UnixMillis,
    ) {
        exposure.lose(account, self.live, now);
        self.live = Value::ZERO;
        self.given_up = Value::ZERO;
        self.take_buyers_count();
    }

    fn take_buyers_count(&mut self) {
        for rule in 0..self.counters.len() {
            let receipted = self.receipted(rule);
            let counted = &mut self.counters[rule];
            *counted = Counters {
                requests: counted.requests,
                ..receipted
            };
        }
    }

    /// This grant is final, and `next` goes on from it at the same prices: what is counted and not receipted moves, and requests are remembered.
    pub(super) fn hand_over(&mut self, next: &mut Self) {
        for rule in 0..self.counters.len().min(next.counters.len()) {
            let receipted = self.receipted(rule);
            next.credit[rule] += self.slots(rule);
            self.credit[rule] = 0;
            let (from, to) = (&mut self.counters[rule], &mut next.counters[rule]);
            to.bytes = (to.bytes + (from.bytes - receipted.bytes)).min(COUNTER_MAX);
            to.milliseconds =
                (to.milliseconds + (from.milliseconds - receipted.milliseconds)).min(COUNTER_MAX);
            *from = receipted;
        }
        next.live += self.live;
        next.given_up += self.given_up;
        self.live = Value::ZERO;
        self.given_up = Value::ZERO;
        next.requests_before = std::mem::take(&mut self.requests);
    }

    /// What a session under this tariff needs to move at all.
    pub(super) fn floor(&self) -> Value {
        super::window_floor(&self.tariff)
    }

    /// The most that may stay unreceipted, as the buyer is told.
    pub(super) fn window(&self, exposure: &Exposure, account: &AccountId) -> Amount {
        (exposure.room(account, self.floor()) + self.live + self.given_up).round_down()
    }
}
