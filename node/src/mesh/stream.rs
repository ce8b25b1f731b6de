//! A byte stream to a peer, for tokio.

use std::io::{self, IoSlice};
use std::pin::Pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::task::{Context, Poll, ready};

use futures::{AsyncRead as _, AsyncWrite as _};
use libp2p::PeerId;
use libp2p::core::upgrade::NegotiationError;
use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};

/// A single read fills at most this much: more never comes at once.
const READ_BYTES_MAX: usize = 256 * 1024;
/// A single read may always fill this much.
const READ_BYTES_MIN: usize = 4 * 1024;
/// Slices of a vectored write are joined up to this size; a slice that is larger goes by itself, uncopied.
const JOIN_BYTES: usize = 16 * 1024;

/// A stream to a peer that has proved its identity. Dropping it without a shutdown resets it.
///
/// The protocol is agreed on with the first bytes that are exchanged. A peer that does not speak it shows as an error of
/// kind [`io::ErrorKind::Unsupported`] from the first read.
#[derive(Debug)]
pub struct Stream {
    inner: libp2p::Stream,
    peer: PeerId,
    relayed: bool,
    agreement: Agreement,
    joined: Vec<u8>,
    /// Where short reads go first, zeroed once.
    short: Box<[u8]>,
    /// What the next read may fill.
    room: usize,
    _place: Option<Place>,
}

/// How far the two ends are with agreeing on the protocol, as far as reading shows.
///
/// multistream-select agrees lazily, and gives its stream up when that fails within a read: whatever polls it afterwards panics ("Negotiated: Invalid
/// state"). So a stream whose first reads have failed is not polled again. One from which something was read has agreed, and fails like any other.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Agreement {
    Awaited,
    Reached,
    Failed,
}

impl Stream {
    pub(super) fn new(
        inner: libp2p::Stream,
        peer: PeerId,
        relayed: bool,
        place: Option<Place>,
    ) -> Self {
        Self {
            inner,
            peer,
            relayed,
            agreement: Agreement::Awaited,
            joined: Vec::new(),
            short: Box::default(),
            room: READ_BYTES_MIN,
            _place: place,
        }
    }

    /// The peer at the other end.
    pub fn peer(&self) -> PeerId {
        self.peer
    }

    /// Whether a third node carries the connection.
    pub fn is_relayed(&self) -> bool {
        self.relayed
    }

    fn poll_fill(&mut self, cx: &mut Context<'_>, space: &mut [u8]) -> Poll<io::Result<usize>> {
        let read = ready!(self.usable()?.poll_read(cx, space));
        self.agreement = match (self.agreement, &read) {
            (Agreement::Awaited, Err(_)) => Agreement::Failed,
            (Agreement::Awaited, Ok(_)) => Agreement::Reached,
            (reached, _) => reached,
        };
        Poll::Ready(read.map_err(explain))
    }

    /// What may be polled.
    fn usable(&mut self) -> io::Result<Pin<&mut libp2p::Stream>> {
        match self.agreement {
            Agreement::Awaited | Agreement::Reached => Ok(Pin::new(&mut self.inner)),
            Agreement::Failed => Err(io::ErrorKind::NotConnected.into()),
        }
    }
}

impl AsyncRead for Stream {
    fn poll_read(
        self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buf: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        let this = self.get_mut();
        let room = buf.remaining().min(this.room);
        let mut short = std::mem::take(&mut this.short);
        let read = if this.room > READ_BYTES_MIN {
            // The lower layers may see nothing that is not zeroed.
            let space = buf.initialize_unfilled_to(room);
            this.poll_fill(cx, space).map_ok(|read| {
                buf.advance(read);
                read
            })
        } else {
            if short.is_empty() {
                short = vec![0; READ_BYTES_MIN].into();
            }
            this.poll_fill(cx, &mut short[..room]).map_ok(|read| {
                buf.put_slice(&short[..read]);
                read
            })
        };
        this.short = short;
        this.room = next_room(this.room, ready!(read)?);
        Poll::Ready(Ok(()))
    }
}

impl AsyncWrite for Stream {
    fn poll_write(
        self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buf: &[u8],
    ) -> Poll<io::Result<usize>> {
        self.get_mut()
            .usable()?
            .poll_write(cx, buf)
            .map_err(explain)
    }

    /// A head and a short body go out as one frame. Long bodies are written as they are.
    fn poll_write_vectored(
        self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        bufs: &[IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        let this = self.get_mut();
        let Some(first) = bufs.iter().position(|buf| !buf.is_empty()) else {
            return Poll::Ready(Ok(0));
        };
        let bufs = &bufs[first..];
        if bufs.len() == 1 || bufs[0].len() >= JOIN_BYTES {
            return this.usable()?.poll_write(cx, &bufs[0]).map_err(explain);
        }
        this.joined.clear();
        for buf in bufs {
            let room = JOIN_BYTES - this.joined.len();
            this.joined.extend_from_slice(&buf[..buf.len().min(room)]);
            if this.joined.len() == JOIN_BYTES {
                break;
            }
        }
        let joined = std::mem::take(&mut this.joined);
        let written = this.usable().map_or_else(
            |error| Poll::Ready(Err(error)),
            |inner| inner.poll_write(cx, &joined),
        );
        this.joined = joined;
        written.map_err(explain)
    }

    fn is_write_vectored(&self) -> bool {
        true
    }

    fn poll_flush(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        self.get_mut().usable()?.poll_flush(cx).map_err(explain)
    }

    fn poll_shutdown(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        self.get_mut().usable()?.poll_close(cx).map_err(explain)
    }
}

/// What the next read may fill. Zeroing room for a download, at each poll, costs about as much as all else of a short answer.
fn next_room(room: usize, read: usize) -> usize {
    if read >= room {
        (room * 4).min(READ_BYTES_MAX)
    } else if read < room / 4 {
        (room / 2).max(READ_BYTES_MIN)
    } else {
        room
    }
}

/// Gives a refused protocol its own kind.
fn explain(error: io::Error) -> io::Error {
    let refused = error
        .get_ref()
        .and_then(|inner| inner.downcast_ref::<NegotiationError>())
        .is_some_and(|inner| matches!(inner, NegotiationError::Failed));
    if refused {
        io::Error::new(
            io::ErrorKind::Unsupported,
            "the peer does not speak this protocol",
        )
    } else {
        error
    }
}

/// Counts the streams that are open with one peer, in one direction.
#[derive(Debug, Clone, Default)]
pub(super) struct Places(Arc<AtomicUsize>);

impl Places {
    /// Whether a stream is open.
    pub(super) fn is_any_taken(&self) -> bool {
        self.0.load(Ordering::Acquire) > 0
    }

    /// Takes a place, or nothing if `max` are taken.
    pub(super) fn take(&self, max: usize) -> Option<Place> {
        self.0
            .fetch_update(Ordering::AcqRel, Ordering::Acquire, |taken| {
                (taken < max).then_some(taken + 1)
            })
            .ok()
            .map(|_| Place(self.clone()))
    }
}

/// One counted stream; dropping it gives the place back.
#[derive(Debug)]
pub(super) struct Place(Places);

impl Drop for Place {
    fn drop(&mut self) {
        self.0.0.fetch_sub(1, Ordering::AcqRel);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn room_follows_what_comes() {
        let reads = |from, read, times| (0..times).fold(from, |room, _| next_room(room, read));
        assert_eq!(reads(READ_BYTES_MIN, READ_BYTES_MAX, 3), READ_BYTES_MAX);
        assert_eq!(reads(READ_BYTES_MAX, READ_BYTES_MAX, 5), READ_BYTES_MAX);
        assert_eq!(reads(READ_BYTES_MAX, READ_BYTES_MAX / 2, 5), READ_BYTES_MAX);
        assert_eq!(reads(READ_BYTES_MAX, 1_200, 6), READ_BYTES_MIN);
        assert_eq!(reads(READ_BYTES_MIN, 0, 5), READ_BYTES_MIN);
    }
}
