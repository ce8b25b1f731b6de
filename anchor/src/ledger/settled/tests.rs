//! Events as they are written, and what breaks an invariant.

use std::collections::BTreeMap;

use madang_protocol::{
    amount::Currency,
    ids::{AccountId, KeyId, RequestId, TariffHash},
    record::{grant::Funding, network::Tax, receipt::Counters, tariff::Quota},
    rules::settlement::{hold_for, split},
};
use proptest::prelude::*;

use super::*;
use crate::ledger::{books::Entry, entry::balance, event, view::testing::MapTables};

const GRANT: GrantId = GrantId([1; 16]);

fn terms(amount_max: u64, commission_bp: u16) -> Terms {
    let amount_max = Amount::from_micros(amount_max);
    Terms {
        issuer: KeyId([2; 8]),
        buyer: AccountId([3; 16]),
        buyer_key: PublicKey([4; 32]),
        seller: AccountId([5; 16]),
        seller_key: PublicKey([6; 32]),
        site: "alice".into(),
        tariff: TariffHash([7; 32]),
        currency: Currency::KRW,
        amount_max,
        hold: hold_for(amount_max, Tax::NONE).unwrap(),
        tax: Tax::NONE,
        commission_bp,
        funding: Funding::Prepaid,
        predecessor: None,
        request: RequestId([8; 16]),
        issued: UnixMillis(1),
        spend_until: UnixMillis(2),
        settle_until: UnixMillis(3),
        quotas: vec![Quota::default()],
        quota_keys: vec![],
        entry: 4,
        lots: vec![],
    }
}

fn settled(amount: u64, commission_bp: u16) -> Settled {
    let amount = Amount::from_micros(amount);
    let best = Best {
        sequence: 9,
        amount,
        split: split(amount, Tax::NONE, commission_bp).unwrap(),
        receipt: RecordHash([10; 32]),
        is_final: false,
        counters: vec![Counters {
            requests: 1,
            bytes: 2,
            milliseconds: 3,
            passes: 4,
        }],
    };
    Settled {
        source: Source::Batch {
            device: PublicKey([6; 32]),
            id: BatchId([11; 16]),
            hash: RecordHash([12; 32]),
        },
        time: UnixMillis(2),
        outcomes: vec![Outcome {
            grant: GRANT,
            judgement: Judgement::Rejected(Reject::RECEIPT_MISRATED),
            settled: amount,
            earned: amount,
        }],
        moves: vec![Move {
            grant: GRANT,
            best,
            since: None,
            closes_seller: true,
            ends_hold: false,
            passes: vec![PassHeld {
                account: AccountId([3; 16]),
                site: "alice".into(),
                pattern: "/**".into(),
                grant: GRANT,
                issued: UnixMillis(2),
                until: UnixMillis(5),
            }],
            sealed: vec![13; 100],
        }],
        seller_closed: vec![GrantId([14; 16])],
        ended: vec![GrantId([15; 16]), GrantId([16; 16])],
    }
}

/// Rows with one open grant, held on an empty wallet.
fn held(terms: &Terms) -> MapTables {
    let mut tables = MapTables::default();
    terms::put(&mut tables, &GRANT, terms).unwrap();
    let mut posting = Posting::new(terms.currency);
    posting
        .hold(
            LedgerAccount::Wallet(terms.buyer),
            i128::from(terms.hold.micros()),
        )
        .unwrap();
    posting.hold_only(&mut tables).unwrap();
    tables
}

#[test]
fn an_event_is_read_as_it_was_written_and_every_cut_is_refused() {
    let settled = settled(500, 100);
    let payload = settled.to_payload();
    assert_eq!(Settled::unpack(3, &payload).unwrap(), settled);
    for end in 0..payload.len() {
        assert!(matches!(
            Settled::unpack(3, &payload[..end]),
            Err(Fault::Unreadable(Table::Journal))
        ));
    }
}

#[test]
fn money_moves_from_the_hold_and_an_event_that_breaks_an_invariant_is_refused() {
    let terms = terms(1_000, 100);
    let mut plain = settled(500, 100);
    (plain.seller_closed, plain.ended) = (vec![], vec![]);
    let mut tables = held(&terms);
    event::apply(&mut tables, 20, &plain.to_payload()).unwrap();
    let micros = |account| balance(&tables, account, Currency::KRW).unwrap();
    let wallet = micros(LedgerAccount::Wallet(terms.buyer));
    assert_eq!((wallet.posted, wallet.held), (-500, 500));
    assert_eq!(micros(LedgerAccount::Earnings(terms.seller)).posted, 495);
    assert_eq!(micros(LedgerAccount::Commission).posted, 5);

    let broken = |change: &dyn Fn(&mut Best)| {
        let mut event = plain.clone();
        event.moves[0].since = Some(Before::of(&plain.moves[0].best));
        change(&mut event.moves[0].best);
        match event::apply(&mut tables.clone(), 21, &event.to_payload()) {
            Err(Fault::Broken(invariant)) => invariant,
            other => panic!("an invariant is named: {other:?}"),
        }
    };
    let one = Amount::from_micros(1);
    assert_eq!(broken(&|best| best.split.tax = one), Invariant::SplitWhole);
    assert_eq!(
        broken(&|best| best.split = split(one, Tax::NONE, 0).unwrap()),
        Invariant::SettledWithinGrant
    );
    assert_eq!(
        broken(&|best| best.amount = Amount::MAX),
        Invariant::SettledWithinGrant
    );
    // L-17
    let mut again = plain.clone();
    again.moves[0].best.sequence = 10;
    assert!(matches!(
        event::apply(&mut tables.clone(), 21, &again.to_payload()),
        Err(Fault::Broken(Invariant::SettledBefore))
    ));
    let mut twice = plain.clone();
    twice.ended = vec![GRANT, GRANT];
    assert!(event::apply(&mut tables.clone(), 21, &twice.to_payload()).is_err());
}

proptest! {
    #[test]
    fn hostile_octets_are_refused_without_a_panic(octets in proptest::collection::vec(any::<u8>(), 0..200), version in 0..5_u8) {
        let mut payload = vec![version];
        payload.extend_from_slice(&octets);
        let mut tables = held(&terms(1_000, 100));
        let before = tables.clone();
        // Random octets may be a valid event that changes nothing; none may end in a panic or move money.
        if event::apply(&mut tables, 1, &payload).is_err() {
            tables = before.clone();
        }
        let wallet = LedgerAccount::Wallet(AccountId([3; 16]));
        prop_assert_eq!(
            balance(&tables, wallet, Currency::KRW).unwrap(),
            balance(&before, wallet, Currency::KRW).unwrap()
        );
        let mut row = vec![VERSION];
        row.extend_from_slice(&octets);
        let _ = (Terms::of_row(&row).is_ok(), Judged::of_row(&row).is_ok());
    }

    #[test]
    fn steps_of_any_size_sum_to_the_same_as_one(amounts in proptest::collection::btree_set(1..=1_u64 << 53, 1..6), commission_bp in 0..=10_000_u16) {
        let terms = terms(1 << 53, commission_bp);
        let (mut stepwise, mut at_once) = (held(&terms), held(&terms));
        // The books have a row for each entry: the same number for all, so that what stays is the last step, and the sum is taken apart.
        let mut moved: BTreeMap<LedgerAccount, i64> = BTreeMap::new();
        let mut apply = |tables: &mut MapTables, amount, sign| {
            let mut event = settled(amount, commission_bp);
            (event.seller_closed, event.ended) = (vec![], vec![]);
            let before = progress::get(tables, &GRANT).unwrap();
            event.moves[0].since = before.best.as_ref().map(Before::of);
            event::apply(tables, 1, &event.to_payload()).unwrap();
            for leg in tables.0.remove(&(Table::Entry as u8, 1_u64.to_be_bytes().into())).map_or_else(Vec::new, |row| Entry::of_row(&row).unwrap().legs) {
                *moved.entry(leg.account).or_default() += sign * leg.micros;
            }
        };
        for amount in &amounts {
            apply(&mut stepwise, *amount, 1);
        }
        apply(&mut at_once, *amounts.last().unwrap(), -1);
        prop_assert_eq!(stepwise, at_once);
        prop_assert!(moved.values().all(|left| *left == 0));
    }
}
