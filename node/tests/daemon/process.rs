//! `madang` as a real process with a home folder of its own.

use std::{
    path::Path,
    process::{Output, Stdio},
};

use tokio::{
    io::AsyncWriteExt as _,
    process::{Child, Command},
};

use crate::support::{Anchor, PASSWORD};

/// A home folder, short enough for a socket's path.
pub(crate) struct Madang {
    pub(crate) folder: tempfile::TempDir,
}

/// What a command said.
#[derive(Debug)]
pub(crate) struct Said {
    pub(crate) code: i32,
    pub(crate) out: String,
    pub(crate) err: String,
}

impl From<Output> for Said {
    fn from(output: Output) -> Self {
        Self {
            code: output.status.code().unwrap(),
            out: String::from_utf8(output.stdout).unwrap(),
            err: String::from_utf8(output.stderr).unwrap(),
        }
    }
}

impl Madang {
    pub(crate) fn new() -> Self {
        let madang = Self {
            folder: tempfile::tempdir().unwrap(),
        };
        // Fixed ports would keep two tests apart from each other only by luck.
        madang.configure("[mesh]\nlisten = [\"/ip4/127.0.0.1/tcp/0\"]\n[proxy]\nenabled = false\n");
        madang
    }

    pub(crate) fn path(&self) -> &Path {
        self.folder.path()
    }

    pub(crate) fn configure(&self, text: &str) {
        std::fs::write(self.path().join("madang.toml"), text).unwrap();
    }

    pub(crate) fn command(&self, arguments: &[&str]) -> Command {
        let mut command = Command::new(env!("CARGO_BIN_EXE_madang"));
        command
            .args(arguments)
            .env_clear()
            .env("MADANG_HOME", self.path())
            .stdin(Stdio::null())
            .kill_on_drop(true);
        command
    }

    pub(crate) async fn run(&self, arguments: &[&str]) -> Said {
        self.command(arguments).output().await.unwrap().into()
    }

    pub(crate) async fn join(&self, anchor: &Anchor, arguments: &[&str], password: &str) -> Said {
        let mut command =
            self.command(&["join", &anchor.url, "--handle", "alice", "--password-stdin"]);
        let mut child: Child = command
            .args(arguments)
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            .spawn()
            .unwrap();
        let mut stdin = child.stdin.take().unwrap();
        // A command that refuses before it reads has closed its end.
        let _ = stdin.write_all(format!("{password}\n").as_bytes()).await;
        drop(stdin);
        child.wait_with_output().await.unwrap().into()
    }

    pub(crate) async fn joined(anchor: &Anchor) -> Self {
        let madang = Self::new();
        let said = madang.join(anchor, &["--yes"], PASSWORD).await;
        assert_eq!(said.code, 0, "{said:?}");
        madang
    }
}

/// What a daemon in the background needs to be gone by, whatever a test does.
impl Drop for Madang {
    fn drop(&mut self) {
        let lock = std::fs::read_to_string(self.path().join("lock")).unwrap_or_default();
        let is_held = || madang::home::Home::at(self.path()).lock().is_err();
        if let Ok(process) = lock.trim().parse::<i32>()
            && let Some(process) = rustix::process::Pid::from_raw(process)
            && is_held()
        {
            let _ = rustix::process::kill_process(process, rustix::process::Signal::KILL);
        }
    }
}
