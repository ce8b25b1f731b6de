//! A checksum over an index's files, written when it was closed whole. A start believes a sealed index without reading its rows.
//!
//! It finds faults, not attackers: the CRC-32 of each block of each file, and a hash over those, the files' names and lengths. Whatever changes a
//! file breaks the seal, and a broken or missing one costs the time in which all rows are read.

use std::fs::{self, File};
use std::io::{self, Write as _};
use std::os::unix::fs::FileExt as _;
use std::path::{Path, PathBuf};
use std::thread;

/// Seals the files below `dir`: `seal` is whole or not there.
pub(crate) fn put(dir: &Path, seal: &Path) -> io::Result<()> {
    let sum = checksum(dir)?;
    let draft = seal.with_extension("draft");
    let mut file = File::create(&draft)?;
    file.write_all(&FORM)?;
    file.write_all(&sum)?;
    file.sync_all()?;
    fs::rename(&draft, seal)
}

/// Breaks the seal, and says whether the files below `dir` are those that were sealed.
pub(crate) fn take(dir: &Path, seal: &Path) -> io::Result<bool> {
    let sealed = match fs::read(seal) {
        Ok(sealed) => sealed,
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(false),
        Err(error) => return Err(error),
    };
    fs::remove_file(seal)?;
    let Some(sum) = sealed.strip_prefix(&FORM) else {
        return Ok(false);
    };
    Ok(checksum(dir)? == sum)
}

const FORM: [u8; 8] = *b"sealed 1";
/// Octets under one CRC.
const BLOCK_BYTES: u64 = 1 << 20;
/// Beyond these a disk or the memory is what limits.
const THREADS_MAX: usize = 4;

/// A file below the folder.
struct Member {
    name: PathBuf,
    len: u64,
}

fn checksum(dir: &Path) -> io::Result<[u8; 32]> {
    let mut members = Vec::new();
    list(dir, Path::new(""), &mut members)?;
    members.sort_unstable_by(|a, b| a.name.cmp(&b.name));
    let mut hasher = blake3::Hasher::new();
    for member in &members {
        let name = member.name.as_os_str().as_encoded_bytes();
        hasher.update(&(name.len() as u64).to_le_bytes());
        hasher.update(name);
        hasher.update(&member.len.to_le_bytes());
        let file = File::open(dir.join(&member.name))?;
        for crc in crcs(&file, member.len)? {
            hasher.update(&crc.to_le_bytes());
        }
    }
    Ok(*hasher.finalize().as_bytes())
}

fn list(dir: &Path, below: &Path, members: &mut Vec<Member>) -> io::Result<()> {
    for entry in fs::read_dir(dir.join(below))? {
        let entry = entry?;
        let (name, metadata) = (below.join(entry.file_name()), entry.metadata()?);
        if metadata.is_dir() {
            list(dir, &name, members)?;
        } else {
            let len = metadata.len();
            members.push(Member { name, len });
        }
    }
    Ok(())
}

/// The CRC of each block, by as many threads as are worth their start.
fn crcs(file: &File, len: u64) -> io::Result<Vec<u32>> {
    let blocks = len.div_ceil(BLOCK_BYTES);
    let threads = thread::available_parallelism().map_or(1, |threads| threads.get());
    let threads = threads.min(THREADS_MAX) as u64;
    let share = blocks.div_ceil(threads).max(16);
    let parts: Vec<io::Result<Vec<u32>>> = thread::scope(|scope| {
        let part = |first: u64| {
            let last = blocks.min(first + share);
            scope.spawn(move || (first..last).map(|block| crc(file, len, block)).collect())
        };
        let parts = (0..blocks).step_by(share as usize).map(part);
        let parts: Vec<_> = parts.collect();
        let failed = || Err(io::Error::other("a thread of the checksum panicked"));
        let joined = parts.into_iter();
        joined
            .map(|part| part.join().unwrap_or_else(|_| failed()))
            .collect()
    });
    let mut crcs = Vec::new();
    for part in parts {
        crcs.extend(part?);
    }
    Ok(crcs)
}

fn crc(file: &File, len: u64, block: u64) -> io::Result<u32> {
    let from = block * BLOCK_BYTES;
    let mut left = (len - from).min(BLOCK_BYTES) as usize;
    let mut hasher = crc32fast::Hasher::new();
    let (mut at, mut buffer) = (from, [0; 64 << 10]);
    while left > 0 {
        let part = &mut buffer[..left.min(64 << 10)];
        file.read_exact_at(part, at)?;
        hasher.update(part);
        at += part.len() as u64;
        left -= part.len();
    }
    Ok(hasher.finalize())
}

#[cfg(test)]
mod tests {
    #![expect(clippy::unwrap_used, reason = "tests fail by panicking")]
    use super::*;

    fn sealed(bytes: usize) -> (tempfile::TempDir, PathBuf, PathBuf) {
        let home = tempfile::tempdir().unwrap();
        let (dir, seal) = (home.path().join("index"), home.path().join("index.seal"));
        fs::create_dir_all(dir.join("blobs")).unwrap();
        fs::write(dir.join("db"), vec![7; bytes]).unwrap();
        fs::write(dir.join("blobs").join("1"), b"blob").unwrap();
        put(&dir, &seal).unwrap();
        (home, dir, seal)
    }

    #[test]
    fn what_was_sealed_is_believed_once() {
        for bytes in [0, 1, 70_000, (1 << 20) + 1, 40 << 20] {
            let (_home, dir, seal) = sealed(bytes);
            assert!(take(&dir, &seal).unwrap());
            assert!(
                !take(&dir, &seal).unwrap(),
                "a seal breaks when it is looked at"
            );
        }
    }

    #[test]
    fn whatever_changes_breaks_the_seal() {
        type Change = fn(&Path, &Path);
        let changes: [Change; 7] = [
            |dir, _| {
                let mut db = fs::read(dir.join("db")).unwrap();
                db[2_000_000] ^= 1;
                fs::write(dir.join("db"), db).unwrap();
            },
            |dir, _| {
                File::options()
                    .write(true)
                    .open(dir.join("db"))
                    .unwrap()
                    .set_len(3 << 20)
                    .map(drop)
                    .unwrap()
            },
            |dir, _| fs::write(dir.join("snap.1"), b"").unwrap(),
            |dir, _| fs::remove_file(dir.join("blobs").join("1")).unwrap(),
            |dir, _| fs::rename(dir.join("blobs").join("1"), dir.join("blobs").join("2")).unwrap(),
            |_, seal| fs::write(seal, b"sealed 1").unwrap(),
            |_, seal| fs::write(seal, [0; 40]).unwrap(),
        ];
        for (at, change) in changes.iter().enumerate() {
            let (_home, dir, seal) = sealed((3 << 20) + 5);
            change(&dir, &seal);
            assert!(!take(&dir, &seal).unwrap(), "change {at}");
        }
    }
}
