#![allow(clippy::unwrap_used)]

use super::*;
use crate::{KeySet, verify};
use rstest::rstest;
use serde_json::json;

#[rstest]
#[case(Algorithm::Rs256)]
#[case(Algorithm::Ps256)]
#[case(Algorithm::Es256)]
#[case(Algorithm::EdDsa)]
fn oc_02_every_algorithm_signs_what_it_verifies(#[case] algorithm: Algorithm) {
    let made = PrivateKey::generate(algorithm).unwrap();
    let stored = Zeroizing::new(made.as_json().to_vec());
    let read = PrivateKey::from_json(stored).unwrap();
    let key = SigningKey::new(&read).unwrap();
    assert_eq!(key.kid(), made.kid());
    assert_eq!(key.kid(), key.public().thumbprint().to_string());

    let token = key.sign("at+jwt", &json!({"sub": "alice"})).unwrap();
    let keys = KeySet::new(vec![key.public().clone()]);
    let verified = verify(&token, &keys, &[algorithm]).unwrap();
    assert_eq!(verified.kid.as_deref(), Some(key.kid()));
    assert!(verified.typ_is("at+jwt"));
    assert_eq!(verified.claims.sub().unwrap(), Some("alice"));

    let others: Vec<_> = Algorithm::ALL.into_iter().filter(|other| *other != algorithm).collect();
    assert!(verify(&token, &keys, &others).is_err());
}

#[rstest]
#[case(Algorithm::Rs256)]
#[case(Algorithm::Es256)]
#[case(Algorithm::EdDsa)]
fn dr_04_the_public_half_has_no_private_member(#[case] algorithm: Algorithm) {
    let key = PrivateKey::generate(algorithm).unwrap();
    let public = key.public().to_value();
    // A JWK that reads as public has none of them.
    let reread = PublicKey::from_value(&public).unwrap();
    assert_eq!(reread.kid(), Some(key.kid().as_str()));
    assert_eq!(public["use"], "sig");
    assert_eq!(public["alg"], algorithm.as_str());
    let private: Value = serde_json::from_slice(key.as_json()).unwrap();
    assert_eq!(PublicKey::from_value(&private), Err(JwkFault::PrivateMember("d")));
}

#[test]
fn debug_shows_no_secret() {
    for algorithm in [Algorithm::Ps256, Algorithm::Es256, Algorithm::EdDsa] {
        let key = PrivateKey::generate(algorithm).unwrap();
        let jwk: Value = serde_json::from_slice(key.as_json()).unwrap();
        let signer = SigningKey::new(&key).unwrap();
        let shown = format!("{key:?} {signer:?} {:?}", signer.0.signer.algorithm());
        assert!(!shown.contains(jwk["d"].as_str().unwrap()), "{shown}");
    }
}

#[rstest]
#[case(Algorithm::Rs256)]
#[case(Algorithm::Es256)]
#[case(Algorithm::EdDsa)]
fn halves_of_different_keys_are_refused(#[case] algorithm: Algorithm) {
    let one = PrivateKey::generate(algorithm).unwrap();
    let two = PrivateKey::generate(algorithm).unwrap();
    let mut mixed: Value = serde_json::from_slice(one.as_json()).unwrap();
    let other: Value = serde_json::from_slice(two.as_json()).unwrap();
    for name in ["d", "p", "q", "dp", "dq", "qi"] {
        if let Some(value) = other.get(name) {
            mixed[name] = value.clone();
        }
    }
    let bytes = Zeroizing::new(serde_json::to_vec(&mixed).unwrap());
    let mixed = PrivateKey::from_json(bytes).unwrap();
    assert!(SigningKey::new(&mixed).is_err());
}

#[test]
fn a_kid_that_is_no_thumbprint_is_refused() {
    let key = PrivateKey::generate(Algorithm::EdDsa).unwrap();
    let mut jwk: Value = serde_json::from_slice(key.as_json()).unwrap();
    jwk["kid"] = json!("chosen");
    let bytes = Zeroizing::new(serde_json::to_vec(&jwk).unwrap());
    assert!(matches!(PrivateKey::from_json(bytes), Err(KeyFault::Inconsistent)));
}

#[test]
fn signing_keys_are_shared_between_threads() {
    fn shared<T: Send + Sync + Clone>() {}
    shared::<SigningKey>();
}

/// RFC 8037 appendix A.4: Ed25519 is deterministic, so the signature can be compared.
#[test]
fn rfc_8037_example_signature() {
    let secret = Secret(
        json!({
            "kty": "OKP", "crv": "Ed25519",
            "d": "nWGxne_9WmC6hEr0kuwsxERJxWl7MmkZcDusAxyuf2A",
            "x": "11qYAYKxCrfVS_7TyWQHOg7hcvPapiMlrwIaaPcHURo"
        })
        .as_object()
        .unwrap()
        .clone(),
    );
    let signer = secret.signer(Algorithm::EdDsa).unwrap();
    let signature = signer.sign(b"eyJhbGciOiJFZERTQSJ9.RXhhbXBsZSBvZiBFZDI1NTE5IHNpZ25pbmc").unwrap();
    assert_eq!(
        URL_SAFE_NO_PAD.encode(signature),
        "hgyY0il_MGCjP0JzlnLWG1PPOt7-09PGcvMg3AIbQR6dWbhijcNR4ki4iylGjg5BhVsPt9g7sVvpAr_MuM0KAg"
    );
}
