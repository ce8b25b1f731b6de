//! The whole path on one machine: an anchor, a seller's node, a buyer's node, and a purchase through a plain browser's eyes.
//!
//! `cargo run --release --example demo [-- --once] [-- --state DIR]`

use std::process::ExitCode;

fn main() -> ExitCode {
    madang_examples::demo::main()
}
