//! What a device asks of the anchor, signed by the device, and the signed answer to a sign-in.

use serde::{Deserialize, Serialize};

use super::{
    bounds::{addresses, require, text},
    network::NetworkDescriptor,
    pass::Pass,
    passport::Passport,
    receipt::Receipt,
    revocation::RevocationList,
    tariff::Tariff,
};
use crate::{
    amount::Amount,
    ids::{GrantId, KeyId, PublicKey, RequestId, TariffHash},
    limits::{
        GRANT_AMOUNT_MAX, HELLO_PASSES_MAX, LABEL_TEXT_BYTES_MAX, PASSWORD_BYTES_MAX,
        RECORD_BYTES_MAX, REVOCATION_LIST_BYTES_MAX,
    },
    name::{Handle, SiteName},
    reject::Reject,
    sealed::{Record, Signer, Unverified},
    time::UnixMillis,
};

/// Makes a device one of an account's. The only time that a password is sent.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Enrol {
    /// The new device's key, which signs: so nobody enrols a key that is not theirs.
    pub device: PublicKey,
    /// The account.
    pub handle: Handle,
    /// Its password.
    pub password: Secret,
    /// What the account's owner calls the device.
    pub label: String,
    /// When it was asked.
    pub time: UnixMillis,
}

/// Text that does not print.
#[derive(Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Secret(pub String);

impl std::fmt::Debug for Secret {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Secret(…)")
    }
}

impl Record for Enrol {
    const DOMAIN: &'static str = "madang enrol";
    const VERSION: u16 = 1;
    const BYTES_MAX: usize = 4_096;

    fn signer(&self) -> Signer {
        Signer::Device(self.device)
    }

    fn check(&self) -> Result<(), Reject> {
        require(self.password.0.len() <= PASSWORD_BYTES_MAX)?;
        text(&self.label, LABEL_TEXT_BYTES_MAX)
    }
}

/// User name, proof and address: what the X-Broker admits a subscriber by.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct SignIn {
    /// The device, which signs.
    pub device: PublicKey,
    /// The account, as the device knows it.
    pub handle: Handle,
    /// Where the device listens.
    pub addresses: Vec<String>,
    /// Drawn for this sign-in; the answer repeats it.
    pub nonce: [u8; 16],
    /// By the device's clock. A wrong one is no reason to refuse: the answer sets it right.
    pub time: UnixMillis,
}

impl Record for SignIn {
    const DOMAIN: &'static str = "madang sign-in";
    const VERSION: u16 = 1;
    const BYTES_MAX: usize = 4_096;

    fn signer(&self) -> Signer {
        Signer::Device(self.device)
    }

    fn check(&self) -> Result<(), Reject> {
        addresses(&self.addresses)
    }
}

/// The anchor's answer to a sign-in.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct SignedIn {
    /// The issuer key that signs.
    pub issuer: KeyId,
    /// The sign-in's nonce: so an old answer cannot set a clock back.
    pub nonce: [u8; 16],
    /// The anchor's time.
    pub time: UnixMillis,
    /// A fresh passport.
    pub passport: Unverified<Passport>,
    /// The network as it is now.
    pub descriptor: Unverified<NetworkDescriptor>,
    /// Who is no longer good.
    pub revocations: Unverified<RevocationList>,
    /// Passes of the account that have not ended, the newest first.
    pub passes: Vec<Unverified<Pass>>,
}

impl Record for SignedIn {
    const DOMAIN: &'static str = "madang signed in";
    const VERSION: u16 = 1;
    const BYTES_MAX: usize = REVOCATION_LIST_BYTES_MAX + 4 * RECORD_BYTES_MAX;

    fn signer(&self) -> Signer {
        Signer::Issuer(self.issuer)
    }

    fn check(&self) -> Result<(), Reject> {
        require(self.passes.len() <= HELLO_PASSES_MAX)
    }
}

/// Asks for permission to spend.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct GrantRequest {
    /// The buyer's device, which signs and will sign the receipts.
    pub device: PublicKey,
    /// Drawn and stored before it is first sent; the same request has the same answer.
    pub id: RequestId,
    /// The seller's passport, as the seller showed it.
    pub seller: Unverified<Passport>,
    /// The price list.
    pub tariff_hash: TariffHash,
    /// The price list itself: needed the first time that the anchor hears of it.
    pub tariff: Option<Unverified<Tariff>>,
    /// The most to be spent, before a tax that comes on top.
    pub amount_max: Amount,
    /// The grant that the new one follows, if any.
    pub predecessor: Option<GrantId>,
    /// When it was asked.
    pub time: UnixMillis,
}

impl Record for GrantRequest {
    const DOMAIN: &'static str = "madang grant request";
    const VERSION: u16 = 1;
    const BYTES_MAX: usize = 2 * RECORD_BYTES_MAX;

    fn signer(&self) -> Signer {
        Signer::Device(self.device)
    }

    fn check(&self) -> Result<(), Reject> {
        require(self.amount_max <= GRANT_AMOUNT_MAX && !self.amount_max.is_zero())?;
        require(
            self.tariff
                .as_ref()
                .is_none_or(|tariff| tariff.tariff_hash() == self.tariff_hash),
        )
    }
}

/// A buyer is done with a grant and shows its own last receipt, so that what is left of the hold can be released early.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct CloseGrant {
    /// The buyer's device, which signs.
    pub device: PublicKey,
    /// The grant.
    pub grant: GrantId,
    /// The final receipt; `None` where nothing was used.
    pub receipt: Option<Unverified<Receipt>>,
    /// When it was asked.
    pub time: UnixMillis,
}

impl Record for CloseGrant {
    const DOMAIN: &'static str = "madang close grant";
    const VERSION: u16 = 1;
    const BYTES_MAX: usize = 4_096;

    fn signer(&self) -> Signer {
        Signer::Device(self.device)
    }

    fn check(&self) -> Result<(), Reject> {
        require(self.receipt.as_ref().is_none_or(|receipt| {
            receipt.claims().grant == self.grant && receipt.claims().is_final
        }))
    }
}

/// What a device may look up about its account.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub enum Question {
    /// The wallet: a [`crate::broker::Wallet`].
    Wallet,
    /// Purchases and sales that were settled, the newest first: a [`crate::broker::Bill`].
    Bill {
        /// Where to go on, as [`crate::broker::Bill::more_before`] said; `None` for the newest.
        before: Option<u64>,
        /// At most this many lines.
        limit: u16,
    },
    /// The personal web servers that are online: a [`crate::broker::Directory`].
    Sites {
        /// Only names after this one, in their order.
        after: Option<String>,
        /// At most this many.
        limit: u16,
    },
    /// The account's passes for one site that have not ended, the last to end first: [`crate::broker::Passes`].
    Passes {
        /// The site.
        site: SiteName,
    },
}

/// A question, signed by the device that asks.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Query {
    /// The device, which signs.
    pub device: PublicKey,
    /// What it wants to know.
    pub question: Question,
    /// When it was asked; good for [`crate::limits::CLOCK_DIFFERENCE_TOLERATED`].
    pub time: UnixMillis,
}

impl Record for Query {
    const DOMAIN: &'static str = "madang query";
    const VERSION: u16 = 1;
    const BYTES_MAX: usize = 1_024;

    fn signer(&self) -> Signer {
        Signer::Device(self.device)
    }

    fn check(&self) -> Result<(), Reject> {
        Ok(())
    }
}
