//! Stores of a few thousand rows.

use std::collections::BTreeSet;

use madang_journal::limits::RANGE_ROWS_MAX;
use madang_protocol::{amount::Amount, record::tariff::PassOffer};
use tempfile::TempDir;

use super::{super::*, records::*};

const ROWS: usize = 2_400;
/// Requests of one grant: more than one range holds, and fewer than a grant may have.
const MANY: usize = RANGE_ROWS_MAX + 100;

/// The rows of the kinds that must stay.
fn kinds<const N: usize>(must_stay: [bool; N]) -> BTreeSet<usize> {
    (0..ROWS).filter(|at| must_stay[at % N]).collect()
}

fn opened() -> (NodeStore, TempDir) {
    let folder = TempDir::new().unwrap();
    let (store, _) = NodeStore::open(folder.path()).unwrap();
    (store, folder)
}

fn record(store: &NodeStore, events: impl IntoIterator<Item = Event>) {
    let events: Vec<Event> = events.into_iter().collect();
    for some in events.chunks(100) {
        drop(store.record(some).unwrap());
    }
}

/// 0: final and judged, long past its hour. 1: the same, just past its hour. 2: final, and not judged. 3: judged, and more may come. 4: not judged, and
/// too late. 5: shown only, and too late. 6: not judged, and perhaps in time by another clock. 7: judged, and nothing more can come.
fn sold(store: &NodeStore) {
    let issued = |at: usize| match at % 8 {
        0 | 2 => ago(2 * DAY),
        1 => ago(HOUR + DAY / 2),
        3 => ago(13 * DAY),
        6 => ago(14 * DAY + DAY / 2),
        _ => ago(15 * DAY),
    };
    record(
        store,
        (0..ROWS).map(|at| Event::GrantShown(grant(at, issued(at)))),
    );
    let receipts = |kinds: &'static [usize]| {
        let with = (0..ROWS).filter(|at| kinds.contains(&(at % 8)));
        with.map(|at| Event::ReceiptHeld(receipt(at, 1, 3, at % 8 <= 2)))
    };
    record(store, receipts(&[0, 1, 3, 7]));
    for round in 0..2 {
        let batch = batch(store, round);
        record(store, [Event::BatchMade(batch.clone()), verdict(&batch)]);
    }
    assert!(store.to_settle().unwrap().is_empty());
    record(store, receipts(&[2, 4, 6]));
    record(store, (0..ROWS).map(|at| served(at, 0)));
}

#[tokio::test]
async fn a_sellers_store_keeps_what_can_still_be_settled_and_nothing_else() {
    let (store, _folder) = opened();
    let must_stay = kinds([false, true, true, true, false, false, true, false]);
    sold(&store);
    // One that must go and one that must stay served more than one event forgets, and than one range holds.
    let requests = |at, number: usize| (0..number as u64).map(move |key| served(at, key));
    record(&store, requests(8, 700).chain(requests(9, MANY)));
    let ended = |at| ago(if at % 2 == 0 { 2 * DAY } else { HOUR });
    record(
        &store,
        (0..ROWS).map(|at| Event::PassSold(pass(at, ended(at)))),
    );

    forget_sales(&store, NOW).await.unwrap();

    let shown = store.grants_shown(ROWS).unwrap();
    let shown: BTreeSet<usize> = shown.iter().map(|one| number(one.claims().id)).collect();
    assert_eq!(shown, must_stay);
    let sales = store.sales(ROWS).unwrap();
    let sales = sales.iter().map(|row| number(row.receipt.claims().grant));
    assert_eq!(sales.collect::<BTreeSet<_>>(), must_stay);
    assert_eq!(store.to_settle().unwrap().len(), 2 * ROWS / 8);
    for at in 0..ROWS {
        let stays = must_stay.contains(&at);
        let expected = if at == 9 { MANY } else { usize::from(stays) };
        assert_eq!(store.served_keys(id(at)).unwrap().len(), expected, "{at}");
        assert_eq!(!store.served(id(at)).unwrap().is_empty(), stays, "{at}");
        let row = pass(at, NOW);
        let until = store.pass_sold(row.account, &row.site, &row.pattern);
        assert_eq!(until.unwrap().is_some(), at % 2 == 1, "{at}");
    }
}

/// 0: used, and kept long enough. 1: used. 2: never used. 3: never used, and just over. 4: used, and closed. 5: ended without having been used.
fn bought(store: &NodeStore) {
    let issued = |at: usize| match at % 6 {
        0 => ago((400 + 15) * DAY),
        1 => ago((400 + 13) * DAY),
        3 => ago(14 * DAY),
        4 => ago(100 * DAY),
        _ => ago(15 * DAY),
    };
    record(store, (0..ROWS).map(|at| held(at, issued(at), None)));
    let of = |kinds: &'static [usize]| (0..ROWS).filter(|at| kinds.contains(&(at % 6)));
    let signed = of(&[0, 1, 4, 5]).map(|at| receipt(at, 1, u64::from(at % 6 != 5), true));
    record(store, signed.map(Event::ReceiptSigned));
    record(store, of(&[4, 5]).map(|at| Event::GrantClosed(id(at))));
}

#[tokio::test]
async fn a_buyers_store_keeps_what_bills_are_checked_against_and_nothing_else() {
    let (store, _folder) = opened();
    let must_stay = kinds([false, true, false, true, true, false]);
    bought(&store);
    let spent = store.spent_on(NOW.day()).unwrap();

    forget_purchases(&store, NOW).await.unwrap();

    let rows = store.grants(ROWS).unwrap();
    let left = rows.iter().map(|row| number(row.grant.claims().id));
    assert_eq!(left.collect::<BTreeSet<_>>(), must_stay);
    for at in 0..ROWS {
        let is_signed = store.signed(id(at)).unwrap().is_some();
        assert_eq!(is_signed, must_stay.contains(&at) && at % 6 != 3, "{at}");
    }
    let (mut open, mut last) = (BTreeSet::new(), None);
    loop {
        let (page, next) = store.grants_open_after(last).unwrap();
        open.extend(page.iter().map(|row| number(row.grant.claims().id)));
        last = next;
        if last.is_none() {
            break;
        }
    }
    assert_eq!(open, kinds([false, true, false, true, false, false]));
    let to_close = store.to_close().unwrap();
    assert!(!to_close.is_empty());
    assert!(to_close.iter().all(|id| must_stay.contains(&number(*id))));
    // What was spent stays spent.
    assert_eq!(store.spent_on(NOW.day()).unwrap(), spent);
}

#[tokio::test]
async fn a_pass_is_remembered_until_it_has_ended_and_could_not_be_bought_unasked() {
    let offer = PassOffer {
        price: Amount::from_micros(5),
        days: 1,
    };
    let one_pass = Counters {
        passes: 1,
        ..Counters::default()
    };
    for (agreed, asked, is_kept) in [
        (later(NOW, HOUR), later(NOW, DAY), true),
        (later(NOW, HOUR), later(NOW, 2 * DAY - 1), true),
        (later(NOW, HOUR), later(NOW, 2 * DAY), false),
        // The agreement under which it was bought would buy it again.
        (ago(HOUR), later(NOW, 2 * DAY), true),
    ] {
        let (store, _folder) = opened();
        let agreement = AgreementRow {
            site: site(),
            tariff: tariff(Some(offer)).tariff_hash(),
            budget: Amount::from_micros(1_000),
            passes: BTreeSet::from([0]),
            since: agreed,
            spent: Amount::ZERO,
            stopped: None,
        };
        let signed = Event::ReceiptSigned(receipt_of(1, 1, one_pass, false));
        record(
            &store,
            [held(1, NOW, Some(offer)), signed, Event::Agreed(agreement)],
        );
        assert_eq!(store.passes_to_fetch().unwrap().len(), 1);

        forget_purchases(&store, asked).await.unwrap();

        let left = store.passes_bought_after(None).unwrap();
        assert_eq!(left.len(), usize::from(is_kept), "{agreed:?} {asked:?}");
        assert_eq!(store.passes_to_fetch().unwrap(), left);
    }
}
