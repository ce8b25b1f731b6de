//! All protocols of a node. Relay client, DCUtR, AutoNAT, UPnP and mDNS join here when they come.

use std::time::Duration;

use libp2p::allow_block_list::{self, BlockedPeers};
use libp2p::connection_limits::{self, ConnectionLimits};
use libp2p::identity::Keypair;
use libp2p::swarm::NetworkBehaviour;
use libp2p::{gossipsub, identify, kad, ping};

use super::config::{BuildError, Limits};
use super::directory::store::Store;
use super::{gossip, kademlia, streams};

/// Between pings, which keep the tables of home routers alive and notice peers that went away.
const PING_INTERVAL: Duration = Duration::from_secs(15);
/// A peer that does not answer a ping for so long is gone.
const PING_TIMEOUT: Duration = Duration::from_secs(10);
/// Addresses of this many peers are remembered from identify, for dialing.
const IDENTIFY_CACHE: usize = 256;

/// All protocols of a node. Those that deny connections come first.
#[derive(NetworkBehaviour)]
pub(super) struct Behaviour {
    pub(super) banned: allow_block_list::Behaviour<BlockedPeers>,
    limits: connection_limits::Behaviour,
    pub(super) streams: streams::Behaviour,
    pub(super) identify: identify::Behaviour,
    ping: ping::Behaviour,
    pub(super) kad: kad::Behaviour<Store>,
    pub(super) gossip: gossipsub::Behaviour<gossipsub::IdentityTransform, gossip::TopicFilter>,
}

impl Behaviour {
    /// # Errors
    /// [`BuildError`] if a protocol refuses its configuration.
    pub(super) fn new(
        keypair: &Keypair,
        network: &str,
        limits: Limits,
    ) -> Result<Self, BuildError> {
        let identify = identify::Config::new(format!("/madang/{network}"), keypair.public())
            .with_agent_version(format!("madang/{}", env!("CARGO_PKG_VERSION")))
            .with_push_listen_addr_updates(true)
            .with_cache_size(IDENTIFY_CACHE);
        Ok(Self {
            banned: allow_block_list::Behaviour::default(),
            limits: connection_limits::Behaviour::new(connection_limits(&limits)),
            streams: streams::Behaviour::new(limits),
            identify: identify::Behaviour::new(identify),
            ping: ping::Behaviour::new(
                ping::Config::new()
                    .with_interval(PING_INTERVAL)
                    .with_timeout(PING_TIMEOUT),
            ),
            kad: kademlia::behaviour(keypair.public().to_peer_id(), network)?,
            gossip: gossip::behaviour(network)?,
        })
    }
}

fn connection_limits(limits: &Limits) -> ConnectionLimits {
    ConnectionLimits::default()
        .with_max_pending_incoming(Some(limits.connections_pending))
        .with_max_pending_outgoing(Some(limits.connections_pending))
        .with_max_established_incoming(Some(limits.connections_incoming))
        .with_max_established(Some(limits.connections))
        .with_max_established_per_peer(Some(limits.connections_per_peer))
}
