//! The rules that the configuration sets, each in its own room's type.

use chrono::TimeDelta;
use keys::RotationPolicy;
use mfa::{HashingParams, SecondFactorPolicy, SessionPolicy, ThrottlePolicy};
use tokens::policy::TokenPolicy;

/// Everything that flows read from the configuration.
#[derive(Clone, Debug)]
pub struct Policies {
    /// Who we are: the `iss` of everything (RFC 8414 §2).
    pub issuer: String,
    /// The bank's name, on pages and in authenticator apps.
    pub bank_name: String,
    /// When a second factor is asked for.
    pub second_factor: SecondFactorPolicy,
    /// How long tokens live.
    pub tokens: TokenPolicy,
    /// How long sessions live.
    pub sessions: SessionPolicy,
    /// How slow guessing becomes.
    pub throttle: ThrottlePolicy,
    /// How passwords are hashed.
    pub hashing: HashingParams,
    /// How many passwords are hashed at a time; each takes the memory of `hashing`.
    pub hashing_slots: usize,
    /// How long an interaction waits for its person.
    pub interaction_lifetime: TimeDelta,
    /// How long a consent lasts where neither client nor scope says less; `None` for until it is
    /// withdrawn.
    pub consent_lifetime: Option<TimeDelta>,
    /// Which signing keys there are and how they change.
    pub rotation: RotationPolicy,
    /// Languages of the pages, for metadata.
    pub ui_locales: Vec<String>,
}
