//! Why a request did not reach the application, as a problem document (RFC 9457).

use bytes::Bytes;
use http::header::{CACHE_CONTROL, CONTENT_TYPE};
use http::{HeaderValue, Response, StatusCode};
use http_body_util::{BodyExt, Full};

use crate::web::Body;

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
    fn says(self) -> (StatusCode, &'static str) {
        match self {
            Self::Method => (
                StatusCode::METHOD_NOT_ALLOWED,
                "This method is not forwarded.",
            ),
            Self::Framing => (
                StatusCode::BAD_REQUEST,
                "The request states its length in two ways.",
            ),
            Self::Path => (StatusCode::BAD_REQUEST, "This address is not well formed."),
            Self::Head => (
                StatusCode::BAD_REQUEST,
                "The request could not be forwarded.",
            ),
            Self::VisitorStalled => (
                StatusCode::REQUEST_TIMEOUT,
                "The request's content stopped arriving.",
            ),
            Self::Refused => (
                StatusCode::BAD_GATEWAY,
                "The application behind this site is not running.",
            ),
            Self::ConnectTimeout => (
                StatusCode::GATEWAY_TIMEOUT,
                "The application behind this site cannot be reached.",
            ),
            Self::Broken => (
                StatusCode::BAD_GATEWAY,
                "The application behind this site broke off.",
            ),
            Self::Timeout => (
                StatusCode::GATEWAY_TIMEOUT,
                "The application behind this site did not answer in time.",
            ),
        }
    }

    /// The answer.
    pub(super) fn response(self) -> Response<Body> {
        let (status, detail) = self.says();
        let document = serde_json::json!({
            "title": status.canonical_reason().unwrap_or_default(),
            "status": status.as_u16(),
            "detail": detail,
        });
        let body = Full::new(Bytes::from(document.to_string()));
        let mut response = Response::new(body.map_err(|never| match never {}).boxed_unsync());
        *response.status_mut() = status;
        response.headers_mut().insert(
            CONTENT_TYPE,
            HeaderValue::from_static("application/problem+json"),
        );
        response
            .headers_mut()
            .insert(CACHE_CONTROL, HeaderValue::from_static("no-store"));
        response
    }
}
