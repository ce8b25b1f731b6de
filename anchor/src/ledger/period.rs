//! Billing periods: calendar months, told apart by the entries that issued grants.
//!
//! ```text
//! open ── the month is over ──▶ in grace ── grace is over, or an operator asks ──▶ frozen ── its documents are made, in steps ──▶ closed
//! ```
//!
//! A grant belongs to the period in which it was issued. Until that period is frozen, what is settled under it changes its line; afterwards it is
//! a line of the period that is open then ([`late`](super::late)).
//!
//! * L-22 Periods are frozen and closed in their order, each once. Whoever closes one decides on where it stands: of two, one does each step.
//! * L-23 Documents of one kind and year are numbered from 1 without gaps, in the order of the accounts' identifiers.

use std::ops::Bound;

use madang_protocol::{ids::AccountId, reject::Reject, time::UnixMillis};
use serde::{Deserialize, Serialize};

use super::{
    account,
    document::{self, Drafted},
    event::Event,
    month::Month,
    pack,
    policy::{PERIODS_LISTED_MAX, Policy},
    table::Table,
    view::{Fault, Invariant, Order, Tables, View},
};

/// Which period is open, and what is frozen. Every settlement reads it; it is written three times a month.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct Calendar {
    /// The first period.
    pub first: Month,
    /// The period that is open.
    pub open: Month,
    /// Grants issued before this entry are of periods that are frozen.
    frozen_before: u64,
    /// The first period that is not frozen.
    unfrozen: Month,
}

/// How far a period is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub enum Stage {
    /// It is the present month.
    Open,
    /// It takes what is settled late, since this time.
    InGrace(UnixMillis),
    /// Its documents are being made: those of accounts up to this one are.
    Frozen(Option<AccountId>),
    /// It has all its documents, since this time.
    Closed(UnixMillis),
}

/// A period.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct Period {
    /// The first entry of its grants.
    pub begin: u64,
    /// The first entry after its grants; `None` while it is open.
    pub end: Option<u64>,
    /// How far it is.
    pub stage: Stage,
    /// Accounts whose documents are made.
    pub accounts: u64,
    /// Documents that are made.
    pub documents: u64,
}

/// Something about periods. Variants keep their order.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub enum PeriodEvent {
    /// The first period: what was granted before is of it too.
    Began {
        /// Which.
        month: Month,
        /// When.
        time: UnixMillis,
    },
    /// The month is over; the next one is open.
    Ended {
        /// Which.
        month: Month,
        /// When.
        time: UnixMillis,
    },
    /// Its lines do not change any more.
    Frozen {
        /// Which.
        month: Month,
        /// When.
        time: UnixMillis,
    },
    /// The documents of some accounts.
    Step {
        /// Of which period.
        month: Month,
        /// The accounts after this one,
        after: Option<AccountId>,
        /// up to this one.
        to: AccountId,
        /// How many accounts they are.
        accounts: u32,
        /// By account, then by kind.
        documents: Vec<Drafted>,
        /// When.
        time: UnixMillis,
    },
    /// Every account has its documents.
    Closed {
        /// Which.
        month: Month,
        /// When.
        time: UnixMillis,
    },
}

impl PeriodEvent {
    /// When it happened.
    pub fn time(&self) -> UnixMillis {
        match self {
            Self::Began { time, .. }
            | Self::Ended { time, .. }
            | Self::Frozen { time, .. }
            | Self::Step { time, .. }
            | Self::Closed { time, .. } => *time,
        }
    }
}

impl Calendar {
    /// Whether the period of a grant issued by `entry` is frozen.
    pub fn is_frozen(&self, entry: u64) -> bool {
        entry < self.frozen_before
    }
}

impl Period {
    /// Whether `account` has its documents of this period.
    pub fn is_made_for(&self, account: &AccountId) -> bool {
        match self.stage {
            Stage::Open | Stage::InGrace(_) => false,
            Stage::Frozen(last) => last.is_some_and(|last| *account <= last),
            Stage::Closed(_) => true,
        }
    }

    /// The entries of its grants.
    pub(super) fn has(&self, entry: u64) -> bool {
        self.begin <= entry && self.end.is_none_or(|end| entry < end)
    }
}

/// Which period is open; `None` before the first one began.
pub fn calendar(view: &impl View) -> Result<Option<Calendar>, Fault> {
    let row = view.get(Table::Calendar, CALENDAR)?;
    row.map(|row| pack::value(Table::Calendar, &row))
        .transpose()
}

/// A period, if it ever began.
pub fn get(view: &impl View, month: Month) -> Result<Option<Period>, Fault> {
    let row = view.get(Table::Period, &month.to_bytes())?;
    row.map(|row| pack::value(Table::Period, &row)).transpose()
}

/// The last periods before `before`, the latest first.
pub fn list(
    view: &impl View,
    before: Option<Month>,
    limit: usize,
) -> Result<Vec<(Month, Period)>, Fault> {
    let before = before.map(Month::to_bytes);
    let to = before
        .as_ref()
        .map_or(Bound::Unbounded, |month| Bound::Excluded(&month[..]));
    let limit = limit.clamp(1, PERIODS_LISTED_MAX);
    let keys = (Bound::Unbounded, to);
    let rows = view.range(Table::Period, keys, Order::Backward, limit)?;
    let unreadable = || Fault::Unreadable(Table::Period);
    rows.iter()
        .map(|(key, row)| {
            let month = key.as_slice().try_into().map_err(|_| unreadable())?;
            Ok((Month::of_bytes(month), pack::value(Table::Period, row)?))
        })
        .collect()
}

/// The period of a grant issued by `entry`, if one began.
pub(super) fn month_of_entry(view: &impl View, entry: u64) -> Result<Option<Month>, Fault> {
    let mut before = None;
    loop {
        let periods = list(view, before, LOOKED_AT)?;
        let found = periods.iter().find(|(_, period)| period.begin <= entry);
        if let Some((month, _)) = found {
            return Ok(Some(*month));
        }
        match periods.last() {
            Some((month, _)) => before = Some(*month),
            None => return Ok(None),
        }
    }
}

/// Decides what the clock does to periods: the first one begins, once there is an account, or the month that is open is over. `None` where nothing is due.
pub fn decide_turn(
    view: &impl View,
    policy: &Policy,
    now: UnixMillis,
) -> Result<Option<Event>, Fault> {
    let present = Month::of(now, policy.period_offset);
    let event = match calendar(view)? {
        None if account::ids(view, None, 1)?.is_empty() => return Ok(None),
        None => PeriodEvent::Began {
            month: present,
            time: now,
        },
        Some(calendar) if calendar.open < present => PeriodEvent::Ended {
            month: calendar.open,
            time: now,
        },
        Some(_) => return Ok(None),
    };
    Ok(Some(Event::Period(event)))
}

/// The period that is to be closed next, where its grace is over or it is frozen already.
pub fn due(view: &impl View, policy: &Policy, now: UnixMillis) -> Result<Option<Month>, Fault> {
    let Some(calendar) = calendar(view)? else {
        return Ok(None);
    };
    // What is frozen first is closed first: only the last frozen period may be unfinished, and the next one.
    let candidates = list(view, Some(calendar.open), PERIODS_LISTED_MAX)?;
    let oldest = candidates
        .iter()
        .rev()
        .find(|(_, period)| match period.stage {
            Stage::Open | Stage::InGrace(_) | Stage::Frozen(_) => true,
            Stage::Closed(_) => false,
        });
    Ok(oldest.and_then(|(month, period)| match period.stage {
        Stage::InGrace(ended) if now < ended.plus(policy.period_grace) => None,
        Stage::InGrace(_) | Stage::Frozen(_) => Some(*month),
        Stage::Open | Stage::Closed(_) => None,
    }))
}

/// Decides to freeze `month`; `None` where it is frozen, so that its steps can go on. `early`: without waiting for the end of its grace.
///
/// # Errors
/// `PERIOD_UNKNOWN`, `PERIOD_NOT_OVER`, `PERIOD_CLOSED`, `PERIOD_OUT_OF_ORDER`, `PERIOD_IN_GRACE`.
pub fn decide_freeze(
    view: &impl View,
    policy: &Policy,
    month: Month,
    early: bool,
    now: UnixMillis,
) -> Result<Option<Event>, Fault> {
    let calendar = calendar(view)?.ok_or(Reject::PERIOD_UNKNOWN)?;
    if month > calendar.open {
        return Err(Reject::PERIOD_NOT_OVER.into());
    }
    let period = get(view, month)?.ok_or(Reject::PERIOD_UNKNOWN)?;
    match period.stage {
        Stage::Open => Err(Reject::PERIOD_NOT_OVER.into()),
        Stage::Closed(_) => Err(Reject::PERIOD_CLOSED.into()),
        Stage::Frozen(_) => Ok(None),
        Stage::InGrace(_) if !is_next(view, &calendar, month)? => {
            Err(Reject::PERIOD_OUT_OF_ORDER.into())
        }
        Stage::InGrace(ended) if !early && now < ended.plus(policy.period_grace) => {
            Err(Reject::PERIOD_IN_GRACE.into())
        }
        Stage::InGrace(_) => Ok(Some(Event::Period(PeriodEvent::Frozen {
            month,
            time: now,
        }))),
    }
}

/// L-22: whether `month` is the first that is not frozen, and all before it are closed.
fn is_next(view: &impl View, calendar: &Calendar, month: Month) -> Result<bool, Fault> {
    let before = list(view, Some(month), 1)?;
    let is_closed = |period: &Period| matches!(period.stage, Stage::Closed(_));
    Ok(month == calendar.unfrozen && before.iter().all(|(_, period)| is_closed(period)))
}

/// Decides on a step that was drafted on the accounts after `after`; `None` where somebody else was faster.
pub fn decide_step(
    view: &impl View,
    month: Month,
    after: Option<AccountId>,
    step: Option<&Step>,
    now: UnixMillis,
) -> Result<Option<Event>, Fault> {
    let period = get(view, month)?.ok_or(Reject::PERIOD_UNKNOWN)?;
    if period.stage != Stage::Frozen(after) {
        return Ok(None);
    }
    let event = match step {
        Some(step) => {
            let mut documents = step.documents.clone();
            for document in &mut documents {
                document.owed = document::owed(view, document)?;
            }
            PeriodEvent::Step {
                month,
                after,
                to: step.to,
                accounts: step.accounts,
                documents,
                time: now,
            }
        }
        None => PeriodEvent::Closed { month, time: now },
    };
    Ok(Some(Event::Period(event)))
}

/// What was drafted for some accounts.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Step {
    /// The last of them.
    pub to: AccountId,
    /// How many they are.
    pub accounts: u32,
    /// Their documents, by account, then by kind.
    pub documents: Vec<Drafted>,
}

pub(super) fn apply(tables: &mut impl Tables, entry: u64, event: PeriodEvent) -> Result<(), Fault> {
    match event {
        PeriodEvent::Began { month, .. } => apply_began(tables, month),
        PeriodEvent::Ended { month, time } => apply_ended(tables, entry, month, time),
        PeriodEvent::Frozen { month, .. } => apply_frozen(tables, month),
        PeriodEvent::Step {
            month,
            after,
            to,
            accounts,
            documents,
            time,
        } => {
            let mut period = existing(tables, month)?;
            if period.stage != Stage::Frozen(after) || after.is_some_and(|after| after >= to) {
                return Err(Invariant::PeriodInOrder.into());
            }
            period.stage = Stage::Frozen(Some(to));
            period.accounts += u64::from(accounts);
            period.documents += documents.len() as u64;
            document::apply(tables, month, time, documents)?;
            put(tables, month, &period)
        }
        PeriodEvent::Closed { month, time } => {
            let mut period = existing(tables, month)?;
            if !matches!(period.stage, Stage::Frozen(_)) {
                return Err(Invariant::PeriodInOrder.into());
            }
            period.stage = Stage::Closed(time);
            put(tables, month, &period)
        }
    }
}

fn apply_began(tables: &mut impl Tables, month: Month) -> Result<(), Fault> {
    if calendar(tables)?.is_some() {
        return Err(Invariant::PeriodInOrder.into());
    }
    put_calendar(
        tables,
        &Calendar {
            first: month,
            open: month,
            frozen_before: 0,
            unfrozen: month,
        },
    )?;
    put(tables, month, &opened(0))
}

fn apply_ended(
    tables: &mut impl Tables,
    entry: u64,
    month: Month,
    time: UnixMillis,
) -> Result<(), Fault> {
    let mut calendar = calendar(tables)?.ok_or(Invariant::PeriodInOrder)?;
    let mut period = existing(tables, month)?;
    if calendar.open != month || period.stage != Stage::Open {
        return Err(Invariant::PeriodInOrder.into());
    }
    period.end = Some(entry);
    period.stage = Stage::InGrace(time);
    put(tables, month, &period)?;
    calendar.open = month.next();
    put_calendar(tables, &calendar)?;
    put(tables, month.next(), &opened(entry))
}

fn apply_frozen(tables: &mut impl Tables, month: Month) -> Result<(), Fault> {
    let mut calendar = calendar(tables)?.ok_or(Invariant::PeriodInOrder)?;
    let mut period = existing(tables, month)?;
    let end = period.end.filter(|_| calendar.unfrozen == month);
    calendar.frozen_before = end.ok_or(Invariant::PeriodInOrder)?;
    calendar.unfrozen = month.next();
    put_calendar(tables, &calendar)?;
    period.stage = Stage::Frozen(None);
    put(tables, month, &period)
}

fn opened(begin: u64) -> Period {
    Period {
        begin,
        end: None,
        stage: Stage::Open,
        accounts: 0,
        documents: 0,
    }
}

fn existing(view: &impl View, month: Month) -> Result<Period, Fault> {
    get(view, month)?.ok_or_else(|| Invariant::RowExists(Table::Period).into())
}

fn put(tables: &mut impl Tables, month: Month, period: &Period) -> Result<(), Fault> {
    tables.put(Table::Period, &month.to_bytes(), pack::row(period))
}

fn put_calendar(tables: &mut impl Tables, calendar: &Calendar) -> Result<(), Fault> {
    tables.put(Table::Calendar, CALENDAR, pack::row(calendar))
}

/// The key of the one row of [`Table::Calendar`].
const CALENDAR: &[u8] = &[];
/// Periods that are looked at together for the one of an entry.
const LOOKED_AT: usize = 16;
