//! `madang`: the node's daemon and its commands.

use std::process::ExitCode;

/// A request allocates a hundred small things, most of them for the length of one poll: with the C library's allocator they take a tenth of its time.
#[global_allocator]
static ALLOCATOR: mimalloc::MiMalloc = mimalloc::MiMalloc;

fn main() -> ExitCode {
    madang::cli::run()
}
