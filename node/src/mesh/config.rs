//! What a mesh is built from, and its local limits.

use std::{error::Error, io, time::Duration};

use libp2p::Multiaddr;
use thiserror::Error;
use zeroize::Zeroizing;

use super::policy::{Policy, RefuseAll};

/// A way in which two nodes can be connected.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Transport {
    /// QUIC, version 1.
    Quic,
    /// TCP, secured by TLS 1.3.
    TcpTls,
    /// TCP, secured by Noise. Every libp2p implementation has it.
    TcpNoise,
    /// Channels within this process, for tests.
    Memory,
}

/// Local limits of one node. All of them bound what peers can make us hold.
#[derive(Debug, Clone)]
pub struct Limits {
    /// Established connections in total, in both directions.
    pub connections: u32,
    /// Established connections that others opened to us.
    pub connections_incoming: u32,
    /// Connections being opened, in each direction.
    pub connections_pending: u32,
    /// Established connections with one peer.
    pub connections_per_peer: u32,
    /// Streams of all our application protocols that one peer may hold open toward us at a time.
    pub streams_per_peer: usize,
    /// Streams of one protocol that wait to be taken by their acceptor; further ones are reset.
    pub streams_queued: usize,
    /// Time from asking for a stream to having it, dialing included.
    pub open_timeout: Duration,
    /// A connection without streams is closed after this time.
    pub idle_timeout: Duration,
}

impl Default for Limits {
    fn default() -> Self {
        Self {
            connections: 512,
            connections_incoming: 384,
            connections_pending: 64,
            connections_per_peer: 3,
            streams_per_peer: 192,
            streams_queued: 1_024,
            open_timeout: Duration::from_secs(10),
            idle_timeout: Duration::from_secs(30),
        }
    }
}

/// What a mesh is built from.
pub struct MeshConfig {
    /// The node's Ed25519 secret key, as in RFC 8032.
    pub secret_key: Zeroizing<[u8; 32]>,
    /// Addresses to listen on. Port 0 asks the system for one.
    pub listen: Vec<Multiaddr>,
    /// Transports to use; for TCP, the first of TLS and Noise in this list is preferred when dialing.
    pub transports: Vec<Transport>,
    /// The network's id in hexadecimal; nodes of different networks share no directory and no gossip.
    pub network: String,
    /// Local limits.
    pub limits: Limits,
    /// Decides what peers may make us store and forward.
    pub policy: Box<dyn Policy>,
}

impl MeshConfig {
    /// A configuration with the usual transports and limits, which stores and forwards nothing for others.
    pub fn new(secret_key: [u8; 32], network: &str) -> Self {
        Self {
            secret_key: Zeroizing::new(secret_key),
            listen: Vec::new(),
            transports: vec![Transport::Quic, Transport::TcpTls, Transport::TcpNoise],
            network: network.to_owned(),
            limits: Limits::default(),
            policy: Box::new(RefuseAll),
        }
    }
}

/// Why a mesh could not be built.
#[derive(Debug, Error)]
pub enum BuildError {
    /// The 32 bytes are no usable secret key.
    #[error("the secret key is not an Ed25519 key")]
    SecretKey,
    /// The network id is empty or contains something else than hexadecimal digits.
    #[error("the network id is not hexadecimal: {0:?}")]
    Network(String),
    /// No transport was chosen.
    #[error("no transport is enabled")]
    NoTransport,
    /// An address cannot be listened on.
    #[error("cannot listen on {address}: {}", cause(source))]
    Listen {
        /// The address as configured.
        address: Multiaddr,
        /// What the transport said.
        #[source]
        source: libp2p::TransportError<io::Error>,
    },
    /// A protocol refused its configuration, which is a fault of this program.
    #[error("the configuration of {protocol} is wrong: {reason}")]
    Protocol {
        /// Which protocol.
        protocol: &'static str,
        /// What it said.
        reason: String,
    },
}

/// What the transport said, once: each layer repeats the words of the one below it.
fn cause(error: &libp2p::TransportError<io::Error>) -> String {
    match error {
        libp2p::TransportError::MultiaddrNotSupported(_) => "no transport takes it".to_owned(),
        libp2p::TransportError::Other(error) => {
            let mut innermost: &(dyn Error + 'static) = error;
            if let Some(wrapped) = error.get_ref() {
                innermost = wrapped;
            }
            while let Some(source) = innermost.source() {
                innermost = source;
            }
            innermost.to_string()
        }
    }
}
