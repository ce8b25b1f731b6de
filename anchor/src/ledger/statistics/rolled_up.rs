//! From increments to rows: the follower's own event.

use std::collections::BTreeMap;

use madang_protocol::{
    ids::PublicKey,
    time::{Day, UnixMillis},
};
use serde::{Deserialize, Serialize};

use super::{
    cursor::{self, Cursor},
    figures::{Figure, Figures},
    gather::Gathered,
    reported::{self, Use},
    seen::{self, Seen},
    span::Span,
    subject::Subject,
};
use crate::ledger::{
    event::Event,
    table::Table,
    view::{Fault, Invariant, Tables, View},
};

/// What events between two places add to the figures.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct RolledUp {
    /// Up to where the figures reached before.
    pub from: Cursor,
    /// Up to where they reach with this.
    pub to: Cursor,
    increments: Vec<(Day, Subject, Figures)>,
    reports: Vec<Reported>,
    seen: Vec<(Day, Seen)>,
}

/// What a device's report of a day says more or less than the one before.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
struct Reported {
    device: PublicKey,
    day: Day,
    added: Vec<(Use, Figures)>,
}

/// Refusals of calls by their code, since they were handed in last.
pub type Refusals = BTreeMap<u16, u64>;

/// L-46: the event that adds what was gathered, and `refusals`, and how far the figures reach with it; `None` where somebody else was faster.
pub fn decide(
    view: &impl View,
    gathered: &Gathered,
    refusals: &Refusals,
    now: UnixMillis,
) -> Result<Option<(Event, Cursor)>, Fault> {
    if cursor::get(view)? != gathered.from {
        return Ok(None);
    }
    let increments = gathered.increments.iter();
    let mut increments: Vec<_> = increments
        .filter(|(_, figures)| !figures.is_zero())
        .map(|((day, subject), figures)| (*day, subject.clone(), figures.clone()))
        .collect();
    for (code, times) in refusals.iter().filter(|(_, times)| **times > 0) {
        let counted = Figures::of(Figure::Count, i128::from(*times));
        increments.push((now.day(), Subject::Refusal(*code), counted));
    }
    let reports = gathered.reports.iter();
    let reports = reports.map(|((day, device), (before, after))| {
        Ok(Reported {
            device: *device,
            day: *day,
            added: reported::difference(before, after)?,
        })
    });
    let reports = reports.filter(|one| one.as_ref().map_or(true, |one| !one.added.is_empty()));
    let rolled_up = RolledUp {
        from: gathered.from.clone(),
        to: Cursor {
            rolled_up: now,
            roll_ups: gathered.from.roll_ups.saturating_add(1),
            ..gathered.to.clone()
        },
        increments,
        reports: reports.collect::<Result<_, Fault>>()?,
        seen: gathered.seen.iter().copied().collect(),
    };
    let to = rolled_up.to.clone();
    Ok(Some((Event::StatisticsRolledUp(Box::new(rolled_up)), to)))
}

pub(in crate::ledger) fn apply(
    tables: &mut impl Tables,
    rolled_up: &RolledUp,
) -> Result<(), Fault> {
    // L-46
    if cursor::get(tables)? != rolled_up.from {
        return Err(Invariant::RolledUpOnce.into());
    }
    let mut sums: BTreeMap<Vec<u8>, Figures> = BTreeMap::new();
    for (day, subject, figures) in &rolled_up.increments {
        for span in Span::ALL {
            let sum = sums.entry(subject.key(span.of(*day))).or_default();
            sum.add(figures)?;
        }
    }
    for (day, seen) in &rolled_up.seen {
        for (period, figures) in seen::mark(tables, *day, *seen)? {
            let sum = sums.entry(Subject::All.key(period)).or_default();
            sum.add(&figures)?;
        }
    }
    tables.expect(Table::Statistic, sums.keys().map(Vec::as_slice))?;
    for (key, figures) in &sums {
        add_to_row(tables, Table::Statistic, key, figures)?;
    }
    for one in &rolled_up.reports {
        reported::add(tables, &one.device, one.day, &one.added)?;
    }
    cursor::put(tables, &rolled_up.to)
}

/// Adds to a row of figures. One where nothing is left goes: who invents something and takes it back leaves nothing behind.
pub(super) fn add_to_row(
    tables: &mut impl Tables,
    table: Table,
    key: &[u8],
    figures: &Figures,
) -> Result<(), Fault> {
    let mut sum = match tables.get(table, key)? {
        Some(row) => Figures::of_octets(table, &row)?,
        None => Figures::default(),
    };
    sum.add(figures)?;
    if sum.is_zero() {
        return tables.delete(table, key);
    }
    tables.put(table, key, sum.to_octets().into())
}
