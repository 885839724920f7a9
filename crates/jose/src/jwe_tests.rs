#![allow(clippy::unwrap_used)]

use super::*;
use proptest::prelude::*;
use rstest::rstest;
use serde_json::json;
use std::sync::LazyLock;

/// RSA keys take long to make, so the tests share one of each kind.
static KEYS: LazyLock<[DecryptionKey; 2]> = LazyLock::new(|| EncryptionKeyType::ALL.map(made));

fn made(key_type: EncryptionKeyType) -> DecryptionKey {
    let private = PrivateDecryptionKey::generate(key_type).unwrap();
    DecryptionKey::new(&private).unwrap()
}

fn readers() -> KeySet {
    KeySet::new(KEYS.iter().map(|key| key.public().clone()).collect())
}

fn pair(key_management: KeyManagement, content: ContentEncryption) -> Encryption {
    Encryption { key_management, content }
}

fn sealed(alg: KeyManagement) -> String {
    encrypt(b"in confidence", &readers(), pair(alg, ContentEncryption::A256Gcm), Some("JWT")).unwrap()
}

fn header_of(token: &str) -> Map<String, Value> {
    let (header, _) = token.split_once('.').unwrap();
    serde_json::from_slice(&URL_SAFE_NO_PAD.decode(header).unwrap()).unwrap()
}

/// The token with another header; its tag no longer fits, but every check of the header comes first.
fn with_header(token: &str, change: impl FnOnce(&mut Map<String, Value>)) -> String {
    let mut header = header_of(token);
    change(&mut header);
    let (_, rest) = token.split_once('.').unwrap();
    format!("{}.{rest}", URL_SAFE_NO_PAD.encode(serde_json::to_vec(&header).unwrap()))
}

fn with_part(token: &str, index: usize, part: &[u8]) -> String {
    let encoded = URL_SAFE_NO_PAD.encode(part);
    let mut parts: Vec<&str> = token.split('.').collect();
    parts[index] = &encoded;
    parts.join(".")
}

fn opened(token: &str) -> Result<Decrypted, JweFault> {
    decrypt(token, &*KEYS, &Accepted::ALL)
}

#[test]
fn every_pair_is_opened_again() {
    for alg in KeyManagement::ALL {
        for enc in ContentEncryption::ALL {
            let token = encrypt(b"in confidence", &readers(), pair(alg, enc), Some("JWT")).unwrap();
            let header = header_of(&token);
            assert_eq!((&header["alg"], &header["enc"]), (&json!(alg), &json!(enc)));
            assert!(!header.contains_key("zip"));
            let opened = opened(&token).unwrap();
            assert_eq!(opened.plain.as_slice(), b"in confidence");
            assert_eq!(opened.content_type.as_deref(), Some("JWT"));
            assert_eq!(opened.encryption, pair(alg, enc));
            assert!(KEYS.iter().any(|key| Some(key.kid()) == opened.kid.as_deref()));
            assert!(looks_encrypted(&token));
        }
    }
}

/// Made with the npm package `jose` 6, an independent implementation.
#[test]
fn tokens_of_another_implementation_are_opened() {
    let vectors: Value = serde_json::from_str(include_str!("jwe_vectors.json")).unwrap();
    let mut seen = 0;
    for vector in vectors.as_array().unwrap() {
        let json = Zeroizing::new(serde_json::to_vec(&vector["key"]).unwrap());
        let key = DecryptionKey::new(&PrivateDecryptionKey::from_json(json).unwrap()).unwrap();
        for case in vector["tokens"].as_array().unwrap() {
            let opened =
                decrypt(case["token"].as_str().unwrap(), std::slice::from_ref(&key), &Accepted::ALL).unwrap();
            assert_eq!(opened.plain.as_slice(), b"made elsewhere");
            assert_eq!(json!(opened.encryption.key_management), case["alg"]);
            assert_eq!(json!(opened.encryption.content), case["enc"]);
            seen += 1;
        }
    }
    assert_eq!(seen, 8);
}

#[test]
fn private_keys_survive_storage_and_say_nothing() {
    for key_type in EncryptionKeyType::ALL {
        let private = PrivateDecryptionKey::generate(key_type).unwrap();
        let read = PrivateDecryptionKey::from_json(Zeroizing::new(private.as_json().to_vec())).unwrap();
        assert_eq!((read.kid(), read.key_type()), (private.kid(), key_type));
        let public = serde_json::to_string(private.public()).unwrap();
        assert!(public.contains(r#""use":"enc""#) && !public.contains(r#""d""#), "{public}");
        assert_eq!(private.public().algorithms().count(), 0, "an encryption key must not verify");
        let secret: Value = serde_json::from_slice(private.as_json()).unwrap();
        let debug = format!("{private:?} {:?}", DecryptionKey::new(&private).unwrap());
        assert!(!debug.contains(secret["d"].as_str().unwrap()));
    }
}

#[test]
fn jo_01_a_signing_key_is_no_decryption_key() {
    let signing = crate::PrivateKey::generate(crate::Algorithm::Es256).unwrap();
    let read = PrivateDecryptionKey::from_json(Zeroizing::new(signing.as_json().to_vec()));
    assert!(matches!(read, Err(KeyFault::Malformed)));
    let set = KeySet::new(vec![signing.public().clone()]);
    let refused = encrypt(b"x", &set, pair(KeyManagement::EcdhEs, ContentEncryption::A256Gcm), None);
    assert!(matches!(refused, Err(EncryptFault::NoKey(KeyManagement::EcdhEs))));
}

#[test]
fn halves_of_two_keys_are_refused() {
    let [left, right] = [0, 1].map(|_| PrivateDecryptionKey::generate(EncryptionKeyType::P256).unwrap());
    let mut mixed: Value = serde_json::from_slice(left.as_json()).unwrap();
    let other: Value = serde_json::from_slice(right.as_json()).unwrap();
    mixed["d"] = other["d"].clone();
    let read = PrivateDecryptionKey::from_json(Zeroizing::new(serde_json::to_vec(&mixed).unwrap())).unwrap();
    assert!(DecryptionKey::new(&read).is_err());
}

#[rstest]
#[case::zip("zip", json!("DEF"), "compressed content is not accepted")]
#[case::unknown_zip("zip", json!("none"), "compressed content is not accepted")]
#[case::crit("crit", json!(["exp"]), "the token requires extensions that are not understood")]
#[case::empty_crit("crit", json!([]), "the token requires extensions that are not understood")]
#[case::weak_alg("alg", json!("RSA1_5"), "the algorithm \"RSA1_5\" is not accepted")]
#[case::sha1("alg", json!("RSA-OAEP"), "the algorithm \"RSA-OAEP\" is not accepted")]
#[case::pbes2("alg", json!("PBES2-HS256+A128KW"), "the algorithm \"PBES2-HS256+A128KW\" is not accepted")]
#[case::direct("alg", json!("dir"), "the algorithm \"dir\" is not accepted")]
#[case::cbc("enc", json!("A128CBC-HS256"), "the algorithm \"A128CBC-HS256\" is not accepted")]
#[case::alg_type("alg", json!(["ECDH-ES"]), "the header parameter \"alg\" is missing or malformed")]
#[case::kid_type("kid", json!(1), "the header parameter \"kid\" is missing or malformed")]
#[case::epk_type("epk", json!("x"), "the header parameter \"epk\" is missing or malformed")]
fn jo_01_headers_that_choose_for_us_are_refused(
    #[case] name: &str,
    #[case] value: Value,
    #[case] message: &str,
) {
    let token = with_header(&sealed(KeyManagement::EcdhEsA256Kw), |header| {
        header.insert(name.to_owned(), value);
    });
    assert_eq!(opened(&token).unwrap_err().to_string(), message);
}

#[test]
fn jo_01_only_what_the_use_accepts_is_opened() {
    let accepted =
        Accepted { key_management: &[KeyManagement::EcdhEs], content: &[ContentEncryption::A256Gcm] };
    assert!(decrypt(&sealed(KeyManagement::EcdhEs), &*KEYS, &accepted).is_ok());
    let other = decrypt(&sealed(KeyManagement::RsaOaep256), &*KEYS, &accepted);
    assert!(matches!(other, Err(JweFault::Algorithm(name)) if name == "RSA-OAEP-256"));
    let weaker = pair(KeyManagement::EcdhEs, ContentEncryption::A128Gcm);
    let token = encrypt(b"x", &readers(), weaker, None).unwrap();
    assert!(matches!(decrypt(&token, &*KEYS, &accepted), Err(JweFault::Algorithm(_))));
}

#[test]
fn jo_01_a_kid_names_a_key_of_the_algorithms_type() {
    let rsa = KEYS[0].kid();
    let token = with_header(&sealed(KeyManagement::EcdhEs), |header| {
        header.insert("kid".into(), json!(rsa));
    });
    assert!(matches!(opened(&token), Err(JweFault::NoKey { kid: Some(kid) }) if kid == rsa));
    let foreign = made(EncryptionKeyType::P256);
    assert!(matches!(
        decrypt(&sealed(KeyManagement::EcdhEs), &[foreign], &Accepted::ALL),
        Err(JweFault::NoKey { .. })
    ));
}

#[test]
fn a_token_without_kid_is_opened_by_the_key_that_fits() {
    let members: Vec<Value> = KEYS
        .iter()
        .map(|key| {
            let mut jwk = key.public().to_value();
            jwk.as_object_mut().unwrap().remove("kid");
            jwk
        })
        .collect();
    let anonymous = KeySet::from_value(&json!({"keys": members})).unwrap();
    for alg in KeyManagement::ALL {
        let token = encrypt(b"x", &anonymous, pair(alg, ContentEncryption::A256Gcm), None).unwrap();
        assert!(!header_of(&token).contains_key("kid"));
        assert!(opened(&token).is_ok(), "{alg}");
    }
}

#[test]
fn jo_02_duplicate_members_are_refused() {
    let token = sealed(KeyManagement::EcdhEs);
    let header = serde_json::to_string(&header_of(&token)).unwrap();
    let doubled = format!(r#"{{"alg":"dir",{}"#, &header[1..]);
    let (_, rest) = token.split_once('.').unwrap();
    let token = format!("{}.{rest}", URL_SAFE_NO_PAD.encode(doubled));
    assert!(matches!(opened(&token), Err(JweFault::Json(_))));
}

#[test]
fn jo_01_parts_have_their_exact_length() {
    for alg in KeyManagement::ALL {
        let token = sealed(alg);
        let parts: Vec<Vec<u8>> =
            token.split('.').map(|part| URL_SAFE_NO_PAD.decode(part).unwrap()).collect();
        // A shortened tag would be found by guessing; a short wrapped key would underflow below us.
        for (index, name) in [(1, "encrypted key"), (2, "nonce"), (4, "tag")] {
            for length in [0, 4, 7, 8, 9] {
                let cut = parts[index].get(..length).unwrap_or(b"12345678901234567890");
                if alg == KeyManagement::EcdhEs && index == 1 && length == 0 {
                    continue;
                }
                let refused = opened(&with_part(&token, index, cut)).unwrap_err();
                assert!(matches!(refused, JweFault::Length(own) if own == name), "{alg} {name} {length}");
            }
        }
        assert!(matches!(opened(&with_part(&token, 3, b"")), Err(JweFault::Length("content"))));
    }
}

#[test]
fn jo_01_long_tokens_are_not_looked_at() {
    let plain = vec![b'x'; MAX_ENCRYPTED_BYTES];
    let with = pair(KeyManagement::EcdhEs, ContentEncryption::A256Gcm);
    let token = encrypt(&plain, &readers(), with, None).unwrap();
    assert!(matches!(opened(&token), Err(JweFault::TooLong)));
    let largest = vec![b'x'; crate::verify::MAX_TOKEN_BYTES];
    assert!(opened(&encrypt(&largest, &readers(), with, None).unwrap()).is_ok());
}

#[rstest]
#[case::off_the_curve(json!({"kty": "EC", "crv": "P-256", "x": "f83OJ3D2xF1Bg8vub9tLe1gHMzV76e8Tus9uPHvRVEU", "y": "f83OJ3D2xF1Bg8vub9tLe1gHMzV76e8Tus9uPHvRVEU"}))]
#[case::other_curve(json!({"kty": "EC", "crv": "P-384", "x": "AA", "y": "AA"}))]
#[case::other_type(json!({"kty": "OKP", "crv": "X25519", "x": "11qYAYKxCrfVS_7TyWQHOg7hcvPapiMlrwIaaPcHURo"}))]
#[case::no_coordinates(json!({"kty": "EC", "crv": "P-256"}))]
fn jo_01_ephemeral_keys_lie_on_our_curve(#[case] epk: Value) {
    let token = with_header(&sealed(KeyManagement::EcdhEs), |header| {
        header.insert("epk".into(), epk);
    });
    assert!(matches!(opened(&token), Err(JweFault::EphemeralKey(_))));
}

#[test]
fn every_failed_opening_looks_the_same() {
    for alg in KeyManagement::ALL {
        let token = sealed(alg);
        let flip = |index: usize| {
            let part = token.split('.').nth(index).unwrap();
            let mut bytes = URL_SAFE_NO_PAD.decode(part).unwrap();
            bytes[0] ^= 1;
            with_part(&token, index, &bytes)
        };
        for index in [1, 2, 3, 4] {
            if index == 1 && alg == KeyManagement::EcdhEs {
                continue;
            }
            assert!(matches!(opened(&flip(index)), Err(JweFault::Decryption)), "{alg} part {index}");
        }
        let touched = with_header(&token, |header| {
            header.insert("x".into(), json!(1));
        });
        assert!(matches!(opened(&touched), Err(JweFault::Decryption)), "{alg}: the header is sealed too");
    }
}

#[test]
fn keys_for_encryption_are_preferred_and_others_spared() {
    let jwk = |index: usize, name: &str, value: Value| {
        let mut jwk = KEYS[index].public().to_value();
        jwk.as_object_mut().unwrap().remove("use");
        jwk.as_object_mut().unwrap().remove("alg");
        jwk[name] = value;
        jwk
    };
    let set = |keys: Vec<Value>| KeySet::from_value(&json!({ "keys": keys })).unwrap();
    let fits = |key: Value, alg: KeyManagement| set(vec![key]).encrypting(alg).is_some();
    assert!(fits(jwk(1, "use", json!("enc")), KeyManagement::EcdhEs));
    assert!(!fits(jwk(1, "use", json!("sig")), KeyManagement::EcdhEs));
    assert!(!fits(jwk(1, "use", json!("enc")), KeyManagement::RsaOaep256));
    assert!(!fits(jwk(0, "alg", json!("RS256")), KeyManagement::RsaOaep256));
    assert!(!fits(jwk(0, "alg", json!("RSA-OAEP")), KeyManagement::RsaOaep256));
    assert!(!fits(jwk(1, "alg", json!("ECDH-ES")), KeyManagement::EcdhEsA128Kw));
    assert!(!fits(jwk(1, "key_ops", json!(["verify"])), KeyManagement::EcdhEs));
    assert!(fits(jwk(1, "key_ops", json!(["deriveKey"])), KeyManagement::EcdhEs));
    let unsaid = jwk(1, "kid", json!("unsaid"));
    let named = jwk(1, "use", json!("enc"));
    let both = set(vec![unsaid, named]);
    assert_eq!(both.encrypting(KeyManagement::EcdhEs).unwrap().kid(), Some(KEYS[1].kid()));
}

#[test]
fn clients_may_have_keys_on_the_larger_curves() {
    for curve in [EcCurve::P384, EcCurve::P521] {
        let mut secret = Secret::from(Jwk::generate_ec_key(curve).unwrap());
        secret.describe("use", "enc");
        let public = PublicKey::from_public_members(secret.members()).unwrap();
        let set = KeySet::new(vec![public]);
        for alg in &KeyManagement::ALL[1..] {
            let token = encrypt(b"x", &set, pair(*alg, ContentEncryption::A256Gcm), None).unwrap();
            let decrypter = secret.with_jwk(|jwk| alg.decrypter(jwk)).unwrap();
            assert_eq!(CONTEXT.deserialize_compact(&token, &*decrypter).unwrap().0, b"x");
        }
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(64))]

    #[test]
    fn what_goes_in_comes_out(plain in proptest::collection::vec(any::<u8>(), 1..2000), alg in 0_usize..4) {
        let with = pair(KeyManagement::ALL[alg], ContentEncryption::A256Gcm);
        let token = encrypt(&plain, &readers(), with, None).unwrap();
        let opened = opened(&token).unwrap();
        prop_assert_eq!(opened.plain.as_slice(), &plain[..]);
    }

    #[test]
    fn strange_tokens_are_refused_without_panic(token in "[A-Za-z0-9_-]{0,60}(\\.[A-Za-z0-9_-]{0,60}){0,6}") {
        prop_assert!(opened(&token).is_err());
    }

    #[test]
    fn strange_parts_are_refused_without_panic(
        alg in 0_usize..4, index in 1_usize..5, part in proptest::collection::vec(any::<u8>(), 0..300)
    ) {
        let token = sealed(KeyManagement::ALL[alg]);
        prop_assert!(opened(&with_part(&token, index, &part)).is_err());
    }
}
