//! Grants that no session knows any more are ended: whatever either journal has lost and whoever cheats, nobody gives up or gains more than was signed.

use std::collections::BTreeMap;

use madang_protocol::{
    amount::Amount,
    ids::GrantId,
    record::{
        grant::Grant,
        receipt::{Counters, Receipt},
        tariff::Tariff,
    },
    reject::{Reject, Score},
    rules::{rating::rate, receipt::trimmed},
    sealed::Sealed,
    session::{
        buyer::{LastWord, last_word},
        exposure::Exposure,
        frame::Ending,
        seller::{EndedGrant, Remembered, Seller, SellerEvent},
    },
};
use proptest::prelude::*;

use super::{
    buyers::{account, octets, plunder},
    honest::strict,
    issuer::{
        Clock, GrantFor, NETWORK, START, grant, key, passport, public, rule, seller, tariff, trust,
    },
};

const DEVICE: u8 = 10;
const MIB: u64 = 1 << 20;

/// A seller's session, what its journal says, and the price list of before.
struct Stage {
    list: Sealed<Tariff>,
    exposure: Exposure,
    clock: Clock,
    seller: Seller,
    sold: BTreeMap<GrantId, Remembered>,
}

impl Stage {
    fn new() -> Self {
        let list = tariff(vec![rule(0, 1 << 20, 0)], 1);
        Self {
            exposure: Exposure::new(strict(10_000_000, 80_000_000)),
            clock: Clock::new(),
            seller: seller(DEVICE, account(9), &tariff(vec![rule(0, 7, 0)], 2)),
            sold: BTreeMap::new(),
            list,
        }
    }

    /// A session in which `id` is in use, at the prices of before.
    fn in_use(id: u8) -> Self {
        let mut stage = Self::new();
        stage.seller = seller(DEVICE, account(9), &stage.list);
        let hello = passport(DEVICE, account(9), "buyer");
        let now = stage.clock.now;
        stage
            .seller
            .handle_hello(&hello, &[], None, &mut stage.exposure, now)
            .unwrap();
        let granted = stage.grant(id);
        stage
            .seller
            .handle_grant(granted, Remembered::default(), &mut stage.exposure, now)
            .unwrap();
        stage
    }

    fn grant(&self, id: u8) -> Sealed<Grant> {
        let wanted = GrantFor {
            id,
            device: DEVICE,
            account: account(9),
            amount_max: 1 << 40,
            predecessor: None,
            now: START,
        };
        grant(&self.list, wanted)
    }

    fn receipt(&self, id: u8, sequence: u64, bytes: u64, is_final: bool) -> Sealed<Receipt> {
        let counters = vec![octets(bytes)];
        let receipt = Receipt {
            buyer: public(DEVICE),
            grant: GrantId([id; 16]),
            tariff: self.list.tariff_hash(),
            sequence,
            amount: rate(&self.list, &[], &counters).unwrap(),
            counters: trimmed(&counters).to_vec(),
            time: START,
            is_final,
        };
        Sealed::sign(receipt, NETWORK, &key(DEVICE)).unwrap()
    }

    fn end(
        &mut self,
        grant: Sealed<Grant>,
        receipt: Option<Sealed<Receipt>>,
    ) -> Result<Option<Sealed<Receipt>>, Reject> {
        let ending = Ending {
            grant: grant.to_unverified(),
            tariff: self.list.to_unverified(),
            receipt: receipt.as_ref().map(Sealed::to_unverified),
        };
        let ended = EndedGrant::verify(ending, &trust())?;
        let sold = &self.sold;
        let held = self.seller.handle_ending(
            ended,
            |grant| sold.get(&grant.id).cloned().unwrap_or_default(),
            &mut self.exposure,
            self.clock.now,
        );
        for event in std::iter::from_fn(|| self.seller.poll_event()) {
            if let SellerEvent::Honoured(receipt) = event {
                let sold = self.sold.entry(receipt.grant).or_default();
                sold.receipt = Some(receipt);
            }
        }
        held
    }

    fn best(&self, id: u8) -> Amount {
        let sold = self.sold.get(&GrantId([id; 16]));
        sold.and_then(|sold| sold.receipt.as_ref())
            .map_or(Amount::ZERO, |receipt| receipt.amount)
    }
}

#[test]
fn a_grant_that_was_never_presented_ends_under_prices_that_hold_no_more() {
    let mut stage = Stage::new();
    let granted = stage.grant(1);
    assert_eq!(stage.end(granted.clone(), None), Ok(None));
    let last = stage.receipt(1, 1, 0, true);
    for _ in 0..2 {
        let held = stage.end(granted.clone(), Some(last.clone()));
        assert_eq!(held, Ok(Some(last.clone())));
    }
    assert_eq!(stage.best(1), Amount::ZERO);
}

#[test]
fn what_ends_is_of_this_pair_and_this_price_list_and_can_still_be_settled() {
    let mut stage = Stage::new();
    let of_another = |wanted: GrantFor| grant(&stage.list, wanted);
    let own = GrantFor {
        id: 1,
        device: DEVICE,
        account: account(9),
        amount_max: 1 << 40,
        predecessor: None,
        now: START,
    };
    let foreign = [
        of_another(GrantFor { device: 11, ..own }),
        of_another(GrantFor {
            account: account(8),
            ..own
        }),
        grant(&tariff(vec![rule(0, 9, 0)], 3), own),
    ];
    for granted in foreign {
        assert_eq!(stage.end(granted, None), Err(Reject::GRANT_NOT_FOR_US));
    }
    let receipt = stage.receipt(2, 1, MIB, false);
    let granted = stage.grant(1);
    assert_eq!(
        stage.end(granted.clone(), Some(receipt)),
        Err(Reject::GRANT_NOT_FOR_US)
    );
    let long_ago = GrantFor {
        now: madang_protocol::time::UnixMillis(
            START.0 - madang_protocol::limits::GRANT_SETTLE_WITHIN.as_millis() as u64,
        ),
        ..own
    };
    let granted = grant(&stage.list, long_ago);
    assert_eq!(stage.end(granted, None), Err(Reject::GRANT_EXPIRED));
    assert_eq!(stage.exposure.total(), Default::default());
}

#[test]
fn ending_another_grant_takes_no_place_and_gives_no_room() {
    let mut stage = Stage::in_use(1);
    let taken = plunder(&mut stage.seller, &mut stage.exposure, &stage.clock);
    assert!(taken > 0);
    let owed = stage.exposure.debt(&account(9)).owed();
    for id in 2..40 {
        let last = stage.receipt(id, 1, 0, true);
        let granted = stage.grant(id);
        stage.end(granted, Some(last)).unwrap();
    }
    assert_eq!(stage.exposure.debt(&account(9)).owed(), owed);
    assert_eq!(
        plunder(&mut stage.seller, &mut stage.exposure, &stage.clock),
        0
    );
    // The grant in use is where it was.
    let last = stage.receipt(1, 1, taken, true);
    let granted = stage.grant(1);
    stage.end(granted, Some(last)).unwrap();
    assert!(stage.exposure.debt(&account(9)).owed().is_zero());
}

#[test]
fn nothing_follows_what_is_final_and_a_fork_is_answered_with_what_stands() {
    let mut stage = Stage::in_use(1);
    let granted = stage.grant(1);
    let last = stage.receipt(1, 2, MIB, true);
    stage.end(granted.clone(), Some(last.clone())).unwrap();
    for other in [
        stage.receipt(1, 2, 0, true),
        stage.receipt(1, 1, 0, false),
        stage.receipt(1, 3, 2 * MIB, false),
        stage.receipt(1, 9, 0, true),
    ] {
        let held = stage.end(granted.clone(), Some(other));
        assert_eq!(held, Ok(Some(last.clone())));
    }
    assert_eq!(stage.best(1), last.amount);
}

#[test]
fn a_receipt_that_falls_is_refused_and_its_buyer_is_not_sent_away() {
    let mut stage = Stage::new();
    let granted = stage.grant(1);
    let first = stage.receipt(1, 1, MIB, false);
    stage.end(granted.clone(), Some(first)).unwrap();
    let lower = stage.receipt(1, 2, 1, true);
    let refused = stage.end(granted, Some(lower)).unwrap_err();
    assert_eq!(refused, Reject::RECEIPT_FALLS);
    assert_ne!(refused.score(), Score::Ban);
    assert_eq!(stage.best(1), Amount::from_micros(1 << 20));
}

#[test]
fn a_seller_that_shows_what_was_never_signed_gets_no_last_word() {
    let stage = Stage::new();
    let granted = stage.grant(1);
    let own = stage.receipt(1, 3, MIB, false);
    let word = |held: Option<&Receipt>| last_word(&granted, &stage.list, Some(&*own), held, START);
    assert_eq!(word(None), Err(Reject::RECEIPT_SEQUENCE));
    let older = stage.receipt(1, 2, 1, false);
    assert_eq!(word(Some(&*older)), Err(Reject::RECEIPT_SEQUENCE));
    let foreign = stage.receipt(2, 9, 1, false);
    assert_eq!(word(Some(&*foreign)), Err(Reject::GRANT_NOT_FOR_US));
    let mut dearer = own.clone().into_value();
    dearer.amount = Amount::from_micros(1 << 30);
    assert_eq!(word(Some(&dearer)), Err(Reject::RECEIPT_MISRATED));
}

/// What may befall a grant that is being ended.
#[derive(Debug, Clone, Copy)]
enum Mishap {
    None,
    /// The seller does not hear what is said.
    Unheard,
    /// The buyer does not hear the answer.
    Unanswered,
    /// The buyer's process dies, and its disk has not had its newest receipt.
    BuyerForgets,
    /// The same of the seller.
    SellerForgets,
}

proptest! {
    #![proptest_config(ProptestConfig { max_shrink_iters: 400, ..ProptestConfig::with_cases(256) })]

    #[test]
    fn both_end_with_one_last_word_and_nobody_pays_what_was_not_signed(
        signed in proptest::collection::vec(0..3 * MIB, 0..5),
        heard in 0..5_usize,
        is_in_session in any::<bool>(),
        mishaps in proptest::collection::vec(prop_oneof![
            Just(Mishap::None), Just(Mishap::Unheard), Just(Mishap::Unanswered),
            Just(Mishap::BuyerForgets), Just(Mishap::SellerForgets),
        ], 0..8),
    ) {
        let mut stage = if is_in_session { Stage::in_use(1) } else { Stage::new() };
        let granted = stage.grant(1);
        // What was signed in the session before, of which the seller has heard some.
        let mut bytes = 0;
        let mut journal: Vec<Sealed<Receipt>> = Vec::new();
        for (at, more) in signed.iter().enumerate() {
            bytes += more;
            journal.push(stage.receipt(1, at as u64 + 1, bytes, false));
        }
        for receipt in journal.iter().take(heard) {
            stage.end(granted.clone(), Some(receipt.clone())).unwrap();
        }
        let most = journal.last().map_or(Amount::ZERO, |last| last.amount);
        let mut least = stage.best(1);
        let calm = [Mishap::None; 6];
        let mut is_over = false;
        for mishap in mishaps.into_iter().chain(calm) {
            let before = stage.sold.clone();
            match mishap {
                Mishap::BuyerForgets => { journal.pop(); }
                Mishap::SellerForgets if !is_in_session => {
                    stage.sold.clear();
                    least = Amount::ZERO;
                }
                Mishap::SellerForgets | Mishap::None | Mishap::Unheard | Mishap::Unanswered => {}
            }
            if matches!(mishap, Mishap::Unheard) {
                continue;
            }
            let own = journal.last().cloned();
            let held = match stage.end(granted.clone(), own.clone()) {
                Ok(held) => held,
                // A fork of a journal that has lost something: the buyer ends it without the seller, which keeps what it has.
                Err(Reject::RECEIPT_FALLS) => break,
                Err(other) => return Err(TestCaseError::fail(format!("{other:?}"))),
            };
            prop_assert!(stage.best(1) >= least, "the seller keeps what it was shown, before {before:?}");
            least = stage.best(1);
            if matches!(mishap, Mishap::Unanswered) {
                continue;
            }
            let word = last_word(&granted, &stage.list, own.as_deref(), held.as_deref(), START);
            if let Some(held) = held.filter(|held| held.sequence > own.map_or(0, |own| own.sequence)) {
                journal.push(held);
            }
            match word.unwrap() {
                LastWord::Held => is_over = true,
                LastWord::Sign(last) => {
                    prop_assert!(last.is_final);
                    journal.push(Sealed::sign(last, NETWORK, &key(DEVICE)).unwrap());
                }
            }
        }
        prop_assert!(is_over, "{journal:?}");
        let held = stage.end(granted, None).unwrap();
        prop_assert!(held.is_some_and(|held| held.is_final && held.amount <= most));
        prop_assert!(journal.iter().all(|own| own.amount <= most));
        prop_assert!(stage.exposure.total().is_zero());
    }
}

#[test]
fn a_final_receipt_counts_nothing_that_was_not_counted() {
    let stage = Stage::new();
    let granted = stage.grant(1);
    let held = stage.receipt(1, 4, MIB, false);
    let word = last_word(&granted, &stage.list, Some(&*held), Some(&*held), START).unwrap();
    let LastWord::Sign(last) = word else {
        panic!("{word:?}");
    };
    let counted: &[Counters] = &held.counters;
    assert_eq!((&last.counters[..], last.amount), (counted, held.amount));
    assert_eq!((last.sequence, last.is_final), (5, true));
}
