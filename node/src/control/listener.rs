//! The daemon's end of the control socket.

use std::{
    fs::{self, Permissions},
    io,
    os::unix::fs::PermissionsExt as _,
    path::PathBuf,
    sync::Arc,
    time::Duration,
};

use axum::Router;
use hyper::server::conn::http1;
use hyper_util::{
    rt::{TokioIo, TokioTimer},
    service::TowerToHyperService,
};
use thiserror::Error;
use tokio::{
    net::{UnixListener, UnixStream},
    task::JoinSet,
};
use tokio_util::sync::CancellationToken;

use super::routes;
use crate::{app::Node, home::Home};

/// Commands at one time.
const CONNECTIONS_MAX: usize = 64;
/// The owner's own programs are quick.
const HEAD_TIMEOUT: Duration = Duration::from_secs(10);
/// A pause after a failed accept, so that a lack of descriptors does not spin.
const ACCEPT_PAUSE: Duration = Duration::from_millis(50);
/// What a Unix socket's address holds, less its end.
const PATH_BYTES_MAX: usize = 107;

/// Why the control socket cannot be bound.
#[derive(Debug, Error)]
pub enum BindError {
    /// The home folder's path does not fit a socket's address.
    #[error(
        "the path {path} is too long for a socket: choose a home folder with a shorter path (--home)"
    )]
    TooLong {
        /// The socket's path.
        path: PathBuf,
    },
    /// The system's.
    #[error("cannot listen on {path}: {source}")]
    Io {
        /// The socket's path.
        path: PathBuf,
        /// Why.
        source: io::Error,
    },
}

/// A bound control socket.
#[derive(Debug)]
pub struct Listener(UnixListener);

impl Listener {
    /// Binds the socket of `home`, whose lock the caller holds: what a former daemon left is replaced. Must be called within a tokio runtime.
    ///
    /// # Errors
    /// [`BindError`]
    pub fn bind(home: &Home) -> Result<Self, BindError> {
        let path = home.socket();
        // It is bound under another name, so that it is private from the moment that it can be found.
        let hidden = home.join(".control.new");
        let longest = path.as_os_str().len().max(hidden.as_os_str().len());
        if longest > PATH_BYTES_MAX {
            return Err(BindError::TooLong { path });
        }
        let bind = || {
            if let Err(error) = fs::remove_file(&hidden)
                && error.kind() != io::ErrorKind::NotFound
            {
                return Err(error);
            }
            let listener = UnixListener::bind(&hidden)?;
            fs::set_permissions(&hidden, Permissions::from_mode(0o600))?;
            fs::rename(&hidden, &path)?;
            Ok(listener)
        };
        bind()
            .map(Self)
            .map_err(|source| BindError::Io { path, source })
    }

    /// Answers until `stop`; commands in progress are cut off then.
    pub(crate) async fn run(self, node: Arc<Node>, stop: CancellationToken) {
        let router = routes::router(node);
        let mut connections = JoinSet::new();
        loop {
            let is_full = connections.len() >= CONNECTIONS_MAX;
            tokio::select! {
                biased;
                () = stop.cancelled() => break,
                Some(_) = connections.join_next() => {}
                accepted = self.0.accept(), if !is_full => match accepted {
                    Ok((stream, _)) if is_of_owner(&stream) => {
                        connections.spawn(serve(stream, router.clone()));
                    }
                    Ok(_) => tracing::warn!("another user tried the control socket"),
                    Err(error) => {
                        tracing::warn!(%error, "accept a command");
                        tokio::time::sleep(ACCEPT_PAUSE).await;
                    }
                },
            }
        }
        connections.shutdown().await;
    }
}

/// Whether the other end runs as this daemon's user, or as root, who may do everything anyway.
fn is_of_owner(stream: &UnixStream) -> bool {
    let own = rustix::process::geteuid().as_raw();
    stream
        .peer_cred()
        .is_ok_and(|peer| peer.uid() == own || peer.uid() == 0)
}

async fn serve(stream: UnixStream, router: Router) {
    let connection = http1::Builder::new()
        .timer(TokioTimer::new())
        .header_read_timeout(HEAD_TIMEOUT)
        .serve_connection(TokioIo::new(stream), TowerToHyperService::new(router));
    if let Err(error) = connection.await {
        tracing::debug!(%error, "a command's connection broke");
    }
}
