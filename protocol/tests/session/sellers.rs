//! Sellers that cheat: a buyer loses one request's price at most, and signs for nothing that it did not receive.

use std::time::Duration;

use madang_protocol::{
    amount::Amount,
    ids::{AccountId, GrantId, SessionId},
    record::receipt::Counters,
    record::tariff::Rule,
    reject::Reject,
    rules::metering::RequestKey,
    session::{
        buyer::{Buyer, BuyerEvent, BuyerTerms, Ended, Head, UploadId},
        frame::{
            Elapsed, NeedReceipt, Refused, ResponseId, RuleTime, SellerFrame, Welcome, Window,
        },
    },
};

use super::issuer::{
    Clock, GrantFor, NETWORK, SELLER, SELLER_ACCOUNT, grant, key, passport, public, rule, tariff,
    trust,
};

const GRANT: GrantId = GrantId([1; 16]);

/// A buyer whose grant a cheat has accepted with a window of `window`.
fn ready(rules: Vec<Rule>, window: u64, budget: u64, clock: &Clock) -> Buyer {
    ready_with(rules, window, budget, 1 << 40, clock)
}

/// One with a grant of `amount_max`.
fn ready_with(rules: Vec<Rule>, window: u64, budget: u64, amount_max: u64, clock: &Clock) -> Buyer {
    let list = tariff(rules, 1);
    let terms = BuyerTerms {
        network: NETWORK,
        site: "seller".parse().unwrap(),
        seller: public(SELLER),
        budget: Amount::from_micros(budget),
        patience: Duration::from_secs(30),
    };
    let mut buyer = Buyer::new(terms, key(9));
    let account = AccountId([9; 16]);
    buyer.handle_connected(&passport(9, account, "buyer"), &[]);
    let wanted = GrantFor {
        id: 1,
        device: 9,
        account,
        amount_max,
        predecessor: None,
        now: clock.now.time,
    };
    buyer
        .present_grant(grant(&list, wanted), list.clone(), None)
        .unwrap();
    let welcome = Welcome {
        session: SessionId([1; 16]),
        passport: passport(SELLER, SELLER_ACCOUNT, "seller").into_unverified(),
        tariff: list.tariff_hash(),
        window: Amount::from_micros(window),
        receipt: None,
    };
    buyer
        .handle_frame(SellerFrame::Welcome(Box::new(welcome)), &trust(), clock.now)
        .unwrap();
    let window = Window {
        grant: GRANT,
        amount: Amount::from_micros(window),
    };
    buyer
        .handle_frame(SellerFrame::Window(window), &trust(), clock.now)
        .unwrap();
    buyer
}

fn head(number: u64) -> Head {
    Head {
        response: ResponseId(number),
        rule: 0,
        key: None,
        is_paid: false,
    }
}

fn signed(buyer: &mut Buyer) -> (u64, Counters) {
    let mut count = 0;
    while let Some(event) = buyer.poll_event() {
        if let BuyerEvent::Signed(_) | BuyerEvent::Final(_) = event {
            count += 1;
        }
    }
    while buyer.poll_transmit().is_some() {}
    let counters = buyer
        .receipt()
        .and_then(|receipt| receipt.counters.first().copied());
    (count, counters.unwrap_or_default())
}

#[test]
fn a_seller_that_takes_and_never_sends_gets_one_requests_price() {
    let mut clock = Clock::new();
    let mut buyer = ready(vec![rule(500, 0, 0)], 1_000_000, 1 << 40, &clock);
    for number in 1..=20 {
        buyer.open_response(&head(number), clock.now).unwrap();
    }
    assert_eq!(signed(&mut buyer).1.requests, 1);
    clock.pass(30_000);
    buyer.handle_timeout(clock.now);
    assert_eq!(buyer.stopped(), Some(Reject::BODY_NOT_DELIVERED));
    for number in 1..=20 {
        buyer.close_response(ResponseId(number), Ended::Failed, clock.now);
    }
    assert_eq!(
        buyer.open_response(&head(21), clock.now),
        Err(Reject::BODY_NOT_DELIVERED)
    );
    assert_eq!(
        buyer.buy_pass(0, clock.now),
        Err(Reject::BODY_NOT_DELIVERED)
    );
    assert_eq!(buyer.signed().micros(), 500);
    buyer.agree_again();
    assert_eq!(buyer.open_response(&head(22), clock.now), Ok(()));
}

#[test]
fn breaking_the_line_again_and_again_stops_the_buyer_too() {
    let clock = Clock::new();
    let mut buyer = ready(vec![rule(500, 0, 0)], 1_000_000, 1 << 40, &clock);
    let key = Some(madang_protocol::rules::metering::RequestKey([5; 16]));
    for number in 1..=3 {
        buyer
            .open_response(
                &Head {
                    key,
                    ..head(number)
                },
                clock.now,
            )
            .unwrap();
        buyer.close_response(ResponseId(number), Ended::Interrupted, clock.now);
    }
    // The same request is paid once, however often it is tried.
    assert_eq!(buyer.signed().micros(), 500);
    buyer.open_response(&head(4), clock.now).unwrap();
    buyer.close_response(ResponseId(4), Ended::Failed, clock.now);
    assert_eq!(buyer.stopped(), Some(Reject::BODY_NOT_DELIVERED));
    assert_eq!(buyer.signed().micros(), 1_000);
}

#[test]
fn overcounted_octets_time_and_requests_are_not_signed() {
    let mut clock = Clock::new();
    let mut buyer = ready(vec![rule(0, 1 << 20, 60_000)], 1_000, 1 << 40, &clock);
    buyer.open_response(&head(1), clock.now).unwrap();
    buyer.received(ResponseId(1), 100, clock.now).unwrap();
    clock.pass(3_000);
    let claims = Counters {
        requests: 9,
        bytes: 1 << 40,
        milliseconds: 1 << 40,
        passes: 9,
    };
    let elapsed = Elapsed {
        grant: GRANT,
        rules: vec![
            RuleTime {
                rule: 0,
                milliseconds: 1 << 40,
            },
            RuleTime {
                rule: 31,
                milliseconds: 1,
            },
        ],
    };
    buyer
        .handle_frame(SellerFrame::Elapsed(elapsed), &trust(), clock.now)
        .unwrap();
    let need = NeedReceipt {
        grant: GRANT,
        counters: vec![claims; 3],
    };
    buyer
        .handle_frame(SellerFrame::NeedReceipt(need), &trust(), clock.now)
        .unwrap();
    let expected = Counters {
        requests: 0,
        bytes: 100,
        milliseconds: 5_000,
        passes: 0,
    };
    assert_eq!(signed(&mut buyer).1, expected);
}

#[test]
fn asking_in_a_loop_costs_no_signatures() {
    let mut clock = Clock::new();
    let mut buyer = ready(vec![rule(0, 1 << 20, 0)], 1_000_000, 1 << 40, &clock);
    buyer.open_response(&head(1), clock.now).unwrap();
    let mut count = 0;
    let mut frames = 0;
    for round in 0..10_000_u64 {
        clock.pass(1);
        if round.is_multiple_of(10) {
            buyer.received(ResponseId(1), 1, clock.now).unwrap();
        }
        let need = NeedReceipt {
            grant: GRANT,
            counters: vec![Counters {
                bytes: 1 << 40,
                ..Counters::default()
            }],
        };
        buyer
            .handle_frame(SellerFrame::NeedReceipt(need), &trust(), clock.now)
            .unwrap();
        buyer.handle_timeout(clock.now);
        while buyer.poll_transmit().is_some() {
            frames += 1;
        }
        count += signed(&mut buyer).0;
    }
    assert!(
        count <= 101 && frames <= 110,
        "{count} signatures, {frames} frames in ten seconds"
    );
}

/// Time passes and the seller announces it; gives which responses are given up, and why.
fn announced(
    buyer: &mut Buyer,
    clock: &mut Clock,
    milliseconds: u64,
) -> (bool, Option<(Vec<ResponseId>, Reject)>) {
    clock.pass(1_000);
    let elapsed = Elapsed {
        grant: GRANT,
        rules: vec![RuleTime {
            rule: 0,
            milliseconds,
        }],
    };
    buyer
        .handle_frame(SellerFrame::Elapsed(elapsed), &trust(), clock.now)
        .unwrap();
    buyer.handle_timeout(clock.now);
    let (mut is_asked, mut given_up) = (false, None);
    while let Some(event) = buyer.poll_event() {
        match event {
            BuyerEvent::NeedSuccessor(_) => is_asked = true,
            BuyerEvent::UsedUp {
                responses, reason, ..
            } => given_up = Some((responses, reason)),
            BuyerEvent::Welcomed { .. }
            | BuyerEvent::Ready(_)
            | BuyerEvent::Signed(_)
            | BuyerEvent::Final(_)
            | BuyerEvent::Refused { .. }
            | BuyerEvent::Stopped(_)
            | BuyerEvent::Closed => {}
        }
    }
    (is_asked, given_up)
}

#[test]
fn a_stream_that_nothing_is_left_for_is_given_up_once_no_successor_is_to_be_had() {
    let mut clock = Clock::new();
    // A minute costs 60,000: the budget lasts five seconds.
    let mut buyer = ready(vec![rule(0, 0, 60_000)], 1_000_000, 5_000, &clock);
    buyer.open_response(&head(1), clock.now).unwrap();
    let mut asked = 0;
    for second in 1..=12 {
        let (is_asked, given_up) = announced(&mut buyer, &mut clock, second * 1_000);
        if is_asked {
            asked += 1;
            buyer.handle_no_successor(GRANT, clock.now);
        }
        if let Some((responses, reason)) = given_up {
            assert_eq!(responses, [ResponseId(1)]);
            assert_eq!(reason, Reject::BUDGET_EXCEEDED);
            assert!((6..=8).contains(&second), "after {second} seconds");
            assert_eq!(asked, 1, "once more, when nothing is left");
            assert_eq!(buyer.counted().micros(), 5_000);
            return;
        }
    }
    panic!("the stream hangs");
}

#[test]
fn a_download_whose_successor_is_refused_is_given_up_within_seconds() {
    let mut clock = Clock::new();
    let mut buyer = of_one_grant(&clock);
    buyer.open_response(&head(1), clock.now).unwrap();
    let _all_that_the_grant_has = buyer.received(ResponseId(1), 100_000, clock.now);
    let given_up = given_up_without_successor(&mut buyer, &mut clock);
    assert_eq!(given_up, (vec![ResponseId(1)], vec![]));
}

#[test]
fn an_upload_whose_successor_is_refused_is_given_up_within_seconds() {
    let mut clock = Clock::new();
    let mut buyer = of_one_grant(&clock);
    let upload = buyer.open_upload(0, clock.now).unwrap();
    // What goes beyond the grant waits on its way for the next one.
    buyer.uploaded(upload, 150_000, clock.now).unwrap();
    let given_up = given_up_without_successor(&mut buyer, &mut clock);
    assert_eq!(given_up, (vec![], vec![upload]));
    assert_eq!(buyer.counted().micros(), 100_000);
}

/// A buyer with a grant for 100,000 octets and a budget for more.
fn of_one_grant(clock: &Clock) -> Buyer {
    let rules = vec![rule(0, 1 << 20, 0)];
    ready_with(rules, 1_000_000, 1 << 40, 100_000, clock)
}

/// What is given up of what `buyer` has open, while its seller refuses every other grant.
fn given_up_without_successor(
    buyer: &mut Buyer,
    clock: &mut Clock,
) -> (Vec<ResponseId>, Vec<UploadId>) {
    let mut next = 1;
    for second in 0..8 {
        while let Some(event) = buyer.poll_event() {
            match event {
                BuyerEvent::NeedSuccessor(before) => {
                    next += 1;
                    let list = buyer.tariff().cloned().unwrap();
                    let wanted = GrantFor {
                        id: next,
                        device: 9,
                        account: AccountId([9; 16]),
                        amount_max: 1 << 40,
                        predecessor: Some(before),
                        now: clock.now.time,
                    };
                    let granted = grant(&list, wanted);
                    buyer.present_grant(granted, list, None).unwrap();
                    let refused = Refused {
                        reject: Reject::BUSY,
                        grant: Some(GrantId([next; 16])),
                    };
                    buyer
                        .handle_frame(SellerFrame::Refused(refused), &trust(), clock.now)
                        .unwrap();
                }
                BuyerEvent::UsedUp {
                    responses,
                    uploads,
                    reason,
                } => {
                    assert_eq!(reason, Reject::GRANT_EXHAUSTED);
                    assert_eq!(next, 3, "tried again once, by second {second}");
                    return (responses, uploads);
                }
                BuyerEvent::Welcomed { .. }
                | BuyerEvent::Ready(_)
                | BuyerEvent::Signed(_)
                | BuyerEvent::Final(_)
                | BuyerEvent::Refused { .. }
                | BuyerEvent::Stopped(_)
                | BuyerEvent::Closed => {}
            }
        }
        clock.pass(1_000);
        buyer.handle_timeout(clock.now);
    }
    panic!("it hangs");
}

#[test]
fn a_budget_that_is_raised_in_time_lets_a_stream_go_on() {
    let mut clock = Clock::new();
    let mut buyer = ready(vec![rule(0, 0, 60_000)], 1_000_000, 5_000, &clock);
    buyer.open_response(&head(1), clock.now).unwrap();
    for second in 1..=20 {
        let (is_asked, given_up) = announced(&mut buyer, &mut clock, second * 1_000);
        assert_eq!(given_up, None);
        if is_asked {
            buyer.set_budget(Amount::from_micros(1_000_000));
            buyer.handle_no_successor(GRANT, clock.now);
        }
    }
    assert_eq!(buyer.counted().micros(), 20_000);
}

#[test]
fn a_budget_is_never_signed_over() {
    let clock = Clock::new();
    let mut buyer = ready(vec![rule(0, 1 << 20, 0)], 0, 5_000, &clock);
    buyer.open_response(&head(1), clock.now).unwrap();
    assert_eq!(buyer.received(ResponseId(1), 5_000, clock.now), Ok(()));
    assert_eq!(
        buyer.received(ResponseId(1), 1, clock.now),
        Err(Reject::BUDGET_EXCEEDED)
    );
    buyer.finish(clock.now);
    assert_eq!(buyer.signed().micros(), 5_000);
    assert!(buyer.is_closed());
}

#[test]
fn a_request_served_before_it_is_paid_is_paid_when_its_body_comes() {
    let clock = Clock::new();
    let mut buyer = ready(vec![rule(500, 0, 0)], 1_000_000, 1 << 40, &clock);
    buyer.open_response(&head(1), clock.now).unwrap();
    buyer.open_response(&head(2), clock.now).unwrap();
    assert_eq!(signed(&mut buyer).1.requests, 1);
    buyer.received(ResponseId(2), 10, clock.now).unwrap();
    assert_eq!(signed(&mut buyer).1.requests, 2);
}

#[test]
fn a_seller_that_says_paid_of_everything_gets_nothing_for_it() {
    let clock = Clock::new();
    let mut buyer = ready(vec![rule(500, 0, 0)], 1_000_000, 0, &clock);
    for number in 1..=20 {
        let head = Head {
            key: Some(RequestKey([number as u8; 16])),
            is_paid: true,
            ..head(number)
        };
        assert!(buyer.has_had(&head));
        buyer.open_response(&head, clock.now).unwrap();
        buyer
            .received(ResponseId(number), 10_000, clock.now)
            .unwrap();
        buyer.close_response(ResponseId(number), Ended::Complete, clock.now);
    }
    assert_eq!(signed(&mut buyer).1.requests, 0);
    assert!(buyer.counted().is_zero());
}

#[test]
fn with_nothing_left_what_was_bought_is_had_again_and_nothing_else_is() {
    let clock = Clock::new();
    let mut buyer = ready(vec![rule(500, 0, 0)], 1_000_000, 500, &clock);
    let bought = |number, key| Head {
        key: Some(RequestKey([key; 16])),
        ..head(number)
    };
    buyer.open_response(&bought(1, 1), clock.now).unwrap();
    buyer.received(ResponseId(1), 10, clock.now).unwrap();
    buyer.close_response(ResponseId(1), Ended::Complete, clock.now);
    for (number, key, had) in [(2, 1, true), (3, 2, false), (4, 1, true)] {
        let again = bought(number, key);
        assert_eq!(buyer.has_had(&again), had);
        let opened = buyer.open_response(&again, clock.now);
        assert_eq!(opened.is_ok(), had, "{opened:?}");
    }
    assert!(
        !buyer.has_had(&head(5)),
        "without an entity tag nothing is known"
    );
    assert_eq!(signed(&mut buyer).1.requests, 1);
    assert_eq!(buyer.signed().micros(), 500);
}
