//! Authorization requests that clients sign and encrypt.

use std::sync::LazyLock;

use jose::{
    Algorithm, DecryptionKey, KeySet, PrivateDecryptionKey, RequestObjectPolicy,
    jwe::{Accepted, EncryptionKeyType},
    open_request_object,
};
use protocol::{authorization::AuthorizationRequest, params::Params};
use serde_json::{Map, Value};
use tokens::request_object::effective;

use crate::signed::{ISSUER, PUBLIC, SIGNING, now};

const CLIENT: &str = "client";

static OURS: LazyLock<Vec<DecryptionKey>> = LazyLock::new(|| {
    let private = PrivateDecryptionKey::generate(EncryptionKeyType::P256).expect("a key can be made");
    vec![DecryptionKey::new(&private).expect("a key that opens")]
});

/// The bytes are an object as it came, then they are the members of one that the client signed. Nobody
/// without the key is believed; whoever has it says what an object must say, and nothing that stands beside
/// it counts (JAR-01, JAR-02, JAR-05, MS-02, MS-03, MS-04).
pub fn request_object(bytes: &[u8]) {
    let policy = |bounded| RequestObjectPolicy {
        client_id: CLIENT,
        issuer: ISSUER,
        algorithms: &Algorithm::ALL,
        bounded,
        leeway: RequestObjectPolicy::LEEWAY,
    };
    let keys: &KeySet = &PUBLIC;
    if let Ok(text) = std::str::from_utf8(bytes)
        && let Ok(opened) = open_request_object(text, &OURS, &Accepted::ALL)
    {
        assert!(opened.verify(keys, &policy(false), now()).is_err(), "nobody signed it");
    }
    let Ok(members) = protocol::json::from_slice::<Map<String, Value>>(bytes) else { return };
    let token = SIGNING[0].sign("oauth-authz-req+jwt", &members).expect("members can be signed");
    let opened = open_request_object(&token, &OURS, &Accepted::ALL).expect("it is not encrypted");
    let strict = opened.verify(keys, &policy(true), now());
    let Ok(object) = opened.verify(keys, &policy(false), now()) else {
        assert!(strict.is_err(), "what is bounded is no looser");
        return;
    };
    assert_eq!(members.get("client_id"), Some(&CLIENT.into()));
    assert_ne!(members.get("sub"), Some(&CLIENT.into()));
    assert!(!members.contains_key("request") && !members.contains_key("request_uri"));
    if strict.is_ok() {
        assert!(["aud", "nbf", "exp"].iter().all(|name| members.contains_key(*name)));
    }
    let outer = Params::parse(b"client_id=client&state=outside&scope=outside").expect("a query");
    if let Ok(params) = effective(&outer, &object) {
        assert!(params.names().all(|name| members.contains_key(name)), "MS-04");
        assert_eq!(params.get("client_id"), Some(CLIENT));
        let _ = AuthorizationRequest::parse(&params);
    }
}
