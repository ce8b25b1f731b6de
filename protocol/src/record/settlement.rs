//! [`SettleBatch`], a seller's receipts on their way to the anchor, and [`Verdict`], the anchor's answer.

use serde::{Deserialize, Serialize};

use super::{bounds::require, receipt::Receipt};
use crate::{
    amount::Amount,
    ids::{BatchId, GrantId, KeyId, PublicKey, RecordHash},
    limits::{BATCH_BYTES_MAX, BATCH_RECEIPTS_MAX},
    reject::Reject,
    sealed::{Record, Signer, Unverified},
    time::UnixMillis,
};

/// The latest receipts of at most 1,000 grants. Stored before it is sent, and sent again under the same id until a verdict is stored.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct SettleBatch {
    /// The seller's device, which signs.
    pub device: PublicKey,
    /// Names the batch.
    pub id: BatchId,
    /// One for each grant, as the buyers signed them.
    pub receipts: Vec<Unverified<Receipt>>,
    /// Grants on which this seller claims nothing more than the receipts it has shown, in this batch or before.
    pub closed: Vec<GrantId>,
    /// When it was made.
    pub time: UnixMillis,
}

impl Record for SettleBatch {
    const DOMAIN: &'static str = "madang settle batch";
    const VERSION: u16 = 1;
    const BYTES_MAX: usize = BATCH_BYTES_MAX;

    fn signer(&self) -> Signer {
        Signer::Device(self.device)
    }

    fn check(&self) -> Result<(), Reject> {
        require(
            self.receipts.len() <= BATCH_RECEIPTS_MAX && self.closed.len() <= BATCH_RECEIPTS_MAX,
        )
    }
}

/// What became of one receipt.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub enum Judgement {
    /// It raised what is settled.
    Applied,
    /// Exactly this receipt is settled already.
    Duplicate,
    /// A higher receipt is settled already.
    Stale,
    /// It is refused for good.
    Rejected(Reject),
}

/// The anchor's answer on one receipt of a batch.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct Outcome {
    /// The grant.
    pub grant: GrantId,
    /// What became of the receipt.
    pub judgement: Judgement,
    /// The settled amount of the grant, now.
    pub settled: Amount,
    /// What of it is the seller's, now.
    pub earned: Amount,
}

/// One for each batch; the same batch is answered with the same verdict, however often it comes.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Verdict {
    /// The issuer key that signs.
    pub issuer: KeyId,
    /// The batch.
    pub batch: BatchId,
    /// The hash of the batch as it came.
    pub batch_hash: RecordHash,
    /// One for each receipt, in the batch's order.
    pub outcomes: Vec<Outcome>,
    /// Where the batch stands in the anchor's journal.
    pub entry: u64,
    /// When it was judged.
    pub time: UnixMillis,
}

impl Record for Verdict {
    const DOMAIN: &'static str = "madang verdict";
    const VERSION: u16 = 1;
    const BYTES_MAX: usize = BATCH_BYTES_MAX;

    fn signer(&self) -> Signer {
        Signer::Issuer(self.issuer)
    }

    fn check(&self) -> Result<(), Reject> {
        require(self.outcomes.len() <= BATCH_RECEIPTS_MAX)
    }
}
