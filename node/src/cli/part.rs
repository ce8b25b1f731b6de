//! The part of a download under way: one command writes it, for as long as that command runs.

use std::{
    fs::{File, OpenOptions},
    io,
    os::unix::fs::MetadataExt as _,
    path::Path,
};

use rustix::fs::{FlockOperation, flock};

/// Opens the part at `path`, or makes it, and locks it. `None` where another process has it.
///
/// # Errors
/// The file's.
pub(super) fn open(path: &Path) -> io::Result<Option<File>> {
    loop {
        let part = OpenOptions::new()
            .write(true)
            .create(true)
            .truncate(false)
            .open(path)?;
        match flock(&part, FlockOperation::NonBlockingLockExclusive) {
            Ok(()) => {}
            Err(rustix::io::Errno::WOULDBLOCK) => return Ok(None),
            Err(error) => return Err(error.into()),
        }
        // Whoever had it may just have given it its name: then this is the whole file, and no part.
        let is_still_there = match std::fs::metadata(path) {
            Ok(there) => (there.dev(), there.ino()) == identity(&part)?,
            Err(error) if error.kind() == io::ErrorKind::NotFound => false,
            Err(error) => return Err(error),
        };
        if is_still_there {
            return Ok(Some(part));
        }
    }
}

fn identity(file: &File) -> io::Result<(u64, u64)> {
    let metadata = file.metadata()?;
    Ok((metadata.dev(), metadata.ino()))
}

#[cfg(test)]
mod tests {
    #![expect(clippy::unwrap_used, reason = "a test fails by panicking")]

    use super::*;

    #[test]
    fn a_part_is_one_commands_until_that_ends() {
        let folder = tempfile::TempDir::new().unwrap();
        let path = folder.path().join("film.part");
        let first = open(&path).unwrap();
        assert!(first.is_some());
        assert!(open(&path).unwrap().is_none());
        std::fs::rename(&path, folder.path().join("film")).unwrap();
        let second = open(&path).unwrap();
        assert!(second.is_some(), "what has its name is no part any more");
        drop(second);
        assert!(open(&path).unwrap().is_some());
    }
}
