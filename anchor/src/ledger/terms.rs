//! The terms of a grant: what is fixed when it is issued, and never changes.

use madang_protocol::{
    amount::{Amount, Currency},
    ids::{AccountId, GrantId, KeyId, PublicKey, RequestId, TariffHash},
    name::SiteName,
    record::{
        grant::{Funding, Grant},
        network::{Tax, TaxMode},
        tariff::Quota,
    },
    rules::receipt,
    time::UnixMillis,
};
use serde::{Deserialize, Serialize};

use super::{
    pack::{Packer, Unpacker, VERSION},
    promotion::{LotHold, LotId},
    quota::QuotaKey,
    table::Table,
    view::{Fault, Invariant, Row, Tables, View},
};

/// What is fixed when a grant is issued.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Terms {
    /// The issuer key that signed.
    pub issuer: KeyId,
    /// Who pays.
    pub buyer: AccountId,
    /// The key that signs receipts.
    pub buyer_key: PublicKey,
    /// Who is paid.
    pub seller: AccountId,
    /// The device that is paid for serving.
    pub seller_key: PublicKey,
    /// What is used, as people write it.
    pub site: String,
    /// At these prices.
    pub tariff: TariffHash,
    /// In this currency.
    pub currency: Currency,
    /// The most that receipts may say.
    pub amount_max: Amount,
    /// What is held for it: the most that the buyer may be debited.
    pub hold: Amount,
    /// The tax on what is bought.
    pub tax: Tax,
    /// The provider's share, in basis points.
    pub commission_bp: u16,
    /// Where the money comes from.
    pub funding: Funding,
    /// The grant that this one follows.
    pub predecessor: Option<GrantId>,
    /// The request that asked for it.
    pub request: RequestId,
    /// When it was issued.
    pub issued: UnixMillis,
    /// Until when it may be spent.
    pub spend_until: UnixMillis,
    /// Until when it may be settled.
    pub settle_until: UnixMillis,
    /// What is free under it, one for each rule.
    pub quotas: Vec<Quota>,
    /// Where the free use of a rule is counted, for rules with any.
    pub quota_keys: Vec<(u16, QuotaKey)>,
    /// The journal's entry that issued it; 0 until it is applied.
    pub entry: u64,
    /// What of the hold is promotional credit, in the order in which it is drawn. Follows from the rows when the grant is applied, so that
    /// it stands in its row and in no event.
    #[serde(skip)]
    pub lots: Vec<LotHold>,
}

impl Terms {
    /// What a receipt is checked against.
    pub fn for_receipts(&self, grant: GrantId) -> receipt::Terms<'_> {
        receipt::Terms {
            grant,
            buyer_key: self.buyer_key,
            tariff: self.tariff,
            amount_max: self.amount_max,
            quotas: &self.quotas,
        }
    }

    /// The record that the issuer signs.
    pub fn to_record(&self, id: GrantId) -> Result<Grant, Fault> {
        Ok(Grant {
            issuer: self.issuer,
            id,
            buyer: self.buyer,
            buyer_key: self.buyer_key,
            seller: self.seller,
            seller_key: self.seller_key,
            site: self.site_name()?,
            tariff: self.tariff,
            currency: self.currency,
            amount_max: self.amount_max,
            quotas: self.quotas.clone(),
            tax: self.tax,
            commission_bp: self.commission_bp,
            funding: self.funding,
            predecessor: self.predecessor,
            issued: self.issued,
            spend_until: self.spend_until,
            settle_until: self.settle_until,
        })
    }

    /// The site's name.
    pub fn site_name(&self) -> Result<SiteName, Fault> {
        self.site
            .parse()
            .map_err(|_| Fault::Unreadable(Table::Grant))
    }

    fn to_row(&self) -> Row {
        let version = if self.lots.is_empty() {
            VERSION
        } else {
            VERSION_LOTS
        };
        let mut row = Packer::new(version, 512);
        row.array(&self.issuer.0);
        row.array(&self.buyer.0);
        row.array(&self.buyer_key.0);
        row.array(&self.seller.0);
        row.array(&self.seller_key.0);
        row.octets(self.site.as_bytes());
        row.array(&self.tariff.0);
        row.array(self.currency.as_str().as_bytes());
        row.amount(self.amount_max);
        row.amount(self.hold);
        row.u16(self.tax.rate_bp);
        row.u8(match self.tax.mode {
            TaxMode::Inclusive => 0,
            TaxMode::Exclusive => 1,
            TaxMode::Reverse => 2,
        });
        row.u16(self.commission_bp);
        row.u8(u8::from(self.funding == Funding::Postpaid));
        row.u8(u8::from(self.predecessor.is_some()));
        row.array(&self.predecessor.unwrap_or(GrantId([0; 16])).0);
        row.array(&self.request.0);
        row.time(self.issued);
        row.time(self.spend_until);
        row.time(self.settle_until);
        row.u64(self.entry);
        row.count(self.quotas.len());
        for quota in &self.quotas {
            row.u64(quota.requests);
            row.u64(quota.bytes);
            row.u64(quota.milliseconds);
        }
        row.count(self.quota_keys.len());
        for (rule, key) in &self.quota_keys {
            row.u16(*rule);
            row.array(&key.to_bytes());
        }
        if version == VERSION_LOTS {
            row.count(self.lots.len());
            for held in &self.lots {
                row.time(held.lot.expires);
                row.u64(held.lot.entry);
                row.amount(held.amount);
            }
        }
        row.finish().into()
    }

    pub(super) fn of_row(octets: &[u8]) -> Result<Self, Fault> {
        let has_lots = octets.first() == Some(&VERSION_LOTS);
        let version = if has_lots { VERSION_LOTS } else { VERSION };
        let mut row = Unpacker::new(Table::Grant, version, octets)?;
        let mut terms = Self {
            issuer: KeyId(row.array()?),
            buyer: AccountId(row.array()?),
            buyer_key: PublicKey(row.array()?),
            seller: AccountId(row.array()?),
            seller_key: PublicKey(row.array()?),
            site: text(&mut row)?,
            tariff: TariffHash(row.array()?),
            currency: currency(&mut row)?,
            amount_max: row.amount()?,
            hold: row.amount()?,
            tax: Tax {
                rate_bp: row.u16()?,
                mode: match row.u8()? {
                    0 => TaxMode::Inclusive,
                    1 => TaxMode::Exclusive,
                    2 => TaxMode::Reverse,
                    _ => return Err(row.bad()),
                },
            },
            commission_bp: row.u16()?,
            funding: if flag(&mut row)? {
                Funding::Postpaid
            } else {
                Funding::Prepaid
            },
            predecessor: {
                let is_there = flag(&mut row)?;
                let grant = GrantId(row.array()?);
                is_there.then_some(grant)
            },
            request: RequestId(row.array()?),
            issued: row.time()?,
            spend_until: row.time()?,
            settle_until: row.time()?,
            entry: row.u64()?,
            quotas: row.list(|row| {
                Ok(Quota {
                    requests: row.u64()?,
                    bytes: row.u64()?,
                    milliseconds: row.u64()?,
                })
            })?,
            quota_keys: row.list(|row| Ok((row.u16()?, QuotaKey::of_bytes(row.array()?))))?,
            lots: Vec::new(),
        };
        if has_lots {
            terms.lots = row.list(lot_hold)?;
        }
        row.end()?;
        Ok(terms)
    }
}

/// The terms of a grant, if it is there.
pub fn get(view: &impl View, grant: &GrantId) -> Result<Option<Terms>, Fault> {
    view.get(Table::Grant, grant.as_bytes())?
        .map(|row| Terms::of_row(&row))
        .transpose()
}

/// The terms of a grant that another row names.
pub(super) fn existing(view: &impl View, grant: &GrantId) -> Result<Terms, Fault> {
    get(view, grant)?.ok_or_else(|| Invariant::RowExists(Table::Grant).into())
}

pub(super) fn put(tables: &mut impl Tables, grant: &GrantId, terms: &Terms) -> Result<(), Fault> {
    tables.put(Table::Grant, grant.as_bytes(), terms.to_row())
}

/// The rows of grants that hold promotional credit say of which lots.
const VERSION_LOTS: u8 = 2;

fn lot_hold(row: &mut Unpacker<'_>) -> Result<LotHold, Fault> {
    Ok(LotHold {
        lot: LotId {
            expires: row.time()?,
            entry: row.u64()?,
        },
        amount: row.amount()?,
    })
}

fn flag(row: &mut Unpacker<'_>) -> Result<bool, Fault> {
    match row.u8()? {
        0 => Ok(false),
        1 => Ok(true),
        _ => Err(row.bad()),
    }
}

fn text(row: &mut Unpacker<'_>) -> Result<String, Fault> {
    let octets = row.octets()?;
    String::from_utf8(octets.to_vec()).map_err(|_| row.bad())
}

fn currency(row: &mut Unpacker<'_>) -> Result<Currency, Fault> {
    let letters: [u8; 3] = row.array()?;
    let letters = std::str::from_utf8(&letters).map_err(|_| row.bad())?;
    letters.parse().map_err(|_| row.bad())
}
