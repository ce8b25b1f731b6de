//! Entries of the books as they leave: with names instead of identifiers.

use std::collections::BTreeMap;

use madang_protocol::{
    ids::AccountId,
    name::{Handle, SiteName},
    time::UnixMillis,
};
use serde::{Deserialize, Serialize};

use crate::{
    ledger::{books::Entry, table::LedgerAccount},
    store::{Store, error::StoreError},
};

/// One entry of the books.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub struct BookEntry {
    /// Its number.
    pub entry: u64,
    /// Why money moved, in a few words.
    pub kind: String,
    /// When.
    pub time: UnixMillis,
    /// What moved.
    pub legs: Vec<BookLeg>,
}

/// One leg of an entry.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub struct BookLeg {
    /// In which currency.
    pub currency: String,
    /// Which room of the books.
    pub room: Room,
    /// The host label of the handle whose it is, or `id--` and the account's identifier where it has none; none for the provider's own.
    pub owner: Option<String>,
    /// What it was credited with, in base units; below zero is a debit.
    pub micros: i64,
}

/// A room of the books.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Room {
    /// What the provider received.
    Cash,
    /// What subscribers may spend.
    Wallet,
    /// What subscribers have earned.
    Earnings,
    /// What the provider has earned.
    Commission,
    /// What goes to the state.
    Tax,
    /// Promotional credit that subscribers have.
    Promotion,
    /// Promotional credit that the provider has given.
    Promotions,
}

impl Room {
    fn of(account: LedgerAccount) -> (Self, Option<AccountId>) {
        match account {
            LedgerAccount::Cash => (Self::Cash, None),
            LedgerAccount::Wallet(id) => (Self::Wallet, Some(id)),
            LedgerAccount::Earnings(id) => (Self::Earnings, Some(id)),
            LedgerAccount::Commission => (Self::Commission, None),
            LedgerAccount::Tax => (Self::Tax, None),
            LedgerAccount::Promotion(id) => (Self::Promotion, Some(id)),
            LedgerAccount::Promotions => (Self::Promotions, None),
        }
    }
}

impl BookEntry {
    /// Entries with numbers above `after`, in their order, and whether more may follow.
    ///
    /// # Errors
    /// The store's own.
    pub fn page(store: &Store, after: u64) -> Result<(Vec<Self>, bool), StoreError> {
        let (page, more) = store.book_entries(after)?;
        let legs = page.iter().flat_map(|(_, entry)| &entry.legs);
        let handles = store.handles_of(legs.filter_map(|leg| Room::of(leg.account).1))?;
        let entries = page.iter();
        let entries = entries.map(|(number, entry)| Self::of(*number, entry, &handles));
        Ok((entries.collect(), more))
    }

    fn of(number: u64, entry: &Entry, handles: &BTreeMap<AccountId, Handle>) -> Self {
        let legs = entry.legs.iter().map(|leg| {
            let (room, id) = Room::of(leg.account);
            BookLeg {
                currency: leg.currency.to_string(),
                room,
                owner: id.map(|id| owner_name(&id, handles.get(&id))),
                micros: leg.micros,
            }
        });
        Self {
            entry: number,
            kind: entry.kind.name().to_owned(),
            time: entry.time,
            legs: legs.collect(),
        }
    }
}

/// No handle has two hyphens in a row but `xn--`.
fn owner_name(id: &AccountId, handle: Option<&Handle>) -> String {
    handle.map_or_else(
        || format!("id--{id}"),
        |handle| SiteName::of(handle.clone()).to_label(),
    )
}
