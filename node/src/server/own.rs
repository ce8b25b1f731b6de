//! The owner's own way to what this node serves: in this process, since nobody dials himself.

use libp2p::PeerId;
use tokio::{io::DuplexStream, sync::mpsc};
use tokio_util::{sync::CancellationToken, task::TaskTracker};

use super::{server::Server, visitor::Visitor};

/// Connections that wait to be served.
const WAITING_MAX: usize = 64;

/// Both ends of the way: connections are sent to the first, and served from the second by [`Server::serve_owner`].
pub fn own_way() -> (mpsc::Sender<DuplexStream>, mpsc::Receiver<DuplexStream>) {
    mpsc::channel(WAITING_MAX)
}

impl Server {
    /// Serves what the owner, at `own`, asks for until `stop` is cancelled. Whoever opens connections bounds how many there are.
    pub async fn serve_owner(
        &self,
        own: PeerId,
        mut connections: mpsc::Receiver<DuplexStream>,
        stop: CancellationToken,
    ) {
        let tasks = TaskTracker::new();
        let serving = async {
            while let Some(io) = connections.recv().await {
                let Some(owner) = Visitor::owner(own) else {
                    return;
                };
                let server = self.clone();
                tasks.spawn(async move { server.serve_to(owner, io).await });
            }
        };
        stop.run_until_cancelled(serving).await;
        tasks.close();
    }
}
