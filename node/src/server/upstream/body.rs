//! Bodies on their way through: data only, with a note of when something last moved.

use std::io;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll, ready};

use bytes::Bytes;
use http_body::{Body, Frame, SizeHint};
use parking_lot::Mutex;
use tokio::time::Instant;
use tokio_util::sync::DropGuard;

/// When a request last moved, and who is waited for.
#[derive(Debug)]
pub(super) struct Progress {
    state: Mutex<(Instant, Waiting)>,
}

/// Who has to move next.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Waiting {
    /// The visitor, with more of the request's content.
    Visitor,
    /// The application, to take content or to answer.
    Application,
}

impl Progress {
    pub(super) fn new() -> Arc<Self> {
        Arc::new(Self {
            state: Mutex::new((Instant::now(), Waiting::Application)),
        })
    }

    /// The last movement, and who is waited for since.
    pub(super) fn last(&self) -> (Instant, Waiting) {
        *self.state.lock()
    }

    fn moved(&self) {
        *self.state.lock() = (Instant::now(), Waiting::Application);
    }

    fn waits_for_visitor(&self) {
        self.state.lock().1 = Waiting::Visitor;
    }
}

/// A body without its trailers: no application of ours promises any, and nobody downstream asked for them.
#[derive(Debug)]
pub(super) struct Content<B> {
    inner: B,
    progress: Option<Arc<Progress>>,
    /// Keeps the connection's task alive.
    _tasks: Option<Arc<DropGuard>>,
}

impl<B> Content<B> {
    /// The content of a request, which notes its progress.
    pub(super) fn of_request(inner: B, progress: Arc<Progress>) -> Self {
        Self {
            inner,
            progress: Some(progress),
            _tasks: None,
        }
    }

    /// The content of an answer, which keeps the tasks alive that bring it.
    pub(super) fn of_answer(inner: B, tasks: Arc<DropGuard>) -> Self {
        Self {
            inner,
            progress: None,
            _tasks: Some(tasks),
        }
    }
}

impl<B> Body for Content<B>
where
    B: Body<Data = Bytes> + Unpin,
    B::Error: Into<Box<dyn std::error::Error + Send + Sync>>,
{
    type Data = Bytes;
    type Error = io::Error;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
    ) -> Poll<Option<io::Result<Frame<Bytes>>>> {
        let this = &mut *self;
        let polled = Pin::new(&mut this.inner).poll_frame(context);
        if let Some(progress) = &this.progress {
            if polled.is_pending() {
                progress.waits_for_visitor()
            } else {
                progress.moved()
            }
        }
        Poll::Ready(match ready!(polled) {
            Some(Ok(frame)) if frame.is_data() => Some(Ok(frame)),
            Some(Err(error)) => Some(Err(io::Error::other(error))),
            // Trailers come last.
            Some(Ok(_)) | None => None,
        })
    }

    fn is_end_stream(&self) -> bool {
        self.inner.is_end_stream()
    }

    fn size_hint(&self) -> SizeHint {
        self.inner.size_hint()
    }
}
