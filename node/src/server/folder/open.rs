//! Opens what a path names, below the folder and nowhere else.
//!
//! Two ways: `Cached` answers only what the kernel knows without waiting for a disk (openat2 with RESOLVE_CACHED), and
//! so may run on an asynchronous thread; it says `WouldBlock` for everything else. `Patient` goes through cap-std and
//! belongs on a blocking thread. Both let the kernel enforce that nothing above the folder is reached. A link inside the folder is followed by the
//! patient way alone, which says where it led.

use std::fs::File;
use std::io;
use std::os::unix::fs::MetadataExt;
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use cap_std::fs::{Dir, OpenOptions, OpenOptionsExt};
use rustix::fs::OFlags;
use sha2::{Digest, Sha256};

use super::homes::Homes;
use super::path::{RequestPath, is_key, other_spellings};

/// The state of a file's content: two equal versions are the same octets.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub(super) struct Version {
    device: u64,
    inode: u64,
    /// Octets.
    pub(super) size: u64,
    modified: (i64, i64),
    changed: (i64, i64),
}

impl Version {
    fn of(metadata: &std::fs::Metadata) -> Self {
        Self {
            device: metadata.dev(),
            inode: metadata.ino(),
            size: metadata.size(),
            modified: (metadata.mtime(), metadata.mtime_nsec()),
            changed: (metadata.ctime(), metadata.ctime_nsec()),
        }
    }

    /// The opaque part of a tag; says nothing about the disk.
    pub(super) fn tag(&self) -> String {
        let mut hash = Sha256::new();
        for number in [self.device, self.inode, self.size] {
            hash.update(number.to_le_bytes());
        }
        for (seconds, nanoseconds) in [self.modified, self.changed] {
            hash.update(seconds.to_le_bytes());
            hash.update(nanoseconds.to_le_bytes());
        }
        data_encoding::HEXLOWER.encode(&hash.finalize()[..12])
    }

    /// When the content last changed, by the file's own account.
    pub(super) fn modified(&self) -> SystemTime {
        instant(self.modified)
    }

    /// How long ago the inode changed; nothing if that lies in the future.
    pub(super) fn age(&self, now: SystemTime) -> Option<Duration> {
        now.duration_since(instant(self.changed)).ok()
    }

    /// Whether the content is as it was. Links and permissions may have changed.
    pub(super) fn same_content(&self, other: &Self) -> bool {
        (self.size, self.modified) == (other.size, other.modified)
    }
}

fn instant((seconds, nanoseconds): (i64, i64)) -> SystemTime {
    let fraction = Duration::from_nanos(nanoseconds.clamp(0, 999_999_999).unsigned_abs());
    let whole = Duration::from_secs(seconds.unsigned_abs());
    let second = if seconds < 0 {
        UNIX_EPOCH.checked_sub(whole)
    } else {
        UNIX_EPOCH.checked_add(whole)
    };
    second
        .and_then(|second| second.checked_add(fraction))
        .unwrap_or(UNIX_EPOCH)
}

/// An open regular file and the version it had when it was opened.
#[derive(Debug)]
pub(super) struct OpenFile {
    /// Read by offset only; nobody moves its cursor.
    pub(super) file: File,
    /// As opened.
    pub(super) version: Version,
    /// Its path below the folder, where a link led to it.
    pub(super) behind_link: Option<String>,
}

impl OpenFile {
    /// The version now.
    pub(super) fn version_now(&self) -> io::Result<Version> {
        Ok(Version::of(&self.file.metadata()?))
    }
}

/// What a path names.
#[derive(Debug)]
pub(super) enum Entry {
    File(OpenFile),
    Directory,
}

/// How a path is looked up.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Manner {
    /// Never waits for a disk.
    Cached,
    /// May wait: for blocking threads.
    Patient,
}

/// A served folder, and what is known of homes below it.
#[derive(Debug)]
pub(super) struct Root {
    pub(super) dir: Dir,
    pub(super) homes: Homes,
}

/// Opens `relative` below `root`. What is neither a regular file nor a directory does not exist, nor does a secret key, nor what stands in a home.
pub(super) fn open(root: &Root, relative: &str, manner: Manner) -> io::Result<Entry> {
    let dir = &root.dir;
    let mut behind_link = None;
    if is_key(relative) {
        return Err(rustix::io::Errno::NOENT.into());
    }
    let file = match manner {
        Manner::Cached => open_cached(dir, relative)?,
        Manner::Patient => {
            behind_link = behind_links(dir, relative)?;
            if behind_link.as_deref().is_some_and(is_key) {
                return Err(rustix::io::Errno::NOENT.into());
            }
            let relative = behind_link.as_deref().unwrap_or(relative);
            let mut options = OpenOptions::new();
            // Opening a pipe must not wait for its writer, nor a terminal become ours.
            options
                .read(true)
                .custom_flags((OFlags::NONBLOCK | OFlags::NOCTTY).bits().cast_signed());
            dir.open_with(relative, &options)?.into_std()
        }
    };
    let metadata = file.metadata()?;
    let real = behind_link.as_deref().unwrap_or(relative);
    let directory = if metadata.is_dir() {
        real
    } else {
        real.rsplit_once('/').map_or(".", |(parent, _)| parent)
    };
    if root.homes.hold(dir, directory, manner)? {
        return Err(rustix::io::Errno::NOENT.into());
    }
    if metadata.is_dir() {
        Ok(Entry::Directory)
    } else if metadata.is_file() {
        let version = Version::of(&metadata);
        Ok(Entry::File(OpenFile {
            file,
            version,
            behind_link,
        }))
    } else {
        Err(rustix::io::Errno::NOENT.into())
    }
}

/// The path below `dir` that `relative` leads to, if it leads over links.
pub(super) fn behind_links(dir: &Dir, relative: &str) -> io::Result<Option<String>> {
    let real = dir.canonicalize(relative)?;
    // Only what is text has a place in a price list.
    let real = real.to_str().ok_or(rustix::io::Errno::NOENT)?;
    let real = if real.is_empty() { "." } else { real };
    Ok((real != relative).then(|| real.to_owned()))
}

/// Whether each name of `relative` stands in its directory just so: some file systems find a file under other names as well, in capitals, with a
/// dot at the end, or shortened. Reads the directories.
pub(super) fn is_listed(dir: &Dir, relative: &str) -> io::Result<bool> {
    let mut parent = ".".to_owned();
    for name in relative.split('/').filter(|name| *name != ".") {
        let mut names = dir.read_dir(&parent)?.map(|entry| Ok(entry?.file_name()));
        let is_there = names
            .find_map(|found: io::Result<_>| match found {
                Ok(found) if found == *name => Some(Ok(())),
                Ok(_) => None,
                Err(error) => Some(Err(error)),
            })
            .transpose()?;
        if is_there.is_none() {
            return Ok(false);
        }
        parent = format!("{parent}/{name}");
    }
    Ok(true)
}

#[cfg(target_os = "linux")]
fn open_cached(dir: &Dir, relative: &str) -> io::Result<File> {
    use rustix::fs::{Mode, ResolveFlags, openat2};
    use rustix::io::Errno;

    let flags = OFlags::RDONLY | OFlags::CLOEXEC | OFlags::NONBLOCK | OFlags::NOCTTY;
    let resolve = ResolveFlags::BENEATH | ResolveFlags::NO_SYMLINKS | ResolveFlags::CACHED;
    match openat2(dir, relative, flags, Mode::empty(), resolve) {
        Ok(descriptor) => Ok(descriptor.into()),
        Err(Errno::NOENT) => Err(Errno::NOENT.into()),
        // Old kernels, links, cold caches: the patient way finds out.
        Err(_) => Err(io::ErrorKind::WouldBlock.into()),
    }
}

/// Whether the regular file `relative` is as it was in `version`, as far as that can be known without waiting for a disk. A link at the end of
/// the path is none.
#[cfg(target_os = "linux")]
pub(super) fn is_still(dir: &Dir, relative: &str, version: &Version) -> bool {
    use rustix::fs::{AtFlags, FileType, StatxFlags, makedev, statx};

    let flags = AtFlags::SYMLINK_NOFOLLOW | AtFlags::STATX_DONT_SYNC;
    let Ok(now) = statx(dir, relative, flags, StatxFlags::BASIC_STATS) else {
        return false;
    };
    let time = |at: rustix::fs::StatxTimestamp| (at.tv_sec, i64::from(at.tv_nsec));
    let is_file = FileType::from_raw_mode(now.stx_mode.into()) == FileType::RegularFile;
    is_file
        && Version {
            device: makedev(now.stx_dev_major, now.stx_dev_minor),
            inode: now.stx_ino,
            size: now.stx_size,
            modified: time(now.stx_mtime),
            changed: time(now.stx_ctime),
        } == *version
}

/// Other systems are asked by opening.
#[cfg(not(target_os = "linux"))]
pub(super) fn is_still(_: &Dir, _: &str, _: &Version) -> bool {
    false
}

#[cfg(not(target_os = "linux"))]
fn open_cached(_: &Dir, _: &str) -> io::Result<File> {
    Err(io::ErrorKind::WouldBlock.into())
}

/// Finds the name on disk of a path that was asked in another Unicode form; nothing if there is none. Blocks.
pub(super) fn respell(dir: &Dir, path: &RequestPath) -> Option<String> {
    let mut found = String::new();
    for segment in path.segments() {
        let parent = found.clone();
        let candidate = |name: &str| {
            if parent.is_empty() {
                name.to_owned()
            } else {
                format!("{parent}/{name}")
            }
        };
        found = std::iter::once(segment.clone())
            .chain(other_spellings(segment))
            .map(|name| candidate(&name))
            .find(|name| dir.symlink_metadata(name).is_ok())?;
    }
    Some(found)
}
