//! What was booked by hand: by entry, what it was and how much of it stands after what corrects it.
//!
//! * L-5 What was booked is never changed: what corrects it is a new balanced entry that names it, and never takes back more than is left of it.
//! * L-6 One identifier is one booking, whatever its kind: the same again is answered alike, another body is refused.

use madang_protocol::{
    amount::{Amount, Currency},
    ids::AccountId,
    reject::Reject,
};
use serde::{Deserialize, Serialize};

use super::{
    event::Event,
    pack,
    promotion::LotId,
    table::Table,
    view::{Fault, Invariant, Tables, View},
};

/// What kind of booking an entry is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub enum BookingKind {
    /// Money came in.
    TopUp,
    /// Promotional credit was given, as this lot.
    Credit(LotId),
}

/// A booking that can be corrected.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct Booking {
    /// Whose.
    pub account: AccountId,
    /// What kind.
    pub kind: BookingKind,
    /// In which currency.
    pub currency: Currency,
    /// What it came to, with its corrections.
    pub left: Amount,
}

/// What is to be done about a booking that is asked for.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Decision {
    /// It is new.
    Book(Event),
    /// It was booked by this journal entry.
    Booked(u64),
}

/// The booking of an entry for an account.
///
/// # Errors
/// `ENTRY_UNKNOWN` for any other entry, and for an entry of another account.
pub fn of_account(view: &impl View, entry: u64, account: &AccountId) -> Result<Booking, Fault> {
    let booking = get(view, entry)?.filter(|booking| booking.account == *account);
    booking.ok_or_else(|| Reject::ENTRY_UNKNOWN.into())
}

/// L-5: takes back of what an entry booked.
pub(super) fn lower(tables: &mut impl Tables, entry: u64, amount: Amount) -> Result<(), Fault> {
    change(tables, entry, |left| left.checked_sub(amount))
}

/// Books more to an entry that was too low.
pub(super) fn raise(tables: &mut impl Tables, entry: u64, amount: Amount) -> Result<(), Fault> {
    change(tables, entry, |left| left.checked_add(amount))
}

pub(super) fn put(tables: &mut impl Tables, entry: u64, booking: &Booking) -> Result<(), Fault> {
    tables.put(Table::Booking, &entry.to_be_bytes(), pack::row(booking))
}

pub(super) fn existing(view: &impl View, entry: u64) -> Result<Booking, Fault> {
    get(view, entry)?.ok_or_else(|| Invariant::RowExists(Table::Booking).into())
}

fn get(view: &impl View, entry: u64) -> Result<Option<Booking>, Fault> {
    view.get(Table::Booking, &entry.to_be_bytes())?
        .map(|row| pack::value(Table::Booking, &row))
        .transpose()
}

fn change(
    tables: &mut impl Tables,
    entry: u64,
    change: impl FnOnce(Amount) -> Option<Amount>,
) -> Result<(), Fault> {
    let booking = existing(tables, entry)?;
    let left = change(booking.left).ok_or(Invariant::TakenBackOnce)?;
    put(tables, entry, &Booking { left, ..booking })
}
