//! The JWT bearer grant (RFC 7523 §2.1): a trusted issuer says who a person is, and a client gets a token
//! for that person without a browser.
//!
//! An assertion proves who somebody is. It does not prove that they agreed, so it gives nothing beyond what
//! they agreed to before: the parent of the new grant is the consent that the person gave to this client,
//! and only its scope can be had. Nor does it prove how the person was authenticated, so tokens say nothing
//! of that, and a scope that takes two factors can't be had at all. There is no refresh token: whoever can
//! get an assertion once can get it again.

use chrono::{DateTime, Duration, Utc};
use consent::{AudienceFault, Catalogue, ConsentRecord, GrantedConsent, TokenTarget, openid::OFFLINE_ACCESS};
use mfa::User;
use protocol::{
    GrantId, Scope, SessionId, acr::Acr, authorization_details::AuthorizationDetails, client::GrantType,
    exchange::JwtBearerRequest,
};
use serde::{Deserialize, Serialize};
use serde_json::Value;

use crate::{
    client::Client,
    client_auth::AuthenticatedClient,
    grant::{GrantEnd, GrantLine, GrantRecord, LiveGrant},
};

/// The longest that an assertion may live where its rule says nothing.
const MAX_LIFETIME: Duration = Duration::minutes(5);

/// How an issuer's name for a person becomes a user of ours. Never by e-mail address: whoever controls a
/// mailbox at the issuer must not become somebody here.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum SubjectMapping {
    /// It is the user name here.
    #[default]
    Username,
    /// It is the identifier here, as our own tokens have it in `sub`.
    UserId,
}

/// An issuer whose assertions one client may bring (JB-01).
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct AssertionRule {
    /// `iss` of the assertions.
    pub issuer: String,
    /// The issuer's public keys, a JWK Set.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub jwks: Option<Value>,
    /// Where they are, instead.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub jwks_uri: Option<String>,
    /// The claim that names the person; `sub` without it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub subject_claim: Option<String>,
    /// How that names a user here.
    #[serde(default)]
    pub subject: SubjectMapping,
    /// What tokens may carry at most.
    pub scope: Scope,
    /// The longest that an assertion may live, in seconds.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub max_lifetime: Option<i64>,
}

impl AssertionRule {
    /// The claim that names the person.
    pub fn subject_claim(&self) -> &str {
        self.subject_claim.as_deref().unwrap_or("sub")
    }

    /// The longest that an assertion may live.
    pub fn max_lifetime(&self) -> Duration {
        self.max_lifetime.and_then(Duration::try_seconds).unwrap_or(MAX_LIFETIME)
    }
}

/// Why an assertion gives nothing.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum AssertionGrantRefusal {
    /// Not registered for this grant, or public: `unauthorized_client`.
    #[error("grant_type_not_allowed")]
    GrantNotAllowed,
    /// An issuer that this client has no rule for: `invalid_grant`.
    #[error("assertion_issuer_not_trusted")]
    UnknownIssuer,
    /// The assertion breaks a rule of RFC 7523 §3: `invalid_grant`.
    #[error("assertion: {0}")]
    Assertion(String),
    /// It was used before: `invalid_grant`.
    #[error("assertion_replayed")]
    Replayed,
    /// It names no user of ours, or a disabled one: `invalid_grant`.
    #[error("assertion_subject_unknown")]
    UnknownSubject,
    /// The person has not consented, or no longer: `invalid_grant`.
    #[error("no_consent")]
    NoConsent,
    /// Beyond the rule or the registration, or nothing at all: `invalid_scope`.
    #[error("assertion_scope")]
    Scope,
    /// It takes two factors to have this scope: `invalid_scope`.
    #[error("second_factor_required")]
    SecondFactor,
    /// Scope and resources don't fit: `invalid_target` or `invalid_scope`.
    #[error("{0}")]
    Audience(AudienceFault),
    /// The new grant would be dead: `invalid_grant`.
    #[error("{0}")]
    Ended(GrantEnd),
}

/// What an assertion gives: a grant below the person's consent.
#[derive(Debug)]
pub struct AssertionGrant {
    record: GrantRecord,
    live: LiveGrant,
    target: TokenTarget,
}

impl AssertionGrant {
    /// The row of the grant.
    pub const fn record(&self) -> &GrantRecord {
        &self.record
    }

    /// The mint's authority.
    pub const fn live(&self) -> &LiveGrant {
        &self.live
    }

    /// What the token is for.
    pub const fn target(&self) -> &TokenTarget {
        &self.target
    }
}

/// Whether the client may use this grant at all, before anything is looked up.
///
/// # Errors
/// [`AssertionGrantRefusal::GrantNotAllowed`].
pub fn may_bring(client: &AuthenticatedClient) -> Result<(), AssertionGrantRefusal> {
    let client = client.client();
    if client.is_public() || !client.may_use(GrantType::JwtBearer) {
        return Err(AssertionGrantRefusal::GrantNotAllowed);
    }
    Ok(())
}

/// Decides what a person's consent lets an assertion about them give. `user` is whom the assertion names,
/// `consent` what they answered to this client, `lifetime` the longest that a token of it lives.
///
/// # Errors
/// [`AssertionGrantRefusal`].
pub fn under_consent(
    client: &AuthenticatedClient,
    rule: &AssertionRule,
    request: &JwtBearerRequest,
    (user, consent): (&User, Option<&ConsentRecord>),
    (id, session): (GrantId, SessionId),
    catalogue: &Catalogue,
    (now, lifetime): (DateTime<Utc>, Duration),
) -> Result<AssertionGrant, AssertionGrantRefusal> {
    use AssertionGrantRefusal as Refusal;
    may_bring(client)?;
    let client = client.client();
    if !user.is_enabled() {
        return Err(Refusal::UnknownSubject);
    }
    let granted =
        consent.and_then(|record| GrantedConsent::from_live(record, now)).ok_or(Refusal::NoConsent)?;
    if granted.user() != user.id || *granted.client() != client.id {
        return Err(Refusal::NoConsent);
    }
    let scope = scope(client, rule, request.scope.as_ref(), &granted, catalogue)?;
    let audience = consent::audience_of(&scope, &request.resources, catalogue).map_err(Refusal::Audience)?;
    if let Some(foreign) = audience.iter().find(|resource| !granted.resources().contains(resource)) {
        return Err(Refusal::Audience(AudienceFault::UnknownResource(foreign.clone())));
    }
    let ends_at = granted.expires_at().map_or(now + lifetime, |end| end.min(now + lifetime));
    let record = GrantRecord {
        id,
        consent: granted.id(),
        client: client.id.clone(),
        user: user.id,
        session,
        // There is none.
        session_bound: false,
        claims: crate::disclosed::GrantedClaims::default(),
        // What exactly a person agreed to, they agreed to in front of a page.
        details: AuthorizationDetails::default(),
        scope: scope.clone(),
        audience,
        // Columns that must hold something; the mint says none of it.
        auth_time: now,
        acr: Acr::CustomerAuthentication,
        amr: Vec::new(),
        created_at: now,
        revoked_at: None,
        expires_at: ends_at,
    };
    let line = GrantLine {
        grant: record.clone(),
        client_disabled: false,
        client_scope: client.scope.clone(),
        client_detail_types: client.detail_types.clone(),
        consent_scope: granted.scope().clone(),
        consent_resources: granted.resources().to_vec(),
        consent_details: AuthorizationDetails::default(),
        consent_withdrawn_at: None,
        consent_expires_at: granted.expires_at(),
        session_ended_at: None,
        session_expires_at: None,
        user_disabled_at: user.disabled_at,
        user_roles: user.roles.clone(),
    };
    let live = line.live(catalogue, now).map_err(Refusal::Ended)?;
    let target = live.target(&scope, &request.resources, catalogue).map_err(Refusal::Audience)?;
    Ok(AssertionGrant { record, live, target })
}

/// What rule, registration and consent have in common. What was asked for by name must all be there.
fn scope(
    client: &Client,
    rule: &AssertionRule,
    requested: Option<&Scope>,
    granted: &GrantedConsent,
    catalogue: &Catalogue,
) -> Result<Scope, AssertionGrantRefusal> {
    let allowed = rule.scope.intersection(&client.scope).filtered(|name| name != OFFLINE_ACCESS);
    let scope = match requested.filter(|requested| !requested.is_empty()) {
        None => allowed
            .intersection(granted.scope())
            .filtered(|name| catalogue.scope(name).is_some_and(|scope| !scope.second_factor_required)),
        Some(requested) if !requested.is_subset(&allowed) => return Err(AssertionGrantRefusal::Scope),
        Some(requested) if !requested.is_subset(granted.scope()) => {
            return Err(AssertionGrantRefusal::NoConsent);
        }
        Some(requested) => requested.clone(),
    };
    if catalogue.demands_second_factor(&scope) {
        return Err(AssertionGrantRefusal::SecondFactor);
    }
    if scope.is_empty() { Err(AssertionGrantRefusal::NoConsent) } else { Ok(scope) }
}

#[cfg(test)]
mod tests;
