//! Child processes in roles, and what they cost.

use std::io::{BufRead, BufReader};
use std::process::{Child, Command, Stdio};
use std::time::Duration;

use anyhow::{Context, Result};
use tokio::sync::oneshot;

use crate::Wire;

/// Clock ticks a second in /proc, on every Linux.
const TICKS: f64 = 100.0;

/// A running role. It ends when its standard input does, so also with its parent.
pub(crate) struct Role {
    child: Child,
    /// What the role said when it was ready.
    pub(crate) ready: String,
}

impl Role {
    /// Starts this binary in a role and waits until it is ready.
    pub(crate) fn start(name: &str, workers: usize, wire: Wire, argument: &str) -> Result<Self> {
        let mut child = Command::new(std::env::current_exe()?)
            .args(["role", name, &workers.to_string(), wire.name(), argument])
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .spawn()
            .with_context(|| format!("start {name}"))?;
        let output = child.stdout.take().context("a role's output")?;
        let mut ready = String::new();
        BufReader::new(output).read_line(&mut ready)?;
        anyhow::ensure!(!ready.is_empty(), "{name} ended before it was ready");
        Ok(Self {
            child,
            ready: ready.trim().to_owned(),
        })
    }

    pub(crate) fn id(&self) -> u32 {
        self.child.id()
    }
}

impl Drop for Role {
    fn drop(&mut self) {
        drop(self.child.stdin.take());
        // It ends by itself; whether that went well is of no interest here.
        let _ = self.child.wait();
    }
}

/// Says to the parent that this role is ready.
pub(crate) fn say_ready(message: &str) {
    println!("{message}");
}

/// Returns when the parent has closed our standard input.
pub(crate) async fn parent_gone() {
    let (sender, gone) = oneshot::channel::<()>();
    // Not one of the runtime's threads: those it would wait for.
    std::thread::spawn(move || {
        let _sender = sender;
        // Whether it ends or fails, the parent is gone.
        let _ = std::io::copy(&mut std::io::stdin(), &mut std::io::sink());
    });
    // The sender is only ever dropped.
    let _ = gone.await;
}

/// A runtime on the calling thread, or with that many workers.
pub(crate) fn runtime(workers: usize) -> Result<tokio::runtime::Runtime> {
    let mut builder = match workers {
        0 => tokio::runtime::Builder::new_current_thread(),
        _ => tokio::runtime::Builder::new_multi_thread(),
    };
    if workers > 0 {
        builder.worker_threads(workers);
    }
    Ok(builder.enable_all().build()?)
}

/// Processor time that processes have used so far, in user and kernel mode.
pub(crate) fn cpu(processes: &[u32]) -> Result<Duration> {
    let mut ticks = 0.0;
    for process in processes {
        let stat = std::fs::read_to_string(format!("/proc/{process}/stat"))?;
        // The fields after the name, which ends with the last parenthesis: user and system time are the 12th and 13th.
        let (_, fields) = stat.rsplit_once(')').context("a process's state")?;
        let fields: Vec<&str> = fields.split_whitespace().collect();
        for field in [11, 12] {
            ticks += fields
                .get(field)
                .context("a process's time")?
                .parse::<f64>()?;
        }
    }
    Ok(Duration::from_secs_f64(ticks / TICKS))
}
