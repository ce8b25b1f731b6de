//! The promise that what a commit decided is durable, and the cell that keeps it for all commits that share one fsync.

use std::future::Future;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll, Waker};

use parking_lot::{Condvar, Mutex};

use crate::log::AppendError;

/// An entry that was not made durable. The commit was undone: to the store it never happened.
///
/// To the disk it may have: if the process ends before the log is cut back, the entry can be there at the next start.
/// So, as for a time-out, the answer to the peer is "unknown, ask again with the same id".
#[derive(Debug, Clone, thiserror::Error)]
#[error("the journal could not be written")]
pub struct NotDurable {
    /// Why.
    #[source]
    pub source: Arc<AppendError>,
}

/// Becomes ready when all that a commit saw and decided is durable. Dropping it changes nothing.
#[must_use = "a commit is not durable before its ticket is ready"]
#[derive(Debug, Clone)]
pub struct Ticket {
    seq: u64,
    cell: Arc<Cell>,
}

impl Ticket {
    pub(crate) fn new(seq: u64, cell: Arc<Cell>) -> Self {
        Self { seq, cell }
    }

    /// The sequence of the last entry that the commit wrote, or saw when it wrote none.
    pub fn seq(&self) -> u64 {
        self.seq
    }

    /// Waits, blocking the thread.
    pub fn wait(&self) -> Result<(), NotDurable> {
        let mut state = self.cell.state.lock();
        loop {
            if let Some(result) = &state.result {
                return result.clone();
            }
            self.cell.done.wait(&mut state);
        }
    }
}

impl Future for Ticket {
    type Output = Result<(), NotDurable>;

    fn poll(self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<Self::Output> {
        let mut state = self.cell.state.lock();
        if let Some(result) = &state.result {
            return Poll::Ready(result.clone());
        }
        if !state
            .wakers
            .iter()
            .any(|waker| waker.will_wake(context.waker()))
        {
            state.wakers.push(context.waker().clone());
        }
        Poll::Pending
    }
}

/// The outcome of one group commit.
#[derive(Debug, Default)]
pub(crate) struct Cell {
    state: Mutex<CellState>,
    done: Condvar,
}

#[derive(Debug, Default)]
struct CellState {
    result: Option<Result<(), NotDurable>>,
    /// One for each task that waits, so as many as there are requests in flight.
    wakers: Vec<Waker>,
}

impl Cell {
    pub(crate) fn ready() -> Arc<Self> {
        let cell = Self::default();
        cell.complete(Ok(()));
        Arc::new(cell)
    }

    pub(crate) fn complete(&self, result: Result<(), NotDurable>) {
        let mut state = self.state.lock();
        state.result = Some(result);
        let wakers = std::mem::take(&mut state.wakers);
        drop(state);
        self.done.notify_all();
        wakers.into_iter().for_each(Waker::wake);
    }
}
