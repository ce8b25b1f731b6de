//! [`Work`]: calls that block on the disk or on a processor run on threads of their own, a bounded number at once.

use std::sync::Arc;

use madang_protocol::reject::Reject;
use tokio::sync::Semaphore;

/// Turns for blocking work.
#[derive(Debug, Clone)]
pub struct Work(Arc<Semaphore>);

impl Work {
    /// At most `calls_max` at once.
    pub fn new(calls_max: usize) -> Self {
        Self(Arc::new(Semaphore::new(calls_max)))
    }

    /// Runs `call` when its turn comes. Once begun it runs to its end, whether or not the caller still waits. [`Reject::BUSY`] where the
    /// program is about to end; [`Reject::STORE_FAILED`] where the call panics.
    pub async fn run<T: Send + 'static>(
        &self,
        call: impl FnOnce() -> T + Send + 'static,
    ) -> Result<T, Reject> {
        let turn = self
            .0
            .clone()
            .acquire_owned()
            .await
            .map_err(|_| Reject::BUSY)?;
        let span = tracing::Span::current();
        let work = move || {
            let _turn = turn;
            span.in_scope(call)
        };
        tokio::task::spawn_blocking(work).await.map_err(|error| {
            tracing::error!(%error, "a call ended unexpectedly");
            Reject::STORE_FAILED
        })
    }
}
