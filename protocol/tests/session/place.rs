//! Buyers that leave grants behind: the next one finds its place, and nothing is won by being pushed out of it.

use madang_protocol::{
    amount::Amount,
    ids::GrantId,
    record::{
        receipt::{Counters, Receipt},
        tariff::Tariff,
    },
    reject::{Reject, Score},
    rules::rating::rate,
    sealed::Sealed,
    session::{
        exposure::{Exposure, Policy},
        frame::{BuyerFrame, ResponseId, Signed},
        seller::{Remembered, Seller, TABS_MAX},
    },
};
use proptest::prelude::*;

use super::{
    buyers::{account, octets, opening},
    honest::{strict, want},
    issuer::{
        Clock, GrantFor, NETWORK, START, grant, key, passport, public, rule, seller, tariff, trust,
    },
    world::World,
};

const DEVICE: u8 = 10;
/// What a session keeps of grants beside those in their places.
const RESTING: u8 = 16;
const PLACES: u8 = TABS_MAX as u8;

/// One session, and a buyer that presents what it likes.
struct Stage {
    list: Sealed<Tariff>,
    exposure: Exposure,
    clock: Clock,
    seller: Seller,
}

impl Stage {
    fn new(list: Sealed<Tariff>) -> Self {
        let clock = Clock::new();
        let mut exposure = Exposure::new(strict(10_000_000, 80_000_000));
        let mut seller = seller(DEVICE, account(9), &list);
        let passport = passport(DEVICE, account(9), "buyer");
        seller
            .handle_hello(&passport, &[], None, &mut exposure, clock.now)
            .unwrap();
        Self {
            list,
            exposure,
            clock,
            seller,
        }
    }

    fn grant(&self, id: u8) -> GrantFor {
        GrantFor {
            id,
            device: DEVICE,
            account: account(9),
            amount_max: 1 << 40,
            predecessor: None,
            now: START,
        }
    }

    /// Presents a grant of which the journal says nothing: it may lag behind.
    fn present(&mut self, id: u8) -> Result<(), Reject> {
        let granted = grant(&self.list, self.grant(id));
        let nothing = Remembered::default();
        let debt = self.exposure.debt(&account(9));
        let outcome =
            self.seller
                .handle_grant(granted, nothing, &mut self.exposure, self.clock.now);
        assert_eq!(self.exposure.debt(&account(9)), debt);
        assert_eq!(self.exposure.total(), debt.owed());
        outcome
    }

    fn receipt(&self, id: u8, sequence: u64, counters: Counters) -> Sealed<Receipt> {
        let counters = vec![counters];
        let receipt = Receipt {
            buyer: public(DEVICE),
            grant: GrantId([id; 16]),
            tariff: self.list.tariff_hash(),
            sequence,
            amount: rate(&self.list, &[], &counters).unwrap(),
            counters,
            time: START,
            is_final: false,
        };
        Sealed::sign(receipt, NETWORK, &key(DEVICE)).unwrap()
    }

    fn hand_in(&mut self, id: u8, sequence: u64, counters: Counters) -> Result<(), Reject> {
        let receipt = self.receipt(id, sequence, counters).into_unverified();
        let response = None;
        self.seller.handle_frame(
            BuyerFrame::Receipt(Box::new(Signed { receipt, response })),
            &trust(),
            &mut self.exposure,
            |_| Remembered::default(),
            self.clock.now,
        )
    }

    /// Opens a response under the grant in use; how many octets of it go.
    fn open(&mut self, wanted: u64) -> (ResponseId, u64) {
        let opened = self
            .seller
            .open_response(&mut self.exposure, &opening(), self.clock.now);
        let response = opened.unwrap().response;
        let taken = self
            .seller
            .take(&mut self.exposure, response, wanted, self.clock.now);
        (response, taken.unwrap())
    }

    fn close(&mut self, response: ResponseId) {
        self.seller
            .close_response(&mut self.exposure, response, self.clock.now);
    }
}

#[test]
fn a_grant_under_which_something_is_open_or_owed_is_never_pushed_out() {
    let mut stage = Stage::new(tariff(vec![rule(0, 1 << 20, 0)], 1));
    stage.present(1).unwrap();
    let (open, taken) = stage.open(1_000);
    assert_eq!(taken, 1_000);
    stage.present(2).unwrap();
    let (owed, _) = stage.open(500);
    stage.close(owed);
    for id in 3..12 {
        stage.present(id).unwrap();
    }
    // Both are where they were.
    let more = stage
        .seller
        .take(&mut stage.exposure, open, 1_000, stage.clock.now);
    assert_eq!(more, Ok(1_000));
    stage.hand_in(1, 1, octets(2_000)).unwrap();
    stage.hand_in(2, 1, octets(500)).unwrap();
    assert!(stage.exposure.debt(&account(9)).owed().is_zero());
}

#[test]
fn where_something_is_open_under_each_the_next_one_is_told_to_come_back() {
    let mut stage = Stage::new(tariff(vec![rule(0, 1 << 20, 0)], 1));
    let mut open = Vec::new();
    for id in 1..=PLACES {
        stage.present(id).unwrap();
        open.push(stage.open(1_000).0);
    }
    assert_eq!(stage.present(50), Err(Reject::BUSY));
    stage.close(open[1]);
    assert_eq!(stage.present(50), Err(Reject::BUSY), "a receipt may come");
    stage.hand_in(2, 1, octets(1_000)).unwrap();
    assert_eq!(stage.present(50), Ok(()));
}

#[test]
fn what_was_served_is_not_served_again_for_the_same_price_by_being_pushed_out() {
    let mut stage = Stage::new(tariff(vec![rule(500_000, 0, 0)], 1));
    let three = Counters {
        requests: 3,
        ..Counters::default()
    };
    stage.present(1).unwrap();
    stage.hand_in(1, 1, three).unwrap();
    let mut bodies = 0;
    for round in 0..6 {
        for id in 2..8 {
            stage.present(id).unwrap();
        }
        stage.present(1).unwrap();
        for _ in 0..if round < 2 { 1 } else { 4 } {
            let (response, taken) = stage.open(1);
            bodies += taken;
            stage.close(response);
        }
    }
    assert_eq!(bodies, 3);
}

#[test]
fn a_receipt_of_a_grant_that_made_way_counts_and_an_old_one_is_no_fault() {
    let mut stage = Stage::new(tariff(vec![rule(0, 1 << 20, 0)], 1));
    stage.present(1).unwrap();
    let (response, taken) = stage.open(5_000);
    stage.hand_in(1, 1, octets(2_000)).unwrap();
    stage.close(response);
    // The buyer comes again, and does not know its grant any more: the rest is lost, for now.
    let passport = passport(DEVICE, account(9), "buyer");
    let now = stage.clock.now;
    stage
        .seller
        .handle_hello(&passport, &[], None, &mut stage.exposure, now)
        .unwrap();
    let lost = stage.exposure.debt(&account(9)).lost;
    assert!(!lost.is_zero());
    for id in 2..8 {
        stage.present(id).unwrap();
    }
    assert_eq!(stage.hand_in(1, 1, octets(2_000)), Ok(()));
    assert_eq!(stage.exposure.debt(&account(9)).lost, lost);
    assert_eq!(stage.hand_in(1, 2, octets(taken)), Ok(()));
    assert!(stage.exposure.debt(&account(9)).owed().is_zero());
}

#[test]
fn no_grant_is_left_to_the_journal_before_the_journal_has_it() {
    let mut stage = Stage::new(tariff(vec![rule(0, 1 << 20, 0)], 1));
    for id in 1..=PLACES + RESTING {
        stage.present(id).unwrap();
    }
    assert_eq!(stage.present(100), Err(Reject::BUSY));
    stage.clock.pass(10_000);
    assert_eq!(stage.present(100), Ok(()));
    // The first is known from the journal only: nobody is sent away for it.
    let refused = stage.hand_in(1, 1, octets(1)).unwrap_err();
    assert_eq!(refused, Reject::GRANT_UNKNOWN);
    assert_ne!(refused.score(), Score::Ban);
}

#[test]
fn who_presents_a_successor_alone_uses_it() {
    let mut stage = Stage::new(tariff(vec![rule(500_000, 0, 0)], 1));
    let one = Counters {
        requests: 1,
        ..Counters::default()
    };
    stage.present(1).unwrap();
    let follows = GrantFor {
        predecessor: Some(GrantId([1; 16])),
        ..stage.grant(2)
    };
    let next = grant(&stage.list, follows);
    for is_anew in [false, true] {
        let now = stage.clock.now;
        if is_anew {
            let passport = passport(DEVICE, account(9), "buyer");
            stage
                .seller
                .handle_hello(&passport, &[], None, &mut stage.exposure, now)
                .unwrap();
        }
        let nothing = Remembered::default();
        stage
            .seller
            .handle_grant(next.clone(), nothing, &mut stage.exposure, now)
            .unwrap();
        let (response, _) = stage.open(1);
        // Paid under the second: only the one that is served under it goes.
        stage.hand_in(2, 1, one).unwrap();
        let taken = stage
            .seller
            .take(&mut stage.exposure, response, 1, stage.clock.now);
        assert_eq!(taken, Ok(u64::from(is_anew)));
        stage.close(response);
    }
}

proptest! {
    #![proptest_config(ProptestConfig { max_shrink_iters: 400, ..ProptestConfig::with_cases(64) })]

    #[test]
    fn a_buyer_that_dies_under_each_of_its_grants_buys_all_the_same(
        deaths in proptest::collection::vec(0..4_usize, TABS_MAX + 1..10),
        prices in prop_oneof![Just((1_000, 0)), Just((0, 1 << 20)), Just((1_000, 1 << 20))],
        grant_max in prop_oneof![Just(1_u64 << 40), 300_000..600_000_u64],
        sizes in proptest::collection::vec(1..400_000_u64, 1..4),
    ) {
        let list = tariff(vec![rule(prices.0, prices.1, 0)], 1);
        // What was on its way at a death is nobody's to sign for: only forgiving makes up for it.
        let policy = Policy { forgiven_per_day: Amount::from_micros(100 * 86_400_000), ..strict(50_000, 50_000) };
        let wants = sizes.iter().map(|octets| want(0, *octets, true)).collect();
        let mut world = World::new(list, policy, wants, grant_max, 1 << 40);
        for rounds in deaths {
            // At least as far as to have its grant accepted.
            if world.run_fair(1 + rounds, 20_000, 1_000) {
                break;
            }
            world.leave_grants_behind();
        }
        prop_assert!(world.run_fair(2_000, 20_000, 1_000), "{}", world.describe());
    }
}
