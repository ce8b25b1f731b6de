//! The one encoding of everything that is signed or sent: bincode with fixed-width little-endian integers, bounded and canonical.
//!
//! A value has exactly one encoding. [`decode`] refuses what is too long, what is followed by anything, and what would encode differently.
//! Signed types hold fixed-width integers, arrays, vectors, strings, options and enums; no floats, no maps, no `usize`, no zero-sized elements.

use std::fmt;

use bincode::config::{Configuration, Fixint, Limit, LittleEndian};
use serde::{Serialize, de::DeserializeOwned};

use crate::limits::DECODE_CLAIM_MAX;

/// Why bytes are not a value.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum DecodeError {
    /// More octets than the type may have.
    TooLarge,
    /// The octets do not form a value of the type.
    Malformed,
    /// A value, and something behind it.
    Trailing,
    /// A value whose own encoding differs from these octets.
    NotCanonical,
}

impl fmt::Display for DecodeError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::TooLarge => "larger than its kind may be",
            Self::Malformed => "malformed",
            Self::Trailing => "followed by something else",
            Self::NotCanonical => "not in its canonical form",
        })
    }
}

impl std::error::Error for DecodeError {}

/// The canonical octets of `value`.
///
/// # Panics
/// When a type of ours breaks the rules above (a sequence of unknown length): a mistake in the type, never in its data.
pub fn encode<T: Serialize + ?Sized>(value: &T) -> Vec<u8> {
    bincode::serde::encode_to_vec(value, unlimited()).expect("a record's type has an encoding")
}

/// The value that `octets` encode, if they are its canonical encoding and at most `octets_max` long.
pub fn decode<T: Serialize + DeserializeOwned>(
    octets: &[u8],
    octets_max: usize,
) -> Result<T, DecodeError> {
    if octets.len() > octets_max {
        return Err(DecodeError::TooLarge);
    }
    let (value, consumed) = bincode::serde::decode_from_slice::<T, _>(octets, limited())
        .map_err(|_| DecodeError::Malformed)?;
    if consumed != octets.len() {
        return Err(DecodeError::Trailing);
    }
    if encode(&value) != octets {
        return Err(DecodeError::NotCanonical);
    }
    Ok(value)
}

fn limited() -> Configuration<LittleEndian, Fixint, Limit<DECODE_CLAIM_MAX>> {
    bincode::config::standard()
        .with_little_endian()
        .with_fixed_int_encoding()
        .with_limit::<DECODE_CLAIM_MAX>()
}

fn unlimited() -> Configuration<LittleEndian, Fixint> {
    bincode::config::standard()
        .with_little_endian()
        .with_fixed_int_encoding()
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn every_refusal_has_its_vector() {
        // A boolean is 00 or 01; an option's tag likewise.
        assert_eq!(decode::<bool>(&[2], 8), Err(DecodeError::Malformed));
        assert_eq!(
            decode::<Option<u8>>(&[2, 0], 8),
            Err(DecodeError::Malformed)
        );
        // Text of length 1 that is not UTF-8.
        assert_eq!(
            decode::<String>(&[1, 0, 0, 0, 0, 0, 0, 0, 0xff], 16),
            Err(DecodeError::Malformed)
        );
        // A vector that claims 2^64 − 1 elements, and one that claims more memory than any record may.
        assert_eq!(
            decode::<Vec<u64>>(&[0xff; 8], 16),
            Err(DecodeError::Malformed)
        );
        assert_eq!(
            decode::<Vec<u64>>(&[0, 0, 0, 0, 1, 0, 0, 0], 16),
            Err(DecodeError::Malformed)
        );
        assert_eq!(decode::<u16>(&[1, 0, 0], 8), Err(DecodeError::Trailing));
        assert_eq!(decode::<u64>(&[1; 8], 7), Err(DecodeError::TooLarge));
        assert_eq!(decode::<u64>(&[1; 7], 8), Err(DecodeError::Malformed));
    }

    #[test]
    fn what_would_encode_differently_is_refused() {
        // A set of two whose larger comes first: read all the same, and written otherwise. No record holds one; the check stands for what may come.
        let octets = [2, 0, 0, 0, 0, 0, 0, 0, 7, 5];
        assert_eq!(
            decode::<std::collections::BTreeSet<u8>>(&octets, 16),
            Err(DecodeError::NotCanonical)
        );
        assert_eq!(
            crate::reject::Reject::from(DecodeError::NotCanonical),
            crate::reject::Reject::RECORD_NOT_CANONICAL
        );
        assert_eq!(decode::<Vec<u8>>(&octets, 16), Ok(vec![7, 5]));
    }

    #[test]
    fn integers_are_fixed_width_little_endian() {
        assert_eq!(
            encode(&(5_u8, 250_u32, vec![7_u16])),
            [5, 250, 0, 0, 0, 1, 0, 0, 0, 0, 0, 0, 0, 7, 0]
        );
    }

    proptest! {
        #[test]
        fn any_octets_are_refused_or_are_the_encoding(octets in proptest::collection::vec(any::<u8>(), 0..64)) {
            if let Ok(value) = decode::<(u8, Option<u16>, Vec<(bool, String)>)>(&octets, 64) {
                prop_assert_eq!(encode(&value), octets);
            }
        }
    }
}
