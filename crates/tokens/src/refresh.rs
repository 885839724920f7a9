//! Refreshing (RFC 6749 §6): rotation with reuse detection for public clients, stable tokens for
//! confidential ones (BCP-08).

use chrono::{DateTime, Duration, Utc};
use consent::{AudienceFault, Catalogue, TokenTarget, details::narrowed};
use jose::digest::{Digest, sha256};
use protocol::{
    GrantId, authorization_details::AuthorizationDetails, client::GrantType, secret::RefreshToken,
    token::RefreshRequest,
};

use crate::{
    grant::{GrantEnd, GrantLine, LiveGrant, RefreshKind, RefreshRecord},
    oxide,
    policy::TokenPolicy,
    sender::Sender,
};

/// Why a refresh token gives nothing.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum RefreshFault {
    /// The client is not registered for this grant: `unauthorized_client`.
    #[error("grant_type_not_allowed")]
    GrantNotAllowed,
    /// No such token.
    #[error("unknown_refresh_token")]
    Unknown,
    /// Issued to another client (RF-01).
    #[error("refresh_token_of_another_client")]
    OtherClient,
    /// Rotated away before: reuse, so the family ends (BCP-08).
    #[error("refresh_token_reused")]
    Reused,
    /// Not used for too long, or too old (BCP-09).
    #[error("refresh_token_expired")]
    Expired,
    /// Bound to another key than the one that was shown, if any was (DP-06).
    #[error("refresh_token_bound_to_another_key")]
    OtherKey,
    /// It is that of a client that proved who it is, and the client has become one that can't: the token
    /// would be worth as much to whoever finds it (BCP-08).
    #[error("refresh_token_of_a_confidential_client")]
    Confidential,
    /// The grant no longer lives.
    #[error("{0}")]
    Ended(GrantEnd),
    /// A scope that was not granted: `invalid_scope` (RF-01).
    #[error("scope_wider_than_granted")]
    ScopeWider,
    /// Authorization details beyond those that were granted: `invalid_authorization_details` (RAR-04).
    #[error("authorization_details_wider_than_granted")]
    DetailsWider,
    /// A resource that was not granted, or several: `invalid_target`.
    #[error("{0}")]
    Audience(AudienceFault),
    /// The RFC 6749 core refused what our own checks let pass.
    #[error("core_refused")]
    Core,
}

/// A refusal, and the family that it ends. The revocation commits although the request fails.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct RefreshRefusal {
    /// Why.
    pub fault: RefreshFault,
    /// What to revoke.
    pub revoke: Option<GrantId>,
}

/// A refresh that may happen, if the conditional statement of the store agrees.
#[derive(Debug)]
pub struct Refreshable {
    record: RefreshRecord,
    grant: LiveGrant,
    target: TokenTarget,
    details: AuthorizationDetails,
    /// How long a stable token counts on once it is replaced; `None` where it stays (F2-13).
    grace: Option<Duration>,
}

impl Refreshable {
    /// The grant.
    pub const fn grant(&self) -> &LiveGrant {
        &self.grant
    }

    /// What the new access token is for.
    pub const fn target(&self) -> &TokenTarget {
        &self.target
    }

    /// What exactly the new access token may say: of what was granted, what the request wants (RFC 9396 §6).
    pub const fn details(&self) -> &AuthorizationDetails {
        &self.details
    }

    /// What the store must do with the presented token.
    pub fn ageing(&self, policy: &TokenPolicy, entropy: [u8; 32], now: DateTime<Utc>) -> Ageing {
        match (self.record.kind, self.grace) {
            (RefreshKind::Rotating, _) => {
                let token = RefreshToken::from_entropy(entropy);
                let successor = RefreshRecord {
                    digest: sha256(token.expose()),
                    issued_at: now,
                    idle_expires_at: (now + policy.refresh_idle)
                        .min(self.record.expires_at)
                        .min(self.grant.ends_at()),
                    consumed_at: None,
                    ..self.record.clone()
                };
                Ageing::Rotate { presented: self.record.digest, token, successor: Box::new(successor) }
            }
            (RefreshKind::Stable, Some(grace)) => self.renewal(policy, grace, entropy, now),
            (RefreshKind::Stable, None) => {
                let idle_expires_at = (now + policy.refresh_idle).min(self.record.expires_at);
                // Last-used times are written at most once a minute.
                let stale = idle_expires_at - self.record.idle_expires_at >= Duration::minutes(1);
                Ageing::Keep { digest: self.record.digest, touch: stale.then_some(idle_expires_at) }
            }
        }
    }

    /// F2-13: the client gets another token, and the one that it used goes on for a bounded time, so that
    /// an answer which is lost on its way locks nobody out.
    fn renewal(
        &self,
        policy: &TokenPolicy,
        grace: Duration,
        entropy: [u8; 32],
        now: DateTime<Utc>,
    ) -> Ageing {
        let token = RefreshToken::from_entropy(entropy);
        let grant = self.grant.grant();
        // Not the end of the token that was used: that may be the near one of a token replaced before.
        let expires_at = (grant.created_at + policy.refresh_absolute).min(self.grant.ends_at());
        let successor = RefreshRecord {
            digest: sha256(token.expose()),
            issued_at: now,
            idle_expires_at: (now + policy.refresh_idle).min(expires_at),
            expires_at,
            consumed_at: None,
            ..self.record.clone()
        };
        let until = now + grace;
        Ageing::Renew { presented: self.record.digest, until, token, successor: Box::new(successor) }
    }

    /// What follows when the statement found the token already rotated away, which is reuse; or at its end,
    /// where it does not rotate.
    pub const fn lost(&self) -> RefreshRefusal {
        match self.record.kind {
            RefreshKind::Rotating => {
                RefreshRefusal { fault: RefreshFault::Reused, revoke: Some(self.record.grant) }
            }
            RefreshKind::Stable => RefreshRefusal { fault: RefreshFault::Expired, revoke: None },
        }
    }
}

/// What becomes of the presented token.
#[derive(Debug)]
pub enum Ageing {
    /// It is replaced, by a conditional statement that only one request wins.
    Rotate {
        /// The token that was presented.
        presented: Digest,
        /// Its successor, for the client.
        token: RefreshToken,
        /// Its successor's row.
        successor: Box<RefreshRecord>,
    },
    /// It is replaced, and goes on beside its successor for a while (F2-13).
    Renew {
        /// The token that was presented.
        presented: Digest,
        /// Until when it counts on, at most.
        until: DateTime<Utc>,
        /// Its successor, for the client.
        token: RefreshToken,
        /// Its successor's row.
        successor: Box<RefreshRecord>,
    },
    /// It stays.
    Keep {
        /// The token that was presented.
        digest: Digest,
        /// The new end of its idle time, when it is worth a write.
        touch: Option<DateTime<Utc>>,
    },
}

/// Decides about a refresh.
///
/// # Errors
/// [`RefreshRefusal`]. Another client's presentation ends nothing (DP-15).
pub fn refresh(
    sender: &Sender,
    request: &RefreshRequest,
    found: Option<(RefreshRecord, GrantLine)>,
    catalogue: &Catalogue,
    now: DateTime<Utc>,
) -> Result<Refreshable, RefreshRefusal> {
    let refuse = |fault| RefreshRefusal { fault, revoke: None };
    let client = sender.client();
    if !client.may_use(GrantType::RefreshToken) {
        return Err(refuse(RefreshFault::GrantNotAllowed));
    }
    let (record, line) = found.ok_or_else(|| refuse(RefreshFault::Unknown))?;
    if record.client != client.id || line.grant.client != client.id {
        return Err(refuse(RefreshFault::OtherClient));
    }
    if record.consumed_at.is_some() {
        return Err(RefreshRefusal { fault: RefreshFault::Reused, revoke: Some(record.grant) });
    }
    if record.idle_expires_at <= now || record.expires_at <= now {
        return Err(refuse(RefreshFault::Expired));
    }
    if !sender.holds(record.bound_to) {
        return Err(refuse(RefreshFault::OtherKey));
    }
    if client.is_public() && record.kind == RefreshKind::Stable && record.bound_to.is_none() {
        return Err(refuse(RefreshFault::Confidential));
    }
    let grant = line.live(catalogue, now).map_err(|end| refuse(RefreshFault::Ended(end)))?;
    let granted = &grant.grant().scope;
    // A scope without any token counts as none (O21-04).
    let requested = request.scope.as_ref().filter(|scope| !scope.is_empty());
    let scope = oxide::refresh(client, granted, requested).map_err(refuse)?;
    let target = grant
        .target(&scope, &request.resources, catalogue)
        .map_err(|fault| refuse(RefreshFault::Audience(fault)))?;
    let details = narrowed(&grant.grant().details, request.details.as_ref());
    let details = details.map_err(|_| refuse(RefreshFault::DetailsWider))?;
    Ok(Refreshable { record, grant, target, details, grace: client.settings.refresh_grace() })
}

/// The first refresh token of a grant, where the client may have one.
pub fn first_refresh_token(
    sender: &Sender,
    grant: &LiveGrant,
    policy: &TokenPolicy,
    entropy: [u8; 32],
    now: DateTime<Utc>,
) -> Option<(RefreshToken, RefreshRecord)> {
    let client = sender.client();
    if !client.may_use(GrantType::RefreshToken) {
        return None;
    }
    let token = RefreshToken::from_entropy(entropy);
    let expires_at = (now + policy.refresh_absolute).min(grant.ends_at());
    let record = RefreshRecord {
        digest: sha256(token.expose()),
        grant: grant.grant().id,
        client: client.id.clone(),
        kind: if client.is_public() { RefreshKind::Rotating } else { RefreshKind::Stable },
        issued_at: now,
        idle_expires_at: (now + policy.refresh_idle).min(expires_at),
        expires_at,
        consumed_at: None,
        // DP-06, RFC 8705 §7.1: whoever authenticates may bind anew each time.
        bound_to: sender.thumbprint().filter(|_| client.is_public()),
    };
    Some((token, record))
}

#[cfg(test)]
mod tests;
