//! Rows as the ledger sees them, and why it stops.

use std::{error::Error, fmt, ops::Bound, sync::Arc};

use madang_protocol::reject::Reject;

use super::table::Table;

/// A row's value. Cloning it copies a pointer.
pub type Row = Arc<[u8]>;

/// Keys, without their table, and rows, as a range read returns them.
pub type RowList = Vec<(Vec<u8>, Row)>;

/// A range of keys: from where, and to where.
pub type Keys<'k> = (Bound<&'k [u8]>, Bound<&'k [u8]>);

/// The order of a range read.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Order {
    /// Smallest key first.
    Forward,
    /// Largest key first.
    Backward,
}

/// The present rows, to read.
pub trait View {
    /// One row.
    fn get(&self, table: Table, key: &[u8]) -> Result<Option<Row>, Fault>;

    /// At most `limit` rows of a range of keys.
    fn range(
        &self,
        table: Table,
        keys: Keys<'_>,
        order: Order,
        limit: usize,
    ) -> Result<RowList, Fault>;

    /// The rows of these keys will be looked at. Where rows are far away they come together.
    fn expect<'k>(&self, _table: Table, _keys: impl Iterator<Item = &'k [u8]>) -> Result<(), Fault>
    where
        Self: Sized,
    {
        Ok(())
    }

    /// At most `limit` rows whose keys begin with `prefix`.
    fn prefix(
        &self,
        table: Table,
        prefix: &[u8],
        order: Order,
        limit: usize,
    ) -> Result<RowList, Fault> {
        let end = after_prefix(prefix);
        let end = end.as_deref().map_or(Bound::Unbounded, Bound::Excluded);
        self.range(table, (Bound::Included(prefix), end), order, limit)
    }
}

/// The rows, to read and to change.
pub trait Tables: View {
    /// Writes one row.
    fn put(&mut self, table: Table, key: &[u8], row: Row) -> Result<(), Fault>;

    /// Deletes one row, if it is there.
    fn delete(&mut self, table: Table, key: &[u8]) -> Result<(), Fault>;
}

/// Why an operation stops. Nothing of it is written.
#[derive(Debug, Clone)]
pub enum Fault {
    /// The caller is told so.
    Refused(Reject),
    /// A row or an event is not what this version writes.
    Unreadable(Table),
    /// What must never be would be.
    Broken(Invariant),
    /// The rows cannot be read or written.
    Rows(Arc<dyn Error + Send + Sync>),
}

/// What holds before and after every event.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Invariant {
    /// An entry's debits equal its credits.
    EntryBalanced,
    /// A sum fits its type.
    SumFits,
    /// A wallet holds exactly what its open grants may still cost; never less than nothing.
    HoldCovers,
    /// What is settled never falls, and never exceeds the hold.
    SettledWithinGrant,
    /// The buyer's debit is the seller's share, the commission and the tax.
    SplitWhole,
    /// A hold ends once.
    HoldEndsOnce,
    /// A quota is never reserved beyond what the tariff gives, nor returned beyond what was reserved.
    QuotaWithinTariff,
    /// A lot of promotional credit holds no more than is left of it.
    PromotionCovered,
    /// What is taken back of an entry or a grant is no more than it moved.
    TakenBackOnce,
    /// Earnings that are not payable are exactly those of grants that may still be contested.
    EarningsHeld,
    /// A dispute is open exactly where its grant says so, and has given back no more than its grant did.
    DisputeOfGrant,
    /// What the books say was moved is what balances say (L-15).
    BooksAgree,
    /// What an event says was settled before it was (L-17).
    SettledBefore,
    /// Periods are closed in their order, each once, and each account's documents of a period are made once.
    PeriodInOrder,
    /// A document's number follows the one before; its lines are those that it was made of, in one currency.
    DocumentWhole,
    /// L-20: an account's documents, and what is in none yet, sum to what was settled.
    BilledOnce,
    /// The figures are what the books say (L-45).
    StatisticsAgree,
    /// Increments are added where they were summed, once (L-46).
    RolledUpOnce,
    /// A row that another names exists.
    RowExists(Table),
}

impl From<Reject> for Fault {
    fn from(reject: Reject) -> Self {
        Self::Refused(reject)
    }
}

impl From<Invariant> for Fault {
    fn from(invariant: Invariant) -> Self {
        Self::Broken(invariant)
    }
}

impl fmt::Display for Fault {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Refused(reject) => reject.fmt(f),
            Self::Unreadable(table) => write!(f, "a row of table {table:?} cannot be read"),
            Self::Broken(invariant) => write!(f, "an invariant would be broken: {invariant:?}"),
            Self::Rows(_) => f.write_str("the rows cannot be read or written"),
        }
    }
}

impl Error for Fault {
    fn source(&self) -> Option<&(dyn Error + 'static)> {
        match self {
            Self::Rows(source) => Some(source.as_ref()),
            Self::Refused(_) | Self::Unreadable(_) | Self::Broken(_) => None,
        }
    }
}

/// The first key after all that begin with `prefix`; `None` if there is none.
pub(super) fn after_prefix(prefix: &[u8]) -> Option<Vec<u8>> {
    let mut end = prefix.to_vec();
    while let Some(last) = end.pop() {
        if last < u8::MAX {
            end.push(last + 1);
            return Some(end);
        }
    }
    None
}

#[cfg(test)]
pub(crate) mod testing {
    //! Rows in an ordinary map.

    use std::collections::BTreeMap;

    use super::*;

    #[derive(Debug, Clone, Default, PartialEq, Eq)]
    pub(crate) struct MapTables(pub(crate) BTreeMap<(u8, Vec<u8>), Row>);

    impl View for MapTables {
        fn get(&self, table: Table, key: &[u8]) -> Result<Option<Row>, Fault> {
            Ok(self.0.get(&(table as u8, key.to_vec())).cloned())
        }

        fn range(
            &self,
            table: Table,
            keys: Keys<'_>,
            order: Order,
            limit: usize,
        ) -> Result<RowList, Fault> {
            let (from, to) = keys;
            let inside = |(at, key): &(u8, Vec<u8>)| {
                *at == table as u8
                    && match from {
                        Bound::Included(from) => key.as_slice() >= from,
                        Bound::Excluded(from) => key.as_slice() > from,
                        Bound::Unbounded => true,
                    }
                    && match to {
                        Bound::Included(to) => key.as_slice() <= to,
                        Bound::Excluded(to) => key.as_slice() < to,
                        Bound::Unbounded => true,
                    }
            };
            let mut rows: RowList = self
                .0
                .iter()
                .filter(|(key, _)| inside(key))
                .map(|((_, key), row)| (key.clone(), row.clone()))
                .collect();
            if order == Order::Backward {
                rows.reverse();
            }
            rows.truncate(limit);
            Ok(rows)
        }
    }

    impl Tables for MapTables {
        fn put(&mut self, table: Table, key: &[u8], row: Row) -> Result<(), Fault> {
            self.0.insert((table as u8, key.to_vec()), row);
            Ok(())
        }

        fn delete(&mut self, table: Table, key: &[u8]) -> Result<(), Fault> {
            self.0.remove(&(table as u8, key.to_vec()));
            Ok(())
        }
    }
}
