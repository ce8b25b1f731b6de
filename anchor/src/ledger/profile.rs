//! Profiles: sealed octets that the ledger never looks into, and what is known of handles whose owners left.
//!
//! * L-30 What an event holds of a person's profile is ciphertext of exactly one account and version.
//! * L-31 A handle whose owner left is never taken again.

use madang_protocol::{ids::AccountId, reject::Reject, time::UnixMillis};
use serde::{Deserialize, Serialize};

use super::{
    account,
    event::Event,
    pack,
    table::Table,
    view::{Fault, Order, Tables, View},
};

/// A profile as it is kept.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Kept {
    /// One more with each change, from 1.
    pub version: u32,
    /// The ciphertext.
    pub sealed: Vec<u8>,
    /// When it was changed last.
    pub time: UnixMillis,
}

/// Decides on another profile, sealed as the version after the present one; `None` where another change was faster.
///
/// # Errors
/// `ACCOUNT_UNKNOWN`, `ACCOUNT_CLOSED`.
pub fn decide_set(view: &impl View, id: AccountId, profile: Kept) -> Result<Option<Event>, Fault> {
    account::active(view, &id)?;
    let before = get(view, &id)?.map_or(0, |kept| kept.version);
    if before.checked_add(1) != Some(profile.version) {
        return Ok(None);
    }
    Ok(Some(Event::ProfileSet { id, profile }))
}

/// The account's profile, if it has one.
pub fn get(view: &impl View, id: &AccountId) -> Result<Option<Kept>, Fault> {
    view.get(Table::Profile, id.as_bytes())?
        .map(|row| pack::value(Table::Profile, &row))
        .transpose()
}

/// L-31: refuses a handle whose owner left, by its keyed hash.
pub fn check_not_left(view: &impl View, name_hash: &[u8; 32]) -> Result<(), Fault> {
    match view.get(Table::HandleLeft, name_hash)? {
        Some(_) => Err(Reject::NAME_TAKEN.into()),
        None => Ok(()),
    }
}

/// At most `limit` accounts that left and whose keys are not known to be deleted.
pub fn erasing(view: &impl View, limit: usize) -> Result<Vec<AccountId>, Fault> {
    let rows = view.prefix(Table::Erasing, &[], Order::Forward, limit)?;
    rows.iter()
        .map(|(key, _)| {
            let id = key.as_slice().try_into();
            id.map(AccountId)
                .map_err(|_| Fault::Unreadable(Table::Erasing))
        })
        .collect()
}

/// Whether anything is sealed, or ever was.
pub fn is_used(view: &impl View) -> Result<bool, Fault> {
    for table in [Table::Profile, Table::HandleLeft, Table::Erasing] {
        if !view.prefix(table, &[], Order::Forward, 1)?.is_empty() {
            return Ok(true);
        }
    }
    Ok(false)
}

/// Decides that an account's key is deleted; `None` where that is known.
pub fn decide_shredded(view: &impl View, id: AccountId) -> Result<Option<Event>, Fault> {
    let left = view.get(Table::Erasing, id.as_bytes())?;
    left.map(|left| {
        let time = pack::value(Table::Erasing, &left)?;
        Ok(Event::ProfileShredded { id, time })
    })
    .transpose()
}

pub(super) fn apply_set(
    tables: &mut impl Tables,
    id: &AccountId,
    profile: &Kept,
) -> Result<(), Fault> {
    tables.put(Table::Profile, id.as_bytes(), pack::row(profile))
}

pub(super) fn apply_erased(
    tables: &mut impl Tables,
    id: &AccountId,
    name_hash: &[u8; 32],
    time: UnixMillis,
) -> Result<(), Fault> {
    tables.delete(Table::Profile, id.as_bytes())?;
    tables.put(Table::HandleLeft, name_hash, [].into())?;
    tables.put(Table::Erasing, id.as_bytes(), pack::row(&time))
}

pub(super) fn apply_shredded(tables: &mut impl Tables, id: &AccountId) -> Result<(), Fault> {
    tables.delete(Table::Erasing, id.as_bytes())
}
