//! `chancery registration …`

use chrono::TimeDelta;
use clap::{Args, Subcommand};
use uuid::Uuid;

use super::{Confirm, value::duration};

/// Commands about clients that register themselves.
#[derive(Clone, Debug, Subcommand)]
pub enum RegistrationCommand {
    /// Initial access tokens: what lets somebody register a client
    #[command(subcommand)]
    Tokens(TokensCommand),
}

/// Commands about initial access tokens.
#[derive(Clone, Debug, Subcommand)]
pub enum TokensCommand {
    /// Make one; it is printed this once
    Create(TokenCreate),
    /// List them, without the tokens themselves
    List {
        /// Those too that are spent, expired or revoked
        #[arg(long)]
        all: bool,
    },
    /// End one; clients that came with it stay
    Revoke {
        /// Its number, as `list` shows it
        id: Uuid,
        /// Whether to ask
        #[command(flatten)]
        confirm: Confirm,
    },
}

/// What `registration tokens create` takes.
#[derive(Clone, Debug, Args)]
pub struct TokenCreate {
    /// What clients that come with it may be: a name of [[registration.policies]]
    #[arg(long, value_name = "NAME")]
    pub policy: String,
    /// Let it register any number of clients, until it expires or is revoked
    #[arg(long, conflicts_with = "uses")]
    pub reusable: bool,
    /// How many clients it registers [default: 1]
    #[arg(long, value_name = "COUNT", value_parser = clap::value_parser!(i64).range(1..))]
    pub uses: Option<i64>,
    /// When it ends, such as 30d; never for a token without end
    #[arg(long, value_name = "DURATION", default_value = "30d", value_parser = expiry)]
    pub expires: Expiry,
    /// Whom it is for, in your own words
    #[arg(long, default_value = "")]
    pub note: String,
}

/// How long something counts; `None` for ever.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Expiry(pub Option<TimeDelta>);

/// A duration such as `30d`, or `never`.
///
/// # Errors
/// Says what is wrong.
pub fn expiry(text: &str) -> Result<Expiry, String> {
    match text {
        "never" => Ok(Expiry(None)),
        text => duration(text).map(|span| Expiry(Some(span))),
    }
}
