//! The journal's entries, to read: for audits, exports and proofs.

use parking_lot::Mutex;

use crate::limits::READERS_RESTING_MAX;
use crate::log::{Entry, Segments, Walk, WalkError};

/// Entries in order, each verified. Ends after the last that was durable when the iterator was made, or after an error.
pub struct Entries {
    walk: Option<Walk>,
    from: u64,
    until: u64,
}

impl Entries {
    pub(crate) fn new(segments: &Segments, from: u64, until: u64) -> Self {
        let walk = segments
            .holding(from)
            .filter(|_| from <= until)
            .map(|segment| Walk::new(segments.clone(), &segment));
        Self { walk, from, until }
    }
}

/// Walks that have read a page and rest where it ended, so that who reads the next page does not begin at the start of its file.
#[derive(Default)]
pub(crate) struct Resting(Mutex<Vec<Walk>>);

impl Resting {
    /// The entries after `after` up to `until`: at most `entries_max`, and none more once they have `bytes_max` octets.
    pub(crate) fn page(
        &self,
        segments: &Segments,
        (after, until): (u64, u64),
        entries_max: usize,
        bytes_max: usize,
    ) -> Result<Vec<Entry>, WalkError> {
        let mut entries = Entries::new(segments, after + 1, until);
        let mut resting = self.0.lock();
        if let Some(at) = resting.iter().position(|walk| walk.head().seq == after) {
            entries.walk = Some(resting.remove(at));
        }
        drop(resting);
        let (mut page, mut bytes) = (Vec::new(), 0);
        while page.len() < entries_max && bytes < bytes_max {
            let Some(entry) = entries.next().transpose()? else {
                break;
            };
            bytes += entry.payload.len();
            page.push(entry);
        }
        if let Some(mut walk) = entries.walk {
            walk.rest();
            let mut resting = self.0.lock();
            resting.insert(0, walk);
            resting.truncate(READERS_RESTING_MAX);
        }
        Ok(page)
    }
}

impl Iterator for Entries {
    type Item = Result<Entry, WalkError>;

    fn next(&mut self) -> Option<Self::Item> {
        loop {
            let walk = self
                .walk
                .as_mut()
                .filter(|walk| walk.head().seq < self.until)?;
            let found = match walk.next() {
                Ok(Some(entry)) if entry.head.seq < self.from => continue,
                Ok(Some(entry)) => {
                    let (head, payload) = (entry.head, entry.payload.to_vec());
                    return Some(Ok(Entry {
                        seq: head.seq,
                        hash: head.hash,
                        payload,
                    }));
                }
                Ok(None) => None,
                Err(error) => Some(error),
            };
            let walk = self.walk.take()?;
            let ended = || WalkError::Broken(walk.broken("the entry cannot be read"));
            return Some(Err(found.unwrap_or_else(ended)));
        }
    }
}
