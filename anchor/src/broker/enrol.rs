//! Enrol: a password, once, makes a device's key one of its account's.
//!
//! An unknown handle and a wrong password take the same way: both cost one hash, count alike against the throttles, and get the same answer.

use std::{net::IpAddr, sync::Arc};

use axum::{body::Body, response::Response};
use http::Request;
use madang_protocol::{
    record::{passport::Role, request::Enrol},
    reject::Reject,
    sealed::{Record as _, Sealed},
};

use super::{
    call::{answer, open, receive, slow_down},
    service::Broker,
};
use crate::{
    edge::admission::subscriber_of,
    ledger::statistics::subject::SignInKind,
    problem::Problem,
    store::{Authorised, NewDevice},
};

/// Answers one enrolment.
pub(super) async fn handle(
    broker: Arc<Broker>,
    address: IpAddr,
    request: Request<Body>,
) -> Response {
    answer(
        &broker,
        "enrol",
        enrol(&broker, subscriber_of(address), request),
    )
    .await
}

async fn enrol(
    broker: &Arc<Broker>,
    address: IpAddr,
    request: Request<Body>,
) -> Result<Vec<u8>, Problem> {
    let body = receive(request, Enrol::BYTES_MAX, broker.bodies()).await?;
    let asked = open::<Enrol>(broker, &body.octets)?;
    drop(body);
    let throttles = broker.throttles();
    throttles
        .handle_password(&asked.handle, address)
        .map_err(slow_down)?;

    let (inside, handle) = (broker.clone(), asked.handle.clone());
    let account = broker
        .work()
        .run(move || inside.store().account_by_handle(&handle))
        .await??;
    let (account, hash) = account.map_or((None, None), |account| {
        (Some(account.id), Some(account.password_hash))
    });
    let is_right = broker
        .passwords()
        .verify(asked.password.clone(), hash)
        .await?;
    let account = account
        .filter(|_| is_right)
        .ok_or(Reject::CREDENTIALS_WRONG)?;
    throttles.handle_password_right(&asked.handle, address);

    let inside = broker.clone();
    let device = NewDevice {
        account,
        key: asked.device,
        label: asked.label.clone(),
        role: Role::Subscriber,
    };
    broker
        .work()
        .run(move || enrol_device(&inside, device, &asked))
        .await?
}

fn enrol_device(
    broker: &Broker,
    device: NewDevice,
    asked: &Sealed<Enrol>,
) -> Result<Vec<u8>, Problem> {
    let now = broker.now();
    broker.store().enrol_device(device, now)?;
    broker.metrics().signed_in(SignInKind::Enrolment);
    let who: Authorised = broker.authorised(&asked.device)?;
    tracing::info!(device = %asked.device.short(), "enrolled a device");
    Ok(broker.passport(&who, now)?.to_bytes())
}
