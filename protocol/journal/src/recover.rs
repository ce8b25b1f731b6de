//! Brings an index to the journal's head: opens and checks the one that is there, makes it anew if it is not believed, applies what it lacks.

use std::fs;
use std::io;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use crate::index::{Applied, Index, IndexError, Opener, Unsound, is_let_go, seal};
use crate::limits::{INDEX_ATTEMPTS_MAX, RECOVERY_BYTES, RECOVERY_ROWS};
use crate::log::{Position, Segments, Walk, WalkError};
use crate::options::{OnProgress, Progress};
use crate::row::{Key, Row};
use crate::rows::{ApplyError, Rows, Schema};
use crate::state::State;

/// Why an index was made anew from the journal.
#[derive(Debug, Clone, thiserror::Error)]
pub enum Rebuilt {
    /// There was none.
    #[error("there was no index")]
    Missing,
    /// It was not believed.
    #[error(transparent)]
    Unsound(#[from] Unsound),
    /// Earlier starts ended while they opened it: it may crash the process.
    #[error("{0} starts in a row ended while the index was opened")]
    Attempts(u8),
}

/// Why the rows cannot be made from the journal.
#[derive(Debug, thiserror::Error)]
pub enum ReplayError {
    /// The journal does not hold.
    #[error(transparent)]
    Journal(#[from] WalkError),
    /// The index cannot be written, on a full disk for example. Nothing is lost.
    #[error(transparent)]
    Index(#[from] IndexError),
    /// The schema refuses an entry that it accepted before: it is older than the journal, or not deterministic.
    #[error("apply entry {seq} of the journal again")]
    Apply {
        /// Sequence of the entry.
        seq: u64,
        /// What the schema says.
        #[source]
        source: ApplyError,
    },
}

/// Where an index is, and what makes its rows.
pub(crate) struct Recoverer<'a, S: Schema> {
    pub(crate) dir: &'a Path,
    pub(crate) opener: &'a Opener,
    pub(crate) schema: &'a S,
    pub(crate) cache_bytes: usize,
    pub(crate) progress: Option<&'a OnProgress>,
    /// Whether even a sealed index has all its rows read.
    pub(crate) verify_all: bool,
}

impl<S: Schema> Recoverer<'_, S> {
    /// The index that is there, if it is whole.
    pub(crate) fn open(&self) -> Result<Index, Rebuilt> {
        if !self.index_dir().exists() {
            return Err(Rebuilt::Missing);
        }
        let attempts = self.attempts();
        if attempts >= INDEX_ATTEMPTS_MAX {
            return Err(Rebuilt::Attempts(attempts));
        }
        // A seal that cannot be read is none.
        let is_sealed = seal::take(&self.index_dir(), &self.seal_file()).unwrap_or(false);
        // Should opening it end the process, the next start counts it.
        self.set_attempts(attempts + 1)
            .map_err(|error| Unsound::Failed(folder(error)))?;
        let index = (self.opener)(&self.index_dir())
            .map_err(Unsound::from)
            .and_then(|engine| {
                if is_sealed && !self.verify_all {
                    Index::sealed(engine, S::VERSION)
                } else {
                    Index::verify(engine, S::VERSION)
                }
            });
        self.set_attempts(0)
            .map_err(|error| Unsound::Failed(folder(error)))?;
        Ok(index?)
    }

    /// Makes the index anew from the first entry on.
    pub(crate) fn rebuild(&self, segments: &Segments, until: u64) -> Result<Index, ReplayError> {
        match fs::remove_dir_all(self.index_dir()) {
            Err(error) if error.kind() != io::ErrorKind::NotFound => {
                return Err(folder(error).into());
            }
            Ok(()) | Err(_) => {}
        }
        self.set_attempts(0).map_err(folder)?;
        fs::create_dir_all(self.index_dir()).map_err(folder)?;
        let index = Index::empty((self.opener)(&self.index_dir())?, S::VERSION)?;
        self.replay(index, segments, until)
    }

    /// Applies the entries after the index's own up to `until`.
    pub(crate) fn replay(
        &self,
        index: Index,
        segments: &Segments,
        until: u64,
    ) -> Result<Index, ReplayError> {
        let index = Arc::new(index);
        let applied = index.applied();
        let mut walk = match segments.numbered(1) {
            Some(first) if applied.end == Position::default() => {
                Walk::new(segments.clone(), &first)
            }
            _ => Walk::after(segments.clone(), applied.end, applied.head),
        };
        let mut state = State::new(index.clone(), self.cache_bytes);
        let mut progress = Progress {
            entries_done: 0,
            entries_total: until.saturating_sub(applied.head.seq),
        };
        let mut payload_bytes = 0;
        while state.last_seq < until {
            let Some(entry) = walk.next()? else {
                return Err(WalkError::Broken(
                    walk.broken("the journal ends before what was acknowledged"),
                )
                .into());
            };
            let seq = entry.head.seq;
            let mut changes = Vec::new();
            let mut rows = Rows::new(&mut state, &mut changes);
            self.schema
                .apply(seq, entry.payload, &mut rows)
                .map_err(|source| ReplayError::Apply { seq, source })?;
            state.last_seq = seq;
            progress.entries_done += 1;
            payload_bytes += entry.payload.len();
            let is_full = state.changed_rows() >= RECOVERY_ROWS || payload_bytes >= RECOVERY_BYTES;
            if is_full || seq == until {
                payload_bytes = 0;
                write_changed(
                    &index,
                    &mut state,
                    Applied {
                        head: walk.head(),
                        end: walk.position(),
                    },
                )?;
                self.progress.inspect(|tell| tell(progress));
            }
        }
        drop(state);
        index.flush()?;
        Arc::into_inner(index).ok_or(ReplayError::Index(IndexError::Unavailable))
    }

    fn index_dir(&self) -> PathBuf {
        self.dir.join(INDEX_DIR)
    }

    fn seal_file(&self) -> PathBuf {
        self.dir.join(SEAL_FILE)
    }

    fn attempts_file(&self) -> PathBuf {
        self.dir.join("index.attempts")
    }

    fn attempts(&self) -> u8 {
        fs::read(self.attempts_file())
            .ok()
            .and_then(|bytes| bytes.first().copied())
            .unwrap_or(0)
    }

    fn set_attempts(&self, attempts: u8) -> io::Result<()> {
        match attempts {
            0 => match fs::remove_file(self.attempts_file()) {
                Err(error) if error.kind() != io::ErrorKind::NotFound => Err(error),
                Ok(()) | Err(_) => Ok(()),
            },
            attempts => fs::write(self.attempts_file(), [attempts]),
        }
    }
}

/// Seals the index in `dir`, which was brought to the journal's head and closed.
pub(crate) fn seal(dir: &Path) -> io::Result<()> {
    let index_dir = dir.join(INDEX_DIR);
    if is_let_go(&index_dir)? {
        seal::put(&index_dir, &dir.join(SEAL_FILE))?;
    }
    Ok(())
}

const INDEX_DIR: &str = "index";
const SEAL_FILE: &str = "index.seal";

fn write_changed(index: &Index, state: &mut State, applied: Applied) -> Result<(), IndexError> {
    let keys = state.changed_keys();
    let rows: Vec<(Key, Option<Row>)> = keys
        .iter()
        .map(|key| Ok((key.clone(), state.get(key)?)))
        .collect::<Result<_, IndexError>>()?;
    let rows: Vec<(&Key, Option<&Row>)> =
        rows.iter().map(|(key, row)| (key, row.as_ref())).collect();
    index.write(&rows, applied)?;
    state.settle(keys.iter(), applied.head.seq);
    Ok(())
}

fn folder(error: io::Error) -> IndexError {
    IndexError::Folder(Arc::new(error))
}
