//! [`Grant`]: the issuer permits one buyer to owe one seller's device, for one site at one price list, at most so much.

use serde::{Deserialize, Serialize};

use super::{bounds::require, network::Tax, tariff::Quota};
use crate::{
    amount::{Amount, Currency},
    ids::{AccountId, GrantId, KeyId, PublicKey, TariffHash},
    limits::{
        BASIS_POINTS, GRANT_AMOUNT_MAX, GRANT_SETTLE_WITHIN, GRANT_SPEND_WITHIN, RECORD_BYTES_MAX,
        TARIFF_RULES_MAX,
    },
    name::SiteName,
    reject::Reject,
    sealed::{Record, Signer},
    time::UnixMillis,
};

/// Where the money behind a grant comes from.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub enum Funding {
    /// A wallet that was topped up.
    Prepaid,
    /// A credit limit, billed later.
    Postpaid,
}

/// Permission to spend. The anchor holds `amount_max` and its tax on the buyer's wallet until the grant is settled or released.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Grant {
    /// The issuer key that signs.
    pub issuer: KeyId,
    /// Names the grant.
    pub id: GrantId,
    /// Who pays.
    pub buyer: AccountId,
    /// The key that signs receipts.
    pub buyer_key: PublicKey,
    /// Who is paid.
    pub seller: AccountId,
    /// The device that is paid for serving.
    pub seller_key: PublicKey,
    /// What is used.
    pub site: SiteName,
    /// At these prices.
    pub tariff: TariffHash,
    /// In this currency.
    pub currency: Currency,
    /// The most that receipts may say, before a tax that comes on top.
    pub amount_max: Amount,
    /// What is free under this grant, one for each rule of the tariff: a slice of what is left of the period, reserved for it like money.
    pub quotas: Vec<Quota>,
    /// The tax on what is bought.
    pub tax: Tax,
    /// The provider's share of the net amount, in basis points.
    pub commission_bp: u16,
    /// Where the money comes from.
    pub funding: Funding,
    /// The grant that this one follows, if any.
    pub predecessor: Option<GrantId>,
    /// When it was issued.
    pub issued: UnixMillis,
    /// Nothing is served under it after this time.
    pub spend_until: UnixMillis,
    /// No receipt is settled after this time.
    pub settle_until: UnixMillis,
}

impl Record for Grant {
    const DOMAIN: &'static str = "madang grant";
    const VERSION: u16 = 1;
    const BYTES_MAX: usize = RECORD_BYTES_MAX;

    fn signer(&self) -> Signer {
        Signer::Issuer(self.issuer)
    }

    fn check(&self) -> Result<(), Reject> {
        self.tax.check()?;
        require(
            self.currency.is_valid()
                && self.amount_max <= GRANT_AMOUNT_MAX
                && self.commission_bp <= BASIS_POINTS,
        )?;
        require(
            self.quotas.len() <= TARIFF_RULES_MAX
                && self.buyer != self.seller
                && self.buyer_key != self.seller_key,
        )?;
        require(self.issued <= self.spend_until && self.spend_until <= self.settle_until)?;
        require(self.spend_until.since(self.issued) <= GRANT_SPEND_WITHIN)?;
        require(self.settle_until.since(self.issued) <= GRANT_SETTLE_WITHIN)
    }
}
