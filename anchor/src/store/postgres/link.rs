//! One connection, and the statements it has prepared.

use std::{collections::HashMap, ops::Bound};

use postgres::{Client, Statement, types::ToSql};

use super::{error::PostgresError, overlay::Place};
use crate::ledger::{
    table::Table,
    view::{Keys, Order, Row, RowList},
};

/// A connection.
pub(super) struct Link {
    client: Client,
    prepared: HashMap<String, Statement>,
}

impl Link {
    pub(super) fn new(client: Client) -> Self {
        Self {
            client,
            prepared: HashMap::new(),
        }
    }

    /// Whether it is of no use any more.
    pub(super) fn is_closed(&self) -> bool {
        self.client.is_closed()
    }

    /// Statements without parameters or answers.
    pub(super) fn run(&mut self, sql: &str) -> Result<(), PostgresError> {
        Ok(self.client.batch_execute(sql)?)
    }

    /// One statement with parameters; gives the rows it returns.
    pub(super) fn query(
        &mut self,
        sql: &str,
        parameters: &[&(dyn ToSql + Sync)],
    ) -> Result<Vec<postgres::Row>, PostgresError> {
        let statement = match self.prepared.get(sql) {
            Some(statement) => statement.clone(),
            None => {
                let statement = self.client.prepare(sql)?;
                self.prepared.insert(sql.to_owned(), statement.clone());
                statement
            }
        };
        Ok(self.client.query(&statement, parameters)?)
    }

    /// The rows at these places, those that are there.
    pub(super) fn rows_at(&mut self, places: &[Place]) -> Result<Vec<(Place, Row)>, PostgresError> {
        let tables: Vec<i16> = places.iter().map(|(table, _)| i16::from(*table)).collect();
        let keys: Vec<&[u8]> = places.iter().map(|(_, key)| key.as_slice()).collect();
        let found = self.query(
            "SELECT r.tbl, r.key, r.row FROM unnest($1::smallint[], $2::bytea[]) AS w (tbl, key) \
             JOIN madang_rows r ON r.tbl = w.tbl AND r.key = w.key",
            &[&tables, &keys],
        )?;
        found
            .iter()
            .map(|row| {
                let table: i16 = row.try_get(0)?;
                let table = u8::try_from(table).map_err(|_| PostgresError::Foreign)?;
                Ok(((table, row.try_get(1)?), octets(row, 2)?))
            })
            .collect()
    }

    /// At most `limit` rows of a range of keys.
    pub(super) fn range(
        &mut self,
        table: Table,
        (from, to): Keys<'_>,
        order: Order,
        limit: usize,
    ) -> Result<RowList, PostgresError> {
        let (after, first) = match from {
            Bound::Included(key) => (">=", key),
            Bound::Excluded(key) => (">", key),
            Bound::Unbounded => (">=", &[][..]),
        };
        let (before, last) = match to {
            Bound::Included(key) => ("AND key <= $4", Some(key)),
            Bound::Excluded(key) => ("AND key < $4", Some(key)),
            Bound::Unbounded => ("", None),
        };
        let direction = match order {
            Order::Forward => "ASC",
            Order::Backward => "DESC",
        };
        let sql = format!(
            "SELECT key, row FROM madang_rows WHERE tbl = $1 AND key {after} $2 {before} ORDER BY key {direction} LIMIT $3"
        );
        let (table, limit) = (
            i16::from(table as u8),
            i64::try_from(limit).unwrap_or(i64::MAX),
        );
        let mut parameters: Vec<&(dyn ToSql + Sync)> = vec![&table, &first, &limit];
        if let Some(last) = &last {
            parameters.push(last);
        }
        let rows = self.query(&sql, &parameters)?;
        rows.iter()
            .map(|row| Ok((row.try_get(0)?, octets(row, 1)?)))
            .collect()
    }
}

fn octets(row: &postgres::Row, at: usize) -> Result<Row, PostgresError> {
    let octets: &[u8] = row.try_get(at)?;
    Ok(octets.into())
}
