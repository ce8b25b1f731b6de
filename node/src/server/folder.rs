//! A folder as a personal web server: what a path names below it, with ranges, validators, compression and digests.
//!
//! It only reads, and never above the folder: the kernel refuses paths and links that lead out. It decides nothing about
//! who may read; that is the paywall's part. What it promises in a head (length, tag, digest) the body keeps, or fails.

mod body;
mod compress;
mod conditional;
mod digest;
mod homes;
mod hot;
mod listing;
mod locate;
mod negotiate;
mod open;
mod path;
mod range;
mod refusal;
mod representation;
#[cfg(test)]
mod tests;

use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::{Duration, SystemTime};

use bytes::Bytes;
use cap_std::ambient_authority;
use cap_std::fs::Dir;
use http::header::{
    ACCEPT_ENCODING, ACCEPT_LANGUAGE, ALLOW, CACHE_CONTROL, CONTENT_LOCATION,
    CONTENT_SECURITY_POLICY, IF_MODIFIED_SINCE, IF_NONE_MATCH, LOCATION, RANGE,
};
use http::request::Parts;
use http::{HeaderValue, Method, Response, StatusCode};
use http_body_util::{BodyExt, Empty};

use crate::web::Body;
use body::Pool;
use compress::Compressor;
use conditional::{EntityTag, Validators, last_modified};
use digest::Digests;
use homes::Homes;
pub(crate) use homes::home_around;
use hot::Hot;
use listing::Language;
use locate::{Found, Located, Miss, Wanted, locate};
use negotiate::{Coding, acceptable};
use open::{Manner, Root};
use path::RequestPath;
use refusal::{METHODS, Refusal};
use representation::{Content, Representation};

/// A file that changed less than this ago may change again without its time showing it: kernels stamp files by their
/// tick, of 10 ms at most.
const TICK: Duration = Duration::from_millis(10);

/// What a folder's owner can choose.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct FolderOptions {
    /// Show a list of the files in a directory that has no `index.html`. Otherwise such a directory does not exist.
    pub listing: bool,
    /// Serve files whose names begin with a dot. `/.well-known/` is served in any case.
    pub dotfiles: bool,
    /// Compress texts that have no precompressed sibling.
    pub compress: bool,
    /// How long a copy may be used without asking again; zero: it is asked about each time.
    pub max_age: Duration,
}

impl FolderOptions {
    /// Whether visitors have a path to `below`, which is relative to the folder. Links are not followed.
    pub(crate) fn shows(&self, below: &Path) -> bool {
        path::is_open(below, self.dotfiles)
    }
}

impl Default for FolderOptions {
    fn default() -> Self {
        Self {
            listing: false,
            dotfiles: false,
            compress: true,
            max_age: Duration::ZERO,
        }
    }
}

/// The ways to a file that are open, where its path decides what it costs.
pub struct Ways<'a> {
    /// Only under the names that stand in the directories, whatever else the file system would find a file by.
    pub exact: bool,
    /// Whether a link may lead to this path, relative to the folder; a directory's ends with a slash.
    pub leads: &'a (dyn Fn(&str) -> bool + Sync),
}

impl Ways<'static> {
    /// All of them: nothing has a price.
    pub const ALL: Self = Self {
        exact: false,
        leads: &|_| true,
    };
}

/// Why a folder cannot be served.
#[derive(Debug, thiserror::Error)]
pub enum FolderError {
    /// There is no such directory, or it cannot be read.
    #[error("cannot open the folder {}", path.display())]
    Open {
        /// As it was given.
        path: PathBuf,
        /// What the operating system said.
        source: std::io::Error,
    },
    /// Visitors would find keys and journals there.
    #[error("cannot serve {}: it lies in the home {} of a node or an anchor; choose another folder", path.display(), home.display())]
    Home {
        /// As it was given.
        path: PathBuf,
        /// The home.
        home: PathBuf,
    },
}

/// A served folder. Clones share it.
#[derive(Debug, Clone)]
pub struct Folder {
    inner: Arc<Inner>,
}

#[derive(Debug)]
struct Inner {
    root: Root,
    options: FolderOptions,
    cache_control: HeaderValue,
    pool: Arc<Pool>,
    compressor: Compressor,
    digests: Digests,
    hot: Hot,
}

impl Folder {
    /// Opens the directory at `path`. Blocks for a moment.
    ///
    /// # Errors
    /// If it is not a directory, cannot be read, or lies in a home.
    pub fn open(path: impl AsRef<Path>, options: FolderOptions) -> Result<Self, FolderError> {
        let path = path.as_ref();
        let failed = |source| FolderError::Open {
            path: path.to_owned(),
            source,
        };
        let dir = Dir::open_ambient_dir(path, ambient_authority()).map_err(failed)?;
        dir.entries().map_err(failed)?;
        if let Some(home) = home_around(path) {
            let path = path.to_owned();
            return Err(FolderError::Home { path, home });
        }
        let cache_control = match options.max_age.as_secs() {
            0 => HeaderValue::from_static("no-cache"),
            seconds => HeaderValue::try_from(format!("max-age={seconds}"))
                .unwrap_or(HeaderValue::from_static("no-cache")),
        };
        let inner = Inner {
            root: Root {
                dir,
                homes: Homes::new(),
            },
            options,
            cache_control,
            pool: Arc::default(),
            compressor: Compressor::new(),
            digests: Digests::new(),
            hot: Hot::new(),
        };
        Ok(Self {
            inner: Arc::new(inner),
        })
    }

    /// Answers a request. The body of a GET has an exact length; an error in it means that the connection has to be cut.
    /// What `ways` does not let through does not exist.
    ///
    /// Must be called on a tokio runtime, and its body read on one.
    pub async fn respond(&self, request: &Parts, ways: &Ways<'_>) -> Response<Body> {
        let mut response = self
            .answer(request, ways)
            .await
            .unwrap_or_else(Refusal::response);
        if request.uri.query().is_some() && response.status().is_success() {
            // A file is the same whatever the query: it counts as one request, and caches may know.
            if let Ok(path) = HeaderValue::from_bytes(request.uri.path().as_bytes()) {
                response.headers_mut().insert(CONTENT_LOCATION, path);
            }
        }
        response
    }

    async fn answer(&self, request: &Parts, ways: &Ways<'_>) -> Result<Response<Body>, Refusal> {
        if request.method == Method::OPTIONS {
            return Ok(options_response());
        }
        if request.method != Method::GET && request.method != Method::HEAD {
            return Err(Refusal::Method);
        }
        let options = &self.inner.options;
        let wanted = Wanted {
            path: RequestPath::parse(request.uri.path(), options.dotfiles)?,
            codings: acceptable(&request.headers),
            content: request.method == Method::GET
                && !request.headers.contains_key(IF_NONE_MATCH)
                && !request.headers.contains_key(IF_MODIFIED_SINCE),
            listing: options.listing.then(|| Language::of(&request.headers)),
            dotfiles: options.dotfiles,
            exact: ways.exact,
        };
        match self.find_by(&wanted, ways).await? {
            Found::Directory => Ok(redirect(request)),
            Found::Listing { page, .. } => self.listing(request, page),
            Found::File(found) => self.send(request, &wanted, ways, found).await,
        }
    }

    async fn find_by(&self, wanted: &Wanted, ways: &Ways<'_>) -> Result<Found, Refusal> {
        let found = self.find(wanted).await?;
        match found.behind_link() {
            Some(path) if !(ways.leads)(path) => Err(Refusal::NotFound),
            Some(_) | None => Ok(found),
        }
    }

    /// What is wanted: held in memory, or looked up.
    async fn find(&self, wanted: &Wanted) -> Result<Found, Refusal> {
        if let Some(found) = self.inner.hot.get(&self.inner.root.dir, wanted) {
            return Ok(Found::File(found));
        }
        let asked = SystemTime::now();
        let found = self.look_up(wanted).await?;
        if let Found::File(found) = &found {
            self.inner.hot.put(wanted, found, asked);
        }
        Ok(found)
    }

    /// Looks in the kernel's memory first, and waits for the disk on a blocking thread if it must.
    async fn look_up(&self, wanted: &Wanted) -> Result<Found, Refusal> {
        match locate(&self.inner.root, wanted, Manner::Cached) {
            Ok(found) => Ok(found),
            Err(Miss::Refused(refusal)) => Err(refusal),
            Err(Miss::WouldBlock) => {
                let (inner, wanted) = (Arc::clone(&self.inner), wanted.clone());
                let found = tokio::task::spawn_blocking(move || {
                    locate(&inner.root, &wanted, Manner::Patient)
                })
                .await;
                found
                    .map_err(|_| Refusal::Failed)?
                    .map_err(|miss| match miss {
                        Miss::Refused(refusal) => refusal,
                        Miss::WouldBlock => Refusal::Failed,
                    })
            }
        }
    }

    async fn send(
        &self,
        request: &Parts,
        wanted: &Wanted,
        ways: &Ways<'_>,
        found: Located,
    ) -> Result<Response<Body>, Refusal> {
        let (found, settled) = self.settled(wanted, ways, found).await?;
        let now = SystemTime::now();
        let mut representation = Representation {
            length: found.file.version.size,
            validators: Validators {
                tag: EntityTag {
                    weak: !settled,
                    opaque: tag(&found, found.coding),
                },
                modified: last_modified(found.file.version.modified(), now),
            },
            content_type: found.content_type.clone(),
            coding: found.coding,
            vary: found.compressible.then_some(ACCEPT_ENCODING),
            cache_control: self.inner.cache_control.clone(),
            digest: None,
            content: found
                .small
                .clone()
                .map_or_else(|| Content::File(Arc::clone(&found.file)), Content::Octets),
        };
        let want_digest = digest::is_wanted(&request.headers);
        if let Some((coding, coded)) = self.compressed(request, wanted, &found).await {
            representation.length = coded.len() as u64;
            // The next release of the compressor may write other octets, so only the meaning is promised.
            representation.validators.tag = EntityTag {
                weak: true,
                opaque: tag(&found, Some(coding)),
            };
            representation.coding = Some(coding);
            representation.digest = want_digest.then(|| digest::sum_of_octets(&coded));
            representation.content = Content::Octets(coded);
        } else if settled {
            representation.digest = if want_digest {
                self.inner.digests.of(&found.file).await
            } else {
                self.inner.digests.known(&found.file.version)
            };
        }
        representation.answer(request, now, &self.inner.pool)
    }

    /// Waits out the kernel's tick after a change, so that the tag is of these octets alone; says whether it is.
    async fn settled(
        &self,
        wanted: &Wanted,
        ways: &Ways<'_>,
        found: Located,
    ) -> Result<(Located, bool), Refusal> {
        let fresh = |found: &Located| {
            found
                .file
                .version
                .age(SystemTime::now())
                .is_some_and(|age| age < TICK)
        };
        if !fresh(&found) {
            return Ok((found, true));
        }
        tokio::time::sleep(TICK).await;
        match self.find_by(wanted, ways).await? {
            Found::File(found) => {
                let settled = !fresh(&found);
                Ok((found, settled))
            }
            Found::Directory | Found::Listing { .. } => Err(Refusal::NotFound),
        }
    }

    /// The file compressed on the fly, where that is of use.
    async fn compressed(
        &self,
        request: &Parts,
        wanted: &Wanted,
        found: &Located,
    ) -> Option<(Coding, Bytes)> {
        let coding = *wanted.codings.first()?;
        let moderate = (compress::PLAIN_OCTETS_MIN..=compress::PLAIN_OCTETS_MAX)
            .contains(&found.file.version.size);
        if !self.inner.options.compress
            || !found.compressible
            || found.coding.is_some()
            || !moderate
            || request.headers.contains_key(RANGE)
        {
            return None;
        }
        let coded = self
            .inner
            .compressor
            .compressed(&found.file, coding)
            .await
            .ok()??;
        Some((coding, coded))
    }

    fn listing(&self, request: &Parts, page: String) -> Result<Response<Body>, Refusal> {
        let opaque = data_encoding::HEXLOWER.encode(&digest::sum_of_octets(page.as_bytes())[..12]);
        let representation = Representation {
            length: page.len() as u64,
            validators: Validators {
                tag: EntityTag {
                    weak: false,
                    opaque,
                },
                modified: None,
            },
            content_type: HeaderValue::from_static("text/html; charset=utf-8"),
            coding: None,
            vary: Some(ACCEPT_LANGUAGE),
            cache_control: HeaderValue::from_static("no-cache"),
            digest: None,
            content: Content::Octets(page.into()),
        };
        let mut response = representation.answer(request, SystemTime::now(), &self.inner.pool)?;
        let policy = HeaderValue::from_static(
            "default-src 'none'; style-src 'unsafe-inline'; base-uri 'none'; form-action 'none'",
        );
        response
            .headers_mut()
            .insert(CONTENT_SECURITY_POLICY, policy);
        Ok(response)
    }
}

/// The opaque part of a file's tag in a coding.
fn tag(found: &Located, coding: Option<Coding>) -> String {
    let version = found.file.version.tag();
    coding.map_or_else(
        || version.clone(),
        |coding| format!("{version}-{}", coding.token()),
    )
}

fn options_response() -> Response<Body> {
    let mut response = Response::new(Empty::new().map_err(|never| match never {}).boxed_unsync());
    *response.status_mut() = StatusCode::NO_CONTENT;
    response.headers_mut().insert(ALLOW, METHODS);
    response
}

/// Sends a directory without its slash to the one with it. The path is known to begin with one slash only, so that
/// the target stays on this site.
fn redirect(request: &Parts) -> Response<Body> {
    let query = request
        .uri
        .query()
        .map_or_else(String::new, |query| format!("?{query}"));
    let mut response = options_response();
    *response.status_mut() = StatusCode::PERMANENT_REDIRECT;
    let headers = response.headers_mut();
    headers.remove(ALLOW);
    headers.insert(CACHE_CONTROL, HeaderValue::from_static("no-cache"));
    match HeaderValue::try_from(format!("{}/{query}", request.uri.path())) {
        Ok(location) => {
            headers.insert(LOCATION, location);
        }
        Err(_) => *response.status_mut() = StatusCode::NOT_FOUND,
    }
    response
}
