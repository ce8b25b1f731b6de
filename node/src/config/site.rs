//! [`SiteConfig`]: one site, checked.

use std::{
    net::IpAddr,
    path::{Path, PathBuf},
};

use http::Uri;
use madang_protocol::{
    amount::Currency,
    keyword,
    limits::{DESCRIPTION_BYTES_MAX, KEYWORDS_MAX, TARIFF_RULES_MAX, TITLE_BYTES_MAX},
    name::{Handle, NameError, SiteName},
    record::tariff::{Audience, Rule},
    rules::price::parse_rule,
};

use super::{ConfigError, RawSite};

/// Octets of title, description and keywords together: beside eight addresses and a passport they fit an announcement.
pub(crate) const WORDS_BYTES_MAX: usize = 1_600;

/// What a site serves.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Source {
    /// The files below this folder.
    Folder(PathBuf),
    /// The application on this TCP port of this machine.
    Port(u16),
    /// The application at this URL: `http`, a host and a port, which may be left out on this machine only.
    Url(Uri),
    /// The application on this Unix socket.
    Unix(PathBuf),
}

/// One line of a price list, and the currency that it is written in.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Price {
    /// What a tariff says.
    pub rule: Rule,
    /// Of its amounts; `None` where it has none.
    pub currency: Option<Currency>,
}

/// One site.
#[derive(Debug, Clone, PartialEq)]
pub struct SiteConfig {
    /// The part before `--`, in canonical form; `None` for the site of the handle itself.
    pub part: Option<String>,
    /// What is served.
    pub source: Source,
    /// For lists.
    pub title: String,
    /// A sentence or two.
    pub description: String,
    /// In canonical form, each once.
    pub keywords: Vec<String>,
    /// Who may use it.
    pub audience: Audience,
    /// In the order in which they are tried.
    pub prices: Vec<Price>,
}

impl SiteConfig {
    /// Checks `raw`; relative paths start at `base`.
    ///
    /// # Errors
    /// [`ConfigError::Value`]
    pub fn check(raw: &RawSite, base: &Path) -> Result<Self, ConfigError> {
        let part = match raw.name.as_deref() {
            None | Some("") => None,
            Some(name) => Some(parse_part(name)?),
        };
        let place = |key: &str| place(part.as_deref(), key);
        let title = raw.title.clone().unwrap_or_default();
        let description = raw.description.clone().unwrap_or_default();
        for (text, octets_max, key) in [
            (&title, TITLE_BYTES_MAX, "title"),
            (&description, DESCRIPTION_BYTES_MAX, "description"),
        ] {
            if text.len() > octets_max || text.chars().any(char::is_control) {
                let reason = format!("one line of at most {octets_max} octets is expected");
                return Err(ConfigError::value(place(key), reason));
            }
        }
        let keywords =
            keywords(raw).map_err(|reason| ConfigError::value(place("keywords"), reason))?;
        // As they are announced: one sign can stand for many letters.
        let words = keywords.iter().map(String::len).sum::<usize>();
        if title.len() + description.len() + words > WORDS_BYTES_MAX {
            let reason = format!(
                "title ({} octets), description ({}) and keywords ({words}) have at most {WORDS_BYTES_MAX} octets together",
                title.len(),
                description.len()
            );
            return Err(ConfigError::value(place(""), reason));
        }
        let audience =
            audience(raw).map_err(|reason| ConfigError::value(place("audience"), reason))?;
        Ok(Self {
            source: source(raw, base).map_err(|reason| ConfigError::value(place(""), reason))?,
            keywords,
            audience,
            prices: prices(raw, audience)
                .map_err(|reason| ConfigError::value(place("prices"), reason))?,
            title,
            description,
            part,
        })
    }

    /// The rules of the site's price list, in a network's currency.
    ///
    /// # Errors
    /// [`ConfigError::Value`]: a price is in another currency.
    pub fn rules(&self, currency: Currency) -> Result<Vec<Rule>, ConfigError> {
        let foreign = self
            .prices
            .iter()
            .find(|price| price.currency.is_some_and(|own| own != currency));
        if let Some(price) = foreign {
            let reason = format!(
                "the price of {} is not in this network's currency, {currency}",
                price.rule.pattern
            );
            return Err(ConfigError::value(
                place(self.part.as_deref(), "prices"),
                reason,
            ));
        }
        Ok(self.prices.iter().map(|price| price.rule.clone()).collect())
    }

    /// The site's name under `handle`.
    ///
    /// # Errors
    /// [`NameError::TooLong`]: the two do not fit a host label together.
    pub fn name(&self, handle: &Handle) -> Result<SiteName, NameError> {
        match &self.part {
            None => Ok(SiteName::of(handle.clone())),
            Some(part) => SiteName::part_of(handle.clone(), part),
        }
    }
}

fn place(part: Option<&str>, key: &str) -> String {
    let site = part.map_or("the site without a name".to_owned(), |part| {
        format!("site {part:?}")
    });
    if key.is_empty() {
        site
    } else {
        format!("{site}, {key}")
    }
}

/// The canonical form of a site part. The handle is not known here: the shortest one stands in for it.
///
/// # Errors
/// [`ConfigError::Value`]
pub fn parse_part(name: &str) -> Result<String, ConfigError> {
    let wrong =
        |reason: &dyn std::fmt::Display| ConfigError::value(format!("site {name:?}"), reason);
    if name.contains("--") {
        return Err(wrong(
            &"write only the part before `--`; the handle follows by itself",
        ));
    }
    let handle: Handle = "a".parse().map_err(|error: NameError| wrong(&error))?;
    let site = SiteName::part_of(handle, name).map_err(|error| wrong(&error))?;
    Ok(site.part().unwrap_or_default().to_owned())
}

fn source(raw: &RawSite, base: &Path) -> Result<Source, String> {
    let folder = raw
        .folder
        .as_ref()
        .map(|path| Ok(Source::Folder(base.join(path))));
    let unix = raw.unix.as_ref().map(|path| {
        if path.as_os_str().is_empty() {
            return Err("the path of a Unix socket is expected, such as /run/app.sock".to_owned());
        }
        Ok(Source::Unix(base.join(path)))
    });
    let port = raw.port.map(|port| match port {
        0 => Err("a port from 1 to 65535 is expected".to_owned()),
        _ => Ok(Source::Port(port)),
    });
    let url = raw.url.as_deref().map(url);
    let mut sources = [folder, port, url, unix].into_iter().flatten();
    match (sources.next(), sources.next()) {
        (Some(source), None) => source,
        _ => Err("one of folder, port, url and unix is expected".into()),
    }
}

fn url(text: &str) -> Result<Source, String> {
    let wrong =
        || format!("{text:?} is not the URL of a local application: http://HOST:PORT is expected");
    let uri: Uri = text.parse().map_err(|_| wrong())?;
    let has_host = uri.host().is_some_and(|host| !host.is_empty());
    let is_bare = matches!(uri.path(), "" | "/") && uri.query().is_none();
    let is_plain = !text.contains('@');
    if uri.scheme_str() != Some("http") || !has_host || !is_bare || !is_plain {
        return Err(wrong());
    }
    // A web site's address, pasted: nobody means to answer for another's site.
    if uri.port_u16().is_none() && !is_this_machine(uri.host().unwrap_or_default()) {
        return Err(format!(
            "{text:?} is not on this machine; for an application on a machine of yours, say its port: http://HOST:PORT"
        ));
    }
    Ok(Source::Url(uri))
}

fn is_this_machine(host: &str) -> bool {
    let address = host.trim_start_matches('[').trim_end_matches(']');
    let address: Option<IpAddr> = address.parse().ok();
    let host = host.to_ascii_lowercase();
    host == "localhost"
        || host.ends_with(".localhost")
        || address.is_some_and(|address| address.is_loopback())
}

fn keywords(raw: &RawSite) -> Result<Vec<String>, String> {
    let mut words = Vec::new();
    for text in raw.keywords.iter().flatten() {
        let word = keyword::normalise(text).ok_or_else(|| format!("{text:?} is not a keyword"))?;
        if !words.contains(&word) {
            words.push(word);
        }
    }
    if words.len() > KEYWORDS_MAX {
        return Err(format!("at most {KEYWORDS_MAX} keywords are allowed"));
    }
    Ok(words)
}

fn audience(raw: &RawSite) -> Result<Audience, String> {
    let text = raw.audience.as_deref().unwrap_or("anyone");
    match text {
        "anyone" => Ok(Audience::Anyone),
        "subscribers" => Ok(Audience::Subscribers),
        _ => text
            .strip_prefix("group:")
            .and_then(|id| id.parse().ok())
            .map(Audience::Members)
            .ok_or_else(|| format!("{text:?} is none of anyone, subscribers and group:ID")),
    }
}

fn prices(raw: &RawSite, audience: Audience) -> Result<Vec<Price>, String> {
    let texts = raw.prices.as_deref().unwrap_or_default();
    if texts.len() > TARIFF_RULES_MAX {
        return Err(format!("at most {TARIFF_RULES_MAX} prices are allowed"));
    }
    let read = |text: &String| {
        let (rule, currency) = parse_rule(text, audience).map_err(|error| error.to_string())?;
        Ok(Price { rule, currency })
    };
    let prices: Vec<Price> = texts.iter().map(read).collect::<Result<_, String>>()?;
    for (at, price) in prices.iter().enumerate() {
        let pattern = &price.rule.pattern;
        if prices[..at].iter().any(|one| one.rule.pattern == *pattern) {
            return Err(format!(
                "{pattern} has two prices; the second would never hold"
            ));
        }
    }
    Ok(prices)
}
