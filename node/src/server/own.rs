//! The owner's own way to what this node serves: in this process, since nobody dials himself.

use libp2p::PeerId;
use tokio::{
    io::DuplexStream,
    sync::{mpsc, watch},
    task::JoinSet,
};
use tokio_util::sync::CancellationToken;

use super::{
    server::{SHUTDOWN_WITHIN, Server},
    visitor::Visitor,
};
use crate::standing::Standing;

/// Connections that wait to be served.
const WAITING_MAX: usize = 64;

/// Both ends of the way: connections are sent to the first, and served from the second by [`Server::serve_owner`].
pub fn own_way() -> (mpsc::Sender<DuplexStream>, mpsc::Receiver<DuplexStream>) {
    mpsc::channel(WAITING_MAX)
}

impl Server {
    /// Serves what the owner, at `own`, asks for until `stop` is cancelled; requests in progress then have a few seconds to end. Whoever opens connections
    /// bounds how many there are. Applications are told his account as the passport in `standing` names it.
    pub async fn serve_owner(
        &self,
        own: PeerId,
        standing: watch::Receiver<Standing>,
        mut connections: mpsc::Receiver<DuplexStream>,
        stop: CancellationToken,
    ) {
        let mut tasks = JoinSet::new();
        loop {
            tokio::select! {
                () = stop.cancelled() => break,
                Some(_) = tasks.join_next() => {}
                io = connections.recv() => {
                    let passport = standing.borrow().passport.clone();
                    let (Some(io), Some(owner)) = (io, Visitor::owner(own, passport)) else { break };
                    let server = self.clone();
                    tasks.spawn(async move { server.serve_to(owner, io).await });
                }
            }
        }
        let ended = async { while tasks.join_next().await.is_some() {} };
        // What takes longer is cut off.
        let _ = tokio::time::timeout(SHUTDOWN_WITHIN, ended).await;
    }
}
