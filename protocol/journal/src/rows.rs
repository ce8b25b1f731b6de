//! What a schema and a reader see of the rows.

use std::ops::{Bound, ControlFlow, RangeBounds};

use crate::index::{IndexError, Scan};
use crate::limits::RANGE_ROWS_MAX;
use crate::row::{self, KeyBuf, Row, RowError};
use crate::state::{Change, State};

/// The rules that turn entries into rows.
///
/// `apply` must depend on nothing but its arguments: the same code runs when an entry is committed and when the rows are made anew
/// from the journal, on any machine and at any later time.
pub trait Schema: Send + Sync + 'static {
    /// Changes whenever `apply` would make other rows of the same entries: an index of another version is made anew.
    const VERSION: u32;

    /// Changes rows as the entry `seq` says. An error undoes the commit; the entry is not written.
    fn apply(&self, seq: u64, payload: &[u8], rows: &mut Rows<'_>) -> Result<(), ApplyError>;
}

/// Why a schema does not apply an entry.
#[derive(Debug, thiserror::Error)]
pub enum ApplyError {
    /// The entry breaks a rule of the schema.
    #[error("the entry is refused by its schema")]
    Refused(#[source] Box<dyn std::error::Error + Send + Sync>),
    /// A row cannot be read or written.
    #[error(transparent)]
    Row(#[from] RowError),
}

impl ApplyError {
    /// An error of the schema's own.
    pub fn refused(error: impl Into<Box<dyn std::error::Error + Send + Sync>>) -> Self {
        Self::Refused(error.into())
    }
}

/// The order of a range read.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Order {
    /// Smallest key first.
    #[default]
    Forward,
    /// Largest key first.
    Backward,
}

/// Keys, without their table, and rows, as a range read returns them.
pub type RowList = Vec<(Vec<u8>, Row)>;

/// The rows, to read: the state after every commit so far, durable or not yet.
pub struct Reader<'a> {
    state: &'a State,
}

impl<'a> Reader<'a> {
    pub(crate) fn new(state: &'a State) -> Self {
        Self { state }
    }

    /// The last entry that the rows follow from.
    pub fn seq(&self) -> u64 {
        self.state.last_seq
    }

    /// One row.
    pub fn get(&self, table: u8, key: &[u8]) -> Result<Option<Row>, RowError> {
        Ok(self.state.get(KeyBuf::new(table, key)?.as_slice())?)
    }

    /// Up to `limit` rows of a range of keys of one table; never more than `limits::RANGE_ROWS_MAX`.
    pub fn range<'k>(
        &self,
        table: u8,
        keys: impl RangeBounds<&'k [u8]>,
        order: Order,
        limit: usize,
    ) -> Result<RowList, RowError> {
        let (from, to) = row::whole_bounds(
            table,
            keys.start_bound().cloned(),
            keys.end_bound().cloned(),
        )?;
        let limit = limit.min(RANGE_ROWS_MAX);
        let mut rows = Vec::new();
        self.visit(&from, &to, order, limit, |key, row| {
            rows.push((row::without_table(key).to_vec(), row.clone()));
            if rows.len() < limit {
                ControlFlow::Continue(())
            } else {
                ControlFlow::Break(())
            }
        })?;
        Ok(rows)
    }

    /// Up to `limit` rows whose keys begin with `prefix`; never more than `limits::RANGE_ROWS_MAX`.
    pub fn prefix(
        &self,
        table: u8,
        prefix: &[u8],
        order: Order,
        limit: usize,
    ) -> Result<RowList, RowError> {
        let end = row::after_prefix(prefix);
        self.range(
            table,
            (Bound::Included(prefix), end.as_ref().map(Vec::as_slice)),
            order,
            limit,
        )
    }

    fn visit(
        &self,
        from: &Bound<Vec<u8>>,
        to: &Bound<Vec<u8>>,
        order: Order,
        limit: usize,
        mut visit: impl FnMut(&[u8], &Row) -> ControlFlow<()>,
    ) -> Result<(), IndexError> {
        if limit == 0 {
            return Ok(());
        }
        let (from, to) = (
            from.as_ref().map(Vec::as_slice),
            to.as_ref().map(Vec::as_slice),
        );
        self.state.scan(
            Scan {
                from,
                to,
                backwards: order == Order::Backward,
            },
            &mut visit,
        )
    }
}

/// The rows, to read and to change, while one entry is applied.
pub struct Rows<'a> {
    state: &'a mut State,
    changes: &'a mut Vec<Change>,
}

impl<'a> Rows<'a> {
    pub(crate) fn new(state: &'a mut State, changes: &'a mut Vec<Change>) -> Self {
        Self { state, changes }
    }

    /// One row, as this entry has left it so far.
    pub fn get(&self, table: u8, key: &[u8]) -> Result<Option<Row>, RowError> {
        self.reader().get(table, key)
    }

    /// The same rows, for functions that only read.
    pub fn reader(&self) -> Reader<'_> {
        Reader::new(self.state)
    }

    /// Writes one row.
    pub fn put(&mut self, table: u8, key: &[u8], value: impl Into<Row>) -> Result<(), RowError> {
        let value = value.into();
        row::check_value(&value)?;
        self.state.set(
            KeyBuf::new(table, key)?.as_slice(),
            Some(value),
            self.changes,
        );
        Ok(())
    }

    /// Deletes one row, if it is there.
    pub fn delete(&mut self, table: u8, key: &[u8]) -> Result<(), RowError> {
        self.state
            .set(KeyBuf::new(table, key)?.as_slice(), None, self.changes);
        Ok(())
    }
}
