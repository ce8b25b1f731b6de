//! [`Running`]: a daemon at work.

use std::{sync::Arc, time::Duration};

use super::{Addresses, Node, tasks::Tasks};
use crate::{home::HomeLock, mesh::Mesh};

/// The last words to the anchor take two seconds at most, everything else less.
const SHUTDOWN_WITHIN: Duration = Duration::from_secs(5);

/// A daemon at work. Dropping it ends everything at once.
pub struct Running {
    tasks: Tasks,
    mesh: Mesh,
    node: Arc<Node>,
    /// Given up last.
    _lock: HomeLock,
}

impl Running {
    pub(super) fn new(lock: HomeLock, node: Arc<Node>, mesh: Mesh, tasks: Tasks) -> Self {
        Self {
            tasks,
            mesh,
            node,
            _lock: lock,
        }
    }

    /// What its parts share.
    pub fn node(&self) -> &Arc<Node> {
        &self.node
    }

    /// Where it can be reached.
    pub fn addresses(&self) -> Addresses {
        self.node.addresses()
    }

    /// Waits until someone asks over the control socket for a stop, which is `Ok`, or a part fails, which is its name.
    ///
    /// # Errors
    /// What failed, in words.
    pub async fn ended(&mut self) -> Result<(), String> {
        tokio::select! {
            biased;
            () = self.node.stop_asked.cancelled() => Ok(()),
            reason = self.tasks.failed() => Err(reason),
            () = self.mesh.failed() => Err("the mesh ended".into()),
        }
    }

    /// Ends politely: says goodbye, stores what is to be stored, and logs what had to be cut off.
    pub async fn shutdown(self) {
        let abandoned = self.tasks.shutdown(SHUTDOWN_WITHIN).await;
        if !abandoned.is_empty() {
            tracing::warn!(?abandoned, "some tasks did not end in time");
        }
        self.mesh.shutdown().await;
        if let Err(error) = std::fs::remove_file(self.node.home.socket()) {
            tracing::debug!(%error, "remove the control socket");
        }
    }
}
