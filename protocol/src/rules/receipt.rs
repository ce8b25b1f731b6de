//! Whether a receipt follows: from its grant, from the price list, and from the receipt before it. Seller and anchor ask the same question.
//!
//! In the order of the checks, cheap before dear; the first that fails is what a peer sees. The signature is checked before any of them, by the type.
//!
//! * R-10 It names the grant, the grant's buyer key and the grant's price list.
//! * R-11 Its sequence grows. The same receipt again changes nothing; another with the same sequence is a fork, a lower one is old.
//! * R-13 Nothing follows a final receipt.
//! * R-12 No counter and no amount falls.
//! * R-15 The amount is within the grant.
//! * R-14 The amount follows from the counters.
//!
//! R-16 The receipt's own time decides nothing.

use crate::{
    amount::Amount,
    ids::{GrantId, PublicKey, TariffHash},
    record::{
        grant::Grant,
        receipt::{Counters, Receipt},
        tariff::{Quota, Tariff},
    },
    reject::Reject,
    rules::rating::rate,
};

/// What of a grant a receipt is checked against: the anchor keeps it without the rest.
#[derive(Debug, Clone, Copy)]
pub struct Terms<'a> {
    /// The grant.
    pub grant: GrantId,
    /// The key that signs receipts.
    pub buyer_key: PublicKey,
    /// The price list.
    pub tariff: TariffHash,
    /// The most that receipts may say.
    pub amount_max: Amount,
    /// What is free under the grant, by rule.
    pub quotas: &'a [Quota],
}

impl<'a> From<&'a Grant> for Terms<'a> {
    fn from(grant: &'a Grant) -> Self {
        Self {
            grant: grant.id,
            buyer_key: grant.buyer_key,
            tariff: grant.tariff,
            amount_max: grant.amount_max,
            quotas: &grant.quotas,
        }
    }
}

/// Checks `next` against `grant`, its `tariff` (the one that the grant names by hash) and the highest receipt accepted so far.
pub fn check_receipt(
    grant: &Grant,
    tariff: &Tariff,
    previous: Option<&Receipt>,
    next: &Receipt,
) -> Result<(), Reject> {
    check_terms(Terms::from(grant), tariff, previous, next)
}

/// [`check_receipt`] for who keeps the terms of grants without the rest.
pub fn check_terms(
    grant: Terms<'_>,
    tariff: &Tariff,
    previous: Option<&Receipt>,
    next: &Receipt,
) -> Result<(), Reject> {
    let names_grant =
        next.grant == grant.grant && next.buyer == grant.buyer_key && next.tariff == grant.tariff;
    if !names_grant {
        return Err(Reject::GRANT_NOT_FOR_US);
    }
    if let Some(previous) = previous {
        if next == previous {
            return Ok(());
        }
        check_succession(previous, next)?;
    }
    if next.amount > grant.amount_max {
        return Err(Reject::RECEIPT_OVER_GRANT);
    }
    if rate(tariff, grant.quotas, &next.counters)? != next.amount {
        return Err(Reject::RECEIPT_MISRATED);
    }
    Ok(())
}

fn check_succession(previous: &Receipt, next: &Receipt) -> Result<(), Reject> {
    if next.sequence == previous.sequence {
        return Err(Reject::RECEIPT_FORKED);
    }
    if next.sequence < previous.sequence {
        return Err(Reject::RECEIPT_SEQUENCE);
    }
    if previous.is_final {
        return Err(Reject::RECEIPT_AFTER_FINAL);
    }
    if next.amount < previous.amount || !covers(&next.counters, &previous.counters) {
        return Err(Reject::RECEIPT_FALLS);
    }
    Ok(())
}

/// Whether no counter of `later` is below `earlier`'s; missing ones are zero.
pub fn covers(later: &[Counters], earlier: &[Counters]) -> bool {
    earlier
        .iter()
        .enumerate()
        .all(|(at, one)| later.get(at).copied().unwrap_or_default().covers(one))
}

/// `counters` as a receipt has them: without rules at the end that were not used.
pub fn trimmed(counters: &[Counters]) -> &[Counters] {
    let used = counters
        .iter()
        .rposition(|one| *one != Counters::default())
        .map_or(0, |last| last + 1);
    &counters[..used]
}

#[cfg(test)]
#[expect(clippy::unwrap_used, reason = "a test fails by panicking")]
mod tests {
    use super::*;
    use crate::{
        amount::{Amount, Currency},
        ids::{AccountId, GrantId, KeyId, PublicKey, TariffHash},
        record::{
            grant::Funding,
            network::Tax,
            tariff::{Audience, Quota, Rule},
        },
        time::UnixMillis,
    };

    fn tariff() -> Tariff {
        Tariff {
            device: PublicKey([2; 32]),
            site: "bob".parse().unwrap(),
            currency: Currency::KRW,
            rules: vec![Rule {
                pattern: "/**".into(),
                audience: Audience::Anyone,
                per_request: Amount::from_micros(10),
                per_mib: Amount::ZERO,
                per_minute: Amount::ZERO,
                pass: None,
                quota: Quota::default(),
                quota_period_days: 0,
            }],
            valid_from: UnixMillis(0),
            valid_until: UnixMillis(1),
            sequence: 1,
        }
    }

    fn grant() -> Grant {
        Grant {
            issuer: KeyId([0; 8]),
            id: GrantId([3; 16]),
            buyer: AccountId([1; 16]),
            buyer_key: PublicKey([1; 32]),
            seller: AccountId([2; 16]),
            seller_key: PublicKey([2; 32]),
            site: "bob".parse().unwrap(),
            tariff: TariffHash([4; 32]),
            currency: Currency::KRW,
            amount_max: Amount::from_micros(100),
            quotas: vec![Quota::default()],
            tax: Tax::NONE,
            commission_bp: 0,
            funding: Funding::Prepaid,
            predecessor: None,
            issued: UnixMillis(0),
            spend_until: UnixMillis(1),
            settle_until: UnixMillis(2),
        }
    }

    fn receipt(sequence: u64, requests: u64) -> Receipt {
        Receipt {
            buyer: PublicKey([1; 32]),
            grant: GrantId([3; 16]),
            tariff: TariffHash([4; 32]),
            sequence,
            counters: vec![Counters {
                requests,
                ..Counters::default()
            }],
            amount: Amount::from_micros(10 * requests),
            time: UnixMillis(0),
            is_final: false,
        }
    }

    fn judge(previous: Option<&Receipt>, next: &Receipt) -> Result<(), Reject> {
        check_receipt(&grant(), &tariff(), previous, next)
    }

    #[test]
    fn r_10_another_grant_buyer_or_price_list_is_refused_first() {
        let mut others = [receipt(1, 99), receipt(1, 99), receipt(1, 99)];
        others[0].grant = GrantId([9; 16]);
        others[1].buyer = PublicKey([9; 32]);
        others[2].tariff = TariffHash([9; 32]);
        for other in &others {
            assert_eq!(judge(None, other), Err(Reject::GRANT_NOT_FOR_US));
        }
    }

    #[test]
    fn r_11_to_r_13_succession() {
        let held = receipt(5, 3);
        assert_eq!(judge(Some(&held), &held), Ok(()));
        assert_eq!(judge(Some(&held), &receipt(6, 3)), Ok(()));
        assert_eq!(judge(Some(&held), &receipt(9, 4)), Ok(()));
        assert_eq!(
            judge(Some(&held), &receipt(5, 4)),
            Err(Reject::RECEIPT_FORKED)
        );
        assert_eq!(
            judge(Some(&held), &receipt(4, 4)),
            Err(Reject::RECEIPT_SEQUENCE)
        );
        assert_eq!(
            judge(Some(&held), &receipt(6, 2)),
            Err(Reject::RECEIPT_FALLS)
        );
        let mut fewer = receipt(6, 3);
        fewer.counters.clear();
        assert_eq!(judge(Some(&held), &fewer), Err(Reject::RECEIPT_FALLS));
        let mut last = receipt(6, 3);
        last.is_final = true;
        assert_eq!(judge(Some(&held), &last), Ok(()));
        assert_eq!(
            judge(Some(&last), &receipt(7, 4)),
            Err(Reject::RECEIPT_AFTER_FINAL)
        );
        assert_eq!(judge(Some(&last), &last), Ok(()));
    }

    #[test]
    fn r_14_and_r_15_the_amount_follows_and_stays_within() {
        assert_eq!(judge(None, &receipt(1, 10)), Ok(()));
        assert_eq!(
            judge(None, &receipt(1, 11)),
            Err(Reject::RECEIPT_OVER_GRANT)
        );
        for wrong in [29, 31] {
            let mut misrated = receipt(1, 3);
            misrated.amount = Amount::from_micros(wrong);
            assert_eq!(judge(None, &misrated), Err(Reject::RECEIPT_MISRATED));
        }
        let mut beyond = receipt(1, 3);
        beyond.counters.push(Counters {
            requests: 1,
            ..Counters::default()
        });
        assert_eq!(judge(None, &beyond), Err(Reject::FIELD_OUT_OF_BOUNDS));
    }

    #[test]
    fn r_16_a_receipts_own_time_decides_nothing() {
        let mut odd = receipt(1, 1);
        odd.time = UnixMillis(u64::MAX);
        assert_eq!(judge(None, &odd), Ok(()));
        assert_eq!(judge(Some(&odd), &receipt(2, 1)), Ok(()));
    }

    #[test]
    fn unused_rules_at_the_end_are_left_out() {
        let used = Counters {
            bytes: 1,
            ..Counters::default()
        };
        let none = Counters::default();
        assert_eq!(trimmed(&[none, used, none, none]), [none, used]);
        assert!(trimmed(&[none; 3]).is_empty());
    }
}
