//! Free use: what a tariff gives each buyer in each period, reserved for a grant like money, and given back where it was not used.
//!
//! A grant reserves a slice: half of what is left of each unit, and all of it once only an eighth of the whole is left. So a device that asks first
//! leaves something to the account's others, and to its own next grant; about four grants use a period up. A buyer pays for what its quota covers
//! only as far as that free use is held by grants of its that were not settled yet when its own was issued.

use madang_protocol::{
    ids::AccountId,
    record::{
        receipt::Counters,
        tariff::{Quota, Rule, Tariff},
    },
    time::UnixMillis,
};
use serde::{Deserialize, Serialize};

use super::{
    pack,
    table::Table,
    terms::Terms,
    view::{Fault, Invariant, Order, Tables, View},
};

/// Buyer, site, rule and period. The period's end stands first, so that what is over can be swept from the front.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
pub struct QuotaKey {
    end: [u8; 8],
    hash: [u8; 32],
}

impl QuotaKey {
    /// The key of a rule's free use for `buyer` at `now`. The pattern names the rule, so that it outlives a change of prices.
    fn of(buyer: &AccountId, site: &str, rule: &Rule, now: UnixMillis) -> Self {
        let days = u64::from(rule.quota_period_days).max(1);
        let (_, UnixMillis(end)) = rule.quota_period(now);
        let mut hasher = blake3::Hasher::new();
        hasher.update(buyer.as_bytes());
        hasher.update(&days.to_le_bytes());
        hasher.update(&(site.len() as u64).to_le_bytes());
        hasher.update(site.as_bytes());
        hasher.update(rule.pattern.as_bytes());
        Self {
            end: end.to_be_bytes(),
            hash: *hasher.finalize().as_bytes(),
        }
    }

    pub(super) fn to_bytes(self) -> [u8; 40] {
        let mut octets = [0; 40];
        octets[..8].copy_from_slice(&self.end);
        octets[8..].copy_from_slice(&self.hash);
        octets
    }

    pub(super) fn of_bytes(octets: [u8; 40]) -> Self {
        let (mut end, mut hash) = ([0; 8], [0; 32]);
        end.copy_from_slice(&octets[..8]);
        hash.copy_from_slice(&octets[8..]);
        Self { end, hash }
    }

    fn ended(octets: &[u8]) -> Option<UnixMillis> {
        Some(UnixMillis(u64::from_be_bytes(*octets.first_chunk()?)))
    }
}

/// Once no more than this part of a period's free use is left, one grant reserves all of it.
const LAST_PART: u64 = 8;

/// What is free under a grant, one for each rule, and where it is counted, for rules with any.
pub(super) struct Slices {
    pub(super) quotas: Vec<Quota>,
    pub(super) keys: Vec<(u16, QuotaKey)>,
}

/// What is free for `buyer` under each rule of `tariff` in its next grant, and where it is counted: a slice of what is left of the present periods.
pub(super) fn slices(
    view: &impl View,
    buyer: &AccountId,
    site: &str,
    tariff: &Tariff,
    now: UnixMillis,
) -> Result<Slices, Fault> {
    let mut quotas = Vec::with_capacity(tariff.rules.len());
    let mut keys = Vec::new();
    for (at, rule) in (0_u16..).zip(&tariff.rules) {
        let mut free = Quota::default();
        if !rule.quota.is_empty() {
            let key = QuotaKey::of(buyer, site, rule, now);
            let taken = taken(view, &key)?.unwrap_or_default();
            let left = minus(&rule.quota, &taken);
            // Two rules of one pattern share one count; the second of them can never hold for a path.
            if !left.is_empty() && keys.iter().all(|(_, known)| *known != key) {
                keys.push((at, key));
                free = slice(&left, &rule.quota);
            }
        }
        quotas.push(free);
    }
    Ok(Slices { quotas, keys })
}

/// What one grant reserves of what is `left` of the `whole`. Never nothing of a unit of which something is left.
fn slice(left: &Quota, whole: &Quota) -> Quota {
    let of_unit = |left: u64, whole: u64| {
        if left <= whole / LAST_PART {
            left
        } else {
            left.div_ceil(2)
        }
    };
    Quota {
        requests: of_unit(left.requests, whole.requests),
        bytes: of_unit(left.bytes, whole.bytes),
        milliseconds: of_unit(left.milliseconds, whole.milliseconds),
    }
}

/// Takes what the terms reserve.
pub(super) fn reserve(tables: &mut impl Tables, terms: &Terms) -> Result<(), Fault> {
    for (rule, key) in &terms.quota_keys {
        let reserved = reserved(terms, *rule)?;
        let before = taken(tables, key)?.unwrap_or_default();
        let after = plus(&before, &reserved).ok_or(Invariant::QuotaWithinTariff)?;
        tables.put(Table::Quota, &key.to_bytes(), pack::row(&after))?;
    }
    Ok(())
}

/// Gives back what `counters` have not used. What belongs to a period that was swept is gone.
pub(super) fn give_back(
    tables: &mut impl Tables,
    terms: &Terms,
    counters: &[Counters],
) -> Result<(), Fault> {
    for (rule, key) in &terms.quota_keys {
        let reserved = reserved(terms, *rule)?;
        let used = counters
            .get(usize::from(*rule))
            .copied()
            .unwrap_or_default();
        let used = Quota {
            requests: used.requests,
            bytes: used.bytes,
            milliseconds: used.milliseconds,
        };
        let unused = minus(&reserved, &used);
        if let Some(before) = taken(tables, key)? {
            let after = exact_minus(&before, &unused).ok_or(Invariant::QuotaWithinTariff)?;
            tables.put(Table::Quota, &key.to_bytes(), pack::row(&after))?;
        }
    }
    Ok(())
}

/// Whether periods are over for so long that no grant can give anything back to them.
pub(super) fn has_old(view: &impl View, before: UnixMillis) -> Result<bool, Fault> {
    let oldest = view.prefix(Table::Quota, &[], Order::Forward, 1)?;
    Ok(oldest
        .first()
        .and_then(|(key, _)| QuotaKey::ended(key))
        .is_some_and(|end| end < before))
}

/// Forgets at most `limit` periods that ended before `before`.
pub(super) fn drop_old(
    tables: &mut impl Tables,
    before: UnixMillis,
    limit: usize,
) -> Result<(), Fault> {
    for (key, _) in tables.prefix(Table::Quota, &[], Order::Forward, limit)? {
        if QuotaKey::ended(&key).is_none_or(|end| end >= before) {
            break;
        }
        tables.delete(Table::Quota, &key)?;
    }
    Ok(())
}

fn taken(view: &impl View, key: &QuotaKey) -> Result<Option<Quota>, Fault> {
    view.get(Table::Quota, &key.to_bytes())?
        .map(|row| pack::value(Table::Quota, &row))
        .transpose()
}

fn reserved(terms: &Terms, rule: u16) -> Result<Quota, Fault> {
    let quota = terms.quotas.get(usize::from(rule)).copied();
    quota.ok_or(Fault::Unreadable(Table::Grant))
}

fn minus(from: &Quota, less: &Quota) -> Quota {
    Quota {
        requests: from.requests.saturating_sub(less.requests),
        bytes: from.bytes.saturating_sub(less.bytes),
        milliseconds: from.milliseconds.saturating_sub(less.milliseconds),
    }
}

fn exact_minus(from: &Quota, less: &Quota) -> Option<Quota> {
    Some(Quota {
        requests: from.requests.checked_sub(less.requests)?,
        bytes: from.bytes.checked_sub(less.bytes)?,
        milliseconds: from.milliseconds.checked_sub(less.milliseconds)?,
    })
}

fn plus(one: &Quota, other: &Quota) -> Option<Quota> {
    Some(Quota {
        requests: one.requests.checked_add(other.requests)?,
        bytes: one.bytes.checked_add(other.bytes)?,
        milliseconds: one.milliseconds.checked_add(other.milliseconds)?,
    })
}
