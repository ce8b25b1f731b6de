//! Counts the use of sites for statistics, free use included.

use std::{
    collections::BTreeSet,
    io,
    pin::Pin,
    task::{Context, Poll, ready},
};

use bytes::Bytes;
use http::Response;
use http_body::{Body as _, Frame, SizeHint};
use http_body_util::BodyExt;
use madang_protocol::{name::SiteName, record::usage::Visitor};
use parking_lot::Mutex;

use crate::{
    usage::{Counters, Used},
    web::Body,
};

/// Octets that are added up before they are counted: counting takes a lock that all visitors share.
const COUNT_EVERY: u64 = 4 << 20;

/// The counting of one stream.
pub(super) struct Counting {
    /// `None` where it is no use of the site.
    counters: Option<Counters>,
    /// Sites that were asked for on this stream: each once is a session.
    seen: Mutex<BTreeSet<SiteName>>,
}

impl Counting {
    pub(super) fn new(counters: Option<Counters>) -> Self {
        Self {
            counters,
            seen: Mutex::default(),
        }
    }

    /// An answer on a path without a price.
    pub(super) fn free(
        &self,
        site: &SiteName,
        visitor: Visitor,
        response: Response<Body>,
    ) -> Response<Body> {
        self.counted(
            site,
            visitor,
            response,
            Used {
                requests_free: 1,
                ..Used::default()
            },
        )
    }

    /// An answer on a path with a price.
    pub(super) fn paid(
        &self,
        site: &SiteName,
        visitor: Visitor,
        response: Response<Body>,
    ) -> Response<Body> {
        self.counted(
            site,
            visitor,
            response,
            Used {
                requests_paid: 1,
                ..Used::default()
            },
        )
    }

    fn counted(
        &self,
        site: &SiteName,
        visitor: Visitor,
        response: Response<Body>,
        mut used: Used,
    ) -> Response<Body> {
        let Some(counters) = self.counters.clone() else {
            return response;
        };
        used.sessions = u64::from(self.seen.lock().insert(site.clone()));
        counters.add(site, None, visitor, used);
        if response.body().is_end_stream() {
            return response;
        }
        let site = site.clone();
        response.map(|inner| {
            CountedBody {
                inner,
                counters,
                site,
                visitor,
                octets: 0,
            }
            .boxed_unsync()
        })
    }
}

struct CountedBody {
    inner: Body,
    counters: Counters,
    site: SiteName,
    visitor: Visitor,
    octets: u64,
}

impl CountedBody {
    fn count(&mut self) {
        if self.octets > 0 {
            let used = Used {
                bytes: std::mem::take(&mut self.octets),
                ..Used::default()
            };
            self.counters.add(&self.site, None, self.visitor, used);
        }
    }
}

impl Drop for CountedBody {
    fn drop(&mut self) {
        self.count();
    }
}

impl http_body::Body for CountedBody {
    type Data = Bytes;
    type Error = io::Error;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
    ) -> Poll<Option<io::Result<Frame<Bytes>>>> {
        let frame = ready!(Pin::new(&mut self.inner).poll_frame(context));
        if let Some(octets) = frame
            .as_ref()
            .and_then(|frame| frame.as_ref().ok())
            .and_then(Frame::data_ref)
        {
            self.octets += octets.len() as u64;
            if self.octets >= COUNT_EVERY {
                self.count();
            }
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
