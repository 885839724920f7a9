//! What each command does.

pub mod apply;
pub mod config;
pub mod database;
pub mod health;
pub mod keys;
pub mod serve;

use std::{
    fmt::Display,
    io::{self, Write},
    process::ExitCode,
};

use crate::{
    cli::{Cli, Command, Common},
    config::Settings,
};

/// The command failed.
pub const FAILED: u8 = 1;
/// The command line or the configuration is wrong.
pub const MISCONFIGURED: u8 = 2;

/// Runs one command to its end.
pub async fn run(cli: Cli) -> ExitCode {
    let outcome = match cli.command {
        Command::Serve(arguments) => serve::run(&arguments, &cli.common).await,
        Command::Apply(arguments) => apply::run(&arguments, &cli.common).await,
        Command::Config(command) => config::run(command, &cli.common),
        Command::Migrate => database::migrate(&cli.common).await,
        Command::Keys(command) => keys::run(command, &cli.common).await,
        Command::Health => health::run(&cli.common).await,
    };
    match outcome {
        Ok(()) => ExitCode::SUCCESS,
        Err(failure) => {
            // Nobody reads a closed pipe; there is nothing else to tell.
            let _ = writeln!(io::stderr(), "{}", failure.message);
            ExitCode::from(failure.code)
        }
    }
}

/// How a command fails: what people read, and what scripts read.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Failure {
    /// For standard error.
    pub message: String,
    /// For the shell.
    pub code: u8,
}

impl Failure {
    /// A failure with exit code 1.
    pub fn new(message: impl Display) -> Self {
        Self { message: message.to_string(), code: FAILED }
    }
}

/// The configuration of a command that needs one.
///
/// # Errors
/// All mistakes in one message, with exit code 2.
pub fn settings(common: &Common) -> Result<Settings, Failure> {
    let environment = std::env::vars_os()
        .filter_map(|(name, value)| Some((name.into_string().ok()?, value.into_string().ok()?)));
    Settings::load(common.file().as_deref(), environment).map_err(|mistakes| {
        let mut message: Vec<String> = mistakes.iter().map(ToString::to_string).collect();
        message.push(match mistakes.len() {
            1 => "1 mistake".to_owned(),
            count => format!("{count} mistakes"),
        });
        Failure { message: message.join("\n"), code: MISCONFIGURED }
    })
}

/// Writes to standard output.
///
/// # Errors
/// If nobody reads it any more.
pub fn say(text: impl Display) -> Result<(), Failure> {
    writeln!(io::stdout(), "{text}").map_err(Failure::new)
}
