//! [`Yard`]: an anchor and nodes as the processes that people run, in a folder of their own: for what is to be measured as it is used, and for what a
//! person types into a shell.

use std::{
    ffi::OsStr,
    fs::{self, File},
    io::{BufRead as _, BufReader, Write as _},
    net::SocketAddr,
    os::unix::fs::symlink,
    path::{Path, PathBuf},
    process::{Child, Command, ExitStatus, Stdio},
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

/// A folder with the homes of an anchor and of nodes. What was left running in it by a shell ends with it.
#[derive(Debug)]
pub struct Yard {
    programs: Programs,
    /// Where this process has started it, and no shell.
    _anchor: Option<Daemon>,
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

impl Drop for Yard {
    fn drop(&mut self) {
        let node = self.programs.node;
        for (program, home) in [
            (node, "joon"),
            (node, "mina"),
            (self.programs.anchor, "anchor"),
        ] {
            let mut down = Command::new(program);
            down.arg("--home").arg(self.path(home)).arg("down");
            // Most often it is gone already, which the command says too.
            drop(down.output());
        }
    }
}

impl Yard {
    /// A folder in which nothing runs. A shell finds the programs by their names.
    ///
    /// # Errors
    /// The file system's.
    pub fn empty(programs: Programs) -> Result<Self> {
        let yard = Self {
            programs,
            _anchor: None,
            folder: tempfile::tempdir()?,
        };
        fs::create_dir(yard.path("programs"))?;
        for (name, program) in [
            ("madang", programs.node),
            ("madang-anchor", programs.anchor),
        ] {
            symlink(program, yard.path("programs").join(name))?;
        }
        Ok(yard)
    }

    /// Starts an anchor, and has a node of each of `handles` join it; the first one's is the hub.
    ///
    /// # Errors
    /// What a command said.
    pub fn open(programs: Programs, handles: &[&str]) -> Result<Self> {
        let mut yard = Self::empty(programs)?;
        let hub = handles.first().context("a hub")?;
        let mut serve = Command::new(programs.anchor);
        serve.arg("--home").arg(yard.path("anchor")).args([
            "serve",
            "--listen",
            "127.0.0.1:0",
            "--hub",
            hub,
        ]);
        let (anchor, line) = Daemon::start(&mut serve)?;
        yard._anchor = Some(anchor);
        let url = line
            .split_whitespace()
            .find(|word| word.starts_with("http://"));
        let url = url.context("the anchor's address")?;
        for handle in handles {
            yard.operate(&["account", "add", handle, "--password-stdin"])?;
            let join = ["join", url, "--handle", handle, "--password-stdin", "--yes"];
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
        Ok(fs::write(self.path(handle).join("madang.toml"), text)?)
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

    /// Runs `commands` as a shell does that stops at the first one that fails; gives what it said. The yard is `$yard` to it.
    ///
    /// # Errors
    /// One failed, and what all of them said.
    pub fn shell(&self, commands: &str) -> Result<String> {
        let (status, said) = self.try_shell(commands)?;
        ensure!(status.success(), "{said}");
        Ok(said)
    }

    /// [`Self::shell`], however it ends.
    ///
    /// # Errors
    /// There is no shell.
    pub fn try_shell(&self, commands: &str) -> Result<(ExitStatus, String)> {
        let path = std::env::var("PATH")?;
        let output = self.path("output");
        // A file and no pipe: what goes on in the background keeps it open.
        let file = File::create(&output)?;
        let status = Command::new("bash")
            .args(["-euxo", "pipefail", "-c", commands])
            .env(
                "PATH",
                format!("{}:{path}", self.path("programs").display()),
            )
            .env("yard", self.folder.path())
            .env("HOME", self.folder.path())
            .env_remove("XDG_CONFIG_HOME")
            .env_remove("XDG_DATA_HOME")
            .env_remove("DISPLAY")
            .env_remove("WAYLAND_DISPLAY")
            .stdin(Stdio::null())
            .stdout(file.try_clone()?)
            .stderr(file)
            .status()?;
        Ok((status, fs::read_to_string(&output)?))
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
