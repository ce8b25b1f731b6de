//! The operator's Unix socket: who may open the file may give orders. One path takes commands; Prometheus and health checks have theirs.

use std::{
    fs, io,
    os::unix::fs::{DirBuilderExt as _, PermissionsExt as _},
    path::{Path, PathBuf},
    sync::Arc,
};

use axum::{
    Json, Router,
    extract::{DefaultBodyLimit, State, rejection::JsonRejection},
    response::{IntoResponse as _, Response},
    routing::{get, post},
};
use http::{StatusCode, header};
use tokio::net::UnixListener;
use tokio_util::sync::CancellationToken;

use super::{
    command::Command,
    desk::{Desk, DeskError},
};
use crate::{
    broker::{describe, service::Broker},
    metrics::METRICS_MEDIA_TYPE,
    problem::Problem,
};

/// Where commands are posted.
pub const COMMAND_PATH: &str = "/command";

/// Where an anchor is told to stop.
pub const STOP_PATH: &str = "/stop";

/// The socket's file, which is removed when this is dropped.
#[derive(Debug)]
pub struct SocketFile(PathBuf);

/// Binds the socket at `path`, of mode 0600 from its first moment on. The caller holds the home's lock, so that a file that is there is a
/// dead anchor's.
pub fn bind(path: &Path) -> io::Result<(UnixListener, SocketFile)> {
    let nest = path.with_extension("new");
    remove_if_there(fs::remove_dir_all(&nest))?;
    remove_if_there(fs::remove_file(path))?;
    // Nobody else can look into the nest while the socket's mode is not set yet.
    fs::DirBuilder::new().mode(0o700).create(&nest)?;
    let hidden = nest.join("s");
    let listener = UnixListener::bind(&hidden)?;
    fs::set_permissions(&hidden, fs::Permissions::from_mode(0o600))?;
    fs::rename(&hidden, path)?;
    fs::remove_dir(&nest)?;
    Ok((listener, SocketFile(path.to_owned())))
}

/// What answers the operator.
pub fn router(broker: Arc<Broker>, desk: Desk, stop_asked: CancellationToken) -> Router {
    let commands = Router::new()
        .route(COMMAND_PATH, post(command))
        .layer(DefaultBodyLimit::max(COMMAND_BYTES_MAX))
        .with_state((broker.clone(), desk));
    let stop = Router::new()
        .route(STOP_PATH, post(stop))
        .with_state(stop_asked);
    commands.merge(stop).merge(watching(broker))
}

/// What answers Prometheus, on the socket and on its own address.
pub fn watching(broker: Arc<Broker>) -> Router {
    Router::new()
        .route("/metrics", get(metrics))
        .route("/health", get(describe::health))
        .fallback(async || Problem::http(StatusCode::NOT_FOUND, "there is nothing here"))
        .with_state(broker)
}

async fn command(
    State((broker, desk)): State<(Arc<Broker>, Desk)>,
    command: Result<Json<Command>, JsonRejection>,
) -> Response {
    let Ok(Json(command)) = command else {
        let words = "this is no command of this version";
        return Problem::http(StatusCode::BAD_REQUEST, words).into_response();
    };
    let done = broker.work().run(move || desk.execute(command)).await;
    let done = done.map_err(Problem::from);
    match done.and_then(|done| done.map_err(problem)) {
        Ok(answer) => Json(answer).into_response(),
        Err(problem) => problem.into_response(),
    }
}

async fn stop(State(stop_asked): State<CancellationToken>) -> StatusCode {
    tracing::info!("the operator asks to stop");
    stop_asked.cancel();
    StatusCode::ACCEPTED
}

fn problem(error: DeskError) -> Problem {
    match error {
        DeskError::Store(error) => error.into(),
        DeskError::Password(error) => {
            tracing::warn!(%error, "no password hash");
            let words = "a password of 8 characters to 1024 octets is expected";
            Problem::http(StatusCode::UNPROCESSABLE_ENTITY, words)
        }
    }
}

async fn metrics(State(broker): State<Arc<Broker>>) -> Response {
    match broker.metrics().to_text() {
        Ok(text) => ([(header::CONTENT_TYPE, METRICS_MEDIA_TYPE)], text).into_response(),
        Err(error) => {
            tracing::warn!(%error, "cannot write the metrics");
            let words = "the metrics cannot be written";
            Problem::http(StatusCode::INTERNAL_SERVER_ERROR, words).into_response()
        }
    }
}

fn remove_if_there(removed: io::Result<()>) -> io::Result<()> {
    match removed {
        Err(error) if error.kind() != io::ErrorKind::NotFound => Err(error),
        Ok(()) | Err(_) => Ok(()),
    }
}

impl Drop for SocketFile {
    fn drop(&mut self) {
        if let Err(error) = fs::remove_file(&self.0) {
            tracing::debug!(%error, "the operator's socket is gone already");
        }
    }
}

/// Octets of a command.
const COMMAND_BYTES_MAX: usize = 64 * 1_024;
