//! Request objects (RFC 9101, OpenID Connect Core §6): authorization requests that the client signed.

use audit::EventKind;
use chrono::TimeDelta;
use jose::{
    Algorithm, ContentEncryption, Encryption, KeyManagement, KeySet, SigningKey,
    jwe::{self, EncryptionKeyType},
};
use serde_json::{Map, Value, json};
use testkit::{Attempt, Browser, ClientAuth, RelyingParty};
use tokio::net::TcpListener;

use crate::{
    bank::{Bank, Engine},
    publisher::Publisher,
    steps::{declare_client, new_key},
};

const REDIRECT: &str = "https://jar.example/cb";

/// An app that signs its requests.
struct Signer {
    app: RelyingParty,
    key: SigningKey,
    issuer: String,
}

impl Signer {
    /// Declares the app with this beside the usual metadata.
    async fn declare(bank: &Bank, more: Value) -> Self {
        let key = new_key(Algorithm::Es256);
        let mut metadata = json!({
            "client_name": "JAR App",
            "token_endpoint_auth_method": "none",
            "redirect_uris": [REDIRECT],
            "scope": "openid accounts:read",
            "jwks": { "keys": [key.public().to_value()] },
        });
        metadata.as_object_mut().unwrap().extend(more.as_object().unwrap().clone());
        declare_client(bank, "jar-app", metadata).await.unwrap();
        let app = RelyingParty::new(&bank.issuer, "jar-app", ClientAuth::None, REDIRECT);
        Self { app, key, issuer: bank.issuer.clone() }
    }

    /// The parameters of an attempt as an object, with these members changed; `null` removes one.
    fn object(&self, attempt: &Attempt, changes: &Value) -> Map<String, Value> {
        let parameters = attempt.parameters.iter().cloned();
        let mut object: Map<String, Value> =
            parameters.map(|(name, value)| (name, Value::String(value))).collect();
        object.extend([("iss".to_owned(), json!("jar-app")), ("aud".to_owned(), json!(self.issuer))]);
        object.extend(changes.as_object().unwrap().clone());
        object.retain(|_, value| !value.is_null());
        object
    }

    #[expect(clippy::needless_pass_by_value, reason = "a literal of JSON is written where it is used")]
    fn sign(&self, attempt: &Attempt, changes: Value) -> String {
        self.key.sign("oauth-authz-req+jwt", &self.object(attempt, &changes)).unwrap()
    }
}

/// What stands outside where an object carries the request.
fn outside(attempt: &Attempt, name: &str, value: &str) -> Attempt {
    let mut attempt = attempt.clone();
    let kept = ["client_id", "response_type", "scope", "redirect_uri"];
    attempt.parameters.retain(|(name, _)| kept.contains(&name.as_str()));
    attempt.with(name, value)
}

async fn error_of(url: &str) -> String {
    Browser::new().open(url).await.departed().error().to_owned()
}

#[tokio::test]
async fn jar_03_oc_25_a_signed_request_leads_to_tokens() {
    let bank = Bank::open().await;
    let signer = Signer::declare(&bank, json!({})).await;
    let attempt = signer.app.attempt("openid accounts:read");
    let object = signer.sign(&attempt, json!({"max_age": 3600, "claims": {"id_token": {"auth_time": null}}}));
    // RFC 9101 §5: the client_id is all that must stand beside it.
    let bare = outside(&attempt, "request", &object).without("scope").without("response_type");
    let (browser, mut bob) = (Browser::new(), bank.person("bob"));
    let departure = bank.connect(&mut bob, &browser, bare.without("redirect_uri").url()).await;
    let tokens = signer.app.redeem(&attempt, &attempt.code(&departure)).await.expect(200);
    let claims = testkit::claims_of(tokens["id_token"].as_str().unwrap());
    assert_eq!(claims["nonce"], attempt.nonce);
    assert!(claims["auth_time"].is_number());
    // By POST as by GET (OC-08).
    let again = signer.app.attempt("openid accounts:read");
    let object = signer.sign(&again, json!({"prompt": "none"}));
    let post = browser.client().post(signer.app.endpoint("/authorize"));
    let post = post.form(&[("client_id", "jar-app"), ("request", &object)]).send().await.unwrap();
    assert_eq!(post.status(), 303);
    let url = signer.app.endpoint(post.headers()["location"].to_str().unwrap());
    again.code(browser.open(url.as_str()).await.departed());
}

#[tokio::test]
async fn ms_04_jar_02_only_what_was_signed_counts() {
    let bank = Bank::open().await;
    let signer = Signer::declare(&bank, json!({})).await;
    let attempt = signer.app.attempt("openid");
    let object = signer.sign(&attempt, json!({}));
    let bent = outside(&attempt, "request", &object)
        .with("scope", "openid accounts:read")
        .with("state", "somebody-else's")
        .with("nonce", "somebody-else's")
        .with("redirect_uri", "https://evil.example/cb")
        .with("prompt", "none")
        .with("code_challenge", "E9Melhoa2OwvFrEMTJguCHaoeK1t8URWbuGJSstw-cM");
    let (browser, mut bob) = (Browser::new(), bank.person("bob"));
    let departure = bank.connect(&mut bob, &browser, bent.url()).await;
    let tokens = signer.app.redeem(&attempt, &attempt.code(&departure)).await.expect(200);
    assert_eq!(tokens["scope"], "openid");
    assert_eq!(testkit::claims_of(tokens["id_token"].as_str().unwrap())["nonce"], attempt.nonce);
}

#[tokio::test]
async fn jar_08_each_mistake_has_its_code() {
    let bank = Bank::open().await;
    let signer = Signer::declare(&bank, json!({})).await;
    let attempt = signer.app.attempt("openid");
    let now = bank.now().timestamp();
    let invalid = "invalid_request_object";
    let signed = |changes: Value| signer.sign(&attempt, changes);
    let typed = |typ: &str| signer.key.sign(typ, &signer.object(&attempt, &json!({}))).unwrap();
    let stranger = new_key(Algorithm::Es256);
    let foreign = stranger.sign("JWT", &signer.object(&attempt, &json!({}))).unwrap();
    let unsigned = crate::steps::signed_as_is(
        r#"{"alg":"none"}"#,
        &Value::Object(signer.object(&attempt, &json!({}))).to_string(),
        |_| Vec::new(),
    );
    for (case, object) in [
        ("F2-34 none", unsigned),
        ("JAR-03 a stranger's key", foreign),
        ("JAR-02 no client_id", signed(json!({"client_id": null}))),
        ("JAR-02 another client_id", signed(json!({"client_id": "web-app"}))),
        ("another issuer", signed(json!({"iss": "web-app"}))),
        ("MS-02 for somebody else", signed(json!({"aud": "https://other.example"}))),
        ("JAR-01 request within", signed(json!({"request": "x"}))),
        ("JAR-01 request_uri within", signed(json!({"request_uri": "https://jar.example/r"}))),
        ("JAR-05 an assertion", signed(json!({"sub": "jar-app"}))),
        ("JAR-05 an access token", typed("at+jwt")),
        ("JAR-05 a logout token", typed("logout+jwt")),
        ("F2-16 expired", signed(json!({"exp": now - 11}))),
        ("F2-16 not yet", signed(json!({"nbf": now + 61}))),
        ("OIDC Core §6.1 another response_type", signed(json!({"response_type": "code id_token"}))),
        ("no token at all", "nonsense".to_owned()),
        ("JAR-04 encrypted to nobody", "e30.e30.e30.e30.e30".to_owned()),
    ] {
        assert_eq!(error_of(&outside(&attempt, "request", &object).url()).await, invalid, "{case}");
    }
    let good = signed(json!({}));
    let both = outside(&attempt, "request", &good).with("request_uri", "https://jar.example/r");
    assert_eq!(error_of(&both.url()).await, "invalid_request", "JAR-01");
    let twice = outside(&attempt, "request", &good).also("display", "page").also("display", "popup");
    assert_eq!(error_of(&twice.url()).await, "invalid_request", "O21-04");
    let page = Browser::new().open(outside(&attempt, "request", &good).without("client_id").url()).await;
    assert!(page.status == 400 && page.departure.is_none(), "JAR-02");
    let away = signed(json!({"redirect_uri": "https://evil.example/cb"}));
    let page = Browser::new().open(outside(&attempt, "request", &away).url()).await;
    assert!(page.status == 400 && page.departure.is_none(), "BCP-03: the one inside counts");
    // A refusal goes where the parameters outside say only if that is registered.
    let lost = outside(&attempt, "request", "nonsense").with("redirect_uri", "https://evil.example/cb");
    let page = Browser::new().open(lost.url()).await;
    assert!(page.status == 400 && page.departure.is_none(), "BCP-03");
    assert_eq!(bank.audited(EventKind::AuthorizationIssued).await, 0);
}

#[tokio::test]
async fn jar_07_a_client_that_signs_is_not_downgraded() {
    let bank = Bank::open().await;
    let signer = Signer::declare(&bank, json!({"require_signed_request_object": true})).await;
    let attempt = signer.app.attempt("openid");
    assert_eq!(error_of(&attempt.url()).await, "invalid_request");
    let (browser, mut bob) = (Browser::new(), bank.person("bob"));
    let signed = outside(&attempt, "request", &signer.sign(&attempt, json!({})));
    attempt.code(&bank.connect(&mut bob, &browser, signed.url()).await);
}

#[tokio::test]
async fn jar_03_the_registered_algorithm_counts() {
    let bank = Bank::open().await;
    let signer = Signer::declare(&bank, json!({"request_object_signing_alg": "PS256"})).await;
    let attempt = signer.app.attempt("openid");
    let url = outside(&attempt, "request", &signer.sign(&attempt, json!({}))).url();
    assert_eq!(error_of(&url).await, "invalid_request_object");
}

#[tokio::test]
async fn oc_25_jar_06_a_registered_reference_is_fetched_without_its_fragment() {
    let publisher = Publisher::open().await;
    let policy = publisher.policy();
    let bank = Bank::with(Engine::Sqlite, |policies| policies.outbound = policy).await;
    let registered = json!({"request_uris": [publisher.url("/request.jwt"), publisher.url("/kept#v0")]});
    let signer = Signer::declare(&bank, registered).await;
    let attempt = signer.app.attempt("openid");
    let object = signer.sign(&attempt, json!({}));
    publisher.put("/request.jwt", 200, "Content-Type: application/jwt\r\n", &object);
    publisher.put("/other.jwt", 200, "Content-Type: application/jwt\r\n", &object);
    let kept = "Content-Type: application/oauth-authz-req+jwt\r\nCache-Control: max-age=300\r\n";
    publisher.put("/kept", 200, kept, &object);
    let (browser, mut bob) = (Browser::new(), bank.person("bob"));
    let url = outside(&attempt, "request_uri", &publisher.url("/request.jwt#abc")).url();
    attempt.code(&bank.connect(&mut bob, &browser, url).await);
    assert_eq!(publisher.read("/request.jwt"), 1);
    for _ in 0..3 {
        let url = outside(&attempt, "request_uri", &publisher.url("/kept#v1")).url();
        attempt.code(browser.open(&url).await.departed());
    }
    assert_eq!(publisher.read("/kept"), 1, "kept for as long as its owner says");
    bank.advance(TimeDelta::seconds(301));
    let url = outside(&attempt, "request_uri", &publisher.url("/kept#v1")).url();
    attempt.code(browser.open(&url).await.departed());
    assert_eq!(publisher.read("/kept"), 2);

    for uri in
        [publisher.url("/other.jwt"), publisher.url("/request.jwt?x=1"), "https://jar.example/r".into()]
    {
        let url = outside(&attempt, "request_uri", &uri).url();
        assert_eq!(error_of(&url).await, "invalid_request_uri", "{uri}");
    }
    let long = publisher.url(&format!("/request.jwt#{}", "x".repeat(512)));
    assert_eq!(error_of(&outside(&attempt, "request_uri", &long).url()).await, "invalid_request_uri");
    assert_eq!(publisher.read("/other.jwt"), 0, "what is not registered is never asked for");
    publisher.put("/request.jwt", 404, "", "");
    let url = outside(&attempt, "request_uri", &publisher.url("/request.jwt")).url();
    assert_eq!(error_of(&url).await, "invalid_request_uri");
}

#[tokio::test]
async fn out_01_jar_06_hostile_references_get_no_byte() {
    let bank = Bank::open().await;
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let port = listener.local_addr().unwrap().port();
    let hosts = ["127.0.0.1", "localhost", "[::1]", "[::ffff:127.0.0.1]", "0.0.0.0", "[::ffff:7f00:1]"];
    let uris: Vec<String> = hosts.iter().map(|host| format!("https://{host}:{port}/r")).collect();
    let more = ["https://169.254.169.254/latest/meta-data", "https://10.0.0.1/r", "https://[fe80::1]/r"];
    let uris: Vec<String> = uris.into_iter().chain(more.map(str::to_owned)).collect();
    let signer = Signer::declare(&bank, json!({"request_uris": uris})).await;
    let attempt = signer.app.attempt("openid");
    for uri in &uris {
        let url = outside(&attempt, "request_uri", uri).url();
        assert_eq!(error_of(&url).await, "invalid_request_uri", "{uri}");
    }
    let nobody = tokio::time::timeout(std::time::Duration::from_millis(100), listener.accept()).await;
    assert!(nobody.is_err(), "somebody connected");
    let plain = declare_client(&bank, "x-app", json!({"request_uris": ["http://jar.example/r"]})).await;
    assert!(plain.is_err());
}

#[tokio::test]
async fn jar_04_encrypted_requests_are_opened_and_verified() {
    let bank = Bank::with(Engine::Sqlite, |policies| {
        let rotation = policies.rotation.clone();
        policies.rotation = rotation.with_encryption(&EncryptionKeyType::ALL, TimeDelta::days(90)).unwrap();
    })
    .await;
    let signer = Signer::declare(&bank, json!({})).await;
    let jwks = signer.app.get("/jwks").await.expect(200);
    let ours: Vec<Value> =
        jwks["keys"].as_array().unwrap().iter().filter(|key| key["use"] == "enc").cloned().collect();
    assert_eq!(ours.len(), 2);
    assert!(ours.iter().all(|key| key.get("d").is_none() && key["kid"].is_string()));
    let ours = KeySet::from_value(&json!({"keys": ours})).unwrap();
    let metadata = signer.app.get("/.well-known/openid-configuration").await.expect(200);
    let advertised = &metadata["request_object_encryption_alg_values_supported"];
    assert_eq!(*advertised, json!(KeyManagement::ALL.map(KeyManagement::as_str)));
    assert_eq!(metadata["request_object_encryption_enc_values_supported"], json!(["A256GCM", "A128GCM"]));

    let (browser, mut bob) = (Browser::new(), bank.person("bob"));
    let seal = |plain: &str, key_management| {
        let with = Encryption { key_management, content: ContentEncryption::A256Gcm };
        jwe::encrypt(plain.as_bytes(), &ours, with, Some("JWT")).unwrap()
    };
    for (round, alg) in KeyManagement::ALL.into_iter().enumerate() {
        let attempt = signer.app.attempt("openid");
        let url = outside(&attempt, "request", &seal(&signer.sign(&attempt, json!({})), alg)).url();
        let departure = match round {
            0 => bank.connect(&mut bob, &browser, &url).await,
            _ => browser.open(&url).await.departed().clone(),
        };
        attempt.code(&departure);
    }
    let attempt = signer.app.attempt("openid");
    let plain = Value::Object(signer.object(&attempt, &json!({}))).to_string();
    let sealed = seal(&signer.sign(&attempt, json!({})), KeyManagement::EcdhEs);
    let bent = |more: Value| {
        use base64::{Engine, engine::general_purpose::URL_SAFE_NO_PAD};
        let mut header = crate::steps::header_of(&sealed);
        header.as_object_mut().unwrap().extend(more.as_object().unwrap().clone());
        let (_, rest) = sealed.split_once('.').unwrap();
        format!("{}.{rest}", URL_SAFE_NO_PAD.encode(header.to_string()))
    };
    for (case, object) in [
        ("nothing signed inside", seal(&plain, KeyManagement::EcdhEs)),
        ("two envelopes", seal(&sealed, KeyManagement::EcdhEs)),
        ("zip", bent(json!({"zip": "DEF"}))),
        ("crit", bent(json!({"crit": ["exp"], "exp": 1}))),
        ("another algorithm", bent(json!({"alg": "RSA1_5"}))),
        ("dir", bent(json!({"alg": "dir"}))),
        ("an altered header", bent(json!({"x": 1}))),
        ("an unknown kid", bent(json!({"kid": "other"}))),
    ] {
        let url = outside(&attempt, "request", &object).url();
        assert_eq!(error_of(&url).await, "invalid_request_object", "{case}");
    }
    // A retired key opens what was encrypted to it before (OC-22).
    let kid = ours.encrypting(KeyManagement::EcdhEs).unwrap().kid().unwrap().to_owned();
    bank.advance(TimeDelta::days(91));
    bank.service.tend_signing_keys().await.unwrap();
    bank.service.reload().await.unwrap();
    let keys = bank.service.store().signing_keys().await.unwrap();
    assert_eq!(
        keys.iter().filter(|key| key.algorithm.signature().is_none()).count(),
        4,
        "announced successors"
    );
    assert!(keys.iter().any(|key| key.kid == kid));
    let attempt = signer.app.attempt("openid");
    let sealed = seal(&signer.sign(&attempt, json!({})), KeyManagement::EcdhEs);
    attempt.code(&bank.connect(&mut bob, &Browser::new(), outside(&attempt, "request", &sealed).url()).await);
}

#[tokio::test]
async fn jar_04_without_keys_of_ours_nothing_is_advertised() {
    let bank = Bank::open().await;
    let metadata = bank.app("web-app").get("/.well-known/openid-configuration").await.expect(200);
    assert_eq!(metadata.json.get("request_object_encryption_alg_values_supported"), None);
    assert_eq!(metadata["request_object_signing_alg_values_supported"], json!(Algorithm::ALL));
}
