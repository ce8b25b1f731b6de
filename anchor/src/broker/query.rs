//! Query: what a device may look up about its account and the network.

use madang_protocol::{
    broker::Passes,
    codec,
    limits::{BILL_PAGE_MAX, HELLO_PASSES_MAX},
    record::request::{Query, Question},
    reject::Reject,
    sealed::Sealed,
    time::UnixMillis,
};

use super::service::Broker;
use crate::problem::Problem;

/// Answers one question, whose signature was checked.
pub(super) fn handle(broker: &Broker, query: Sealed<Query>) -> Result<Vec<u8>, Problem> {
    let now = broker.now();
    check_fresh(query.time, now)?;
    let who = broker.authorised(&query.device)?;
    Ok(match &query.question {
        Question::Wallet => codec::encode(&broker.store().wallet(who.account.id)?),
        Question::Bill { before, limit } => {
            let lines_max = usize::from(*limit).clamp(1, BILL_PAGE_MAX);
            codec::encode(&broker.store().bill(who.account.id, *before, lines_max)?)
        }
        Question::Sites { after, limit } => {
            let sites_max = usize::from(*limit).clamp(1, SITES_PAGE_MAX);
            let mut directory = broker.directory().lock();
            directory.handle_timeout(now);
            codec::encode(&directory.sites(after.as_deref(), sites_max))
        }
        Question::Passes { site } => {
            let store = broker.store();
            let passes = store.passes(who.account.id, Some(site), now, HELLO_PASSES_MAX)?;
            codec::encode(&Passes {
                passes: passes.into_iter().map(Sealed::into_unverified).collect(),
            })
        }
    })
}

/// Whether what was signed at `time` is of now, give or take what clocks differ: so that nobody replays it later.
pub(super) fn check_fresh(time: UnixMillis, now: UnixMillis) -> Result<(), Reject> {
    if time.is_close_to(now) {
        Ok(())
    } else if time < now {
        Err(Reject::RECORD_EXPIRED)
    } else {
        Err(Reject::RECORD_FROM_FUTURE)
    }
}

/// Sites of one page: with the longest titles, descriptions and keywords it stays below 600 KiB.
const SITES_PAGE_MAX: usize = 200;
