//! What an authorization leaves behind: grants, codes, tokens, and whether they still live.
//!
//! Consent is the parent of tokens: token → grant → consent. Nothing below a consent is touched
//! when it ends; every use loads the whole line ([`GrantLine`]) and asks [`GrantLine::live`], whose
//! answer [`LiveGrant`] is the only way to a new token. What it may still do is found anew each time,
//! too: a consent that was narrowed or a role that was taken away counts from the next use on (F2-17).

use chrono::{DateTime, Utc};
use consent::{AudienceFault, Catalogue, Role, TokenTarget, details::standing, openid::OFFLINE_ACCESS};
use jose::digest::Digest;
use protocol::{
    ClientId, ConsentId, GrantId, Scope, SessionId, TokenId, UserId,
    acr::{Acr, Amr},
    authorization_details::AuthorizationDetails,
    pkce::CodeChallenge,
};
use serde::{Deserialize, Serialize};

use crate::{disclosed::GrantedClaims, mint::AccessTokenClaims};

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
    /// Single claims that were granted beside it (OC-18).
    pub claims: GrantedClaims,
    /// What exactly was granted beside it (RFC 9396 §7), as the consent said it.
    pub details: AuthorizationDetails,
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
    /// The thumbprint of the only key that may redeem it (DP-08, F2-15).
    pub dpop_jkt: Option<Digest>,
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
    /// The thumbprint of the only key or certificate that may use it: of a public client that showed one
    /// (DP-06, RFC 8705 §4).
    pub bound_to: Option<Digest>,
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
    /// Whether its client was disabled.
    pub client_disabled: bool,
    /// The scope that its client may ask for now; narrower than the grant's if an operator took some
    /// of it away.
    pub client_scope: Scope,
    /// The types of authorization details that its client may ask for now.
    pub client_detail_types: Vec<String>,
    /// The scope that the consent has now; narrower than the grant's if it was narrowed since.
    pub consent_scope: Scope,
    /// The resource servers that the consent has now.
    pub consent_resources: Vec<String>,
    /// The authorization details that the consent has now.
    pub consent_details: AuthorizationDetails,
    /// When the consent was withdrawn.
    pub consent_withdrawn_at: Option<DateTime<Utc>>,
    /// When the consent ends.
    pub consent_expires_at: Option<DateTime<Utc>>,
    /// When the session was ended; `None` while it goes on, and once its row is gone.
    pub session_ended_at: Option<DateTime<Utc>>,
    /// When the session ends whatever happens; `None` only once its row is gone, which counts as
    /// ended.
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
    /// The client was disabled.
    #[error("client_disabled")]
    ClientDisabled,
    /// Of what was granted, the consent and the person's roles allow nothing any more (F2-17).
    #[error("nothing_left")]
    NothingLeft,
}

/// A grant that is proven to live at the time of asking, cut to what it may still do.
#[derive(Clone, Debug)]
pub struct LiveGrant {
    grant: GrantRecord,
    user_roles: Vec<String>,
    ends_at: DateTime<Utc>,
}

impl GrantLine {
    /// Whether everything in the line lives, and what the grant may still do: of its own scope and
    /// audience what the consent has now, what the client may ask for now, what the person's roles
    /// allow now, and what the catalogue still knows (F2-17).
    ///
    /// # Errors
    /// The first [`GrantEnd`] from the grant upwards.
    pub fn live(mut self, catalogue: &Catalogue, now: DateTime<Utc>) -> Result<LiveGrant, GrantEnd> {
        self.stands(now)?;
        let (scope, audience) = self.remaining(catalogue);
        // To be away from nothing is nothing.
        if scope.filtered(|name| name != OFFLINE_ACCESS).is_empty() {
            return Err(GrantEnd::NothingLeft);
        }
        // Who may no longer stay when the person goes, goes with them (BL-04, OC-15).
        let lost_offline = self.grant.scope.contains(OFFLINE_ACCESS) && !scope.contains(OFFLINE_ACCESS);
        self.grant.session_bound |= lost_offline;
        let session_over =
            self.session_ended_at.is_some() || self.session_expires_at.is_none_or(|end| end <= now);
        if self.grant.session_bound && session_over {
            return Err(GrantEnd::SessionEnded);
        }
        let session_end = self.session_expires_at.filter(|_| self.grant.session_bound);
        let ends = [Some(self.grant.expires_at), self.consent_expires_at, session_end];
        let ends_at = ends.into_iter().flatten().min().unwrap_or(self.grant.expires_at);
        let details = self.remaining_details(&audience, catalogue);
        let claims = self.grant.claims.narrowed(&self.client_scope, &self.consent_scope);
        let grant = GrantRecord { scope, audience, claims, details, ..self.grant };
        Ok(LiveGrant { grant, user_roles: self.user_roles, ends_at })
    }

    /// Whether grant, consent, person and client all stand.
    fn stands(&self, now: DateTime<Utc>) -> Result<(), GrantEnd> {
        let ends = [
            (self.grant.revoked_at.is_some(), GrantEnd::Revoked),
            (self.grant.expires_at <= now, GrantEnd::Expired),
            (self.consent_withdrawn_at.is_some(), GrantEnd::ConsentWithdrawn),
            (self.consent_expires_at.is_some_and(|end| end <= now), GrantEnd::ConsentExpired),
            (self.user_disabled_at.is_some(), GrantEnd::UserDisabled),
            (self.client_disabled, GrantEnd::ClientDisabled),
        ];
        ends.into_iter().find(|(over, _)| *over).map_or(Ok(()), |(_, end)| Err(end))
    }

    /// The authorization details that are left of the grant's: what consent, client, roles and catalogue
    /// still have, at resource servers that are left.
    fn remaining_details(&self, audience: &[String], catalogue: &Catalogue) -> AuthorizationDetails {
        if self.grant.details.is_empty() {
            return AuthorizationDetails::default();
        }
        let types = catalogue.detail_types();
        let held: Vec<Role> = self.user_roles.iter().filter_map(|role| role.parse().ok()).collect();
        let consented = standing(&self.grant.details, &self.consent_details, types);
        types.held_to(&consented, &held).filtered(|detail| {
            self.client_detail_types.iter().any(|kind| kind == detail.kind())
                && audience.iter().any(|resource| types.reaches(detail, resource))
        })
    }

    /// The scope and the audience that are left of the grant's.
    fn remaining(&self, catalogue: &Catalogue) -> (Scope, Vec<String>) {
        let granted = &self.grant.scope;
        let held: Vec<Role> = self.user_roles.iter().filter_map(|role| role.parse().ok()).collect();
        let mut audience = self.grant.audience.clone();
        audience.retain(|resource| self.consent_resources.contains(resource));
        let standing = granted.intersection(&self.consent_scope).intersection(&self.client_scope);
        let allowed = consent::held_scope(&standing, &held, catalogue);
        let scope = allowed.filtered(|name| {
            let of = catalogue.scope(name).and_then(|definition| definition.audience.as_ref());
            of.is_none_or(|of| audience.contains(of))
        });
        let audience = consent::still_reached(&audience, granted, &scope, catalogue);
        (scope, audience)
    }
}

impl LiveGrant {
    /// The grant, its scope and audience cut to what is left of them.
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

    /// What one access token of this grant is for (RFC 8707 §2.2): `scope`, which was narrowed from
    /// the grant's if at all, at the one resource server that it reaches or that is named.
    ///
    /// # Errors
    /// [`AudienceFault`]; also where a resource is named for which there is no scope, because a
    /// token that allows nothing there would still be accepted there.
    pub fn target(
        &self,
        scope: &Scope,
        resources: &[String],
        catalogue: &Catalogue,
    ) -> Result<TokenTarget, AudienceFault> {
        let scope = scope.intersection(&self.grant.scope);
        let audience = consent::still_reached(&self.grant.audience, &self.grant.scope, &scope, catalogue);
        let target = consent::narrow(&scope, &audience, resources, catalogue)?;
        match &target.audience {
            Some(resource)
                if target.scope.is_empty()
                    && catalogue.detail_types().for_audience(&self.grant.details, resource).is_empty() =>
            {
                Err(AudienceFault::UnknownResource(resource.clone()))
            }
            _ => Ok(target),
        }
    }
}

#[cfg(test)]
pub(crate) mod tests;
