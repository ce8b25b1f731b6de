//! Where wrapped data keys are: apart from journal and rows, one for each account, and deletable.

use std::{
    fs, io,
    os::unix::fs::DirBuilderExt as _,
    path::{Path, PathBuf},
};

use data_encoding::HEXLOWER;
use parking_lot::Mutex;

use super::keep::VaultError;
use crate::home;

/// Names a wrapped key: an account's identifier, or [`CHECK`].
pub type RoomKey = [u8; 16];

/// Names the value by which the right key is known. No account is named so.
pub const CHECK: RoomKey = [0; 16];

/// What is shown each wrapped key, with its name.
pub type Look<'a> = dyn FnMut(&RoomKey, &[u8]) -> Result<(), VaultError> + 'a;

/// A small store of wrapped keys. What returns is durable.
pub trait Room: Send + Sync {
    /// The wrapped key of this name, if there is one.
    ///
    /// # Errors
    /// [`VaultError`] where it cannot be read.
    fn get(&self, name: &RoomKey) -> Result<Option<Vec<u8>>, VaultError>;

    /// Keeps `wrapped`, unless one of this name is there. Gives the one that is there now.
    ///
    /// # Errors
    /// [`VaultError`] where it cannot be written.
    fn keep(&self, name: &RoomKey, wrapped: &[u8]) -> Result<Vec<u8>, VaultError>;

    /// Deletes the one of this name, if it is there.
    ///
    /// # Errors
    /// [`VaultError`] where it cannot be deleted.
    fn delete(&self, name: &RoomKey) -> Result<(), VaultError>;

    /// Shows every wrapped key to `look`.
    ///
    /// # Errors
    /// [`VaultError`] where they cannot be read, and what `look` returns.
    fn each(&self, look: &mut Look<'_>) -> Result<(), VaultError>;
}

/// A folder with a small file for each account, in 256 folders. One process has it at a time: the home's lock sees to that.
#[derive(Debug)]
pub struct FolderRoom {
    folder: PathBuf,
    writing: Mutex<()>,
}

impl FolderRoom {
    /// The room in `folder`, which is made when something is kept.
    pub fn new(folder: impl Into<PathBuf>) -> Self {
        Self {
            folder: folder.into(),
            writing: Mutex::new(()),
        }
    }

    /// Chance is in an identifier's end, time in its beginning.
    fn nest(&self, name: &RoomKey) -> PathBuf {
        let [.., last] = name;
        self.folder.join(HEXLOWER.encode(&[*last]))
    }

    fn file(&self, name: &RoomKey) -> PathBuf {
        self.nest(name).join(HEXLOWER.encode(name))
    }

    fn failed(&self, source: io::Error) -> VaultError {
        VaultError::File {
            path: self.folder.clone(),
            source,
        }
    }

    fn read(&self, file: &Path) -> Result<Option<Vec<u8>>, VaultError> {
        home::read_bounded(file, WRAPPED_BYTES_MAX).map_err(|source| self.failed(source))
    }

    fn write(&self, name: &RoomKey, wrapped: &[u8]) -> io::Result<()> {
        let nest = self.nest(name);
        for folder in [&self.folder, &nest] {
            make_folder(folder)?;
        }
        home::write_whole(&self.file(name), wrapped)
    }
}

impl Room for FolderRoom {
    fn get(&self, name: &RoomKey) -> Result<Option<Vec<u8>>, VaultError> {
        self.read(&self.file(name))
    }

    fn keep(&self, name: &RoomKey, wrapped: &[u8]) -> Result<Vec<u8>, VaultError> {
        let _alone = self.writing.lock();
        if let Some(there) = self.get(name)? {
            return Ok(there);
        }
        self.write(name, wrapped)
            .map_err(|source| self.failed(source))?;
        Ok(wrapped.to_vec())
    }

    fn delete(&self, name: &RoomKey) -> Result<(), VaultError> {
        let _alone = self.writing.lock();
        let deleted = match fs::remove_file(self.file(name)) {
            Err(error) if error.kind() != io::ErrorKind::NotFound => Err(error),
            // It may have been deleted just before a power failure: the folder is synced either way.
            Ok(()) | Err(_) => sync_folder(&self.nest(name)),
        };
        deleted.map_err(|source| self.failed(source))
    }

    fn each(&self, look: &mut Look<'_>) -> Result<(), VaultError> {
        for nest in entries(&self.folder).map_err(|source| self.failed(source))? {
            for file in entries(&nest).map_err(|source| self.failed(source))? {
                let name = file.file_name().and_then(|name| name.to_str());
                let name = name.and_then(|name| HEXLOWER.decode(name.as_bytes()).ok());
                // What a power failure left of a file that was being written has another name.
                let Some(name) = name.and_then(|name| RoomKey::try_from(name.as_slice()).ok())
                else {
                    continue;
                };
                if let Some(wrapped) = self.read(&file)? {
                    look(&name, &wrapped)?;
                }
            }
        }
        Ok(())
    }
}

fn make_folder(folder: &Path) -> io::Result<()> {
    match fs::DirBuilder::new().mode(0o700).create(folder) {
        Err(error) if error.kind() == io::ErrorKind::AlreadyExists => Ok(()),
        Err(error) => Err(error),
        Ok(()) => folder.parent().map_or(Ok(()), sync_folder),
    }
}

fn sync_folder(folder: &Path) -> io::Result<()> {
    match fs::File::open(folder) {
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(()),
        Err(error) => Err(error),
        Ok(folder) => folder.sync_all(),
    }
}

/// What is in a folder, in the order of the names; nothing where it is missing.
fn entries(folder: &Path) -> io::Result<Vec<PathBuf>> {
    let listed = match fs::read_dir(folder) {
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(Vec::new()),
        listed => listed?,
    };
    let paths = listed.map(|entry| Ok(entry?.path()));
    let mut paths = paths.collect::<io::Result<Vec<PathBuf>>>()?;
    paths.sort_unstable();
    Ok(paths)
}

/// Octets of a wrapped key: form, nonce, key, tag.
const WRAPPED_BYTES_MAX: u64 = 256;

#[cfg(test)]
mod tests {
    #![expect(clippy::unwrap_used, reason = "a test may stop at a surprise")]

    use std::os::unix::fs::PermissionsExt as _;

    use super::*;

    #[test]
    fn the_first_that_is_kept_stays_until_it_is_deleted() {
        let folder = tempfile::tempdir().unwrap();
        let room = FolderRoom::new(folder.path().join("personal"));
        let name = [7; 16];
        assert_eq!(room.get(&name).unwrap(), None);
        room.delete(&name).unwrap();
        assert_eq!(room.keep(&name, b"one").unwrap(), b"one");
        assert_eq!(room.keep(&name, b"two").unwrap(), b"one");
        assert_eq!(room.get(&name).unwrap().unwrap(), b"one");
        let mode = fs::metadata(room.file(&name)).unwrap().permissions().mode();
        assert_eq!(mode & 0o777, 0o600);
        fs::write(room.nest(&name).join("left.new"), b"by a power failure").unwrap();
        let mut seen = Vec::new();
        room.each(&mut |name, wrapped| {
            seen.push((*name, wrapped.to_vec()));
            Ok(())
        })
        .unwrap();
        assert_eq!(seen, [(name, b"one".to_vec())]);
        room.delete(&name).unwrap();
        assert_eq!(room.get(&name).unwrap(), None);
    }
}
