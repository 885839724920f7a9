//! The `chancery` binary.

use std::process::ExitCode;

use clap::Parser;
use mimalloc::MiMalloc;

/// Small, short-lived allocations from many threads are what a request is made of; the system's
/// allocator takes up to twice the time for them.
#[global_allocator]
static ALLOCATOR: MiMalloc = MiMalloc;

#[tokio::main]
async fn main() -> ExitCode {
    chancery::run(chancery::cli::Cli::parse()).await
}
