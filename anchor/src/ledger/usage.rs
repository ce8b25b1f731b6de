//! Usage reports, kept whole: the latest of each device and day. For statistics, never for money.

use std::ops::Bound;

use madang_protocol::{
    ids::{PublicKey, RecordHash},
    record::usage::UsageReport,
    reject::Reject,
    sealed::{Sealed, Unverified},
    time::{Day, UnixMillis},
};

use super::{
    deadline::{self, Due},
    device,
    event::Event,
    policy::{USAGE_DAYS_BACK_MAX, USAGE_KEPT},
    table::{self, Table},
    view::{Fault, Order, Tables, View},
};

/// The latest report of a device and a day, if there is one; its signature was checked when it came.
pub fn get(
    view: &impl View,
    device: &PublicKey,
    day: Day,
) -> Result<Option<Unverified<UsageReport>>, Fault> {
    view.get(Table::Usage, &table::device_day(device, day))?
        .map(|row| Unverified::from_bytes(&row).map_err(|_| Fault::Unreadable(Table::Usage)))
        .transpose()
}

/// The latest reports of a device, from the day after `after` on, at most `limit`.
pub fn list(
    view: &impl View,
    device: &PublicKey,
    after: Option<Day>,
    limit: usize,
) -> Result<Vec<Unverified<UsageReport>>, Fault> {
    let first = after.map_or(0, |day| day.0.saturating_add(1));
    let first = table::device_day(device, Day(first));
    let last = table::device_day(device, Day(u32::MAX));
    let keys = (Bound::Included(&first[..]), Bound::Included(&last[..]));
    let rows = view.range(Table::Usage, keys, Order::Forward, limit)?;
    let read =
        |row: &[u8]| Unverified::from_bytes(row).map_err(|_| Fault::Unreadable(Table::Usage));
    rows.iter().map(|(_, row)| read(row)).collect()
}

/// Decides on a report; `None` if it is the one that is kept.
pub fn decide(
    view: &impl View,
    report: &Sealed<UsageReport>,
    now: UnixMillis,
) -> Result<Option<Event>, Fault> {
    device::authorised(view, &report.device)?;
    let today = now.day().0;
    if report.day.0 > today.saturating_add(1) {
        return Err(Reject::RECORD_FROM_FUTURE.into());
    }
    if report.day.0.saturating_add(USAGE_DAYS_BACK_MAX) < today {
        return Err(Reject::RECORD_EXPIRED.into());
    }
    let sealed = report.to_bytes();
    if let Some(kept) = get(view, &report.device, report.day)? {
        if kept.hash() == RecordHash::of(&sealed) {
            return Ok(None);
        }
        if kept.claims().sequence >= report.sequence {
            return Err(Reject::SEQUENCE_OLD.into());
        }
    }
    Ok(Some(Event::UsageReported {
        device: report.device,
        day: report.day,
        sealed,
        time: now,
    }))
}

pub(super) fn apply(
    tables: &mut impl Tables,
    device: PublicKey,
    day: Day,
    sealed: Vec<u8>,
    time: UnixMillis,
) -> Result<(), Fault> {
    let key = table::device_day(&device, day);
    if tables.get(Table::Usage, &key)?.is_none() {
        deadline::put(tables, time.plus(USAGE_KEPT), &Due::Usage(device, day))?;
    }
    tables.put(Table::Usage, &key, sealed.into())
}
