//! [`Problem`]: every refusal of the control socket, as a problem document. The one place where errors become status codes here.

use axum::{
    Json,
    response::{IntoResponse, Response},
};
use http::{HeaderValue, StatusCode, header};
use madang_protocol::{
    broker::PROBLEM_PREFIX,
    reject::{Fault, Reject},
};
use serde::{Deserialize, Serialize};

use crate::{app::SiteError, broker::BrokerError, config::ConfigError};

/// RFC 9457. `title` is the whole message for people, in one line.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Problem {
    /// [`PROBLEM_PREFIX`] and a slug.
    #[serde(rename = "type")]
    pub kind: String,
    /// What happened, and what to do.
    pub title: String,
    /// The HTTP status.
    pub status: u16,
    /// The number of the [`Reject`], where it is one.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub code: Option<u16>,
}

impl Problem {
    /// A problem of our own.
    pub fn new(status: StatusCode, slug: &str, title: impl ToString) -> Self {
        Self {
            kind: format!("{PROBLEM_PREFIX}{slug}"),
            title: title.to_string(),
            status: status.as_u16(),
            code: None,
        }
    }

    /// Whether what was asked for is wrong in itself, rather than that it failed.
    pub fn is_mistake(&self) -> bool {
        matches!(
            self.slug(),
            "amount-wrong" | "configuration-wrong" | "name-wrong" | "path-wrong" | "site-wrong"
        )
    }

    /// The slug at the end of `type`.
    pub fn slug(&self) -> &str {
        self.kind.strip_prefix(PROBLEM_PREFIX).unwrap_or(&self.kind)
    }
}

impl IntoResponse for Problem {
    fn into_response(self) -> Response {
        let status = StatusCode::from_u16(self.status).unwrap_or(StatusCode::INTERNAL_SERVER_ERROR);
        let mut response = (status, Json(self)).into_response();
        let media_type = HeaderValue::from_static("application/problem+json");
        response
            .headers_mut()
            .insert(header::CONTENT_TYPE, media_type);
        response
    }
}

impl From<Reject> for Problem {
    fn from(reject: Reject) -> Self {
        let status = match reject.fault() {
            Fault::Caller => StatusCode::FORBIDDEN,
            Fault::Peer => StatusCode::BAD_GATEWAY,
            Fault::NotNow => StatusCode::SERVICE_UNAVAILABLE,
        };
        Self {
            code: Some(reject.0),
            ..Self::new(status, reject.slug(), reject)
        }
    }
}

impl From<BrokerError> for Problem {
    fn from(error: BrokerError) -> Self {
        match error {
            BrokerError::Refused(reject) => reject.into(),
            BrokerError::Unreachable(_) => {
                Self::new(StatusCode::SERVICE_UNAVAILABLE, "anchor-unreachable", error)
            }
            BrokerError::Invalid(_) => {
                Self::new(StatusCode::BAD_GATEWAY, "anchor-not-trusted", error)
            }
        }
    }
}

impl From<SiteError> for Problem {
    fn from(error: SiteError) -> Self {
        Self::new(StatusCode::UNPROCESSABLE_ENTITY, "site-wrong", error)
    }
}

impl From<ConfigError> for Problem {
    fn from(error: ConfigError) -> Self {
        if error.is_mistake() {
            let status = StatusCode::UNPROCESSABLE_ENTITY;
            Self::new(status, "configuration-wrong", error)
        } else {
            let status = StatusCode::INSUFFICIENT_STORAGE;
            Self::new(status, "configuration-not-kept", error)
        }
    }
}
