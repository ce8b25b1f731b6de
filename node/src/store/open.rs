//! Opening a node's store, and writing to it.

use std::{error::Error, io, ops::Bound, path::Path};

use madang_journal::{
    CommitError, NotDurable, OpenError, Options, Order, Reader, Recovery, RowError, Store, Ticket,
};
use madang_protocol::codec;
use serde::{Serialize, de::DeserializeOwned};

use super::{
    event::Event,
    schema::{self, NodeSchema},
};

/// Rows that are looked through in one step.
pub const ROWS_PAGE: usize = 256;

/// Why the store could not do something. Nothing was written.
#[derive(Debug, thiserror::Error)]
pub enum StoreError {
    /// It does not open.
    #[error(transparent)]
    Open(#[from] OpenError),
    /// An event was not taken.
    #[error("write to the node's journal")]
    Commit(#[source] CommitError<StoreRead>),
    /// An event did not become durable.
    #[error(transparent)]
    NotDurable(#[from] NotDurable),
    /// A row could not be read.
    #[error(transparent)]
    Read(#[from] StoreRead),
}

impl StoreError {
    /// Whether the disk has no room, which its owner can mend, rather than that it fails.
    pub fn is_full(&self) -> bool {
        let mut cause: Option<&(dyn Error + 'static)> = Some(self);
        while let Some(error) = cause {
            let kind = error.downcast_ref::<io::Error>().map(io::Error::kind);
            if matches!(
                kind,
                Some(io::ErrorKind::StorageFull | io::ErrorKind::QuotaExceeded)
            ) {
                return true;
            }
            cause = error.source();
        }
        false
    }
}

/// A row could not be read.
#[derive(Debug, thiserror::Error)]
pub enum StoreRead {
    /// The index fails.
    #[error(transparent)]
    Row(#[from] RowError),
    /// A row has another form than this version writes.
    #[error("a row of table {table} cannot be read")]
    Form {
        /// Its table.
        table: u8,
        /// Why.
        #[source]
        source: codec::DecodeError,
    },
}

/// A node's journal and its rows. One process has it open.
pub struct NodeStore {
    store: Store<NodeSchema>,
}

impl NodeStore {
    /// Opens the store in `dir`, or makes an empty one. Blocks.
    pub fn open(dir: &Path) -> Result<(Self, Recovery), StoreError> {
        Self::open_with(Options::small(dir))
    }

    /// [`Self::open`] with other bounds, or on another disk.
    pub(crate) fn open_with(options: Options) -> Result<(Self, Recovery), StoreError> {
        let (store, recovery) = Store::open(options, NodeSchema)?;
        Ok((Self { store }, recovery))
    }

    /// Writes events, all or none. What they change is seen at once; they are durable when the ticket is ready.
    pub fn record(&self, events: &[Event]) -> Result<Ticket, StoreError> {
        let payloads = events.iter().map(codec::encode).collect();
        let committed = self.store.commit(|_| Ok((payloads, ())));
        committed
            .map(|((), ticket)| ticket)
            .map_err(StoreError::Commit)
    }

    /// Writes events and waits, without blocking the thread, until they are durable.
    pub async fn record_durably(&self, events: &[Event]) -> Result<(), StoreError> {
        Ok(self.record(events)?.await?)
    }

    /// Writes what is queued and closes the files.
    pub fn close(&self) {
        if let Err(error) = self.store.close() {
            tracing::warn!(
                error = &error as &dyn std::error::Error,
                "the node's store did not close cleanly"
            );
        }
    }

    pub(super) fn one<T: Serialize + DeserializeOwned>(
        &self,
        table: u8,
        key: &[u8],
    ) -> Result<Option<T>, StoreRead> {
        self.store.read(|rows| {
            rows.get(table, key)?
                .map(|row| decode(table, &row))
                .transpose()
        })
    }

    /// The rows of a table whose keys come after `after`, in their order, up to a page of them.
    pub(super) fn page<T: Serialize + DeserializeOwned>(
        &self,
        table: u8,
        after: Option<&[u8]>,
    ) -> Result<Vec<T>, StoreRead> {
        let rows = self.after(table, after, ROWS_PAGE)?;
        Ok(rows.into_iter().map(|(_, row)| row).collect())
    }

    /// Up to `limit` rows of a table whose keys come after `after`, in their order.
    pub(super) fn after<T: Serialize + DeserializeOwned>(
        &self,
        table: u8,
        after: Option<&[u8]>,
        limit: usize,
    ) -> Result<Vec<(Vec<u8>, T)>, StoreRead> {
        let from = after.map_or(Bound::Unbounded, Bound::Excluded);
        let rows = self.store.read(|rows: &Reader<'_>| {
            rows.range(table, (from, Bound::Unbounded), Order::Forward, limit)
        })?;
        rows.into_iter()
            .map(|(key, row)| Ok((key, decode(table, &row)?)))
            .collect()
    }

    /// Up to `limit` rows of a table, in the order of their keys.
    pub(super) fn many<T: Serialize + DeserializeOwned>(
        &self,
        table: u8,
        prefix: &[u8],
        limit: usize,
    ) -> Result<Vec<(Vec<u8>, T)>, StoreRead> {
        let rows = self
            .store
            .read(|rows: &Reader<'_>| rows.prefix(table, prefix, Order::Forward, limit))?;
        rows.into_iter()
            .map(|(key, row)| Ok((key, decode(table, &row)?)))
            .collect()
    }
}

fn decode<T: Serialize + DeserializeOwned>(table: u8, row: &[u8]) -> Result<T, StoreRead> {
    codec::decode(row, schema::EVENT_BYTES_MAX).map_err(|source| StoreRead::Form { table, source })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_full_disk_is_told_from_a_failing_one_whatever_it_is_wrapped_in() {
        let read = |kind: io::ErrorKind| StoreError::Open(OpenError::Thread(kind.into()));
        assert!(read(io::ErrorKind::StorageFull).is_full());
        assert!(!read(io::ErrorKind::PermissionDenied).is_full());
    }
}
