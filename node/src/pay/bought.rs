//! What this node pays for, counted as it comes: the buyer signs for what went through here and for nothing else.

use std::{
    io,
    pin::Pin,
    task::{Context, Poll, ready},
};

use bytes::Bytes;
use http_body::{Body, Frame, SizeHint};
use madang_protocol::{
    reject::Reject,
    session::{
        buyer::{Ended, UploadId},
        frame::ResponseId,
    },
};
use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};

use super::purchase::InUse;

/// A response that is open in its session. Dropping it before it has ended cancels it.
struct Open {
    in_use: InUse,
    /// `None` where a pass covers it: nothing is counted.
    counted: Option<ResponseId>,
    /// Octets that came and are not counted yet.
    uncounted: u64,
    ended: Option<Ended>,
}

/// So many octets of a body are counted at once while more is there already: to count takes a lock that all purchases share, and looks at the budgets.
const COUNT_EVERY: u64 = 256 * 1_024;

impl Open {
    fn new(in_use: InUse, counted: Option<ResponseId>) -> Self {
        Self {
            in_use,
            counted,
            uncounted: 0,
            ended: None,
        }
    }

    /// Octets have come, and are counted at once.
    fn received(&mut self, octets: usize) -> io::Result<()> {
        self.uncounted += octets as u64;
        self.count()
    }

    /// Octets have come, and are counted with others where more follows closely.
    fn received_some(&mut self, octets: usize) -> io::Result<()> {
        self.uncounted += octets as u64;
        if self.uncounted >= COUNT_EVERY {
            self.count()
        } else {
            Ok(())
        }
    }

    fn count(&mut self) -> io::Result<()> {
        let uncounted = std::mem::take(&mut self.uncounted);
        let Some(response) = self.counted.filter(|_| uncounted > 0) else {
            return Ok(());
        };
        let received = self.in_use.purchase().received(response, uncounted);
        received.map_err(|reject: Reject| {
            self.end(Ended::Cancelled);
            io::Error::other(reject)
        })
    }

    /// There is nothing now: an error when nothing more is to come.
    fn poll_given_up(&mut self, context: &Context<'_>) -> Poll<io::Error> {
        if let Err(error) = self.count() {
            return Poll::Ready(error);
        }
        let Some(response) = self.counted else {
            return Poll::Pending;
        };
        match self.in_use.purchase().given_up(response, context.waker()) {
            Some(reject) if self.ended.is_none() => {
                self.end(Ended::Cancelled);
                Poll::Ready(io::Error::other(reject))
            }
            Some(_) | None => Poll::Pending,
        }
    }

    fn end(&mut self, ended: Ended) {
        if self.ended.is_none() {
            self.ended = Some(ended);
            if let Some(response) = self.counted {
                let uncounted = std::mem::take(&mut self.uncounted);
                if uncounted > 0 {
                    // What has come is owed, whatever is left of a budget; that nothing more is to come is known here already.
                    let _ = self.in_use.purchase().received(response, uncounted);
                }
                self.in_use.purchase().close_response(response, ended);
            }
        }
    }
}

impl Drop for Open {
    fn drop(&mut self) {
        self.end(Ended::Cancelled);
    }
}

/// The body of an answer that is paid for.
pub struct BoughtBody<B> {
    inner: B,
    open: Open,
}

impl<B> BoughtBody<B> {
    pub(super) fn new(inner: B, in_use: InUse, counted: Option<ResponseId>) -> Self {
        Self {
            inner,
            open: Open::new(in_use, counted),
        }
    }
}

impl<B: Body<Data = Bytes, Error = io::Error> + Unpin> Body for BoughtBody<B> {
    type Data = Bytes;
    type Error = io::Error;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
    ) -> Poll<Option<io::Result<Frame<Bytes>>>> {
        let this = &mut *self;
        let Poll::Ready(frame) = Pin::new(&mut this.inner).poll_frame(context) else {
            return this
                .open
                .poll_given_up(context)
                .map(|error| Some(Err(error)));
        };
        match frame {
            Some(Ok(frame)) => {
                if let Some(octets) = frame.data_ref() {
                    this.open.received_some(octets.len())?;
                }
                if this.inner.is_end_stream() {
                    this.open.count()?;
                    this.open.end(Ended::Complete);
                }
                Poll::Ready(Some(Ok(frame)))
            }
            Some(Err(error)) => {
                this.open.end(Ended::Interrupted);
                Poll::Ready(Some(Err(error)))
            }
            None => {
                this.open.count()?;
                this.open.end(Ended::Complete);
                Poll::Ready(None)
            }
        }
    }

    fn is_end_stream(&self) -> bool {
        self.inner.is_end_stream()
    }

    fn size_hint(&self) -> SizeHint {
        self.inner.size_hint()
    }
}

/// The body of a request that is paid for, counted as it goes.
pub struct BoughtUpload<B> {
    inner: B,
    in_use: InUse,
    /// `None` where a pass covers it: nothing is counted.
    counted: Option<UploadId>,
}

impl<B> BoughtUpload<B> {
    pub(super) fn new(inner: B, in_use: InUse, counted: Option<UploadId>) -> Self {
        Self {
            inner,
            in_use,
            counted,
        }
    }
}

impl<B: Body<Data = Bytes, Error = io::Error> + Unpin> Body for BoughtUpload<B> {
    type Data = Bytes;
    type Error = io::Error;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
    ) -> Poll<Option<io::Result<Frame<Bytes>>>> {
        let this = &mut *self;
        let frame = ready!(Pin::new(&mut this.inner).poll_frame(context));
        if let Some(Ok(frame)) = &frame
            && let Some(octets) = frame.data_ref()
            && let Some(upload) = this.counted
        {
            let purchase = this.in_use.purchase();
            let uploaded = purchase.uploaded(upload, octets.len() as u64);
            uploaded.map_err(io::Error::other)?;
        }
        Poll::Ready(frame)
    }

    fn is_end_stream(&self) -> bool {
        self.inner.is_end_stream()
    }

    fn size_hint(&self) -> SizeHint {
        self.inner.size_hint()
    }
}

impl<B> Drop for BoughtUpload<B> {
    fn drop(&mut self) {
        if let Some(upload) = self.counted {
            self.in_use.purchase().close_upload(upload);
        }
    }
}

/// A tunnel that is paid for, both ways.
pub struct BoughtStream<S> {
    inner: S,
    open: Open,
}

impl<S> BoughtStream<S> {
    pub(super) fn new(inner: S, in_use: InUse, counted: Option<ResponseId>) -> Self {
        Self {
            inner,
            open: Open::new(in_use, counted),
        }
    }
}

impl<S: AsyncRead + Unpin> AsyncRead for BoughtStream<S> {
    fn poll_read(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
        buffer: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        let this = &mut *self;
        let before = buffer.filled().len();
        let Poll::Ready(read) = Pin::new(&mut this.inner).poll_read(context, buffer) else {
            return this.open.poll_given_up(context).map(Err);
        };
        read?;
        match buffer.filled().len() - before {
            0 => this.open.end(Ended::Complete),
            octets => this.open.received(octets)?,
        }
        Poll::Ready(Ok(()))
    }
}

impl<S: AsyncWrite + Unpin> AsyncWrite for BoughtStream<S> {
    fn poll_write(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
        octets: &[u8],
    ) -> Poll<io::Result<usize>> {
        let this = &mut *self;
        let written = ready!(Pin::new(&mut this.inner).poll_write(context, octets))?;
        if this.open.ended.is_none() {
            this.open.received(written)?;
        }
        Poll::Ready(Ok(written))
    }

    fn poll_flush(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.inner).poll_flush(context)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.inner).poll_shutdown(context)
    }
}
