//! Software statements: what a directory that the operator trusts says about a piece of software, signed
//! (RFC 7591 §2.3). Its values win over what the client says itself (DR-05).

use chrono::{DateTime, TimeDelta, Utc};
use jose::{Algorithm, JoseFault, KeySet, verify};
use serde::{Deserialize, Serialize};

/// Clocks of others may be so far ahead.
const LEEWAY: TimeDelta = TimeDelta::seconds(60);

/// The `typ` that statements may carry. Others belong to other kinds of token that a directory signs
/// (RFC 8725 §3.11).
const TYPES: [&str; 2] = ["JWT", "software-statement+jwt"];

/// Claims about the statement itself, not about the software (RFC 7519 §4.1).
const ABOUT_ITSELF: [&str; 7] = ["iss", "sub", "aud", "exp", "nbf", "iat", "jti"];

/// The members of client metadata that a statement claims.
pub type StatedMembers = serde_json::Map<String, serde_json::Value>;

/// Why a statement is not believed.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error, Serialize, Deserialize)]
pub enum StatementFault {
    /// Not a JWT, or no key of an issuer made its signature.
    #[error("the software statement is not signed by an issuer that is approved here")]
    Signature,
    /// `typ` names another kind of token.
    #[error("the software statement is a token of another type")]
    Type,
    /// It names another issuer than the one whose key signed it.
    #[error("the software statement is of another issuer")]
    Issuer,
    /// It is meant for somebody else.
    #[error("the software statement is meant for another server")]
    Audience,
    /// Its time is over or has not come.
    #[error("the software statement is not valid at this time")]
    Time,
    /// A claim has the wrong type.
    #[error("a claim of the software statement has the wrong type")]
    Claim,
}

/// Verifies a statement with the keys of one issuer, and gives the members that it claims.
///
/// # Errors
/// [`StatementFault`]; where several issuers are approved, [`StatementFault::Signature`] and
/// [`StatementFault::Issuer`] say that the next one should be tried.
pub fn stated(
    statement: &str,
    issuer: &str,
    keys: &KeySet,
    audience: &str,
    now: DateTime<Utc>,
) -> Result<StatedMembers, StatementFault> {
    let verified = verify(statement, keys, &Algorithm::ALL).map_err(|fault| match fault {
        JoseFault::Claim(_) => StatementFault::Claim,
        _ => StatementFault::Signature,
    })?;
    if verified.typ.is_some() && !TYPES.iter().any(|typ| verified.typ_is(typ)) {
        return Err(StatementFault::Type);
    }
    let claims = verified.claims;
    let claim = |_| StatementFault::Claim;
    if claims.iss().map_err(claim)? != Some(issuer) {
        return Err(StatementFault::Issuer);
    }
    if claims.aud().map_err(claim)?.is_some_and(|aud| !aud.contains(audience)) {
        return Err(StatementFault::Audience);
    }
    let over = claims.exp().map_err(claim)?.is_some_and(|exp| exp <= now);
    let ahead = |at: Option<DateTime<Utc>>| at.is_some_and(|at| at > now + LEEWAY);
    if over || ahead(claims.nbf().map_err(claim)?) || ahead(claims.iat().map_err(claim)?) {
        return Err(StatementFault::Time);
    }
    let members = claims.into_map().into_iter();
    Ok(members.filter(|(name, _)| !ABOUT_ITSELF.contains(&name.as_str())).collect())
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use jose::{PrivateKey, SigningKey};
    use rstest::rstest;
    use serde_json::{Value, json};

    use super::*;

    const ISSUER: &str = "https://directory.example";
    const US: &str = "https://login.bank.example";

    fn now() -> DateTime<Utc> {
        DateTime::from_timestamp(1_800_000_000, 0).unwrap()
    }

    fn check(claims: &Value) -> Result<StatedMembers, StatementFault> {
        let key = SigningKey::new(&PrivateKey::generate(Algorithm::Es256).unwrap()).unwrap();
        let keys = KeySet::from_value(&json!({ "keys": [key.public().to_value()] })).unwrap();
        let statement = key.sign("JWT", claims).unwrap();
        stated(&statement, ISSUER, &keys, US, now())
    }

    #[rstest]
    #[case(json!({ "iss": ISSUER, "client_name": "App" }), Ok(()))]
    #[case(json!({ "iss": ISSUER, "aud": US, "exp": 1_800_000_001, "iat": 1_800_000_000 }), Ok(()))]
    #[case(json!({ "iss": ISSUER, "aud": ["x", US] }), Ok(()))]
    #[case(json!({ "client_name": "App" }), Err(StatementFault::Issuer))]
    #[case(json!({ "iss": "https://other.example" }), Err(StatementFault::Issuer))]
    #[case(json!({ "iss": ISSUER, "aud": "https://other.example" }), Err(StatementFault::Audience))]
    #[case(json!({ "iss": ISSUER, "exp": 1_800_000_000 }), Err(StatementFault::Time))]
    #[case(json!({ "iss": ISSUER, "iat": 1_800_000_061 }), Err(StatementFault::Time))]
    #[case(json!({ "iss": ISSUER, "exp": "soon" }), Err(StatementFault::Claim))]
    fn dr_05_statements_are_verified(#[case] claims: Value, #[case] expected: Result<(), StatementFault>) {
        assert_eq!(check(&claims).map(drop), expected);
    }

    #[rstest]
    #[case("JWT", true)]
    #[case("application/software-statement+jwt", true)]
    #[case("at+jwt", false)]
    #[case("logout+jwt", false)]
    #[case("oauth-authz-req+jwt", false)]
    fn dr_05_a_token_of_another_kind_is_no_statement(#[case] typ: &str, #[case] believed: bool) {
        let key = SigningKey::new(&PrivateKey::generate(Algorithm::Es256).unwrap()).unwrap();
        let keys = KeySet::from_value(&json!({ "keys": [key.public().to_value()] })).unwrap();
        let statement = key.sign(typ, &json!({ "iss": ISSUER, "scope": "openid" })).unwrap();
        let expected = if believed { Ok(()) } else { Err(StatementFault::Type) };
        assert_eq!(stated(&statement, ISSUER, &keys, US, now()).map(drop), expected);
    }

    #[test]
    fn dr_05_only_members_about_the_software_are_taken() {
        let members = check(&json!({ "iss": ISSUER, "jti": "1", "scope": "openid" })).unwrap();
        assert_eq!(members.keys().collect::<Vec<_>>(), ["scope"]);
    }

    #[test]
    fn dr_05_another_key_signs_nothing() {
        let keys = KeySet::default();
        assert_eq!(stated("e30.e30.e30", ISSUER, &keys, US, now()), Err(StatementFault::Signature));
    }
}
