//! Why the folder does not send what was asked, and the problem document (RFC 9457) that says so.

use http::header::{ALLOW, CACHE_CONTROL, X_CONTENT_TYPE_OPTIONS};
use http::{HeaderValue, Response, StatusCode};
use serde_json::Value;

use crate::web::{self, Body};

/// What the folder serves by.
pub(super) const METHODS: HeaderValue = HeaderValue::from_static("GET, HEAD, OPTIONS");

/// A request that gets no file.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Refusal {
    /// The path is not well formed, or could be read in two ways.
    BadPath,
    /// The path is longer than any file's.
    PathTooLong,
    /// Nothing that is served has this name; hidden files and links that leave the folder are not told apart.
    NotFound,
    /// The owner's operating system does not let the node read it.
    Forbidden,
    /// The folder is only read.
    Method,
    /// The disk failed.
    Failed,
    /// The machine is out of file descriptors.
    Busy,
}

impl Refusal {
    /// The refusal that an error of the file system stands for.
    pub(super) fn from_io(error: &std::io::Error) -> Self {
        use rustix::io::Errno;
        match error.raw_os_error().map(Errno::from_raw_os_error) {
            Some(
                Errno::NOENT
                | Errno::NOTDIR
                | Errno::NAMETOOLONG
                | Errno::LOOP
                | Errno::XDEV
                | Errno::NXIO,
            ) => Self::NotFound,
            Some(Errno::ACCESS) => Self::Forbidden,
            Some(Errno::MFILE | Errno::NFILE) => Self::Busy,
            Some(_) => Self::Failed,
            // cap-std names an escape from the folder with an error of its own.
            None if error.kind() == std::io::ErrorKind::PermissionDenied => Self::NotFound,
            None => Self::Failed,
        }
    }

    fn says(self) -> (StatusCode, &'static str, &'static str) {
        match self {
            Self::BadPath => (
                StatusCode::BAD_REQUEST,
                "address-malformed",
                "This address is not well formed.",
            ),
            Self::PathTooLong => (
                StatusCode::URI_TOO_LONG,
                "address-too-long",
                "This address is too long.",
            ),
            Self::NotFound => (
                StatusCode::NOT_FOUND,
                "nothing-here",
                "There is nothing at this address.",
            ),
            Self::Forbidden => (
                StatusCode::FORBIDDEN,
                "file-not-open",
                "This file is not open to be read.",
            ),
            Self::Method => (
                StatusCode::METHOD_NOT_ALLOWED,
                "only-read",
                "This address can only be read.",
            ),
            Self::Failed => (
                StatusCode::INTERNAL_SERVER_ERROR,
                "file-unreadable",
                "The file could not be read.",
            ),
            Self::Busy => (
                StatusCode::SERVICE_UNAVAILABLE,
                "files-too-many",
                "Too many files are being read; try again.",
            ),
        }
    }

    /// The answer.
    pub(super) fn response(self) -> Response<Body> {
        let (status, slug, text) = self.says();
        let mut response = web::problem(status, slug, text, Value::Null);
        let headers = response.headers_mut();
        headers.insert(X_CONTENT_TYPE_OPTIONS, HeaderValue::from_static("nosniff"));
        headers.insert(CACHE_CONTROL, HeaderValue::from_static("no-cache"));
        if self == Self::Method {
            headers.insert(ALLOW, METHODS);
        }
        response
    }
}
