//! The thread that brings durable changes into the index, and makes the index anew when it fails.

use std::sync::Arc;
use std::time::Duration;

use crate::core::{Core, Pending};
use crate::index::{Index, IndexError};
use crate::recover::{Recoverer, ReplayError};
use crate::row::{Key, Row};
use crate::rows::Schema;

/// Pause after an index that could be neither written nor made anew: a full disk needs somebody to notice.
const RETRY_PAUSE: Duration = Duration::from_secs(1);

/// Runs until the backlog is closed and empty. An error means that the index was left behind; the journal has everything.
pub(crate) fn run<S: Schema>(core: &Core<S>, mut index: Arc<Index>) -> Result<(), IndexError> {
    let _stop = Stop(core);
    while let Some(pending) = core.backlog.take_due() {
        let written = write(&index, &pending).and_then(|()| match core.backlog.is_empty() {
            // To the operating system, when there is time: a killed process then leaves little to apply again.
            true => index.flush(),
            false => Ok(()),
        });
        match written {
            Ok(()) => {
                core.state
                    .write()
                    .settle(pending.rows.keys(), pending.applied.head.seq);
                core.backlog.written(&pending);
            }
            Err(error) => {
                tracing::warn!(%error, "the index failed; it is opened again, or made anew from the journal");
                core.backlog.put_back(pending, error);
                index = replace(core, index)?;
            }
        }
    }
    index.flush()
}

struct Stop<'a, S: Schema>(&'a Core<S>);

impl<S: Schema> Drop for Stop<'_, S> {
    fn drop(&mut self) {
        self.0.backlog.stop();
    }
}

fn write(index: &Index, pending: &Pending) -> Result<(), IndexError> {
    let mut rows: Vec<(&Key, Option<&Row>)> = pending
        .rows
        .iter()
        .map(|(key, row)| (key, row.as_ref()))
        .collect();
    rows.sort_unstable_by_key(|(key, _)| *key);
    index.write(&rows, pending.applied)
}

/// Puts a working index in place of a failed one. Until then rows that are not in memory cannot be read, and say so.
fn replace<S: Schema>(core: &Core<S>, failed: Arc<Index>) -> Result<Arc<Index>, IndexError> {
    core.state.write().index = None;
    drop(failed);
    loop {
        match recover(core) {
            Ok(index) => {
                let seq = index.applied().head.seq;
                let index = Arc::new(index);
                let mut state = core.state.write();
                state.index = Some(index.clone());
                state.settle_all(seq);
                drop(state);
                core.backlog.recovered(seq);
                tracing::info!(seq, "the index works again");
                return Ok(index);
            }
            Err(error) => {
                tracing::debug!(%error, "the index still fails");
                if !core.backlog.wait_to_retry(error.clone(), RETRY_PAUSE) {
                    return Err(error);
                }
            }
        }
    }
}

fn recover<S: Schema>(core: &Core<S>) -> Result<Index, IndexError> {
    let recoverer = Recoverer {
        dir: &core.options.dir,
        opener: &core.opener,
        schema: &core.schema,
        cache_bytes: core.options.cache_bytes,
        progress: None,
        verify_all: false,
    };
    let until = core.head.lock().seq;
    let replayed = match recoverer.open() {
        Ok(index) => recoverer.replay(index, &core.segments, until),
        Err(_) => recoverer.rebuild(&core.segments, until),
    };
    replayed.map_err(|error| match error {
        ReplayError::Index(error) => error,
        ReplayError::Journal(_) | ReplayError::Apply { .. } => {
            tracing::error!(
                error = &error as &dyn std::error::Error,
                "the index cannot be made from the journal"
            );
            IndexError::Unavailable
        }
    })
}

#[cfg(test)]
mod tests {
    #![expect(clippy::unwrap_used, reason = "tests fail by panicking")]
    use std::convert::Infallible;
    use std::path::Path;
    use std::sync::atomic::{AtomicBool, AtomicU32, Ordering};

    use parking_lot::{Condvar, Mutex};

    use super::*;
    use crate::index::{Engine, Opener, Scan, Visit, open_sled};
    use crate::options::Options;
    use crate::rows::{ApplyError, Order, Rows};
    use crate::store::{CloseError, CommitError, OpenError, Store};

    /// Each payload is a key; its row counts how often it came.
    struct Counts;

    impl Schema for Counts {
        const VERSION: u32 = 1;
        fn apply(&self, _: u64, payload: &[u8], rows: &mut Rows<'_>) -> Result<(), ApplyError> {
            let count = rows.get(0, payload)?.map_or(0, |row| row[0]);
            Ok(rows.put(0, payload, vec![count + 1])?)
        }
    }

    /// What goes wrong in the index.
    #[derive(Default)]
    struct Faults {
        /// Every write fails.
        full: AtomicBool,
        /// The next write loses a row and then fails, as a panic in the middle would.
        lose_a_row: AtomicBool,
        opened: AtomicU32,
        /// Handing over to the operating system does not come back.
        is_stuck: Mutex<bool>,
        freed: Condvar,
    }

    impl Faults {
        fn stick(&self, is_stuck: bool) {
            *self.is_stuck.lock() = is_stuck;
            self.freed.notify_all();
        }
    }

    struct Flaky {
        inner: Box<dyn Engine>,
        faults: Arc<Faults>,
    }

    impl Engine for Flaky {
        fn get(&self, key: &[u8]) -> Result<Option<Row>, IndexError> {
            self.inner.get(key)
        }

        fn scan(&self, scan: Scan<'_>, visit: Visit<'_>) -> Result<(), IndexError> {
            self.inner.scan(scan, visit)
        }

        fn write(
            &self,
            rows: &[(&Key, Option<&Row>)],
            meta: (&[u8], &[u8]),
        ) -> Result<(), IndexError> {
            if self.faults.full.load(Ordering::SeqCst) {
                return Err(IndexError::Folder(Arc::new(
                    std::io::ErrorKind::StorageFull.into(),
                )));
            }
            if !rows.is_empty() && self.faults.lose_a_row.swap(false, Ordering::SeqCst) {
                self.inner.write(&rows[1..], meta)?;
                return Err(IndexError::Panicked);
            }
            self.inner.write(rows, meta)
        }

        fn flush(&self) -> Result<(), IndexError> {
            let mut is_stuck = self.faults.is_stuck.lock();
            while *is_stuck {
                self.faults.freed.wait(&mut is_stuck);
            }
            drop(is_stuck);
            self.inner.flush()
        }
    }

    fn opener(faults: &Arc<Faults>) -> Opener {
        let faults = faults.clone();
        Arc::new(move |dir: &Path| {
            faults.opened.fetch_add(1, Ordering::SeqCst);
            let (inner, faults) = (open_sled(dir, 1 << 20)?, faults.clone());
            Ok(Box::new(Flaky { inner, faults }))
        })
    }

    fn options(dir: &Path) -> Options {
        Options {
            lag_bytes_max: 8 << 10,
            lag_interval: Duration::ZERO,
            cache_bytes: 2 << 10,
            ..Options::small(dir)
        }
    }

    fn commit(store: &Store<Counts>, key: &str) -> Result<(), CommitError<Infallible>> {
        let payload = key.as_bytes().to_vec();
        let ((), ticket) = store.commit(|_| Ok((vec![payload], ())))?;
        ticket.wait().unwrap();
        Ok(())
    }

    /// Commits as soon as the index takes more again.
    fn commit_at_last(store: &Store<Counts>, key: &str) {
        while let Err(error) = commit(store, key) {
            let waiting = match &error {
                CommitError::Stalled(_) => true,
                CommitError::Apply(ApplyError::Row(_)) => true,
                CommitError::Apply(_)
                | CommitError::Refused(_)
                | CommitError::TooLong { .. }
                | CommitError::Closed => false,
            };
            assert!(waiting, "{error}");
            std::thread::yield_now();
        }
    }

    fn total(store: &Store<Counts>) -> usize {
        let rows = store
            .read(|rows| rows.range(0, .., Order::Forward, usize::MAX))
            .unwrap();
        rows.iter().map(|(_, row)| usize::from(row[0])).sum()
    }

    #[test]
    fn a_full_disk_for_the_index_alone_stalls_at_last_and_loses_nothing() {
        let dir = tempfile::tempdir().unwrap();
        let faults = Arc::new(Faults::default());
        let (store, _) = Store::open_with(options(dir.path()), Counts, opener(&faults)).unwrap();
        commit(&store, "first").unwrap();
        faults.full.store(true, Ordering::SeqCst);
        let mut commits = 1;
        // New keys each time: the rows that are not in memory cannot be read while the index is away.
        let error = loop {
            match commit(&store, &format!("{commits}")) {
                Ok(()) => commits += 1,
                Err(error) => break error,
            }
            assert!(commits < 10_000, "what waits for the index is bounded");
        };
        assert!(
            matches!(error, CommitError::Stalled(_) | CommitError::Apply(_)),
            "{error}"
        );
        faults.full.store(false, Ordering::SeqCst);
        commit_at_last(&store, "last");
        commits += 1;
        assert_eq!(
            (store.head().seq, total(&store)),
            (commits, commits as usize)
        );
        store.close().unwrap();
        drop(store);

        let (store, recovery) =
            Store::open_with(options(dir.path()), Counts, opener(&faults)).unwrap();
        assert!(recovery.rebuilt.is_none());
        assert_eq!((recovery.replayed, total(&store)), (0, commits as usize));
    }

    #[test]
    fn an_index_that_is_full_at_the_stop_is_completed_at_the_next_start() {
        let dir = tempfile::tempdir().unwrap();
        let faults = Arc::new(Faults::default());
        let (store, _) = Store::open_with(options(dir.path()), Counts, opener(&faults)).unwrap();
        faults.full.store(true, Ordering::SeqCst);
        commit(&store, "a").unwrap();
        assert!(store.close().is_err(), "the index was left behind");
        drop(store);
        assert!(
            Store::open_with(options(dir.path()), Counts, opener(&faults)).is_err(),
            "no index can be made"
        );
        faults.full.store(false, Ordering::SeqCst);
        let (store, _) = Store::open_with(options(dir.path()), Counts, opener(&faults)).unwrap();
        assert_eq!(total(&store), 1);
    }

    #[test]
    fn an_index_that_is_stuck_does_not_hold_up_the_stop_and_stays_locked() {
        let dir = tempfile::tempdir().unwrap();
        let faults = Arc::new(Faults::default());
        let options = Options {
            close_timeout: Duration::from_millis(10),
            ..options(dir.path())
        };
        let (store, _) = Store::open_with(options.clone(), Counts, opener(&faults)).unwrap();
        faults.stick(true);
        commit(&store, "a").unwrap();
        assert!(matches!(store.close(), Err(CloseError::IndexLate)));
        drop(store);
        let again = || Store::open_with(options.clone(), Counts, opener(&faults));
        assert!(matches!(again(), Err(OpenError::Locked { .. })));
        faults.stick(false);
        let store = loop {
            match again() {
                Ok((store, _)) => break store,
                Err(OpenError::Locked { .. }) => std::thread::yield_now(),
                Err(error) => panic!("{error}"),
            }
        };
        assert_eq!(total(&store), 1);
        store.close().unwrap();
    }

    #[test]
    fn an_index_that_breaks_while_serving_is_made_anew_while_serving() {
        let dir = tempfile::tempdir().unwrap();
        let faults = Arc::new(Faults::default());
        let (store, _) = Store::open_with(options(dir.path()), Counts, opener(&faults)).unwrap();
        for n in 0..200_u8 {
            if n == 100 {
                faults.lose_a_row.store(true, Ordering::SeqCst);
            }
            commit_at_last(&store, &format!("{}", n % 50));
        }
        store.close().unwrap();
        assert!(!faults.lose_a_row.load(Ordering::SeqCst));
        assert!(
            faults.opened.load(Ordering::SeqCst) >= 3,
            "opened, opened again, made anew"
        );
        drop(store);
        let (store, recovery) =
            Store::open_with(options(dir.path()), Counts, opener(&faults)).unwrap();
        assert!(recovery.rebuilt.is_none());
        assert_eq!((total(&store), recovery.rows), (200, 50));
    }
}
