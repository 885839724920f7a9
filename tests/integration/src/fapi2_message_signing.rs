//! FAPI 2.0 Message Signing: signed request objects at the push, signed answers in the browser.

use chrono::TimeDelta;
use jose::{Algorithm, KeySet, SigningKey};
use protocol::client::Profile;
use serde_json::{Map, Value, json};
use testkit::{Answer, Attempt, Browser, Departure, RelyingParty};

use crate::{
    bank::{Bank, ENGINES},
    dpop_key::{DpopKey, FapiClient, assertion, declare, metadata, post, pushed_url, redeem},
    steps::{declare_client, header_of, new_key},
};

const SCOPE: &str = "openid accounts:read offline_access";

/// The claims of a good request object for an attempt, with these changed; `null` takes one away.
fn object(bank: &Bank, client: &str, attempt: &Attempt, changes: &Value) -> Map<String, Value> {
    let now = bank.now().timestamp();
    let parameters = attempt.parameters.iter().cloned();
    let mut object: Map<String, Value> =
        parameters.map(|(name, value)| (name, Value::String(value))).collect();
    let envelope = json!({ "iss": client, "aud": bank.issuer, "nbf": now, "exp": now + 300 });
    for more in [&envelope, changes] {
        object.extend(more.as_object().unwrap().clone());
    }
    object.retain(|_, value| !value.is_null());
    object
}

async fn push_object(app: &RelyingParty, object: &str, proof: Option<&str>) -> Answer {
    post(app, "/par", &[("client_id", &app.client_id), ("request", object)], proof).await
}

/// A client of the profile, with the bank that knows it.
struct Signer {
    bank: Bank,
    client: FapiClient,
}

impl Signer {
    async fn new() -> Self {
        let bank = Bank::open().await;
        let client = FapiClient::declared(&bank, Profile::Fapi2MessageSigning).await;
        Self { bank, client }
    }

    fn attempt(&self) -> Attempt {
        self.client.app.attempt(SCOPE).with("response_mode", "jwt")
    }

    async fn push(&self, attempt: &Attempt, changes: Value) -> Answer {
        let object = object(&self.bank, "fapi-app", attempt, &changes);
        let signed = self.client.key.sign("oauth-authz-req+jwt", &object).unwrap();
        push_object(&self.client.app, &signed, None).await
    }
}

/// What an answer says, read as a client must: signed by a published key, and nothing beside it.
async fn read(app: &RelyingParty, departure: &Departure) -> Value {
    let names: Vec<&str> = departure.parameters.iter().map(|(name, _)| name.as_str()).collect();
    assert_eq!(names, ["response"], "MS-05, MS-06: nothing stands outside");
    let token = departure.parameter("response").unwrap();
    let keys = KeySet::from_slice(app.get("/jwks").await.expect(200).text.as_bytes()).unwrap();
    Value::Object(jose::verify(token, &keys, &[Algorithm::Es256]).unwrap().claims.into_map())
}

#[tokio::test]
async fn ms_01_ms_05_ms_06_the_whole_flow() {
    for engine in ENGINES {
        let bank = Bank::on(engine).await;
        let client = FapiClient::declared(&bank, Profile::Fapi2MessageSigning).await;
        let (app, key) = (&client.app, DpopKey::new(Algorithm::Es256));
        let attempt = app.attempt(SCOPE).with("response_mode", "jwt");
        let signed = client.key.sign("oauth-authz-req+jwt", &object(&bank, "fapi-app", &attempt, &json!({})));
        let proof = key.proof(&bank, "/par");
        let pushed = push_object(app, &signed.unwrap(), Some(&proof)).await.expect(201);
        let url = pushed_url(app, pushed.str("request_uri"));
        let departure = bank.connect(&mut bank.person("alice"), &Browser::new(), url).await;
        let answer = read(app, &departure).await;
        assert_eq!((&answer["iss"], &answer["aud"]), (&json!(bank.issuer), &json!("fapi-app")));
        assert_eq!(answer["state"], json!(attempt.state));
        let lives = answer["exp"].as_i64().unwrap() - bank.now().timestamp();
        assert!((1..=600).contains(&lives), "{lives}");
        // F2-15: the proof at the push bound the code.
        let (code, other) = (answer["code"].as_str().unwrap(), DpopKey::new(Algorithm::Es256));
        let stolen = redeem(app, &attempt, code, Some(&other.proof(&bank, "/token"))).await;
        stolen.expect_error(400, "invalid_grant");
        let tokens = redeem(app, &attempt, code, Some(&key.proof(&bank, "/token"))).await.expect(200);
        assert_eq!(tokens.str("token_type"), "DPoP");
        assert_eq!(header_of(tokens.str("id_token"))["alg"], "ES256");
    }
}

#[tokio::test]
async fn ms_05_errors_are_signed_and_unsigned_modes_refused() {
    let signer = Signer::new().await;
    let app = &signer.client.app;
    let pushed = signer.push(&signer.attempt().with("prompt", "none"), json!({})).await.expect(201);
    let page = Browser::new().open(pushed_url(app, pushed.str("request_uri"))).await;
    let answer = read(app, page.departed()).await;
    assert_eq!((&answer["error"], &answer["iss"]), (&json!("login_required"), &json!(signer.bank.issuer)));
    for mode in ["query", "fragment", "form_post"] {
        let attempt = signer.attempt().with("response_mode", mode);
        signer.push(&attempt, json!({})).await.expect_error(400, "invalid_request");
    }
    // None asked for is none that is signed.
    let bare = signer.attempt().without("response_mode");
    signer.push(&bare, json!({})).await.expect_error(400, "invalid_request");
    // What cannot be answered at the push is an error that the browser brings, signed.
    let url = signer.attempt().without("response_mode");
    let page = Browser::new().open(url.url()).await;
    assert_eq!(read(app, page.departed()).await["error"], "invalid_request");
}

#[tokio::test]
async fn ms_01_ms_02_ms_03_ms_04_par_06_par_10_jar_05_objects_that_are_refused() {
    let signer = Signer::new().await;
    let (bank, app) = (&signer.bank, &signer.client.app);
    let now = bank.now().timestamp();
    let hour = 3600;
    for (changes, good) in [
        (json!({}), true),
        (json!({ "aud": ["https://other.example", bank.issuer] }), true),
        (json!({ "nbf": now - hour + 10, "exp": now + 5 }), true),
        (json!({ "nbf": now + 9 }), true),
        (json!({ "aud": null }), false),
        (json!({ "aud": "https://other.example" }), false),
        (json!({ "aud": format!("{}/par", bank.issuer) }), false),
        (json!({ "aud": [] }), false),
        (json!({ "nbf": null }), false),
        (json!({ "nbf": now - hour - 61, "exp": now + 5 }), false),
        (json!({ "nbf": now + 61 }), false),
        (json!({ "nbf": "now" }), false),
        (json!({ "exp": null }), false),
        (json!({ "exp": now - 61 }), false),
        (json!({ "exp": now + hour + 61 }), false),
        (json!({ "iss": "other-app" }), false),
        (json!({ "client_id": "web-app" }), false),
        (json!({ "client_id": null }), false),
        (json!({ "sub": "fapi-app" }), false),
        (json!({ "request": "x" }), false),
        (json!({ "request_uri": "https://fapi.example/r" }), false),
    ] {
        let answer = signer.push(&signer.attempt(), changes.clone()).await;
        if good {
            assert_eq!(answer.status, 201, "{changes}: {}", answer.text);
        } else {
            answer.expect_error(400, "invalid_request_object");
        }
    }
    // Not signed; with something else in place of a signature; by another key; of another kind.
    let attempt = signer.attempt();
    let fields: Vec<_> = attempt.parameters.iter().map(|(n, v)| (n.as_str(), v.as_str())).collect();
    post(app, "/par", &fields, None).await.expect_error(400, "invalid_request");
    let claims = object(bank, "fapi-app", &attempt, &json!({}));
    let payload = Value::Object(claims.clone()).to_string();
    let none = crate::steps::signed_as_is(r#"{"alg":"none"}"#, &payload, |_| Vec::new());
    let foreign = |key: &SigningKey| key.sign("oauth-authz-req+jwt", &claims).unwrap();
    let stranger = foreign(&new_key(Algorithm::Es256));
    let rs256 = foreign(&new_key(Algorithm::Rs256));
    let assertion = assertion(&signer.client.key, "fapi-app", &json!(bank.issuer), now);
    let proof = signer.client.key.sign("dpop+jwt", &claims).unwrap();
    for wrong in [&none, &stranger, &rs256, &assertion, &proof, "x"] {
        push_object(app, wrong, None).await.expect_error(400, "invalid_request_object");
    }
}

#[tokio::test]
async fn ms_04_what_stands_only_outside_does_not_count() {
    let signer = Signer::new().await;
    let (bank, app) = (&signer.bank, &signer.client.app);
    let attempt = signer.attempt();
    let signed = object(bank, "fapi-app", &attempt.without("state"), &json!({}));
    let signed = signer.client.key.sign("oauth-authz-req+jwt", &signed).unwrap();
    let fields = [
        ("client_id", "fapi-app"),
        ("request", &signed),
        ("state", "somebody-else's"),
        ("scope", "openid payments:write"),
        ("redirect_uri", "https://evil.example/cb"),
        ("prompt", "none"),
        ("response_mode", "query"),
    ];
    let pushed = post(app, "/par", &fields, None).await.expect(201);
    let url = pushed_url(app, pushed.str("request_uri"));
    let departure = bank.connect(&mut bank.person("alice"), &Browser::new(), url).await;
    assert_eq!(departure.url.host_str(), Some("fapi.example"));
    let answer = read(app, &departure).await;
    assert!(answer["state"].is_null() && answer["code"].is_string(), "{answer}");
}

/// Two clients sign with their own keys; neither can push what the other signed, or bring what it pushed.
#[tokio::test]
async fn par_03_par_06_a_pushed_object_is_of_the_client_that_pushes_it() {
    let signer = Signer::new().await;
    let (bank, ours) = (&signer.bank, &signer.client.app);
    let key = new_key(Algorithm::Es256);
    declare(bank, "other-app", metadata(&key), Some(Profile::Fapi2MessageSigning)).await.unwrap();
    let theirs = FapiClient::known(bank, "other-app", key.clone()).app;
    let attempt = signer.attempt();
    let good = object(bank, "fapi-app", &attempt, &json!({}));
    let signed = signer.client.key.sign("oauth-authz-req+jwt", &good).unwrap();
    // Ours, pushed by them, with either name outside.
    for name in ["other-app", "fapi-app"] {
        let fields = [("client_id", name), ("request", &signed)];
        let refused = post(&theirs, "/par", &fields, None).await;
        assert_eq!(refused.status, 400, "{name}: {}", refused.text);
    }
    // Of our name, signed by them.
    let forged = key.sign("oauth-authz-req+jwt", &good).unwrap();
    push_object(&theirs, &forged, None).await.expect_error(400, "invalid_request_object");
    push_object(ours, &forged, None).await.expect_error(400, "invalid_request_object");
    // And a reference of ours is worth nothing to them.
    let pushed = push_object(ours, &signed, None).await.expect(201);
    let page = Browser::new().open(pushed_url(&theirs, pushed.str("request_uri"))).await;
    assert_eq!(page.status, 400);
    assert!(page.text().contains("invalid_request_uri"), "{}", page.text());
}

/// General clients push request objects, too, and theirs need not be bounded.
#[tokio::test]
async fn par_06_par_10_general_clients_push_request_objects() {
    let bank = Bank::open().await;
    let client = FapiClient::declared(&bank, Profile::General).await;
    let attempt = client.app.attempt("openid accounts:read");
    let sign = |changes: Value| {
        let object = object(&bank, "fapi-app", &attempt, &changes);
        client.key.sign("JWT", &object).unwrap()
    };
    let unbounded = sign(json!({ "nbf": null, "exp": null }));
    let pushed = push_object(&client.app, &unbounded, None).await.expect(201);
    let url = pushed_url(&client.app, pushed.str("request_uri"));
    attempt.code(&bank.connect(&mut bank.person("alice"), &Browser::new(), url).await);
    for changes in [json!({ "client_id": "spa" }), json!({ "request_uri": "urn:x" }), json!({ "exp": 1 })] {
        push_object(&client.app, &sign(changes), None).await.expect_error(400, "invalid_request_object");
    }
    let evil = sign(json!({ "redirect_uri": "https://evil.example/cb" }));
    push_object(&client.app, &evil, None).await.expect_error(400, "invalid_request");
}

#[tokio::test]
async fn ms_09_only_registered_modes_and_a_profile_needs_a_signed_one() {
    let bank = Bank::open().await;
    let key = new_key(Algorithm::Es256);
    let mut modes = metadata(&key);
    modes["response_modes"] = json!(["query", "form_post"]);
    let unfit = declare(&bank, "fapi-app", modes.clone(), Some(Profile::Fapi2MessageSigning)).await;
    assert!(format!("{unfit:?}").contains("response_modes has no signed one"), "{unfit:?}");
    modes["response_modes"] = json!(["query", "form_post.jwt"]);
    declare(&bank, "fapi-app", modes, Some(Profile::Fapi2MessageSigning)).await.unwrap();
    let client = FapiClient::known(&bank, "fapi-app", key);
    let signer = Signer { bank, client };
    for (mode, status) in [("query", 400), ("jwt", 400), ("query.jwt", 400), ("form_post.jwt", 201)] {
        let attempt = signer.attempt().with("response_mode", mode);
        assert_eq!(signer.push(&attempt, json!({})).await.status, status, "{mode}");
    }
}

/// A client of the security profile that signs its requests is held to the same rules.
#[tokio::test]
async fn ms_02_ms_03_signed_requests_are_bounded_without_signed_answers_too() {
    let bank = Bank::open().await;
    let key = new_key(Algorithm::Es256);
    let mut signs = metadata(&key);
    signs["require_signed_request_object"] = json!(true);
    declare(&bank, "fapi-app", signs, Some(Profile::Fapi2)).await.unwrap();
    let client = FapiClient::known(&bank, "fapi-app", key);
    let signer = Signer { bank, client };
    let now = signer.bank.now().timestamp();
    let attempt = signer.client.app.attempt(SCOPE);
    signer.push(&attempt, json!({})).await.expect(201);
    for changes in [
        json!({ "nbf": null }),
        json!({ "exp": null }),
        json!({ "aud": null }),
        json!({ "aud": "https://other.example" }),
        json!({ "exp": now + 3601 }),
        json!({ "nbf": now - 3601 }),
    ] {
        signer.push(&attempt, changes).await.expect_error(400, "invalid_request_object");
    }
    crate::dpop_key::push(&signer.client.app, &attempt, None).await.expect_error(400, "invalid_request");
}

/// An old request object can't be kept and pushed later.
#[tokio::test]
async fn ms_03_jar_07_an_object_ends() {
    let signer = Signer::new().await;
    let object = object(&signer.bank, "fapi-app", &signer.attempt(), &json!({}));
    let signed = signer.client.key.sign("oauth-authz-req+jwt", &object).unwrap();
    push_object(&signer.client.app, &signed, None).await.expect(201);
    signer.bank.advance(TimeDelta::seconds(361));
    let app = FapiClient::known(&signer.bank, "fapi-app", signer.client.key.clone()).app;
    push_object(&app, &signed, None).await.expect_error(400, "invalid_request_object");
    // JAR-07: the same rule without the profile.
    let mut metadata = metadata(&signer.client.key);
    metadata["require_signed_request_object"] = json!(true);
    declare_client(&signer.bank, "signs-always", metadata).await.unwrap();
    let app = FapiClient::known(&signer.bank, "signs-always", signer.client.key.clone()).app;
    let attempt = app.attempt("openid");
    crate::dpop_key::push(&app, &attempt, None).await.expect_error(400, "invalid_request");
}
