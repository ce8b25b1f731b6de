//! The records of a shop with many grants.

use ed25519_dalek::SigningKey;
use madang_protocol::{
    amount::{Amount, Currency},
    ids::{AccountId, BatchId, GrantId, KeyId, NetworkId, PublicKey, RecordHash, RequestId},
    name::SiteName,
    record::{
        grant::{Funding, Grant},
        network::Tax,
        receipt::{Counters, Receipt},
        settlement::{Judgement, Outcome, SettleBatch, Verdict},
        tariff::{Audience, PassOffer, Quota, Rule, Tariff},
    },
    rules::metering::RequestKey,
    sealed::{Record, Sealed, Unverified},
    time::UnixMillis,
};

use crate::store::{Event, NodeStore, PassRow};

pub(super) const NOW: UnixMillis = UnixMillis(1_795_305_600_000);
pub(super) const HOUR: u64 = 3_600_000;
pub(super) const DAY: u64 = 24 * HOUR;

pub(super) fn later(time: UnixMillis, by: u64) -> UnixMillis {
    UnixMillis(time.0 + by)
}

pub(super) fn ago(by: u64) -> UnixMillis {
    UnixMillis(NOW.0 - by)
}

pub(super) fn site() -> SiteName {
    "alice".parse().unwrap()
}

pub(super) fn id(number: usize) -> GrantId {
    GrantId((number as u128).to_be_bytes())
}

pub(super) fn number(id: GrantId) -> usize {
    usize::try_from(u128::from_be_bytes(id.0)).unwrap()
}

/// A grant that is spent for an hour and settled for two weeks.
pub(super) fn grant(number: usize, issued: UnixMillis) -> Unverified<Grant> {
    let grant = Grant {
        issuer: KeyId::of(&PublicKey::of(&key(3))),
        id: id(number),
        buyer: AccountId([2; 16]),
        buyer_key: PublicKey::of(&key(2)),
        seller: AccountId([1; 16]),
        seller_key: PublicKey::of(&key(1)),
        site: site(),
        tariff: tariff(None).tariff_hash(),
        currency: Currency::KRW,
        amount_max: Amount::from_micros(1 << 40),
        quotas: vec![Quota::default()],
        tax: Tax::NONE,
        commission_bp: 0,
        funding: Funding::Prepaid,
        predecessor: None,
        issued,
        spend_until: later(issued, HOUR),
        settle_until: later(issued, 14 * DAY),
    };
    seal(grant, 3)
}

pub(super) fn held(number: usize, issued: UnixMillis, pass: Option<PassOffer>) -> Event {
    Event::GrantHeld {
        request: RequestId([0; 16]),
        grant: grant(number, issued),
        tariff: tariff(pass),
    }
}

/// A receipt for `amount`, one for each of so many requests.
pub(super) fn receipt(
    number: usize,
    sequence: u64,
    amount: u64,
    is_final: bool,
) -> Unverified<Receipt> {
    let counters = Counters {
        requests: amount,
        ..Counters::default()
    };
    receipt_of(number, sequence, counters, is_final)
}

pub(super) fn receipt_of(
    number: usize,
    sequence: u64,
    counters: Counters,
    is_final: bool,
) -> Unverified<Receipt> {
    let receipt = Receipt {
        buyer: PublicKey::of(&key(2)),
        grant: id(number),
        tariff: tariff(None).tariff_hash(),
        sequence,
        counters: Some(counters).filter(is_used).into_iter().collect(),
        amount: Amount::from_micros(counters.requests),
        time: NOW,
        is_final,
    };
    seal(receipt, 2)
}

pub(super) fn served(number: usize, key: u64) -> Event {
    let mut octets = [0; 16];
    octets[..8].copy_from_slice(&key.to_be_bytes());
    Event::RequestServed {
        grant: id(number),
        rule: 0,
        key: Some(RequestKey(octets)),
    }
}

/// What the store has to settle, as a batch.
pub(super) fn batch(store: &NodeStore, number: u8) -> Unverified<SettleBatch> {
    let batch = SettleBatch {
        device: PublicKey::of(&key(1)),
        id: BatchId([number; 16]),
        receipts: store.to_settle().unwrap(),
        closed: Vec::new(),
        time: NOW,
    };
    seal(batch, 1)
}

/// Everything in it is applied.
pub(super) fn verdict(batch: &Unverified<SettleBatch>) -> Event {
    let applied = |receipt: &Unverified<Receipt>| Outcome {
        grant: receipt.claims().grant,
        judgement: Judgement::Applied,
        settled: receipt.claims().amount,
        earned: receipt.claims().amount,
    };
    let verdict = Verdict {
        issuer: KeyId::of(&PublicKey::of(&key(3))),
        batch: batch.claims().id,
        batch_hash: RecordHash([0; 32]),
        outcomes: batch.claims().receipts.iter().map(applied).collect(),
        entry: 1,
        time: NOW,
    };
    Event::VerdictHeld(seal(verdict, 3))
}

pub(super) fn pass(number: usize, until: UnixMillis) -> PassRow {
    PassRow {
        account: AccountId([2; 16]),
        site: site(),
        pattern: format!("/{number}/**"),
        grant: id(number),
        until,
    }
}

pub(super) fn tariff(pass: Option<PassOffer>) -> Unverified<Tariff> {
    let rule = Rule {
        pattern: "/**".into(),
        audience: Audience::Anyone,
        per_request: Amount::from_micros(1),
        per_mib: Amount::ZERO,
        per_minute: Amount::ZERO,
        pass,
        quota: Quota::default(),
        quota_period_days: 0,
    };
    let tariff = Tariff {
        device: PublicKey::of(&key(1)),
        site: site(),
        currency: Currency::KRW,
        rules: vec![rule],
        valid_from: NOW,
        valid_until: later(NOW, DAY),
        sequence: 1,
    };
    seal(tariff, 1)
}

fn is_used(counters: &Counters) -> bool {
    *counters != Counters::default()
}

fn seal<T: Record>(record: T, by: u8) -> Unverified<T> {
    let sealed = Sealed::sign(record, NetworkId([7; 16]), &key(by));
    sealed.unwrap().into_unverified()
}

fn key(number: u8) -> SigningKey {
    SigningKey::from_bytes(&[number; 32])
}
