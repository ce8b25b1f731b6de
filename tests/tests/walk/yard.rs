//! [`Yard`]: a folder with the homes of an anchor and of nodes, and a shell that finds the programs by their names.

use std::{
    fs,
    os::unix::fs::symlink,
    path::{Path, PathBuf},
    process::{Command, ExitStatus, Stdio},
};

use tempfile::TempDir;

const NODE: &str = env!("CARGO_BIN_EXE_node_process");
const PROVIDER: &str = env!("CARGO_BIN_EXE_anchor_process");

/// A folder, `$yard` to the shell. What was left running in it ends with it.
pub(crate) struct Yard {
    folder: TempDir,
}

impl Yard {
    pub(crate) fn new() -> Self {
        let yard = Self {
            folder: tempfile::tempdir().unwrap(),
        };
        fs::create_dir(yard.programs()).unwrap();
        for (name, program) in [("madang", NODE), ("madang-anchor", PROVIDER)] {
            symlink(program, yard.programs().join(name)).unwrap();
        }
        yard
    }

    pub(crate) fn path(&self) -> &Path {
        self.folder.path()
    }

    /// Where the shell looks for programs first.
    pub(crate) fn programs(&self) -> PathBuf {
        self.path().join("programs")
    }

    /// Starts an anchor, and has mina's node join it with `home`.
    pub(crate) fn join(&self, home: &str) {
        self.run(&format!(
            "url=$(madang-anchor --home $yard/anchor serve --listen 127.0.0.1:0 --bg | sed -n 's/^listening on \\([^ ]*\\) .*/\\1/p')
             echo 'a long password for mina' | madang-anchor --home $yard/anchor account add mina --password-stdin
             echo 'a long password for mina' | madang --home \"$yard/{home}\" join $url --handle mina --password-stdin --yes"
        ));
    }

    /// Runs `commands` as a shell does that stops at the first one that fails; gives what it said.
    pub(crate) fn run(&self, commands: &str) -> String {
        let (status, said) = self.try_run(commands);
        assert!(status.success(), "{said}");
        said
    }

    /// [`Self::run`], however it ends.
    pub(crate) fn try_run(&self, commands: &str) -> (ExitStatus, String) {
        let path = std::env::var("PATH").unwrap();
        let output = self.path().join("output");
        // A file and no pipe: what goes on in the background keeps it open.
        let file = fs::File::create(&output).unwrap();
        let status = Command::new("bash")
            .args(["-euxo", "pipefail", "-c", commands])
            .env("PATH", format!("{}:{path}", self.programs().display()))
            .env("yard", self.path())
            .env("HOME", self.path())
            .env_remove("XDG_CONFIG_HOME")
            .env_remove("XDG_DATA_HOME")
            .env_remove("DISPLAY")
            .env_remove("WAYLAND_DISPLAY")
            .stdin(Stdio::null())
            .stdout(file.try_clone().unwrap())
            .stderr(file)
            .status()
            .unwrap();
        (status, fs::read_to_string(&output).unwrap())
    }
}

impl Drop for Yard {
    fn drop(&mut self) {
        for (program, home) in [(NODE, "joon"), (NODE, "mina"), (PROVIDER, "anchor")] {
            let down = Command::new(program)
                .arg("--home")
                .arg(self.path().join(home))
                .arg("down")
                .output();
            // Most often it is gone already, which the command says too.
            drop(down);
        }
    }
}
