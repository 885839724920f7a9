#![allow(clippy::unwrap_used)]
use std::sync::LazyLock;

use rstest::rstest;
use serde_json::json;

use super::*;
use crate::{
    AssertionPolicy, ContentEncryption, Encryption, KeyManagement, PrivateDecryptionKey, PrivateKey,
    SigningKey, jwe::EncryptionKeyType, verify_client_assertion,
};

const CLIENT: &str = "app";
const ISSUER: &str = "https://as.example";

static KEY: LazyLock<SigningKey> =
    LazyLock::new(|| SigningKey::new(&PrivateKey::generate(Algorithm::Es256).unwrap()).unwrap());
static OURS: LazyLock<DecryptionKey> = LazyLock::new(|| {
    DecryptionKey::new(&PrivateDecryptionKey::generate(EncryptionKeyType::P256).unwrap()).unwrap()
});

fn now() -> DateTime<Utc> {
    DateTime::from_timestamp(1_800_000_000, 0).unwrap()
}

fn keys() -> KeySet {
    KeySet::new(vec![KEY.public().clone()])
}

fn policy(bounded: bool) -> RequestObjectPolicy<'static> {
    RequestObjectPolicy {
        client_id: CLIENT,
        issuer: ISSUER,
        algorithms: &Algorithm::ALL,
        bounded,
        leeway: RequestObjectPolicy::LEEWAY,
    }
}

/// A good object with these members changed; `null` removes one.
#[expect(clippy::needless_pass_by_value, reason = "a literal of JSON is written where it is used")]
fn object(changes: Value) -> Value {
    let mut object = json!({
        "iss": CLIENT, "aud": ISSUER, "client_id": CLIENT, "response_type": "code", "state": "s",
        "nbf": now().timestamp(), "exp": now().timestamp() + 300, "max_age": 5,
    });
    let members = object.as_object_mut().unwrap();
    members.extend(changes.as_object().unwrap().clone());
    members.retain(|_, value| !value.is_null());
    object
}

fn read(token: &str, bounded: bool) -> Result<RequestObject, RequestObjectFault> {
    let opened = open_request_object(token, std::slice::from_ref(&*OURS), &Accepted::ALL)?;
    opened.verify(&keys(), &policy(bounded), now())
}

fn signed(changes: Value, bounded: bool) -> Result<RequestObject, RequestObjectFault> {
    read(&KEY.sign("oauth-authz-req+jwt", &object(changes)).unwrap(), bounded)
}

#[test]
fn jar_03_a_signed_request_gives_its_parameters() {
    let read = signed(json!({}), true).unwrap();
    let expected = json!({"client_id": CLIENT, "response_type": "code", "state": "s", "max_age": 5});
    assert_eq!(Value::Object(read.parameters), expected);
    assert!(!read.encrypted);
}

#[test]
fn jar_03_only_the_keys_and_algorithms_of_the_client_count() {
    let foreign = SigningKey::new(&PrivateKey::generate(Algorithm::Es256).unwrap()).unwrap();
    let fault = read(&foreign.sign("JWT", &object(json!({}))).unwrap(), false).unwrap_err();
    assert!(fault.is_key_unknown(), "{fault}");
    let narrow = RequestObjectPolicy { algorithms: &[Algorithm::Ps256], ..policy(false) };
    let token = KEY.sign("JWT", &object(json!({}))).unwrap();
    let opened = open_request_object(&token, &[], &Accepted::ALL).unwrap();
    let fault = opened.verify(&keys(), &narrow, now()).unwrap_err();
    assert!(matches!(fault, RequestObjectFault::Jose(JoseFault::Algorithm(_))), "{fault}");
}

#[rstest]
#[case("eyJhbGciOiJub25lIn0.eyJjbGllbnRfaWQiOiJhcHAifQ.")]
#[case("eyJhbGciOiJIUzI1NiJ9.eyJjbGllbnRfaWQiOiJhcHAifQ.AAAA")]
fn oc_28_f2_34_unsigned_objects_are_never_requests(#[case] token: &str) {
    let fault = read(token, false).unwrap_err();
    assert!(matches!(fault, RequestObjectFault::Jose(JoseFault::Algorithm(_))), "{fault}");
}

#[rstest]
#[case("oauth-authz-req+jwt", true)]
#[case("OAUTH-AUTHZ-REQ+JWT", true)]
#[case("application/oauth-authz-req+jwt", true)]
#[case("JWT", true)]
#[case("at+jwt", false)]
#[case("client-authentication+jwt", false)]
#[case("dpop+jwt", false)]
#[case("logout+jwt", false)]
fn jar_05_types(#[case] typ: &str, #[case] taken: bool) {
    assert_eq!(read(&KEY.sign(typ, &object(json!({}))).unwrap(), false).is_ok(), taken);
}

#[test]
fn jar_05_an_assertion_is_no_request_and_the_reverse() {
    let now = now();
    let assertion = json!({
        "iss": CLIENT, "sub": CLIENT, "aud": ISSUER, "exp": now.timestamp() + 60, "jti": "1",
        "client_id": CLIENT, "response_type": "code",
    });
    let token = KEY.sign("JWT", &assertion).unwrap();
    assert!(matches!(read(&token, false), Err(RequestObjectFault::Subject)));
    let as_assertion = |token: &str| {
        let policy = AssertionPolicy {
            client_id: CLIENT,
            accepted_audiences: &[ISSUER],
            audience_must_be_string: false,
            algorithms: &Algorithm::ALL,
            max_lifetime: AssertionPolicy::MAX_LIFETIME,
            leeway: AssertionPolicy::LEEWAY,
        };
        verify_client_assertion(token, &keys(), &policy, now).is_ok()
    };
    assert!(as_assertion(&token));
    for typ in ["JWT", "oauth-authz-req+jwt"] {
        assert!(!as_assertion(&KEY.sign(typ, &object(json!({"jti": "1"}))).unwrap()), "{typ}");
    }
}

#[rstest]
#[case(json!({"client_id": null}), "client_id")]
#[case(json!({"client_id": "other"}), "client_id")]
#[case(json!({"client_id": 5}), "client_id")]
#[case(json!({"iss": "other"}), "issuer")]
#[case(json!({"request": "x"}), "request_uri")]
#[case(json!({"request_uri": "https://a.example/"}), "request_uri")]
#[case(json!({"aud": "https://other.example"}), "audience")]
#[case(json!({"aud": ["https://other.example", ISSUER, 1]}), "aud")]
#[case(json!({"exp": 1_800_000_000 - 10}), "expired")]
#[case(json!({"exp": "soon"}), "exp")]
#[case(json!({"nbf": 1_800_000_011_i64}), "not valid yet")]
#[case(json!({"iat": 1_800_000_061_i64}), "not valid yet")]
fn jar_01_jar_02_ms_02_f2_16_what_is_refused(#[case] changes: Value, #[case] says: &str) {
    for bounded in [false, true] {
        let fault = signed(changes.clone(), bounded).unwrap_err().to_string();
        assert!(fault.contains(says), "{fault}");
    }
}

#[rstest]
#[case(json!({"aud": ["https://other.example", ISSUER]}))]
#[case(json!({"nbf": 1_800_000_010_i64, "iat": 1_800_000_010_i64}))]
#[case(json!({"nbf": 1_800_000_000 - 3600, "exp": 1_800_000_000_i64}))]
fn ms_02_ms_03_f2_16_what_is_accepted_everywhere(#[case] changes: Value) {
    for bounded in [false, true] {
        assert!(signed(changes.clone(), bounded).is_ok());
    }
}

#[rstest]
#[case(json!({"aud": null}))]
#[case(json!({"nbf": null}))]
#[case(json!({"exp": null}))]
#[case(json!({"nbf": 1_800_000_000 - 3611, "exp": 1_800_000_001_i64}))]
#[case(json!({"exp": 1_800_000_000 + 3601}))]
fn ms_02_ms_03_bounded_requests_say_when_and_for_whom(#[case] changes: Value) {
    assert!(signed(changes.clone(), true).is_err());
    assert!(signed(changes, false).is_ok(), "OpenID Connect Core §6.1 demands none of them");
}

#[test]
fn jar_04_an_encrypted_object_is_signed_inside() {
    let readers = KeySet::new(vec![OURS.public().clone()]);
    let with = Encryption { key_management: KeyManagement::EcdhEs, content: ContentEncryption::A256Gcm };
    let seal = |plain: &str| jwe::encrypt(plain.as_bytes(), &readers, with, Some("JWT")).unwrap();
    let token = KEY.sign("oauth-authz-req+jwt", &object(json!({}))).unwrap();
    assert!(read(&seal(&token), true).unwrap().encrypted);
    let plain = object(json!({})).to_string();
    assert!(matches!(read(&seal(&plain), true), Err(RequestObjectFault::Jose(_))));
    assert!(matches!(read(&seal(&seal(&token)), true), Err(RequestObjectFault::NotNested)));
    let accepted = Accepted { key_management: &[KeyManagement::RsaOaep256], ..Accepted::ALL };
    let narrow = open_request_object(&seal(&token), std::slice::from_ref(&*OURS), &accepted);
    assert!(matches!(narrow, Err(RequestObjectFault::Jwe(JweFault::Algorithm(_)))));
    assert!(matches!(read("a.b.c.d.e", false), Err(RequestObjectFault::Jwe(_))));
}

#[test]
fn jo_02_a_repeated_member_refuses_the_object() {
    use base64::{Engine, engine::general_purpose::URL_SAFE_NO_PAD};
    // Signed bytes can't be made with a map, so only the reader is shown: it refuses before a signature
    // could matter.
    let payload = br#"{"client_id":"app","client_id":"other"}"#;
    assert!(protocol::json::from_slice::<Map<String, Value>>(payload).is_err());
    let token = KEY.sign("JWT", &object(json!({}))).unwrap();
    let (header, _) = token.split_once('.').unwrap();
    let forged = format!("{header}.{}.AAAA", URL_SAFE_NO_PAD.encode(payload));
    assert!(read(&forged, false).is_err());
}
