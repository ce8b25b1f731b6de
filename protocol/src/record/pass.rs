//! [`Pass`]: the issuer says that an account has bought free use of some paths for some days.

use serde::{Deserialize, Serialize};

use super::bounds::{require, text};
use crate::{
    ids::{AccountId, GrantId, KeyId},
    limits::{MILLIS_PER_PASS_MAX, PASS_BYTES_MAX, PATTERN_BYTES_MAX},
    name::SiteName,
    reject::Reject,
    sealed::{Record, Signer},
    time::UnixMillis,
};

/// Shown in Hello; outlives the grant that bought it. Until it arrives, the seller honours its own journal.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Pass {
    /// The issuer key that signs.
    pub issuer: KeyId,
    /// Who bought it.
    pub account: AccountId,
    /// The site.
    pub site: SiteName,
    /// The pattern of the tariff's rule, which names the rule across changes of the tariff.
    pub pattern: String,
    /// The grant that bought it.
    pub grant: GrantId,
    /// When it was issued.
    pub issued: UnixMillis,
    /// When it ends.
    pub until: UnixMillis,
}

impl Record for Pass {
    const DOMAIN: &'static str = "madang pass";
    const VERSION: u16 = 1;
    const BYTES_MAX: usize = PASS_BYTES_MAX;

    fn signer(&self) -> Signer {
        Signer::Issuer(self.issuer)
    }

    fn check(&self) -> Result<(), Reject> {
        text(&self.pattern, PATTERN_BYTES_MAX)?;
        require(
            self.pattern.starts_with('/')
                && self.issued <= self.until
                && self.until.0 - self.issued.0 <= MILLIS_PER_PASS_MAX,
        )
    }
}
