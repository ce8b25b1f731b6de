//! What a buyer counts under one grant.

use std::time::{Duration, Instant};

use ed25519_dalek::SigningKey;

use crate::{
    amount::Amount,
    ids::{GrantId, NetworkId, PublicKey},
    limits::{GRANT_REQUESTS_MAX, GRANT_SUCCESSOR_AT_PERCENT, METERED_TIME_AHEAD},
    record::{
        grant::Grant,
        receipt::{Counters, Receipt},
        tariff::{Quota, Rule, Tariff},
    },
    reject::Reject,
    rules::{
        metering::{RequestKey, Requests},
        rating::{
            Value, fits_within, list_value, millisecond_price, milliseconds_within, octet_price,
            octets_within, rate,
        },
        receipt::trimmed,
        settlement::debit_of,
    },
    sealed::Sealed,
    session::frame::RuleTime,
    time::UnixMillis,
};

/// How far a grant's successor is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Successor {
    /// Nobody was asked for one.
    Unasked,
    /// It was asked for then, and may come.
    Asked(Instant),
    /// It was asked for, and is known since then not to come now.
    NotToBeHad(Instant),
}

/// A unit in which use is counted and may be free.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Unit {
    Requests,
    Octets,
    Milliseconds,
}

/// One grant with the buyer's own count.
#[derive(Debug, Clone)]
pub(super) struct Tab {
    pub(super) grant: Sealed<Grant>,
    pub(super) tariff: Sealed<Tariff>,
    pub(super) counters: Vec<Counters>,
    pub(super) receipt: Option<Sealed<Receipt>>,
    /// The sequence of the newest receipt that the seller has shown.
    pub(super) shown: u64,
    /// What is counted and not signed for, at the list's prices.
    pub(super) unreceipted: Value,
    requests: Requests<()>,
    requests_before: Requests<()>,
    /// The buyer's own count of milliseconds, by rule; what was accepted ahead of it under the grant before is taken off.
    own_millis: Vec<i64>,
    /// Octets that have come and wait for a successor under which they may be free, by rule. Bounded by the seller's window.
    held_octets: Vec<u64>,
    /// Free use is of the periods of this time.
    free_as_of: UnixMillis,
    pub(super) successor: Successor,
    /// Whether a successor was asked for when nothing was left.
    pub(super) has_asked_last: bool,
}

impl Tab {
    pub(super) fn new(grant: Sealed<Grant>, tariff: Sealed<Tariff>) -> Self {
        let rules = tariff.rules.len();
        let free_as_of = grant.issued;
        Self {
            grant,
            tariff,
            counters: vec![Counters::default(); rules],
            receipt: None,
            shown: 0,
            unreceipted: Value::ZERO,
            requests: Requests::default(),
            requests_before: Requests::default(),
            own_millis: vec![0; rules],
            held_octets: vec![0; rules],
            free_as_of,
            successor: Successor::Unasked,
            has_asked_last: false,
        }
    }

    pub(super) fn id(&self) -> GrantId {
        self.grant.id
    }

    pub(super) fn rule(&self, rule: usize) -> Option<&Rule> {
        self.tariff.rules.get(rule)
    }

    pub(super) fn is_final(&self) -> bool {
        self.receipt
            .as_ref()
            .is_some_and(|receipt| receipt.is_final)
    }

    /// The highest amount signed for.
    pub(super) fn signed(&self) -> Amount {
        self.receipt
            .as_ref()
            .map_or(Amount::ZERO, |receipt| receipt.amount)
    }

    /// What is counted costs this.
    pub(super) fn amount(&self) -> Amount {
        rate(&self.tariff, &self.grant.quotas, &self.counters).unwrap_or(self.grant.amount_max)
    }

    /// What leaves the wallet for `amount` under this grant.
    pub(super) fn debit_of(&self, amount: Amount) -> Amount {
        debit_of(amount, self.grant.tax)
    }

    pub(super) fn has_counted(&self, key: &RequestKey) -> bool {
        self.requests.get(key).is_some() || self.requests_before.get(key).is_some()
    }

    /// Whether `wanted` more under `rule` stays within `limit`.
    pub(super) fn fits(&self, rule: usize, wanted: &Counters, limit: Amount) -> bool {
        fits_within(
            &self.tariff,
            &self.grant.quotas,
            &self.counters,
            rule,
            wanted,
            limit,
        )
    }

    pub(super) fn count_request(&mut self, rule: usize, key: Option<RequestKey>) {
        self.counters[rule].requests += 1;
        if let Some(key) = key {
            self.requests.note(key, ());
        }
    }

    /// A request that was counted before, as the seller says.
    pub(super) fn note_request(&mut self, key: RequestKey) {
        self.requests.note(key, ());
    }

    pub(super) fn has_room_for_key(&self) -> bool {
        !self.requests.is_full()
    }

    /// Counts octets, as far as `limit` allows.
    pub(super) fn count_octets(&mut self, rule: usize, octets: u64, limit: Amount) -> u64 {
        let counted = octets.min(self.octets_within(rule, limit));
        let price = self.rule(rule).map(octet_price).unwrap_or_default();
        if let Some(counters) = self.counters.get_mut(rule) {
            counters.bytes += counted;
            self.unreceipted += price.times(counted);
        }
        counted
    }

    /// How many octets more keep the amount within `limit`.
    pub(super) fn octets_within(&self, rule: usize, limit: Amount) -> u64 {
        octets_within(
            &self.tariff,
            &self.grant.quotas,
            &self.counters,
            rule,
            limit,
        )
    }

    /// How many milliseconds more keep the amount within `limit`.
    pub(super) fn millis_within(&self, rule: usize, limit: Amount) -> u64 {
        milliseconds_within(
            &self.tariff,
            &self.grant.quotas,
            &self.counters,
            rule,
            limit,
        )
    }

    /// Holds octets back that have come.
    pub(super) fn hold_octets(&mut self, rule: usize, octets: u64) {
        if let Some(held) = self.held_octets.get_mut(rule) {
            *held = held.saturating_add(octets);
        }
    }

    /// The octets that are held back, by rule, which are held no more.
    pub(super) fn take_held(&mut self) -> Vec<(usize, u64)> {
        let held = self.held_octets.iter_mut().map(std::mem::take);
        held.enumerate().filter(|(_, octets)| *octets > 0).collect()
    }

    /// Whether octets are held back.
    pub(super) fn holds_octets(&self) -> bool {
        self.held_octets.iter().any(|octets| *octets > 0)
    }

    /// Counts the buyer's own time.
    pub(super) fn count_own_millis(&mut self, rule: usize, millis: u64) {
        if let Some(own) = self.own_millis.get_mut(rule) {
            *own = own.saturating_add(i64::try_from(millis).unwrap_or(i64::MAX));
        }
    }

    /// how many milliseconds more the seller announces, up to the buyer's own count and what may run ahead of it.
    pub(super) fn acceptable_millis(&self, announced: &RuleTime) -> u64 {
        let rule = usize::from(announced.rule);
        let ahead = i64::try_from(METERED_TIME_AHEAD.as_millis()).unwrap_or(0);
        let (Some(own), Some(counters)) = (self.own_millis.get(rule), self.counters.get(rule))
        else {
            return 0;
        };
        let most = u64::try_from(own.saturating_add(ahead)).unwrap_or(0);
        announced
            .milliseconds
            .min(most)
            .saturating_sub(counters.milliseconds)
    }

    /// Counts milliseconds, as far as `limit` allows.
    pub(super) fn count_millis(&mut self, rule: usize, millis: u64, limit: Amount) {
        let within = self.millis_within(rule, limit);
        let counted = millis.min(within);
        let price = self.rule(rule).map(millisecond_price).unwrap_or_default();
        if let Some(counters) = self.counters.get_mut(rule) {
            counters.milliseconds += counted;
            self.unreceipted += price.times(counted);
        }
    }

    /// Signs for everything counted.
    pub(super) fn sign(
        &mut self,
        key: &SigningKey,
        network: NetworkId,
        is_final: bool,
        now: UnixMillis,
    ) -> Result<Sealed<Receipt>, Reject> {
        let receipt = Receipt {
            buyer: PublicKey::of(key),
            grant: self.grant.id,
            tariff: self.grant.tariff,
            sequence: self.receipt.as_ref().map_or(0, |receipt| receipt.sequence) + 1,
            counters: trimmed(&self.counters).to_vec(),
            amount: rate(&self.tariff, &self.grant.quotas, &self.counters)?,
            time: now,
            is_final,
        };
        let sealed = Sealed::sign(receipt, network, key)?;
        self.receipt = Some(sealed.clone());
        self.unreceipted = Value::ZERO;
        Ok(sealed)
    }

    /// Goes on from a receipt of the buyer's own that the buyer itself has lost.
    pub(super) fn adopt(&mut self, receipt: Sealed<Receipt>) {
        for (counted, signed) in self.counters.iter_mut().zip(&receipt.counters) {
            counted.requests = counted.requests.max(signed.requests);
            counted.bytes = counted.bytes.max(signed.bytes);
            counted.milliseconds = counted.milliseconds.max(signed.milliseconds);
            counted.passes = counted.passes.max(signed.passes);
        }
        for (own, signed) in self.own_millis.iter_mut().zip(&receipt.counters) {
            *own = own.saturating_add(i64::try_from(signed.milliseconds).unwrap_or(i64::MAX));
        }
        let counted = list_value(&self.tariff, &self.counters);
        self.unreceipted = counted - list_value(&self.tariff, &receipt.counters);
        self.receipt = Some(receipt);
    }

    /// `next` goes on from this grant at the same prices.
    pub(super) fn hand_over(&mut self, next: &mut Self, now: UnixMillis) {
        // Asked for at the end of a period by two clocks that differ, it would be followed for the new period again and again.
        next.free_as_of = next.free_as_of.max(now);
        next.requests_before = std::mem::take(&mut self.requests);
        next.held_octets = std::mem::take(&mut self.held_octets);
        for ((own, to), counted) in self
            .own_millis
            .iter()
            .zip(&mut next.own_millis)
            .zip(&self.counters)
        {
            *to = own.saturating_sub(i64::try_from(counted.milliseconds).unwrap_or(i64::MAX));
        }
    }

    /// Whether more of `unit` may be free under a successor: this grant has a slice of a larger quota, or is of an earlier period. A grant that
    /// found nothing left is followed by none for that reason.
    pub(super) fn may_be_followed_by_free(&self, rule: usize, unit: Unit, now: UnixMillis) -> bool {
        let of = |quota: &Quota| match unit {
            Unit::Requests => quota.requests,
            Unit::Octets => quota.bytes,
            Unit::Milliseconds => quota.milliseconds,
        };
        let (Some(priced), Some(slice)) = (self.rule(rule), self.grant.quotas.get(rule)) else {
            return false;
        };
        let (whole, slice) = (of(&priced.quota), of(slice));
        let is_another_period = priced.quota_period(now) != priced.quota_period(self.free_as_of);
        whole > 0 && (is_another_period || (slice > 0 && slice < whole))
    }

    /// Whether a successor was asked for no longer ago than `within`, and may still come.
    pub(super) fn awaits_successor(&self, within: Duration, now: Instant) -> bool {
        match self.successor {
            Successor::Asked(since) => now.saturating_duration_since(since) < within,
            Successor::Unasked | Successor::NotToBeHad(_) => false,
        }
    }

    /// Whether so much of the amount, the time or the requests is used that a successor is wanted.
    pub(super) fn wants_successor(&self, now: UnixMillis) -> bool {
        let is_past = |used: u64, of: u64| {
            u128::from(used) * 100 >= u128::from(of) * u128::from(GRANT_SUCCESSOR_AT_PERCENT)
        };
        let (since, whole) = (
            now.0.saturating_sub(self.grant.issued.0),
            self.grant.spend_until.0 - self.grant.issued.0,
        );
        is_past(since, whole)
            || is_past(self.requests.len() as u64, GRANT_REQUESTS_MAX as u64)
            || is_past(self.amount().micros(), self.grant.amount_max.micros())
    }
}
