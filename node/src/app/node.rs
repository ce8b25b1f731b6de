//! [`Node`]: what the parts of a running daemon share.

use std::{
    net::SocketAddr,
    path::PathBuf,
    sync::{Arc, OnceLock},
    time::Instant,
};

use tokio::sync::watch;
use tokio_util::sync::CancellationToken;

use super::{catalogue::Published, sign_in::Admission};
use crate::{
    broker::Client,
    clock::Clock,
    config::{ProxyConfig, SiteConfig},
    control::Shop,
    home::Home,
    identity::DeviceKey,
    mesh::{self, Multiaddr, PeerId, directory::Directory},
    standing::{Keeper, Standing},
    store::NodeStore,
    usage::Counters,
};

/// What the parts of a running daemon share.
pub struct Node {
    /// Where everything is kept.
    pub home: Home,
    /// This node's key.
    pub key: DeviceKey,
    /// The time that it signs with.
    pub clock: Clock,
    /// Changes the standing.
    pub keeper: Arc<Keeper>,
    /// Follows the standing.
    pub standing: watch::Receiver<Standing>,
    /// The anchor.
    pub client: Client,
    /// Counts use.
    pub counters: Counters,
    /// The mesh.
    pub mesh: mesh::Handle,
    /// Where the proxy listens, where it does.
    pub proxy: Option<ProxyConfig>,
    /// What is served, as configured.
    pub sites: watch::Sender<Vec<SiteConfig>>,
    /// What is served, as signed.
    pub published: watch::Receiver<Arc<Published>>,
    /// How this node stands with the anchor.
    pub admission: watch::Receiver<Admission>,
    /// Finds sites, once it is set.
    pub directory: OnceLock<Directory>,
    /// What was signed, held and settled; closed once the node has stopped.
    pub store: Arc<NodeStore>,
    /// Fetches and pays, once it is set.
    pub shop: OnceLock<Arc<dyn Shop>>,
    /// When it was put together.
    pub started: Instant,
    /// Cancelled when somebody asks the daemon to stop.
    pub stop_asked: CancellationToken,
}

/// Where a daemon can be reached.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Addresses {
    /// In the mesh.
    pub peer: PeerId,
    /// Where the mesh listens.
    pub listen: Vec<Multiaddr>,
    /// The local proxy.
    pub proxy: Option<SocketAddr>,
    /// The console and the consent page.
    pub console: Option<SocketAddr>,
    /// Commands.
    pub control: PathBuf,
}

impl Node {
    /// Where this daemon can be reached.
    pub fn addresses(&self) -> Addresses {
        Addresses {
            peer: self.mesh.peer_id(),
            listen: self.mesh.listen_addresses().borrow().clone(),
            proxy: self.proxy.map(|proxy| proxy.listen),
            console: self.proxy.map(|proxy| proxy.console),
            control: self.home.socket(),
        }
    }

    /// The address at which a browser on this machine opens `site`.
    pub fn url(&self, site: &madang_protocol::name::SiteName) -> Option<String> {
        let port = self.proxy?.listen.port();
        Some(format!("http://{}.localhost:{port}/", site.to_label()))
    }
}
