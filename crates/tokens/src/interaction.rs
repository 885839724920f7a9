//! An authorization request that waits for a person: what is stored of it.
//!
//! Only an authorization that needs a page saves one. What the person must do next is never stored;
//! [`next_step`](crate::step::next_step) finds it anew from the facts each time, so several tabs, a
//! reload or the back button can't dead-end.

use chrono::{DateTime, Utc};
use jose::digest::Digest;
use protocol::{ClientId, InteractionId, SessionId, authorization::AuthorizationRequest};
use serde::{Deserialize, Serialize};

/// The row of an interaction.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct InteractionRecord {
    /// Its id, the last part of the page's URL. Not a secret.
    pub id: InteractionId,
    /// The client that asked; `None` where a person signs in to the account pages.
    pub client: Option<ClientId>,
    /// What the person came for.
    pub purpose: Purpose,
    /// SHA-256 of the browser cookie that it belongs to; a post from another browser is refused
    /// (BCP-16).
    pub browser: Digest,
    /// Counts the transitions; a transition that read an older version changes nothing.
    pub version: i64,
    /// When it began; a login since then satisfies `prompt=login` (OC-06).
    pub created_at: DateTime<Utc>,
    /// When it ends.
    pub expires_at: DateTime<Utc>,
    /// When its answer was sent; it can't be used again.
    pub completed_at: Option<DateTime<Utc>>,
    /// The session that the person chose to go on with, where they were asked (OC-06).
    pub chosen_session: Option<SessionId>,
}

/// What the person came for.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case", tag = "kind")]
pub enum Purpose {
    /// To answer a client's authorization request. It passed the checks when it came, and passes
    /// them again each time, because the client may have changed since.
    Authorization {
        /// The request as it was read.
        request: Box<AuthorizationRequest>,
    },
    /// To answer a device, whose code they typed and confirmed (RFC 8628 §3.3). The request is checked
    /// again each time, too.
    Device {
        /// What the device asks for.
        request: Box<AuthorizationRequest>,
        /// Digest of the device's code.
        device: Digest,
        /// When that ends.
        expires_at: DateTime<Utc>,
    },
    /// To see the own account.
    Account,
    /// To set up an authenticator, or another one in place of it.
    Authenticator,
    /// To sign in anew, because what comes next on the account pages wants it.
    Reauthentication,
}

impl InteractionRecord {
    /// The pushed request that it answers, if it came of one.
    pub fn pushed(&self) -> Option<Digest> {
        match &self.purpose {
            Purpose::Authorization { request } => request.pushed.as_deref()?.parse().ok(),
            _ => None,
        }
    }

    /// Whether it can still be used.
    pub fn is_open(&self, now: DateTime<Utc>) -> bool {
        self.completed_at.is_none() && self.expires_at > now
    }
}
