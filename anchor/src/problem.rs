//! [`Problem`]: how refusals and failures look over HTTP (RFC 9457). The one place that maps them to a status and to public words.
//!
//! | status | for |
//! | --- | --- |
//! | 400 | octets that are no record of this version |
//! | 401 | who is asking is not known, or could not prove it |
//! | 403 | known, but not permitted: closed accounts, no credit, policy |
//! | 404 | a grant, tariff, entry or group that is not known |
//! | 409 | permitted, but not as things stand now: taken, closed, changed, outdated |
//! | 413 | larger than its kind may be |
//! | 422 | a record that can be read and says what must not be |
//! | 429 | too often |
//! | 503 | not now |
//!
//! 402 is the status of a paid page, never of the anchor: what costs money here is decided elsewhere.

use std::time::Duration;

use axum::response::{IntoResponse, Response};
use http::{HeaderValue, StatusCode, header};
use madang_protocol::{
    broker::PROBLEM_PREFIX,
    reject::{Fault, Reject},
};
use serde::Serialize;

use crate::{broker::descriptor::DescriptorError, store::error::StoreError};

/// The media type of problem documents.
pub const PROBLEM_MEDIA_TYPE: &str = "application/problem+json";

/// A refusal or failure on its way to a client. What it holds is public.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Problem {
    status: StatusCode,
    reject: Option<Reject>,
    title: &'static str,
    retry_after: Option<Duration>,
}

/// The document itself, by the names of RFC 9457 and our `code`.
#[derive(Debug, Serialize)]
struct Document<'a> {
    r#type: String,
    title: &'a str,
    status: u16,
    #[serde(skip_serializing_if = "Option::is_none")]
    code: Option<u16>,
}

impl Problem {
    /// A fault of HTTP itself: no such page, wrong method, wrong media type.
    pub fn http(status: StatusCode, title: &'static str) -> Self {
        Self {
            status,
            reject: None,
            title,
            retry_after: None,
        }
    }

    /// [`Reject::SLOW_DOWN`], until `retry_after` has passed.
    pub fn slow_down(retry_after: Duration) -> Self {
        Self {
            retry_after: Some(retry_after),
            ..Self::from(Reject::SLOW_DOWN)
        }
    }

    /// The HTTP status.
    pub fn status(&self) -> StatusCode {
        self.status
    }

    /// The refusal, unless HTTP itself failed.
    pub fn reject(&self) -> Option<Reject> {
        self.reject
    }

    /// The metric's label: the refusal's slug, or `http` where HTTP itself failed.
    pub fn slug(&self) -> &'static str {
        self.reject.map_or("http", Reject::slug)
    }
}

impl From<Reject> for Problem {
    fn from(reject: Reject) -> Self {
        let status = status_of(reject);
        let retry_after = match status {
            StatusCode::SERVICE_UNAVAILABLE | StatusCode::TOO_MANY_REQUESTS => Some(RETRY_AFTER),
            _ => None,
        };
        Self {
            status,
            reject: Some(reject),
            title: reject.text(),
            retry_after,
        }
    }
}

impl From<StoreError> for Problem {
    /// Logs what is behind a failure: only the refusal is public.
    fn from(error: StoreError) -> Self {
        match &error {
            StoreError::Refused(_) => {}
            StoreError::Full(cause) => tracing::warn!(%cause, "the disk is full"),
            StoreError::Failed(cause) => tracing::error!(%cause, "the store failed"),
            StoreError::Closed => tracing::debug!("the store is closed"),
        }
        error.reject().into()
    }
}

impl From<DescriptorError> for Problem {
    /// Logs what is behind a failure: only the refusal is public.
    fn from(error: DescriptorError) -> Self {
        tracing::warn!(%error, "the network's description could not be renewed");
        Reject::STORE_FAILED.into()
    }
}

impl IntoResponse for Problem {
    fn into_response(self) -> Response {
        let document = Document {
            r#type: self.reject.map_or_else(
                || "about:blank".to_owned(),
                |reject| format!("{PROBLEM_PREFIX}{}", reject.slug()),
            ),
            title: self.title,
            status: self.status.as_u16(),
            code: self.reject.map(|reject| reject.0),
        };
        // A structure of texts and numbers has a JSON form.
        let body = serde_json::to_vec(&document).unwrap_or_default();
        let mut response = (self.status, body).into_response();
        let headers = response.headers_mut();
        headers.insert(
            header::CONTENT_TYPE,
            HeaderValue::from_static(PROBLEM_MEDIA_TYPE),
        );
        headers.insert(header::CACHE_CONTROL, HeaderValue::from_static("no-store"));
        if self.status == StatusCode::UNAUTHORIZED {
            headers.insert(header::WWW_AUTHENTICATE, HeaderValue::from_static("Madang"));
        }
        if let Some(wait) = self.retry_after {
            let seconds = wait.as_millis().div_ceil(1_000).max(1);
            let seconds = u32::try_from(seconds).unwrap_or(u32::MAX);
            headers.insert(header::RETRY_AFTER, HeaderValue::from(seconds));
        }
        response.extensions_mut().insert(self);
        response
    }
}

/// The status of a refusal; see the table above.
fn status_of(reject: Reject) -> StatusCode {
    match reject {
        Reject::RECORD_TOO_LARGE => StatusCode::PAYLOAD_TOO_LARGE,
        Reject::RECORD_MALFORMED | Reject::RECORD_NOT_CANONICAL | Reject::VERSION_UNKNOWN => {
            StatusCode::BAD_REQUEST
        }
        Reject::SIGNER_UNKNOWN
        | Reject::SIGNATURE_WRONG
        | Reject::CREDENTIALS_WRONG
        | Reject::DEVICE_UNKNOWN
        | Reject::DEVICE_REVOKED
        | Reject::PASSPORT_EXPIRED
        | Reject::PASSPORT_NOT_FRESH
        | Reject::NONCE_WRONG => StatusCode::UNAUTHORIZED,
        Reject::GRANT_UNKNOWN
        | Reject::TARIFF_UNKNOWN
        | Reject::SESSION_UNKNOWN
        | Reject::ACCOUNT_UNKNOWN
        | Reject::DISPUTE_UNKNOWN
        | Reject::ENTRY_UNKNOWN
        | Reject::PERIOD_UNKNOWN
        | Reject::DOCUMENT_UNKNOWN => StatusCode::NOT_FOUND,
        Reject::SEQUENCE_OLD
        | Reject::NAME_TAKEN
        | Reject::DEVICE_TAKEN
        | Reject::DEVICES_TOO_MANY
        | Reject::TARIFF_CHANGED
        | Reject::TARIFF_NOT_VALID_NOW
        | Reject::GRANT_EXPIRED
        | Reject::GRANT_EXHAUSTED
        | Reject::GRANT_CLOSED
        | Reject::RECEIPT_AFTER_FINAL
        | Reject::SETTLE_TOO_LATE
        | Reject::OWNER_NEEDED
        | Reject::TAX_ID_NEEDED
        | Reject::CREDIT_LIMIT_TOO_LOW
        | Reject::DISPUTE_TOO_LATE
        | Reject::DISPUTE_DIFFERS
        | Reject::DISPUTE_DECIDED
        | Reject::GRANT_NOT_CLOSED
        | Reject::MORE_THAN_IS_LEFT
        | Reject::PERIOD_NOT_OVER
        | Reject::PERIOD_IN_GRACE
        | Reject::PERIOD_CLOSED
        | Reject::PERIOD_OUT_OF_ORDER => StatusCode::CONFLICT,
        Reject::RECORD_EXPIRED
        | Reject::RECORD_FROM_FUTURE
        | Reject::NAME_INVALID
        | Reject::CURRENCY_FOREIGN
        | Reject::AMOUNT_TOO_LARGE
        | Reject::REQUEST_ID_REUSED => StatusCode::UNPROCESSABLE_ENTITY,
        Reject::GRANT_LIMIT_REACHED | Reject::SLOW_DOWN | Reject::TOO_MANY => {
            StatusCode::TOO_MANY_REQUESTS
        }
        other => match other.fault() {
            Fault::Peer => StatusCode::UNPROCESSABLE_ENTITY,
            Fault::Caller => StatusCode::FORBIDDEN,
            Fault::NotNow => StatusCode::SERVICE_UNAVAILABLE,
        },
    }
}

/// When to come back where nothing better is known.
const RETRY_AFTER: Duration = Duration::from_secs(5);

#[cfg(test)]
mod tests {
    #![expect(clippy::unwrap_used, reason = "a test may stop at a surprise")]

    use super::*;

    #[test]
    fn every_refusal_has_a_status_of_the_table() {
        for reject in Reject::all() {
            let status = status_of(reject).as_u16();
            assert!(
                [400, 401, 403, 404, 409, 413, 422, 429, 503].contains(&status),
                "{reject:?}: {status}"
            );
        }
    }

    #[test]
    fn only_what_may_succeed_later_says_when() {
        for reject in Reject::all() {
            let response = Problem::from(reject).into_response();
            let later = matches!(response.status().as_u16(), 429 | 503);
            assert_eq!(
                response.headers().contains_key(header::RETRY_AFTER),
                later,
                "{reject:?}"
            );
        }
    }

    #[tokio::test]
    async fn a_document_carries_code_and_slug() {
        let response = Problem::from(Reject::CREDENTIALS_WRONG).into_response();
        assert_eq!(response.headers()[header::CONTENT_TYPE], PROBLEM_MEDIA_TYPE);
        assert!(response.headers().contains_key(header::WWW_AUTHENTICATE));
        let body = axum::body::to_bytes(response.into_body(), 1_024)
            .await
            .unwrap();
        let document: serde_json::Value = serde_json::from_slice(&body).unwrap();
        assert_eq!(document["type"], "urn:madang:problem:credentials-wrong");
        assert_eq!(
            (&document["code"], &document["status"]),
            (&206.into(), &401.into())
        );
    }

    #[test]
    fn a_wait_is_rounded_up_to_seconds() {
        let response = Problem::slow_down(Duration::from_millis(1_200)).into_response();
        assert_eq!(response.headers()[header::RETRY_AFTER], "2");
    }
}
