//! How a store is opened.

use std::fmt;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use crate::disk::{Disk, RealDisk};
use crate::log::Sizes;

/// How far a start has come.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Progress {
    /// Entries applied to the index so far.
    pub entries_done: u64,
    /// Entries to apply in all.
    pub entries_total: u64,
}

/// Is told now and then how far a start has come.
pub type OnProgress = Arc<dyn Fn(Progress) + Send + Sync>;

/// Where a store is and how much memory and disk it may use. The defaults suit an anchor; `Options::small` suits a PC.
#[derive(Clone)]
pub struct Options {
    /// The store's folder; made when it is missing.
    pub dir: PathBuf,
    /// A file of the journal is closed before an entry would take it beyond this length, in bytes.
    pub segment_bytes: u64,
    /// Zeros written ahead of the entries at once, in bytes: fewer and larger steps make commits faster.
    pub preallocate_bytes: u64,
    /// Payloads that may wait to be written, in bytes; `commit` waits beyond.
    pub queue_bytes_max: usize,
    /// Changed rows that may wait to enter the index, in bytes of memory; `commit` waits beyond.
    pub lag_bytes_max: usize,
    /// Longest time for which changed rows wait to enter the index.
    pub lag_interval: Duration,
    /// Longest time for which closing waits for the index. It is left behind then, and the next start completes it from the journal.
    pub close_timeout: Duration,
    /// Rows kept in memory beside the changed ones, in bytes.
    pub cache_bytes: usize,
    /// sled's own page cache, in bytes.
    pub index_cache_bytes: u64,
    /// Walk the whole journal at the start, not its end alone.
    pub verify_all: bool,
    /// Is told of long starts.
    pub progress: Option<OnProgress>,
    /// The files under the journal.
    pub disk: Arc<dyn Disk>,
}

impl Options {
    /// The defaults, for a store in `dir`.
    pub fn new(dir: impl Into<PathBuf>) -> Self {
        Self {
            dir: dir.into(),
            segment_bytes: 64 << 20,
            preallocate_bytes: 4 << 20,
            queue_bytes_max: 16 << 20,
            lag_bytes_max: 256 << 20,
            lag_interval: Duration::from_secs(2),
            close_timeout: Duration::from_secs(20),
            cache_bytes: 128 << 20,
            index_cache_bytes: 512 << 20,
            verify_all: false,
            progress: None,
            disk: Arc::new(RealDisk),
        }
    }

    /// Bounds for a node on somebody's PC.
    pub fn small(dir: impl Into<PathBuf>) -> Self {
        Self {
            segment_bytes: 8 << 20,
            preallocate_bytes: 256 << 10,
            queue_bytes_max: 1 << 20,
            lag_bytes_max: 4 << 20,
            close_timeout: Duration::from_secs(2),
            cache_bytes: 1 << 20,
            index_cache_bytes: 2 << 20,
            ..Self::new(dir)
        }
    }

    pub(crate) fn sizes(&self) -> Sizes {
        Sizes {
            segment_bytes: self.segment_bytes,
            preallocate_bytes: self.preallocate_bytes,
        }
    }
}

impl fmt::Debug for Options {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Options")
            .field("dir", &self.dir)
            .finish_non_exhaustive()
    }
}
