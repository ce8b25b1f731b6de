//! Reads entries in order and checks each: checksum, sequence, hash of the one before. Crosses from segment to segment.
//!
//! Never changes a file.

use std::io;
use std::path::PathBuf;

use super::entry::{self, Head, Position};
use super::segment::{self, SEGMENT_HEADER_BYTES, Segment, Segments};
use crate::disk::DiskFile;
use crate::limits::READ_BYTES;

/// A place where the chain does not hold.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{} at offset {offset}, where entry {seq} belongs: {what}", file.display())]
pub struct Broken {
    /// The file.
    pub file: PathBuf,
    /// Offset in it, in bytes.
    pub offset: u64,
    /// Sequence of the entry that should be there.
    pub seq: u64,
    /// What is wrong.
    pub what: &'static str,
}

/// Why a walk failed.
#[derive(Debug, thiserror::Error)]
pub enum WalkError {
    /// The chain does not hold.
    #[error("the journal is damaged: {0}")]
    Broken(#[from] Broken),
    /// A file cannot be read.
    #[error("read the journal")]
    Io(#[from] io::Error),
}

/// Where reading stands: after the last good entry.
pub(crate) struct Walk {
    segments: Segments,
    at: Position,
    head: Head,
    window: Option<Window>,
}

impl Walk {
    /// Starts at the first entry of a segment.
    pub(crate) fn new(segments: Segments, from: &Segment) -> Self {
        let at = Position {
            segment: from.number,
            offset: SEGMENT_HEADER_BYTES as u64,
        };
        Self::after(segments, at, from.before)
    }

    /// Starts after the entry `head`, which ends at `at`.
    pub(crate) fn after(segments: Segments, at: Position, head: Head) -> Self {
        Self {
            segments,
            at,
            head,
            window: None,
        }
    }

    pub(crate) fn head(&self) -> Head {
        self.head
    }

    pub(crate) fn position(&self) -> Position {
        self.at
    }

    /// The next entry; `None` where the last segment has no further readable one.
    pub(crate) fn next(&mut self) -> Result<Option<Verified<'_>>, WalkError> {
        let (head, length) = loop {
            if let Some(found) = self.check_next()? {
                break found;
            }
            let Some(next) = self.segments.numbered(self.at.segment + 1) else {
                return Ok(None);
            };
            if next.before != self.head {
                return Err(self
                    .broken("the entry cannot be read, or the next file does not follow from it")
                    .into());
            }
            self.at = Position {
                segment: next.number,
                offset: SEGMENT_HEADER_BYTES as u64,
            };
            self.window = None;
        };
        let bytes = self
            .window
            .as_ref()
            .map(|window| window.held(self.at.offset))
            .unwrap_or_default();
        let payload = bytes.get(entry::HEADER_BYTES..length).unwrap_or_default();
        self.head = head;
        self.at.offset += length as u64;
        Ok(Some(Verified { head, payload }))
    }

    /// Lets go of the file and of what was read ahead: where the log ends, that may have been written over since.
    pub(crate) fn rest(&mut self) {
        self.window = None;
    }

    /// The error for the present position.
    pub(crate) fn broken(&self, what: &'static str) -> Broken {
        let file = segment::path(&self.segments.dir, self.at.segment);
        Broken {
            file,
            offset: self.at.offset,
            seq: self.head.seq + 1,
            what,
        }
    }

    /// Head and length of the entry that begins here, if it is good and follows from the last one.
    fn check_next(&mut self) -> io::Result<Option<(Head, usize)>> {
        let window = match &mut self.window {
            Some(window) => window,
            None => self
                .window
                .insert(Window::new(self.segments.open(self.at.segment)?)),
        };
        let header = window.load(self.at.offset, entry::HEADER_BYTES)?;
        let Some(length) = entry::claimed_length(header).filter(|length| *length != 0) else {
            return Ok(None);
        };
        let decoded = entry::decode(window.load(self.at.offset, length)?);
        let follows =
            decoded.filter(|entry| entry.seq == self.head.seq + 1 && entry.prev == self.head.hash);
        Ok(follows.map(|entry| {
            (
                Head {
                    seq: entry.seq,
                    hash: entry.hash,
                },
                entry.length,
            )
        }))
    }
}

/// An entry that is good and in its place.
pub(crate) struct Verified<'a> {
    pub(crate) head: Head,
    pub(crate) payload: &'a [u8],
}

struct Window {
    file: Box<dyn DiskFile>,
    bytes: Vec<u8>,
    start: u64,
}

impl Window {
    fn new(file: Box<dyn DiskFile>) -> Self {
        Self {
            file,
            bytes: Vec::new(),
            start: 0,
        }
    }

    /// The bytes from `offset`, at least `want` of them unless the file ends before.
    fn load(&mut self, offset: u64, want: usize) -> io::Result<&[u8]> {
        let end = self.start + self.bytes.len() as u64;
        if offset < self.start || offset + want as u64 > end {
            self.bytes.resize(want.max(READ_BYTES), 0);
            let got = self.file.read_full_at(&mut self.bytes, offset)?;
            self.bytes.truncate(got);
            self.start = offset;
        }
        Ok(self.held(offset))
    }

    /// What is in memory from `offset` on.
    fn held(&self, offset: u64) -> &[u8] {
        let skip = offset.saturating_sub(self.start) as usize;
        self.bytes.get(skip..).unwrap_or_default()
    }
}
