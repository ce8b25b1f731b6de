//! Organisations: members, tax, and paying between them and persons.

use crate::support::{Person, START, refusal, used, won};
use madang_anchor::{
    ledger::{
        account::AccountClass,
        organisation::{MemberRole, OrganisationChange},
        policy::Policy,
    },
    store::{NewDevice, Store},
};
use madang_protocol::{
    ids::PublicKey,
    record::{
        network::{Tax, TaxMode},
        passport::Role,
    },
    reject::Reject,
    rules::settlement::debit_of,
};

use crate::{
    Check,
    support::{Place, key},
};

pub(crate) const CHECKS: &[Check] = &[
    Check::new(
        "members_of_an_organisation_are_persons_with_an_owner_among_them",
        members_of_an_organisation_are_persons_with_an_owner_among_them,
    ),
    Check::new(
        "a_person_and_an_organisation_pay_each_other_and_its_charge_is_reversed",
        a_person_and_an_organisation_pay_each_other_and_its_charge_is_reversed,
    ),
];

const TAX: Tax = Tax {
    rate_bp: 1_000,
    mode: TaxMode::Inclusive,
};

fn town(place: &Place) -> (Store, Option<tempfile::TempDir>, Person, Person) {
    let policy = Policy {
        tax: TAX,
        ..Policy::DEFAULT
    };
    let (store, dir) = place.open_under(policy);
    let person = Person::settle_in(&store, 1, 100_000, 1_000);
    let class = AccountClass::Organisation;
    let organisation = Person::settle_in_as(class, &store, 2, 100_000, 1_000);
    (store, dir, person, organisation)
}

fn members_of_an_organisation_are_persons_with_an_owner_among_them(place: &Place) {
    let (store, _dir, person, yard) = town(place);
    let other = Person::settle_in(&store, 3, 0, 0);
    let member = |id, who: &Person, role| {
        let person = who.id();
        store.change_organisation(id, OrganisationChange::Member { person, role }, START)
    };
    let (owner, billing) = (Some(MemberRole::Owner), Some(MemberRole::Billing));
    assert_eq!(
        refusal(member(person.id(), &other, owner)),
        Reject::NOT_AN_ORGANISATION
    );
    assert_eq!(
        refusal(member(yard.id(), &yard, owner)),
        Reject::NOT_A_PERSON
    );
    assert_eq!(
        refusal(member(yard.id(), &person, billing)),
        Reject::OWNER_NEEDED
    );
    member(yard.id(), &person, owner).unwrap();
    member(yard.id(), &other, billing).unwrap();
    let entry = store.head().unwrap().seq;
    member(yard.id(), &other, billing).unwrap();
    assert_eq!(store.head().unwrap().seq, entry);
    assert_eq!(
        refusal(member(yard.id(), &person, None)),
        Reject::OWNER_NEEDED
    );
    let kept = store.organisation(yard.id()).unwrap();
    assert_eq!(kept.role_of(&person.id()), owner);
    assert_eq!(kept.role_of(&other.id()), billing);
    assert_eq!(kept.role_of(&yard.id()), None);
    member(yard.id(), &other, None).unwrap();
    assert_eq!(store.organisations_of(other.id()).unwrap(), []);
    assert_eq!(store.organisations_of(person.id()).unwrap(), [yard.id()]);
    store.verify_all().unwrap();
}

/// What `buyer` is debited and `seller` earns for two requests at 500 won, in micros, with the grant's tax.
fn pay(store: &Store, buyer: &Person, seller: &Person, number: u64) -> (u64, u64, Tax) {
    let before = store.wallet(buyer.id()).unwrap().posted;
    let earned = store.wallet(seller.id()).unwrap().earned;
    let tariff = seller.tariff();
    let ask = buyer.ask(seller, &tariff, won(2_000), number, START);
    let grant = store.grant(&ask, START).unwrap().into_value();
    let held = store.wallet(buyer.id()).unwrap().held;
    assert_eq!(held, debit_of(won(2_000), grant.tax));
    let counters = used(grant.quotas[0].requests + 2, 0, 0);
    let receipt = buyer.receipt(&grant, &tariff, 1, &counters, true);
    let batch = seller.batch(number, vec![receipt], vec![], START);
    store.settle(&batch, START).unwrap();
    let debit = before.micros() - store.wallet(buyer.id()).unwrap().posted.micros();
    assert_eq!(debit, debit_of(won(1_000), grant.tax).micros());
    assert!(debit <= debit_of(won(1_000), TAX).micros());
    let earned = store.wallet(seller.id()).unwrap().earned.micros() - earned.micros();
    (debit, earned, grant.tax)
}

fn a_person_and_an_organisation_pay_each_other_and_its_charge_is_reversed(place: &Place) {
    let (store, _dir, person, yard) = town(place);
    // 1,000 won contain 90.90909 of tax; 10 % of the rest is the provider's.
    let share = 818_181_819;
    assert_eq!(pay(&store, &person, &yard, 1), (1_000_000_000, share, TAX));
    assert_eq!(pay(&store, &yard, &person, 2), (1_000_000_000, share, TAX));
    let tax = |tax_id: Option<&str>, reverse_charge| {
        let tax_id = tax_id.map(|id| id.parse().unwrap());
        let change = OrganisationChange::Tax {
            tax_id,
            reverse_charge,
        };
        store.change_organisation(yard.id(), change, START)
    };
    assert_eq!(refusal(tax(None, true)), Reject::TAX_ID_NEEDED);
    tax(Some("123-45-67890"), true).unwrap();
    // the seller gets the same, the organisation pays the net amount; what it sells is taxed as before.
    let reversed = TAX.reversed();
    assert_eq!(
        pay(&store, &yard, &person, 3),
        (909_090_910, share, reversed)
    );
    assert_eq!(pay(&store, &person, &yard, 4), (1_000_000_000, share, TAX));
    // Another device under the same handle pays from the same wallet.
    let second = Person {
        account: yard.account.clone(),
        key: key(77),
    };
    let device = NewDevice {
        account: yard.id(),
        key: PublicKey::of(&second.key),
        label: "second".into(),
        role: Role::Subscriber,
    };
    store.enrol_device(device, START).unwrap();
    assert_eq!(
        pay(&store, &second, &person, 5),
        (909_090_910, share, reversed)
    );
    store.verify_all().unwrap();
}
