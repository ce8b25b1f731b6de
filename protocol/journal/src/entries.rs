//! The journal's entries, to read: for audits, exports and proofs.

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
