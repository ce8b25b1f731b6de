//! The chains, walked link by link, and statements of where they end.

use std::sync::Arc;

use madang_anchor::store::{self, Options, Store, Walked};
use madang_protocol::{
    ids::{KeyId, PublicKey, RecordHash},
    record::head::{ChainHead, HeadStatement},
    time::Day,
};

use crate::{
    Check,
    support::{
        DAY, NETWORK, Person, Place, SECOND, START, database::Server, issuer, key, later, seal, won,
    },
    town::Town,
};

pub(crate) const CHECKS: &[Check] = &[
    Check::new(
        "every_chain_is_walked_to_its_end_and_rows_made_anew_are_the_same",
        every_chain_is_walked_to_its_end_and_rows_made_anew_are_the_same,
    ),
    Check::new(
        "a_day_has_one_statement_which_holds_for_ever",
        a_day_has_one_statement_which_holds_for_ever,
    ),
];

/// Where walks along all chains end, or what does not hold.
pub(crate) fn walked(store: &Store) -> Result<Vec<ChainHead>, String> {
    let mut ends = Vec::new();
    for end in store.chains().unwrap() {
        let mut at = ChainHead {
            link: 0,
            entry: 0,
            hash: RecordHash([0; 32]),
            ..end
        };
        loop {
            match store.walk_chain(&at).unwrap() {
                Walked::To(next) if next == at => break,
                Walked::To(next) => at = next,
                Walked::Broken(what) => return Err(what),
            }
        }
        ends.push(at);
    }
    Ok(ends)
}

fn every_chain_is_walked_to_its_end_and_rows_made_anew_are_the_same(place: &Place) {
    let (empty, _dir) = place.open();
    assert_eq!(walked(&empty), Ok(Vec::new()));
    assert!(
        empty
            .remake()
            .unwrap()
            .is_none_or(|remade| remade.kept == remade.made)
    );
    let town = Town::new(place);
    for number in 1..=20 {
        town.grant(number, won(1_000), START);
    }
    let ends = walked(&town.store).unwrap();
    assert_eq!(ends, town.store.chains().unwrap());
    let head = town.store.head().unwrap();
    let [end] = ends.as_slice() else {
        panic!("one chain: {ends:?}");
    };
    assert_eq!((end.entry, end.hash.0), (head.seq, head.hash));
    for more in 0..2 {
        let remade = town.store.remake().unwrap();
        assert_eq!(remade.is_some(), matches!(place, Place::Folder));
        if let Some(remade) = remade {
            assert_eq!(remade.kept, remade.made);
            assert_eq!(remade.entries, head.seq + more);
        }
        town.grant(99, won(1_000), START);
    }
}

fn a_day_has_one_statement_which_holds_for_ever(place: &Place) {
    let town = Town::new(place);
    let store = &town.store;
    // On the first day there is nothing to state yet.
    assert!(!store.state_heads(later(START, SECOND)).unwrap());
    assert!(store.head_statement(None).unwrap().is_none());
    let next = later(START, DAY);
    assert!(store.state_heads(next).unwrap());
    let entries = store.head().unwrap().seq;
    assert!(!store.state_heads(later(next, SECOND)).unwrap());
    assert_eq!(store.head().unwrap().seq, entries);
    let first = store.head_statement(Some(next.day())).unwrap().unwrap();
    assert_eq!(first.claims().heads[0].entry, entries - 1);
    town.grant(1, won(1_000), next);
    for day in 2..5 {
        assert!(store.state_heads(later(START, day * DAY)).unwrap());
    }
    let last = store.head_statement(None).unwrap().unwrap();
    assert_eq!(last.claims().day, later(START, 4 * DAY).day());
    let all = store.head_statements(None, 10).unwrap();
    assert_eq!(all.len(), 4);
    let after = store.head_statements(Some(next.day()), 2).unwrap();
    assert_eq!(after, all[1..3]);
    for statement in &all {
        assert_eq!(store.check_statement(statement).unwrap(), None);
    }

    let forged = |change: &dyn Fn(&mut HeadStatement)| {
        let mut statement = first.claims().clone();
        change(&mut statement);
        let statement = seal(statement, &issuer()).into_unverified();
        store.check_statement(&statement).unwrap().unwrap()
    };
    let other = forged(&|statement| statement.heads[0].hash = RecordHash([1; 32]));
    assert!(other.contains("is not the one that was stated on 2026-11-23"));
    forged(&|statement| statement.heads[0].link += 1_000);
    forged(&|statement| statement.heads[0].chain = 9);
    let mut strangers = first.claims().clone();
    strangers.issuer = KeyId::of(&PublicKey::of(&key(8)));
    let strangers = seal(strangers, &key(8)).into_unverified();
    let refused = store.check_statement(&strangers).unwrap().unwrap();
    assert!(refused.contains("is not good"), "{refused}");
    assert_ne!(first.claims().day, Day(0));
}

/// A link's octets, its hash, and its being there.
pub(crate) fn what_was_changed_in_a_database_is_found_and_named(server: &Arc<Server>) {
    let changes = [
        (
            "UPDATE madang_events SET payload = set_byte(payload, 3, get_byte(payload, 3) # 1) WHERE entry = 7",
            "entry 7 of anchor: its hash is not that of its octets and of the link before it",
        ),
        (
            "UPDATE madang_events SET hash = set_byte(hash, 31, get_byte(hash, 31) # 1) WHERE entry = 7",
            "entry 7 of anchor: its hash is not that of its octets and of the link before it",
        ),
        (
            "DELETE FROM madang_events WHERE entry = 7",
            "entry 8 of anchor: the link before it is missing",
        ),
    ];
    for (sql, found) in changes {
        let words = server.new_database();
        let place = store::Place::Postgres(words.parse().unwrap());
        let store = Store::open(Options::at(place, NETWORK, issuer()))
            .unwrap()
            .0;
        for number in 1..=4 {
            Person::settle_in(&store, number, 5, 0);
        }
        assert_eq!(walked(&store), Ok(store.chains().unwrap()));
        assert_eq!(Server::tamper(&words, sql), 1);
        assert_eq!(walked(&store).unwrap_err(), found);
    }
    // A balance that does not follow from the books.
    let words = server.new_database();
    let place = store::Place::Postgres(words.parse().unwrap());
    let store = Store::open(Options::at(place, NETWORK, issuer()))
        .unwrap()
        .0;
    Person::settle_in(&store, 1, 5, 0);
    store.verify_all().unwrap();
    assert_eq!(
        Server::tamper(&words, "DELETE FROM madang_rows WHERE tbl = 30"),
        1
    );
    let broken = store.verify_all().unwrap_err();
    let cause = std::error::Error::source(&broken).unwrap().to_string();
    assert!(cause.contains("BooksAgree"), "{cause}");
}
