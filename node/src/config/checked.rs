//! [`Config`]: the configuration after its one check.

use std::{
    net::SocketAddr,
    path::{Path, PathBuf},
    str::FromStr,
    time::Duration,
};

use madang_protocol::{
    amount::{Amount, Currency},
    limits::{ADDRESSES_MAX, SITES_PER_DEVICE_MAX},
};

use super::{ConfigError, Money, Raw, RawMesh, RawProxy, RawSelling, SiteConfig, parse_duration};
use crate::{
    broker::AnchorAddress,
    home::Home,
    mesh::{AddressPart, Multiaddr, Transport},
};

/// Every interface, on ports that the system chooses.
const LISTEN: &[&str] = &["/ip4/0.0.0.0/udp/0/quic-v1", "/ip4/0.0.0.0/tcp/0"];
/// Where `http://<site>.localhost:8420/` leads.
const PROXY: &str = "127.0.0.1:8420";
/// Where `http://localhost:8421/` leads.
const CONSOLE: &str = "127.0.0.1:8421";
/// Short enough that a buyer's hold is released soon, long enough for a batch to be worth its commit.
const SETTLE_EVERY: Duration = Duration::from_secs(30);

/// What one node does, checked.
#[derive(Debug, Clone)]
pub struct Config {
    /// How the anchor is reached.
    pub anchor: AnchorConfig,
    /// How peers are reached.
    pub mesh: MeshConfig,
    /// The local proxy; `None` for a node that only serves.
    pub proxy: Option<ProxyConfig>,
    /// What is served.
    pub sites: Vec<SiteConfig>,
    budget_per_site: Option<Money>,
    budget_per_day: Option<Money>,
    selling: RawMoney,
    settle_every: Duration,
}

/// How the anchor is reached.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct AnchorConfig {
    /// In place of the address that was joined.
    pub url: Option<AnchorAddress>,
    /// PEM file, trusted in place of the system's certificates.
    pub ca_file: Option<PathBuf>,
    /// Allows `http://` to another machine.
    pub insecure_http: bool,
}

/// How peers are reached.
#[derive(Debug, Clone, PartialEq)]
pub struct MeshConfig {
    /// What to listen on.
    pub listen: Vec<Multiaddr>,
    /// What to announce beside the addresses that are found out.
    pub announce: Vec<Multiaddr>,
    /// In the order of preference.
    pub transports: Vec<Transport>,
}

/// Where the local proxy listens: loopback, both.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct ProxyConfig {
    /// The proxy itself.
    pub listen: SocketAddr,
    /// The console and the consent page.
    pub console: SocketAddr,
}

/// What this node's owner is ready to spend without being asked again: money that leaves the wallet, tax included.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Budgets {
    /// On one site.
    pub per_site: Amount,
    /// In one day, on all sites.
    pub per_day: Amount,
}

/// What this node dares as a seller.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Selling {
    /// Value served ahead of receipts to a buyer that is new.
    pub window_start: Amount,
    /// The most that it grows to.
    pub window_max: Amount,
    /// Value without receipts over all buyers.
    pub exposure_max: Amount,
    /// Value of receipts that may be lost with this machine.
    pub value_at_risk: Amount,
    /// How often receipts are handed in.
    pub settle_every: Duration,
}

#[derive(Debug, Clone, Copy)]
struct RawMoney {
    window_start: Option<Money>,
    window_max: Option<Money>,
    exposure_max: Option<Money>,
    value_at_risk: Option<Money>,
}

impl Config {
    /// Reads and checks `madang.toml` of `home`.
    ///
    /// # Errors
    /// [`ConfigError`]
    pub fn load(home: &Home) -> Result<Self, ConfigError> {
        Self::check(&Raw::read(&home.config())?, home.path())
    }

    /// Checks `raw`; relative paths start at `base`.
    ///
    /// # Errors
    /// [`ConfigError::Value`]
    pub fn check(raw: &Raw, base: &Path) -> Result<Self, ConfigError> {
        let insecure_http = raw.anchor.insecure_http.unwrap_or(false);
        let url = raw.anchor.url.as_deref().map(|url| {
            AnchorAddress::parse(url, insecure_http)
                .map_err(|error| ConfigError::value("anchor.url", error))
        });
        Ok(Self {
            anchor: AnchorConfig {
                url: url.transpose()?,
                ca_file: raw.anchor.ca_file.as_ref().map(|path| base.join(path)),
                insecure_http,
            },
            mesh: mesh(&raw.mesh)?,
            proxy: proxy(&raw.proxy)?,
            sites: sites(raw, base)?,
            budget_per_site: money("budget.per_site", raw.budget.per_site.as_deref())?,
            budget_per_day: money("budget.per_day", raw.budget.per_day.as_deref())?,
            selling: selling(&raw.selling)?,
            settle_every: settle_every(&raw.selling)?,
        })
    }

    /// The budgets, in a network's currency.
    ///
    /// # Errors
    /// [`ConfigError::Value`]: the configuration names another currency.
    pub fn budgets(&self, currency: Currency) -> Result<Budgets, ConfigError> {
        let scale = scale(currency);
        Ok(Budgets {
            per_site: amount("budget.per_site", self.budget_per_site, currency, 5 * scale)?,
            per_day: amount("budget.per_day", self.budget_per_day, currency, 20 * scale)?,
        })
    }

    /// The seller's policy, in a network's currency.
    ///
    /// # Errors
    /// [`ConfigError::Value`]: the configuration names another currency, or a window that shrinks.
    pub fn selling(&self, currency: Currency) -> Result<Selling, ConfigError> {
        let (raw, scale) = (self.selling, scale(currency));
        let in_currency = |key, given, units_thousandth| {
            amount(key, given, currency, units_thousandth * scale / 1_000)
        };
        let selling = Selling {
            window_start: in_currency("selling.window_start", raw.window_start, 100)?,
            window_max: in_currency("selling.window_max", raw.window_max, 5_000)?,
            exposure_max: in_currency("selling.exposure_max", raw.exposure_max, 100_000)?,
            value_at_risk: in_currency("selling.value_at_risk", raw.value_at_risk, 1_000)?,
            settle_every: self.settle_every,
        };
        if selling.window_start.is_zero() || selling.window_start > selling.window_max {
            let reason = "more than nothing and at most selling.window_max is expected";
            return Err(ConfigError::value("selling.window_start", reason));
        }
        Ok(selling)
    }
}

/// Base units of a small purchase: a thousand won, one of most other currencies.
fn scale(currency: Currency) -> u64 {
    match currency.as_str() {
        "KRW" | "JPY" => 1_000_000_000,
        _ => 1_000_000,
    }
}

fn amount(
    key: &str,
    given: Option<Money>,
    currency: Currency,
    default_micros: u64,
) -> Result<Amount, ConfigError> {
    match given {
        None => Ok(Amount::from_micros(default_micros)),
        Some(money) if money.currency == currency => Ok(money.amount),
        Some(money) => {
            let reason = format!("{money} is not in this network's currency, {currency}");
            Err(ConfigError::value(key, reason))
        }
    }
}

fn money(key: &str, text: Option<&str>) -> Result<Option<Money>, ConfigError> {
    text.map(|text| text.parse().map_err(|error| ConfigError::value(key, error)))
        .transpose()
}

fn selling(raw: &RawSelling) -> Result<RawMoney, ConfigError> {
    Ok(RawMoney {
        window_start: money("selling.window_start", raw.window_start.as_deref())?,
        window_max: money("selling.window_max", raw.window_max.as_deref())?,
        exposure_max: money("selling.exposure_max", raw.exposure_max.as_deref())?,
        value_at_risk: money("selling.value_at_risk", raw.value_at_risk.as_deref())?,
    })
}

fn settle_every(raw: &RawSelling) -> Result<Duration, ConfigError> {
    let key = "selling.settle_every";
    let Some(text) = raw.settle_every.as_deref() else {
        return Ok(SETTLE_EVERY);
    };
    let every = parse_duration(text).map_err(|error| ConfigError::value(key, error))?;
    // A day leaves thirteen for an anchor that is away.
    if (Duration::from_millis(100)..=Duration::from_secs(86_400)).contains(&every) {
        Ok(every)
    } else {
        Err(ConfigError::value(
            key,
            "from \"100 ms\" to \"1 d\" is expected",
        ))
    }
}

fn mesh(raw: &RawMesh) -> Result<MeshConfig, ConfigError> {
    let transports = transports(raw)?;
    let listen = match &raw.listen {
        Some(texts) => listen(texts, &transports)?,
        None => {
            let all = addresses("mesh.listen", LISTEN)?;
            let chosen = |address: &Multiaddr| can_listen(address, &transports).is_ok();
            all.into_iter().filter(chosen).collect()
        }
    };
    if listen.is_empty() {
        let reason = "at least one address is expected";
        return Err(ConfigError::value("mesh.listen", reason));
    }
    Ok(MeshConfig {
        listen,
        announce: addresses("mesh.announce", raw.announce.as_deref().unwrap_or_default())?,
        transports,
    })
}

fn listen(texts: &[String], transports: &[Transport]) -> Result<Vec<Multiaddr>, ConfigError> {
    let listen = addresses("mesh.listen", texts)?;
    for address in &listen {
        can_listen(address, transports)
            .map_err(|reason| ConfigError::value("mesh.listen", format!("{address} {reason}")))?;
    }
    Ok(listen)
}

/// Whether one of `transports` listens at `address`; why not, where none does.
fn can_listen(address: &Multiaddr, transports: &[Transport]) -> Result<(), &'static str> {
    let mut parts = address.iter();
    let host = matches!(
        parts.next(),
        Some(AddressPart::Ip4(_) | AddressPart::Ip6(_))
    );
    let needed: &[Transport] = match (host, parts.next(), parts.next(), parts.next()) {
        (true, Some(AddressPart::Tcp(_)), None, None) => &[Transport::TcpTls, Transport::TcpNoise],
        (true, Some(AddressPart::Udp(_)), Some(AddressPart::QuicV1), None) => &[Transport::Quic],
        _ => {
            return Err(
                "cannot be listened on; /ip4/ADDRESS/tcp/PORT or /ip4/ADDRESS/udp/PORT/quic-v1 is expected, or /ip6 in its place",
            );
        }
    };
    if needed.iter().any(|one| transports.contains(one)) {
        Ok(())
    } else if needed.contains(&Transport::Quic) {
        Err("needs quic in mesh.transports")
    } else {
        Err("needs tcp-tls or tcp-noise in mesh.transports")
    }
}

fn addresses<T: AsRef<str>>(key: &str, texts: &[T]) -> Result<Vec<Multiaddr>, ConfigError> {
    if texts.len() > ADDRESSES_MAX {
        let reason = format!("at most {ADDRESSES_MAX} addresses are allowed");
        return Err(ConfigError::value(key, reason));
    }
    let read = |text: &T| {
        let text = text.as_ref();
        Multiaddr::from_str(text).map_err(|_| {
            let reason = format!("{text:?} is not a multiaddr, such as /ip4/0.0.0.0/tcp/4001");
            ConfigError::value(key, reason)
        })
    };
    texts.iter().map(read).collect()
}

fn transports(raw: &RawMesh) -> Result<Vec<Transport>, ConfigError> {
    let Some(texts) = &raw.transports else {
        return Ok(vec![
            Transport::TcpTls,
            Transport::TcpNoise,
            Transport::Quic,
        ]);
    };
    let mut transports = Vec::new();
    for text in texts {
        let transport = match text.as_str() {
            "quic" => Transport::Quic,
            "tcp-tls" => Transport::TcpTls,
            "tcp-noise" => Transport::TcpNoise,
            _ => {
                let reason = format!("{text:?} is none of quic, tcp-tls and tcp-noise");
                return Err(ConfigError::value("mesh.transports", reason));
            }
        };
        if transports.contains(&transport) {
            let reason = format!("{text:?} stands there twice");
            return Err(ConfigError::value("mesh.transports", reason));
        }
        transports.push(transport);
    }
    if transports.is_empty() {
        let reason = "at least one transport is expected";
        return Err(ConfigError::value("mesh.transports", reason));
    }
    Ok(transports)
}

fn proxy(raw: &RawProxy) -> Result<Option<ProxyConfig>, ConfigError> {
    let listen = loopback("proxy.listen", raw.listen.as_deref().unwrap_or(PROXY))?;
    let console = loopback("proxy.console", raw.console.as_deref().unwrap_or(CONSOLE))?;
    if listen == console && listen.port() != 0 {
        let reason = "another address than proxy.listen is expected";
        return Err(ConfigError::value("proxy.console", reason));
    }
    let is_enabled = raw.enabled.unwrap_or(true);
    Ok(is_enabled.then_some(ProxyConfig { listen, console }))
}

fn loopback(key: &str, text: &str) -> Result<SocketAddr, ConfigError> {
    let address: SocketAddr = text.parse().map_err(|_| {
        let reason = format!("{text:?} is not an address and a port, such as 127.0.0.1:8420");
        ConfigError::value(key, reason)
    })?;
    if address.ip().is_loopback() {
        Ok(address)
    } else {
        let reason =
            format!("{text} is open to other machines; only 127.0.0.1 and [::1] are allowed");
        Err(ConfigError::value(key, reason))
    }
}

fn sites(raw: &Raw, base: &Path) -> Result<Vec<SiteConfig>, ConfigError> {
    if raw.site.len() > SITES_PER_DEVICE_MAX {
        let reason = format!("at most {SITES_PER_DEVICE_MAX} sites are allowed");
        return Err(ConfigError::value("site", reason));
    }
    let mut sites: Vec<SiteConfig> = Vec::with_capacity(raw.site.len());
    for one in &raw.site {
        let site = SiteConfig::check(one, base)?;
        if sites.iter().any(|other| other.part == site.part) {
            let name = site
                .part
                .map_or("without a name".to_owned(), |part| format!("{part:?}"));
            return Err(ConfigError::value(
                "site",
                format!("there are two sites {name}"),
            ));
        }
        sites.push(site);
    }
    Ok(sites)
}
