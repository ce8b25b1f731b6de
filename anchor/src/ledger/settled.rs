//! What a settlement decided, as the journal keeps it, and its rows.
//!
//! * L-17 A receipt's move says what its grant was settled for before, and that is so.

use madang_protocol::{
    amount::Amount,
    codec,
    ids::{BatchId, GrantId, PublicKey, RecordHash},
    record::settlement::{Judgement, Outcome},
    reject::Reject,
    time::UnixMillis,
};

use super::{
    books::{EntryKind, Moved},
    deadline::{self, Due},
    entry::Posting,
    hold, late,
    pack::{Packer, Unpacker, VERSION},
    pass::{self, PassHeld},
    period::{self, Calendar},
    policy::VERDICT_KEPT,
    progress::{self, Before, Best, Progress, pack_before, pack_best, unpack_before, unpack_best},
    promotion,
    table::{self, LedgerAccount, Table},
    terms::{self, Terms},
    view::{Fault, Invariant, Row, Tables, View},
};

/// Whose word settled something.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Source {
    /// A seller's batch.
    Batch {
        /// The seller's device.
        device: PublicKey,
        /// The batch.
        id: BatchId,
        /// The hash of the sealed batch.
        hash: RecordHash,
    },
    /// A buyer's closing.
    Buyer {
        /// The grant.
        grant: GrantId,
    },
}

/// One receipt that became the best of its grant.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Move {
    /// The grant.
    pub grant: GrantId,
    /// What it says, and who gets what of it.
    pub best: Best,
    /// What was settled of the grant before (L-17), so that the event alone says what it adds.
    pub since: Option<Before>,
    /// Whether the seller claims nothing more.
    pub closes_seller: bool,
    /// Whether both ends have closed with it.
    pub ends_hold: bool,
    /// The passes that it prolongs.
    pub passes: Vec<PassHeld>,
    /// The sealed receipt, kept as proof.
    pub sealed: Vec<u8>,
}

/// What a settlement decided.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Settled {
    /// On whose word.
    pub source: Source,
    /// When.
    pub time: UnixMillis,
    /// One for each receipt of a batch, in its order.
    pub outcomes: Vec<Outcome>,
    /// What moves money.
    pub moves: Vec<Move>,
    /// Grants that the seller closes without a move.
    pub seller_closed: Vec<GrantId>,
    /// Grants whose hold ends without a move.
    pub ended: Vec<GrantId>,
}

/// A verdict as it was given.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Judged {
    /// The hash of the sealed batch.
    pub hash: RecordHash,
    /// The journal's entry.
    pub entry: u64,
    /// When.
    pub time: UnixMillis,
    /// Judgement, settled amount and the seller's part, for each receipt in the batch's order.
    pub outcomes: Vec<(Judgement, Amount, Amount)>,
}

/// What is kept of an outcome: its grant stands in the batch.
pub fn parts_of(outcome: &Outcome) -> (Judgement, Amount, Amount) {
    (outcome.judgement, outcome.settled, outcome.earned)
}

/// The verdict that this batch was given before, if it was.
pub fn judged(
    view: &impl View,
    device: &PublicKey,
    batch: &BatchId,
) -> Result<Option<Judged>, Fault> {
    view.get(Table::Batch, &table::device_batch(device, batch))?
        .map(|row| Judged::of_row(&row))
        .transpose()
}

impl Settled {
    /// Lays the settlement out as an entry's octets.
    pub(super) fn pack(&self, version: u8) -> Vec<u8> {
        let size = self
            .moves
            .iter()
            .map(|one| one.sealed.len() + 256)
            .sum::<usize>();
        let mut payload = Packer::new(version, size + self.outcomes.len() * 40 + 256);
        match &self.source {
            Source::Batch { device, id, hash } => {
                payload.u8(0);
                payload.array(&device.0);
                payload.array(&id.0);
                payload.array(&hash.0);
            }
            Source::Buyer { grant } => {
                payload.u8(1);
                payload.array(&grant.0);
            }
        }
        payload.time(self.time);
        payload.count(self.outcomes.len());
        for outcome in &self.outcomes {
            payload.array(&outcome.grant.0);
            payload.u16(code_of(outcome.judgement));
            payload.amount(outcome.settled);
            payload.amount(outcome.earned);
        }
        payload.count(self.moves.len());
        for one in &self.moves {
            pack_move(&mut payload, one);
        }
        for grants in [&self.seller_closed, &self.ended] {
            payload.count(grants.len());
            grants.iter().for_each(|grant| payload.array(&grant.0));
        }
        payload.finish()
    }

    /// Reads what [`Settled::pack`] laid out.
    pub(super) fn unpack(version: u8, octets: &[u8]) -> Result<Self, Fault> {
        let mut payload = Unpacker::new(Table::Journal, version, octets)?;
        let source = match payload.u8()? {
            0 => Source::Batch {
                device: PublicKey(payload.array()?),
                id: BatchId(payload.array()?),
                hash: RecordHash(payload.array()?),
            },
            1 => Source::Buyer {
                grant: GrantId(payload.array()?),
            },
            _ => return Err(payload.bad()),
        };
        let settled = Self {
            source,
            time: payload.time()?,
            outcomes: payload.list(|payload| {
                Ok(Outcome {
                    grant: GrantId(payload.array()?),
                    judgement: judgement_of(payload.u16()?),
                    settled: payload.amount()?,
                    earned: payload.amount()?,
                })
            })?,
            moves: payload.list(unpack_move)?,
            seller_closed: payload.list(|payload| Ok(GrantId(payload.array()?)))?,
            ended: payload.list(|payload| Ok(GrantId(payload.array()?)))?,
        };
        payload.end()?;
        Ok(settled)
    }
}

pub(super) fn apply(tables: &mut impl Tables, entry: u64, settled: Settled) -> Result<(), Fault> {
    let time = settled.time;
    let moved = settled.moves.iter().map(|one| &one.grant);
    let named = moved.chain(&settled.seller_closed).chain(&settled.ended);
    for table in [Table::Grant, Table::Progress] {
        tables.expect(table, named.clone().map(|grant| grant.as_bytes()))?;
    }
    let mut postings: Vec<Posting> = Vec::with_capacity(1);
    if let Source::Buyer { grant } = &settled.source {
        let terms = terms::existing(tables, grant)?;
        let mut progress = progress::get(tables, grant)?;
        hold::buyer_closes(tables, grant, &terms, &mut progress, time)?;
        progress::put(tables, grant, &progress)?;
    }
    let settled_by = By {
        seller: matches!(settled.source, Source::Batch { .. }),
        entry,
        time,
        calendar: period::calendar(tables)?,
    };
    for one in settled.moves {
        apply_move(tables, &mut postings, &settled_by, one)?;
    }
    for grant in &settled.seller_closed {
        let mut progress = progress::get(tables, grant)?;
        progress.seller_closed = true;
        progress::put(tables, grant, &progress)?;
    }
    for grant in &settled.ended {
        let terms = terms::existing(tables, grant)?;
        let mut progress = progress::get(tables, grant)?;
        let posting = posting_in(&mut postings, &terms);
        hold::end(tables, posting, &terms, &mut progress)?;
        progress::put(tables, grant, &progress)?;
    }
    let mut moved = Moved::by(entry, EntryKind::Settlement, time);
    for posting in postings {
        posting.post(tables, &mut moved)?;
    }
    moved.write(tables)?;
    if let Source::Batch { device, id, hash } = settled.source {
        let judged = Judged {
            hash,
            entry,
            time,
            outcomes: settled.outcomes.iter().map(parts_of).collect(),
        };
        let key = table::device_batch(&device, &id);
        tables.put(Table::Batch, &key, judged.to_row())?;
        deadline::put(tables, time.plus(VERDICT_KEPT), &Due::Batch(device, id))?;
    }
    Ok(())
}

/// On whose word something moves, where and when.
struct By {
    seller: bool,
    entry: u64,
    time: UnixMillis,
    calendar: Option<Calendar>,
}

fn apply_move(
    tables: &mut impl Tables,
    postings: &mut Vec<Posting>,
    by: &By,
    one: Move,
) -> Result<(), Fault> {
    let terms = terms::existing(tables, &one.grant)?;
    let mut progress = progress::get(tables, &one.grant)?;
    let posting = posting_in(postings, &terms);
    // L-17
    if one.since != progress.best.as_ref().map(Before::of) {
        return Err(Invariant::SettledBefore.into());
    }
    move_money(tables, posting, &terms, &progress, &one.best)?;
    if by.seller {
        hold::reopen_buyer(tables, &terms, &mut progress)?;
    }
    let frozen = late::before_move(by.calendar.as_ref(), &terms, &progress);
    progress.best = Some(one.best);
    if let (Some(from), Some(calendar)) = (frozen, &by.calendar) {
        late::note(tables, calendar, &one.grant, &terms, from, &mut progress)?;
    }
    progress.entry = by.entry;
    progress.time = by.time;
    progress.seller_closed |= one.closes_seller;
    if one.ends_hold {
        hold::end(tables, posting, &terms, &mut progress)?;
    }
    for held in &one.passes {
        pass::put(tables, held)?;
    }
    progress::put(tables, &one.grant, &progress)
}

/// Moves the difference of two cumulative splits from the hold to the seller, the commission and the tax.
fn move_money(
    tables: &mut impl Tables,
    posting: &mut Posting,
    terms: &Terms,
    before: &Progress,
    best: &Best,
) -> Result<(), Fault> {
    let split = best.split;
    let parts = [split.seller, split.commission, split.tax];
    let parts = parts
        .into_iter()
        .try_fold(Amount::ZERO, Amount::checked_add);
    if parts != Some(split.debit) {
        return Err(Invariant::SplitWhole.into());
    }
    let is_within = best.amount <= terms.amount_max && split.debit <= terms.hold;
    let moved = split.since(&before.split()).filter(|_| is_within);
    let moved = moved.ok_or(Invariant::SettledWithinGrant)?;
    if before.hold_ended {
        return Err(Invariant::HoldEndsOnce.into());
    }
    let micros = |amount: Amount| i128::from(amount.micros());
    let debits = (before.split().debit, split.debit);
    let promotional = promotion::spend(tables, posting, terms, debits)?;
    let paid = moved.debit.saturating_sub(promotional);
    let (buyer, seller) = (
        LedgerAccount::Wallet(terms.buyer),
        LedgerAccount::Earnings(terms.seller),
    );
    posting.credit(buyer, -micros(paid))?;
    posting.hold(buyer, -micros(paid))?;
    posting.credit(seller, micros(moved.seller))?;
    // L-8: it may still be contested.
    posting.hold(seller, micros(moved.seller))?;
    posting.credit(LedgerAccount::Commission, micros(moved.commission))?;
    posting.credit(LedgerAccount::Tax, micros(moved.tax))
}

/// The posting in the grant's currency.
fn posting_in<'a>(postings: &'a mut Vec<Posting>, terms: &Terms) -> &'a mut Posting {
    let known = postings
        .iter()
        .position(|posting| posting.currency() == terms.currency);
    let at = known.unwrap_or(postings.len());
    if known.is_none() {
        postings.push(Posting::new(terms.currency));
    }
    &mut postings[at]
}

fn pack_move(payload: &mut Packer, one: &Move) {
    payload.array(&one.grant.0);
    payload.u8(u8::from(one.closes_seller) | u8::from(one.ends_hold) << 1);
    pack_best(payload, &one.best);
    pack_before(payload, one.since.as_ref());
    if one.passes.is_empty() {
        payload.octets(&[]);
    } else {
        payload.octets(&codec::encode(&one.passes));
    }
    payload.octets(&one.sealed);
}

fn unpack_move(payload: &mut Unpacker<'_>) -> Result<Move, Fault> {
    let grant = GrantId(payload.array()?);
    let flags = payload.u8()?;
    let best = unpack_best(payload)?;
    let since = unpack_before(payload)?;
    let passes = match payload.octets()? {
        [] => Vec::new(),
        octets => codec::decode(octets, octets.len()).map_err(|_| payload.bad())?,
    };
    Ok(Move {
        grant,
        best,
        since,
        closes_seller: flags & 1 != 0,
        ends_hold: flags & 2 != 0,
        passes,
        sealed: payload.octets()?.to_vec(),
    })
}

impl Judged {
    fn to_row(&self) -> Row {
        let mut row = Packer::new(VERSION, 64 + self.outcomes.len() * 18);
        row.array(&self.hash.0);
        row.u64(self.entry);
        row.time(self.time);
        row.count(self.outcomes.len());
        for (judgement, settled, earned) in &self.outcomes {
            row.u16(code_of(*judgement));
            row.amount(*settled);
            row.amount(*earned);
        }
        row.finish().into()
    }

    fn of_row(octets: &[u8]) -> Result<Self, Fault> {
        let mut row = Unpacker::new(Table::Batch, VERSION, octets)?;
        let judged = Self {
            hash: RecordHash(row.array()?),
            entry: row.u64()?,
            time: row.time()?,
            outcomes: row
                .list(|row| Ok((judgement_of(row.u16()?), row.amount()?, row.amount()?)))?,
        };
        row.end()?;
        Ok(judged)
    }
}

/// Numbers of refusals begin above these.
fn code_of(judgement: Judgement) -> u16 {
    match judgement {
        Judgement::Applied => 0,
        Judgement::Duplicate => 1,
        Judgement::Stale => 2,
        Judgement::Rejected(reject) => reject.0,
    }
}

fn judgement_of(code: u16) -> Judgement {
    match code {
        0 => Judgement::Applied,
        1 => Judgement::Duplicate,
        2 => Judgement::Stale,
        number => Judgement::Rejected(Reject(number)),
    }
}

#[cfg(test)]
#[expect(clippy::unwrap_used, reason = "a test fails by panicking")]
mod tests;
