//! The other end of the operator's socket.

use std::{error::Error, io, path::Path, time::Duration};

use bytes::Bytes;
use http::{Request, StatusCode, header};
use http_body_util::{BodyExt as _, Full, Limited};
use hyper::client::conn::http1;
use hyper_util::rt::TokioIo;
use madang_protocol::reject::Reject;
use serde::Deserialize;
use tokio::{net::UnixStream, time::timeout};
use tokio_util::task::AbortOnDropHandle;

use super::{
    answer::Answer,
    command::Command,
    socket::{COMMAND_PATH, STOP_PATH},
};

/// Why a running anchor did not do what was asked.
#[derive(Debug, thiserror::Error)]
pub enum ClientError {
    /// It refuses.
    #[error("{title}")]
    Refused {
        /// Why, in public words.
        title: String,
        /// The refusal, where it has a number.
        reject: Option<Reject>,
    },
    /// It does not answer as an anchor does. Whether the command was done is unknown.
    #[error("the running anchor does not answer")]
    Silent(#[source] Box<dyn Error + Send + Sync>),
}

/// The public words of a problem document.
#[derive(Debug, Deserialize)]
struct Document {
    title: String,
    #[serde(default)]
    code: Option<u16>,
}

/// A connection to the anchor that runs in the home of the socket at `path`; `None` where none does.
pub async fn connect(path: &Path) -> io::Result<Option<UnixStream>> {
    use io::ErrorKind::{ConnectionRefused, NotFound};
    match UnixStream::connect(path).await {
        Ok(stream) => Ok(Some(stream)),
        Err(error) if matches!(error.kind(), NotFound | ConnectionRefused) => Ok(None),
        Err(error) => Err(error),
    }
}

/// Asks the anchor at the other end of `stream`.
pub async fn ask(stream: UnixStream, command: &Command) -> Result<Answer, ClientError> {
    let silent = |error: Box<dyn Error + Send + Sync>| ClientError::Silent(error);
    let body = serde_json::to_vec(command).map_err(|error| silent(error.into()))?;
    let answer = post(stream, COMMAND_PATH, body).await?;
    serde_json::from_slice(&answer).map_err(|error| silent(error.into()))
}

/// Tells the anchor at the other end of `stream` to stop. It answers before it does.
pub async fn stop(stream: UnixStream) -> Result<(), ClientError> {
    post(stream, STOP_PATH, Vec::new()).await.map(drop)
}

async fn post(stream: UnixStream, path: &str, body: Vec<u8>) -> Result<Bytes, ClientError> {
    let silent = |error: Box<dyn Error + Send + Sync>| ClientError::Silent(error);
    let exchanged = timeout(ANSWER_TIMEOUT, exchange(stream, path, body)).await;
    let (status, body) = exchanged
        .map_err(|error| silent(error.into()))?
        .map_err(silent)?;
    if status.is_success() {
        return Ok(body);
    }
    let document: Document = serde_json::from_slice(&body).map_err(|error| silent(error.into()))?;
    Err(ClientError::Refused {
        title: document.title,
        reject: document.code.map(Reject),
    })
}

async fn exchange(
    stream: UnixStream,
    path: &str,
    body: Vec<u8>,
) -> Result<(StatusCode, Bytes), Box<dyn Error + Send + Sync>> {
    let (mut sender, connection) = http1::handshake(TokioIo::new(stream)).await?;
    let _driving = AbortOnDropHandle::new(tokio::spawn(connection));
    let request = Request::post(path)
        .header(header::HOST, "operator")
        .header(header::CONTENT_TYPE, "application/json")
        .body(Full::new(Bytes::from(body)))?;
    let response = sender.send_request(request).await?;
    let status = response.status();
    let body = Limited::new(response.into_body(), ANSWER_BYTES_MAX);
    Ok((status, body.collect().await?.to_bytes()))
}

/// Checking a large ledger takes its time.
const ANSWER_TIMEOUT: Duration = Duration::from_secs(600);
/// Octets of an answer: 500 accounts, a few devices each, of a few hundred octets.
const ANSWER_BYTES_MAX: usize = 64 * 1_024 * 1_024;
