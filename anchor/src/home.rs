//! The anchor's home folder: where its files are, and how they are written so that a power cut leaves the old file or the new one.

use std::{
    env, fs,
    io::{self, Write as _},
    os::unix::fs::{DirBuilderExt as _, OpenOptionsExt as _},
    path::{Path, PathBuf},
};

/// The environment variable that names the home folder.
pub const HOME_VARIABLE: &str = "MADANG_ANCHOR_HOME";

/// The folder with everything that one anchor keeps.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Home(PathBuf);

impl Home {
    /// The home in `folder`.
    pub fn new(folder: impl Into<PathBuf>) -> Self {
        Self(folder.into())
    }

    /// `$XDG_DATA_HOME/madang-anchor`, or `~/.local/share/madang-anchor`; `None` where neither variable says where that is.
    pub fn of_user() -> Option<Self> {
        let data = env::var_os("XDG_DATA_HOME")
            .map(PathBuf::from)
            .filter(|path| path.is_absolute());
        let data =
            data.or_else(|| env::var_os("HOME").map(|home| Path::new(&home).join(".local/share")))?;
        Some(Self(data.join("madang-anchor")))
    }

    /// Creates the folder, for its owner's eyes only, where it is missing.
    pub fn create(&self) -> io::Result<()> {
        fs::DirBuilder::new()
            .recursive(true)
            .mode(0o700)
            .create(&self.0)
    }

    /// The folder.
    pub fn path(&self) -> &Path {
        &self.0
    }

    /// The configuration file.
    pub fn config(&self) -> PathBuf {
        self.0.join("anchor.toml")
    }

    /// The issuer's keys.
    pub fn issuer_keys(&self) -> PathBuf {
        self.0.join("issuer.key")
    }

    /// What the first start fixed for good.
    pub fn network(&self) -> PathBuf {
        self.0.join("network.toml")
    }

    /// The network descriptor that was signed last.
    pub fn descriptor(&self) -> PathBuf {
        self.0.join("descriptor.bin")
    }

    /// The store's folder.
    pub fn store(&self) -> PathBuf {
        self.0.join("store")
    }

    /// The key under which persons' keys are wrapped.
    pub fn personal_key(&self) -> PathBuf {
        self.0.join("personal.key")
    }

    /// Persons' wrapped keys, apart from the store.
    pub fn personal(&self) -> PathBuf {
        self.0.join("personal")
    }

    /// Held by whoever uses the home.
    pub fn lock(&self) -> PathBuf {
        self.0.join("lock")
    }

    /// Where an anchor in the background writes its log.
    pub fn log(&self) -> PathBuf {
        self.0.join("anchor.log")
    }

    /// Whether a process has this home at the moment.
    pub fn is_in_use(&self) -> io::Result<bool> {
        let file = match fs::File::open(self.lock()) {
            Ok(file) => file,
            Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(false),
            Err(error) => return Err(error),
        };
        match file.try_lock_shared() {
            Ok(()) => Ok(false),
            Err(fs::TryLockError::WouldBlock) => Ok(true),
            Err(fs::TryLockError::Error(error)) => Err(error),
        }
    }

    /// Where a running anchor takes its operator's commands.
    pub fn socket(&self) -> PathBuf {
        self.0.join("operator.sock")
    }
}

/// Writes `octets` to `path`, readable and writable by the owner only: a temporary file beside it, synced, renamed, and the folder synced.
pub fn write_whole(path: &Path, octets: &[u8]) -> io::Result<()> {
    let mut temporary = path.as_os_str().to_owned();
    temporary.push(".new");
    let temporary = PathBuf::from(temporary);
    match fs::remove_file(&temporary) {
        Err(error) if error.kind() != io::ErrorKind::NotFound => return Err(error),
        Ok(()) | Err(_) => {}
    }
    let mut file = fs::OpenOptions::new()
        .write(true)
        .create_new(true)
        .mode(0o600)
        .open(&temporary)?;
    file.write_all(octets)?;
    file.sync_all()?;
    fs::rename(&temporary, path)?;
    match path.parent() {
        Some(folder) => fs::File::open(folder)?.sync_all(),
        None => Ok(()),
    }
}

/// Reads `path`, unless it has more than `octets_max` octets; `None` where there is no such file.
pub fn read_bounded(path: &Path, octets_max: u64) -> io::Result<Option<Vec<u8>>> {
    let file = match fs::File::open(path) {
        Ok(file) => file,
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(None),
        Err(error) => return Err(error),
    };
    let mut octets = Vec::new();
    io::Read::read_to_end(&mut io::Read::take(file, octets_max + 1), &mut octets)?;
    if octets.len() as u64 > octets_max {
        return Err(io::Error::new(
            io::ErrorKind::FileTooLarge,
            format!("it has more than {octets_max} octets"),
        ));
    }
    Ok(Some(octets))
}

#[cfg(test)]
mod tests {
    #![expect(clippy::unwrap_used, reason = "a test may stop at a surprise")]

    use std::os::unix::fs::PermissionsExt as _;

    use super::*;

    #[test]
    fn a_file_is_replaced_whole_and_only_its_owner_may_read_it() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("file");
        fs::write(folder.path().join("file.new"), b"left by a power cut").unwrap();
        write_whole(&path, b"one").unwrap();
        write_whole(&path, b"two").unwrap();
        assert_eq!(read_bounded(&path, 3).unwrap().unwrap(), b"two");
        assert_eq!(
            fs::metadata(&path).unwrap().permissions().mode() & 0o777,
            0o600
        );
        assert_eq!(fs::read_dir(folder.path()).unwrap().count(), 1);
    }

    #[test]
    fn a_file_that_is_too_long_is_not_read() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("file");
        assert!(read_bounded(&path, 3).unwrap().is_none());
        fs::write(&path, b"four").unwrap();
        assert!(read_bounded(&path, 3).is_err());
    }
}
