//! The server's end of HTTP/1.1 on one stream.

use std::convert::Infallible;
use std::time::Duration;

use bytes::Bytes;
use http::{Request, Response, StatusCode};
use http_body_util::{BodyExt, Full};
use hyper::body::Incoming;
use hyper::server::conn::http1;
use hyper::service::{Service, service_fn};
use hyper_util::rt::{TokioIo, TokioTimer};
use thiserror::Error;
use tokio::io::{AsyncRead, AsyncWrite};
use tokio_util::sync::CancellationToken;

use super::Body;

/// Time for the head of a request, and of silence between requests.
const HEAD_TIMEOUT: Duration = Duration::from_secs(10);
/// Header fields of a request.
const HEADERS_MAX: usize = 64;
/// Request line and header fields together.
const HEAD_BYTES_MAX: usize = 16 * 1024;
/// What is read from the stream at once: uploads are large, and a head must fit.
const BUFFER_BYTES: usize = 64 * 1024;

/// The connection ended otherwise than by either end closing it between requests.
#[derive(Debug, Error)]
#[error("HTTP on a stream")]
pub struct ServeError(#[from] hyper::Error);

/// Serves the requests that arrive on `io`, one after another, until the client closes it, is silent for 10 s, or `stop` is
/// cancelled, which lets a request in progress finish. Upgraded streams go on after this returns.
///
/// # Errors
/// [`ServeError`] for a malformed request, a broken stream, or a head that did not arrive in time.
pub async fn serve<I, S>(io: I, service: S, stop: CancellationToken) -> Result<(), ServeError>
where
    I: AsyncRead + AsyncWrite + Unpin + Send + 'static,
    S: Service<Request<Incoming>, Response = Response<Body>, Error = Infallible>,
{
    let guarded = service_fn(|request| {
        let answer = if head_bytes(&request) > HEAD_BYTES_MAX {
            None
        } else {
            Some(service.call(request))
        };
        async move {
            match answer {
                Some(answer) => answer.await,
                None => Ok(head_too_large()),
            }
        }
    });
    let connection = http1::Builder::new()
        .timer(TokioTimer::new())
        .header_read_timeout(HEAD_TIMEOUT)
        .max_headers(HEADERS_MAX)
        .max_buf_size(BUFFER_BYTES)
        .serve_connection(TokioIo::new(io), guarded)
        .with_upgrades();
    tokio::pin!(connection);
    tokio::select! {
        result = &mut connection => return Ok(result?),
        () = stop.cancelled() => connection.as_mut().graceful_shutdown(),
    }
    Ok(connection.await?)
}

/// Octets of the request's head, but for separators.
fn head_bytes(request: &Request<Incoming>) -> usize {
    let target = request
        .uri()
        .path_and_query()
        .map_or(0, |target| target.as_str().len());
    let fields = request
        .headers()
        .iter()
        .map(|(name, value)| name.as_str().len() + value.len());
    target + fields.sum::<usize>()
}

fn head_too_large() -> Response<Body> {
    let body = Full::new(Bytes::from_static(
        b"The request's header fields are too large.\n",
    ));
    let mut response = Response::new(body.map_err(|never| match never {}).boxed_unsync());
    *response.status_mut() = StatusCode::REQUEST_HEADER_FIELDS_TOO_LARGE;
    response
}
