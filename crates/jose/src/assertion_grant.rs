//! Assertions as authorization grants (RFC 7523 §2.1, §3): a JWT in which an issuer that an operator
//! trusts says who a person is.
//!
//! It differs from a client assertion in who signs and about whom: the issuer is somebody else's identity
//! service, the subject is a person. The rules of time, audience and single use are the same, and for the
//! same reasons: they are written once.

use chrono::{DateTime, TimeDelta, Utc};

use crate::{
    Algorithm, ClaimFault, JoseFault, KeySet, Unreplayed,
    assertion::{self, Rules},
    verify,
    verify::Compact,
};

/// The `typ` of its own that such an assertion may carry.
const TYPE: &str = "authorization-grant+jwt";

/// `iat` and `nbf` may lie so far ahead, and an assertion counts so long after its end.
const LEEWAY: TimeDelta = TimeDelta::seconds(10);

/// What an assertion has to satisfy.
#[derive(Clone, Debug)]
pub struct AssertionGrantPolicy<'a> {
    /// The issuer whose keys these are.
    pub issuer: &'a str,
    /// What it may be signed with: what the profile of the client that brings it allows (F2-34).
    pub algorithms: &'a [Algorithm],
    /// Our names: the issuer identifier and the token endpoint.
    pub accepted_audiences: &'a [&'a str],
    /// The claim that names the person.
    pub subject_claim: &'a str,
    /// How far ahead `exp` may lie, so that replay memory is bounded (JB-01).
    pub max_lifetime: TimeDelta,
}

/// Why an assertion grants nothing. All of them are `invalid_grant` outside (RFC 7523 §3.1).
#[derive(Debug, thiserror::Error)]
pub enum AssertionGrantFault {
    /// Malformed, or not signed with a key of the issuer.
    #[error(transparent)]
    Jose(#[from] JoseFault),
    /// A claim is missing or malformed.
    #[error(transparent)]
    Claim(#[from] ClaimFault),
    /// `typ` names another kind of token.
    #[error("the assertion is a token of another type")]
    Type,
    /// `iss` is not the issuer.
    #[error("the assertion is from another issuer")]
    Issuer,
    /// The claim that names the person is missing or no text.
    #[error("the assertion names nobody")]
    Subject,
    /// `aud` has a value that is not ours.
    #[error("the assertion is meant for another audience")]
    Audience,
    /// `exp` has passed.
    #[error("the assertion has expired")]
    Expired,
    /// `exp` is too far ahead.
    #[error("the assertion lives too long")]
    LivesTooLong,
    /// `iat` or `nbf` is too far ahead.
    #[error("the assertion is not valid yet")]
    NotYetValid,
}

assertion::says_what_is_broken!(AssertionGrantFault);

/// An assertion that satisfied its policy.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct AssertedPerson {
    /// Who says so.
    pub issuer: String,
    /// What the issuer calls the person.
    pub subject: String,
}

/// Verifies an assertion: signed by the issuer, for us alone, now. That it is seen for the first time is
/// for the store to say, through [`Unreplayed::confirm`].
///
/// # Errors
/// [`AssertionGrantFault`] says which rule it broke.
pub fn verify_assertion_grant(
    presented: &str,
    keys: &KeySet,
    policy: &AssertionGrantPolicy<'_>,
    now: DateTime<Utc>,
) -> Result<Unreplayed<AssertedPerson>, AssertionGrantFault> {
    use AssertionGrantFault as Fault;
    let verified = verify(presented, keys, policy.algorithms)?;
    if !assertion::is_of_type(&verified, TYPE) {
        return Err(Fault::Type);
    }
    let claims = &verified.claims;
    if claims.iss()?.ok_or(ClaimFault::Missing("iss"))? != policy.issuer {
        return Err(Fault::Issuer);
    }
    claims.sub()?.ok_or(ClaimFault::Missing("sub"))?;
    let named = claims.get(policy.subject_claim).and_then(|value| value.as_str());
    let subject = named.filter(|text| !text.is_empty()).ok_or(Fault::Subject)?.to_owned();
    let rules = Rules {
        accepted_audiences: policy.accepted_audiences,
        max_lifetime: policy.max_lifetime,
        leeway: LEEWAY,
    };
    let expires_at = rules.check(claims, &assertion::audience(claims)?, now)?;
    let mark = rules.mark(("assertion-grant", b"assertion-grant"), policy.issuer, claims, expires_at)?;
    let person = AssertedPerson { issuer: policy.issuer.to_owned(), subject };
    Ok(Unreplayed::new(person, mark))
}

/// The issuer that an assertion claims, **unverified**: good only for finding whose keys to verify it with.
pub fn peek_issuer(assertion: &str) -> Option<String> {
    let claims = Compact::parse(assertion).ok()?.claims().ok()?;
    claims.iss().ok()?.map(str::to_owned)
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use rstest::rstest;
    use serde_json::{Value, json};

    use super::*;
    use crate::{PrivateKey, SigningKey};

    const ISSUER: &str = "https://hr.example";
    const US: &str = "https://id.example";

    fn now() -> DateTime<Utc> {
        DateTime::from_timestamp(1_800_000_000, 0).unwrap()
    }

    fn judge(typ: &str, change: &Value) -> Result<Unreplayed<AssertedPerson>, AssertionGrantFault> {
        judge_by(&Algorithm::ALL, typ, change)
    }

    fn judge_by(
        algorithms: &[Algorithm],
        typ: &str,
        change: &Value,
    ) -> Result<Unreplayed<AssertedPerson>, AssertionGrantFault> {
        let key = SigningKey::new(&PrivateKey::generate(Algorithm::Es256).unwrap()).unwrap();
        let mut claims = json!({
            "iss": ISSUER, "sub": "alice", "aud": US, "jti": "1",
            "iat": 1_800_000_000, "exp": 1_800_000_060,
        });
        for (name, value) in change.as_object().unwrap() {
            match value {
                Value::Null => drop(claims.as_object_mut().unwrap().remove(name)),
                value => claims[name] = value.clone(),
            }
        }
        let policy = AssertionGrantPolicy {
            issuer: ISSUER,
            algorithms,
            accepted_audiences: &[US, "https://id.example/token"],
            subject_claim: "sub",
            max_lifetime: TimeDelta::minutes(5),
        };
        let token = key.sign(typ, &claims).unwrap();
        verify_assertion_grant(&token, &KeySet::new(vec![key.public().clone()]), &policy, now())
    }

    #[test]
    fn jb_01_a_good_assertion_names_a_person_once() {
        for typ in ["JWT", "authorization-grant+jwt"] {
            let person = judge(typ, &json!({})).unwrap();
            assert_eq!(person.mark().expires_at, now() + TimeDelta::seconds(70));
            assert_eq!(person.confirm(1).unwrap().subject, "alice");
        }
        assert!(judge("JWT", &json!({"aud": ["https://id.example/token", US]})).is_ok());
    }

    #[test]
    fn f2_34_jb_01_the_algorithm_is_one_that_is_allowed() {
        assert!(judge_by(&[Algorithm::Es256], "JWT", &json!({})).is_ok());
        let fault = judge_by(&[Algorithm::Ps256, Algorithm::EdDsa], "JWT", &json!({})).unwrap_err();
        assert!(matches!(fault, AssertionGrantFault::Jose(JoseFault::Algorithm(_))), "{fault}");
    }

    #[rstest]
    #[case("at+jwt", json!({}), "another type")]
    #[case("JWT", json!({"iss": "https://elsewhere.example"}), "another issuer")]
    #[case("JWT", json!({"iss": null}), "missing")]
    #[case("JWT", json!({"sub": null}), "missing")]
    #[case("JWT", json!({"aud": null}), "missing")]
    #[case("JWT", json!({"aud": [US, "https://elsewhere.example"]}), "another audience")]
    #[case("JWT", json!({"exp": null}), "missing")]
    #[case("JWT", json!({"exp": 1_799_999_990}), "expired")]
    #[case("JWT", json!({"exp": 1_800_000_311}), "too long")]
    #[case("JWT", json!({"iat": 1_800_000_011}), "not valid yet")]
    #[case("JWT", json!({"nbf": 1_800_000_011}), "not valid yet")]
    #[case("JWT", json!({"jti": null}), "missing")]
    #[case("JWT", json!({"jti": 7}), "wrong type")]
    fn jb_01_whatever_breaks_a_rule_is_refused(
        #[case] typ: &str,
        #[case] change: Value,
        #[case] expected: &str,
    ) {
        let fault = judge(typ, &change).unwrap_err().to_string();
        assert!(fault.contains(expected), "{fault}");
    }
}
