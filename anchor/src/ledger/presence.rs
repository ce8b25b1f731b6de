//! How long a seller's device was there, counted only while a hold waits for it.

use madang_protocol::{ids::PublicKey, time::UnixMillis};
use serde::{Deserialize, Serialize};

use super::{
    event::Event,
    pack,
    policy::{PRESENCE_GAP_MAX, PRESENCE_NOTED_EVERY},
    table::Table,
    view::{Fault, Invariant, Tables, View},
};

/// The counted presence of one device.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
struct Counted {
    /// Holds that wait for it.
    awaited_by: u32,
    /// How long it was there, in milliseconds.
    total_ms: u64,
    /// Its last report that was written down.
    last: Option<UnixMillis>,
}

/// Decides on a presence report; `None` where nobody waits for the device, or its last report is still fresh.
pub fn decide(
    view: &impl View,
    device: PublicKey,
    leaving: bool,
    now: UnixMillis,
) -> Result<Option<Event>, Fault> {
    let Some(counted) = get(view, &device)? else {
        return Ok(None);
    };
    let is_due = counted
        .last
        .is_none_or(|last| now.since(last) >= PRESENCE_NOTED_EVERY);
    Ok((is_due || leaving).then_some(Event::Present {
        device,
        leaving,
        time: now,
    }))
}

pub(super) fn apply(
    tables: &mut impl Tables,
    device: &PublicKey,
    leaving: bool,
    time: UnixMillis,
) -> Result<(), Fault> {
    let Some(mut counted) = get(tables, device)? else {
        return Ok(());
    };
    if let Some(last) = counted.last {
        let gap = time.since(last);
        if gap <= PRESENCE_GAP_MAX {
            let gap_ms = u64::try_from(gap.as_millis()).unwrap_or(u64::MAX);
            counted.total_ms = counted.total_ms.saturating_add(gap_ms);
        }
    }
    counted.last = (!leaving).then_some(time.max(counted.last.unwrap_or_default()));
    put(tables, device, &counted)
}

/// How long the device was there since holds wait for it, in milliseconds.
pub(super) fn counted(view: &impl View, device: &PublicKey) -> Result<u64, Fault> {
    Ok(get(view, device)?.unwrap_or_default().total_ms)
}

/// One more hold waits for the device. Gives what is counted so far, in milliseconds.
pub(super) fn await_one_more(tables: &mut impl Tables, device: &PublicKey) -> Result<u64, Fault> {
    let mut counted = get(tables, device)?.unwrap_or_default();
    counted.awaited_by = counted
        .awaited_by
        .checked_add(1)
        .ok_or(Invariant::SumFits)?;
    put(tables, device, &counted)?;
    Ok(counted.total_ms)
}

/// One hold less waits for the device; after the last nothing is counted.
pub(super) fn no_longer_awaited(tables: &mut impl Tables, device: &PublicKey) -> Result<(), Fault> {
    let mut counted = get(tables, device)?.ok_or(Invariant::RowExists(Table::Presence))?;
    if counted.awaited_by <= 1 {
        return tables.delete(Table::Presence, device.as_bytes());
    }
    counted.awaited_by -= 1;
    put(tables, device, &counted)
}

fn get(view: &impl View, device: &PublicKey) -> Result<Option<Counted>, Fault> {
    view.get(Table::Presence, device.as_bytes())?
        .map(|row| pack::value(Table::Presence, &row))
        .transpose()
}

fn put(tables: &mut impl Tables, device: &PublicKey, counted: &Counted) -> Result<(), Fault> {
    tables.put(Table::Presence, device.as_bytes(), pack::row(counted))
}
