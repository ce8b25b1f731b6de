//! Who was there on a day or in a month: a mark for each, which makes them count once, for as long as anything of that time can still come.

use std::ops::Bound;

use madang_protocol::{
    ids::{AccountId, PublicKey},
    time::Day,
};
use serde::{Deserialize, Serialize};

use super::{
    cursor,
    figures::{Figure, Figures},
    span::{Period, Span},
};
use crate::ledger::{
    policy::USAGE_DAYS_BACK_MAX,
    table::Table,
    view::{Fault, Order, Row, Tables, View},
};

/// Who was there.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
pub(super) enum Seen {
    /// An account that paid for something.
    Buyer(AccountId),
    /// A device that reported or settled.
    Server(PublicKey),
}

impl Seen {
    fn figure(self) -> Figure {
        match self {
            Self::Buyer(_) => Figure::ActiveBuyers,
            Self::Server(_) => Figure::ServersOnline,
        }
    }

    fn key(self, period: Period) -> Vec<u8> {
        let (tag, id) = match &self {
            Self::Buyer(account) => (0, account.as_bytes()),
            Self::Server(device) => (1, device.as_bytes()),
        };
        let mut key = until(period.last()).to_be_bytes().to_vec();
        key.extend_from_slice(&period.to_bytes());
        key.push(tag);
        key.extend_from_slice(id);
        key
    }
}

/// Marks who was there on `day`. What is counted by it, for the day and for its month.
pub(super) fn mark(
    tables: &mut impl Tables,
    day: Day,
    seen: Seen,
) -> Result<Vec<(Period, Figures)>, Fault> {
    let mut counted = Vec::new();
    for period in [Span::Day.of(day), Span::Month.of(day)] {
        let key = seen.key(period);
        if tables.get(Table::StatisticSeen, &key)?.is_none() {
            tables.put(Table::StatisticSeen, &key, Row::from([]))?;
            counted.push((period, Figures::of(seen.figure(), 1)));
        }
    }
    Ok(counted)
}

/// Until when something that names a day is kept: on the last day on which the follower can still meet something of that day, and some.
pub(super) fn until(day: Day) -> u32 {
    day.0.saturating_add(USAGE_DAYS_BACK_MAX + DAYS_APART_MAX)
}

/// Whether anything is kept longer than it is needed.
pub(in crate::ledger) fn has_old(view: &impl View) -> Result<bool, Fault> {
    for table in KEPT_FOR_A_TIME {
        if !old(view, table, 1)?.is_empty() {
            return Ok(true);
        }
    }
    Ok(false)
}

/// Forgets at most `limit` of each kind.
pub(in crate::ledger) fn drop_old(tables: &mut impl Tables, limit: usize) -> Result<(), Fault> {
    for table in KEPT_FOR_A_TIME {
        for key in old(tables, table, limit)? {
            tables.delete(table, &key)?;
        }
    }
    Ok(())
}

/// By what the follower has come to, not by the clock: a follower that is far behind still needs them.
fn old(view: &impl View, table: Table, limit: usize) -> Result<Vec<Vec<u8>>, Fault> {
    let today = cursor::get(view)?.reaches.day().0.to_be_bytes();
    let keys = (Bound::Unbounded, Bound::Excluded(today.as_slice()));
    let rows = view.range(table, keys, Order::Forward, limit)?;
    Ok(rows.into_iter().map(|(key, _)| key).collect())
}

/// Tables whose keys begin with the last day on which they are needed.
const KEPT_FOR_A_TIME: [Table; 2] = [Table::StatisticSeen, Table::StatisticReport];
/// The clocks of several anchors on one database, and the order in which a follower meets their events, are never days apart.
const DAYS_APART_MAX: u32 = 3;
