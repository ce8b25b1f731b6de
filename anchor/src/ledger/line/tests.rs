//! L-7 to L-11: what is payable, and what is taken back.

use madang_protocol::{
    amount::Currency,
    record::network::{Tax, TaxMode},
};
use proptest::prelude::*;

use super::*;
use crate::ledger::{
    books::EntryKind,
    dispute::{self, Ruling, Statement},
    entry::payable,
    testing::{BUYER, SELLER, Terms1, World, micros as amount, refusal},
};

fn said(world: &World, text: &str) -> Statement {
    Statement {
        text: text.into(),
        time: world.now,
    }
}

fn open(world: &mut World, grant: GrantId, claimed: u64) -> Result<bool, Fault> {
    let event = dispute::decide_open(
        &world.tables,
        &BUYER,
        grant,
        amount(claimed),
        said(world, "it was empty"),
    )?;
    if let Some(event) = &event {
        world.apply(event);
    }
    Ok(event.is_some())
}

fn rule(world: &mut World, grant: GrantId, ruling: Ruling) -> Result<bool, Fault> {
    let event = dispute::decide_ruling(&world.tables, grant, ruling, said(world, "so be it"))?;
    if let Some(event) = &event {
        world.apply(event);
    }
    Ok(event.is_some())
}

fn earnings(world: &World) -> (i128, i128, u64) {
    let earnings = world.balance(LedgerAccount::Earnings(SELLER));
    let payable = payable(&world.tables, SELLER, Currency::KRW).unwrap();
    (earnings.posted, earnings.held, payable.micros())
}

const TEN_PERCENT: Terms1 = Terms1 {
    tax: Tax::NONE,
    commission_bp: 1_000,
};

#[test]
fn l_8_earnings_are_payable_when_nothing_can_be_contested_any_more() {
    let mut world = World::new(TEN_PERCENT);
    world.top_up(1, 10_000);
    let early = world.grant(1, 1_000);
    world.settle(early, 1_000);
    world.end(early);
    world.wait(5);
    let late = world.grant(2, 500);
    world.settle(late, 500);
    world.end(late);
    assert_eq!(earnings(&world), (1_350, 1_350, 0));
    world.wait(9);
    // Fourteen days, to the last of them.
    assert!(open(&mut world, early, 1_000).unwrap());
    world.wait(2);
    assert_eq!(earnings(&world), (1_350, 1_350, 0));
    world.wait(4);
    assert_eq!(earnings(&world), (1_350, 900, 450));
    assert_eq!(refusal(open(&mut world, late, 1)), Reject::DISPUTE_TOO_LATE);
    assert!(rule(&mut world, early, Ruling::Rejected).unwrap());
    world.wait(2);
    assert_eq!(earnings(&world), (1_350, 0, 1_350));
}

#[test]
fn l_9_what_was_paid_out_and_taken_back_is_owed_and_earned_again_first() {
    let mut world = World::new(TEN_PERCENT);
    world.top_up(1, 10_000);
    let grant = world.grant(1, 1_000);
    world.settle(grant, 1_000);
    world.end(grant);
    world.wait(30);
    assert_eq!(earnings(&world), (900, 0, 900));
    // Paid out: as a payout will book it.
    let mut posting = Posting::new(Currency::KRW);
    posting
        .credit(LedgerAccount::Earnings(SELLER), -900)
        .unwrap();
    posting.credit(LedgerAccount::Cash, 900).unwrap();
    let mut moved = Moved::by(1 << 40, EntryKind::Refund, world.now);
    posting.post(&mut world.tables, &mut moved).unwrap();
    moved.write(&mut world.tables).unwrap();
    let kind = crate::ledger::adjustment::AdjustmentKind::RefundLine { grant, entry: 0 };
    world.adjust(9, kind, 600).unwrap();
    assert_eq!(earnings(&world), (-540, 0, 0));
    let next = world.grant(2, 1_000);
    world.settle(next, 700);
    world.end(next);
    assert_eq!(earnings(&world), (90, 630, 0));
    world.wait(30);
    assert_eq!(earnings(&world), (90, 0, 90));
}

#[test]
fn l_10_a_dispute_is_opened_once_and_l_11_decided_once_when_its_grant_is_closed() {
    let mut world = World::new(TEN_PERCENT);
    world.top_up(1, 10_000);
    let grant = world.grant(1, 1_000);
    assert_eq!(
        refusal(open(&mut world, grant, 1)),
        Reject::MORE_THAN_IS_LEFT
    );
    world.settle(grant, 800);
    assert_eq!(
        refusal(open(&mut world, grant, 801)),
        Reject::MORE_THAN_IS_LEFT
    );
    assert_eq!(
        refusal(open(&mut world, grant, 0)),
        Reject::FIELD_OUT_OF_BOUNDS
    );
    assert_eq!(
        refusal(rule(&mut world, grant, Ruling::Rejected)),
        Reject::DISPUTE_UNKNOWN
    );
    let said_by = |world: &World, by| {
        let seller = said(world, "it was not");
        dispute::decide_answer(&world.tables, &by, grant, seller)
    };
    assert_eq!(refusal(said_by(&world, SELLER)), Reject::DISPUTE_UNKNOWN);
    assert!(open(&mut world, grant, 500).unwrap());
    assert!(!open(&mut world, grant, 500).unwrap());
    assert_eq!(
        refusal(open(&mut world, grant, 501)),
        Reject::DISPUTE_DIFFERS
    );
    assert_eq!(refusal(said_by(&world, BUYER)), Reject::NOT_THE_SELLER);
    let answer = said_by(&world, SELLER).unwrap().unwrap();
    world.apply(&answer);
    assert_eq!(said_by(&world, SELLER).unwrap(), None);
    let uphold = |claimed| Ruling::Upheld(amount(claimed));
    assert_eq!(
        refusal(rule(&mut world, grant, uphold(400))),
        Reject::GRANT_NOT_CLOSED
    );
    assert_eq!(
        refusal(rule(&mut world, grant, Ruling::Rejected)),
        Reject::GRANT_NOT_CLOSED
    );
    world.settle(grant, 1_000);
    world.end(grant);
    assert_eq!(
        refusal(rule(&mut world, grant, uphold(501))),
        Reject::MORE_THAN_IS_LEFT
    );
    assert!(rule(&mut world, grant, uphold(400)).unwrap());
    assert!(!rule(&mut world, grant, uphold(400)).unwrap());
    assert_eq!(
        refusal(rule(&mut world, grant, uphold(500))),
        Reject::DISPUTE_DECIDED
    );
    assert_eq!(
        refusal(open(&mut world, grant, 100)),
        Reject::DISPUTE_DECIDED
    );
    assert_eq!(earnings(&world), (540, 540, 0));
    assert_eq!(world.balance(LedgerAccount::Wallet(BUYER)).posted, 9_400);
    assert_eq!(world.balance(LedgerAccount::Commission).posted, 60);
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(64))]

    #[test]
    fn l_7_parts_of_any_size_come_to_what_would_have_been_settled_without_them(
        settled in 1..1_u64 << 40,
        parts in proptest::collection::vec(1..1_u64 << 38, 0..5),
        rate_bp in 0..10_000_u16,
        commission_bp in 0..10_000_u16,
        exclusive: bool,
        payable_before: bool,
    ) {
        let mode = if exclusive { TaxMode::Exclusive } else { TaxMode::Inclusive };
        let rates = Terms1 { tax: Tax { rate_bp, mode }, commission_bp };
        let mut world = World::new(rates);
        world.top_up(200, 1 << 45);
        let grant = world.grant(1, settled);
        world.settle(grant, settled);
        world.end(grant);
        if payable_before {
            world.wait(30);
        }
        let mut left = settled;
        for (request, part) in parts.iter().enumerate() {
            let kind = crate::ledger::adjustment::AdjustmentKind::RefundLine { grant, entry: 0 };
            let done = world.adjust(request as u8, kind, *part);
            if *part > left {
                prop_assert_eq!(refusal(done), Reject::MORE_THAN_IS_LEFT);
            } else {
                done.unwrap();
                left -= part;
            }
        }
        world.wait(30);
        let as_if = split(amount(left), rates.tax, rates.commission_bp).unwrap();
        let posted = |account| world.balance(account).posted;
        prop_assert_eq!(posted(LedgerAccount::Wallet(BUYER)), (1 << 45) - micros(as_if.debit));
        prop_assert_eq!(posted(LedgerAccount::Commission), micros(as_if.commission));
        prop_assert_eq!(posted(LedgerAccount::Tax), micros(as_if.tax));
        prop_assert_eq!(earnings(&world), (micros(as_if.seller), 0, as_if.seller.micros()));
    }
}
