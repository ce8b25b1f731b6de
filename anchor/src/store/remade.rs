//! The rows of a folder, made anew from its journal beside it: whether they are the same.

use std::{
    fs, io,
    path::{Path, PathBuf},
    sync::Arc,
};

use madang_journal::{Options, Store as Journal};

use super::{
    anchor_store::Store,
    engine::Engine,
    error::StoreError,
    rows::{Ledger, ReadRows},
};
use crate::ledger::{
    audit::{Audit, audit},
    view::Fault,
};

/// What the audits of the rows and of those that were made anew found.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Remade {
    /// Entries from which they were made.
    pub entries: u64,
    /// Of the rows that are.
    pub kept: Audit,
    /// Of those that were made anew.
    pub made: Audit,
}

impl Store {
    /// Makes a folder's rows anew from its journal, in a folder beside it that is removed again, and looks at both. `None` for a database, whose rows
    /// nobody can make anew without it.
    ///
    /// # Errors
    /// The journals' own, and the first invariant that does not hold.
    pub fn remake(&self) -> Result<Option<Remade>, StoreError> {
        let (Engine::Folder(journal), Some(again)) = (&self.engine, &self.again) else {
            return Ok(None);
        };
        let again = again.lock();
        let (entries, kept) = journal.read(|reader| (reader.seq(), audit(&ReadRows(reader))));
        let kept = kept?;
        // All of it is durable before it is read.
        let (_, ticket) = journal.commit::<(), Fault>(|_| Ok((Vec::new(), ())))?;
        ticket.wait()?;
        let beside = Beside::make(again.clone()).map_err(failed)?;
        let made = remade(journal, &beside.0, entries)?;
        Ok(Some(Remade {
            entries,
            kept,
            made,
        }))
    }
}

fn remade(journal: &Journal<Ledger>, dir: &Path, entries: u64) -> Result<Audit, StoreError> {
    let mut options = Options::new(dir);
    options.cache_bytes = CACHE_BYTES;
    options.index_cache_bytes = CACHE_BYTES as u64;
    options.lag_bytes_max = CACHE_BYTES;
    let (copy, _) = Journal::open(options, Ledger).map_err(failed)?;
    let mut done = 0;
    while done < entries {
        let page = journal.entries_after(done, TOGETHER, TOGETHER_OCTETS)?;
        let page = page.into_iter().filter(|entry| entry.seq <= entries);
        let payloads: Vec<Vec<u8>> = page.map(|entry| entry.payload).collect();
        if payloads.is_empty() {
            break;
        }
        done += payloads.len() as u64;
        // What follows waits for it, and nobody reads it after a crash.
        let (_, _ticket) = copy.commit::<(), Fault>(|_| Ok((payloads, ())))?;
    }
    let made = copy.read(|reader| audit(&ReadRows(reader)));
    copy.close().map_err(failed)?;
    Ok(made?)
}

/// A folder that is removed when this is dropped.
struct Beside(PathBuf);

impl Beside {
    /// Made anew, for its owner's eyes only. One that an end without warning has left is removed.
    fn make(folder: PathBuf) -> io::Result<Self> {
        use std::os::unix::fs::DirBuilderExt as _;
        let beside = Self(folder);
        match fs::remove_dir_all(&beside.0) {
            Err(error) if error.kind() != io::ErrorKind::NotFound => return Err(error),
            Ok(()) | Err(_) => {}
        }
        fs::DirBuilder::new().mode(0o700).create(&beside.0)?;
        Ok(beside)
    }
}

impl Drop for Beside {
    fn drop(&mut self) {
        if let Err(error) = fs::remove_dir_all(&self.0) {
            tracing::warn!(%error, "a folder that was made for a check cannot be removed");
        }
    }
}

fn failed(error: impl std::error::Error + Send + Sync + 'static) -> StoreError {
    StoreError::Failed(Arc::new(error))
}

/// Memory for the rows that are made anew, in octets.
const CACHE_BYTES: usize = 64 << 20;
/// Entries that are applied together.
const TOGETHER: usize = 1_000;
/// Octets of them, beside one more entry.
const TOGETHER_OCTETS: usize = 4 << 20;
