//! Application streams: a libp2p behaviour that opens them, and hands those that peers open to their acceptors.
//!
//! Inbound streams wait in a bounded queue per protocol. When it is full, or when a peer holds too many, the stream is
//! reset and the peer sees a closed stream; nothing else suffers. Streams pass from the connection's task to the
//! acceptor directly.

use std::collections::{HashMap, VecDeque};
use std::convert::Infallible;
use std::num::NonZeroUsize;
use std::sync::{Arc, OnceLock};
use std::task::{Context, Poll, Waker};

use libp2p::core::Endpoint;
use libp2p::core::transport::PortUse;
use libp2p::swarm::behaviour::{ConnectionClosed, ConnectionEstablished, DialFailure};
use libp2p::swarm::dial_opts::{DialOpts, PeerCondition};
use libp2p::swarm::{
    ConnectionDenied, ConnectionId, DialError, FromSwarm, NetworkBehaviour, NotifyHandler,
    PeerAddresses, THandler, THandlerInEvent, THandlerOutEvent, ToSwarm,
};
use libp2p::{Multiaddr, PeerId};
use thiserror::Error;
use tokio::sync::{mpsc, oneshot};

use super::config::Limits;
use super::stream::{Places, Stream};

mod handler;

use handler::Handler;

/// Opens that wait for one peer's connection.
const WAITING_PER_PEER: usize = 128;
/// Opens that wait for connections, in total.
const WAITING_TOTAL: usize = 2_048;
/// Peers whose addresses are remembered for dialing; ten addresses each, the least recently used peer goes first.
const ADDRESS_BOOK_PEERS: NonZeroUsize = NonZeroUsize::new(1_024).expect("not zero");

/// A protocol of ours that runs over streams.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Protocol {
    /// HTTP/1.1, as the libp2p specification says.
    Http,
    /// The paying session.
    Session,
    /// The exchange of passports on a new connection.
    Hello,
    /// A node's own announcements, for whoever asks.
    Sites,
}

impl Protocol {
    const ALL: [Self; 4] = [Self::Http, Self::Session, Self::Hello, Self::Sites];

    /// The name that is negotiated.
    pub fn name(self) -> &'static str {
        match self {
            Self::Http => "/http/1.1",
            Self::Session => "/madang/session/1",
            Self::Hello => "/madang/hello/1",
            Self::Sites => "/madang/sites/1",
        }
    }

    fn index(self) -> usize {
        match self {
            Self::Http => 0,
            Self::Session => 1,
            Self::Hello => 2,
            Self::Sites => 3,
        }
    }
}

impl AsRef<str> for Protocol {
    fn as_ref(&self) -> &str {
        self.name()
    }
}

/// Why a stream was not opened.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Error)]
pub enum OpenError {
    /// No connection: no address known, none answered, or someone else answered.
    #[error("the peer cannot be reached")]
    Unreachable,
    /// The peer does not speak the protocol, or takes no streams of it now.
    #[error("the peer does not offer this protocol")]
    Unsupported,
    /// Too many opens wait already, for this peer or in total.
    #[error("too many streams are being opened")]
    Busy,
    /// Not within [`Limits::open_timeout`].
    #[error("the stream was not opened in time")]
    Timeout,
    /// This mesh has been shut down.
    #[error("the mesh is closed")]
    Closed,
}

/// The streams of one protocol that peers open, in the order of their arrival. Dropping it refuses further ones.
#[derive(Debug)]
pub struct Incoming(mpsc::Receiver<Stream>);

impl Incoming {
    /// The next stream; `None` once the mesh has been shut down.
    pub async fn next(&mut self) -> Option<Stream> {
        self.0.recv().await
    }
}

/// Where inbound streams go, by protocol. A slot is filled when someone accepts.
#[derive(Debug, Default)]
struct Acceptors([OnceLock<mpsc::Sender<Stream>>; Protocol::ALL.len()]);

impl Acceptors {
    fn get(&self, protocol: Protocol) -> Option<&mpsc::Sender<Stream>> {
        self.0[protocol.index()]
            .get()
            .filter(|sender| !sender.is_closed())
    }
}

/// A stream that someone waits for.
#[derive(Debug)]
pub(super) struct OpenRequest {
    pub(super) protocol: Protocol,
    pub(super) reply: oneshot::Sender<Result<Stream, OpenError>>,
}

impl OpenRequest {
    fn refuse(self, error: OpenError) {
        // The one who asked may have given up.
        let _ = self.reply.send(Err(error));
    }
}

/// What we know about a peer that is connected.
#[derive(Debug, Default)]
struct Peer {
    /// Established connections, oldest first, with whether they are relayed.
    connections: Vec<(ConnectionId, bool)>,
    /// Streams that it holds open toward us.
    places: Places,
    /// Streams that we hold open toward it.
    opened: Places,
}

impl Peer {
    /// The newest direct connection, else the newest one.
    fn best(&self) -> Option<ConnectionId> {
        let newest = |relayed| self.connections.iter().rev().find(|(_, is)| *is == relayed);
        newest(false).or_else(|| newest(true)).map(|(id, _)| *id)
    }
}

/// The behaviour for application streams.
pub(super) struct Behaviour {
    acceptors: Arc<Acceptors>,
    limits: Limits,
    peers: HashMap<PeerId, Peer>,
    waiting: HashMap<PeerId, Vec<OpenRequest>>,
    waiting_total: usize,
    addresses: PeerAddresses,
    actions: VecDeque<ToSwarm<Infallible, OpenRequest>>,
    waker: Option<Waker>,
}

impl Behaviour {
    pub(super) fn new(limits: Limits) -> Self {
        Self {
            acceptors: Arc::default(),
            limits,
            peers: HashMap::new(),
            waiting: HashMap::new(),
            waiting_total: 0,
            addresses: PeerAddresses::new(ADDRESS_BOOK_PEERS),
            actions: VecDeque::new(),
            waker: None,
        }
    }

    /// Hands out the receiver of a protocol's inbound streams, once.
    pub(super) fn accept(&mut self, protocol: Protocol) -> Option<Incoming> {
        let (sender, receiver) = mpsc::channel(self.limits.streams_queued);
        self.acceptors.0[protocol.index()]
            .set(sender)
            .ok()
            .map(|()| Incoming(receiver))
    }

    /// Remembers an address of a peer for dialing.
    pub(super) fn add_address(&mut self, peer: PeerId, address: Multiaddr) {
        self.addresses.add(peer, address);
    }

    /// Whether a stream with this peer is open, or asked for.
    pub(super) fn is_busy(&self, peer: &PeerId) -> bool {
        let has_streams = |known: &Peer| known.places.is_any_taken() || known.opened.is_any_taken();
        self.waiting.contains_key(peer) || self.peers.get(peer).is_some_and(has_streams)
    }

    /// Opens a stream, on a new connection if there is none.
    pub(super) fn open(&mut self, peer: PeerId, request: OpenRequest) {
        if let Some(connection) = self.peers.get(&peer).and_then(Peer::best) {
            self.ask_handler(peer, connection, request);
            return;
        }
        self.forget_abandoned();
        let waiting = self.waiting.entry(peer).or_default();
        if waiting.len() >= WAITING_PER_PEER || self.waiting_total >= WAITING_TOTAL {
            request.refuse(OpenError::Busy);
            return;
        }
        self.waiting_total += 1;
        waiting.push(request);
        if waiting.len() == 1 {
            let opts = DialOpts::peer_id(peer)
                .condition(PeerCondition::DisconnectedAndNotDialing)
                .build();
            self.act(ToSwarm::Dial { opts });
        }
    }

    fn ask_handler(&mut self, peer_id: PeerId, connection: ConnectionId, event: OpenRequest) {
        self.act(ToSwarm::NotifyHandler {
            peer_id,
            handler: NotifyHandler::One(connection),
            event,
        });
    }

    fn act(&mut self, action: ToSwarm<Infallible, OpenRequest>) {
        self.actions.push_back(action);
        if let Some(waker) = self.waker.take() {
            waker.wake();
        }
    }

    /// Frees the places of those who gave up, when space runs short.
    fn forget_abandoned(&mut self) {
        if self.waiting_total < WAITING_TOTAL {
            return;
        }
        self.waiting.retain(|_, requests| {
            requests.retain(|request| !request.reply.is_closed());
            !requests.is_empty()
        });
        self.waiting_total = self.waiting.values().map(Vec::len).sum();
    }

    fn take_waiting(&mut self, peer: &PeerId) -> Vec<OpenRequest> {
        let requests = self.waiting.remove(peer).unwrap_or_default();
        self.waiting_total -= requests.len();
        requests
    }

    fn on_established(&mut self, event: &ConnectionEstablished<'_>) {
        let peer = self.peers.entry(event.peer_id).or_default();
        peer.connections
            .push((event.connection_id, event.endpoint.is_relayed()));
        for request in self.take_waiting(&event.peer_id) {
            self.ask_handler(event.peer_id, event.connection_id, request);
        }
    }

    fn on_closed(&mut self, event: &ConnectionClosed<'_>) {
        let Some(peer) = self.peers.get_mut(&event.peer_id) else {
            return;
        };
        peer.connections
            .retain(|(id, _)| *id != event.connection_id);
        if peer.connections.is_empty() {
            self.peers.remove(&event.peer_id);
        }
    }

    fn on_dial_failure(&mut self, event: &DialFailure<'_>) {
        let Some(peer) = event.peer_id else { return };
        // Someone else is dialing or has dialed; that attempt's end will be ours as well.
        if matches!(event.error, DialError::DialPeerConditionFalse(_))
            && !self.peers.contains_key(&peer)
        {
            return;
        }
        let requests = self.take_waiting(&peer);
        let best = self.peers.get(&peer).and_then(Peer::best);
        for request in requests {
            match best {
                Some(connection) => self.ask_handler(peer, connection, request),
                None => request.refuse(OpenError::Unreachable),
            }
        }
    }

    /// Another behaviour may have denied a connection for which a handler was made already.
    fn forget_denied(&mut self, peer: Option<PeerId>) {
        if let Some(peer) = peer
            && self
                .peers
                .get(&peer)
                .is_some_and(|peer| peer.connections.is_empty())
        {
            self.peers.remove(&peer);
        }
    }

    fn handler(&mut self, peer: PeerId, relayed: bool) -> Handler {
        let known = self.peers.entry(peer).or_default();
        let (places, opened) = (known.places.clone(), known.opened.clone());
        Handler::new(
            peer,
            relayed,
            Arc::clone(&self.acceptors),
            (places, opened),
            &self.limits,
        )
    }
}

fn is_relayed(address: &Multiaddr) -> bool {
    address
        .iter()
        .any(|part| matches!(part, libp2p::multiaddr::Protocol::P2pCircuit))
}

impl NetworkBehaviour for Behaviour {
    type ConnectionHandler = Handler;
    type ToSwarm = Infallible;

    fn handle_pending_outbound_connection(
        &mut self,
        _: ConnectionId,
        peer: Option<PeerId>,
        _: &[Multiaddr],
        _: Endpoint,
    ) -> Result<Vec<Multiaddr>, ConnectionDenied> {
        Ok(peer
            .map(|peer| self.addresses.get(&peer).collect())
            .unwrap_or_default())
    }

    fn handle_established_inbound_connection(
        &mut self,
        _: ConnectionId,
        peer: PeerId,
        local: &Multiaddr,
        _: &Multiaddr,
    ) -> Result<THandler<Self>, ConnectionDenied> {
        Ok(self.handler(peer, is_relayed(local)))
    }

    fn handle_established_outbound_connection(
        &mut self,
        _: ConnectionId,
        peer: PeerId,
        address: &Multiaddr,
        _: Endpoint,
        _: PortUse,
    ) -> Result<THandler<Self>, ConnectionDenied> {
        Ok(self.handler(peer, is_relayed(address)))
    }

    fn on_swarm_event(&mut self, event: FromSwarm<'_>) {
        self.addresses.on_swarm_event(&event);
        if let FromSwarm::ConnectionEstablished(event) = &event {
            self.on_established(event);
        } else if let FromSwarm::ConnectionClosed(event) = &event {
            self.on_closed(event);
        } else if let FromSwarm::DialFailure(event) = &event {
            self.on_dial_failure(event);
            self.forget_denied(event.peer_id);
        } else if let FromSwarm::ListenFailure(event) = &event {
            self.forget_denied(event.peer_id);
        }
    }

    fn on_connection_handler_event(
        &mut self,
        _: PeerId,
        _: ConnectionId,
        event: THandlerOutEvent<Self>,
    ) {
        match event {}
    }

    fn poll(
        &mut self,
        cx: &mut Context<'_>,
    ) -> Poll<ToSwarm<Self::ToSwarm, THandlerInEvent<Self>>> {
        if let Some(action) = self.actions.pop_front() {
            return Poll::Ready(action);
        }
        self.waker = Some(cx.waker().clone());
        Poll::Pending
    }
}
