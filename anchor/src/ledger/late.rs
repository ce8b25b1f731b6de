//! What moved under a grant whose own period is frozen: it belongs to the period that is open then.
//!
//! * L-21 The lines of a frozen period never change: the first later move of a grant writes down what it had come to, and where it leads.

use madang_protocol::{
    amount::Amount,
    ids::{AccountId, GrantId},
    rules::settlement::{Split, split},
};

use super::{
    month::Month,
    pack::{Packer, Unpacker, VERSION},
    period::{self, Calendar},
    progress::{Best, Progress, pack_best, unpack_best},
    table::{self, Table},
    terms::Terms,
    view::{Fault, Invariant, Row, Tables, View},
};

/// What a grant had come to at some moment.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct State {
    /// What was settled.
    pub best: Option<Best>,
    /// What of it was taken back.
    pub refunded: Amount,
}

/// What moved under one grant in one period that is not its own.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Late {
    /// The grant.
    pub grant: GrantId,
    /// What it had come to when the periods before were frozen.
    pub from: State,
    /// What it came to since.
    pub to: State,
    /// The period in which something was billed under it last, before this one.
    pub billed: Option<Month>,
}

/// The periods, beside its own, in which something moved under a grant.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct LateSpan {
    /// The first.
    pub first: Month,
    /// The last.
    pub last: Month,
}

impl State {
    /// What a grant has come to.
    pub fn of(progress: &Progress) -> Self {
        Self {
            best: progress.best.clone(),
            refunded: progress.refunded,
        }
    }

    /// What was settled.
    pub fn amount(&self) -> Amount {
        self.best.as_ref().map_or(Amount::ZERO, |best| best.amount)
    }

    /// What is left of it.
    pub fn left(&self) -> Result<Amount, Fault> {
        let left = self.amount().checked_sub(self.refunded);
        left.ok_or_else(|| Invariant::TakenBackOnce.into())
    }

    /// Who got what of what is left.
    pub fn net(&self, terms: &Terms) -> Result<Split, Fault> {
        match &self.best {
            Some(best) if self.refunded.is_zero() => Ok(best.split),
            _ => Ok(split(self.left()?, terms.tax, terms.commission_bp)
                .map_err(|_| Invariant::SplitWhole)?),
        }
    }

    pub(super) fn pack(&self, row: &mut Packer) {
        row.u8(u8::from(self.best.is_some()));
        if let Some(best) = &self.best {
            pack_best(row, best);
        }
        row.amount(self.refunded);
    }

    fn unpack(row: &mut Unpacker<'_>) -> Result<Self, Fault> {
        let best = match row.u8()? {
            0 => None,
            1 => Some(unpack_best(row)?),
            _ => return Err(row.bad()),
        };
        Ok(Self {
            best,
            refunded: row.amount()?,
        })
    }
}

impl Late {
    /// Whether more is left of the grant than before, or as much; otherwise some was taken back.
    pub fn is_growth(&self) -> Result<bool, Fault> {
        Ok(self.to.left()? >= self.from.left()?)
    }

    fn to_row(&self) -> Row {
        let mut row = Packer::new(VERSION, 512);
        row.array(&self.grant.0);
        self.from.pack(&mut row);
        self.to.pack(&mut row);
        row.u8(u8::from(self.billed.is_some()));
        row.array(&self.billed.map_or([0; 4], Month::to_bytes));
        row.finish().into()
    }

    pub(super) fn of_row(octets: &[u8]) -> Result<Self, Fault> {
        let mut row = Unpacker::new(Table::Late, VERSION, octets)?;
        let late = Self {
            grant: GrantId(row.array()?),
            from: State::unpack(&mut row)?,
            to: State::unpack(&mut row)?,
            billed: {
                let is_there = row.u8()? == 1;
                let month = Month::of_bytes(row.array()?);
                is_there.then_some(month)
            },
        };
        row.end()?;
        Ok(late)
    }
}

/// What moved in `month` under the grant of `entry`, as `account`'s documents say it.
pub fn get(
    view: &impl View,
    month: Month,
    account: &AccountId,
    entry: u64,
) -> Result<Option<Late>, Fault> {
    view.get(
        Table::Late,
        &table::month_account_entry(month, account, entry),
    )?
    .map(|row| Late::of_row(&row))
    .transpose()
}

/// What the grant had come to when its own period was frozen; `None` while nothing has moved since.
pub fn frozen(
    view: &impl View,
    terms: &Terms,
    progress: &Progress,
) -> Result<Option<State>, Fault> {
    let Some(span) = progress.late else {
        return Ok(None);
    };
    let late = get(view, span.first, &terms.buyer, terms.entry)?;
    let late = late.ok_or(Invariant::RowExists(Table::Late))?;
    Ok(Some(late.from))
}

/// L-21: takes down that a grant of a frozen period has moved from `from`. The caller writes `progress`.
pub(super) fn note(
    tables: &mut impl Tables,
    calendar: &Calendar,
    grant: &GrantId,
    terms: &Terms,
    from: State,
    progress: &mut Progress,
) -> Result<(), Fault> {
    let month = calendar.open;
    let span = progress.late.unwrap_or(LateSpan {
        first: month,
        last: month,
    });
    let before = get(tables, span.last, &terms.buyer, terms.entry)?;
    let to = State::of(progress);
    let late = match before {
        Some(before) if span.last == month => Late { to, ..before },
        Some(before) => Late {
            grant: *grant,
            billed: if before.is_growth()? && before.to.amount() > before.from.amount() {
                Some(span.last)
            } else {
                before.billed
            },
            from,
            to,
        },
        None => Late {
            grant: *grant,
            billed: if from.amount().is_zero() {
                None
            } else {
                period::month_of_entry(tables, terms.entry)?
            },
            from,
            to,
        },
    };
    let row = late.to_row();
    for account in [&terms.buyer, &terms.seller] {
        let key = table::month_account_entry(month, account, terms.entry);
        tables.put(Table::Late, &key, row.clone())?;
    }
    progress.late = Some(LateSpan {
        first: span.first,
        last: month,
    });
    Ok(())
}

/// What the grant had come to, if its period is frozen: to be given to [`note`] after the move.
pub(super) fn before_move(
    calendar: Option<&Calendar>,
    terms: &Terms,
    progress: &Progress,
) -> Option<State> {
    let is_frozen = calendar.is_some_and(|calendar| calendar.is_frozen(terms.entry));
    is_frozen.then(|| State::of(progress))
}
