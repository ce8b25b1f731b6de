//! Finds what a request names: a file with the best of its precompressed siblings, a directory's index, a listing.

use std::io;
use std::sync::Arc;

use bytes::Bytes;
use cap_std::fs::Dir;
use http::HeaderValue;

use super::body::{read_cached, read_whole};
use super::listing::{self, Language};
use super::negotiate::{BEGINNING_OCTETS, Coding, content_type, is_compressible, media_type};
use super::open::{Entry, Manner, OpenFile, Root, Version, behind_links, is_listed, open, respell};
use super::path::RequestPath;
use super::refusal::Refusal;

/// Files up to this size are read as they are found, in the same hop.
const SMALL_OCTETS_MAX: u64 = 64 * 1024;
const INDEX: &str = "index.html";

/// What is looked for.
#[derive(Debug, Clone)]
pub(super) struct Wanted {
    pub(super) path: RequestPath,
    /// Codings that may replace the plain file, best first.
    pub(super) codings: Vec<Coding>,
    /// Whether the content will be sent, and so is worth reading at once if it is small.
    pub(super) content: bool,
    /// The language for a listing; nothing if directories are not listed.
    pub(super) listing: Option<Language>,
    pub(super) dotfiles: bool,
    /// Only under the names that stand in the directories.
    pub(super) exact: bool,
}

/// What was found.
#[derive(Debug)]
pub(super) enum Found {
    File(Located),
    /// A directory, asked for without its slash.
    Directory,
    /// The page that lists a directory.
    Listing {
        page: String,
        /// The directory's path below the folder, where a link led to it.
        behind_link: Option<String>,
    },
}

impl Found {
    /// The path below the folder of what will be sent, where a link led to it.
    pub(super) fn behind_link(&self) -> Option<&str> {
        match self {
            Self::File(found) => found.behind_link.as_deref(),
            Self::Listing { behind_link, .. } => behind_link.as_deref(),
            Self::Directory => None,
        }
    }
}

/// A file to be sent.
#[derive(Debug, Clone)]
pub(super) struct Located {
    /// The file itself, or its sibling in `coding`.
    pub(super) file: Arc<OpenFile>,
    pub(super) coding: Option<Coding>,
    pub(super) content_type: HeaderValue,
    /// Files of this type are worth compressing.
    pub(super) compressible: bool,
    /// All of `file`, if it is small and was wanted.
    pub(super) small: Option<Bytes>,
    /// Where the file is, if the path leads there by a link.
    pub(super) behind_link: Option<String>,
    /// What was looked at, below the folder, and how it was: the plain file, and the sibling that is sent in its place.
    pub(super) looked_at: Vec<(String, Version)>,
}

/// Why nothing was found yet.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Miss {
    /// Ask again in the patient manner.
    WouldBlock,
    /// There is nothing to send.
    Refused(Refusal),
}

impl Miss {
    fn from_io(error: &io::Error) -> Self {
        if error.kind() == io::ErrorKind::WouldBlock {
            Self::WouldBlock
        } else {
            Self::Refused(Refusal::from_io(error))
        }
    }
}

/// Looks below `root`. Blocks if the manner is patient, and never otherwise.
pub(super) fn locate(root: &Root, wanted: &Wanted, manner: Manner) -> Result<Found, Miss> {
    let relative = wanted.path.relative();
    match locate_spelled(root, &relative, wanted, manner) {
        Err(Miss::Refused(Refusal::NotFound)) if manner == Manner::Cached => Err(Miss::WouldBlock),
        Err(Miss::Refused(Refusal::NotFound)) if !relative.is_ascii() => {
            match respell(&root.dir, &wanted.path) {
                Some(respelled) if respelled != relative => {
                    locate_spelled(root, &respelled, wanted, manner)
                }
                Some(_) | None => Err(Miss::Refused(Refusal::NotFound)),
            }
        }
        found => found,
    }
}

fn locate_spelled(
    root: &Root,
    relative: &str,
    wanted: &Wanted,
    manner: Manner,
) -> Result<Found, Miss> {
    if wanted.exact && !stands_there(&root.dir, relative, manner)? {
        return Err(Miss::Refused(Refusal::NotFound));
    }
    if !wanted.path.is_directory() {
        return match open(root, relative, manner).map_err(|error| Miss::from_io(&error))? {
            Entry::File(file) => located(root, relative, file, wanted, manner).map(Found::File),
            Entry::Directory => Ok(Found::Directory),
        };
    }
    let index = if relative == "." {
        INDEX.to_owned()
    } else {
        format!("{relative}/{INDEX}")
    };
    match open(root, &index, manner) {
        Ok(Entry::File(file)) => located(root, &index, file, wanted, manner).map(Found::File),
        Err(error) if Miss::from_io(&error) != Miss::Refused(Refusal::NotFound) => {
            Err(Miss::from_io(&error))
        }
        Ok(Entry::Directory) | Err(_) => list(root, relative, wanted, manner),
    }
}

/// Whether the path is spelled as in the directories. What is not there at all costs no reading of them.
fn stands_there(dir: &Dir, relative: &str, manner: Manner) -> Result<bool, Miss> {
    if manner == Manner::Cached {
        return Err(Miss::WouldBlock);
    }
    let is_listed = dir
        .symlink_metadata(relative)
        .and_then(|_| is_listed(dir, relative));
    is_listed.map_err(|error| Miss::from_io(&error))
}

fn list(root: &Root, relative: &str, wanted: &Wanted, manner: Manner) -> Result<Found, Miss> {
    if manner == Manner::Cached {
        return Err(Miss::WouldBlock);
    }
    let Some(language) = wanted.listing else {
        return Err(Miss::Refused(Refusal::NotFound));
    };
    let shown = if relative == "." {
        "/".to_owned()
    } else {
        format!("/{relative}/")
    };
    let dir = &root.dir;
    let behind_link = behind_links(dir, relative).map_err(|error| Miss::from_io(&error))?;
    let directory = behind_link.as_deref().unwrap_or(relative);
    let is_home = root.homes.hold(dir, directory, manner);
    if is_home.map_err(|error| Miss::from_io(&error))? {
        return Err(Miss::Refused(Refusal::NotFound));
    }
    let behind_link = behind_link.map(|path| format!("{path}/"));
    let page = listing::page(dir, relative, &shown, wanted.dotfiles, language);
    page.map(|page| Found::Listing { page, behind_link })
        .map_err(Miss::Refused)
}

fn located(
    root: &Root,
    relative: &str,
    plain: OpenFile,
    wanted: &Wanted,
    manner: Manner,
) -> Result<Located, Miss> {
    let media = media_type(relative);
    let compressible = is_compressible(media);
    let beginning = if media.starts_with("text/") {
        Some(beginning(&plain, manner)?)
    } else {
        None
    };
    let content_type = content_type(media, beginning.as_deref());
    let sibling = if compressible {
        sibling(root, relative, &plain, wanted, manner)?
    } else {
        None
    };
    let mut looked_at = vec![(relative.to_owned(), plain.version)];
    // A sibling lies beside the file itself, wherever a link to that is: it is no way around the link.
    let behind_link = plain.behind_link.clone();
    let (file, coding) = match sibling {
        Some((coding, file)) => {
            looked_at.push((sibling_name(relative, coding), file.version));
            (file, Some(coding))
        }
        None => (plain, None),
    };
    let small = if wanted.content && file.version.size <= SMALL_OCTETS_MAX {
        small(&file, manner)?
    } else {
        None
    };
    Ok(Located {
        file: Arc::new(file),
        coding,
        content_type,
        compressible,
        small,
        behind_link,
        looked_at,
    })
}

/// The best acceptable precompressed sibling, unless it is older than the file that it stands for.
fn sibling(
    root: &Root,
    relative: &str,
    plain: &OpenFile,
    wanted: &Wanted,
    manner: Manner,
) -> Result<Option<(Coding, OpenFile)>, Miss> {
    let relative = plain.behind_link.as_deref().unwrap_or(relative);
    for coding in &wanted.codings {
        match open(root, &sibling_name(relative, *coding), manner) {
            // A link could lead to what has another price.
            Ok(Entry::File(file))
                if file.behind_link.is_none()
                    && file.version.modified() >= plain.version.modified() =>
            {
                return Ok(Some((*coding, file)));
            }
            Err(error) if error.kind() == io::ErrorKind::WouldBlock => {
                return Err(Miss::WouldBlock);
            }
            Ok(Entry::File(_) | Entry::Directory) | Err(_) => {}
        }
    }
    Ok(None)
}

fn sibling_name(relative: &str, coding: Coding) -> String {
    format!("{relative}{}", coding.suffix())
}

/// The first octets of a text.
fn beginning(file: &OpenFile, manner: Manner) -> Result<Vec<u8>, Miss> {
    use std::os::unix::fs::FileExt;
    let mut octets = vec![
        0;
        usize::try_from(file.version.size)
            .unwrap_or(BEGINNING_OCTETS)
            .min(BEGINNING_OCTETS)
    ];
    let read = match manner {
        Manner::Cached => read_cached(&file.file, &mut octets, 0).map_err(|_| Miss::WouldBlock)?,
        Manner::Patient => file
            .file
            .read_at(&mut octets, 0)
            .map_err(|error| Miss::from_io(&error))?,
    };
    octets.truncate(read);
    Ok(octets)
}

/// All of a small file; nothing if it is changing, which the body then finds out.
fn small(file: &OpenFile, manner: Manner) -> Result<Option<Bytes>, Miss> {
    if manner == Manner::Patient {
        return Ok(read_whole(file).ok().map(Bytes::from));
    }
    let mut octets = vec![0; usize::try_from(file.version.size).map_err(|_| Miss::WouldBlock)?];
    let read = read_cached(&file.file, &mut octets, 0).map_err(|_| Miss::WouldBlock)?;
    let whole = read == octets.len()
        && file
            .version_now()
            .is_ok_and(|now| now.same_content(&file.version));
    if whole {
        Ok(Some(octets.into()))
    } else {
        Err(Miss::WouldBlock)
    }
}
