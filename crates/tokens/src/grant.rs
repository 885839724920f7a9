//! What an authorization leaves behind: grants, codes, tokens, and whether they still live.
//!
//! Consent is the parent of tokens: token → grant → consent. Nothing below a consent is touched
//! when it ends; every use loads the whole line ([`GrantLine`]) and asks [`GrantLine::live`], whose
//! answer [`LiveGrant`] is the only way to a new token.

use chrono::{DateTime, Utc};
use jose::digest::Digest;
use protocol::{
    ClientId, ConsentId, GrantId, Scope, SessionId, TokenId, UserId,
    acr::{Acr, Amr},
    pkce::CodeChallenge,
};
use serde::{Deserialize, Serialize};

use crate::mint::AccessTokenClaims;

/// What one consent gave to one client in one authorization.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct GrantRecord {
    /// Its id, which access tokens carry.
    pub id: GrantId,
    /// The consent above it.
    pub consent: ConsentId,
    /// The client that holds it.
    pub client: ClientId,
    /// The person who gave it.
    pub user: UserId,
    /// The session in which it was given; the `sid` of its ID tokens.
    pub session: SessionId,
    /// Whether it ends with that session: an OpenID Connect grant without `offline_access` (BL-04).
    pub session_bound: bool,
    /// The scope that was granted.
    pub scope: Scope,
    /// The audience of its access tokens (AT-03); empty for userinfo alone.
    pub audience: Vec<String>,
    /// When the person was authenticated.
    pub auth_time: DateTime<Utc>,
    /// How strongly.
    pub acr: Acr,
    /// By which methods.
    pub amr: Vec<Amr>,
    /// When it was given.
    pub created_at: DateTime<Utc>,
    /// When it was revoked.
    pub revoked_at: Option<DateTime<Utc>>,
    /// Until when the row must be kept: nothing below it lives longer.
    pub expires_at: DateTime<Utc>,
}

/// An authorization code as it is stored: its digest and what the redemption must prove.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct CodeRecord {
    /// SHA-256 of the code.
    pub digest: Digest,
    /// What redeeming it gives.
    pub grant: GrantId,
    /// The client that it was issued to (BCP-20).
    pub client: ClientId,
    /// The redirect URI of the request (O21-05).
    pub redirect_uri: String,
    /// The PKCE challenge of the request.
    pub code_challenge: Option<CodeChallenge>,
    /// The nonce of the request, for the ID token.
    pub nonce: Option<String>,
    /// When it was issued.
    pub issued_at: DateTime<Utc>,
    /// Until when it may be redeemed: at most 60 s (F2-14).
    pub expires_at: DateTime<Utc>,
    /// Until when the spent code is kept, so that a replay is recognized: as long as the access
    /// tokens that it yielded.
    pub keep_until: DateTime<Utc>,
    /// When it was redeemed.
    pub consumed_at: Option<DateTime<Utc>>,
}

/// How a refresh token ages.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum RefreshKind {
    /// Every use replaces it, and a second use ends the family (public clients, BCP-08).
    Rotating,
    /// It stays (confidential clients).
    Stable,
}

impl RefreshKind {
    /// The stable text, as it is stored.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Rotating => "rotating",
            Self::Stable => "stable",
        }
    }

    /// The kind of that text.
    pub fn parse(text: &str) -> Option<Self> {
        [Self::Rotating, Self::Stable].into_iter().find(|kind| kind.as_str() == text)
    }
}

/// A refresh token as it is stored. Its family is its grant.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct RefreshRecord {
    /// SHA-256 of the token.
    pub digest: Digest,
    /// The grant that it refreshes.
    pub grant: GrantId,
    /// The client that it was issued to.
    pub client: ClientId,
    /// How it ages.
    pub kind: RefreshKind,
    /// When it was issued.
    pub issued_at: DateTime<Utc>,
    /// Until when it may be used; moved on with each use of a stable one (BCP-09).
    pub idle_expires_at: DateTime<Utc>,
    /// When it ends whatever happens.
    pub expires_at: DateTime<Utc>,
    /// When it was rotated away.
    pub consumed_at: Option<DateTime<Utc>>,
}

/// An opaque access token as it is stored.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct AccessTokenRecord {
    /// SHA-256 of the token.
    pub digest: Digest,
    /// Its `jti`.
    pub id: TokenId,
    /// Its grant; `None` for client_credentials.
    pub grant: Option<GrantId>,
    /// The client that it was issued to.
    pub client: ClientId,
    /// What a JWT would have said.
    pub claims: AccessTokenClaims,
    /// When it was issued.
    pub issued_at: DateTime<Utc>,
    /// When it ends.
    pub expires_at: DateTime<Utc>,
    /// When it was revoked on its own.
    pub revoked_at: Option<DateTime<Utc>>,
}

/// A grant with everything above it, as one read returns it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct GrantLine {
    /// The grant.
    pub grant: GrantRecord,
    /// When the consent was withdrawn.
    pub consent_withdrawn_at: Option<DateTime<Utc>>,
    /// When the consent ends.
    pub consent_expires_at: Option<DateTime<Utc>>,
    /// When the session ended; also set once its row is gone.
    pub session_ended_at: Option<DateTime<Utc>>,
    /// When the session ends whatever happens.
    pub session_expires_at: Option<DateTime<Utc>>,
    /// When the person was disabled.
    pub user_disabled_at: Option<DateTime<Utc>>,
    /// The roles that the person has now; tokens never carry more.
    pub user_roles: Vec<String>,
}

/// Why a grant gives nothing any more; a stable code for the audit trail.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum GrantEnd {
    /// The grant was revoked.
    #[error("grant_revoked")]
    Revoked,
    /// Its time is over.
    #[error("grant_expired")]
    Expired,
    /// The consent was withdrawn.
    #[error("consent_withdrawn")]
    ConsentWithdrawn,
    /// The consent's time is over.
    #[error("consent_expired")]
    ConsentExpired,
    /// The session that it was bound to is over (BL-04).
    #[error("session_ended")]
    SessionEnded,
    /// The person was disabled.
    #[error("user_disabled")]
    UserDisabled,
}

/// A grant that is proven to live at the time of asking.
#[derive(Clone, Debug)]
pub struct LiveGrant {
    grant: GrantRecord,
    user_roles: Vec<String>,
    ends_at: DateTime<Utc>,
}

impl GrantLine {
    /// Whether everything in the line lives.
    ///
    /// # Errors
    /// The first [`GrantEnd`] from the grant upwards.
    pub fn live(self, now: DateTime<Utc>) -> Result<LiveGrant, GrantEnd> {
        if self.grant.revoked_at.is_some() {
            return Err(GrantEnd::Revoked);
        }
        if self.grant.expires_at <= now {
            return Err(GrantEnd::Expired);
        }
        if self.consent_withdrawn_at.is_some() {
            return Err(GrantEnd::ConsentWithdrawn);
        }
        if self.consent_expires_at.is_some_and(|end| end <= now) {
            return Err(GrantEnd::ConsentExpired);
        }
        let session_over =
            self.session_ended_at.is_some() || self.session_expires_at.is_none_or(|end| end <= now);
        if self.grant.session_bound && session_over {
            return Err(GrantEnd::SessionEnded);
        }
        if self.user_disabled_at.is_some() {
            return Err(GrantEnd::UserDisabled);
        }
        let session_end = self.session_expires_at.filter(|_| self.grant.session_bound);
        let ends = [Some(self.grant.expires_at), self.consent_expires_at, session_end];
        let ends_at = ends.into_iter().flatten().min().unwrap_or(self.grant.expires_at);
        Ok(LiveGrant { grant: self.grant, user_roles: self.user_roles, ends_at })
    }
}

impl LiveGrant {
    /// The grant.
    pub const fn grant(&self) -> &GrantRecord {
        &self.grant
    }

    /// The roles that the person has now.
    pub fn user_roles(&self) -> &[String] {
        &self.user_roles
    }

    /// The moment after which nothing below it may live: tokens never outlive consent.
    pub const fn ends_at(&self) -> DateTime<Utc> {
        self.ends_at
    }
}

#[cfg(test)]
pub(crate) mod tests {
    use chrono::Duration;
    use rstest::rstest;
    use uuid::Uuid;

    use super::*;

    pub(crate) fn now() -> DateTime<Utc> {
        DateTime::from_timestamp(1_800_000_000, 0).unwrap()
    }

    pub(crate) fn line() -> GrantLine {
        let end = Some(now() + Duration::hours(2));
        GrantLine {
            grant: GrantRecord {
                id: GrantId(Uuid::from_u128(1)),
                consent: ConsentId(Uuid::from_u128(2)),
                client: "app".parse().unwrap(),
                user: UserId(Uuid::from_u128(3)),
                session: SessionId(Uuid::from_u128(4)),
                session_bound: true,
                scope: "openid accounts:read".parse().unwrap(),
                audience: vec!["https://bank.example/api".into()],
                auth_time: now(),
                acr: Acr::CustomerAuthentication,
                amr: vec![Amr::Pwd],
                created_at: now(),
                revoked_at: None,
                expires_at: now() + Duration::days(1),
            },
            consent_withdrawn_at: None,
            consent_expires_at: Some(now() + Duration::hours(3)),
            session_ended_at: None,
            session_expires_at: end,
            user_disabled_at: None,
            user_roles: vec!["account-viewer".into()],
        }
    }

    #[rstest]
    #[case(|l: &mut GrantLine| l.grant.revoked_at = Some(now()), GrantEnd::Revoked)]
    #[case(|l: &mut GrantLine| l.grant.expires_at = now(), GrantEnd::Expired)]
    #[case(|l: &mut GrantLine| l.consent_withdrawn_at = Some(now()), GrantEnd::ConsentWithdrawn)]
    #[case(|l: &mut GrantLine| l.consent_expires_at = Some(now()), GrantEnd::ConsentExpired)]
    #[case(|l: &mut GrantLine| l.session_ended_at = Some(now()), GrantEnd::SessionEnded)]
    #[case(|l: &mut GrantLine| l.session_expires_at = None, GrantEnd::SessionEnded)]
    #[case(|l: &mut GrantLine| l.user_disabled_at = Some(now()), GrantEnd::UserDisabled)]
    fn anything_dead_above_kills_a_grant(#[case] kill: fn(&mut GrantLine), #[case] end: GrantEnd) {
        let mut line = line();
        assert!(line.clone().live(now()).is_ok());
        kill(&mut line);
        assert_eq!(line.live(now()).unwrap_err(), end);
    }

    #[test]
    fn bl_04_a_lasting_grant_outlives_its_session() {
        let mut line = line();
        line.grant.session_bound = false;
        line.session_ended_at = Some(now());
        assert_eq!(line.live(now()).unwrap().ends_at(), now() + Duration::hours(3));
    }

    #[test]
    fn a_grant_ends_with_the_first_of_its_line() {
        assert_eq!(line().live(now()).unwrap().ends_at(), now() + Duration::hours(2));
    }
}
