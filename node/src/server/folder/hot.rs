//! Small files that were sent a moment ago, in memory: opening and reading one anew costs several times what it costs to ask whether it is as it was.
//!
//! Each use asks the file system whether the name still stands for the same version of the same file. Where a path leads is looked at again after
//! [`TRUSTED_FOR`]: a directory on the way may have become a link that leads out, and a compressed sibling may have appeared.

use std::num::NonZeroUsize;
use std::time::{Duration, Instant, SystemTime};

use cap_std::fs::Dir;
use lru::LruCache;
use parking_lot::Mutex;

use super::TICK;
use super::locate::{Located, Wanted};
use super::negotiate::Coding;
use super::open::is_still;

/// Files that are held. Each is open, too.
const FILES_MAX: NonZeroUsize = NonZeroUsize::new(64).expect("is not zero");
/// Octets of each, so that all of them take 1 MiB.
const OCTETS_MAX: usize = 16 * 1024;
/// A path is looked up anew after this time.
const TRUSTED_FOR: Duration = Duration::from_secs(1);

/// The path, whether it names a directory, and the codings that the client takes.
type Key = (String, bool, Vec<Coding>);

#[derive(Debug)]
struct Held {
    found: Located,
    looked_up: Instant,
}

/// The files.
#[derive(Debug)]
pub(super) struct Hot(Mutex<LruCache<Key, Held>>);

impl Hot {
    pub(super) fn new() -> Self {
        Self(Mutex::new(LruCache::new(FILES_MAX)))
    }

    /// Files that are held.
    #[cfg(test)]
    pub(super) fn len(&self) -> usize {
        self.0.lock().len()
    }

    /// What is wanted, if it is held and is still so. Never waits for a disk.
    pub(super) fn get(&self, dir: &Dir, wanted: &Wanted) -> Option<Located> {
        if !wanted.content {
            return None;
        }
        let key = key(wanted);
        let mut files = self.0.lock();
        let held = files.get(&key)?;
        let is_good = held.looked_up.elapsed() < TRUSTED_FOR
            && held
                .found
                .looked_at
                .iter()
                .all(|(name, version)| is_still(dir, name, version));
        if is_good {
            return Some(held.found.clone());
        }
        files.pop(&key);
        None
    }

    /// Holds what was found, if it is worth it. A file that had changed within the kernel's tick when it was `asked` for is not held: it may have changed
    /// again after it was read, and look the same.
    pub(super) fn put(&self, wanted: &Wanted, found: &Located, asked: SystemTime) {
        let is_small = found
            .small
            .as_ref()
            .is_some_and(|octets| octets.len() <= OCTETS_MAX);
        let is_settled = found
            .looked_at
            .iter()
            .all(|(_, version)| version.age(asked).is_some_and(|age| age >= TICK));
        // What is behind a link, or under a name that has to be listed, is looked at each time.
        let is_plain = found.behind_link.is_none() && !wanted.exact;
        if is_small && is_settled && is_plain {
            let held = Held {
                found: found.clone(),
                looked_up: Instant::now(),
            };
            self.0.lock().put(key(wanted), held);
        }
    }
}

fn key(wanted: &Wanted) -> Key {
    let path = &wanted.path;
    (path.relative(), path.is_directory(), wanted.codings.clone())
}
