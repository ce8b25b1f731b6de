//! Finds the end of the log when a store is opened, and decides what lies beyond it. Changes nothing.
//!
//! After the last good entry there may be: nothing; a write that a crash cut short, which was never acknowledged and is dropped;
//! or damage, which stops the start. It is damage when the head mark or the index reached further, when a later segment exists,
//! or when any later entry says that the log was already durable beyond this point.

use std::io;
use std::path::Path;
use std::sync::Arc;

use super::entry::{self, Head, Position};
use super::head::{self, HeadMark};
use super::segment::{self, SEGMENT_HEADER_BYTES, Segment, Segments};
use super::walk::{Broken, Walk, WalkError};
use crate::disk::{Disk, DiskFile};
use crate::limits::READ_BYTES;

/// What a log holds.
pub(crate) struct Found {
    pub(crate) segments: Segments,
    pub(crate) end: Position,
    pub(crate) head: Head,
    /// Bytes after the end that a crash left; they are to be cut off.
    pub(crate) torn_bytes: u64,
    /// A last segment whose header a crash cut short; it is to be removed.
    pub(crate) torn_segment: Option<u64>,
    pub(crate) head_mark: HeadMark,
}

/// Why the end cannot be found.
#[derive(Debug, thiserror::Error)]
pub enum ScanError {
    /// The chain does not hold, or it ends before what was acknowledged.
    #[error("the journal is damaged: {0}")]
    Broken(#[from] Broken),
    /// An entry that the index or the head mark names has another hash in the journal.
    #[error(
        "entry {seq} of the journal is not the one that the {witness} was made from: was the journal replaced?"
    )]
    Replaced {
        /// Sequence of the entry.
        seq: u64,
        /// Who remembers it differently.
        witness: &'static str,
    },
    /// A file cannot be read.
    #[error("read the journal")]
    Io(#[from] io::Error),
}

impl From<WalkError> for ScanError {
    fn from(error: WalkError) -> Self {
        match error {
            WalkError::Broken(broken) => Self::Broken(broken),
            WalkError::Io(error) => Self::Io(error),
        }
    }
}

/// Walks the end of the log, from the earliest entry that the index or the head mark names, or all of it.
///
/// `applied` is the last entry in a sound index, if there is one.
pub(crate) fn find_end(
    disk: &Arc<dyn Disk>,
    dir: &Path,
    applied: Option<Head>,
    whole: bool,
) -> Result<Found, ScanError> {
    let (head_mark, marked) = head::read(&**disk, dir)?;
    let headers = read_headers(&**disk, dir)?;
    let segments = Segments::new(disk.clone(), dir.to_path_buf(), headers.sound);
    let witnesses = [
        ("index", applied.unwrap_or_default()),
        ("head mark", marked),
    ];
    let required = witnesses
        .iter()
        .map(|(_, head)| head.seq)
        .max()
        .unwrap_or_default();

    let Some(mut walk) = start(&segments, &witnesses, whole) else {
        let first = segment::path(dir, 1);
        if required > 0 || headers.torn.is_some_and(|number| number != 1) {
            return Err(Broken {
                file: first,
                offset: 0,
                seq: 1,
                what: "the file is missing or its header is damaged",
            }
            .into());
        }
        if let Some(number) = headers.torn {
            refuse_if_acknowledged_later(&*segments.open(number)?, 0, 0, || {
                broken_at(&segments, number, 0, 1)
            })?;
        }
        let end = Position::default();
        return Ok(Found {
            segments,
            end,
            head: Head::default(),
            torn_bytes: 0,
            torn_segment: headers.torn,
            head_mark,
        });
    };
    walk_to_end(&mut walk, &witnesses)?;
    let (end, head) = (walk.position(), walk.head());
    if head.seq < required {
        return Err(walk
            .broken("the journal ends before what was acknowledged")
            .into());
    }
    let file = segments.open(end.segment)?;
    let broken =
        || walk.broken("the entry cannot be read, but a later one shows that it was acknowledged");
    let torn_bytes = refuse_if_acknowledged_later(&*file, end.offset, head.seq, broken)?;
    if let Some(number) = headers.torn {
        refuse_if_acknowledged_later(&*segments.open(number)?, 0, head.seq, || {
            broken_at(&segments, number, 0, head.seq + 1)
        })?;
    }
    Ok(Found {
        segments: segments.clone(),
        end,
        head,
        torn_bytes,
        torn_segment: headers.torn,
        head_mark,
    })
}

struct Headers {
    sound: Vec<Segment>,
    /// The last segment, if its header cannot be read.
    torn: Option<u64>,
}

/// Reads the header of every segment. Only the last may be unreadable: a crash while it was made.
fn read_headers(disk: &dyn Disk, dir: &Path) -> Result<Headers, ScanError> {
    let numbers = segment::numbers(disk, dir)?;
    let mut headers = Headers {
        sound: Vec::with_capacity(numbers.len()),
        torn: None,
    };
    for (index, number) in numbers.iter().enumerate() {
        let file = segment::path(dir, *number);
        let seq = headers
            .sound
            .last()
            .map_or(1, |segment| segment.before.seq + 1);
        let broken = |what| Broken {
            file: file.clone(),
            offset: 0,
            seq,
            what,
        };
        if *number != index as u64 + 1 {
            return Err(broken("a file before this one is missing").into());
        }
        let mut bytes = [0; SEGMENT_HEADER_BYTES];
        disk.open(&file, false)?.read_full_at(&mut bytes, 0)?;
        match segment::decode(&bytes).filter(|segment| segment.number == *number) {
            Some(segment) if segment.before.seq + 1 < seq => {
                return Err(broken("the file does not follow from the one before").into());
            }
            Some(segment) => headers.sound.push(segment),
            None if index + 1 == numbers.len() => headers.torn = Some(*number),
            None => return Err(broken("the header of the file is damaged").into()),
        }
    }
    if headers
        .sound
        .first()
        .is_some_and(|first| first.before != Head::default())
    {
        let file = segment::path(dir, 1);
        return Err(Broken {
            file,
            offset: 0,
            seq: 1,
            what: "the first file does not begin the chain",
        }
        .into());
    }
    Ok(headers)
}

/// The walk begins with the segment of the earliest witness, or with the last one if that is earlier.
fn start(segments: &Segments, witnesses: &[(&'static str, Head)], whole: bool) -> Option<Walk> {
    let earliest = witnesses
        .iter()
        .map(|(_, head)| head.seq)
        .filter(|seq| *seq > 0)
        .min();
    let seq = if whole {
        0
    } else {
        earliest.unwrap_or(u64::MAX)
    };
    segments
        .holding(seq)
        .map(|segment| Walk::new(segments.clone(), &segment))
}

fn walk_to_end(walk: &mut Walk, witnesses: &[(&'static str, Head)]) -> Result<(), ScanError> {
    while let Some(entry) = walk.next()? {
        for (witness, head) in witnesses {
            if head.seq == entry.head.seq && head.hash != entry.head.hash {
                return Err(ScanError::Replaced {
                    seq: head.seq,
                    witness,
                });
            }
        }
    }
    Ok(())
}

/// Counts the bytes from `offset` on that are not zero padding, and refuses them if they hold an entry after `seq` which
/// says that the log was durable beyond `seq`.
fn refuse_if_acknowledged_later(
    file: &dyn DiskFile,
    offset: u64,
    seq: u64,
    broken: impl Fn() -> Broken,
) -> Result<u64, ScanError> {
    let mut window = vec![0; READ_BYTES + entry::HEADER_BYTES];
    let (mut at, mut torn_bytes) = (offset, 0);
    loop {
        let got = file.read_full_at(&mut window, at)?;
        let bytes = window.get(..got).unwrap_or_default();
        if let Some(last) = bytes.iter().rposition(|byte| *byte != 0) {
            torn_bytes = at + last as u64 + 1 - offset;
            for start in 0..got.min(READ_BYTES) {
                let candidate = bytes.get(start..).unwrap_or_default();
                if entry::looks_like_entry_after(candidate, seq)
                    && durable_at(file, at + start as u64)? > seq
                {
                    return Err(broken().into());
                }
            }
        }
        if got < window.len() {
            return Ok(torn_bytes);
        }
        at += READ_BYTES as u64;
    }
}

/// How far the entry at `offset` says the log was durable; 0 if there is no good entry.
fn durable_at(file: &dyn DiskFile, offset: u64) -> io::Result<u64> {
    let mut header = [0; entry::HEADER_BYTES];
    file.read_full_at(&mut header, offset)?;
    let Some(length) = entry::claimed_length(&header) else {
        return Ok(0);
    };
    let mut bytes = vec![0; length];
    let got = file.read_full_at(&mut bytes, offset)?;
    Ok(bytes
        .get(..got)
        .and_then(entry::decode)
        .map_or(0, |entry| entry.durable))
}

fn broken_at(segments: &Segments, number: u64, offset: u64, seq: u64) -> Broken {
    let file = segment::path(&segments.dir, number);
    Broken {
        file,
        offset,
        seq,
        what: "the header of the file is damaged",
    }
}
