//! Our way: a folder behind a seller's node, a buyer's node with a pool and a local HTTP server before it.

use std::convert::Infallible;
use std::path::PathBuf;
use std::sync::Arc;

use anyhow::{Context, Result};
use http::{Request, Response, StatusCode};
use http_body_util::BodyExt;
use hyper::body::Incoming;
use hyper::service::service_fn;
use hyper_util::rt::TokioIo;
use madang::mesh::{Limits, Mesh, MeshConfig, Multiaddr, PeerId, Protocol, Transport};
use madang::server::folder::{Folder, FolderOptions};
use madang::web::{Body, Pool, PoolLimits, serve};
use tokio::net::TcpListener;
use tokio::task::JoinSet;
use tokio_util::sync::CancellationToken;

use crate::{Wire, process};

fn mesh(wire: Wire, seed: u8, listen: Option<&str>) -> Result<Mesh> {
    let mut config = MeshConfig::new([seed; 32], "be9c");
    config.limits = Limits::default();
    config.transports = vec![match wire {
        Wire::Tls => Transport::TcpTls,
        Wire::Noise => Transport::TcpNoise,
        Wire::Quic => Transport::Quic,
    }];
    config.listen.extend(listen.map(str::parse).transpose()?);
    Ok(Mesh::build(config)?)
}

/// Serves a folder to peers; says `peer address`.
pub(crate) async fn seller(wire: Wire, folder: PathBuf) -> Result<()> {
    let folder = Arc::new(Folder::open(folder, FolderOptions::default())?);
    let mesh = mesh(wire, 2, Some(wire.listen_address()))?;
    let mut listening = mesh.handle().listen_addresses();
    let address = listening
        .wait_for(|addresses| !addresses.is_empty())
        .await?[0]
        .clone();
    let mut incoming = mesh.handle().accept(Protocol::Http).await?;
    process::say_ready(&format!("{} {address}", mesh.handle().peer_id()));
    let mut connections = JoinSet::new();
    while let Some(stream) = incoming.next().await {
        let folder = Arc::clone(&folder);
        let service = service_fn(move |request: Request<Incoming>| {
            let folder = Arc::clone(&folder);
            async move { Ok(folder.respond(&request.into_parts().0).await) }
        });
        connections.spawn(serve(stream, service, CancellationToken::new()));
        while connections.try_join_next().is_some() {}
    }
    Ok(())
}

/// Passes requests of local clients on to the seller; says its own address.
pub(crate) async fn buyer(wire: Wire, seller: &str) -> Result<()> {
    let (peer, address) = seller
        .split_once(' ')
        .context("the seller's peer id and address")?;
    let (peer, address): (PeerId, Multiaddr) = (peer.parse()?, address.parse()?);
    let mesh = mesh(wire, 3, None)?;
    mesh.handle().dial(peer, vec![address]).await?;
    let pool = Pool::new(mesh.handle(), PoolLimits::default());
    let listener = TcpListener::bind("127.0.0.1:0").await?;
    process::say_ready(&listener.local_addr()?.to_string());
    let mut connections = JoinSet::new();
    loop {
        let (client, _) = listener.accept().await?;
        client.set_nodelay(true)?;
        let pool = pool.clone();
        let service = service_fn(move |request| forward(pool.clone(), peer, request));
        connections.spawn(async move {
            hyper::server::conn::http1::Builder::new()
                .serve_connection(TokioIo::new(client), service)
                .await
        });
        while connections.try_join_next().is_some() {}
    }
}

/// What a proxy does at least: a request of its own, with the path and the fields of the client's.
async fn forward(
    pool: Pool,
    peer: PeerId,
    request: Request<Incoming>,
) -> Result<Response<Body>, Infallible> {
    let (mut head, body) = request.into_parts();
    head.headers.remove(http::header::CONNECTION);
    let request = Request::from_parts(head, body.map_err(std::io::Error::other).boxed_unsync());
    Ok(match pool.send(peer, request).await {
        Ok(response) => response.map(|body| body.map_err(std::io::Error::other).boxed_unsync()),
        Err(error) => {
            let body =
                http_body_util::Full::from(error.to_string()).map_err(|never| match never {});
            let mut response = Response::new(body.boxed_unsync());
            *response.status_mut() = StatusCode::BAD_GATEWAY;
            response
        }
    })
}
