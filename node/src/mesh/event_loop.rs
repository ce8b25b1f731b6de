//! The task that owns the swarm.
//!
//! Everything here answers at once: the loop awaits nothing but its own inputs.

use std::collections::{BTreeMap, HashMap, HashSet, VecDeque};
use std::time::Duration;

use futures::StreamExt;
use libp2p::core::ConnectedPoint;
use libp2p::identity::Keypair;
use libp2p::kad::KBucketKey;
use libp2p::swarm::dial_opts::{DialOpts, PeerCondition};
use libp2p::swarm::{self, SwarmEvent};
use libp2p::{Multiaddr, PeerId, Swarm, identify, ping};
use tokio::sync::{broadcast, mpsc, oneshot, watch};
use tokio::time::{MissedTickBehavior, interval};
use tokio_util::sync::{CancellationToken, DropGuard};
use tokio_util::task::AbortOnDropHandle;

use super::behaviour::{Behaviour, BehaviourEvent};
use super::config::{BuildError, MeshConfig};
use super::gossip::Gossip;
use super::handle::{Command, ConnectedPeer, DialError, Handle, PeerEvent};
use super::kademlia::Kademlia;
use super::policy::Policy;
use super::tasks::Tasks;
use super::transport;

/// Commands that wait for the loop.
const COMMANDS: usize = 256;
/// Peer events that a slow reader may fall behind.
const EVENTS: usize = 256;
/// Calls of [`Handle::dial`] that wait for connections; further ones are denied.
const DIALING: usize = 1_024;
/// Bans that are remembered; the oldest goes first.
const BANS: usize = 4_096;
/// Addresses under which peers see us that are remembered.
const HINTS: usize = 16;
/// Addresses taken from one peer.
const ADDRESSES_PER_PEER: usize = 10;
/// Inbound streams whose protocol is being agreed on, on one connection.
const NEGOTIATING: usize = 128;
/// Gossipsub 0.50 sets its heartbeat's timer without polling it, and an idle swarm would sleep on.
const WAKE_INTERVAL: Duration = Duration::from_millis(250);

/// A running mesh. Dropping it aborts; [`Mesh::shutdown`] says goodbye first.
pub struct Mesh {
    handle: Handle,
    stop: DropGuard,
    task: AbortOnDropHandle<()>,
}

impl Mesh {
    /// Starts a node: listens, and returns once every address is bound.
    ///
    /// # Errors
    /// [`BuildError`]
    pub fn build(config: MeshConfig) -> Result<Self, BuildError> {
        let MeshConfig {
            mut secret_key,
            listen,
            transports,
            network,
            limits,
            policy,
        } = config;
        if network.is_empty() || !network.bytes().all(|byte| byte.is_ascii_hexdigit()) {
            return Err(BuildError::Network(network));
        }
        let keypair =
            Keypair::ed25519_from_bytes(&mut *secret_key).map_err(|_| BuildError::SecretKey)?;
        let tasks = Tasks::default();
        let swarm_config = swarm::Config::with_executor(tasks.clone())
            .with_idle_connection_timeout(limits.idle_timeout)
            .with_max_negotiating_inbound_streams(NEGOTIATING)
            // A stream's protocol goes out with its first bytes instead of costing a round trip.
            .with_substream_upgrade_protocol_override(libp2p::core::upgrade::Version::V1Lazy);
        let open_timeout = limits.open_timeout;
        let transport = transport::build(&keypair, &transports)?;
        let behaviour = Behaviour::new(&keypair, &network, limits)?;
        let mut swarm = Swarm::new(
            transport,
            behaviour,
            keypair.public().to_peer_id(),
            swarm_config,
        );
        for address in listen {
            swarm
                .listen_on(address.clone())
                .map_err(|source| BuildError::Listen { address, source })?;
        }
        let (commands, inbox) = mpsc::channel(COMMANDS);
        let (events, _) = broadcast::channel(EVENTS);
        let (listening_sender, listening) = watch::channel(Vec::new());
        let (hints_sender, hints) = watch::channel(Vec::new());
        let handle = Handle {
            commands,
            events: events.downgrade(),
            listening,
            hints,
            peer_id: *swarm.local_peer_id(),
            open_timeout,
        };
        let stop = CancellationToken::new();
        let event_loop = EventLoop {
            swarm,
            inbox,
            stop: stop.clone(),
            tasks,
            policy,
            kademlia: Kademlia::new(&network)?,
            gossip: Gossip::new(&network),
            connected: HashMap::new(),
            idle: HashSet::new(),
            dialing: HashMap::new(),
            dialing_total: 0,
            bans: VecDeque::new(),
            events,
            listening: listening_sender,
            hints: hints_sender,
        };
        let task = AbortOnDropHandle::new(tokio::spawn(event_loop.run()));
        Ok(Self {
            handle,
            stop: stop.drop_guard(),
            task,
        })
    }

    /// A handle to this mesh.
    pub fn handle(&self) -> Handle {
        self.handle.clone()
    }

    /// Closes all connections and ends all tasks of the mesh. Streams still open break.
    pub async fn shutdown(self) {
        drop(self.stop);
        if let Err(error) = self.task.await
            && error.is_panic()
        {
            tracing::error!("the mesh's task panicked");
        }
    }

    /// Waits for the mesh to end by itself, which only a fault does; used by the daemon to stop with a reason.
    pub async fn failed(&mut self) {
        let _ = (&mut self.task).await;
    }
}

struct EventLoop {
    swarm: Swarm<Behaviour>,
    inbox: mpsc::Receiver<Command>,
    stop: CancellationToken,
    tasks: Tasks,
    policy: Box<dyn Policy>,
    kademlia: Kademlia,
    gossip: Gossip,
    /// For each connected peer, its connections, oldest first.
    connected: HashMap<PeerId, Vec<ConnectedPoint>>,
    /// Peers whose connections carried nothing at the last look.
    idle: HashSet<PeerId>,
    dialing: HashMap<PeerId, Vec<oneshot::Sender<Result<(), DialError>>>>,
    dialing_total: usize,
    bans: VecDeque<PeerId>,
    events: broadcast::Sender<PeerEvent>,
    listening: watch::Sender<Vec<Multiaddr>>,
    hints: watch::Sender<Vec<Multiaddr>>,
}

impl EventLoop {
    async fn run(mut self) {
        let mut wake = interval(WAKE_INTERVAL);
        wake.set_missed_tick_behavior(MissedTickBehavior::Delay);
        loop {
            tokio::select! {
                biased;
                () = self.stop.cancelled() => break,
                // The tick polls the swarm again, by going round.
                _ = wake.tick() => {}
                Some(command) = self.inbox.recv() => self.handle_command(command),
                event = self.swarm.select_next_some() => self.handle_event(event),
            }
        }
        self.close().await;
    }

    /// Lets each connection say goodbye, for a moment, and then ends all tasks.
    async fn close(mut self) {
        const GOODBYE: Duration = Duration::from_millis(500);
        self.inbox.close();
        let peers: Vec<_> = self.connected.keys().copied().collect();
        for peer in peers {
            // Gone already is as good.
            let _ = self.swarm.disconnect_peer_id(peer);
        }
        let goodbye = async {
            while self.swarm.connected_peers().next().is_some() {
                self.swarm.select_next_some().await;
            }
        };
        if tokio::time::timeout(GOODBYE, goodbye).await.is_err() {
            tracing::debug!("some connections did not close in time");
        }
        drop(self.swarm);
        self.tasks.shutdown().await;
    }

    fn handle_command(&mut self, command: Command) {
        // Whoever asked may have given up, so that a reply that finds no reader is no error.
        match command {
            Command::Dial {
                peer,
                addresses,
                reply,
            } => self.dial(peer, addresses, reply),
            Command::AddAddresses { peer, addresses } => self.add_addresses(peer, addresses),
            Command::Open { peer, request } => {
                self.swarm.behaviour_mut().streams.open(peer, request)
            }
            Command::Accept { protocol, reply } => {
                let _ = reply.send(self.swarm.behaviour_mut().streams.accept(protocol));
            }
            Command::ConnectedPeers { reply } => {
                let _ = reply.send(
                    self.connected
                        .iter()
                        .filter_map(|(peer, ends)| describe(*peer, ends))
                        .collect(),
                );
            }
            Command::AddExternalAddress { address } => self.swarm.add_external_address(address),
            Command::RemoveExternalAddress { address } => {
                self.swarm.remove_external_address(&address)
            }
            Command::Trim { keep } => self.trim(keep),
            Command::Disconnect { peer } => drop(self.swarm.disconnect_peer_id(peer)),
            Command::Ban { peer } => self.ban(peer),
            Command::Unban { peer } => {
                self.bans.retain(|banned| *banned != peer);
                self.swarm.behaviour_mut().banned.unblock_peer(peer);
            }
            Command::Directory(command) => {
                self.kademlia.handle_command(
                    &mut self.swarm.behaviour_mut().kad,
                    &mut *self.policy,
                    command,
                );
            }
            Command::Gossip(command) => {
                self.gossip
                    .handle_command(&mut self.swarm.behaviour_mut().gossip, command);
            }
        }
    }

    fn dial(
        &mut self,
        peer: PeerId,
        addresses: Vec<Multiaddr>,
        reply: oneshot::Sender<Result<(), DialError>>,
    ) {
        self.add_addresses(peer, addresses);
        if self.swarm.is_connected(&peer) {
            let _ = reply.send(Ok(()));
            return;
        }
        if self.dialing_total >= DIALING {
            let _ = reply.send(Err(DialError::Denied));
            return;
        }
        let opts = DialOpts::peer_id(peer)
            .condition(PeerCondition::DisconnectedAndNotDialing)
            .build();
        match self.swarm.dial(opts) {
            Ok(()) | Err(swarm::DialError::DialPeerConditionFalse(_)) => {
                self.dialing_total += 1;
                self.dialing.entry(peer).or_default().push(reply);
            }
            Err(error) => drop(reply.send(Err(dial_error(&error)))),
        }
    }

    fn add_addresses(&mut self, peer: PeerId, addresses: Vec<Multiaddr>) {
        for address in addresses {
            self.swarm
                .behaviour_mut()
                .streams
                .add_address(peer, address);
        }
    }

    fn trim(&mut self, keep: usize) {
        let behaviour = self.swarm.behaviour();
        let gossiping: HashSet<&PeerId> = behaviour.gossip.all_mesh_peers().collect();
        let is_idle =
            |peer: &&PeerId| !gossiping.contains(peer) && !behaviour.streams.is_busy(peer);
        let own = KBucketKey::from(*self.swarm.local_peer_id());
        let by_distance = |peer: &PeerId| (own.distance(&KBucketKey::from(*peer)), *peer);
        let idle: BTreeMap<_, _> = self
            .connected
            .keys()
            .filter(is_idle)
            .map(by_distance)
            .collect();
        let excess = self.connected.len().saturating_sub(keep);
        let were_idle = std::mem::replace(&mut self.idle, idle.values().copied().collect());
        let farthest = idle
            .into_values()
            .rev()
            .filter(|peer| were_idle.contains(peer));
        for peer in farthest.take(excess) {
            // Gone already is as good.
            let _ = self.swarm.disconnect_peer_id(peer);
        }
    }

    fn ban(&mut self, peer: PeerId) {
        if self.bans.contains(&peer) {
            return;
        }
        if self.bans.len() >= BANS
            && let Some(oldest) = self.bans.pop_front()
        {
            self.swarm.behaviour_mut().banned.unblock_peer(oldest);
        }
        self.bans.push_back(peer);
        self.swarm.behaviour_mut().banned.block_peer(peer);
    }

    fn handle_event(&mut self, event: SwarmEvent<BehaviourEvent>) {
        #[expect(
            clippy::wildcard_enum_match_arm,
            reason = "the enum is non-exhaustive, and most of it is for logs"
        )]
        match event {
            SwarmEvent::Behaviour(event) => self.handle_behaviour_event(event),
            SwarmEvent::ConnectionEstablished {
                peer_id, endpoint, ..
            } => self.on_connected(peer_id, endpoint),
            SwarmEvent::ConnectionClosed {
                peer_id,
                endpoint,
                num_established,
                ..
            } => {
                self.on_disconnected(peer_id, &endpoint, num_established);
            }
            SwarmEvent::OutgoingConnectionError {
                peer_id: Some(peer),
                error,
                ..
            } => {
                tracing::debug!(%peer, %error, "dial failed");
                if !self.swarm.is_connected(&peer) {
                    if is_unreachable(&error) {
                        let _ = self.events.send(PeerEvent::Unreachable(peer));
                    }
                    self.answer_dials(peer, Err(dial_error(&error)));
                }
            }
            SwarmEvent::NewListenAddr { .. }
            | SwarmEvent::ExpiredListenAddr { .. }
            | SwarmEvent::ListenerClosed { .. } => {
                self.listening
                    .send_replace(self.swarm.listeners().cloned().collect());
            }
            SwarmEvent::NewExternalAddrCandidate { address } => self.on_hint(address),
            _ => {}
        }
    }

    fn handle_behaviour_event(&mut self, event: BehaviourEvent) {
        match event {
            BehaviourEvent::Kad(event) => {
                self.kademlia.handle_event(
                    &mut self.swarm.behaviour_mut().kad,
                    &mut *self.policy,
                    event,
                );
            }
            BehaviourEvent::Gossip(event) => {
                self.gossip.handle_event(
                    &mut self.swarm.behaviour_mut().gossip,
                    &mut *self.policy,
                    event,
                );
            }
            BehaviourEvent::Identify(identify::Event::Received { peer_id, info, .. }) => {
                self.on_identified(peer_id, &info);
            }
            BehaviourEvent::Ping(ping::Event {
                connection,
                result: Err(error),
                ..
            }) => {
                // libp2p leaves a silent connection open. Peers without ping are fine.
                if !matches!(error, ping::Failure::Unsupported) {
                    self.swarm.close_connection(connection);
                }
            }
            BehaviourEvent::Identify(_) | BehaviourEvent::Ping(_) => {}
            BehaviourEvent::Banned(never)
            | BehaviourEvent::Limits(never)
            | BehaviourEvent::Streams(never) => match never {},
        }
    }

    fn on_identified(&mut self, peer: PeerId, info: &identify::Info) {
        let mut addresses = info.listen_addrs.clone();
        addresses.truncate(ADDRESSES_PER_PEER);
        let serves = self.kademlia.is_served_by(&info.protocols);
        let _ = self.events.send(PeerEvent::Identified {
            peer,
            addresses,
            serves,
        });
    }

    fn on_connected(&mut self, peer: PeerId, endpoint: ConnectedPoint) {
        let ends = self.connected.entry(peer).or_default();
        ends.push(endpoint);
        if ends.len() == 1
            && let Some(connected) = describe(peer, ends)
        {
            // Without subscribers there is nobody to tell.
            let _ = self.events.send(PeerEvent::Connected(connected));
        }
        self.answer_dials(peer, Ok(()));
    }

    fn on_disconnected(&mut self, peer: PeerId, endpoint: &ConnectedPoint, left: u32) {
        if left == 0 {
            self.connected.remove(&peer);
            let _ = self.events.send(PeerEvent::Disconnected(peer));
        } else if let Some(ends) = self.connected.get_mut(&peer)
            && let Some(index) = ends.iter().position(|end| end == endpoint)
        {
            ends.remove(index);
        }
    }

    fn on_hint(&mut self, address: Multiaddr) {
        self.hints.send_if_modified(|hints| {
            if hints.contains(&address) {
                return false;
            }
            if hints.len() >= HINTS {
                hints.remove(0);
            }
            hints.push(address);
            true
        });
    }

    fn answer_dials(&mut self, peer: PeerId, result: Result<(), DialError>) {
        let replies = self.dialing.remove(&peer).unwrap_or_default();
        self.dialing_total -= replies.len();
        for reply in replies {
            let _ = reply.send(result);
        }
    }
}

fn describe(peer: PeerId, ends: &[ConnectedPoint]) -> Option<ConnectedPeer> {
    let oldest = ends.first()?;
    Some(ConnectedPeer {
        peer,
        address: oldest.get_remote_address().clone(),
        relayed: ends.iter().all(ConnectedPoint::is_relayed),
        dialed: oldest.is_dialer(),
    })
}

/// Whether the peer, rather than a rule of ours, is why it was not dialled.
fn is_unreachable(error: &swarm::DialError) -> bool {
    match dial_error(error) {
        DialError::Unreachable | DialError::WrongPeer => !matches!(
            error,
            swarm::DialError::Aborted | swarm::DialError::DialPeerConditionFalse(_)
        ),
        DialError::NoAddress | DialError::Denied | DialError::Closed => false,
    }
}

fn dial_error(error: &swarm::DialError) -> DialError {
    match error {
        swarm::DialError::NoAddresses => DialError::NoAddress,
        swarm::DialError::WrongPeerId { .. } | swarm::DialError::LocalPeerId { .. } => {
            DialError::WrongPeer
        }
        swarm::DialError::Denied { .. } => DialError::Denied,
        swarm::DialError::DialPeerConditionFalse(_)
        | swarm::DialError::Aborted
        | swarm::DialError::Transport(_) => DialError::Unreachable,
    }
}
