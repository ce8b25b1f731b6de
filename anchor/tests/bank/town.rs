//! The people of the bank, in a store that may know them already.

use madang_anchor::{
    ledger::account::AccountClass,
    store::{self, NewAccount, NewDevice, Options, PostgresOptions, Store},
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

/// Opens the store that `place` names: `folder:DIR`, or the words that connect to a database.
pub(crate) fn open(place: &str) -> Store {
    let options = match place.strip_prefix("folder:") {
        Some(dir) => options(dir.as_ref()),
        None => {
            let database: PostgresOptions = place.parse().unwrap();
            Options::at(store::Place::Postgres(database), NETWORK, issuer())
        }
    };
    Store::open(options).unwrap().0
}

/// Everybody, in the order of their numbers; whoever is new is added.
pub(crate) fn people(store: &Store) -> Vec<Person> {
    (0..PEOPLE).map(|number| person(store, number)).collect()
}

fn person(store: &Store, number: usize) -> Person {
    let handle: Handle = format!("person{number}").parse().unwrap();
    let key = key(number as u64);
    let known = store.account_by_handle(&handle).unwrap();
    let account = known.unwrap_or_else(|| {
        let account = NewAccount {
            handle,
            class: AccountClass::Person,
            commission_bp: COMMISSION_BP,
            credit_limit: Amount::ZERO,
            password_hash: Secret("$argon2id$".into()),
        };
        store.create_account(account, START).unwrap().value
    });
    let device = NewDevice {
        account: account.id,
        key: PublicKey::of(&key),
        label: "pc".into(),
        role: Role::Subscriber,
    };
    store.enrol_device(device, START).unwrap();
    Person { account, key }
}
