//! How far a grant is settled, and who is done with it.
//!
//! ```text
//! open ── buyer closes ──▶ waiting ── seller closes, or time ──▶ ended
//!   └──── seller closes, and the best receipt is final ─────────▶ ended
//!   ◀──── seller shows more than the buyer closed with ── waiting
//!   └──── settle until ─────────────────────────────────────────▶ ended
//! ```

use madang_protocol::{
    amount::Amount,
    ids::{GrantId, RecordHash},
    record::receipt::Counters,
    rules::settlement::Split,
    time::UnixMillis,
};

use super::{
    late::LateSpan,
    month::Month,
    pack::{Packer, Unpacker, VERSION},
    table::Table,
    view::{Fault, Row, Tables, View},
};

/// The best receipt of a grant and what it came to.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Best {
    /// The receipt's sequence.
    pub sequence: u64,
    /// The receipt's amount.
    pub amount: Amount,
    /// Who got what of it.
    pub split: Split,
    /// The hash of the sealed receipt.
    pub receipt: RecordHash,
    /// Whether the buyer says that nothing follows.
    pub is_final: bool,
    /// What was used, by rule.
    pub counters: Vec<Counters>,
}

/// What a grant was settled for before a receipt.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Before {
    /// The settled amount.
    pub amount: Amount,
    /// Who got what of it.
    pub split: Split,
    /// What was used, by rule.
    pub counters: Vec<Counters>,
}

impl Before {
    /// What was settled with the best receipt so far.
    pub(super) fn of(best: &Best) -> Self {
        Self {
            amount: best.amount,
            split: best.split,
            counters: best.counters.clone(),
        }
    }
}

impl Best {
    /// Of two receipts the better one is the same in whatever order they come: more money first, then the later, then chance.
    pub fn rank(&self) -> (Amount, u64, RecordHash) {
        (self.amount, self.sequence, self.receipt)
    }
}

/// The buyer's closing.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct BuyerClosed {
    /// When it closed.
    pub time: UnixMillis,
    /// The seller's counted presence at that time, in milliseconds.
    pub presence_ms: u64,
}

/// How far a grant is. A grant without a row is at the default.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Progress {
    /// What is settled.
    pub best: Option<Best>,
    /// The journal's entry that settled it last; 0 for none.
    pub entry: u64,
    /// When it was settled last.
    pub time: UnixMillis,
    /// Whether and when the buyer closed.
    pub buyer_closed: Option<BuyerClosed>,
    /// Whether the seller claims nothing more.
    pub seller_closed: bool,
    /// Whether what was held is released.
    pub hold_ended: bool,
    /// Whether what the seller earned can be paid out.
    pub payable: bool,
    /// Whether a dispute on it is open.
    pub contested: bool,
    /// What of the settled amount was taken back.
    pub refunded: Amount,
    /// The periods in which something moved after the grant's own was frozen.
    pub late: Option<LateSpan>,
}

impl Progress {
    /// Who got what so far.
    pub fn split(&self) -> Split {
        self.best
            .as_ref()
            .map_or_else(Split::default, |best| best.split)
    }

    /// The settled amount.
    pub fn amount(&self) -> Amount {
        self.best.as_ref().map_or(Amount::ZERO, |best| best.amount)
    }

    /// Whether both ends have closed, so that nothing needs the hold any more.
    pub fn is_closed_by_both(&self) -> bool {
        let buyer = self.buyer_closed.is_some() || self.best.as_ref().is_some_and(|b| b.is_final);
        buyer && self.seller_closed
    }

    fn to_row(&self) -> Row {
        let mut row = Packer::new(VERSION, 256);
        let flags = u8::from(self.seller_closed)
            | u8::from(self.hold_ended) << 1
            | u8::from(self.buyer_closed.is_some()) << 2
            | u8::from(self.best.is_some()) << 3
            | u8::from(self.payable) << 4
            | u8::from(self.contested) << 5
            | u8::from(!self.refunded.is_zero()) << 6
            | u8::from(self.late.is_some()) << 7;
        row.u8(flags);
        row.u64(self.entry);
        row.time(self.time);
        if let Some(closed) = &self.buyer_closed {
            row.time(closed.time);
            row.u64(closed.presence_ms);
        }
        if let Some(best) = &self.best {
            pack_best(&mut row, best);
        }
        if !self.refunded.is_zero() {
            row.amount(self.refunded);
        }
        if let Some(span) = &self.late {
            row.array(&span.first.to_bytes());
            row.array(&span.last.to_bytes());
        }
        row.finish().into()
    }

    fn of_row(octets: &[u8]) -> Result<Self, Fault> {
        let mut row = Unpacker::new(Table::Progress, VERSION, octets)?;
        let flags = row.u8()?;
        let mut progress = Self {
            seller_closed: flags & 1 != 0,
            hold_ended: flags & 2 != 0,
            payable: flags & 16 != 0,
            contested: flags & 32 != 0,
            entry: row.u64()?,
            time: row.time()?,
            ..Self::default()
        };
        if flags & 4 != 0 {
            progress.buyer_closed = Some(BuyerClosed {
                time: row.time()?,
                presence_ms: row.u64()?,
            });
        }
        if flags & 8 != 0 {
            progress.best = Some(unpack_best(&mut row)?);
        }
        if flags & 64 != 0 {
            progress.refunded = row.amount()?;
        }
        if flags & 128 != 0 {
            progress.late = Some(LateSpan {
                first: Month::of_bytes(row.array()?),
                last: Month::of_bytes(row.array()?),
            });
        }
        row.end()?;
        Ok(progress)
    }
}

/// How far the grant is.
pub fn get(view: &impl View, grant: &GrantId) -> Result<Progress, Fault> {
    view.get(Table::Progress, grant.as_bytes())?
        .map_or_else(|| Ok(Progress::default()), |row| Progress::of_row(&row))
}

pub(super) fn put(
    tables: &mut impl Tables,
    grant: &GrantId,
    progress: &Progress,
) -> Result<(), Fault> {
    tables.put(Table::Progress, grant.as_bytes(), progress.to_row())
}

pub(super) fn pack_best(row: &mut Packer, best: &Best) {
    row.u64(best.sequence);
    row.amount(best.amount);
    pack_split(row, &best.split);
    row.array(&best.receipt.0);
    row.u8(u8::from(best.is_final));
    pack_counters(row, &best.counters);
}

/// One octet where there was nothing.
pub(super) fn pack_before(row: &mut Packer, before: Option<&Before>) {
    row.u8(u8::from(before.is_some()));
    if let Some(before) = before {
        row.amount(before.amount);
        pack_split(row, &before.split);
        pack_counters(row, &before.counters);
    }
}

fn pack_split(row: &mut Packer, split: &Split) {
    for part in [split.debit, split.seller, split.commission, split.tax] {
        row.amount(part);
    }
}

fn pack_counters(row: &mut Packer, counters: &[Counters]) {
    row.count(counters.len());
    for counters in counters {
        row.u64(counters.requests);
        row.u64(counters.bytes);
        row.u64(counters.milliseconds);
        row.u64(counters.passes);
    }
}

pub(super) fn unpack_best(row: &mut Unpacker<'_>) -> Result<Best, Fault> {
    Ok(Best {
        sequence: row.u64()?,
        amount: row.amount()?,
        split: unpack_split(row)?,
        receipt: RecordHash(row.array()?),
        is_final: row.u8()? == 1,
        counters: unpack_counters(row)?,
    })
}

pub(super) fn unpack_before(row: &mut Unpacker<'_>) -> Result<Option<Before>, Fault> {
    match row.u8()? {
        0 => Ok(None),
        1 => Ok(Some(Before {
            amount: row.amount()?,
            split: unpack_split(row)?,
            counters: unpack_counters(row)?,
        })),
        _ => Err(row.bad()),
    }
}

fn unpack_split(row: &mut Unpacker<'_>) -> Result<Split, Fault> {
    Ok(Split {
        debit: row.amount()?,
        seller: row.amount()?,
        commission: row.amount()?,
        tax: row.amount()?,
    })
}

fn unpack_counters(row: &mut Unpacker<'_>) -> Result<Vec<Counters>, Fault> {
    row.list(|row| {
        Ok(Counters {
            requests: row.u64()?,
            bytes: row.u64()?,
            milliseconds: row.u64()?,
            passes: row.u64()?,
        })
    })
}
