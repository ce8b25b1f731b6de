//! Disputes: a buyer contests what was settled under a grant, its seller answers, an operator decides.
//!
//! ```text
//! settled ── buyer opens, within 14 days ──▶ open ── operator upholds ──▶ decided: so much is taken back
//!                                             │ ◀─ seller answers
//!                                             └──── operator rejects ───▶ decided: nothing moves
//! ```
//!
//! * L-10 A grant is contested once, by its buyer, for no more than is left of it. What was said stands: the same again changes nothing, anything
//!   else is refused.
//! * L-11 A dispute is decided when nothing can be settled any more, so that what is taken back is a part of what there will ever be (L-7).

use std::ops::Bound;

use madang_protocol::{
    amount::Amount,
    ids::{AccountId, GrantId},
    reject::Reject,
    time::UnixMillis,
};
use serde::{Deserialize, Serialize};

use super::{
    adjustment::check_text,
    books::{EntryKind, Moved},
    event::Event,
    line, pack,
    policy::DISPUTES_OPEN_PER_ACCOUNT_MAX,
    progress,
    table::Table,
    terms,
    view::{Fault, Invariant, Order, Tables, View},
};

/// What happened to a dispute.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub enum DisputeEvent {
    /// The buyer contests.
    Opened {
        /// What.
        grant: GrantId,
        /// How much of the receipt's amount.
        claimed: Amount,
        /// In which words.
        statement: Statement,
    },
    /// The seller answers.
    Answered {
        /// What.
        grant: GrantId,
        /// In which words.
        statement: Statement,
    },
    /// The operator decides.
    Decided {
        /// What.
        grant: GrantId,
        /// How.
        ruling: Ruling,
        /// In which words.
        statement: Statement,
    },
}

impl DisputeEvent {
    /// What was said, and when.
    pub fn statement(&self) -> &Statement {
        match self {
            Self::Opened { statement, .. }
            | Self::Answered { statement, .. }
            | Self::Decided { statement, .. } => statement,
        }
    }
}

/// What somebody said, and when.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Statement {
    /// In one line.
    pub text: String,
    /// When.
    pub time: UnixMillis,
}

/// How a dispute is decided.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub enum Ruling {
    /// So much of the receipt's amount, and its tax, goes back to the buyer.
    Upheld(Amount),
    /// Nothing moves.
    Rejected,
}

/// A dispute on one grant.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Dispute {
    /// Who contests.
    pub buyer: AccountId,
    /// Who is contested.
    pub seller: AccountId,
    /// How much of the receipt's amount.
    pub claimed: Amount,
    /// What the buyer says.
    pub opened: Statement,
    /// What the seller says, if anything.
    pub answer: Option<Statement>,
    /// How it was decided, if it was.
    pub decision: Option<(Ruling, Statement)>,
}

impl Dispute {
    /// Whether it is not decided.
    pub fn is_open(&self) -> bool {
        self.decision.is_none()
    }

    /// What it gave back to the buyer.
    pub fn upheld(&self) -> Amount {
        match &self.decision {
            Some((Ruling::Upheld(amount), _)) => *amount,
            Some((Ruling::Rejected, _)) | None => Amount::ZERO,
        }
    }

    pub(super) fn of_row(row: &[u8]) -> Result<Self, Fault> {
        pack::value(Table::Dispute, row)
    }
}

/// Where a list goes on: after this one.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct ListedAt {
    /// When it was opened.
    pub opened: UnixMillis,
    /// On which grant.
    pub grant: GrantId,
}

/// Decides on a buyer's contesting; `None` where it is contested just so already.
///
/// # Errors
/// `GRANT_UNKNOWN`, `NOT_THE_BUYER`, `DISPUTE_DIFFERS`, `DISPUTE_DECIDED`, `FIELD_OUT_OF_BOUNDS`, `MORE_THAN_IS_LEFT`, `DISPUTE_TOO_LATE`, `TOO_MANY`.
pub fn decide_open(
    view: &impl View,
    by: &AccountId,
    grant: GrantId,
    claimed: Amount,
    statement: Statement,
) -> Result<Option<Event>, Fault> {
    check_text(&statement.text)?;
    let (terms, progress) = line::settled(view, &grant)?;
    if terms.buyer != *by {
        return Err(Reject::NOT_THE_BUYER.into());
    }
    if let Some(dispute) = get(view, &grant)? {
        return if (dispute.claimed, &dispute.opened.text) == (claimed, &statement.text) {
            Ok(None)
        } else if dispute.is_open() {
            Err(Reject::DISPUTE_DIFFERS.into())
        } else {
            Err(Reject::DISPUTE_DECIDED.into())
        };
    }
    if claimed.is_zero() {
        return Err(Reject::FIELD_OUT_OF_BOUNDS.into());
    }
    line::check_claim(&progress, claimed)?;
    if progress.payable || statement.time > line::contested_until(&progress) {
        return Err(Reject::DISPUTE_TOO_LATE.into());
    }
    let open = view.prefix(
        Table::DisputeList,
        &List::OpenOf(*by).prefix(),
        Order::Forward,
        DISPUTES_OPEN_PER_ACCOUNT_MAX,
    )?;
    if open.len() >= DISPUTES_OPEN_PER_ACCOUNT_MAX {
        return Err(Reject::TOO_MANY.into());
    }
    Ok(Some(Event::Dispute(DisputeEvent::Opened {
        grant,
        claimed,
        statement,
    })))
}

/// Decides on a seller's answer; `None` where it was given just so already.
///
/// # Errors
/// `DISPUTE_UNKNOWN`, `NOT_THE_SELLER`, `DISPUTE_DIFFERS`, `DISPUTE_DECIDED`, `FIELD_OUT_OF_BOUNDS`.
pub fn decide_answer(
    view: &impl View,
    by: &AccountId,
    grant: GrantId,
    statement: Statement,
) -> Result<Option<Event>, Fault> {
    check_text(&statement.text)?;
    let dispute = get(view, &grant)?.ok_or(Reject::DISPUTE_UNKNOWN)?;
    if dispute.seller != *by {
        return Err(Reject::NOT_THE_SELLER.into());
    }
    match &dispute.answer {
        Some(answer) if answer.text == statement.text => Ok(None),
        Some(_) => Err(Reject::DISPUTE_DIFFERS.into()),
        None if !dispute.is_open() => Err(Reject::DISPUTE_DECIDED.into()),
        None => Ok(Some(Event::Dispute(DisputeEvent::Answered {
            grant,
            statement,
        }))),
    }
}

/// Decides on an operator's decision; `None` where it was decided just so already.
///
/// # Errors
/// `DISPUTE_UNKNOWN`, `DISPUTE_DECIDED`, `GRANT_NOT_CLOSED`, `MORE_THAN_IS_LEFT` for more than was claimed or is left, `FIELD_OUT_OF_BOUNDS`.
pub fn decide_ruling(
    view: &impl View,
    grant: GrantId,
    ruling: Ruling,
    statement: Statement,
) -> Result<Option<Event>, Fault> {
    check_text(&statement.text)?;
    let dispute = get(view, &grant)?.ok_or(Reject::DISPUTE_UNKNOWN)?;
    if let Some((before, said)) = &dispute.decision {
        return if (*before, &said.text) == (ruling, &statement.text) {
            Ok(None)
        } else {
            Err(Reject::DISPUTE_DECIDED.into())
        };
    }
    let (_, progress) = line::settled(view, &grant)?;
    match ruling {
        Ruling::Upheld(amount) if amount > dispute.claimed => {
            return Err(Reject::MORE_THAN_IS_LEFT.into());
        }
        Ruling::Upheld(amount) => line::check_refund(&progress, amount)?,
        // L-11
        Ruling::Rejected if !progress.hold_ended => return Err(Reject::GRANT_NOT_CLOSED.into()),
        Ruling::Rejected => {}
    }
    Ok(Some(Event::Dispute(DisputeEvent::Decided {
        grant,
        ruling,
        statement,
    })))
}

/// The dispute on a grant, if there is one.
pub fn get(view: &impl View, grant: &GrantId) -> Result<Option<Dispute>, Fault> {
    view.get(Table::Dispute, grant.as_bytes())?
        .map(|row| Dispute::of_row(&row))
        .transpose()
}

/// Whether the account contests something that is not decided.
pub(super) fn has_open(view: &impl View, buyer: &AccountId) -> Result<bool, Fault> {
    let prefix = List::OpenOf(*buyer).prefix();
    let open = view.prefix(Table::DisputeList, &prefix, Order::Forward, 1)?;
    Ok(!open.is_empty())
}

/// At most `limit` disputes, the oldest first: those that either party is `of`, or all that are open.
pub fn list(
    view: &impl View,
    of: Option<AccountId>,
    after: Option<ListedAt>,
    limit: usize,
) -> Result<Vec<(GrantId, Dispute)>, Fault> {
    let list = of.map_or(List::Open, List::Of);
    let from = after.map_or_else(|| list.prefix(), |after| list.key(after));
    let from = match after {
        Some(_) => Bound::Excluded(from.as_slice()),
        None => Bound::Included(from.as_slice()),
    };
    let last = ListedAt {
        opened: UnixMillis(u64::MAX),
        grant: GrantId([u8::MAX; 16]),
    };
    let to = list.key(last);
    let rows = view.range(
        Table::DisputeList,
        (from, Bound::Included(&to)),
        Order::Forward,
        limit,
    )?;
    let mut disputes = Vec::with_capacity(rows.len());
    for (key, _) in rows {
        let grant = key.last_chunk();
        let grant = GrantId(*grant.ok_or(Fault::Unreadable(Table::DisputeList))?);
        disputes.push((grant, existing(view, &grant)?));
    }
    Ok(disputes)
}

pub(super) fn apply(
    tables: &mut impl Tables,
    entry: u64,
    event: DisputeEvent,
) -> Result<(), Fault> {
    match event {
        DisputeEvent::Opened {
            grant,
            claimed,
            statement,
        } => apply_opened(tables, grant, claimed, statement),
        DisputeEvent::Answered { grant, statement } => {
            let mut dispute = existing(tables, &grant)?;
            dispute.answer = Some(statement);
            put(tables, &grant, &dispute)
        }
        DisputeEvent::Decided {
            grant,
            ruling,
            statement,
        } => apply_decided(tables, entry, grant, ruling, statement),
    }
}

fn apply_opened(
    tables: &mut impl Tables,
    grant: GrantId,
    claimed: Amount,
    statement: Statement,
) -> Result<(), Fault> {
    let terms = terms::existing(tables, &grant)?;
    let mut progress = progress::get(tables, &grant)?;
    progress.contested = true;
    progress::put(tables, &grant, &progress)?;
    let dispute = Dispute {
        buyer: terms.buyer,
        seller: terms.seller,
        claimed,
        opened: statement,
        answer: None,
        decision: None,
    };
    for list in dispute.lists() {
        let key = list.key(dispute.listed_at(grant));
        tables.put(Table::DisputeList, &key, [].into())?;
    }
    put(tables, &grant, &dispute)
}

fn apply_decided(
    tables: &mut impl Tables,
    entry: u64,
    grant: GrantId,
    ruling: Ruling,
    statement: Statement,
) -> Result<(), Fault> {
    let terms = terms::existing(tables, &grant)?;
    let mut progress = progress::get(tables, &grant)?;
    progress.contested = false;
    if let Ruling::Upheld(amount) = ruling {
        let mut moved = Moved::by(entry, EntryKind::Dispute, statement.time);
        line::refund(tables, &grant, &terms, &mut progress, amount, &mut moved)?;
        moved.write(tables)?;
    }
    progress::put(tables, &grant, &progress)?;
    let mut dispute = existing(tables, &grant)?;
    for list in [List::Open, List::OpenOf(dispute.buyer)] {
        let key = list.key(dispute.listed_at(grant));
        tables.delete(Table::DisputeList, &key)?;
    }
    dispute.decision = Some((ruling, statement));
    put(tables, &grant, &dispute)
}

fn existing(view: &impl View, grant: &GrantId) -> Result<Dispute, Fault> {
    get(view, grant)?.ok_or_else(|| Invariant::RowExists(Table::Dispute).into())
}

fn put(tables: &mut impl Tables, grant: &GrantId, dispute: &Dispute) -> Result<(), Fault> {
    tables.put(Table::Dispute, grant.as_bytes(), pack::row(dispute))
}

impl Dispute {
    fn listed_at(&self, grant: GrantId) -> ListedAt {
        ListedAt {
            opened: self.opened.time,
            grant,
        }
    }

    fn lists(&self) -> [List; 4] {
        [
            List::Open,
            List::OpenOf(self.buyer),
            List::Of(self.buyer),
            List::Of(self.seller),
        ]
    }
}

/// Whether a key of [`Table::DisputeList`] is of the list of all that are open.
pub(super) fn is_key_of_open(key: &[u8]) -> bool {
    key.first() == Some(&OPEN)
}

/// Where disputes are listed.
#[derive(Debug, Clone, Copy)]
enum List {
    /// All that are open.
    Open,
    /// Those that a buyer has open.
    OpenOf(AccountId),
    /// All that an account is a party of.
    Of(AccountId),
}

const OPEN: u8 = 0;

impl List {
    fn prefix(self) -> Vec<u8> {
        let (tag, account) = match self {
            Self::Open => (OPEN, None),
            Self::OpenOf(account) => (1, Some(account)),
            Self::Of(account) => (2, Some(account)),
        };
        let mut key = vec![tag];
        key.extend_from_slice(account.as_ref().map_or(&[], AccountId::as_bytes));
        key
    }

    fn key(self, at: ListedAt) -> Vec<u8> {
        let mut key = self.prefix();
        key.extend_from_slice(&at.opened.0.to_be_bytes());
        key.extend_from_slice(at.grant.as_bytes());
        key
    }
}
