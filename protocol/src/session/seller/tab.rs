//! What a seller counts under one grant.

use std::collections::VecDeque;

use super::Remembered;
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
    /// Requests that changed something and ended before their price was receipted, by rule.
    unpaid: Vec<u64>,
    /// Octets that were receipted before they came, by rule: what a buyer uploads is counted when it goes.
    prepaid: Vec<u64>,
    slot_news: VecDeque<SlotNews>,
    /// Whether the buyer has presented it since it came: what it does not present again it knows no more.
    pub(super) is_presented: bool,
}

/// What a seller must not forget of requests whose price is receipted.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum SlotNews {
    /// One is served.
    Used {
        /// Under this rule.
        rule: usize,
        /// By what it is recognised.
        key: Option<RequestKey>,
    },
    /// One was not served after all.
    Returned {
        /// Under this rule.
        rule: usize,
    },
}

fn known_before(keys: Vec<RequestKey>) -> Requests<Unreceipted> {
    let mut requests = Requests::default();
    for key in keys {
        requests.note(key, (0, 0));
    }
    requests
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
        remembered: Remembered,
    ) -> Self {
        let rules = tariff.rules.len();
        let id = grant.id;
        let mut tab = Self {
            grant,
            tariff,
            counters: vec![Counters::default(); rules],
            receipt: remembered.receipt.filter(|receipt| receipt.grant == id),
            live: Value::ZERO,
            given_up: Value::ZERO,
            requests: known_before(remembered.keys),
            requests_before: known_before(remembered.keys_before),
            credit: vec![0; rules],
            unpaid: vec![0; rules],
            prepaid: vec![0; rules],
            slot_news: VecDeque::new(),
            is_presented: true,
        };
        tab.take_buyers_count();
        // What was receipted and served before is not served again for the same price.
        for (rule, served) in remembered.served.into_iter().enumerate().take(rules) {
            tab.counters[rule].requests = served.min(tab.receipted(rule).requests);
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
        // Without room the request is served all the same, and would be counted again: so nothing is kept of it either.
        let key = key.filter(|key| self.requests.note(*key, (0, 0)));
        self.slot_news.push_back(SlotNews::Used { rule, key });
        true
    }

    /// A request that changed something has ended, and its price may still be receipted.
    pub(super) fn leave_unpaid(&mut self, rule: usize) {
        self.unpaid[rule] += 1;
    }

    /// Pays for such requests with what is receipted and not served; whether there was one.
    pub(super) fn pay_left_unpaid(&mut self) -> bool {
        let mut has_paid = false;
        for rule in 0..self.unpaid.len() {
            while self.unpaid[rule] > 0 && self.use_slot(rule, None) {
                self.unpaid[rule] -= 1;
                has_paid = true;
            }
        }
        has_paid
    }

    /// Whether a request of `rule` has a price of its own.
    pub(super) fn has_request_price(&self, rule: usize) -> bool {
        self.rule(rule)
            .is_some_and(|rule| !rule.per_request.is_zero())
    }

    /// Whether the grant covers another octet and another millisecond of `rule`.
    pub(super) fn has_room_for_use(&self, rule: usize) -> bool {
        let (quotas, limit) = (&self.grant.quotas, self.grant.amount_max);
        self.prepaid.get(rule).is_some_and(|octets| *octets > 0)
            || octets_within(&self.tariff, quotas, &self.counters, rule, limit).min(
                milliseconds_within(&self.tariff, quotas, &self.counters, rule, limit),
            ) > 0
    }

    /// Takes back that a request was served: nothing of its body went.
    pub(super) fn return_slot(&mut self, rule: usize) {
        self.credit[rule] += 1;
        self.slot_news.push_back(SlotNews::Returned { rule });
    }

    /// Whether nobody waits for anything under it: nothing is unreceipted that a receipt may still come for, and no effect unpaid.
    pub(super) fn is_settled(&self) -> bool {
        !self.may_be_receipted() && self.unpaid.iter().all(|count| *count == 0)
    }

    /// Keeps the counts, and nothing that grows with use: the journal has the requests.
    pub(super) fn rest(&mut self) {
        self.requests = Requests::default();
        self.requests_before = Requests::default();
    }

    /// Goes on with the requests that the journal has.
    pub(super) fn wake(&mut self, remembered: Remembered) {
        self.requests = known_before(remembered.keys);
        self.requests_before = known_before(remembered.keys_before);
    }

    /// What must not be forgotten.
    pub(super) fn poll_slots(&mut self) -> Option<SlotNews> {
        self.slot_news.pop_front()
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
        if price.is_zero() {
            return if self.is_out_of_time(exposure, account, rule, floor) {
                0
            } else {
                let prepaid = self.take_prepaid(rule, wanted);
                let taken = (wanted - prepaid).min(granted);
                self.counters[rule].bytes += taken;
                prepaid + taken
            };
        }
        let repeated = wanted
            .min(granted)
            .min(again)
            .min(exposure.debt(account).lost.count_of(price));
        let prepaid = self.take_prepaid(rule, wanted - repeated);
        let fresh = (wanted - repeated - prepaid)
            .min(granted - repeated)
            .min(exposure.room(account, floor).count_of(price));
        exposure.serve_again(account, price.times(repeated));
        if fresh > 0 {
            exposure.serve(account, price.times(fresh));
        }
        self.live += price.times(repeated + fresh);
        self.counters[rule].bytes += repeated + fresh;
        repeated + prepaid + fresh
    }

    /// Takes of what was receipted before it came: it is counted, and stands in no window.
    fn take_prepaid(&mut self, rule: usize, wanted: u64) -> u64 {
        let taken = self.prepaid[rule].min(wanted);
        self.prepaid[rule] -= taken;
        taken
    }

    /// Whether only time has a price, and neither the account's room nor the grant has another millisecond.
    fn is_out_of_time(
        &self,
        exposure: &Exposure,
        account: &AccountId,
        rule: usize,
        floor: Value,
    ) -> bool {
        let price = self.rule(rule).map(millisecond_price).unwrap_or_default();
        let (quotas, limit) = (&self.grant.quotas, self.grant.amount_max);
        !price.is_zero()
            && (exposure.room(account, floor) < price
                || milliseconds_within(&self.tariff, quotas, &self.counters, rule, limit) == 0)
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
        let beyond = self.beyond_count(&next.counters);
        let used = paid - ahead - beyond;
        let from_live = used.min(self.live);
        self.live -= from_live;
        self.given_up -= used - from_live;
        // What was signed for beyond the count pays what is lost first; the rest is yet to come.
        let mut to_come = beyond - (exposure.debt(account).lost - (used - from_live));
        exposure.honour(account, from_live, used - from_live + beyond, ahead);
        let rules = self.tariff.rules.iter().zip(&mut self.prepaid);
        let counts = self.counters.iter_mut().zip(&next.counters);
        for ((counted, signed), (rule, prepaid)) in counts.zip(rules) {
            let octets = signed.bytes.saturating_sub(counted.bytes);
            let octets = octets.min(to_come.count_of(octet_price(rule)));
            *prepaid = prepaid.saturating_add(octets);
            to_come -= octet_price(rule).times(octets);
            counted.bytes = counted.bytes.max(signed.bytes);
            counted.milliseconds = counted.milliseconds.max(signed.milliseconds);
            counted.passes = signed.passes;
        }
        self.receipt = Some(next.clone());
        Ok(Effect::Honoured { passes })
    }

    /// What the octets cost that are signed for and not counted.
    fn beyond_count(&self, signed: &[Counters]) -> Value {
        let counts = self.counters.iter().zip(signed).zip(&self.tariff.rules);
        counts.fold(Value::ZERO, |sum, ((counted, signed), rule)| {
            sum + octet_price(rule).times(signed.bytes.saturating_sub(counted.bytes))
        })
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
            next.unpaid[rule] += std::mem::take(&mut self.unpaid[rule]);
            next.prepaid[rule] += std::mem::take(&mut self.prepaid[rule]);
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
