//! What the head of an answer with a price says of it: where it begins, and how its buyer names it.

use http::{HeaderValue, Response, StatusCode, header};
use madang_protocol::session::{
    frame::{RESPONSE_PAID, ResponseId},
    seller::Terms,
};

use crate::web::Body;

/// Which octet of the whole comes first; `None` where that means nothing.
pub(super) fn offset(response: &Response<Body>) -> Option<u64> {
    match response.status() {
        StatusCode::OK => Some(0),
        StatusCode::PARTIAL_CONTENT => {
            let range = response
                .headers()
                .get(header::CONTENT_RANGE)?
                .to_str()
                .ok()?;
            range
                .strip_prefix("bytes ")?
                .split('-')
                .next()?
                .parse()
                .ok()
        }
        _ => None,
    }
}

/// What names a response to its buyer.
pub(super) fn response_header(response: ResponseId, terms: Terms) -> HeaderValue {
    let number = HeaderValue::from(response.0);
    match terms {
        Terms::Free | Terms::Metered | Terms::Due => number,
        Terms::Known => {
            let paid = format!("{} {RESPONSE_PAID}", response.0);
            HeaderValue::try_from(paid).unwrap_or(number)
        }
    }
}
