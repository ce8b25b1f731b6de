//! Starting the daemon behind the command line's back.

use std::{
    fs::{File, OpenOptions},
    io::{self, Read as _, Seek as _, SeekFrom, Write as _},
    os::unix::{fs::OpenOptionsExt as _, process::CommandExt as _},
    path::PathBuf,
    process::{Child, Command, Stdio},
    time::{Duration, Instant},
};

use super::failure::Failure;
use crate::{
    control::{CallError, Client},
    home::Home,
};

/// A daemon that has not answered by then is not coming.
const UP_WITHIN: Duration = Duration::from_secs(20);
/// How often it is looked for.
const LOOK_EVERY: Duration = Duration::from_millis(50);
/// The last line is not longer.
const LOG_TAIL_BYTES: u64 = 4_096;

/// Starts `madang up` in a session of its own, and comes back when it answers.
pub(super) async fn start(home: &Home) -> Result<(), Failure> {
    home.create()?;
    let log = OpenOptions::new()
        .append(true)
        .create(true)
        .mode(0o600)
        .open(home.log())
        .map_err(|error| {
            Failure::failed(format!("cannot write {}: {error}", home.log().display()))
        })?;
    let before = log.metadata().map_err(Failure::failed)?.len();
    let errors = log.try_clone().map_err(Failure::failed)?;
    let program = std::env::current_exe().map_err(Failure::failed)?;
    let mut child = Command::new(program)
        .arg("--home")
        .arg(home.path())
        .arg("up")
        .stdin(Stdio::null())
        .stdout(log)
        .stderr(errors)
        .process_group(0)
        .spawn()
        .map_err(|error| Failure::failed(format!("cannot start the daemon: {error}")))?;
    wait(home, &mut child, before).await
}

async fn wait(home: &Home, child: &mut Child, before: u64) -> Result<(), Failure> {
    let client = Client::new(home);
    let started = Instant::now();
    while started.elapsed() < UP_WITHIN {
        if let Some(status) = child.try_wait().map_err(Failure::failed)? {
            let text = format!("the daemon did not start: {}", last_words(home, before));
            return Err(if status.code() == Some(2) {
                Failure::misuse(text)
            } else {
                Failure::failed(text)
            });
        }
        match client.ready().await {
            Ok(()) => return Ok(()),
            // One that was killed may still hold the socket for a moment.
            Err(CallError::NotRunning | CallError::Broken(_)) => {}
            Err(error) => return Err(error.into()),
        }
        tokio::time::sleep(LOOK_EVERY).await;
    }
    let text = format!("the daemon does not answer; see {}", home.log().display());
    Err(Failure::failed(text))
}

/// What the log says from octet `before` on ends with why a daemon failed; unless the log is what cannot be written.
fn last_words(home: &Home, before: u64) -> String {
    let read = || {
        let mut file = File::open(home.log())?;
        let metadata = file.metadata()?;
        if !metadata.is_file() {
            return Ok(String::new());
        }
        let tail = metadata.len().saturating_sub(LOG_TAIL_BYTES);
        file.seek(SeekFrom::Start(before.max(tail)))?;
        let mut octets = Vec::new();
        file.take(LOG_TAIL_BYTES).read_to_end(&mut octets)?;
        Ok::<_, io::Error>(String::from_utf8_lossy(&octets).into_owned())
    };
    let text = read().unwrap_or_default();
    let line = text.lines().rev().find(|line| !line.trim().is_empty());
    let said = line.map(|line| line.strip_prefix("madang: ").unwrap_or(line));
    if let (true, Some(said)) = (text.ends_with('\n'), said) {
        return said.to_owned();
    }
    let said = said.map_or_else(|| "it said nothing".to_owned(), |said| format!("{said} …"));
    match try_to_write(home) {
        Ok(()) => said,
        Err((path, error)) => format!(
            "{said}, since {} cannot be written: {error}",
            path.display()
        ),
    }
}

/// Writes as much as a log's first lines would be, and takes it away.
fn try_to_write(home: &Home) -> Result<(), (PathBuf, io::Error)> {
    let (log, spare) = (home.log(), home.path().join(".try"));
    let line = OpenOptions::new()
        .append(true)
        .open(&log)
        .and_then(|mut log| log.write_all(b"\n"));
    let tried = std::fs::write(&spare, [b' '; 4_096]);
    // What could not be made needs no removing.
    let _ = std::fs::remove_file(&spare);
    line.map_err(|error| (log, error))?;
    tried.map_err(|error| (spare, error))
}
