//! The home folder: where one node keeps everything. One daemon at a time has its lock.

use std::{
    fs::{self, DirBuilder, File, OpenOptions},
    io::{self, Read as _, Seek as _, Write as _},
    os::unix::fs::{DirBuilderExt as _, OpenOptionsExt as _},
    path::{Path, PathBuf},
};

use rustix::fs::{FlockOperation, flock};
use thiserror::Error;

/// What is wrong with the home folder.
#[derive(Debug, Error)]
pub enum HomeError {
    /// Neither a flag nor the environment says where it is.
    #[error("no home folder: set HOME, or say --home FOLDER")]
    Unknown,
    /// It cannot be made or entered.
    #[error("cannot use the home folder {path}: {source}")]
    Unusable {
        /// Where.
        path: PathBuf,
        /// Why.
        source: io::Error,
    },
    /// Another daemon has it.
    #[error("madang is running already with the home folder {path}{}", by(.process))]
    Taken {
        /// Where.
        path: PathBuf,
        /// The other daemon's process id, where it said so.
        process: Option<u32>,
    },
}

fn by(process: &Option<u32>) -> String {
    process.map_or(String::new(), |id| format!(" (process {id})"))
}

/// Where one node keeps everything.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Home(PathBuf);

impl Home {
    /// The folder at `path`, which need not exist yet.
    pub fn at(path: impl Into<PathBuf>) -> Self {
        Self(path.into())
    }

    /// `chosen`, or else `$XDG_DATA_HOME/madang`, or else `~/.local/share/madang`.
    ///
    /// # Errors
    /// [`HomeError::Unknown`]
    pub fn locate(chosen: Option<PathBuf>) -> Result<Self, HomeError> {
        let absolute = |name: &str| {
            let path = std::env::var_os(name).map(PathBuf::from);
            path.filter(|path| path.is_absolute())
        };
        chosen
            .or_else(|| absolute("XDG_DATA_HOME").map(|data| data.join("madang")))
            .or_else(|| absolute("HOME").map(|home| home.join(".local/share/madang")))
            .map(Self)
            .ok_or(HomeError::Unknown)
    }

    /// Makes the folder, for its owner alone, unless it is there.
    ///
    /// # Errors
    /// [`HomeError::Unusable`]
    pub fn create(&self) -> Result<(), HomeError> {
        let made = DirBuilder::new()
            .recursive(true)
            .mode(0o700)
            .create(&self.0);
        made.and_then(|()| fs::read_dir(&self.0).map(drop))
            .map_err(|source| self.unusable(source))
    }

    /// The folder itself.
    pub fn path(&self) -> &Path {
        &self.0
    }

    /// A file or folder in it.
    pub fn join(&self, name: &str) -> PathBuf {
        self.0.join(name)
    }

    /// `madang.toml`.
    pub fn config(&self) -> PathBuf {
        self.join("madang.toml")
    }

    /// The socket on which the running daemon takes commands.
    pub fn socket(&self) -> PathBuf {
        self.join("control.sock")
    }

    /// What a daemon in the background writes.
    pub fn log(&self) -> PathBuf {
        self.join("madang.log")
    }

    /// Claims the home for this process until the lock is dropped, or the process ends in whatever way.
    ///
    /// # Errors
    /// [`HomeError::Taken`], [`HomeError::Unusable`]
    pub fn lock(&self) -> Result<HomeLock, HomeError> {
        let unusable = |source| self.unusable(source);
        let mut file = OpenOptions::new()
            .read(true)
            .write(true)
            .create(true)
            .truncate(false)
            .mode(0o600)
            .open(self.join("lock"))
            .map_err(unusable)?;
        match flock(&file, FlockOperation::NonBlockingLockExclusive) {
            Ok(()) => {}
            Err(rustix::io::Errno::WOULDBLOCK) => {
                let mut text = String::new();
                // The number is a courtesy: without it the message stands.
                let _ = file.take(20).read_to_string(&mut text);
                return Err(HomeError::Taken {
                    path: self.0.clone(),
                    process: text.trim().parse().ok(),
                });
            }
            Err(error) => return Err(unusable(error.into())),
        }
        // Claimed it is also on a full disk, where nobody can be told by whom.
        let _ = file
            .set_len(0)
            .and_then(|()| file.rewind())
            .and_then(|()| write!(file, "{}", std::process::id()));
        Ok(HomeLock { _file: file })
    }

    fn unusable(&self, source: io::Error) -> HomeError {
        HomeError::Unusable {
            path: self.0.clone(),
            source,
        }
    }
}

/// The claim of one process on a home folder.
#[derive(Debug)]
pub struct HomeLock {
    _file: File,
}

#[cfg(test)]
mod tests {
    #![expect(clippy::unwrap_used, reason = "a test may stop at a surprise")]

    use std::os::unix::fs::PermissionsExt as _;

    use super::*;

    #[test]
    fn one_process_at_a_time_has_a_home() {
        let folder = tempfile::tempdir().unwrap();
        let home = Home::at(folder.path().join("deep/er"));
        home.create().unwrap();
        let mode = fs::metadata(home.path()).unwrap().permissions().mode();
        assert_eq!(mode & 0o777, 0o700);

        let lock = home.lock().unwrap();
        let refusal = home.lock().unwrap_err();
        assert!(
            matches!(&refusal, HomeError::Taken { process: Some(id), .. } if *id == std::process::id())
        );
        assert!(refusal.to_string().contains("running already"));
        drop(lock);
        home.lock().unwrap();
    }

    #[test]
    fn a_home_that_is_a_file_is_refused() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("file");
        fs::write(&path, "").unwrap();
        let refusal = Home::at(&path).create().unwrap_err();
        assert!(matches!(refusal, HomeError::Unusable { .. }));
    }
}
