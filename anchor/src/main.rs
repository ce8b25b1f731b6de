//! `madang-anchor`: the anchor's daemon and its operator's commands. Everything is in the library.

use std::process::ExitCode;

fn main() -> ExitCode {
    madang_anchor::cli::run(std::env::args_os())
}
