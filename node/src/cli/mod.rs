//! The command line. Exit codes: 0 after success, 1 after a failure, 2 for wrong flags or configuration; every failure is one line.

mod args;
mod background;
mod budget;
mod cost;
mod failure;
mod get;
mod join;
mod look;
mod out;
mod part;
mod run;
mod serve;
mod target;
mod up;

pub use args::{Cli, Command, Service};
pub use run::run;
