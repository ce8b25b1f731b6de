//! Sign-in: user name, proof and address come in; a fresh passport and everything a node must know to go on alone for a while go out.

use madang_protocol::{
    limits::HELLO_PASSES_MAX,
    record::request::{SignIn, SignedIn},
    reject::Reject,
    sealed::Sealed,
};
use std::time::Instant;

use super::{call::slow_down, service::Broker};
use crate::{ledger::statistics::subject::SignInKind, problem::Problem};

/// Answers one sign-in, whose signature was checked. A wrong clock is no reason to refuse: the answer sets it right.
pub(super) fn handle(broker: &Broker, asked: Sealed<SignIn>) -> Result<Vec<u8>, Problem> {
    let known = broker.authorised(&asked.device)?;
    if known.account.handle != asked.handle {
        return Err(Reject::NAME_NOT_YOURS.into());
    }
    let throttle = &broker.throttles().sign_in;
    throttle
        .handle_try(asked.device, Instant::now())
        .map_err(slow_down)?;
    let now = broker.now();
    let who = broker.store().sign_in(asked.device, now)?.value;
    broker.metrics().signed_in(SignInKind::Device);
    let passes = broker
        .store()
        .passes(who.account.id, None, now, HELLO_PASSES_MAX)?;
    let answer = broker.sign(SignedIn {
        issuer: broker.keys().id(),
        nonce: asked.nonce,
        time: now,
        passport: broker.passport(&who, now)?.into_unverified(),
        descriptor: broker.descriptor().into_unverified(),
        revocations: broker.revocations(now)?.into_unverified(),
        passes: passes.into_iter().map(Sealed::into_unverified).collect(),
    })?;
    Ok(answer.to_bytes())
}
