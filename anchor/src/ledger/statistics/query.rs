//! What is told of the figures: by time or by subject, a page at a time, each of them a bounded number of rows however long the range is.

use std::{collections::BTreeMap, ops::Bound};

use madang_protocol::{reject::Reject, time::Day};
use serde::{Deserialize, Serialize};

use super::{
    cursor::{self, Cursor},
    figures::Figures,
    span::{Period, Span, cover},
    subject::{Dimension, Subject, key_prefix},
};
use crate::ledger::{
    table::Table,
    view::{Fault, Order, RowList, View, after_prefix},
};

/// By what lines are made.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub enum By {
    /// One line for each day, month or year.
    Span(Span),
    /// One line for each subject of a kind.
    Subject(Dimension),
}

/// What is asked.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Query {
    /// The first day, in UTC.
    pub from: Day,
    /// The last day; at most [`RANGE_DAYS_MAX`] later.
    pub until: Day,
    /// What the lines are.
    pub by: By,
    /// Of whom: all, or one site, buyer, seller or group. Sites and their rules can be asked of one seller, rules of one site.
    pub of: Subject,
    /// Where the page before ended.
    pub after: Option<Vec<u8>>,
    /// At most so many lines, and at most [`LINES_MAX`].
    pub limit: usize,
}

/// Of what one line is.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum LineOf {
    /// A day, month or year, as much of it as was asked for.
    Period(Period),
    /// A subject.
    Subject(Subject),
}

/// One line.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Line {
    /// Of what.
    pub of: LineOf,
    /// Its figures.
    pub figures: Figures,
}

/// One page.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Page {
    /// In the order of time, or of the subjects' identifiers; none of them empty.
    pub lines: Vec<Line>,
    /// The figures of whom was asked for, over the whole range.
    pub total: Figures,
    /// Where the next page begins; there may be one more without lines.
    pub more_after: Option<Vec<u8>>,
    /// Up to where the figures reach.
    pub reach: Cursor,
}

/// Days of the longest range: a hundred years.
pub const RANGE_DAYS_MAX: u32 = 36_525;
/// Lines of one page.
pub const LINES_MAX: usize = 500;
/// Rows that one page looks at, beside a few for each part of its range.
const ROWS_MAX: usize = 4_096;
/// Rows that are looked at of each part of a range at least, so that a page gets somewhere.
const ROWS_OF_PART_MIN: usize = 16;

/// One page of what is asked.
///
/// # Errors
/// `FIELD_OUT_OF_BOUNDS` for a range that ends before it begins or is too long, and for lines that there are none of.
pub fn page(view: &impl View, query: &Query) -> Result<Page, Fault> {
    let days = query.until.0.checked_sub(query.from.0);
    if days.is_none_or(|days| days >= RANGE_DAYS_MAX) {
        return Err(Reject::FIELD_OUT_OF_BOUNDS.into());
    }
    let limit = query.limit.clamp(1, LINES_MAX);
    let (lines, more_after) = match query.by {
        By::Span(span) => series(view, query, span, limit)?,
        By::Subject(dimension) => list(view, query, dimension, limit)?,
    };
    Ok(Page {
        lines,
        total: sum(view, &query.of, query.from, query.until)?,
        more_after,
        reach: cursor::get(view)?,
    })
}

/// The figures of a subject over a range.
pub fn sum(view: &impl View, of: &Subject, from: Day, until: Day) -> Result<Figures, Fault> {
    let periods = cover(from, until);
    let keys: Vec<Vec<u8>> = periods.iter().map(|period| of.key(*period)).collect();
    view.expect(Table::Statistic, keys.iter().map(Vec::as_slice))?;
    sum_of_keys(view, &keys)
}

/// The figures of a subject over all time.
pub fn whole(view: &impl View, of: &Subject) -> Result<Figures, Fault> {
    let keys: Vec<Vec<u8>> = years(view)?.iter().map(|year| of.key(*year)).collect();
    sum_of_keys(view, &keys)
}

/// The figures of every subject of a kind over all time, of kinds of which there are few.
pub fn whole_of_each(
    view: &impl View,
    dimension: Dimension,
) -> Result<BTreeMap<Subject, Figures>, Fault> {
    let prefix = [dimension as u8, Span::Year as u8];
    let rows = view.prefix(Table::Statistic, &prefix, Order::Forward, ROWS_MAX)?;
    let mut sums: BTreeMap<Subject, Figures> = BTreeMap::new();
    for (key, row) in rows {
        let subject = key.get(PERIOD_END..);
        let subject = subject.and_then(|octets| Subject::of_bytes(dimension, octets));
        let subject = subject.ok_or(UNREADABLE)?;
        let figures = Figures::of_octets(Table::Statistic, &row)?;
        sums.entry(subject).or_default().add(&figures)?;
    }
    Ok(sums)
}

/// The years in which anything was used.
pub(super) fn years(view: &impl View) -> Result<Vec<Period>, Fault> {
    let prefix = [Dimension::All as u8, Span::Year as u8];
    let rows = view.prefix(Table::Statistic, &prefix, Order::Forward, ROWS_MAX)?;
    let years = rows.into_iter().map(|(key, _)| {
        let first = key.get(2..).and_then(|first| first.try_into().ok());
        Ok(Period {
            span: Span::Year,
            first: Day(u32::from_be_bytes(first.ok_or(UNREADABLE)?)),
        })
    });
    years.collect()
}

/// Rows whose keys begin with `prefix`, after one of them.
pub(super) fn rest(
    view: &impl View,
    prefix: &[u8],
    after: &[u8],
    limit: usize,
) -> Result<RowList, Fault> {
    let end = after_prefix(prefix);
    let end = end.as_deref().map_or(Bound::Unbounded, Bound::Excluded);
    let keys = (Bound::Excluded(after), end);
    view.range(Table::Statistic, keys, Order::Forward, limit)
}

fn sum_of_keys(view: &impl View, keys: &[Vec<u8>]) -> Result<Figures, Fault> {
    let mut sum = Figures::default();
    for key in keys {
        if let Some(row) = view.get(Table::Statistic, key)? {
            sum.add(&Figures::of_octets(Table::Statistic, &row)?)?;
        }
    }
    if keys.len() > 1 {
        sum.forget_distinct();
    }
    Ok(sum)
}

type Lines = (Vec<Line>, Option<Vec<u8>>);

/// One line for each period of a length, whose rows are those of the longest periods that it is made of.
fn series(view: &impl View, query: &Query, span: Span, limit: usize) -> Result<Lines, Fault> {
    let mut period = match &query.after {
        None => span.of(query.from),
        Some(after) => {
            let first = after.as_slice().try_into().map(u32::from_be_bytes);
            let first = Day(first.map_err(|_| Reject::FIELD_OUT_OF_BOUNDS)?);
            span.of(first.max(query.from)).next()
        }
    };
    let (mut wanted, mut rows, mut more_after) = (Vec::new(), 0, None);
    while period.first <= query.until {
        if wanted.len() >= limit || rows >= ROWS_MAX {
            let last = wanted.last().map(|(last, _): &(Period, _)| last.first);
            more_after = last.map(|last| last.0.to_be_bytes().to_vec());
            break;
        }
        let within = cover(period.first.max(query.from), period.last().min(query.until));
        let keys = within.iter().map(|period| query.of.key(*period));
        let keys: Vec<Vec<u8>> = keys.collect();
        rows += keys.len();
        wanted.push((period, keys));
        period = period.next();
    }
    let keys = wanted.iter().flat_map(|(_, keys)| keys);
    view.expect(Table::Statistic, keys.map(Vec::as_slice))?;
    let mut lines = Vec::with_capacity(wanted.len());
    for (period, keys) in wanted {
        let figures = sum_of_keys(view, &keys)?;
        if !figures.is_zero() {
            let of = LineOf::Period(period);
            lines.push(Line { of, figures });
        }
    }
    Ok((lines, more_after))
}

/// One line for each subject, in the order of identifiers: as many rows are read of each part of the range, and what they all reach is complete.
fn list(
    view: &impl View,
    query: &Query,
    dimension: Dimension,
    limit: usize,
) -> Result<Lines, Fault> {
    let within = prefix_of(dimension, &query.of).ok_or(Reject::FIELD_OUT_OF_BOUNDS)?;
    let parts = cover(query.from, query.until);
    let of_part = (ROWS_MAX / parts.len().max(1))
        .max(ROWS_OF_PART_MIN)
        .min(limit + 1);
    let mut sums: BTreeMap<Vec<u8>, Figures> = BTreeMap::new();
    let mut complete: Option<Vec<u8>> = None;
    for part in &parts {
        let start = key_prefix(dimension, *part);
        let prefix = [start.as_slice(), &within].concat();
        let rows = match &query.after {
            None => view.prefix(Table::Statistic, &prefix, Order::Forward, of_part)?,
            Some(after) => {
                let after = [start.as_slice(), after].concat();
                rest(view, &prefix, &after, of_part)?
            }
        };
        let is_cut = rows.len() >= of_part;
        for (key, row) in &rows {
            let id = key.get(start.len()..).ok_or(UNREADABLE)?;
            let figures = Figures::of_octets(Table::Statistic, row)?;
            sums.entry(id.to_vec()).or_default().add(&figures)?;
        }
        if let Some((last, _)) = rows.last().filter(|_| is_cut) {
            let last = last.get(start.len()..).ok_or(UNREADABLE)?;
            if complete.as_deref().is_none_or(|complete| last < complete) {
                complete = Some(last.to_vec());
            }
        }
    }
    if let Some(complete) = &complete {
        sums.retain(|id, _| id <= complete);
    }
    if sums.len() > limit {
        complete = sums.keys().nth(limit - 1).cloned();
    }
    let is_one = parts.len() == 1;
    let mut lines = Vec::with_capacity(sums.len().min(limit));
    for (id, mut figures) in sums.into_iter().take(limit) {
        if !is_one {
            figures.forget_distinct();
        }
        let subject = Subject::of_bytes(dimension, &id).ok_or(UNREADABLE)?;
        if !figures.is_zero() {
            let of = LineOf::Subject(subject);
            lines.push(Line { of, figures });
        }
    }
    Ok((lines, complete))
}

/// What the identifiers of a kind begin with, of whom is asked for; `None` where there are none.
fn prefix_of(dimension: Dimension, of: &Subject) -> Option<Vec<u8>> {
    match (dimension, of) {
        (Dimension::All, _) => None,
        (_, Subject::All) => Some(Vec::new()),
        (Dimension::Site | Dimension::Rule, Subject::Seller(account)) => Some(account.0.to_vec()),
        (Dimension::Rule, Subject::Site(site)) => Some(site.to_bytes()),
        _ => None,
    }
}

/// The length of what keys begin with: a kind and a period.
const PERIOD_END: usize = 6;
const UNREADABLE: Fault = Fault::Unreadable(Table::Statistic);
