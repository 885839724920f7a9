//! The `chancery` binary.

use std::process::ExitCode;

use clap::Parser;

#[tokio::main]
async fn main() -> ExitCode {
    chancery::run(chancery::cli::Cli::parse()).await
}
