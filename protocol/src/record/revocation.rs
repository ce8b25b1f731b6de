//! [`RevocationList`]: the issuer says which devices and accounts are no longer good. Peers serve the current one to each other.

use serde::{Deserialize, Serialize};

use super::bounds::require;
use crate::{
    ids::{AccountId, KeyId, PublicKey},
    limits::{REVOCATION_LIST_BYTES_MAX, REVOCATIONS_MAX},
    reject::Reject,
    sealed::{Record, Signer},
    time::UnixMillis,
};

/// Everything revoked whose passports could still be in hand: an entry is dropped once every passport from before it has expired.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct RevocationList {
    /// The issuer key that signs.
    pub issuer: KeyId,
    /// Grows with each change.
    pub sequence: u64,
    /// Revoked devices, in ascending order.
    pub devices: Vec<PublicKey>,
    /// Closed accounts, in ascending order.
    pub accounts: Vec<AccountId>,
    /// When it was signed.
    pub issued: UnixMillis,
}

impl RevocationList {
    /// Whether `device` or its `account` is no longer good.
    pub fn revokes(&self, device: &PublicKey, account: &AccountId) -> bool {
        self.devices.binary_search(device).is_ok() || self.accounts.binary_search(account).is_ok()
    }
}

impl Record for RevocationList {
    const DOMAIN: &'static str = "madang revocations";
    const VERSION: u16 = 1;
    const BYTES_MAX: usize = REVOCATION_LIST_BYTES_MAX;

    fn signer(&self) -> Signer {
        Signer::Issuer(self.issuer)
    }

    fn check(&self) -> Result<(), Reject> {
        require(self.devices.len() + self.accounts.len() <= REVOCATIONS_MAX)?;
        require(
            self.devices.windows(2).all(|pair| pair[0] < pair[1])
                && self.accounts.windows(2).all(|pair| pair[0] < pair[1]),
        )
    }
}
