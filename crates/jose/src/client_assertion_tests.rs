#![allow(clippy::unwrap_used)]

use super::*;
use crate::{PrivateKey, Replayed, SigningKey};
use proptest::prelude::*;
use rstest::rstest;
use serde_json::{Value, json};
use std::sync::LazyLock;

const ISSUER: &str = "https://id.example";
const TOKEN: &str = "https://id.example/token";
const NOW: i64 = 1_800_000_000;

static KEY: LazyLock<SigningKey> =
    LazyLock::new(|| SigningKey::new(&PrivateKey::generate(Algorithm::Es256).unwrap()).unwrap());

fn policy() -> AssertionPolicy<'static> {
    AssertionPolicy {
        client_id: "ledgerline",
        accepted_audiences: &[ISSUER, TOKEN],
        audience_must_be_string: false,
        algorithms: &[Algorithm::Es256],
        max_lifetime: AssertionPolicy::MAX_LIFETIME,
        leeway: AssertionPolicy::LEEWAY,
    }
}

fn claims() -> Value {
    json!({
        "iss": "ledgerline", "sub": "ledgerline", "aud": ISSUER, "jti": "one",
        "iat": NOW, "exp": NOW + 60
    })
}

fn check_with(
    claims: &Value,
    typ: &str,
    policy: &AssertionPolicy<'_>,
) -> Result<Unreplayed<ClientAssertion>, AssertionFault> {
    let keys = KeySet::new(vec![KEY.public().clone()]);
    let now = DateTime::from_timestamp(NOW, 0).unwrap();
    verify_client_assertion(&KEY.sign(typ, claims).unwrap(), &keys, policy, now)
}

fn outcome(claims: &Value) -> String {
    match check_with(claims, "JWT", &policy()) {
        Ok(_) => "accepted".to_owned(),
        Err(fault) => format!("{fault:?}"),
    }
}

#[test]
fn oc_24_a_good_assertion_counts_once() {
    let first = check_with(&claims(), "JWT", &policy()).unwrap();
    assert_eq!(first.mark().expires_at.timestamp(), NOW + 70);
    let again = check_with(&claims(), "JWT", &policy()).unwrap();
    assert_eq!(first.mark().digest, again.mark().digest);
    assert_eq!(first.confirm(1).unwrap().client_id, "ledgerline");
    assert_eq!(again.confirm(0), Err(Replayed));
}

#[rstest]
#[case("iss", json!("pocketwise"), "Issuer")]
#[case("sub", json!("pocketwise"), "Subject")]
#[case("iss", Value::Null, "Claim(Missing(\"iss\"))")]
#[case("sub", Value::Null, "Claim(Missing(\"sub\"))")]
#[case("aud", Value::Null, "Claim(Missing(\"aud\"))")]
#[case("exp", Value::Null, "Claim(Missing(\"exp\"))")]
#[case("jti", Value::Null, "Claim(Missing(\"jti\"))")]
#[case("jti", json!(""), "Claim(WrongType(\"jti\"))")]
#[case("jti", json!(7), "Claim(WrongType(\"jti\"))")]
#[case("exp", json!("soon"), "Claim(WrongType(\"exp\"))")]
#[case("exp", json!(-1), "Claim(OutOfRange(\"exp\"))")]
#[case("iat", Value::Null, "accepted")]
fn oc_24_claims_are_required_and_typed(#[case] name: &str, #[case] value: Value, #[case] expected: &str) {
    let mut changed = claims();
    if value.is_null() {
        changed.as_object_mut().unwrap().remove(name);
    } else {
        changed[name] = value;
    }
    assert_eq!(outcome(&changed), expected);
}

/// CVE-2025-27370, CVE-2025-27371: nothing foreign may stand beside our name.
#[rstest]
#[case(json!(ISSUER), false, "accepted")]
#[case(json!(TOKEN), false, "accepted")]
#[case(json!([ISSUER]), false, "accepted")]
#[case(json!([ISSUER, TOKEN]), false, "accepted")]
#[case(json!([ISSUER, "https://evil.example"]), false, "Audience")]
#[case(json!(["https://evil.example"]), false, "Audience")]
#[case(json!("https://id.example/"), false, "Audience")]
#[case(json!([]), false, "Claim(WrongType(\"aud\"))")]
#[case(json!([ISSUER]), true, "AudienceIsArray")]
#[case(json!(ISSUER), true, "accepted")]
#[case(json!("https://id.example/token "), true, "Audience")]
fn f2_12_the_audience_is_ours_alone(
    #[case] audience: Value,
    #[case] string_only: bool,
    #[case] expected: &str,
) {
    let mut changed = claims();
    changed["aud"] = audience;
    let policy = AssertionPolicy { audience_must_be_string: string_only, ..policy() };
    let outcome = match check_with(&changed, "JWT", &policy) {
        Ok(_) => "accepted".to_owned(),
        Err(fault) => format!("{fault:?}"),
    };
    assert_eq!(outcome, expected);
}

#[rstest]
#[case("iat", 10, "accepted")]
#[case("iat", 61, "NotYetValid")]
#[case("nbf", 10, "accepted")]
#[case("nbf", 61, "NotYetValid")]
#[case("exp", -9, "accepted")]
#[case("exp", -10, "Expired")]
#[case("exp", 3_610, "accepted")]
#[case("exp", 3_611, "LivesTooLong")]
fn f2_16_jw_01_times_are_bounded(#[case] name: &str, #[case] offset: i64, #[case] expected: &str) {
    let mut changed = claims();
    changed[name] = json!(NOW + offset);
    assert_eq!(outcome(&changed), expected);
}

#[rstest]
#[case("JWT", true)]
#[case("client-authentication+jwt", true)]
#[case("application/client-authentication+jwt", true)]
#[case("at+jwt", false)]
#[case("dpop+jwt", false)]
#[case("oauth-authz-req+jwt", false)]
fn tokens_of_another_type_are_no_assertions(#[case] typ: &str, #[case] accepted: bool) {
    assert_eq!(check_with(&claims(), typ, &policy()).is_ok(), accepted);
}

#[test]
fn the_registered_algorithm_decides() {
    let policy = AssertionPolicy { algorithms: &[Algorithm::Ps256], ..policy() };
    assert!(matches!(
        check_with(&claims(), "JWT", &policy),
        Err(AssertionFault::Jose(JoseFault::Algorithm(_)))
    ));
}

#[test]
fn equal_jtis_of_two_clients_do_not_collide() {
    let mut other = claims();
    other["iss"] = json!("pocketwise");
    other["sub"] = json!("pocketwise");
    let theirs = AssertionPolicy { client_id: "pocketwise", ..policy() };
    assert_ne!(
        check_with(&claims(), "JWT", &policy()).unwrap().mark().digest,
        check_with(&other, "JWT", &theirs).unwrap().mark().digest
    );
}

#[test]
fn peeking_names_the_client() {
    let token = KEY.sign("JWT", &claims()).unwrap();
    assert_eq!(peek_client_id(&token).as_deref(), Some("ledgerline"));
    assert_eq!(peek_client_id("a.b.c"), None);
    assert_eq!(peek_client_id(&KEY.sign("JWT", &json!({"sub": ""})).unwrap()), None);
}

proptest! {
    #[test]
    fn peeking_never_panics(text in ".{0,200}") {
        prop_assert_eq!(peek_client_id(&text), None);
    }

    /// Whatever the times, what is accepted ends soon enough to be remembered.
    #[test]
    fn jw_01_accepted_assertions_are_remembered_briefly(exp in 0_i64..4_000_000_000) {
        let mut changed = claims();
        changed["exp"] = json!(exp);
        if let Ok(accepted) = check_with(&changed, "JWT", &policy()) {
            prop_assert!(accepted.mark().expires_at.timestamp() <= NOW + 3_600 + 20);
            prop_assert!(accepted.mark().expires_at.timestamp() > NOW);
        }
    }
}
