//! The records of a shop with many grants.

use madang_protocol::{
    amount::Amount,
    ids::{AccountId, BatchId, GrantId, KeyId, RecordHash, RequestId},
    name::SiteName,
    record::{
        grant::Grant,
        network::Tax,
        receipt::{Counters, Receipt},
        settlement::{Judgement, Outcome, SettleBatch, Verdict},
        tariff::{PassOffer, Tariff},
    },
    rules::metering::RequestKey,
    sealed::Unverified,
    time::UnixMillis,
};

pub(super) use crate::pay::testing::{DAY, HOUR, NOW, id, later};
use crate::{
    pay::testing::{self, BUYER, ISSUER, SELLER, public, seal},
    store::{Event, NodeStore, PassRow},
};

pub(super) fn ago(by: u64) -> UnixMillis {
    UnixMillis(NOW.0 - by)
}

pub(super) fn site() -> SiteName {
    "alice".parse().unwrap()
}

pub(super) fn number(id: GrantId) -> usize {
    usize::try_from(u128::from_be_bytes(id.0)).unwrap()
}

pub(super) fn grant(number: usize, issued: UnixMillis) -> Unverified<Grant> {
    testing::grant(number, &site(), Tax::NONE, issued)
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
        buyer: public(BUYER),
        grant: id(number),
        tariff: tariff(None).tariff_hash(),
        sequence,
        counters: Some(counters).filter(is_used).into_iter().collect(),
        amount: Amount::from_micros(counters.requests),
        time: NOW,
        is_final,
    };
    seal(receipt, BUYER)
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
        device: public(SELLER),
        id: BatchId([number; 16]),
        receipts: store.to_settle().unwrap(),
        closed: Vec::new(),
        time: NOW,
    };
    seal(batch, SELLER)
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
        issuer: KeyId::of(&public(ISSUER)),
        batch: batch.claims().id,
        batch_hash: RecordHash([0; 32]),
        outcomes: batch.claims().receipts.iter().map(applied).collect(),
        entry: 1,
        time: NOW,
    };
    Event::VerdictHeld(seal(verdict, ISSUER))
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
    testing::tariff(&site(), pass)
}

fn is_used(counters: &Counters) -> bool {
    *counters != Counters::default()
}
