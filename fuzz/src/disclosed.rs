//! What clients ask to be told by name, what exactly they ask to be allowed, and what they encrypt to us.

use std::sync::LazyLock;

use consent::{
    DetailType, DetailTypeDefinition, DetailTypes,
    details::{ACCOUNT_INFORMATION, PAYMENT_INITIATION, narrowed},
};
use jose::{
    DecryptionKey, PrivateDecryptionKey,
    jwe::{Accepted, JweFault, MAX_ENCRYPTED_BYTES, decrypt, looks_encrypted},
};
use protocol::{
    authorization_details::{AuthorizationDetails, MAX_BYTES},
    claims::{claim_names, scope_of_claim},
    claims_request::{ClaimsFault, ClaimsRequest, MAX_CLAIMS_BYTES},
};
use serde_json::Value;
use tokens::disclosed::GrantedClaims;
use zeroize::Zeroizing;

/// The `claims` parameter: read, stored and read again it is the same; nothing that we do not have gets
/// through; nothing is let out without consent (OC-18, OC-30).
pub fn claims_parameter(bytes: &[u8]) {
    let Ok(text) = str::from_utf8(bytes) else { return };
    let request = match ClaimsRequest::parse(text) {
        Ok(request) => request,
        Err(fault) => {
            assert!(text.len() <= MAX_CLAIMS_BYTES || fault == ClaimsFault::TooLarge);
            return;
        }
    };
    let stored = serde_json::to_vec(&request).expect("a request is stored as JSON");
    assert_eq!(serde_json::from_slice::<ClaimsRequest>(&stored).expect("and read back"), request);
    let known = |name: &String| {
        ["sub", "acr", "auth_time"].contains(&name.as_str()) || claim_names().any(|claim| claim == name)
    };
    assert!(request.userinfo.keys().chain(request.id_token.keys()).all(known));
    assert!(request.personal().all(|name| scope_of_claim(name).is_some()));
    let all = "openid profile email address phone".parse().expect("a scope");
    let none = "openid".parse().expect("a scope");
    assert_eq!(GrantedClaims::granted(&request, &all, &none), GrantedClaims::default());
    assert_eq!(GrantedClaims::granted(&request, &none, &all), GrantedClaims::default());
    let granted = GrantedClaims::granted(&request, &all, &all);
    assert_eq!(GrantedClaims::split(&granted.beside(&all)), (all, granted));
}

/// The types that ship.
static TYPES: LazyLock<DetailTypes> = LazyLock::new(|| {
    let shipped = [ACCOUNT_INFORMATION, PAYMENT_INITIATION].map(|name| {
        let declared = serde_json::json!({"type": name, "title": name, "locations": ["https://api.example"]});
        let definition: DetailTypeDefinition = serde_json::from_value(declared).expect("a declaration");
        DetailType::new(definition).expect("a type that ships")
    });
    shipped.into_iter().collect()
});

/// The `authorization_details` parameter: read, stored and read again it is the same; an amount that fits
/// its schema is made of digits (RAR-01); and what a token request asks for, after a NUL byte, is never more
/// than what stands before it (RAR-04).
pub fn authorization_details(bytes: &[u8]) {
    let Ok(text) = str::from_utf8(bytes) else { return };
    let (granted, asked) = text.split_once('\0').unwrap_or((text, text));
    let Ok(granted) = AuthorizationDetails::parse(granted) else { return };
    assert!(text.split('\0').next().is_some_and(|first| first.len() <= MAX_BYTES));
    let stored = serde_json::to_string(&granted).expect("details are stored as JSON");
    let read: AuthorizationDetails = serde_json::from_str(&stored).expect("and read back");
    assert_eq!(read, granted);
    let allowed = [ACCOUNT_INFORMATION.to_owned(), PAYMENT_INITIATION.to_owned()];
    if TYPES.check(&granted, &allowed).is_ok() {
        for detail in granted.iter().filter(|detail| detail.kind() == PAYMENT_INITIATION) {
            let amount = detail.get("instructedAmount").and_then(|amount| amount["amount"].as_str());
            let amount = amount.expect("an amount that is a text");
            assert!(amount.bytes().all(|byte| byte.is_ascii_digit() || byte == b'.'));
            assert!(amount.bytes().any(|byte| (b'1'..=b'9').contains(&byte)));
        }
    }
    assert!(TYPES.check(&granted, &[]).is_err() || granted.is_empty());
    let Ok(asked) = AuthorizationDetails::parse(asked) else { return };
    if let Ok(got) = narrowed(&granted, Some(&asked)) {
        assert!(got.len() <= granted.len());
        assert!(got.iter().all(|detail| granted.iter().any(|of| detail.is_within(of))));
        assert_eq!(narrowed(&granted, Some(&got)), Ok(got));
    }
}

/// A key and tokens that another implementation made for it. They protect nothing.
static VECTORS: LazyLock<Vec<(DecryptionKey, Vec<String>)>> = LazyLock::new(|| {
    let text = include_str!("../../crates/jose/src/jwe_vectors.json");
    let vectors: Vec<Value> = serde_json::from_str(text).expect("the vectors are JSON");
    let read = |vector: &Value| {
        let json = Zeroizing::new(vector["key"].to_string().into_bytes());
        let private = PrivateDecryptionKey::from_json(json).expect("a private key");
        let tokens = vector["tokens"].as_array().into_iter().flatten();
        let tokens = tokens.filter_map(|case| case["token"].as_str()).map(str::to_owned).collect();
        (DecryptionKey::new(&private).expect("a key that decrypts"), tokens)
    };
    vectors.iter().map(read).collect()
});

/// Encrypted tokens: no bytes open that were not made for the key, and no alteration of a genuine token
/// opens (JO-01). The first byte of an input chooses a token, the next two a place in it; the rest replaces
/// what stands there.
pub fn encrypted(bytes: &[u8]) {
    let keys: Vec<DecryptionKey> = VECTORS.iter().map(|(key, _)| key.clone()).collect();
    let genuine: Vec<&String> = VECTORS.iter().flat_map(|(_, tokens)| tokens).collect();
    let open = |token: &str| decrypt(token, &keys, &Accepted::ALL);
    if let Ok(text) = str::from_utf8(bytes) {
        match open(text) {
            Ok(_) => assert!(genuine.iter().any(|token| *token == text), "something else opens"),
            Err(JweFault::TooLong) => assert!(text.len() > MAX_ENCRYPTED_BYTES),
            Err(JweFault::NotCompact) => assert!(!looks_encrypted(text)),
            Err(_) => assert!(looks_encrypted(text)),
        }
    }
    let [which, high, low, rest @ ..] = bytes else { return };
    let token = genuine[usize::from(*which) % genuine.len()];
    let place = (usize::from(*high) * 256 + usize::from(*low)) % token.len();
    let end = (place + rest.len()).min(token.len());
    let Ok(rest) = str::from_utf8(rest) else { return };
    let altered = format!("{}{rest}{}", &token[..place], &token[end..]);
    assert_eq!(open(&altered).is_ok(), altered == *token, "an altered token opens");
}
