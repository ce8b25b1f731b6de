//! Rows: a table's number and a key, and a value.

use std::ops::Bound;
use std::sync::Arc;

use crate::index::IndexError;
use crate::limits::{KEY_BYTES_MAX, TABLE_MAX, VALUE_BYTES_MAX};

/// A row's value. Cloning it copies a pointer.
pub type Row = Arc<[u8]>;

/// A table's number and a key, in one string, so that a table's rows stand together.
pub(crate) type Key = Arc<[u8]>;

/// The index's own row, after all others.
pub(crate) const META_KEY: &[u8] = &[TABLE_MAX + 1];

/// Why a row cannot be read or written.
#[derive(Debug, Clone, thiserror::Error)]
pub enum RowError {
    /// The key is longer than `limits::KEY_BYTES_MAX`.
    #[error("a key of {bytes} bytes is too long")]
    KeyTooLong {
        /// Its length.
        bytes: usize,
    },
    /// The value is longer than `limits::VALUE_BYTES_MAX`.
    #[error("a value of {bytes} bytes is too long")]
    ValueTooLong {
        /// Its length.
        bytes: usize,
    },
    /// The table is the index's own.
    #[error("table {table} is reserved")]
    TableReserved {
        /// Its number.
        table: u8,
    },
    /// The index cannot be read now. Nothing is lost: it is being made anew from the journal.
    #[error(transparent)]
    Index(#[from] IndexError),
}

/// A table's number and a key on the stack, for look-ups.
pub(crate) struct KeyBuf {
    bytes: [u8; KEY_BYTES_MAX + 1],
    len: usize,
}

impl KeyBuf {
    pub(crate) fn new(table: u8, key: &[u8]) -> Result<Self, RowError> {
        if table > TABLE_MAX {
            return Err(RowError::TableReserved { table });
        }
        let len = key.len() + 1;
        let mut bytes = [0; KEY_BYTES_MAX + 1];
        bytes[0] = table;
        bytes
            .get_mut(1..len)
            .ok_or(RowError::KeyTooLong { bytes: key.len() })?
            .copy_from_slice(key);
        Ok(Self { bytes, len })
    }

    pub(crate) fn as_slice(&self) -> &[u8] {
        self.bytes.get(..self.len).unwrap_or_default()
    }
}

pub(crate) fn check_value(value: &[u8]) -> Result<(), RowError> {
    if value.len() > VALUE_BYTES_MAX {
        return Err(RowError::ValueTooLong { bytes: value.len() });
    }
    Ok(())
}

/// The key of a row without its table.
pub(crate) fn without_table(key: &[u8]) -> &[u8] {
    key.get(1..).unwrap_or_default()
}

/// From and to.
pub(crate) type KeyRange = (Bound<Vec<u8>>, Bound<Vec<u8>>);

/// Bounds of a table's keys, as bounds of whole keys.
pub(crate) fn whole_bounds(
    table: u8,
    from: Bound<&[u8]>,
    to: Bound<&[u8]>,
) -> Result<KeyRange, RowError> {
    let whole = |key: &[u8]| KeyBuf::new(table, key).map(|key| key.as_slice().to_vec());
    let from = match from {
        Bound::Included(key) => Bound::Included(whole(key)?),
        Bound::Excluded(key) => Bound::Excluded(whole(key)?),
        Bound::Unbounded => Bound::Included(whole(&[])?),
    };
    let to = match to {
        Bound::Included(key) => Bound::Included(whole(key)?),
        Bound::Excluded(key) => Bound::Excluded(whole(key)?),
        Bound::Unbounded => Bound::Excluded(vec![table.saturating_add(1)]),
    };
    Ok((from, to))
}

/// The first key after all keys that begin with `prefix`, if there is one within the table.
pub(crate) fn after_prefix(prefix: &[u8]) -> Bound<Vec<u8>> {
    let mut end = prefix.to_vec();
    while let Some(last) = end.pop() {
        if last < u8::MAX {
            end.push(last + 1);
            return Bound::Excluded(end);
        }
    }
    Bound::Unbounded
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_prefix_ends_before_its_successor() {
        assert_eq!(after_prefix(b"ab"), Bound::Excluded(b"ac".to_vec()));
        assert_eq!(after_prefix(&[1, 255, 255]), Bound::Excluded(vec![2]));
        assert_eq!(after_prefix(&[255]), Bound::Unbounded);
        assert_eq!(after_prefix(&[]), Bound::Unbounded);
    }

    #[test]
    fn the_longest_key_fits_and_one_more_byte_does_not() {
        assert!(KeyBuf::new(0, &[7; KEY_BYTES_MAX]).is_ok());
        assert!(matches!(
            KeyBuf::new(0, &[7; KEY_BYTES_MAX + 1]),
            Err(RowError::KeyTooLong { bytes: 255 })
        ));
        assert!(matches!(
            KeyBuf::new(255, b""),
            Err(RowError::TableReserved { table: 255 })
        ));
    }
}
