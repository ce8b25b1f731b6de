//! [`Announcement`]: a node says that it serves a site, and where.

use serde::{Deserialize, Serialize};

use super::{
    bounds::{addresses, require, text},
    passport::Passport,
    tariff::Audience,
};
use crate::{
    ids::{PublicKey, TariffHash},
    keyword,
    limits::{
        ANNOUNCEMENT_BYTES_MAX, ANNOUNCEMENT_LIFE, DESCRIPTION_BYTES_MAX, KEYWORDS_MAX,
        TITLE_BYTES_MAX,
    },
    name::SiteName,
    reject::Reject,
    sealed::{Record, Signer, Unverified},
    time::UnixMillis,
};

/// One site of one node. A newer one of the same site and device replaces it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Announcement {
    /// The serving device, which signs.
    pub device: PublicKey,
    /// The site, of the handle that the passport names.
    pub site: SiteName,
    /// A title for lists.
    pub title: String,
    /// A sentence or two.
    pub description: String,
    /// In canonical form (see [`keyword::normalise`]), each once.
    pub keywords: Vec<String>,
    /// The price list; `None` where everything is free.
    pub tariff: Option<TariffHash>,
    /// Who may use the site.
    pub audience: Audience,
    /// Where the node listens: multiaddrs without the peer id.
    pub addresses: Vec<String>,
    /// Grows with each change; survives restarts.
    pub sequence: u64,
    /// When it was signed.
    pub issued: UnixMillis,
    /// When it is no longer believed. Equal to `issued` in one that withdraws the site.
    pub expires: UnixMillis,
    /// The issuer's word on the device, for readers that never met it.
    pub passport: Unverified<Passport>,
}

impl Announcement {
    /// Whether this one takes the site down.
    pub fn withdraws(&self) -> bool {
        self.expires <= self.issued
    }
}

impl Record for Announcement {
    const DOMAIN: &'static str = "madang announcement";
    const VERSION: u16 = 1;
    const BYTES_MAX: usize = ANNOUNCEMENT_BYTES_MAX;

    fn signer(&self) -> Signer {
        Signer::Device(self.device)
    }

    fn check(&self) -> Result<(), Reject> {
        text(&self.title, TITLE_BYTES_MAX)?;
        text(&self.description, DESCRIPTION_BYTES_MAX)?;
        addresses(&self.addresses)?;
        require(self.keywords.len() <= KEYWORDS_MAX)?;
        require(
            self.keywords
                .iter()
                .all(|word| keyword::normalise(word).as_ref() == Some(word)),
        )?;
        require(
            self.keywords
                .iter()
                .enumerate()
                .all(|(at, word)| !self.keywords[..at].contains(word)),
        )?;
        require(
            self.issued <= self.expires && self.expires.since(self.issued) <= ANNOUNCEMENT_LIFE,
        )?;
        let passport = self.passport.claims();
        require(passport.device == self.device && passport.handle == *self.site.handle())
    }
}
