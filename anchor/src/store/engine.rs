//! Where events and rows are: in one folder of one process, or in PostgreSQL. Both run the same ledger; what they share is this much.

use madang_journal::{CloseError, Head, Payload, Store as Journal};

use super::{
    error::StoreError,
    postgres::{PgView, Postgres},
    rows::{Ledger, ReadRows},
};
use crate::ledger::{
    statistics::{check::Pending, cursor::Cursor},
    table::Table,
    view::{Fault, Keys, Order, Row, RowList, View},
};

/// What a store's commands run on.
pub(super) enum Engine {
    /// A journal and its index.
    Folder(Box<Journal<Ledger>>),
    /// A database, perhaps with other anchors on it.
    Postgres(Box<Postgres>),
}

/// The present rows, wherever they are.
pub(super) enum Seen<'a> {
    /// Of a journal's index.
    Folder(ReadRows<'a>),
    /// Of a database, as one transaction sees them.
    Postgres(&'a PgView<'a>),
}

/// An answer, and the entry of the event that was written, or the last one's where nothing was.
pub(super) struct Committed<R> {
    pub(super) answer: R,
    pub(super) entry: u64,
}

impl Engine {
    /// Decides, writes, waits until it is durable. What decides may be asked again, on newer rows or on more of them: it does nothing else.
    pub(super) fn commit<R>(
        &self,
        mut decide: impl FnMut(&Seen<'_>) -> Result<(Option<Payload>, R), Fault>,
    ) -> Result<Committed<R>, StoreError> {
        match self {
            Self::Folder(journal) => {
                let (answer, ticket) = journal.commit(|reader| {
                    let (payload, answer) = decide(&Seen::Folder(ReadRows(reader)))?;
                    Ok((payload.into_iter().collect(), answer))
                })?;
                ticket.wait()?;
                Ok(Committed {
                    answer,
                    entry: ticket.seq(),
                })
            }
            Self::Postgres(postgres) => postgres.commit(decide),
        }
    }

    /// Reads what was committed so far. May be asked again, on more of the same rows.
    pub(super) fn read<R>(
        &self,
        mut read: impl FnMut(&Seen<'_>) -> Result<R, Fault>,
    ) -> Result<R, StoreError> {
        match self {
            Self::Folder(journal) => {
                Ok(journal.read(|reader| read(&Seen::Folder(ReadRows(reader))))?)
            }
            Self::Postgres(postgres) => postgres.read(read),
        }
    }

    /// Reads much, once, a page at a time.
    pub(super) fn scan<R>(
        &self,
        scan: impl FnOnce(&Seen<'_>) -> Result<R, Fault>,
    ) -> Result<R, StoreError> {
        match self {
            Self::Folder(journal) => {
                Ok(journal.read(|reader| scan(&Seen::Folder(ReadRows(reader))))?)
            }
            Self::Postgres(postgres) => postgres.scan(scan),
        }
    }

    /// Returns when every command that did not see what is committed now has ended: what such a one wrote is seen from then on.
    pub(super) fn await_writers(&self) -> Result<(), StoreError> {
        match self {
            // One command at a time.
            Self::Folder(_) => Ok(()),
            Self::Postgres(postgres) => postgres.await_writers(),
        }
    }

    /// The last durable entry, and the hash of this engine's chain up to it.
    pub(super) fn head(&self) -> Result<Head, StoreError> {
        match self {
            Self::Folder(journal) => Ok(journal.head()),
            Self::Postgres(postgres) => postgres.head(),
        }
    }

    /// Lets go of files and connections.
    pub(super) fn close(&self) -> Result<(), CloseError> {
        match self {
            Self::Folder(journal) => journal.close(),
            Self::Postgres(postgres) => {
                postgres.close();
                Ok(())
            }
        }
    }
}

impl Seen<'_> {
    /// Entries up to which figures that reach to `cursor` do not.
    pub(super) fn pending(&self, cursor: &Cursor) -> Result<Pending, Fault> {
        match self {
            Self::Folder(_) => {
                let last = cursor.position.of(0);
                Ok(Pending {
                    after: Some(last),
                    in_part: cursor.in_part().map(|_| last + 1).collect(),
                    ..Pending::default()
                })
            }
            Self::Postgres(rows) => rows.pending(cursor),
        }
    }
}

impl View for Seen<'_> {
    fn get(&self, table: Table, key: &[u8]) -> Result<Option<Row>, Fault> {
        match self {
            Self::Folder(rows) => rows.get(table, key),
            Self::Postgres(rows) => rows.get(table, key),
        }
    }

    fn range(
        &self,
        table: Table,
        keys: Keys<'_>,
        order: Order,
        limit: usize,
    ) -> Result<RowList, Fault> {
        match self {
            Self::Folder(rows) => rows.range(table, keys, order, limit),
            Self::Postgres(rows) => rows.range(table, keys, order, limit),
        }
    }

    fn expect<'k>(&self, table: Table, keys: impl Iterator<Item = &'k [u8]>) -> Result<(), Fault> {
        match self {
            Self::Folder(_) => Ok(()),
            Self::Postgres(rows) => rows.expect(table, keys),
        }
    }
}
