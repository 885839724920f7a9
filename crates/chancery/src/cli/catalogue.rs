//! `chancery resource-servers …` and `chancery scopes …`

use std::path::PathBuf;

use chrono::TimeDelta;
use clap::{Args, Subcommand};
use consent::Role;
use protocol::{ClientId, ScopeToken, client::TokenFormat};

use super::{
    Confirm, SecretSource,
    value::{Lifetime, duration, lifetime, token_format},
};

/// Commands about resource servers.
#[derive(Clone, Debug, Subcommand)]
pub enum ResourceServersCommand {
    /// List them
    List,
    /// Show one, without its secret
    Show {
        /// Its identifier, the `aud` of its tokens
        audience: String,
    },
    /// Declare one; an introspection secret is made, and printed this once
    Create {
        /// Its identifier, the `aud` of its tokens: an absolute URI
        audience: String,
        /// What is said about it.
        #[command(flatten)]
        members: ServerMembers,
        /// Its introspection secret.
        #[command(flatten)]
        secret: SecretSource,
    },
    /// Change one; what is not named stays
    Update {
        /// Its identifier
        audience: String,
        /// What is said about it.
        #[command(flatten)]
        members: ServerMembers,
        /// It may no longer introspect
        #[arg(long, conflicts_with = "introspection_id")]
        no_introspection: bool,
    },
    /// Delete one that no scope names
    Delete {
        /// Its identifier
        audience: String,
        /// Whether to ask
        #[command(flatten)]
        confirm: Confirm,
    },
    /// Give one a new introspection secret, printed this once; the old one counts a while longer
    RotateSecret {
        /// Its identifier
        audience: String,
        /// How long the old secret counts yet; 0s for not at all
        #[arg(long, value_name = "DURATION", default_value = "24h", value_parser = duration)]
        keep_old: TimeDelta,
        /// Its new secret.
        #[command(flatten)]
        secret: SecretSource,
    },
}

/// Members of a resource server.
#[derive(Clone, Debug, Default, Args)]
pub struct ServerMembers {
    /// The name that customers read [default: the identifier]
    #[arg(long)]
    pub name: Option<String>,
    /// The form of its tokens [default: jwt]
    #[arg(long, value_name = "FORMAT", value_parser = token_format())]
    pub token_format: Option<TokenFormat>,
    /// The name under which it introspects
    #[arg(long, value_name = "ID")]
    pub introspection_id: Option<ClientId>,
    /// The life of its access tokens, such as 2m; none for the server's default
    #[arg(long, value_name = "DURATION", value_parser = lifetime)]
    pub access_token_lifetime: Option<Lifetime>,
}

/// Commands about scopes.
#[derive(Clone, Debug, Subcommand)]
pub enum ScopesCommand {
    /// List those that were declared; OpenID Connect's own are always there
    List,
    /// Show one
    Show {
        /// Its name
        name: ScopeToken,
    },
    /// Declare one
    Create {
        /// Its name
        name: ScopeToken,
        /// What is said about it.
        #[command(flatten)]
        members: ScopeMembers,
    },
    /// Change one; what is not named stays
    Update {
        /// Its name
        name: ScopeToken,
        /// What is said about it.
        #[command(flatten)]
        members: ScopeMembers,
    },
    /// Delete one; tokens and consents lose it at once
    Delete {
        /// Its name
        name: ScopeToken,
        /// Take it from the clients that may ask for it, too; otherwise they keep it from going
        #[arg(long)]
        from_clients: bool,
        /// Whether to ask
        #[command(flatten)]
        confirm: Confirm,
    },
}

/// Members of a scope. Options win over the file.
#[derive(Clone, Debug, Default, Args)]
pub struct ScopeMembers {
    /// Members as a JSON object, as `show --json` prints it; null takes one away; - is standard input
    #[arg(long, value_name = "FILE")]
    pub from: Option<PathBuf>,
    /// A few words, such as "See your balances"
    #[arg(long)]
    pub title: Option<String>,
    /// One or two sentences: what the app will see or do
    #[arg(long)]
    pub description: Option<String>,
    /// The resource server that understands it
    #[arg(long)]
    pub audience: Option<String>,
    /// A role that it stands for; repeat for several
    #[arg(long)]
    pub role: Vec<Role>,
    /// Whether the consent page draws attention to it
    #[arg(long, value_name = "BOOL")]
    pub sensitive: Option<bool>,
    /// Whether it reaches accounts or payments, so that new clients with it live under FAPI 2.0
    #[arg(long, value_name = "BOOL")]
    pub financial: Option<bool>,
    /// Whether it takes two factors to allow it
    #[arg(long, value_name = "BOOL")]
    pub second_factor_required: Option<bool>,
    /// The longest that a consent with it may live, such as 180d; none for no limit
    #[arg(long, value_name = "DURATION", value_parser = lifetime)]
    pub max_lifetime: Option<Lifetime>,
}
