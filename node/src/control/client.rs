//! The command line's end of the control socket.

use std::{io, os::unix::fs::MetadataExt as _, path::PathBuf, sync::Arc, time::Duration};

use bytes::Bytes;
use http::{Method, Request, Response, StatusCode, header};
use http_body_util::{BodyExt as _, Full, Limited};
use hyper::{body::Incoming, client::conn::http1};
use hyper_util::rt::TokioIo;
use serde::{Serialize, de::DeserializeOwned};
use thiserror::Error;
use tokio::net::UnixStream;
use tokio_util::task::AbortOnDropHandle;

use super::Problem;
use crate::home::Home;

/// Octets of an answer: ten thousand sites with everything said about them.
const ANSWER_BYTES_MAX: usize = 32 * 1_024 * 1_024;
/// Longer than the daemon itself waits for the anchor.
const ANSWER_WITHIN: Duration = Duration::from_secs(60);

/// Why a command was not carried out.
#[derive(Debug, Clone, Error)]
pub enum CallError {
    /// Nobody listens on the socket.
    #[error("madang is not running; start it with `madang up`")]
    NotRunning,
    /// The socket belongs to another user.
    #[error("the socket {0} belongs to another user; say --home FOLDER with your own")]
    NotOurs(PathBuf),
    /// The daemon refuses.
    #[error("{}", .0.title)]
    Refused(Problem),
    /// The connection broke, or the daemon does not speak as expected.
    #[error("the running daemon does not answer as expected ({0}); restart it with `madang up`")]
    Broken(Arc<dyn std::error::Error + Send + Sync>),
    /// The daemon took too long.
    #[error("the running daemon does not answer in time")]
    TimedOut,
}

/// Talks to the daemon of one home folder.
#[derive(Debug, Clone)]
pub struct Client {
    socket: PathBuf,
}

/// An answer that streams in, and the connection that it streams over.
pub struct Streamed {
    /// The answer; success or refusal is the caller's to tell.
    pub response: Response<Incoming>,
    _connection: AbortOnDropHandle<()>,
}

impl Client {
    /// The daemon of `home`, running or not.
    pub fn new(home: &Home) -> Self {
        Self {
            socket: home.socket(),
        }
    }

    /// Whether a daemon answers.
    ///
    /// # Errors
    /// [`CallError::NotOurs`], [`CallError::Broken`]
    pub async fn is_running(&self) -> Result<bool, CallError> {
        match self.connect().await {
            Ok(_) => Ok(true),
            Err(CallError::NotRunning) => Ok(false),
            Err(error) => Err(error),
        }
    }

    /// GETs `path`.
    ///
    /// # Errors
    /// [`CallError`]
    pub async fn get<T: DeserializeOwned>(&self, path: &str) -> Result<T, CallError> {
        let octets = self.call(Method::GET, path, Bytes::new()).await?;
        serde_json::from_slice(&octets).map_err(broken)
    }

    /// POSTs `command` to `path`.
    ///
    /// # Errors
    /// [`CallError`]
    pub async fn post<C: Serialize, T: DeserializeOwned>(
        &self,
        path: &str,
        command: &C,
    ) -> Result<T, CallError> {
        let body = serde_json::to_vec(command).map_err(broken)?;
        let octets = self.call(Method::POST, path, body.into()).await?;
        serde_json::from_slice(&octets).map_err(broken)
    }

    /// POSTs to `path` what needs no words, and takes no answer but success.
    ///
    /// # Errors
    /// [`CallError`]
    pub async fn tell(&self, path: &str) -> Result<(), CallError> {
        self.call(Method::POST, path, Bytes::new()).await.map(drop)
    }

    /// Waits until the daemon's first sign-in has come to something, and what may be served is up.
    ///
    /// # Errors
    /// [`CallError`]
    pub async fn ready(&self) -> Result<(), CallError> {
        self.call(Method::GET, "/v1/ready", Bytes::new())
            .await
            .map(drop)
    }

    /// DELETEs `path`.
    ///
    /// # Errors
    /// [`CallError`]
    pub async fn delete(&self, path: &str) -> Result<(), CallError> {
        self.call(Method::DELETE, path, Bytes::new())
            .await
            .map(drop)
    }

    /// Sends `request`, whose target is a path, and gives the answer as it streams in.
    ///
    /// # Errors
    /// [`CallError`]
    pub async fn stream(&self, request: Request<Full<Bytes>>) -> Result<Streamed, CallError> {
        let stream = self.connect().await?;
        let (mut sender, connection) = http1::handshake(TokioIo::new(stream))
            .await
            .map_err(broken)?;
        let connection = AbortOnDropHandle::new(tokio::spawn(async move {
            // What breaks here breaks the answer too, where it is told.
            let _ = connection.await;
        }));
        let response = sender.send_request(request).await.map_err(broken)?;
        Ok(Streamed {
            response,
            _connection: connection,
        })
    }

    async fn call(&self, method: Method, path: &str, body: Bytes) -> Result<Bytes, CallError> {
        let request = Request::builder()
            .method(method)
            .uri(path)
            .header(header::HOST, "localhost")
            .header(header::CONTENT_TYPE, "application/json")
            .body(Full::new(body))
            .map_err(broken)?;
        let exchange = async {
            let streamed = self.stream(request).await?;
            let status = streamed.response.status();
            let octets = collect(streamed.response).await?;
            judge(status, octets)
        };
        tokio::time::timeout(ANSWER_WITHIN, exchange)
            .await
            .unwrap_or(Err(CallError::TimedOut))
    }

    async fn connect(&self) -> Result<UnixStream, CallError> {
        // Whoever owns the socket could pretend to be the daemon.
        let own = rustix::process::geteuid().as_raw();
        match std::fs::metadata(&self.socket) {
            Ok(socket) if socket.uid() == own => {}
            Ok(_) => return Err(CallError::NotOurs(self.socket.clone())),
            Err(error) if error.kind() == io::ErrorKind::NotFound => {
                return Err(CallError::NotRunning);
            }
            Err(error) => return Err(broken(error)),
        }
        UnixStream::connect(&self.socket).await.map_err(|error| {
            let is_left_over = matches!(
                error.kind(),
                io::ErrorKind::ConnectionRefused | io::ErrorKind::NotFound
            );
            if is_left_over {
                CallError::NotRunning
            } else {
                broken(error)
            }
        })
    }
}

/// The whole of a short answer.
pub(crate) async fn collect(response: Response<Incoming>) -> Result<Bytes, CallError> {
    let body = Limited::new(response.into_body(), ANSWER_BYTES_MAX);
    let collected = body.collect().await;
    collected
        .map(http_body_util::Collected::to_bytes)
        .map_err(|error| CallError::Broken(error.into()))
}

/// Success, or the refusal that the octets tell.
pub(crate) fn judge(status: StatusCode, octets: Bytes) -> Result<Bytes, CallError> {
    if status.is_success() {
        return Ok(octets);
    }
    let problem = serde_json::from_slice(&octets).unwrap_or_else(|_| {
        let title = format!("the running daemon refuses with HTTP status {status}");
        Problem::new(status, "refused", title)
    });
    Err(CallError::Refused(problem))
}

fn broken(error: impl std::error::Error + Send + Sync + 'static) -> CallError {
    CallError::Broken(Arc::new(error))
}
