//! A local application as a personal web server: a reverse proxy that speaks HTTP/1.1 to it.
//!
//! Bodies stream both ways and nothing is buffered; WebSockets are tunnelled. It decides nothing about who may pass: the
//! caller says who the visitor is ([`Forwarded`]), and may hang a [`Meter`](super::meter::Meter) into bodies and tunnels.

mod body;
mod connect;
mod headers;
mod problem;
mod target;
#[cfg(test)]
mod tests;
mod tunnel;

use std::error::Error as StdError;
use std::io;
use std::net::IpAddr;
use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use http::header::{CONNECTION, UPGRADE};
use http::{HeaderValue, Method, Request, Response, StatusCode};
use http_body::Body as HttpBody;
use http_body_util::combinators::UnsyncBoxBody;
use http_body_util::{BodyExt, Empty};
use hyper::body::Incoming;
use hyper::upgrade::OnUpgrade;
use hyper_util::client::legacy::{Client, Error as ClientError};
use hyper_util::rt::TokioTimer;
use tokio_util::sync::{CancellationToken, DropGuard};

use crate::web::Body;
use body::{Content, Progress, Waiting};
use connect::{Connector, Tasks};
use problem::Problem;
pub use target::{Target, TargetError};
pub use tunnel::{Carried, Tunnel};

/// How long an application may take to begin its answer, or a visitor to send more of an upload. An answer that has begun
/// may rest as long as it likes: event streams do.
const HEAD_WAIT_MAX: Duration = Duration::from_secs(60);
/// Unused connections are dropped before Node's servers do, after five seconds, so that requests do not meet a closing one.
const IDLE_MAX: Duration = Duration::from_secs(4);
/// Unused connections kept.
const IDLE_CONNECTIONS_MAX: usize = 32;
/// Headers in an answer.
const ANSWER_HEADERS_MAX: usize = 128;

/// Who is behind a request, for the application to know: from the authenticated session, never from the request itself.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Forwarded {
    /// The visitor's account, if it is known.
    pub account: Option<String>,
    /// The visitor's handle.
    pub handle: Option<String>,
    /// The groups whose member the visitor is.
    pub groups: Vec<String>,
    /// The host that the visitor's browser shows.
    pub host: String,
    /// `http` or `https`, as the visitor's browser sees it.
    pub proto: String,
    /// The visitor's network address, where there is one. Without it the application reads `unknown`.
    pub address: Option<IpAddr>,
}

/// What came back.
#[derive(Debug)]
pub struct Reply {
    /// The application's answer, or a problem document with 400, 405, 408, 502 or 504.
    pub response: Response<Body>,
    /// With a 101: what has to be run, in a task that the caller owns, for the WebSocket to work.
    pub tunnel: Option<Tunnel>,
}

/// A local application. Clones share its connections, which end with the last clone, answer's body and tunnel.
#[derive(Debug, Clone)]
pub struct Upstream {
    target: Target,
    head_wait: Duration,
    client: Client<Connector, RequestBody>,
    tasks: Arc<DropGuard>,
}

type RequestBody = UnsyncBoxBody<Bytes, io::Error>;

impl Upstream {
    /// An application at `target`. Nothing is connected yet.
    pub fn new(target: Target) -> Self {
        let ended = CancellationToken::new();
        let client = Client::builder(Tasks {
            ended: ended.clone(),
        })
        .pool_timer(TokioTimer::new())
        .pool_idle_timeout(IDLE_MAX)
        .pool_max_idle_per_host(IDLE_CONNECTIONS_MAX)
        .http1_max_headers(ANSWER_HEADERS_MAX)
        .set_host(false)
        .build(Connector::new(target.clone()));
        Self {
            target,
            head_wait: HEAD_WAIT_MAX,
            client,
            tasks: Arc::new(ended.drop_guard()),
        }
    }

    /// Where the application listens.
    pub fn target(&self) -> &Target {
        &self.target
    }

    /// Passes a request on and waits for the head of the answer. The request's body is read as fast as the application takes
    /// it. A WebSocket needs the request as hyper's server gave it, with its upgrade in the extensions.
    pub async fn forward<B>(&self, request: Request<B>, forwarded: &Forwarded) -> Reply
    where
        B: HttpBody<Data = Bytes> + Send + Unpin + 'static,
        B::Error: Into<Box<dyn StdError + Send + Sync>>,
    {
        self.try_forward(request, forwarded)
            .await
            .unwrap_or_else(|problem| Reply {
                response: problem.response(),
                tunnel: None,
            })
    }

    async fn try_forward<B>(
        &self,
        request: Request<B>,
        forwarded: &Forwarded,
    ) -> Result<Reply, Problem>
    where
        B: HttpBody<Data = Bytes> + Send + Unpin + 'static,
        B::Error: Into<Box<dyn StdError + Send + Sync>>,
    {
        let (mut parts, body) = request.into_parts();
        let visitor = if headers::wants_websocket(&parts) {
            parts.extensions.remove::<OnUpgrade>()
        } else {
            None
        };
        let head = headers::rebuild(&parts, &self.target, forwarded, visitor.is_some())?;
        let answer = if visitor.is_some() || body.is_end_stream() {
            self.send_bodiless(&head).await?
        } else {
            let progress = Progress::new();
            let body = Content::of_request(body, Arc::clone(&progress)).boxed_unsync();
            self.send(head.map(|()| body), &progress)
                .await
                .map_err(Failure::problem)?
        };
        self.reply(&parts.method, answer, visitor)
    }

    /// Sends a request without content; again if it is safe and met a connection that the application was just closing.
    async fn send_bodiless(&self, head: &Request<()>) -> Result<Response<Incoming>, Problem> {
        let safe = [Method::GET, Method::HEAD, Method::OPTIONS].contains(head.method());
        let request = || {
            head.clone()
                .map(|()| Empty::new().map_err(|never| match never {}).boxed_unsync())
        };
        match self.send(request(), &Progress::new()).await {
            Err(Failure::Client(error)) if safe && broke_off(&error) => self
                .send(request(), &Progress::new())
                .await
                .map_err(Failure::problem),
            answered => answered.map_err(Failure::problem),
        }
    }

    /// Waits for the head of the answer for as long as something moves.
    async fn send(
        &self,
        request: Request<RequestBody>,
        progress: &Progress,
    ) -> Result<Response<Incoming>, Failure> {
        let mut answered = std::pin::pin!(self.client.request(request));
        loop {
            let deadline = progress.last().0 + self.head_wait;
            tokio::select! {
                biased;
                answer = &mut answered => return answer.map_err(Failure::Client),
                () = tokio::time::sleep_until(deadline) => {
                    let (moved, waiting) = progress.last();
                    if moved + self.head_wait <= deadline {
                        return Err(Failure::Stalled(waiting));
                    }
                }
            }
        }
    }

    fn reply(
        &self,
        method: &Method,
        mut answer: Response<Incoming>,
        visitor: Option<OnUpgrade>,
    ) -> Result<Reply, Problem> {
        if answer.status() == StatusCode::SWITCHING_PROTOCOLS {
            let Some(visitor) = visitor.filter(|_| headers::is_websocket(answer.headers())) else {
                return Err(Problem::Broken);
            };
            let tunnel = Tunnel::new(
                visitor,
                hyper::upgrade::on(&mut answer),
                Arc::clone(&self.tasks),
            );
            let mut response =
                answer.map(|_| Empty::new().map_err(|never| match never {}).boxed_unsync());
            response.extensions_mut().clear();
            headers::clean_answer(response.headers_mut(), &self.target, None, false);
            response
                .headers_mut()
                .insert(CONNECTION, HeaderValue::from_static("Upgrade"));
            response
                .headers_mut()
                .insert(UPGRADE, HeaderValue::from_static("websocket"));
            return Ok(Reply {
                response,
                tunnel: Some(tunnel),
            });
        }
        let bodiless = method == Method::HEAD || answer.status() == StatusCode::NOT_MODIFIED;
        let length = answer.body().size_hint().exact();
        let (mut head, body) = answer.into_parts();
        headers::clean_answer(
            &mut head.headers,
            &self.target,
            length,
            bodiless || head.status == StatusCode::NO_CONTENT,
        );
        let mut response =
            Response::new(Content::of_answer(body, Arc::clone(&self.tasks)).boxed_unsync());
        *response.status_mut() = head.status;
        *response.headers_mut() = head.headers;
        Ok(Reply {
            response,
            tunnel: None,
        })
    }
}

/// Why no head came.
#[derive(Debug)]
enum Failure {
    Client(ClientError),
    Stalled(Waiting),
}

impl Failure {
    fn problem(self) -> Problem {
        match self {
            Self::Client(error) if error.is_connect() => {
                let timed_out = find::<io::Error>(&error)
                    .is_some_and(|error| error.kind() == io::ErrorKind::TimedOut);
                if timed_out {
                    Problem::ConnectTimeout
                } else {
                    Problem::Refused
                }
            }
            Self::Client(_) => Problem::Broken,
            Self::Stalled(Waiting::Visitor) => Problem::VisitorStalled,
            Self::Stalled(Waiting::Application) => Problem::Timeout,
        }
    }
}

/// Whether the connection ended before an answer began.
fn broke_off(error: &ClientError) -> bool {
    find::<hyper::Error>(error).is_some_and(|error| {
        error.is_incomplete_message() || error.is_closed() || error.is_canceled()
    }) || find::<io::Error>(error).is_some_and(|error| {
        matches!(
            error.kind(),
            io::ErrorKind::ConnectionReset | io::ErrorKind::BrokenPipe
        )
    })
}

/// The first cause of this type.
fn find<'a, E: StdError + 'static>(error: &'a (dyn StdError + 'static)) -> Option<&'a E> {
    let mut cause = Some(error);
    while let Some(error) = cause {
        if let Some(found) = error.downcast_ref() {
            return Some(found);
        }
        cause = error.source();
    }
    None
}
