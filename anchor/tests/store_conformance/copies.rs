//! A folder's store that becomes a database.

use std::sync::Arc;

use madang_anchor::ledger::position::Position;
use madang_anchor::store::{self, CopyError, Options, PostgresError, Store};

use crate::{
    chains::walked,
    support::{DAY, NETWORK, Place, SECOND, START, database::Server, issuer, later, used, won},
    town::Town,
};

pub(crate) fn a_folders_store_becomes_a_database_that_goes_on_from_it(server: &Arc<Server>) {
    let town = Town::new(&Place::Folder);
    let tariff = town.seller.tariff();
    let grant = town.grant(1, won(30_000), START);
    let receipt = |sequence, requests| {
        town.buyer
            .receipt(&grant, &tariff, sequence, &used(requests, 0, 0), false)
    };
    let batch = town.seller.batch(1, vec![receipt(1, 5)], Vec::new(), START);
    let verdict = town.store.settle(&batch, START).unwrap();
    let morning = later(START, DAY);
    assert!(town.store.state_heads(morning).unwrap());
    let stated = town.store.head_statement(None).unwrap().unwrap();
    let database = server.database();
    let mut told = 0;
    let copied = town.store.copy_into(&database, |entries| told = entries);
    let copied = copied.unwrap();
    let last = verdict.entry + 1;
    assert_eq!((copied.entries, told), (last, last));
    let again = town.store.copy_into(&database, |_| {}).unwrap_err();
    assert!(
        matches!(again, CopyError::Database(PostgresError::NotEmpty)),
        "{again}"
    );

    let place = store::Place::Postgres(database);
    let copy = Store::open(Options::at(place, NETWORK, issuer()))
        .unwrap()
        .0;
    assert_eq!(
        copy.settle(&batch, START).unwrap().to_bytes(),
        verdict.to_bytes()
    );
    let mut position = Position::default();
    let events = town.store.events(&position, 1_000).unwrap();
    assert_eq!(copy.events(&position, 1_000).unwrap(), events);
    events.iter().for_each(|happened| position.pass(happened));
    let soon = later(START, SECOND);
    let next = town.seller.batch(2, vec![receipt(2, 9)], Vec::new(), soon);
    let there = copy.settle(&next, soon).unwrap();
    let here = town.store.settle(&next, soon).unwrap();
    assert_eq!(there.outcomes, here.outcomes);
    assert_eq!((there.entry, here.entry), (last + 1, last + 1));
    let after = copy.events(&position, 1_000).unwrap();
    let entries: Vec<u64> = after.iter().map(|happened| happened.entry).collect();
    assert_eq!(
        entries,
        [there.entry],
        "a place in the folder is one in the database"
    );
    assert_eq!(copy.verify_all().unwrap(), town.store.verify_all().unwrap());
    // What was signed in the folder is so in the database.
    assert_eq!(copy.check_statement(&stated).unwrap(), None);
    assert_eq!(walked(&copy), Ok(copy.chains().unwrap()));
    let other = town.store.copy_into(&server.database(), |_| {}).unwrap();
    assert_eq!(other.audit, town.store.verify_all().unwrap());
    assert!(matches!(
        copy.copy_into(&server.database(), |_| {}),
        Err(CopyError::NotAFolder)
    ));
}
