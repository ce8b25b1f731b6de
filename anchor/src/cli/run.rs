//! From arguments to an exit code.

use std::{ffi::OsString, io::Write as _, process::ExitCode};

use clap::{Parser as _, error::ErrorKind};

use super::{
    args::{Cli, StoreSub, Sub},
    background, books, copy, export, invoices, ledger, operate, serve, stats,
};
use crate::{
    config::{ConfigError, raw::RawConfig},
    home::{HOME_VARIABLE, Home},
};

/// Why the program does not end well.
#[derive(Debug)]
pub(super) enum Failure {
    /// The command line or the configuration is wrong: exit code 2.
    Mistake(String),
    /// Anything else: exit code 1.
    Failed(anyhow::Error),
}

impl<E: Into<anyhow::Error>> From<E> for Failure {
    fn from(error: E) -> Self {
        Self::Failed(error.into())
    }
}

impl Failure {
    pub(super) fn of_config(error: &ConfigError) -> Self {
        Self::Mistake(error.to_string())
    }
}

/// Does what `arguments` say.
pub fn run(arguments: impl IntoIterator<Item = OsString>) -> ExitCode {
    let arguments: Vec<OsString> = arguments.into_iter().collect();
    let cli = match Cli::try_parse_from(&arguments) {
        Ok(cli) => cli,
        Err(error) => return refuse(&error),
    };
    let done = match home(&cli) {
        Ok(home) => match cli.command {
            Sub::Serve(flags) if flags.bg => background::start(&home, &arguments),
            Sub::Serve(flags) => serve::serve(home, flags.config),
            Sub::Down => background::down(&home),
            Sub::Account(sub) => operate::account(&home, sub),
            Sub::Dispute(sub) => books::dispute(&home, sub),
            Sub::Device(sub) => operate::device(&home, sub),
            Sub::Ledger(sub) => ledger::ledger(&home, sub),
            Sub::Export(sub) => export::export(&home, sub),
            Sub::Period(sub) => invoices::period(&home, sub),
            Sub::Invoice(sub) => invoices::invoice(&home, sub),
            Sub::Store(StoreSub::Copy { database, instance }) => {
                copy::copy(&home, database, instance)
            }
            Sub::Stats(asked) => stats::stats(&home, *asked),
            Sub::Status(output) => operate::status(&home, output),
        },
        Err(failure) => Err(failure),
    };
    match done {
        Ok(()) => ExitCode::SUCCESS,
        Err(Failure::Mistake(line)) => complain(&line, 2),
        Err(Failure::Failed(error)) => complain(&in_one_line(&error), 1),
    }
}

fn home(cli: &Cli) -> Result<Home, Failure> {
    let named = cli.home.as_ref().map(Home::new);
    named.or_else(Home::of_user).ok_or_else(|| {
        Failure::Mistake(format!(
            "no home folder is known: give --home or set {HOME_VARIABLE}"
        ))
    })
}

/// What clap says: help in full, a mistake in one line.
fn refuse(error: &clap::Error) -> ExitCode {
    if matches!(
        error.kind(),
        ErrorKind::DisplayHelp | ErrorKind::DisplayVersion
    ) {
        return match error.print() {
            Ok(()) => ExitCode::SUCCESS,
            Err(_) => ExitCode::FAILURE,
        };
    }
    let text = error.render().to_string();
    let paragraph = text.split("\n\n").next().unwrap_or_default();
    let line: Vec<&str> = paragraph.split_whitespace().collect();
    let line = line.join(" ");
    let line = line.strip_prefix("error: ").unwrap_or(&line);
    let line = if error.kind() == ErrorKind::DisplayHelpOnMissingArgumentOrSubcommand {
        "a command is missing; try --help"
    } else {
        line
    };
    complain(line, 2)
}

/// What failed and why, without the causes that the words before them hold already.
fn in_one_line(error: &anyhow::Error) -> String {
    let mut line = error.to_string();
    for cause in error.chain().skip(1).map(ToString::to_string) {
        if !line.contains(&cause) {
            line = format!("{line}: {cause}");
        }
    }
    line
}

fn complain(line: &str, code: u8) -> ExitCode {
    // Where standard error is closed, the exit code still says it.
    let _ = writeln!(std::io::stderr(), "error: {}", line.replace('\n', " "));
    ExitCode::from(code)
}

/// The configuration's file in `home`, with `flags` before it.
pub(super) fn configured(home: &Home, flags: RawConfig) -> Result<RawConfig, Failure> {
    let file = RawConfig::read(home).map_err(|error| Failure::of_config(&error))?;
    Ok(file.overridden_by(flags))
}
