//! Owner of the tasks that the swarm starts, one for each connection and each attempt at one.

use std::pin::Pin;
use std::sync::Arc;

use libp2p::swarm::Executor;
use parking_lot::Mutex;
use tokio::task::JoinSet;

/// The running tasks. When the last clone is dropped, they are aborted.
#[derive(Clone, Default)]
pub(super) struct Tasks(Arc<Mutex<JoinSet<()>>>);

impl Tasks {
    /// Aborts all tasks and waits until they are gone.
    pub(super) async fn shutdown(&self) {
        let mut tasks = std::mem::take(&mut *self.0.lock());
        tasks.shutdown().await;
    }
}

impl Executor for Tasks {
    fn exec(&self, task: Pin<Box<dyn Future<Output = ()> + Send>>) {
        let mut tasks = self.0.lock();
        while tasks.try_join_next().is_some() {}
        tasks.spawn(task);
    }
}
