//! Makes an account's documents of a frozen period, a bounded number of rows at a time.

use std::collections::BTreeMap;

use madang_protocol::{
    amount::Currency,
    ids::{AccountId, RecordHash},
};

use super::{
    Drafted, Kind, TaxTotal,
    lines::{self, Line, Place, tax_tag},
};
use crate::ledger::{
    month::Month,
    period::Period,
    policy::DOCUMENT_TAXES_MAX,
    view::{Fault, Invariant, View},
};

/// The documents of one account, while its lines are gone through.
pub struct Drafting {
    account: AccountId,
    at: Option<Place>,
    is_done: bool,
    parts: BTreeMap<Kind, Part>,
}

/// What is gathered of one document.
struct Part {
    lines: u64,
    currency: Currency,
    totals: BTreeMap<(u16, u8), TaxTotal>,
    hasher: Box<blake3::Hasher>,
}

impl Drafting {
    /// Nothing yet.
    pub fn new(account: AccountId) -> Self {
        Self {
            account,
            at: None,
            is_done: false,
            parts: BTreeMap::new(),
        }
    }

    /// Goes through at most `rows` more rows of the account in the frozen period `month`; gives how many it were, one at least.
    pub fn advance(
        &mut self,
        view: &impl View,
        month: Month,
        period: &Period,
        rows: usize,
    ) -> Result<usize, Fault> {
        let looked = lines::look(view, month, period, &self.account, self.at, rows)?;
        self.is_done = looked.is_whole;
        let count = looked.rows.len();
        for (place, line) in looked.rows {
            self.at = Some(place);
            if let Some(line) = line {
                self.add(&line)?;
            }
        }
        Ok(count.max(1))
    }

    /// Whether all rows were looked at.
    pub fn is_done(&self) -> bool {
        self.is_done
    }

    /// The documents, by kind. An account without lines has none.
    pub fn finish(self) -> Vec<Drafted> {
        let parts = self.parts.into_iter();
        parts
            .map(|(kind, part)| Drafted {
                account: self.account,
                kind,
                lines: part.lines,
                currency: part.currency,
                totals: part.totals.into_values().collect(),
                hash: RecordHash(*part.hasher.finalize().as_bytes()),
                owed: None,
            })
            .collect()
    }

    fn add(&mut self, line: &Line) -> Result<(), Fault> {
        let (currency, tax) = (line.terms.currency, line.terms.tax);
        let part = self.parts.entry(line.kind).or_insert_with(|| Part {
            lines: 0,
            currency,
            totals: BTreeMap::new(),
            hasher: Box::new(blake3::Hasher::new_derive_key(HASH_CONTEXT)),
        });
        if part.currency != currency {
            return Err(Invariant::DocumentWhole.into());
        }
        let octets = line.octets();
        part.hasher.update(&(octets.len() as u64).to_le_bytes());
        part.hasher.update(&octets);
        part.lines += 1;
        let total = part.totals.entry((tax.rate_bp, tax_tag(tax.mode)));
        total
            .or_insert_with(|| TaxTotal::none(tax))
            .add(&line.moved)?;
        if part.totals.len() > DOCUMENT_TAXES_MAX {
            return Err(Invariant::DocumentWhole.into());
        }
        Ok(())
    }
}

/// What the hash over a document's lines is for.
const HASH_CONTEXT: &str = "madang 2026-11 the lines of a billing document";
