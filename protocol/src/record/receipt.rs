//! [`Receipt`]: a buyer says what it has used under one grant so far. All counters are cumulative; only the last one matters.

use serde::{Deserialize, Serialize};

use super::bounds::require;
use crate::{
    amount::Amount,
    ids::{GrantId, PublicKey, TariffHash},
    limits::{COUNTER_MAX, GRANT_AMOUNT_MAX, RECEIPT_BYTES_MAX, TARIFF_RULES_MAX},
    reject::Reject,
    sealed::{Record, Signer},
    time::UnixMillis,
};

/// What was used under one rule of the tariff, since the grant began.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Counters {
    /// Counted requests.
    pub requests: u64,
    /// Content octets.
    pub bytes: u64,
    /// Milliseconds with a response open.
    pub milliseconds: u64,
    /// Passes bought.
    pub passes: u64,
}

impl Counters {
    /// Whether no counter is below `earlier`'s.
    pub fn covers(&self, earlier: &Self) -> bool {
        self.requests >= earlier.requests
            && self.bytes >= earlier.bytes
            && self.milliseconds >= earlier.milliseconds
            && self.passes >= earlier.passes
    }
}

/// Signed by the grant's buyer key. Its time is for people: whether it is paid depends on its arrival only.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Receipt {
    /// The buyer's key, as the grant names it.
    pub buyer: PublicKey,
    /// The grant.
    pub grant: GrantId,
    /// The price list, as the grant names it.
    pub tariff: TariffHash,
    /// Grows with each receipt of the grant, from 1.
    pub sequence: u64,
    /// One for each rule of the tariff; trailing rules without use are left out.
    pub counters: Vec<Counters>,
    /// What the counters cost under the tariff and the grant's quotas.
    pub amount: Amount,
    /// When it was signed, by the buyer's clock.
    pub time: UnixMillis,
    /// Nothing follows under this grant.
    pub is_final: bool,
}

impl Record for Receipt {
    const DOMAIN: &'static str = "madang receipt";
    const VERSION: u16 = 1;
    const BYTES_MAX: usize = RECEIPT_BYTES_MAX;

    fn signer(&self) -> Signer {
        Signer::Device(self.buyer)
    }

    fn check(&self) -> Result<(), Reject> {
        require(
            self.counters.len() <= TARIFF_RULES_MAX
                && self.amount <= GRANT_AMOUNT_MAX
                && self.sequence > 0,
        )?;
        require(self.counters.last() != Some(&Counters::default()))?;
        let within = |counters: &Counters| {
            [
                counters.requests,
                counters.bytes,
                counters.milliseconds,
                counters.passes,
            ]
            .iter()
            .all(|count| *count <= COUNTER_MAX)
        };
        require(self.counters.iter().all(within))
    }
}
