//! Homes of nodes and anchors below a served folder: nothing that stands in one is ever sent, whichever path or link leads there, and whoever's it is.
//!
//! A home is known by its key and what stands beside it. Directories that were looked at are remembered for a moment, so that a request costs no look.

use std::io;
use std::num::NonZeroUsize;
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use cap_std::fs::Dir;
use lru::LruCache;
use parking_lot::Mutex;

use super::open::Manner;

/// A key, and what stands beside it in a home: any of these.
const MARKS: [(&str, &[&str]); 2] = [
    ("device.key", &["standing", "journal"]),
    ("issuer.key", &["network.toml", "store"]),
];
/// Directories that are remembered.
const DIRECTORIES_MAX: NonZeroUsize = NonZeroUsize::new(1_024).expect("is not zero");
/// A directory is looked at anew after this time: it may have become a home.
const TRUSTED_FOR: Duration = Duration::from_secs(1);

/// What was found out about directories.
#[derive(Debug)]
pub(super) struct Homes(Mutex<LruCache<String, Looked>>);

#[derive(Debug, Clone, Copy)]
struct Looked {
    is_home: bool,
    at: Instant,
}

impl Homes {
    pub(super) fn new() -> Self {
        Self(Mutex::new(LruCache::new(DIRECTORIES_MAX)))
    }

    /// Whether `directory`, a path below `dir` without links, is a home or lies in one. Blocks if the manner is patient, and says `WouldBlock` otherwise
    /// where it is not known.
    pub(super) fn hold(&self, dir: &Dir, directory: &str, manner: Manner) -> io::Result<bool> {
        let known = self.0.lock().get(directory).copied();
        match known {
            Some(looked) if looked.at.elapsed() < TRUSTED_FOR => return Ok(looked.is_home),
            Some(_) | None if manner == Manner::Cached => {
                return Err(io::ErrorKind::WouldBlock.into());
            }
            Some(_) | None => {}
        }
        let looked = Looked {
            is_home: ways_down(directory).any(|part| {
                is_home(|name| dir.symlink_metadata(Path::new(part).join(name)).is_ok())
            }),
            at: Instant::now(),
        };
        self.0.lock().put(directory.to_owned(), looked);
        Ok(looked.is_home)
    }
}

/// The home that `path` is or lies in, wherever links lead; `None` where it is in none, or is not there.
pub(crate) fn home_around(path: &Path) -> Option<PathBuf> {
    let real = path.canonicalize().ok()?;
    let home = real
        .ancestors()
        .find(|part| is_home(|name| part.join(name).symlink_metadata().is_ok()));
    home.map(Path::to_owned)
}

/// `.` and each directory on the way down to `directory`, that one included.
fn ways_down(directory: &str) -> impl Iterator<Item = &str> {
    let ends = directory
        .match_indices('/')
        .map(|(at, _)| at)
        .chain([directory.len()]);
    std::iter::once(".").chain(ends.map(|end| &directory[..end]))
}

fn is_home(stands_there: impl Fn(&str) -> bool) -> bool {
    MARKS
        .iter()
        .any(|(key, beside)| stands_there(key) && beside.iter().any(|name| stands_there(name)))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_directory_on_the_way_is_looked_at() {
        let parts = |directory| ways_down(directory).collect::<Vec<_>>();
        assert_eq!(parts("."), [".", "."]);
        assert_eq!(parts("a/b"), [".", "a", "a/b"]);
    }

    #[test]
    fn a_key_alone_makes_no_home() {
        let holding = |names: &'static [&str]| is_home(|name| names.contains(&name));
        assert!(holding(&["device.key", "standing"]));
        assert!(holding(&["issuer.key", "store", "other"]));
        assert!(!holding(&["device.key"]));
        assert!(!holding(&["device.key", "network.toml"]));
        assert!(!holding(&["standing", "journal", "store"]));
    }
}
