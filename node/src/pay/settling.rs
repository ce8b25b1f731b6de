//! Hands receipts in: in batches, each written down before it is sent, and sent again under the same id until its verdict is written down too.

use std::time::Duration;

use madang_protocol::{
    ids::BatchId,
    record::settlement::{Judgement, SettleBatch, Verdict},
    reject::{Fault, Reject},
    sealed::{Sealed, Unverified},
};

use super::Selling;
use crate::{
    broker::BrokerError,
    store::{Event, StoreError},
};

/// Between two tries while the anchor is away: the first, and the longest.
const RETRY_FIRST: Duration = Duration::from_secs(1);
const RETRY_LONGEST: Duration = Duration::from_secs(5 * 60);
/// Receipts that come together are handed in together.
const GATHER: Duration = Duration::from_millis(100);

#[derive(Debug, thiserror::Error)]
enum SettleError {
    #[error(transparent)]
    Broker(#[from] BrokerError),
    #[error(transparent)]
    Store(#[from] StoreError),
    #[error("{0}")]
    Refused(#[from] Reject),
}

/// Receipts could not be handed in now; they wait on disk.
#[derive(Debug, thiserror::Error)]
#[error("receipts could not be handed in: {0}")]
pub struct SettleFailed(#[source] Box<dyn std::error::Error + Send + Sync>);

impl Selling {
    /// Settles what there is now, and gives the number of receipts that were judged.
    ///
    /// # Errors
    /// Nothing is lost: the same batch is sent again.
    pub async fn settle_now(&self) -> Result<usize, SettleFailed> {
        let mut judged = 0;
        loop {
            match self.settle_once().await {
                Ok(0) => return Ok(judged),
                Ok(some) => judged += some,
                Err(error) => return Err(SettleFailed(Box::new(error))),
            }
        }
    }

    pub(super) async fn settle_for_ever(&self) {
        let mut retry = RETRY_FIRST;
        loop {
            let every = self.0.parts.policy.settle_every;
            let is_asked = tokio::time::timeout(every, self.0.settle.notified())
                .await
                .is_ok();
            if is_asked {
                tokio::time::sleep(GATHER).await;
            }
            while let Err(error) = self.settle_now().await {
                tracing::info!(%error, retry_s = retry.as_secs(), "receipts wait for the anchor");
                tokio::time::sleep(retry).await;
                retry = (2 * retry).min(RETRY_LONGEST);
            }
            retry = RETRY_FIRST;
        }
    }

    /// Sends the batch that waits, or the next one; gives the number of receipts that were judged.
    async fn settle_once(&self) -> Result<usize, SettleError> {
        let store = &self.0.parts.store;
        let batch = match store.batch_waiting().map_err(StoreError::from)? {
            Some(batch) => batch.verify(&self.0.parts.standing.borrow().trust.clone())?,
            None => match self.next_batch().await? {
                Some(batch) => batch,
                None => return Ok(0),
            },
        };
        match self.0.parts.broker.settle(&batch).await {
            Ok(verdict) => {
                report(&verdict);
                store
                    .record_durably(&[Event::VerdictHeld(verdict.to_unverified())])
                    .await?;
                Ok(batch.receipts.len())
            }
            Err(error) => Err(error.into()),
        }
    }

    async fn next_batch(&self) -> Result<Option<Sealed<SettleBatch>>, SettleError> {
        let parts = &self.0.parts;
        // What a receipt says counts only once it is on this disk.
        self.0.outbox.flushed().await;
        let receipts: Vec<Unverified<_>> = parts.store.to_settle().map_err(StoreError::from)?;
        if receipts.is_empty() {
            return Ok(None);
        }
        let mut id = [0; 16];
        getrandom::fill(&mut id).map_err(|_| Reject::BUSY)?;
        let batch = SettleBatch {
            device: parts.key.public(),
            id: BatchId(id),
            receipts,
            closed: Vec::new(),
            time: parts.clock.now(),
        };
        let network = parts.standing.borrow().trust.network();
        let batch = parts.key.sign(batch, network)?;
        parts
            .store
            .record_durably(&[Event::BatchMade(batch.to_unverified())])
            .await?;
        Ok(Some(batch))
    }
}

fn report(verdict: &Verdict) {
    let applied = verdict
        .outcomes
        .iter()
        .filter(|outcome| outcome.judgement == Judgement::Applied)
        .count();
    tracing::info!(batch = %verdict.batch.short(), receipts = verdict.outcomes.len(), applied, "receipts are settled");
    for outcome in &verdict.outcomes {
        if let Judgement::Rejected(reject) = outcome.judgement {
            let is_ours = reject.fault() == Fault::Peer;
            tracing::warn!(grant = %outcome.grant.short(), slug = reject.slug(), is_ours, "a receipt was rejected");
        }
    }
}
