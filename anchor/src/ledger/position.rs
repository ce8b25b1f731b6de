//! How far a reader of events has come.
//!
//! Events stand in chains: a folder has one, a database one for each instance that writes and, as chain 0, what was copied from a folder. A chain is
//! written by one instance, one transaction after the other, so that of each chain a reader sees all links up to some number and no others. Entry
//! numbers have no such order: they are drawn in transactions that end in any order, and a lower one may be seen after a higher one. So a reader's
//! place is a link in each chain, not a number. What it reads next is, in every chain, the links after that one, and none can appear before it.
//!
//! A page is of one snapshot, and its events are in the order of their numbers. An event that was decided on the rows of another has the higher number
//! (it was drawn later), and no snapshot has it without the other. So whoever reads page after page meets each event once, after all on which it was
//! decided, and each chain in its own order. Two readers may meet events that have nothing to do with each other in different orders.

use std::collections::BTreeMap;

use madang_protocol::codec;
use serde::{Deserialize, Serialize};

use super::{event::Recorded, table::Table, view::Fault};

/// A chain's number. A folder's only one, and what a database was copied from, is 0.
pub type Chain = u16;

/// After which link of each chain reading goes on. The default is before everything.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(from = "Kept", into = "Kept")]
pub struct Position(BTreeMap<Chain, u64>);

/// An event, and where it stands.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Happened {
    /// Its number.
    pub entry: u64,
    /// In which chain.
    pub chain: Chain,
    /// As which link of it, from 1.
    pub link: u64,
    /// What happened.
    pub what: Recorded,
}

/// As it is kept in a row.
#[derive(Serialize, Deserialize)]
struct Kept(Vec<(Chain, u64)>);

impl Position {
    /// The last link that was read of a chain; 0 for none.
    pub fn of(&self, chain: Chain) -> u64 {
        self.0.get(&chain).copied().unwrap_or(0)
    }

    /// Goes past an event.
    pub fn pass(&mut self, happened: &Happened) {
        self.set(happened.chain, happened.link);
    }

    /// Every link of a chain up to this one was read.
    pub fn set(&mut self, chain: Chain, link: u64) {
        self.0.insert(chain, link);
    }

    /// The octets of a row.
    pub fn to_octets(&self) -> Vec<u8> {
        codec::encode(self)
    }

    /// Reads what [`Position::to_octets`] wrote.
    ///
    /// # Errors
    /// [`Fault::Unreadable`] of `table` for anything else.
    pub fn of_octets(table: Table, octets: &[u8]) -> Result<Self, Fault> {
        codec::decode(octets, POSITION_BYTES_MAX).map_err(|_| Fault::Unreadable(table))
    }
}

impl From<Position> for Kept {
    fn from(position: Position) -> Self {
        Self(position.0.into_iter().collect())
    }
}

impl From<Kept> for Position {
    fn from(kept: Kept) -> Self {
        Self(kept.0.into_iter().collect())
    }
}

/// Octets of a position over more instances than a database ever has.
const POSITION_BYTES_MAX: usize = 16 + 10 * (1 << 15);

#[cfg(test)]
#[expect(clippy::unwrap_used, reason = "a test fails by panicking")]
mod tests {
    use super::*;

    #[test]
    fn a_position_is_kept_and_read_again() {
        let mut position = Position::default();
        assert_eq!(position.of(3), 0);
        position.set(3, 9);
        position.set(0, 1 << 40);
        let octets = position.to_octets();
        let read = Position::of_octets(Table::Journal, &octets).unwrap();
        assert_eq!(read, position);
        assert_eq!((read.of(0), read.of(3), read.of(1)), (1 << 40, 9, 0));
        for end in 0..octets.len() {
            assert!(Position::of_octets(Table::Journal, &octets[..end]).is_err());
        }
    }
}
