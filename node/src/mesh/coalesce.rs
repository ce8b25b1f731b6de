//! Joins the small writes of a multiplexer into few large ones.
//!
//! yamux writes each frame's header and body apart and flushes after every frame. Under TLS each such write would become
//! a record and a system call of its own. [`Coalesced`] keeps small writes in a buffer, puts it in front of the next large one,
//! and takes a flush as a note only; the multiplexer's owner calls [`Coalesced::poll_flush_now`] when the multiplexer has
//! no more to do.

use std::io::{self, IoSlice};
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll, ready};

use futures::{AsyncRead, AsyncWrite};
use parking_lot::Mutex;

/// Bytes that are kept back at most.
const BUFFER_BYTES: usize = 32 * 1024;
/// Writes from this size on are not copied but passed on, after what is in the buffer.
const DIRECT_BYTES: usize = 8 * 1024;

/// A writer that joins small writes. Clones are the same writer: one for the multiplexer, one for its owner.
#[derive(Debug)]
pub(super) struct Coalesced<C>(Arc<Mutex<Inner<C>>>);

impl<C> Clone for Coalesced<C> {
    fn clone(&self) -> Self {
        Self(Arc::clone(&self.0))
    }
}

#[derive(Debug)]
struct Inner<C> {
    io: C,
    buffer: Vec<u8>,
    /// Written since the last complete flush.
    dirty: bool,
}

impl<C: AsyncRead + AsyncWrite + Unpin> Coalesced<C> {
    pub(super) fn new(io: C) -> Self {
        Self(Arc::new(Mutex::new(Inner {
            io,
            buffer: Vec::new(),
            dirty: false,
        })))
    }

    /// Whether something was written that is not flushed.
    pub(super) fn is_dirty(&self) -> bool {
        self.0.lock().dirty
    }

    /// Writes out what was kept back and flushes the connection; ready at once if nothing was written since.
    pub(super) fn poll_flush_now(&self, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        self.0.lock().poll_flush_now(cx)
    }
}

impl<C: AsyncRead + AsyncWrite + Unpin> Inner<C> {
    fn poll_write(&mut self, cx: &mut Context<'_>, data: &[u8]) -> Poll<io::Result<usize>> {
        self.dirty = true;
        if data.len() < DIRECT_BYTES {
            if self.buffer.len() + data.len() > BUFFER_BYTES {
                ready!(self.poll_drain(cx))?;
            }
            self.buffer.extend_from_slice(data);
            return Poll::Ready(Ok(data.len()));
        }
        while !self.buffer.is_empty() {
            let both = [IoSlice::new(&self.buffer), IoSlice::new(data)];
            let written = ready!(Pin::new(&mut self.io).poll_write_vectored(cx, &both))?;
            let beyond = written.saturating_sub(self.buffer.len());
            self.consume(written)?;
            if beyond > 0 {
                return Poll::Ready(Ok(beyond));
            }
        }
        Pin::new(&mut self.io).poll_write(cx, data)
    }

    fn poll_drain(&mut self, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        while !self.buffer.is_empty() {
            let written = ready!(Pin::new(&mut self.io).poll_write(cx, &self.buffer))?;
            self.consume(written)?;
        }
        Poll::Ready(Ok(()))
    }

    fn consume(&mut self, written: usize) -> io::Result<()> {
        if written == 0 {
            return Err(io::ErrorKind::WriteZero.into());
        }
        self.buffer.drain(..written.min(self.buffer.len()));
        Ok(())
    }

    fn poll_flush_now(&mut self, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        if !self.dirty {
            return Poll::Ready(Ok(()));
        }
        ready!(self.poll_drain(cx))?;
        ready!(Pin::new(&mut self.io).poll_flush(cx))?;
        self.dirty = false;
        Poll::Ready(Ok(()))
    }
}

impl<C: AsyncRead + AsyncWrite + Unpin> AsyncRead for Coalesced<C> {
    fn poll_read(
        self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buf: &mut [u8],
    ) -> Poll<io::Result<usize>> {
        Pin::new(&mut self.0.lock().io).poll_read(cx, buf)
    }
}

impl<C: AsyncRead + AsyncWrite + Unpin> AsyncWrite for Coalesced<C> {
    fn poll_write(
        self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buf: &[u8],
    ) -> Poll<io::Result<usize>> {
        self.0.lock().poll_write(cx, buf)
    }

    /// Postponed: see the module's description.
    fn poll_flush(self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<io::Result<()>> {
        Poll::Ready(Ok(()))
    }

    fn poll_close(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        let mut inner = self.0.lock();
        ready!(inner.poll_drain(cx))?;
        Pin::new(&mut inner.io).poll_close(cx)
    }
}

#[cfg(test)]
#[expect(clippy::unwrap_used, reason = "a test fails by panicking")]
mod tests {
    use super::*;
    use futures::task::noop_waker;
    use proptest::prelude::*;

    /// Takes at most `limit` bytes a call and remembers how the bytes arrived.
    struct Slow {
        limit: usize,
        calls: Vec<usize>,
        bytes: Vec<u8>,
    }

    impl AsyncRead for Slow {
        fn poll_read(
            self: Pin<&mut Self>,
            _: &mut Context<'_>,
            _: &mut [u8],
        ) -> Poll<io::Result<usize>> {
            Poll::Pending
        }
    }

    impl AsyncWrite for Slow {
        fn poll_write(
            mut self: Pin<&mut Self>,
            _: &mut Context<'_>,
            buf: &[u8],
        ) -> Poll<io::Result<usize>> {
            let n = buf.len().min(self.limit);
            self.calls.push(n);
            self.bytes.extend_from_slice(&buf[..n]);
            Poll::Ready(Ok(n))
        }

        fn poll_write_vectored(
            self: Pin<&mut Self>,
            cx: &mut Context<'_>,
            bufs: &[IoSlice<'_>],
        ) -> Poll<io::Result<usize>> {
            let joined: Vec<u8> = bufs.iter().flat_map(|buf| buf.iter().copied()).collect();
            self.poll_write(cx, &joined)
        }

        fn poll_flush(self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<io::Result<()>> {
            Poll::Ready(Ok(()))
        }

        fn poll_close(self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<io::Result<()>> {
            Poll::Ready(Ok(()))
        }
    }

    fn slow(limit: usize) -> Coalesced<Slow> {
        Coalesced::new(Slow {
            limit,
            calls: Vec::new(),
            bytes: Vec::new(),
        })
    }

    fn write_all(io: &Coalesced<Slow>, mut data: &[u8]) {
        let waker = noop_waker();
        let mut cx = Context::from_waker(&waker);
        while !data.is_empty() {
            match Pin::new(&mut io.clone()).poll_write(&mut cx, data) {
                Poll::Ready(Ok(n)) => data = &data[n..],
                Poll::Ready(Err(_)) | Poll::Pending => {
                    unreachable!("the writer always takes something")
                }
            }
        }
    }

    fn flush(io: &Coalesced<Slow>) {
        let waker = noop_waker();
        assert!(matches!(
            io.poll_flush_now(&mut Context::from_waker(&waker)),
            Poll::Ready(Ok(()))
        ));
    }

    #[test]
    fn a_frame_header_and_its_body_leave_in_one_write() {
        let io = slow(usize::MAX);
        write_all(&io, &[1; 12]);
        write_all(&io, &[2; 100_000]);
        assert_eq!(io.0.lock().io.calls, [100_012]);
    }

    #[test]
    fn many_small_frames_leave_in_one_write_when_flushed() {
        let io = slow(usize::MAX);
        for _ in 0..20 {
            write_all(&io, &[1; 12]);
            write_all(&io, &[2; 1_000]);
        }
        assert!(io.0.lock().io.calls.is_empty());
        flush(&io);
        assert_eq!(io.0.lock().io.calls, [20_240]);
    }

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(64))]

        #[test]
        fn no_byte_is_lost_repeated_or_reordered(
            limit in 1_usize..50_000,
            sizes in proptest::collection::vec(1_usize..70_000, 1..12),
        ) {
            let io = slow(limit);
            let mut expected = Vec::new();
            for (index, size) in sizes.iter().enumerate() {
                let mut data = vec![u8::try_from(index).unwrap(); *size];
                data[size / 2] = 255;
                write_all(&io, &data);
                expected.extend_from_slice(&data);
            }
            flush(&io);
            prop_assert_eq!(&io.0.lock().io.bytes, &expected);
        }
    }
}
