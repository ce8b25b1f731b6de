//! [`RawConfig`]: the configuration as people write it, in `anchor.toml` or as flags of `serve`. Flags win.

use std::path::PathBuf;

use serde::Deserialize;

use super::ConfigError;
use crate::home::{self, Home};

/// What may be written. Everything is text or a number until [`super::Config::check`] has read it.
#[derive(Debug, Clone, Default, PartialEq, Eq, Deserialize, clap::Args)]
#[serde(deny_unknown_fields, rename_all = "kebab-case")]
pub struct RawConfig {
    /// Address and port for nodes [default: 127.0.0.1:8440]
    #[arg(long, value_name = "ADDR")]
    pub listen: Option<String>,
    /// Address and port for Prometheus, beside the operator's socket
    #[arg(long, value_name = "ADDR")]
    pub metrics_listen: Option<String>,
    /// Certificate chain, PEM
    #[arg(long, value_name = "FILE")]
    pub tls_cert: Option<PathBuf>,
    /// Private key of the certificate, PEM
    #[arg(long, value_name = "FILE")]
    pub tls_key: Option<PathBuf>,
    /// A reverse proxy in front of this address speaks TLS and sets X-Forwarded-For
    #[arg(long, num_args = 0, default_missing_value = "true")]
    pub behind_proxy: Option<bool>,
    /// The network's name, for people; kept from the last start where nothing is said [default: Madang]
    #[arg(long)]
    pub name: Option<String>,
    /// Currency by its three letters; fixed at the first start [default: KRW]
    #[arg(long)]
    pub currency: Option<String>,
    /// Tax on what is bought, such as 10%; kept from the last start where nothing is said [default: 0%]
    #[arg(long, value_name = "PERCENT")]
    pub tax_rate: Option<String>,
    /// Whether prices contain the tax: inclusive or exclusive; fixed at the first start [default: inclusive]
    #[arg(long, value_name = "MODE")]
    pub tax_mode: Option<String>,
    /// In whose time months, the billing periods, begin and end, such as +09:00 [default: +00:00]
    #[arg(long, value_name = "OFFSET", allow_hyphen_values = true)]
    pub period_offset: Option<String>,
    /// How long after its end a billing period takes what is settled late, before it is closed [default: 3d]
    #[arg(long, value_name = "DURATION")]
    pub period_grace: Option<String>,
    /// Where nodes enter the mesh, a multiaddr that ends in a peer id; may be repeated
    #[arg(long, value_name = "MULTIADDR")]
    pub bootstrap: Option<Vec<String>>,
    /// Where accounts and money are: a database, postgres://USER:PASSWORD@HOST/NAME, which several anchors may share; in the home folder where
    /// nothing is said. With a password, write it into anchor.toml: other users see what is written here
    #[arg(long, value_name = "URL")]
    pub store: Option<String>,
    /// This anchor's name among those that share a database [default: anchor]
    #[arg(long, value_name = "NAME")]
    pub instance: Option<String>,
    /// Account whose devices are hubs, which are added to the bootstrap addresses while online; may be repeated
    #[arg(long, value_name = "HANDLE")]
    pub hub: Option<Vec<String>>,
    /// How much is taken on at once.
    #[arg(skip)]
    #[serde(default)]
    pub limits: RawLimits,
}

/// The part `[limits]` of the file; see [`super::Limits`].
#[derive(Debug, Clone, Default, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields, rename_all = "kebab-case")]
pub struct RawLimits {
    /// Connections in total.
    pub connections: Option<u32>,
    /// Connections of one address.
    pub connections_per_address: Option<u32>,
    /// Connections without traffic are closed after this.
    pub idle_timeout: Option<String>,
    /// Passwords that are hashed at once.
    pub password_hashes: Option<u32>,
    /// Calls on the store at once.
    pub store_calls: Option<u32>,
    /// Devices in the directory of who is online.
    pub present_devices: Option<u32>,
    /// The shortest time between two presence reports of a device that are asked for.
    pub presence_interval: Option<String>,
    /// Presence reports a second that are wanted at most.
    pub presence_reports_per_second: Option<u32>,
}

impl RawConfig {
    /// Reads `anchor.toml` in `home`; nothing is written where there is no such file.
    pub fn read(home: &Home) -> Result<Self, ConfigError> {
        let path = home.config();
        let unreadable = |problem: String| ConfigError::File {
            path: path.clone(),
            problem,
        };
        let octets = home::read_bounded(&path, FILE_BYTES_MAX)
            .map_err(|error| unreadable(error.to_string()))?;
        let Some(octets) = octets else {
            return Ok(Self::default());
        };
        let text =
            String::from_utf8(octets).map_err(|_| unreadable("it is not text".to_owned()))?;
        toml::from_str(&text).map_err(|error| {
            let line = error
                .span()
                .and_then(|span| text.get(..span.start))
                .map_or(1, |before| before.matches('\n').count() + 1);
            unreadable(format!(
                "line {line}: {}",
                error.message().replace('\n', " ")
            ))
        })
    }

    /// This configuration where `flags` are silent, and `flags` where they speak.
    #[must_use]
    pub fn overridden_by(self, flags: Self) -> Self {
        Self {
            listen: flags.listen.or(self.listen),
            metrics_listen: flags.metrics_listen.or(self.metrics_listen),
            tls_cert: flags.tls_cert.or(self.tls_cert),
            tls_key: flags.tls_key.or(self.tls_key),
            behind_proxy: flags.behind_proxy.or(self.behind_proxy),
            name: flags.name.or(self.name),
            currency: flags.currency.or(self.currency),
            tax_rate: flags.tax_rate.or(self.tax_rate),
            tax_mode: flags.tax_mode.or(self.tax_mode),
            period_offset: flags.period_offset.or(self.period_offset),
            period_grace: flags.period_grace.or(self.period_grace),
            bootstrap: flags.bootstrap.or(self.bootstrap),
            store: flags.store.or(self.store),
            instance: flags.instance.or(self.instance),
            hub: flags.hub.or(self.hub),
            limits: self.limits,
        }
    }
}

/// Octets of a configuration file: far more than one can mean.
const FILE_BYTES_MAX: u64 = 64 * 1_024;
