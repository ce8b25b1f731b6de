//! The books, a page at a time, and whose their accounts are.

use std::{
    collections::{BTreeMap, BTreeSet},
    ops::Bound,
};

use madang_protocol::{ids::AccountId, name::Handle};

use super::{anchor_store::Store, error::StoreError};
use crate::ledger::{
    account,
    books::{self, Entry},
    table::Table,
    view::View as _,
};

impl Store {
    /// Entries of the books with numbers above `after`, in their order, as many as have a few ten thousand legs; and whether more may follow.
    ///
    /// In a database a lower number can become visible after a higher one, by some seconds: of entries that were just made, a page may lack some.
    ///
    /// # Errors
    /// The engine's own.
    pub fn book_entries(&self, after: u64) -> Result<(Vec<(u64, Entry)>, bool), StoreError> {
        self.read(|view| {
            let mut entries: Vec<(u64, Entry)> = Vec::new();
            let (mut last, mut legs) = (after, 0);
            while legs < LEGS_MAX && entries.len() < ENTRIES_MAX {
                let from = last.to_be_bytes();
                let numbers = (Bound::Excluded(from.as_slice()), Bound::Unbounded);
                let page = books::page(view, numbers, TOGETHER)?;
                let is_last = page.len() < TOGETHER;
                legs += page
                    .iter()
                    .map(|(_, entry)| entry.legs.len())
                    .sum::<usize>();
                last = page.last().map_or(last, |(number, _)| *number);
                entries.extend(page);
                if is_last {
                    return Ok((entries, false));
                }
            }
            Ok((entries, true))
        })
    }

    /// The handles of these accounts, those that have one.
    ///
    /// # Errors
    /// The engine's own.
    pub fn handles_of(
        &self,
        ids: impl Iterator<Item = AccountId>,
    ) -> Result<BTreeMap<AccountId, Handle>, StoreError> {
        let ids: BTreeSet<AccountId> = ids.collect();
        self.read(|view| {
            view.expect(Table::Account, ids.iter().map(|id| &id.0[..]))?;
            let mut handles = BTreeMap::new();
            for id in &ids {
                if let Some(account) = account::get(view, id)? {
                    handles.insert(*id, account.handle);
                }
            }
            Ok(handles)
        })
    }
}

/// Legs of one page, beside those of some more entries.
const LEGS_MAX: usize = 20_000;
/// Entries of one page, beside some more.
const ENTRIES_MAX: usize = 2_000;
/// Entries that are read together.
const TOGETHER: usize = 64;
