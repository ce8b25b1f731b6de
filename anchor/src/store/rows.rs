//! The journal's rows as the ledger sees them.

use std::sync::Arc;

use madang_journal::{self as journal, ApplyError, Reader, RowError, Rows, Schema};

use crate::ledger::{
    event,
    table::Table,
    view::{Fault, Keys, Order, Row, RowList, Tables, View},
};

/// Rows to read.
pub(super) struct ReadRows<'a>(pub(super) &'a Reader<'a>);

/// Rows to change.
struct ChangeRows<'a, 'b>(&'a mut Rows<'b>);

/// The ledger as the journal's schema.
pub(super) struct Ledger;

impl Schema for Ledger {
    const VERSION: u32 = 5;

    fn apply(&self, entry: u64, payload: &[u8], rows: &mut Rows<'_>) -> Result<(), ApplyError> {
        event::apply(&mut ChangeRows(rows), entry, payload).map_err(ApplyError::refused)
    }
}

impl View for ReadRows<'_> {
    fn get(&self, table: Table, key: &[u8]) -> Result<Option<Row>, Fault> {
        self.0.get(table as u8, key).map_err(fault)
    }

    fn range(
        &self,
        table: Table,
        keys: Keys<'_>,
        order: Order,
        limit: usize,
    ) -> Result<RowList, Fault> {
        range(self.0, table, keys, order, limit)
    }
}

impl View for ChangeRows<'_, '_> {
    fn get(&self, table: Table, key: &[u8]) -> Result<Option<Row>, Fault> {
        self.0.get(table as u8, key).map_err(fault)
    }

    fn range(
        &self,
        table: Table,
        keys: Keys<'_>,
        order: Order,
        limit: usize,
    ) -> Result<RowList, Fault> {
        range(&self.0.reader(), table, keys, order, limit)
    }
}

impl Tables for ChangeRows<'_, '_> {
    fn put(&mut self, table: Table, key: &[u8], row: Row) -> Result<(), Fault> {
        self.0.put(table as u8, key, row).map_err(fault)
    }

    fn delete(&mut self, table: Table, key: &[u8]) -> Result<(), Fault> {
        self.0.delete(table as u8, key).map_err(fault)
    }
}

fn range(
    reader: &Reader<'_>,
    table: Table,
    keys: Keys<'_>,
    order: Order,
    limit: usize,
) -> Result<RowList, Fault> {
    let order = match order {
        Order::Forward => journal::Order::Forward,
        Order::Backward => journal::Order::Backward,
    };
    reader.range(table as u8, keys, order, limit).map_err(fault)
}

fn fault(error: RowError) -> Fault {
    Fault::Rows(Arc::new(error))
}
