//! [`Victim`]: a process that is killed.

use std::{
    ffi::OsStr,
    io::{BufRead as _, BufReader, Read as _},
    os::unix::process::ExitStatusExt as _,
    process::{Child, ChildStdout, Command, Stdio},
    sync::{Mutex, PoisonError},
};

/// Runs while nothing else here does: a process that is being started has, for a moment, every file of this one, and the lock of a store with it. So
/// a store is opened here, and a process started, never at once.
pub(crate) fn alone<T>(run: impl FnOnce() -> T) -> T {
    static ALONE: Mutex<()> = Mutex::new(());
    let _alone = ALONE.lock().unwrap_or_else(PoisonError::into_inner);
    run()
}

/// A process with its output. Dropping it kills it.
pub(crate) struct Victim {
    child: Child,
    out: BufReader<ChildStdout>,
}

impl Victim {
    pub(crate) fn start<S: AsRef<OsStr>>(program: &str, arguments: &[S]) -> Self {
        let mut command = Command::new(program);
        command
            .args(arguments)
            .env("MADANG_LOG", "error")
            .stdout(Stdio::piped());
        let mut child = alone(|| command.spawn().unwrap());
        let out = BufReader::new(child.stdout.take().unwrap());
        Self { child, out }
    }

    /// The next line; empty when the process has ended.
    pub(crate) fn line(&mut self) -> String {
        let mut line = String::new();
        self.out.read_line(&mut line).unwrap();
        line
    }

    /// kill −9: and it must have been that which ended it. Gives what the process has said and nobody read.
    pub(crate) fn kill(mut self) -> String {
        self.child.kill().unwrap();
        let mut rest = String::new();
        self.out.read_to_string(&mut rest).unwrap();
        let status = self.child.wait().unwrap();
        assert_eq!(
            status.signal(),
            Some(9),
            "it ended by itself: {status}\n{rest}"
        );
        rest
    }

    /// Lets it end by itself, and well.
    pub(crate) fn finish(mut self) -> String {
        let mut rest = String::new();
        self.out.read_to_string(&mut rest).unwrap();
        let status = self.child.wait().unwrap();
        assert!(status.success(), "{status}\n{rest}");
        rest
    }
}

impl Drop for Victim {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}
