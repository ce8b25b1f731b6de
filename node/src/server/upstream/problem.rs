//! Why a request did not reach the application, as a problem document (RFC 9457).

use http::header::CACHE_CONTROL;
use http::{HeaderValue, Response, StatusCode};
use serde_json::Value;

use crate::web::{self, Body};

/// A request that the application did not answer.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Problem {
    /// CONNECT and TRACE are not forwarded.
    Method,
    /// Two lengths in one request.
    Framing,
    /// A path that leads out of the application's base.
    Path,
    /// A header of ours could not be written.
    Head,
    /// The visitor stopped in the middle of an upload.
    VisitorStalled,
    /// Nobody listens at the application's address.
    Refused,
    /// The application cannot be connected to in time.
    ConnectTimeout,
    /// The application broke off, or does not speak HTTP.
    Broken,
    /// The application did not begin to answer in time.
    Timeout,
}

impl Problem {
    fn says(self) -> (StatusCode, &'static str, &'static str) {
        match self {
            Self::Method => (
                StatusCode::METHOD_NOT_ALLOWED,
                "method-not-forwarded",
                "This method is not forwarded.",
            ),
            Self::Framing => (
                StatusCode::BAD_REQUEST,
                "length-twofold",
                "The request states its length in two ways.",
            ),
            Self::Path => (
                StatusCode::BAD_REQUEST,
                "address-malformed",
                "This address is not well formed.",
            ),
            Self::Head => (
                StatusCode::BAD_REQUEST,
                "request-unfit",
                "The request could not be forwarded.",
            ),
            Self::VisitorStalled => (
                StatusCode::REQUEST_TIMEOUT,
                "upload-stalled",
                "The request's content stopped arriving.",
            ),
            Self::Refused => (
                StatusCode::BAD_GATEWAY,
                "application-not-running",
                "The application behind this site is not running.",
            ),
            Self::ConnectTimeout => (
                StatusCode::GATEWAY_TIMEOUT,
                "application-unreachable",
                "The application behind this site cannot be reached.",
            ),
            Self::Broken => (
                StatusCode::BAD_GATEWAY,
                "application-broken",
                "The application behind this site broke off.",
            ),
            Self::Timeout => (
                StatusCode::GATEWAY_TIMEOUT,
                "application-silent",
                "The application behind this site did not answer in time.",
            ),
        }
    }

    /// The answer.
    pub(super) fn response(self) -> Response<Body> {
        let (status, slug, text) = self.says();
        let mut response = web::problem(status, slug, text, Value::Null);
        response
            .headers_mut()
            .insert(CACHE_CONTROL, HeaderValue::from_static("no-store"));
        response
    }
}
