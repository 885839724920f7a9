//! Everything that is believed for its signature or its seal.
//!
//! The keys in `keys.json` were made for these targets and protect nothing; they stand there so that
//! an input means the same in every run.

use std::sync::LazyLock;

use chrono::{DateTime, TimeDelta, Utc};
use jose::{
    Algorithm, AssertionPolicy, KeySet, PrivateKey, SigningKey, peek_client_id, verify,
    verify::MAX_TOKEN_BYTES, verify_access_token, verify_client_assertion, verify_id_token_hint,
};
use keys::{KeyEncryptionKey, Sealer};
use serde_json::{Map, Value, json};
use zeroize::Zeroizing;

pub(crate) const ISSUER: &str = "https://id.example";
const CLIENT: &str = "client";
const AUDIENCES: [&str; 2] = [ISSUER, "https://id.example/token"];

/// Ed25519, P-256, RSA.
pub(crate) static SIGNING: LazyLock<Vec<SigningKey>> = LazyLock::new(|| {
    let keys: Vec<Value> = serde_json::from_str(include_str!("keys.json")).expect("keys.json is JSON");
    let read = |jwk: &Value| {
        let private = PrivateKey::from_json(Zeroizing::new(jwk.to_string().into_bytes()));
        SigningKey::new(&private.expect("a private key")).expect("a key that signs")
    };
    keys.iter().map(read).collect()
});

pub(crate) static PUBLIC: LazyLock<KeySet> =
    LazyLock::new(|| KeySet::new(SIGNING.iter().map(|key| key.public().clone()).collect()));

/// Tokens of every kind that this server signs or believes, each with every key.
static GENUINE: LazyLock<Vec<String>> = LazyLock::new(|| {
    let claims = json!({
        "iss": ISSUER, "sub": "alice", "aud": "api", "iat": now().timestamp(),
        "exp": now().timestamp() + 60, "jti": "1",
    });
    let sign = |key: &SigningKey, typ: &str| key.sign(typ, &claims).expect("claims can be signed");
    SIGNING.iter().flat_map(|key| ["at+jwt", "JWT"].map(|typ| sign(key, typ))).collect()
});

pub(crate) fn now() -> DateTime<Utc> {
    DateTime::from_timestamp(1_800_000_000, 0).expect("a time")
}

fn policy() -> AssertionPolicy<'static> {
    AssertionPolicy {
        client_id: CLIENT,
        accepted_audiences: &AUDIENCES,
        audience_must_be_string: false,
        algorithms: &Algorithm::ALL,
        max_lifetime: AssertionPolicy::MAX_LIFETIME,
        leeway: AssertionPolicy::LEEWAY,
    }
}

/// Nothing believes this token.
fn is_refused(token: &str) {
    assert!(verify(token, &PUBLIC, &Algorithm::ALL).is_err());
    assert!(verify_access_token(token, &PUBLIC, ISSUER, now()).is_err());
    assert!(verify_id_token_hint(token, &PUBLIC, ISSUER).is_err());
    assert!(verify_client_assertion(token, &PUBLIC, &policy(), now()).is_err());
}

/// Forgeries. Bytes that are a token by themselves are never believed; and a genuine token that the bytes
/// alter is not either, however slight the alteration (F2-34, JO-01). The first byte chooses: the bytes
/// themselves, or the token to be altered by the rest, each three bytes of which are one edit.
pub fn tokens(bytes: &[u8]) {
    let Some((choice, rest)) = bytes.split_first() else { return };
    let Some(genuine) = GENUINE.get(usize::from(choice.wrapping_sub(b'0'))) else {
        if let Ok(text) = std::str::from_utf8(rest) {
            is_refused(text);
            let _ = peek_client_id(text);
        }
        return;
    };
    let mut altered = genuine.clone().into_bytes();
    for edit in rest.chunks_exact(3) {
        let at = usize::from(u16::from_le_bytes([edit[0], edit[1]])) % (altered.len() + 1);
        match edit[2] {
            0 if at < altered.len() => drop(altered.remove(at)),
            1 => altered.truncate(at),
            byte if byte & 0x80 == 0 && at < altered.len() => altered[at] = byte,
            byte => altered.insert(at, byte & 0x7f),
        }
    }
    let altered = String::from_utf8(altered).expect("every edit leaves ASCII");
    if altered == *genuine {
        assert!(verify(genuine, &PUBLIC, &Algorithm::ALL).is_ok(), "a genuine token is believed");
    } else if !GENUINE.contains(&altered) {
        is_refused(&altered);
    }
}

/// Claims of whoever has a key: the bytes are a claims set that is signed. What is accepted then really
/// says what an assertion, an access token or an ID token must say (F2-12, F2-16, JW-01, AT-01, OC-09).
pub fn claims(bytes: &[u8]) {
    let Ok(claims) = protocol::json::from_slice::<Map<String, Value>>(bytes) else { return };
    let key = &SIGNING[0];
    let token = |typ: &str| key.sign(typ, &claims).expect("claims can be signed");
    let text = |name: &str| claims.get(name).and_then(Value::as_str);
    let number = |name: &str| claims.get(name).and_then(Value::as_f64);
    let audiences: Vec<&str> = match claims.get("aud") {
        Some(Value::Array(items)) => items.iter().filter_map(Value::as_str).collect(),
        Some(Value::String(single)) => vec![single],
        _ => Vec::new(),
    };
    let clock = now().timestamp() as f64;

    let assertion = token("JWT");
    if assertion.len() > MAX_TOKEN_BYTES {
        return is_refused(&assertion);
    }
    assert_eq!(peek_client_id(&assertion).as_deref(), text("sub").filter(|sub| !sub.is_empty()));
    if let Ok(proof) = verify_client_assertion(&assertion, &PUBLIC, &policy(), now()) {
        assert_eq!((text("iss"), text("sub")), (Some(CLIENT), Some(CLIENT)));
        assert!(!audiences.is_empty() && audiences.iter().all(|audience| AUDIENCES.contains(audience)));
        assert!(text("jti").is_some_and(|jti| !jti.is_empty()));
        let exp = number("exp").expect("an expiry");
        assert!(exp + 10.0 > clock && exp <= clock + 3610.0 + 1.0);
        assert!(["nbf", "iat"].iter().all(|name| number(name).is_none_or(|time| time < clock + 11.0)));
        assert!(proof.mark().expires_at > now() && proof.mark().expires_at <= now() + TimeDelta::minutes(61));
        let again = verify_client_assertion(&assertion, &PUBLIC, &policy(), now()).expect("as before");
        assert_eq!(again.mark(), proof.mark());
        assert_eq!(proof.confirm(1).expect("seen for the first time").client_id, CLIENT);
        assert!(again.confirm(0).is_err(), "OC-24: seen before");
    }
    assert!(verify_access_token(&assertion, &PUBLIC, ISSUER, now()).is_err(), "of another type");

    let access = token("at+jwt");
    if verify_access_token(&access, &PUBLIC, ISSUER, now()).is_ok() {
        assert_eq!(text("iss"), Some(ISSUER));
        assert!(number("exp").is_some_and(|exp| exp > clock));
        assert!(["nbf", "iat"].iter().all(|name| number(name).is_none_or(|time| time < clock + 11.0)));
    }
    assert!(verify_client_assertion(&access, &PUBLIC, &policy(), now()).is_err(), "of another type");
    assert!(verify_id_token_hint(&access, &PUBLIC, ISSUER).is_err(), "of another type");

    if let Ok(hint) = verify_id_token_hint(&assertion, &PUBLIC, ISSUER) {
        assert_eq!(text("iss"), Some(ISSUER));
        assert!(text("sub").is_some() && !audiences.is_empty());
        let written = serde_json::to_vec(&claims).expect("claims are JSON");
        let read: Map<String, Value> = serde_json::from_slice(&written).expect("claims are JSON");
        assert_eq!(hint.claims.as_map(), &read, "what was signed is what is read");
        let shown = format!("{:?}", hint.claims);
        assert!(claims.values().filter_map(Value::as_str).all(|value| {
            value.len() < 24 || !shown.contains(value) || claims.keys().any(|name| name.contains(value))
        }));
    }
}

/// Sealed rows and the key that seals them: no bytes open, an altered seal does not, and every spelling
/// of a key is one key.
pub fn sealed(bytes: &[u8]) {
    let sealer = Sealer::new(&KeyEncryptionKey::from_bytes([1; 32]), &[]);
    assert!(sealer.open(bytes, b"record").is_err());
    let _ = sealer.is_outdated(bytes);
    let (identity, plain) = bytes.split_at(bytes.len() / 2);
    let seal = sealer.seal(plain, identity, [7; 12]).expect("short values can be sealed");
    assert_eq!(*sealer.open(&seal, identity).expect("what was sealed opens"), plain);
    let mut other = identity.to_vec();
    other.push(0);
    assert!(sealer.open(&seal, &other).is_err(), "a seal belongs to its record");
    let at = bytes.iter().fold(0, |at: usize, byte| at.wrapping_mul(31).wrapping_add(usize::from(*byte)));
    let mut altered = seal;
    let at = at % altered.len();
    altered[at] ^= bytes.first().map_or(1, |byte| byte | 1);
    assert!(sealer.open(&altered, identity).is_err(), "an altered seal");
    if let Ok(text) = std::str::from_utf8(bytes) {
        let Ok(key) = text.parse::<KeyEncryptionKey>() else { return };
        let spaced = format!(" {text}\n").parse::<KeyEncryptionKey>().expect("white space is ignored");
        let sealed = Sealer::new(&key, &[]).seal(b"x", b"id", [7; 12]).expect("sealed");
        assert!(Sealer::new(&spaced, &[]).open(&sealed, b"id").is_ok());
        assert!(sealer.open(&sealed, b"id").is_err(), "another key");
    }
}
