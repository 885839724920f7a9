//! What an access token says, wherever it was read from: a JWT's claims (RFC 9068 §2.2) and an
//! introspection answer (RFC 7662 §2.2) have the same members.

use std::collections::BTreeSet;

use chrono::{DateTime, TimeDelta, Utc};
use serde::Deserialize;
use serde_json::{Map, Value};

use crate::{
    access::{Access, Lacking},
    presented::Scheme,
};

/// Clocks of two machines may differ this much.
const SKEW: TimeDelta = TimeDelta::seconds(10);

/// Why a token does not count here. The text is shown to the client, so it holds nothing of the token.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum TokenFault {
    /// Neither a JWT that could be verified nor a token that anybody could be asked about.
    #[error("the access token is malformed, of another kind, or not signed by its issuer")]
    Unverified,
    /// No key of the issuer's fits (RFC 7517 §4.5).
    #[error("the signing key of the access token is unknown")]
    UnknownKey,
    /// `iss` is another (RFC 9068 §4).
    #[error("the access token comes from another issuer")]
    Issuer,
    /// `aud` is another (RFC 9068 §4, BCP-10).
    #[error("the access token is meant for another audience")]
    Audience,
    /// `exp` has passed.
    #[error("the access token has expired")]
    Expired,
    /// `nbf` or `iat` lies ahead.
    #[error("the access token is not valid yet")]
    NotYetValid,
    /// The issuer says so (RFC 7662 §2.2).
    #[error("the access token was withdrawn, revoked or has expired")]
    Inactive,
    /// A member has the wrong type, or a required one is missing.
    #[error("the access token lacks what an access token must say")]
    Incomplete,
    /// It is bound, and was sent as a bearer token or by somebody else (RFC 9449 §7.2, RFC 8705 §3).
    #[error("the access token is bound to a key that this request does not prove")]
    Bound,
    /// It was sent under the scheme DPoP and is not bound to a key (RFC 9449 §7.1).
    #[error("the access token is not bound to the key of the proof")]
    Unbound,
    /// This API takes bound tokens only.
    #[error("this API takes sender-constrained access tokens only")]
    BearerNotTaken,
}

/// What a token that counts says.
#[derive(Clone, Debug, PartialEq)]
#[non_exhaustive]
pub struct AccessToken {
    /// Whom it speaks for: a person, or the client itself.
    pub subject: String,
    /// The client that it was issued to.
    pub client_id: String,
    /// Its identifier (`jti`); a JWT always has one (RFC 9068 §2.2).
    pub id: Option<String>,
    /// The authorization that it came from (`grant_id`), if the issuer says so: refreshed tokens have another
    /// `id`, and the same of these.
    pub grant_id: Option<String>,
    /// What it may do (RFC 6749 §3.3).
    pub scope: BTreeSet<String>,
    /// The roles that the person holds, as far as the scopes give them.
    pub roles: BTreeSet<String>,
    /// What exactly it may do (RFC 9396 §9).
    pub authorization_details: Vec<Map<String, Value>>,
    /// How strongly the person was authenticated (RFC 9470 §4).
    pub acr: Option<String>,
    /// When they were.
    pub auth_time: Option<DateTime<Utc>>,
    /// When it ends.
    pub expires_at: DateTime<Utc>,
    /// The SHA-256 thumbprint of the key that it is bound to (RFC 9449 §6).
    pub jkt: Option<String>,
    /// The SHA-256 thumbprint of the certificate that it is bound to (RFC 8705 §3.1).
    pub x5t_s256: Option<String>,
    /// Who acts for the subject (RFC 8693 §4.1).
    pub actor: Option<Value>,
}

/// `aud` and its kind: one string or several (RFC 7519 §4.1.3).
#[derive(Debug, Deserialize)]
#[serde(untagged)]
enum OneOrMany {
    One(String),
    Many(Vec<String>),
}

#[derive(Deserialize)]
struct Members {
    iss: Option<String>,
    aud: OneOrMany,
    sub: String,
    client_id: String,
    jti: Option<String>,
    grant_id: Option<String>,
    exp: i64,
    nbf: Option<i64>,
    #[serde(default)]
    scope: String,
    #[serde(default)]
    roles: BTreeSet<String>,
    #[serde(default)]
    authorization_details: Vec<Map<String, Value>>,
    acr: Option<String>,
    auth_time: Option<i64>,
    cnf: Option<Confirmation>,
    act: Option<Value>,
}

/// A way of binding that is not understood can't be checked, so it is a fault (RFC 7800 §3.1).
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Confirmation {
    jkt: Option<String>,
    #[serde(rename = "x5t#S256")]
    x5t_s256: Option<String>,
}

impl AccessToken {
    /// Reads the claims of a JWT, or an introspection answer that says `active`.
    ///
    /// # Errors
    /// [`TokenFault`]: the token is incomplete, not from this issuer, not for this audience or not of this
    /// time.
    pub fn read(
        members: Map<String, Value>,
        issuer: &str,
        audience: &str,
        now: DateTime<Utc>,
    ) -> Result<Self, TokenFault> {
        let read: Members =
            serde_json::from_value(Value::Object(members)).map_err(|_| TokenFault::Incomplete)?;
        if read.iss.is_some_and(|iss| iss != issuer) {
            return Err(TokenFault::Issuer);
        }
        let meant = match &read.aud {
            OneOrMany::One(one) => one == audience,
            OneOrMany::Many(many) => many.iter().any(|one| one == audience),
        };
        if !meant {
            return Err(TokenFault::Audience);
        }
        let time = |seconds| DateTime::from_timestamp(seconds, 0).ok_or(TokenFault::Incomplete);
        let expires_at = time(read.exp)?;
        if now - SKEW >= expires_at {
            return Err(TokenFault::Expired);
        }
        if read.nbf.map(time).transpose()?.is_some_and(|begin| begin > now + SKEW) {
            return Err(TokenFault::NotYetValid);
        }
        let (jkt, x5t_s256) = match read.cnf {
            // Bound to nothing that it names.
            Some(Confirmation { jkt: None, x5t_s256: None }) => return Err(TokenFault::Incomplete),
            Some(Confirmation { jkt, x5t_s256 }) => (jkt, x5t_s256),
            None => (None, None),
        };
        Ok(Self {
            subject: read.sub,
            client_id: read.client_id,
            id: read.jti,
            grant_id: read.grant_id,
            scope: read.scope.split(' ').filter(|part| !part.is_empty()).map(str::to_owned).collect(),
            roles: read.roles,
            authorization_details: read.authorization_details,
            acr: read.acr,
            auth_time: read.auth_time.map(time).transpose()?,
            expires_at,
            jkt,
            x5t_s256,
            actor: read.act,
        })
    }

    /// Whether an answer of introspection is about this very token: its name, and the key or certificate that
    /// it is bound to.
    pub(crate) fn is_the_same_as(&self, answer: &Self) -> bool {
        let identity = |token: &Self| (token.id.clone(), token.jkt.clone(), token.x5t_s256.clone());
        identity(self) == identity(answer)
    }

    /// A token that a client got for itself speaks for nobody else (RFC 9068 §2.2).
    #[must_use]
    pub fn is_for_a_person(&self) -> bool {
        self.subject != self.client_id
    }

    /// Judges the token by what a call turns out to need, once the route has read what is asked: an amount
    /// may demand a step-up (RFC 9470). [`Refusal::response`](crate::Refusal::response) is the answer.
    ///
    /// # Errors
    /// The first thing that is [`Lacking`].
    pub fn demand(&self, access: &Access, now: DateTime<Utc>) -> Result<(), Lacking> {
        access.judge(self, now)
    }

    /// The scheme under which it came, for challenges: a token that is bound to a key comes as `DPoP`, and
    /// every other as `Bearer` (RFC 9449 §7.1).
    #[must_use]
    pub const fn scheme(&self) -> Scheme {
        if self.jkt.is_some() { Scheme::Dpop } else { Scheme::Bearer }
    }

    /// The authorization details of one type (RFC 9396 §2).
    pub fn details<'a>(&'a self, kind: &'a str) -> impl Iterator<Item = &'a Map<String, Value>> {
        let of = move |detail: &&Map<String, Value>| detail.get("type").and_then(Value::as_str) == Some(kind);
        self.authorization_details.iter().filter(of)
    }
}

#[cfg(test)]
pub(crate) mod tests {
    #![allow(clippy::unwrap_used)]
    use serde_json::json;

    use super::*;

    const NOW: i64 = 1_800_000_000;

    pub(crate) fn now() -> DateTime<Utc> {
        DateTime::from_timestamp(NOW, 0).unwrap()
    }

    pub(crate) fn claims() -> Value {
        json!({
            "iss": "https://id.example", "aud": "https://api.example", "sub": "alice", "client_id": "app",
            "iat": NOW - 10, "exp": NOW + 290, "jti": "1", "scope": "accounts:read balances:read",
            "roles": ["account-viewer"], "acr": "urn:openbanking:psd2:sca", "auth_time": NOW - 60,
            "authorization_details": [{"type": "account_information", "actions": ["read"]}],
        })
    }

    /// A token with some members replaced; those that are null are left out.
    pub(crate) fn token(change: &Value) -> Result<AccessToken, TokenFault> {
        let Value::Object(mut members) = claims() else { unreachable!() };
        for (name, value) in change.as_object().unwrap() {
            match value {
                Value::Null => drop(members.remove(name)),
                value => drop(members.insert(name.clone(), value.clone())),
            }
        }
        AccessToken::read(members, "https://id.example", "https://api.example", now())
    }

    #[test]
    fn f2_38_issuer_audience_and_time_are_checked() {
        assert!(token(&json!({})).is_ok());
        assert!(token(&json!({"aud": ["https://other.example", "https://api.example"]})).is_ok());
        // The last second that a calendar has.
        assert!(token(&json!({"exp": DateTime::<Utc>::MAX_UTC.timestamp()})).is_ok());
        let table = [
            (json!({"iss": "https://evil.example"}), TokenFault::Issuer),
            (json!({"aud": "https://other.example"}), TokenFault::Audience),
            (json!({"aud": []}), TokenFault::Audience),
            (json!({"aud": null}), TokenFault::Incomplete),
            (json!({"sub": null}), TokenFault::Incomplete),
            (json!({"client_id": null}), TokenFault::Incomplete),
            (json!({"exp": null}), TokenFault::Incomplete),
            (json!({"exp": "1"}), TokenFault::Incomplete),
            (json!({"exp": i64::MAX}), TokenFault::Incomplete),
            (json!({"exp": NOW - 10}), TokenFault::Expired),
            (json!({"nbf": NOW + 11}), TokenFault::NotYetValid),
            (json!({"cnf": {"x5u": "https://id.example"}}), TokenFault::Incomplete),
            (json!({"cnf": "jkt"}), TokenFault::Incomplete),
            (json!({"cnf": {}}), TokenFault::Incomplete),
            (json!({"authorization_details": {"type": "payment"}}), TokenFault::Incomplete),
        ];
        for (change, fault) in table {
            assert_eq!(token(&change), Err(fault), "{change}");
        }
    }

    #[test]
    fn rar_05_details_are_found_by_their_type() {
        let token = token(&json!({})).unwrap();
        assert_eq!(token.details("account_information").count(), 1);
        assert_eq!(token.details("payment_initiation").count(), 0);
    }
}
