//! Programs that a test is better with: where they are, and what is said where they are not.

use std::{
    env,
    path::PathBuf,
    process::{Command, Output},
};

/// Whether a test that has to leave something out fails: where everything is expected to be installed.
const ALL_VARIABLE: &str = "MADANG_ALL_PROGRAMS";

/// What is said where `name` is not installed.
pub(crate) fn missing(name: &str) -> String {
    assert!(
        env::var_os(ALL_VARIABLE).is_none(),
        "{name} is not installed, and {ALL_VARIABLE} says that everything is"
    );
    format!("{name} is not installed")
}

/// Another program.
#[derive(Clone)]
pub(crate) struct Program(PathBuf);

impl Program {
    /// Looks for `name` where programs are.
    ///
    /// # Errors
    /// That it is not there.
    pub(crate) fn find(name: &str) -> Result<Self, String> {
        let folders = env::var_os("PATH").unwrap_or_default();
        let found = env::split_paths(&folders)
            .map(|folder| folder.join(name))
            .find(|path| path.is_file());
        match found {
            Some(path) => Ok(Self(path)),
            None => Err(missing(name)),
        }
    }

    pub(crate) fn run(&self, arguments: &[&str]) -> Output {
        Command::new(&self.0).args(arguments).output().unwrap()
    }
}
