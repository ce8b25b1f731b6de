//! How holds end.

use crate::support::{HOUR, START, later, used, won};
use madang_protocol::{broker::Side, record::settlement::Judgement, reject::Reject};

use crate::{Check, support::Place, town::Town};

pub(crate) const CHECKS: &[Check] = &[
    Check::new(
        "a_final_receipt_from_the_seller_ends_the_hold_and_returns_free_use",
        a_final_receipt_from_the_seller_ends_the_hold_and_returns_free_use,
    ),
    Check::new(
        "a_buyer_who_closes_waits_for_the_sellers_presence_of_a_day",
        a_buyer_who_closes_waits_for_the_sellers_presence_of_a_day,
    ),
    Check::new(
        "a_seller_who_never_comes_is_waited_for_three_days_and_the_same_close_changes_nothing",
        a_seller_who_never_comes_is_waited_for_three_days_and_the_same_close_changes_nothing,
    ),
    Check::new(
        "both_ends_closed_release_at_once_in_either_order",
        both_ends_closed_release_at_once_in_either_order,
    ),
    Check::new(
        "after_settle_until_nothing_settles_and_only_the_bill_stays",
        after_settle_until_nothing_settles_and_only_the_bill_stays,
    ),
    Check::new(
        "a_buyer_who_closes_with_less_than_it_signed_has_not_closed",
        a_buyer_who_closes_with_less_than_it_signed_has_not_closed,
    ),
];

fn a_final_receipt_from_the_seller_ends_the_hold_and_returns_free_use(place: &Place) {
    let town = Town::new(place);
    let grant = town.grant(1, won(30_000), START);
    let receipt = town
        .buyer
        .receipt(&grant, &town.seller.tariff(), 1, &used(2, 1 << 20, 0), true);
    let batch = town.seller.batch(1, vec![receipt], vec![], START);
    town.store.settle(&batch, START).unwrap();
    assert_eq!(town.available(), 99_998);
    let higher = town.buyer.receipt(
        &grant,
        &town.seller.tariff(),
        2,
        &used(9, 1 << 20, 0),
        false,
    );
    let batch = town.seller.batch(2, vec![higher], vec![], START);
    let verdict = town.store.settle(&batch, START).unwrap();
    assert_eq!(
        Town::judgements(&verdict),
        [Judgement::Rejected(Reject::GRANT_CLOSED)]
    );
    // One of three came back: of four, the next grant has half.
    assert_eq!(town.grant(2, won(1), START).quotas[0].requests, 2);
    town.store.verify_all().unwrap();
}

fn a_buyer_who_closes_waits_for_the_sellers_presence_of_a_day(place: &Place) {
    let town = Town::new(place);
    let grant = town.grant(1, won(30_000), START);
    let receipt = town
        .buyer
        .receipt(&grant, &town.seller.tariff(), 1, &used(5, 0, 0), true);
    let close = town.buyer.close(grant.id, Some(receipt), START);
    town.store.close_grant(&close, START).unwrap();
    // The receipt that the buyer shows is paid at once.
    assert_eq!(
        town.store.wallet(town.seller.id()).unwrap().earned,
        won(950)
    );
    assert_eq!(town.available(), 70_000);
    let mut now = START;
    let mut released_at = None;
    // Present every half hour, but away from hour 6 to hour 12.
    for half_hour in 0..80_u64 {
        now = later(START, half_hour * HOUR / 2);
        if !(12..24).contains(&half_hour) {
            town.store
                .presence_seen(town.seller.device(), false, now)
                .unwrap();
        }
        while town.store.tick(now).unwrap() {}
        if town.available() == 99_000 {
            released_at = Some(half_hour / 2);
            break;
        }
    }
    let released_at = released_at.unwrap();
    assert!(
        (30..=32).contains(&released_at),
        "released after {released_at} h"
    );
    town.store.verify_all().unwrap();
    assert!(!town.store.tick(now).unwrap());
}

fn a_seller_who_never_comes_is_waited_for_three_days_and_the_same_close_changes_nothing(
    place: &Place,
) {
    let town = Town::new(place);
    let grant = town.grant(1, won(30_000), START);
    let close = town.buyer.close(grant.id, None, START);
    town.store.close_grant(&close, START).unwrap();
    let entry = town.store.head().unwrap().seq;
    town.store.close_grant(&close, later(START, HOUR)).unwrap();
    assert_eq!(town.store.head().unwrap().seq, entry);
    let almost = later(START, 72 * HOUR - 1);
    while town.store.tick(almost).unwrap() {}
    assert_eq!(town.available(), 70_000);
    let past = later(START, 72 * HOUR + 1);
    while town.store.tick(past).unwrap() {}
    assert_eq!(town.available(), 100_000);
}

fn both_ends_closed_release_at_once_in_either_order(place: &Place) {
    for seller_first in [false, true] {
        let town = Town::new(place);
        let grant = town.grant(1, won(30_000), START);
        let close = town.buyer.close(grant.id, None, START);
        let batch = town.seller.batch(1, vec![], vec![grant.id], START);
        if seller_first {
            town.store.settle(&batch, START).unwrap();
            assert_eq!(town.available(), 70_000);
            town.store.close_grant(&close, START).unwrap();
        } else {
            town.store.close_grant(&close, START).unwrap();
            assert_eq!(town.available(), 70_000);
            town.store.settle(&batch, START).unwrap();
        }
        assert_eq!(town.available(), 100_000);
        town.store.verify_all().unwrap();
    }
}

fn after_settle_until_nothing_settles_and_only_the_bill_stays(place: &Place) {
    let town = Town::new(place);
    let (used_grant, unused) = (
        town.grant(1, won(30_000), START),
        town.grant(2, won(500), START),
    );
    let receipt = |sequence, requests| {
        town.buyer.receipt(
            &used_grant,
            &town.seller.tariff(),
            sequence,
            &used(requests, 0, 0),
            false,
        )
    };
    let (first, second) = (receipt(1, 5), receipt(2, 6));
    let batch = town.seller.batch(1, vec![first.clone()], vec![], START);
    town.store.settle(&batch, START).unwrap();
    let past = later(used_grant.settle_until, 1);
    let batch = town.seller.batch(2, vec![second, first], vec![], past);
    let verdict = town.store.settle(&batch, past).unwrap();
    assert_eq!(
        Town::judgements(&verdict),
        [
            Judgement::Rejected(Reject::SETTLE_TOO_LATE),
            Judgement::Duplicate
        ]
    );
    while town.store.tick(past).unwrap() {}
    assert_eq!(town.available(), 99_000);
    assert_eq!(town.store.grant_status(unused.id).unwrap(), None);
    let bill = town.store.bill(town.buyer.id(), None, 10).unwrap();
    assert_eq!(bill.lines.len(), 1);
    assert_eq!(
        (
            bill.lines[0].side,
            bill.lines[0].debit,
            bill.lines[0].earned
        ),
        (Side::Purchase, won(1_000), won(950))
    );
    let audit = town.store.verify_all().unwrap();
    assert_eq!((audit.grants, audit.open), (1, 0));
}

fn a_buyer_who_closes_with_less_than_it_signed_has_not_closed(place: &Place) {
    let town = Town::new(place);
    let tariff = town.seller.tariff();
    let grant = town.grant(1, won(30_000), START);
    let receipt = |sequence, requests, is_final| {
        town.buyer
            .receipt(&grant, &tariff, sequence, &used(requests, 0, 0), is_final)
    };
    let close = town.buyer.close(grant.id, Some(receipt(1, 4, true)), START);
    town.store.close_grant(&close, START).unwrap();
    let batch = town
        .seller
        .batch(1, vec![receipt(2, 9, false)], vec![], START);
    let verdict = town.store.settle(&batch, START).unwrap();
    assert_eq!(Town::judgements(&verdict), [Judgement::Applied]);
    let past = later(START, 13 * 24 * HOUR);
    while town.store.tick(past).unwrap() {}
    assert_eq!(town.available(), 70_000);
    let honest = town.buyer.close(grant.id, Some(receipt(3, 9, true)), past);
    town.store.close_grant(&honest, past).unwrap();
    let batch = town.seller.batch(2, vec![], vec![grant.id], past);
    town.store.settle(&batch, past).unwrap();
    assert_eq!(town.available(), 97_000);
    town.store.verify_all().unwrap();
}
