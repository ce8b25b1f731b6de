//! [`Journal`]: the books as a plain-text journal. One transaction for each entry; at the end what each account comes to, for the other program to check.
//!
//! Entries are written as they come. What is kept is a sum for each account, so that memory grows with accounts and not with entries.

use std::{
    collections::{BTreeMap, BTreeSet},
    io::{self, Write},
};

use madang_protocol::time::Day;

use super::{
    books::BookEntry,
    form::{self, Form, Money, Title},
};

/// Which days are written.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Days {
    /// The first; from the beginning where it is left out.
    pub from: Option<Day>,
    /// The last; to the end where it is left out.
    pub until: Option<Day>,
}

impl Days {
    /// Whether no day is among them.
    pub fn is_empty(&self) -> bool {
        matches!((self.from, self.until), (Some(from), Some(until)) if until < from)
    }

    fn is_before(&self, day: Day) -> bool {
        self.from.is_some_and(|from| day < from)
    }

    fn is_after(&self, day: Day) -> bool {
        self.until.is_some_and(|until| day > until)
    }
}

/// A journal that is being written.
pub struct Journal<'a> {
    form: Form,
    days: Days,
    out: &'a mut dyn Write,
    /// What each account comes to, by currency and name.
    sums: BTreeMap<(String, String), i128>,
    opened: BTreeSet<String>,
    currencies: BTreeSet<String>,
    last: Option<Day>,
}

impl<'a> Journal<'a> {
    /// A journal of `days` in `form`, onto `out`.
    pub fn new(form: Form, days: Days, out: &'a mut dyn Write) -> Self {
        Self {
            form,
            days,
            out,
            sums: BTreeMap::new(),
            opened: BTreeSet::new(),
            currencies: BTreeSet::new(),
            last: None,
        }
    }

    /// Where there is a first day, every entry is shown here once before [`Journal::begin`].
    pub fn before(&mut self, entry: &BookEntry) {
        if self.days.is_before(entry.time.day()) {
            self.sum(entry);
        }
    }

    /// Writes what the file begins with, and what was before in one transaction.
    ///
    /// # Errors
    /// What the writer says.
    pub fn begin(&mut self) -> io::Result<()> {
        self.form.begin(self.out)?;
        let Some(day) = self
            .days
            .from
            .filter(|_| self.sums.values().any(|sum| *sum != 0))
        else {
            return Ok(());
        };
        let sums: Vec<((String, String), i128)> = self
            .sums
            .iter()
            .filter(|(_, sum)| **sum != 0)
            .map(|(key, sum)| (key.clone(), *sum))
            .collect();
        for ((currency, account), _) in &sums {
            self.declare(currency, account)?;
        }
        let words = "what was before";
        let title = Title {
            day,
            entry: None,
            words,
        };
        self.form.title(self.out, title)?;
        for ((currency, account), micros) in &sums {
            let money = Money {
                micros: *micros,
                currency,
            };
            self.form.posting(self.out, account, money)?;
        }
        self.last = Some(day);
        Ok(())
    }

    /// Writes an entry, if it is of these days.
    ///
    /// # Errors
    /// What the writer says.
    pub fn entry(&mut self, entry: &BookEntry) -> io::Result<()> {
        let day = entry.time.day();
        if self.days.is_before(day) || self.days.is_after(day) {
            return Ok(());
        }
        for leg in &entry.legs {
            self.declare(&leg.currency, &form::account(leg))?;
        }
        let title = Title {
            day,
            entry: Some((entry.entry, entry.time)),
            words: &entry.kind,
        };
        self.form.title(self.out, title)?;
        for leg in &entry.legs {
            let money = Money {
                micros: -i128::from(leg.micros),
                currency: &leg.currency,
            };
            self.form.posting(self.out, &form::account(leg), money)?;
        }
        self.sum(entry);
        self.last = self.last.max(Some(day));
        Ok(())
    }

    /// Writes what each account comes to.
    ///
    /// # Errors
    /// What the writer says.
    pub fn finish(self) -> io::Result<()> {
        let Some(day) = self
            .last
            .max(self.days.until.filter(|_| self.last.is_some()))
        else {
            return Ok(());
        };
        for ((currency, account), micros) in &self.sums {
            // An account that moved only before, and to nothing, is not in the file.
            if self.opened.contains(account) {
                let money = Money {
                    micros: *micros,
                    currency,
                };
                self.form.balance(self.out, day, account, money)?;
            }
        }
        Ok(())
    }

    fn declare(&mut self, currency: &str, account: &str) -> io::Result<()> {
        if !self.currencies.contains(currency) {
            self.currencies.insert(currency.to_owned());
            self.form.commodity(self.out, currency)?;
        }
        if !self.opened.contains(account) {
            self.opened.insert(account.to_owned());
            self.form.open(self.out, account)?;
        }
        Ok(())
    }

    fn sum(&mut self, entry: &BookEntry) {
        for leg in &entry.legs {
            let key = (leg.currency.clone(), form::account(leg));
            *self.sums.entry(key).or_default() -= i128::from(leg.micros);
        }
    }
}
