//! Streams over one TCP connection: yamux, with frames and windows of our choice.
//!
//! `libp2p-yamux` hides the size of frames and flushes each. With frames of 256 KiB a TLS connection carries 1.4 times as
//! much as with its 16 KiB (both measured on loopback).

use std::collections::VecDeque;
use std::future::{Ready, ready};
use std::io;
use std::pin::Pin;
use std::task::{Context, Poll, Waker};

use futures::{AsyncRead, AsyncWrite};
use libp2p::core::UpgradeInfo;
use libp2p::core::muxing::{StreamMuxer, StreamMuxerEvent};
use libp2p::core::upgrade::{InboundConnectionUpgrade, OutboundConnectionUpgrade};
use thiserror::Error;
use yamux::{Connection, ConnectionError, Mode};

use super::coalesce::Coalesced;

/// Streams open at once on a connection, of all protocols and in both directions.
const STREAMS: usize = 256;
/// Bytes that a peer may send on one connection before we read them. yamux guarantees 256 KiB to each stream; the 32 MiB
/// beyond that are shared by streams that turn out to be fast, which is enough for 2.5 Gbit/s over 100 ms.
const CONNECTION_WINDOW_BYTES: usize = STREAMS * 256 * 1024 + 32 * 1024 * 1024;
/// Largest body of a frame that we send. Peers accept up to 1 MiB.
const FRAME_BYTES: usize = 256 * 1024;
/// Streams that the peer opened and the swarm has not asked for yet. yamux lets a peer open no more without our
/// acknowledgement.
const INBOUND_WAITING: usize = 256;

/// The upgrade from an authenticated connection to a multiplexed one.
#[derive(Debug, Clone, Copy, Default)]
pub(super) struct Yamux;

impl UpgradeInfo for Yamux {
    type Info = &'static str;
    type InfoIter = std::iter::Once<Self::Info>;

    fn protocol_info(&self) -> Self::InfoIter {
        std::iter::once("/yamux/1.0.0")
    }
}

impl<C: AsyncRead + AsyncWrite + Send + Unpin + 'static> InboundConnectionUpgrade<C> for Yamux {
    type Output = Muxer<C>;
    type Error = io::Error;
    type Future = Ready<Result<Self::Output, Self::Error>>;

    fn upgrade_inbound(self, io: C, _: Self::Info) -> Self::Future {
        ready(Ok(Muxer::new(io, Mode::Server)))
    }
}

impl<C: AsyncRead + AsyncWrite + Send + Unpin + 'static> OutboundConnectionUpgrade<C> for Yamux {
    type Output = Muxer<C>;
    type Error = io::Error;
    type Future = Ready<Result<Self::Output, Self::Error>>;

    fn upgrade_outbound(self, io: C, _: Self::Info) -> Self::Future {
        ready(Ok(Muxer::new(io, Mode::Client)))
    }
}

/// The connection broke, or the peer violated the protocol.
#[derive(Debug, Error)]
#[error(transparent)]
pub(super) struct MuxerError(#[from] ConnectionError);

/// A connection that carries many streams.
pub(super) struct Muxer<C> {
    connection: Connection<Coalesced<C>>,
    io: Coalesced<C>,
    inbound: VecDeque<yamux::Stream>,
    inbound_waker: Option<Waker>,
    sending: Sending,
}

/// What is done about what was written.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Sending {
    /// Nothing was written, as far as is known.
    Idle,
    /// It goes out when the task runs next, which it has asked for: whoever else is about to write has time to.
    Due,
    /// The connection takes no more at the moment, and wakes the task when it does.
    Blocked,
}

impl<C: AsyncRead + AsyncWrite + Unpin> Muxer<C> {
    fn new(io: C, mode: Mode) -> Self {
        let mut config = yamux::Config::default();
        config
            .set_max_num_streams(STREAMS)
            .set_max_connection_receive_window(Some(CONNECTION_WINDOW_BYTES))
            .set_split_send_size(FRAME_BYTES);
        let io = Coalesced::new(io);
        Self {
            connection: Connection::new(io.clone(), config, mode),
            io,
            inbound: VecDeque::new(),
            inbound_waker: None,
            sending: Sending::Idle,
        }
    }

    /// Lets yamux read and write all that it can.
    fn poll_next(&mut self, cx: &mut Context<'_>) -> Poll<Result<yamux::Stream, MuxerError>> {
        match self.connection.poll_next_inbound(cx) {
            Poll::Ready(Some(stream)) => Poll::Ready(stream.map_err(MuxerError)),
            Poll::Ready(None) => Poll::Ready(Err(MuxerError(ConnectionError::Closed))),
            Poll::Pending => Poll::Pending,
        }
    }

    /// Has what was written sent once the tasks that are ready now have run. The task of a connection is woken by the first stream that writes, and a
    /// scheduler runs first what was woken last: each small answer would leave in a packet of its own.
    fn send_soon(&mut self, cx: &mut Context<'_>) {
        if self.sending == Sending::Idle && self.io.is_dirty() {
            self.sending = Sending::Due;
            cx.waker().wake_by_ref();
        }
    }

    fn poll_send(&mut self, cx: &mut Context<'_>) -> Result<(), MuxerError> {
        self.sending = match self.io.poll_flush_now(cx) {
            Poll::Ready(Err(error)) => return Err(MuxerError(error.into())),
            Poll::Ready(Ok(())) => Sending::Idle,
            Poll::Pending => Sending::Blocked,
        };
        Ok(())
    }
}

impl<C: AsyncRead + AsyncWrite + Unpin> StreamMuxer for Muxer<C> {
    type Substream = yamux::Stream;
    type Error = MuxerError;

    fn poll_inbound(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
    ) -> Poll<Result<Self::Substream, Self::Error>> {
        if let Some(stream) = self.inbound.pop_front() {
            return Poll::Ready(Ok(stream));
        }
        if let Poll::Ready(stream) = self.poll_next(cx) {
            return Poll::Ready(stream);
        }
        self.send_soon(cx);
        self.inbound_waker = Some(cx.waker().clone());
        Poll::Pending
    }

    fn poll_outbound(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
    ) -> Poll<Result<Self::Substream, Self::Error>> {
        self.connection.poll_new_outbound(cx).map_err(MuxerError)
    }

    fn poll_close(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Result<(), Self::Error>> {
        self.connection.poll_close(cx).map_err(MuxerError)
    }

    fn poll(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
    ) -> Poll<Result<StreamMuxerEvent, Self::Error>> {
        let is_due = self.sending != Sending::Idle;
        let Poll::Ready(stream) = self.poll_next(cx) else {
            if is_due {
                self.poll_send(cx)?;
            } else {
                self.send_soon(cx);
            }
            return Poll::Pending;
        };
        let stream = stream?;
        if self.inbound.len() < INBOUND_WAITING {
            self.inbound.push_back(stream);
            if let Some(waker) = self.inbound_waker.take() {
                waker.wake();
            }
        } else {
            tracing::debug!("more streams than a peer may open at once: reset");
        }
        // There may be more to do; let other tasks run first.
        cx.waker().wake_by_ref();
        Poll::Pending
    }
}
