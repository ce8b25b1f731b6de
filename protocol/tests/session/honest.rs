//! Honest pairs: whatever the prices, windows, chunks and interruptions, everything that is wanted arrives, and every bound holds on the way.

use madang_protocol::{
    amount::Amount, record::receipt::Counters, rules::rating::rate, session::exposure::Policy,
};
use proptest::prelude::*;

use super::{
    issuer::{rule, tariff},
    world::{Transition, Want, World},
};

pub fn strict(window_start: u64, window_max: u64) -> Policy {
    Policy {
        window_start: Amount::from_micros(window_start),
        window_max: Amount::from_micros(window_max),
        cap: Amount::from_micros(1 << 50),
        forgiven_per_mille: 0,
        forgiven_per_day: Amount::ZERO,
    }
}

pub fn want(rule: usize, octets: u64, resumes: bool) -> Want {
    Want {
        rule,
        octets,
        resumes,
        uploads: 0,
        got: 0,
        done: false,
    }
}

fn transition() -> impl Strategy<Value = Transition> {
    prop_oneof![
        4 => (0..4_usize).prop_map(Transition::Request),
        6 => (1..200_000_u64).prop_map(Transition::Send),
        6 => (1..200_000_u64).prop_map(Transition::DeliverBody),
        8 => Just(Transition::DeliverToSeller),
        8 => Just(Transition::DeliverToBuyer),
        4 => (1..3_000_u64).prop_map(Transition::Pass),
        1 => Just(Transition::Break),
        1 => Just(Transition::BreakFrames),
        3 => Just(Transition::Connect),
        1 => Just(Transition::Cancel),
        1 => Just(Transition::ForgetBuyer),
        1 => (0..3_usize).prop_map(Transition::ForgetReceipts),
        1 => Just(Transition::RestartSeller),
    ]
}

fn uploads() -> impl Strategy<Value = u64> {
    prop_oneof![2 => Just(0_u64), 1 => 1..2_000_000_u64]
}

fn prices() -> impl Strategy<Value = (u64, u64, u64)> {
    let price = || prop_oneof![Just(0_u64), 1..5_000_000_u64];
    (price(), price(), price()).prop_filter("one price at least", |(request, mib, minute)| {
        request + mib + minute > 0
    })
}

proptest! {
    #![proptest_config(ProptestConfig { max_shrink_iters: 400, ..ProptestConfig::with_cases(96) })]

    #[test]
    fn honest_pairs_finish_after_any_history(
        first in prices(),
        second in prices(),
        window in 0..2_000_000_u64,
        grant_max in 20_000_000..80_000_000_u64,
        sizes in proptest::collection::vec((0..2_usize, 1..3_000_000_u64), 1..4),
        history in proptest::collection::vec(transition(), 0..200),
        chunk in prop_oneof![1_000..70_000_u64, Just(1 << 18)],
        uploads in proptest::collection::vec(uploads(), 3),
    ) {
        let list = tariff(vec![rule(first.0, first.1, first.2), rule(second.0, second.1, second.2)], 1);
        let wants = sizes.iter().zip(uploads).map(|((rule, octets), uploads)| Want { uploads, ..want(*rule, *octets, true) }).collect();
        // Time that one end counted and the other did not cannot be served again: only forgiving makes up for it.
        let per_minute = first.2 + second.2;
        let policy = Policy { forgiven_per_day: Amount::from_micros(per_minute * 1_440), ..strict(window, 4 * window) };
        let mut world = World::new(list, policy, wants, grant_max, 1 << 40);
        for step in history {
            world.step(step);
        }
        if world.stopped.is_none() {
            let done = world.run_fair(6_000, chunk, 20);
            prop_assert!(done, "{}", world.describe());
        }
    }
}

proptest! {
    #![proptest_config(ProptestConfig { max_shrink_iters: 400, ..ProptestConfig::with_cases(96) })]

    #[test]
    fn a_request_is_paid_once_whoever_loses_what_and_starts_again(
        sizes in proptest::collection::vec((0..2_usize, 1..300_000_u64), 1..5),
        // A request that its buyer gives up, and forgets that it has signed for, is another one when it is asked again.
        history in proptest::collection::vec(transition().prop_filter("wanted", |one| !matches!(one, Transition::Cancel)), 0..200),
    ) {
        let list = tariff(vec![rule(1_000, 0, 0), rule(2_000, 1_000, 0)], 1);
        let wants: Vec<_> = sizes.iter().map(|(rule, octets)| want(*rule, *octets, true)).collect();
        let number = wants.len() as u64;
        let mut world = World::new(list, strict(1_000_000, 4_000_000), wants, 1 << 40, 1 << 40);
        let is_death = |one: &&Transition| matches!(one, Transition::ForgetBuyer | Transition::ForgetReceipts(_));
        let deaths = history.iter().filter(is_death).count() as u64;
        for step in history {
            world.step(step);
        }
        // Bodies that break before they begin, again and again, stop a buyer.
        if world.stopped.is_none() {
            prop_assert!(world.run_fair(2_000, 70_000, 20), "{}", world.describe());
            let signed = world.requests_signed();
            // One request at most is signed for and has not begun when a buyer dies.
            prop_assert!((number..=number + deaths).contains(&signed), "{signed}: {}", world.describe());
        }
    }
}

#[test]
fn a_buyer_whose_disk_is_some_receipts_behind_goes_on_from_what_the_seller_shows() {
    for behind in 0..8 {
        for has_seller_restarted in [false, true] {
            let list = tariff(vec![rule(1_000, 1 << 20, 0)], 1);
            let wants = vec![want(0, 300_000, true); 4];
            let mut world = World::new(list, strict(50_000, 50_000), wants, 1 << 40, 1 << 40);
            while world.buyer.receipt().is_none_or(|one| one.sequence < 7) {
                world.run_fair(1, 10_000, 20);
            }
            let signed = world.buyer.signed();
            world.step(Transition::ForgetReceipts(behind));
            if has_seller_restarted {
                world.step(Transition::RestartSeller);
            }
            world.step(Transition::Connect);
            for _ in 0..8 {
                world.step(Transition::DeliverToSeller);
                world.step(Transition::DeliverToBuyer);
            }
            // One receipt may have been on its way when the buyer died: nobody knows it.
            let again = world.buyer.signed();
            assert!(again <= signed && signed.micros() - again.micros() <= 51_000);
            assert!(world.run_fair(200, 10_000, 20), "{}", world.describe());
            assert_eq!(world.requests_signed(), 4);
            assert_eq!(world.refusals, 0);
        }
    }
}

#[test]
fn a_download_per_mib_is_paid_to_the_octet() {
    let list = tariff(vec![rule(0, 2_000_000, 0)], 1);
    let mut world = World::new(
        list,
        strict(1_000_000, 8_000_000),
        vec![want(0, 100 << 20, true)],
        1 << 40,
        1 << 40,
    );
    assert!(world.run_fair(2_000, 1 << 18, 1));
    assert_eq!(world.buyer.counted().micros(), 200_000_000);
    assert!(world.run_fair(1, 1, 6_000));
    world.step(Transition::DeliverToSeller);
    assert_eq!(world.buyer.signed().micros(), 200_000_000);
    assert_eq!(world.refusals, 0);
}

#[test]
fn an_upload_of_many_windows_per_mib_is_paid_to_the_octet() {
    let list = tariff(vec![rule(0, 2_000_000, 0)], 1);
    let upload = Want {
        uploads: 100 << 20,
        ..want(0, 10, false)
    };
    let mut world = World::new(
        list.clone(),
        strict(1_000_000, 8_000_000),
        vec![upload],
        1 << 40,
        1 << 40,
    );
    assert!(world.run_fair(2_000, 1 << 18, 1));
    assert!(world.run_fair(1, 1, 6_000));
    world.step(Transition::DeliverToSeller);
    let octets = vec![Counters {
        bytes: (100 << 20) + 10,
        ..Counters::default()
    }];
    assert_eq!(world.buyer.signed(), rate(&list, &[], &octets).unwrap());
    assert_eq!(world.refusals, 0);
    let account = super::world::ACCOUNT;
    assert!(world.exposure.debt(&account).owed().is_zero());
}

#[test]
fn a_receipt_lost_with_the_line_still_pays_its_request() {
    let list = tariff(vec![rule(1_000, 0, 0)], 1);
    let wants = vec![want(0, 10, true), want(0, 10, true)];
    let mut world = World::new(list, strict(1_000_000, 8_000_000), wants, 1 << 40, 1 << 40);
    world.step(Transition::Connect);
    for _ in 0..8 {
        world.step(Transition::DeliverToSeller);
        world.step(Transition::DeliverToBuyer);
    }
    // The first is signed for, and the receipt is lost with the line.
    world.step(Transition::Request(0));
    world.step(Transition::DeliverBody(10));
    world.step(Transition::BreakFrames);
    world.step(Transition::Connect);
    world.step(Transition::DeliverToSeller);
    world.step(Transition::DeliverToBuyer);
    world.step(Transition::Request(1));
    assert!(world.run_fair(50, 10, 20));
    assert_eq!(world.buyer.counted().micros(), 2_000);
}

#[test]
fn who_lost_the_beginning_with_its_receipts_gets_it_again_without_being_forgiven_anything() {
    let list = tariff(vec![rule(0, 3_000_000, 0)], 1);
    let wants = vec![want(0, 100_000, true)];
    let mut world = World::new(list, strict(0, 0), wants, 1 << 40, 1 << 40);
    let begin = [
        Transition::Connect,
        Transition::DeliverToSeller,
        Transition::DeliverToBuyer,
        Transition::DeliverToSeller,
        Transition::DeliverToBuyer,
        Transition::Request(0),
        Transition::DeliverBody(1),
        Transition::Send(32_768),
        Transition::DeliverBody(32_768),
        Transition::DeliverToSeller,
    ];
    for step in begin {
        world.step(step);
    }
    // A whole window is on its way, and what is receipted already stands before it.
    world.step(Transition::Send(100_000));
    world.step(Transition::ForgetBuyer);
    assert!(world.run_fair(600, 1_000, 20), "{}", world.describe());
}
