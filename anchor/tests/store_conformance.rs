//! What every engine of the store must do. Each test takes the store from [`support::open`], so that another engine can take its place.

#![expect(clippy::unwrap_used, reason = "a test fails by panicking")]

mod support;

use madang_anchor::{
    ledger::account::AccountChange,
    store::{NewDevice, embedded::Embedded},
};
use madang_protocol::{
    amount::Amount,
    broker::Side,
    ids::{GrantId, PublicKey, RequestId},
    limits::PASSPORT_LIFE,
    record::{
        passport::Role,
        settlement::{Judgement, Verdict},
        usage::{UsageReport, UsageRow, Visitor},
    },
    reject::Reject,
    time::UnixMillis,
};
use support::{DAY, HOUR, Person, SECOND, START, key, later, open, refusal, seal, used, won};
use tempfile::TempDir;

struct Town {
    _dir: TempDir,
    store: Embedded,
    buyer: Person,
    seller: Person,
}

impl Town {
    fn new() -> Self {
        let dir = TempDir::new().unwrap();
        let store = open(dir.path());
        let buyer = Person::settle_in(&store, 1, 100_000, 0);
        let seller = Person::settle_in(&store, 2, 0, 500);
        Self {
            _dir: dir,
            store,
            buyer,
            seller,
        }
    }

    fn grant(
        &self,
        number: u64,
        amount: Amount,
        now: UnixMillis,
    ) -> madang_protocol::record::grant::Grant {
        let tariff = self.seller.tariff();
        let ask = self.buyer.ask(&self.seller, &tariff, amount, number, now);
        self.store.grant(&ask, now).unwrap().into_value()
    }

    fn available(&self) -> u64 {
        self.store
            .wallet(self.buyer.id())
            .unwrap()
            .available
            .micros()
            / 1_000_000
    }

    fn judgements(verdict: &Verdict) -> Vec<Judgement> {
        verdict.outcomes.iter().map(|one| one.judgement).collect()
    }
}

#[test]
fn a_handle_belongs_to_one_account_and_is_listed_once() {
    let town = Town::new();
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

#[test]
fn a_device_belongs_to_one_account_until_it_is_revoked_for_ever() {
    let town = Town::new();
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

#[test]
fn a_sign_in_is_recorded_and_a_closed_account_is_refused() {
    let town = Town::new();
    let device = town.buyer.device();
    let addresses = vec!["/ip4/192.0.2.1/tcp/1".to_owned()];
    town.store
        .sign_in(device, addresses.clone(), START)
        .unwrap();
    let last = town.store.last_sign_in(&device).unwrap().unwrap();
    assert_eq!((last.time, last.addresses), (START, addresses));
    town.store
        .change_account(town.buyer.id(), AccountChange::Close, START)
        .unwrap();
    assert_eq!(
        refusal(town.store.sign_in(device, vec![], START)),
        Reject::ACCOUNT_CLOSED
    );
    assert_eq!(
        town.store.revocations().unwrap().accounts,
        [town.buyer.id()]
    );
}

#[test]
fn a_top_up_moves_money_once() {
    let town = Town::new();
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

#[test]
fn the_same_request_is_granted_once_and_holds_once() {
    let town = Town::new();
    let tariff = town.seller.tariff();
    let ask = |now, amount| town.buyer.ask(&town.seller, &tariff, amount, 1, now);
    let first = town.store.grant(&ask(START, won(30_000)), START).unwrap();
    let soon = later(START, SECOND);
    let again = town.store.grant(&ask(soon, won(30_000)), soon).unwrap();
    assert_eq!(first.to_bytes(), again.to_bytes());
    assert_eq!(town.available(), 70_000);
    let other = town.store.grant(&ask(soon, won(30_001)), soon);
    assert_eq!(refusal(other), Reject::REQUEST_ID_REUSED);
    // Free use is reserved with the first grant: a second one has none.
    assert_eq!(first.quotas[0].requests, 3);
    assert_eq!(town.grant(2, won(1), START).quotas[0].requests, 0);
    town.store.verify_all().unwrap();
}

#[test]
fn what_must_not_be_granted_is_refused() {
    let town = Town::new();
    let tariff = town.seller.tariff();
    let ask = |number, amount| town.buyer.ask(&town.seller, &tariff, amount, number, START);
    let too_much = town.store.grant(&ask(1, won(100_001)), START);
    assert_eq!(refusal(too_much), Reject::CREDIT_INSUFFICIENT);
    let late = town.store.grant(&ask(2, won(1)), later(START, HOUR));
    assert_eq!(refusal(late), Reject::RECORD_EXPIRED);
    let own = town.buyer.tariff();
    let own = town.buyer.ask(&town.buyer, &own, won(1), 3, START);
    assert_eq!(refusal(town.store.grant(&own, START)), Reject::SELF_DEALING);
    let foreign = town
        .buyer
        .ask(&town.seller, &town.buyer.tariff(), won(1), 4, START);
    assert_eq!(
        refusal(town.store.grant(&foreign, START)),
        Reject::GRANT_NOT_FOR_US
    );
    let mut unenclosed = ask(5, won(1)).into_value();
    unenclosed.tariff = None;
    let unenclosed = seal(unenclosed, &town.buyer.key);
    assert_eq!(
        refusal(town.store.grant(&unenclosed, START)),
        Reject::TARIFF_UNKNOWN
    );
    town.store.grant(&ask(6, won(1)), START).unwrap();
    town.store.grant(&unenclosed, START).unwrap();
    town.store
        .revoke_device(town.seller.device(), START)
        .unwrap();
    assert_eq!(
        refusal(town.store.grant(&ask(7, won(1)), START)),
        Reject::DEVICE_REVOKED
    );
    town.store.verify_all().unwrap();
}

#[test]
fn a_batch_has_one_verdict_and_a_bad_receipt_spoils_nothing() {
    let town = Town::new();
    let tariff = town.seller.tariff();
    let grant = town.grant(1, won(30_000), START);
    let other = town.grant(2, won(1_000), START);
    let receipt = |grant, sequence, requests, is_final| {
        town.buyer
            .receipt(grant, &tariff, sequence, &used(requests, 0, 0), is_final)
    };
    // 3 requests are free under the first grant.
    let first = receipt(&grant, 1, 5, false);
    let second = receipt(&grant, 2, 9, false);
    let mut misrated = receipt(&other, 1, 1, false).claims().clone();
    misrated.amount = Amount::from_micros(1);
    let misrated = seal(misrated, &town.buyer.key).into_unverified();
    let mut forged = receipt(&other, 2, 2, false).claims().clone();
    forged.buyer = town.seller.device();
    let forged = seal(forged, &town.seller.key).into_unverified();
    let mut unknown = receipt(&other, 3, 2, false).claims().clone();
    unknown.grant = GrantId([0xee; 16]);
    let unknown = seal(unknown, &town.buyer.key).into_unverified();
    let receipts = vec![
        misrated,
        second.clone(),
        first.clone(),
        second,
        forged,
        unknown,
    ];
    let batch = town.seller.batch(1, receipts, vec![], START);
    let verdict = town.store.settle(&batch, START).unwrap();
    assert_eq!(
        Town::judgements(&verdict),
        [
            Judgement::Rejected(Reject::RECEIPT_MISRATED),
            Judgement::Applied,
            Judgement::Stale,
            Judgement::Duplicate,
            Judgement::Rejected(Reject::NOT_THE_BUYER),
            Judgement::Rejected(Reject::GRANT_UNKNOWN),
        ]
    );
    assert_eq!(verdict.outcomes[1].settled, won(3_000));
    assert_eq!(verdict.outcomes[1].earned, won(2_850));
    let again = town.store.settle(&batch, later(START, DAY)).unwrap();
    assert_eq!(verdict.to_bytes(), again.to_bytes());
    let reused = town.seller.batch(1, vec![first], vec![], START);
    assert_eq!(
        refusal(town.store.settle(&reused, START)),
        Reject::REQUEST_ID_REUSED
    );

    let seller = town.store.wallet(town.seller.id()).unwrap();
    let buyer = town.store.wallet(town.buyer.id()).unwrap();
    assert_eq!(seller.earned, won(2_850));
    assert_eq!((buyer.posted, buyer.held), (won(97_000), won(28_000)));
    town.store.verify_all().unwrap();
}

#[test]
fn somebody_else_cannot_settle_or_close() {
    let town = Town::new();
    let third = Person::settle_in(&town.store, 3, 10, 0);
    let grant = town.grant(1, won(1_000), START);
    let receipt = town
        .buyer
        .receipt(&grant, &town.seller.tariff(), 1, &used(4, 0, 0), true);
    let batch = third.batch(1, vec![receipt], vec![grant.id], START);
    let verdict = town.store.settle(&batch, START).unwrap();
    assert_eq!(
        Town::judgements(&verdict),
        [Judgement::Rejected(Reject::NOT_THE_SELLER)]
    );
    let close = third.close(grant.id, None, START);
    assert_eq!(
        refusal(town.store.close_grant(&close, START)),
        Reject::NOT_THE_BUYER
    );
    let status = town.store.grant_status(grant.id).unwrap().unwrap();
    assert!(!status.progress.seller_closed && status.progress.best.is_none());
}

#[test]
fn a_final_receipt_from_the_seller_ends_the_hold_and_returns_free_use() {
    let town = Town::new();
    let grant = town.grant(1, won(30_000), START);
    let receipt = town
        .buyer
        .receipt(&grant, &town.seller.tariff(), 1, &used(2, 1 << 20, 0), true);
    let batch = town.seller.batch(1, vec![receipt], vec![], START);
    town.store.settle(&batch, START).unwrap();
    assert_eq!(town.available(), 99_998);
    let higher = town.buyer.receipt(
        &grant,
        &town.seller.tariff(),
        2,
        &used(9, 1 << 20, 0),
        false,
    );
    let batch = town.seller.batch(2, vec![higher], vec![], START);
    let verdict = town.store.settle(&batch, START).unwrap();
    assert_eq!(
        Town::judgements(&verdict),
        [Judgement::Rejected(Reject::GRANT_CLOSED)]
    );
    assert_eq!(town.grant(2, won(1), START).quotas[0].requests, 1);
    town.store.verify_all().unwrap();
}

#[test]
fn a_pass_is_issued_when_it_is_settled_and_prolonged_by_the_next() {
    let town = Town::new();
    let grant = town.grant(1, won(30_000), START);
    let settle = |number, passes| {
        let receipt = town.buyer.receipt(
            &grant,
            &town.seller.tariff(),
            number,
            &used(0, 0, passes),
            false,
        );
        let batch = town.seller.batch(number, vec![receipt], vec![], START);
        town.store.settle(&batch, START).unwrap();
        town.store.passes(town.buyer.id(), START, 16).unwrap()
    };
    let first = settle(1, 1);
    assert_eq!((first.len(), first[0].until), (1, later(START, 30 * DAY)));
    assert_eq!(first[0].pattern, "/club/**");
    let second = settle(2, 3);
    assert_eq!((second.len(), second[0].until), (1, later(START, 90 * DAY)));
    let end = later(START, 90 * DAY);
    assert!(
        town.store
            .passes(town.buyer.id(), end, 16)
            .unwrap()
            .is_empty()
    );
}

#[test]
fn a_buyer_who_closes_waits_for_the_sellers_presence_of_a_day() {
    let town = Town::new();
    let grant = town.grant(1, won(30_000), START);
    let receipt = town
        .buyer
        .receipt(&grant, &town.seller.tariff(), 1, &used(5, 0, 0), true);
    let close = town.buyer.close(grant.id, Some(receipt), START);
    town.store.close_grant(&close, START).unwrap();
    // The receipt that the buyer shows is paid at once.
    assert_eq!(
        town.store.wallet(town.seller.id()).unwrap().earned,
        won(950)
    );
    assert_eq!(town.available(), 70_000);
    let mut now = START;
    let mut released_at = None;
    // Present every half hour, but away from hour 6 to hour 12.
    for half_hour in 0..80_u64 {
        now = later(START, half_hour * HOUR / 2);
        if !(12..24).contains(&half_hour) {
            town.store
                .presence_seen(town.seller.device(), false, now)
                .unwrap();
        }
        while town.store.tick(now).unwrap() {}
        if town.available() == 99_000 {
            released_at = Some(half_hour / 2);
            break;
        }
    }
    let released_at = released_at.unwrap();
    assert!(
        (30..=32).contains(&released_at),
        "released after {released_at} h"
    );
    town.store.verify_all().unwrap();
    assert!(!town.store.tick(now).unwrap());
}

#[test]
fn a_seller_who_never_comes_is_waited_for_three_days_and_the_same_close_changes_nothing() {
    let town = Town::new();
    let grant = town.grant(1, won(30_000), START);
    let close = town.buyer.close(grant.id, None, START);
    town.store.close_grant(&close, START).unwrap();
    let entry = town.store.head().seq;
    town.store.close_grant(&close, later(START, HOUR)).unwrap();
    assert_eq!(town.store.head().seq, entry);
    let almost = later(START, 72 * HOUR - 1);
    while town.store.tick(almost).unwrap() {}
    assert_eq!(town.available(), 70_000);
    let past = later(START, 72 * HOUR + 1);
    while town.store.tick(past).unwrap() {}
    assert_eq!(town.available(), 100_000);
}

#[test]
fn both_ends_closed_release_at_once_in_either_order() {
    for seller_first in [false, true] {
        let town = Town::new();
        let grant = town.grant(1, won(30_000), START);
        let close = town.buyer.close(grant.id, None, START);
        let batch = town.seller.batch(1, vec![], vec![grant.id], START);
        if seller_first {
            town.store.settle(&batch, START).unwrap();
            assert_eq!(town.available(), 70_000);
            town.store.close_grant(&close, START).unwrap();
        } else {
            town.store.close_grant(&close, START).unwrap();
            assert_eq!(town.available(), 70_000);
            town.store.settle(&batch, START).unwrap();
        }
        assert_eq!(town.available(), 100_000);
        town.store.verify_all().unwrap();
    }
}

#[test]
fn after_settle_until_nothing_settles_and_only_the_bill_stays() {
    let town = Town::new();
    let (used_grant, unused) = (
        town.grant(1, won(30_000), START),
        town.grant(2, won(500), START),
    );
    let receipt = |sequence, requests| {
        town.buyer.receipt(
            &used_grant,
            &town.seller.tariff(),
            sequence,
            &used(requests, 0, 0),
            false,
        )
    };
    let (first, second) = (receipt(1, 5), receipt(2, 6));
    let batch = town.seller.batch(1, vec![first.clone()], vec![], START);
    town.store.settle(&batch, START).unwrap();
    let past = later(used_grant.settle_until, 1);
    let batch = town.seller.batch(2, vec![second, first], vec![], past);
    let verdict = town.store.settle(&batch, past).unwrap();
    assert_eq!(
        Town::judgements(&verdict),
        [
            Judgement::Rejected(Reject::SETTLE_TOO_LATE),
            Judgement::Duplicate
        ]
    );
    while town.store.tick(past).unwrap() {}
    assert_eq!(town.available(), 99_000);
    assert_eq!(town.store.grant_status(unused.id).unwrap(), None);
    let bill = town.store.bill(town.buyer.id(), None, 10).unwrap();
    assert_eq!(bill.lines.len(), 1);
    assert_eq!(
        (
            bill.lines[0].side,
            bill.lines[0].debit,
            bill.lines[0].earned
        ),
        (Side::Purchase, won(1_000), won(950))
    );
    let audit = town.store.verify_all().unwrap();
    assert_eq!((audit.grants, audit.open), (1, 0));
}

#[test]
fn a_bill_is_paged_without_gaps_for_both_sides() {
    let town = Town::new();
    let tariff = town.seller.tariff();
    let mut receipts = Vec::new();
    for number in 0..7 {
        let grant = town.grant(number, won(1_000), START);
        if number != 3 {
            receipts.push(
                town.buyer
                    .receipt(&grant, &tariff, 1, &used(0, 1 << 20, 0), true),
            );
        }
    }
    let settled: Vec<GrantId> = receipts
        .iter()
        .map(|one| one.claims().grant)
        .rev()
        .collect();
    town.store
        .settle(&town.seller.batch(1, receipts, vec![], START), START)
        .unwrap();
    for (person, side) in [(&town.buyer, Side::Purchase), (&town.seller, Side::Sale)] {
        let (mut before, mut seen) = (None, Vec::new());
        loop {
            let page = town.store.bill(person.id(), before, 2).unwrap();
            assert!(page.lines.len() <= 2 && page.lines.iter().all(|line| line.side == side));
            seen.extend(page.lines.iter().map(|line| line.grant));
            before = page.more_before;
            if before.is_none() {
                break;
            }
        }
        assert_eq!(seen, settled);
    }
}

#[test]
fn a_usage_report_is_replaced_by_a_later_one_only() {
    let town = Town::new();
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
    let entry = town.store.head().seq;
    town.store.usage(&report(2, today.0, 10), START).unwrap();
    assert_eq!(town.store.head().seq, entry);
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
