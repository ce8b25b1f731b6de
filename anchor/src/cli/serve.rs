//! `madang-anchor serve`.

use std::{
    io::{IsTerminal as _, Write as _},
    time::Duration,
};

use anyhow::Context as _;
use madang_protocol::ids::PublicKey;
use tokio::{
    runtime,
    signal::unix::{SignalKind, signal},
};
use tracing_subscriber::EnvFilter;

use super::run::{Failure, configured};
use crate::{
    app::{App, BuildError, Running},
    config::{Config, raw::RawConfig},
    home::Home,
};

/// Runs until a signal, or until something breaks.
pub(super) fn serve(home: Home, flags: RawConfig) -> Result<(), Failure> {
    let raw = configured(&home, flags)?;
    let config = Config::check(home, raw).map_err(|error| Failure::of_config(&error))?;
    log()?;
    allow_descriptors();
    let runtime = runtime::Builder::new_multi_thread()
        .enable_all()
        .thread_name("anchor")
        .build()
        .context("start the runtime")?;
    let done = runtime.block_on(run(config));
    // A thread that waits for a disk that takes nothing does not hold up the end.
    runtime.shutdown_timeout(THREADS_WITHIN);
    done
}

async fn run(config: Config) -> Result<(), Failure> {
    let app = App::build(config).await.map_err(of_build)?;
    let mut interrupt = signal(SignalKind::interrupt()).context("watch for SIGINT")?;
    let mut terminate = signal(SignalKind::terminate()).context("watch for SIGTERM")?;
    let mut running = app.spawn();
    let stop_asked = running.stop_asked();
    announce(&running).context("say where the anchor listens")?;
    let stopped = tokio::select! {
        _ = interrupt.recv() => None,
        _ = terminate.recv() => None,
        () = stop_asked.cancelled() => None,
        stopped = running.stopped() => Some(stopped),
    };
    running.shutdown().await.context("shut down")?;
    match stopped {
        None => Ok(()),
        Some(stopped) => Err(stopped.into()),
    }
}

/// One line for the operator, and for whoever starts the anchor and waits for it.
fn announce(running: &Running) -> std::io::Result<()> {
    let descriptor = running.broker().descriptor();
    let fingerprint = descriptor
        .issuers
        .first()
        .map_or_else(String::new, PublicKey::fingerprint);
    let mut out = std::io::stdout().lock();
    writeln!(
        out,
        "listening on {} ({}), fingerprint {fingerprint}",
        running.url(),
        descriptor.name
    )?;
    out.flush()
}

fn of_build(error: BuildError) -> Failure {
    if error.is_mistake() {
        Failure::Mistake(error.to_string())
    } else {
        Failure::Failed(error.into())
    }
}

/// To standard error, `info` and above unless `MADANG_LOG` says otherwise.
fn log() -> Result<(), Failure> {
    let filter = match std::env::var(LOG_VARIABLE) {
        Ok(text) => EnvFilter::try_new(&text)
            .map_err(|error| Failure::Mistake(format!("{LOG_VARIABLE} = {text:?}: {error}")))?,
        Err(_) => EnvFilter::new("info"),
    };
    tracing_subscriber::fmt()
        .with_env_filter(filter)
        .with_ansi(std::io::stderr().is_terminal())
        // A log on a full disk is lost; the anchor is not.
        .log_internal_errors(false)
        .with_writer(std::io::stderr)
        .try_init()
        .map_err(|error| anyhow::anyhow!(error).context("set up the log").into())
}

/// Each connection is a descriptor, and the usual soft limit of 1,024 is below what the configuration allows.
fn allow_descriptors() {
    use rustix::process::{Resource, getrlimit, setrlimit};
    let mut limit = getrlimit(Resource::Nofile);
    limit.current = limit.maximum;
    if let Err(error) = setrlimit(Resource::Nofile, limit) {
        tracing::warn!(%error, "cannot raise the limit of open files");
    }
}

const LOG_VARIABLE: &str = "MADANG_LOG";
/// Threads that wait for a disk are waited for so long at the end.
const THREADS_WITHIN: Duration = Duration::from_secs(1);
