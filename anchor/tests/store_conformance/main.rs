//! What every engine of the store must do, run on each: a folder, and PostgreSQL where its server is installed.

#![expect(
    clippy::unwrap_used,
    clippy::print_stderr,
    reason = "a test fails by panicking, and says what it leaves out"
)]

mod accounts;
mod cabinet;
mod chains;
mod copies;
mod events;
mod holds;
mod money;
mod organisations;
mod periods;
mod persons;
mod quotas;
mod settling;
mod statistics;
#[path = "../support/mod.rs"]
mod support;
mod town;

use std::{process::ExitCode, sync::Arc};

use libtest_mimic::{Arguments, Trial};

use support::{Place, database::Server};

/// One thing that an engine must do.
pub(crate) struct Check {
    name: &'static str,
    check: fn(&Place),
}

impl Check {
    pub(crate) const fn new(name: &'static str, check: fn(&Place)) -> Self {
        Self { name, check }
    }
}

/// Something that a server's databases must do.
type OfServer = fn(&Arc<Server>);

fn main() -> ExitCode {
    let arguments = Arguments::from_args();
    let server = if arguments.list {
        Err("only listed".to_owned())
    } else {
        Server::start()
    };
    let (server, why) = match server {
        Ok(server) => (Some(Arc::new(server)), String::new()),
        Err(why) => (None, why),
    };
    let checks = [
        accounts::CHECKS,
        chains::CHECKS,
        events::CHECKS,
        holds::CHECKS,
        money::CHECKS,
        organisations::CHECKS,
        persons::CHECKS,
        periods::CHECKS,
        quotas::CHECKS,
        settling::CHECKS,
        statistics::CHECKS,
    ];
    let mut trials = Vec::new();
    for check in checks.into_iter().flatten() {
        trials.push(Trial::test(format!("folder::{}", check.name), || {
            (check.check)(&Place::Folder);
            Ok(())
        }));
        let name = format!("postgres::{}", check.name);
        let on = server.clone();
        let trial = Trial::test(name, move || {
            let server = on.ok_or("no server")?;
            (check.check)(&Place::Database(server));
            Ok(())
        });
        trials.push(trial.with_ignored_flag(server.is_none()));
    }
    let of_a_server: [(&str, OfServer); 4] = [
        (
            "postgres::a_folders_store_becomes_a_database_that_goes_on_from_it",
            copies::a_folders_store_becomes_a_database_that_goes_on_from_it,
        ),
        (
            "postgres::a_reader_that_follows_two_writers_misses_nothing",
            events::a_reader_that_follows_two_writers_misses_nothing,
        ),
        (
            "postgres::what_was_changed_in_a_database_is_found_and_named",
            chains::what_was_changed_in_a_database_is_found_and_named,
        ),
        (
            "postgres::two_anchors_follow_one_another",
            statistics::two_anchors_follow_one_another,
        ),
    ];
    for (name, check) in of_a_server {
        let on = server.clone();
        let trial = Trial::test(name, move || {
            check(&on.ok_or("no server")?);
            Ok(())
        });
        trials.push(trial.with_ignored_flag(server.is_none()));
    }
    let conclusion = libtest_mimic::run(&arguments, trials);
    if server.is_none() && !arguments.list {
        eprintln!("left out: what PostgreSQL must do, since {why}");
    }
    conclusion.exit_code()
}
