//! [`Told`]: the body of an answer that tells why it ends early, where this node ended it. HTTP itself can only cut a body; a cut says nothing.
//! The reason comes as a trailer, so that the body is chunked and its length stands in a header of its own.

use std::{
    io,
    pin::Pin,
    task::{Context, Poll, ready},
};

use bytes::Bytes;
use http::{HeaderMap, HeaderValue};
use http_body::Frame;
use madang_protocol::reject::Reject;

use super::Problem;
use crate::web::Body;

/// The trailer: a problem document.
pub(crate) const TOLD: &str = "madang-problem";
/// How many octets there are, in place of `Content-Length`.
pub(crate) const LENGTH: &str = "madang-length";

/// A body, and what to say where this node ends it.
pub(super) struct Told {
    inner: Body,
    words: Box<dyn Fn(Reject) -> Problem + Send>,
    is_told: bool,
}

impl Told {
    pub(super) fn new(inner: Body, words: impl Fn(Reject) -> Problem + Send + 'static) -> Self {
        Self {
            inner,
            words: Box::new(words),
            is_told: false,
        }
    }

    fn tell(&mut self, reject: Reject) -> Option<Frame<Bytes>> {
        let problem = serde_json::to_vec(&(self.words)(reject)).ok()?;
        let value = HeaderValue::from_bytes(&problem).ok()?;
        self.is_told = true;
        let mut trailers = HeaderMap::with_capacity(1);
        trailers.insert(TOLD, value);
        Some(Frame::trailers(trailers))
    }
}

impl http_body::Body for Told {
    type Data = Bytes;
    type Error = io::Error;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
    ) -> Poll<Option<io::Result<Frame<Bytes>>>> {
        let this = &mut *self;
        if this.is_told {
            return Poll::Ready(None);
        }
        Poll::Ready(
            match ready!(Pin::new(&mut this.inner).poll_frame(context)) {
                Some(Err(error)) => {
                    let reject = error.get_ref().and_then(|inner| inner.downcast_ref());
                    let told = reject.copied().and_then(|reject| this.tell(reject));
                    Some(told.ok_or(error))
                }
                other => other,
            },
        )
    }

    fn is_end_stream(&self) -> bool {
        self.is_told || self.inner.is_end_stream()
    }
}

#[cfg(test)]
mod tests {
    #![expect(clippy::unwrap_used, reason = "a test fails by panicking")]

    use futures::StreamExt as _;
    use http::StatusCode;
    use http_body_util::{BodyExt as _, StreamBody};

    use super::*;

    async fn last_of(error: io::Error) -> Option<io::Result<Frame<Bytes>>> {
        let frames = [Ok(Frame::data(Bytes::from_static(b"half"))), Err(error)];
        let body = StreamBody::new(futures::stream::iter(frames)).boxed_unsync();
        let words =
            |reject: Reject| Problem::new(StatusCode::PAYMENT_REQUIRED, reject.slug(), "예산");
        let mut told = http_body_util::BodyStream::new(Told::new(body, words));
        assert_eq!(
            told.next().await.unwrap().unwrap().into_data().unwrap(),
            "half"
        );
        let last = told.next().await;
        assert!(told.next().await.is_none() || last.as_ref().is_some_and(Result::is_err));
        last
    }

    #[tokio::test]
    async fn what_this_node_ends_says_why_and_what_broke_stays_broken() {
        let ended = last_of(io::Error::other(Reject::BUDGET_EXCEEDED)).await;
        let trailers = ended.unwrap().unwrap().into_trailers().unwrap();
        let problem: Problem = serde_json::from_slice(trailers[TOLD].as_bytes()).unwrap();
        assert_eq!(
            (problem.slug(), problem.title.as_str()),
            ("budget-exceeded", "예산")
        );
        assert!(
            last_of(io::ErrorKind::ConnectionReset.into())
                .await
                .unwrap()
                .is_err()
        );
    }
}
