//! Grants, batches, passes and bills.

use crate::support::{DAY, HOUR, Person, SECOND, START, later, refusal, seal, used, won};
use madang_protocol::{
    amount::Amount, broker::Side, ids::GrantId, record::settlement::Judgement, reject::Reject,
};

use crate::{Check, support::Place, town::Town};

pub(crate) const CHECKS: &[Check] = &[
    Check::new(
        "the_same_request_is_granted_once_and_holds_once",
        the_same_request_is_granted_once_and_holds_once,
    ),
    Check::new(
        "what_must_not_be_granted_is_refused",
        what_must_not_be_granted_is_refused,
    ),
    Check::new(
        "a_batch_has_one_verdict_and_a_bad_receipt_spoils_nothing",
        a_batch_has_one_verdict_and_a_bad_receipt_spoils_nothing,
    ),
    Check::new(
        "somebody_else_cannot_settle_or_close",
        somebody_else_cannot_settle_or_close,
    ),
    Check::new(
        "a_pass_is_issued_when_it_is_settled_and_prolonged_by_the_next",
        a_pass_is_issued_when_it_is_settled_and_prolonged_by_the_next,
    ),
    Check::new(
        "a_bill_is_paged_without_gaps_for_both_sides",
        a_bill_is_paged_without_gaps_for_both_sides,
    ),
];

fn the_same_request_is_granted_once_and_holds_once(place: &Place) {
    let town = Town::new(place);
    let tariff = town.seller.tariff();
    let ask = |now, amount| town.buyer.ask(&town.seller, &tariff, amount, 1, now);
    let first = town.store.grant(&ask(START, won(30_000)), START).unwrap();
    let soon = later(START, SECOND);
    let again = town.store.grant(&ask(soon, won(30_000)), soon).unwrap();
    assert_eq!(first.to_bytes(), again.to_bytes());
    assert_eq!(town.available(), 70_000);
    let other = town.store.grant(&ask(soon, won(30_001)), soon);
    assert_eq!(refusal(other), Reject::REQUEST_ID_REUSED);
    // Free use is reserved with the first grant, and once however often it is asked for.
    assert_eq!(first.quotas[0].requests, 3);
    assert_eq!(town.grant(2, won(1), START).quotas[0].requests, 2);
    town.store.verify_all().unwrap();
}

fn what_must_not_be_granted_is_refused(place: &Place) {
    let town = Town::new(place);
    let tariff = town.seller.tariff();
    let ask = |number, amount| town.buyer.ask(&town.seller, &tariff, amount, number, START);
    let too_much = town.store.grant(&ask(1, won(100_001)), START);
    assert_eq!(refusal(too_much), Reject::CREDIT_INSUFFICIENT);
    let late = town.store.grant(&ask(2, won(1)), later(START, HOUR));
    assert_eq!(refusal(late), Reject::RECORD_EXPIRED);
    let own = town.buyer.tariff();
    let own = town.buyer.ask(&town.buyer, &own, won(1), 3, START);
    assert_eq!(refusal(town.store.grant(&own, START)), Reject::SELF_DEALING);
    let foreign = town
        .buyer
        .ask(&town.seller, &town.buyer.tariff(), won(1), 4, START);
    assert_eq!(
        refusal(town.store.grant(&foreign, START)),
        Reject::GRANT_NOT_FOR_US
    );
    let mut unenclosed = ask(5, won(1)).into_value();
    unenclosed.tariff = None;
    let unenclosed = seal(unenclosed, &town.buyer.key);
    assert_eq!(
        refusal(town.store.grant(&unenclosed, START)),
        Reject::TARIFF_UNKNOWN
    );
    town.store.grant(&ask(6, won(1)), START).unwrap();
    town.store.grant(&unenclosed, START).unwrap();
    town.store
        .revoke_device(town.seller.device(), START)
        .unwrap();
    assert_eq!(
        refusal(town.store.grant(&ask(7, won(1)), START)),
        Reject::DEVICE_REVOKED
    );
    town.store.verify_all().unwrap();
}

fn a_batch_has_one_verdict_and_a_bad_receipt_spoils_nothing(place: &Place) {
    let town = Town::new(place);
    let tariff = town.seller.tariff();
    let grant = town.grant(1, won(30_000), START);
    let other = town.grant(2, won(1_000), START);
    let receipt = |grant, sequence, requests, is_final| {
        town.buyer
            .receipt(grant, &tariff, sequence, &used(requests, 0, 0), is_final)
    };
    // 3 requests are free under the first grant.
    let first = receipt(&grant, 1, 5, false);
    let second = receipt(&grant, 2, 9, false);
    let mut misrated = receipt(&other, 1, 1, false).claims().clone();
    misrated.amount = Amount::from_micros(1);
    let misrated = seal(misrated, &town.buyer.key).into_unverified();
    let mut forged = receipt(&other, 2, 2, false).claims().clone();
    forged.buyer = town.seller.device();
    let forged = seal(forged, &town.seller.key).into_unverified();
    let mut unknown = receipt(&other, 3, 2, false).claims().clone();
    unknown.grant = GrantId([0xee; 16]);
    let unknown = seal(unknown, &town.buyer.key).into_unverified();
    let receipts = vec![
        misrated,
        second.clone(),
        first.clone(),
        second,
        forged,
        unknown,
    ];
    let batch = town.seller.batch(1, receipts, vec![], START);
    let verdict = town.store.settle(&batch, START).unwrap();
    assert_eq!(
        Town::judgements(&verdict),
        [
            Judgement::Rejected(Reject::RECEIPT_MISRATED),
            Judgement::Applied,
            Judgement::Stale,
            Judgement::Duplicate,
            Judgement::Rejected(Reject::NOT_THE_BUYER),
            Judgement::Rejected(Reject::GRANT_UNKNOWN),
        ]
    );
    assert_eq!(verdict.outcomes[1].settled, won(3_000));
    assert_eq!(verdict.outcomes[1].earned, won(2_850));
    let again = town.store.settle(&batch, later(START, DAY)).unwrap();
    assert_eq!(verdict.to_bytes(), again.to_bytes());
    let reused = town.seller.batch(1, vec![first], vec![], START);
    assert_eq!(
        refusal(town.store.settle(&reused, START)),
        Reject::REQUEST_ID_REUSED
    );

    let seller = town.store.wallet(town.seller.id()).unwrap();
    let buyer = town.store.wallet(town.buyer.id()).unwrap();
    assert_eq!(seller.earned, won(2_850));
    assert_eq!((buyer.posted, buyer.held), (won(97_000), won(28_000)));
    town.store.verify_all().unwrap();
}

fn somebody_else_cannot_settle_or_close(place: &Place) {
    let town = Town::new(place);
    let third = Person::settle_in(&town.store, 3, 10, 0);
    let grant = town.grant(1, won(1_000), START);
    let receipt = town
        .buyer
        .receipt(&grant, &town.seller.tariff(), 1, &used(4, 0, 0), true);
    let batch = third.batch(1, vec![receipt], vec![grant.id], START);
    let verdict = town.store.settle(&batch, START).unwrap();
    assert_eq!(
        Town::judgements(&verdict),
        [Judgement::Rejected(Reject::NOT_THE_SELLER)]
    );
    let close = third.close(grant.id, None, START);
    assert_eq!(
        refusal(town.store.close_grant(&close, START)),
        Reject::NOT_THE_BUYER
    );
    let status = town.store.grant_status(grant.id).unwrap().unwrap();
    assert!(!status.progress.seller_closed && status.progress.best.is_none());
}

fn a_pass_is_issued_when_it_is_settled_and_prolonged_by_the_next(place: &Place) {
    let town = Town::new(place);
    let grant = town.grant(1, won(30_000), START);
    let settle = |number, passes| {
        let receipt = town.buyer.receipt(
            &grant,
            &town.seller.tariff(),
            number,
            &used(0, 0, passes),
            false,
        );
        let batch = town.seller.batch(number, vec![receipt], vec![], START);
        town.store.settle(&batch, START).unwrap();
        town.store.passes(town.buyer.id(), None, START, 16).unwrap()
    };
    let first = settle(1, 1);
    assert_eq!((first.len(), first[0].until), (1, later(START, 30 * DAY)));
    assert_eq!(first[0].pattern, "/club/**");
    let second = settle(2, 3);
    assert_eq!((second.len(), second[0].until), (1, later(START, 90 * DAY)));
    let end = later(START, 90 * DAY);
    assert!(
        town.store
            .passes(town.buyer.id(), None, end, 16)
            .unwrap()
            .is_empty()
    );
}

fn a_bill_is_paged_without_gaps_for_both_sides(place: &Place) {
    let town = Town::new(place);
    let tariff = town.seller.tariff();
    let mut receipts = Vec::new();
    for number in 0..7 {
        let grant = town.grant(number, won(1_000), START);
        if number != 3 {
            receipts.push(
                town.buyer
                    .receipt(&grant, &tariff, 1, &used(0, 1 << 20, 0), true),
            );
        }
    }
    let settled: Vec<GrantId> = receipts
        .iter()
        .map(|one| one.claims().grant)
        .rev()
        .collect();
    town.store
        .settle(&town.seller.batch(1, receipts, vec![], START), START)
        .unwrap();
    for (person, side) in [(&town.buyer, Side::Purchase), (&town.seller, Side::Sale)] {
        let (mut before, mut seen) = (None, Vec::new());
        loop {
            let page = town.store.bill(person.id(), before, 2).unwrap();
            assert!(page.lines.len() <= 2 && page.lines.iter().all(|line| line.side == side));
            seen.extend(page.lines.iter().map(|line| line.grant));
            before = page.more_before;
            if before.is_none() {
                break;
            }
        }
        assert_eq!(seen, settled);
    }
}
