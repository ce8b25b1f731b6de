//! sled behind four operations, each of which turns a panic into an error.
//!
//! A damaged sled file may panic at any operation, open with rows missing, or leave a snapshot that no later open survives.
//! The panic hook still prints its message: a library does not replace it.

use std::fs::{self, TryLockError};
use std::io;
use std::ops::{Bound, ControlFlow};
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::path::Path;
use std::sync::Arc;
use std::thread;
use std::time::{Duration, Instant};

use crate::row::{Key, Row};

/// Why the index cannot be used. The journal is whole: the index is made anew from it.
#[derive(Debug, Clone, thiserror::Error)]
pub enum IndexError {
    /// sled says so; a full disk ends here.
    #[error("the index failed: {0}")]
    Sled(Arc<sled::Error>),
    /// sled panicked.
    #[error("the index failed inside sled, most likely on a damaged file")]
    Panicked,
    /// Its folder cannot be prepared.
    #[error("prepare the index's folder")]
    Folder(#[source] Arc<io::Error>),
    /// It failed before and is being made anew.
    #[error("the index is being made anew")]
    Unavailable,
}

impl From<sled::Error> for IndexError {
    fn from(error: sled::Error) -> Self {
        Self::Sled(Arc::new(error))
    }
}

/// A range of keys to read in order.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Scan<'a> {
    pub(crate) from: Bound<&'a [u8]>,
    pub(crate) to: Bound<&'a [u8]>,
    pub(crate) backwards: bool,
}

/// Is called with the key and the value of each row.
pub(crate) type Visit<'a> = &'a mut dyn FnMut(&[u8], &[u8]) -> ControlFlow<()>;

/// What an index must be able to do. Tests put a failing one in sled's place.
pub(crate) trait Engine: Send + Sync {
    fn get(&self, key: &[u8]) -> Result<Option<Row>, IndexError>;
    /// Calls `visit` with each row in order until it breaks.
    fn scan(&self, scan: Scan<'_>, visit: Visit<'_>) -> Result<(), IndexError>;
    /// All rows or none, and the row `meta` with them.
    fn write(&self, rows: &[(&Key, Option<&Row>)], meta: (&[u8], &[u8])) -> Result<(), IndexError>;
    /// Hands everything to the operating system.
    fn flush(&self) -> Result<(), IndexError>;
}

/// Opens an engine in a folder.
pub(crate) type Opener = Arc<dyn Fn(&Path) -> Result<Box<dyn Engine>, IndexError> + Send + Sync>;

/// Opens sled with a page cache of `cache_bytes`.
pub(crate) fn open_sled(dir: &Path, cache_bytes: u64) -> Result<Box<dyn Engine>, IndexError> {
    remove_torn_snapshots(dir).map_err(|error| IndexError::Folder(Arc::new(error)))?;
    let config = sled::Config::new()
        .path(dir)
        .cache_capacity(cache_bytes)
        .flush_every_ms(None);
    let deadline = Instant::now() + LOCK_WAIT;
    loop {
        match guarded(|| config.open()) {
            Ok(db) => return Ok(Box::new(Sled { db: Some(db) })),
            // A sled that this process closed a moment ago lets go of its file in the background.
            Err(error) if is_locked(&error) && Instant::now() < deadline => {
                thread::sleep(LOCK_POLL)
            }
            Err(error) => return Err(error),
        }
    }
}

/// Waits until a sled that this process closed has let go of its file, which it does in the background; false if it does not.
pub(crate) fn is_let_go(dir: &Path) -> io::Result<bool> {
    let file = fs::File::open(dir.join("db"))?;
    let deadline = Instant::now() + LOCK_WAIT;
    loop {
        match file.try_lock() {
            Ok(()) => return Ok(true),
            Err(TryLockError::WouldBlock) if Instant::now() < deadline => thread::sleep(LOCK_POLL),
            Err(TryLockError::WouldBlock) => return Ok(false),
            Err(TryLockError::Error(error)) => return Err(error),
        }
    }
}

struct Sled {
    /// Taken only by `drop`.
    db: Option<sled::Db>,
}

impl Sled {
    fn run<T>(&self, f: impl FnOnce(&sled::Db) -> Result<T, sled::Error>) -> Result<T, IndexError> {
        let db = self.db.as_ref().ok_or(IndexError::Unavailable)?;
        guarded(|| f(db))
    }
}

impl Engine for Sled {
    fn get(&self, key: &[u8]) -> Result<Option<Row>, IndexError> {
        self.run(|db| Ok(db.get(key)?.map(|value| Row::from(&*value))))
    }

    fn scan(&self, scan: Scan<'_>, visit: Visit<'_>) -> Result<(), IndexError> {
        self.run(|db| {
            let mut rows = db.range::<&[u8], _>((scan.from, scan.to));
            while let Some(row) = if scan.backwards {
                rows.next_back()
            } else {
                rows.next()
            } {
                let (key, value) = row?;
                if visit(&key, &value).is_break() {
                    break;
                }
            }
            Ok(())
        })
    }

    fn write(&self, rows: &[(&Key, Option<&Row>)], meta: (&[u8], &[u8])) -> Result<(), IndexError> {
        self.run(|db| {
            let mut batch = sled::Batch::default();
            for (key, row) in rows {
                match row {
                    Some(row) => batch.insert(&key[..], &row[..]),
                    None => batch.remove(&key[..]),
                }
            }
            batch.insert(meta.0, meta.1);
            db.apply_batch(batch)
        })
    }

    fn flush(&self) -> Result<(), IndexError> {
        self.run(|db| db.flush().map(|_| ()))
    }
}

impl Drop for Sled {
    fn drop(&mut self) {
        let db = self.db.take();
        // After a panic inside sled its destructors may panic too.
        let _ = catch_unwind(AssertUnwindSafe(|| drop(db)));
    }
}

const LOCK_WAIT: Duration = Duration::from_secs(5);
const LOCK_POLL: Duration = Duration::from_millis(5);

fn guarded<T>(f: impl FnOnce() -> Result<T, sled::Error>) -> Result<T, IndexError> {
    match catch_unwind(AssertUnwindSafe(f)) {
        Ok(result) => Ok(result?),
        Err(_) => Err(IndexError::Panicked),
    }
}

fn is_locked(error: &IndexError) -> bool {
    matches!(error, IndexError::Sled(error) if error.to_string().contains("could not acquire lock"))
}

/// A kill during an earlier open leaves such files, and sled does not survive them.
fn remove_torn_snapshots(dir: &Path) -> io::Result<()> {
    let entries = match fs::read_dir(dir) {
        Ok(entries) => entries,
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(()),
        Err(error) => return Err(error),
    };
    for entry in entries {
        let entry = entry?;
        let name = entry.file_name().to_string_lossy().into_owned();
        if name.starts_with("snap.") && name.ends_with(".generating") {
            fs::remove_file(entry.path())?;
        }
    }
    Ok(())
}
