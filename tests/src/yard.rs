//! [`Yard`]: an anchor and nodes as the processes that people run, in a folder of their own, for what is to be measured as it is used.

use std::{
    ffi::OsStr,
    io::{BufRead as _, BufReader, Write as _},
    net::SocketAddr,
    path::{Path, PathBuf},
    process::{Child, Command, Stdio},
};

use anyhow::{Context as _, Result, ensure};
use serde_json::Value;
use tempfile::TempDir;

/// Where the programs are. Cargo tells a test or a benchmark only those of its own package.
#[derive(Debug, Clone, Copy)]
pub struct Programs {
    /// `madang`
    pub node: &'static str,
    /// `madang-anchor`
    pub anchor: &'static str,
}

/// A process that is killed when this is dropped.
#[derive(Debug)]
pub struct Daemon(Child);

/// A folder with an anchor that runs, and the homes of nodes that have joined it.
#[derive(Debug)]
pub struct Yard {
    programs: Programs,
    url: String,
    _anchor: Daemon,
    /// Last, so that the processes are gone before it is.
    folder: TempDir,
}

const PASSWORD: &str = "correct horse battery staple";

impl Daemon {
    /// Starts `command`, and gives its first line with it.
    fn start(command: &mut Command) -> Result<(Self, String)> {
        let child = command
            .stdin(Stdio::null())
            .stdout(Stdio::piped())
            .stderr(Stdio::null())
            .spawn()
            .context("start a daemon")?;
        let mut daemon = Self(child);
        let mut line = String::new();
        let out = daemon.0.stdout.as_mut().context("a daemon's output")?;
        BufReader::new(out).read_line(&mut line)?;
        ensure!(!line.is_empty(), "a daemon ended before it was up");
        Ok((daemon, line))
    }

    /// The process.
    pub fn id(&self) -> u32 {
        self.0.id()
    }
}

impl Drop for Daemon {
    fn drop(&mut self) {
        // What has ended already needs no killing.
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

impl Yard {
    /// Starts an anchor, and has a node of each of `handles` join it; the first one's is the hub.
    ///
    /// # Errors
    /// What a command said.
    pub fn open(programs: Programs, handles: &[&str]) -> Result<Self> {
        let folder = tempfile::tempdir()?;
        let home = folder.path().join("anchor");
        let hub = handles.first().context("a hub")?;
        let mut serve = Command::new(programs.anchor);
        serve
            .arg("--home")
            .arg(&home)
            .args(["serve", "--listen", "127.0.0.1:0", "--hub", hub]);
        let (anchor, line) = Daemon::start(&mut serve)?;
        let url = line
            .split_whitespace()
            .find(|word| word.starts_with("http://"));
        let yard = Self {
            programs,
            url: url.context("the anchor's address")?.to_owned(),
            _anchor: anchor,
            folder,
        };
        for handle in handles {
            yard.operate(&["account", "add", handle, "--password-stdin"])?;
            let join = [
                "join",
                &yard.url,
                "--handle",
                handle,
                "--password-stdin",
                "--yes",
            ];
            yard.command(handle, &join)?;
        }
        Ok(yard)
    }

    /// The folder `name` in the yard: a node's home has its handle's name.
    pub fn path(&self, name: &str) -> PathBuf {
        self.folder.path().join(name)
    }

    /// Writes the `madang.toml` of `handle`'s node.
    ///
    /// # Errors
    /// The file system's.
    pub fn configure(&self, handle: &str, text: &str) -> Result<()> {
        Ok(std::fs::write(self.path(handle).join("madang.toml"), text)?)
    }

    /// Starts `handle`'s node. It answers commands once this is back; it is admitted a moment later.
    ///
    /// # Errors
    /// It did not come up.
    pub fn start(&self, handle: &str) -> Result<Daemon> {
        let mut up = Command::new(self.programs.node);
        up.arg("--home").arg(self.path(handle)).arg("up");
        Ok(Daemon::start(&mut up)?.0)
    }

    /// Runs a command of `handle`'s; gives what it says.
    ///
    /// # Errors
    /// It failed, and what it said.
    pub fn command<S: AsRef<OsStr>>(&self, handle: &str, arguments: &[S]) -> Result<String> {
        run(self.programs.node, &self.path(handle), arguments)
    }

    /// Runs a command of the operator's; gives what it says.
    ///
    /// # Errors
    /// It failed, and what it said.
    pub fn operate<S: AsRef<OsStr>>(&self, arguments: &[S]) -> Result<String> {
        run(self.programs.anchor, &self.path("anchor"), arguments)
    }

    /// Where the local proxy of `handle`'s running node listens.
    ///
    /// # Errors
    /// The node does not run, or has no proxy.
    pub fn proxy(&self, handle: &str) -> Result<SocketAddr> {
        let status: Value = serde_json::from_str(&self.command(handle, &["status", "--json"])?)?;
        let proxy = status["proxy"].as_str().context("a local proxy")?;
        Ok(proxy.parse()?)
    }
}

fn run<S: AsRef<OsStr>>(program: &str, home: &Path, arguments: &[S]) -> Result<String> {
    let mut child = Command::new(program)
        .arg("--home")
        .arg(home)
        .args(arguments)
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .with_context(|| format!("start {program}"))?;
    if let Some(mut input) = child.stdin.take() {
        // A command that asks for no password may have ended already.
        let _ = writeln!(input, "{PASSWORD}");
    }
    let output = child.wait_with_output()?;
    let errors = String::from_utf8_lossy(&output.stderr);
    ensure!(output.status.success(), "{}", errors.trim());
    Ok(String::from_utf8(output.stdout)?)
}
