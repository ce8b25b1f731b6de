//! What all calls share: a body within bounds, a record whose signature is checked, one answer, one count, one line in the log.

use std::{
    sync::Arc,
    time::{Duration, Instant},
};

use axum::response::{IntoResponse as _, Response};
use bytes::{Bytes, BytesMut};
use http::{HeaderValue, Request, StatusCode, header};
use http_body_util::{BodyExt as _, LengthLimitError, Limited};
use madang_protocol::{
    broker::MEDIA_TYPE,
    reject::Reject,
    sealed::{Record, Sealed, Unverified},
};
use tokio::{
    sync::{OwnedSemaphorePermit, Semaphore},
    time::timeout,
};

use super::service::Broker;
use crate::problem::Problem;

/// Answers one call: runs `work` within the time for a request, counts what came of it.
pub(super) async fn answer(
    broker: &Broker,
    call: &'static str,
    work: impl Future<Output = Result<Vec<u8>, Problem>>,
) -> Response {
    let started = Instant::now();
    let worked = timeout(broker.limits().request_timeout, work).await;
    let outcome = worked.unwrap_or_else(|_| Err(Problem::from(Reject::BUSY)));
    let slug = outcome.as_ref().map_or_else(Problem::slug, |_| "ok");
    broker
        .metrics()
        .call_answered(call, slug, started.elapsed());
    if let Err(problem) = &outcome
        && let Some(reject) = problem.reject()
    {
        broker.follower().handle_refused(reject);
        broker.metrics().call_refused(reject);
    }
    tracing::debug!(call, outcome = slug, "answered");
    match outcome {
        Ok(octets) => {
            let media_type = (header::CONTENT_TYPE, HeaderValue::from_static(MEDIA_TYPE));
            let no_store = (header::CACHE_CONTROL, HeaderValue::from_static("no-store"));
            ([media_type, no_store], octets).into_response()
        }
        Err(problem) => problem.into_response(),
    }
}

/// Answers a call whose work is done in one piece, on a thread for blocking work: reads `T`, checks its signature, runs `handle`.
pub(super) async fn answer_sealed<T: Record + Send + 'static>(
    broker: Arc<Broker>,
    call: &'static str,
    request: Request<axum::body::Body>,
    handle: impl FnOnce(&Broker, Sealed<T>) -> Result<Vec<u8>, Problem> + Send + 'static,
) -> Response {
    let work = async {
        let body = receive(request, T::BYTES_MAX, broker.bodies()).await?;
        let inside = broker.clone();
        let judged = broker.work().run(move || {
            let sealed = open::<T>(&inside, &body.octets)?;
            drop(body);
            handle(&inside, sealed)
        });
        judged.await?
    };
    answer(&broker, call, work).await
}

/// Reads `T` and checks its signature.
pub(super) fn open<T: Record>(broker: &Broker, octets: &[u8]) -> Result<Sealed<T>, Reject> {
    Unverified::<T>::from_bytes(octets)?.verify(broker.trust())
}

/// A request's body, and its share of the room for bodies.
#[derive(Debug)]
pub(super) struct Body {
    pub(super) octets: Bytes,
    _room: Vec<OwnedSemaphorePermit>,
}

/// Room for request bodies in memory. Bodies of at most [`SMALL_BYTES_MAX`] octets are bounded by the number of connections alone, so that
/// large ones never keep small ones out.
#[derive(Debug, Clone)]
pub(super) struct BodyRoom(Arc<Semaphore>);

impl BodyRoom {
    pub(super) fn new(octets_max: usize) -> Self {
        Self(Arc::new(Semaphore::new(
            octets_max.min(Semaphore::MAX_PERMITS),
        )))
    }
}

/// The body of `request`, at most `octets_max` octets of our media type.
pub(super) async fn receive(
    request: Request<axum::body::Body>,
    octets_max: usize,
    room: &BodyRoom,
) -> Result<Body, Problem> {
    let media_type = request.headers().get(header::CONTENT_TYPE);
    if media_type.is_none_or(|media_type| media_type != MEDIA_TYPE) {
        return Err(Problem::http(
            StatusCode::UNSUPPORTED_MEDIA_TYPE,
            "application/vnd.madang.v1 is expected",
        ));
    }
    let announced = request.headers().get(header::CONTENT_LENGTH);
    let announced: Option<usize> = announced.and_then(|length| length.to_str().ok()?.parse().ok());
    if announced.is_some_and(|length| length > octets_max) {
        return Err(Reject::RECORD_TOO_LARGE.into());
    }
    let mut body = Limited::new(request.into_body(), octets_max);
    let mut octets = BytesMut::with_capacity(announced.unwrap_or(0).min(SMALL_BYTES_MAX));
    let mut held = Vec::new();
    while let Some(frame) = body.frame().await {
        let frame = frame.map_err(|error| {
            if error.is::<LengthLimitError>() {
                Problem::from(Reject::RECORD_TOO_LARGE)
            } else {
                Problem::http(
                    StatusCode::BAD_REQUEST,
                    "the request's body does not arrive whole",
                )
            }
        })?;
        if let Ok(data) = frame.into_data() {
            octets.extend_from_slice(&data);
            while octets.len() > SMALL_BYTES_MAX + held.len() * LARGE_STEP_BYTES as usize {
                held.push(room.take(LARGE_STEP_BYTES)?);
            }
        }
    }
    Ok(Body {
        octets: octets.freeze(),
        _room: held,
    })
}

impl BodyRoom {
    fn take(&self, octets: u32) -> Result<OwnedSemaphorePermit, Reject> {
        self.0
            .clone()
            .try_acquire_many_owned(octets)
            .map_err(|_| Reject::BUSY)
    }
}

/// The wait that is asked for where too many tries were made, at least a second.
pub(super) fn slow_down(wait: Duration) -> Problem {
    Problem::slow_down(wait.max(Duration::from_secs(1)))
}

/// Octets of a body that needs no room of its own.
const SMALL_BYTES_MAX: usize = 48 * 1_024;
/// Octets by which a larger body takes room.
const LARGE_STEP_BYTES: u32 = 64 * 1_024;

#[cfg(test)]
mod tests {
    #![expect(clippy::unwrap_used, reason = "a test may stop at a surprise")]

    use super::*;

    fn request(body: Vec<u8>) -> Request<axum::body::Body> {
        Request::post("/")
            .header(header::CONTENT_TYPE, MEDIA_TYPE)
            .body(body.into())
            .unwrap()
    }

    fn stream(chunks: usize) -> Request<axum::body::Body> {
        let chunks = (0..chunks).map(|_| Ok::<_, std::io::Error>(vec![0_u8; 16 * 1_024]));
        let body = axum::body::Body::from_stream(futures::stream::iter(chunks));
        Request::post("/")
            .header(header::CONTENT_TYPE, MEDIA_TYPE)
            .body(body)
            .unwrap()
    }

    #[tokio::test]
    async fn a_body_is_cut_at_its_bound() {
        let room = BodyRoom::new(0);
        assert_eq!(
            receive(request(vec![1; 8]), 8, &room)
                .await
                .unwrap()
                .octets
                .len(),
            8
        );
        let problem = receive(request(vec![1; 9]), 8, &room).await.unwrap_err();
        assert_eq!(problem.slug(), "record-too-large");
        let problem = receive(stream(2), 16 * 1_024, &room).await.unwrap_err();
        assert_eq!(problem.slug(), "record-too-large");
    }

    #[tokio::test]
    async fn large_bodies_share_their_room_and_give_it_back() {
        let room = BodyRoom::new(2 * LARGE_STEP_BYTES as usize);
        let first = receive(stream(10), 1 << 20, &room).await.unwrap();
        assert_eq!(first.octets.len(), 160 * 1_024);
        assert_eq!(
            receive(stream(10), 1 << 20, &room)
                .await
                .unwrap_err()
                .slug(),
            "busy"
        );
        assert!(
            receive(stream(3), 1 << 20, &room).await.is_ok(),
            "small bodies need no room"
        );
        drop(first);
        assert!(receive(stream(10), 1 << 20, &room).await.is_ok());
    }

    #[tokio::test]
    async fn another_media_type_is_refused() {
        let request = Request::post("/")
            .body(axum::body::Body::from("{}"))
            .unwrap();
        let problem = receive(request, 8, &BodyRoom::new(0)).await.unwrap_err();
        assert_eq!(problem.status(), StatusCode::UNSUPPORTED_MEDIA_TYPE);
    }
}
