//! What must not be forgotten, on its way to disk.
//!
//! Events are in the node's rows at once and on disk a moment later. When the disk is full they wait here, bounded, and are written in their order
//! as soon as there is room; meanwhile nothing more is sold or bought.

use std::{collections::VecDeque, sync::Arc, time::Duration};

use madang_journal::Ticket;
use parking_lot::Mutex;
use tokio::sync::Notify;

use crate::store::{Event, NodeStore};

/// Groups of events that may wait: past this, nothing new is sold or bought.
const WAITING_MAX: usize = 256;
/// Between two tries on a disk that takes nothing.
const RETRY_AFTER: Duration = Duration::from_secs(1);

/// Writes events in their order, until each is on disk.
pub(super) struct Outbox {
    store: Arc<NodeStore>,
    waiting: Mutex<VecDeque<Waiting>>,
    news: Notify,
    done: Notify,
}

struct Waiting {
    events: Vec<Event>,
    /// `None` where they must be written again.
    ticket: Option<Ticket>,
}

impl Outbox {
    pub(super) fn new(store: Arc<NodeStore>) -> Self {
        Self {
            store,
            waiting: Mutex::default(),
            news: Notify::new(),
            done: Notify::new(),
        }
    }

    /// Writes `events`, after those that still wait.
    pub(super) fn put(&self, events: Vec<Event>) {
        if events.is_empty() {
            return;
        }
        let mut waiting = self.waiting.lock();
        let is_behind = waiting.iter().any(|one| one.ticket.is_none());
        let ticket = if is_behind {
            None
        } else {
            self.record(&events)
        };
        waiting.push_back(Waiting { events, ticket });
        drop(waiting);
        self.news.notify_one();
    }

    /// Whether the disk keeps up: nothing new is begun while it does not.
    pub(super) fn keeps_up(&self) -> bool {
        let waiting = self.waiting.lock();
        waiting.len() < WAITING_MAX && waiting.iter().all(|one| one.ticket.is_some())
    }

    /// Whether everything that was put is in the node's rows.
    pub(super) fn is_recorded(&self) -> bool {
        self.waiting.lock().iter().all(|one| one.ticket.is_some())
    }

    /// Waits until everything that was put before is on disk.
    pub(super) async fn flushed(&self) {
        loop {
            let done = self.done.notified();
            if self.waiting.lock().is_empty() {
                return;
            }
            done.await;
        }
    }

    /// Brings everything to disk, for as long as the node runs.
    pub(super) async fn run(&self) {
        loop {
            let front = self.waiting.lock().front().map(|one| one.ticket.clone());
            match front {
                None => {
                    self.done.notify_waiters();
                    self.news.notified().await;
                }
                Some(Some(ticket)) => {
                    let is_durable = ticket.await.is_ok();
                    self.finish(is_durable);
                    if !is_durable {
                        // Meanwhile whoever would buy is told so at once, and the log is not filled.
                        tokio::time::sleep(RETRY_AFTER).await;
                    }
                }
                Some(None) => {
                    self.write_again();
                    if !self.keeps_up() {
                        tokio::time::sleep(RETRY_AFTER).await;
                    }
                }
            }
        }
    }

    /// The first group is on disk; or none is, since a failed write undoes all that came after it.
    fn finish(&self, is_durable: bool) {
        let mut waiting = self.waiting.lock();
        if is_durable {
            waiting.pop_front();
            return;
        }
        tracing::error!(
            "the node's journal cannot be written; nothing is sold or bought until it can"
        );
        waiting.iter_mut().for_each(|one| one.ticket = None);
    }

    fn write_again(&self) {
        let mut waiting = self.waiting.lock();
        for one in waiting.iter_mut().filter(|one| one.ticket.is_none()) {
            one.ticket = self.record(&one.events);
            if one.ticket.is_none() {
                return;
            }
        }
    }

    fn record(&self, events: &[Event]) -> Option<Ticket> {
        match self.store.record(events) {
            Ok(ticket) => Some(ticket),
            Err(error) => {
                tracing::error!(
                    error = &error as &dyn std::error::Error,
                    "the node's journal takes nothing"
                );
                None
            }
        }
    }
}

#[cfg(test)]
mod tests;
