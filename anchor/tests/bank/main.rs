//! Many threads, and on PostgreSQL three anchors, move money while their processes, and the database, are killed again and again: no acknowledged operation is lost, none is done twice,
//! and no balance is ever below its limit. After Jepsen's bank test; on each engine, PostgreSQL where its server is installed.
//!
//! `MADANG_BANK_OPERATIONS` says how many operations each engine does: 1,000,000 for a release, 50,000 in CI, 5,000 where nothing is said.

#![expect(
    clippy::unwrap_used,
    clippy::print_stderr,
    reason = "a test fails by panicking, and says what it leaves out"
)]

mod operation;
#[path = "../support/mod.rs"]
mod support;
mod teller;
mod town;
mod watch;

use std::{process::ExitCode, sync::Arc};

use libtest_mimic::{Arguments, Trial};

use support::database::Server;
use watch::Watch;

fn main() -> ExitCode {
    let words: Vec<String> = std::env::args().collect();
    if let [_, role, place, seat, seed, from, until] = words.as_slice()
        && role == "teller"
    {
        let number = |word: &String| word.parse::<u64>().unwrap();
        teller::run(
            place,
            number(seat),
            number(seed),
            number(from)..number(until),
        );
        return ExitCode::SUCCESS;
    }
    let arguments = Arguments::from_args();
    let server = match arguments.list {
        true => Err("only listed".to_owned()),
        false => Server::start(),
    };
    let (server, why) = match server {
        Ok(server) => (Some(Arc::new(server)), String::new()),
        Err(why) => (None, why),
    };
    let on = server.clone();
    let trials = vec![
        Trial::test("folder::money_is_neither_lost_nor_made", || {
            let dir = tempfile::TempDir::new().unwrap();
            Watch::folder(dir.path()).over(operations());
            Ok(())
        }),
        Trial::test("postgres::money_is_neither_lost_nor_made", move || {
            Watch::database(&on.ok_or("no server")?).over(operations());
            Ok(())
        })
        .with_ignored_flag(server.is_none()),
    ];
    let conclusion = libtest_mimic::run(&arguments, trials);
    if server.is_none() && !arguments.list {
        eprintln!("left out: the bank on PostgreSQL, since {why}");
    }
    conclusion.exit_code()
}

fn operations() -> u64 {
    let said = std::env::var("MADANG_BANK_OPERATIONS");
    said.map_or(OPERATIONS, |said| said.parse().unwrap())
}

const OPERATIONS: u64 = 5_000;
