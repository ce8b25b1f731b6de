//! What is counted, and sums of it.

use serde::{Deserialize, Serialize};

use crate::ledger::{
    table::Table,
    view::{Fault, Invariant},
};

/// One thing that is counted. Numbers are never reused; new ones come last.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
#[repr(u8)]
pub enum Figure {
    /// Requests on paths without a price, as nodes report them.
    RequestsFree = 0,
    /// Requests that receipts count.
    RequestsPaid = 1,
    /// Content octets of all use, as nodes report them: those of paid use are among them.
    BytesServed = 2,
    /// Content octets that receipts count.
    BytesPaid = 3,
    /// Milliseconds with a priced response open.
    Milliseconds = 4,
    /// Connections on which at least one request came, as nodes report them.
    Sessions = 5,
    /// Grants that were used: each counts when it is settled first.
    GrantsUsed = 6,
    /// Passes bought.
    Passes = 7,
    /// What buyers paid, in base units of the network's currency.
    Debit = 8,
    /// What sellers got of it.
    Seller = 9,
    /// What the provider got of it.
    Commission = 10,
    /// What went to the state of it.
    Tax = 11,
    /// What buyers got back.
    Refunded = 12,
    /// What sellers gave of it.
    RefundedSeller = 13,
    /// What the provider gave of it.
    RefundedCommission = 14,
    /// What the state gave of it.
    RefundedTax = 15,
    /// Accounts with paid use: of a day or a month, never a sum of several.
    ActiveBuyers = 16,
    /// Devices that reported or settled: of a day or a month, never a sum of several.
    ServersOnline = 17,
    /// Sign-ins of one kind, or refusals with one code.
    Count = 18,
}

/// In what a figure is counted.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Unit {
    /// Things.
    Count,
    /// Base units of the network's currency, millionths of its main unit.
    Micros,
}

impl Figure {
    /// All figures, each at its number.
    pub const ALL: [Self; 19] = [
        Self::RequestsFree,
        Self::RequestsPaid,
        Self::BytesServed,
        Self::BytesPaid,
        Self::Milliseconds,
        Self::Sessions,
        Self::GrantsUsed,
        Self::Passes,
        Self::Debit,
        Self::Seller,
        Self::Commission,
        Self::Tax,
        Self::Refunded,
        Self::RefundedSeller,
        Self::RefundedCommission,
        Self::RefundedTax,
        Self::ActiveBuyers,
        Self::ServersOnline,
        Self::Count,
    ];

    /// Its name in JSON and CSV.
    pub fn name(self) -> &'static str {
        match self {
            Self::RequestsFree => "requests-free",
            Self::RequestsPaid => "requests-paid",
            Self::BytesServed => "bytes-served",
            Self::BytesPaid => "bytes-paid",
            Self::Milliseconds => "milliseconds",
            Self::Sessions => "sessions",
            Self::GrantsUsed => "grants-used",
            Self::Passes => "passes",
            Self::Debit => "debit",
            Self::Seller => "seller",
            Self::Commission => "commission",
            Self::Tax => "tax",
            Self::Refunded => "refunded",
            Self::RefundedSeller => "refunded-seller",
            Self::RefundedCommission => "refunded-commission",
            Self::RefundedTax => "refunded-tax",
            Self::ActiveBuyers => "active-buyers",
            Self::ServersOnline => "servers-online",
            Self::Count => "count",
        }
    }

    /// In what it is counted.
    pub fn unit(self) -> Unit {
        let is_money = (Self::Debit..=Self::RefundedTax).contains(&self);
        if is_money { Unit::Micros } else { Unit::Count }
    }

    /// Whether it counts who was there: the sum of two days counts the same ones twice.
    pub fn is_distinct(self) -> bool {
        matches!(self, Self::ActiveBuyers | Self::ServersOnline)
    }
}

/// A sum of each figure. A single one may be below zero where it is added to another: a report can say less than the one before.
#[derive(Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(try_from = "Vec<u8>", into = "Vec<u8>")]
pub struct Figures([i128; Figure::ALL.len()]);

impl Figures {
    /// Only this figure.
    pub fn of(figure: Figure, number: i128) -> Self {
        let mut figures = Self::default();
        figures.set(figure, number);
        figures
    }

    /// One sum.
    pub fn get(&self, figure: Figure) -> i128 {
        self.0[figure as usize]
    }

    /// Puts one sum in the place of what was there.
    pub fn set(&mut self, figure: Figure, number: i128) {
        self.0[figure as usize] = number;
    }

    /// Adds all sums of `other`.
    ///
    /// # Errors
    /// [`Invariant::SumFits`].
    pub fn add(&mut self, other: &Self) -> Result<(), Fault> {
        for (sum, number) in self.0.iter_mut().zip(&other.0) {
            *sum = sum.checked_add(*number).ok_or(Invariant::SumFits)?;
        }
        Ok(())
    }

    /// Adds to one sum.
    ///
    /// # Errors
    /// [`Invariant::SumFits`].
    pub fn count(&mut self, figure: Figure, number: i128) -> Result<(), Fault> {
        self.add(&Self::of(figure, number))
    }

    /// What leads from `earlier` to these.
    ///
    /// # Errors
    /// [`Invariant::SumFits`].
    pub fn since(&self, earlier: &Self) -> Result<Self, Fault> {
        let mut difference = self.clone();
        for (sum, number) in difference.0.iter_mut().zip(&earlier.0) {
            *sum = sum.checked_sub(*number).ok_or(Invariant::SumFits)?;
        }
        Ok(difference)
    }

    /// Whether all are nothing.
    pub fn is_zero(&self) -> bool {
        self.0.iter().all(|sum| *sum == 0)
    }

    /// Takes out what cannot be summed over several days.
    pub(super) fn forget_distinct(&mut self) {
        for figure in Figure::ALL.into_iter().filter(|one| one.is_distinct()) {
            self.set(figure, 0);
        }
    }

    /// The octets of a row: which figures are not zero, then those, seven bits an octet, the sign lowest.
    pub(super) fn to_octets(&self) -> Vec<u8> {
        let mut mask = 0_u32;
        let mut numbers = Vec::with_capacity(48);
        for (at, sum) in self.0.iter().enumerate().filter(|(_, sum)| **sum != 0) {
            mask |= 1 << at;
            let mut rest = ((sum << 1) ^ (sum >> 127)).cast_unsigned();
            while rest > 0x7f {
                numbers.push((rest & 0x7f) as u8 | 0x80);
                rest >>= 7;
            }
            numbers.push(rest as u8);
        }
        let mut octets = mask.to_le_bytes().to_vec();
        octets.extend_from_slice(&numbers);
        octets
    }

    /// Reads what [`Figures::to_octets`] wrote.
    pub(super) fn of_octets(table: Table, octets: &[u8]) -> Result<Self, Fault> {
        Self::read(octets).ok_or(Fault::Unreadable(table))
    }

    fn read(octets: &[u8]) -> Option<Self> {
        let (mask, mut rest) = octets.split_first_chunk()?;
        let mask = u32::from_le_bytes(*mask);
        let mut figures = Self::default();
        for (at, sum) in figures.0.iter_mut().enumerate() {
            if mask & (1 << at) == 0 {
                continue;
            }
            let (mut number, mut shift) = (0_u128, 0);
            loop {
                let (octet, behind) = rest.split_first()?;
                rest = behind;
                number |= u128::from(octet & 0x7f).checked_shl(shift)?;
                shift += 7;
                if octet & 0x80 == 0 {
                    break;
                }
            }
            *sum = (number >> 1).cast_signed() ^ -(number & 1).cast_signed();
        }
        // One form only: no figure of a later version, no zero, no padding.
        (figures.to_octets() == octets).then_some(figures)
    }
}

impl From<Figures> for Vec<u8> {
    fn from(figures: Figures) -> Self {
        figures.to_octets()
    }
}

impl TryFrom<Vec<u8>> for Figures {
    type Error = &'static str;

    fn try_from(octets: Vec<u8>) -> Result<Self, Self::Error> {
        Self::read(&octets).ok_or("these are no figures")
    }
}

impl std::fmt::Debug for Figures {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let counted = Figure::ALL.into_iter().filter(|one| self.get(*one) != 0);
        f.debug_map()
            .entries(counted.map(|figure| (figure, self.get(figure))))
            .finish()
    }
}

#[cfg(test)]
#[expect(clippy::unwrap_used, reason = "a test fails by panicking")]
mod tests {
    use proptest::prelude::*;

    use super::*;

    proptest! {
        #[test]
        fn figures_are_read_as_they_were_written_and_in_no_other_form(
            sums in proptest::collection::vec(prop_oneof![Just(0), any::<i128>(), -300..300_i128], 19),
            padding: u8,
        ) {
            let figures = Figures(sums.try_into().unwrap());
            let octets = figures.to_octets();
            prop_assert_eq!(Figures::read(&octets), Some(figures));
            for end in 0..octets.len() {
                prop_assert_eq!(Figures::read(&octets[..end]), None);
            }
            let longer = [octets.as_slice(), &[padding]].concat();
            prop_assert_eq!(Figures::read(&longer), None);
        }
    }

    #[test]
    fn each_figure_stands_at_its_number() {
        for (at, figure) in Figure::ALL.into_iter().enumerate() {
            assert_eq!(figure as usize, at);
        }
    }
}
