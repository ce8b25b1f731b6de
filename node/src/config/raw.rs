//! `madang.toml` as it is written. Unknown keys are refused; nothing else is judged here.

use std::path::{Path, PathBuf};

use serde::{Deserialize, Serialize};

use super::ConfigError;
use crate::files;

/// Octets of `madang.toml`: 64 sites with everything said about them stay well below.
const FILE_BYTES_MAX: usize = 1_024 * 1_024;

/// The whole file. An empty one is complete.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct Raw {
    /// `[anchor]`
    #[serde(skip_serializing_if = "is_default")]
    pub anchor: RawAnchor,
    /// `[mesh]`
    #[serde(skip_serializing_if = "is_default")]
    pub mesh: RawMesh,
    /// `[proxy]`
    #[serde(skip_serializing_if = "is_default")]
    pub proxy: RawProxy,
    /// `[budget]`
    #[serde(skip_serializing_if = "is_default")]
    pub budget: RawBudget,
    /// `[selling]`
    #[serde(skip_serializing_if = "is_default")]
    pub selling: RawSelling,
    /// `[[site]]`
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub site: Vec<RawSite>,
}

/// `[anchor]`: only for an anchor that has moved, or has a certificate of its own.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct RawAnchor {
    /// In place of the address that was joined.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub url: Option<String>,
    /// PEM file, trusted in place of the system's certificates.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub ca_file: Option<PathBuf>,
    /// Allows `http://` to another machine.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub insecure_http: Option<bool>,
}

/// `[mesh]`
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct RawMesh {
    /// Multiaddrs to listen on.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub listen: Option<Vec<String>>,
    /// Multiaddrs to announce beside those that are found out.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub announce: Option<Vec<String>>,
    /// `quic`, `tcp-tls`, `tcp-noise`, in the order of preference.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub transports: Option<Vec<String>>,
}

/// `[proxy]`
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct RawProxy {
    /// Where the local proxy listens; loopback only.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub listen: Option<String>,
    /// Where the console and the consent page listen; loopback only.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub console: Option<String>,
    /// `false` for a node that only serves.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub enabled: Option<bool>,
}

/// `[budget]`
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct RawBudget {
    /// The most to be spent on one site before asking again, tax included.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub per_site: Option<String>,
    /// The most to be spent in one day, tax included.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub per_day: Option<String>,
}

/// `[selling]`
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct RawSelling {
    /// Value served ahead of receipts to a buyer that is new.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub window_start: Option<String>,
    /// The most that it grows to.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub window_max: Option<String>,
    /// Value without receipts over all buyers.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub exposure_max: Option<String>,
    /// Value of receipts that may be lost with this machine, because they are not on disk yet.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub value_at_risk: Option<String>,
    /// How often receipts are handed in.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub settle_every: Option<String>,
}

/// `[[site]]`
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct RawSite {
    /// The part before `--`; without it, the site of the handle itself.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub name: Option<String>,
    /// What is served: a folder …
    #[serde(skip_serializing_if = "Option::is_none")]
    pub folder: Option<PathBuf>,
    /// … or a local application's TCP port …
    #[serde(skip_serializing_if = "Option::is_none")]
    pub port: Option<u16>,
    /// … or its URL …
    #[serde(skip_serializing_if = "Option::is_none")]
    pub url: Option<String>,
    /// … or its Unix socket.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub unix: Option<PathBuf>,
    /// For lists.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub title: Option<String>,
    /// A sentence or two.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub description: Option<String>,
    /// By which it is found.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub keywords: Option<Vec<String>>,
    /// `anyone`, `subscribers` or `group:ID`.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub audience: Option<String>,
    /// `PATTERN=PRICE`, in the order in which they are tried.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub prices: Option<Vec<String>>,
}

fn is_default<T: Default + PartialEq>(value: &T) -> bool {
    *value == T::default()
}

impl Raw {
    /// Reads `path`; a file that is missing is an empty one.
    ///
    /// # Errors
    /// [`ConfigError::File`], [`ConfigError::Syntax`]
    pub fn read(path: &Path) -> Result<Self, ConfigError> {
        let octets =
            files::read_bounded(path, FILE_BYTES_MAX).map_err(|source| file(path, source))?;
        let text =
            String::from_utf8(octets.unwrap_or_default()).map_err(|_| ConfigError::Syntax {
                path: path.to_owned(),
                line: 1,
                message: "the file is not UTF-8 text".into(),
            })?;
        toml::from_str(&text).map_err(|error| syntax(path, &text, &error))
    }

    /// Puts this in the place of `path`, durably.
    ///
    /// # Errors
    /// [`ConfigError::File`], [`ConfigError::Value`]
    pub fn write(&self, path: &Path) -> Result<(), ConfigError> {
        let text = toml::to_string(self)
            .map_err(|error| ConfigError::value(path.display().to_string(), error))?;
        files::replace(path, text.as_bytes()).map_err(|source| file(path, source))
    }
}

fn file(path: &Path, source: std::io::Error) -> ConfigError {
    ConfigError::File {
        path: path.to_owned(),
        source,
    }
}

/// The first line of what the parser says, with the line that it means.
fn syntax(path: &Path, text: &str, error: &toml::de::Error) -> ConfigError {
    let start = error.span().map_or(0, |span| span.start);
    let before = text.as_bytes().get(..start).unwrap_or_default();
    ConfigError::Syntax {
        path: path.to_owned(),
        line: 1 + before.iter().filter(|octet| **octet == b'\n').count(),
        message: error.message().lines().collect::<Vec<_>>().join("; "),
    }
}
