//! The sign-in task: admission by the anchor comes first, or a passport in hand carries the node while the anchor is away.

use std::{sync::Arc, time::Duration};

use madang_protocol::{reject::Reject, time::UnixMillis};
use rand::RngExt as _;
use tokio::sync::{Notify, watch};
use tokio_util::sync::CancellationToken;

use crate::{
    broker::{BrokerError, Client},
    clock::Clock,
    standing::{Keeper, Standing},
};

/// An anchor that has not answered by then is away, as far as the start is concerned.
const START_WITHIN: Duration = Duration::from_secs(3);
/// Sockets that are bound say their addresses well within this.
const LISTENING_WITHIN: Duration = Duration::from_millis(500);
/// The first pause after a failure; it doubles.
const RETRY_FIRST: Duration = Duration::from_secs(2);
/// The longest pause after a failure.
const RETRY_LAST: Duration = Duration::from_secs(5 * 60);
/// A renewal is never sooner than this after an admission.
const RENEW_SOONEST: Duration = Duration::from_secs(60);

/// How this node stands with its anchor right now.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Admission {
    /// The first answer is awaited.
    Trying,
    /// The anchor has admitted this device.
    Admitted,
    /// The anchor is away, and a passport in hand carries the node.
    ByPassport,
    /// The anchor is away, and no passport is in hand that anyone would take.
    Waiting,
    /// The anchor refuses this device.
    Refused(Reject),
}

impl Admission {
    /// Whether the personal web server may be up.
    pub fn may_serve(&self) -> bool {
        matches!(self, Self::Admitted | Self::ByPassport)
    }
}

/// Signs in, and in again.
pub(super) struct SignIn {
    pub(super) client: Client,
    pub(super) keeper: Arc<Keeper>,
    pub(super) clock: Clock,
    pub(super) addresses: watch::Receiver<Vec<String>>,
    pub(super) state: watch::Sender<Admission>,
    /// Somebody has learnt of a newer revocation list.
    pub(super) again: Arc<Notify>,
}

impl SignIn {
    /// Runs until `stop`.
    pub(super) async fn run(mut self, stop: CancellationToken) {
        // A sign-in says where the device listens, which is known a moment after the start.
        let listening = self.addresses.wait_for(|addresses| !addresses.is_empty());
        if !matches!(
            tokio::time::timeout(LISTENING_WITHIN, listening).await,
            Ok(Ok(_))
        ) {
            tracing::debug!("signing in without an address");
        }
        let mut failures = 0;
        loop {
            let outcome = tokio::select! {
                biased;
                () = stop.cancelled() => return,
                outcome = self.attempt() => outcome,
            };
            let pause = match outcome {
                Ok(()) => {
                    failures = 0;
                    self.until_renewal()
                }
                Err(error) => {
                    failures += 1;
                    self.take_failure(&error);
                    backoff(failures)
                }
            };
            tokio::select! {
                biased;
                () = stop.cancelled() => return,
                () = self.again.notified() => {}
                () = tokio::time::sleep(pause) => {}
            }
        }
    }

    /// One sign-in. While it is slow, a passport in hand lets the node come up.
    async fn attempt(&self) -> Result<(), BrokerError> {
        let addresses = self.addresses.borrow().clone();
        let mut answer = std::pin::pin!(self.client.sign_in(addresses));
        let admission = match tokio::time::timeout(START_WITHIN, &mut answer).await {
            Ok(outcome) => outcome?,
            Err(_) => {
                if *self.state.borrow() == Admission::Trying {
                    self.carry_on();
                }
                answer.await?
            }
        };
        let passes = admission.passes.len();
        if let Err(error) = self.keeper.admit(admission) {
            // In memory nothing has changed either: the passport in hand goes on being good.
            tracing::error!(%error, "store what the anchor said");
        }
        if let Err(error) = self.clock.persist() {
            tracing::warn!(%error, "store the clock's correction");
        }
        let is_new = self.state.send_replace(Admission::Admitted) != Admission::Admitted;
        if is_new {
            tracing::info!(passes, "the anchor has admitted this node");
        } else {
            tracing::debug!(passes, "signed in again");
        }
        Ok(())
    }

    fn take_failure(&self, error: &BrokerError) {
        if let BrokerError::Refused(reject) = error
            && is_final(*reject)
        {
            tracing::warn!(%reject, "the anchor refuses this device");
            if let Err(error) = self.keeper.expel() {
                tracing::error!(%error, "drop the passport");
            }
            self.state.send_replace(Admission::Refused(*reject));
            return;
        }
        tracing::warn!(%error, "sign in");
        if !matches!(*self.state.borrow(), Admission::Refused(_)) {
            self.carry_on();
        }
    }

    /// Without the anchor: on by the passport in hand, or waiting.
    fn carry_on(&self) {
        let is_carried = self.standing().is_admitted_at(self.clock.now());
        let next = if is_carried {
            Admission::ByPassport
        } else {
            Admission::Waiting
        };
        if self.state.send_replace(next.clone()) != next {
            tracing::info!(is_carried, "going on without the anchor");
        }
    }

    /// Some time before the passport is to be renewed, not the same for everyone.
    fn until_renewal(&self) -> Duration {
        let now = self.clock.now();
        let renew_after = self
            .standing()
            .passport
            .as_ref()
            .map_or(UnixMillis(0), |passport| passport.renew_after);
        let percent = rand::rng().random_range(70..95);
        (renew_after.since(now) / 100 * percent).max(RENEW_SOONEST)
    }

    fn standing(&self) -> Standing {
        self.keeper.subscribe().borrow().clone()
    }
}

/// Whether a refusal is about this device, and not about this moment.
fn is_final(reject: Reject) -> bool {
    [
        Reject::DEVICE_REVOKED,
        Reject::DEVICE_UNKNOWN,
        Reject::DEVICE_TAKEN,
        Reject::ACCOUNT_CLOSED,
        Reject::CREDENTIALS_WRONG,
    ]
    .contains(&reject)
}

/// Doubles with each failure, and is never the same for everyone.
pub(super) fn backoff(failures: u32) -> Duration {
    let full = RETRY_FIRST
        .saturating_mul(1 << failures.saturating_sub(1).min(16))
        .min(RETRY_LAST);
    full / 100 * rand::rng().random_range(50..100)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn pauses_grow_and_end_at_five_minutes() {
        for (failures, shortest_ms, longest_ms) in [
            (1, 1_000, 2_000),
            (3, 4_000, 8_000),
            (100, 150_000, 300_000),
        ] {
            let pause = backoff(failures).as_millis();
            assert!(
                (shortest_ms..=longest_ms).contains(&pause),
                "{failures}: {pause}"
            );
        }
    }
}
