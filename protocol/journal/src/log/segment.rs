//! One file of the log: a header that ties it to the file before, then entries, then zeros.
//!
//! | offset | bytes | what |
//! | --- | --- | --- |
//! | 0 | 8 | `MDNGLOG1` |
//! | 8 | 8 | number of the segment, from 1 |
//! | 16 | 8 | sequence of its first entry |
//! | 24 | 32 | hash of the entry before that |
//! | 56 | 4 | CRC-32 of the bytes before |
//! | 60 | 4 | zero |

use std::io;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use parking_lot::RwLock;

use super::entry::{Head, u32_at, u64_at};
use crate::disk::{Disk, DiskFile};

/// Bytes of a segment before its first entry.
pub(crate) const SEGMENT_HEADER_BYTES: usize = 64;
const MAGIC: &[u8; 8] = b"MDNGLOG1";

/// A segment whose header was verified: its number, and the head of the chain before its first entry.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Segment {
    pub(crate) number: u64,
    pub(crate) before: Head,
}

/// The list of segments, shared by the writer and by readers of entries.
#[derive(Clone)]
pub(crate) struct Segments {
    pub(crate) disk: Arc<dyn Disk>,
    pub(crate) dir: PathBuf,
    list: Arc<RwLock<Vec<Segment>>>,
}

impl Segments {
    pub(crate) fn new(disk: Arc<dyn Disk>, dir: PathBuf, list: Vec<Segment>) -> Self {
        Self {
            disk,
            dir,
            list: Arc::new(RwLock::new(list)),
        }
    }

    pub(crate) fn push(&self, segment: Segment) {
        self.list.write().push(segment);
    }

    /// The segment that holds the entry `seq`, or would hold it next.
    pub(crate) fn holding(&self, seq: u64) -> Option<Segment> {
        let list = self.list.read();
        let after = list.partition_point(|segment| segment.before.seq < seq);
        list.get(after.saturating_sub(1)).copied()
    }

    /// The segment with this number.
    pub(crate) fn numbered(&self, number: u64) -> Option<Segment> {
        self.list
            .read()
            .iter()
            .find(|segment| segment.number == number)
            .copied()
    }

    pub(crate) fn open(&self, number: u64) -> io::Result<Box<dyn DiskFile>> {
        self.disk.open(&path(&self.dir, number), false)
    }
}

pub(crate) fn path(dir: &Path, number: u64) -> PathBuf {
    dir.join(format!("journal-{number:08}.log"))
}

/// Numbers of the segments in a folder, in order.
pub(crate) fn numbers(disk: &dyn Disk, dir: &Path) -> io::Result<Vec<u64>> {
    let mut numbers: Vec<u64> = disk
        .list(dir)?
        .iter()
        .filter_map(|name| {
            name.strip_prefix("journal-")?
                .strip_suffix(".log")?
                .parse()
                .ok()
        })
        .collect();
    numbers.sort_unstable();
    Ok(numbers)
}

pub(crate) fn encode(segment: &Segment) -> [u8; SEGMENT_HEADER_BYTES] {
    let mut bytes = Vec::with_capacity(SEGMENT_HEADER_BYTES);
    bytes.extend_from_slice(MAGIC);
    bytes.extend_from_slice(&segment.number.to_le_bytes());
    bytes.extend_from_slice(&(segment.before.seq + 1).to_le_bytes());
    bytes.extend_from_slice(&segment.before.hash);
    bytes.extend_from_slice(&crc32fast::hash(&bytes).to_le_bytes());
    bytes.resize(SEGMENT_HEADER_BYTES, 0);
    bytes.try_into().unwrap_or([0; SEGMENT_HEADER_BYTES])
}

/// The header at the start of `bytes`; `None` when it is incomplete or altered.
pub(crate) fn decode(bytes: &[u8]) -> Option<Segment> {
    let sum = crc32fast::hash(bytes.get(..56)?);
    if bytes.get(..8)? != MAGIC || u32_at(bytes, 56)? != sum || u32_at(bytes, 60)? != 0 {
        return None;
    }
    let seq = u64_at(bytes, 16)?.checked_sub(1)?;
    Some(Segment {
        number: u64_at(bytes, 8)?,
        before: Head {
            seq,
            hash: bytes.get(24..56)?.try_into().ok()?,
        },
    })
}
