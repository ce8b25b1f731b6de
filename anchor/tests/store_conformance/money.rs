//! Kinds of credit, refunds, corrections, disputes, credit limits.

use crate::support::{DAY, START, later, refusal, used, won};
use madang_anchor::{
    ledger::{
        account::{AccountChange, Billing},
        adjustment::AdjustmentKind,
        dispute::{ListedAt, Ruling},
    },
    store::{Done, Money, NewAdjustment, error::StoreError},
};
use madang_protocol::{
    amount::Amount,
    ids::{GrantId, RequestId},
    reject::Reject,
    time::UnixMillis,
};

use crate::{Check, support::Place, town::Town};

pub(crate) const CHECKS: &[Check] = &[
    Check::new(
        "promotional_credit_is_spent_first_lapses_and_is_never_paid_out",
        promotional_credit_is_spent_first_lapses_and_is_never_paid_out,
    ),
    Check::new(
        "a_correction_names_what_it_corrects_and_is_booked_once",
        a_correction_names_what_it_corrects_and_is_booked_once,
    ),
    Check::new(
        "a_dispute_gives_back_in_the_split_of_its_grant_or_nothing",
        a_dispute_gives_back_in_the_split_of_its_grant_or_nothing,
    ),
    Check::new(
        "disputes_are_listed_by_party_and_while_they_are_open",
        disputes_are_listed_by_party_and_while_they_are_open,
    ),
    Check::new(
        "a_credit_limit_covers_what_is_owed_and_held",
        a_credit_limit_covers_what_is_owed_and_held,
    ),
];

fn adjust(
    town: &Town,
    number: u8,
    kind: AdjustmentKind,
    amount: Amount,
    now: UnixMillis,
) -> Result<Done, StoreError> {
    let asked = NewAdjustment {
        account: town.buyer.id(),
        kind,
        amount,
        reason: "since".into(),
    };
    town.store.adjust(asked, RequestId([number; 16]), now)
}

/// What the buyer has: in the wallet, of promotional credit, held, and available.
fn bought(town: &Town) -> [u64; 4] {
    let money = town.store.money(town.buyer.id()).unwrap();
    let wallet = &money.wallet;
    let parts = [
        wallet.posted,
        money.promotional,
        wallet.held,
        wallet.available,
    ];
    parts.map(|amount| amount.micros() / 1_000_000)
}

fn sold(town: &Town) -> Money {
    town.store.money(town.seller.id()).unwrap()
}

/// A grant of which `requests` requests at 500 won, beside the free ones, are settled for good.
fn line(town: &Town, number: u64, requests: u64, now: UnixMillis) -> GrantId {
    let grant = town.grant(number, won(30_000), now);
    let counters = used(grant.quotas[0].requests + requests, 0, 0);
    let tariff = town.seller.tariff();
    let receipt = town.buyer.receipt(&grant, &tariff, 1, &counters, true);
    let batch = town.seller.batch(number, vec![receipt], vec![], now);
    town.store.settle(&batch, now).unwrap();
    grant.id
}

/// Everything that is due at `now` happens.
fn sweep(town: &Town, now: UnixMillis) {
    while town.store.tick(now).unwrap() {}
    town.store.verify_all().unwrap();
}

fn promotional_credit_is_spent_first_lapses_and_is_never_paid_out(place: &Place) {
    let town = Town::new(place);
    let expires = Some(later(START, 20 * DAY));
    let credit = AdjustmentKind::Credit { expires };
    let given = adjust(&town, 1, credit, won(1_200), START).unwrap();
    assert_eq!(bought(&town), [100_000, 1_200, 0, 101_200]);
    let again = adjust(&town, 1, credit, won(1_200), later(START, 1)).unwrap();
    assert_eq!(again.entry, given.entry);
    assert_eq!(
        refusal(adjust(&town, 1, credit, won(1_201), START)),
        Reject::REQUEST_ID_REUSED
    );
    let open = town.grant(9, won(30_000), START);
    assert_eq!(bought(&town), [100_000, 1_200, 30_000, 71_200]);
    let tariff = town.seller.tariff();
    let counters = used(open.quotas[0].requests + 1, 0, 0);
    let receipt = town.buyer.receipt(&open, &tariff, 1, &counters, true);
    let batch = town.seller.batch(9, vec![receipt], vec![], START);
    town.store.settle(&batch, START).unwrap();
    assert_eq!(bought(&town), [100_000, 700, 0, 100_700]);
    line(&town, 1, 2, START);
    assert_eq!(bought(&town), [99_700, 0, 0, 99_700]);
    let refund = AdjustmentKind::Refund { entry: given.entry };
    assert_eq!(
        refusal(adjust(&town, 2, refund, won(1), START)),
        Reject::NEVER_PAID_OUT
    );
    // What was promotional of a line that is given back is so again, and lapses.
    let grant = open.id;
    let refund = AdjustmentKind::RefundLine { grant, entry: 0 };
    adjust(&town, 3, refund, won(500), START).unwrap();
    assert_eq!(bought(&town), [99_700, 500, 0, 100_200]);
    town.store.verify_all().unwrap();
    sweep(&town, later(START, 21 * DAY));
    assert_eq!(bought(&town), [99_700, 0, 0, 99_700]);
}

fn a_correction_names_what_it_corrects_and_is_booked_once(place: &Place) {
    let town = Town::new(place);
    let request = RequestId([9; 16]);
    let entry = town
        .store
        .top_up(town.buyer.id(), won(5_000), request, START)
        .unwrap()
        .entry;
    let refund = AdjustmentKind::Refund { entry };
    let down = AdjustmentKind::CorrectDown { entry };
    let up = AdjustmentKind::CorrectUp { entry };
    assert_eq!(
        refusal(adjust(&town, 9, refund, won(1), START)),
        Reject::REQUEST_ID_REUSED
    );
    let paid_back = adjust(&town, 1, refund, won(2_000), START).unwrap();
    assert_eq!(
        adjust(&town, 1, refund, won(2_000), later(START, 5)).unwrap(),
        paid_back
    );
    adjust(&town, 2, up, won(40), START).unwrap();
    adjust(&town, 3, down, won(1_000), START).unwrap();
    assert_eq!(bought(&town), [102_040, 0, 0, 102_040]);
    assert_eq!(
        refusal(adjust(&town, 4, down, won(2_041), START)),
        Reject::MORE_THAN_IS_LEFT
    );
    // Neither a correction nor somebody else's entry.
    let of_correction = AdjustmentKind::CorrectUp {
        entry: paid_back.entry,
    };
    assert_eq!(
        refusal(adjust(&town, 4, of_correction, won(1), START)),
        Reject::ENTRY_UNKNOWN
    );
    let of_other = NewAdjustment {
        account: town.seller.id(),
        kind: down,
        amount: won(1),
        reason: String::new(),
    };
    assert_eq!(
        refusal(town.store.adjust(of_other, RequestId([4; 16]), START)),
        Reject::ENTRY_UNKNOWN
    );
    let hostile = NewAdjustment {
        account: town.buyer.id(),
        kind: up,
        amount: won(1),
        reason: "a\nb".into(),
    };
    assert_eq!(
        refusal(town.store.adjust(hostile, RequestId([4; 16]), START)),
        Reject::FIELD_OUT_OF_BOUNDS
    );
    let used_again = town
        .store
        .top_up(town.buyer.id(), won(1), RequestId([3; 16]), START);
    assert_eq!(refusal(used_again), Reject::REQUEST_ID_REUSED);
    // What is held is not there to be taken back.
    town.grant(1, won(100_000), START);
    assert_eq!(
        refusal(adjust(&town, 5, down, won(2_040 + 1), START)),
        Reject::MORE_THAN_IS_LEFT
    );
    town.grant(2, won(2_000), START);
    assert_eq!(
        refusal(adjust(&town, 5, refund, won(41), START)),
        Reject::CREDIT_INSUFFICIENT
    );
    adjust(&town, 5, refund, won(40), START).unwrap();
    town.store.verify_all().unwrap();
}

fn a_dispute_gives_back_in_the_split_of_its_grant_or_nothing(place: &Place) {
    let town = Town::new(place);
    let (buyer, seller) = (town.buyer.id(), town.seller.id());
    // 10,000 won at 5 %.
    let contested = line(&town, 1, 20, START);
    let other = line(&town, 2, 10, START);
    assert_eq!(sold(&town).wallet.earned, won(14_250));
    assert_eq!(
        (sold(&town).payable, sold(&town).maturing),
        (won(0), won(14_250))
    );
    let store = &town.store;
    let open = |by, amount, text: &str, day| {
        store.open_dispute(by, contested, won(amount), text, later(START, day * DAY))
    };
    assert_eq!(refusal(open(seller, 1, "x", 1)), Reject::NOT_THE_BUYER);
    assert_eq!(
        refusal(open(buyer, 10_001, "x", 1)),
        Reject::MORE_THAN_IS_LEFT
    );
    assert_eq!(refusal(open(buyer, 1, "x", 15)), Reject::DISPUTE_TOO_LATE);
    open(buyer, 8_000, "empty pages", 14).unwrap();
    open(buyer, 8_000, "empty pages", 15).unwrap();
    assert_eq!(
        refusal(open(buyer, 8_000, "x", 14)),
        Reject::DISPUTE_DIFFERS
    );
    let late = later(START, 16 * DAY);
    assert_eq!(
        refusal(store.open_dispute(buyer, other, won(1), "x", late)),
        Reject::DISPUTE_TOO_LATE
    );
    store
        .answer_dispute(seller, contested, "they were full", late)
        .unwrap();
    assert_eq!(
        refusal(store.answer_dispute(buyer, contested, "x", late)),
        Reject::NOT_THE_SELLER
    );
    // The other line's time is over; this one waits.
    sweep(&town, late);
    assert_eq!(
        (sold(&town).payable, sold(&town).maturing),
        (won(4_750), won(9_500))
    );
    let rule = |ruling| store.decide_dispute(contested, ruling, "half of it", late);
    assert_eq!(
        refusal(rule(Ruling::Upheld(won(8_001)))),
        Reject::MORE_THAN_IS_LEFT
    );
    rule(Ruling::Upheld(won(4_000))).unwrap();
    let entry = store.head().unwrap().seq;
    rule(Ruling::Upheld(won(4_000))).unwrap();
    assert_eq!(store.head().unwrap().seq, entry);
    assert_eq!(refusal(rule(Ruling::Rejected)), Reject::DISPUTE_DECIDED);
    assert_eq!(bought(&town)[0], 100_000 - 15_000 + 4_000);
    assert_eq!(sold(&town).wallet.earned, won(14_250 - 3_800));
    // The bills of both say so.
    for account in [buyer, seller] {
        let bill = store.bill(account, None, 9).unwrap();
        let line = bill.lines.iter().find(|line| line.grant == contested);
        let line = line.unwrap();
        assert_eq!((line.amount, line.refunded), (won(10_000), won(4_000)));
        assert_eq!((line.debit, line.earned), (won(6_000), won(5_700)));
    }
    sweep(&town, later(late, 2 * DAY));
    assert_eq!(
        (sold(&town).payable, sold(&town).maturing),
        (won(10_450), won(0))
    );
    let unknown = store.decide_dispute(other, Ruling::Rejected, "", late);
    assert_eq!(refusal(unknown), Reject::DISPUTE_UNKNOWN);
}

fn disputes_are_listed_by_party_and_while_they_are_open(place: &Place) {
    let town = Town::new(place);
    let grants: Vec<GrantId> = (1..4)
        .map(|number| {
            let now = later(START, number);
            let grant = line(&town, number, 1, now);
            town.store
                .open_dispute(town.buyer.id(), grant, won(100), "x", now)
                .unwrap();
            grant
        })
        .collect();
    town.store
        .decide_dispute(grants[1], Ruling::Rejected, "", later(START, 9))
        .unwrap();
    let listed = |of, after, limit| {
        let listed = town.store.disputes(of, after, limit).unwrap();
        let listed = listed.into_iter().map(|(grant, _)| grant);
        listed.collect::<Vec<_>>()
    };
    assert_eq!(listed(None, None, 9), [grants[0], grants[2]]);
    assert_eq!(listed(Some(town.buyer.id()), None, 9), grants);
    let after = ListedAt {
        opened: later(START, 1),
        grant: grants[0],
    };
    assert_eq!(listed(Some(town.seller.id()), Some(after), 1), [grants[1]]);
    assert_eq!(town.store.verify_all().unwrap().disputes, 2);
}

fn a_credit_limit_covers_what_is_owed_and_held(place: &Place) {
    let town = Town::new(place);
    let limit = |units| {
        let change = AccountChange::CreditLimit(won(units));
        town.store.change_account(town.buyer.id(), change, START)
    };
    let billing = || {
        let account = town.store.account(town.buyer.id()).unwrap();
        account.unwrap().billing()
    };
    assert_eq!(billing(), Billing::Prepaid);
    limit(50_000).unwrap();
    assert_eq!(billing(), Billing::Postpaid);
    town.grant(1, won(100_000), START);
    let owed = town.grant(2, won(30_000), START);
    let entry = town.store.head().unwrap().seq;
    assert_eq!(refusal(limit(29_999)), Reject::CREDIT_LIMIT_TOO_LOW);
    assert_eq!(refusal(limit(0)), Reject::CREDIT_LIMIT_TOO_LOW);
    limit(50_000).unwrap();
    assert_eq!(town.store.head().unwrap().seq, entry);
    limit(30_000).unwrap();
    let more = town
        .buyer
        .ask(&town.seller, &town.seller.tariff(), won(1), 3, START);
    assert_eq!(
        refusal(town.store.grant(&more, START)),
        Reject::CREDIT_INSUFFICIENT
    );
    assert_eq!(
        owed.funding,
        madang_protocol::record::grant::Funding::Postpaid
    );
    // Paid, and prepaid again.
    town.store
        .top_up(town.buyer.id(), won(30_000), RequestId([7; 16]), START)
        .unwrap();
    limit(0).unwrap();
    assert_eq!(billing(), Billing::Prepaid);
    town.store.verify_all().unwrap();
}
