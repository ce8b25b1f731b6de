//! Starting the daemon behind the command line's back.

use std::{
    fs::OpenOptions,
    os::unix::{fs::OpenOptionsExt as _, process::CommandExt as _},
    process::{Child, Command, Stdio},
    time::{Duration, Instant},
};

use super::failure::Failure;
use crate::{control::Client, home::Home};

/// A daemon that has not answered by then is not coming.
const UP_WITHIN: Duration = Duration::from_secs(20);
/// How often it is looked for.
const LOOK_EVERY: Duration = Duration::from_millis(50);

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
    wait(home, &mut child).await
}

async fn wait(home: &Home, child: &mut Child) -> Result<(), Failure> {
    let client = Client::new(home);
    let started = Instant::now();
    while started.elapsed() < UP_WITHIN {
        if let Some(status) = child.try_wait().map_err(Failure::failed)? {
            let text = format!("the daemon did not start: {}", last_line(home));
            return Err(if status.code() == Some(2) {
                Failure::misuse(text)
            } else {
                Failure::failed(text)
            });
        }
        if client.is_running().await? {
            return Ok(client.ready().await?);
        }
        tokio::time::sleep(LOOK_EVERY).await;
    }
    let text = format!("the daemon does not answer; see {}", home.log().display());
    Err(Failure::failed(text))
}

/// The end of the log, which is where a daemon that fails says why.
fn last_line(home: &Home) -> String {
    use std::io::{Read as _, Seek as _, SeekFrom};
    let read = || {
        let mut file = std::fs::File::open(home.log())?;
        let length = file.metadata()?.len();
        file.seek(SeekFrom::Start(length.saturating_sub(4_096)))?;
        let mut octets = Vec::new();
        file.read_to_end(&mut octets)?;
        Ok::<_, std::io::Error>(String::from_utf8_lossy(&octets).into_owned())
    };
    let text = read().unwrap_or_default();
    let line = text.lines().rev().find(|line| !line.trim().is_empty());
    let line = line.unwrap_or("it said nothing");
    line.strip_prefix("madang: ").unwrap_or(line).to_owned()
}
