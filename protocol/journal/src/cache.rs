//! Rows as they are in the index, kept in memory while they are used: two generations, the older dropped when the younger is full.

use std::collections::HashMap;

use crate::limits::ROW_OVERHEAD_BYTES;
use crate::row::{Key, Row};

pub(crate) struct Cache {
    young: HashMap<Key, Row>,
    old: HashMap<Key, Row>,
    young_bytes: usize,
    generation_bytes_max: usize,
}

/// What the cache knows of a row.
pub(crate) enum Cached<'a> {
    Young(&'a Row),
    /// To be inserted again, or it is dropped with its generation.
    Old(&'a Row),
    Missing,
}

impl Cache {
    pub(crate) fn new(bytes_max: usize) -> Self {
        Self {
            young: HashMap::new(),
            old: HashMap::new(),
            young_bytes: 0,
            generation_bytes_max: bytes_max / 2,
        }
    }

    pub(crate) fn get(&self, key: &[u8]) -> Cached<'_> {
        if let Some(row) = self.young.get(key) {
            return Cached::Young(row);
        }
        self.old.get(key).map_or(Cached::Missing, Cached::Old)
    }

    pub(crate) fn insert(&mut self, key: Key, row: Row) {
        self.young_bytes += key.len() + row.len() + ROW_OVERHEAD_BYTES;
        if let Some(before) = self.young.insert(key.clone(), row) {
            self.young_bytes -= key.len() + before.len() + ROW_OVERHEAD_BYTES;
        }
        if self.young_bytes > self.generation_bytes_max {
            self.old = std::mem::take(&mut self.young);
            self.young_bytes = 0;
        }
    }

    pub(crate) fn remove(&mut self, key: &[u8]) {
        if let Some((key, row)) = self.young.remove_entry(key) {
            self.young_bytes -= key.len() + row.len() + ROW_OVERHEAD_BYTES;
        }
        self.old.remove(key);
    }
}
