#![allow(clippy::unwrap_used)]

use std::sync::LazyLock;

use josekit::jwk::Jwk;
use rstest::rstest;
use serde_json::json;
use zeroize::Zeroizing;

use super::*;
use crate::{PrivateKey, SigningKey};

const URL: &str = "https://as.example/token";

/// A key of each algorithm; making one of RSA takes long.
static KEYS: LazyLock<Vec<SigningKey>> = LazyLock::new(|| Algorithm::ALL.map(new_key).into());

fn new_key(algorithm: Algorithm) -> SigningKey {
    SigningKey::new(&PrivateKey::generate(algorithm).unwrap()).unwrap()
}

fn private(algorithm: Algorithm) -> &'static SigningKey {
    KEYS.iter().find(|key| key.algorithm() == algorithm).unwrap()
}

fn now() -> DateTime<Utc> {
    DateTime::from_timestamp(1_800_000_000, 0).unwrap()
}

/// The key alone, as most clients write it.
fn jwk(algorithm: Algorithm) -> Value {
    let mut jwk = private(algorithm).public().to_value();
    for name in ["alg", "use", "kid"] {
        drop(jwk.as_object_mut().unwrap().remove(name));
    }
    jwk
}

fn header(algorithm: Algorithm) -> Value {
    json!({ "typ": "dpop+jwt", "alg": algorithm.as_str(), "jwk": jwk(algorithm) })
}

fn claims() -> Value {
    json!({ "jti": "one", "htm": "POST", "htu": URL, "iat": now().timestamp() })
}

fn encoded(value: &Value) -> String {
    URL_SAFE_NO_PAD.encode(value.to_string())
}

/// Signs with the key of `algorithm`, whatever the header says.
fn signed(algorithm: Algorithm, header: &Value, claims: &Value) -> String {
    private(algorithm).sign_under(header, claims).unwrap()
}

fn policy() -> DpopPolicy<'static> {
    DpopPolicy { method: "POST", url: URL, access_token: None, nonces: None }
}

fn verify(proof: &str, policy: &DpopPolicy<'_>) -> Result<Digest, DpopFault> {
    let verified = verify_dpop(proof, policy, now())?;
    Ok(verified.confirm(1).unwrap().thumbprint())
}

/// A proof with ES256 that was changed.
fn changed(change: impl FnOnce(&mut Value, &mut Value)) -> Result<Digest, DpopFault> {
    let (mut header, mut claims) = (header(Algorithm::Es256), claims());
    change(&mut header, &mut claims);
    verify(&signed(Algorithm::Es256, &header, &claims), &policy())
}

fn nonces(byte: u8) -> Nonces {
    Nonces::new(vec![Zeroizing::new([byte; 32])], "as")
}

#[rstest]
#[case(Algorithm::Ps256)]
#[case(Algorithm::Es256)]
#[case(Algorithm::EdDsa)]
fn dp_01_dp_10_the_three_algorithms_give_the_thumbprint(#[case] algorithm: Algorithm) {
    let proof = signed(algorithm, &header(algorithm), &claims());
    assert_eq!(verify(&proof, &policy()).unwrap(), private(algorithm).public().thumbprint());
    let mut tampered = claims();
    tampered["jti"] = json!("two");
    let (head, rest) = proof.split_once('.').unwrap();
    let signature = rest.split_once('.').unwrap().1;
    let forged = format!("{head}.{}.{signature}", encoded(&tampered));
    assert!(matches!(verify(&forged, &policy()), Err(DpopFault::Jose(JoseFault::Signature))));
}

#[test]
fn dp_01_f2_34_rs256_hmac_and_none_are_refused() {
    let rsa = signed(Algorithm::Rs256, &header(Algorithm::Rs256), &claims());
    assert!(matches!(verify(&rsa, &policy()), Err(DpopFault::Jose(JoseFault::Algorithm(_)))));
    for alg in ["none", "HS256", "es256", "ES384"] {
        let refused = changed(|header, _| header["alg"] = json!(alg));
        assert!(matches!(refused, Err(DpopFault::Jose(JoseFault::Algorithm(_)))), "{alg}");
    }
}

#[rstest]
#[case(json!(null))]
#[case(json!("JWT"))]
#[case(json!("at+jwt"))]
#[case(json!(""))]
fn dp_01_only_its_own_type(#[case] typ: Value) {
    let refused = changed(|header, _| {
        if typ.is_null() {
            header.as_object_mut().unwrap().remove("typ");
        } else {
            header["typ"] = typ;
        }
    });
    assert!(matches!(refused, Err(DpopFault::Type)));
    assert!(changed(|header, _| header["typ"] = json!("application/DPoP+JWT")).is_ok());
}

#[rstest]
#[case("d", json!("AAAA"))]
#[case("k", json!("AAAA"))]
#[case("p", json!(null))]
#[case("oth", json!([]))]
fn dp_01_private_members_are_refused(#[case] member: &'static str, #[case] value: Value) {
    let refused = changed(|header, _| header["jwk"][member] = value);
    assert!(matches!(refused, Err(DpopFault::Key(JwkFault::PrivateMember(name))) if name == member));
}

#[test]
fn dp_01_keys_that_do_not_fit_are_refused() {
    let key = |change: fn(&mut Value)| match changed(|header, _| change(header)) {
        Err(DpopFault::Key(fault)) => fault,
        other => panic!("{other:?}"),
    };
    assert_eq!(key(|header| drop(header.as_object_mut().unwrap().remove("jwk"))), JwkFault::NotAnObject);
    assert_eq!(key(|header| header["jwk"] = json!("text")), JwkFault::NotAnObject);
    assert_eq!(key(|header| header["jwk"]["kty"] = json!("oct")), JwkFault::Symmetric);
    assert_eq!(key(|header| header["jwk"] = jwk(Algorithm::EdDsa)), JwkFault::KeyType("OKP".into()));
    assert_eq!(key(|header| header["jwk"]["crv"] = json!("P-384")), JwkFault::Curve("P-384".into()));
    assert_eq!(key(|header| header["jwk"]["alg"] = json!("PS256")), JwkFault::Member("alg"));
    assert_eq!(key(|header| header["jwk"]["use"] = json!("enc")), JwkFault::Member("alg"));
    assert_eq!(key(|header| header["jwk"]["y"] = header["jwk"]["x"].clone()), JwkFault::Point);
    assert_eq!(key(|header| header["jwk"]["x"] = json!("AAAA")), JwkFault::Point);
    let mut small = header(Algorithm::Ps256);
    let modulus = small["jwk"]["n"].as_str().unwrap()[..172].to_owned();
    small["jwk"]["n"] = json!(modulus);
    let refused = verify(&signed(Algorithm::Ps256, &small, &claims()), &policy());
    assert!(matches!(refused, Err(DpopFault::Key(JwkFault::RsaBits(_)))), "F2-35: {refused:?}");
}

#[test]
fn dp_01_another_key_than_the_one_that_signed_is_refused() {
    let other = new_key(Algorithm::Es256);
    let refused = changed(|header, _| header["jwk"] = other.public().to_value());
    assert!(matches!(refused, Err(DpopFault::Jose(JoseFault::Signature))));
}

#[test]
fn dp_01_the_thumbprint_ignores_what_else_the_key_says() {
    let plain = changed(|_, _| ()).unwrap();
    let named = changed(|header, _| {
        header["jwk"]["kid"] = json!("mine");
        header["jwk"]["alg"] = json!("ES256");
    });
    assert_eq!(named.unwrap(), plain);
}

#[test]
fn dp_01_jo_02_no_crit_no_repeated_member_no_broken_form() {
    let critical = changed(|header, _| header["crit"] = json!(["exp"]));
    assert!(matches!(critical, Err(DpopFault::Jose(JoseFault::Critical))));
    let proof = signed(Algorithm::Es256, &header(Algorithm::Es256), &claims());
    for broken in [
        String::new(),
        "a.b".into(),
        format!("{proof}.x"),
        format!("{proof}, {proof}"),
        format!("{proof}="),
        format!(" {proof}"),
    ] {
        assert!(matches!(verify(&broken, &policy()), Err(DpopFault::Jose(_))), "{broken}");
    }
    let twice = proof.split_once('.').unwrap().1;
    let text =
        format!(r#"{{"typ":"dpop+jwt","typ":"dpop+jwt","alg":"ES256","jwk":{}}}"#, jwk(Algorithm::Es256));
    let proof = format!("{}.{twice}", URL_SAFE_NO_PAD.encode(text));
    assert!(matches!(verify(&proof, &policy()), Err(DpopFault::Jose(JoseFault::Json { .. }))));
    let long = changed(|_, claims| claims["x"] = json!("x".repeat(MAX_PROOF_BYTES)));
    assert!(matches!(long, Err(DpopFault::TooLong)));
}

#[rstest]
#[case("jti")]
#[case("htm")]
#[case("htu")]
#[case("iat")]
fn dp_03_every_claim_is_required_and_of_its_type(#[case] name: &'static str) {
    let missing = changed(|_, claims| drop(claims.as_object_mut().unwrap().remove(name)));
    assert!(matches!(missing, Err(DpopFault::Claim(ClaimFault::Missing(claim))) if claim == name));
    let wrong = changed(|_, claims| claims[name] = json!([]));
    assert!(matches!(wrong, Err(DpopFault::Claim(ClaimFault::WrongType(claim))) if claim == name));
}

#[rstest]
#[case(-61, false)]
#[case(-60, false)]
#[case(-59, true)]
#[case(0, true)]
#[case(10, true)]
#[case(11, false)]
#[case(61, false)]
fn dp_03_f2_16_iat_has_a_window(#[case] offset: i64, #[case] accepted: bool) {
    let verified = changed(|_, claims| claims["iat"] = json!(now().timestamp() + offset));
    assert_eq!(verified.is_ok(), accepted, "{verified:?}");
}

#[rstest]
#[case("htm", json!("GET"), false)]
#[case("htm", json!("post"), false)]
#[case("htu", json!("https://as.example/par"), false)]
#[case("htu", json!("https://evil.example/token"), false)]
#[case("htu", json!("https://AS.example:443/token?x#y"), true)]
#[case("jti", json!("x".repeat(256)), true)]
#[case("jti", json!("x".repeat(257)), false)]
#[case("unheard", json!({"of": 1}), true)]
fn dp_02_dp_03_what_it_is_for(#[case] name: &'static str, #[case] value: Value, #[case] accepted: bool) {
    assert_eq!(changed(|_, claims| claims[name] = value).is_ok(), accepted);
}

#[test]
fn dp_11_ath_is_the_hash_of_the_token() {
    let at_resource = DpopPolicy { access_token: Some("token"), ..policy() };
    let proof = |ath: Option<&str>| {
        let mut claims = claims();
        if let Some(token) = ath {
            claims["ath"] = json!(sha256(token).to_string());
        }
        verify(&signed(Algorithm::Es256, &header(Algorithm::Es256), &claims), &at_resource)
    };
    assert!(proof(Some("token")).is_ok());
    assert!(matches!(proof(Some("other")), Err(DpopFault::AccessToken)));
    assert!(matches!(proof(None), Err(DpopFault::AccessToken)));
}

#[test]
fn dp_07_dp_16_f2_16_a_nonce_is_asked_for_and_stands_in_for_the_clock() {
    let ours = nonces(1);
    let nonced = DpopPolicy { nonces: Some(&ours), ..policy() };
    let proof = |nonce: Option<String>, skew: i64| {
        let mut claims = claims();
        claims["iat"] = json!(now().timestamp() + skew);
        if let Some(nonce) = nonce {
            claims["nonce"] = json!(nonce);
        }
        verify(&signed(Algorithm::Es256, &header(Algorithm::Es256), &claims), &nonced)
    };
    let missing = proof(None, 0).unwrap_err();
    assert!(matches!(missing, DpopFault::NonceMissing) && missing.wants_nonce());
    // DP-16: never told of the clock where a nonce would help.
    for stale in [ours.current(now() - TimeDelta::hours(1)), nonces(2).current(now()), "x".into()] {
        let refused = proof(Some(stale), -9999).unwrap_err();
        assert!(matches!(refused, DpopFault::NonceStale) && refused.wants_nonce());
    }
    assert!(proof(Some(ours.current(now())), 0).is_ok());
    assert!(proof(Some(ours.current(now())), -9999).is_ok());
    // Where none is required, one of somebody's says nothing.
    assert!(changed(|_, claims| claims["nonce"] = json!("x")).is_ok());
}

#[test]
fn dp_04_the_mark_is_of_key_and_jti_and_outlives_the_proof() {
    let mark = |algorithm: Algorithm, jti: &str| {
        let mut claims = claims();
        claims["jti"] = json!(jti);
        verify_dpop(&signed(algorithm, &header(algorithm), &claims), &policy(), now()).unwrap()
    };
    let first = mark(Algorithm::Es256, "one");
    assert_eq!(first.mark().digest, mark(Algorithm::Es256, "one").mark().digest);
    assert_ne!(first.mark().digest, mark(Algorithm::Es256, "two").mark().digest);
    assert_ne!(first.mark().digest, mark(Algorithm::EdDsa, "one").mark().digest);
    assert_eq!(first.mark().expires_at, now() + DpopPolicy::MAX_AGE);
    assert!(first.confirm(0).is_err());
}

#[test]
fn josekit_agrees_about_the_proofs() {
    let jwk = Jwk::from_map(jwk(Algorithm::Es256).as_object().unwrap().clone()).unwrap();
    let verifier = josekit::jws::ES256.verifier_from_jwk(&jwk).unwrap();
    let proof = private(Algorithm::Es256).sign_proof(&claims()).unwrap();
    assert!(verify(&proof, &policy()).is_ok());
    assert!(josekit::jws::deserialize_compact(&proof, &verifier).is_ok());
}
