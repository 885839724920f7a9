#![allow(clippy::unwrap_used)]

use super::*;
use crate::{PrivateKey, PublicKey, SigningKey};
use proptest::prelude::*;
use rstest::rstest;
use serde_json::json;
use std::sync::LazyLock;

static ES256: LazyLock<SigningKey> = LazyLock::new(|| new_key(Algorithm::Es256));
static RS256: LazyLock<SigningKey> = LazyLock::new(|| new_key(Algorithm::Rs256));
static EDDSA: LazyLock<SigningKey> = LazyLock::new(|| new_key(Algorithm::EdDsa));

fn new_key(algorithm: Algorithm) -> SigningKey {
    SigningKey::new(&PrivateKey::generate(algorithm).unwrap()).unwrap()
}

fn set(keys: &[&SigningKey]) -> KeySet {
    KeySet::new(keys.iter().map(|key| key.public().clone()).collect())
}

fn encode(text: impl AsRef<[u8]>) -> String {
    URL_SAFE_NO_PAD.encode(text)
}

/// A token with any header, signed with the ES256 key: what an insider with a good key could make.
fn with_header(header: &str, payload: &str) -> String {
    let private = PrivateKey::generate(Algorithm::Es256).unwrap();
    forge(&private, header, payload).0
}

fn forge(private: &PrivateKey, header: &str, payload: &str) -> (String, KeySet) {
    use aws_lc_rs::{
        rand::SystemRandom,
        signature::{ECDSA_P256_SHA256_FIXED_SIGNING, EcdsaKeyPair},
    };
    let jwk: Value = serde_json::from_slice(private.as_json()).unwrap();
    let bytes = |name: &str| URL_SAFE_NO_PAD.decode(jwk[name].as_str().unwrap()).unwrap();
    let point = [vec![4], bytes("x"), bytes("y")].concat();
    let pair =
        EcdsaKeyPair::from_private_key_and_public_key(&ECDSA_P256_SHA256_FIXED_SIGNING, &bytes("d"), &point)
            .unwrap();
    let signed = format!("{}.{}", encode(header), encode(payload));
    let signature = pair.sign(&SystemRandom::new(), signed.as_bytes()).unwrap();
    let token = format!("{signed}.{}", encode(signature.as_ref()));
    (token, KeySet::new(vec![private.public().clone()]))
}

/// RFC 7515 appendix A.3: a token and a key that others made.
#[test]
fn rfc_7515_a3_example() {
    let key = json!({"keys": [{
        "kty": "EC", "crv": "P-256",
        "x": "f83OJ3D2xF1Bg8vub9tLe1gHMzV76e8Tus9uPHvRVEU",
        "y": "x_FEzRu9m36HLN_tue659LNpXW6pCyStikYjKIWI5a0"
    }]});
    let token = "eyJhbGciOiJFUzI1NiJ9.eyJpc3MiOiJqb2UiLA0KICJleHAiOjEzMDA4MTkzODAsDQogImh0dHA6Ly9leGFtcGxlLmNvbS9pc19yb290Ijp0cnVlfQ.DtEhU3ljbEg8L38VWAfUAqOyKAM6-Xx-F4GawxaepmXFCgfTjDxw5djxLa8ISlSApmWQxfKTUJqPP3-Kg6NU1Q";
    let keys = KeySet::from_value(&key).unwrap();
    let verified = verify(token, &keys, &[Algorithm::Es256]).unwrap();
    assert_eq!(verified.claims.iss().unwrap(), Some("joe"));
    assert_eq!(verified.claims.exp().unwrap().unwrap().timestamp(), 1_300_819_380);
    assert_eq!(verified.typ, None);
    assert!(matches!(
        verify(token, &keys, &[Algorithm::Rs256, Algorithm::Ps256]),
        Err(JoseFault::Algorithm(name)) if name == "ES256"
    ));
}

#[rstest]
#[case::none(r#"{"alg":"none"}"#)]
#[case::none_upper(r#"{"alg":"NONE"}"#)]
#[case::hmac(r#"{"alg":"HS256"}"#)]
#[case::ps384(r#"{"alg":"PS384"}"#)]
fn f2_34_none_and_hmac_are_refused(#[case] header: &str) {
    let token = format!("{}.{}.", encode(header), encode("{}"));
    assert!(matches!(verify(&token, &set(&[&ES256]), &Algorithm::ALL), Err(JoseFault::Algorithm(_))));
    assert!(verify(&with_header(header, "{}"), &set(&[&ES256]), &Algorithm::ALL).is_err());
}

#[test]
fn jo_01_the_header_does_not_choose_the_algorithm() {
    let private = PrivateKey::generate(Algorithm::Es256).unwrap();
    for name in ["RS256", "PS256", "EdDSA"] {
        let (token, keys) = forge(&private, &format!(r#"{{"alg":"{name}"}}"#), "{}");
        assert!(matches!(verify(&token, &keys, &Algorithm::ALL), Err(JoseFault::NoKey { .. })));
    }
    // Nor does a key verify with the padding that its `alg` excludes.
    let token = RS256.sign("JWT", &json!({})).unwrap();
    let mut jwk = RS256.public().to_value();
    jwk["alg"] = json!("PS256");
    let pss = KeySet::new(vec![PublicKey::from_value(&jwk).unwrap()]);
    assert!(matches!(verify(&token, &pss, &Algorithm::ALL), Err(JoseFault::NoKey { .. })));
}

#[test]
fn jo_01_keys_in_the_header_are_ignored() {
    let private = PrivateKey::generate(Algorithm::Es256).unwrap();
    let header = json!({
        "alg": "ES256", "jwk": private.public().to_value(),
        "jku": "https://evil.example/jwks", "x5c": ["AAAA"], "x5u": "https://evil.example"
    });
    let (token, keys) = forge(&private, &header.to_string(), "{}");
    assert!(matches!(verify(&token, &set(&[&ES256]), &Algorithm::ALL), Err(JoseFault::Signature)));
    assert!(verify(&token, &keys, &Algorithm::ALL).is_ok());
}

#[rstest]
#[case::crit(r#"{"alg":"ES256","crit":["exp"],"exp":1}"#, "Critical")]
#[case::crit_empty(r#"{"alg":"ES256","crit":[]}"#, "Critical")]
#[case::crit_b64(r#"{"alg":"ES256","crit":["b64"],"b64":false}"#, "Critical")]
#[case::b64(r#"{"alg":"ES256","b64":false}"#, "UnencodedPayload")]
#[case::duplicate_alg(r#"{"alg":"none","alg":"ES256"}"#, "Json")]
#[case::duplicate_nested(r#"{"alg":"ES256","x":{"a":1,"a":2}}"#, "Json")]
#[case::escaped_duplicate("{\"alg\":\"none\",\"\\u0061lg\":\"ES256\"}", "Json")]
#[case::array(r#"["ES256"]"#, "Json")]
#[case::trailing(r#"{"alg":"ES256"}x"#, "Json")]
#[case::no_alg(r"{}", "Header(\"alg\")")]
#[case::alg_number(r#"{"alg":1}"#, "Header(\"alg\")")]
#[case::kid_number(r#"{"alg":"ES256","kid":1}"#, "Header(\"kid\")")]
#[case::typ_array(r#"{"alg":"ES256","typ":["JWT"]}"#, "Header(\"typ\")")]
fn jo_01_jo_02_bad_headers_are_refused(#[case] header: &str, #[case] fault: &str) {
    let private = PrivateKey::generate(Algorithm::Es256).unwrap();
    let (token, keys) = forge(&private, header, "{}");
    let refused = format!("{:?}", verify(&token, &keys, &Algorithm::ALL).unwrap_err());
    assert!(refused.starts_with(fault), "{refused}");
}

#[rstest]
#[case(r#"{"sub":"alice","sub":"bob"}"#)]
#[case(r#"{"cnf":{"jkt":"a","jkt":"b"}}"#)]
#[case("[]")]
#[case("")]
#[case("{}{}")]
fn jo_02_bad_payloads_are_refused(#[case] payload: &str) {
    let private = PrivateKey::generate(Algorithm::Es256).unwrap();
    let (token, keys) = forge(&private, r#"{"alg":"ES256"}"#, payload);
    assert!(matches!(verify(&token, &keys, &Algorithm::ALL), Err(JoseFault::Json { part: "payload", .. })));
}

#[test]
fn size_and_shape_are_bounded() {
    let keys = set(&[&ES256]);
    let long = ES256.sign("JWT", &json!({"x": "a".repeat(13_000)})).unwrap();
    assert!(long.len() > MAX_TOKEN_BYTES);
    assert!(matches!(verify(&long, &keys, &Algorithm::ALL), Err(JoseFault::TooLong)));
    for shape in ["", ".", "a.b", "a.b.c.d", "a.b.c.d.e"] {
        assert!(matches!(verify(shape, &keys, &Algorithm::ALL), Err(JoseFault::NotCompact)), "{shape}");
    }
    let token = ES256.sign("JWT", &json!({})).unwrap();
    for altered in [format!("{token}="), format!(" {token}"), format!("{token}\n")] {
        assert!(matches!(verify(&altered, &keys, &Algorithm::ALL), Err(JoseFault::Encoding(_))));
    }
}

#[test]
fn f2_37_equal_kids_are_told_apart_by_type_then_tried() {
    let named = |key: &SigningKey| {
        let mut jwk = key.public().to_value();
        jwk["kid"] = json!("same");
        PublicKey::from_value(&jwk).unwrap()
    };
    let other = new_key(Algorithm::Es256);
    let private = PrivateKey::generate(Algorithm::Es256).unwrap();
    let mut jwk = private.public().to_value();
    jwk["kid"] = json!("same");
    let right = PublicKey::from_value(&jwk).unwrap();
    let keys = KeySet::new(vec![named(&RS256), named(&EDDSA), named(&other), right]);
    let (token, _) = forge(&private, r#"{"alg":"ES256","kid":"same"}"#, "{}");
    assert!(verify(&token, &keys, &Algorithm::ALL).is_ok());
    let (token, _) = forge(&private, r#"{"alg":"ES256","kid":"another"}"#, "{}");
    assert!(matches!(verify(&token, &keys, &Algorithm::ALL), Err(JoseFault::NoKey { .. })));
    let (token, _) = forge(&private, r#"{"alg":"ES256"}"#, "{}");
    assert!(verify(&token, &keys, &Algorithm::ALL).is_ok());
}

#[test]
fn a_client_may_name_a_key_that_its_set_leaves_nameless() {
    let mut jwk = ES256.public().to_value();
    jwk.as_object_mut().unwrap().remove("kid");
    let keys = KeySet::new(vec![PublicKey::from_value(&jwk).unwrap()]);
    let token = ES256.sign("JWT", &json!({})).unwrap();
    assert!(verify(&token, &keys, &Algorithm::ALL).is_ok());
}

#[rstest]
#[case("at+jwt", "at+jwt", true)]
#[case("AT+JWT", "at+jwt", true)]
#[case("application/at+jwt", "at+jwt", true)]
#[case("Application/At+Jwt", "at+jwt", true)]
#[case("at+jwt", "application/at+jwt", true)]
#[case("JWT", "at+jwt", false)]
#[case("application/at+jwt/x", "at+jwt/x", false)]
#[case("text/at+jwt", "at+jwt", false)]
#[case("applicatiön/at+jwt", "at+jwt", false)]
#[case("", "at+jwt", false)]
fn jo_03_typ_compares_as_a_media_type(#[case] typ: &str, #[case] expected: &str, #[case] same: bool) {
    let token = ES256.sign(typ, &json!({})).unwrap();
    let verified = verify(&token, &set(&[&ES256]), &[Algorithm::Es256]).unwrap();
    assert_eq!(verified.typ_is(expected), same);
}

#[test]
fn the_right_half_of_an_rsa_pair_is_needed() {
    let other = new_key(Algorithm::Rs256);
    let token = RS256.sign("JWT", &json!({})).unwrap();
    let mut jwk = other.public().to_value();
    jwk["kid"] = json!(RS256.kid());
    let keys = KeySet::new(vec![PublicKey::from_value(&jwk).unwrap()]);
    assert!(matches!(verify(&token, &keys, &Algorithm::ALL), Err(JoseFault::Signature)));
}

/// CVE-2022-21449, "psychic signatures": zeros verify nothing.
#[test]
fn a_signature_of_zeros_is_refused() {
    for key in [&*ES256, &*EDDSA] {
        let token = key.sign("JWT", &json!({})).unwrap();
        let (signed, _) = token.rsplit_once('.').unwrap();
        for zeros in [64, 0, 32, 65] {
            let forged = format!("{signed}.{}", encode(vec![0; zeros]));
            assert!(verify(&forged, &set(&[key]), &Algorithm::ALL).is_err());
        }
    }
}

proptest! {
    #[test]
    fn arbitrary_text_never_panics(token in ".{0,300}") {
        prop_assert!(verify(&token, &set(&[&ES256]), &Algorithm::ALL).is_err());
    }

    #[test]
    fn arbitrary_parts_never_panic(header in ".{0,60}", payload in ".{0,60}", signature: [u8; 32]) {
        let token = format!("{}.{}.{}", encode(header), encode(payload), encode(signature));
        prop_assert!(verify(&token, &set(&[&ES256, &RS256]), &Algorithm::ALL).is_err());
    }

    #[test]
    fn changing_any_character_breaks_a_token(
        which in 0..3_usize, at: prop::sample::Index, with in "[A-Za-z0-9_.=-]",
    ) {
        let key = [&*ES256, &*RS256, &*EDDSA][which];
        let mut token = key.sign("JWT", &json!({"sub": "alice"})).unwrap();
        let at = at.index(token.len());
        prop_assume!(token[at..=at] != with);
        token.replace_range(at..=at, &with);
        prop_assert!(verify(&token, &set(&[key]), &Algorithm::ALL).is_err());
    }
}
