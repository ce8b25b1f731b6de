//! [`Network`]: what the first start fixes for good, in `network.toml`, and what each start may choose anew, which stays as it was last signed
//! where a start is silent.

use std::{io, path::PathBuf};

use madang_protocol::{
    amount::Currency,
    ids::NetworkId,
    record::network::{NetworkDescriptor, Tax, TaxMode},
};
use serde::{Deserialize, Serialize};

use crate::{
    config::{ConfigError, NetworkWish},
    home::{self, Home},
};

/// The network that an anchor speaks for.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Network {
    /// Drawn at the first start.
    pub id: NetworkId,
    /// Its name, for people; may change.
    pub name: String,
    /// Fixed at the first start: wallets and bills are in it.
    pub currency: Currency,
    /// What new grants carry: the mode is fixed at the first start, the rate may change.
    pub tax: Tax,
}

/// Why there is no network.
#[derive(Debug, thiserror::Error)]
pub enum NetworkError {
    /// The file cannot be read or written.
    #[error("cannot use {path}: {source}")]
    File {
        /// The file.
        path: PathBuf,
        /// Why.
        source: io::Error,
    },
    /// The file is not what the first start wrote.
    #[error("{path} is damaged: {problem}")]
    Damaged {
        /// The file.
        path: PathBuf,
        /// How.
        problem: String,
    },
    /// The configuration wants something else.
    #[error(transparent)]
    Config(#[from] ConfigError),
    /// The operating system gives no random numbers.
    #[error("cannot draw a network id: {0}")]
    Random(getrandom::Error),
}

/// The file.
#[derive(Debug, Serialize, Deserialize)]
#[serde(deny_unknown_fields, rename_all = "kebab-case")]
struct Pinned {
    network: String,
    currency: String,
    tax_mode: PinnedTaxMode,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
enum PinnedTaxMode {
    Inclusive,
    Exclusive,
}

impl Network {
    /// Reads what the first start fixed, or fixes it now: won and inclusive prices where `wish` is silent.
    pub fn load_or_create(home: &Home, wish: &NetworkWish) -> Result<Self, NetworkError> {
        match Self::load(home, wish)? {
            Some(network) => Ok(network),
            None => Self::create(home, wish),
        }
    }

    /// Reads what the first start fixed; `None` before it.
    pub fn load(home: &Home, wish: &NetworkWish) -> Result<Option<Self>, NetworkError> {
        let path = home.network();
        let damaged = |problem: String| NetworkError::Damaged {
            path: path.clone(),
            problem: problem.replace('\n', " "),
        };
        let octets =
            home::read_bounded(&path, FILE_BYTES_MAX).map_err(|source| NetworkError::File {
                path: path.clone(),
                source,
            })?;
        let Some(octets) = octets else {
            return Ok(None);
        };
        let text = std::str::from_utf8(&octets).map_err(|error| damaged(error.to_string()))?;
        let pinned: Pinned =
            toml::from_str(text).map_err(|error| damaged(error.message().to_owned()))?;
        let id = pinned
            .network
            .parse()
            .map_err(|_| damaged("no network id".to_owned()))?;
        let currency: Currency = pinned
            .currency
            .parse()
            .map_err(|_| damaged("no currency".to_owned()))?;
        agree("currency", currency, wish.currency)?;
        let wanted_mode = wish.tax_mode.map(PinnedTaxMode::from);
        agree("tax mode", pinned.tax_mode, wanted_mode)?;
        Ok(Some(Self::of(id, currency, pinned.tax_mode, wish)))
    }

    fn create(home: &Home, wish: &NetworkWish) -> Result<Self, NetworkError> {
        let mut id = [0; 16];
        getrandom::fill(&mut id).map_err(NetworkError::Random)?;
        let id = NetworkId(id);
        let currency = wish.currency.unwrap_or(Currency::KRW);
        let tax_mode = wish
            .tax_mode
            .map_or(PinnedTaxMode::Inclusive, PinnedTaxMode::from);
        let pinned = Pinned {
            network: id.to_string(),
            currency: currency.to_string(),
            tax_mode,
        };
        let path = home.network();
        let damaged = |problem: String| NetworkError::Damaged {
            path: path.clone(),
            problem,
        };
        let text = toml::to_string(&pinned).map_err(|error| damaged(error.to_string()))?;
        let text = format!("# Fixed at the first start of this network, for good.\n{text}");
        home::write_whole(&path, text.as_bytes()).map_err(|source| NetworkError::File {
            path: path.clone(),
            source,
        })?;
        Ok(Self::of(id, currency, tax_mode, wish))
    }

    fn of(id: NetworkId, currency: Currency, tax_mode: PinnedTaxMode, wish: &NetworkWish) -> Self {
        let mode = match tax_mode {
            PinnedTaxMode::Inclusive => TaxMode::Inclusive,
            PinnedTaxMode::Exclusive => TaxMode::Exclusive,
        };
        Self {
            id,
            name: wish.name.clone().unwrap_or_else(|| DEFAULT_NAME.to_owned()),
            currency,
            tax: Tax {
                rate_bp: wish.tax_rate_bp.unwrap_or(0),
                mode,
            },
        }
    }

    /// This network as it was when `last` was signed, in what `wish` is silent about.
    #[must_use]
    pub fn continuing(self, last: &NetworkDescriptor, wish: &NetworkWish) -> Self {
        let rate_bp = wish.tax_rate_bp.unwrap_or(last.tax.rate_bp);
        Self {
            name: wish.name.clone().unwrap_or_else(|| last.name.clone()),
            tax: Tax {
                rate_bp,
                ..self.tax
            },
            ..self
        }
    }
}

impl From<TaxMode> for PinnedTaxMode {
    fn from(mode: TaxMode) -> Self {
        match mode {
            // A network never reverses the charge: its grants may.
            TaxMode::Inclusive | TaxMode::Reverse => Self::Inclusive,
            TaxMode::Exclusive => Self::Exclusive,
        }
    }
}

impl std::fmt::Display for PinnedTaxMode {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(match self {
            Self::Inclusive => "inclusive",
            Self::Exclusive => "exclusive",
        })
    }
}

fn agree<T: PartialEq + ToString>(
    what: &'static str,
    pinned: T,
    wanted: Option<T>,
) -> Result<(), ConfigError> {
    match wanted {
        Some(wanted) if wanted != pinned => Err(ConfigError::Pinned {
            what,
            pinned: pinned.to_string(),
            wanted: wanted.to_string(),
        }),
        Some(_) | None => Ok(()),
    }
}

const DEFAULT_NAME: &str = "Madang";
/// Octets of the file: three short lines and a comment.
const FILE_BYTES_MAX: u64 = 4_096;

#[cfg(test)]
mod tests {
    #![expect(clippy::unwrap_used, reason = "a test may stop at a surprise")]

    use super::*;

    fn wish(currency: Option<&str>, tax_mode: Option<TaxMode>) -> NetworkWish {
        NetworkWish {
            name: Some("Test".to_owned()),
            currency: currency.map(|text| text.parse().unwrap()),
            tax_mode,
            tax_rate_bp: Some(1_000),
        }
    }

    #[test]
    fn the_first_start_fixes_network_currency_and_tax_mode() {
        let folder = tempfile::tempdir().unwrap();
        let home = Home::new(folder.path());
        let first =
            Network::load_or_create(&home, &wish(Some("EUR"), Some(TaxMode::Exclusive))).unwrap();
        let silent = Network::load_or_create(&home, &wish(None, None)).unwrap();
        assert_eq!(first, silent);
        for other in [
            wish(Some("KRW"), None),
            wish(None, Some(TaxMode::Inclusive)),
        ] {
            let error = Network::load_or_create(&home, &other).unwrap_err();
            assert!(
                matches!(error, NetworkError::Config(ConfigError::Pinned { .. })),
                "{error}"
            );
        }
    }

    #[test]
    fn a_damaged_file_is_not_replaced_by_another_network() {
        let folder = tempfile::tempdir().unwrap();
        let home = Home::new(folder.path());
        for text in [
            "",
            "network = 'x'\ncurrency = 'KRW'\ntax-mode = 'inclusive'\n",
            "\u{0}",
        ] {
            std::fs::write(home.network(), text).unwrap();
            let error = Network::load_or_create(&home, &wish(None, None)).unwrap_err();
            assert!(
                matches!(error, NetworkError::Damaged { .. }),
                "{text}: {error}"
            );
            assert!(!error.to_string().contains('\n'), "{error}");
        }
    }
}
