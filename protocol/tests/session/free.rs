//! Free use comes in slices, one with each grant: none of it is paid for while another grant may have more, and nobody waits for one for ever.

use madang_protocol::{
    amount::Amount,
    record::tariff::{Quota, Rule},
    time::MILLIS_PER_DAY,
};
use proptest::prelude::*;

use super::{
    honest::{strict, want},
    issuer::{START, rule, tariff},
    world::{Successors, Transition, World},
};

/// What a request costs here.
const PRICE: u64 = 1_000;

fn with_free(rule: Rule, quota: Quota) -> Rule {
    Rule {
        quota_period_days: u16::from(!quota.is_empty()),
        quota,
        ..rule
    }
}

fn free_requests(requests: u64) -> Rule {
    let quota = Quota {
        requests,
        ..Quota::default()
    };
    with_free(rule(PRICE, 0, 0), quota)
}

/// So many pages, each wanted once.
fn pages(rule: Rule, count: usize) -> World {
    let wants = (0..count).map(|_| want(0, 10, true)).collect();
    let policy = strict(1_000_000, 8_000_000);
    World::new(tariff(vec![rule], 1), policy, wants, 1 << 40, 1 << 40)
}

/// A rule by the request, the MiB or the minute, with free use in its unit.
fn metered() -> impl Strategy<Value = Rule> {
    let by_request =
        (1..5_000_000_u64, 1..12_u64).prop_map(|(price, free)| (rule(price, 0, 0), [free, 0, 0]));
    let by_octet = (1..5_000_000_u64, 1..4_000_000_u64)
        .prop_map(|(price, free)| (rule(0, price, 0), [0, free, 0]));
    let by_time = (1..5_000_000_u64, 1..20_000_u64)
        .prop_map(|(price, free)| (rule(0, 0, price), [0, 0, free]));
    prop_oneof![by_request, by_octet, by_time].prop_map(
        |(rule, [requests, bytes, milliseconds])| {
            with_free(
                rule,
                Quota {
                    requests,
                    bytes,
                    milliseconds,
                },
            )
        },
    )
}

proptest! {
    #![proptest_config(ProptestConfig { max_shrink_iters: 400, ..ProptestConfig::with_cases(96) })]

    #[test]
    fn what_is_paid_is_what_all_of_it_costs_with_the_whole_quota_free(
        first in metered(),
        sizes in proptest::collection::vec((0..2_usize, 1..2_000_000_u64), 1..8),
        window in 0..2_000_000_u64,
        chunk in prop_oneof![1_000..70_000_u64, Just(1 << 18)],
    ) {
        let list = tariff(vec![first, rule(500, 500, 0)], 1);
        let wants = sizes.iter().map(|(rule, octets)| want(*rule, *octets, true)).collect();
        let mut world = World::new(list, strict(window, 4 * window), wants, 1 << 40, 1 << 40);
        prop_assert!(world.run_fair(6_000, chunk, 20), "{}", world.describe());
        // What came last may still wait for its grant.
        for _ in 0..4 {
            world.run_fair(1, chunk, 20);
        }
        let now = world.clock.now;
        world.buyer.finish(now);
        world.step(Transition::Connect);
        let (grants, signed, due) = world.signed_and_due();
        // Each grant rounds up by itself.
        let due = due.micros()..=due.micros() + grants;
        prop_assert!(due.contains(&signed.micros()), "{signed:?} of {due:?}, {}", world.describe());
        prop_assert_eq!(world.stopped, None);
    }

    #[test]
    fn without_successors_everything_arrives_all_the_same(
        first in metered(),
        sizes in proptest::collection::vec(1..2_000_000_u64, 1..8),
        is_told in any::<bool>(),
    ) {
        let list = tariff(vec![first], 1);
        let wants = sizes.iter().map(|octets| want(0, *octets, true)).collect();
        let mut world = World::new(list, strict(100_000, 400_000), wants, 1 << 40, 1 << 40);
        world.free.successors = if is_told { Successors::AreRefused } else { Successors::NeverCome };
        prop_assert!(world.run_fair(6_000, 1 << 18, 20), "{}", world.describe());
        prop_assert_eq!(world.grants(), 1);
        prop_assert_eq!((world.stopped, world.refusals), (None, 0));
    }
}

#[test]
fn of_forty_pages_the_free_ones_are_free_and_no_grant_is_asked_for_in_vain_twice() {
    let mut world = pages(free_requests(3), 40);
    assert!(world.run_fair(2_000, 10, 20));
    assert_eq!(world.buyer.signed(), Amount::from_micros(37 * PRICE));
    // Two free under the first, one under the second, and a third that found nothing left.
    assert_eq!(world.grants(), 3);
}

#[test]
fn a_page_waits_for_the_grant_under_which_it_is_free() {
    let mut world = pages(free_requests(3), 3);
    world.free.successors = Successors::NeverCome;
    assert!(!world.run_fair(100, 10, 20));
    assert_eq!(world.buyer.signed(), Amount::ZERO);
    // Five seconds later nobody waits any more.
    assert!(world.run_fair(200, 10, 20));
    assert_eq!(world.buyer.signed(), Amount::from_micros(PRICE));
}

#[test]
fn a_new_day_has_its_own_free_use_under_the_grant_of_the_day_before_too() {
    let mut world = pages(free_requests(3), 8);
    let to_midnight = MILLIS_PER_DAY - START.0 % MILLIS_PER_DAY;
    world.clock.pass(to_midnight - 60_000);
    let later = world.wants.split_off(4);
    assert!(world.run_fair(200, 10, 20));
    assert_eq!(world.buyer.counted(), Amount::from_micros(PRICE));
    world.step(Transition::Pass(60_000));
    let list = world.tariff.clone();
    world.free.begin_period(&list);
    let before = world.grants();
    world.wants.extend(later);
    assert!(world.run_fair(200, 10, 20));
    assert_eq!(world.buyer.counted(), Amount::from_micros(2 * PRICE));
    assert_eq!(world.grants() - before, 3);
}
