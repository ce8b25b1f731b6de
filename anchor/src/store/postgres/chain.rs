//! The hash chain over what one instance has written: each event names the hash of the one before. An instance writes one transaction at a time, so
//! that its chain has the order of its entries.

use madang_journal::Head;

use super::{error::PostgresError, link::Link};

/// The last link of an instance's chain.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct ChainHead {
    pub(super) shard: i16,
    /// Links so far.
    pub(super) link: i64,
    /// The last one's entry; 0 for none.
    pub(super) entry: i64,
    /// The last one's hash; zero for none.
    pub(super) hash: [u8; 32],
}

impl ChainHead {
    /// Where the chain of `shard` ends in the database.
    pub(super) fn read(link: &mut Link, shard: i16) -> Result<Self, PostgresError> {
        let last = link.query(
            "SELECT link, entry, hash FROM madang_events WHERE shard = $1 ORDER BY link DESC LIMIT 1",
            &[&shard],
        )?;
        let Some(row) = last.first() else {
            return Ok(Self {
                shard,
                link: 0,
                entry: 0,
                hash: [0; 32],
            });
        };
        let hash: &[u8] = row.try_get(2)?;
        Ok(Self {
            shard,
            link: row.try_get(0)?,
            entry: row.try_get(1)?,
            hash: hash.try_into().map_err(|_| PostgresError::Foreign)?,
        })
    }

    /// The head after one more event.
    pub(super) fn then(&self, entry: i64, payload: &[u8]) -> Self {
        let link = self.link + 1;
        if self.shard == COPIED {
            return self.then_copied(link, payload);
        }
        let mut hasher = blake3::Hasher::new();
        hasher.update(&self.shard.to_be_bytes());
        hasher.update(&link.to_be_bytes());
        hasher.update(&entry.to_be_bytes());
        hasher.update(&self.hash);
        hasher.update(payload);
        Self {
            shard: self.shard,
            link,
            entry,
            hash: *hasher.finalize().as_bytes(),
        }
    }

    /// A folder's chain goes on as it was: entry by entry, with its own hashes.
    fn then_copied(&self, link: i64, payload: &[u8]) -> Self {
        let before = Head {
            seq: self.link.cast_unsigned(),
            hash: self.hash,
        };
        Self {
            shard: COPIED,
            link,
            entry: link,
            hash: before.then(payload).hash,
        }
    }
}

/// The chain of what was copied from a folder. No instance writes it.
pub(super) const COPIED: i16 = 0;
