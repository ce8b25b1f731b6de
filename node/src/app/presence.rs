//! The presence task: tells the anchor where this node is and what it serves, when that changes, when the anchor wants to hear, and at leaving.

use std::{sync::Arc, time::Duration};

use madang_protocol::{record::presence::Presence, sealed::Sealed};
use tokio::sync::{Notify, watch};
use tokio_util::sync::CancellationToken;

use super::{catalogue::Published, sign_in::backoff};
use crate::{
    broker::{BrokerError, Client},
    clock::Clock,
    identity::DeviceKey,
    standing::Standing,
};

/// Changes that come together are reported together.
const SETTLE: Duration = Duration::from_millis(250);
/// The anchor's wish is heard within these bounds.
const REPORT_SOONEST: Duration = Duration::from_secs(5);
/// See [`REPORT_SOONEST`].
const REPORT_LATEST: Duration = Duration::from_secs(24 * 3_600);
/// Leaving does not wait longer for an anchor that may be away.
const LEAVE_WITHIN: Duration = Duration::from_secs(2);

/// Reports presence.
pub(super) struct Reporter {
    pub(super) client: Client,
    pub(super) key: DeviceKey,
    pub(super) clock: Clock,
    pub(super) standing: watch::Receiver<Standing>,
    pub(super) published: watch::Receiver<Arc<Published>>,
    /// Wakes the sign-in, which brings the newest revocation list.
    pub(super) sign_in_again: Arc<Notify>,
    pub(super) sequence: u64,
}

impl Reporter {
    /// Runs until `stop`, and then says goodbye.
    pub(super) async fn run(mut self, stop: CancellationToken) {
        let mut failures = 0;
        loop {
            if !self.wait_until_serving(&stop).await {
                return;
            }
            let pause = match self.report(false).await {
                Ok(pause) => {
                    failures = 0;
                    pause
                }
                Err(error) => {
                    tracing::debug!(%error, "report presence");
                    failures += 1;
                    backoff(failures)
                }
            };
            tokio::select! {
                biased;
                () = stop.cancelled() => break,
                changed = self.published.changed() => {
                    if changed.is_err() {
                        break;
                    }
                    tokio::time::sleep(SETTLE).await;
                }
                () = tokio::time::sleep(pause) => {}
            }
        }
        match tokio::time::timeout(LEAVE_WITHIN, self.report(true)).await {
            Ok(Ok(_)) => tracing::debug!("said goodbye to the anchor"),
            Ok(Err(error)) => tracing::debug!(%error, "say goodbye to the anchor"),
            Err(_) => tracing::debug!("the anchor did not hear the goodbye in time"),
        }
    }

    /// Whether the node serves now, or began to before `stop`.
    async fn wait_until_serving(&mut self, stop: &CancellationToken) -> bool {
        tokio::select! {
            biased;
            () = stop.cancelled() => false,
            outcome = self.published.wait_for(|published| published.is_serving) => outcome.is_ok(),
        }
    }

    async fn report(&mut self, leaving: bool) -> Result<Duration, BrokerError> {
        let report = self.make(leaving)?;
        let answer = self.client.presence(&report).await?;
        if answer.revocations > self.standing.borrow().revocations_sequence() {
            self.sign_in_again.notify_one();
        }
        let wish = Duration::from_millis(u64::from(answer.next_report_ms));
        Ok(wish.clamp(REPORT_SOONEST, REPORT_LATEST))
    }

    fn make(&mut self, leaving: bool) -> Result<Sealed<Presence>, BrokerError> {
        let published = self.published.borrow_and_update().clone();
        let time = self.clock.now();
        // By the clock, so that it grows across restarts as well.
        self.sequence = time.0.max(self.sequence + 1);
        let sites = if leaving {
            &[]
        } else {
            published.sites.as_slice()
        };
        let report = Presence {
            device: self.key.public(),
            addresses: published.addresses.clone(),
            announcements: sites
                .iter()
                .map(|site| site.announcement.to_unverified())
                .collect(),
            tariffs: sites
                .iter()
                .filter_map(|site| site.tariff.as_ref())
                .map(Sealed::to_unverified)
                .collect(),
            leaving,
            sequence: self.sequence,
            time,
        };
        let network = self.standing.borrow().trust.network();
        self.key.sign(report, network).map_err(BrokerError::Refused)
    }
}
