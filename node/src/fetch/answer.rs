//! What another node's answer says beside its content.

use http::Response;
use madang_protocol::{
    reject::Reject,
    session::frame::{RESPONSE_HEADER, RESPONSE_PAID, ResponseId, SESSION_HEADER},
};

use crate::{
    mesh::{OpenError, directory::Located},
    web::{self, Body, Refusal},
};

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

/// The refusal that a problem document of a node's own tells.
pub(super) async fn problem_code(response: Response<Body>) -> Reject {
    let (refusal, _) = Refusal::of(response).await;
    let code = refusal.and_then(|refusal| refusal.code);
    code.unwrap_or(Reject::PAYMENT_REQUIRED)
}
