//! `serve --bg` and `down`: the anchor behind the command line's back.

use std::{
    ffi::{OsStr, OsString},
    fs::OpenOptions,
    io::{self, BufRead as _, BufReader, Read as _, Seek as _, SeekFrom, Write as _},
    os::unix::{fs::OpenOptionsExt as _, process::CommandExt as _},
    path::PathBuf,
    process::{Command, Stdio},
    thread,
    time::{Duration, Instant},
};

use anyhow::{Context as _, anyhow};

use super::{operate, print, run::Failure};
use crate::{home::Home, operator::client};

/// Starts the same command without `--bg`, and comes back when it listens.
pub(super) fn start(home: &Home, arguments: &[OsString]) -> Result<(), Failure> {
    home.create()
        .with_context(|| format!("create the folder {}", home.path().display()))?;
    let log = home.log();
    let errors = OpenOptions::new()
        .append(true)
        .create(true)
        .mode(0o600)
        .open(&log)
        .with_context(|| format!("write {}", log.display()))?;
    let before = errors.metadata().context("look at the log")?.len();
    let program = std::env::current_exe().context("find this program")?;
    let mut child = Command::new(program)
        .args(
            arguments
                .iter()
                .skip(1)
                .filter(|one| *one != OsStr::new("--bg")),
        )
        .stdin(Stdio::null())
        .stdout(Stdio::piped())
        .stderr(errors)
        .process_group(0)
        .spawn()
        .context("start the anchor")?;
    let mut line = String::new();
    if let Some(out) = child.stdout.take() {
        BufReader::new(out)
            .read_line(&mut line)
            .context("wait for the anchor")?;
    }
    if !line.is_empty() {
        print::line(line.trim_end())?;
        return Ok(print::line(&format!(
            "the anchor runs in the background; it writes to {}",
            log.display()
        ))?);
    }
    let status = child.wait().context("wait for the anchor")?;
    let said = last_words(home, before);
    if status.code() == Some(2) {
        Err(Failure::Mistake(said))
    } else {
        Err(anyhow!("the anchor did not start: {said}").into())
    }
}

/// Stops the anchor that runs in `home`, and comes back when it is gone.
pub(super) fn down(home: &Home) -> Result<(), Failure> {
    let was_running = operate::block_on(async {
        let connected = client::connect(&home.socket())
            .await
            .context("reach the running anchor")?;
        match connected {
            Some(stream) => Ok(client::stop(stream).await.map(|()| true)?),
            None => Ok(false),
        }
    })?;
    if !was_running {
        return Err(anyhow!("no anchor runs in {}", home.path().display()).into());
    }
    let told = Instant::now();
    while home.is_in_use().context("look at the anchor's lock")? {
        if told.elapsed() > DOWN_WITHIN {
            return Err(anyhow!("the anchor was told to stop and still runs").into());
        }
        thread::sleep(LOOK_EVERY);
    }
    Ok(print::line("the anchor has stopped")?)
}

/// What the log says from octet `before` on ends with why an anchor failed; unless the log is what cannot be written.
fn last_words(home: &Home, before: u64) -> String {
    let read = || {
        let mut file = std::fs::File::open(home.log())?;
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
    let said = line.map(|line| line.strip_prefix("error: ").unwrap_or(line));
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

/// Requests that are under way have their own deadline, and the store is closed after them.
const DOWN_WITHIN: Duration = Duration::from_secs(60);
/// How often the lock is looked at.
const LOOK_EVERY: Duration = Duration::from_millis(20);
/// The last line is not longer.
const LOG_TAIL_BYTES: u64 = 4_096;
