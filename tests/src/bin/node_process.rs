//! `madang` once more: a test of this crate can start its own crate's programs only. The library does everything but choose the allocator.

use std::process::ExitCode;

#[global_allocator]
static ALLOCATOR: mimalloc::MiMalloc = mimalloc::MiMalloc;

fn main() -> ExitCode {
    madang::cli::run()
}
