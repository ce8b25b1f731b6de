//! [`NetworkDescriptor`]: the issuer says what the network is and where to enter it.

use std::fmt;

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
    /// The price contains a tax that the buyer, an organisation, owes to the state itself: it is left out of what the buyer is debited. Grants
    /// say so; a network never does.
    Reverse,
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

    /// The tax that comes on top of prices, if one does: whoever says a price says it beside it.
    pub const fn on_top(self) -> Option<Percent> {
        match self.on_top_bp() {
            0 => None,
            rate_bp => Some(Percent(rate_bp)),
        }
    }

    /// The rate of a tax that comes on top of prices, in basis points; 0 where prices contain it.
    pub const fn on_top_bp(self) -> u16 {
        match self.mode {
            TaxMode::Inclusive | TaxMode::Reverse => 0,
            TaxMode::Exclusive => self.rate_bp,
        }
    }

    /// The same tax for a buyer that owes it to the state itself.
    #[must_use]
    pub const fn reversed(self) -> Self {
        match self.mode {
            // What would come on top does not.
            TaxMode::Exclusive => Self {
                rate_bp: 0,
                mode: TaxMode::Exclusive,
            },
            TaxMode::Inclusive | TaxMode::Reverse => Self {
                rate_bp: self.rate_bp,
                mode: TaxMode::Reverse,
            },
        }
    }

    pub(super) fn check(self) -> Result<(), Reject> {
        require(self.rate_bp <= BASIS_POINTS)
    }
}

/// A rate in basis points, for people: `10 %`, `7.5 %`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Percent(pub u16);

impl fmt::Display for Percent {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let (whole, hundredths) = (self.0 / 100, self.0 % 100);
        if hundredths == 0 {
            return write!(f, "{whole} %");
        }
        let fraction = format!("{hundredths:02}");
        write!(f, "{whole}.{} %", fraction.trim_end_matches('0'))
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
        require(self.tax.mode != TaxMode::Reverse)?;
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

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_tax_is_said_where_it_comes_on_top() {
        let said = |rate_bp, mode| {
            let on_top = Tax { rate_bp, mode }.on_top();
            on_top.map(|percent| percent.to_string())
        };
        assert_eq!(said(1_000, TaxMode::Inclusive), None);
        assert_eq!(said(0, TaxMode::Exclusive), None);
        for (rate_bp, text) in [
            (1_000, "10 %"),
            (750, "7.5 %"),
            (5, "0.05 %"),
            (825, "8.25 %"),
        ] {
            assert_eq!(said(rate_bp, TaxMode::Exclusive).as_deref(), Some(text));
        }
    }
}
