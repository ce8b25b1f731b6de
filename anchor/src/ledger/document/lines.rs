//! The lines of a document: one for each grant that was settled in its period, and one for each grant of an earlier period that moved in it.
//!
//! They stand in the order of the entries that issued the grants, those of the period itself first. Whether a grant that moved late has a line of
//! an invoice or of a credit note depends on whether more or less is left of it than before.

use std::ops::Bound;

use madang_protocol::{
    ids::{AccountId, GrantId},
    record::network::TaxMode,
    rules::settlement::Split,
};
use serde::{Deserialize, Serialize};

use super::{Document, Kind};
use crate::ledger::{
    late::{self, Late, State},
    month::Month,
    pack::{Packer, VERSION},
    period::{self, Period},
    policy::{DOCUMENT_PAGE_MAX, DOCUMENT_ROWS_MAX},
    progress,
    table::{self, Table},
    terms::{self, Terms},
    view::{Fault, Invariant, Order, RowList, View},
};

/// Where a line stands among those of an account and a period.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case", deny_unknown_fields)]
pub struct Place {
    /// Whether the grant is of an earlier period.
    pub late: bool,
    /// The entry that issued the grant.
    pub entry: u64,
}

/// A line.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Line {
    /// Where it stands.
    pub place: Place,
    /// Of which kind of document it is.
    pub kind: Kind,
    /// The grant.
    pub grant: GrantId,
    /// What was agreed.
    pub terms: Terms,
    /// What the grant had come to before.
    pub from: State,
    /// What it came to.
    pub to: State,
    /// Who got what of the difference, or gave it back.
    pub moved: Split,
    /// For a grant of an earlier period: the period in which something was billed under it last, if anything was.
    pub billed: Option<Month>,
}

/// A page of a document's lines.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Page {
    /// The lines.
    pub lines: Vec<Line>,
    /// Where the next page goes on; `None` where nothing is left. A page may be short, even empty, and not be the last.
    pub more_after: Option<Place>,
}

/// The lines of an account in a period, as far as they were looked at.
pub(super) struct Looked {
    /// Each row that was looked at, and its line, if it has one.
    pub(super) rows: Vec<(Place, Option<Line>)>,
    /// Whether nothing is left.
    pub(super) is_whole: bool,
}

impl Line {
    fn new(
        account: &AccountId,
        terms: Terms,
        place: Place,
        late: Late,
    ) -> Result<Option<Self>, Fault> {
        let Late {
            grant,
            from,
            to,
            billed,
        } = late;
        if to.amount() == from.amount() && to.refunded == from.refunded {
            return Ok(None);
        }
        let grows = to.left()? >= from.left()?;
        let (before, after) = (from.net(&terms)?, to.net(&terms)?);
        let moved = if grows {
            after.since(&before)
        } else {
            before.since(&after)
        };
        let kind = match (terms.buyer == *account, grows) {
            (true, true) => Kind::Invoice,
            (true, false) => Kind::CreditNote,
            (false, true) => Kind::Statement,
            (false, false) => Kind::Correction,
        };
        Ok(Some(Self {
            place,
            kind,
            grant,
            terms,
            from,
            to,
            moved: moved.ok_or(Invariant::SplitWhole)?,
            billed,
        }))
    }

    /// What a document's hash is over.
    pub(super) fn octets(&self) -> Vec<u8> {
        let mut line = Packer::new(VERSION, 512);
        line.u8(u8::from(self.place.late));
        line.u64(self.place.entry);
        line.array(&self.grant.0);
        line.array(&self.terms.buyer.0);
        line.array(&self.terms.seller.0);
        line.array(&self.terms.tariff.0);
        line.array(self.terms.currency.as_str().as_bytes());
        line.u16(self.terms.tax.rate_bp);
        line.u8(tax_tag(self.terms.tax.mode));
        line.u16(self.terms.commission_bp);
        self.from.pack(&mut line);
        self.to.pack(&mut line);
        for part in [
            self.moved.debit,
            self.moved.seller,
            self.moved.commission,
            self.moved.tax,
        ] {
            line.amount(part);
        }
        line.finish()
    }
}

/// At most `limit` lines ([`DOCUMENT_PAGE_MAX`] at most) of a document, after the last one of the page before.
pub fn page(
    view: &impl View,
    document: &Document,
    after: Option<Place>,
    limit: usize,
) -> Result<Page, Fault> {
    let limit = limit.clamp(1, DOCUMENT_PAGE_MAX);
    let period = period::get(view, document.month)?;
    let period = period.ok_or(Invariant::RowExists(Table::Period))?;
    let account = &document.content.account;
    let (mut lines, mut at, mut looked_at) = (Vec::new(), after, 0);
    loop {
        let wanted = (limit + limit / 4 + 8).min(DOCUMENT_ROWS_MAX - looked_at);
        let looked = look(view, document.month, &period, account, at, wanted)?;
        looked_at += looked.rows.len();
        for (place, line) in looked.rows {
            if lines.len() == limit {
                return Ok(Page {
                    lines,
                    more_after: at,
                });
            }
            at = Some(place);
            lines.extend(line.filter(|line| line.kind == document.number.kind));
        }
        let more_after = if looked.is_whole { None } else { at };
        if more_after.is_none() || looked_at >= DOCUMENT_ROWS_MAX || lines.len() == limit {
            return Ok(Page { lines, more_after });
        }
    }
}

/// Looks through at most `limit` rows (one at least) of an account in a frozen period, those after `after`.
pub(super) fn look(
    view: &impl View,
    month: Month,
    period: &Period,
    account: &AccountId,
    after: Option<Place>,
    limit: usize,
) -> Result<Looked, Fault> {
    let limit = limit.max(1);
    let mut rows = Vec::new();
    if after.is_none_or(|place| !place.late) {
        rows = own(view, period, account, after, limit)?;
    }
    let left = limit - rows.len();
    if left == 0 {
        return Ok(Looked {
            rows,
            is_whole: false,
        });
    }
    let after = after.filter(|place| place.late);
    let late = moved_late(view, month, account, after, left)?;
    let is_whole = late.len() < left;
    rows.extend(late);
    Ok(Looked { rows, is_whole })
}

type Rows = Vec<(Place, Option<Line>)>;

/// Of grants that the period issued.
fn own(
    view: &impl View,
    period: &Period,
    account: &AccountId,
    after: Option<Place>,
    limit: usize,
) -> Result<Rows, Fault> {
    let begin = after.map_or(period.begin, |place| place.entry.saturating_add(1));
    let from = table::account_entry(account, begin);
    let to = table::account_entry(account, period.end.unwrap_or(u64::MAX));
    let keys = (
        Bound::Included(from.as_slice()),
        Bound::Excluded(to.as_slice()),
    );
    let rows = view.range(Table::Bill, keys, Order::Forward, limit)?;
    let grants = rows.iter().map(|(_, row)| {
        let grant = row.as_ref().try_into();
        grant.map_err(|_| Fault::Unreadable(Table::Bill))
    });
    let grants = grants.collect::<Result<Vec<[u8; 16]>, Fault>>()?;
    view.expect(Table::Grant, grants.iter().map(<[u8; 16]>::as_slice))?;
    view.expect(Table::Progress, grants.iter().map(<[u8; 16]>::as_slice))?;
    let grants = rows.iter().zip(grants);
    grants
        .map(|((key, _), grant)| {
            let place = place_of(key, false, Table::Bill)?;
            let progress = progress::get(view, &GrantId(grant))?;
            if progress.best.is_none() {
                return Ok((place, None));
            }
            let terms = terms::existing(view, &GrantId(grant))?;
            let to = match late::frozen(view, &terms, &progress)? {
                Some(frozen) => frozen,
                None => State::of(&progress),
            };
            if to.amount().is_zero() {
                return Ok((place, None));
            }
            let whole = Late {
                grant: GrantId(grant),
                from: State::default(),
                to,
                billed: None,
            };
            Ok((place, Line::new(account, terms, place, whole)?))
        })
        .collect()
}

/// Of grants of earlier periods.
fn moved_late(
    view: &impl View,
    month: Month,
    account: &AccountId,
    after: Option<Place>,
    limit: usize,
) -> Result<Rows, Fault> {
    let begin = after.map_or(0, |place| place.entry.saturating_add(1));
    let from = table::month_account_entry(month, account, begin);
    let to = table::month_account_entry(month, account, u64::MAX);
    let keys = (
        Bound::Included(from.as_slice()),
        Bound::Excluded(to.as_slice()),
    );
    let rows: RowList = view.range(Table::Late, keys, Order::Forward, limit)?;
    let late = rows.iter().map(|(_, row)| Late::of_row(row));
    let late = late.collect::<Result<Vec<Late>, Fault>>()?;
    let grants = late.iter().map(|late| late.grant.as_bytes());
    view.expect(Table::Grant, grants)?;
    let rows = rows.iter().zip(late);
    rows.map(|((key, _), late)| {
        let place = place_of(key, true, Table::Late)?;
        let terms = terms::existing(view, &late.grant)?;
        Ok((place, Line::new(account, terms, place, late)?))
    })
    .collect()
}

fn place_of(key: &[u8], late: bool, table: Table) -> Result<Place, Fault> {
    let entry = key.last_chunk().ok_or(Fault::Unreadable(table))?;
    Ok(Place {
        late,
        entry: u64::from_be_bytes(*entry),
    })
}

/// Orders and names the modes of taxes.
pub(super) fn tax_tag(mode: TaxMode) -> u8 {
    match mode {
        TaxMode::Inclusive => 0,
        TaxMode::Exclusive => 1,
        TaxMode::Reverse => 2,
    }
}
