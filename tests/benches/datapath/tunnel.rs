//! The bare tunnel: local TCP listener ↔ one libp2p stream per connection ↔ TCP to the origin, nothing else.
//!
//! Transports are libp2p's own with their defaults. What it shares with ours is the runtime alone.

use std::collections::VecDeque;
use std::convert::Infallible;
use std::net::SocketAddr;
use std::task::{Context as TaskContext, Poll};

use anyhow::{Context, Result};
use futures::StreamExt;
use libp2p::core::Endpoint;
use libp2p::core::transport::PortUse;
use libp2p::core::upgrade::ReadyUpgrade;
use libp2p::swarm::handler::{ConnectionEvent, FullyNegotiatedInbound, FullyNegotiatedOutbound};
use libp2p::swarm::{
    ConnectionDenied, ConnectionHandler, ConnectionHandlerEvent, ConnectionId, FromSwarm,
    NetworkBehaviour, NotifyHandler, SubstreamProtocol, SwarmEvent, THandler, THandlerInEvent,
    THandlerOutEvent, ToSwarm,
};
use libp2p::{
    Multiaddr, PeerId, Stream, StreamProtocol, Swarm, SwarmBuilder, noise, tcp, tls, yamux,
};
use tokio::io::copy_bidirectional;
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::mpsc;
use tokio::task::JoinSet;
use tokio_util::compat::FuturesAsyncReadCompatExt;

use crate::{Wire, process};

const PROTOCOL: StreamProtocol = StreamProtocol::new("/tunnel");

fn swarm(wire: Wire, behaviour: Streams) -> Result<Swarm<Streams>> {
    let builder = SwarmBuilder::with_new_identity().with_tokio();
    let tcp = tcp::Config::default().nodelay(true);
    Ok(match wire {
        Wire::Tls => builder
            .with_tcp(tcp, tls::Config::new, yamux::Config::default)?
            .with_behaviour(|_| behaviour)?
            .build(),
        Wire::Noise => builder
            .with_tcp(tcp, noise::Config::new, yamux::Config::default)?
            .with_behaviour(|_| behaviour)?
            .build(),
        Wire::Quic => builder.with_quic().with_behaviour(|_| behaviour)?.build(),
    })
}

/// The end at the origin; says `peer address`.
pub(crate) async fn exit(wire: Wire, origin: SocketAddr) -> Result<()> {
    let (behaviour, mut inbound, _) = Streams::new();
    let mut swarm = swarm(wire, behaviour)?;
    swarm.listen_on(wire.listen_address().parse()?)?;
    let mut tunnels = JoinSet::new();
    loop {
        tokio::select! {
            event = swarm.select_next_some() => if let SwarmEvent::NewListenAddr { address, .. } = event {
                process::say_ready(&format!("{} {address}", swarm.local_peer_id()));
            },
            Some(stream) = inbound.recv() => {
                tunnels.spawn(async move {
                    let mut origin = TcpStream::connect(origin).await?;
                    origin.set_nodelay(true)?;
                    copy_bidirectional(&mut stream.compat(), &mut origin).await
                });
            }
            Some(_) = tunnels.join_next() => {}
        }
    }
}

/// The end at the client; says its own address.
pub(crate) async fn entry(wire: Wire, exit: &str) -> Result<()> {
    let (peer, address) = exit
        .split_once(' ')
        .context("the exit's peer id and address")?;
    let (peer, address): (PeerId, Multiaddr) = (peer.parse()?, address.parse()?);
    let (behaviour, mut opened, ask) = Streams::new();
    let mut swarm = swarm(wire, behaviour)?;
    swarm.dial(
        address
            .with_p2p(peer)
            .map_err(|address| anyhow::anyhow!("{address} is someone else's"))?,
    )?;
    let listener = TcpListener::bind("127.0.0.1:0").await?;
    let mut waiting = VecDeque::new();
    let mut tunnels = JoinSet::new();
    loop {
        tokio::select! {
            event = swarm.select_next_some() => if let SwarmEvent::ConnectionEstablished { .. } = event {
                process::say_ready(&listener.local_addr()?.to_string());
            },
            client = listener.accept() => {
                let (client, _) = client?;
                client.set_nodelay(true)?;
                waiting.push_back(client);
                ask.send(()).await?;
            }
            Some(stream) = opened.recv() => if let Some(mut client) = waiting.pop_front() {
                tunnels.spawn(async move { copy_bidirectional(&mut stream.compat(), &mut client).await });
            },
            Some(_) = tunnels.join_next() => {}
        }
    }
}

/// Opens a stream per question on the only connection, and hands out streams of either direction.
struct Streams {
    streams: mpsc::Sender<Stream>,
    questions: mpsc::Receiver<()>,
    connection: Option<(PeerId, ConnectionId)>,
}

impl Streams {
    fn new() -> (Self, mpsc::Receiver<Stream>, mpsc::Sender<()>) {
        let (streams, taken) = mpsc::channel(1_024);
        let (ask, questions) = mpsc::channel(1_024);
        (
            Self {
                streams,
                questions,
                connection: None,
            },
            taken,
            ask,
        )
    }

    fn handler(&self) -> Handler {
        Handler {
            streams: self.streams.clone(),
            asked: 0,
        }
    }
}

impl NetworkBehaviour for Streams {
    type ConnectionHandler = Handler;
    type ToSwarm = Infallible;

    fn handle_established_inbound_connection(
        &mut self,
        _: ConnectionId,
        _: PeerId,
        _: &Multiaddr,
        _: &Multiaddr,
    ) -> Result<THandler<Self>, ConnectionDenied> {
        Ok(self.handler())
    }

    fn handle_established_outbound_connection(
        &mut self,
        _: ConnectionId,
        _: PeerId,
        _: &Multiaddr,
        _: Endpoint,
        _: PortUse,
    ) -> Result<THandler<Self>, ConnectionDenied> {
        Ok(self.handler())
    }

    fn on_swarm_event(&mut self, event: FromSwarm<'_>) {
        if let FromSwarm::ConnectionEstablished(event) = event {
            self.connection = Some((event.peer_id, event.connection_id));
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
        cx: &mut TaskContext<'_>,
    ) -> Poll<ToSwarm<Infallible, THandlerInEvent<Self>>> {
        if let Some((peer_id, connection)) = self.connection
            && let Poll::Ready(Some(())) = self.questions.poll_recv(cx)
        {
            return Poll::Ready(ToSwarm::NotifyHandler {
                peer_id,
                handler: NotifyHandler::One(connection),
                event: (),
            });
        }
        Poll::Pending
    }
}

struct Handler {
    streams: mpsc::Sender<Stream>,
    asked: usize,
}

type Upgrade = ReadyUpgrade<StreamProtocol>;

impl ConnectionHandler for Handler {
    type FromBehaviour = ();
    type ToBehaviour = Infallible;
    type InboundProtocol = Upgrade;
    type OutboundProtocol = Upgrade;
    type InboundOpenInfo = ();
    type OutboundOpenInfo = ();

    fn listen_protocol(&self) -> SubstreamProtocol<Upgrade> {
        SubstreamProtocol::new(ReadyUpgrade::new(PROTOCOL), ())
    }

    fn connection_keep_alive(&self) -> bool {
        true
    }

    fn poll(
        &mut self,
        _: &mut TaskContext<'_>,
    ) -> Poll<ConnectionHandlerEvent<Upgrade, (), Infallible>> {
        if self.asked == 0 {
            return Poll::Pending;
        }
        self.asked -= 1;
        Poll::Ready(ConnectionHandlerEvent::OutboundSubstreamRequest {
            protocol: SubstreamProtocol::new(ReadyUpgrade::new(PROTOCOL), ()),
        })
    }

    fn on_behaviour_event(&mut self, (): ()) {
        self.asked += 1;
    }

    fn on_connection_event(&mut self, event: ConnectionEvent<'_, Upgrade, Upgrade>) {
        // The queue is longer than the benchmark has connections.
        if let ConnectionEvent::FullyNegotiatedInbound(FullyNegotiatedInbound {
            protocol, ..
        }) = event
        {
            let _ = self.streams.try_send(protocol);
        } else if let ConnectionEvent::FullyNegotiatedOutbound(FullyNegotiatedOutbound {
            protocol,
            ..
        }) = event
        {
            let _ = self.streams.try_send(protocol);
        }
    }
}
