//! Says of most keys that are not in the index that they are not, without asking it: a Bloom filter that grows by layers.
//!
//! New rows are the common case of a journal (each receipt has one), and a look-up in sled costs as much as a write.

use std::hash::{BuildHasher, RandomState};
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};

use parking_lot::RwLock;

/// Bits for each key: 6 probes of 10 bits are wrong in one of a hundred.
const BITS_PER_KEY: u64 = 10;
const PROBES: u64 = 6;
const LAYER_KEYS_MIN: u64 = 1 << 15;

pub(crate) struct Filter {
    /// Whether every key of the index is in it.
    is_whole: AtomicBool,
    hasher: RandomState,
    layers: RwLock<Vec<Layer>>,
}

struct Layer {
    bits: Vec<AtomicU64>,
    keys: AtomicU64,
    keys_max: u64,
}

impl Filter {
    /// With room for twice so many keys before it grows.
    pub(crate) fn new(keys: u64) -> Self {
        let first = Layer::new(keys.saturating_mul(2).max(LAYER_KEYS_MIN));
        Self {
            is_whole: AtomicBool::new(true),
            hasher: RandomState::new(),
            layers: RwLock::new(vec![first]),
        }
    }

    /// As [`Filter::new`], for an index whose keys are told later. Until then any key may be there.
    pub(crate) fn not_whole(keys: u64) -> Self {
        Self {
            is_whole: AtomicBool::new(false),
            ..Self::new(keys)
        }
    }

    /// Every key of the index has been told.
    pub(crate) fn is_told_all(&self) {
        self.is_whole.store(true, Ordering::Release);
    }

    pub(crate) fn is_whole(&self) -> bool {
        self.is_whole.load(Ordering::Acquire)
    }

    pub(crate) fn insert(&self, key: &[u8]) {
        let hash = self.hasher.hash_one(key);
        let layers = self.layers.read();
        if layers.iter().any(|layer| layer.contains(hash)) {
            return;
        }
        let Some(last) = layers.last() else { return };
        last.insert(hash);
        let (keys, keys_max) = (last.keys.fetch_add(1, Ordering::Relaxed), last.keys_max);
        drop(layers);
        if keys >= keys_max {
            self.layers
                .write()
                .push(Layer::new(keys_max.saturating_mul(2)));
        }
    }

    /// False only if the key was never inserted.
    pub(crate) fn may_contain(&self, key: &[u8]) -> bool {
        if !self.is_whole() {
            return true;
        }
        let hash = self.hasher.hash_one(key);
        self.layers.read().iter().any(|layer| layer.contains(hash))
    }
}

impl Layer {
    fn new(keys_max: u64) -> Self {
        let words = keys_max
            .saturating_mul(BITS_PER_KEY)
            .div_ceil(64)
            .next_power_of_two();
        Self {
            bits: (0..words).map(|_| AtomicU64::new(0)).collect(),
            keys: AtomicU64::new(0),
            keys_max,
        }
    }

    fn insert(&self, hash: u64) {
        for (word, bit) in self.probes(hash) {
            word.fetch_or(bit, Ordering::Relaxed);
        }
    }

    fn contains(&self, hash: u64) -> bool {
        self.probes(hash)
            .all(|(word, bit)| word.load(Ordering::Relaxed) & bit != 0)
    }

    fn probes(&self, hash: u64) -> impl Iterator<Item = (&AtomicU64, u64)> {
        let step = (hash >> 32) | 1;
        let mask = self.bits.len() as u64 - 1;
        (0..PROBES).filter_map(move |n| {
            let at = hash.wrapping_add(n.wrapping_mul(step));
            Some((self.bits.get(((at >> 6) & mask) as usize)?, 1 << (at & 63)))
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_was_inserted_is_found_and_little_else() {
        let filter = Filter::new(0);
        let keys = 3 * LAYER_KEYS_MIN;
        (0..keys).for_each(|n| filter.insert(&n.to_be_bytes()));
        assert!((0..keys).all(|n| filter.may_contain(&n.to_be_bytes())));
        let wrong = (keys..2 * keys)
            .filter(|n| filter.may_contain(&n.to_be_bytes()))
            .count() as u64;
        assert!(wrong < keys / 20, "{wrong} of {keys}");
    }
}
