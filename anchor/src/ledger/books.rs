//! The books: one row for each event that moves money, and nothing of those that only hold some.
//!
//! * L-15 What all rows together credited a ledger account with is what its balance says.
//! * L-16 A row's legs sum to nothing in each currency.
//!
//! A row has one leg for each ledger account that the event touched, whatever number of grants that was for.

use std::collections::BTreeMap;

use madang_protocol::{amount::Currency, time::UnixMillis};

use super::{
    pack::{Packer, Unpacker, VERSION},
    table::{LedgerAccount, Table},
    view::{Fault, Invariant, Keys, Order, Row, Tables, View},
};

/// Why money moved. Numbers are never reused.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
#[repr(u8)]
pub enum EntryKind {
    /// Money came in.
    TopUp = 0,
    /// Promotional credit was given.
    Credit = 1,
    /// Receipts were settled.
    Settlement = 2,
    /// Money that came in went back to where it came from.
    Refund = 3,
    /// Some of what a grant was settled for went back to its buyer.
    LineRefund = 4,
    /// A top-up or a credit had been booked too low or too high.
    Correction = 5,
    /// A dispute was decided for the buyer.
    Dispute = 6,
    /// Promotional credit ended.
    Expired = 7,
    /// A subscriber left: credit that it gave up, and what is too little to be paid.
    Leaving = 8,
}

impl EntryKind {
    /// All kinds.
    pub const ALL: [Self; 9] = [
        Self::TopUp,
        Self::Credit,
        Self::Settlement,
        Self::Refund,
        Self::LineRefund,
        Self::Correction,
        Self::Dispute,
        Self::Expired,
        Self::Leaving,
    ];

    /// In a few words, for exports.
    pub fn name(self) -> &'static str {
        match self {
            Self::TopUp => "top-up",
            Self::Credit => "promotional credit",
            Self::Settlement => "settlement",
            Self::Refund => "refund",
            Self::LineRefund => "refund of a line",
            Self::Correction => "correction",
            Self::Dispute => "dispute",
            Self::Expired => "promotional credit that ended",
            Self::Leaving => "rest of a subscriber that left",
        }
    }
}

/// Money that one event moved.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Entry {
    /// Why.
    pub kind: EntryKind,
    /// When.
    pub time: UnixMillis,
    /// What each ledger account was credited with, in base units; below zero is a debit. In the order of currencies and accounts, none of them zero.
    pub legs: Vec<Leg>,
}

/// What one ledger account was credited with.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Leg {
    /// In which currency.
    pub currency: Currency,
    /// Which.
    pub account: LedgerAccount,
    /// So many base units; below zero is a debit.
    pub micros: i64,
}

impl Entry {
    /// L-16: that every leg has its counterpart.
    pub(super) fn check(&self) -> Result<(), Invariant> {
        let mut sums: BTreeMap<Currency, i128> = BTreeMap::new();
        for leg in &self.legs {
            *sums.entry(leg.currency).or_default() += i128::from(leg.micros);
        }
        if sums.values().any(|sum| *sum != 0) {
            return Err(Invariant::EntryBalanced);
        }
        Ok(())
    }

    fn to_row(&self) -> Row {
        let mut row = Packer::new(VERSION, 16 + self.legs.len() * LEG_BYTES_MAX);
        row.u8(self.kind as u8);
        row.time(self.time);
        let groups: Vec<&[Leg]> = self
            .legs
            .chunk_by(|one, next| one.currency == next.currency)
            .collect();
        row.count(groups.len());
        for group in groups {
            let currency = group.first().map(|leg| leg.currency);
            row.array(currency.as_ref().map_or(&[], |it| it.as_str().as_bytes()));
            row.count(group.len());
            for leg in group {
                let (tag, account) = leg.account.parts();
                row.u8(tag);
                row.array(account.as_ref().map_or(&[], |account| account.as_bytes()));
                row.u64(leg.micros.cast_unsigned());
            }
        }
        row.finish().into()
    }

    pub(super) fn of_row(octets: &[u8]) -> Result<Self, Fault> {
        let mut row = Unpacker::new(Table::Entry, VERSION, octets)?;
        let number = row.u8()?;
        let kind = EntryKind::ALL.get(usize::from(number)).copied();
        let kind = kind.ok_or_else(|| row.bad())?;
        let time = row.time()?;
        let groups = row.list(|row| {
            let letters: [u8; 3] = row.array()?;
            let currency = std::str::from_utf8(&letters).ok();
            let currency = currency.and_then(|letters| letters.parse().ok());
            let currency: Currency = currency.ok_or_else(|| row.bad())?;
            row.list(|row| {
                Ok(Leg {
                    currency,
                    account: LedgerAccount::read(row)?,
                    micros: row.u64()?.cast_signed(),
                })
            })
        })?;
        row.end()?;
        let legs = groups.into_iter().flatten().collect();
        Ok(Self { kind, time, legs })
    }
}

/// What an event moves, gathered from all its postings, and written once.
#[derive(Debug)]
#[must_use = "money that moved is written down"]
pub(super) struct Moved {
    number: u64,
    kind: EntryKind,
    time: UnixMillis,
    legs: BTreeMap<(Currency, LedgerAccount), i128>,
}

impl Moved {
    /// Nothing yet, by the event `number`.
    pub(super) fn by(number: u64, kind: EntryKind, time: UnixMillis) -> Self {
        Self {
            number,
            kind,
            time,
            legs: BTreeMap::new(),
        }
    }

    /// One leg more.
    pub(super) fn add(
        &mut self,
        currency: Currency,
        account: LedgerAccount,
        micros: i128,
    ) -> Result<(), Fault> {
        let leg = self.legs.entry((currency, account)).or_default();
        *leg = leg.checked_add(micros).ok_or(Invariant::SumFits)?;
        Ok(())
    }

    /// Writes the event's row, if any money moved.
    pub(super) fn write(self, tables: &mut impl Tables) -> Result<(), Fault> {
        let legs = self.legs.into_iter().filter(|(_, micros)| *micros != 0);
        let legs = legs.map(|((currency, account), micros)| {
            let micros = i64::try_from(micros).map_err(|_| Invariant::SumFits)?;
            Ok(Leg {
                currency,
                account,
                micros,
            })
        });
        let legs: Vec<Leg> = legs.collect::<Result<_, Fault>>()?;
        if legs.is_empty() {
            return Ok(());
        }
        let entry = Entry {
            kind: self.kind,
            time: self.time,
            legs,
        };
        entry.check()?;
        tables.put(Table::Entry, &self.number.to_be_bytes(), entry.to_row())
    }
}

/// At most `limit` entries of those numbers, in their order.
pub fn page(view: &impl View, numbers: Keys<'_>, limit: usize) -> Result<Vec<(u64, Entry)>, Fault> {
    let rows = view.range(Table::Entry, numbers, Order::Forward, limit)?;
    let entries = rows.iter().map(|(key, row)| {
        let number = key.as_slice().try_into().map(u64::from_be_bytes);
        let number = number.map_err(|_| Fault::Unreadable(Table::Entry))?;
        Ok((number, Entry::of_row(row)?))
    });
    entries.collect()
}

const LEG_BYTES_MAX: usize = 25;

#[cfg(test)]
#[expect(clippy::unwrap_used, reason = "a test fails by panicking")]
mod tests {
    use madang_protocol::ids::AccountId;
    use proptest::prelude::*;

    use super::*;
    use crate::ledger::view::testing::MapTables;

    fn account() -> impl Strategy<Value = LedgerAccount> {
        let id = any::<u8>().prop_map(|octet| AccountId([octet; 16]));
        prop_oneof![
            Just(LedgerAccount::Cash),
            id.clone().prop_map(LedgerAccount::Wallet),
            id.clone().prop_map(LedgerAccount::Earnings),
            Just(LedgerAccount::Commission),
            Just(LedgerAccount::Tax),
            id.prop_map(LedgerAccount::Promotion),
            Just(LedgerAccount::Promotions),
        ]
    }

    fn currency() -> impl Strategy<Value = Currency> {
        prop_oneof![Just("EUR"), Just("KRW")].prop_map(|letters| letters.parse().unwrap())
    }

    proptest! {
        #[test]
        fn a_row_is_read_as_it_was_written_and_every_cut_is_refused(
            moves in proptest::collection::vec((currency(), account(), account(), -(1_i128 << 53)..1 << 53), 0..8),
            kind in 0..EntryKind::ALL.len(),
            number: u64,
        ) {
            let (kind, time) = (EntryKind::ALL[kind], UnixMillis(7));
            let mut moved = Moved::by(number, kind, time);
            let mut sums: BTreeMap<(Currency, LedgerAccount), i128> = BTreeMap::new();
            for (currency, from, to, micros) in moves {
                for (account, micros) in [(from, -micros), (to, micros)] {
                    moved.add(currency, account, micros).unwrap();
                    *sums.entry((currency, account)).or_default() += micros;
                }
            }
            sums.retain(|_, micros| *micros != 0);
            let mut tables = MapTables::default();
            moved.write(&mut tables).unwrap();
            let all = (std::ops::Bound::Unbounded, std::ops::Bound::Unbounded);
            let written = page(&tables, all, 9).unwrap();
            prop_assert_eq!(written.is_empty(), sums.is_empty());
            for (at, entry) in written {
                prop_assert_eq!((at, entry.kind, entry.time), (number, kind, time));
                let legs = entry.legs.iter().map(|leg| ((leg.currency, leg.account), i128::from(leg.micros)));
                prop_assert!(legs.eq(sums.clone()));
                let row = entry.to_row();
                for end in 0..row.len() {
                    prop_assert!(Entry::of_row(&row[..end]).is_err());
                }
            }
        }

        #[test]
        fn l_16_a_row_that_does_not_balance_is_not_written(account in account(), micros in 1..1_i128 << 53) {
            let mut moved = Moved::by(1, EntryKind::TopUp, UnixMillis(7));
            moved.add(Currency::KRW, account, micros).unwrap();
            let mut tables = MapTables::default();
            let refused = moved.write(&mut tables);
            prop_assert!(matches!(refused, Err(Fault::Broken(Invariant::EntryBalanced))));
            prop_assert_eq!(tables, MapTables::default());
        }
    }
}
