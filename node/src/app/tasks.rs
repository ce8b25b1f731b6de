//! [`Tasks`]: the owner of every task of the daemon. None ends unseen, none outlives it.

use std::{collections::BTreeMap, time::Duration};

use tokio::task::{Id, JoinSet};
use tokio_util::sync::CancellationToken;

/// The daemon's tasks, by name. Dropping it aborts them.
#[derive(Debug, Default)]
pub(super) struct Tasks {
    set: JoinSet<()>,
    names: BTreeMap<Id, &'static str>,
    stop: CancellationToken,
}

impl Tasks {
    /// Cancelled when the tasks are to end.
    pub(super) fn stop(&self) -> CancellationToken {
        self.stop.clone()
    }

    /// Starts a task that ends when [`Self::stop`] is cancelled and not before.
    pub(super) fn spawn(
        &mut self,
        name: &'static str,
        task: impl Future<Output = ()> + Send + 'static,
    ) {
        let handle = self.set.spawn(task);
        self.names.insert(handle.id(), name);
    }

    /// Waits for a task to end although nobody asked it to; says which, and whether it panicked.
    pub(super) async fn failed(&mut self) -> String {
        match self.set.join_next_with_id().await {
            Some(Ok((id, ()))) => format!("the task `{}` ended", self.name(id)),
            Some(Err(error)) => format!("the task `{}` panicked", self.name(error.id())),
            None => std::future::pending().await,
        }
    }

    /// Asks all tasks to end, waits at most `deadline`, and gives the names of those that were cut off.
    pub(super) async fn shutdown(mut self, deadline: Duration) -> Vec<&'static str> {
        self.stop.cancel();
        let ended = async {
            while let Some(outcome) = self.set.join_next_with_id().await {
                let id = outcome.map_or_else(|error| error.id(), |(id, ())| id);
                self.names.remove(&id);
            }
        };
        if tokio::time::timeout(deadline, ended).await.is_ok() {
            return Vec::new();
        }
        self.set.shutdown().await;
        self.names.into_values().collect()
    }

    fn name(&self, id: Id) -> &'static str {
        self.names.get(&id).copied().unwrap_or("unknown")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn a_task_that_ends_by_itself_or_panics_is_named() {
        let mut tasks = Tasks::default();
        tasks.spawn("brief", async {});
        assert_eq!(tasks.failed().await, "the task `brief` ended");
        tasks.spawn("broken", async { panic!("on purpose") });
        assert_eq!(tasks.failed().await, "the task `broken` panicked");
    }

    #[tokio::test(start_paused = true)]
    async fn who_does_not_end_in_time_is_cut_off_and_named() {
        let mut tasks = Tasks::default();
        let stop = tasks.stop();
        tasks.spawn("polite", async move { stop.cancelled().await });
        tasks.spawn("deaf", std::future::pending());
        assert_eq!(tasks.shutdown(Duration::from_secs(3)).await, ["deaf"]);
    }
}
