//! The part of the stream behaviour that lives in a connection's task.

use std::collections::VecDeque;
use std::convert::Infallible;
use std::future::{Ready, ready};
use std::sync::Arc;
use std::task::{Context, Poll};
use std::time::Duration;

use libp2p::PeerId;
use libp2p::core::UpgradeInfo;
use libp2p::core::upgrade::{InboundUpgrade, OutboundUpgrade};
use libp2p::swarm::handler::{
    ConnectionEvent, DialUpgradeError, FullyNegotiatedInbound, FullyNegotiatedOutbound,
};
use libp2p::swarm::{
    ConnectionHandler, ConnectionHandlerEvent, StreamUpgradeError, SubstreamProtocol,
};

use super::super::stream::{Places, Stream};
use super::{Acceptors, Limits, OpenError, OpenRequest, Protocol};

/// Streams being opened on one connection. yamux allows 256 that the peer has not acknowledged.
const OPENING: usize = 128;

/// Opens streams on one connection, and takes in those that the peer opens.
pub(in crate::mesh) struct Handler {
    peer: PeerId,
    relayed: bool,
    acceptors: Arc<Acceptors>,
    places: Places,
    opened: Places,
    places_max: usize,
    timeout: Duration,
    /// Asked for, and not yet passed on to the connection.
    queue: VecDeque<OpenRequest>,
    /// Passed on, and not yet open.
    opening: usize,
}

impl Handler {
    pub(super) fn new(
        peer: PeerId,
        relayed: bool,
        acceptors: Arc<Acceptors>,
        (places, opened): (Places, Places),
        limits: &Limits,
    ) -> Self {
        Self {
            peer,
            relayed,
            acceptors,
            places,
            opened,
            places_max: limits.streams_per_peer,
            timeout: limits.open_timeout,
            queue: VecDeque::new(),
            opening: 0,
        }
    }

    fn on_inbound(&mut self, inner: libp2p::Stream, protocol: Protocol) {
        let Some(place) = self.places.take(self.places_max) else {
            tracing::debug!(peer = %self.peer, "a peer holds too many streams: reset");
            return;
        };
        let Some(acceptor) = self.acceptors.get(protocol) else {
            return;
        };
        let stream = Stream::new(inner, self.peer, self.relayed, Some(place));
        if acceptor.try_send(stream).is_err() {
            tracing::debug!(peer = %self.peer, protocol = protocol.name(), "too many streams wait: reset");
        }
    }

    fn on_outbound(&mut self, inner: libp2p::Stream, request: OpenRequest) {
        self.opening -= 1;
        let place = self.opened.take(usize::MAX);
        // If the one who asked has given up, the stream is dropped here, which resets it.
        let _ = request
            .reply
            .send(Ok(Stream::new(inner, self.peer, self.relayed, place)));
    }

    fn on_refused(&mut self, error: StreamUpgradeError<Infallible>, request: OpenRequest) {
        self.opening -= 1;
        request.refuse(match error {
            StreamUpgradeError::Timeout => OpenError::Timeout,
            StreamUpgradeError::NegotiationFailed => OpenError::Unsupported,
            StreamUpgradeError::Io(_) => OpenError::Unreachable,
            StreamUpgradeError::Apply(never) => match never {},
        });
    }
}

impl ConnectionHandler for Handler {
    type FromBehaviour = OpenRequest;
    type ToBehaviour = Infallible;
    type InboundProtocol = Inbound;
    type OutboundProtocol = Outbound;
    type InboundOpenInfo = ();
    type OutboundOpenInfo = OpenRequest;

    fn listen_protocol(&self) -> SubstreamProtocol<Inbound, ()> {
        let offered = Protocol::ALL.map(|protocol| self.acceptors.get(protocol).map(|_| protocol));
        SubstreamProtocol::new(Inbound(offered), ())
    }

    fn poll(
        &mut self,
        _: &mut Context<'_>,
    ) -> Poll<ConnectionHandlerEvent<Outbound, OpenRequest, Infallible>> {
        // Woken by the connection itself, which polls after each event that it hands to this handler.
        while let Some(request) = self.queue.pop_front() {
            if !request.reply.is_closed() {
                self.opening += 1;
                let protocol = SubstreamProtocol::new(Outbound(request.protocol), request)
                    .with_timeout(self.timeout);
                return Poll::Ready(ConnectionHandlerEvent::OutboundSubstreamRequest { protocol });
            }
        }
        Poll::Pending
    }

    fn on_behaviour_event(&mut self, request: OpenRequest) {
        if self.queue.len() + self.opening >= OPENING {
            request.refuse(OpenError::Busy);
        } else {
            self.queue.push_back(request);
        }
    }

    fn on_connection_event(
        &mut self,
        event: ConnectionEvent<'_, Inbound, Outbound, (), OpenRequest>,
    ) {
        if let ConnectionEvent::FullyNegotiatedInbound(FullyNegotiatedInbound {
            protocol: (stream, protocol),
            ..
        }) = event
        {
            self.on_inbound(stream, protocol);
        } else if let ConnectionEvent::FullyNegotiatedOutbound(FullyNegotiatedOutbound {
            protocol,
            info,
        }) = event
        {
            self.on_outbound(protocol, info);
        } else if let ConnectionEvent::DialUpgradeError(DialUpgradeError { info, error }) = event {
            self.on_refused(error, info);
        }
    }
}

/// The protocols that have an acceptor.
pub(in crate::mesh) struct Inbound([Option<Protocol>; Protocol::ALL.len()]);

impl UpgradeInfo for Inbound {
    type Info = Protocol;
    type InfoIter =
        std::iter::Flatten<std::array::IntoIter<Option<Protocol>, { Protocol::ALL.len() }>>;

    fn protocol_info(&self) -> Self::InfoIter {
        self.0.into_iter().flatten()
    }
}

impl InboundUpgrade<libp2p::Stream> for Inbound {
    type Output = (libp2p::Stream, Protocol);
    type Error = Infallible;
    type Future = Ready<Result<Self::Output, Infallible>>;

    fn upgrade_inbound(self, stream: libp2p::Stream, protocol: Protocol) -> Self::Future {
        ready(Ok((stream, protocol)))
    }
}

/// The one protocol that is asked for.
pub(in crate::mesh) struct Outbound(Protocol);

impl UpgradeInfo for Outbound {
    type Info = Protocol;
    type InfoIter = std::iter::Once<Protocol>;

    fn protocol_info(&self) -> Self::InfoIter {
        std::iter::once(self.0)
    }
}

impl OutboundUpgrade<libp2p::Stream> for Outbound {
    type Output = libp2p::Stream;
    type Error = Infallible;
    type Future = Ready<Result<Self::Output, Infallible>>;

    fn upgrade_outbound(self, stream: libp2p::Stream, _: Protocol) -> Self::Future {
        ready(Ok(stream))
    }
}
