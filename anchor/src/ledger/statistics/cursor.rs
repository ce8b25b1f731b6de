//! How far the figures reach.

use std::collections::BTreeMap;

use madang_protocol::time::UnixMillis;
use serde::{Deserialize, Serialize};

use crate::ledger::{
    pack,
    position::{Chain, Happened, Position},
    table::Table,
    view::{Fault, Tables, View},
};

/// How far the figures reach. The default is before everything.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Cursor {
    /// After which link of each chain reading goes on.
    pub position: Position,
    /// Of the next link of a chain: how many of its parts are counted already, where it is counted in several steps.
    pub(super) within: Vec<(Chain, u32)>,
    /// The latest time of an event that is counted.
    pub reaches: UnixMillis,
    /// When something was rolled up last.
    pub rolled_up: UnixMillis,
    /// How often something was rolled up.
    pub roll_ups: u64,
}

impl Cursor {
    /// How many parts of an event are counted already.
    pub(super) fn parts_done(&self, happened: &Happened) -> u32 {
        let is_next = self.position.of(happened.chain) + 1 == happened.link;
        let within = self
            .within
            .iter()
            .find(|(chain, _)| *chain == happened.chain);
        within.filter(|_| is_next).map_or(0, |(_, parts)| *parts)
    }

    /// Goes past an event.
    pub(super) fn pass(&mut self, happened: &Happened) {
        self.within.retain(|(chain, _)| *chain != happened.chain);
        self.position.pass(happened);
        self.reaches = self.reaches.max(happened.what.time());
    }

    /// Goes into an event, of which so many parts are counted.
    pub(super) fn pause(&mut self, happened: &Happened, parts: u32) {
        let mut within: BTreeMap<Chain, u32> = self.within.drain(..).collect();
        within.insert(happened.chain, parts);
        self.within = within.into_iter().collect();
    }

    /// The chains whose next link is counted in part.
    pub fn in_part(&self) -> impl Iterator<Item = Chain> {
        self.within.iter().map(|(chain, _)| *chain)
    }
}

/// How far the figures reach.
pub fn get(view: &impl View) -> Result<Cursor, Fault> {
    view.get(Table::StatisticCursor, KEY)?
        .map_or(Ok(Cursor::default()), |row| {
            pack::value(Table::StatisticCursor, &row)
        })
}

pub(super) fn put(tables: &mut impl Tables, cursor: &Cursor) -> Result<(), Fault> {
    tables.put(Table::StatisticCursor, KEY, pack::row(cursor))
}

/// There is one.
const KEY: &[u8] = &[0];
