//! Grant, settle, close, usage: the store decides; here is only how its answers travel.

use madang_protocol::{
    broker::Done,
    codec,
    record::{
        request::{CloseGrant, GrantRequest},
        settlement::SettleBatch,
        usage::UsageReport,
    },
    sealed::Sealed,
};

use super::service::Broker;
use crate::problem::Problem;

/// Permission to spend: a sealed grant. The same request has the same answer.
pub(super) fn handle_grant(
    broker: &Broker,
    asked: Sealed<GrantRequest>,
) -> Result<Vec<u8>, Problem> {
    Ok(broker.store().grant(&asked, broker.now())?.to_bytes())
}

/// Receipts: a sealed verdict. The same batch has the same answer.
pub(super) fn handle_settle(
    broker: &Broker,
    batch: Sealed<SettleBatch>,
) -> Result<Vec<u8>, Problem> {
    let verdict = broker.store().settle(&batch, broker.now())?;
    broker.metrics().settled(&verdict.outcomes);
    Ok(verdict.to_bytes())
}

/// The buyer's end of a grant.
pub(super) fn handle_close(broker: &Broker, asked: Sealed<CloseGrant>) -> Result<Vec<u8>, Problem> {
    let closed = broker.store().close_grant(&asked, broker.now())?;
    Ok(codec::encode(&Done {
        entry: closed.entry,
    }))
}

/// What was used on one day.
pub(super) fn handle_usage(
    broker: &Broker,
    report: Sealed<UsageReport>,
) -> Result<Vec<u8>, Problem> {
    let taken = broker.store().usage(&report, broker.now())?;
    Ok(codec::encode(&Done { entry: taken.entry }))
}
