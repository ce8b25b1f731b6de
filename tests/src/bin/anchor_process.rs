//! `madang-anchor` once more: a test of this crate can start its own crate's programs only. The library does everything.

use std::process::ExitCode;

fn main() -> ExitCode {
    madang_anchor::cli::run(std::env::args_os())
}
