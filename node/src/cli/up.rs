//! `madang up`

use std::{
    io::{self, IsTerminal as _},
    time::Duration,
};

use tokio::{
    runtime::{Builder, Runtime},
    signal::unix::{SignalKind, signal},
};
use tracing_subscriber::EnvFilter;

use super::{background, failure::Failure, out};
use crate::{
    app::{App, Overrides},
    config::Config,
    home::Home,
};

/// Threads that carry content.
const WORKERS_MAX: usize = 64;
/// Threads that wait for a disk are waited for so long at the end.
const THREADS_WITHIN: Duration = Duration::from_secs(1);

/// Runs the node until it is told to stop, or starts it in the background.
pub(super) fn up(home: &Home, in_background: bool) -> Result<(), Failure> {
    if in_background {
        let runtime = runtime(1).map_err(Failure::failed)?;
        runtime.block_on(background::start(home))?;
        out::line(format!(
            "madang is up in the background; it writes to {}",
            home.log().display()
        ));
        return Ok(());
    }
    watch();
    let config = Config::load(home)?;
    let runtime = runtime(workers()).map_err(Failure::failed)?;
    let outcome = runtime.block_on(run(home.clone(), config));
    // A thread that waits for a disk that takes nothing does not hold up the end.
    runtime.shutdown_timeout(THREADS_WITHIN);
    outcome
}

/// One worker needs no queues that others steal from: and it runs tasks in the order in which they were woken, so that what several visitors are
/// sent leaves together.
fn runtime(workers: usize) -> io::Result<Runtime> {
    let mut builder = match workers {
        1 => Builder::new_current_thread(),
        _ => Builder::new_multi_thread(),
    };
    if workers > 1 {
        builder.worker_threads(workers);
    }
    builder.enable_all().build()
}

/// Half of the cores: an octet crosses several tasks, and each wake-up of another thread costs more than the thread brings, as the README's table shows.
/// `TOKIO_WORKER_THREADS` says otherwise.
fn workers() -> usize {
    let wished = std::env::var("TOKIO_WORKER_THREADS").ok();
    let wished = wished.and_then(|text| text.parse().ok());
    let cores = std::thread::available_parallelism().map_or(1, usize::from);
    wished.unwrap_or(cores / 2).clamp(1, WORKERS_MAX)
}

async fn run(home: Home, config: Config) -> Result<(), Failure> {
    let mut interrupt = signal(SignalKind::interrupt()).map_err(Failure::failed)?;
    let mut terminate = signal(SignalKind::terminate()).map_err(Failure::failed)?;
    let app = App::build(home, config, Overrides::default())?;
    let addresses = app.addresses();
    let mut running = app.spawn();
    out::line(format!("madang is up as {}", addresses.peer));
    if let Some(proxy) = addresses.proxy {
        out::line(format!(
            "sites open at http://NAME.localhost:{}/",
            proxy.port()
        ));
    }
    for site in running.node().sites.borrow().iter() {
        let handle = running.node().standing.borrow().handle.clone();
        if let Some(url) = site
            .name(&handle)
            .ok()
            .and_then(|name| running.node().url(&name))
        {
            out::line(format!("serving {url}"));
        }
    }
    let outcome = tokio::select! {
        outcome = running.ended() => outcome,
        _ = interrupt.recv() => Ok(()),
        _ = terminate.recv() => Ok(()),
    };
    tracing::info!("stopping");
    tokio::select! {
        () = running.shutdown() => {}
        // Whoever asks twice does not want to wait.
        _ = interrupt.recv() => {}
    }
    outcome.map_err(Failure::failed)
}

/// Logs to standard error; `MADANG_LOG` says how much.
fn watch() {
    let filter = EnvFilter::try_from_env("MADANG_LOG").unwrap_or_else(|_| {
        EnvFilter::new("info,libp2p=warn,libp2p_kad=error,libp2p_gossipsub=error,quinn=warn,netlink=warn,hickory=warn")
    });
    let builder = tracing_subscriber::fmt()
        .with_env_filter(filter)
        .with_ansi(std::io::stderr().is_terminal())
        // A log on a full disk is lost; the daemon is not.
        .log_internal_errors(false)
        .with_writer(std::io::stderr);
    // Set already only where a test runs this in its own process.
    let _ = builder.try_init();
}
