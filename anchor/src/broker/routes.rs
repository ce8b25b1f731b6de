//! The paths of X-Broker, and what answers on each.

use std::{net::IpAddr, sync::Arc};

use axum::{
    Extension, Router,
    body::Body,
    extract::State,
    response::Response,
    routing::{MethodRouter, get, post},
};
use http::{Request, StatusCode};
use madang_protocol::{
    broker::{CLOSE, ENROL, GRANT, PRESENCE, QUERY, SETTLE, SIGN_IN, USAGE, WELL_KNOWN},
    sealed::{Record, Sealed},
};

use super::{
    call::answer_sealed, describe, enrol, money, presence, query, service::Broker, sign_in,
};
use crate::{edge::server::ClientAddress, problem::Problem};

/// What answers nodes.
pub fn router(broker: Arc<Broker>) -> Router {
    Router::new()
        .route(WELL_KNOWN, get(describe::well_known))
        .route("/health", get(describe::health))
        .route(ENROL, post(enrol_from))
        .route(SIGN_IN, sealed("sign-in", sign_in::handle))
        .route(PRESENCE, sealed("presence", presence::handle))
        .route(GRANT, sealed("grant", money::handle_grant))
        .route(SETTLE, sealed("settle", money::handle_settle))
        .route(CLOSE, sealed("close", money::handle_close))
        .route(USAGE, sealed("usage", money::handle_usage))
        .route(QUERY, sealed("query", query::handle))
        .fallback(async || Problem::http(StatusCode::NOT_FOUND, "there is nothing here"))
        .method_not_allowed_fallback(async || {
            Problem::http(
                StatusCode::METHOD_NOT_ALLOWED,
                "this method is not for this path",
            )
        })
        .with_state(broker)
}

/// A POST of a sealed `T`, which `handle` answers on a thread for blocking work.
fn sealed<T: Record + Send + 'static>(
    call: &'static str,
    handle: fn(&Broker, Sealed<T>) -> Result<Vec<u8>, Problem>,
) -> MethodRouter<Arc<Broker>> {
    post(
        move |State(broker): State<Arc<Broker>>, request: Request<Body>| {
            answer_sealed::<T>(broker, call, request, handle)
        },
    )
}

async fn enrol_from(
    State(broker): State<Arc<Broker>>,
    Extension(ClientAddress(address)): Extension<ClientAddress>,
    request: Request<Body>,
) -> Response {
    let address: IpAddr = address;
    enrol::handle(broker, address, request).await
}
