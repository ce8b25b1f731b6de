//! What is free, as an anchor gives it out that settles each grant the moment it is final.

use std::collections::BTreeMap;

use madang_protocol::{
    amount::Amount,
    ids::GrantId,
    record::{
        receipt::{Counters, Receipt},
        tariff::{Quota, Tariff},
    },
    rules::rating::rate,
};

use super::{ACCOUNT, DEVICE, World};
use crate::issuer::{GrantFor, grant_with};

/// What becomes of the successors that the buyer asks for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Successors {
    Come,
    AreRefused,
    NeverCome,
}

pub struct Free {
    pub successors: Successors,
    left: Vec<Quota>,
    reserved: BTreeMap<GrantId, Vec<Quota>>,
}

impl Free {
    pub fn of(tariff: &Tariff) -> Self {
        Self {
            successors: Successors::Come,
            left: tariff.rules.iter().map(|rule| rule.quota).collect(),
            reserved: BTreeMap::new(),
        }
    }

    /// A new period has begun.
    pub fn begin_period(&mut self, tariff: &Tariff) {
        self.left = tariff.rules.iter().map(|rule| rule.quota).collect();
        self.reserved.clear();
    }

    /// Half of what is left, and all of it when it is an eighth of the whole.
    fn slices(&mut self, tariff: &Tariff) -> Vec<Quota> {
        let slice = |left: &mut u64, whole: u64| {
            let taken = if *left <= whole / 8 {
                *left
            } else {
                left.div_ceil(2)
            };
            *left -= taken;
            taken
        };
        let rules = self.left.iter_mut().zip(&tariff.rules);
        let slices = rules.map(|(left, rule)| Quota {
            requests: slice(&mut left.requests, rule.quota.requests),
            bytes: slice(&mut left.bytes, rule.quota.bytes),
            milliseconds: slice(&mut left.milliseconds, rule.quota.milliseconds),
        });
        slices.collect()
    }

    fn reserve(&mut self, grant: GrantId, slices: &[Quota]) {
        self.reserved.insert(grant, slices.to_vec());
    }

    pub fn give_back(&mut self, last: &Receipt) {
        let reserved = self.reserved.remove(&last.grant).unwrap_or_default();
        for (at, (slice, left)) in reserved.iter().zip(&mut self.left).enumerate() {
            let used = last.counters.get(at).copied().unwrap_or_default();
            left.requests += slice.requests.saturating_sub(used.requests);
            left.bytes += slice.bytes.saturating_sub(used.bytes);
            left.milliseconds += slice.milliseconds.saturating_sub(used.milliseconds);
        }
    }
}

impl World {
    pub(super) fn present(&mut self, predecessor: Option<GrantId>) {
        let left = self.budget.saturating_sub(self.buyer.counted().micros());
        if left == 0 || self.grants > 200 {
            return;
        }
        self.grants += 1;
        let wanted = GrantFor {
            id: self.grants,
            device: DEVICE,
            account: ACCOUNT,
            amount_max: self.grant_max.min(left),
            predecessor,
            now: self.clock.now.time,
        };
        let quotas = self.free.slices(&self.tariff);
        let grant = grant_with(&self.tariff, wanted, quotas.clone());
        self.free.reserve(grant.id, &quotas);
        self.buyer
            .present_grant(grant, self.tariff.clone(), None)
            .unwrap();
    }

    /// Under how many grants something was signed, the sum of what was signed for, and what all of it costs with the whole quota free.
    pub fn signed_and_due(&self) -> (u64, Amount, Amount) {
        let mut all = vec![Counters::default(); self.tariff.rules.len()];
        let mut signed = Amount::ZERO;
        for (counters, amount) in self.best.values() {
            signed = signed.saturating_add(*amount);
            for (sum, one) in all.iter_mut().zip(counters) {
                sum.requests += one.requests;
                sum.bytes += one.bytes;
                sum.milliseconds += one.milliseconds;
            }
        }
        let whole: Vec<_> = self.tariff.rules.iter().map(|rule| rule.quota).collect();
        let due = rate(&self.tariff, &whole, &all).unwrap();
        (self.best.len() as u64, signed, due)
    }

    /// Grants that were asked for.
    pub fn grants(&self) -> u8 {
        self.grants
    }
}
