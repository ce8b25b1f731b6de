//! [`Config`]: what the anchor is to do, with nothing left to check.

use std::{
    net::{Ipv4Addr, SocketAddr},
    path::PathBuf,
    time::Duration,
};

use madang_protocol::{
    amount::Currency,
    limits::{ADDRESS_BYTES_MAX, BOOTSTRAP_MAX, INSTANCE_BYTES_MAX, TITLE_BYTES_MAX},
    name::{Handle, NameError},
    record::network::TaxMode,
};

use super::{
    Limits,
    raw::{RawConfig, RawLimits},
    units,
};
use crate::{
    clock::Clock,
    home::Home,
    ledger::{month::UtcOffset, policy::Policy},
    store::PostgresOptions,
};

/// What one anchor is to do. [`Config::new`] is a good one for tests: loopback, a free port, the system's clock.
#[derive(Debug, Clone)]
pub struct Config {
    /// Where everything is kept.
    pub home: Home,
    /// Where nodes connect; port 0 takes a free one.
    pub listen: SocketAddr,
    /// Who speaks TLS.
    pub exposure: Exposure,
    /// Where Prometheus connects, beside the operator's socket.
    pub metrics_listen: Option<SocketAddr>,
    /// The database with accounts and money; `None`: they are in the home.
    pub database: Option<PostgresOptions>,
    /// What the network is wanted to be.
    pub network: NetworkWish,
    /// In whose time months, the billing periods, begin and end.
    pub period_offset: UtcOffset,
    /// How long after its end a billing period takes what is settled late.
    pub period_grace: Duration,
    /// Where nodes enter the mesh, beside the hubs that are online: multiaddrs that end in a peer id.
    pub bootstrap: Vec<String>,
    /// Accounts whose devices are hubs: public nodes of the provider or of volunteers.
    pub hubs: Vec<Handle>,
    /// How much is taken on at once.
    pub limits: Limits,
    /// What time it is.
    pub clock: Clock,
}

/// How the anchor's address is exposed to the network.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Exposure {
    /// Plain HTTP, on a loopback address only.
    Loopback,
    /// Plain HTTP behind a reverse proxy that speaks TLS and sets `X-Forwarded-For`.
    BehindProxy,
    /// TLS with this certificate.
    Tls(TlsFiles),
}

/// A certificate chain and its private key, in PEM files.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct TlsFiles {
    /// The chain, the server's certificate first.
    pub certificate: PathBuf,
    /// The key.
    pub key: PathBuf,
}

/// What the network is wanted to be. The first start fixes currency and tax mode; later ones must agree or be silent. Name and tax rate may
/// change, and stay as they were last signed where nothing is said.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct NetworkWish {
    /// The network's name, for people.
    pub name: Option<String>,
    /// The one currency of prices and wallets.
    pub currency: Option<Currency>,
    /// Whether prices contain the tax.
    pub tax_mode: Option<TaxMode>,
    /// The tax that new grants carry, in basis points.
    pub tax_rate_bp: Option<u16>,
}

/// A mistake in the configuration, in one line.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum ConfigError {
    /// The file cannot be read, or is no TOML of ours.
    #[error("{path}: {problem}")]
    File {
        /// The file.
        path: PathBuf,
        /// What is wrong, and where.
        problem: String,
    },
    /// A value does not say what its key wants.
    #[error("{key} = {value:?}: {problem}")]
    Value {
        /// The key in the file; as a flag it has `--` before it.
        key: &'static str,
        /// What was written.
        value: String,
        /// What is expected.
        problem: String,
    },
    /// Two values do not go together.
    #[error("{0}")]
    Conflict(&'static str),
    /// What the first start fixed is not what is wanted now.
    #[error(
        "this network's {what} is {pinned} for good and cannot become {wanted}; use another --home for another network"
    )]
    Pinned {
        /// Which setting.
        what: &'static str,
        /// Its value since the first start.
        pinned: String,
        /// The value that is written now.
        wanted: String,
    },
}

impl Config {
    /// The defaults in `home`, on a free loopback port.
    pub fn new(home: impl Into<PathBuf>) -> Self {
        Self {
            home: Home::new(home),
            listen: SocketAddr::from((Ipv4Addr::LOCALHOST, 0)),
            exposure: Exposure::Loopback,
            metrics_listen: None,
            database: None,
            network: NetworkWish {
                name: None,
                currency: None,
                tax_mode: None,
                tax_rate_bp: None,
            },
            period_offset: Policy::DEFAULT.period_offset,
            period_grace: Policy::DEFAULT.period_grace,
            bootstrap: Vec::new(),
            hubs: Vec::new(),
            limits: Limits::default(),
            clock: Clock::system(),
        }
    }

    /// What `raw` means for the anchor in `home`.
    pub fn check(home: Home, raw: RawConfig) -> Result<Self, ConfigError> {
        let listen_text = raw.listen.unwrap_or_else(|| DEFAULT_LISTEN.to_owned());
        let listen = address("listen", &listen_text)?;
        let metrics_listen = raw
            .metrics_listen
            .map(|text| address("metrics-listen", &text))
            .transpose()?;
        let behind_proxy = raw.behind_proxy.unwrap_or(false);
        let exposure = exposure(listen, raw.tls_cert, raw.tls_key, behind_proxy)?;
        let is_name = |name: &str| {
            (1..=TITLE_BYTES_MAX).contains(&name.len()) && !name.chars().any(char::is_control)
        };
        if let Some(name) = raw.name.as_deref().filter(|name| !is_name(name)) {
            let problem = "1 to 200 octets of printable text are expected";
            return Err(value("name", name, problem));
        }
        let currency = raw.currency.map(|text| {
            text.parse()
                .map_err(|error| value("currency", &text, format!("{error}")))
        });
        let tax_mode = raw.tax_mode.map(|text| {
            units::tax_mode(&text).map_err(|problem| value("tax-mode", &text, problem))
        });
        let tax_rate_bp = raw
            .tax_rate
            .map(|text| units::percent(&text).map_err(|problem| value("tax-rate", &text, problem)));
        Ok(Self {
            home,
            listen,
            exposure,
            metrics_listen,
            database: database(raw.store, raw.instance)?,
            network: NetworkWish {
                name: raw.name,
                currency: currency.transpose()?,
                tax_mode: tax_mode.transpose()?,
                tax_rate_bp: tax_rate_bp.transpose()?,
            },
            period_offset: period_offset(raw.period_offset)?,
            period_grace: period_grace(raw.period_grace)?,
            bootstrap: bootstrap(raw.bootstrap.unwrap_or_default())?,
            hubs: hubs(raw.hub.unwrap_or_default())?,
            limits: limits(raw.limits)?,
            clock: Clock::system(),
        })
    }
}

/// The database that is named so, if one is.
pub(crate) fn database(
    store: Option<String>,
    instance: Option<String>,
) -> Result<Option<PostgresOptions>, ConfigError> {
    let Some(store) = store else {
        let alone =
            "instance names an anchor among those that share a database: give store as well";
        return match instance {
            Some(_) => Err(ConfigError::Conflict(alone)),
            None => Ok(None),
        };
    };
    // What was written may hold a password: it is not said again.
    let problem = "postgres://USER:PASSWORD@HOST/NAME is expected";
    let is_url = store.starts_with("postgres://") || store.starts_with("postgresql://");
    let options = store.parse::<PostgresOptions>().ok().filter(|_| is_url);
    let mut options = options.ok_or_else(|| value("store", "(not shown)", problem))?;
    if let Some(instance) = instance {
        let is_name = |c: char| c.is_ascii_alphanumeric() || c == '-' || c == '_';
        if instance.is_empty()
            || instance.len() > INSTANCE_BYTES_MAX
            || !instance.chars().all(is_name)
        {
            let problem = "1 to 40 letters, digits, - and _ are expected";
            return Err(value("instance", &instance, problem));
        }
        options.instance = instance;
    }
    Ok(Some(options))
}

fn period_offset(text: Option<String>) -> Result<UtcOffset, ConfigError> {
    let Some(text) = text else {
        return Ok(Policy::DEFAULT.period_offset);
    };
    text.parse::<UtcOffset>()
        .map_err(|error| value("period-offset", &text, error.to_string()))
}

fn period_grace(text: Option<String>) -> Result<Duration, ConfigError> {
    let Some(text) = text else {
        return Ok(Policy::DEFAULT.period_grace);
    };
    match units::duration(&text) {
        Ok(grace) if grace > PERIOD_GRACE_MAX => {
            Err(value("period-grace", &text, "28 days are the most"))
        }
        Ok(grace) => Ok(grace),
        Err(problem) => Err(value("period-grace", &text, problem)),
    }
}

fn exposure(
    listen: SocketAddr,
    certificate: Option<PathBuf>,
    key: Option<PathBuf>,
    behind_proxy: bool,
) -> Result<Exposure, ConfigError> {
    match (certificate, key, behind_proxy) {
        (Some(_), None, _) | (None, Some(_), _) => Err(ConfigError::Conflict(
            "tls-cert and tls-key go together: give both or neither",
        )),
        (Some(_), Some(_), true) => Err(ConfigError::Conflict(
            "behind-proxy means that the proxy speaks TLS: leave out tls-cert and tls-key, or behind-proxy",
        )),
        (Some(certificate), Some(key), false) => Ok(Exposure::Tls(TlsFiles { certificate, key })),
        (None, None, true) => Ok(Exposure::BehindProxy),
        (None, None, false) if listen.ip().is_loopback() => Ok(Exposure::Loopback),
        (None, None, false) => Err(value(
            "listen",
            &listen.to_string(),
            "passwords would travel in the clear: give tls-cert and tls-key, or behind-proxy where a reverse proxy speaks TLS",
        )),
    }
}

fn address(key: &'static str, text: &str) -> Result<SocketAddr, ConfigError> {
    text.parse().map_err(|_| {
        value(
            key,
            text,
            "an IP address and a port are expected, such as 127.0.0.1:8440",
        )
    })
}

fn bootstrap(addresses: Vec<String>) -> Result<Vec<String>, ConfigError> {
    for (at, address) in addresses.iter().enumerate() {
        let is_printable = address.bytes().all(|octet| octet.is_ascii_graphic());
        if address.len() > ADDRESS_BYTES_MAX
            || !is_printable
            || !address.starts_with('/')
            || !address.contains("/p2p/")
        {
            let problem = "a multiaddr that ends in a peer id is expected, such as /ip4/192.0.2.1/udp/4001/quic-v1/p2p/12D3…";
            return Err(value("bootstrap", address, problem));
        }
        if addresses[..at].contains(address) {
            return Err(value("bootstrap", address, "it is there twice"));
        }
    }
    if addresses.len() > BOOTSTRAP_MAX {
        return Err(ConfigError::Conflict(
            "bootstrap has more than 16 addresses",
        ));
    }
    Ok(addresses)
}

fn hubs(handles: Vec<String>) -> Result<Vec<Handle>, ConfigError> {
    let handle = |text: String| {
        text.parse()
            .map_err(|error: NameError| value("hub", &text, error.to_string()))
    };
    if handles.len() > HUBS_MAX {
        return Err(ConfigError::Conflict("hub has more than 64 accounts"));
    }
    handles.into_iter().map(handle).collect()
}

fn limits(raw: RawLimits) -> Result<Limits, ConfigError> {
    let default = Limits::default();
    let count = |key, written: Option<u32>, default: usize| match written {
        None => Ok(default),
        Some(0) => Err(value(key, "0", "a number above 0 is expected")),
        Some(number) => Ok(number as usize),
    };
    let duration = |key, written: Option<String>, default| match written {
        None => Ok(default),
        Some(text) => match units::duration(&text) {
            Ok(duration) if duration.is_zero() => {
                Err(value(key, &text, "a duration above 0 is expected"))
            }
            Ok(duration) => Ok(duration),
            Err(problem) => Err(value(key, &text, problem)),
        },
    };
    let reports = count(
        "limits.presence-reports-per-second",
        raw.presence_reports_per_second,
        default.presence_reports_per_second as usize,
    )?;
    Ok(Limits {
        connections_max: count(
            "limits.connections",
            raw.connections,
            default.connections_max,
        )?,
        connections_per_address_max: count(
            "limits.connections-per-address",
            raw.connections_per_address,
            default.connections_per_address_max,
        )?,
        idle_timeout: duration(
            "limits.idle-timeout",
            raw.idle_timeout,
            default.idle_timeout,
        )?,
        password_hashes_max: count(
            "limits.password-hashes",
            raw.password_hashes,
            default.password_hashes_max,
        )?,
        store_calls_max: count(
            "limits.store-calls",
            raw.store_calls,
            default.store_calls_max,
        )?,
        present_devices_max: count(
            "limits.present-devices",
            raw.present_devices,
            default.present_devices_max,
        )?,
        presence_interval: duration(
            "limits.presence-interval",
            raw.presence_interval,
            default.presence_interval,
        )?,
        presence_reports_per_second: u32::try_from(reports).unwrap_or(u32::MAX),
        ..default
    })
}

fn value(key: &'static str, value: &str, problem: impl Into<String>) -> ConfigError {
    ConfigError::Value {
        key,
        value: value.to_owned(),
        problem: problem.into(),
    }
}

/// Accounts whose devices are hubs.
const HUBS_MAX: usize = 64;
/// The shortest month.
const PERIOD_GRACE_MAX: Duration = Duration::from_secs(28 * 24 * 3_600);
const DEFAULT_LISTEN: &str = "127.0.0.1:8440";

#[cfg(test)]
mod tests {
    #![expect(clippy::unwrap_used, reason = "a test may stop at a surprise")]

    use std::fs;

    use super::*;

    fn check(toml: &str) -> Result<Config, ConfigError> {
        let folder = tempfile::tempdir().unwrap();
        let home = Home::new(folder.path());
        fs::write(home.config(), toml).unwrap();
        Config::check(home.clone(), RawConfig::read(&home)?)
    }

    #[test]
    fn an_empty_configuration_listens_on_loopback() {
        let config = check("").unwrap();
        assert_eq!(config.listen, DEFAULT_LISTEN.parse().unwrap());
        assert_eq!(config.exposure, Exposure::Loopback);
        assert_eq!(config.limits, Limits::default());
    }

    #[test]
    fn what_is_written_is_meant() {
        let config = check(
            "listen = '0.0.0.0:443'\nbehind-proxy = true\nname = '마당'\ncurrency = 'EUR'\ntax-rate = '7.5%'\ntax-mode = 'exclusive'\nperiod-offset = '+09:00'\nperiod-grace = '12h'\n\
             bootstrap = ['/ip4/192.0.2.1/tcp/1/p2p/12D3']\n[limits]\nconnections = 7\nidle-timeout = '5m'\n",
        )
        .unwrap();
        assert_eq!(config.exposure, Exposure::BehindProxy);
        assert_eq!(config.network.tax_rate_bp, Some(750));
        assert_eq!(config.network.tax_mode, Some(TaxMode::Exclusive));
        assert_eq!(config.period_offset.to_string(), "+09:00");
        assert_eq!(config.period_grace, Duration::from_secs(12 * 3_600));
        assert_eq!(
            (config.limits.connections_max, config.limits.idle_timeout),
            (7, Duration::from_secs(300))
        );
    }

    #[test]
    fn flags_win_over_the_file() {
        let file: RawConfig = toml::from_str("listen = '127.0.0.1:1'\nname = 'file'").unwrap();
        let flags = RawConfig {
            name: Some("flag".to_owned()),
            ..RawConfig::default()
        };
        let both = file.overridden_by(flags);
        assert_eq!(
            (both.listen.as_deref(), both.name.as_deref()),
            (Some("127.0.0.1:1"), Some("flag"))
        );
    }

    #[test]
    fn every_mistake_is_one_line_that_names_its_place() {
        for (toml, place) in [
            ("lisen = '127.0.0.1:1'", "line 1: unknown field `lisen`"),
            ("\n[limits]\nfoo = 1", "line 3: unknown field `foo`"),
            ("listen = 8440", "line 1: "),
            ("listen = ", "line 1: "),
            ("listen = 'localhost'", "listen = \"localhost\""),
            ("listen = '0.0.0.0:80'", "in the clear"),
            ("metrics-listen = ''", "metrics-listen"),
            ("tls-cert = 'a'", "tls-cert and tls-key go together"),
            (
                "tls-cert = 'a'\ntls-key = 'b'\nbehind-proxy = true",
                "behind-proxy",
            ),
            ("name = ''", "name"),
            ("name = \"a\\nb\"", "name"),
            ("currency = 'won'", "currency"),
            ("tax-rate = 'much'", "tax-rate"),
            ("tax-rate = '10'", "such as 10%"),
            ("tax-mode = 'both'", "tax-mode"),
            ("period-offset = '9'", "period-offset"),
            ("period-grace = '29d'", "28 days"),
            ("bootstrap = ['/ip4/192.0.2.1/tcp/1']", "bootstrap"),
            ("bootstrap = ['/p2p/a', '/p2p/a']", "twice"),
            ("hub = ['no handle']", "hub"),
            ("[limits]\nconnections = 0", "limits.connections"),
            ("[limits]\nconnections = -1", "line 2: "),
            ("[limits]\nidle-timeout = '0s'", "limits.idle-timeout"),
            (
                "[limits]\npresence-interval = '1'",
                "limits.presence-interval",
            ),
        ] {
            let message = check(toml).unwrap_err().to_string();
            assert!(message.contains(place), "{toml}: {message}");
            assert!(!message.contains('\n'), "{message}");
        }
    }
}
