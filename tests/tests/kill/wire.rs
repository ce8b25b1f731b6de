//! One connection to an anchor that may be gone at any moment.

use std::net::SocketAddr;

use bytes::Bytes;
use http::{Method, Request, StatusCode, header};
use http_body_util::{BodyExt as _, Full};
use hyper::client::conn::http1::{self, SendRequest};
use hyper_util::rt::TokioIo;
use madang_protocol::broker::MEDIA_TYPE;
use tokio::net::TcpStream;
use tokio_util::task::AbortOnDropHandle;

/// No whole answer came: whether it was done is unknown.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Unknown;

/// A connection.
pub(crate) struct Wire {
    sender: SendRequest<Full<Bytes>>,
    _driving: AbortOnDropHandle<hyper::Result<()>>,
}

impl Wire {
    pub(crate) async fn to(anchor: SocketAddr) -> Result<Self, Unknown> {
        let stream = TcpStream::connect(anchor).await.map_err(|_| Unknown)?;
        let (sender, connection) = http1::handshake(TokioIo::new(stream))
            .await
            .map_err(|_| Unknown)?;
        Ok(Self {
            sender,
            _driving: AbortOnDropHandle::new(tokio::spawn(connection)),
        })
    }

    /// A call of the broker, which must succeed if it is answered.
    pub(crate) async fn post(&mut self, path: &str, octets: &[u8]) -> Result<Bytes, Unknown> {
        self.ask(Method::POST, path, octets.to_vec()).await
    }

    pub(crate) async fn get(&mut self, path: &str) -> Result<Bytes, Unknown> {
        self.ask(Method::GET, path, Vec::new()).await
    }

    async fn ask(&mut self, method: Method, path: &str, octets: Vec<u8>) -> Result<Bytes, Unknown> {
        let request = Request::builder()
            .method(method)
            .uri(path)
            .header(header::HOST, "anchor.test")
            .header(header::CONTENT_TYPE, MEDIA_TYPE)
            .body(Full::new(octets.into()))
            .unwrap();
        self.sender.ready().await.map_err(|_| Unknown)?;
        let response = self
            .sender
            .send_request(request)
            .await
            .map_err(|_| Unknown)?;
        let status = response.status();
        let body = response
            .into_body()
            .collect()
            .await
            .map_err(|_| Unknown)?
            .to_bytes();
        assert_eq!(
            status,
            StatusCode::OK,
            "{path}: {}",
            String::from_utf8_lossy(&body)
        );
        Ok(body)
    }
}
