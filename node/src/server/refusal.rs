//! Answers of the personal web server's own: problem documents (RFC 9457), and 402 with the price.

use data_encoding::BASE64URL_NOPAD;
use http::{HeaderValue, Response, StatusCode, header};
use http_body_util::{BodyExt, Full};
use madang_protocol::{
    amount::Currency,
    record::tariff::{Rule, Tariff},
    reject::{Fault, Reject},
    rules::price::Prices,
    sealed::Sealed,
};
use serde_json::{Value, json};

use crate::web::{self, Body};

/// A refusal without a price.
pub(super) fn refusal(status: StatusCode, reject: Reject) -> Response<Body> {
    problem(status, reject, json!({}))
}

/// The status for a refusal that does not ask for payment.
pub(super) fn status_of(reject: Reject) -> StatusCode {
    match reject.fault() {
        Fault::NotNow => StatusCode::SERVICE_UNAVAILABLE,
        Fault::Peer => StatusCode::BAD_REQUEST,
        Fault::Caller => StatusCode::FORBIDDEN,
    }
}

/// 402: what `rule` costs, and where the whole price list is.
pub(super) fn payment_required(
    reject: Reject,
    tariff: &Sealed<Tariff>,
    rule: usize,
) -> Response<Body> {
    let priced = tariff.rules.get(rule);
    let shown = priced.map_or_else(String::new, |rule| show(rule, tariff.currency));
    let hash = tariff.tariff_hash().to_string();
    let mut response = problem(
        StatusCode::PAYMENT_REQUIRED,
        reject,
        json!({ "price": shown, "rule": rule, "tariff": hash }),
    );
    let request = json!({ "site": tariff.site.to_string(), "tariff": hash, "rule": rule });
    let request = BASE64URL_NOPAD.encode(request.to_string().as_bytes());
    let id = hash.get(..16).unwrap_or_default();
    let challenge = format!(
        "Payment id=\"{id}\", realm=\"{}\", method=\"madang\", intent=\"session\", request=\"{request}\"",
        tariff.site.to_label()
    );
    if let Ok(challenge) = HeaderValue::from_str(&challenge) {
        response
            .headers_mut()
            .insert(header::WWW_AUTHENTICATE, challenge);
    }
    response
}

/// A body of one piece with a media type.
pub(super) fn document(octets: Vec<u8>, media_type: &'static str) -> Response<Body> {
    let mut response = Response::new(
        Full::new(octets.into())
            .map_err(|never| match never {})
            .boxed_unsync(),
    );
    response
        .headers_mut()
        .insert(header::CONTENT_TYPE, HeaderValue::from_static(media_type));
    response
}

fn show(rule: &Rule, currency: Currency) -> String {
    Prices::of(rule, currency).to_string()
}

fn problem(status: StatusCode, reject: Reject, mut more: Value) -> Response<Body> {
    more["code"] = reject.0.into();
    let mut response = web::problem(status, reject.slug(), reject.text(), more);
    response
        .headers_mut()
        .insert(header::CACHE_CONTROL, HeaderValue::from_static("no-store"));
    response
}
