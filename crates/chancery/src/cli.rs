//! The grammar of the command line.
//!
//! Exit codes: 0 done, 1 failed, 2 the command line or the configuration is wrong.

use std::path::{Path, PathBuf};

use clap::{Args, Parser, Subcommand};

/// Where the configuration is looked for if nothing else is said.
pub const DEFAULT_CONFIG: &str = "/etc/chancery/chancery.toml";

/// The whole command line.
#[derive(Debug, Parser)]
#[command(
    name = "chancery",
    version,
    about = "OAuth 2.1 and OpenID Connect server for banks",
    propagate_version = true
)]
pub struct Cli {
    /// What every command takes.
    #[command(flatten)]
    pub common: Common,
    /// What to do.
    #[command(subcommand)]
    pub command: Command,
}

/// What every command takes.
#[derive(Clone, Debug, Args)]
pub struct Common {
    /// The configuration file [default: /etc/chancery/chancery.toml, if there is one]
    #[arg(long, global = true, env = "CHANCERY_CONFIG", value_name = "FILE")]
    pub config: Option<PathBuf>,
}

impl Common {
    /// The file to read. One that was named must exist; the default one may be absent, because
    /// everything can come from the environment.
    pub fn file(&self) -> Option<PathBuf> {
        self.config.clone().or_else(|| {
            let default = Path::new(DEFAULT_CONFIG);
            default.exists().then(|| default.to_owned())
        })
    }
}

/// One command.
#[derive(Debug, Subcommand)]
pub enum Command {
    /// Serve, until a signal says stop
    Serve(ServeArgs),
    /// Make the server agree with a file that describes the bank; shows the difference first
    Apply(ApplyArgs),
    /// Bring the database schema up to date
    Migrate,
    /// Look at the configuration
    #[command(subcommand)]
    Config(ConfigCommand),
    /// Look at the signing keys
    #[command(subcommand)]
    Keys(KeysCommand),
    /// Ask a running server whether it is ready; exits with 0 if it is
    Health,
}

/// Commands about the configuration.
#[derive(Clone, Copy, Debug, Subcommand)]
pub enum ConfigCommand {
    /// Explain every mistake with file, key and remedy; exits with 2 if there is one
    Check,
    /// Print the reference of all settings as Markdown
    Reference,
}

/// Commands about signing keys.
#[derive(Clone, Copy, Debug, Subcommand)]
pub enum KeysCommand {
    /// Show every signing key and where it is in its life
    List,
}

/// What `serve` takes.
#[derive(Clone, Debug, Args)]
pub struct ServeArgs {
    /// Bring the database schema up to date first
    #[arg(long)]
    pub migrate: bool,
}

/// What `apply` takes.
#[derive(Clone, Debug, Args)]
pub struct ApplyArgs {
    /// The file that describes the bank
    #[arg(short, long, value_name = "FILE")]
    pub file: PathBuf,
    /// Only show the difference
    #[arg(long)]
    pub dry_run: bool,
    /// Do not ask before acting
    #[arg(short, long)]
    pub yes: bool,
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use clap::CommandFactory;

    use super::*;

    #[test]
    fn the_grammar_is_sound() {
        Cli::command().debug_assert();
    }

    #[test]
    fn the_file_may_be_named_anywhere() {
        for line in [
            ["chancery", "--config", "a.toml", "config", "check"],
            ["chancery", "config", "check", "--config", "a.toml"],
        ] {
            let cli = Cli::try_parse_from(line).unwrap();
            assert_eq!(cli.common.file(), Some(PathBuf::from("a.toml")));
        }
    }
}
