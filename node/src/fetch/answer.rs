//! What another node's answer says beside its content.

use http::{Response, header};
use http_body_util::{BodyExt, Limited};
use madang_protocol::{
    broker::PROBLEM_PREFIX,
    reject::Reject,
    session::frame::{RESPONSE_HEADER, RESPONSE_PAID, ResponseId, SESSION_HEADER},
};

use crate::{
    mesh::{OpenError, directory::Located},
    web::{self, Body},
};

/// Octets of a problem document that is read.
const PROBLEM_BYTES_MAX: usize = 16 * 1_024;

/// In an answer's extensions: it is of a site that has prices.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Priced;

impl Priced {
    pub(super) fn mark(mut response: Response<Body>, located: &Located) -> Response<Body> {
        if located.announcement.tariff.is_some() {
            response.extensions_mut().insert(Self);
        }
        response
    }
}

/// Without the headers that speak between the two nodes.
pub(super) fn cleaned(mut response: Response<Body>) -> Response<Body> {
    response.headers_mut().remove(RESPONSE_HEADER);
    response.headers_mut().remove(SESSION_HEADER);
    response
}

/// As what an answer with a price is counted, and whether its request's price is receipted already.
pub(super) fn numbered(response: &Response<Body>) -> Option<(ResponseId, bool)> {
    let named = response.headers().get(RESPONSE_HEADER)?.to_str().ok()?;
    let mut words = named.split(' ');
    let number = words.next()?.parse().ok()?;
    Some((ResponseId(number), words.next() == Some(RESPONSE_PAID)))
}

/// What this node or its visitor is to blame for, and the peer is not: too much at once, or a body that is not what its head says.
pub(super) fn own_fault(error: &web::FetchError) -> Option<Reject> {
    match error {
        web::FetchError::Busy | web::FetchError::Open(OpenError::Busy) => Some(Reject::BUSY),
        web::FetchError::Broken(error) if error.is_user() => Some(Reject::FIELD_OUT_OF_BOUNDS),
        web::FetchError::Broken(_) | web::FetchError::Open(_) | web::FetchError::Unsupported => {
            None
        }
    }
}

pub(super) fn is_problem(response: &Response<Body>) -> bool {
    response
        .headers()
        .get(header::CONTENT_TYPE)
        .is_some_and(|kind| kind.as_bytes().starts_with(b"application/problem+json"))
}

/// The refusal that a problem document of a node's own tells.
pub(super) async fn problem_code(response: Response<Body>) -> Reject {
    let unknown = Reject::PAYMENT_REQUIRED;
    let Ok(octets) = Limited::new(response.into_body(), PROBLEM_BYTES_MAX)
        .collect()
        .await
    else {
        return unknown;
    };
    let Ok(problem) = serde_json::from_slice::<serde_json::Value>(&octets.to_bytes()) else {
        return unknown;
    };
    let is_ours = problem["type"]
        .as_str()
        .is_some_and(|kind| kind.starts_with(PROBLEM_PREFIX));
    let code = problem["code"]
        .as_u64()
        .and_then(|code| u16::try_from(code).ok())
        .filter(|_| is_ours);
    code.map_or(unknown, Reject)
}
