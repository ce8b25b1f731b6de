//! What anyone may ask without a signature: what this network is, and whether the anchor is well.

use std::sync::Arc;

use axum::{
    Json,
    extract::State,
    response::{IntoResponse as _, Response},
};
use data_encoding::BASE64;
use http::{HeaderValue, header};
use madang_protocol::record::network::{NetworkDescriptor, TaxMode};
use serde::Serialize;

use super::service::Broker;
use crate::problem::Problem;

/// `/.well-known/madang`: for people, and in `descriptor` for programs.
#[derive(Debug, Serialize)]
struct WellKnown {
    name: String,
    network: String,
    currency: String,
    tax_rate_bp: u16,
    tax_mode: &'static str,
    issuers: Vec<Issuer>,
    bootstrap: Vec<String>,
    sequence: u64,
    descriptor: String,
}

#[derive(Debug, Serialize)]
struct Issuer {
    key: String,
    fingerprint: String,
}

#[derive(Debug, Serialize)]
struct Health {
    status: &'static str,
}

/// Describes the network.
pub(super) async fn well_known(State(broker): State<Arc<Broker>>) -> Response {
    let sealed = broker.descriptor();
    let descriptor: &NetworkDescriptor = &sealed;
    let issuer = |key: &madang_protocol::ids::PublicKey| Issuer {
        key: key.to_string(),
        fingerprint: key.fingerprint(),
    };
    let known = WellKnown {
        name: descriptor.name.clone(),
        network: descriptor.network.to_string(),
        currency: descriptor.currency.to_string(),
        tax_rate_bp: descriptor.tax.rate_bp,
        tax_mode: match descriptor.tax.mode {
            TaxMode::Inclusive | TaxMode::Reverse => "inclusive",
            TaxMode::Exclusive => "exclusive",
        },
        issuers: descriptor.issuers.iter().map(issuer).collect(),
        bootstrap: descriptor.bootstrap.clone(),
        sequence: descriptor.sequence,
        descriptor: BASE64.encode(&sealed.to_bytes()),
    };
    let no_cache = (header::CACHE_CONTROL, HeaderValue::from_static("no-cache"));
    ([no_cache], Json(known)).into_response()
}

/// Whether the store can be read.
pub(crate) async fn health(State(broker): State<Arc<Broker>>) -> Response {
    let inside = broker.clone();
    let read = broker
        .work()
        .run(move || inside.store().revocation_sequence())
        .await;
    match read
        .map_err(Problem::from)
        .and_then(|read| read.map_err(Problem::from))
    {
        Ok(_) => Json(Health { status: "ok" }).into_response(),
        Err(problem) => problem.into_response(),
    }
}
