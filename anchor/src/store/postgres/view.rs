//! Rows as one transaction sees them.
//!
//! What reads is first asked on what is known; the rows that it misses are gathered, fetched together, and it is asked again. So a batch of a
//! thousand receipts costs a few round trips. What decides is pure, so that an answer on too few rows is simply thrown away.

use std::{
    cell::RefCell,
    collections::{BTreeSet, HashMap},
    ops::Bound,
    sync::Arc,
};

use super::{
    error::PostgresError,
    link::Link,
    overlay::{Overlay, Place},
};
use crate::{
    ledger::{
        entry,
        table::{self, Table},
        view::{Fault, Keys, Order, Row, RowList, Tables, View},
    },
    store::engine::Seen,
};

/// After so many rounds of asking, each row that is missed is fetched by itself.
const ROUNDS_MAX: usize = 8;

/// A transaction's connection, and the rows that it has read so far.
pub(super) struct Reading {
    pub(super) link: Link,
    pub(super) known: HashMap<Place, Option<Row>>,
}

/// Which part of the provider's own balances is seen. Each instance adds to a row of its own, so that no settlement waits for another anchor's.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Shared {
    /// This instance's, which it may change.
    Own(i16),
    /// The sum of all.
    Summed,
}

/// The present rows, as one transaction sees them.
pub(in crate::store) struct PgView<'a> {
    reading: &'a RefCell<Reading>,
    overlay: &'a Overlay,
    shared: Shared,
    is_guessing: bool,
    missed: RefCell<BTreeSet<Place>>,
}

/// The rows, with what one event changes.
pub(super) struct Changing<'a> {
    view: &'a PgView<'a>,
    pub(super) changed: Overlay,
}

/// Asks `work` until it has all the rows that it looks at.
pub(super) fn ask<R>(
    reading: &RefCell<Reading>,
    overlay: &Overlay,
    shared: Shared,
    mut work: impl FnMut(&PgView<'_>) -> Result<R, Fault>,
) -> Result<R, Fault> {
    for round in 0..=ROUNDS_MAX {
        let view = PgView::new(reading, overlay, shared, round < ROUNDS_MAX);
        let answer = work(&view);
        let missed = view.missed.into_inner();
        if missed.is_empty() {
            return answer;
        }
        fetch(&mut reading.borrow_mut(), missed).map_err(fault)?;
    }
    // The last round misses nothing.
    Err(fault(PostgresError::Foreign))
}

fn fetch(reading: &mut Reading, missed: BTreeSet<Place>) -> Result<(), PostgresError> {
    let places: Vec<Place> = missed.into_iter().collect();
    let found = reading.link.rows_at(&places)?;
    reading
        .known
        .extend(places.into_iter().map(|place| (place, None)));
    reading
        .known
        .extend(found.into_iter().map(|(place, row)| (place, Some(row))));
    Ok(())
}

impl<'a> PgView<'a> {
    pub(super) fn new(
        reading: &'a RefCell<Reading>,
        overlay: &'a Overlay,
        shared: Shared,
        is_guessing: bool,
    ) -> Self {
        Self {
            reading,
            overlay,
            shared,
            is_guessing,
            missed: RefCell::default(),
        }
    }

    fn row_at(&self, place: Place) -> Result<Option<Row>, Fault> {
        if let Some(changed) = self.overlay.get(&place) {
            return Ok(changed);
        }
        let mut reading = self.reading.borrow_mut();
        if let Some(known) = reading.known.get(&place) {
            return Ok(known.clone());
        }
        if self.is_guessing {
            self.missed.borrow_mut().insert(place);
            return Ok(None);
        }
        fetch(&mut reading, BTreeSet::from([place.clone()])).map_err(fault)?;
        Ok(reading.known.get(&place).cloned().flatten())
    }

    /// Reads something that is no row, in the same transaction.
    pub(super) fn with_link<R>(
        &self,
        work: impl FnOnce(&mut Link) -> Result<R, PostgresError>,
    ) -> Result<R, Fault> {
        work(&mut self.reading.borrow_mut().link).map_err(fault)
    }

    fn summed(&self, key: &[u8]) -> Result<Option<Row>, Fault> {
        let last = [key, &SHARD_LAST].concat();
        let shards = (Bound::Included(key), Bound::Included(last.as_slice()));
        let mut reading = self.reading.borrow_mut();
        let rows = reading
            .link
            .range(Table::Balance, shards, Order::Forward, SHARDS_MAX)
            .map_err(fault)?;
        drop(reading);
        let rows: Vec<Row> = rows.into_iter().map(|(_, row)| row).collect();
        entry::sum_of_rows(&rows)
    }

    /// Whose row of the provider's own balances a key means here.
    fn place(&self, table: Table, key: &[u8]) -> Place {
        match self.shared {
            Shared::Own(shard) => own_place(shard, table, key),
            Shared::Summed => (table as u8, key.to_vec()),
        }
    }

    /// Each of the provider's own balances once, as the sum of its parts.
    fn gathered(&self, rows: RowList) -> Result<RowList, Fault> {
        let mut gathered: RowList = Vec::with_capacity(rows.len());
        for (key, row) in rows {
            let Some(whole) = key.get(..key.len().saturating_sub(SHARD_LAST.len())) else {
                continue;
            };
            if !is_shared(Table::Balance, whole) {
                gathered.push((key, row));
            } else if gathered.last().is_none_or(|(last, _)| last != whole)
                && let Some(sum) = self.summed(whole)?
            {
                gathered.push((whole.to_vec(), sum));
            }
        }
        Ok(gathered)
    }
}

impl View for PgView<'_> {
    fn expect<'k>(&self, table: Table, keys: impl Iterator<Item = &'k [u8]>) -> Result<(), Fault> {
        if self.shared == Shared::Summed && table == Table::Balance {
            return Ok(());
        }
        self.expect_places(keys.map(|key| self.place(table, key)))
    }

    fn get(&self, table: Table, key: &[u8]) -> Result<Option<Row>, Fault> {
        if self.shared == Shared::Summed && is_shared(table, key) {
            return self.summed(key);
        }
        self.row_at(self.place(table, key))
    }

    fn range(
        &self,
        table: Table,
        keys: Keys<'_>,
        order: Order,
        limit: usize,
    ) -> Result<RowList, Fault> {
        let (from, to) = keys;
        let beyond;
        let from = if let Bound::Excluded(key) = from
            && is_shared(table, key)
        {
            beyond = [key, &SHARD_LAST].concat();
            Bound::Excluded(beyond.as_slice())
        } else {
            from
        };
        let keys = (from, to);
        let wanted = limit.saturating_add(self.overlay.count(table, keys));
        let rows = self
            .reading
            .borrow_mut()
            .link
            .range(table, keys, order, wanted)
            .map_err(fault)?;
        let rows = self.overlay.over(rows, table, keys, order, limit);
        if table == Table::Balance {
            self.gathered(rows)
        } else {
            Ok(rows)
        }
    }
}

impl PgView<'_> {
    fn expect_places(&self, places: impl Iterator<Item = Place>) -> Result<(), Fault> {
        let mut reading = self.reading.borrow_mut();
        let unknown = places.filter(|place| {
            self.overlay.get(place).is_none() && !reading.known.contains_key(place)
        });
        let unknown: BTreeSet<Place> = unknown.collect();
        if self.is_guessing || unknown.is_empty() {
            self.missed.borrow_mut().extend(unknown);
            return Ok(());
        }
        fetch(&mut reading, unknown).map_err(fault)
    }
}

impl<'a> Changing<'a> {
    pub(super) fn new(view: &'a PgView<'a>) -> Self {
        Self {
            view,
            changed: Overlay::default(),
        }
    }
}

impl View for Changing<'_> {
    fn expect<'k>(&self, table: Table, keys: impl Iterator<Item = &'k [u8]>) -> Result<(), Fault> {
        self.view.expect(table, keys)
    }

    fn get(&self, table: Table, key: &[u8]) -> Result<Option<Row>, Fault> {
        match self.changed.get(&self.view.place(table, key)) {
            Some(changed) => Ok(changed),
            None => self.view.get(table, key),
        }
    }

    fn range(
        &self,
        table: Table,
        keys: Keys<'_>,
        order: Order,
        limit: usize,
    ) -> Result<RowList, Fault> {
        let wanted = limit.saturating_add(self.changed.count(table, keys));
        let rows = self.view.range(table, keys, order, wanted)?;
        Ok(self.changed.over(rows, table, keys, order, limit))
    }
}

impl Tables for Changing<'_> {
    fn put(&mut self, table: Table, key: &[u8], row: Row) -> Result<(), Fault> {
        self.changed.put(self.view.place(table, key), Some(row));
        Ok(())
    }

    fn delete(&mut self, table: Table, key: &[u8]) -> Result<(), Fault> {
        self.changed.put(self.view.place(table, key), None);
        Ok(())
    }
}

/// As the store's commands see it.
pub(super) fn seen<'a>(view: &'a PgView<'a>) -> Seen<'a> {
    Seen::Postgres(view)
}

/// Where a row stands for the instance with this shard.
pub(super) fn own_place(shard: i16, table: Table, key: &[u8]) -> Place {
    if is_shared(table, key) {
        (table as u8, [key, &shard.to_be_bytes()].concat())
    } else {
        (table as u8, key.to_vec())
    }
}

fn is_shared(table: Table, key: &[u8]) -> bool {
    table == Table::Balance && table::is_providers(key)
}

pub(super) fn fault(error: PostgresError) -> Fault {
    Fault::Rows(Arc::new(error))
}

/// After every shard's number.
const SHARD_LAST: [u8; 2] = [0xff, 0xff];
/// More instances than a database ever has.
const SHARDS_MAX: usize = 1 << 15;
