//! What a node says of itself under `/.well-known/`.

use http::{Response, StatusCode};
use madang_protocol::{broker::MEDIA_TYPE, reject::Reject, sealed::Sealed};
use serde_json::json;

use super::{
    refusal::{document, refusal},
    site::Site,
};
use crate::web::Body;

/// The protocols that this node serves over HTTP, as the libp2p HTTP specification has it.
pub(super) const PROTOCOLS: &str = "/.well-known/libp2p/protocols";
/// The site's sealed price list.
pub const TARIFF: &str = "/.well-known/madang/tariff";
/// The site in words, for any client.
pub(super) const SITE: &str = "/.well-known/madang/site";

/// The answer for one of these paths; `None` for any other.
pub(super) fn answer(path: &str, site: Option<&Site>) -> Option<Response<Body>> {
    match path {
        PROTOCOLS => Some(protocols()),
        TARIFF => Some(tariff(site)),
        SITE => Some(described(site)),
        _ => None,
    }
}

fn protocols() -> Response<Body> {
    let served = json!({ "/http/1.1": { "path": "/" }, "/madang/site/1": { "path": "/.well-known/madang/" } });
    document(served.to_string().into_bytes(), "application/json")
}

fn tariff(site: Option<&Site>) -> Response<Body> {
    match site.and_then(|site| site.published.tariff.as_ref()) {
        Some(tariff) => document(tariff.to_bytes(), MEDIA_TYPE),
        None => refusal(StatusCode::NOT_FOUND, Reject::TARIFF_UNKNOWN),
    }
}

fn described(site: Option<&Site>) -> Response<Body> {
    let Some(site) = site else {
        return refusal(StatusCode::NOT_FOUND, Reject::NAME_INVALID);
    };
    let described = json!({
        "name": site.published.name.to_string(),
        "title": site.published.config.title,
        "description": site.published.config.description,
        "keywords": site.published.config.keywords,
        "tariff": site.published.tariff.as_ref().map(|tariff: &Sealed<_>| tariff.tariff_hash().to_string()),
    });
    document(described.to_string().into_bytes(), "application/json")
}
