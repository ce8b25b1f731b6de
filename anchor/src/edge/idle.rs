//! [`Idle`]: a connection on which no octet moves for too long fails, in whichever direction it is stuck.

use std::{
    io,
    pin::Pin,
    task::{Context, Poll, ready},
    time::Duration,
};

use tokio::{
    io::{AsyncRead, AsyncWrite, ReadBuf},
    time::{Instant, Sleep, sleep_until},
};

/// A connection with a limit to its silence.
#[derive(Debug)]
pub(super) struct Idle<T> {
    inner: T,
    timeout: Duration,
    moved: Instant,
    alarm: Pin<Box<Sleep>>,
}

impl<T> Idle<T> {
    pub(super) fn new(inner: T, timeout: Duration) -> Self {
        let moved = Instant::now();
        Self {
            inner,
            timeout,
            moved,
            alarm: Box::pin(sleep_until(moved + timeout)),
        }
    }

    /// Ready when nothing has moved for too long. The alarm is set anew only when it rings, not with each octet.
    fn poll_silence(&mut self, context: &mut Context<'_>) -> Poll<io::Error> {
        loop {
            ready!(self.alarm.as_mut().poll(context));
            let silent_until = self.moved + self.timeout;
            if silent_until <= Instant::now() {
                return Poll::Ready(io::ErrorKind::TimedOut.into());
            }
            self.alarm.as_mut().reset(silent_until);
        }
    }

    fn settle<R>(
        &mut self,
        outcome: Poll<io::Result<R>>,
        context: &mut Context<'_>,
    ) -> Poll<io::Result<R>> {
        match outcome {
            Poll::Ready(result) => {
                self.moved = Instant::now();
                Poll::Ready(result)
            }
            Poll::Pending => self.poll_silence(context).map(Err),
        }
    }
}

impl<T: AsyncRead + Unpin> AsyncRead for Idle<T> {
    fn poll_read(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
        buffer: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        let outcome = Pin::new(&mut self.inner).poll_read(context, buffer);
        self.settle(outcome, context)
    }
}

impl<T: AsyncWrite + Unpin> AsyncWrite for Idle<T> {
    fn poll_write(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
        octets: &[u8],
    ) -> Poll<io::Result<usize>> {
        let outcome = Pin::new(&mut self.inner).poll_write(context, octets);
        self.settle(outcome, context)
    }

    fn poll_write_vectored(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
        slices: &[io::IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        let outcome = Pin::new(&mut self.inner).poll_write_vectored(context, slices);
        self.settle(outcome, context)
    }

    fn is_write_vectored(&self) -> bool {
        self.inner.is_write_vectored()
    }

    fn poll_flush(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        match Pin::new(&mut self.inner).poll_flush(context) {
            Poll::Ready(result) => Poll::Ready(result),
            Poll::Pending => self.poll_silence(context).map(Err),
        }
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        match Pin::new(&mut self.inner).poll_shutdown(context) {
            Poll::Ready(result) => Poll::Ready(result),
            Poll::Pending => self.poll_silence(context).map(Err),
        }
    }
}

#[cfg(test)]
mod tests {
    #![expect(clippy::unwrap_used, reason = "a test may stop at a surprise")]

    use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};

    use super::*;

    const TIMEOUT: Duration = Duration::from_millis(20);

    #[tokio::test]
    async fn silence_fails_however_much_came_before() {
        let (near, mut far) = tokio::io::duplex(64);
        let mut near = Idle::new(near, TIMEOUT);
        let mut octet = [0];
        for _ in 0..4 {
            far.write_all(&[1]).await.unwrap();
            near.read_exact(&mut octet).await.unwrap();
        }
        let last = Instant::now();
        let error = near.read_exact(&mut octet).await.unwrap_err();
        assert_eq!(error.kind(), io::ErrorKind::TimedOut);
        assert!(last.elapsed() >= TIMEOUT / 2);
    }

    #[tokio::test]
    async fn a_reader_that_stops_reading_is_noticed() {
        let (near, _far) = tokio::io::duplex(64);
        let mut near = Idle::new(near, TIMEOUT);
        let error = near.write_all(&[0; 128]).await.unwrap_err();
        assert_eq!(error.kind(), io::ErrorKind::TimedOut);
    }
}
