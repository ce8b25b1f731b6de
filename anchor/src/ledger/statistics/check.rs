//! L-45: the figures are what the books say.

use std::collections::BTreeSet;

use super::{
    figures::{Figure, Figures},
    query::whole,
    subject::{Dimension, Subject, key_prefix},
};
use crate::ledger::{
    audit::each,
    books::{Entry, EntryKind},
    table::{LedgerAccount, Table},
    view::{Fault, Invariant, Order, View},
};

/// Entries up to which the figures do not reach.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Pending {
    /// All after this one.
    pub after: Option<u64>,
    /// And these.
    pub entries: BTreeSet<u64>,
    /// Of these, some is counted.
    pub in_part: BTreeSet<u64>,
}

/// L-45: that debit, shares, commission and tax over all days are what the books' entries moved by settlements and gave back, but for `pending` ones; and
/// that sellers' and buyers' figures sum to those of all.
///
/// # Errors
/// [`Invariant::StatisticsAgree`].
pub fn check(view: &impl View, pending: &Pending) -> Result<(), Fault> {
    let (mut done, mut in_part) = (Moved::default(), Moved::default());
    each(view, Table::Entry, |key, row| {
        let number = key.try_into().map(u64::from_be_bytes);
        let number = number.map_err(|_| Fault::Unreadable(Table::Entry))?;
        let entry = Entry::of_row(row)?;
        if pending.in_part.contains(&number) {
            in_part.add(&entry);
        } else if pending.after.is_none_or(|last| number <= last)
            && !pending.entries.contains(&number)
        {
            done.add(&entry);
        }
        Ok(())
    })?;
    let all = whole(view, &Subject::All)?;
    let counted = Moved::of(&all);
    for ((counted, done), in_part) in counted.0.iter().zip(done.0).zip(in_part.0) {
        let rest = counted - done;
        if rest < in_part.min(0) || rest > in_part.max(0) {
            return Err(Invariant::StatisticsAgree.into());
        }
    }
    let shares = [Figure::Seller, Figure::Commission, Figure::Tax];
    let given = [
        Figure::RefundedSeller,
        Figure::RefundedCommission,
        Figure::RefundedTax,
    ];
    for (sum, parts) in [(Figure::Debit, shares), (Figure::Refunded, given)] {
        let parts: i128 = parts.iter().map(|part| all.get(*part)).sum();
        if all.get(sum) != parts {
            return Err(Invariant::StatisticsAgree.into());
        }
    }
    if sum_of(view, Dimension::Rule)?.get(Figure::Debit) != all.get(Figure::Debit) {
        return Err(Invariant::StatisticsAgree.into());
    }
    for dimension in [Dimension::Buyer, Dimension::Seller, Dimension::Site] {
        if sum_of(view, dimension)?.money() != all.money() {
            return Err(Invariant::StatisticsAgree.into());
        }
    }
    Ok(())
}

/// Earnings, commission, tax: what they were credited with.
#[derive(Debug, Default)]
struct Moved([i128; 3]);

impl Moved {
    fn of(figures: &Figures) -> Self {
        let net = |gained, given| figures.get(gained) - figures.get(given);
        Self([
            net(Figure::Seller, Figure::RefundedSeller),
            net(Figure::Commission, Figure::RefundedCommission),
            net(Figure::Tax, Figure::RefundedTax),
        ])
    }

    fn add(&mut self, entry: &Entry) {
        let counts = [
            EntryKind::Settlement,
            EntryKind::LineRefund,
            EntryKind::Dispute,
        ];
        if !counts.contains(&entry.kind) {
            return;
        }
        for leg in &entry.legs {
            let at = match leg.account {
                LedgerAccount::Earnings(_) => 0,
                LedgerAccount::Commission => 1,
                LedgerAccount::Tax => 2,
                LedgerAccount::Cash
                | LedgerAccount::Wallet(_)
                | LedgerAccount::Promotion(_)
                | LedgerAccount::Promotions => continue,
            };
            self.0[at] += i128::from(leg.micros);
        }
    }
}

impl Figures {
    fn money(&self) -> [i128; 4] {
        [
            Figure::Debit,
            Figure::Seller,
            Figure::Refunded,
            Figure::GrantsUsed,
        ]
        .map(|figure| self.get(figure))
    }
}

/// The sum of all subjects of a kind, over all years.
fn sum_of(view: &impl View, dimension: Dimension) -> Result<Figures, Fault> {
    let mut sum = Figures::default();
    for period in super::query::years(view)? {
        let prefix = key_prefix(dimension, period);
        let mut after: Option<Vec<u8>> = None;
        loop {
            let rows = match &after {
                None => view.prefix(Table::Statistic, &prefix, Order::Forward, PAGE)?,
                Some(after) => super::query::rest(view, &prefix, after, PAGE)?,
            };
            for (_, row) in &rows {
                sum.add(&Figures::of_octets(Table::Statistic, row)?)?;
            }
            match rows.into_iter().next_back() {
                Some((key, _)) => after = Some(key),
                None => break,
            }
        }
    }
    Ok(sum)
}

const PAGE: usize = 4_096;
