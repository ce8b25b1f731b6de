//! Buyers that cheat: none of them gets more than one window, and all of them together not more than the cap.

use madang_protocol::{
    amount::Amount,
    ids::AccountId,
    record::{
        receipt::{Counters, Receipt},
        tariff::Tariff,
    },
    reject::Reject,
    rules::rating::{Value, octet_price, rate},
    sealed::Sealed,
    session::{
        exposure::{ACT_FORGIVEN_AFTER, Exposure, Policy},
        seller::{Opening, Remembered, Seller, Terms, window_floor},
    },
};

use super::{
    honest::strict,
    issuer::{
        Clock, GrantFor, NETWORK, grant, key, pass_rule, passport, public, rule, seller, tariff,
    },
};

pub fn account(number: u8) -> AccountId {
    AccountId([number; 16])
}

pub fn opening() -> Opening {
    Opening {
        rule: 0,
        key: None,
        offset: Some(0),
    }
}

/// A session with a fresh grant of `device`.
pub fn admitted(
    device: u8,
    account: AccountId,
    list: &Sealed<Tariff>,
    exposure: &mut Exposure,
    clock: &Clock,
) -> Seller {
    let nothing = Remembered::default();
    admitted_again(device, account, list, nothing, exposure, clock)
}

/// A session with a grant of `device` that the seller's journal knows.
pub fn admitted_again(
    device: u8,
    account: AccountId,
    list: &Sealed<Tariff>,
    remembered: Remembered,
    exposure: &mut Exposure,
    clock: &Clock,
) -> Seller {
    let mut seller = seller(device, account, list);
    seller
        .handle_hello(
            &passport(device, account, "buyer"),
            &[],
            None,
            exposure,
            clock.now,
        )
        .unwrap();
    let wanted = GrantFor {
        id: device,
        device,
        account,
        amount_max: 1 << 40,
        predecessor: None,
        now: clock.now.time,
    };
    seller
        .handle_grant(grant(list, wanted), remembered, exposure, clock.now)
        .unwrap();
    seller
}

/// Takes all that it is given, signing nothing. Gives the octets.
pub fn plunder(seller: &mut Seller, exposure: &mut Exposure, clock: &Clock) -> u64 {
    let Ok(opened) = seller.open_response(exposure, &opening(), clock.now) else {
        return 0;
    };
    let mut taken = 0;
    loop {
        match seller
            .take(exposure, opened.response, 10_000, clock.now)
            .unwrap()
        {
            0 => break,
            octets => taken += octets,
        }
    }
    seller.close_response(exposure, opened.response, clock.now);
    taken
}

pub fn receipt(
    device: u8,
    list: &Sealed<Tariff>,
    sequence: u64,
    counters: Counters,
    is_final: bool,
) -> Sealed<Receipt> {
    let counters = vec![counters];
    let receipt = Receipt {
        buyer: public(device),
        grant: madang_protocol::ids::GrantId([device; 16]),
        tariff: list.tariff_hash(),
        sequence,
        amount: rate(list, &[], &counters).unwrap(),
        counters,
        time: super::issuer::START,
        is_final,
    };
    Sealed::sign(receipt, NETWORK, &key(device)).unwrap()
}

pub fn octets(bytes: u64) -> Counters {
    Counters {
        bytes,
        ..Counters::default()
    }
}

#[test]
fn fifty_sessions_of_one_account_owe_one_window() {
    let list = tariff(vec![rule(0, 2_000_000, 0)], 1);
    let mut exposure = Exposure::new(strict(1_000_000, 8_000_000));
    let clock = Clock::new();
    let mut taken = 0;
    for device in 10..60 {
        let mut seller = admitted(device, account(9), &list, &mut exposure, &clock);
        taken += plunder(&mut seller, &mut exposure, &clock);
        seller.close(&mut exposure, None, clock.now);
        // It comes back at once, by the same device.
        let mut again = admitted(device, account(9), &list, &mut exposure, &clock);
        assert_eq!(plunder(&mut again, &mut exposure, &clock), 0);
        assert_eq!(
            again.open_response(&mut exposure, &opening(), clock.now),
            Err(Reject::EXPOSURE_REACHED)
        );
    }
    let window = exposure.window(&account(9), window_floor(&list));
    let value = octet_price(&list.rules[0]).times(taken);
    assert!(value <= window && !value.is_zero());
    assert_eq!(exposure.debt(&account(9)).owed(), value);
    // A restart of the seller forgets nothing that was written down.
    let row = exposure.poll_journal().unwrap();
    assert_eq!(row.0, account(9));
    let mut restored = Exposure::restore(strict(1_000_000, 8_000_000), [row]);
    assert_eq!(restored.total(), value);
    let mut seller = admitted(60, account(9), &list, &mut restored, &clock);
    assert_eq!(plunder(&mut seller, &mut restored, &clock), 0);
}

#[test]
fn a_thousand_accounts_owe_the_cap() {
    let list = tariff(vec![rule(0, 2_000_000, 0)], 1);
    let policy = Policy {
        cap: Amount::from_micros(10_000_000),
        ..strict(1_000_000, 8_000_000)
    };
    let mut exposure = Exposure::new(policy);
    let clock = Clock::new();
    for number in 10..190 {
        let mut seller = admitted(number, account(number), &list, &mut exposure, &clock);
        plunder(&mut seller, &mut exposure, &clock);
        assert!(exposure.total() <= Value::of(policy.cap));
    }
    assert!(exposure.total() > Value::of(Amount::from_micros(9_999_990)));
    exposure.write_off(&account(10));
    assert!(exposure.total() < Value::of(Amount::from_micros(9_999_990)));
}

#[test]
fn signing_less_keeps_the_rest_owed_and_ranges_never_taken_are_no_second_serving() {
    let list = tariff(vec![rule(0, 1 << 20, 0)], 1);
    let mut exposure = Exposure::new(strict(1_000_000, 1_000_000));
    let clock = Clock::new();
    let mut seller = admitted(10, account(9), &list, &mut exposure, &clock);
    let mut taken = 0;
    for round in 1..=20 {
        // Each time a range further on, and a receipt for one octet in ten.
        let key = Some(madang_protocol::rules::metering::RequestKey([1; 16]));
        let from = 50_000_000 * (20 - round);
        let opening = Opening {
            offset: Some(from),
            key,
            ..opening()
        };
        let Ok(opened) = seller.open_response(&mut exposure, &opening, clock.now) else {
            continue;
        };
        taken += seller
            .take(&mut exposure, opened.response, 100_000_000, clock.now)
            .unwrap();
        seller.close_response(&mut exposure, opened.response, clock.now);
        let signed = receipt(10, &list, round, octets(taken / 10), false);
        seller
            .handle_receipt(signed, None, &mut exposure, clock.now)
            .unwrap();
        let unpaid = octet_price(&list.rules[0]).times(taken - taken / 10);
        assert!(unpaid <= Value::of(Amount::from_micros(1_000_000)));
    }
    assert!(taken > 1_000_000);
}

#[test]
fn forks_replays_and_foreign_receipts_are_refused() {
    let list = tariff(vec![rule(0, 2_000_000, 0)], 1);
    let mut exposure = Exposure::new(strict(1_000_000, 8_000_000));
    let clock = Clock::new();
    let mut seller = admitted(10, account(9), &list, &mut exposure, &clock);
    let taken = plunder(&mut seller, &mut exposure, &clock);
    let first = receipt(10, &list, 1, octets(taken / 2), false);
    let second = receipt(10, &list, 2, octets(taken), false);
    let mut hand_in = |receipt: &Sealed<Receipt>, exposure: &mut Exposure| {
        seller.handle_receipt(receipt.clone(), None, exposure, clock.now)
    };
    assert_eq!(hand_in(&first, &mut exposure), Ok(()));
    assert_eq!(hand_in(&second, &mut exposure), Ok(()));
    let debt = exposure.debt(&account(9));
    assert!(debt.owed().is_zero());
    assert_eq!(hand_in(&second, &mut exposure), Ok(()));
    assert_eq!(
        exposure.debt(&account(9)),
        debt,
        "the same receipt again changes nothing"
    );
    assert_eq!(
        hand_in(&first, &mut exposure),
        Err(Reject::RECEIPT_SEQUENCE)
    );
    assert_eq!(
        hand_in(
            &receipt(10, &list, 2, octets(taken + 1), false),
            &mut exposure
        ),
        Err(Reject::RECEIPT_FORKED)
    );
    assert_eq!(
        hand_in(&receipt(10, &list, 3, octets(1), false), &mut exposure),
        Err(Reject::RECEIPT_FALLS)
    );
    assert_eq!(
        hand_in(&receipt(11, &list, 1, octets(1), false), &mut exposure),
        Err(Reject::GRANT_UNKNOWN)
    );
    assert_eq!(exposure.debt(&account(9)), debt);
}

#[test]
fn uploading_and_never_signing_costs_one_window_over_all_sessions() {
    let list = tariff(vec![rule(0, 2_000_000, 0)], 1);
    let mut exposure = Exposure::new(strict(1_000_000, 8_000_000));
    let clock = Clock::new();
    let mut taken = 0;
    for device in 10..60 {
        let mut seller = admitted(device, account(9), &list, &mut exposure, &clock);
        for is_answered in [true, false] {
            taken += force_upload(&mut seller, &mut exposure, is_answered, &clock);
        }
        seller.close(&mut exposure, None, clock.now);
    }
    let value = octet_price(&list.rules[0]).times(taken);
    let window = exposure.window(&account(9), window_floor(&list));
    assert!(value <= window && !value.is_zero());
    assert_eq!(exposure.debt(&account(9)).owed(), value);
}

/// Uploads all that is taken, signing nothing. Gives the octets.
fn force_upload(
    seller: &mut Seller,
    exposure: &mut Exposure,
    is_answered: bool,
    clock: &Clock,
) -> u64 {
    let Ok(opened) = seller.ask(exposure, 0, false, clock.now) else {
        return 0;
    };
    let mut taken = 0;
    loop {
        match seller
            .take_uploaded(exposure, opened.response, 10_000, clock.now)
            .unwrap()
        {
            0 => break,
            octets => taken += octets,
        }
    }
    if is_answered {
        let terms = seller.answer(exposure, opened.response, None, Some(0), clock.now);
        assert_eq!(terms, Ok(Terms::Metered));
        assert_eq!(seller.take(exposure, opened.response, 1, clock.now), Ok(0));
    }
    seller.close_response(exposure, opened.response, clock.now);
    taken
}

#[test]
fn what_is_signed_before_it_is_taken_is_taken_without_a_window() {
    let list = tariff(vec![rule(0, 1 << 20, 0)], 1);
    let mut exposure = Exposure::new(strict(100_000, 100_000));
    let clock = Clock::new();
    let mut seller = admitted(10, account(9), &list, &mut exposure, &clock);
    let opened = seller.ask(&mut exposure, 0, false, clock.now).unwrap();
    let take = |seller: &mut Seller, exposure: &mut Exposure| {
        seller
            .take_uploaded(exposure, opened.response, 1 << 40, clock.now)
            .unwrap()
    };
    assert_eq!(take(&mut seller, &mut exposure), 100_000);
    let ahead = receipt(10, &list, 1, octets(1_000_000), false);
    seller
        .handle_receipt(ahead, None, &mut exposure, clock.now)
        .unwrap();
    assert!(exposure.debt(&account(9)).owed().is_zero());
    assert_eq!(take(&mut seller, &mut exposure), 900_000 + 100_000);
    assert_eq!(take(&mut seller, &mut exposure), 0);
}

#[test]
fn who_never_pays_has_one_effect_for_nothing_over_all_sessions() {
    let list = tariff(vec![rule(500_000_000, 0, 0)], 1);
    let mut exposure = Exposure::new(strict(1_000_000, 8_000_000));
    let mut clock = Clock::new();
    let mut effects = 0;
    for device in 10..30 {
        let mut seller = admitted(device, account(9), &list, &mut exposure, &clock);
        for _ in 0..3 {
            let asked = seller.ask(&mut exposure, 0, true, clock.now);
            let Ok(opened) = asked else {
                assert_eq!(asked, Err(Reject::RECEIPT_OVERDUE));
                continue;
            };
            effects += 1;
            let terms = seller.answer(&mut exposure, opened.response, None, Some(0), clock.now);
            assert_eq!(terms, Ok(Terms::Due));
            seller.close_response(&mut exposure, opened.response, clock.now);
        }
        seller.close(&mut exposure, None, clock.now);
    }
    assert_eq!(effects, 1);
    // It may be a broken line and no cheat: in time it is forgiven.
    clock.pass(u64::try_from(ACT_FORGIVEN_AFTER.as_millis()).unwrap());
    let mut seller = admitted(30, account(9), &list, &mut exposure, &clock);
    assert!(seller.ask(&mut exposure, 0, true, clock.now).is_ok());
    assert_eq!(
        seller.ask(&mut exposure, 0, true, clock.now),
        Err(Reject::RECEIPT_OVERDUE)
    );
}

#[test]
fn an_effect_is_paid_by_its_receipt_also_when_it_comes_after_the_end() {
    let list = tariff(vec![rule(500_000_000, 0, 0)], 1);
    let mut exposure = Exposure::new(strict(1_000_000, 8_000_000));
    let clock = Clock::new();
    let mut seller = admitted(10, account(9), &list, &mut exposure, &clock);
    for sequence in 1..=3 {
        let opened = seller.ask(&mut exposure, 0, true, clock.now).unwrap();
        let answered = seller.answer(&mut exposure, opened.response, None, Some(0), clock.now);
        assert_eq!(answered, Ok(Terms::Due));
        // An answer without a body ends at once.
        seller.close_response(&mut exposure, opened.response, clock.now);
        let one = Counters {
            requests: sequence,
            ..Counters::default()
        };
        let paid = receipt(10, &list, sequence, one, false);
        seller
            .handle_receipt(paid, Some(opened.response), &mut exposure, clock.now)
            .unwrap();
    }
    // What does not count costs nothing, and keeps nobody waiting.
    let opened = seller.ask(&mut exposure, 0, true, clock.now).unwrap();
    seller.answer_uncounted(&mut exposure, opened.response);
    seller.close_response(&mut exposure, opened.response, clock.now);
    assert!(seller.ask(&mut exposure, 0, true, clock.now).is_ok());
}

#[test]
fn what_acts_is_not_let_through_without_a_grant_a_window_or_something_left() {
    let list = tariff(vec![rule(0, 1 << 20, 0)], 1);
    let mut exposure = Exposure::new(strict(100_000, 100_000));
    let clock = Clock::new();
    let mut stranger = seller(10, account(9), &list);
    assert_eq!(
        stranger.ask(&mut exposure, 0, true, clock.now),
        Err(Reject::FRAME_UNEXPECTED)
    );
    stranger
        .handle_hello(
            &passport(10, account(9), "buyer"),
            &[],
            None,
            &mut exposure,
            clock.now,
        )
        .unwrap();
    assert_eq!(
        stranger.ask(&mut exposure, 0, true, clock.now),
        Err(Reject::PAYMENT_REQUIRED)
    );
    let mut seller = admitted(10, account(9), &list, &mut exposure, &clock);
    let opened = seller.open_response(&mut exposure, &opening(), clock.now);
    let opened = opened.unwrap().response;
    assert_eq!(
        seller.take(&mut exposure, opened, 1 << 40, clock.now),
        Ok(100_000)
    );
    assert_eq!(
        seller.ask(&mut exposure, 0, true, clock.now),
        Err(Reject::RECEIPT_OVERDUE)
    );
    // The whole grant is signed for.
    let all = receipt(10, &list, 1, octets(1 << 40), false);
    seller
        .handle_receipt(all, None, &mut exposure, clock.now)
        .unwrap();
    while seller
        .take(&mut exposure, opened, u64::MAX, clock.now)
        .unwrap()
        > 0
    {}
    assert_eq!(
        seller.ask(&mut exposure, 0, true, clock.now),
        Err(Reject::GRANT_EXHAUSTED)
    );
}

#[test]
fn a_pass_is_bought_once_and_honoured_from_then_on() {
    let list = tariff(vec![pass_rule(1_000_000, 30)], 1);
    let mut exposure = Exposure::new(strict(1_000_000, 8_000_000));
    let mut clock = Clock::new();
    let mut seller = admitted(10, account(9), &list, &mut exposure, &clock);
    assert_eq!(
        seller.open_response(&mut exposure, &opening(), clock.now),
        Err(Reject::PAYMENT_REQUIRED)
    );
    let bought = receipt(
        10,
        &list,
        1,
        Counters {
            passes: 1,
            ..Counters::default()
        },
        false,
    );
    seller
        .handle_receipt(bought, None, &mut exposure, clock.now)
        .unwrap();
    let opened = seller
        .open_response(&mut exposure, &opening(), clock.now)
        .unwrap();
    assert_eq!(opened.terms, Terms::Free);
    assert_eq!(
        seller.take(&mut exposure, opened.response, u64::MAX, clock.now),
        Ok(u64::MAX)
    );
    clock.pass(30 * 86_400_000 + 5 * 60_000);
    assert!(!seller.has_pass(0, clock.now.time));
    assert!(exposure.debt(&account(9)).owed().is_zero());
}
