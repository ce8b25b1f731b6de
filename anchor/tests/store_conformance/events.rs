//! The walk over events, and the books' rows.

use std::{
    collections::BTreeMap,
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering},
    },
    thread,
};

use madang_anchor::{
    ledger::{
        event::{Event, Recorded},
        position::{Happened, Position},
    },
    store::{self, Options, Store},
};
use madang_protocol::{amount::Amount, ids::RequestId};

use crate::{
    Check,
    support::{NETWORK, Person, Place, SECOND, START, database::Server, issuer, later, used, won},
    town::Town,
};

pub(crate) const CHECKS: &[Check] = &[
    Check::new(
        "a_reader_meets_every_event_once_in_order_whatever_its_steps",
        a_reader_meets_every_event_once_in_order_whatever_its_steps,
    ),
    Check::new(
        "a_settlement_says_by_itself_what_it_adds",
        a_settlement_says_by_itself_what_it_adds,
    ),
];

/// Everything after `position`, in pages of `step`.
fn rest(store: &Store, position: &mut Position, step: usize) -> Vec<Happened> {
    let mut events = Vec::new();
    loop {
        let page = store.events(position, step).unwrap();
        if page.is_empty() {
            return events;
        }
        assert!(page.len() <= step);
        page.iter().for_each(|happened| position.pass(happened));
        events.extend(page);
    }
}

fn a_reader_meets_every_event_once_in_order_whatever_its_steps(place: &Place) {
    let town = Town::new(place);
    let mut position = Position::default();
    let mut followed = rest(&town.store, &mut position, 2);
    for number in 1..=7 {
        town.grant(number, won(1_000), later(START, number));
        followed.extend(rest(&town.store, &mut position, 2));
    }
    let again = rest(&town.store, &mut Position::default(), 3);
    assert_eq!(again, followed);
    assert!(followed.is_sorted_by(|one, next| one.entry < next.entry));
    let links: Vec<u64> = followed.iter().map(|happened| happened.link).collect();
    assert_eq!(links, (1..=followed.len() as u64).collect::<Vec<_>>());
    assert_eq!(followed.len(), 2 + 2 + 1 + 7);
    let last = followed.last().unwrap();
    assert_eq!(last.entry, town.store.head().unwrap().seq);
    assert_eq!(last.what.time(), later(START, 7));
}

fn a_settlement_says_by_itself_what_it_adds(place: &Place) {
    let town = Town::new(place);
    let tariff = town.seller.tariff();
    let grant = town.grant(1, won(30_000), START);
    let receipt = |sequence, requests| {
        let counters = used(requests, 0, 0);
        town.buyer
            .receipt(&grant, &tariff, sequence, &counters, false)
    };
    let mut position = Position::default();
    rest(&town.store, &mut position, 100);
    // Two receipts of one grant in a batch, and another batch.
    let batches = [vec![receipt(1, 4), receipt(2, 6)], vec![receipt(3, 9)]];
    for (number, receipts) in (1..).zip(batches) {
        let batch = town.seller.batch(number, receipts, vec![], START);
        town.store.settle(&batch, later(START, SECOND)).unwrap();
    }
    let free = grant.quotas[0].requests;
    let mut added = Vec::new();
    for happened in rest(&town.store, &mut position, 100) {
        let Recorded::Settled(settled) = happened.what else {
            panic!("settlements alone: {happened:?}");
        };
        for one in settled.moves {
            let before = one.since.as_ref();
            let amount = before.map_or(Amount::ZERO, |before| before.amount);
            let requests = before.map_or(0, |before| before.counters[0].requests);
            added.push((
                one.best.amount.checked_sub(amount).unwrap(),
                one.best.counters[0].requests - requests,
            ));
        }
    }
    let expected = [(won(500 * (4 - free)), 4), (won(1_000), 2), (won(1_500), 3)];
    assert_eq!(added, expected);
    let audit = town.store.verify_all().unwrap();
    // A top-up and two settlements; grants and accounts move nothing.
    assert_eq!(audit.entries, 3);
}

/// Two instances of a database write at once, each at their own people and at a common one, while a reader follows.
pub(crate) fn a_reader_that_follows_two_writers_misses_nothing(server: &Arc<Server>) {
    let database = server.database();
    let open = |instance: &str| {
        let mut database = database.clone();
        instance.clone_into(&mut database.instance);
        let options = Options::at(store::Place::Postgres(database), NETWORK, issuer());
        Store::open(options).unwrap().0
    };
    let (here, there) = (open("a"), open("b"));
    let common = Person::settle_in(&here, 1, 0, 0);
    let own = [
        Person::settle_in(&here, 2, 0, 0),
        Person::settle_in(&there, 3, 0, 0),
    ];
    let is_done = AtomicBool::new(false);
    let (followed, position) = thread::scope(|scope| {
        let reader = scope.spawn(|| {
            let mut position = Position::default();
            let mut followed = Vec::new();
            loop {
                let was_done = is_done.load(Ordering::SeqCst);
                followed.extend(rest(&there, &mut position, 3));
                if was_done {
                    return (followed, position);
                }
            }
        });
        let mut writers = Vec::new();
        for (number, store) in [(0_u8, &here), (1, &there)] {
            for half in 0..2_u8 {
                let (own, common) = (own[usize::from(number)].id(), common.id());
                writers.push(scope.spawn(move || {
                    for round in 0..40_u8 {
                        let request =
                            RequestId([round; 16].map(|octet| {
                                octet.wrapping_mul(4).wrapping_add(2 * number + half)
                            }));
                        let account = if round % 4 == 0 { common } else { own };
                        store.top_up(account, won(1), request, START).unwrap();
                    }
                }));
            }
        }
        for writer in writers {
            writer.join().unwrap();
        }
        is_done.store(true, Ordering::SeqCst);
        reader.join().unwrap()
    });
    let mut links: BTreeMap<u16, u64> = BTreeMap::new();
    let mut balances: BTreeMap<_, u64> = BTreeMap::new();
    for happened in &followed {
        let link = links.entry(happened.chain).or_default();
        *link += 1;
        assert_eq!(happened.link, *link, "a chain in its order, nothing twice");
        if let Recorded::Event(Event::ToppedUp(top_up)) = &happened.what {
            *balances.entry(top_up.account).or_default() += top_up.amount.micros();
        }
    }
    assert_eq!(links.len(), 2);
    assert_eq!(followed.len(), 2 * 3 + 4 * 40);
    for person in own.iter().chain([&common]) {
        let posted = here.wallet(person.id()).unwrap().posted;
        assert_eq!(balances[&person.id()], posted.micros());
    }
    // From the start, all at once: the same events, in the order of their numbers.
    let mut again = rest(&here, &mut Position::default(), 1_000);
    assert!(again.is_sorted_by(|one, next| one.entry < next.entry));
    let mut followed = followed;
    followed.sort_unstable_by_key(|happened| happened.entry);
    again.sort_unstable_by_key(|happened| happened.entry);
    assert_eq!(again, followed);
    assert!(here.events(&position, 1).unwrap().is_empty());
}
