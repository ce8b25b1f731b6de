//! What a seller waits for, how long, and whom it forgets.

use madang_protocol::{
    amount::Amount,
    ids::AccountId,
    record::{
        receipt::Counters,
        tariff::{PassOffer, Rule},
    },
    reject::Reject,
    rules::rating::Value,
    session::{
        exposure::{Debt, EXPOSURE_ACCOUNTS_MAX, Exposure, Policy},
        frame::SellerFrame,
        seller::{Seller, SellerEvent, Terms},
    },
};

use super::{
    buyers::{account, admitted, octets, opening, plunder, receipt},
    honest::strict,
    issuer::{Clock, rule, tariff},
};

fn events(seller: &mut Seller) -> Vec<SellerEvent> {
    std::iter::from_fn(|| seller.poll_event()).collect()
}

fn is_refused(seller: &mut Seller) -> bool {
    let frames: Vec<_> = std::iter::from_fn(|| seller.poll_transmit()).collect();
    frames.iter().any(|frame| {
        matches!(frame, SellerFrame::Refused(refused) if refused.reject == Reject::RECEIPT_OVERDUE)
    })
}

/// Lets `millis` pass in steps of a tick; whether what waits was given up, and told so, on the way.
fn waits(seller: &mut Seller, exposure: &mut Exposure, clock: &mut Clock, millis: u64) -> bool {
    let mut is_overdue = false;
    for _ in 0..millis / 250 {
        clock.pass(250);
        if seller
            .poll_timeout()
            .is_some_and(|at| at <= clock.now.instant)
        {
            seller.handle_timeout(exposure, clock.now);
        }
        let is_given_up = events(seller).contains(&SellerEvent::Overdue);
        assert_eq!(is_refused(seller), is_given_up);
        is_overdue |= is_given_up;
    }
    is_overdue
}

#[test]
fn what_is_not_receipted_in_time_is_given_up_once() {
    let list = tariff(vec![rule(0, 2_000_000, 0)], 1);
    let mut exposure = Exposure::new(strict(1_000_000, 8_000_000));
    let mut clock = Clock::new();
    let mut seller = admitted(10, account(9), &list, &mut exposure, &clock);
    let opened = seller
        .open_response(&mut exposure, &opening(), clock.now)
        .unwrap();
    let mut taken = 0;
    while let octets @ 1.. = seller
        .take(&mut exposure, opened.response, 10_000, clock.now)
        .unwrap()
    {
        taken += octets;
    }
    assert!(!waits(&mut seller, &mut exposure, &mut clock, 9_000));
    // A receipt for a part begins the wait anew.
    let part = receipt(10, &list, 1, octets(taken / 2), false);
    seller
        .handle_receipt(part, None, &mut exposure, clock.now)
        .unwrap();
    let take_all = |seller: &mut Seller, exposure: &mut Exposure, now| {
        seller
            .take(exposure, opened.response, u64::MAX, now)
            .unwrap()
    };
    assert!(take_all(&mut seller, &mut exposure, clock.now) > 0);
    assert_eq!(take_all(&mut seller, &mut exposure, clock.now), 0);
    assert!(!waits(&mut seller, &mut exposure, &mut clock, 9_000));
    assert!(waits(&mut seller, &mut exposure, &mut clock, 2_000));
    assert!(!waits(&mut seller, &mut exposure, &mut clock, 30_000));
}

#[test]
fn what_is_due_waits_on_after_a_receipt_for_something_else() {
    let list = tariff(vec![rule(500_000_000, 0, 0)], 1);
    let mut exposure = Exposure::new(strict(1_000_000, 8_000_000));
    let mut clock = Clock::new();
    let mut seller = admitted(10, account(9), &list, &mut exposure, &clock);
    let opened = [(); 2].map(|()| {
        seller
            .open_response(&mut exposure, &opening(), clock.now)
            .unwrap()
    });
    assert_eq!(opened.map(|one| one.terms), [Terms::Due; 2]);
    assert!(!waits(&mut seller, &mut exposure, &mut clock, 8_000));
    let one = Counters {
        requests: 1,
        ..Counters::default()
    };
    let paid = receipt(10, &list, 1, one, false);
    seller
        .handle_receipt(paid, Some(opened[0].response), &mut exposure, clock.now)
        .unwrap();
    assert!(events(&mut seller).contains(&SellerEvent::Paid(opened[0].response)));
    // The other goes on waiting, from here, and not for ever.
    assert!(!waits(&mut seller, &mut exposure, &mut clock, 9_000));
    assert!(waits(&mut seller, &mut exposure, &mut clock, 2_000));
}

#[test]
fn a_request_that_overtakes_its_pass_goes_as_soon_as_the_pass_is_bought() {
    let offer = PassOffer {
        price: Amount::from_micros(1_000_000),
        days: 30,
    };
    let priced = Rule {
        pass: Some(offer),
        ..rule(500_000_000, 0, 0)
    };
    let list = tariff(vec![priced], 1);
    let mut exposure = Exposure::new(strict(1_000_000, 8_000_000));
    let clock = Clock::new();
    let mut seller = admitted(10, account(9), &list, &mut exposure, &clock);
    let opened = seller
        .open_response(&mut exposure, &opening(), clock.now)
        .unwrap();
    assert_eq!(opened.terms, Terms::Due);
    let bought = Counters {
        passes: 1,
        ..Counters::default()
    };
    let paid = receipt(10, &list, 1, bought, false);
    seller
        .handle_receipt(paid, None, &mut exposure, clock.now)
        .unwrap();
    assert!(events(&mut seller).contains(&SellerEvent::Paid(opened.response)));
    assert_eq!(
        seller.take(&mut exposure, opened.response, u64::MAX, clock.now),
        Ok(u64::MAX)
    );
}

/// As many accounts as are remembered, numbered from 0, the `n`th of which owes `lost` and has paid `n`.
fn remembered(policy: Policy, lost: Value) -> Exposure {
    let rows = (0..EXPOSURE_ACCOUNTS_MAX as u64).map(|number| {
        let mut id = [0xff; 16];
        id[..8].copy_from_slice(&number.to_be_bytes());
        let debt = Debt {
            lost,
            honoured: Value::of(Amount::from_micros(number)),
            ..Debt::default()
        };
        (AccountId(id), debt)
    });
    Exposure::restore(policy, rows)
}

#[test]
fn who_has_paid_least_and_owes_nothing_is_forgotten_for_somebody_new() {
    let list = tariff(vec![rule(0, 2_000_000, 0)], 1);
    let mut exposure = remembered(strict(1_000_000, 8_000_000), Value::ZERO);
    let clock = Clock::new();
    let numbered = |number: u64| {
        let mut id = [0xff; 16];
        id[..8].copy_from_slice(&number.to_be_bytes());
        AccountId(id)
    };
    let honoured = |exposure: &Exposure, number| exposure.debt(&numbered(number)).honoured;
    assert!(!honoured(&exposure, 1).is_zero());
    // The one that has paid nothing goes first, then the next.
    for number in [9, 10] {
        let mut seller = admitted(number, account(number), &list, &mut exposure, &clock);
        assert!(plunder(&mut seller, &mut exposure, &clock) > 0);
        assert!(!exposure.debt(&account(number)).owed().is_zero());
    }
    assert!(honoured(&exposure, 1).is_zero());
    for number in [2, EXPOSURE_ACCOUNTS_MAX as u64 - 1] {
        assert!(!honoured(&exposure, number).is_zero(), "{number}");
    }
}

#[test]
fn no_debtor_is_forgotten_for_somebody_new() {
    let list = tariff(vec![rule(0, 2_000_000, 0)], 1);
    let owed = Value::of(Amount::from_micros(1));
    let mut exposure = remembered(strict(1_000_000, 8_000_000), owed);
    let clock = Clock::new();
    let before = exposure.total();
    let mut seller = admitted(9, account(9), &list, &mut exposure, &clock);
    assert_eq!(
        seller.open_response(&mut exposure, &opening(), clock.now),
        Err(Reject::EXPOSURE_REACHED)
    );
    assert_eq!(exposure.total(), before);
}
