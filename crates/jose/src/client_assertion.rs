//! Client authentication by a signed assertion, `private_key_jwt` (RFC 7523 §3, OIDC Core §9).
//!
//! The audience rule is the point of CVE-2025-27370 and CVE-2025-27371: a hostile authorization
//! server tells a client that its token endpoint is called what ours is called, and replays here
//! the assertion it receives. The defence is that an assertion must be meant for us **alone**:
//! every value of `aud` is one of our own names, and FAPI 2.0 clients must use the issuer as a
//! plain string (F2-12).

use chrono::{DateTime, TimeDelta, Utc};

use crate::{
    Algorithm, ClaimFault, JoseFault, KeySet, Unreplayed,
    assertion::{self, Rules},
    verify,
    verify::Compact,
};

/// The `typ` of its own that such an assertion may carry.
const TYPE: &str = "client-authentication+jwt";

/// What an assertion has to satisfy.
#[derive(Clone, Debug)]
pub struct AssertionPolicy<'a> {
    /// The client that is to be authenticated: `iss` and `sub` must both be this.
    pub client_id: &'a str,
    /// Our names: the issuer, and for general clients the token endpoint.
    pub accepted_audiences: &'a [&'a str],
    /// FAPI 2.0: `aud` must be a string, not an array (F2-12).
    pub audience_must_be_string: bool,
    /// The algorithm that the client registered, or all that its profile allows.
    pub algorithms: &'a [Algorithm],
    /// How far ahead `exp` may lie, so that replay memory is bounded (JW-01).
    pub max_lifetime: TimeDelta,
    /// How much the clocks may differ; see [`AssertionPolicy::LEEWAY`].
    pub leeway: TimeDelta,
}

impl AssertionPolicy<'_> {
    /// `iat` and `nbf` up to 10 seconds ahead must be accepted, more than 60 refused (F2-16).
    pub const LEEWAY: TimeDelta = TimeDelta::seconds(10);

    /// An hour: client libraries in use sign for one to ten minutes, a few for an hour (JW-01).
    pub const MAX_LIFETIME: TimeDelta = TimeDelta::hours(1);
}

/// Why an assertion does not authenticate the client. All of them are `invalid_client` outside.
#[derive(Debug, thiserror::Error)]
pub enum AssertionFault {
    /// Malformed, not signed with a key of the client, or with an algorithm not allowed for it.
    #[error(transparent)]
    Jose(#[from] JoseFault),
    /// A claim is missing or malformed.
    #[error(transparent)]
    Claim(#[from] ClaimFault),
    /// `typ` names another kind of token.
    #[error("the assertion is a token of another type")]
    Type,
    /// `iss` is not the client.
    #[error("the issuer of the assertion is not the client")]
    Issuer,
    /// `sub` is not the client.
    #[error("the subject of the assertion is not the client")]
    Subject,
    /// `aud` is an array where only a string may stand (F2-12).
    #[error("the audience must be a single string")]
    AudienceIsArray,
    /// `aud` has a value that is not ours.
    #[error("the assertion is meant for another audience")]
    Audience,
    /// `exp` has passed.
    #[error("the assertion has expired")]
    Expired,
    /// `exp` is too far ahead (JW-01).
    #[error("the assertion lives too long")]
    LivesTooLong,
    /// `iat` or `nbf` is too far ahead (F2-16).
    #[error("the assertion is not valid yet")]
    NotYetValid,
}

assertion::says_what_is_broken!(AssertionFault);

/// A client assertion that satisfied its policy.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct ClientAssertion {
    /// The client that signed it.
    pub client_id: String,
    /// The algorithm that it used.
    pub algorithm: Algorithm,
    /// The `kid` it named.
    pub kid: Option<String>,
    /// When it ends.
    pub expires_at: DateTime<Utc>,
}

/// Verifies a client assertion (OC-24): signed by the client, about the client, for us, now. That
/// it is seen for the first time is for the store to say, through [`Unreplayed::confirm`].
///
/// # Errors
/// [`AssertionFault`] says which rule it broke.
pub fn verify_client_assertion(
    presented: &str,
    keys: &KeySet,
    policy: &AssertionPolicy<'_>,
    now: DateTime<Utc>,
) -> Result<Unreplayed<ClientAssertion>, AssertionFault> {
    let verified = verify(presented, keys, policy.algorithms)?;
    if !assertion::is_of_type(&verified, TYPE) {
        return Err(AssertionFault::Type);
    }
    let claims = &verified.claims;
    if claims.iss()?.ok_or(ClaimFault::Missing("iss"))? != policy.client_id {
        return Err(AssertionFault::Issuer);
    }
    if claims.sub()?.ok_or(ClaimFault::Missing("sub"))? != policy.client_id {
        return Err(AssertionFault::Subject);
    }
    let audience = assertion::audience(claims)?;
    if policy.audience_must_be_string && audience.was_array {
        return Err(AssertionFault::AudienceIsArray);
    }
    let rules = Rules {
        accepted_audiences: policy.accepted_audiences,
        max_lifetime: policy.max_lifetime,
        leeway: policy.leeway,
    };
    let expires_at = rules.check(claims, &audience, now)?;
    let mark = rules.mark(("client_assertion", b"client-assertion"), policy.client_id, claims, expires_at)?;
    let accepted = ClientAssertion {
        client_id: policy.client_id.to_owned(),
        algorithm: verified.algorithm,
        kid: verified.kid.clone(),
        expires_at,
    };
    Ok(Unreplayed::new(accepted, mark))
}

/// The client that an assertion is about, **unverified**: good only for finding whose keys to
/// verify it with.
pub fn peek_client_id(assertion: &str) -> Option<String> {
    let claims = Compact::parse(assertion).ok()?.claims().ok()?;
    claims.sub().ok()?.map(str::to_owned)
}

#[cfg(test)]
#[path = "client_assertion_tests.rs"]
mod tests;
