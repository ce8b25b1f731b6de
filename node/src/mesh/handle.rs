//! What the rest of the node holds of the mesh.

use std::time::Duration;

use libp2p::{Multiaddr, PeerId};
use thiserror::Error;
use tokio::sync::{broadcast, mpsc, oneshot, watch};
use tokio::time::timeout;

use super::gossip::{self, GossipMessage, PublishError};
use super::kademlia::{self, Entry, FoundRecord, LookupError};
use super::stream::Stream;
use super::streams::{Incoming, OpenError, OpenRequest, Protocol};

/// Results of one search that wait for their reader: those of one answer, and more.
const FOUND_WAITING: usize = 32;
/// Results of one search that are collected.
const FOUND_MAX: usize = 32;

/// The mesh has been shut down.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Error)]
#[error("the mesh is closed")]
pub struct Closed;

/// Why a peer was not dialed successfully.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Error)]
pub enum DialError {
    /// No address of the peer is known.
    #[error("no address of the peer is known")]
    NoAddress,
    /// None of its addresses answered.
    #[error("the peer cannot be reached")]
    Unreachable,
    /// Another peer answered, or we did ourselves.
    #[error("someone else answers at the peer's address")]
    WrongPeer,
    /// A limit on connections, or a ban, forbids it.
    #[error("a limit or a ban forbids the connection")]
    Denied,
    /// This mesh has been shut down.
    #[error("the mesh is closed")]
    Closed,
}

/// Why a protocol's streams were not handed out.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Error)]
pub enum AcceptError {
    /// Someone accepts them already.
    #[error("someone accepts these streams already")]
    Taken,
    /// This mesh has been shut down.
    #[error("the mesh is closed")]
    Closed,
}

/// A peer with at least one connection.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ConnectedPeer {
    /// Who it is.
    pub peer: PeerId,
    /// Where it was reached, or from where it came, at its oldest connection.
    pub address: Multiaddr,
    /// Whether every connection to it is relayed.
    pub relayed: bool,
    /// Whether we opened its oldest connection.
    pub dialed: bool,
}

/// A peer came or went.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum PeerEvent {
    /// The first connection to this peer is up.
    Connected(ConnectedPeer),
    /// The last connection to this peer is gone.
    Disconnected(PeerId),
    /// A connected peer has said where it listens.
    Identified {
        /// Who it is.
        peer: PeerId,
        /// Where it says that it listens, 10 addresses at most; unverified.
        addresses: Vec<Multiaddr>,
        /// Whether it answers queries of this network's directory.
        serves: bool,
    },
    /// This peer is not connected, and was dialled without success.
    Unreachable(PeerId),
}

/// What the event loop is asked to do.
#[derive(Debug)]
pub(super) enum Command {
    Dial {
        peer: PeerId,
        addresses: Vec<Multiaddr>,
        reply: oneshot::Sender<Result<(), DialError>>,
    },
    AddAddresses {
        peer: PeerId,
        addresses: Vec<Multiaddr>,
    },
    Open {
        peer: PeerId,
        request: OpenRequest,
    },
    Accept {
        protocol: Protocol,
        reply: oneshot::Sender<Option<Incoming>>,
    },
    ConnectedPeers {
        reply: oneshot::Sender<Vec<ConnectedPeer>>,
    },
    AddExternalAddress {
        address: Multiaddr,
    },
    RemoveExternalAddress {
        address: Multiaddr,
    },
    Disconnect {
        peer: PeerId,
    },
    Trim {
        keep: usize,
    },
    Ban {
        peer: PeerId,
    },
    Unban {
        peer: PeerId,
    },
    Directory(kademlia::Command),
    Gossip(gossip::Command),
}

/// Talks to the task that owns the swarm. Cheap to clone.
#[derive(Debug, Clone)]
pub struct Handle {
    pub(super) commands: mpsc::Sender<Command>,
    pub(super) events: broadcast::WeakSender<PeerEvent>,
    pub(super) listening: watch::Receiver<Vec<Multiaddr>>,
    pub(super) hints: watch::Receiver<Vec<Multiaddr>>,
    pub(super) peer_id: PeerId,
    pub(super) open_timeout: Duration,
}

impl Handle {
    /// This node's own peer id.
    pub fn peer_id(&self) -> PeerId {
        self.peer_id
    }

    /// Connects to `peer`, trying `addresses` and those known already; returns at once if it is connected.
    ///
    /// # Errors
    /// [`DialError`], also after the transports' own time-outs.
    pub async fn dial(&self, peer: PeerId, addresses: Vec<Multiaddr>) -> Result<(), DialError> {
        self.ask(|reply| Command::Dial {
            peer,
            addresses,
            reply,
        })
        .await
        .map_err(|Closed| DialError::Closed)?
    }

    /// Remembers where a peer can be reached, for [`Handle::open`]; the least recently used peers are forgotten.
    ///
    /// # Errors
    /// [`Closed`] after the mesh was shut down.
    pub async fn add_addresses(
        &self,
        peer: PeerId,
        addresses: Vec<Multiaddr>,
    ) -> Result<(), Closed> {
        self.tell(Command::AddAddresses { peer, addresses }).await
    }

    /// Opens a stream, on a new connection if there is none.
    ///
    /// Success says that the connection is up and the stream's first bytes can be written; the peer has not necessarily
    /// agreed to the protocol (see [`Stream`]).
    ///
    /// # Errors
    /// [`OpenError`]
    pub async fn open(&self, peer: PeerId, protocol: Protocol) -> Result<Stream, OpenError> {
        let open = async {
            let (reply, answer) = oneshot::channel();
            let request = OpenRequest { protocol, reply };
            self.tell(Command::Open { peer, request })
                .await
                .map_err(|Closed| OpenError::Closed)?;
            // Without an answer, the connection went away under the request; or we did.
            answer.await.unwrap_or_else(|_| {
                Err(if self.commands.is_closed() {
                    OpenError::Closed
                } else {
                    OpenError::Unreachable
                })
            })
        };
        timeout(self.open_timeout, open)
            .await
            .unwrap_or(Err(OpenError::Timeout))
    }

    /// The streams of `protocol` that peers open. Until this is called the protocol is not offered; it can be called once.
    ///
    /// # Errors
    /// [`AcceptError`]
    pub async fn accept(&self, protocol: Protocol) -> Result<Incoming, AcceptError> {
        let incoming = self.ask(|reply| Command::Accept { protocol, reply }).await;
        incoming
            .map_err(|Closed| AcceptError::Closed)?
            .ok_or(AcceptError::Taken)
    }

    /// The peers that are connected now.
    ///
    /// # Errors
    /// [`Closed`] after the mesh was shut down.
    pub async fn connected_peers(&self) -> Result<Vec<ConnectedPeer>, Closed> {
        self.ask(|reply| Command::ConnectedPeers { reply }).await
    }

    /// Peers coming and going from now on. A reader that falls behind by more than 256 events is told so
    /// (`RecvError::Lagged`) and asks [`Handle::connected_peers`].
    ///
    /// # Errors
    /// [`Closed`] after the mesh was shut down.
    pub fn peer_events(&self) -> Result<broadcast::Receiver<PeerEvent>, Closed> {
        self.events
            .upgrade()
            .map(|events| events.subscribe())
            .ok_or(Closed)
    }

    /// The addresses that this node listens on, without its peer id; they follow the machine's interfaces.
    pub fn listen_addresses(&self) -> watch::Receiver<Vec<Multiaddr>> {
        self.listening.clone()
    }

    /// Addresses under which peers say that they see us, newest last, 16 at most. They are hints: unverified.
    pub fn external_hints(&self) -> watch::Receiver<Vec<Multiaddr>> {
        self.hints.clone()
    }

    /// Tells peers that this node can be reached at `address`.
    ///
    /// # Errors
    /// [`Closed`] after the mesh was shut down.
    pub async fn add_external_address(&self, address: Multiaddr) -> Result<(), Closed> {
        self.tell(Command::AddExternalAddress { address }).await
    }

    /// Takes back [`Handle::add_external_address`].
    ///
    /// # Errors
    /// [`Closed`] after the mesh was shut down.
    pub async fn remove_external_address(&self, address: Multiaddr) -> Result<(), Closed> {
        self.tell(Command::RemoveExternalAddress { address }).await
    }

    /// Closes all connections with a peer. It may come back.
    ///
    /// # Errors
    /// [`Closed`] after the mesh was shut down.
    pub async fn disconnect(&self, peer: PeerId) -> Result<(), Closed> {
        self.tell(Command::Disconnect { peer }).await
    }

    /// Closes connections beyond `keep` that carry no stream and no gossip, those farthest from this node's key in the directory first, if
    /// they carried none at the last call either. Called now and then, it keeps an idle node small.
    ///
    /// # Errors
    /// [`Closed`] after the mesh was shut down.
    pub async fn trim(&self, keep: usize) -> Result<(), Closed> {
        self.tell(Command::Trim { keep }).await
    }

    /// Closes all connections with a peer and refuses new ones, until [`Handle::unban`], a restart, or 4,096 further bans.
    ///
    /// # Errors
    /// [`Closed`] after the mesh was shut down.
    pub async fn ban(&self, peer: PeerId) -> Result<(), Closed> {
        self.tell(Command::Ban { peer }).await
    }

    /// Takes back [`Handle::ban`].
    ///
    /// # Errors
    /// [`Closed`] after the mesh was shut down.
    pub async fn unban(&self, peer: PeerId) -> Result<(), Closed> {
        self.tell(Command::Unban { peer }).await
    }

    /// Whether this node has been shut down.
    pub fn is_closed(&self) -> bool {
        self.commands.is_closed()
    }

    pub(super) async fn tell(&self, command: Command) -> Result<(), Closed> {
        self.commands.send(command).await.map_err(|_| Closed)
    }

    pub(super) async fn ask<T>(
        &self,
        command: impl FnOnce(oneshot::Sender<T>) -> Command,
    ) -> Result<T, Closed> {
        let (reply, answer) = oneshot::channel();
        self.tell(command(reply)).await?;
        answer.await.map_err(|_| Closed)
    }
}

/// The directory (Kademlia). Keys and values are bytes here; what is found is unverified.
impl Handle {
    /// Stores a value at the peers closest to `key`, for `lifetime`, and here until this node stops.
    ///
    /// # Errors
    /// [`LookupError`]
    pub async fn put_record(
        &self,
        key: Vec<u8>,
        value: Vec<u8>,
        lifetime: Duration,
    ) -> Result<(), LookupError> {
        self.ask_directory(|reply| kademlia::Command::Put {
            key,
            value,
            lifetime,
            reply,
        })
        .await
    }

    /// All values found under `key`, from different holders, 32 at most; empty if there is none.
    ///
    /// # Errors
    /// [`LookupError`]
    pub async fn get_records(&self, key: Vec<u8>) -> Result<Vec<FoundRecord>, LookupError> {
        Ok(collect(self.find_records(key).await?).await)
    }

    /// The values under `key`, from different holders, as they are found. Dropping the receiver ends the search; so do 32 that wait.
    ///
    /// # Errors
    /// [`LookupError`]
    pub async fn find_records(
        &self,
        key: Vec<u8>,
    ) -> Result<mpsc::Receiver<FoundRecord>, LookupError> {
        let (found, receiver) = mpsc::channel(FOUND_WAITING);
        self.ask_directory(|reply| kademlia::Command::Get { key, found, reply })
            .await?;
        Ok(receiver)
    }

    /// Says at the peers closest to `key` that this node provides it. They tell nobody about a node without an external
    /// address ([`Handle::add_external_address`]) that is not in their routing tables either.
    ///
    /// # Errors
    /// [`LookupError`]
    pub async fn provide(&self, key: Vec<u8>) -> Result<(), LookupError> {
        self.ask_directory(|reply| kademlia::Command::Provide { key, reply })
            .await
    }

    /// Stops renewing [`Handle::provide`].
    ///
    /// # Errors
    /// [`Closed`] after the mesh was shut down.
    pub async fn stop_providing(&self, key: Vec<u8>) -> Result<(), Closed> {
        self.tell(Command::Directory(kademlia::Command::StopProviding { key }))
            .await
    }

    /// Peers that say that they provide `key`, each once, 32 at most.
    ///
    /// # Errors
    /// [`LookupError`]
    pub async fn providers(&self, key: Vec<u8>) -> Result<Vec<PeerId>, LookupError> {
        let mut found = collect(self.find_providers(key).await?).await;
        found.sort_unstable();
        found.dedup();
        Ok(found)
    }

    /// Peers that say that they provide `key`, as they are found, some more than once. Dropping the receiver ends the search; so do 32
    /// that wait.
    ///
    /// # Errors
    /// [`LookupError`]
    pub async fn find_providers(
        &self,
        key: Vec<u8>,
    ) -> Result<mpsc::Receiver<PeerId>, LookupError> {
        let (found, receiver) = mpsc::channel(FOUND_WAITING);
        self.ask_directory(|reply| kademlia::Command::Providers { key, found, reply })
            .await?;
        Ok(receiver)
    }

    /// The peers closest to `key`, nearest first.
    ///
    /// # Errors
    /// [`LookupError`]
    pub async fn closest_peers(&self, key: Vec<u8>) -> Result<Vec<PeerId>, LookupError> {
        self.ask_directory(|reply| kademlia::Command::Closest { key, reply })
            .await
    }

    /// Adds a peer to the routing table without being connected to it.
    ///
    /// # Errors
    /// [`Closed`] after the mesh was shut down.
    pub async fn add_directory_peer(&self, peer: PeerId, address: Multiaddr) -> Result<(), Closed> {
        self.tell(Command::Directory(kademlia::Command::AddPeer {
            peer,
            address,
        }))
        .await
    }

    /// Whether this node answers queries of others. It should once it can be reached; it does not at first.
    ///
    /// # Errors
    /// [`Closed`] after the mesh was shut down.
    pub async fn serve_directory(&self, serve: bool) -> Result<(), Closed> {
        self.tell(Command::Directory(kademlia::Command::Serve { serve }))
            .await
    }

    /// Has the policy judge again what `source` wanted stored.
    pub(super) async fn offer(&self, source: PeerId, entry: Entry) -> Result<(), Closed> {
        self.tell(Command::Directory(kademlia::Command::Offer {
            source,
            entry,
        }))
        .await
    }

    async fn ask_directory<T>(
        &self,
        command: impl FnOnce(oneshot::Sender<Result<T, LookupError>>) -> kademlia::Command,
    ) -> Result<T, LookupError> {
        self.ask(|reply| Command::Directory(command(reply)))
            .await
            .map_err(|Closed| LookupError::Closed)?
    }
}

/// What is found, up to [`FOUND_MAX`].
async fn collect<T>(mut receiver: mpsc::Receiver<T>) -> Vec<T> {
    let mut found = Vec::new();
    while found.len() < FOUND_MAX
        && let Some(next) = receiver.recv().await
    {
        found.push(next);
    }
    found
}

/// Gossip. Topics are names below `/madang/<network>/`.
impl Handle {
    /// Follows a topic. Messages that passed the policy arrive at the receiver; those that find 256 waiting are dropped.
    ///
    /// # Errors
    /// [`PublishError::Busy`] if the topic is refused, [`PublishError::Closed`].
    pub async fn subscribe(
        &self,
        topic: &str,
    ) -> Result<mpsc::Receiver<GossipMessage>, PublishError> {
        let topic = topic.to_owned();
        self.ask(|reply| Command::Gossip(gossip::Command::Subscribe { topic, reply }))
            .await
            .map_err(|Closed| PublishError::Closed)?
    }

    /// Stops following a topic.
    ///
    /// # Errors
    /// [`Closed`] after the mesh was shut down.
    pub async fn unsubscribe(&self, topic: &str) -> Result<(), Closed> {
        self.tell(Command::Gossip(gossip::Command::Unsubscribe {
            topic: topic.to_owned(),
        }))
        .await
    }

    /// Publishes a message.
    ///
    /// # Errors
    /// [`PublishError`]
    pub async fn publish(&self, topic: &str, data: Vec<u8>) -> Result<(), PublishError> {
        let topic = topic.to_owned();
        self.ask(|reply| Command::Gossip(gossip::Command::Publish { topic, data, reply }))
            .await
            .map_err(|Closed| PublishError::Closed)?
    }
}
