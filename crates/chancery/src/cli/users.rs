//! `chancery users …`

use std::path::PathBuf;

use clap::{Args, Subcommand};
use consent::Role;
use mfa::{SecondFactorPolicy, Username};
use protocol::SessionId;

use super::Confirm;

/// Commands about users.
#[derive(Clone, Debug, Subcommand)]
pub enum UsersCommand {
    /// List them, by name
    List {
        /// Only names with this text in them
        #[arg(long, value_name = "TEXT")]
        search: Option<String>,
        /// Only names after this one
        #[arg(long, value_name = "NAME")]
        after: Option<String>,
        /// At most so many
        #[arg(long, default_value_t = 100, value_name = "NUMBER")]
        limit: u32,
    },
    /// Make one
    Create(Box<UserCreate>),
    /// Show one: second factor, sessions, consents, failed attempts
    Show {
        /// The name, or the id that is the `sub` of tokens
        user: String,
    },
    /// Give one another password; every session and grant ends
    SetPassword {
        /// The name, or the id that is the `sub` of tokens
        user: String,
        /// Where it comes from.
        #[command(flatten)]
        password: PasswordSource,
    },
    /// Remove authenticator and recovery codes, so that the person enrols anew; every session ends
    ResetMfa {
        /// The name, or the id that is the `sub` of tokens
        user: String,
        /// Whether to ask
        #[command(flatten)]
        confirm: Confirm,
    },
    /// End every session and grant, and let nobody sign in
    Disable {
        /// The name, or the id that is the `sub` of tokens
        user: String,
        /// Whether to ask
        #[command(flatten)]
        confirm: Confirm,
    },
    /// Let a disabled one sign in again; what ended stays ended
    Enable {
        /// The name, or the id that is the `sub` of tokens
        user: String,
    },
    /// Where one is signed in
    #[command(subcommand)]
    Sessions(SessionsCommand),
}

/// Commands about the sessions of a user.
#[derive(Clone, Debug, Subcommand)]
pub enum SessionsCommand {
    /// List the live ones
    List {
        /// The name, or the id that is the `sub` of tokens
        user: String,
    },
    /// End one, or all
    End {
        /// The name, or the id that is the `sub` of tokens
        user: String,
        /// Which; it is the `sid` of ID tokens
        #[arg(required_unless_present = "all")]
        session: Option<SessionId>,
        /// All of them
        #[arg(long, conflicts_with = "session")]
        all: bool,
    },
}

/// What `users create` takes.
#[derive(Clone, Debug, Args)]
pub struct UserCreate {
    /// The name that the person types
    pub username: Username,
    /// Where the password comes from.
    #[command(flatten)]
    pub password: PasswordSource,
    /// Nobody signs in by password
    #[arg(long, conflicts_with_all = ["password_file", "generate_password"])]
    pub no_password: bool,
    /// Full name
    #[arg(long)]
    pub name: Option<String>,
    /// E-mail address
    #[arg(long)]
    pub email: Option<String>,
    /// A role that the person holds; repeat for several
    #[arg(long)]
    pub role: Vec<Role>,
    /// A second-factor policy of the account's own: required or if-enrolled
    #[arg(long, value_name = "POLICY")]
    pub second_factor: Option<SecondFactorPolicy>,
    /// Further claims as a JSON object with OpenID Connect's names; - is standard input
    #[arg(long, value_name = "FILE")]
    pub claims_file: Option<PathBuf>,
}

/// Where a password comes from; at a terminal, without any of these, it is asked for.
#[derive(Clone, Debug, Default, Args)]
pub struct PasswordSource {
    /// Read it from this file; - is standard input
    #[arg(long, value_name = "FILE")]
    pub password_file: Option<PathBuf>,
    /// Make one, and print it this once
    #[arg(long, conflicts_with = "password_file")]
    pub generate_password: bool,
}
