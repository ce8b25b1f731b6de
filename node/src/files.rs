//! Small files that are replaced whole: a reader, also one after a power cut, sees the old content or the new one and never a part.
//!
//! The new content goes to a temporary file beside the old one, is synced, and takes its name. One writer per file at a time is the caller's
//! business. Everything here is readable by its owner alone.

use std::{
    ffi::OsString,
    fs::{self, File, OpenOptions},
    io::{self, Read as _, Write as _},
    os::unix::fs::{OpenOptionsExt as _, PermissionsExt as _},
    path::{Path, PathBuf},
};

/// Only the owner reads and writes.
const MODE_PRIVATE: u32 = 0o600;

/// Puts `contents` in the place of whatever `path` held. Durable when it returns.
///
/// # Errors
/// Those of the file system; the old content is intact then.
pub fn replace(path: &Path, contents: &[u8]) -> io::Result<()> {
    let temporary = temporary_beside(path);
    let outcome = write_synced(&temporary, contents).and_then(|()| fs::rename(&temporary, path));
    if outcome.is_err() {
        // What could not be finished is of no use; the first error is the one to tell.
        let _ = fs::remove_file(&temporary);
    }
    outcome?;
    sync_parent(path)
}

/// The whole of a file of at most `bytes_max` octets; `None` if there is no such file.
///
/// # Errors
/// Those of the file system, and [`io::ErrorKind::FileTooLarge`].
pub fn read_bounded(path: &Path, bytes_max: usize) -> io::Result<Option<Vec<u8>>> {
    let file = match File::open(path) {
        Ok(file) => file,
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(None),
        Err(error) => return Err(error),
    };
    let mut contents = Vec::new();
    file.take(bytes_max as u64 + 1).read_to_end(&mut contents)?;
    if contents.len() > bytes_max {
        return Err(io::ErrorKind::FileTooLarge.into());
    }
    Ok(Some(contents))
}

fn write_synced(path: &Path, contents: &[u8]) -> io::Result<()> {
    let mut file = OpenOptions::new()
        .write(true)
        .create(true)
        .truncate(true)
        .mode(MODE_PRIVATE)
        .open(path)?;
    // One that a crash left behind may have been made under another mask.
    file.set_permissions(fs::Permissions::from_mode(MODE_PRIVATE))?;
    file.write_all(contents)?;
    file.sync_all()
}

/// A rename is durable once its folder is.
fn sync_parent(path: &Path) -> io::Result<()> {
    match path.parent() {
        Some(parent) if !parent.as_os_str().is_empty() => File::open(parent)?.sync_all(),
        _ => File::open(".")?.sync_all(),
    }
}

fn temporary_beside(path: &Path) -> PathBuf {
    let mut name = OsString::from(".");
    name.push(path.file_name().unwrap_or_default());
    name.push(".new");
    path.with_file_name(name)
}

#[cfg(test)]
mod tests {
    #![expect(clippy::unwrap_used, reason = "a test may stop at a surprise")]

    use super::*;

    #[test]
    fn a_torn_temporary_file_changes_nothing_and_does_not_stop_the_next_write() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("standing");
        replace(&path, b"old").unwrap();
        fs::write(temporary_beside(&path), b"new but to").unwrap();
        assert_eq!(read_bounded(&path, 100).unwrap().unwrap(), b"old");
        replace(&path, b"newer").unwrap();
        assert_eq!(read_bounded(&path, 100).unwrap().unwrap(), b"newer");
        assert!(!temporary_beside(&path).exists());
    }

    #[test]
    fn files_are_private_even_when_a_leftover_was_not() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("key");
        fs::write(temporary_beside(&path), b"").unwrap();
        fs::set_permissions(temporary_beside(&path), fs::Permissions::from_mode(0o644)).unwrap();
        replace(&path, b"secret").unwrap();
        let mode = fs::metadata(&path).unwrap().permissions().mode();
        assert_eq!(mode & 0o777, 0o600);
    }

    #[test]
    fn a_write_that_fails_leaves_the_old_content() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("state");
        replace(&path, b"old").unwrap();
        // A folder in the temporary file's place: it cannot be opened for writing.
        fs::create_dir(temporary_beside(&path)).unwrap();
        assert!(replace(&path, b"new").is_err());
        assert_eq!(read_bounded(&path, 100).unwrap().unwrap(), b"old");
    }

    #[test]
    fn a_missing_file_is_nothing_and_a_large_one_is_refused() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("state");
        assert_eq!(read_bounded(&path, 4).unwrap(), None);
        replace(&path, b"12345").unwrap();
        let error = read_bounded(&path, 4).unwrap_err();
        assert_eq!(error.kind(), io::ErrorKind::FileTooLarge);
    }
}
