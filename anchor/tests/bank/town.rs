//! The people of the bank, in a store that may know them already.

use std::{thread, time::Duration};

use madang_anchor::{
    ledger::account::AccountClass,
    store::{
        self, NewAccount, NewDevice, Options, PostgresError, PostgresOptions, Store,
        error::{StoreError, StoreOpenError},
    },
};
use madang_protocol::{
    amount::Amount,
    ids::PublicKey,
    name::Handle,
    record::{passport::Role, request::Secret},
};

use crate::{
    operation::PEOPLE,
    support::{NETWORK, Person, START, issuer, key, options},
};

/// The provider's share, in basis points.
pub(crate) const COMMISSION_BP: u16 = 500;

/// Opens the store that `place` names: `folder:DIR`, or the words that connect to a database, as one of several anchors there.
pub(crate) fn open(place: &str, seat: u64) -> Store {
    let options = match place.strip_prefix("folder:") {
        Some(dir) => options(dir.as_ref()),
        None => {
            let mut database: PostgresOptions = place.parse().unwrap();
            database.instance = format!("anchor{seat}");
            Options::at(store::Place::Postgres(database), NETWORK, issuer())
        }
    };
    loop {
        match Store::open(options.clone()) {
            Ok((store, _)) => return store,
            // The server is being started again.
            Err(StoreOpenError::Postgres(PostgresError::Database(_))) => thread::sleep(PAUSE),
            Err(error) => panic!("{error}"),
        }
    }
}

const PAUSE: Duration = Duration::from_millis(20);

/// Everybody, in the order of their numbers; whoever is new is added.
pub(crate) fn people(store: &Store) -> Vec<Person> {
    (0..PEOPLE).map(|number| person(store, number)).collect()
}

/// What a server that is being started again says when it is there.
fn at_last<T>(mut ask: impl FnMut() -> Result<T, StoreError>) -> T {
    loop {
        match ask() {
            Ok(answer) => return answer,
            Err(StoreError::Failed(_)) => thread::sleep(PAUSE),
            Err(error) => panic!("{error}"),
        }
    }
}

fn person(store: &Store, number: usize) -> Person {
    let handle: Handle = format!("person{number}").parse().unwrap();
    let key = key(number as u64);
    let known = at_last(|| store.account_by_handle(&handle));
    let account = known.unwrap_or_else(|| {
        let account = NewAccount {
            handle,
            class: AccountClass::Person,
            commission_bp: COMMISSION_BP,
            credit_limit: Amount::ZERO,
            password_hash: Secret("$argon2id$".into()),
        };
        at_last(|| store.create_account(account.clone(), START)).value
    });
    let device = NewDevice {
        account: account.id,
        key: PublicKey::of(&key),
        label: "pc".into(),
        role: Role::Subscriber,
    };
    at_last(|| store.enrol_device(device.clone(), START));
    Person { account, key }
}
