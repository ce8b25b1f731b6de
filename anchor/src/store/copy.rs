//! A folder's store into a database, when one anchor is not enough.

use std::ops::Bound;

use madang_journal::WalkError;

use super::{
    anchor_store::{Options, Place, Store},
    engine::Engine,
    error::{StoreError, StoreOpenError},
    postgres::{Import, PgRoom, PostgresError, PostgresOptions},
};
use crate::{
    ledger::{
        audit::{Audit, page_rows},
        table::Table,
        view::{Order, View as _},
    },
    vault::keep::VaultError,
};

/// What was copied, and proved to be the same at both ends.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Copied {
    /// Events.
    pub entries: u64,
    /// What both audits went through.
    pub audit: Audit,
}

/// Why a store was not copied. The database is as empty as before, but where it says otherwise.
#[derive(Debug, thiserror::Error)]
pub enum CopyError {
    /// It is a database already.
    #[error("these accounts are in a database already")]
    NotAFolder,
    /// The store cannot be read.
    #[error("read the store")]
    Store(#[from] StoreError),
    /// The journal cannot be read.
    #[error("read the journal")]
    Journal(#[from] WalkError),
    /// The database cannot be written.
    #[error(transparent)]
    Database(#[from] PostgresError),
    /// The database cannot be opened after it was filled.
    #[error("open the database that was filled")]
    Opened(#[from] StoreOpenError),
    /// Persons' keys cannot be copied.
    #[error("copy the keys of personal data")]
    Vault(#[from] VaultError),
    /// The two are not the same.
    #[error(
        "the database that was filled does not hold the same rows; do not use it, and keep the folder"
    )]
    Different,
}

impl Store {
    /// Copies everything into an empty database and proves that it holds the same: the audits of both ends agree in their digest over all rows.
    /// `tell` is told how many events are done.
    ///
    /// # Errors
    /// [`CopyError`].
    pub fn copy_into(
        &self,
        database: &PostgresOptions,
        mut tell: impl FnMut(u64),
    ) -> Result<Copied, CopyError> {
        let Engine::Folder(journal) = &self.engine else {
            return Err(CopyError::NotAFolder);
        };
        let mut import = Import::begin(database, self.network)?;
        let mut entries = 0;
        for entry in journal.entries(1) {
            let entry = entry?;
            entries = entry.seq;
            import.event(entry.seq, entry.payload)?;
            tell(entries);
        }
        for table in Table::ALL {
            self.each_row(table, |key, row| import.row(table, key, row))?;
        }
        if let Some(vault) = &self.vault {
            vault.copy_into(&PgRoom::new(database.clone()))?;
        }
        import.finish()?;
        let audit = self.verify_all()?;
        let options = Options::at(
            Place::Postgres(database.clone()),
            self.network,
            self.issuer.clone(),
        );
        let (copy, _) = Self::open(options)?;
        if copy.verify_all()? != audit {
            return Err(CopyError::Different);
        }
        Ok(Copied { entries, audit })
    }

    fn each_row(
        &self,
        table: Table,
        mut look: impl FnMut(&[u8], crate::ledger::view::Row) -> Result<(), PostgresError>,
    ) -> Result<(), CopyError> {
        let mut after: Option<Vec<u8>> = None;
        let page = page_rows(table);
        loop {
            let from = after.as_deref().map_or(Bound::Unbounded, Bound::Excluded);
            let rows = self
                .read(|view| view.range(table, (from, Bound::Unbounded), Order::Forward, page))?;
            for (key, row) in &rows {
                look(key, row.clone())?;
            }
            match rows.into_iter().next_back() {
                Some((key, _)) => after = Some(key),
                None => return Ok(()),
            }
        }
    }
}
