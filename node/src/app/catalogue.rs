//! [`Catalogue`]: the sites of this node as signed announcements and price lists.
//!
//! A price list is signed once and kept: its hash is what buyers agreed to, and it changes only when the prices do. Announcements are signed anew
//! whenever anything in them changes, and twice a day.

use std::{io, path::PathBuf, sync::Arc, time::Duration};

use madang_protocol::{
    amount::Currency,
    codec,
    limits::{ANNOUNCEMENT_LIFE, RECORD_BYTES_MAX, SITES_PER_DEVICE_MAX},
    name::{NameError, SiteName},
    record::{
        announcement::Announcement,
        passport::Passport,
        tariff::{Rule, Tariff},
    },
    reject::Reject,
    sealed::{Sealed, Trust, Unverified},
};
use serde::{Deserialize, Serialize};
use thiserror::Error;

use crate::{
    clock::Clock,
    config::{ConfigError, SiteConfig},
    files,
    home::Home,
    identity::DeviceKey,
};

/// How long a price list is good.
const TARIFF_LIFE: Duration = Duration::from_secs(365 * 24 * 3_600);
/// A price list is signed anew when it ends sooner than this.
const TARIFF_RENEW_BEFORE: Duration = Duration::from_secs(30 * 24 * 3_600);
/// A clock that runs behind by less than is tolerated takes a new price list at once.
const TARIFF_VALID_BEFORE: Duration = madang_protocol::limits::CLOCK_DIFFERENCE_TOLERATED;
/// Octets of the file.
const FILE_BYTES_MAX: usize = 4 * SITES_PER_DEVICE_MAX * RECORD_BYTES_MAX;

/// What this node says of itself and its sites at one moment.
#[derive(Debug, Clone, Default)]
pub struct Published {
    /// Whether the node may serve: after admission.
    pub is_serving: bool,
    /// Where it listens: multiaddrs without the peer id.
    pub addresses: Vec<String>,
    /// What it serves.
    pub sites: Vec<PublishedSite>,
}

/// One site as peers see it.
#[derive(Debug, Clone)]
pub struct PublishedSite {
    /// Its name.
    pub name: SiteName,
    /// What is behind it.
    pub config: SiteConfig,
    /// Its price list; `None` where everything is free.
    pub tariff: Option<Sealed<Tariff>>,
    /// The node's word on it.
    pub announcement: Sealed<Announcement>,
}

/// Why sites cannot be published.
#[derive(Debug, Error)]
pub enum CatalogueError {
    /// The configuration does not fit the network.
    #[error("{0}")]
    Config(#[from] ConfigError),
    /// Site part and handle do not fit a host label together.
    #[error("site {part:?}: {reason}")]
    Name {
        /// The site part.
        part: String,
        /// Why.
        reason: NameError,
    },
    /// A record is out of its bounds, by this program's or the configuration's fault.
    #[error("site {site}: {reason}")]
    Record {
        /// The site.
        site: SiteName,
        /// Why.
        reason: Reject,
    },
    /// The price lists cannot be kept.
    #[error("cannot use {path}: {source}")]
    File {
        /// Where.
        path: PathBuf,
        /// Why.
        source: io::Error,
    },
}

/// Signs what this node publishes.
#[derive(Debug)]
pub struct Catalogue {
    path: PathBuf,
    key: DeviceKey,
    clock: Clock,
    currency: Currency,
    trust: Trust,
    tariffs: Vec<Sealed<Tariff>>,
    sequence: u64,
}

/// The layout on disk.
#[derive(Serialize, Deserialize)]
struct Stored {
    version: u16,
    tariffs: Vec<Unverified<Tariff>>,
}

impl Catalogue {
    /// A catalogue that remembers the price lists of `home`. Those that cannot be read are made anew, and agreed to anew by buyers.
    ///
    /// # Errors
    /// [`CatalogueError::File`]
    pub fn load(
        home: &Home,
        key: DeviceKey,
        clock: Clock,
        currency: Currency,
        trust: Trust,
    ) -> Result<Self, CatalogueError> {
        let path = home.join("tariffs");
        let octets =
            files::read_bounded(&path, FILE_BYTES_MAX).map_err(|source| CatalogueError::File {
                path: path.clone(),
                source,
            })?;
        let tariffs = octets.map_or(Ok(Vec::new()), |octets| remembered(&octets, &trust));
        let tariffs = tariffs.unwrap_or_else(|reason| {
            tracing::warn!(%reason, path = %path.display(), "the price lists are damaged and are signed anew");
            Vec::new()
        });
        Ok(Self {
            path,
            key,
            clock,
            currency,
            trust,
            tariffs,
            sequence: 0,
        })
    }

    /// Signs `sites` at `addresses` as the device of `passport`. New price lists are on disk when this returns.
    ///
    /// # Errors
    /// [`CatalogueError`]
    pub fn publish(
        &mut self,
        sites: &[SiteConfig],
        addresses: &[String],
        passport: &Sealed<Passport>,
    ) -> Result<Arc<Published>, CatalogueError> {
        let mut published = Vec::with_capacity(sites.len());
        let before: Vec<_> = self.tariffs.iter().map(Sealed::tariff_hash).collect();
        for config in sites {
            let name = config
                .name(&passport.handle)
                .map_err(|reason| CatalogueError::Name {
                    part: config.part.clone().unwrap_or_default(),
                    reason,
                })?;
            let tariff = self.tariff(&name, config.rules(self.currency)?)?;
            let announcement =
                self.announcement(&name, config, tariff.as_ref(), addresses, passport)?;
            published.push(PublishedSite {
                name,
                config: config.clone(),
                tariff,
                announcement,
            });
        }
        if !self.tariffs.iter().map(Sealed::tariff_hash).eq(before) {
            self.keep(&published)?;
        }
        Ok(Arc::new(Published {
            is_serving: true,
            addresses: addresses.to_vec(),
            sites: published,
        }))
    }

    /// The price list in hand where it says the same, or a new one.
    fn tariff(
        &mut self,
        site: &SiteName,
        rules: Vec<Rule>,
    ) -> Result<Option<Sealed<Tariff>>, CatalogueError> {
        if rules.is_empty() {
            return Ok(None);
        }
        let now = self.clock.now();
        let at = self.tariffs.iter().position(|known| known.site == *site);
        let known = at.map(|at| &self.tariffs[at]);
        let lasts = |tariff: &Sealed<Tariff>| {
            tariff.is_valid_at(now) && tariff.valid_until.since(now) > TARIFF_RENEW_BEFORE
        };
        if let Some(known) = known
            && known.rules == rules
            && known.currency == self.currency
            && lasts(known)
        {
            return Ok(Some(known.clone()));
        }
        let tariff = Tariff {
            device: self.key.public(),
            site: site.clone(),
            currency: self.currency,
            rules,
            valid_from: now.minus(TARIFF_VALID_BEFORE),
            valid_until: now.plus(TARIFF_LIFE),
            sequence: known.map_or(now.0, |known| now.0.max(known.sequence + 1)),
        };
        let signed = self.key.sign(tariff, self.trust.network());
        let signed = signed.map_err(|reason| CatalogueError::Record {
            site: site.clone(),
            reason,
        })?;
        match at {
            Some(at) => self.tariffs[at] = signed.clone(),
            None => self.tariffs.push(signed.clone()),
        }
        Ok(Some(signed))
    }

    fn announcement(
        &mut self,
        site: &SiteName,
        config: &SiteConfig,
        tariff: Option<&Sealed<Tariff>>,
        addresses: &[String],
        passport: &Sealed<Passport>,
    ) -> Result<Sealed<Announcement>, CatalogueError> {
        let now = self.clock.now();
        // By the clock, so that it grows across restarts as well.
        self.sequence = now.0.max(self.sequence + 1);
        let announcement = Announcement {
            device: self.key.public(),
            site: site.clone(),
            title: config.title.clone(),
            description: config.description.clone(),
            keywords: config.keywords.clone(),
            tariff: tariff.map(Sealed::tariff_hash),
            audience: config.audience,
            addresses: addresses.to_vec(),
            sequence: self.sequence,
            issued: now,
            expires: now.plus(ANNOUNCEMENT_LIFE),
            passport: passport.to_unverified(),
        };
        let signed = self.key.sign(announcement, self.trust.network());
        signed.map_err(|reason| CatalogueError::Record {
            site: site.clone(),
            reason,
        })
    }

    /// Of sites that are gone, the price lists are kept as long as there is room: one that comes back has its sequence go on.
    fn keep(&mut self, published: &[PublishedSite]) -> Result<(), CatalogueError> {
        let is_current =
            |tariff: &Sealed<Tariff>| published.iter().any(|site| site.name == tariff.site);
        self.tariffs.sort_by_key(is_current);
        let excess = self.tariffs.len().saturating_sub(2 * SITES_PER_DEVICE_MAX);
        self.tariffs.drain(..excess);
        let stored = Stored {
            version: 1,
            tariffs: self.tariffs.iter().map(Sealed::to_unverified).collect(),
        };
        files::replace(&self.path, &codec::encode(&stored)).map_err(|source| CatalogueError::File {
            path: self.path.clone(),
            source,
        })
    }
}

fn remembered(octets: &[u8], trust: &Trust) -> Result<Vec<Sealed<Tariff>>, Reject> {
    let stored: Stored = codec::decode(octets, FILE_BYTES_MAX)?;
    if stored.version != 1 {
        return Err(Reject::VERSION_UNKNOWN);
    }
    let tariffs = stored
        .tariffs
        .into_iter()
        .map(|tariff| tariff.verify(trust));
    tariffs.collect()
}

#[cfg(test)]
mod tests {
    #![expect(clippy::unwrap_used, reason = "a test may stop at a surprise")]

    use madang_protocol::{
        ids::{AccountId, KeyId, NetworkId},
        limits::{
            ADDRESS_BYTES_MAX, ADDRESSES_MAX, KEYWORDS_MAX, PASSPORT_LIFE, PASSPORT_RENEW_AFTER,
        },
        record::{passport::Role, tariff::Audience},
        time::UnixMillis,
    };

    use super::*;

    #[test]
    fn the_largest_announcement_that_the_configuration_allows_is_signed() {
        let key = ed25519_dalek::SigningKey::from_bytes(&[7; 32]);
        let device = madang_protocol::ids::PublicKey(key.verifying_key().to_bytes());
        let network = NetworkId([1; 16]);
        let now = UnixMillis(1_795_305_600_000);
        let passport = Passport {
            issuer: KeyId::of(&device),
            account: AccountId([2; 16]),
            handle: "a".repeat(30).parse().unwrap(),
            device,
            role: Role::Hub,
            issued: now,
            renew_after: now.plus(PASSPORT_RENEW_AFTER),
            expires: now.plus(PASSPORT_LIFE),
        };
        let passport = Sealed::sign(passport, network, &key).unwrap();
        let words = crate::config::WORDS_BYTES_MAX;
        let keyword = 64;
        let keywords: Vec<String> = (0..KEYWORDS_MAX)
            .map(|at| format!("{at:0keyword$}"))
            .collect();
        let rest = words - KEYWORDS_MAX * keyword;
        let title = "t".repeat(rest.min(200));
        let description = "d".repeat(rest - title.len());
        let announcement = Announcement {
            device,
            site: format!("{}--{}", "b".repeat(20), "a".repeat(30))
                .parse()
                .unwrap(),
            title,
            description,
            keywords,
            tariff: Some(madang_protocol::ids::TariffHash([3; 32])),
            audience: Audience::Anyone,
            addresses: (0..ADDRESSES_MAX)
                .map(|at| format!("/{at:0width$}", width = ADDRESS_BYTES_MAX - 1))
                .collect(),
            sequence: 1,
            issued: now,
            expires: now.plus(ANNOUNCEMENT_LIFE),
            passport: passport.to_unverified(),
        };
        let signed = Sealed::sign(announcement, network, &key).unwrap();
        assert!(
            signed.to_bytes().len() > 3_500,
            "hardly the largest: {}",
            signed.to_bytes().len()
        );
    }
}
