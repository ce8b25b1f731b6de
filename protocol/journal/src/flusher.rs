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
    while let Some(pending) = core.backlog.take_due() {
        match write(&index, &pending) {
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

fn write(index: &Index, pending: &Pending) -> Result<(), IndexError> {
    let mut rows: Vec<(&Key, Option<&Row>)> = pending
        .rows
        .iter()
        .map(|(key, row)| (key, row.as_ref()))
        .collect();
    rows.sort_unstable_by_key(|(key, _)| *key);
    index.write(&rows, pending.applied)?;
    // To the operating system, so that a killed process leaves little to apply again.
    index.flush()
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
