//! `chancery clients …`

use std::path::PathBuf;

use chrono::TimeDelta;
use clap::{Args, Subcommand};
use mfa::SecondFactorPolicy;
use protocol::{
    ClientId, Scope,
    client::{AuthMethod, GrantType, Profile, TokenFormat},
};

use super::{
    Confirm, SecretSource,
    value::{Lifetime, auth_method, duration, grant_type, lifetime, profile, token_format},
};

/// Commands about clients.
#[derive(Clone, Debug, Subcommand)]
pub enum ClientsCommand {
    /// List them
    List {
        /// Deleted ones too
        #[arg(long)]
        all: bool,
    },
    /// Show one, without its secrets
    Show {
        /// Its identifier
        client_id: ClientId,
    },
    /// Say what keeps one from a profile, and what the profile will ask of its program
    ///
    /// Nothing is changed. Exits with 0 if its registration obeys every rule, with 4 if one is broken.
    Check {
        /// Its identifier
        client_id: ClientId,
        /// The profile to hold it against: general, fapi2 or fapi2-message-signing [default: its own]
        #[arg(long, value_name = "PROFILE", value_parser = profile())]
        profile: Option<Profile>,
    },
    /// Register one; a secret that it needs is made, and printed this once
    Create(Box<ClientCreate>),
    /// Change one; what is not named stays
    Update(Box<ClientUpdate>),
    /// End everything of one: consents, grants, tokens, secrets
    ///
    /// The client is unknown at every endpoint from then on. Where consents name it, it stays in the
    /// database, disabled, as evidence, and its identifier stays taken.
    Delete {
        /// Its identifier
        client_id: ClientId,
        /// Whether to ask
        #[command(flatten)]
        confirm: Confirm,
    },
    /// Give one a new secret, printed this once; the old one counts a while longer
    RotateSecret(RotateClientSecret),
}

/// What `clients create` takes.
#[derive(Clone, Debug, Args)]
pub struct ClientCreate {
    /// Its identifier; never a UUID, because subjects are
    pub client_id: ClientId,
    /// What is said about it.
    #[command(flatten)]
    pub members: ClientMembers,
    /// Its secret.
    #[command(flatten)]
    pub secret: SecretSource,
}

/// What `clients update` takes.
#[derive(Clone, Debug, Args)]
pub struct ClientUpdate {
    /// Its identifier
    pub client_id: ClientId,
    /// What is said about it.
    #[command(flatten)]
    pub members: ClientMembers,
}

/// What `clients rotate-secret` takes.
#[derive(Clone, Debug, Args)]
pub struct RotateClientSecret {
    /// Its identifier
    pub client_id: ClientId,
    /// How long the old secret counts yet; 0s for not at all
    #[arg(long, value_name = "DURATION", default_value = "24h", value_parser = duration)]
    pub keep_old: TimeDelta,
    /// Its new secret.
    #[command(flatten)]
    pub secret: SecretSource,
}

/// Members of a client. Options win over the file.
#[derive(Clone, Debug, Default, Args)]
pub struct ClientMembers {
    /// Members as a JSON object, as `show --json` prints it; null takes one away; - is standard input
    #[arg(long, value_name = "FILE")]
    pub from: Option<PathBuf>,
    /// The name that customers see
    #[arg(long)]
    pub name: Option<String>,
    /// web, or native for apps on a device and loopback redirects
    #[arg(long = "type", value_name = "TYPE", value_parser = ["web", "native"])]
    pub application_type: Option<String>,
    /// How it authenticates [default: client_secret_basic]
    #[arg(long, value_name = "METHOD", value_parser = auth_method())]
    pub auth_method: Option<AuthMethod>,
    /// Where responses may go; repeat for several
    #[arg(long, value_name = "URI")]
    pub redirect_uri: Vec<String>,
    /// Where people may be sent after logout; repeat for several
    #[arg(long, value_name = "URI")]
    pub post_logout_redirect_uri: Vec<String>,
    /// What it may use; repeat for several [default: authorization_code]
    #[arg(long, value_name = "GRANT", value_parser = grant_type())]
    pub grant_type: Vec<GrantType>,
    /// What it may ask for, separated by spaces
    #[arg(long)]
    pub scope: Option<Scope>,
    /// Its public keys, as a JWK set
    #[arg(long, value_name = "FILE")]
    pub jwks_file: Option<PathBuf>,
    /// The algorithm of its ID tokens [default: RS256]
    #[arg(long, value_name = "ALG")]
    pub id_token_algorithm: Option<String>,
    /// The form of its access tokens where the resource server does not say
    #[arg(long, value_name = "FORMAT", value_parser = token_format())]
    pub access_token_format: Option<TokenFormat>,
    /// A second factor demanded for it: required or if-enrolled
    #[arg(long, value_name = "POLICY")]
    pub second_factor: Option<SecondFactorPolicy>,
    /// How long a consent to it lasts, such as 90d; none for the server's default
    #[arg(long, value_name = "DURATION", value_parser = lifetime)]
    pub consent_lifetime: Option<Lifetime>,
    /// The rules it lives under: general, fapi2 or fapi2-message-signing [default: fapi2 for a new client
    /// with credentials and a financial scope, else general]
    #[arg(long, value_name = "PROFILE", value_parser = profile())]
    pub profile: Option<Profile>,
    /// Whether it may use the device grant although its profile leaves that out
    #[arg(long, value_name = "BOOL")]
    pub device_grant: Option<bool>,
    /// A host of redirect URIs that it may push without having registered them, such as *.apps.example;
    /// repeat for several
    #[arg(long, value_name = "HOST")]
    pub pushed_redirect_host: Vec<String>,
    /// Replace its refresh tokens, one at each use, and let the old one count for so long; for migrations;
    /// none for tokens that stay
    #[arg(long, value_name = "DURATION", value_parser = lifetime)]
    pub refresh_rotation_grace: Option<Lifetime>,
    /// Whether it is the bank's own, whose consents are recorded without asking
    #[arg(long, value_name = "BOOL")]
    pub first_party: Option<bool>,
    /// Whether its code flow needs PKCE; only a confidential client may be exempt [default: true]
    #[arg(long, value_name = "BOOL")]
    pub require_pkce: Option<bool>,
}
