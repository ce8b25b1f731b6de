//! What the store's callers and its two threads share.
//!
//! A change travels: `commit` applies it to the state and queues it; the writer makes it durable and hands it on; the flusher brings it
//! into the index and lets the state forget it. Locks are taken in the order state, pipe, backlog.

use std::collections::{HashMap, VecDeque};
use std::sync::Arc;
use std::time::{Duration, Instant};

use parking_lot::{Condvar, Mutex, RwLock};

use crate::index::{Applied, IndexError, Opener};
use crate::limits::{FLUSH_ROWS, ROW_OVERHEAD_BYTES};
use crate::log::{AppendError, Head, Segments};
use crate::options::Options;
use crate::row::{Key, Row};
use crate::rows::Schema;
use crate::state::{Change, State};
use crate::ticket::{Cell, NotDurable};

pub(crate) struct Core<S: Schema> {
    pub(crate) schema: S,
    pub(crate) options: Options,
    pub(crate) opener: Opener,
    pub(crate) segments: Segments,
    pub(crate) state: RwLock<State>,
    pub(crate) pipe: Pipe,
    pub(crate) backlog: Backlog,
    /// The last durable entry.
    pub(crate) head: Mutex<Head>,
}

impl<S: Schema> Core<S> {
    /// The group in flight is durable.
    pub(crate) fn publish(&self, applied: Applied) {
        let Some(flight) = self.pipe.land() else {
            return;
        };
        *self.head.lock() = applied.head;
        self.backlog.push(flight.changes, applied);
        flight.cell.complete(Ok(()));
    }

    /// The group in flight is not durable: it is undone, and with it all that was decided after it.
    pub(crate) fn roll_back(&self, error: AppendError) {
        let mut state = self.state.write();
        let (mut queued, mut in_flight) = self.pipe.empty();
        state.undo(&mut queued.changes);
        state.undo(&mut in_flight.changes);
        state.last_seq = self.head.lock().seq;
        drop(state);
        let result = Err(NotDurable {
            source: Arc::new(error),
        });
        queued.cell.complete(result.clone());
        in_flight.cell.complete(result);
    }
}

/// Commits that share one fsync.
#[derive(Default)]
pub(crate) struct Group {
    pub(crate) payloads: Vec<Vec<u8>>,
    pub(crate) changes: Vec<Change>,
    pub(crate) cell: Arc<Cell>,
}

#[derive(Default)]
struct Queue {
    queued: Group,
    /// The group that the writer writes; it holds the payloads itself.
    in_flight: Option<Group>,
    queued_bytes: usize,
    in_flight_bytes: usize,
    closing: bool,
    stopped: bool,
}

/// From commits to the writer. Bounded in bytes.
pub(crate) struct Pipe {
    queue: Mutex<Queue>,
    work: Condvar,
    room: Condvar,
    bytes_max: usize,
}

impl Pipe {
    pub(crate) fn new(bytes_max: usize) -> Self {
        Self {
            queue: Mutex::default(),
            work: Condvar::new(),
            room: Condvar::new(),
            bytes_max,
        }
    }

    /// Waits until more may be queued; false when the store is closed.
    pub(crate) fn wait_for_room(&self) -> bool {
        let mut queue = self.queue.lock();
        while !queue.closing
            && !queue.stopped
            && queue.queued_bytes + queue.in_flight_bytes >= self.bytes_max
        {
            self.room.wait(&mut queue);
        }
        !queue.closing && !queue.stopped
    }

    /// Queues what a commit decided; `None` when the writer has stopped. Called with the state locked, so that the order is the state's.
    pub(crate) fn push(
        &self,
        payloads: Vec<Vec<u8>>,
        changes: &mut Vec<Change>,
    ) -> Option<Arc<Cell>> {
        let mut queue = self.queue.lock();
        if queue.stopped {
            return None;
        }
        if payloads.is_empty() {
            let newest = if queue.queued.payloads.is_empty() {
                queue.in_flight.as_ref()
            } else {
                Some(&queue.queued)
            };
            return Some(newest.map_or_else(Cell::ready, |group| group.cell.clone()));
        }
        queue.queued_bytes += payloads.iter().map(Vec::len).sum::<usize>();
        queue.queued.payloads.extend(payloads);
        queue.queued.changes.append(changes);
        self.work.notify_one();
        Some(queue.queued.cell.clone())
    }

    /// Waits for a group and puts it in flight; `None` when the store closes and nothing waits.
    pub(crate) fn take_off(&self) -> Option<Vec<Vec<u8>>> {
        let mut queue = self.queue.lock();
        while queue.queued.payloads.is_empty() {
            if queue.closing {
                return None;
            }
            self.work.wait(&mut queue);
        }
        let mut group = std::mem::take(&mut queue.queued);
        let payloads = std::mem::take(&mut group.payloads);
        queue.in_flight_bytes = std::mem::take(&mut queue.queued_bytes);
        queue.in_flight = Some(group);
        Some(payloads)
    }

    /// Takes the group in flight out.
    fn land(&self) -> Option<Group> {
        let mut queue = self.queue.lock();
        queue.in_flight_bytes = 0;
        self.room.notify_all();
        queue.in_flight.take()
    }

    /// Takes everything out: what is queued, and what is in flight.
    fn empty(&self) -> (Group, Group) {
        let mut queue = self.queue.lock();
        (queue.queued_bytes, queue.in_flight_bytes) = (0, 0);
        self.room.notify_all();
        (
            std::mem::take(&mut queue.queued),
            queue.in_flight.take().unwrap_or_default(),
        )
    }

    /// No commit enters from now on; the writer ends when it has written what is queued.
    pub(crate) fn close(&self) {
        self.queue.lock().closing = true;
        self.work.notify_all();
        self.room.notify_all();
    }

    /// The writer is gone, in order or by a panic.
    pub(crate) fn stop(&self) {
        self.queue.lock().stopped = true;
        self.room.notify_all();
    }
}

/// Durable changes that the index does not hold yet, in order; those of one group are one batch.
pub(crate) struct Pending {
    pub(crate) rows: HashMap<Key, Option<Row>>,
    pub(crate) applied: Applied,
    bytes: usize,
    since: Instant,
}

impl Pending {
    fn new(applied: Applied) -> Self {
        Self {
            rows: HashMap::new(),
            applied,
            bytes: 0,
            since: Instant::now(),
        }
    }
}

#[derive(Default)]
struct Waiting {
    groups: VecDeque<Pending>,
    /// Of the groups here and of the one that is being written.
    bytes: usize,
    failing: Option<IndexError>,
    closing: bool,
}

/// From the writer to the flusher. Bounded in bytes: `wait_for_room` is called before each commit.
pub(crate) struct Backlog {
    waiting: Mutex<Waiting>,
    changed: Condvar,
    bytes_max: usize,
    interval: Duration,
}

impl Backlog {
    pub(crate) fn new(options: &Options) -> Self {
        let (bytes_max, interval) = (options.lag_bytes_max, options.lag_interval);
        Self {
            waiting: Mutex::default(),
            changed: Condvar::new(),
            bytes_max,
            interval,
        }
    }

    /// Waits until the index has caught up far enough; an error if it cannot.
    pub(crate) fn wait_for_room(&self) -> Result<(), IndexError> {
        let mut waiting = self.waiting.lock();
        while waiting.bytes >= self.bytes_max {
            if let Some(error) = &waiting.failing {
                return Err(error.clone());
            }
            self.changed.wait(&mut waiting);
        }
        Ok(())
    }

    fn push(&self, changes: Vec<Change>, applied: Applied) {
        let mut waiting = self.waiting.lock();
        let waiting = &mut *waiting;
        let was_empty = waiting.groups.is_empty();
        if waiting
            .groups
            .back()
            .is_none_or(|last| last.rows.len() >= FLUSH_ROWS)
        {
            waiting.groups.push_back(Pending::new(applied));
        }
        let Some(last) = waiting.groups.back_mut() else {
            return;
        };
        last.applied = applied;
        for change in changes {
            let row_bytes = change.row.as_ref().map_or(0, |row| row.len());
            let bytes = change.key.len() + row_bytes + ROW_OVERHEAD_BYTES;
            if last.rows.insert(change.key, change.row).is_none() {
                last.bytes += bytes;
                waiting.bytes += bytes;
            }
        }
        if was_empty || waiting.bytes >= self.bytes_max / 2 {
            self.changed.notify_all();
        }
    }

    /// Waits until a batch is due: much memory is in use, or it has waited long enough, or the store closes. `None` at the end.
    pub(crate) fn take_due(&self) -> Option<Pending> {
        let mut waiting = self.waiting.lock();
        loop {
            let due = waiting
                .groups
                .front()
                .map(|group| group.since + self.interval);
            let is_due =
                waiting.bytes >= self.bytes_max / 2 || due.is_some_and(|due| due <= Instant::now());
            if waiting.closing || is_due {
                return waiting.groups.pop_front();
            }
            match due {
                Some(due) => drop(self.changed.wait_until(&mut waiting, due)),
                None => self.changed.wait(&mut waiting),
            }
        }
    }

    /// Nothing waits but what was taken last.
    pub(crate) fn is_empty(&self) -> bool {
        self.waiting.lock().groups.is_empty()
    }

    pub(crate) fn put_back(&self, pending: Pending, error: IndexError) {
        let mut waiting = self.waiting.lock();
        waiting.groups.push_front(pending);
        waiting.failing = Some(error);
        self.changed.notify_all();
    }

    pub(crate) fn written(&self, pending: &Pending) {
        self.waiting.lock().bytes -= pending.bytes;
        self.changed.notify_all();
    }

    /// The index works again, and holds everything up to `seq`.
    pub(crate) fn recovered(&self, seq: u64) {
        let mut waiting = self.waiting.lock();
        waiting.groups.retain(|group| group.applied.head.seq > seq);
        waiting.bytes = waiting.groups.iter().map(|group| group.bytes).sum();
        waiting.failing = None;
        self.changed.notify_all();
    }

    /// The index still fails. Waits a while before the next try; false when the store closes.
    pub(crate) fn wait_to_retry(&self, error: IndexError, pause: Duration) -> bool {
        let mut waiting = self.waiting.lock();
        waiting.failing = Some(error);
        self.changed.notify_all();
        let until = Instant::now() + pause;
        while !waiting.closing && !self.changed.wait_until(&mut waiting, until).timed_out() {}
        !waiting.closing
    }

    /// The flusher is gone, in order or by a panic: nobody waits for it.
    pub(crate) fn stop(&self) {
        self.waiting.lock().failing = Some(IndexError::Unavailable);
        self.changed.notify_all();
    }

    pub(crate) fn close(&self) {
        self.waiting.lock().closing = true;
        self.changed.notify_all();
    }
}
