//! Verifying what we signed ourselves: access tokens and ID token hints.
//!
//! Both are checked against the keys that we publish, so a retired key still counts and a revoked
//! one does not. What the store must say (is the grant alive, is the hint's subject the one who is
//! signed in) is the caller's business.

use chrono::{DateTime, TimeDelta, Utc};

use crate::{Algorithm, ClaimFault, JoseFault, KeySet, Verified, verify};

/// The `typ` of a JWT access token (RFC 9068 §2.1).
pub const ACCESS_TOKEN_TYPE: &str = "at+jwt";

/// The `typ` of an ID token.
pub const ID_TOKEN_TYPE: &str = "JWT";

/// Nodes of one deployment may disagree this much about the time of day.
const SKEW: TimeDelta = TimeDelta::seconds(10);

/// Why a token is not one of ours, or no longer good.
#[derive(Debug, thiserror::Error)]
pub enum OwnTokenFault {
    /// Malformed, or not signed with one of our keys.
    #[error(transparent)]
    Jose(#[from] JoseFault),
    /// A standard claim is missing or malformed.
    #[error(transparent)]
    Claim(#[from] ClaimFault),
    /// Another kind of token (RFC 8725 §3.11): an ID token is no access token.
    #[error("the token is of another type")]
    Type,
    /// `iss` is not this issuer.
    #[error("the token is from another issuer")]
    Issuer,
    /// `exp` has passed.
    #[error("the token has expired")]
    Expired,
    /// `iat` or `nbf` lies in the future.
    #[error("the token is not valid yet")]
    NotYetValid,
}

/// Verifies one of our JWT access tokens (RFC 9068 §4): type, signature, issuer, time. Audience,
/// grant and consent are left to the caller.
///
/// # Errors
/// [`OwnTokenFault`] says what is wrong.
pub fn verify_access_token(
    token: &str,
    keys: &KeySet,
    issuer: &str,
    now: DateTime<Utc>,
) -> Result<Verified, OwnTokenFault> {
    let verified = verify(token, keys, &Algorithm::ALL)?;
    if !verified.typ_is(ACCESS_TOKEN_TYPE) {
        return Err(OwnTokenFault::Type);
    }
    check_issuer(&verified, issuer)?;
    let expires = verified.claims.exp()?.ok_or(ClaimFault::Missing("exp"))?;
    if now >= expires {
        return Err(OwnTokenFault::Expired);
    }
    let ahead = |time: DateTime<Utc>| time > now + SKEW;
    if verified.claims.nbf()?.is_some_and(ahead) || verified.claims.iat()?.is_some_and(ahead) {
        return Err(OwnTokenFault::NotYetValid);
    }
    Ok(verified)
}

/// Verifies an `id_token_hint` (OIDC Core §3.1.2.1, RP-Initiated Logout §2): type, signature,
/// issuer, subject. An expired hint is accepted (OC-09); whether `aud` is the asking client is left
/// to the caller.
///
/// # Errors
/// [`OwnTokenFault`] says what is wrong.
pub fn verify_id_token_hint(token: &str, keys: &KeySet, issuer: &str) -> Result<Verified, OwnTokenFault> {
    let verified = verify(token, keys, &Algorithm::ALL)?;
    if verified.typ.is_some() && !verified.typ_is(ID_TOKEN_TYPE) {
        return Err(OwnTokenFault::Type);
    }
    check_issuer(&verified, issuer)?;
    verified.claims.sub()?.ok_or(ClaimFault::Missing("sub"))?;
    verified.claims.aud()?.ok_or(ClaimFault::Missing("aud"))?;
    // Signed userinfo has none, and is no ID token (RFC 8725 §3.11).
    verified.claims.exp()?.ok_or(ClaimFault::Missing("exp"))?;
    Ok(verified)
}

fn check_issuer(verified: &Verified, issuer: &str) -> Result<(), OwnTokenFault> {
    match verified.claims.iss()? {
        Some(found) if found == issuer => Ok(()),
        Some(_) => Err(OwnTokenFault::Issuer),
        None => Err(ClaimFault::Missing("iss").into()),
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;
    use crate::{PrivateKey, SigningKey};
    use serde_json::{Value, json};

    const ISSUER: &str = "https://id.example";

    fn key() -> SigningKey {
        SigningKey::new(&PrivateKey::generate(Algorithm::Es256).unwrap()).unwrap()
    }

    fn now() -> DateTime<Utc> {
        DateTime::from_timestamp(1_800_000_000, 0).unwrap()
    }

    fn claims(exp: i64) -> Value {
        json!({"iss": ISSUER, "sub": "alice", "aud": "api", "iat": 1_799_999_000, "exp": exp})
    }

    #[test]
    fn at_01_at_04_type_issuer_and_time_are_checked() {
        let key = key();
        let keys = KeySet::new(vec![key.public().clone()]);
        let check = |typ: &str, claims: &Value| {
            verify_access_token(&key.sign(typ, claims).unwrap(), &keys, ISSUER, now())
        };
        let good = claims(1_800_000_001);
        assert!(check("at+jwt", &good).is_ok());
        assert!(check("application/AT+JWT", &good).is_ok());
        assert!(matches!(check("JWT", &good), Err(OwnTokenFault::Type)));
        assert!(matches!(check("at+jwt", &claims(1_800_000_000)), Err(OwnTokenFault::Expired)));
        let mut other = good.clone();
        other["iss"] = json!("https://elsewhere.example");
        assert!(matches!(check("at+jwt", &other), Err(OwnTokenFault::Issuer)));
        let mut early = good;
        early["iat"] = json!(1_800_000_011);
        assert!(matches!(check("at+jwt", &early), Err(OwnTokenFault::NotYetValid)));
    }

    #[test]
    fn oc_09_an_expired_hint_is_accepted_but_not_an_access_token() {
        let key = key();
        let keys = KeySet::new(vec![key.public().clone()]);
        let hint = key.sign("JWT", &claims(1_000)).unwrap();
        assert_eq!(verify_id_token_hint(&hint, &keys, ISSUER).unwrap().claims.sub().unwrap(), Some("alice"));
        let access = key.sign("at+jwt", &claims(1_900_000_000)).unwrap();
        assert!(matches!(verify_id_token_hint(&access, &keys, ISSUER), Err(OwnTokenFault::Type)));
        let foreign = SigningKey::new(&PrivateKey::generate(Algorithm::Es256).unwrap()).unwrap();
        let forged = foreign.sign("JWT", &claims(1_000)).unwrap();
        assert!(verify_id_token_hint(&forged, &keys, ISSUER).is_err());
    }
}
