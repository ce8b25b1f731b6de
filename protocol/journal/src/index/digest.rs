//! A digest of all rows that does not depend on their order, so that each change updates it and a scan can check it.
//!
//! It finds faults, not attackers: each row's 128-bit hash is added, wrapping, to one sum.

/// Count and sum of the rows' hashes.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub(crate) struct Digest {
    pub(crate) rows: u64,
    pub(crate) sum: u128,
}

impl Digest {
    pub(crate) fn add(&mut self, key: &[u8], value: &[u8]) {
        self.rows = self.rows.wrapping_add(1);
        self.sum = self.sum.wrapping_add(hash(key, value));
    }

    /// Adds the rows of another digest.
    pub(crate) fn merge(&mut self, other: &Self) {
        self.rows = self.rows.wrapping_add(other.rows);
        self.sum = self.sum.wrapping_add(other.sum);
    }

    pub(crate) fn remove(&mut self, key: &[u8], value: &[u8]) {
        self.rows = self.rows.wrapping_sub(1);
        self.sum = self.sum.wrapping_sub(hash(key, value));
    }
}

fn hash(key: &[u8], value: &[u8]) -> u128 {
    let mut hasher = blake3::Hasher::new();
    hasher.update(&(key.len() as u64).to_le_bytes());
    hasher.update(key);
    hasher.update(value);
    let mut bytes = [0; 16];
    hasher.finalize_xof().fill(&mut bytes);
    u128::from_le_bytes(bytes)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn order_does_not_matter_and_a_removed_row_leaves_no_trace() {
        let (mut a, mut b) = (Digest::default(), Digest::default());
        a.add(b"k1", b"v1");
        a.add(b"k2", b"v2");
        b.add(b"k2", b"v2");
        b.add(b"k3", b"v3");
        b.add(b"k1", b"v1");
        b.remove(b"k3", b"v3");
        assert_eq!(a, b);
    }

    #[test]
    fn a_byte_moved_from_value_to_key_changes_it() {
        let (mut a, mut b) = (Digest::default(), Digest::default());
        a.add(b"k", b"1v");
        b.add(b"k1", b"v");
        assert_ne!(a, b);
    }
}
