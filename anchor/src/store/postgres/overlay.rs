//! What a transaction has changed and not written yet.

use std::{collections::BTreeMap, ops::Bound};

use crate::ledger::{
    table::Table,
    view::{Keys, Order, Row, RowList},
};

/// A table and a key in it.
pub(super) type Place = (u8, Vec<u8>);

/// Rows by place; `None` where one was deleted.
#[derive(Debug, Default)]
pub(super) struct Overlay {
    rows: BTreeMap<Place, Option<Row>>,
}

impl Overlay {
    /// What stands there, if it was changed.
    pub(super) fn get(&self, place: &Place) -> Option<Option<Row>> {
        self.rows.get(place).cloned()
    }

    pub(super) fn put(&mut self, place: Place, row: Option<Row>) {
        self.rows.insert(place, row);
    }

    /// How many changes there are.
    pub(super) fn len(&self) -> usize {
        self.rows.len()
    }

    /// Takes over what `later` has changed.
    pub(super) fn absorb(&mut self, later: Self) {
        self.rows.extend(later.rows);
    }

    /// All changes.
    pub(super) fn iter(&self) -> impl Iterator<Item = (&Place, &Option<Row>)> {
        self.rows.iter()
    }

    /// How many changes lie in a range.
    pub(super) fn count(&self, table: Table, keys: Keys<'_>) -> usize {
        self.within(table, keys).count()
    }

    /// Puts the changes of a range over `rows`, which have `limit` and as many more as there are changes.
    pub(super) fn over(
        &self,
        rows: RowList,
        table: Table,
        keys: Keys<'_>,
        order: Order,
        limit: usize,
    ) -> RowList {
        let mut merged: BTreeMap<Vec<u8>, Row> = rows.into_iter().collect();
        for ((_, key), row) in self.within(table, keys) {
            match row {
                Some(row) => merged.insert(key.clone(), row.clone()),
                None => merged.remove(key),
            };
        }
        match order {
            Order::Forward => merged.into_iter().take(limit).collect(),
            Order::Backward => merged.into_iter().rev().take(limit).collect(),
        }
    }

    fn within<'a>(
        &'a self,
        table: Table,
        (from, to): Keys<'a>,
    ) -> impl Iterator<Item = (&'a Place, &'a Option<Row>)> {
        let first = match from {
            Bound::Included(key) | Bound::Excluded(key) => (table as u8, key.to_vec()),
            Bound::Unbounded => (table as u8, Vec::new()),
        };
        let is_after = move |key: &[u8]| match from {
            Bound::Excluded(from) => key > from,
            Bound::Included(_) | Bound::Unbounded => true,
        };
        let is_before = move |key: &[u8]| match to {
            Bound::Included(to) => key <= to,
            Bound::Excluded(to) => key < to,
            Bound::Unbounded => true,
        };
        self.rows
            .range(first..)
            .take_while(move |((at, key), _)| *at == table as u8 && is_before(key))
            .filter(move |((_, key), _)| is_after(key))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn row(octet: u8) -> Row {
        vec![octet].into()
    }

    #[test]
    fn changes_lie_over_what_the_database_has() {
        let mut overlay = Overlay::default();
        let place = |key: u8| (Table::Bill as u8, vec![key]);
        overlay.put(place(2), None);
        overlay.put(place(3), Some(row(33)));
        overlay.put(place(5), Some(row(5)));
        overlay.put((Table::Deadline as u8, vec![3]), Some(row(99)));
        let stored: RowList = [1, 2, 3, 4].map(|key| (vec![key], row(key))).to_vec();
        let range = (Bound::Excluded(&[1][..]), Bound::Unbounded);
        assert_eq!(overlay.count(Table::Bill, range), 3);
        let forward = overlay.over(stored[1..].to_vec(), Table::Bill, range, Order::Forward, 2);
        assert_eq!(forward, [(vec![3], row(33)), (vec![4], row(4))]);
        let backward = overlay.over(stored[1..].to_vec(), Table::Bill, range, Order::Backward, 2);
        assert_eq!(backward, [(vec![5], row(5)), (vec![4], row(4))]);
    }
}
