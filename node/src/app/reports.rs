//! The usage task: hands in what was counted, daily and at leaving, and keeps the counts on disk in between.

use std::time::Duration;

use rand::RngExt as _;
use tokio::sync::watch;
use tokio_util::sync::CancellationToken;

use super::sign_in::Admission;
use crate::{
    broker::{BrokerError, Client},
    clock::Clock,
    identity::DeviceKey,
    standing::Standing,
    usage::Counters,
};

/// How much counting a crash may lose.
const FLUSH_EVERY: Duration = Duration::from_secs(60);
/// Between two reports of a node that stays up; a little more or less for each.
const REPORT_EVERY: Duration = Duration::from_secs(24 * 3_600);
/// When the anchor has not taken a report.
const RETRY_AFTER: Duration = Duration::from_secs(15 * 60);
/// Leaving does not wait longer for an anchor that may be away.
const LEAVE_WITHIN: Duration = Duration::from_secs(2);

/// Hands in usage reports.
pub(super) struct UsageReporter {
    pub(super) client: Client,
    pub(super) key: DeviceKey,
    pub(super) clock: Clock,
    pub(super) counters: Counters,
    pub(super) standing: watch::Receiver<Standing>,
    pub(super) admission: watch::Receiver<Admission>,
}

impl UsageReporter {
    /// Runs until `stop`, and then hands in what is left.
    pub(super) async fn run(mut self, stop: CancellationToken) {
        let mut flush = tokio::time::interval(FLUSH_EVERY);
        // What a former run left is due at once, everything else at some time of the day that is not everyone's.
        let mut pause = Duration::ZERO;
        loop {
            let is_due = tokio::select! {
                biased;
                () = stop.cancelled() => break,
                () = self.admitted_after(pause) => true,
                _ = flush.tick() => false,
            };
            if is_due {
                pause = self.hand_in_or_retry().await;
            } else {
                pause = pause.saturating_sub(FLUSH_EVERY);
                self.keep();
            }
        }
        if *self.admission.borrow() == Admission::Admitted {
            match tokio::time::timeout(LEAVE_WITHIN, self.hand_in()).await {
                Ok(Ok(())) => {}
                Ok(Err(error)) => tracing::debug!(%error, "hand in the last usage report"),
                Err(_) => tracing::debug!("the anchor did not take the last usage report in time"),
            }
        }
        self.keep();
    }

    async fn admitted_after(&self, pause: Duration) {
        tokio::time::sleep(pause).await;
        let mut admission = self.admission.clone();
        if admission
            .wait_for(|state| *state == Admission::Admitted)
            .await
            .is_err()
        {
            std::future::pending::<()>().await;
        }
    }

    async fn hand_in_or_retry(&mut self) -> Duration {
        match self.hand_in().await {
            Ok(()) => REPORT_EVERY / 100 * rand::rng().random_range(90..110),
            Err(error) => {
                tracing::debug!(%error, "hand in usage reports");
                RETRY_AFTER
            }
        }
    }

    async fn hand_in(&mut self) -> Result<(), BrokerError> {
        let reports = match self.counters.reports(self.key.public()) {
            Ok(reports) => reports,
            Err(error) => {
                tracing::warn!(%error, "store the usage counts");
                return Ok(());
            }
        };
        let network = self.standing.borrow().trust.network();
        for report in reports {
            let sealed = self
                .key
                .sign(report, network)
                .map_err(BrokerError::Refused)?;
            self.client.usage(&sealed).await?;
            self.counters.taken(&sealed);
        }
        Ok(())
    }

    fn keep(&self) {
        if let Err(error) = self.counters.flush() {
            tracing::warn!(%error, "store the usage counts");
        }
        if let Err(error) = self.clock.persist() {
            tracing::warn!(%error, "store the clock's correction");
        }
    }
}
