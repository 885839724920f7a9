//! What makes an access token acceptable: RFC 9068 §4 as one pure function.
//!
//! Keys, expectations and the time come in as values, the token's meaning or the exact reason of refusal
//! goes out. The algorithm is decided by the key, never by the token's header alone (RFC 8725 §3.1), and a
//! token of another kind (an ID token, a logout token) fails on its `typ` (RFC 8725 §3.11).

use std::collections::BTreeSet;

use base64::{Engine, engine::general_purpose::URL_SAFE_NO_PAD};
use chrono::{DateTime, Utc};
use josekit::{
    jwk::Jwk,
    jws::{self, JwsContext, JwsVerifier},
};
use serde::Deserialize;
use serde_json::Value;

/// Clocks of two machines may differ by this many seconds.
const LEEWAY_SECONDS: i64 = 10;
/// Nothing that we accept is longer; a longer token is refused before it is decoded.
const MAX_TOKEN_BYTES: usize = 16 * 1024;

/// Why a token does not count here. The text is shown to the client, so it holds nothing of the token.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub(crate) enum TokenRefusal {
    #[error("the access token is not a signed JWT")]
    Malformed,
    #[error("the access token has critical extensions that are not understood")]
    Critical,
    #[error("the JWT is not an access token")]
    Type,
    #[error("the signature algorithm is not accepted")]
    Algorithm,
    #[error("the signing key is unknown")]
    UnknownKey,
    #[error("the signature is wrong")]
    Signature,
    #[error("the access token comes from another issuer")]
    Issuer,
    #[error("the access token is meant for another audience")]
    Audience,
    #[error("the access token has expired")]
    Expired,
    #[error("the access token is not valid yet")]
    NotYet,
    #[error("the access token is bound to a key and cannot be used as a bearer token")]
    Bound,
    #[error("the access token was withdrawn, revoked or has expired")]
    Inactive,
}

/// The meaning of an accepted token.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct AccessToken {
    pub(crate) subject: String,
    pub(crate) client_id: String,
    pub(crate) scopes: BTreeSet<String>,
    pub(crate) roles: BTreeSet<String>,
    /// How strongly the customer was authenticated, and when (RFC 9068 §2.2.1); absent where nobody knows.
    pub(crate) acr: Option<String>,
    pub(crate) auth_time: Option<i64>,
}

impl AccessToken {
    /// A token that a client got for itself (client_credentials) speaks for no customer (RFC 9068 §2.2).
    pub(crate) fn is_for_a_customer(&self) -> bool {
        self.subject != self.client_id
    }
}

/// `aud` and its kind: one string or several (RFC 7519 §4.1.3).
#[derive(Debug, Default, Deserialize)]
#[serde(untagged)]
pub(crate) enum OneOrMany {
    One(String),
    Many(Vec<String>),
    #[default]
    Nothing,
}

impl OneOrMany {
    pub(crate) fn contains(&self, wanted: &str) -> bool {
        match self {
            Self::One(value) => value == wanted,
            Self::Many(values) => values.iter().any(|value| value == wanted),
            Self::Nothing => false,
        }
    }
}

#[derive(Deserialize)]
struct Header {
    alg: String,
    typ: Option<String>,
    kid: Option<String>,
    crit: Option<Value>,
}

/// The claims that RFC 9068 §2.2 demands, and those of §2.2.3 that decide what the token may do.
#[derive(Deserialize)]
#[expect(dead_code, reason = "`iat` and `jti` must be present, though nothing here reads them")]
struct Claims {
    iss: String,
    aud: OneOrMany,
    sub: String,
    client_id: String,
    exp: i64,
    iat: i64,
    jti: String,
    nbf: Option<i64>,
    #[serde(default)]
    scope: String,
    #[serde(default)]
    roles: BTreeSet<String>,
    acr: Option<String>,
    auth_time: Option<i64>,
    cnf: Option<Value>,
}

struct Key {
    kid: String,
    algorithm: &'static str,
    verifier: Box<dyn JwsVerifier>,
}

/// The issuer's published keys, each parsed once.
#[derive(Default)]
pub(crate) struct KeyRing(Vec<Key>);

impl KeyRing {
    /// Reads a JWK Set (RFC 7517 §5). Keys that are not for signatures, have no `kid` or use something we do
    /// not accept are passed over: an issuer may publish more than we understand.
    pub(crate) fn from_jwks(json: &[u8]) -> Result<Self, serde_json::Error> {
        #[derive(Deserialize)]
        struct Set {
            keys: Vec<serde_json::Map<String, Value>>,
        }
        let set: Set = serde_json::from_slice(json)?;
        Ok(Self(
            set.keys
                .into_iter()
                .filter_map(|map| Jwk::from_map(map).ok())
                .flat_map(|jwk| parse(&jwk))
                .collect(),
        ))
    }

    fn find(&self, kid: &str, algorithm: &str) -> Result<&Key, TokenRefusal> {
        let mut named = self.0.iter().filter(|key| key.kid == kid).peekable();
        if named.peek().is_none() {
            return Err(TokenRefusal::UnknownKey);
        }
        named.find(|key| key.algorithm == algorithm).ok_or(TokenRefusal::Algorithm)
    }
}

/// The verifiers a key is good for. An RSA key without `alg` may serve both RSA algorithms.
fn parse(jwk: &Jwk) -> Vec<Key> {
    let Some(kid) = jwk.key_id().map(str::to_owned) else { return Vec::new() };
    let algorithms: &[&'static str] = match (jwk.key_type(), jwk.algorithm()) {
        ("RSA", None) => &["RS256", "PS256"],
        ("RSA", Some("RS256")) => &["RS256"],
        ("RSA", Some("PS256")) => &["PS256"],
        ("EC", None | Some("ES256")) => &["ES256"],
        ("OKP", None | Some("EdDSA")) => &["EdDSA"],
        _ => &[],
    };
    let key = |algorithm: &'static str| -> Option<Key> {
        // a verifier inherits the key's kid and then demands it; we have matched the kid already
        let verifier: Box<dyn JwsVerifier> = match algorithm {
            "RS256" => jws::RS256.verifier_from_jwk(jwk).ok().map(|mut v| {
                v.remove_key_id();
                Box::new(v) as _
            })?,
            "PS256" => jws::PS256.verifier_from_jwk(jwk).ok().map(|mut v| {
                v.remove_key_id();
                Box::new(v) as _
            })?,
            "ES256" => jws::ES256.verifier_from_jwk(jwk).ok().map(|mut v| {
                v.remove_key_id();
                Box::new(v) as _
            })?,
            _ => jws::EdDSA.verifier_from_jwk(jwk).ok().map(|mut v| {
                v.remove_key_id();
                Box::new(v) as _
            })?,
        };
        Some(Key { kid: kid.clone(), algorithm, verifier })
    };
    algorithms.iter().filter_map(|algorithm| key(algorithm)).collect()
}

/// Judges a JWT access token (RFC 9068 §4). [`TokenRefusal::UnknownKey`] may mean that the keys are old.
pub(crate) fn validate(
    token: &str,
    keys: &KeyRing,
    issuer: &str,
    audience: &str,
    now: DateTime<Utc>,
) -> Result<AccessToken, TokenRefusal> {
    if token.len() > MAX_TOKEN_BYTES || token.split('.').count() != 3 {
        return Err(TokenRefusal::Malformed);
    }
    let header = header(token)?;
    if header.crit.is_some() {
        return Err(TokenRefusal::Critical);
    }
    if !is_access_token_type(header.typ.as_deref()) {
        return Err(TokenRefusal::Type);
    }
    if !["ES256", "PS256", "RS256", "EdDSA"].contains(&header.alg.as_str()) {
        return Err(TokenRefusal::Algorithm);
    }
    let key = keys.find(header.kid.as_deref().unwrap_or_default(), &header.alg)?;
    let (payload, _) =
        JwsContext::new().deserialize_compact(token, &*key.verifier).map_err(|_| TokenRefusal::Signature)?;
    let claims: Claims = serde_json::from_slice(&payload).map_err(|_| TokenRefusal::Malformed)?;
    judge(claims, issuer, audience, now.timestamp())
}

fn judge(claims: Claims, issuer: &str, audience: &str, now: i64) -> Result<AccessToken, TokenRefusal> {
    if claims.iss != issuer {
        return Err(TokenRefusal::Issuer);
    }
    if !claims.aud.contains(audience) {
        return Err(TokenRefusal::Audience);
    }
    if now >= claims.exp.saturating_add(LEEWAY_SECONDS) {
        return Err(TokenRefusal::Expired);
    }
    if claims.nbf.is_some_and(|nbf| nbf > now.saturating_add(LEEWAY_SECONDS)) {
        return Err(TokenRefusal::NotYet);
    }
    if claims.cnf.is_some() {
        return Err(TokenRefusal::Bound);
    }
    Ok(AccessToken {
        subject: claims.sub,
        client_id: claims.client_id,
        scopes: split_scope(&claims.scope),
        roles: claims.roles,
        acr: claims.acr,
        auth_time: claims.auth_time,
    })
}

/// Whether this is a JWT at all, or an opaque token that only its issuer can read.
pub(crate) fn looks_like_jwt(token: &str) -> bool {
    token.split('.').count() == 3 && header(token).is_ok()
}

pub(crate) fn split_scope(scope: &str) -> BTreeSet<String> {
    scope.split(' ').filter(|part| !part.is_empty()).map(str::to_owned).collect()
}

fn header(token: &str) -> Result<Header, TokenRefusal> {
    let encoded = token.split('.').next().unwrap_or_default();
    let json = URL_SAFE_NO_PAD.decode(encoded).map_err(|_| TokenRefusal::Malformed)?;
    serde_json::from_slice(&json).map_err(|_| TokenRefusal::Malformed)
}

/// `typ` compares without case and `application/` may be left out (RFC 9068 §4, RFC 7515 §4.1.9).
fn is_access_token_type(typ: Option<&str>) -> bool {
    typ.is_some_and(|typ| {
        let typ = typ.to_ascii_lowercase();
        typ.strip_prefix("application/").unwrap_or(&typ) == "at+jwt"
    })
}

#[cfg(test)]
#[path = "token_tests.rs"]
mod tests;
