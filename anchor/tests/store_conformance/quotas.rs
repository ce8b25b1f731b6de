//! Free use: reserved in slices, counted once, given back where it was not used.

use crate::support::{DAY, Person, START, later, seal, used, won};
use madang_protocol::{
    record::{
        grant::Grant,
        tariff::{Quota, Tariff},
    },
    sealed::Sealed,
    time::UnixMillis,
};

use crate::{Check, support::Place, town::Town};

/// The seller's price list with `free` a day under its first rule.
fn with_free(seller: &Person, free: Quota) -> Sealed<Tariff> {
    let mut tariff = seller.tariff().into_value();
    tariff.rules[0].quota = free;
    tariff.sequence += 1;
    seal(tariff, &seller.key)
}

fn grant(town: &Town, list: &Sealed<Tariff>, number: u64, now: UnixMillis) -> Grant {
    let ask = town.buyer.ask(&town.seller, list, won(1), number, now);
    town.store.grant(&ask, now).unwrap().into_value()
}

/// What one grant after another reserves, while none of them is settled.
fn slices(place: &Place, free: Quota, grants: u64) -> Vec<Quota> {
    let town = Town::new(place);
    let list = with_free(&town.seller, free);
    let quota = |number| grant(&town, &list, number, START).quotas[0];
    let slices = (0..grants).map(quota).collect();
    town.store.verify_all().unwrap();
    slices
}

fn requests(requests: u64) -> Quota {
    Quota {
        requests,
        ..Quota::default()
    }
}

pub(crate) const CHECKS: &[Check] = &[
    Check::new(
        "each_grant_reserves_half_of_what_is_left_and_the_last_one_all_of_it",
        each_grant_reserves_half_of_what_is_left_and_the_last_one_all_of_it,
    ),
    Check::new(
        "what_one_grant_did_not_use_is_free_under_the_next_and_no_more_than_the_whole_is_ever_free",
        what_one_grant_did_not_use_is_free_under_the_next_and_no_more_than_the_whole_is_ever_free,
    ),
];

fn each_grant_reserves_half_of_what_is_left_and_the_last_one_all_of_it(place: &Place) {
    let of = |whole, grants| {
        let slices = slices(place, requests(whole), grants);
        slices
            .iter()
            .map(|slice| slice.requests)
            .collect::<Vec<_>>()
    };
    assert_eq!(of(1, 2), [1, 0]);
    assert_eq!(of(3, 3), [2, 1, 0]);
    assert_eq!(of(6, 4), [3, 2, 1, 0]);
    // The fourth finds an eighth of the whole.
    assert_eq!(of(800, 5), [400, 200, 100, 100, 0]);
    let mixed = Quota {
        requests: 2,
        bytes: 1 << 20,
        milliseconds: 0,
    };
    let bytes = |slice: &Quota| (slice.requests, slice.bytes, slice.milliseconds);
    let expected = [
        (1, 1 << 19, 0),
        (1, 1 << 18, 0),
        (0, 1 << 17, 0),
        (0, 1 << 17, 0),
        (0, 0, 0),
    ];
    assert!(slices(place, mixed, 5).iter().map(bytes).eq(expected));
}

fn what_one_grant_did_not_use_is_free_under_the_next_and_no_more_than_the_whole_is_ever_free(
    place: &Place,
) {
    let town = Town::new(place);
    let list = with_free(&town.seller, requests(8));
    let mut free = 0;
    for number in 0..40 {
        let grant = grant(&town, &list, number, START);
        // Every grant is settled with all but one of its free requests.
        let used_up = grant.quotas[0].requests.saturating_sub(1).max(1);
        let used_up = used_up.min(grant.quotas[0].requests);
        free += used_up;
        let counters = used(used_up, 0, 0);
        let receipt = town.buyer.receipt(&grant, &list, 1, &counters, true);
        assert!(receipt.claims().amount.is_zero());
        let batch = town.seller.batch(number, vec![receipt], vec![], START);
        town.store.settle(&batch, START).unwrap();
    }
    assert_eq!(free, 8);
    assert_eq!(town.available(), 100_000);
    let tomorrow = later(START, DAY);
    assert_eq!(grant(&town, &list, 99, tomorrow).quotas[0].requests, 4);
    town.store.verify_all().unwrap();
}
