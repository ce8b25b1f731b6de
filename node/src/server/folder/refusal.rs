//! Why the folder does not send what was asked, and the short page that says so.

use bytes::Bytes;
use http::header::{ALLOW, CACHE_CONTROL, CONTENT_TYPE, X_CONTENT_TYPE_OPTIONS};
use http::{HeaderValue, Response, StatusCode};
use http_body_util::{BodyExt, Full};

use crate::web::Body;

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

    fn status(self) -> (StatusCode, &'static str) {
        match self {
            Self::BadPath => (
                StatusCode::BAD_REQUEST,
                "This address is not well formed.\n",
            ),
            Self::PathTooLong => (StatusCode::URI_TOO_LONG, "This address is too long.\n"),
            Self::NotFound => (StatusCode::NOT_FOUND, "There is nothing at this address.\n"),
            Self::Forbidden => (StatusCode::FORBIDDEN, "This file is not open to be read.\n"),
            Self::Method => (
                StatusCode::METHOD_NOT_ALLOWED,
                "This address can only be read.\n",
            ),
            Self::Failed => (
                StatusCode::INTERNAL_SERVER_ERROR,
                "The file could not be read.\n",
            ),
            Self::Busy => (
                StatusCode::SERVICE_UNAVAILABLE,
                "Too many files are being read; try again.\n",
            ),
        }
    }

    /// The answer.
    pub(super) fn response(self) -> Response<Body> {
        let (status, text) = self.status();
        let body = Full::new(Bytes::from_static(text.as_bytes()))
            .map_err(|never| match never {})
            .boxed_unsync();
        let mut response = Response::new(body);
        *response.status_mut() = status;
        let headers = response.headers_mut();
        headers.insert(
            CONTENT_TYPE,
            HeaderValue::from_static("text/plain; charset=utf-8"),
        );
        headers.insert(X_CONTENT_TYPE_OPTIONS, HeaderValue::from_static("nosniff"));
        headers.insert(CACHE_CONTROL, HeaderValue::from_static("no-cache"));
        if self == Self::Method {
            headers.insert(ALLOW, METHODS);
        }
        response
    }
}
