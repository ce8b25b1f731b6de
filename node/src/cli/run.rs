//! From arguments to an exit code.

use std::process::ExitCode;

use clap::{Parser as _, error::ErrorKind};

use super::{
    args::{Cli, Command, Consent},
    failure::Failure,
    get, join, look, out, serve, up,
};
use crate::{doctor, home::Home, service};

/// Does what the arguments of this process say.
pub fn run() -> ExitCode {
    let cli = match Cli::try_parse() {
        Ok(cli) => cli,
        Err(error) => return refuse_or_help(&error),
    };
    match act(cli) {
        Ok(code) => code,
        Err(failure) => {
            out::note(format!("madang: {}", failure.text));
            failure.code()
        }
    }
}

/// Help and version are what was asked for; everything else is one line.
fn refuse_or_help(error: &clap::Error) -> ExitCode {
    if matches!(
        error.kind(),
        ErrorKind::DisplayHelp | ErrorKind::DisplayVersion
    ) {
        out::line(error.to_string().trim_end());
        return ExitCode::SUCCESS;
    }
    let text = error.to_string();
    let first = text.split("\n\n").next().unwrap_or_default();
    let line = first.split_whitespace().collect::<Vec<_>>().join(" ");
    let line = line.strip_prefix("error: ").unwrap_or(&line);
    out::note(format!("madang: {line}; see `madang --help`"));
    ExitCode::from(2)
}

fn act(cli: Cli) -> Result<ExitCode, Failure> {
    let home = Home::locate(cli.home).map_err(Failure::misuse)?;
    match cli.command {
        // The daemon has a runtime with all its threads; a command needs one.
        Command::Up(args) => up::up(&home, args.bg).map(done),
        Command::Serve(args) => serve::serve(&home, args).map(done),
        Command::Join(args) => brief(join::join(home, args)).map(done),
        Command::Down => brief(look::down(&home)).map(done),
        Command::Unserve(args) => brief(serve::unserve(&home, args)).map(done),
        Command::Open(args) => brief(look::open(&home, args)).map(done),
        Command::Get(args) => brief(get::get(&home, args)).map(done),
        Command::List(args) => brief(look::list(&home, args.json)).map(done),
        Command::Wallet(args) => brief(look::wallet(&home, args.json)).map(done),
        Command::Bill(args) => brief(look::bill(&home, args)).map(done),
        Command::Consent(Consent::List(args)) => brief(look::consents(&home, args.json)).map(done),
        Command::Consent(Consent::Agree { site, max, pass }) => {
            brief(look::agree(&home, &site, &max, pass)).map(done)
        }
        Command::Consent(Consent::Withdraw { site }) => {
            brief(look::withdraw(&home, &site)).map(done)
        }
        Command::Status(args) => brief(look::status(&home, args.json)).map(done),
        Command::Doctor(args) => brief(examine(&home, args.json)),
        Command::Service(command) => {
            service::run(&home, &command)
                .map_err(Failure::failed)
                .map(|said| {
                    said.iter().for_each(out::line);
                    ExitCode::SUCCESS
                })
        }
    }
}

fn done((): ()) -> ExitCode {
    ExitCode::SUCCESS
}

/// Runs a command that is over soon.
fn brief<T>(command: impl Future<Output = Result<T, Failure>>) -> Result<T, Failure> {
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()
        .map_err(Failure::failed)?;
    runtime.block_on(command)
}

/// Exit code 1 says that something is wrong.
async fn examine(home: &Home, json: bool) -> Result<ExitCode, Failure> {
    let findings = doctor::examine(home).await;
    if json {
        out::json(&findings)?;
    } else {
        for finding in &findings {
            out::line(finding.to_string());
        }
    }
    let is_well = findings.iter().all(doctor::Finding::is_well);
    Ok(ExitCode::from(u8::from(!is_well)))
}
