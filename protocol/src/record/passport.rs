//! [`Passport`]: the issuer says which account a device belongs to.

use serde::{Deserialize, Serialize};

use super::bounds::require;
use crate::{
    ids::{AccountId, KeyId, PublicKey},
    limits::{PASSPORT_LIFE, RECORD_BYTES_MAX},
    name::Handle,
    reject::Reject,
    sealed::{Record, Signer},
    time::UnixMillis,
};

/// What a device may be, beside a subscriber's.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub enum Role {
    /// An ordinary subscriber's node.
    Subscriber,
    /// A public node that bootstraps, relays and runs the gateway.
    Hub,
}

/// The issuer's word on a device. Renewed daily; a device that the anchor cannot be reached from is carried to `expires`.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Passport {
    /// The issuer key that signs.
    pub issuer: KeyId,
    /// The device's owner.
    pub account: AccountId,
    /// The owner's handle.
    pub handle: Handle,
    /// The device's key, which is its identity in the mesh too.
    pub device: PublicKey,
    /// What the device may be.
    pub role: Role,
    /// When it was issued.
    pub issued: UnixMillis,
    /// From when on a verifier that has reached the anchor lately wants a newer one.
    pub renew_after: UnixMillis,
    /// When nobody takes it any more.
    pub expires: UnixMillis,
}

impl Record for Passport {
    const DOMAIN: &'static str = "madang passport";
    const VERSION: u16 = 1;
    const BYTES_MAX: usize = 1_024;

    fn signer(&self) -> Signer {
        Signer::Issuer(self.issuer)
    }

    fn check(&self) -> Result<(), Reject> {
        require(self.issued <= self.renew_after && self.renew_after <= self.expires)?;
        require(self.expires.since(self.issued) <= PASSPORT_LIFE)
    }
}

const _: () = assert!(Passport::BYTES_MAX <= RECORD_BYTES_MAX);
