//! What is kept on persons: sealed everywhere, given out whole, and gone when they leave.

use std::fs;

use crate::{
    Check,
    cabinet::Cabinet,
    support::{DAY, NETWORK, Person, Place, START, later, refusal, used, won},
};
use madang_anchor::{
    ledger::{
        account::AccountChange,
        adjustment::AdjustmentKind,
        event::{Event, Recorded},
        leave::Obstacle,
        position::Position,
        profile::Kept,
    },
    store::{Leaving, NewAccount, NewAdjustment, Store, error::StoreError},
    vault::{
        keep::{Sealed, Vault},
        profile::{Bank, BankAccount, Field, Profile, ProfileChange},
        room::FolderRoom,
    },
};
use madang_protocol::{
    amount::Amount,
    ids::{AccountId, RequestId},
    record::request::Secret,
    reject::Reject,
};
use proptest::{
    prelude::*,
    test_runner::{Config, TestRunner},
};

pub(crate) const CHECKS: &[Check] = &[
    Check::new(
        "a_profile_is_kept_through_restarts_and_each_change_is_a_version",
        a_profile_is_kept_through_restarts_and_each_change_is_a_version,
    ),
    Check::new(
        "no_word_of_a_profile_stands_anywhere_before_or_after_erasure",
        no_word_of_a_profile_stands_anywhere_before_or_after_erasure,
    ),
    Check::new(
        "nobody_leaves_with_anything_open_and_what_is_in_the_way_is_said",
        nobody_leaves_with_anything_open_and_what_is_in_the_way_is_said,
    ),
    Check::new(
        "who_has_left_is_a_pseudonym_and_the_handle_is_never_taken_again",
        who_has_left_is_a_pseudonym_and_the_handle_is_never_taken_again,
    ),
    Check::new(
        "an_erasure_that_was_interrupted_is_finished_at_the_next_start",
        an_erasure_that_was_interrupted_is_finished_at_the_next_start,
    ),
];

/// Whether a word stands there, as it is or in hexadecimal digits.
fn holds(there: &str, word: &str) -> bool {
    let digits = word.bytes().map(|octet| format!("{octet:02x}"));
    there.contains(word) || there.contains(&digits.collect::<String>())
}

pub(crate) fn mina() -> ProfileChange {
    ProfileChange {
        name: Some("Kim Mina-Sunhee".parse().unwrap()),
        address: vec![
            "Sejong-daero 110".parse().unwrap(),
            "04524 Seoul-Junggu".parse().unwrap(),
        ],
        country: Some("KR".parse().unwrap()),
        email: Some("mina@yard.example".parse().unwrap()),
        bank: Some(Bank {
            account: BankAccount::Iban {
                iban: "DE89 3704 0044 0532 0130 00".parse().unwrap(),
                bic: Some("DEUTDEFF500".parse().unwrap()),
            },
            holder: Some("Kim Mina and Sons".parse().unwrap()),
        }),
        without: Vec::new(),
    }
}

fn a_profile_is_kept_through_restarts_and_each_change_is_a_version(place: &Place) {
    let cabinet = Cabinet::new(place);
    let store = cabinet.open();
    let person = Person::settle_in(&store, 1, 0, 0);
    assert_eq!(store.profile(person.id()).unwrap(), Profile::default());
    let first = store.change_profile(person.id(), &mina(), START).unwrap();
    let again = store.change_profile(person.id(), &mina(), START).unwrap();
    assert_eq!(again.value, first.value);
    let moved = ProfileChange {
        country: Some("DE".parse().unwrap()),
        without: vec![Field::Email],
        ..ProfileChange::default()
    };
    let second = store
        .change_profile(person.id(), &moved, START)
        .unwrap()
        .value;
    assert_eq!(
        (second.email.as_ref(), &second.bank),
        (None, &first.value.bank)
    );
    assert_eq!(versions(&store, &person.id()), [1, 2]);
    store.verify_all().unwrap();
    store.close().unwrap();
    drop(store);

    let store = cabinet.open();
    assert_eq!(store.profile(person.id()).unwrap(), second);
    store
        .change_account(person.id(), AccountChange::Close, START)
        .unwrap();
    assert_eq!(
        refusal(store.change_profile(person.id(), &mina(), START)),
        Reject::ACCOUNT_CLOSED
    );
    let long = ProfileChange {
        address: vec!["line".parse().unwrap(); 8],
        ..ProfileChange::default()
    };
    let other = Person::settle_in(&store, 2, 0, 0);
    assert_eq!(
        refusal(store.change_profile(other.id(), &long, START)),
        Reject::FIELD_OUT_OF_BOUNDS
    );
}

/// What the journal says of an account's profiles.
fn kept(store: &Store, id: &AccountId) -> Vec<Kept> {
    let events = store.events(&Position::default(), 10_000).unwrap();
    let events = events.into_iter().map(|event| event.what);
    let of = |event| match event {
        Recorded::Event(Event::ProfileSet { id: of, profile }) if of == *id => Some(profile),
        Recorded::Event(_) | Recorded::Settled(_) => None,
    };
    events.filter_map(of).collect()
}

fn versions(store: &Store, id: &AccountId) -> Vec<u32> {
    kept(store, id).iter().map(|kept| kept.version).collect()
}

fn words() -> impl Strategy<Value = ProfileChange> {
    let word = || "[a-zA-Z]{12,60}";
    let line = || word().prop_map(|word| word.parse().unwrap());
    let address = proptest::collection::vec(line(), 1..=7);
    let mail =
        (word(), word()).prop_map(|(name, host)| format!("{name}@{host}.example").parse().unwrap());
    let bank = (
        "[A-Z0-9-]{12,34}",
        "[A-Z0-9]{12,35}",
        proptest::option::of(line()),
    );
    let bank = bank.prop_map(|(number, code, holder)| Bank {
        account: BankAccount::Domestic {
            number: number.parse().unwrap(),
            bank: code.parse().unwrap(),
        },
        holder,
    });
    (line(), address, mail, bank).prop_map(|(name, address, email, bank)| ProfileChange {
        name: Some(name),
        address,
        country: None,
        email: Some(email),
        bank: Some(bank),
        without: Vec::new(),
    })
}

fn all_words(profile: &Profile) -> Vec<String> {
    let mut words: Vec<String> = profile.address.iter().map(ToString::to_string).collect();
    words.extend(profile.name.iter().map(ToString::to_string));
    words.extend(profile.email.iter().map(ToString::to_string));
    if let Some(bank) = &profile.bank {
        words.extend(bank.holder.iter().map(ToString::to_string));
        match &bank.account {
            BankAccount::Domestic { number, bank } => {
                words.extend([number.to_string(), bank.to_string()]);
            }
            BankAccount::Iban { iban, .. } => words.push(iban.to_string()),
        }
    }
    words
}

fn no_word_of_a_profile_stands_anywhere_before_or_after_erasure(place: &Place) {
    let cabinet = Cabinet::new(place);
    let store = cabinet.open();
    let number = std::cell::Cell::new(10);
    let seen = std::cell::RefCell::new(Vec::new());
    let mut runner = TestRunner::new(Config {
        failure_persistence: None,
        ..Config::with_cases(8)
    });
    runner
        .run(&(words(), words()), |(first, second)| {
            number.set(number.get() + 1);
            let person = Person::settle_in(&store, number.get(), 0, 0);
            let id = person.id();
            for change in [&first, &second] {
                let profile = store.change_profile(id, change, START).unwrap().value;
                seen.borrow_mut().extend(all_words(&profile));
            }
            let sealed = kept(&store, &id);
            prop_assert!(cabinet.has_data_key(&id));
            let there = cabinet.everything();
            for word in seen.borrow().iter() {
                prop_assert!(!holds(&there, word), "{word} stands in the clear");
            }
            // What is looked for would be found: the handle stands in the event that made the account.
            prop_assert!(holds(&there, person.account.handle.as_str()));
            let left = store.leave(id, false, START).unwrap();
            prop_assert!(matches!(left, Leaving::Left(_)), "{left:?}");
            prop_assert!(!cabinet.has_data_key(&id));
            prop_assert_eq!(store.profile(id).unwrap(), Profile::default());
            let there = cabinet.everything();
            for word in seen.borrow().iter() {
                prop_assert!(!holds(&there, word), "{word} stands in the clear");
            }
            // The chain keeps what was sealed, and the key under which the data keys were wrapped opens none of it.
            prop_assert_eq!(kept(&store, &id), sealed.clone());
            if let Place::Folder = place {
                let room = FolderRoom::new(cabinet.dir.path().join("personal"));
                let key = cabinet.dir.path().join("personal.key");
                let vault = Vault::open(&key, NETWORK, Box::new(room), true).unwrap();
                for kept in sealed {
                    let opened =
                        vault.open_sealed(&id, Sealed::Profile, kept.version, &kept.sealed);
                    prop_assert!(opened.unwrap().is_none());
                }
            }
            Ok(())
        })
        .unwrap();
    store.verify_all().unwrap();
}

fn obstacles(left: Leaving) -> Vec<Obstacle> {
    match left {
        Leaving::Obstacles(found) => found,
        Leaving::Left(done) => panic!("it has left: {done:?}"),
    }
}

fn nobody_leaves_with_anything_open_and_what_is_in_the_way_is_said(place: &Place) {
    let cabinet = Cabinet::new(place);
    let store = cabinet.open();
    let buyer = Person::settle_in(&store, 1, 100_000, 0);
    let seller = Person::settle_in(&store, 2, 0, 500);
    let tariff = seller.tariff();
    let ask = buyer.ask(&seller, &tariff, won(30_000), 1, START);
    let grant = store.grant(&ask, START).unwrap().into_value();
    assert_eq!(
        obstacles(store.leave(buyer.id(), true, START).unwrap()),
        [Obstacle::Held(won(30_000)), Obstacle::Wallet(won(70_000))]
    );
    assert_eq!(
        obstacles(store.leave(seller.id(), false, START).unwrap()),
        [Obstacle::Selling(grant.id)]
    );
    let receipt = buyer.receipt(&grant, &tariff, 1, &used(5, 0, 0), true);
    let batch = seller.batch(1, vec![receipt], vec![grant.id], START);
    store.settle(&batch, START).unwrap();
    let earned = won(950);
    assert_eq!(
        obstacles(store.leave(seller.id(), false, START).unwrap()),
        [Obstacle::Maturing(earned)]
    );
    let credit = NewAdjustment {
        account: buyer.id(),
        kind: AdjustmentKind::Credit { expires: None },
        amount: won(5),
        reason: "welcome".into(),
    };
    store.adjust(credit, RequestId([8; 16]), START).unwrap();
    store
        .open_dispute(buyer.id(), grant.id, won(100), "empty", START)
        .unwrap();
    assert_eq!(
        obstacles(store.leave(buyer.id(), false, START).unwrap()),
        [
            Obstacle::Wallet(won(99_000)),
            Obstacle::Credit(won(5)),
            Obstacle::Disputes
        ]
    );
    // Nothing was closed, since it was seen before that something is in the way.
    assert!(store.account(buyer.id()).unwrap().unwrap().is_active());
    assert!(store.account(seller.id()).unwrap().unwrap().is_active());
    let much_later = later(START, 60 * DAY);
    store
        .decide_dispute(
            grant.id,
            madang_anchor::ledger::dispute::Ruling::Rejected,
            "",
            later(START, 20 * DAY),
        )
        .unwrap();
    while store.tick(much_later).unwrap() {}
    assert_eq!(
        obstacles(store.leave(seller.id(), false, much_later).unwrap()),
        [Obstacle::Payable(earned)]
    );
    let back = NewAdjustment {
        account: buyer.id(),
        kind: AdjustmentKind::Refund {
            entry: top_up_of(&store, &buyer),
        },
        amount: won(99_000),
        reason: "leaves".into(),
    };
    store.adjust(back, RequestId([9; 16]), much_later).unwrap();
    assert_eq!(
        obstacles(store.leave(buyer.id(), false, much_later).unwrap()),
        [Obstacle::Credit(won(5))]
    );
    let left = store.leave(buyer.id(), true, much_later).unwrap();
    assert!(matches!(left, Leaving::Left(_)), "{left:?}");
    let money = store.money(buyer.id()).unwrap();
    assert_eq!(
        (money.promotional, money.wallet.posted),
        (Amount::ZERO, Amount::ZERO)
    );
    store.verify_all().unwrap();
}

fn top_up_of(store: &Store, person: &Person) -> u64 {
    let (booked, _) = store.booked_for(person.id(), None).unwrap();
    booked.first().unwrap().entry
}

fn who_has_left_is_a_pseudonym_and_the_handle_is_never_taken_again(place: &Place) {
    let cabinet = Cabinet::new(place);
    let store = cabinet.open();
    let person = Person::settle_in(&store, 1, 0, 0);
    let other = Person::settle_in(&store, 2, 0, 0);
    store.sign_in(person.device(), START).unwrap();
    store.change_profile(person.id(), &mina(), START).unwrap();
    let new = |handle: &str| NewAccount {
        handle: handle.parse().unwrap(),
        class: person.account.class,
        commission_bp: 0,
        credit_limit: Amount::ZERO,
        password_hash: Secret("$argon2id$".into()),
    };
    let Leaving::Left(left) = store.leave(person.id(), false, START).unwrap() else {
        panic!("nothing is in the way");
    };
    let pseudonym = left.value;
    assert!(pseudonym.as_str().starts_with("left-"), "{pseudonym}");
    let account = store.account(person.id()).unwrap().unwrap();
    assert_eq!((&account.handle, account.is_active()), (&pseudonym, false));
    assert_eq!(account.password_hash, Secret(String::new()));
    assert_eq!(
        store.account_by_handle(&person.account.handle).unwrap(),
        None
    );
    assert_eq!(store.last_sign_in(&person.device()).unwrap(), None);
    let devices = store.devices(person.id()).unwrap();
    assert!(
        devices
            .iter()
            .all(|device| device.label.is_empty() && device.revoked.is_some())
    );
    assert_eq!(
        refusal(store.sign_in(person.device(), START)),
        Reject::DEVICE_REVOKED
    );
    // Asked again, by its new name, it changes nothing.
    let again = store.leave(person.id(), false, START).unwrap();
    assert!(
        matches!(&again, Leaving::Left(done) if done.value == pseudonym),
        "{again:?}"
    );

    let taken = new(person.account.handle.as_str());
    assert_eq!(
        refusal(store.create_account(taken.clone(), START)),
        Reject::NAME_TAKEN
    );
    assert_eq!(
        refusal(store.create_account(new("left-0123abcd"), START)),
        Reject::NAME_INVALID
    );
    store.close().unwrap();
    drop(store);
    let store = cabinet.open();
    assert_eq!(
        refusal(store.create_account(taken, START)),
        Reject::NAME_TAKEN
    );
    store.create_account(new("left-alone"), START).unwrap();
    assert!(store.account(other.id()).unwrap().unwrap().is_active());
    store.verify_all().unwrap();
}

fn an_erasure_that_was_interrupted_is_finished_at_the_next_start(place: &Place) {
    let cabinet = Cabinet::new(place);
    let store = cabinet.open();
    let person = Person::settle_in(&store, 1, 0, 0);
    let id = person.id();
    store.change_profile(id, &mina(), START).unwrap();
    let wrapped = cabinet.wrapped(&id);
    let away = |cabinet: &Cabinet, from: &str, to: &str| {
        let sql = format!("ALTER TABLE madang_personal_{from} RENAME TO madang_personal_{to}");
        cabinet
            .client()
            .map(|mut client| client.batch_execute(&sql).unwrap())
    };
    // The key cannot be deleted: in a file's place is a folder, or the table has another name.
    let octets = fs::read(&wrapped).unwrap_or_default();
    if away(&cabinet, "keys", "away").is_none() {
        fs::remove_file(&wrapped).unwrap();
        fs::create_dir(&wrapped).unwrap();
    }
    let failed = store.leave(id, false, START);
    assert!(matches!(failed, Err(StoreError::Failed(_))), "{failed:?}");
    drop(store);
    if away(&cabinet, "away", "keys").is_none() {
        fs::remove_dir(&wrapped).unwrap();
        fs::write(&wrapped, octets).unwrap();
    }
    assert!(cabinet.has_data_key(&id));
    let store = cabinet.open();
    assert!(!cabinet.has_data_key(&id));
    let account = store.account(id).unwrap().unwrap();
    assert!(account.handle.as_str().starts_with("left-"));
    let entry = store.head().unwrap().seq;
    assert!(matches!(
        store.leave(id, false, START),
        Ok(Leaving::Left(_))
    ));
    assert_eq!(store.head().unwrap().seq, entry);
    store.verify_all().unwrap();
}
