//! The body of a request on its way: sent once.

use std::{
    io,
    pin::Pin,
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering},
    },
    task::{Context, Poll, ready},
};

use bytes::Bytes;
use http_body::{Body as _, Frame, SizeHint};
use http_body_util::BodyExt;
use parking_lot::Mutex;

use crate::{
    pay::{BoughtUpload, GivenUp},
    web::Body,
};

/// A body that goes to one device, and what tells that this node does not go on with it.
pub(super) struct Upload {
    pub(super) body: Body,
    pub(super) given_up: GivenUp,
}

impl Upload {
    /// One that costs nothing: this node has no reason to give it up.
    pub(super) fn free(body: Body) -> Self {
        Self {
            body,
            given_up: GivenUp::never(),
        }
    }

    /// One that is paid for as it goes.
    pub(super) fn bought(body: BoughtUpload<Body>, given_up: GivenUp) -> Self {
        Self {
            body: body.boxed_unsync(),
            given_up,
        }
    }
}

/// A request's body, which can be sent once. An empty one can be sent as often as needed.
pub(super) struct Uploaded {
    body: Mutex<Option<Body>>,
    is_empty: bool,
    is_begun: Arc<AtomicBool>,
}

impl Uploaded {
    pub(super) fn new(body: Body) -> Self {
        Self {
            is_empty: body.is_end_stream(),
            body: Mutex::new(Some(body)),
            is_begun: Arc::default(),
        }
    }

    /// The body, the first time; `None` also where it is empty.
    pub(super) fn take(&self) -> Option<Body> {
        if self.is_empty {
            return None;
        }
        let body = self.body.lock().take()?;
        Some(
            Watched {
                inner: body,
                is_begun: Arc::clone(&self.is_begun),
            }
            .boxed_unsync(),
        )
    }

    /// Whether some of it is gone for good.
    pub(super) fn is_used(&self) -> bool {
        !self.is_empty && (self.is_begun.load(Ordering::Relaxed) || self.body.lock().is_none())
    }
}

struct Watched {
    inner: Body,
    is_begun: Arc<AtomicBool>,
}

impl http_body::Body for Watched {
    type Data = Bytes;
    type Error = io::Error;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
    ) -> Poll<Option<io::Result<Frame<Bytes>>>> {
        let frame = ready!(Pin::new(&mut self.inner).poll_frame(context));
        self.is_begun.store(true, Ordering::Relaxed);
        Poll::Ready(frame)
    }

    fn is_end_stream(&self) -> bool {
        self.inner.is_end_stream()
    }

    fn size_hint(&self) -> SizeHint {
        self.inner.size_hint()
    }
}
