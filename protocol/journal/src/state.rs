//! The current rows: those changed since the index was last written, over a cache, over the index.
//!
//! A changed row stays in memory until the index holds that very value, so that what is read never depends on how far the index lags.
//! Each change returns what it replaced, so that a commit whose entry cannot be made durable is undone.

use std::collections::{BTreeSet, HashMap};
use std::ops::{Bound, ControlFlow};
use std::sync::Arc;

use parking_lot::Mutex;

use crate::cache::{Cache, Cached};
use crate::index::{Index, IndexError, Scan};
use crate::limits::{FILL_BYTES_MAX, FILLS_MAX};
use crate::row::{Key, Row};

/// A changed row.
#[derive(Debug, Clone)]
pub(crate) struct Slot {
    /// `None` for a deleted row.
    pub(crate) row: Option<Row>,
    /// The entry that changed it last.
    pub(crate) seq: u64,
    /// The commit that changed it last, and which of its changes this is.
    pub(crate) commit: u64,
    pub(crate) change: usize,
}

/// One row changed by one commit.
#[derive(Debug)]
pub(crate) struct Change {
    pub(crate) key: Key,
    pub(crate) row: Option<Row>,
    /// The slot before; `None` if the row was as the index has it.
    pub(crate) before: Option<Slot>,
}

pub(crate) struct State {
    changed: HashMap<Key, Slot>,
    /// Keys of `changed`, for range reads.
    order: BTreeSet<Key>,
    cache: Cache,
    /// Rows read while the state could not be changed; they enter the cache before the next change.
    fills: Mutex<Vec<(Key, Row)>>,
    /// `None` while the index is made anew.
    pub(crate) index: Option<Arc<Index>>,
    pub(crate) last_seq: u64,
    pub(crate) commits: u64,
}

impl State {
    pub(crate) fn new(index: Arc<Index>, cache_bytes: usize) -> Self {
        let last_seq = index.applied().head.seq;
        Self {
            changed: HashMap::new(),
            order: BTreeSet::new(),
            cache: Cache::new(cache_bytes),
            fills: Mutex::new(Vec::new()),
            index: Some(index),
            last_seq,
            commits: 0,
        }
    }

    pub(crate) fn get(&self, key: &[u8]) -> Result<Option<Row>, IndexError> {
        if let Some(slot) = self.changed.get(key) {
            return Ok(slot.row.clone());
        }
        match self.cache.get(key) {
            Cached::Young(row) => return Ok(Some(row.clone())),
            Cached::Old(row) => {
                self.fill(key, row);
                return Ok(Some(row.clone()));
            }
            Cached::Missing => {}
        }
        let row = self.index()?.get(key)?;
        if let Some(row) = &row {
            self.fill(key, row);
        }
        Ok(row)
    }

    /// Visits the rows of a range in order until `visit` breaks.
    pub(crate) fn scan(
        &self,
        scan: Scan<'_>,
        visit: &mut dyn FnMut(&[u8], &Row) -> ControlFlow<()>,
    ) -> Result<(), IndexError> {
        if is_empty(&scan) {
            return Ok(());
        }
        let mut changed = self.order.range::<[u8], _>((scan.from, scan.to));
        let mut step = || {
            if scan.backwards {
                changed.next_back()
            } else {
                changed.next()
            }
        };
        let mut next = step();
        let mut broken = false;
        let visit_changed =
            |key: &Key, visit: &mut dyn FnMut(&[u8], &Row) -> ControlFlow<()>| match self
                .changed
                .get(key)
                .and_then(|slot| slot.row.as_ref())
            {
                Some(row) => visit(key, row),
                None => ControlFlow::Continue(()),
            };
        self.index()?.scan(scan, &mut |key, value| {
            while let Some(first) = next.filter(|first| {
                if scan.backwards {
                    &first[..] > key
                } else {
                    &first[..] < key
                }
            }) {
                if visit_changed(first, visit).is_break() {
                    broken = true;
                    return ControlFlow::Break(());
                }
                next = step();
            }
            let flow = match next.filter(|first| first[..] == *key) {
                Some(first) => {
                    next = step();
                    visit_changed(first, visit)
                }
                None => visit(key, &Row::from(value)),
            };
            broken = flow.is_break();
            flow
        })?;
        while !broken && let Some(key) = next {
            broken = visit_changed(key, visit).is_break();
            next = step();
        }
        Ok(())
    }

    /// Lets what readers found enter the cache. Called before each change, since after it those rows would be stale.
    fn settle_fills(&mut self) {
        for (key, row) in self.fills.get_mut().drain(..) {
            self.cache.insert(key, row);
        }
    }

    /// Changes a row, and notes it in the commit's `changes`.
    pub(crate) fn set(&mut self, key: &[u8], row: Option<Row>, changes: &mut Vec<Change>) {
        self.settle_fills();
        let (seq, commit) = (self.last_seq + 1, self.commits);
        if let Some(shared) = self
            .changed
            .get_key_value(key)
            .map(|(shared, _)| shared.clone())
            && let Some(slot) = self.changed.get_mut(key)
        {
            if slot.commit == commit {
                if let Some(change) = changes.get_mut(slot.change) {
                    change.row.clone_from(&row);
                }
                (slot.row, slot.seq) = (row, seq);
                return;
            }
            let new = Slot {
                row: row.clone(),
                seq,
                commit,
                change: changes.len(),
            };
            changes.push(Change {
                key: shared,
                row,
                before: Some(std::mem::replace(slot, new)),
            });
            return;
        }
        let key: Key = Key::from(key);
        self.order.insert(key.clone());
        self.changed.insert(
            key.clone(),
            Slot {
                row: row.clone(),
                seq,
                commit,
                change: changes.len(),
            },
        );
        changes.push(Change {
            key,
            row,
            before: None,
        });
    }

    /// Undoes changes, the last first.
    pub(crate) fn undo(&mut self, changes: &mut Vec<Change>) {
        self.settle_fills();
        let applied = self
            .index
            .as_ref()
            .map_or(0, |index| index.applied().head.seq);
        while let Some(change) = changes.pop() {
            match change.before {
                Some(slot) if slot.seq > applied => {
                    self.changed.insert(change.key, slot);
                }
                // Meanwhile the index holds what was there before.
                Some(slot) => self.forget(&change.key, slot.row),
                None => {
                    self.changed.remove(&change.key);
                    self.order.remove(&change.key);
                }
            }
        }
    }

    /// Tells that the index holds these rows as of `seq`: those not changed since need no memory.
    pub(crate) fn settle<'a>(&mut self, keys: impl Iterator<Item = &'a Key>, seq: u64) {
        self.settle_fills();
        for key in keys {
            if self.changed.get(key).is_some_and(|slot| slot.seq <= seq) {
                let row = self.changed.get(key).and_then(|slot| slot.row.clone());
                self.forget(key, row);
            }
        }
    }

    /// As `settle`, for every row: used when the index was replaced.
    pub(crate) fn settle_all(&mut self, seq: u64) {
        let keys: Vec<Key> = self
            .changed
            .iter()
            .filter(|(_, slot)| slot.seq <= seq)
            .map(|(key, _)| key.clone())
            .collect();
        self.settle(keys.iter(), seq);
    }

    pub(crate) fn changed_rows(&self) -> usize {
        self.changed.len()
    }

    /// Keys of the changed rows, in order.
    pub(crate) fn changed_keys(&self) -> Vec<Key> {
        self.order.iter().cloned().collect()
    }

    fn forget(&mut self, key: &Key, row: Option<Row>) {
        self.changed.remove(key);
        self.order.remove(key);
        match row {
            Some(row) => self.cache.insert(key.clone(), row),
            None => self.cache.remove(key),
        }
    }

    fn index(&self) -> Result<&Index, IndexError> {
        self.index.as_deref().ok_or(IndexError::Unavailable)
    }

    fn fill(&self, key: &[u8], row: &Row) {
        let mut fills = self.fills.lock();
        if fills.len() < FILLS_MAX && row.len() <= FILL_BYTES_MAX {
            fills.push((Key::from(key), row.clone()));
        }
    }
}

/// Bounds that no key can satisfy, which the maps would refuse with a panic.
fn is_empty(scan: &Scan<'_>) -> bool {
    match (scan.from, scan.to) {
        (Bound::Included(from), Bound::Included(to)) => from > to,
        (Bound::Included(from) | Bound::Excluded(from), Bound::Excluded(to))
        | (Bound::Excluded(from), Bound::Included(to)) => from >= to,
        (Bound::Unbounded, _) | (_, Bound::Unbounded) => false,
    }
}
