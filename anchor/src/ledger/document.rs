//! Documents of closed periods: what a buyer bought, what a seller sold, and what was taken back of either.
//!
//! A document is a number, totals and a hash over its lines. The lines themselves are not kept: they follow from grants, receipts and what moved late
//! ([`lines`](mod@lines)), none of which changes any more.

pub mod audit;
pub mod draft;
pub mod lines;
#[cfg(test)]
#[expect(clippy::unwrap_used, reason = "a test fails by panicking")]
mod tests;

use std::{collections::BTreeMap, fmt, ops::Bound, str::FromStr};

use madang_protocol::{
    amount::{Amount, Currency},
    ids::{AccountId, RecordHash},
    record::network::Tax,
    reject::Reject,
    rules::settlement::Split,
    time::UnixMillis,
};
use serde::{Deserialize, Serialize};

use super::{
    account::{self, Billing},
    entry::balance,
    month::Month,
    pack,
    policy::DOCUMENTS_LISTED_MAX,
    table::{self, LedgerAccount, Table},
    view::{Fault, Invariant, Order, Tables, View},
};

/// What kind of document. An account has at most one of each kind for each period.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
pub enum Kind {
    /// What a buyer bought, of all sellers.
    Invoice,
    /// What was taken back of a buyer's earlier invoices.
    CreditNote,
    /// What a seller sold.
    Statement,
    /// What was taken back of a seller's earlier statements.
    Correction,
}

/// A document's number, such as `2026-INV-000001`. Ordered by kind, year, and number in it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
pub struct Number {
    /// The kind.
    pub kind: Kind,
    /// The year of its period.
    pub year: u16,
    /// From 1, without gaps.
    pub serial: u32,
}

/// What the lines under one tax come to. Of what was taken back, how much.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct TaxTotal {
    /// The tax.
    pub tax: Tax,
    /// How many lines.
    pub lines: u64,
    /// What buyers were debited, the tax within it.
    pub debit: Amount,
    /// What sellers earned.
    pub seller: Amount,
    /// The provider's commission.
    pub commission: Amount,
    /// What goes to the state.
    pub tax_amount: Amount,
}

/// A document without its number.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Drafted {
    /// Whose.
    pub account: AccountId,
    /// Of what kind.
    pub kind: Kind,
    /// How many lines it has; one or more.
    pub lines: u64,
    /// The currency of all of them.
    pub currency: Currency,
    /// By rate, then by mode.
    pub totals: Vec<TaxTotal>,
    /// The hash over the lines, in their order.
    pub hash: RecordHash,
    /// What a postpaid buyer owes when its invoice is issued.
    pub owed: Option<Amount>,
}

/// A document.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Document {
    /// Its number.
    pub number: Number,
    /// Its period.
    pub month: Month,
    /// When it was issued.
    pub issued: UnixMillis,
    /// What it says.
    pub content: Drafted,
}

impl Kind {
    /// All kinds.
    pub const ALL: [Self; 4] = [
        Self::Invoice,
        Self::CreditNote,
        Self::Statement,
        Self::Correction,
    ];

    /// The three letters in numbers.
    pub fn letters(self) -> &'static str {
        match self {
            Self::Invoice => "INV",
            Self::CreditNote => "CRN",
            Self::Statement => "STM",
            Self::Correction => "COR",
        }
    }

    /// Whether its account is the buyer.
    pub fn is_buyers(self) -> bool {
        match self {
            Self::Invoice | Self::CreditNote => true,
            Self::Statement | Self::Correction => false,
        }
    }

    /// Whether its lines take something back.
    pub fn takes_back(self) -> bool {
        match self {
            Self::CreditNote | Self::Correction => true,
            Self::Invoice | Self::Statement => false,
        }
    }

    /// The kind of document that this kind corrects; itself where it corrects none.
    pub fn corrected(self) -> Self {
        match self {
            Self::Invoice | Self::CreditNote => Self::Invoice,
            Self::Statement | Self::Correction => Self::Statement,
        }
    }

    fn tag(self) -> u8 {
        match self {
            Self::Invoice => 0,
            Self::CreditNote => 1,
            Self::Statement => 2,
            Self::Correction => 3,
        }
    }
}

impl TaxTotal {
    fn none(tax: Tax) -> Self {
        Self {
            tax,
            lines: 0,
            debit: Amount::ZERO,
            seller: Amount::ZERO,
            commission: Amount::ZERO,
            tax_amount: Amount::ZERO,
        }
    }

    fn add(&mut self, split: &Split) -> Result<(), Fault> {
        let parts = [
            (&mut self.debit, split.debit),
            (&mut self.seller, split.seller),
            (&mut self.commission, split.commission),
            (&mut self.tax_amount, split.tax),
        ];
        for (sum, part) in parts {
            *sum = sum.checked_add(part).ok_or(Invariant::SumFits)?;
        }
        self.lines += 1;
        Ok(())
    }

    /// What it comes to.
    pub fn split(&self) -> Split {
        Split {
            debit: self.debit,
            seller: self.seller,
            commission: self.commission,
            tax: self.tax_amount,
        }
    }
}

impl Drafted {
    /// What all lines come to.
    pub fn total(&self) -> Result<Split, Fault> {
        let mut total = TaxTotal::none(Tax::NONE);
        for one in &self.totals {
            total.add(&one.split())?;
        }
        Ok(total.split())
    }
}

impl Number {
    fn key(self) -> Vec<u8> {
        table::pair(&count_key(self.kind, self.year), &self.serial.to_be_bytes())
    }
}

impl fmt::Display for Number {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(
            f,
            "{:04}-{}-{:06}",
            self.year,
            self.kind.letters(),
            self.serial
        )
    }
}

/// The text is no document's number.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct ParseNumberError;

impl fmt::Display for ParseNumberError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a document's number such as 2026-INV-000001 is expected")
    }
}

impl std::error::Error for ParseNumberError {}

impl FromStr for Number {
    type Err = ParseNumberError;

    /// A number as it is shown, and no other spelling of it.
    fn from_str(text: &str) -> Result<Self, ParseNumberError> {
        let mut parts = text.splitn(3, '-');
        let mut part = || parts.next().ok_or(ParseNumberError);
        let (year, letters, serial) = (part()?, part()?, part()?);
        let kind = Kind::ALL.into_iter().find(|kind| kind.letters() == letters);
        let number = Self {
            kind: kind.ok_or(ParseNumberError)?,
            year: year.parse().map_err(|_| ParseNumberError)?,
            serial: serial.parse().map_err(|_| ParseNumberError)?,
        };
        (number.to_string() == text)
            .then_some(number)
            .ok_or(ParseNumberError)
    }
}

/// A document.
///
/// # Errors
/// `DOCUMENT_UNKNOWN`; `DOCUMENT_NOT_YOURS` where it is another account's than `of`.
pub fn get(view: &impl View, number: Number, of: Option<&AccountId>) -> Result<Document, Fault> {
    let row = view.get(Table::Document, &number.key())?;
    let row = row.ok_or(Reject::DOCUMENT_UNKNOWN)?;
    let document: Document = pack::value(Table::Document, &row)?;
    if of.is_some_and(|of| *of != document.content.account) {
        return Err(Reject::DOCUMENT_NOT_YOURS.into());
    }
    Ok(document)
}

/// The number of an account's document of a period, if it has one.
pub fn number_of(
    view: &impl View,
    account: &AccountId,
    month: Month,
    kind: Kind,
) -> Result<Option<Number>, Fault> {
    let row = view.get(Table::DocumentOf, &of_key(account, month, kind))?;
    row.map(|row| pack::value(Table::DocumentOf, &row))
        .transpose()
}

/// An account's documents, the latest period first; `before` is the last of the page before.
pub fn list(
    view: &impl View,
    account: &AccountId,
    before: Option<(Month, Kind)>,
    limit: usize,
) -> Result<Vec<Document>, Fault> {
    let end = match before {
        Some((month, kind)) => of_key(account, month, kind),
        None => table::pair(account.as_bytes(), &[u8::MAX; 5]),
    };
    let keys = (
        Bound::Included(account.as_bytes()),
        Bound::Excluded(end.as_slice()),
    );
    let limit = limit.clamp(1, DOCUMENTS_LISTED_MAX);
    let rows = view.range(Table::DocumentOf, keys, Order::Backward, limit)?;
    let numbers = rows
        .iter()
        .map(|(_, row)| pack::value(Table::DocumentOf, row));
    let numbers = numbers.collect::<Result<Vec<Number>, Fault>>()?;
    let keys: Vec<Vec<u8>> = numbers.iter().map(|number| number.key()).collect();
    view.expect(Table::Document, keys.iter().map(Vec::as_slice))?;
    numbers
        .into_iter()
        .map(|number| get(view, number, None))
        .collect()
}

/// What a postpaid buyer owes now, for an invoice.
pub(super) fn owed(view: &impl View, document: &Drafted) -> Result<Option<Amount>, Fault> {
    if document.kind != Kind::Invoice {
        return Ok(None);
    }
    let owner = account::existing(view, &document.account)?;
    if owner.billing() == Billing::Prepaid {
        return Ok(None);
    }
    let wallet = LedgerAccount::Wallet(document.account);
    let posted = balance(view, wallet, document.currency)?.posted;
    let owed = u64::try_from((-posted).max(0)).map_err(|_| Invariant::SumFits)?;
    Ok(Some(Amount::from_micros(owed)))
}

/// L-23: gives each its number.
pub(super) fn apply(
    tables: &mut impl Tables,
    month: Month,
    issued: UnixMillis,
    documents: Vec<Drafted>,
) -> Result<(), Fault> {
    let mut counts: BTreeMap<Kind, u32> = BTreeMap::new();
    for content in documents {
        let (kind, account) = (content.kind, content.account);
        let of = of_key(&account, month, kind);
        if tables.get(Table::DocumentOf, &of)?.is_some() {
            return Err(Invariant::PeriodInOrder.into());
        }
        let count = match counts.get(&kind) {
            Some(count) => *count,
            None => self::count(tables, kind, month.year())?,
        };
        let serial = count.checked_add(1).ok_or(Invariant::SumFits)?;
        counts.insert(kind, serial);
        let number = Number {
            kind,
            year: month.year(),
            serial,
        };
        let document = Document {
            number,
            month,
            issued,
            content,
        };
        tables.put(Table::Document, &number.key(), pack::row(&document))?;
        tables.put(Table::DocumentOf, &of, pack::row(&number))?;
    }
    for (kind, count) in counts {
        let key = count_key(kind, month.year());
        tables.put(Table::DocumentCount, &key, pack::row(&count))?;
    }
    Ok(())
}

/// The last number that was given in a year.
fn count(view: &impl View, kind: Kind, year: u16) -> Result<u32, Fault> {
    let row = view.get(Table::DocumentCount, &count_key(kind, year))?;
    row.map_or(Ok(0), |row| pack::value(Table::DocumentCount, &row))
}

fn count_key(kind: Kind, year: u16) -> [u8; 3] {
    let [high, low] = year.to_be_bytes();
    [kind.tag(), high, low]
}

fn of_key(account: &AccountId, month: Month, kind: Kind) -> Vec<u8> {
    let mut key = table::pair(account.as_bytes(), &month.to_bytes());
    key.push(kind.tag());
    key
}
