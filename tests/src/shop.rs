//! A node's shop as the processes write it that are killed, and as the tests read it that kill them: records of a few grants, and the lines in
//! which a process says what it does.

use std::collections::BTreeMap;

use ed25519_dalek::SigningKey;
use madang_protocol::{
    amount::Amount,
    ids::{BatchId, GrantId, KeyId, NetworkId, PublicKey, RecordHash, TariffHash},
    record::{
        receipt::{Counters, Receipt},
        settlement::{Judgement, Outcome, SettleBatch, Verdict},
    },
    reject::Reject,
    sealed::{Record, Sealed, Unverified},
    time::UnixMillis,
};
use serde::{Deserialize, Serialize};

/// Grants of the shop, numbered from 0.
pub const GRANTS: u8 = 12;
/// What one request costs, in units of the currency.
pub const PRICE: u64 = 500;
/// When everything here was signed: 2026-11-22T00:00:00Z.
pub const DAY: UnixMillis = UnixMillis(1_795_305_600_000);

/// What a process says, one to a line.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub enum Line {
    /// The store is open.
    Opened(Found),
    /// It may be written from now on.
    Writing(Deed),
    /// It is durable.
    Durable(Deed),
}

/// What a process found when it opened the store.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Found {
    /// The last entry of the journal.
    pub entry: u64,
    /// Rows in the index.
    pub rows: u64,
    /// Entries that the index had missed.
    pub replayed: u64,
    /// Why the index was made anew, if it was.
    pub rebuilt: Option<String>,
}

/// One write.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub enum Deed {
    /// A buyer's receipt.
    Held {
        /// The grant's number.
        grant: u8,
        /// The receipt's sequence.
        sequence: u64,
    },
    /// A receipt of this node's own.
    Signed {
        /// The grant's number.
        grant: u8,
        /// The receipt's sequence.
        sequence: u64,
    },
    /// A batch, before it is sent.
    Batch {
        /// Its name.
        batch: BatchId,
        /// The sequence of each receipt in it, by the grant's number.
        receipts: BTreeMap<u8, u64>,
    },
    /// The verdict on a batch.
    Verdict {
        /// The batch's name.
        batch: BatchId,
    },
}

impl Line {
    /// As it is printed.
    ///
    /// # Errors
    /// None that is known.
    pub fn to_text(&self) -> serde_json::Result<String> {
        serde_json::to_string(self)
    }

    /// As it was printed; `None` for a line that the kill cut short.
    pub fn from_text(text: &str) -> Option<Self> {
        serde_json::from_str(text).ok()
    }
}

/// The grant of this number.
pub fn grant(number: u8) -> GrantId {
    GrantId([number; 16])
}

/// What so many requests cost.
///
/// # Errors
/// More than an amount holds.
pub fn cost(requests: u64) -> Result<Amount, Reject> {
    let units = requests.checked_mul(PRICE);
    units
        .and_then(Amount::from_units)
        .ok_or(Reject::RECORD_MALFORMED)
}

/// What of it is the seller's, in a network that takes a tenth.
fn share(amount: Amount) -> Amount {
    Amount::from_micros(amount.micros() / 10 * 9)
}

/// The receipt of `sequence` requests under a grant.
///
/// # Errors
/// A sequence past what a receipt can say.
pub fn receipt(number: u8, sequence: u64) -> Result<Sealed<Receipt>, Reject> {
    let counters = Counters {
        requests: sequence,
        ..Counters::default()
    };
    seal_receipt(Receipt {
        buyer: PublicKey::of(&key(1)),
        grant: grant(number),
        tariff: TariffHash([7; 32]),
        sequence,
        counters: vec![counters],
        amount: cost(sequence)?,
        time: DAY,
        is_final: false,
    })
}

/// `receipt`, signed by the buyer.
///
/// # Errors
/// A receipt out of its bounds.
pub fn seal_receipt(receipt: Receipt) -> Result<Sealed<Receipt>, Reject> {
    seal(receipt, 1)
}

/// A batch of `receipts`.
///
/// # Errors
/// More receipts than a batch holds.
pub fn batch(
    id: BatchId,
    receipts: Vec<Unverified<Receipt>>,
) -> Result<Sealed<SettleBatch>, Reject> {
    seal(
        SettleBatch {
            device: PublicKey::of(&key(2)),
            id,
            receipts,
            closed: Vec::new(),
            time: DAY,
        },
        2,
    )
}

/// The verdict that applies each receipt of `batch`.
///
/// # Errors
/// A batch that no shop makes.
pub fn verdict(batch: &SettleBatch) -> Result<Sealed<Verdict>, Reject> {
    let outcomes = batch.receipts.iter().map(|receipt| {
        let receipt = receipt.claims();
        Outcome {
            grant: receipt.grant,
            judgement: Judgement::Applied,
            settled: receipt.amount,
            earned: share(receipt.amount),
        }
    });
    seal(
        Verdict {
            issuer: KeyId::of(&PublicKey::of(&key(3))),
            batch: batch.id,
            batch_hash: RecordHash([7; 32]),
            outcomes: outcomes.collect(),
            entry: 1,
            time: DAY,
        },
        3,
    )
}

/// The sequence of each receipt in `batch`, by the grant's number.
pub fn contents(batch: &SettleBatch) -> BTreeMap<u8, u64> {
    let claims = batch.receipts.iter().map(Unverified::claims);
    claims
        .map(|receipt| (receipt.grant.0[0], receipt.sequence))
        .collect()
}

fn seal<T: Record>(record: T, by: u8) -> Result<Sealed<T>, Reject> {
    Sealed::sign(record, NetworkId([7; 16]), &key(by))
}

fn key(number: u8) -> SigningKey {
    SigningKey::from_bytes(&[number; 32])
}
