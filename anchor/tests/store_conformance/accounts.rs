//! Accounts, devices, sign-ins, top-ups, usage reports.

use crate::support::{START, key, later, refusal, seal, won};
use madang_anchor::{ledger::account::AccountChange, store::NewDevice};
use madang_protocol::{
    amount::Amount,
    ids::{PublicKey, RequestId},
    limits::PASSPORT_LIFE,
    record::{
        passport::Role,
        usage::{UsageReport, UsageRow, Visitor},
    },
    reject::Reject,
};

use crate::{Check, support::Place, town::Town};

pub(crate) const CHECKS: &[Check] = &[
    Check::new(
        "a_handle_belongs_to_one_account_and_is_listed_once",
        a_handle_belongs_to_one_account_and_is_listed_once,
    ),
    Check::new(
        "a_device_belongs_to_one_account_until_it_is_revoked_for_ever",
        a_device_belongs_to_one_account_until_it_is_revoked_for_ever,
    ),
    Check::new(
        "a_sign_in_is_recorded_and_a_closed_account_is_refused",
        a_sign_in_is_recorded_and_a_closed_account_is_refused,
    ),
    Check::new("a_top_up_moves_money_once", a_top_up_moves_money_once),
    Check::new(
        "a_usage_report_is_replaced_by_a_later_one_only",
        a_usage_report_is_replaced_by_a_later_one_only,
    ),
];

fn a_handle_belongs_to_one_account_and_is_listed_once(place: &Place) {
    let town = Town::new(place);
    let again = madang_anchor::store::NewAccount {
        handle: town.buyer.account.handle.clone(),
        class: town.buyer.account.class,
        commission_bp: 0,
        credit_limit: Amount::ZERO,
        password_hash: town.buyer.account.password_hash.clone(),
    };
    assert_eq!(
        refusal(town.store.create_account(again, START)),
        Reject::NAME_TAKEN
    );
    let first = town.store.accounts(None, 1).unwrap();
    assert_eq!(first[0].id, town.buyer.id());
    let rest = town.store.accounts(Some(&first[0].handle), 10).unwrap();
    assert_eq!(rest.len(), 1);
    let found = town
        .store
        .account_by_handle(&rest[0].handle)
        .unwrap()
        .unwrap();
    assert_eq!(found, town.seller.account);
}

fn a_device_belongs_to_one_account_until_it_is_revoked_for_ever(place: &Place) {
    let town = Town::new(place);
    let enrol = |account, key| NewDevice {
        account,
        key,
        label: "x".into(),
        role: Role::Subscriber,
    };
    let device = town.buyer.device();
    town.store
        .enrol_device(enrol(town.buyer.id(), device), START)
        .unwrap();
    let taken = town
        .store
        .enrol_device(enrol(town.seller.id(), device), START);
    assert_eq!(refusal(taken), Reject::DEVICE_TAKEN);
    // The identity point, for which anyone can sign.
    let mut weak = [0; 32];
    weak[0] = 1;
    let weak = town
        .store
        .enrol_device(enrol(town.buyer.id(), PublicKey(weak)), START);
    assert_eq!(refusal(weak), Reject::KEY_WEAK);
    for number in 100..115 {
        let device = PublicKey::of(&key(number));
        town.store
            .enrol_device(enrol(town.buyer.id(), device), START)
            .unwrap();
    }
    let one_more = PublicKey::of(&key(115));
    let one_more = town
        .store
        .enrol_device(enrol(town.buyer.id(), one_more), START);
    assert_eq!(refusal(one_more), Reject::DEVICES_TOO_MANY);

    town.store.revoke_device(device, START).unwrap();
    assert_eq!(
        refusal(town.store.authorised(&device)),
        Reject::DEVICE_REVOKED
    );
    let again = town
        .store
        .enrol_device(enrol(town.buyer.id(), device), START);
    assert_eq!(refusal(again), Reject::DEVICE_REVOKED);
    let list = town.store.revocations().unwrap();
    assert_eq!((list.sequence, list.devices), (1, vec![device]));
    let past = later(START, PASSPORT_LIFE.as_millis() as u64 + 1);
    assert!(!town.store.tick(past).unwrap());
    let list = town.store.revocations().unwrap();
    assert_eq!((list.sequence, list.devices), (2, vec![]));
}

fn a_sign_in_is_recorded_and_a_closed_account_is_refused(place: &Place) {
    let town = Town::new(place);
    let device = town.buyer.device();
    town.store.sign_in(device, START).unwrap();
    let last = town.store.last_sign_in(&device).unwrap().unwrap();
    assert_eq!(last.time, START);
    town.store
        .change_account(town.buyer.id(), AccountChange::Close, START)
        .unwrap();
    assert_eq!(
        refusal(town.store.sign_in(device, START)),
        Reject::ACCOUNT_CLOSED
    );
    assert_eq!(
        town.store.revocations().unwrap().accounts,
        [town.buyer.id()]
    );
}

fn a_top_up_moves_money_once(place: &Place) {
    let town = Town::new(place);
    let id = town.buyer.id();
    let request = RequestId([9; 16]);
    let first = town.store.top_up(id, won(5), request, START).unwrap();
    let again = town
        .store
        .top_up(id, won(5), request, later(START, 1))
        .unwrap();
    assert_eq!(first.entry, again.entry);
    let other = town.store.top_up(id, won(6), request, START);
    assert_eq!(refusal(other), Reject::REQUEST_ID_REUSED);
    assert_eq!(town.available(), 100_005);
    let too_much = Amount::from_micros(1 << 62);
    let too_much = town.store.top_up(id, too_much, RequestId([8; 16]), START);
    assert_eq!(refusal(too_much), Reject::AMOUNT_TOO_LARGE);
}

fn a_usage_report_is_replaced_by_a_later_one_only(place: &Place) {
    let town = Town::new(place);
    let report = |sequence, day: u32, bytes| {
        let row = UsageRow {
            site: town.seller.site(),
            group: None,
            visitor: Visitor::Stranger,
            requests_free: 1,
            requests_paid: 0,
            bytes,
            sessions: 1,
        };
        let report = UsageReport {
            device: town.seller.device(),
            day: madang_protocol::time::Day(day),
            sequence,
            rows: vec![row],
            time: START,
        };
        seal(report, &town.seller.key)
    };
    let today = START.day();
    town.store.usage(&report(2, today.0, 10), START).unwrap();
    let entry = town.store.head().unwrap().seq;
    town.store.usage(&report(2, today.0, 10), START).unwrap();
    assert_eq!(town.store.head().unwrap().seq, entry);
    assert_eq!(
        refusal(town.store.usage(&report(2, today.0, 11), START)),
        Reject::SEQUENCE_OLD
    );
    town.store.usage(&report(3, today.0, 12), START).unwrap();
    let kept = town
        .store
        .usage_report(&town.seller.device(), today)
        .unwrap()
        .unwrap();
    assert_eq!(kept.claims().rows[0].bytes, 12);
    let old = town.store.usage(&report(1, today.0 - 8, 1), START);
    assert_eq!(refusal(old), Reject::RECORD_EXPIRED);
    let ahead = town.store.usage(&report(1, today.0 + 2, 1), START);
    assert_eq!(refusal(ahead), Reject::RECORD_FROM_FUTURE);
}
