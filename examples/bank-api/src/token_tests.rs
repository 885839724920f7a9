//! Every way in which an access token can be wrong, one row each.

use josekit::{
    jwk::{Jwk, alg::ec::EcCurve},
    jws::{JwsHeader, JwsSigner},
};
use serde_json::json;

use super::*;

const ISSUER: &str = "https://bank.example";
const AUDIENCE: &str = "https://api.bank.example";
const NOW: i64 = 1_800_000_000;

struct Forge {
    signer: Box<dyn JwsSigner>,
    ring: KeyRing,
}

fn ring(keys: &[&Jwk]) -> KeyRing {
    KeyRing::from_jwks(&serde_json::to_vec(&json!({ "keys": keys })).unwrap()).unwrap()
}

fn forge() -> Forge {
    let mut private = Jwk::generate_ec_key(EcCurve::P256).unwrap();
    private.set_key_id("k1");
    let mut public = private.to_public_key().unwrap();
    public.set_key_id("k1");
    public.set_algorithm("ES256");
    Forge { signer: Box::new(jws::ES256.signer_from_jwk(&private).unwrap()), ring: ring(&[&public]) }
}

fn good_claims() -> Value {
    json!({
        "iss": ISSUER, "aud": AUDIENCE, "sub": "customer", "client_id": "ledgerline", "jti": "1",
        "iat": NOW - 5, "exp": NOW + 300, "scope": "accounts:read balances:read", "roles": ["account-viewer"],
        "auth_time": NOW - 60, "grant_id": "unknown claims are no harm",
    })
}

impl Forge {
    fn sign(&self, typ: &str, kid: &str, claims: &Value) -> String {
        let mut header = JwsHeader::new();
        header.set_token_type(typ);
        header.set_key_id(kid);
        // the signer's own kid would override the header's
        let mut signer = self.signer.box_clone();
        if kid != "k1" {
            signer = strip_kid(&*signer);
        }
        jws::serialize_compact(&serde_json::to_vec(claims).unwrap(), &header, &*signer).unwrap()
    }

    fn judge(&self, token: &str) -> Result<AccessToken, TokenRefusal> {
        validate(token, &self.ring, ISSUER, AUDIENCE, DateTime::from_timestamp(NOW, 0).unwrap())
    }

    fn with(&self, name: &str, value: Value) -> Result<AccessToken, TokenRefusal> {
        let mut claims = good_claims();
        claims[name] = value;
        self.judge(&self.sign("at+jwt", "k1", &claims))
    }
}

#[derive(Clone, Debug)]
struct Anonymous(Box<dyn JwsSigner>);
impl JwsSigner for Anonymous {
    fn algorithm(&self) -> &dyn jws::JwsAlgorithm {
        self.0.algorithm()
    }
    fn key_id(&self) -> Option<&str> {
        None
    }
    fn signature_len(&self) -> usize {
        self.0.signature_len()
    }
    fn sign(&self, message: &[u8]) -> Result<Vec<u8>, josekit::JoseError> {
        self.0.sign(message)
    }
    fn box_clone(&self) -> Box<dyn JwsSigner> {
        Box::new(self.clone())
    }
}
fn strip_kid(signer: &dyn JwsSigner) -> Box<dyn JwsSigner> {
    Box::new(Anonymous(signer.box_clone()))
}

fn encode(part: &Value) -> String {
    URL_SAFE_NO_PAD.encode(part.to_string())
}

#[test]
fn at_02_a_good_token_is_understood() {
    let forge = forge();
    let token = forge.judge(&forge.sign("at+jwt", "k1", &good_claims())).unwrap();
    assert_eq!(token.subject, "customer");
    assert_eq!(token.scopes, split_scope("balances:read accounts:read"));
    assert!(token.roles.contains("account-viewer"));
    assert!(forge.with("aud", json!(["https://other.example", AUDIENCE])).is_ok());
}

#[test]
fn at_01_at_04_only_access_tokens_count_whatever_else_the_issuer_signed() {
    let forge = forge();
    for typ in ["at+jwt", "AT+JWT", "application/at+jwt"] {
        assert!(forge.judge(&forge.sign(typ, "k1", &good_claims())).is_ok(), "{typ}");
    }
    for typ in ["JWT", "logout+jwt", "token-introspection+jwt", "at+jwt; x", ""] {
        assert_eq!(forge.judge(&forge.sign(typ, "k1", &good_claims())), Err(TokenRefusal::Type), "{typ}");
    }
}

#[test]
fn wrong_claims_are_refused_with_their_reason() {
    let forge = forge();
    for (claim, value, refusal) in [
        ("iss", json!("https://bank.example/"), TokenRefusal::Issuer),
        ("aud", json!("https://other.example"), TokenRefusal::Audience),
        ("aud", json!([]), TokenRefusal::Audience),
        ("exp", json!(NOW - LEEWAY_SECONDS), TokenRefusal::Expired),
        ("exp", json!(i64::MIN), TokenRefusal::Expired),
        ("nbf", json!(NOW + LEEWAY_SECONDS + 1), TokenRefusal::NotYet),
        ("cnf", json!({ "jkt": "x" }), TokenRefusal::Bound),
        ("sub", json!(7), TokenRefusal::Malformed),
        ("jti", json!(null), TokenRefusal::Malformed),
        ("client_id", json!(null), TokenRefusal::Malformed),
        ("exp", json!("tomorrow"), TokenRefusal::Malformed),
    ] {
        assert_eq!(forge.with(claim, value.clone()), Err(refusal), "{claim} = {value}");
    }
}

#[test]
fn a_missing_scope_leaves_a_token_without_any() {
    let mut claims = good_claims();
    claims.as_object_mut().unwrap().remove("scope");
    let forge = forge();
    assert!(forge.judge(&forge.sign("at+jwt", "k1", &claims)).unwrap().scopes.is_empty());
}

#[test]
fn jo_01_signature_algorithm_and_key_must_fit() {
    let (forge, stranger) = (forge(), forge());
    let good = forge.sign("at+jwt", "k1", &good_claims());
    let (signed, signature) = good.rsplit_once('.').unwrap();
    let body = encode(&good_claims());
    let header = |alg: &str| encode(&json!({ "alg": alg, "typ": "at+jwt", "kid": "k1" }));

    assert_eq!(forge.judge(&stranger.sign("at+jwt", "k1", &good_claims())), Err(TokenRefusal::Signature));
    assert_eq!(forge.judge(&forge.sign("at+jwt", "k2", &good_claims())), Err(TokenRefusal::UnknownKey));
    assert_eq!(forge.judge(&format!("{signed}.")), Err(TokenRefusal::Signature));
    assert_eq!(forge.judge(&format!("{}.{body}.", header("none"))), Err(TokenRefusal::Algorithm));
    assert_eq!(forge.judge(&format!("{}.{body}.", header("NONE"))), Err(TokenRefusal::Algorithm));
    assert_eq!(forge.judge(&format!("{}.{body}.{signature}", header("HS256"))), Err(TokenRefusal::Algorithm));
    // an accepted algorithm, but not this key's
    assert_eq!(forge.judge(&format!("{}.{body}.{signature}", header("RS256"))), Err(TokenRefusal::Algorithm));
    let crit =
        encode(&json!({ "alg": "ES256", "typ": "at+jwt", "kid": "k1", "crit": ["b64"], "b64": false }));
    assert_eq!(forge.judge(&format!("{crit}.{body}.{signature}")), Err(TokenRefusal::Critical));
}

#[test]
fn what_is_no_jwt_is_malformed() {
    let forge = forge();
    for text in ["", "a.b", "a.b.c", "a.b.c.d", "e30.e30.", &"x".repeat(MAX_TOKEN_BYTES + 1)] {
        assert_eq!(forge.judge(text), Err(TokenRefusal::Malformed), "{text:.20}");
        assert!(!looks_like_jwt(text));
    }
}

#[test]
fn jo_02_a_claim_given_twice_is_refused() {
    let forge = forge();
    let mut header = JwsHeader::new();
    header.set_token_type("at+jwt");
    let twice = good_claims().to_string().replacen('{', "{\"sub\":\"somebody else\",", 1);
    let token = jws::serialize_compact(twice.as_bytes(), &header, &*forge.signer).unwrap();
    assert_eq!(forge.judge(&token), Err(TokenRefusal::Malformed));
}

#[test]
fn keys_that_are_not_for_signatures_are_passed_over() {
    let mut key = Jwk::generate_ec_key(EcCurve::P256).unwrap().to_public_key().unwrap();
    assert!(ring(&[&key]).0.is_empty(), "no kid");
    key.set_key_id("k");
    assert_eq!(ring(&[&key]).0.len(), 1);
    key.set_key_use("enc");
    assert!(ring(&[&key]).0.is_empty(), "use: enc");
    assert!(KeyRing::from_jwks(b"{\"keys\":{}}").is_err());
}
