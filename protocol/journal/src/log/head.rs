//! The head mark: a few bytes, rewritten in place after every group commit, that say how far acknowledgements went.
//!
//! It tells damage of the last acknowledged entry from a write that a crash cut short. It is not synced on every commit: after
//! a power failure it may be behind, never ahead, and the entries' own durable fields and the index then speak instead.

use std::io;
use std::path::{Path, PathBuf};

use super::entry::{Head, u32_at, u64_at};
use crate::disk::{Disk, DiskFile};

const MAGIC: &[u8; 8] = b"MDNGHEAD";
const BYTES: usize = 52;
const FILE: &str = "head";

/// What was found of the head mark when the store was opened.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum HeadMark {
    /// It was there and its checksum held.
    Sound,
    /// There was none; it was written anew.
    Missing,
    /// It could not be read; it was written anew.
    Damaged,
}

/// The open mark.
pub(crate) struct HeadFile {
    file: Box<dyn DiskFile>,
}

impl HeadFile {
    pub(crate) fn open(disk: &dyn Disk, dir: &Path) -> io::Result<Self> {
        Ok(Self {
            file: disk.open(&path(dir), true)?,
        })
    }

    pub(crate) fn write(&self, head: &Head) -> io::Result<()> {
        self.file.write_all_at(&encode(head), 0)
    }

    pub(crate) fn sync(&self) -> io::Result<()> {
        self.file.sync_data()
    }
}

/// Reads the mark without changing anything.
pub(crate) fn read(disk: &dyn Disk, dir: &Path) -> io::Result<(HeadMark, Head)> {
    let file = match disk.open(&path(dir), false) {
        Ok(file) => file,
        Err(error) if error.kind() == io::ErrorKind::NotFound => {
            return Ok((HeadMark::Missing, Head::default()));
        }
        Err(error) => return Err(error),
    };
    let mut bytes = [0; BYTES];
    let found = file.read_full_at(&mut bytes, 0)?;
    if found == 0 {
        return Ok((HeadMark::Missing, Head::default()));
    }
    Ok(
        decode(&bytes).map_or((HeadMark::Damaged, Head::default()), |head| {
            (HeadMark::Sound, head)
        }),
    )
}

fn path(dir: &Path) -> PathBuf {
    dir.join(FILE)
}

fn encode(head: &Head) -> [u8; BYTES] {
    let mut bytes = [0; BYTES];
    let (magic, rest) = bytes.split_at_mut(8);
    magic.copy_from_slice(MAGIC);
    let (seq, rest) = rest.split_at_mut(8);
    seq.copy_from_slice(&head.seq.to_le_bytes());
    let (hash, crc) = rest.split_at_mut(32);
    hash.copy_from_slice(&head.hash);
    crc.copy_from_slice(&[0; 4]);
    let sum = crc32fast::hash(bytes.get(..48).unwrap_or_default());
    if let Some(crc) = bytes.get_mut(48..) {
        crc.copy_from_slice(&sum.to_le_bytes());
    }
    bytes
}

fn decode(bytes: &[u8; BYTES]) -> Option<Head> {
    let sum = crc32fast::hash(bytes.get(..48)?);
    if bytes.get(..8)? != MAGIC || u32_at(bytes, 48)? != sum {
        return None;
    }
    Some(Head {
        seq: u64_at(bytes, 8)?,
        hash: bytes.get(16..48)?.try_into().ok()?,
    })
}
