//! `madang`: the node's daemon and its commands.

use std::process::ExitCode;

fn main() -> ExitCode {
    madang::cli::run()
}
