//! What a settlement adds to what was used and paid, rule by rule.
//!
//! * L-19 The parts of a move by rule sum to its whole amount: a rule's part is what all rules up to it cost, less what those before it do, each
//!   rounded as a receipt is. So a part may be a unit more or less than the rule alone would cost, and below zero where that was taken before.

use madang_protocol::{
    record::{
        receipt::Counters,
        tariff::{Quota, Tariff},
    },
    rules::rating::rate,
};

use super::{
    settled::Move,
    view::{Fault, Invariant},
};

/// What one rule adds. Receipts are cumulative: a better one may count less under one rule and more under another.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Delta {
    /// The rule's index in its price list.
    pub rule: usize,
    /// Requests.
    pub requests: i64,
    /// Octets.
    pub bytes: i64,
    /// Milliseconds.
    pub milliseconds: i64,
    /// Passes.
    pub passes: i64,
    /// Of the receipt's amount, in base units.
    pub micros: i64,
}

/// What a move adds, for each rule under which it adds anything.
pub fn deltas(tariff: &Tariff, quotas: &[Quota], one: &Move) -> Result<Vec<Delta>, Fault> {
    let after = &one.best.counters;
    let before = one.since.as_ref().map_or(&[][..], |since| &since.counters);
    let mut deltas = Vec::new();
    for rule in 0..after.len().max(before.len()) {
        let of = |counters: &[Counters]| counters.get(rule).copied().unwrap_or_default();
        let (now, then) = (of(after), of(before));
        let delta = Delta {
            rule,
            requests: difference(now.requests, then.requests)?,
            bytes: difference(now.bytes, then.bytes)?,
            milliseconds: difference(now.milliseconds, then.milliseconds)?,
            passes: difference(now.passes, then.passes)?,
            micros: part(tariff, quotas, after, rule)? - part(tariff, quotas, before, rule)?,
        };
        if now != then || delta.micros != 0 {
            deltas.push(delta);
        }
    }
    Ok(deltas)
}

/// L-19
fn part(
    tariff: &Tariff,
    quotas: &[Quota],
    counters: &[Counters],
    rule: usize,
) -> Result<i64, Fault> {
    let upto = |rules: usize| {
        let counters = counters.get(..rules).unwrap_or(counters);
        rate(tariff, quotas, counters).map_err(|_| Invariant::SettledWithinGrant)
    };
    difference(upto(rule + 1)?.micros(), upto(rule)?.micros())
}

fn difference(now: u64, then: u64) -> Result<i64, Fault> {
    let difference = i128::from(now) - i128::from(then);
    i64::try_from(difference).map_err(|_| Invariant::SumFits.into())
}

#[cfg(test)]
#[expect(clippy::unwrap_used, reason = "a test fails by panicking")]
mod tests {
    use madang_protocol::{
        amount::{Amount, Currency},
        ids::{GrantId, PublicKey, RecordHash},
        record::tariff::{Audience, Rule},
        rules::settlement::Split,
        time::UnixMillis,
    };
    use proptest::prelude::*;

    use super::*;
    use crate::ledger::progress::{Before, Best};

    fn tariff(prices: &[u64]) -> Tariff {
        let rules = prices.iter().enumerate().map(|(at, price)| Rule {
            pattern: format!("/{at}/**"),
            audience: Audience::Subscribers,
            per_request: Amount::from_micros(*price),
            per_mib: Amount::from_micros(price / 3),
            per_minute: Amount::from_micros(price / 7),
            pass: None,
            quota: Quota::default(),
            quota_period_days: 0,
        });
        Tariff {
            device: PublicKey([1; 32]),
            site: "alice".parse().unwrap(),
            currency: Currency::KRW,
            rules: rules.collect(),
            valid_from: UnixMillis(1),
            valid_until: UnixMillis(2),
            sequence: 1,
        }
    }

    fn counters() -> impl Strategy<Value = Vec<Counters>> {
        let one = (0..9_u64, 0..9_000_000_u64, 0..900_000_u64);
        let one = one.prop_map(|(requests, bytes, milliseconds)| Counters {
            requests,
            bytes,
            milliseconds,
            passes: 0,
        });
        proptest::collection::vec(one, 0..4)
    }

    proptest! {
        #[test]
        fn l_19_steps_of_any_size_sum_to_the_last_receipt(
            prices in proptest::collection::vec(0..2_000_u64, 4),
            free in 0..4_u64,
            receipts in proptest::collection::vec(counters(), 1..6),
        ) {
            let tariff = tariff(&prices);
            let quotas = [Quota { requests: free, bytes: free * 1_000_000, milliseconds: 0 }];
            let (mut since, mut sums) = (None, [[0_i64; 4]; 4]);
            let mut last = None;
            for counters in receipts {
                let amount = rate(&tariff, &quotas, &counters).unwrap();
                let best = Best {
                    sequence: 1,
                    amount,
                    split: Split::default(),
                    receipt: RecordHash([2; 32]),
                    is_final: false,
                    counters: counters.clone(),
                };
                let one = Move {
                    grant: GrantId([3; 16]),
                    since: since.replace(Before::of(&best)),
                    best,
                    closes_seller: false,
                    ends_hold: false,
                    passes: vec![],
                    sealed: vec![],
                };
                for delta in deltas(&tariff, &quotas, &one).unwrap() {
                    let added = [delta.requests, delta.bytes, delta.milliseconds, delta.micros];
                    sums[delta.rule].iter_mut().zip(added).for_each(|(sum, added)| *sum += added);
                }
                last = Some((counters, amount));
            }
            let (counters, amount) = last.unwrap();
            prop_assert_eq!(sums.iter().map(|sum| sum[3]).sum::<i64>(), amount.micros().cast_signed());
            for (rule, sum) in sums.iter().enumerate() {
                let used = counters.get(rule).copied().unwrap_or_default();
                let used = [used.requests, used.bytes, used.milliseconds].map(u64::cast_signed);
                prop_assert_eq!(&sum[..3], &used[..]);
            }
        }
    }
}
