//! What time clears away, a bounded step at a time. Bills stay.

use madang_protocol::{ids::GrantId, time::UnixMillis};

use super::{
    books::{EntryKind, Moved},
    deadline::{self, Due},
    device,
    event::Event,
    hold, line, pass,
    policy::{QUOTA_KEPT, SWEEP_STEP},
    progress, promotion, quota,
    statistics::seen,
    table::{self, Table},
    tariff, terms,
    view::{Fault, Tables, View},
};

/// Decides on one step; `None` if nothing is due.
pub fn decide(view: &impl View, now: UnixMillis) -> Result<Option<Event>, Fault> {
    let is_due = deadline::has_due(view, now)?
        || device::has_old_revocations(view, now)?
        || quota::has_old(view, now.minus(QUOTA_KEPT))?
        || seen::has_old(view)?;
    Ok(is_due.then_some(Event::Swept { time: now }))
}

pub(super) fn apply(tables: &mut impl Tables, entry: u64, now: UnixMillis) -> Result<(), Fault> {
    let mut expired = Moved::by(entry, EntryKind::Expired, now);
    for due in deadline::take_due(tables, now, SWEEP_STEP)? {
        match due {
            Due::SettleUntil(grant) => close_for_good(tables, &grant)?,
            Due::EarlyRelease(grant) => hold::release_early(tables, &grant, now)?,
            Due::Batch(device, batch) => {
                tables.delete(Table::Batch, &table::device_batch(&device, &batch))?;
            }
            Due::Usage(device, day) => {
                tables.delete(Table::Usage, &table::device_day(&device, day))?;
            }
            Due::Pass(account, rule) => pass::drop_ended(tables, &account, &rule, now)?,
            Due::Promotion(account, lot) => {
                promotion::lapse(tables, &account, lot, &mut expired)?;
            }
            Due::Payable(grant) => line::become_payable(tables, &grant, now)?,
        }
    }
    expired.write(tables)?;
    if device::has_old_revocations(tables, now)? {
        device::drop_old_revocations(tables, now, SWEEP_STEP)?;
    }
    quota::drop_old(tables, now.minus(QUOTA_KEPT), SWEEP_STEP)?;
    seen::drop_old(tables, SWEEP_STEP)
}

/// A grant that cannot be settled any more: its hold ends, its request is forgotten, and all of it where nothing was settled.
fn close_for_good(tables: &mut impl Tables, grant: &GrantId) -> Result<(), Fault> {
    let Some(terms) = terms::get(tables, grant)? else {
        return Ok(());
    };
    let progress = progress::get(tables, grant)?;
    let is_billed = progress.best.is_some();
    let payable_from = line::payable_from(&terms, &progress);
    if !progress.hold_ended {
        hold::end_now(tables, grant, &terms, progress)?;
    }
    let request = table::device_request(&terms.buyer_key, &terms.request);
    tables.delete(Table::Request, &request)?;
    if is_billed {
        return deadline::put(tables, payable_from, &Due::Payable(*grant));
    }
    for account in [&terms.buyer, &terms.seller] {
        tables.delete(Table::Bill, &table::account_entry(account, terms.entry))?;
    }
    tariff::use_once_less(tables, &terms.tariff)?;
    tables.delete(Table::Progress, grant.as_bytes())?;
    tables.delete(Table::Grant, grant.as_bytes())
}
