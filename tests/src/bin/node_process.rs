//! `madang` once more: a test of this crate can start its own crate's programs only. The library does everything.

use std::process::ExitCode;

fn main() -> ExitCode {
    madang::cli::run()
}
