//! Buyers that want more requests served than they pay for, by coming back or breaking off: a price buys one, whoever starts again.

use madang_protocol::{
    record::receipt::Counters,
    rules::metering::RequestKey,
    session::{
        exposure::Exposure,
        seller::{Opening, Remembered, Seller, SellerEvent, Terms},
    },
};

use super::{
    buyers::{account, admitted, admitted_again, opening, receipt},
    honest::strict,
    issuer::{Clock, rule, tariff},
};

/// What the seller writes down.
fn journal(seller: &mut Seller, remembered: &mut Remembered) {
    while let Some(event) = seller.poll_event() {
        match event {
            SellerEvent::Honoured(receipt) => remembered.receipt = Some(receipt),
            SellerEvent::RequestServed { rule, key, .. } => {
                remembered.served.resize(rule + 1, 0);
                remembered.served[rule] += 1;
                remembered.keys.extend(key);
            }
            SellerEvent::RequestReturned { rule, .. } => remembered.served[rule] -= 1,
            SellerEvent::Room
            | SellerEvent::Paid(_)
            | SellerEvent::PassBought { .. }
            | SellerEvent::Final(_)
            | SellerEvent::Overdue
            | SellerEvent::Closed(_) => {}
        }
    }
}

#[test]
fn who_closes_and_presents_the_same_grant_again_is_not_served_again_for_the_same_price() {
    let list = tariff(vec![rule(500_000_000, 0, 0)], 1);
    let mut exposure = Exposure::new(strict(1_000_000, 8_000_000));
    let clock = Clock::new();
    let three = Counters {
        requests: 3,
        ..Counters::default()
    };
    let mut remembered = Remembered::default();
    let mut bodies = 0;
    for round in 0..5 {
        let mut seller = admitted_again(
            10,
            account(9),
            &list,
            remembered.clone(),
            &mut exposure,
            &clock,
        );
        if round == 0 {
            seller
                .handle_receipt(
                    receipt(10, &list, 1, three, false),
                    None,
                    &mut exposure,
                    clock.now,
                )
                .unwrap();
        }
        // One in each round, and all that is left in the last.
        for _ in 0..if round == 4 { 10 } else { 1 } {
            let opened = seller.open_response(&mut exposure, &opening(), clock.now);
            let opened = opened.unwrap();
            bodies += seller
                .take(&mut exposure, opened.response, 1, clock.now)
                .unwrap();
            seller.close_response(&mut exposure, opened.response, clock.now);
        }
        seller.close(&mut exposure, None, clock.now);
        journal(&mut seller, &mut remembered);
    }
    assert_eq!(bodies, 3);
}

#[test]
fn who_breaks_off_before_the_first_octet_and_asks_again_has_one_body_for_one_price() {
    let list = tariff(vec![rule(500_000_000, 0, 0)], 1);
    let mut exposure = Exposure::new(strict(1_000_000, 8_000_000));
    let clock = Clock::new();
    let one = Counters {
        requests: 1,
        ..Counters::default()
    };
    let mut seller = admitted(10, account(9), &list, &mut exposure, &clock);
    seller
        .handle_receipt(
            receipt(10, &list, 1, one, false),
            None,
            &mut exposure,
            clock.now,
        )
        .unwrap();
    let mut bodies = 0;
    for is_broken_off in [true, false] {
        for page in 0..5 {
            let opening = Opening {
                key: Some(RequestKey([page; 16])),
                ..opening()
            };
            let opened = seller.open_response(&mut exposure, &opening, clock.now);
            let opened = opened.unwrap().response;
            if !is_broken_off {
                bodies += seller.take(&mut exposure, opened, 1, clock.now).unwrap();
            }
            seller.close_response(&mut exposure, opened, clock.now);
        }
    }
    assert_eq!(bodies, 1);
}

#[test]
fn no_body_goes_before_its_request_is_paid_and_each_payment_lets_one_go() {
    let list = tariff(vec![rule(500_000_000, 0, 0)], 1);
    let mut exposure = Exposure::new(strict(1_000_000, 8_000_000));
    let clock = Clock::new();
    let mut seller = admitted(10, account(9), &list, &mut exposure, &clock);
    let open = |seller: &mut Seller, exposure: &mut Exposure| {
        seller
            .open_response(exposure, &opening(), clock.now)
            .unwrap()
    };
    let (first, second) = (
        open(&mut seller, &mut exposure),
        open(&mut seller, &mut exposure),
    );
    assert_eq!((first.terms, second.terms), (Terms::Due, Terms::Due));
    let mut go = |seller: &mut Seller, opened: madang_protocol::session::seller::Opened| {
        seller
            .take(&mut exposure, opened.response, 1_000, clock.now)
            .unwrap()
    };
    assert_eq!((go(&mut seller, first), go(&mut seller, second)), (0, 0));
    let one = Counters {
        requests: 1,
        ..Counters::default()
    };
    let mut other = Exposure::new(strict(1_000_000, 8_000_000));
    seller
        .handle_receipt(
            receipt(10, &list, 1, one, false),
            Some(second.response),
            &mut other,
            clock.now,
        )
        .unwrap();
    assert_eq!(
        (go(&mut seller, first), go(&mut seller, second)),
        (0, 1_000)
    );
}
