//! What counters cost. Buyer, seller and anchor rate the same cumulative counters, exactly, and so agree to the unit.
//!
//! * R-20 A price list's first rule whose pattern fits holds; a path that none fits is free.
//! * R-21 Free quotas are taken off each counter by itself, before its price.
//! * R-22 Everything is summed exactly and rounded up once, to a whole base unit.
//! * R-23 Counters that name no rule, are out of bounds, or count passes that are not offered have no price.

use std::ops::{Add, AddAssign, Sub, SubAssign};

use serde::{Deserialize, Serialize};

use super::path::{CleanPath, fits};
use crate::{
    amount::Amount,
    limits::COUNTER_MAX,
    record::{
        receipt::Counters,
        tariff::{Quota, Rule, Tariff},
    },
    reject::Reject,
};

const OCTETS_PER_MIB: u128 = 1 << 20;
const MILLIS_PER_MINUTE: u128 = 60_000;
/// Least common multiple of the two: what makes any octet's and any millisecond's price whole.
const TICKS_PER_MICRO: u128 = 1_966_080_000;
const _: () = assert!(
    TICKS_PER_MICRO.is_multiple_of(OCTETS_PER_MIB)
        && TICKS_PER_MICRO.is_multiple_of(MILLIS_PER_MINUTE)
);

/// An exact amount of money, finer than a base unit, so that adding never rounds. Ends at its maximum, which is more than any limit.
#[derive(
    Debug, Clone, Copy, Default, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize,
)]
pub struct Value(u128);

impl Value {
    /// Nothing.
    pub const ZERO: Self = Self(0);

    /// Exactly `amount`.
    pub const fn of(amount: Amount) -> Self {
        Self(amount.micros() as u128 * TICKS_PER_MICRO)
    }

    /// This value `count` times.
    pub const fn times(self, count: u64) -> Self {
        Self(self.0.saturating_mul(count as u128))
    }

    /// How many whole `price`s fit; `u64::MAX` when the price is nothing.
    pub fn count_of(self, price: Self) -> u64 {
        match self.0.checked_div(price.0) {
            None => u64::MAX,
            Some(count) => u64::try_from(count).unwrap_or(u64::MAX),
        }
    }

    /// A fraction of it, rounded down.
    pub const fn per_mille(self, share: u16) -> Self {
        Self(self.0 / 1_000 * share as u128)
    }

    /// One of `parts` equal parts, rounded down; nothing when there are no parts.
    pub const fn fraction(self, parts: u64) -> Self {
        match self.0.checked_div(parts as u128) {
            Some(part) => Self(part),
            None => Self::ZERO,
        }
    }

    /// Whether this is nothing.
    pub const fn is_zero(self) -> bool {
        self.0 == 0
    }

    /// The smallest amount that covers it; [`Amount::MAX`] when none does.
    pub fn round_up(self) -> Amount {
        u64::try_from(self.0.div_ceil(TICKS_PER_MICRO)).map_or(Amount::MAX, Amount::from_micros)
    }

    /// The largest amount within it.
    pub fn round_down(self) -> Amount {
        u64::try_from(self.0 / TICKS_PER_MICRO).map_or(Amount::MAX, Amount::from_micros)
    }
}

impl Add for Value {
    type Output = Self;

    fn add(self, other: Self) -> Self {
        Self(self.0.saturating_add(other.0))
    }
}

impl AddAssign for Value {
    fn add_assign(&mut self, other: Self) {
        *self = *self + other;
    }
}

impl Sub for Value {
    type Output = Self;

    /// The difference, or nothing.
    fn sub(self, other: Self) -> Self {
        Self(self.0.saturating_sub(other.0))
    }
}

impl SubAssign for Value {
    fn sub_assign(&mut self, other: Self) {
        *self = *self - other;
    }
}

/// The price of one octet under `rule`.
pub const fn octet_price(rule: &Rule) -> Value {
    Value(rule.per_mib.micros() as u128 * (TICKS_PER_MICRO / OCTETS_PER_MIB))
}

/// The price of one millisecond under `rule`.
pub const fn millisecond_price(rule: &Rule) -> Value {
    Value(rule.per_minute.micros() as u128 * (TICKS_PER_MICRO / MILLIS_PER_MINUTE))
}

/// the rule that holds for `path`: the first whose pattern it fits, or its index page's, so that no page has a second address without a price.
pub fn rule_for(tariff: &Tariff, path: &CleanPath) -> Option<usize> {
    let index = path.index();
    let holds = |rule: &Rule| {
        fits(&rule.pattern, path)
            || index
                .as_ref()
                .is_some_and(|index| fits(&rule.pattern, index))
    };
    tariff.rules.iter().position(holds)
}

/// What `counters` cost under `tariff`, with `quotas` free: one for each rule, missing ones empty.
pub fn rate(tariff: &Tariff, quotas: &[Quota], counters: &[Counters]) -> Result<Amount, Reject> {
    let value = value(tariff, quotas, counters)?;
    let micros = u64::try_from(value.0.div_ceil(TICKS_PER_MICRO));
    micros
        .map(Amount::from_micros)
        .map_err(|_| Reject::AMOUNT_TOO_LARGE)
}

/// What of `counters` has a price under `tariff`, by rule; trailing rules without any are left out. It costs what `counters` cost: octets under a price
/// for each request are counted too, and cost nothing.
pub fn priced(tariff: &Tariff, counters: &[Counters]) -> Vec<Counters> {
    let of = |price: Amount, count: u64| if price.is_zero() { 0 } else { count };
    let priced = tariff
        .rules
        .iter()
        .zip(counters)
        .map(|(rule, used)| Counters {
            requests: of(rule.per_request, used.requests),
            bytes: of(rule.per_mib, used.bytes),
            milliseconds: of(rule.per_minute, used.milliseconds),
            passes: used.passes,
        });
    let mut priced: Vec<Counters> = priced.collect();
    while priced.last() == Some(&Counters::default()) {
        priced.pop();
    }
    priced
}

/// what of `counters` is free within `quotas`, one for each rule; trailing rules without free use are left out.
pub fn free_within(quotas: &[Quota], counters: &[Counters]) -> Vec<Quota> {
    let free = quotas.iter().zip(counters).map(|(quota, used)| Quota {
        requests: quota.requests.min(used.requests),
        bytes: quota.bytes.min(used.bytes),
        milliseconds: quota.milliseconds.min(used.milliseconds),
    });
    let mut free: Vec<Quota> = free.collect();
    while free.last().is_some_and(Quota::is_empty) {
        free.pop();
    }
    free
}

/// What `counters` cost at the list's prices, without quotas and without rounding: what stands in a window of unreceipted value. It is additive,
/// and what is free within a quota counts too, because a seller wants it receipted as well.
pub fn list_value(tariff: &Tariff, counters: &[Counters]) -> Value {
    tariff
        .rules
        .iter()
        .zip(counters)
        .fold(Value::ZERO, |sum, (rule, counters)| {
            sum + list_value_of(rule, counters)
        })
}

/// [`list_value`] of one rule.
pub fn list_value_of(rule: &Rule, counters: &Counters) -> Value {
    let pass = rule
        .pass
        .map_or(Value::ZERO, |offer| Value::of(offer.price));
    Value::of(rule.per_request).times(counters.requests)
        + octet_price(rule).times(counters.bytes)
        + millisecond_price(rule).times(counters.milliseconds)
        + pass.times(counters.passes)
}

/// How many octets more, under the rule at index `rule`, keep [`rate`] within `limit`. Exact: one more would exceed it.
pub fn octets_within(
    tariff: &Tariff,
    quotas: &[Quota],
    counters: &[Counters],
    rule: usize,
    limit: Amount,
) -> u64 {
    let Some(priced) = tariff.rules.get(rule) else {
        return 0;
    };
    let used = counters.get(rule).map_or(0, |one| one.bytes);
    let free = quotas.get(rule).map_or(0, |quota| quota.bytes);
    within(
        tariff,
        quotas,
        counters,
        limit,
        octet_price(priced),
        used,
        free,
    )
}

/// How many milliseconds more, under the rule at index `rule`, keep [`rate`] within `limit`. Exact: one more would exceed it.
pub fn milliseconds_within(
    tariff: &Tariff,
    quotas: &[Quota],
    counters: &[Counters],
    rule: usize,
    limit: Amount,
) -> u64 {
    let Some(priced) = tariff.rules.get(rule) else {
        return 0;
    };
    let used = counters.get(rule).map_or(0, |one| one.milliseconds);
    let free = quotas.get(rule).map_or(0, |quota| quota.milliseconds);
    within(
        tariff,
        quotas,
        counters,
        limit,
        millisecond_price(priced),
        used,
        free,
    )
}

/// Whether `wanted` more under the rule at index `rule` keep [`rate`] within `limit`.
pub fn fits_within(
    tariff: &Tariff,
    quotas: &[Quota],
    counters: &[Counters],
    rule: usize,
    wanted: &Counters,
    limit: Amount,
) -> bool {
    let mut after: Vec<Counters> = counters.to_vec();
    after.resize(after.len().max(rule + 1), Counters::default());
    let one = &mut after[rule];
    one.requests = one.requests.saturating_add(wanted.requests);
    one.bytes = one.bytes.saturating_add(wanted.bytes);
    one.milliseconds = one.milliseconds.saturating_add(wanted.milliseconds);
    one.passes = one.passes.saturating_add(wanted.passes);
    rate(tariff, quotas, &after).is_ok_and(|amount| amount <= limit)
}

fn within(
    tariff: &Tariff,
    quotas: &[Quota],
    counters: &[Counters],
    limit: Amount,
    price: Value,
    used: u64,
    free: u64,
) -> u64 {
    let countable = COUNTER_MAX.saturating_sub(used);
    let Ok(cost) = value(tariff, quotas, counters) else {
        return 0;
    };
    let Some(room) = Value::of(limit).0.checked_sub(cost.0) else {
        return 0;
    };
    free.saturating_sub(used)
        .saturating_add(Value(room).count_of(price))
        .min(countable)
}

/// The exact cost, before rounding.
fn value(tariff: &Tariff, quotas: &[Quota], counters: &[Counters]) -> Result<Value, Reject> {
    if counters.len() > tariff.rules.len() {
        return Err(Reject::FIELD_OUT_OF_BOUNDS);
    }
    let mut ticks: u128 = 0;
    for (at, (rule, used)) in tariff.rules.iter().zip(counters).enumerate() {
        let quota = quotas.get(at).copied().unwrap_or_default();
        let pass = rule.pass.map(|offer| Value::of(offer.price));
        if pass.is_none() && used.passes > 0 {
            return Err(Reject::FIELD_OUT_OF_BOUNDS);
        }
        for (price, count, free) in [
            (Value::of(rule.per_request), used.requests, quota.requests),
            (octet_price(rule), used.bytes, quota.bytes),
            (
                millisecond_price(rule),
                used.milliseconds,
                quota.milliseconds,
            ),
            (pass.unwrap_or_default(), used.passes, 0),
        ] {
            if count > COUNTER_MAX {
                return Err(Reject::FIELD_OUT_OF_BOUNDS);
            }
            ticks = price
                .0
                .checked_mul(u128::from(count.saturating_sub(free)))
                .and_then(|cost| ticks.checked_add(cost))
                .ok_or(Reject::AMOUNT_TOO_LARGE)?;
        }
    }
    Ok(Value(ticks))
}

#[cfg(test)]
#[expect(clippy::unwrap_used, reason = "a test fails by panicking")]
mod tests;
