//! What is answered about billing periods and their documents: the machine's form of an invoice, a statement, and what corrects them.
//!
//! Amounts, identifiers and hashes are text, and so are counts that may exceed 2^53. An amount is in the currency's main unit, with up to six
//! decimals. Amounts of a document that takes something back are what is taken back.

use madang_protocol::{
    amount::Amount,
    ids::{GrantId, RecordHash, TariffHash},
    record::network::{Tax, TaxMode},
    time::{Day, UnixMillis},
};
use serde::{Deserialize, Serialize};

use super::text;
use crate::{
    billing::party::Party,
    ledger::{
        document::{Kind, Number, lines::Place},
        month::Month,
    },
};

/// A billing period.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub struct PeriodAnswer {
    /// Which month.
    pub period: Month,
    /// How far it is.
    pub stage: StageAnswer,
    /// Since when it is in grace, or closed.
    pub since: Option<UnixMillis>,
    /// When its grace is over, while it is in grace.
    pub grace_until: Option<UnixMillis>,
    /// Accounts whose documents are made.
    pub accounts: u64,
    /// How many accounts there are, where that was counted.
    pub accounts_total: Option<u64>,
    /// Documents that are made.
    pub documents: u64,
}

/// How far a period is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum StageAnswer {
    /// It is the present month.
    Open,
    /// It takes what is settled late.
    InGrace,
    /// Its documents are being made.
    Closing,
    /// It has all its documents.
    Closed,
}

/// What kind of document.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum KindAnswer {
    /// What a buyer bought.
    Invoice,
    /// What was taken back of a buyer's earlier invoices.
    CreditNote,
    /// What a seller sold.
    Statement,
    /// What was taken back of a seller's earlier statements.
    StatementCorrection,
}

/// A document, without its lines.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub struct DocumentAnswer {
    /// Its number.
    #[serde(with = "text")]
    pub number: Number,
    /// Its kind.
    pub kind: KindAnswer,
    /// Who issued it: the network's name.
    pub issuer: String,
    /// To whom.
    pub party: Party,
    /// Its period.
    pub period: Month,
    /// The period's first day.
    #[serde(with = "text")]
    pub from: Day,
    /// The period's last day.
    #[serde(with = "text")]
    pub to: Day,
    /// When it was issued.
    pub issued: UnixMillis,
    /// The currency of all amounts.
    pub currency: String,
    /// How many lines it has.
    pub lines: u64,
    /// What the lines under each tax come to.
    pub totals: Vec<TotalAnswer>,
    /// What all lines come to.
    pub total: SumAnswer,
    /// What a postpaid buyer owed when its invoice was issued.
    #[serde(with = "maybe_text")]
    pub owed: Option<Amount>,
    /// The hash over its lines.
    #[serde(with = "text")]
    pub hash: RecordHash,
}

/// What lines under one tax come to.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub struct TotalAnswer {
    /// The tax.
    pub tax: TaxAnswer,
    /// How many lines.
    pub lines: u64,
    /// What they come to.
    pub sum: SumAnswer,
}

/// A tax.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub struct TaxAnswer {
    /// In basis points (1,000 = 10 %).
    pub rate_bp: u16,
    /// Whether prices contain it.
    pub mode: TaxModeAnswer,
}

/// Whether prices contain a tax.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum TaxModeAnswer {
    /// They do.
    Inclusive,
    /// It comes on top.
    Exclusive,
    /// The buyer owes it to the state itself.
    Reverse,
}

/// An amount in its parts: `gross = net + tax = earned + commission + tax`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub struct SumAnswer {
    /// Without the tax.
    #[serde(with = "text")]
    pub net: Amount,
    /// The tax.
    #[serde(with = "text")]
    pub tax: Amount,
    /// What the buyer paid, or got back.
    #[serde(with = "text")]
    pub gross: Amount,
    /// The provider's commission.
    #[serde(with = "text")]
    pub commission: Amount,
    /// What the seller earned, or gave back.
    #[serde(with = "text")]
    pub earned: Amount,
}

/// A line.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub struct LineAnswer {
    /// The grant.
    #[serde(with = "text")]
    pub grant: GrantId,
    /// The entry that issued it.
    pub entry: u64,
    /// When that was.
    pub granted: UnixMillis,
    /// Whether the grant is of an earlier period.
    pub late: bool,
    /// The seller; on a seller's document, the buyer.
    pub partner: Party,
    /// The site.
    pub site: String,
    /// The price list.
    #[serde(with = "text")]
    pub tariff: TariffHash,
    /// What was used, by rule of the price list; on a late line, what came to that.
    pub uses: Vec<UseAnswer>,
    /// The tax.
    pub tax: TaxAnswer,
    /// The provider's share, in basis points.
    pub commission_bp: u16,
    /// What of the receipt's amount was taken back since the line before.
    #[serde(with = "text")]
    pub taken_back: Amount,
    /// What the line comes to.
    pub sum: SumAnswer,
    /// The hash of the buyer's sealed receipt.
    #[serde(with = "maybe_text")]
    pub receipt: Option<RecordHash>,
    /// The document that the line corrects or goes on from.
    #[serde(with = "maybe_text")]
    pub follows: Option<Number>,
}

/// What was used under one rule and one of its prices.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub struct UseAnswer {
    /// The rule's pattern of paths.
    pub pattern: String,
    /// What is counted.
    pub unit: UnitAnswer,
    /// How much of it: requests, octets, milliseconds, or passes.
    #[serde(with = "text")]
    pub quantity: u64,
    /// How much of that was free.
    #[serde(with = "text")]
    pub free: u64,
    /// The price of one request, of 2^20 octets, of a minute, or of a pass.
    #[serde(with = "text")]
    pub unit_price: Amount,
}

/// What is counted.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum UnitAnswer {
    /// Requests.
    Requests,
    /// Octets; priced by 2^20 of them.
    Octets,
    /// Milliseconds; priced by the minute.
    Milliseconds,
    /// Passes.
    Passes,
}

/// Where a list of documents goes on.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case", deny_unknown_fields)]
pub struct DocumentBefore {
    /// The period of the last one.
    pub period: Month,
    /// Its kind.
    pub kind: KindAnswer,
}

/// A page of lines.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub struct LinesAnswer {
    /// In the document's order.
    pub lines: Vec<LineAnswer>,
    /// Where the next page goes on.
    pub more_after: Option<Place>,
}

impl From<Kind> for KindAnswer {
    fn from(kind: Kind) -> Self {
        match kind {
            Kind::Invoice => Self::Invoice,
            Kind::CreditNote => Self::CreditNote,
            Kind::Statement => Self::Statement,
            Kind::Correction => Self::StatementCorrection,
        }
    }
}

impl From<KindAnswer> for Kind {
    fn from(kind: KindAnswer) -> Self {
        match kind {
            KindAnswer::Invoice => Self::Invoice,
            KindAnswer::CreditNote => Self::CreditNote,
            KindAnswer::Statement => Self::Statement,
            KindAnswer::StatementCorrection => Self::Correction,
        }
    }
}

impl From<Tax> for TaxAnswer {
    fn from(tax: Tax) -> Self {
        Self {
            rate_bp: tax.rate_bp,
            mode: match tax.mode {
                TaxMode::Inclusive => TaxModeAnswer::Inclusive,
                TaxMode::Exclusive => TaxModeAnswer::Exclusive,
                TaxMode::Reverse => TaxModeAnswer::Reverse,
            },
        }
    }
}

/// Values that may be missing, as the text that people write.
mod maybe_text {
    use std::{fmt::Display, str::FromStr};

    use serde::{Deserialize as _, Deserializer, Serialize as _, Serializer, de::Error as _};

    pub(super) fn serialize<T: Display, S: Serializer>(
        value: &Option<T>,
        serializer: S,
    ) -> Result<S::Ok, S::Error> {
        value
            .as_ref()
            .map(ToString::to_string)
            .serialize(serializer)
    }

    pub(super) fn deserialize<'de, T: FromStr<Err: Display>, D: Deserializer<'de>>(
        deserializer: D,
    ) -> Result<Option<T>, D::Error> {
        let text = Option::<String>::deserialize(deserializer)?;
        text.map(|text| text.parse().map_err(D::Error::custom))
            .transpose()
    }
}
