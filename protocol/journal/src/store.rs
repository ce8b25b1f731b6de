//! The store: commits that are decided on the present rows and become entries of the journal, and reads of the rows.

use std::path::PathBuf;
use std::sync::Arc;
use std::sync::mpsc::{Receiver, RecvTimeoutError, sync_channel};
use std::thread::{self, JoinHandle};

use parking_lot::{Mutex, RwLock};

use crate::core::{Backlog, Core, Pipe};
use crate::entries::{Entries, Resting};
use crate::index::{Index, IndexError, Opener, open_sled};
use crate::limits::PAYLOAD_BYTES_MAX;
use crate::lock::Lock;
use crate::log::{self, AppendError, Entry, Head, HeadMark, Log, ScanError, WalkError};
use crate::options::Options;
use crate::recover::{self, Rebuilt, Recoverer, ReplayError};
use crate::rows::{ApplyError, Reader, Rows, Schema};
use crate::state::{Change, State};
use crate::ticket::Ticket;
use crate::{flusher, writer};

/// What one entry of the journal holds; the schema knows its form.
pub type Payload = Vec<u8>;

/// What a start found and did.
#[derive(Debug, Clone)]
pub struct Recovery {
    /// The last entry of the journal.
    pub head: Head,
    /// Rows in the index.
    pub rows: u64,
    /// Entries that were applied to the index.
    pub replayed: u64,
    /// Bytes of a write that a crash cut short, never acknowledged and now cut off.
    pub torn_bytes: u64,
    /// What was found of the head mark.
    pub head_mark: HeadMark,
    /// Whether the index was believed by its seal: it was closed whole, and its files are what they were then. Otherwise each row was read.
    pub was_sealed: bool,
    /// Why the index was made anew, if it was.
    pub rebuilt: Option<Rebuilt>,
}

/// Why a store does not open. Nothing was changed in the journal.
#[derive(Debug, thiserror::Error)]
pub enum OpenError {
    /// Another process has it open.
    #[error("{} is in use by another process", dir.display())]
    Locked {
        /// The store's folder.
        dir: PathBuf,
    },
    /// The folder cannot be used.
    #[error("open the store's folder {}", dir.display())]
    Folder {
        /// The store's folder.
        dir: PathBuf,
        /// Why.
        #[source]
        source: std::io::Error,
    },
    /// The journal cannot be read, or what was acknowledged is not in it.
    #[error(transparent)]
    Journal(#[from] ScanError),
    /// The journal cannot be taken up.
    #[error(transparent)]
    Append(#[from] AppendError),
    /// The rows cannot be made from the journal.
    #[error(transparent)]
    Replay(#[from] ReplayError),
    /// A thread cannot be started.
    #[error("start a thread of the store")]
    Thread(#[source] std::io::Error),
}

/// Why a commit did not happen.
#[derive(Debug, thiserror::Error)]
pub enum CommitError<E> {
    /// The caller's own decision.
    #[error("the commit is refused")]
    Refused(#[source] E),
    /// The schema does not apply a payload.
    #[error(transparent)]
    Apply(#[from] ApplyError),
    /// A payload is longer than `limits::PAYLOAD_BYTES_MAX`.
    #[error("a payload of {bytes} bytes is too long")]
    TooLong {
        /// Its length.
        bytes: usize,
    },
    /// The index cannot be written, on a full disk for example, and as many changes wait for it as may.
    #[error("the index cannot take more")]
    Stalled(#[source] IndexError),
    /// The store was closed.
    #[error("the store is closed")]
    Closed,
}

/// Why a store did not close cleanly. Nothing that was acknowledged is lost: the next start applies what the index lacks.
#[derive(Debug, thiserror::Error)]
pub enum CloseError {
    /// The index was left behind.
    #[error("bring the index to the journal's head")]
    Index(#[from] IndexError),
    /// The index is still being written after `Options::close_timeout`: the disk is full perhaps, or gone. The store stays locked until it is done.
    #[error("the index is left behind: it cannot be written in time")]
    IndexLate,
    /// The head mark could not be made durable.
    #[error(transparent)]
    Append(#[from] AppendError),
    /// A thread of the store panicked.
    #[error("a thread of the store panicked")]
    Panicked,
}

/// A journal and its rows. Shared by reference; its threads end when it is closed or dropped.
pub struct Store<S: Schema> {
    core: Arc<Core<S>>,
    threads: Mutex<Option<Threads>>,
    resting: Resting,
}

struct Threads {
    writer: JoinHandle<Log>,
    /// Reads the keys of an index that was believed without.
    keys: JoinHandle<()>,
    /// What became of the index, once its thread is done. Nobody else waits for that thread: a full disk can hold sled forever.
    flushed: Receiver<Result<(), IndexError>>,
    _lock: Arc<Lock>,
}

impl<S: Schema> Store<S> {
    /// Opens a store, or makes an empty one. Blocks until the rows are at the journal's head.
    pub fn open(options: Options, schema: S) -> Result<(Self, Recovery), OpenError> {
        let cache_bytes = options.index_cache_bytes;
        Self::open_with(
            options,
            schema,
            Arc::new(move |dir| open_sled(dir, cache_bytes)),
        )
    }

    pub(crate) fn open_with(
        options: Options,
        schema: S,
        opener: Opener,
    ) -> Result<(Self, Recovery), OpenError> {
        let dir = &options.dir;
        let lock = Lock::acquire(dir).map_err(|source| OpenError::Folder {
            dir: dir.clone(),
            source,
        })?;
        let lock = lock.ok_or_else(|| OpenError::Locked { dir: dir.clone() })?;
        let recoverer = Recoverer {
            dir,
            opener: &opener,
            schema: &schema,
            cache_bytes: options.cache_bytes,
            progress: options.progress.as_ref(),
            verify_all: options.verify_all,
        };
        let (log, index, recovery) = recover(&recoverer, &options)?;
        let index = Arc::new(index);
        let core = Arc::new(Core {
            segments: log.segments().clone(),
            state: RwLock::new(State::new(index.clone(), options.cache_bytes)),
            pipe: Pipe::new(options.queue_bytes_max),
            backlog: Backlog::new(&options),
            head: Mutex::new(log.head()),
            schema,
            opener,
            options,
        });
        let threads = Threads::start(&core, log, index, lock)?;
        Ok((
            Self {
                core,
                threads: Mutex::new(Some(threads)),
                resting: Resting::default(),
            },
            recovery,
        ))
    }

    /// Decides and writes, alone. The closure sees the rows after every commit so far, durable or not, and returns the payloads
    /// to write, which are applied at once, and an answer, which must not be given to anybody before the ticket is ready.
    /// With no payloads the ticket still waits for all that the closure saw.
    ///
    /// Waits, blocking the thread, while too much is queued or the index lags too far: asynchronous callers run it where blocking
    /// is allowed, and await the ticket. A thousand small changes belong in one payload.
    pub fn commit<R, E>(
        &self,
        decide: impl FnOnce(&Reader<'_>) -> Result<(Vec<Payload>, R), E>,
    ) -> Result<(R, Ticket), CommitError<E>> {
        self.core
            .backlog
            .wait_for_room()
            .map_err(CommitError::Stalled)?;
        if !self.core.pipe.wait_for_room() {
            return Err(CommitError::Closed);
        }
        let mut state = self.core.state.write();
        let (payloads, answer) = decide(&Reader::new(&state)).map_err(CommitError::Refused)?;
        if let Some(bytes) = payloads
            .iter()
            .map(Vec::len)
            .find(|bytes| *bytes > PAYLOAD_BYTES_MAX)
        {
            return Err(CommitError::TooLong { bytes });
        }
        let mut attempt = Attempt::begin(&mut state);
        for payload in &payloads {
            attempt.apply(&self.core.schema, payload)?;
        }
        let cell = self
            .core
            .pipe
            .push(payloads, &mut attempt.changes)
            .ok_or(CommitError::Closed)?;
        let seq = attempt.keep();
        Ok((answer, Ticket::new(seq, cell)))
    }

    /// Reads the rows after every commit so far, durable or not. Commits wait meanwhile; other readers do not.
    pub fn read<R>(&self, read: impl FnOnce(&Reader<'_>) -> R) -> R {
        read(&Reader::new(&self.core.state.read()))
    }

    /// The last durable entry.
    pub fn head(&self) -> Head {
        *self.core.head.lock()
    }

    /// The durable entries from `from_seq` on, each verified as it is read.
    pub fn entries(&self, from_seq: u64) -> Entries {
        Entries::new(&self.core.segments, from_seq, self.head().seq)
    }

    /// A page of the durable entries after `after`, each verified: at most `entries_max`, and none more once they have `bytes_max` octets.
    /// Empty at the end. Who reads page after page begins each where the one before ended.
    pub fn entries_after(
        &self,
        after: u64,
        entries_max: usize,
        bytes_max: usize,
    ) -> Result<Vec<Entry>, WalkError> {
        let until = self.head().seq;
        let range = (after.min(until), until);
        self.resting
            .page(&self.core.segments, range, entries_max, bytes_max)
    }

    /// Writes what is queued, brings the index to the journal's head and lets go of the files. Later commits are refused.
    /// The journal is waited for; the index at most as long as [`Options::close_timeout`] says.
    /// A second call does nothing. Dropping the store does the same, and only logs an error.
    pub fn close(&self) -> Result<(), CloseError> {
        let Some(threads) = self.threads.lock().take() else {
            return Ok(());
        };
        self.core.pipe.close();
        let writer = threads.writer.join();
        self.core.backlog.close();
        let close_timeout = self.core.options.close_timeout;
        let flushed = threads.flushed.recv_timeout(close_timeout);
        writer.map_err(|_| CloseError::Panicked)?.sync_head()?;
        match flushed {
            Ok(flushed) => {
                // It has ended, since the index is gone. That it panicked cost time, no row.
                let _ = threads.keys.join();
                Ok(flushed?)
            }
            Err(RecvTimeoutError::Timeout) => Err(CloseError::IndexLate),
            Err(RecvTimeoutError::Disconnected) => {
                self.core.state.write().index = None;
                Err(CloseError::Panicked)
            }
        }
    }
}

impl<S: Schema> Drop for Store<S> {
    fn drop(&mut self) {
        if let Err(error) = self.close() {
            tracing::warn!(
                error = &error as &dyn std::error::Error,
                "the store did not close cleanly"
            );
        }
    }
}

impl Threads {
    fn start<S: Schema>(
        core: &Arc<Core<S>>,
        mut log: Log,
        index: Arc<Index>,
        lock: Lock,
    ) -> Result<Self, OpenError> {
        let lock = Arc::new(lock);
        let keys = learn_keys(&index)?;
        let (shared, locked) = (core.clone(), lock.clone());
        let (done, flushed) = sync_channel(1);
        thread::Builder::new()
            .name("journal-index".into())
            .spawn(move || {
                let flushed = flusher::run(&shared, index);
                // Here, since sled writes once more when it is let go of.
                let index = shared.state.write().index.take();
                drop(index);
                if flushed.is_ok()
                    && let Err(error) = recover::seal(&shared.options.dir)
                {
                    tracing::warn!(%error, "the index is not sealed; the next start reads all of it");
                }
                drop((shared, locked));
                // Whoever closes the store may have stopped waiting.
                let _ = done.send(flushed);
            })
            .map_err(OpenError::Thread)?;
        let shared = core.clone();
        let writer = thread::Builder::new()
            .name("journal-log".into())
            .spawn(move || {
                writer::run(&shared, &mut log);
                log
            });
        match writer {
            Ok(writer) => Ok(Self {
                writer,
                keys,
                flushed,
                _lock: lock,
            }),
            Err(error) => {
                core.backlog.close();
                Err(OpenError::Thread(error))
            }
        }
    }
}

/// Has the index learn its keys beside all else, for as long as it is in use.
fn learn_keys(index: &Arc<Index>) -> Result<JoinHandle<()>, OpenError> {
    let index = Arc::downgrade(index);
    let learn = move || {
        let mut after = None;
        while let Some(index) = index.upgrade().filter(|index| !index.knows_keys()) {
            match index.learn_keys(after) {
                Ok(last) => after = last,
                Err(error) => {
                    tracing::warn!(%error, "the index's keys cannot be read");
                    return;
                }
            }
        }
    };
    thread::Builder::new()
        .name("journal-keys".into())
        .spawn(learn)
        .map_err(OpenError::Thread)
}

/// Walks the whole journal of a store that no process has open, and returns its head. Changes nothing, and does not look at the index.
pub fn verify(options: &Options) -> Result<Head, OpenError> {
    let dir = &options.dir;
    let lock = Lock::acquire(dir).map_err(|source| OpenError::Folder {
        dir: dir.clone(),
        source,
    })?;
    let _lock = lock.ok_or_else(|| OpenError::Locked { dir: dir.clone() })?;
    Ok(log::find_end(&options.disk, dir, None, true)?.head)
}

fn recover<S: Schema>(
    recoverer: &Recoverer<'_, S>,
    options: &Options,
) -> Result<(Log, Index, Recovery), OpenError> {
    let opened = recoverer.open();
    let applied = opened.as_ref().ok().map(|index| index.applied().head);
    let was_sealed = opened.as_ref().is_ok_and(|index| !index.knows_keys());
    let found = log::find_end(&options.disk, &options.dir, applied, options.verify_all)?;
    let log = Log::resume(&found, options.sizes())?;
    let mut recovery = Recovery {
        head: found.head,
        rows: 0,
        replayed: found.head.seq - applied.unwrap_or_default().seq,
        torn_bytes: found.torn_bytes,
        head_mark: found.head_mark,
        was_sealed,
        rebuilt: None,
    };
    let replayed = match opened {
        Ok(index) => recoverer.replay(index, &found.segments, found.head.seq),
        Err(reason) => {
            // A new store has no index to miss.
            recovery.rebuilt = Some(reason)
                .filter(|reason| found.head.seq > 0 || !matches!(reason, Rebuilt::Missing));
            recoverer.rebuild(&found.segments, found.head.seq)
        }
    };
    let index = match replayed {
        Err(ReplayError::Index(error)) if recovery.rebuilt.is_none() => {
            recovery.rebuilt = Some(Rebuilt::Unsound(error.into()));
            recovery.replayed = found.head.seq;
            recoverer.rebuild(&found.segments, found.head.seq)?
        }
        replayed => replayed?,
    };
    recovery.rows = index.rows();
    Ok((log, index, recovery))
}

/// A commit that is undone unless it is kept: an error and a panic of the schema leave no trace.
struct Attempt<'a> {
    state: &'a mut State,
    changes: Vec<Change>,
    last_seq: u64,
}

impl<'a> Attempt<'a> {
    fn begin(state: &'a mut State) -> Self {
        state.commits += 1;
        Self {
            last_seq: state.last_seq,
            state,
            changes: Vec::new(),
        }
    }

    fn apply<S: Schema>(&mut self, schema: &S, payload: &[u8]) -> Result<(), ApplyError> {
        let seq = self.state.last_seq + 1;
        schema.apply(seq, payload, &mut Rows::new(self.state, &mut self.changes))?;
        self.state.last_seq = seq;
        Ok(())
    }

    fn keep(mut self) -> u64 {
        self.last_seq = self.state.last_seq;
        self.changes.clear();
        self.last_seq
    }
}

impl Drop for Attempt<'_> {
    fn drop(&mut self) {
        self.state.undo(&mut self.changes);
        self.state.last_seq = self.last_seq;
    }
}
