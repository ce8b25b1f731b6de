//! Checks documents against the grants that they are made of.
//!
//! * L-20 For every account, what its documents say and what is in none yet sum to what was settled for it and not taken back: nothing is billed
//!   twice, and nothing is lost.

use std::collections::BTreeMap;

use madang_protocol::{ids::AccountId, rules::settlement::Split};

use super::{Document, Drafted, Number, count, draft::Drafting, get};
use crate::ledger::{
    audit::each,
    late::{self, Late, State},
    month::Month,
    pack,
    period::{self, Period},
    policy::{DOCUMENT_ROWS_MAX, PERIODS_LISTED_MAX},
    progress::Progress,
    table::Table,
    terms::{self, Terms},
    view::{Fault, Invariant, View},
};

/// An account as a buyer (`true`) or as a seller.
type Party = (AccountId, bool);

/// What is gathered while grants are gone through.
pub(crate) struct Documents {
    periods: BTreeMap<Month, Period>,
    /// What was settled and is in a document that is made, less what documents say.
    open: BTreeMap<Party, [i128; 4]>,
}

impl Documents {
    /// Reads the periods.
    pub(crate) fn begin(view: &impl View) -> Result<Self, Fault> {
        let (mut periods, mut before) = (BTreeMap::new(), None);
        loop {
            let page = period::list(view, before, PERIODS_LISTED_MAX)?;
            let Some((month, _)) = page.last() else {
                break;
            };
            before = Some(*month);
            periods.extend(page);
        }
        Ok(Self {
            periods,
            open: BTreeMap::new(),
        })
    }

    /// A grant, and what is left of what was settled under it.
    pub(crate) fn grant(
        &mut self,
        view: &impl View,
        terms: &Terms,
        progress: &Progress,
        net: &Split,
    ) -> Result<(), Fault> {
        let own = self.periods.values().find(|one| one.has(terms.entry));
        let own = own.copied();
        for (account, is_buyer) in [(terms.buyer, true), (terms.seller, false)] {
            let party = (account, is_buyer);
            self.add(party, net, 1);
            if own.is_none_or(|own| !own.is_made_for(&account)) {
                // The line that its own period will have.
                let line = match late::frozen(view, terms, progress)? {
                    Some(frozen) => frozen,
                    None => State::of(progress),
                };
                self.add(party, &line.net(terms)?, -1);
            }
        }
        Ok(())
    }

    /// L-20, when all grants were gone through.
    pub(crate) fn close(mut self, view: &impl View) -> Result<u64, Fault> {
        each(view, Table::Late, |key, row| self.late(view, key, row))?;
        let numbered = self.numbered(view)?;
        let made = self.made(view)?;
        if numbered != made {
            return Err(Invariant::DocumentWhole.into());
        }
        if self.open.values().flatten().any(|sum| *sum != 0) {
            return Err(Invariant::BilledOnce.into());
        }
        Ok(made)
    }

    fn late(&mut self, view: &impl View, key: &[u8], row: &[u8]) -> Result<(), Fault> {
        let (month, account) = month_account(key)?;
        let late = Late::of_row(row)?;
        let period = self.periods.get(&month);
        let period = period.ok_or(Invariant::RowExists(Table::Period))?;
        if !period.is_made_for(&account) {
            let terms = terms::existing(view, &late.grant)?;
            let party = (account, terms.buyer == account);
            self.add(party, &late.to.net(&terms)?, -1);
            self.add(party, &late.from.net(&terms)?, 1);
        }
        Ok(())
    }

    /// L-23: every number follows the one before.
    fn numbered(&mut self, view: &impl View) -> Result<u64, Fault> {
        let mut last: Option<Number> = None;
        let mut documents = 0;
        each(view, Table::Document, |_, row| {
            let document: Document = pack::value(Table::Document, row)?;
            let number = document.number;
            let is_next = match last {
                Some(last) if (last.kind, last.year) == (number.kind, number.year) => {
                    number.serial == last.serial + 1
                }
                Some(_) | None => {
                    check_count(view, last)?;
                    number.serial == 1
                }
            };
            if !is_next || document.month.year() != number.year {
                return Err(Invariant::DocumentWhole.into());
            }
            last = Some(number);
            documents += 1;
            Ok(())
        })?;
        check_count(view, last)?;
        Ok(documents)
    }

    /// Every document is made anew from its lines.
    fn made(&mut self, view: &impl View) -> Result<u64, Fault> {
        let mut documents = 0;
        let mut present: Option<(AccountId, Month)> = None;
        let mut drafted: Vec<Drafted> = Vec::new();
        each(view, Table::DocumentOf, |key, row| {
            let (account, month) = account_month(key)?;
            if present != Some((account, month)) {
                if !drafted.is_empty() {
                    return Err(Invariant::DocumentWhole.into());
                }
                drafted = self.draft(view, account, month)?;
                present = Some((account, month));
            }
            let number: Number = pack::value(Table::DocumentOf, row)?;
            let document = get(view, number, Some(&account))?;
            let content = Drafted {
                owed: None,
                ..document.content
            };
            let at = drafted.iter().position(|one| *one == content);
            let at = at.filter(|_| document.month == month && content.kind == number.kind);
            drafted.remove(at.ok_or(Invariant::DocumentWhole)?);
            let sign = if number.kind.takes_back() { 1 } else { -1 };
            self.add((account, number.kind.is_buyers()), &content.total()?, sign);
            documents += 1;
            Ok(())
        })?;
        if !drafted.is_empty() {
            return Err(Invariant::DocumentWhole.into());
        }
        Ok(documents)
    }

    fn draft(
        &self,
        view: &impl View,
        account: AccountId,
        month: Month,
    ) -> Result<Vec<Drafted>, Fault> {
        let period = self.periods.get(&month);
        let period = period.ok_or(Invariant::RowExists(Table::Period))?;
        let mut drafting = Drafting::new(account);
        while !drafting.is_done() {
            drafting.advance(view, month, period, DOCUMENT_ROWS_MAX)?;
        }
        Ok(drafting.finish())
    }

    fn add(&mut self, party: Party, split: &Split, sign: i128) {
        let parts = [split.debit, split.seller, split.commission, split.tax];
        let sums = self.open.entry(party).or_default();
        for (sum, part) in sums.iter_mut().zip(parts) {
            *sum += sign * i128::from(part.micros());
        }
    }
}

fn check_count(view: &impl View, last: Option<Number>) -> Result<(), Fault> {
    match last {
        Some(last) if count(view, last.kind, last.year)? != last.serial => {
            Err(Invariant::DocumentWhole.into())
        }
        Some(_) | None => Ok(()),
    }
}

fn month_account(key: &[u8]) -> Result<(Month, AccountId), Fault> {
    let unreadable = || Fault::Unreadable(Table::Late);
    let (month, rest) = key.split_first_chunk().ok_or_else(unreadable)?;
    let (account, _) = rest.split_first_chunk().ok_or_else(unreadable)?;
    Ok((Month::of_bytes(*month), AccountId(*account)))
}

fn account_month(key: &[u8]) -> Result<(AccountId, Month), Fault> {
    let unreadable = || Fault::Unreadable(Table::DocumentOf);
    let (account, rest) = key.split_first_chunk().ok_or_else(unreadable)?;
    let (month, _) = rest.split_first_chunk().ok_or_else(unreadable)?;
    Ok((AccountId(*account), Month::of_bytes(*month)))
}
