//! Client authentication (RFC 6749 §2.3, RFC 7523, OpenID Connect Core §9): the one registered method,
//! and nothing that merely looks like it.

use base64::{Engine, engine::general_purpose::STANDARD};
use jose::{Algorithm, SigningKey};
use josekit::jws::JwsSigner;
use serde_json::{Value, json};
use testkit::{Answer, RelyingParty};

use crate::{
    bank::Bank,
    steps::{answer, declare_client, new_key, signed_as_is, signing_client},
};

const TYPE: &str = "urn:ietf:params:oauth:client-assertion-type:jwt-bearer";
const GRANT: (&str, &str) = ("grant_type", "client_credentials");
const SCOPE: (&str, &str) = ("scope", "accounts:read");

/// Posts these fields to the token endpoint as they are.
async fn token(app: &RelyingParty, fields: &[(&str, &str)]) -> Answer {
    answer(app.http().post(app.endpoint("/token")).form(fields)).await
}

/// The same with an Authorization header.
async fn token_with(app: &RelyingParty, header: &str, fields: &[(&str, &str)]) -> Answer {
    answer(app.http().post(app.endpoint("/token")).header("authorization", header).form(fields)).await
}

fn basic(user: &str, password: &str) -> String {
    format!("Basic {}", STANDARD.encode(format!("{user}:{password}")))
}

#[tokio::test]
async fn oc_23_basic_credentials_are_form_decoded() {
    let bank = Bank::open().await;
    let secret = "p+q r%:&=s/0123456789abcdefgh";
    let client = format!(
        "[[client]]\nclient_id = \"odd:app+1\"\nclient_secret = \"{secret}\"\n\
         grant_types = [\"client_credentials\"]\nscope = \"accounts:read\""
    );
    bank.declare(&client).await.unwrap();
    let app = bank.app("batch-job");
    let encode = |text: &str| url::form_urlencoded::byte_serialize(text.as_bytes()).collect::<String>();
    let encoded = basic(&encode("odd:app+1"), &encode(secret));
    token_with(&app, &encoded, &[GRANT]).await.expect(200);
    // The scheme's name is case-insensitive (RFC 9110 §11.1).
    token_with(&app, &encoded.replace("Basic", "bASIC"), &[GRANT]).await.expect(200);
    // Spaces as %20 are the same text; raw ones are another.
    let percent = basic("odd%3Aapp%2B1", "p%2Bq%20r%25%3A%26%3Ds%2F0123456789abcdefgh");
    token_with(&app, &percent, &[GRANT]).await.expect(200);
    let raw = basic("odd:app+1", secret);
    token_with(&app, &raw, &[GRANT]).await.expect_error(401, "invalid_client");
}

#[tokio::test]
async fn oc_23_er_02_only_the_registered_method_and_only_one() {
    let bank = Bank::open().await;
    let app = bank.app("batch-job");
    let secret = "batch-job-secret-0123456789ab";
    let good = basic("batch-job", secret);
    token_with(&app, &good, &[GRANT, SCOPE]).await.expect(200);
    // Beside Basic, a client_id in the body is no second method; it must match.
    token_with(&app, &good, &[GRANT, SCOPE, ("client_id", "batch-job")]).await.expect(200);
    let other = token_with(&app, &good, &[GRANT, ("client_id", "web-app")]).await;
    other.expect_error(400, "invalid_request");
    let both = token_with(&app, &good, &[GRANT, ("client_id", "batch-job"), ("client_secret", secret)]).await;
    both.expect_error(400, "invalid_request");
    let assertion = [GRANT, ("client_assertion_type", TYPE), ("client_assertion", "e30.e30.")];
    token_with(&app, &good, &assertion).await.expect_error(400, "invalid_request");

    // The right secret by another way than the registered one.
    token(&app, &[GRANT, ("client_id", "batch-job"), ("client_secret", secret)])
        .await
        .expect_error(401, "invalid_client");
    let post = "legacy-app-secret-0123456789a";
    token_with(&app, &basic("legacy-app", post), &[GRANT]).await.expect_error(401, "invalid_client");
    token(&app, &[GRANT, ("client_id", "legacy-app"), ("client_secret", post)])
        .await
        .expect_error(400, "unauthorized_client");
    // A confidential client that only names itself, a public one that shows a secret, nobody at all.
    token(&app, &[GRANT, ("client_id", "batch-job")]).await.expect_error(401, "invalid_client");
    token(&app, &[GRANT, ("client_id", "spa"), ("client_secret", "x")])
        .await
        .expect_error(401, "invalid_client");
    token_with(&app, &basic("spa", ""), &[GRANT]).await.expect_error(401, "invalid_client");
    token(&app, &[GRANT]).await.expect_error(401, "invalid_client");
    token(&app, &[GRANT, ("client_id", "spa")]).await.expect_error(400, "unauthorized_client");
    for header in ["Basic", "Basic !!!", "Basic YmF0Y2gtam9i", "Bearer abc", "Digest username=x", ""] {
        let refused = token_with(&app, header, &[GRANT]).await;
        refused.expect_error(401, "invalid_client");
        assert!(refused.header("www-authenticate").is_some_and(|it| it.starts_with("Basic")), "{header}");
    }
}

/// A client that signs, and what it says when it is honest.
struct Signer {
    app: RelyingParty,
    key: SigningKey,
    issuer: String,
    now: i64,
    count: std::cell::Cell<u32>,
}

impl Signer {
    async fn new(bank: &Bank, algorithm: Algorithm) -> Self {
        let key = new_key(algorithm);
        declare_client(bank, "signing-app", signing_client(&[&key])).await.unwrap();
        let (app, issuer) = (bank.app("batch-job"), bank.issuer.clone());
        Self { app, key, issuer, now: bank.now().timestamp(), count: Default::default() }
    }

    /// Good claims with a fresh `jti`.
    fn claims(&self) -> Value {
        self.count.set(self.count.get() + 1);
        json!({
            "iss": "signing-app", "sub": "signing-app", "aud": self.issuer,
            "jti": format!("jti-{}", self.count.get()), "iat": self.now, "exp": self.now + 60,
        })
    }

    /// Good claims but for one.
    fn with(&self, name: &str, value: Value) -> String {
        let mut claims = self.claims();
        match value {
            Value::Null => drop(claims.as_object_mut().unwrap().remove(name)),
            value => claims[name] = value,
        }
        self.key.sign("JWT", &claims).unwrap()
    }

    async fn send(&self, assertion: &str) -> Answer {
        token(&self.app, &[GRANT, ("client_assertion_type", TYPE), ("client_assertion", assertion)]).await
    }

    async fn refused(&self, assertion: &str) {
        self.send(assertion).await.expect_error(401, "invalid_client");
    }
}

#[tokio::test]
async fn oc_24_a_signed_assertion_counts_once_and_for_us_alone() {
    let bank = Bank::open().await;
    let signer = Signer::new(&bank, Algorithm::Es256).await;
    let first = signer.with("x", json!(1));
    signer.send(&first).await.expect(200);
    signer.refused(&first).await;
    assert_eq!(bank.audited(audit::EventKind::ClientAuthenticationFailed).await, 1);
    // A replay at another endpoint is a replay.
    let elsewhere = [("token", "x"), ("client_assertion_type", TYPE), ("client_assertion", &first)];
    let revoke = signer.app.http().post(signer.app.endpoint("/revoke")).form(&elsewhere);
    answer(revoke).await.expect_error(401, "invalid_client");

    let token_endpoint = format!("{}/token", signer.issuer);
    for audience in [json!(token_endpoint), json!([signer.issuer]), json!([signer.issuer, token_endpoint])] {
        signer.send(&signer.with("aud", audience)).await.expect(200);
    }
    // CVE-2025-27370: a foreign audience, alone or beside ours.
    for audience in [
        json!("https://elsewhere.example"),
        json!([signer.issuer, "https://elsewhere.example"]),
        json!(format!("{}/", signer.issuer)),
        json!([]),
        Value::Null,
    ] {
        signer.refused(&signer.with("aud", audience)).await;
    }
    for (name, value) in [
        ("iss", json!("web-app")),
        ("iss", Value::Null),
        ("sub", Value::Null),
        ("jti", Value::Null),
        ("exp", Value::Null),
        ("exp", json!("tomorrow")),
        ("exp", json!(signer.now - 61)),
    ] {
        signer.refused(&signer.with(name, value)).await;
    }
    // A sub that names another client is that client's business, who signs nothing.
    signer.refused(&signer.with("sub", json!("web-app"))).await;
    let named = [
        GRANT,
        ("client_id", "web-app"),
        ("client_assertion_type", TYPE),
        ("client_assertion", &signer.with("x", json!(1))),
    ];
    token(&signer.app, &named).await.expect_error(400, "invalid_request");
    let untyped = signer.with("x", json!(1));
    token(&signer.app, &[GRANT, ("client_assertion", &untyped)]).await.expect_error(401, "invalid_client");
}

#[tokio::test]
async fn jw_01_f2_16_times_of_assertions_are_bounded() {
    let bank = Bank::open().await;
    let signer = Signer::new(&bank, Algorithm::EdDsa).await;
    for (name, ahead, accepted) in [
        ("iat", 10, true),
        ("nbf", 10, true),
        ("iat", 61, false),
        ("nbf", 61, false),
        ("exp", 3600, true),
        ("exp", 2 * 3600, false),
        ("exp", 10 * 365 * 86_400, false),
    ] {
        let answer = signer.send(&signer.with(name, json!(signer.now + ahead))).await;
        assert_eq!(answer.status == 200, accepted, "{name} {ahead} s ahead: {}", answer.text);
    }
    // The memory of a jti lasts as long as the assertion: shortly before its end it is still a replay.
    let assertion = signer.with("x", json!(1));
    signer.send(&assertion).await.expect(200);
    bank.advance(chrono::TimeDelta::seconds(59));
    bank.service.sweep().await.unwrap();
    signer.refused(&assertion).await;
    bank.advance(chrono::TimeDelta::seconds(60));
    bank.service.sweep().await.unwrap();
    signer.refused(&assertion).await;
}

#[tokio::test]
async fn oc_24_jo_01_jo_02_the_header_chooses_neither_algorithm_nor_key() {
    let bank = Bank::open().await;
    let signer = Signer::new(&bank, Algorithm::Es256).await;
    let own = signer.key.public().to_value();
    let kid = signer.key.kid().to_owned();
    let claims = || signer.claims().to_string();
    let header = |more: Value| {
        let mut header = json!({ "alg": "ES256", "kid": kid, "typ": "JWT" });
        header.as_object_mut().unwrap().extend(more.as_object().unwrap().clone());
        header.to_string()
    };
    let none = signed_as_is(&header(json!({ "alg": "none" })), &claims(), |_| Vec::new());
    signer.refused(&none).await;
    signer.refused(none.trim_end_matches('.')).await;
    // The public key as an HMAC secret, in the forms in which it might lie about.
    for secret in
        [own.to_string(), own["x"].as_str().unwrap().to_owned(), serde_json::to_string(&own).unwrap()]
    {
        let hmac = josekit::jws::HS256.signer_from_bytes(secret.repeat(2)).unwrap();
        let forged = signed_as_is(&header(json!({ "alg": "HS256" })), &claims(), |it| hmac.sign(it).unwrap());
        signer.refused(&forged).await;
    }
    // A stranger's key, carried along or linked (F2-37): under our kid, under its own, under none.
    let stranger = new_key(Algorithm::Es256);
    signer.refused(&stranger.sign("JWT", &signer.claims()).unwrap()).await;
    let stranger = josekit::jwk::Jwk::generate_ec_key(josekit::jwk::alg::ec::EcCurve::P256).unwrap();
    let es256 = josekit::jws::ES256.signer_from_jwk(&stranger).unwrap();
    let embedded: Value = serde_json::from_str(&stranger.to_public_key().unwrap().to_string()).unwrap();
    for more in [
        json!({ "jwk": embedded }),
        json!({ "jku": "https://keys.example/jwks" }),
        json!({ "x5u": "https://keys.example/cert" }),
        json!({ "kid": "other" }),
    ] {
        let forged = signed_as_is(&header(more), &claims(), |it| es256.sign(it).unwrap());
        signer.refused(&forged).await;
    }
    // The client's real key, under headers that a strict reader refuses. Its first signature shows that
    // the helper signs well.
    let private = josekit::jwk::Jwk::generate_ec_key(josekit::jwk::alg::ec::EcCurve::P256).unwrap();
    let public: Value = serde_json::from_str(&private.to_public_key().unwrap().to_string()).unwrap();
    let mut metadata = signing_client(&[]);
    metadata["jwks"] = json!({ "keys": [public] });
    declare_client(&bank, "signing-app", metadata).await.unwrap();
    let es256 = josekit::jws::ES256.signer_from_jwk(&private).unwrap();
    let sign = |header: &str, payload: &str| signed_as_is(header, payload, |it| es256.sign(it).unwrap());
    signer.send(&sign(r#"{"alg":"ES256","jku":"https://keys.example/jwks"}"#, &claims())).await.expect(200);
    signer.send(&sign(r#"{"alg":"ES256","typ":"application/jwt"}"#, &claims())).await.expect(200);
    for refused in [
        r#"{"alg":"ES256","alg":"ES256"}"#,
        r#"{"alg":"ES256","crit":["exp"],"exp":1}"#,
        r#"{"alg":"ES256","crit":[]}"#,
        r#"{"alg":"ES256","b64":false,"crit":["b64"]}"#,
        r#"{"alg":"ES256","b64":false}"#,
        r#"{"alg":"RS256"}"#,
        r#"{"alg":"EdDSA"}"#,
        r#"{"alg":"ES256","typ":"at+jwt"}"#,
        r#"{"alg":"ES256","typ":"dpop+jwt"}"#,
        r#"{"typ":"JWT"}"#,
        r#"["alg"]"#,
    ] {
        signer.refused(&sign(refused, &claims())).await;
    }
    let doubled = claims().replacen('{', r#"{"iss":"signing-app","#, 1);
    signer.refused(&sign(r#"{"alg":"ES256"}"#, &doubled)).await;
    let huge = claims().replacen('{', &format!(r#"{{"x":"{}","#, "x".repeat(17_000)), 1);
    signer.refused(&sign(r#"{"alg":"ES256"}"#, &huge)).await;
}

#[tokio::test]
async fn f2_37_equal_kids_are_told_apart_by_key_type_and_use() {
    use josekit::{
        jwk::{
            Jwk,
            alg::{ec::EcCurve, ed::EdCurve},
        },
        jws::{ES256, EdDSA},
    };
    let bank = Bank::open().await;
    let public = |key: &Jwk, usage: &str| -> Value {
        let mut key: Value = serde_json::from_str(&key.to_public_key().unwrap().to_string()).unwrap();
        key["kid"] = json!("same");
        key["use"] = json!(usage);
        key
    };
    let (ec, ed) =
        (Jwk::generate_ec_key(EcCurve::P256).unwrap(), Jwk::generate_ed_key(EdCurve::Ed25519).unwrap());
    let encryption = Jwk::generate_ec_key(EcCurve::P256).unwrap();
    let mut metadata = signing_client(&[]);
    let keys = [public(&encryption, "enc"), public(&ec, "sig"), public(&ed, "sig")];
    metadata["jwks"] = json!({ "keys": keys });
    declare_client(&bank, "signing-app", metadata).await.unwrap();
    let signers: [(&str, Box<dyn JwsSigner>, u16); 3] = [
        ("ES256", Box::new(ES256.signer_from_jwk(&ec).unwrap()), 200),
        ("EdDSA", Box::new(EdDSA.signer_from_jwk(&ed).unwrap()), 200),
        // The encryption key signs nothing.
        ("ES256", Box::new(ES256.signer_from_jwk(&encryption).unwrap()), 401),
    ];
    for (index, (algorithm, signer, status)) in signers.iter().enumerate() {
        let header = json!({ "alg": algorithm, "kid": "same" }).to_string();
        let claims = json!({
            "iss": "signing-app", "sub": "signing-app", "aud": bank.issuer, "jti": index.to_string(),
            "exp": bank.now().timestamp() + 60
        });
        let assertion = signed_as_is(&header, &claims.to_string(), |it| signer.sign(it).unwrap());
        let fields = [GRANT, ("client_assertion_type", TYPE), ("client_assertion", &assertion)];
        token(&bank.app("batch-job"), &fields).await.expect(*status);
    }
}

#[tokio::test]
async fn f2_35_weak_or_private_or_symmetric_keys_are_not_registered() {
    let bank = Bank::open().await;
    let weak = josekit::jwk::Jwk::generate_rsa_key(1024).unwrap().to_public_key().unwrap();
    let weak: Value = serde_json::from_str(&weak.to_string()).unwrap();
    let private = josekit::jwk::Jwk::generate_ec_key(josekit::jwk::alg::ec::EcCurve::P256).unwrap();
    let private: Value = serde_json::from_str(&serde_json::to_string(private.as_ref()).unwrap()).unwrap();
    let symmetric = json!({ "kty": "oct", "k": "c2VjcmV0LXNlY3JldC1zZWNyZXQtc2VjcmV0LXNlY3JldA" });
    let small = json!({ "kty": "EC", "crv": "P-192", "x": "AAAA", "y": "AAAA" });
    for (key, problem) in
        [(weak, "2048"), (private, "private"), (symmetric, "private member"), (small, "P-192")]
    {
        let mut metadata = signing_client(&[]);
        metadata["jwks"] = json!({ "keys": [key] });
        let fault = declare_client(&bank, "weak-app", metadata).await.unwrap_err().to_string();
        assert!(fault.contains(problem), "{fault}");
    }
    assert!(bank.service.client("weak-app").await.unwrap().is_none());
}

#[tokio::test]
async fn oc_24_a_registered_algorithm_is_the_only_one() {
    let bank = Bank::open().await;
    for algorithm in Algorithm::ALL {
        let key = new_key(algorithm);
        let mut metadata = signing_client(&[&key]);
        metadata["token_endpoint_auth_signing_alg"] = json!(algorithm.as_str());
        declare_client(&bank, "signing-app", metadata.clone()).await.unwrap();
        let send = async |jti: &str| {
            let claims = json!({
                "iss": "signing-app", "sub": "signing-app", "aud": bank.issuer, "jti": jti,
                "exp": bank.now().timestamp() + 60
            });
            let assertion = key.sign("JWT", &claims).unwrap();
            let fields = [GRANT, ("client_assertion_type", TYPE), ("client_assertion", &assertion)];
            token(&bank.app("batch-job"), &fields).await
        };
        send(&format!("{algorithm} 1")).await.expect(200);
        let other = Algorithm::ALL.into_iter().find(|other| *other != algorithm).unwrap();
        metadata["token_endpoint_auth_signing_alg"] = json!(other.as_str());
        declare_client(&bank, "signing-app", metadata).await.unwrap();
        send(&format!("{algorithm} 2")).await.expect_error(401, "invalid_client");
    }
}
