//! The mesh: peers, connections and streams between nodes. The only place that knows libp2p's swarm.
//!
//! One task owns the swarm ([`event_loop`]); everything else holds a cloneable [`Handle`]. Content travels on
//! [`Stream`]s that go from the connection's task to their reader without passing through the event loop.
//!
//! Code map: `identity` (keys and peer ids), `config`, `transport` (QUIC, TCP), `security` and `muxer` (what runs inside
//! TCP), `streams` (our own behaviour for application streams), `behaviour` (all protocols of a node), `event_loop`
//! and `handle`, `kademlia` and `gossip` (how they are driven), `policy` (what peers may make us store and forward).
//! On top: [`directory`] (what is found by name, and from whom it is believed), `hello` (who the peers are), `peers` (what
//! is known of them).

mod behaviour;
mod coalesce;
mod config;
pub mod directory;
mod event_loop;
mod gossip;
mod handle;
mod hello;
mod identity;
mod kademlia;
mod muxer;
mod paced;
mod peers;
mod policy;
mod security;
mod stream;
mod streams;
mod tasks;
mod tls;
mod transport;

#[cfg(test)]
pub(crate) mod tests;

pub use config::{BuildError, Limits, MeshConfig, Transport};
pub use event_loop::Mesh;
pub use gossip::{GossipMessage, PublishError};
pub use handle::{AcceptError, Closed, ConnectedPeer, DialError, Handle, PeerEvent};
pub use identity::{NotEd25519, peer_id_of, public_key_of};
pub use kademlia::{FoundRecord, LookupError};
pub use libp2p::{Multiaddr, PeerId, multiaddr::Protocol as AddressPart};
pub use policy::{Policy, RefuseAll, Verdict};
pub use stream::Stream;
pub use streams::{Incoming, OpenError, Protocol};
