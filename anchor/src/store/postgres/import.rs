//! A folder's store as the beginning of a database: its events under their own numbers, and its rows.

use madang_protocol::ids::NetworkId;

use super::{
    chain::{COPIED, ChainHead},
    connect::PostgresOptions,
    error::PostgresError,
    group::{write_events, write_rows},
    link::Link,
    overlay::{Overlay, Place},
    view::own_place,
};
use crate::ledger::{table::Table, view::Row};

/// Events, or rows, that are sent at once.
const TOGETHER: usize = 4_096;
/// Octets of them, beside one more.
const TOGETHER_OCTETS: usize = 16 << 20;

/// A database that is being filled, in one transaction: until [`Import::finish`] it is as empty as before.
pub(in crate::store) struct Import {
    link: Link,
    /// The instance that will go on with the provider's own balances.
    shard: i16,
    head: ChainHead,
    events: Vec<(ChainHead, Vec<u8>)>,
    /// Of the events and rows that wait.
    octets: usize,
    rows: Overlay,
}

impl Import {
    /// Begins, on a database without events.
    ///
    /// # Errors
    /// [`PostgresError::NotEmpty`]; [`PostgresError::Busy`] while an anchor of this name runs there.
    pub(in crate::store) fn begin(
        options: &PostgresOptions,
        network: NetworkId,
    ) -> Result<Self, PostgresError> {
        let shard = options.prepare(network)?;
        let (mut link, _) = options.connect_as(shard)?;
        let head = ChainHead::read(&mut link, COPIED)?;
        link.run("SET statement_timeout = 0; BEGIN ISOLATION LEVEL SERIALIZABLE")?;
        // Nobody else writes meanwhile.
        link.run("LOCK TABLE madang_events, madang_rows IN EXCLUSIVE MODE")?;
        let found = link.query(
            "SELECT EXISTS (SELECT FROM madang_events) OR EXISTS (SELECT FROM madang_rows)",
            &[],
        )?;
        if !found
            .iter()
            .all(|row| row.try_get(0).is_ok_and(|is_full: bool| !is_full))
        {
            return Err(PostgresError::NotEmpty);
        }
        Ok(Self {
            link,
            shard,
            head,
            events: Vec::new(),
            octets: 0,
            rows: Overlay::default(),
        })
    }

    /// One event, after those before it.
    pub(in crate::store) fn event(
        &mut self,
        entry: u64,
        payload: Vec<u8>,
    ) -> Result<(), PostgresError> {
        let entry = i64::try_from(entry).map_err(|_| PostgresError::Foreign)?;
        self.head = self.head.then(entry, &payload);
        if self.head.entry != entry {
            return Err(PostgresError::Foreign);
        }
        self.octets += payload.len();
        self.events.push((self.head, payload));
        if self.events.len() >= TOGETHER || self.octets >= TOGETHER_OCTETS {
            self.send_events()?;
        }
        Ok(())
    }

    /// One row.
    pub(in crate::store) fn row(
        &mut self,
        table: Table,
        key: &[u8],
        row: Row,
    ) -> Result<(), PostgresError> {
        let place: Place = own_place(self.shard, table, key);
        self.octets += row.len();
        self.rows.put(place, Some(row));
        if self.rows.len() >= TOGETHER || self.octets >= TOGETHER_OCTETS {
            self.send_rows()?;
        }
        Ok(())
    }

    /// Makes everything durable at once.
    pub(in crate::store) fn finish(mut self) -> Result<(), PostgresError> {
        self.send_events()?;
        self.send_rows()?;
        if self.head.entry > 0 {
            self.link
                .query("SELECT setval('madang_entry', $1)", &[&self.head.entry])?;
        }
        self.link.run("COMMIT")
    }

    fn send_events(&mut self) -> Result<(), PostgresError> {
        write_events(&mut self.link, &self.events)?;
        self.events.clear();
        self.octets = 0;
        Ok(())
    }

    fn send_rows(&mut self) -> Result<(), PostgresError> {
        write_rows(&mut self.link, &self.rows)?;
        self.rows = Overlay::default();
        self.octets = 0;
        Ok(())
    }
}
