//! The demo as a program that a test can start: Cargo names the examples of another package to nobody.

use std::process::ExitCode;

fn main() -> ExitCode {
    madang_examples::demo::main()
}
