//! The grammar of the command line; `docs/cli.md` is made of it.
//!
//! Exit codes: 0 done, 1 failed, 2 the command line, the configuration or what was given is wrong, 3
//! there is nothing of that name, 4 what was checked breaks a rule.

pub mod audit;
pub mod backup;
pub mod catalogue;
pub mod clients;
pub mod consents;
pub mod keys;
pub mod registration;
pub mod users;
pub mod value;

use std::path::{Path, PathBuf};

use clap::{Args, Parser, Subcommand};
use clap_complete::Shell;

/// Where the configuration is looked for if nothing else is said.
pub const DEFAULT_CONFIG: &str = "/etc/chancery/chancery.toml";

const EXIT_CODES: &str = "Exit codes:
  0  done
  1  failed
  2  the command line, the configuration or what was given is wrong
  3  there is nothing of that name
  4  what was checked breaks a rule";

/// The whole command line.
#[derive(Debug, Parser)]
#[command(
    name = "chancery",
    version,
    about = "OAuth 2.1 and OpenID Connect server for banks",
    propagate_version = true,
    after_help = EXIT_CODES
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
#[derive(Clone, Debug, Default, Args)]
pub struct Common {
    /// The configuration file [default: /etc/chancery/chancery.toml, if there is one]
    #[arg(long, global = true, env = "CHANCERY_CONFIG", value_name = "FILE")]
    pub config: Option<PathBuf>,
    /// Answer in JSON; failures too, on standard error
    #[arg(long, global = true)]
    pub json: bool,
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
    /// Bring the database schema up to date
    Migrate,
    /// Take a copy of the database while servers run
    ///
    /// The copy is of one moment, checked, and readable by its owner only. On SQLite it is a database
    /// file, on PostgreSQL what `pg_dump --format=custom` writes: pg_dump and pg_restore must be on the
    /// path. It holds sealed keys, never the key-encryption key.
    Backup(backup::BackupArgs),
    /// Make an empty database one like a backup
    ///
    /// Every row is read and every sealed record opened before anything counts. Then all sessions and
    /// grants end, because nothing in a backup tells which of them ended after it was taken.
    Restore(backup::RestoreArgs),
    /// Make the server agree with a file that describes the bank; shows the difference first
    Apply(ApplyArgs),
    /// Look at the configuration
    #[command(subcommand)]
    Config(ConfigCommand),
    /// Ask a running server whether it is ready; exits with 0 if it is
    Health,
    /// The apps that may ask for access
    #[command(subcommand)]
    Clients(clients::ClientsCommand),
    /// Clients that register themselves
    #[command(subcommand)]
    Registration(registration::RegistrationCommand),
    /// The bank's APIs, which take our access tokens
    #[command(subcommand)]
    ResourceServers(catalogue::ResourceServersCommand),
    /// What apps may ask for
    #[command(subcommand)]
    Scopes(catalogue::ScopesCommand),
    /// The bank's customers
    #[command(subcommand)]
    Users(users::UsersCommand),
    /// What customers allowed
    #[command(subcommand)]
    Consents(consents::ConsentsCommand),
    /// What happened
    #[command(subcommand)]
    Audit(audit::AuditCommand),
    /// The keys that sign tokens
    #[command(subcommand)]
    Keys(keys::KeysCommand),
    /// Print a completion script for a shell
    Completions {
        /// The shell
        shell: Shell,
    },
    /// Print the manual page
    Man {
        /// Write the pages of all commands into this directory instead
        #[arg(long, value_name = "DIR")]
        directory: Option<PathBuf>,
    },
    /// Print the reference of the command line as Markdown
    #[command(hide = true)]
    Reference,
}

/// Commands about the configuration.
#[derive(Clone, Copy, Debug, Subcommand)]
pub enum ConfigCommand {
    /// Explain every mistake with file, key and remedy; exits with 2 if there is one
    Check,
    /// Print the reference of all settings as Markdown
    Reference,
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

/// What takes something away asks first.
#[derive(Clone, Copy, Debug, Default, Args)]
pub struct Confirm {
    /// Do not ask before acting
    #[arg(short, long)]
    pub yes: bool,
}

/// Where a secret comes from, if not from this server's own randomness.
#[derive(Clone, Debug, Default, Args)]
pub struct SecretSource {
    /// Take the secret from this file instead of making one; - is standard input
    #[arg(long, value_name = "FILE")]
    pub secret_file: Option<PathBuf>,
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

    #[test]
    fn no_argument_takes_a_secret() {
        fn check(command: &clap::Command) {
            for argument in command.get_arguments() {
                let name = argument.get_id().as_str();
                let secret = ["password", "secret"].iter().any(|word| name.contains(word));
                let harmless = name.ends_with("_file") || !argument.get_action().takes_values();
                assert!(!secret || harmless, "{} {name}", command.get_name());
            }
            command.get_subcommands().for_each(check);
        }
        check(&Cli::command());
    }
}
