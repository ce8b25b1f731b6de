//! How rows and events are laid out: a version, then fields in a fixed order; integers little-endian.
//!
//! Rows that every settlement reads and writes are laid out by hand; all others are encoded by the protocol's codec.

use madang_protocol::codec;
use serde::{Serialize, de::DeserializeOwned};

use super::{
    table::Table,
    view::{Fault, Row},
};

/// The version of every row so far.
const VERSION: u8 = 1;
/// Octets of the largest row that the codec reads.
const ROW_BYTES_MAX: usize = 1 << 20;

/// A row of `value`.
pub(super) fn row<T: Serialize>(value: &T) -> Row {
    let mut octets = vec![VERSION];
    octets.extend_from_slice(&codec::encode(value));
    octets.into()
}

/// The value of a row of `table`.
pub(super) fn value<T: Serialize + DeserializeOwned>(
    table: Table,
    octets: &[u8],
) -> Result<T, Fault> {
    match octets.split_first() {
        Some((&VERSION, rest)) => {
            codec::decode(rest, ROW_BYTES_MAX).map_err(|_| Fault::Unreadable(table))
        }
        _ => Err(Fault::Unreadable(table)),
    }
}
