//! How long things live. Made from the configuration, read by the decisions.

use chrono::Duration;
use jose::Algorithm;

/// Lifetimes of what this room issues, and the algorithm of access tokens.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct TokenPolicy {
    /// Of an authorization code; at most 60 s (F2-14).
    pub code_lifetime: Duration,
    /// Of an access token, where its resource server does not say.
    pub access_token_lifetime: Duration,
    /// Of an ID token.
    pub id_token_lifetime: Duration,
    /// A refresh token ends when it was not used for so long (BCP-09).
    pub refresh_idle: Duration,
    /// A refresh family ends after so long, whatever happens.
    pub refresh_absolute: Duration,
    /// What signs JWT access tokens; asymmetric (AT-01).
    pub access_token_algorithm: Algorithm,
}

impl Default for TokenPolicy {
    fn default() -> Self {
        Self {
            code_lifetime: Duration::seconds(60),
            access_token_lifetime: Duration::minutes(5),
            id_token_lifetime: Duration::minutes(5),
            refresh_idle: Duration::days(30),
            refresh_absolute: Duration::days(180),
            access_token_algorithm: Algorithm::Es256,
        }
    }
}
