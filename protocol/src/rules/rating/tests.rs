//! Rating against an independent reference.

use proptest::prelude::*;

use super::*;
use crate::{
    amount::Currency,
    ids::PublicKey,
    limits::{PRICE_MAX, TARIFF_RULES_MAX},
    record::tariff::{Audience, PassOffer},
    time::UnixMillis,
};

fn tariff(rules: Vec<Rule>) -> Tariff {
    Tariff {
        device: PublicKey([1; 32]),
        site: "alice".parse().unwrap(),
        currency: Currency::KRW,
        rules,
        valid_from: UnixMillis(0),
        valid_until: UnixMillis(1),
        sequence: 1,
    }
}

fn rule(per_request: u64, per_mib: u64, per_minute: u64, pass: Option<u64>, quota: Quota) -> Rule {
    Rule {
        pattern: "/**".into(),
        audience: Audience::Anyone,
        per_request: Amount::from_micros(per_request),
        per_mib: Amount::from_micros(per_mib),
        per_minute: Amount::from_micros(per_minute),
        pass: pass.map(|price| PassOffer {
            price: Amount::from_micros(price),
            days: 30,
        }),
        quota,
        quota_period_days: u16::from(!quota.is_empty()),
    }
}

fn counters((requests, bytes, milliseconds, passes): (u64, u64, u64, u64)) -> Counters {
    Counters {
        requests,
        bytes,
        milliseconds,
        passes,
    }
}

fn price() -> impl Strategy<Value = u64> {
    prop_oneof![
        Just(0),
        0..100_u64,
        0..=5_000_000_u64,
        0..=PRICE_MAX.micros()
    ]
}

fn count() -> impl Strategy<Value = u64> {
    prop_oneof![Just(0), 0..10_u64, 0..10_000_000_u64, 0..=COUNTER_MAX]
}

prop_compose! {
    fn rules()(list in proptest::collection::vec(
        (price(), price(), price(), proptest::option::of(price()), count(), count(), count()), 1..4
    )) -> (Vec<Rule>, Vec<Quota>) {
        list.into_iter().map(|(per_request, per_mib, per_minute, pass, requests, bytes, milliseconds)| {
            let quota = Quota { requests, bytes, milliseconds };
            (rule(per_request, per_mib, per_minute, pass, quota), quota)
        }).unzip()
    }
}

fn used() -> impl Strategy<Value = Vec<Counters>> {
    let one = (count(), count(), count(), prop_oneof![Just(0), 0..5_u64]);
    proptest::collection::vec(one.prop_map(counters), 0..4)
}

/// Unsigned numbers of any size, base 2^32, little-endian: slow, and independent of the rating's own arithmetic.
#[derive(Debug, Clone, PartialEq, Eq)]
struct Big(Vec<u32>);

impl Big {
    fn of(number: u64) -> Self {
        Self(vec![number as u32, (number >> 32) as u32]).trim()
    }

    fn trim(mut self) -> Self {
        while self.0.last() == Some(&0) {
            self.0.pop();
        }
        self
    }

    fn plus(&self, other: &Self) -> Self {
        let mut sum = Vec::new();
        let mut carry = 0_u64;
        for at in 0..=self.0.len().max(other.0.len()) {
            let digit = |big: &Self| u64::from(big.0.get(at).copied().unwrap_or(0));
            carry += digit(self) + digit(other);
            sum.push(carry as u32);
            carry >>= 32;
        }
        Self(sum).trim()
    }

    fn times(&self, other: &Self) -> Self {
        let mut product = Self(vec![]);
        for (at, digit) in other.0.iter().enumerate() {
            let mut row = vec![0; at];
            let mut carry = 0_u64;
            for one in &self.0 {
                carry += u64::from(*one) * u64::from(*digit);
                row.push(carry as u32);
                carry >>= 32;
            }
            row.push(carry as u32);
            product = product.plus(&Self(row).trim());
        }
        product
    }

    fn is_at_most(&self, other: &Self) -> bool {
        let key = |big: &Self| (big.0.len(), big.0.iter().rev().copied().collect::<Vec<_>>());
        key(self) <= key(other)
    }
}

/// Whether `amount` is the least whole number of base units that covers the exact cost: cost ≤ amount < cost + 1, all times 2^20 · 60,000.
fn is_exact(tariff: &Tariff, quotas: &[Quota], used: &[Counters], amount: Option<u64>) -> bool {
    let (mib, minute) = (Big::of(1 << 20), Big::of(60_000));
    let whole = mib.times(&minute);
    let mut cost = Big(vec![]);
    for ((rule, used), quota) in tariff.rules.iter().zip(used).zip(quotas) {
        let pass = rule.pass.map_or(0, |offer| offer.price.micros());
        for (price, count, scale) in [
            (
                rule.per_request.micros(),
                used.requests.saturating_sub(quota.requests),
                &whole,
            ),
            (
                rule.per_mib.micros(),
                used.bytes.saturating_sub(quota.bytes),
                &minute,
            ),
            (
                rule.per_minute.micros(),
                used.milliseconds.saturating_sub(quota.milliseconds),
                &mib,
            ),
            (pass, used.passes, &whole),
        ] {
            cost = cost.plus(&Big::of(price).times(&Big::of(count)).times(scale));
        }
    }
    match amount {
        None => !cost.is_at_most(&Big::of(u64::MAX).times(&whole)),
        Some(amount) => {
            let covered = Big::of(amount).times(&whole);
            let above = cost.plus(&whole);
            cost.is_at_most(&covered) && covered != above && covered.is_at_most(&above)
        }
    }
}

#[test]
fn r_21_and_r_22_examples_by_hand() {
    let list = tariff(vec![
        rule(500_000_000, 0, 0, None, Quota::default()),
        rule(0, 2_000_000, 10_000_000, Some(7), Quota::default()),
    ]);
    let cost = |used: &[(u64, u64, u64, u64)]| {
        let used: Vec<_> = used.iter().copied().map(counters).collect();
        rate(&list, &[], &used).map(Amount::micros)
    };
    assert_eq!(cost(&[]), Ok(0));
    assert_eq!(cost(&[(3, 99, 99, 0)]), Ok(1_500_000_000));
    // One octet of 2 KRW/MiB costs 1.907… base units, and one millisecond of 10 KRW/min 166.67.
    assert_eq!(cost(&[(0, 0, 0, 0), (0, 1, 0, 0)]), Ok(2));
    assert_eq!(
        cost(&[(0, 0, 0, 0), (0, 1 << 20, 60_000, 2)]),
        Ok(12_000_014)
    );
    assert_eq!(cost(&[(0, 0, 0, 0), (0, 1, 1, 0)]), Ok(169));
    let quota = Quota {
        requests: 2,
        bytes: 0,
        milliseconds: 0,
    };
    assert_eq!(
        rate(&list, &[quota], &[counters((3, 0, 0, 0))]).map(Amount::micros),
        Ok(500_000_000)
    );
}

#[test]
fn r_23_what_no_receipt_may_hold_has_no_price() {
    let list = tariff(vec![rule(1, 1, 1, None, Quota::default())]);
    let out = Err(Reject::FIELD_OUT_OF_BOUNDS);
    assert_eq!(rate(&list, &[], &[Counters::default(); 2]), out);
    assert_eq!(
        rate(&list, &[], &[counters((COUNTER_MAX + 1, 0, 0, 0))]),
        out
    );
    assert_eq!(rate(&list, &[], &[counters((0, 0, 0, 1))]), out);
    let dear = rule(
        PRICE_MAX.micros(),
        PRICE_MAX.micros(),
        PRICE_MAX.micros(),
        Some(PRICE_MAX.micros()),
        Quota::default(),
    );
    let most = counters((COUNTER_MAX, COUNTER_MAX, COUNTER_MAX, COUNTER_MAX));
    let list = tariff(vec![dear; TARIFF_RULES_MAX]);
    assert_eq!(
        rate(&list, &[], &[most; TARIFF_RULES_MAX]),
        Err(Reject::AMOUNT_TOO_LARGE)
    );
    assert!(list_value(&list, &[most; TARIFF_RULES_MAX]) > Value::of(Amount::MAX));
}

#[test]
fn r_20_the_first_rule_that_fits_holds() {
    let mut list = tariff(vec![
        rule(0, 0, 0, None, Quota::default()),
        rule(1, 0, 0, None, Quota::default()),
    ]);
    list.rules[0].pattern = "/free/**".into();
    list.rules[1].pattern = "/*/**".into();
    let found = |list: &Tariff, path: &str| rule_for(list, &CleanPath::parse(path).unwrap());
    assert_eq!(found(&list, "/a/../%66ree"), Some(0));
    assert_eq!(
        (
            found(&list, "/free/x"),
            found(&list, "/a"),
            found(&list, "/")
        ),
        (Some(0), Some(1), Some(1))
    );
    list.rules[1].pattern = "/news/index.html".into();
    assert_eq!(
        (
            found(&list, "/news/"),
            found(&list, "/news/index.html"),
            found(&list, "/news/a/")
        ),
        (Some(1), Some(1), None)
    );
}

proptest! {
    #[test]
    fn r_22_rating_is_exact((rules, quotas) in rules(), used in used()) {
        let list = tariff(rules);
        match rate(&list, &quotas, &used) {
            Ok(amount) => prop_assert!(is_exact(&list, &quotas, &used, Some(amount.micros()))),
            Err(Reject::AMOUNT_TOO_LARGE) => prop_assert!(is_exact(&list, &quotas, &used, None)),
            Err(_) => {
                let passes = list.rules.iter().zip(&used).any(|(rule, used)| rule.pass.is_none() && used.passes > 0);
                prop_assert!(passes || used.len() > list.rules.len());
            }
        }
    }

    #[test]
    fn r_21_what_is_not_free_costs_the_list_price((rules, quotas) in rules(), used in used()) {
        let tariff = tariff(rules);
        if rate(&tariff, &quotas, &used).is_ok() {
            prop_assert_eq!(rate(&tariff, &quotas, &priced(&tariff, &used)), rate(&tariff, &quotas, &used));
        }
        let free = free_within(&quotas, &used);
        let mut rated = used.clone();
        for (one, free) in rated.iter_mut().zip(&free) {
            one.requests -= free.requests;
            one.bytes -= free.bytes;
            one.milliseconds -= free.milliseconds;
        }
        prop_assert_eq!(rate(&tariff, &quotas, &used), rate(&tariff, &[], &rated));
        prop_assert!(free.last().is_none_or(|last| !last.is_empty()));
    }

    #[test]
    fn rating_never_falls_and_sums_within_a_unit((rules, quotas) in rules(), first in used(), more in used()) {
        let list = tariff(rules);
        let at = |list: &[Counters], at: usize| list.get(at).copied().unwrap_or_default();
        let both: Vec<Counters> = (0..first.len().max(more.len())).map(|i| {
            let (a, b) = (at(&first, i), at(&more, i));
            counters((a.requests + b.requests, a.bytes + b.bytes, a.milliseconds + b.milliseconds, a.passes + b.passes))
        }).collect();
        let none = vec![Quota::default(); list.rules.len()];
        if let (Ok(one), Ok(all)) = (rate(&list, &quotas, &first), rate(&list, &quotas, &both)) {
            prop_assert!(all >= one);
            prop_assert!(Value::of(all) <= list_value(&list, &both) + Value::of(Amount::from_micros(1)));
        }
        if let (Ok(a), Ok(b), Ok(all)) = (rate(&list, &none, &first), rate(&list, &none, &more), rate(&list, &none, &both)) {
            let apart = u128::from(a.micros()) + u128::from(b.micros());
            prop_assert!(u128::from(all.micros()) <= apart && apart <= u128::from(all.micros()) + 1);
        }
    }

    #[test]
    fn what_fits_within_is_exact((rules, quotas) in rules(), used in used(), at in 0..4_usize, limit in price()) {
        let list = tariff(rules);
        let limit = Amount::from_micros(limit);
        prop_assume!(at < list.rules.len());
        let octets = octets_within(&list, &quotas, &used, at, limit);
        let millis = milliseconds_within(&list, &quotas, &used, at, limit);
        let with = |bytes, milliseconds| fits_within(&list, &quotas, &used, at, &counters((0, bytes, milliseconds, 0)), limit);
        let before = at < used.len() || used.len() <= list.rules.len();
        if before && with(0, 0) {
            prop_assert!(with(octets, 0) && !with(octets + 1, 0), "octets {}", octets);
            prop_assert!(with(0, millis) && !with(0, millis + 1), "milliseconds {}", millis);
        } else {
            prop_assert_eq!((octets, millis), (0, 0));
        }
    }
}
