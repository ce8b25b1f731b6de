//! [`HeadStatement`]: the anchor says, once a day, where the chains of its journal end. What was stated cannot be rewritten unnoticed by whoever
//! kept the statement.

use serde::{Deserialize, Serialize};

use super::bounds::require;
use crate::{
    ids::{KeyId, RecordHash},
    limits::{CHAINS_MAX, HEAD_STATEMENT_BYTES_MAX, INSTANCE_BYTES_MAX},
    reject::Reject,
    sealed::{Record, Signer},
    time::{Day, UnixMillis},
};

/// Where one chain ends.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct ChainHead {
    /// Its number: 0 for a folder's, and for what a database was copied from.
    pub chain: u16,
    /// The name of the anchor that writes it; empty for chain 0.
    pub instance: String,
    /// Links so far.
    pub link: u64,
    /// The number of the last entry.
    pub entry: u64,
    /// The last entry's hash.
    pub hash: RecordHash,
}

/// Where the chains ended at some moment of a day.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct HeadStatement {
    /// The issuer key that signs.
    pub issuer: KeyId,
    /// The day, in UTC.
    pub day: Day,
    /// Each chain that has a link, in ascending order.
    pub heads: Vec<ChainHead>,
    /// When it was signed: on that day.
    pub time: UnixMillis,
}

impl Record for HeadStatement {
    const DOMAIN: &'static str = "madang heads";
    const VERSION: u16 = 1;
    const BYTES_MAX: usize = HEAD_STATEMENT_BYTES_MAX;

    fn signer(&self) -> Signer {
        Signer::Issuer(self.issuer)
    }

    fn check(&self) -> Result<(), Reject> {
        require(self.heads.len() <= CHAINS_MAX)?;
        require(
            self.heads
                .windows(2)
                .all(|pair| pair[0].chain < pair[1].chain),
        )?;
        require(
            self.heads
                .iter()
                .all(|head| head.link > 0 && head.instance.len() <= INSTANCE_BYTES_MAX),
        )?;
        require(self.time.day() == self.day)
    }
}
