#![allow(clippy::unwrap_used)]

use super::*;
use crate::{KeySet, KeySetFault};
use proptest::prelude::*;
use rstest::rstest;
use serde_json::json;

/// The key of RFC 7638 §3.1.
fn rfc_7638_key() -> Value {
    json!({
        "kty": "RSA",
        "n": "0vx7agoebGcQSuuPiLJXZptN9nndrQmbXEps2aiAFbWhM78LhWx4cbbfAAtVT86zwu1RK7aPFFxuhDR1L6tSoc_BJECPebWKRXjBZCiFV4n3oknjhMstn64tZ_2W-5JsGY4Hc5n9yBXArwl93lqt7_RN5w6Cf0h4QyQ5v-65YGjQR0_FDW2QvzqY368QQMicAtaSqzs8KJZgnYb9c7d0zgdAZHzu6qMQvRL5hajrn1n91CbOpbISD08qNLyrdkt-bFTWhAI4vMQFh6WeZu0fM4lFd2NcRwr3XPksINHaQ-G_xBniIqbw0Ls1jF44-csFCur-kEgU8awapJzKnqDKgw",
        "e": "AQAB",
        "alg": "RS256",
        "kid": "2011-04-29"
    })
}

/// The key of RFC 7515 appendix A.3.
fn p256() -> Value {
    json!({
        "kty": "EC", "crv": "P-256",
        "x": "f83OJ3D2xF1Bg8vub9tLe1gHMzV76e8Tus9uPHvRVEU",
        "y": "x_FEzRu9m36HLN_tue659LNpXW6pCyStikYjKIWI5a0"
    })
}

/// The key of RFC 8037 appendix A.2.
fn ed25519() -> Value {
    json!({"kty": "OKP", "crv": "Ed25519", "x": "11qYAYKxCrfVS_7TyWQHOg7hcvPapiMlrwIaaPcHURo"})
}

fn with(mut key: Value, name: &str, value: Value) -> Value {
    key[name] = value;
    key
}

fn number(bits: usize, last: u8) -> String {
    let mut bytes = vec![0xff; bits.div_ceil(8)];
    if !bits.is_multiple_of(8) {
        bytes[0] = (1 << (bits % 8)) - 1;
    }
    *bytes.last_mut().unwrap() = last;
    URL_SAFE_NO_PAD.encode(bytes)
}

#[test]
fn rfc_7638_example_thumbprints() {
    let thumbprint = |jwk: Value| PublicKey::from_value(&jwk).unwrap().thumbprint().to_string();
    assert_eq!(thumbprint(rfc_7638_key()), "NzbLsXh8uDCcd-6MNwXF4W_7noWXFZAfHkxZsRGC9Xs");
    // RFC 8037 appendix A.3
    assert_eq!(thumbprint(ed25519()), "kPrK_qmxVWaYVA9wwBF6Iuo3vVzz7TxHCTwXBygrS4k");
    // A sign byte in front of the modulus changes nothing.
    let modulus = rfc_7638_key()["n"].as_str().unwrap().to_owned();
    let mut bytes = URL_SAFE_NO_PAD.decode(modulus).unwrap();
    bytes.insert(0, 0);
    let signed = with(rfc_7638_key(), "n", json!(URL_SAFE_NO_PAD.encode(bytes)));
    assert_eq!(thumbprint(signed), "NzbLsXh8uDCcd-6MNwXF4W_7noWXFZAfHkxZsRGC9Xs");
}

#[rstest]
#[case::a_bit_short(with(rfc_7638_key(), "n", json!(number(2047, 1))), JwkFault::RsaBits(2047))]
#[case::small(with(rfc_7638_key(), "n", json!(number(1024, 1))), JwkFault::RsaBits(1024))]
#[case::huge(with(rfc_7638_key(), "n", json!(number(16384, 1))), JwkFault::RsaBits(16384))]
#[case::empty(with(rfc_7638_key(), "n", json!("")), JwkFault::RsaBits(0))]
#[case::e_is_one(with(rfc_7638_key(), "e", json!("AQ")), JwkFault::RsaExponent)]
#[case::e_is_three(with(rfc_7638_key(), "e", json!("Aw")), JwkFault::RsaExponent)]
#[case::e_is_even(with(rfc_7638_key(), "e", json!("AQAC")), JwkFault::RsaExponent)]
#[case::e_is_huge(with(rfc_7638_key(), "e", json!(number(33, 1))), JwkFault::RsaExponent)]
#[case::e_is_empty(with(rfc_7638_key(), "e", json!("")), JwkFault::RsaExponent)]
#[case::p192(with(p256(), "crv", json!("P-192")), JwkFault::Curve("P-192".into()))]
#[case::k1(with(p256(), "crv", json!("secp256k1")), JwkFault::Curve("secp256k1".into()))]
#[case::x25519(with(ed25519(), "crv", json!("X25519")), JwkFault::Curve("X25519".into()))]
#[case::wrong_curve(with(p256(), "crv", json!("P-384")), JwkFault::Point)]
#[case::short_ed(with(ed25519(), "x", json!("AAAA")), JwkFault::Point)]
fn f2_35_weak_and_foreign_keys_are_refused(#[case] jwk: Value, #[case] fault: JwkFault) {
    assert_eq!(PublicKey::from_value(&jwk), Err(fault));
}

#[rstest]
#[case("d")]
#[case("p")]
#[case("oth")]
#[case("k")]
#[case("priv")]
fn dr_04_private_members_are_refused(#[case] name: &'static str) {
    let jwk = with(p256(), name, json!("AAAA"));
    assert_eq!(PublicKey::from_value(&jwk), Err(JwkFault::PrivateMember(name)));
    let null = with(p256(), name, Value::Null);
    assert_eq!(PublicKey::from_value(&null), Err(JwkFault::PrivateMember(name)));
}

#[test]
fn symmetric_keys_are_refused_even_in_a_set() {
    let oct = json!({"kty": "oct"});
    assert_eq!(PublicKey::from_value(&oct), Err(JwkFault::Symmetric));
    let set = json!({"keys": [p256(), oct]});
    assert!(matches!(
        KeySet::from_value(&set),
        Err(KeySetFault::Key { index: 1, fault: JwkFault::Symmetric })
    ));
}

#[test]
fn coordinates_may_not_be_shifted_or_off_the_curve() {
    let decode = |name: &str| URL_SAFE_NO_PAD.decode(p256()[name].as_str().unwrap()).unwrap();
    let (mut x, mut y) = (decode("x"), decode("y"));
    let first = y.remove(0);
    x.push(first);
    let shifted = with(p256(), "x", json!(URL_SAFE_NO_PAD.encode(x)));
    let shifted = with(shifted, "y", json!(URL_SAFE_NO_PAD.encode(y)));
    assert_eq!(PublicKey::from_value(&shifted), Err(JwkFault::Point));
    let off = with(p256(), "y", p256()["x"].clone());
    assert_eq!(PublicKey::from_value(&off), Err(JwkFault::Point));
}

#[rstest]
#[case(rfc_7638_key(), &[Algorithm::Rs256])]
#[case(with(rfc_7638_key(), "alg", json!("PS256")), &[Algorithm::Ps256])]
#[case(with(rfc_7638_key(), "alg", json!("RS512")), &[])]
#[case(with(rfc_7638_key(), "alg", json!("none")), &[])]
#[case(with(rfc_7638_key(), "alg", json!("ES256")), &[])]
#[case(with(rfc_7638_key(), "use", json!("enc")), &[])]
#[case(with(rfc_7638_key(), "key_ops", json!(["sign"])), &[])]
#[case(with(rfc_7638_key(), "key_ops", json!(["verify"])), &[Algorithm::Rs256])]
#[case(p256(), &[Algorithm::Es256])]
#[case(with(ed25519(), "alg", json!("Ed25519")), &[Algorithm::EdDsa])]
#[case(with(ed25519(), "alg", json!("EdDSA")), &[Algorithm::EdDsa])]
fn jo_01_algorithms_follow_from_the_key(#[case] jwk: Value, #[case] expected: &[Algorithm]) {
    let key = PublicKey::from_value(&jwk).unwrap();
    assert_eq!(key.algorithms().collect::<Vec<_>>(), expected);
}

#[test]
fn an_rsa_key_without_alg_verifies_both_paddings() {
    let mut jwk = rfc_7638_key();
    jwk.as_object_mut().unwrap().remove("alg");
    let key = PublicKey::from_value(&jwk).unwrap();
    assert_eq!(key.algorithms().collect::<Vec<_>>(), [Algorithm::Rs256, Algorithm::Ps256]);
}

#[test]
fn f2_37_links_and_certificates_are_dropped_on_the_way_back() {
    let linked = with(p256(), "x5u", json!("https://evil.example/"));
    let linked = with(linked, "jku", json!("https://evil.example/"));
    let linked = with(linked, "kid", json!("one"));
    let set = KeySet::from_value(&json!({"keys": [linked]})).unwrap();
    let json: Value = serde_json::from_str(&set.to_json()).unwrap();
    assert_eq!(json, json!({"keys": [with(p256(), "kid", json!("one"))]}));
}

#[test]
fn sets_pass_over_unknown_types_and_are_bounded() {
    let set = json!({"keys": [{"kty": "AKP", "pub": "AA"}, p256()]});
    assert_eq!(KeySet::from_value(&set).unwrap().keys().len(), 1);
    let many = json!({"keys": vec![p256(); 33]});
    assert!(matches!(KeySet::from_value(&many), Err(KeySetFault::TooLarge)));
    for bad in [json!([]), json!({}), json!({"keys": {}}), json!(null)] {
        assert!(matches!(KeySet::from_value(&bad), Err(KeySetFault::NotAKeySet)));
    }
    let broken = json!({"keys": [p256(), 1]});
    assert!(matches!(
        KeySet::from_value(&broken),
        Err(KeySetFault::Key { index: 1, fault: JwkFault::NotAnObject })
    ));
}

#[test]
fn jo_02_duplicate_members_in_a_key_set_are_refused() {
    let key = p256().to_string();
    let twice =
        format!(r#"{{"keys":[{}]}}"#, key.replacen("\"crv\"", "\"kid\":\"a\",\"kid\":\"b\",\"crv\"", 1));
    assert!(matches!(KeySet::from_slice(twice.as_bytes()), Err(KeySetFault::Json(_))));
    let keys_twice = format!(r#"{{"keys":[],"keys":[{key}]}}"#);
    assert!(matches!(KeySet::from_slice(keys_twice.as_bytes()), Err(KeySetFault::Json(_))));
}

proptest! {
    #[test]
    fn arbitrary_bytes_never_panic(bytes in proptest::collection::vec(any::<u8>(), 0..200)) {
        let _ = KeySet::from_slice(&bytes);
    }

    #[test]
    fn arbitrary_members_never_panic(
        kty in "(RSA|EC|OKP|oct|[a-z]{0,4})", crv in "(P-256|P-384|P-521|Ed25519|.{0,4})",
        n in "[A-Za-z0-9_=-]{0,600}", e in "[A-Za-z0-9_-]{0,12}",
        x in "[A-Za-z0-9_-]{42,44}", y in "[A-Za-z0-9_-]{42,44}",
    ) {
        let jwk = json!({"kty": kty, "crv": crv, "n": n, "e": e, "x": x, "y": y});
        if let Ok(key) = PublicKey::from_value(&jwk) {
            prop_assert_eq!(PublicKey::from_value(&key.to_value()), Ok(key));
        }
    }
}
