//! Initial access tokens: what lets somebody register a client (RFC 7591 §3), and where a client comes
//! from that no operator declared.

use chrono::{DateTime, Utc};
use jose::Digest;
use protocol::ClientId;
use uuid::Uuid;

/// A stored initial access token. The token itself is nowhere.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct InitialTokenRecord {
    /// By which operators name it.
    pub id: Uuid,
    /// SHA-256 of the token.
    pub digest: Digest,
    /// The policy that it carries, by name.
    pub policy: String,
    /// Whom it was given to, in the operator's words.
    pub note: String,
    /// How many clients it registers at most; `None` for any number.
    pub max_uses: Option<i64>,
    /// How many it has registered.
    pub uses: i64,
    /// When it was made.
    pub created_at: DateTime<Utc>,
    /// When it ends; `None` for never.
    pub expires_at: Option<DateTime<Utc>>,
    /// When an operator ended it.
    pub revoked_at: Option<DateTime<Utc>>,
}

/// What an initial access token is good for at some moment.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum InitialTokenState {
    /// It registers a client.
    Usable,
    /// It has registered as many as it may.
    Spent,
    /// Its time is over.
    Expired,
    /// An operator ended it.
    Revoked,
}

impl InitialTokenState {
    /// The word for it.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Usable => "usable",
            Self::Spent => "spent",
            Self::Expired => "expired",
            Self::Revoked => "revoked",
        }
    }
}

impl InitialTokenRecord {
    /// What it is good for now. The store decides again when it is used, because others may use it too.
    pub fn state(&self, now: DateTime<Utc>) -> InitialTokenState {
        if self.revoked_at.is_some() {
            InitialTokenState::Revoked
        } else if self.expires_at.is_some_and(|end| end <= now) {
            InitialTokenState::Expired
        } else if self.max_uses.is_some_and(|max| self.uses >= max) {
            InitialTokenState::Spent
        } else {
            InitialTokenState::Usable
        }
    }
}

/// How a client came here that no operator declared.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Origin {
    /// It registered itself (RFC 7591).
    Registered,
    /// It is a document on the web (Client ID Metadata Documents).
    Document,
}

impl Origin {
    /// The word for it.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Registered => "registered",
            Self::Document => "document",
        }
    }

    /// The origin of that name.
    pub fn parse(text: &str) -> Option<Self> {
        [Self::Registered, Self::Document].into_iter().find(|origin| origin.as_str() == text)
    }
}

/// What is kept of a client beside its record, if no operator declared it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Registration {
    /// The client.
    pub client: ClientId,
    /// How it came here.
    pub origin: Origin,
    /// The policy that it lives under, by name.
    pub policy: String,
    /// The initial access token that it came with.
    pub initial_token: Option<Uuid>,
    /// SHA-256 of its registration access token (RFC 7592 §3); `None` once it was deleted.
    pub management: Option<Digest>,
    /// The software statement that it came with, as it was (RFC 7591 §3.2.1).
    pub software_statement: Option<String>,
    /// When it came.
    pub registered_at: DateTime<Utc>,
    /// When its document was last read.
    pub fetched_at: Option<DateTime<Utc>>,
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;

    #[test]
    fn dr_01_an_initial_token_ends_by_use_by_time_and_by_hand() {
        let now = DateTime::from_timestamp(1_800_000_000, 0).unwrap();
        let token = InitialTokenRecord {
            id: Uuid::nil(),
            digest: jose::digest::sha256("t"),
            policy: "partners".into(),
            note: String::new(),
            max_uses: Some(1),
            uses: 0,
            created_at: now,
            expires_at: Some(now + chrono::TimeDelta::seconds(1)),
            revoked_at: None,
        };
        assert_eq!(token.state(now), InitialTokenState::Usable);
        assert_eq!(token.state(now + chrono::TimeDelta::seconds(1)), InitialTokenState::Expired);
        let spent = InitialTokenRecord { uses: 1, ..token.clone() };
        assert_eq!(spent.state(now), InitialTokenState::Spent);
        let reusable = InitialTokenRecord { uses: 99, max_uses: None, ..token.clone() };
        assert_eq!(reusable.state(now), InitialTokenState::Usable);
        let revoked = InitialTokenRecord { revoked_at: Some(now), ..token };
        assert_eq!(revoked.state(now), InitialTokenState::Revoked);
    }
}
