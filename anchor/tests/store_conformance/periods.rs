//! Billing periods: closed once, by whoever; documents that never change; what comes late.

use std::{sync::Arc, thread};

use madang_anchor::{
    ledger::{
        adjustment::AdjustmentKind,
        document::{Document, Kind, lines::Line},
        month::Month,
        period::Stage,
        policy::Policy,
    },
    store::{self, NewAdjustment, Options, Store},
};
use madang_protocol::{
    ids::{AccountId, RequestId},
    record::grant::Grant,
    reject::Reject,
    time::UnixMillis,
};

use crate::{
    Check,
    support::{DAY, NETWORK, Place, START, issuer, later, options, refusal, used, won},
    town::Town,
};

pub(crate) const CHECKS: &[Check] = &[
    Check::new(
        "a_closed_period_has_documents_that_no_late_receipt_changes",
        a_closed_period_has_documents_that_no_late_receipt_changes,
    ),
    Check::new(
        "a_period_is_closed_in_its_order_after_its_grace_and_once",
        a_period_is_closed_in_its_order_after_its_grace_and_once,
    ),
    Check::new(
        "many_who_close_one_period_at_once_make_each_document_once",
        many_who_close_one_period_at_once_make_each_document_once,
    ),
];

fn month(text: &str) -> Month {
    text.parse().unwrap()
}

/// Receipts of `requests` requests at 500 won beside the free ones, cumulative.
fn settle(town: &Town, grant: &Grant, number: u64, requests: u64, last: bool, now: UnixMillis) {
    let counters = used(grant.quotas[0].requests + requests, 0, 0);
    let tariff = town.seller.tariff();
    let receipt = town.buyer.receipt(grant, &tariff, number, &counters, last);
    let batch = town.seller.batch(number, vec![receipt], vec![], now);
    town.store.settle(&batch, now).unwrap();
}

/// As the upkeep of an anchor does it.
fn upkeep(store: &Store, now: UnixMillis) {
    while store.tick_periods(now).unwrap() {}
    store.verify_all().unwrap();
}

fn only(town: &Town, account: AccountId, month: Month) -> Vec<Document> {
    let all = town.store.documents(account, None, 100).unwrap();
    all.into_iter().filter(|one| one.month == month).collect()
}

fn lines(store: &Store, document: &Document) -> Vec<Line> {
    let (mut lines, mut after) = (Vec::new(), None);
    loop {
        let page = store.document_lines(document, after, 1).unwrap();
        lines.extend(page.lines);
        after = page.more_after;
        if after.is_none() {
            return lines;
        }
    }
}

fn debit(document: &Document) -> u64 {
    document.content.total().unwrap().debit.micros() / 1_000_000
}

fn a_closed_period_has_documents_that_no_late_receipt_changes(place: &Place) {
    let town = Town::new(place);
    let (buyer, seller) = (town.buyer.id(), town.seller.id());
    upkeep(&town.store, START);
    let before = later(START, 8 * DAY);
    let [one, two, never] = [1, 2, 3].map(|number| town.grant(number, won(30_000), before));
    settle(&town, &one, 1, 2, false, before);
    // 2026-12-01, in the grace of November.
    let december = later(START, 9 * DAY);
    upkeep(&town.store, december);
    settle(&town, &two, 2, 4, false, december);
    settle(&town, &one, 3, 6, true, later(december, 1));
    let closing = later(december, 3 * DAY);
    upkeep(&town.store, closing);
    let november = month("2026-11");
    let [invoice] = only(&town, buyer, november).try_into().unwrap();
    let [statement] = only(&town, seller, november).try_into().unwrap();
    assert_eq!(
        [&invoice, &statement].map(|one| (one.number.to_string(), debit(one), one.content.lines)),
        [
            ("2026-INV-000001".to_owned(), 5_000, 2),
            ("2026-STM-000001".to_owned(), 5_000, 2)
        ]
    );
    let as_billed = lines(&town.store, &invoice);
    let grants: Vec<_> = as_billed.iter().map(|line| line.grant).collect();
    assert_eq!(grants, [one.id, two.id]);

    settle(&town, &two, 4, 7, true, later(closing, 1));
    settle(&town, &never, 5, 1, true, later(closing, 2));
    let refund = NewAdjustment {
        account: buyer,
        kind: AdjustmentKind::RefundLine {
            grant: one.id,
            entry: 0,
        },
        amount: won(1_000),
        reason: "since".into(),
    };
    let request = RequestId([9; 16]);
    town.store
        .adjust(refund, request, later(closing, 3))
        .unwrap();
    upkeep(&town.store, later(START, 40 * DAY));
    let january = later(START, 45 * DAY);
    while town.store.tick(january).unwrap() {}
    upkeep(&town.store, january);
    assert_eq!(lines(&town.store, &invoice), as_billed);
    let [credit, next] = only(&town, buyer, month("2026-12")).try_into().unwrap();
    assert_eq!(
        [&credit, &next].map(|one| (one.number.to_string(), debit(one))),
        [
            ("2026-CRN-000001".to_owned(), 1_000),
            ("2026-INV-000002".to_owned(), 2_000)
        ]
    );
    let [line] = lines(&town.store, &credit).try_into().unwrap();
    assert_eq!((line.grant, line.billed), (one.id, Some(november)));
    let corrected = line.kind.corrected();
    assert_eq!(
        town.store
            .document_number(buyer, november, corrected)
            .unwrap(),
        Some(invoice.number)
    );
    let kinds: Vec<Kind> = only(&town, seller, month("2026-12"))
        .iter()
        .map(|one| one.number.kind)
        .collect();
    assert_eq!(kinds, [Kind::Correction, Kind::Statement]);
    assert_eq!(
        refusal(town.store.document(invoice.number, Some(seller))),
        Reject::DOCUMENT_NOT_YOURS
    );
    assert_eq!(
        refusal(
            town.store
                .document("2026-INV-000003".parse().unwrap(), None)
        ),
        Reject::DOCUMENT_UNKNOWN
    );
    assert_eq!(town.store.verify_all().unwrap().documents, 6);
}

fn a_period_is_closed_in_its_order_after_its_grace_and_once(place: &Place) {
    let town = Town::new(place);
    let store = &town.store;
    let [november, december] = ["2026-11", "2026-12"].map(month);
    let freeze = |month, early, now| refusal(store.freeze_period(month, early, now));
    assert_eq!(freeze(november, true, START), Reject::PERIOD_UNKNOWN);
    upkeep(store, START);
    assert_eq!(freeze(november, true, START), Reject::PERIOD_NOT_OVER);
    assert_eq!(freeze(december, true, START), Reject::PERIOD_NOT_OVER);
    assert_eq!(
        freeze(month("2026-10"), true, START),
        Reject::PERIOD_UNKNOWN
    );
    let over = later(START, 9 * DAY);
    store.turn_periods(over).unwrap();
    assert_eq!(freeze(november, false, over), Reject::PERIOD_IN_GRACE);
    let next = later(over, 31 * DAY);
    store.turn_periods(next).unwrap();
    assert_eq!(freeze(december, true, next), Reject::PERIOD_OUT_OF_ORDER);
    store.freeze_period(november, true, next).unwrap();
    store.freeze_period(november, true, next).unwrap();
    let step = store.close_period_step(november, next).unwrap();
    assert_eq!((step.accounts, step.documents), (2, 0));
    let closed = store.close_period_step(november, next).unwrap();
    assert_eq!(closed.stage, Stage::Closed(next));
    assert_eq!(store.close_period_step(november, next).unwrap(), closed);
    assert_eq!(freeze(november, true, next), Reject::PERIOD_CLOSED);
    let stages: Vec<Month> = store
        .periods(None, 10)
        .unwrap()
        .iter()
        .map(|(month, _)| *month)
        .collect();
    assert_eq!(stages, [month("2027-01"), december, november]);
    store.verify_all().unwrap();
}

fn many_who_close_one_period_at_once_make_each_document_once(place: &Place) {
    let (opened, _dir) = openings(place, 3);
    let town = Town::of(opened[0].clone());
    for number in 10..400 {
        crate::support::Person::create(&town.store, number);
    }
    upkeep(&town.store, START);
    let grant = town.grant(1, won(30_000), START);
    settle(&town, &grant, 1, 2, true, START);
    let november = month("2026-11");
    let over = later(START, 9 * DAY);
    thread::scope(|scope| {
        for store in &opened {
            for _ in 0..2 {
                scope.spawn(|| {
                    store.turn_periods(over).unwrap();
                    // Another one may have closed it before this one began.
                    if store.freeze_period(november, true, over).is_ok() {
                        while let Stage::Frozen(_) =
                            store.close_period_step(november, over).unwrap().stage
                        {
                        }
                    }
                });
            }
        }
    });
    for store in &opened {
        let period = store.period(november).unwrap();
        assert_eq!(period.stage, Stage::Closed(over));
        assert_eq!((period.accounts, period.documents), (392, 2));
        assert_eq!(store.verify_all().unwrap().documents, 2);
    }
}

/// Several anchors' stores on one place: on a folder, which has one, the same each time.
fn openings(place: &Place, count: usize) -> (Vec<Arc<Store>>, Option<tempfile::TempDir>) {
    match place {
        Place::Folder => {
            let dir = tempfile::TempDir::new().unwrap();
            let store = Arc::new(Store::open(options(dir.path())).unwrap().0);
            (vec![store; count], Some(dir))
        }
        Place::Database(server) => {
            let database = server.database();
            let stores = (0..count).map(|seat| {
                let mut database = database.clone();
                database.instance = format!("anchor{seat}");
                let place = store::Place::Postgres(database);
                let mut options = Options::at(place, NETWORK, issuer());
                options.policy = Policy::DEFAULT;
                Arc::new(Store::open(options).unwrap().0)
            });
            (stores.collect(), None)
        }
    }
}
