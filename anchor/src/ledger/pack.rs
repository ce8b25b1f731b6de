//! How rows and events are laid out: a version, then fields in a fixed order; integers little-endian.
//!
//! What every settlement reads and writes is laid out by hand, by [`Packer`] and [`Unpacker`]; all else is encoded by the protocol's codec.

use madang_protocol::{amount::Amount, codec, time::UnixMillis};
use serde::{Serialize, de::DeserializeOwned};

use super::{
    table::Table,
    view::{Fault, Row},
};

/// The version of every row so far.
pub(super) const VERSION: u8 = 1;
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

/// Lays fields out one behind the other.
pub(super) struct Packer(Vec<u8>);

impl Packer {
    /// Begins with the version.
    pub(super) fn new(version: u8, capacity: usize) -> Self {
        let mut octets = Vec::with_capacity(capacity);
        octets.push(version);
        Self(octets)
    }

    pub(super) fn u8(&mut self, value: u8) {
        self.0.push(value);
    }

    pub(super) fn u16(&mut self, value: u16) {
        self.0.extend_from_slice(&value.to_le_bytes());
    }

    pub(super) fn u64(&mut self, value: u64) {
        self.0.extend_from_slice(&value.to_le_bytes());
    }

    pub(super) fn amount(&mut self, value: Amount) {
        self.u64(value.micros());
    }

    pub(super) fn time(&mut self, value: UnixMillis) {
        self.u64(value.0);
    }

    /// Octets of a length that the reader knows.
    pub(super) fn array(&mut self, octets: &[u8]) {
        self.0.extend_from_slice(octets);
    }

    /// Octets, with their number before them.
    pub(super) fn octets(&mut self, octets: &[u8]) {
        self.count(octets.len());
        self.0.extend_from_slice(octets);
    }

    /// How many follow.
    pub(super) fn count(&mut self, count: usize) {
        // Nothing here has 2^32 parts: the journal's payloads end at 4 MiB.
        let count = u32::try_from(count).unwrap_or(u32::MAX);
        self.0.extend_from_slice(&count.to_le_bytes());
    }

    pub(super) fn finish(self) -> Vec<u8> {
        self.0
    }
}

/// Reads what a [`Packer`] laid out. Refuses what is too short, too long or of another version.
pub(super) struct Unpacker<'a> {
    table: Table,
    rest: &'a [u8],
}

impl<'a> Unpacker<'a> {
    pub(super) fn new(table: Table, version: u8, octets: &'a [u8]) -> Result<Self, Fault> {
        match octets.split_first() {
            Some((found, rest)) if *found == version => Ok(Self { table, rest }),
            _ => Err(Fault::Unreadable(table)),
        }
    }

    pub(super) fn array<const N: usize>(&mut self) -> Result<[u8; N], Fault> {
        let (array, rest) = self.rest.split_first_chunk().ok_or_else(|| self.bad())?;
        self.rest = rest;
        Ok(*array)
    }

    pub(super) fn u8(&mut self) -> Result<u8, Fault> {
        Ok(u8::from_le_bytes(self.array()?))
    }

    pub(super) fn u16(&mut self) -> Result<u16, Fault> {
        Ok(u16::from_le_bytes(self.array()?))
    }

    pub(super) fn u64(&mut self) -> Result<u64, Fault> {
        Ok(u64::from_le_bytes(self.array()?))
    }

    pub(super) fn amount(&mut self) -> Result<Amount, Fault> {
        Ok(Amount::from_micros(self.u64()?))
    }

    pub(super) fn time(&mut self) -> Result<UnixMillis, Fault> {
        Ok(UnixMillis(self.u64()?))
    }

    pub(super) fn octets(&mut self) -> Result<&'a [u8], Fault> {
        let count = u32::from_le_bytes(self.array()?) as usize;
        let (octets, rest) = self
            .rest
            .split_at_checked(count)
            .ok_or_else(|| self.bad())?;
        self.rest = rest;
        Ok(octets)
    }

    /// As many of them as a count before them says; each takes at least one octet, so that a lie about the count costs no memory.
    pub(super) fn list<T>(
        &mut self,
        mut one: impl FnMut(&mut Self) -> Result<T, Fault>,
    ) -> Result<Vec<T>, Fault> {
        let count = u32::from_le_bytes(self.array()?) as usize;
        if count > self.rest.len() {
            return Err(self.bad());
        }
        (0..count).map(|_| one(self)).collect()
    }

    /// That nothing is left.
    pub(super) fn end(&self) -> Result<(), Fault> {
        if self.rest.is_empty() {
            Ok(())
        } else {
            Err(self.bad())
        }
    }

    /// What cannot be read.
    pub(super) fn bad(&self) -> Fault {
        Fault::Unreadable(self.table)
    }
}
