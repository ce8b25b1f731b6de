//! Signed statements of where the journal's chains end, one for each day.
//!
//! * L-18 A day has one statement, and it stays.

use std::ops::Bound;

use madang_protocol::{
    record::head::HeadStatement,
    sealed::{Sealed, Unverified},
    time::Day,
};

use super::{
    event::Event,
    table::Table,
    view::{Fault, Keys, Order, Row, Tables, View},
};

/// Decides on a statement; `None` where its day has one.
pub fn decide(view: &impl View, statement: &Sealed<HeadStatement>) -> Result<Option<Event>, Fault> {
    // L-18
    if is_stated(view, statement.day)? {
        return Ok(None);
    }
    Ok(Some(Event::HeadsStated {
        day: statement.day,
        sealed: statement.to_bytes(),
        time: statement.time,
    }))
}

/// Whether a day has a statement.
pub fn is_stated(view: &impl View, day: Day) -> Result<bool, Fault> {
    Ok(view
        .get(Table::HeadStatement, &day.0.to_be_bytes())?
        .is_some())
}

/// The last statement, or the one of `day`.
pub fn get(view: &impl View, day: Option<Day>) -> Result<Option<Unverified<HeadStatement>>, Fault> {
    let row = match day {
        Some(day) => view.get(Table::HeadStatement, &day.0.to_be_bytes())?,
        None => {
            let all: Keys<'_> = (Bound::Unbounded, Bound::Unbounded);
            let rows = view.range(Table::HeadStatement, all, Order::Backward, 1)?;
            rows.into_iter().next().map(|(_, row)| row)
        }
    };
    row.map(|row| of_row(&row)).transpose()
}

/// At most `limit` statements of the days after `after`.
pub fn page(
    view: &impl View,
    after: Option<Day>,
    limit: usize,
) -> Result<Vec<Unverified<HeadStatement>>, Fault> {
    let after = after.map(|day| day.0.to_be_bytes());
    let from = after
        .as_ref()
        .map_or(Bound::Unbounded, |day| Bound::Excluded(day.as_slice()));
    let rows = view.range(
        Table::HeadStatement,
        (from, Bound::Unbounded),
        Order::Forward,
        limit,
    )?;
    rows.iter().map(|(_, row)| of_row(row)).collect()
}

pub(super) fn apply(tables: &mut impl Tables, day: Day, sealed: &[u8]) -> Result<(), Fault> {
    let row: Row = sealed.into();
    tables.put(Table::HeadStatement, &day.0.to_be_bytes(), row)
}

fn of_row(row: &[u8]) -> Result<Unverified<HeadStatement>, Fault> {
    Unverified::from_bytes(row).map_err(|_| Fault::Unreadable(Table::HeadStatement))
}
