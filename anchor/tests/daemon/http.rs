//! The smallest HTTP client that shows everything.

use std::net::SocketAddr;

use bytes::Bytes;
use http::{HeaderMap, Method, Request, StatusCode, header};
use http_body_util::{BodyExt as _, Full};
use hyper::client::conn::http1;
use hyper_util::rt::TokioIo;
use madang_protocol::broker::MEDIA_TYPE;
use tokio::{
    io::{AsyncRead, AsyncWrite},
    net::TcpStream,
};
use tokio_util::task::AbortOnDropHandle;

/// What came back.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Response {
    pub(crate) status: StatusCode,
    pub(crate) headers: HeaderMap,
    pub(crate) body: Bytes,
}

impl Response {
    /// The slug of a problem document, after checking that it is one.
    pub(crate) fn slug(&self) -> String {
        assert_ne!(self.status, 200, "{self:?}");
        let document = self.json();
        assert_eq!(
            self.headers[header::CONTENT_TYPE],
            "application/problem+json"
        );
        assert_eq!(document["status"], self.status.as_u16());
        let kind = document["type"].as_str().unwrap();
        kind.strip_prefix("urn:madang:problem:")
            .unwrap_or(kind)
            .to_owned()
    }

    pub(crate) fn json(&self) -> serde_json::Value {
        serde_json::from_slice(&self.body).unwrap()
    }
}

/// One request on a connection of its own.
pub(crate) async fn exchange(
    stream: impl AsyncRead + AsyncWrite + Unpin + Send + 'static,
    request: Request<Full<Bytes>>,
) -> Response {
    let (mut sender, connection) = http1::handshake(TokioIo::new(stream)).await.unwrap();
    let _driving = AbortOnDropHandle::new(tokio::spawn(connection));
    let response = sender.send_request(request).await.unwrap();
    let (head, body) = response.into_parts();
    Response {
        status: head.status,
        headers: head.headers,
        body: body.collect().await.unwrap().to_bytes(),
    }
}

pub(crate) fn request(method: Method, path: &str, body: Vec<u8>) -> Request<Full<Bytes>> {
    Request::builder()
        .method(method)
        .uri(path)
        .header(header::HOST, "anchor.test")
        .header(header::CONTENT_TYPE, MEDIA_TYPE)
        .body(Full::new(body.into()))
        .unwrap()
}

pub(crate) async fn post(address: SocketAddr, path: &str, body: Vec<u8>) -> Response {
    let stream = TcpStream::connect(address).await.unwrap();
    exchange(stream, request(Method::POST, path, body)).await
}

pub(crate) async fn get(address: SocketAddr, path: &str) -> Response {
    let stream = TcpStream::connect(address).await.unwrap();
    exchange(stream, request(Method::GET, path, Vec::new())).await
}
