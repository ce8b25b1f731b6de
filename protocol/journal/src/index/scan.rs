//! Reads all rows of an index for their digest, from both ends at once: a start waits for this.

use std::ops::{Bound, ControlFlow};

use parking_lot::Mutex;

use super::digest::Digest;
use super::engine::{Engine, IndexError, Scan};
use super::filter::Filter;
use crate::row::META_KEY;

/// Rows that one end reads before it looks how far the other has come.
const CHUNK_ROWS: u64 = 2_048;

/// The rows that neither end has counted, and the digest of the others.
struct Middle {
    from: Bound<Vec<u8>>,
    to: Bound<Vec<u8>>,
    is_empty: bool,
    digest: Digest,
}

/// The digest of all rows but the index's own; their keys enter the filter.
pub(crate) fn digest(
    engine: &dyn Engine,
    filter: &Filter,
    two_threads: bool,
) -> Result<Digest, IndexError> {
    let middle = Mutex::new(Middle {
        from: Bound::Unbounded,
        to: Bound::Excluded(META_KEY.to_vec()),
        is_empty: false,
        digest: Digest::default(),
    });
    std::thread::scope(|scope| {
        let other = two_threads.then(|| scope.spawn(|| count_from(engine, filter, &middle, true)));
        let this = count_from(engine, filter, &middle, false);
        let other = other.map_or(Ok(Ok(())), |thread| thread.join());
        this.and(other.unwrap_or(Err(IndexError::Panicked)))
    })?;
    Ok(middle.into_inner().digest)
}

/// Counts chunks from one end until nothing is left. A chunk that the other end has reached meanwhile is read again, as far as it is left.
fn count_from(
    engine: &dyn Engine,
    filter: &Filter,
    middle: &Mutex<Middle>,
    backwards: bool,
) -> Result<(), IndexError> {
    loop {
        let (from, to) = {
            let middle = middle.lock();
            if middle.is_empty {
                return Ok(());
            }
            (middle.from.clone(), middle.to.clone())
        };
        let mut chunk = Digest::default();
        let mut last = Vec::new();
        let scan = Scan {
            from: from.as_ref().map(Vec::as_slice),
            to: to.as_ref().map(Vec::as_slice),
            backwards,
        };
        engine.scan(scan, &mut |key, value| {
            chunk.add(key, value);
            filter.insert(key);
            if chunk.rows < CHUNK_ROWS {
                return ControlFlow::Continue(());
            }
            last = key.to_vec();
            ControlFlow::Break(())
        })?;
        middle.lock().take(chunk, last, (&from, &to), backwards);
    }
}

impl Middle {
    /// Adds a chunk that was read between `from` and `to` up to `last`, or to the other end if `last` is empty.
    fn take(
        &mut self,
        chunk: Digest,
        last: Vec<u8>,
        read: (&Bound<Vec<u8>>, &Bound<Vec<u8>>),
        backwards: bool,
    ) {
        let is_whole = last.is_empty();
        let other_end_moved = if backwards {
            *read.0 != self.from
        } else {
            *read.1 != self.to
        };
        let is_left = match (is_whole, backwards) {
            (true, _) => !other_end_moved,
            (false, true) => is_above(&last, &self.from),
            (false, false) => is_below(&last, &self.to),
        };
        if self.is_empty || !is_left {
            return;
        }
        self.digest.merge(&chunk);
        match (is_whole, backwards) {
            (true, _) => self.is_empty = true,
            (false, true) => self.to = Bound::Excluded(last),
            (false, false) => self.from = Bound::Excluded(last),
        }
    }
}

fn is_above(key: &[u8], from: &Bound<Vec<u8>>) -> bool {
    match from {
        Bound::Included(from) => key >= from.as_slice(),
        Bound::Excluded(from) => key > from.as_slice(),
        Bound::Unbounded => true,
    }
}

fn is_below(key: &[u8], to: &Bound<Vec<u8>>) -> bool {
    match to {
        Bound::Included(to) => key <= to.as_slice(),
        Bound::Excluded(to) => key < to.as_slice(),
        Bound::Unbounded => true,
    }
}

#[cfg(test)]
mod tests {
    #![expect(clippy::unwrap_used, reason = "tests fail by panicking")]
    use std::collections::BTreeMap;

    use super::super::engine::Visit;
    use super::*;
    use crate::row::{Key, Row};

    struct Memory(BTreeMap<Vec<u8>, Vec<u8>>);

    impl Engine for Memory {
        fn get(&self, key: &[u8]) -> Result<Option<Row>, IndexError> {
            Ok(self.0.get(key).map(|row| Row::from(row.as_slice())))
        }

        fn scan(&self, scan: Scan<'_>, visit: Visit<'_>) -> Result<(), IndexError> {
            let mut rows = self.0.range::<[u8], _>((scan.from, scan.to));
            while let Some((key, row)) = if scan.backwards {
                rows.next_back()
            } else {
                rows.next()
            } {
                if visit(key, row).is_break() {
                    break;
                }
            }
            Ok(())
        }

        fn write(&self, _: &[(&Key, Option<&Row>)], _: (&[u8], &[u8])) -> Result<(), IndexError> {
            Err(IndexError::Unavailable)
        }

        fn flush(&self) -> Result<(), IndexError> {
            Ok(())
        }
    }

    #[test]
    fn both_ends_together_count_each_row_once() {
        for rows in [
            0,
            1,
            CHUNK_ROWS - 1,
            CHUNK_ROWS,
            CHUNK_ROWS + 1,
            7 * CHUNK_ROWS,
            20 * CHUNK_ROWS + 5,
        ] {
            let engine = Memory(
                (0..rows)
                    .map(|n| (n.to_be_bytes().to_vec(), vec![n as u8; 3]))
                    .collect(),
            );
            let mut expected = Digest::default();
            engine
                .0
                .iter()
                .for_each(|(key, row)| expected.add(key, row));
            for two_threads in [false, true, true, true, true, true, true, true] {
                let filter = Filter::new(rows);
                assert_eq!(
                    digest(&engine, &filter, two_threads).unwrap(),
                    expected,
                    "{rows} rows"
                );
                assert!(engine.0.keys().all(|key| filter.may_contain(key)));
            }
        }
    }
}
