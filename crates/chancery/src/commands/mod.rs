//! What each command does.
//!
//! A command gives an [`Answer`](answer::Answer), in words and as JSON, or a [`Failure`]; [`run`]
//! prints it. Only what goes on for long (serving, following or exporting the audit trail) writes by
//! itself.

pub mod abandon;
pub mod answer;
pub mod apply;
pub mod audit;
pub mod backup;
pub mod catalogue;
pub mod clients;
pub mod config;
pub mod consents;
pub mod database;
pub mod dump;
pub mod health;
pub mod input;
pub mod keys;
pub mod manual;
pub mod operator;
pub mod people;
pub mod registration;
pub mod restore;
pub mod serve;
pub mod users;

use std::{
    fmt::Display,
    io::{self, Write},
    process::ExitCode,
};

use serde_json::json;

use self::answer::Answer;
use crate::{
    cli::{Cli, Command, Common},
    config::Settings,
};

/// The command failed.
pub const FAILED: u8 = 1;
/// The command line or the configuration is wrong.
pub const MISCONFIGURED: u8 = 2;

/// There is nothing of that name.
pub const NOT_FOUND: u8 = 3;

/// What was checked breaks a rule.
pub const UNFIT: u8 = 4;

/// Runs one command to its end.
pub async fn run(cli: Cli) -> ExitCode {
    let as_json = cli.common.json;
    let given = answer(&cli).await.and_then(|answer| answer.give(as_json).map(|()| answer.code()));
    match given {
        Ok(code) => ExitCode::from(code),
        Err(failure) => {
            let text = if as_json {
                json!({ "error": failure.message, "exit_code": failure.code }).to_string()
            } else {
                failure.message
            };
            // Nobody reads a closed pipe; there is nothing else to tell.
            if !text.is_empty() {
                let _ = writeln!(io::stderr(), "{text}");
            }
            ExitCode::from(failure.code)
        }
    }
}

/// What a command answers.
///
/// # Errors
/// As the exit codes say.
pub async fn answer(cli: &Cli) -> Result<Answer, Failure> {
    let common = &cli.common;
    match &cli.command {
        Command::Serve(arguments) => serve::run(arguments, common).await.map(|()| Answer::nothing()),
        Command::Apply(arguments) => apply::run(arguments, common).await,
        Command::Config(command) => config::run(*command, common),
        Command::Migrate => database::migrate(common).await,
        Command::Backup(arguments) => backup::run(arguments, common).await,
        Command::Restore(arguments) => restore::run(arguments, common).await,
        Command::Health => health::run(common).await,
        Command::Clients(command) => clients::run(command, common).await,
        Command::Registration(command) => registration::run(command, common).await,
        Command::ResourceServers(command) => catalogue::resource_servers(command, common).await,
        Command::Scopes(command) => catalogue::scopes(command, common).await,
        Command::Users(command) => users::run(command, common).await,
        Command::Consents(command) => consents::run(command, common).await,
        Command::Audit(command) => audit::run(command, common).await,
        Command::Keys(command) => keys::run(command, common).await,
        Command::Completions { shell } => manual::completions(*shell),
        Command::Man { directory } => manual::man(directory.as_deref()),
        Command::Reference => {
            let page = manual::markdown();
            Ok(Answer::new(page.trim_end(), json!({ "reference": page })))
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

    /// What is written can't be. Nobody complains of a pipe that was closed, as by `head`.
    pub fn writing(error: &io::Error) -> Self {
        let closed = error.kind() == io::ErrorKind::BrokenPipe;
        Self::new(if closed { String::new() } else { error.to_string() })
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
    writeln!(io::stdout(), "{text}").map_err(|error| Failure::writing(&error))
}

#[cfg(test)]
mod tests;
