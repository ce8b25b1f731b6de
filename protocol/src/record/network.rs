//! [`NetworkDescriptor`]: the issuer says what the network is and where to enter it.

use serde::{Deserialize, Serialize};

use super::bounds::{addresses, require, text};
use crate::{
    amount::Currency,
    ids::{KeyId, NetworkId, PublicKey},
    limits::{
        ADDRESS_BYTES_MAX, BASIS_POINTS, BOOTSTRAP_MAX, ISSUER_KEYS_MAX, RECORD_BYTES_MAX,
        TITLE_BYTES_MAX,
    },
    reject::Reject,
    sealed::{Record, Signer},
    time::UnixMillis,
};

/// Whether prices contain the tax.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub enum TaxMode {
    /// The tax is part of the price.
    Inclusive,
    /// The tax comes on top of the price.
    Exclusive,
}

/// The tax on what is bought.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct Tax {
    /// The rate in basis points (1,000 = 10 %).
    pub rate_bp: u16,
    /// Whether prices contain it.
    pub mode: TaxMode,
}

impl Tax {
    /// No tax at all.
    pub const NONE: Self = Self {
        rate_bp: 0,
        mode: TaxMode::Inclusive,
    };

    pub(super) fn check(self) -> Result<(), Reject> {
        require(self.rate_bp <= BASIS_POINTS)
    }
}

/// What a joining node pins, and every sign-in refreshes.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct NetworkDescriptor {
    /// The issuer key that signs.
    pub issuer: KeyId,
    /// The network.
    pub network: NetworkId,
    /// Its name, for people.
    pub name: String,
    /// The one currency of its prices and wallets.
    pub currency: Currency,
    /// The tax that new grants carry.
    pub tax: Tax,
    /// The keys that are good now.
    pub issuers: Vec<PublicKey>,
    /// Where to enter the mesh: multiaddrs that end in a peer id.
    pub bootstrap: Vec<String>,
    /// Grows with each change.
    pub sequence: u64,
    /// When it was signed.
    pub issued: UnixMillis,
}

impl Record for NetworkDescriptor {
    const DOMAIN: &'static str = "madang network";
    const VERSION: u16 = 1;
    const BYTES_MAX: usize = RECORD_BYTES_MAX;

    fn signer(&self) -> Signer {
        Signer::Issuer(self.issuer)
    }

    fn check(&self) -> Result<(), Reject> {
        text(&self.name, TITLE_BYTES_MAX)?;
        self.tax.check()?;
        require(self.currency.is_valid())?;
        require(!self.issuers.is_empty() && self.issuers.len() <= ISSUER_KEYS_MAX)?;
        require(
            self.bootstrap.len() <= BOOTSTRAP_MAX
                && self
                    .bootstrap
                    .iter()
                    .all(|address| address.len() <= ADDRESS_BYTES_MAX),
        )?;
        self.bootstrap
            .chunks(crate::limits::ADDRESSES_MAX)
            .try_for_each(addresses)
    }
}
