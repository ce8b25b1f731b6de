//! What an operator books by hand beside top-ups: promotional credit, refunds, corrections. Rules L-5 and L-6 of [`booking`], and L-3 of [`promotion`].

use madang_protocol::{
    amount::{Amount, Currency},
    ids::{AccountId, GrantId, RequestId},
    reject::Reject,
    time::UnixMillis,
};
use serde::{Deserialize, Serialize};

use super::{
    account::{self, Account},
    booking::{self, Booking, BookingKind, Decision},
    books::{EntryKind, Moved},
    entry::{Posting, available, balance},
    event::Event,
    line, pack,
    policy::{PROMOTIONS_MAX, Policy, REASON_BYTES_MAX},
    progress,
    promotion::{self, LotId},
    table::{LedgerAccount, Table},
    terms,
    top_up::{self, check_cash},
    view::{Fault, Tables, View},
};

/// What an operator books, under the identifier that was drawn for it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Adjustment {
    /// The same identifier never moves money twice.
    pub request: RequestId,
    /// For whom: for a line, its buyer.
    pub account: AccountId,
    /// What.
    pub kind: AdjustmentKind,
    /// How much; more than nothing. For a line: what of the receipt's amount, to which the grant's tax may come.
    pub amount: Amount,
    /// In which currency.
    pub currency: Currency,
    /// Why, in the operator's words.
    pub reason: String,
    /// When it was booked.
    pub time: UnixMillis,
}

/// What an operator books.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub enum AdjustmentKind {
    /// Gives promotional credit that ends at this time, or never.
    Credit {
        /// When it ends.
        expires: Option<UnixMillis>,
    },
    /// Pays money that came in back to where it came from. Only what the wallet holds of its own: nothing on credit.
    Refund {
        /// The entry that it came in by.
        entry: u64,
    },
    /// Takes back some of what a grant was settled for, from its seller, the commission and the tax.
    RefundLine {
        /// The grant.
        grant: GrantId,
        /// The entry that settled it last: found when it is decided.
        entry: u64,
    },
    /// An entry was booked too high: so much less.
    CorrectDown {
        /// The entry.
        entry: u64,
    },
    /// An entry was booked too low: so much more.
    CorrectUp {
        /// The entry.
        entry: u64,
    },
}

/// An adjustment that was booked, and where.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct Adjusted {
    pub(super) account: AccountId,
    pub(super) kind: AdjustmentKind,
    pub(super) amount: Amount,
    pub(super) reason: String,
    pub(super) entry: u64,
}

/// Decides on an adjustment.
pub fn decide(view: &impl View, policy: &Policy, mut asked: Adjustment) -> Result<Decision, Fault> {
    if let AdjustmentKind::RefundLine { grant, entry } = &mut asked.kind {
        *entry = progress::get(view, grant)?.entry;
    }
    if let Some(row) = view.get(Table::Adjustment, asked.request.as_bytes())? {
        let before: Adjusted = pack::value(Table::Adjustment, &row)?;
        return if before == asked.as_booked(before.entry) {
            Ok(Decision::Booked(before.entry))
        } else {
            Err(Reject::REQUEST_ID_REUSED.into())
        };
    }
    // L-6
    if top_up::is_known(view, &asked.request)? {
        return Err(Reject::REQUEST_ID_REUSED.into());
    }
    check_text(&asked.reason)?;
    if asked.amount.is_zero() {
        return Err(Reject::FIELD_OUT_OF_BOUNDS.into());
    }
    if asked.currency != policy.currency {
        return Err(Reject::CURRENCY_FOREIGN.into());
    }
    let owner = account::get(view, &asked.account)?.ok_or(Reject::ACCOUNT_UNKNOWN)?;
    match asked.kind {
        AdjustmentKind::Credit { expires } => check_credit(view, &owner, expires, &asked)?,
        AdjustmentKind::Refund { entry } => check_refund(view, entry, &asked)?,
        AdjustmentKind::RefundLine { grant, .. } => {
            let (terms, progress) = line::settled(view, &grant)?;
            if terms.buyer != asked.account {
                return Err(Reject::NOT_THE_BUYER.into());
            }
            line::check_refund(&progress, asked.amount)?;
        }
        AdjustmentKind::CorrectDown { entry } => check_down(view, entry, &owner, &asked)?,
        AdjustmentKind::CorrectUp { entry } => check_up(view, entry, &asked)?,
    }
    Ok(Decision::Book(Event::Adjusted(asked)))
}

/// Whether an adjustment has this identifier.
pub(super) fn is_known(view: &impl View, request: &RequestId) -> Result<bool, Fault> {
    Ok(view.get(Table::Adjustment, request.as_bytes())?.is_some())
}

/// Refuses text that is too long, or that would not stand in one line.
pub(super) fn check_text(text: &str) -> Result<(), Reject> {
    if text.len() > REASON_BYTES_MAX || text.chars().any(char::is_control) {
        return Err(Reject::FIELD_OUT_OF_BOUNDS);
    }
    Ok(())
}

pub(super) fn apply(
    tables: &mut impl Tables,
    entry: u64,
    adjustment: &Adjustment,
) -> Result<(), Fault> {
    let mut moved = Moved::by(entry, adjustment.kind.of_entry(), adjustment.time);
    match adjustment.kind {
        AdjustmentKind::Credit { expires } => {
            let lot = LotId {
                expires: expires.unwrap_or(LotId::NEVER),
                entry,
            };
            let booking = Booking {
                account: adjustment.account,
                kind: BookingKind::Credit(lot),
                currency: adjustment.currency,
                left: Amount::ZERO,
            };
            booking::put(tables, entry, &booking)?;
            move_up(tables, entry, adjustment, &mut moved)?;
        }
        AdjustmentKind::Refund { entry } | AdjustmentKind::CorrectDown { entry } => {
            move_down(tables, entry, adjustment, &mut moved)?;
        }
        AdjustmentKind::CorrectUp { entry } => move_up(tables, entry, adjustment, &mut moved)?,
        AdjustmentKind::RefundLine { grant, .. } => {
            let terms = terms::existing(tables, &grant)?;
            let mut progress = progress::get(tables, &grant)?;
            let amount = adjustment.amount;
            line::refund(tables, &grant, &terms, &mut progress, amount, &mut moved)?;
            progress::put(tables, &grant, &progress)?;
        }
    }
    moved.write(tables)?;
    let row = pack::row(&adjustment.as_booked(entry));
    tables.put(Table::Adjustment, adjustment.request.as_bytes(), row)
}

/// Moves the amount as the entry that it names did.
fn move_up(
    tables: &mut impl Tables,
    entry: u64,
    by: &Adjustment,
    moved: &mut Moved,
) -> Result<(), Fault> {
    let booking = booking::existing(tables, entry)?;
    booking::raise(tables, entry, by.amount)?;
    if let BookingKind::Credit(lot) = booking.kind {
        promotion::raise(tables, &booking.account, booking.currency, lot, by.amount)?;
    }
    post(tables, &booking, i128::from(by.amount.micros()), moved)
}

/// Moves the amount the other way than the entry that it names did.
fn move_down(
    tables: &mut impl Tables,
    entry: u64,
    by: &Adjustment,
    moved: &mut Moved,
) -> Result<(), Fault> {
    let booking = booking::existing(tables, entry)?;
    booking::lower(tables, entry, by.amount)?;
    if let BookingKind::Credit(lot) = booking.kind {
        promotion::lower(tables, &booking.account, lot, by.amount)?;
    }
    post(tables, &booking, -i128::from(by.amount.micros()), moved)
}

fn post(
    tables: &mut impl Tables,
    booking: &Booking,
    micros: i128,
    moved: &mut Moved,
) -> Result<(), Fault> {
    let (provider, subscriber) = match booking.kind {
        BookingKind::TopUp => (LedgerAccount::Cash, LedgerAccount::Wallet(booking.account)),
        BookingKind::Credit(_) => (
            LedgerAccount::Promotions,
            LedgerAccount::Promotion(booking.account),
        ),
    };
    let mut posting = Posting::new(booking.currency);
    posting.credit(provider, -micros)?;
    posting.credit(subscriber, micros)?;
    posting.post(tables, moved)
}

fn check_credit(
    view: &impl View,
    owner: &Account,
    expires: Option<UnixMillis>,
    asked: &Adjustment,
) -> Result<(), Fault> {
    if !owner.is_active() {
        return Err(Reject::ACCOUNT_CLOSED.into());
    }
    if expires.is_some_and(|expires| expires <= asked.time) {
        return Err(Reject::RECORD_EXPIRED.into());
    }
    if expires == Some(LotId::NEVER) {
        return Err(Reject::FIELD_OUT_OF_BOUNDS.into());
    }
    check_promotions(view, asked)?;
    promotion::check_room(view, &asked.account)
}

/// Refuses more promotional credit than can be counted.
fn check_promotions(view: &impl View, asked: &Adjustment) -> Result<(), Fault> {
    let given = balance(view, LedgerAccount::Promotions, asked.currency)?.posted;
    if i128::from(asked.amount.micros()) - given > i128::from(PROMOTIONS_MAX) {
        return Err(Reject::AMOUNT_TOO_LARGE.into());
    }
    Ok(())
}

fn check_refund(view: &impl View, entry: u64, asked: &Adjustment) -> Result<(), Fault> {
    let booking = booking::of_account(view, entry, &asked.account)?;
    // L-3
    if matches!(booking.kind, BookingKind::Credit(_)) {
        return Err(Reject::NEVER_PAID_OUT.into());
    }
    if asked.amount > booking.left {
        return Err(Reject::MORE_THAN_IS_LEFT.into());
    }
    check_wallet(view, asked, Amount::ZERO)
}

fn check_down(
    view: &impl View,
    entry: u64,
    owner: &Account,
    asked: &Adjustment,
) -> Result<(), Fault> {
    let booking = booking::of_account(view, entry, &asked.account)?;
    if asked.amount > booking.left {
        return Err(Reject::MORE_THAN_IS_LEFT.into());
    }
    match booking.kind {
        BookingKind::TopUp => check_wallet(view, asked, owner.credit_limit),
        BookingKind::Credit(lot) => {
            let lot = promotion::get(view, &asked.account, lot)?;
            if lot.is_none_or(|lot| lot.free() < asked.amount) {
                return Err(Reject::MORE_THAN_IS_LEFT.into());
            }
            Ok(())
        }
    }
}

fn check_up(view: &impl View, entry: u64, asked: &Adjustment) -> Result<(), Fault> {
    match booking::of_account(view, entry, &asked.account)?.kind {
        BookingKind::TopUp => check_cash(view, asked.amount, asked.currency),
        BookingKind::Credit(lot) if lot.expires <= asked.time => Err(Reject::RECORD_EXPIRED.into()),
        BookingKind::Credit(_) => check_promotions(view, asked),
    }
}

/// Refuses to take from a wallet what is not there, or held.
fn check_wallet(view: &impl View, asked: &Adjustment, limit: Amount) -> Result<(), Fault> {
    let there = available(view, asked.account, limit, asked.currency)?;
    if there < i128::from(asked.amount.micros()) {
        return Err(Reject::CREDIT_INSUFFICIENT.into());
    }
    Ok(())
}

impl AdjustmentKind {
    /// What the books call it.
    fn of_entry(self) -> EntryKind {
        match self {
            Self::Credit { .. } => EntryKind::Credit,
            Self::Refund { .. } => EntryKind::Refund,
            Self::RefundLine { .. } => EntryKind::LineRefund,
            Self::CorrectDown { .. } | Self::CorrectUp { .. } => EntryKind::Correction,
        }
    }
}

impl Adjustment {
    /// What of it must be the same when it is asked for again.
    fn as_booked(&self, entry: u64) -> Adjusted {
        Adjusted {
            account: self.account,
            kind: self.kind,
            amount: self.amount,
            reason: self.reason.clone(),
            entry,
        }
    }
}
