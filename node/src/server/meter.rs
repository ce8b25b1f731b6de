//! Counts octets where they pass, and holds them back: what a paywall hangs into bodies and tunnels.
//!
//! Nothing is copied: a frame that is larger than what may pass is split, and a stream's reads and writes are shortened.

use std::io;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll, ready};

use bytes::Bytes;
use http_body::{Body, Frame, SizeHint};
use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};

/// Which way octets go.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Direction {
    /// From the visitor to the personal web server.
    Up,
    /// From the personal web server to the visitor.
    Down,
}

/// Decides how much may pass, and learns what has passed.
///
/// Both directions of a tunnel ask independently, so an implementation keeps one waker for each.
pub trait Meter: Send + Sync + 'static {
    /// How many octets may pass now: one or more. At most `wanted`, of which there is one at least, are there or have a place. Pending: none yet; the
    /// task is woken when that changes. An error ends the body or the tunnel.
    fn poll_allowance(
        &self,
        direction: Direction,
        wanted: u64,
        context: &mut Context<'_>,
    ) -> Poll<io::Result<u64>>;

    /// So many octets have passed: never more than was last allowed in this direction.
    fn passed(&self, direction: Direction, octets: u64);
}

/// A meter that lets everything pass and counts nothing.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Unmetered;

impl Meter for Unmetered {
    fn poll_allowance(&self, _: Direction, _: u64, _: &mut Context<'_>) -> Poll<io::Result<u64>> {
        Poll::Ready(Ok(u64::MAX))
    }

    fn passed(&self, _: Direction, _: u64) {}
}

/// A body that passes through a meter. Its size hint is the inner body's; trailers pass uncounted.
#[derive(Debug)]
pub struct MeteredBody<B, M: ?Sized> {
    inner: B,
    meter: Arc<M>,
    direction: Direction,
    held: Bytes,
}

impl<B, M: ?Sized> MeteredBody<B, M> {
    /// Hangs `meter` into a body that goes in `direction`.
    pub fn new(inner: B, meter: Arc<M>, direction: Direction) -> Self {
        Self {
            inner,
            meter,
            direction,
            held: Bytes::new(),
        }
    }
}

impl<B, M> Body for MeteredBody<B, M>
where
    B: Body<Data = Bytes, Error = io::Error> + Unpin,
    M: Meter + ?Sized,
{
    type Data = Bytes;
    type Error = io::Error;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
    ) -> Poll<Option<io::Result<Frame<Bytes>>>> {
        let this = &mut *self;
        if this.held.is_empty() {
            match ready!(Pin::new(&mut this.inner).poll_frame(context)) {
                Some(Ok(frame)) => match frame.into_data() {
                    Ok(octets) if !octets.is_empty() => this.held = octets,
                    Ok(octets) => return Poll::Ready(Some(Ok(Frame::data(octets)))),
                    Err(trailers) => return Poll::Ready(Some(Ok(trailers))),
                },
                other => return Poll::Ready(other),
            }
        }
        let wanted = this.held.len() as u64;
        let allowance = match ready!(this.meter.poll_allowance(this.direction, wanted, context)) {
            Ok(allowance) => usize::try_from(allowance).unwrap_or(usize::MAX).max(1),
            Err(error) => return Poll::Ready(Some(Err(error))),
        };
        let octets = this.held.split_to(allowance.min(this.held.len()));
        this.meter.passed(this.direction, octets.len() as u64);
        Poll::Ready(Some(Ok(Frame::data(octets))))
    }

    fn is_end_stream(&self) -> bool {
        self.held.is_empty() && self.inner.is_end_stream()
    }

    fn size_hint(&self) -> SizeHint {
        let (inner, held) = (self.inner.size_hint(), self.held.len() as u64);
        let mut hint = SizeHint::new();
        hint.set_lower(inner.lower().saturating_add(held));
        if let Some(upper) = inner.upper() {
            hint.set_upper(upper.saturating_add(held));
        }
        hint
    }
}

/// A two-way stream toward the personal web server that passes through a meter: what is read from it goes down, what is
/// written to it goes up.
#[derive(Debug)]
pub struct MeteredStream<S, M: ?Sized> {
    inner: S,
    meter: Arc<M>,
}

impl<S, M: ?Sized> MeteredStream<S, M> {
    /// Hangs `meter` into a stream.
    pub fn new(inner: S, meter: Arc<M>) -> Self {
        Self { inner, meter }
    }
}

impl<S: AsyncRead + Unpin, M: Meter + ?Sized> AsyncRead for MeteredStream<S, M> {
    fn poll_read(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
        buffer: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        let this = &mut *self;
        let wanted = (buffer.remaining() as u64).max(1);
        let allowance = ready!(this.meter.poll_allowance(Direction::Down, wanted, context))?;
        let most = usize::try_from(allowance)
            .unwrap_or(usize::MAX)
            .clamp(1, buffer.remaining().max(1));
        if most >= buffer.remaining() {
            let before = buffer.filled().len();
            ready!(Pin::new(&mut this.inner).poll_read(context, buffer))?;
            this.meter
                .passed(Direction::Down, (buffer.filled().len() - before) as u64);
        } else {
            let mut part = ReadBuf::new(buffer.initialize_unfilled_to(most));
            ready!(Pin::new(&mut this.inner).poll_read(context, &mut part))?;
            let read = part.filled().len();
            buffer.advance(read);
            this.meter.passed(Direction::Down, read as u64);
        }
        Poll::Ready(Ok(()))
    }
}

impl<S: AsyncWrite + Unpin, M: Meter + ?Sized> AsyncWrite for MeteredStream<S, M> {
    fn poll_write(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
        octets: &[u8],
    ) -> Poll<io::Result<usize>> {
        let this = &mut *self;
        let wanted = (octets.len() as u64).max(1);
        let allowance = ready!(this.meter.poll_allowance(Direction::Up, wanted, context))?;
        let most = usize::try_from(allowance)
            .unwrap_or(usize::MAX)
            .max(1)
            .min(octets.len());
        let written = ready!(Pin::new(&mut this.inner).poll_write(context, &octets[..most]))?;
        this.meter.passed(Direction::Up, written as u64);
        Poll::Ready(Ok(written))
    }

    fn poll_flush(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.inner).poll_flush(context)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.inner).poll_shutdown(context)
    }
}

#[cfg(test)]
#[expect(clippy::unwrap_used, reason = "a failed step fails its test")]
mod tests {
    use super::*;
    use std::task::Waker;

    use http_body_util::{BodyExt, Full};
    use parking_lot::Mutex;
    use tokio::io::{AsyncReadExt, AsyncWriteExt};

    /// Allows so much in all; refills from outside.
    #[derive(Default)]
    struct Window {
        state: Mutex<(u64, u64, Option<Waker>)>,
    }

    impl Window {
        fn refill(&self, octets: u64) {
            let mut state = self.state.lock();
            state.0 += octets;
            if let Some(waker) = state.2.take() {
                waker.wake();
            }
        }
    }

    impl Meter for Window {
        fn poll_allowance(
            &self,
            _: Direction,
            _: u64,
            context: &mut Context<'_>,
        ) -> Poll<io::Result<u64>> {
            let mut state = self.state.lock();
            if state.0 == 0 {
                state.2 = Some(context.waker().clone());
                return Poll::Pending;
            }
            Poll::Ready(Ok(state.0))
        }

        fn passed(&self, _: Direction, octets: u64) {
            let mut state = self.state.lock();
            state.0 = state.0.checked_sub(octets).unwrap();
            state.1 += octets;
        }
    }

    #[tokio::test]
    async fn a_body_passes_as_far_as_it_is_allowed() {
        let window = Arc::new(Window::default());
        let inner = Full::new(Bytes::from_static(b"0123456789")).map_err(|never| match never {});
        let mut body = MeteredBody::new(inner, Arc::clone(&window), Direction::Down);
        assert_eq!(body.size_hint().exact(), Some(10));
        assert!(futures::poll!(body.frame()).is_pending());
        window.refill(4);
        assert_eq!(
            body.frame().await.unwrap().unwrap().into_data().unwrap(),
            "0123"
        );
        assert_eq!(
            (body.size_hint().exact(), body.is_end_stream()),
            (Some(6), false)
        );
        assert!(futures::poll!(body.frame()).is_pending());
        window.refill(100);
        assert_eq!(body.collect().await.unwrap().to_bytes(), "456789");
        assert_eq!(window.state.lock().1, 10);
    }

    #[tokio::test]
    async fn a_stream_passes_as_far_as_it_is_allowed_both_ways() {
        let window = Arc::new(Window::default());
        let (ours, mut theirs) = tokio::io::duplex(64);
        let mut stream = MeteredStream::new(ours, Arc::clone(&window));
        theirs.write_all(b"hello").await.unwrap();
        window.refill(2);
        let mut buffer = [0; 16];
        assert_eq!(stream.read(&mut buffer).await.unwrap(), 2);
        assert!(futures::poll!(Box::pin(stream.read(&mut buffer))).is_pending());
        window.refill(3 + 4);
        assert_eq!(stream.read(&mut buffer).await.unwrap(), 3);
        assert_eq!(stream.write(b"abcdefgh").await.unwrap(), 4);
        assert!(futures::poll!(Box::pin(stream.write(b"efgh"))).is_pending());
        assert_eq!(window.state.lock().1, 9);
    }
}
