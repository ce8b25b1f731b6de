//! L-1 to L-6 on random money.

use madang_protocol::record::network::{Tax, TaxMode};
use proptest::prelude::*;

use super::*;
use crate::ledger::{
    adjustment::AdjustmentKind,
    progress,
    testing::{BUYER, DAY, Terms1, World, micros, refusal},
};

const PLAIN: Terms1 = Terms1 {
    tax: Tax::NONE,
    commission_bp: 0,
};

fn credit(world: &World, days: Option<u64>) -> AdjustmentKind {
    let expires = days.map(|days| UnixMillis(world.now.0 + days * DAY));
    AdjustmentKind::Credit { expires }
}

fn wallet(world: &World) -> (i128, i128) {
    let wallet = world.balance(LedgerAccount::Wallet(BUYER));
    (wallet.posted, wallet.held)
}

fn promotion(world: &World) -> (i128, i128) {
    let promotion = world.balance(LedgerAccount::Promotion(BUYER));
    (promotion.posted, promotion.held)
}

#[test]
fn l_1_and_l_2_what_ends_first_is_spent_first_and_paid_credit_last() {
    let mut world = World::new(PLAIN);
    world.top_up(1, 1_000);
    world.adjust(2, credit(&world, None), 100).unwrap();
    world.adjust(3, credit(&world, Some(30)), 50).unwrap();
    let grant = world.grant(1, 400);
    assert_eq!(
        (wallet(&world), promotion(&world)),
        ((1_000, 250), (150, 150))
    );
    world.settle(grant, 60);
    let lots: Vec<_> = list(&world.tables, &BUYER, Currency::KRW).unwrap();
    let left: Vec<u64> = lots.iter().map(|(_, lot)| lot.left.micros()).collect();
    assert_eq!(left, [90]);
    assert_eq!(
        (wallet(&world), promotion(&world)),
        ((1_000, 250), (90, 90))
    );
    world.settle(grant, 200);
    assert_eq!((wallet(&world), promotion(&world)), ((950, 200), (0, 0)));
}

#[test]
fn l_4_what_a_grant_holds_of_a_lot_outlives_its_end_and_the_rest_lapses() {
    let mut world = World::new(PLAIN);
    world.top_up(1, 1_000);
    world.adjust(2, credit(&world, Some(2)), 100).unwrap();
    let grant = world.grant(1, 60);
    world.wait(3);
    assert_eq!(promotion(&world), (60, 60));
    let after = world.grant(2, 60);
    assert_eq!((wallet(&world), promotion(&world)), ((1_000, 60), (60, 60)));
    world.settle(grant, 25);
    world.end(grant);
    world.end(after);
    world.wait(1);
    assert_eq!((wallet(&world), promotion(&world)), ((1_000, 0), (0, 0)));
    assert_eq!(world.balance(LedgerAccount::Promotions).posted, -25);
}

#[test]
fn l_3_promotional_credit_is_never_paid_out_and_l_5_no_more_comes_back_than_was_booked() {
    let mut world = World::new(PLAIN);
    let paid = world.top_up(1, 1_000);
    let given = world.adjust(2, credit(&world, None), 500).unwrap();
    let refund = |entry| AdjustmentKind::Refund { entry };
    let down = |entry| AdjustmentKind::CorrectDown { entry };
    let up = |entry| AdjustmentKind::CorrectUp { entry };
    assert_eq!(
        refusal(world.adjust(3, refund(given), 1)),
        Reject::NEVER_PAID_OUT
    );
    assert_eq!(
        refusal(world.adjust(3, refund(99), 1)),
        Reject::ENTRY_UNKNOWN
    );
    assert_eq!(
        refusal(world.adjust(3, refund(paid), 1_001)),
        Reject::MORE_THAN_IS_LEFT
    );
    let first = world.adjust(3, refund(paid), 400).unwrap();
    assert_eq!(wallet(&world).0, 600);
    // L-6
    assert_eq!(world.adjust(3, refund(paid), 400).unwrap(), first);
    assert_eq!(
        refusal(world.adjust(3, refund(paid), 401)),
        Reject::REQUEST_ID_REUSED
    );
    assert_eq!(
        refusal(world.adjust(1, refund(paid), 400)),
        Reject::REQUEST_ID_REUSED
    );
    // A correction is corrected by naming what it corrected.
    assert_eq!(
        refusal(world.adjust(4, down(first), 1)),
        Reject::ENTRY_UNKNOWN
    );
    assert_eq!(
        refusal(world.adjust(4, down(paid), 601)),
        Reject::MORE_THAN_IS_LEFT
    );
    world.adjust(4, up(paid), 100).unwrap();
    let grant = world.grant(1, 1_100);
    assert_eq!(
        (wallet(&world), promotion(&world)),
        ((700, 600), (500, 500))
    );
    assert_eq!(
        refusal(world.adjust(5, down(paid), 101)),
        Reject::CREDIT_INSUFFICIENT
    );
    assert_eq!(
        refusal(world.adjust(5, down(given), 1)),
        Reject::MORE_THAN_IS_LEFT
    );
    world.end(grant);
    world.adjust(5, down(paid), 700).unwrap();
    world.adjust(6, down(given), 500).unwrap();
    assert_eq!((wallet(&world), promotion(&world)), ((0, 0), (0, 0)));
    assert_eq!(
        refusal(world.adjust(7, up(paid), 0)),
        Reject::FIELD_OUT_OF_BOUNDS
    );
    world.adjust(7, up(given), 9).unwrap();
    assert_eq!(promotion(&world), (9, 0));
}

#[test]
fn what_cannot_be_given_is_refused() {
    let mut world = World::new(PLAIN);
    let ended = AdjustmentKind::Credit {
        expires: Some(world.now),
    };
    assert_eq!(refusal(world.adjust(1, ended, 1)), Reject::RECORD_EXPIRED);
    let never = credit(&world, None);
    assert_eq!(
        refusal(world.adjust(1, never, (1 << 62) + 1)),
        Reject::AMOUNT_TOO_LARGE
    );
    for request in 0..LOTS_PER_ACCOUNT_MAX as u8 {
        world.adjust(request, never, 1).unwrap();
    }
    assert_eq!(refusal(world.adjust(100, never, 1)), Reject::TOO_MANY);
}

/// Receipts of some grants: the most of each, and its cumulative amounts.
fn grants() -> impl Strategy<Value = Vec<(u64, Vec<u64>)>> {
    let grant = (
        1..5_000_u64,
        proptest::collection::btree_set(0..5_000_u64, 1..5),
    );
    let grant = grant.prop_map(|(most, amounts)| {
        let within = amounts.into_iter().map(|amount| amount.min(most));
        (most, within.collect())
    });
    proptest::collection::vec(grant, 1..4)
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(64))]

    #[test]
    fn l_2_order_and_batching_of_receipts_change_nothing(
        lots in proptest::collection::vec((1..3_000_u64, proptest::option::of(2..40_u64)), 0..4),
        grants in grants(),
        order in proptest::collection::vec(any::<prop::sample::Index>(), 20),
        rate_bp in 0..3_000_u16,
        exclusive: bool,
    ) {
        let mode = if exclusive { TaxMode::Exclusive } else { TaxMode::Inclusive };
        let mut world = World::new(Terms1 { tax: Tax { rate_bp, mode }, commission_bp: 700 });
        world.top_up(200, 100_000);
        for (request, (amount, days)) in lots.iter().enumerate() {
            let kind = credit(&world, *days);
            world.adjust(request as u8, kind, *amount).unwrap();
        }
        let given: i128 = lots.iter().map(|(amount, _)| i128::from(*amount)).sum();
        for (number, (most, _)) in grants.iter().enumerate() {
            world.grant(number as u8, *most);
        }
        // L-1: as much is held of lots as there is, by whoever asks first.
        let holds: i128 = (0..grants.len()).map(|number| {
            let terms = crate::ledger::terms::get(&world.tables, &madang_protocol::ids::GrantId([number as u8; 16]));
            i128::from(terms.unwrap().unwrap().hold.micros())
        }).sum();
        prop_assert_eq!(promotion(&world), (given, given.min(holds)));
        let id = |number: usize| madang_protocol::ids::GrantId([number as u8; 16]);

        // One after another, in any order of the grants.
        let mut stepwise = world.clone();
        let mut left: Vec<Vec<u64>> = grants.iter().map(|(_, amounts)| amounts.iter().rev().copied().collect()).collect();
        for pick in order {
            let at = pick.index(left.len());
            if let Some(amount) = left[at].pop() {
                stepwise.settle(id(at), amount);
            }
        }
        for (at, rest) in left.iter().enumerate() {
            for amount in rest.iter().rev() {
                stepwise.settle(id(at), *amount);
            }
        }
        // Only the last of each, the last grant first.
        let mut at_once = world.clone();
        for (at, (_, amounts)) in grants.iter().enumerate().rev() {
            at_once.settle(id(at), *amounts.last().unwrap());
        }
        for account in [
            LedgerAccount::Wallet(BUYER), LedgerAccount::Promotion(BUYER), LedgerAccount::Commission, LedgerAccount::Tax,
            LedgerAccount::Earnings(crate::ledger::testing::SELLER),
        ] {
            prop_assert_eq!(stepwise.balance(account), at_once.balance(account));
        }
        prop_assert_eq!(list(&stepwise.tables, &BUYER, Currency::KRW).unwrap(), list(&at_once.tables, &BUYER, Currency::KRW).unwrap());

        // All of it taken back, in parts: as if nothing had been bought.
        for (at, (_, amounts)) in grants.iter().enumerate() {
            stepwise.end(id(at));
            let all = *amounts.last().unwrap();
            let first = all / 3;
            for (request, part) in [(50, first), (100, all - first)] {
                if part > 0 {
                    let kind = AdjustmentKind::RefundLine { grant: id(at), entry: 0 };
                    stepwise.adjust(request + at as u8, kind, part).unwrap();
                }
            }
            let progress = progress::get(&stepwise.tables, &id(at)).unwrap();
            prop_assert_eq!(progress.refunded, micros(all));
        }
        prop_assert_eq!(wallet(&stepwise), (100_000, 0));
        prop_assert_eq!(promotion(&stepwise), (given, 0));
        // In the end everything lapses that has an end.
        stepwise.wait(60);
        let lasting: i128 = lots.iter().filter(|(_, days)| days.is_none()).map(|(amount, _)| i128::from(*amount)).sum();
        prop_assert_eq!(promotion(&stepwise), (lasting, 0));
        prop_assert_eq!(stepwise.balance(LedgerAccount::Promotions).posted, -lasting);
    }
}
