//! The body of a request on its way: sent once, counted as it goes.

use std::{
    io,
    pin::Pin,
    sync::{
        Arc,
        atomic::{AtomicBool, AtomicU64, Ordering},
    },
    task::{Context, Poll, ready},
};

use bytes::Bytes;
use http_body::{Body as _, Frame, SizeHint};
use http_body_util::BodyExt;
use parking_lot::Mutex;

use crate::web::Body;

/// A request's body, which can be sent once. An empty one can be sent as often as needed.
pub(super) struct Uploaded {
    body: Mutex<Option<Body>>,
    is_empty: bool,
    count: Arc<Count>,
}

#[derive(Default)]
struct Count {
    octets: AtomicU64,
    is_begun: AtomicBool,
}

impl Uploaded {
    pub(super) fn new(body: Body) -> Self {
        Self {
            is_empty: body.is_end_stream(),
            body: Mutex::new(Some(body)),
            count: Arc::default(),
        }
    }

    /// The body, the first time.
    pub(super) fn take(&self) -> Option<Body> {
        let body = self.body.lock().take()?;
        Some(
            Counted {
                inner: body,
                count: Arc::clone(&self.count),
            }
            .boxed_unsync(),
        )
    }

    /// Whether some of it is gone for good.
    pub(super) fn is_used(&self) -> bool {
        !self.is_empty
            && (self.count.is_begun.load(Ordering::Relaxed) || self.body.lock().is_none())
    }

    /// Octets sent so far.
    pub(super) fn octets(&self) -> u64 {
        self.count.octets.load(Ordering::Relaxed)
    }
}

struct Counted {
    inner: Body,
    count: Arc<Count>,
}

impl http_body::Body for Counted {
    type Data = Bytes;
    type Error = io::Error;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
    ) -> Poll<Option<io::Result<Frame<Bytes>>>> {
        let frame = ready!(Pin::new(&mut self.inner).poll_frame(context));
        self.count.is_begun.store(true, Ordering::Relaxed);
        if let Some(octets) = frame
            .as_ref()
            .and_then(|frame| frame.as_ref().ok())
            .and_then(Frame::data_ref)
        {
            self.count
                .octets
                .fetch_add(octets.len() as u64, Ordering::Relaxed);
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
