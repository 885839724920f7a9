//! Request objects: authorization requests that a client signed (RFC 9101, OpenID Connect Core §6).
//!
//! A client's key signs several kinds of token. So that an assertion can't pass for a request or the
//! reverse (RFC 9101 §10.8, JAR-05), a request object names its `client_id`, never has the client as
//! its `sub`, and carries its own `typ`, the general one, or none. An object may be encrypted to us; what
//! is inside then is signed all the same (JAR-04). `none` is no algorithm of this house, so nothing that
//! is unsigned is ever a request object.

use chrono::{DateTime, TimeDelta, Utc};
use serde_json::{Map, Value};

use crate::{
    Algorithm, ClaimFault, Claims, DecryptionKey, JoseFault, KeySet,
    jwe::{self, Accepted, JweFault},
    verify,
};

/// The `typ` that request objects may carry. Others belong to other kinds of token.
const TYPES: [&str; 2] = ["oauth-authz-req+jwt", "JWT"];

/// Claims of a JWT that say something of the token, not of the request.
const ENVELOPE: [&str; 7] = ["iss", "aud", "exp", "nbf", "iat", "jti", "sub"];

/// What a request object has to satisfy.
#[derive(Clone, Debug)]
pub struct RequestObjectPolicy<'a> {
    /// The client whose request it is: `client_id`, and `iss` where it is said.
    pub client_id: &'a str,
    /// Us: `aud` is or includes this (MS-02).
    pub issuer: &'a str,
    /// The algorithm that the client registered, or all that its profile allows (JAR-03).
    pub algorithms: &'a [Algorithm],
    /// FAPI 2.0 Message Signing §5.3.1: `aud`, `nbf` and `exp` must be there, and the object lives for at
    /// most an hour (MS-02, MS-03). Otherwise each counts only if it is there.
    pub bounded: bool,
    /// How much the clocks may differ (F2-16).
    pub leeway: TimeDelta,
}

impl RequestObjectPolicy<'_> {
    /// `iat` and `nbf` up to 10 seconds ahead must be accepted, more than 60 refused (F2-16).
    pub const LEEWAY: TimeDelta = TimeDelta::seconds(10);

    /// How long before now `nbf`, and how long after it `exp`, may be where it is bounded (MS-03).
    pub const LONGEST: TimeDelta = TimeDelta::minutes(60);
}

/// Why a token is no request of the client. All of them are `invalid_request_object` outside (JAR-08).
#[derive(Debug, thiserror::Error)]
pub enum RequestObjectFault {
    /// Malformed, not signed with a key of the client, or with an algorithm not allowed for it.
    #[error(transparent)]
    Jose(#[from] JoseFault),
    /// Encrypted, but it can't be opened.
    #[error(transparent)]
    Jwe(#[from] JweFault),
    /// Encrypted, and what is inside is no text.
    #[error("the encrypted request object holds no signed token")]
    NotNested,
    /// A claim is missing or malformed.
    #[error(transparent)]
    Claim(#[from] ClaimFault),
    /// `typ` names another kind of token.
    #[error("it is a token of another type")]
    Type,
    /// `sub` is the client, as in an assertion (RFC 9101 §10.8).
    #[error("its subject is the client, as that of an assertion")]
    Subject,
    /// `client_id` is another one (JAR-02).
    #[error("its client_id is not that of the request")]
    ClientId,
    /// `iss` is not the client.
    #[error("its issuer is not the client")]
    Issuer,
    /// `aud` does not include us.
    #[error("it is meant for another audience")]
    Audience,
    /// `exp` has passed.
    #[error("it has expired")]
    Expired,
    /// `exp` is more than an hour after `nbf`, or `nbf` more than an hour ago (MS-03).
    #[error("it lives too long")]
    LivesTooLong,
    /// `iat` or `nbf` is too far ahead (F2-16).
    #[error("it is not valid yet")]
    NotYetValid,
    /// `request` or `request_uri` stands in it (JAR-01).
    #[error("it contains request or request_uri")]
    Nested,
}

impl RequestObjectFault {
    /// Whether the signature may be of a key that we do not have yet.
    pub const fn is_key_unknown(&self) -> bool {
        matches!(self, Self::Jose(JoseFault::NoKey { .. } | JoseFault::Signature))
    }
}

/// A request that the client signed: its parameters as they stood in the object.
#[derive(Clone, Debug, PartialEq)]
#[non_exhaustive]
pub struct RequestObject {
    /// Every member but those that speak of the token.
    pub parameters: Map<String, Value>,
    /// The algorithm that signed it.
    pub algorithm: Algorithm,
    /// Whether it came encrypted.
    pub encrypted: bool,
}

/// Opens an encrypted request object; a signed one comes back as it is (JAR-04). What comes back is
/// still to be verified.
///
/// # Errors
/// [`RequestObjectFault::Jwe`], [`RequestObjectFault::NotNested`].
pub fn open_request_object(
    token: &str,
    keys: &[DecryptionKey],
    accepted: &Accepted<'_>,
) -> Result<OpenedRequestObject, RequestObjectFault> {
    if !jwe::looks_encrypted(token) {
        return Ok(OpenedRequestObject { token: token.to_owned(), encrypted: false });
    }
    let opened = jwe::decrypt(token, keys, accepted)?;
    let token = std::str::from_utf8(&opened.plain).map_err(|_| RequestObjectFault::NotNested)?;
    // An envelope in an envelope would be opened for ever.
    if jwe::looks_encrypted(token) {
        return Err(RequestObjectFault::NotNested);
    }
    Ok(OpenedRequestObject { token: token.to_owned(), encrypted: true })
}

/// A request object without its envelope, not yet verified.
#[derive(Clone, Debug)]
pub struct OpenedRequestObject {
    token: String,
    encrypted: bool,
}

impl OpenedRequestObject {
    /// Verifies it: signed by the client, for us, now.
    ///
    /// # Errors
    /// [`RequestObjectFault`] says which rule it broke.
    pub fn verify(
        &self,
        keys: &KeySet,
        policy: &RequestObjectPolicy<'_>,
        now: DateTime<Utc>,
    ) -> Result<RequestObject, RequestObjectFault> {
        let verified = verify(&self.token, keys, policy.algorithms)?;
        if verified.typ.is_some() && !TYPES.iter().any(|typ| verified.typ_is(typ)) {
            return Err(RequestObjectFault::Type);
        }
        let claims = &verified.claims;
        check_parties(claims, policy)?;
        check_times(claims, policy, now)?;
        if ["request", "request_uri"].iter().any(|name| claims.get(name).is_some()) {
            return Err(RequestObjectFault::Nested);
        }
        let algorithm = verified.algorithm;
        let mut parameters = verified.claims.into_map();
        parameters.retain(|name, _| !ENVELOPE.contains(&name.as_str()));
        Ok(RequestObject { parameters, algorithm, encrypted: self.encrypted })
    }
}

fn check_parties(claims: &Claims, policy: &RequestObjectPolicy<'_>) -> Result<(), RequestObjectFault> {
    if claims.sub()? == Some(policy.client_id) {
        return Err(RequestObjectFault::Subject);
    }
    if claims.text("client_id")?.ok_or(ClaimFault::Missing("client_id"))? != policy.client_id {
        return Err(RequestObjectFault::ClientId);
    }
    if claims.iss()?.is_some_and(|issuer| issuer != policy.client_id) {
        return Err(RequestObjectFault::Issuer);
    }
    match claims.aud()? {
        Some(audience) if !audience.contains(policy.issuer) => Err(RequestObjectFault::Audience),
        None if policy.bounded => Err(ClaimFault::Missing("aud").into()),
        _ => Ok(()),
    }
}

fn check_times(
    claims: &Claims,
    policy: &RequestObjectPolicy<'_>,
    now: DateTime<Utc>,
) -> Result<(), RequestObjectFault> {
    let (begins, ends) = (claims.nbf()?, claims.exp()?);
    if ends.is_some_and(|ends| now >= ends + policy.leeway) {
        return Err(RequestObjectFault::Expired);
    }
    let ahead = |time: DateTime<Utc>| time > now + policy.leeway;
    if begins.is_some_and(ahead) || claims.iat()?.is_some_and(ahead) {
        return Err(RequestObjectFault::NotYetValid);
    }
    if policy.bounded {
        let begins = begins.ok_or(ClaimFault::Missing("nbf"))?;
        let ends = ends.ok_or(ClaimFault::Missing("exp"))?;
        let longest = RequestObjectPolicy::LONGEST;
        if begins < now - longest - policy.leeway || ends > begins + longest {
            return Err(RequestObjectFault::LivesTooLong);
        }
    }
    Ok(())
}

#[cfg(test)]
#[path = "request_object_tests.rs"]
mod tests;
