//! JWT-secured authorization responses (JARM, FAPI 2.0 Message Signing §5.4).

use jose::{
    Algorithm, DecryptionKey, KeySet, PrivateDecryptionKey,
    jwe::{Accepted, EncryptionKeyType, decrypt},
};
use rstest::rstest;
use serde_json::{Value, json};
use testkit::{Browser, ClientAuth, Departure, Page, RelyingParty};

use crate::{bank::Bank, steps::declare_client};

const CALLBACK: &str = "https://jarm.example/cb";

async fn jarm(more: Value) -> (Bank, RelyingParty) {
    let bank = Bank::open().await;
    declare_client(&bank, "jarm-app", metadata(&more)).await.unwrap();
    let app = RelyingParty::new(&bank.issuer, "jarm-app", ClientAuth::None, CALLBACK);
    (bank, app)
}

fn metadata(more: &Value) -> Value {
    let mut metadata = json!({
        "client_name": "JARM App",
        "token_endpoint_auth_method": "none",
        "redirect_uris": [CALLBACK],
        "response_types": ["code", "code id_token"],
        "scope": "openid accounts:read",
    });
    metadata.as_object_mut().unwrap().extend(more.as_object().unwrap().clone());
    metadata
}

/// What a response says, read as a client must: signed by our key and alone in its place.
async fn read(app: &RelyingParty, departure: &Departure, algorithm: Algorithm) -> Value {
    let names: Vec<&str> = departure.parameters.iter().map(|(name, _)| name.as_str()).collect();
    assert_eq!(names, ["response"], "MS-06, IS-01: nothing stands outside");
    verified(app, departure.parameter("response").unwrap(), algorithm).await
}

async fn verified(app: &RelyingParty, token: &str, algorithm: Algorithm) -> Value {
    let keys = KeySet::from_slice(app.get("/jwks").await.expect(200).text.as_bytes()).unwrap();
    Value::Object(jose::verify(token, &keys, &[algorithm]).unwrap().claims.into_map())
}

/// Where a page leads, a posted form included.
async fn left(page: Page) -> Departure {
    match page.form_to_another_site() {
        Some(form) => Browser::new().send(form).await.departed().clone(),
        None => page.departed().clone(),
    }
}

fn carrier(departure: &Departure) -> &'static str {
    match (departure.url.query(), departure.url.fragment()) {
        (Some(_), None) => "query",
        (None, Some(_)) => "fragment",
        (None, None) => "form",
        both => panic!("in two places: {both:?}"),
    }
}

#[rstest]
#[case("code", "jwt", "query")]
#[case("code", "query.jwt", "query")]
#[case("code", "fragment.jwt", "fragment")]
#[case("code", "form_post.jwt", "form")]
#[case("code id_token", "jwt", "fragment")]
#[case("code id_token", "fragment.jwt", "fragment")]
#[case("code id_token", "form_post.jwt", "form")]
#[tokio::test]
async fn ms_06_ms_08_is_01_every_mode_carries_one_signed_jwt(
    #[case] response_type: &str,
    #[case] mode: &str,
    #[case] place: &str,
) {
    let (bank, app) = jarm(json!({})).await;
    let browser = Browser::new();
    let attempt = app.attempt("openid").with("response_type", response_type).with("response_mode", mode);
    let departure = bank.connect(&mut bank.person("bob"), &browser, attempt.url()).await;
    assert_eq!(carrier(&departure), place);
    let said = read(&app, &departure, Algorithm::Rs256).await;
    assert_eq!((&said["iss"], &said["aud"]), (&json!(bank.issuer), &json!("jarm-app")));
    let left_seconds = said["exp"].as_i64().unwrap() - bank.now().timestamp();
    assert!((1..=600).contains(&left_seconds), "{left_seconds}");
    assert_eq!(said["state"], attempt.state.as_str());
    assert_eq!(said.get("id_token").is_some(), response_type == "code id_token");
    app.redeem(&attempt, said["code"].as_str().unwrap()).await.expect(200);
}

#[rstest]
#[case("jwt", "query")]
#[case("fragment.jwt", "fragment")]
#[case("form_post.jwt", "form")]
#[tokio::test]
async fn ms_05_errors_are_signed_too(#[case] mode: &str, #[case] place: &str) {
    let (_bank, app) = jarm(json!({})).await;
    for (name, value, error) in [
        ("prompt", "none", "login_required"),
        ("scope", "openid payments:write", "invalid_scope"),
        ("code_challenge_method", "plain", "invalid_request"),
    ] {
        let attempt = app.attempt("openid").with("response_mode", mode).with(name, value);
        let departure = left(Browser::new().open(attempt.url()).await).await;
        assert_eq!(carrier(&departure), place);
        let said = read(&app, &departure, Algorithm::Rs256).await;
        assert_eq!((&said["error"], &said["state"]), (&json!(error), &json!(attempt.state)));
        assert_eq!(said.get("code"), None);
    }
}

#[tokio::test]
async fn ms_05_ms_09_a_client_of_signed_modes_alone_is_never_answered_unsigned() {
    let (bank, app) = jarm(json!({ "response_modes": ["jwt"] })).await;
    let browser = Browser::new();
    let attempt = app.attempt("openid").with("response_mode", "jwt");
    let departure = bank.connect(&mut bank.person("bob"), &browser, attempt.url()).await;
    read(&app, &departure, Algorithm::Rs256).await;
    // Signed in and consented: what is refused is refused for its mode.
    for mode in ["", "query", "fragment", "form_post", "fragment.jwt", "carrier_pigeon"] {
        let attempt = app.attempt("openid").with("response_mode", mode);
        let departure = left(browser.open(attempt.url()).await).await;
        let said = read(&app, &departure, Algorithm::Rs256).await;
        assert_eq!(said["error"], "invalid_request", "{mode}");
    }
    for (name, value) in [("response_type", "token"), ("response_type", "code id_token"), ("prompt", "dance")]
    {
        let attempt = app.attempt("openid").with(name, value);
        let departure = left(browser.open(attempt.url()).await).await;
        assert!(read(&app, &departure, Algorithm::Rs256).await["error"].is_string(), "{name}={value}");
    }
}

#[tokio::test]
async fn ms_07_the_signature_follows_metadata_and_none_cannot_be_registered() {
    let (bank, app) = jarm(json!({ "authorization_signed_response_alg": "ES256" })).await;
    let attempt = app.attempt("openid").with("response_mode", "jwt");
    let departure = bank.connect(&mut bank.person("bob"), &Browser::new(), attempt.url()).await;
    read(&app, &departure, Algorithm::Es256).await;
    for refused in ["none", "HS256"] {
        let metadata = metadata(&json!({ "authorization_signed_response_alg": refused }));
        assert!(declare_client(&bank, "other-app", metadata).await.is_err(), "{refused}");
    }
}

#[tokio::test]
async fn ms_07_ms_08_encrypted_responses_may_carry_tokens_in_the_query() {
    let private = PrivateDecryptionKey::generate(EncryptionKeyType::P256).unwrap();
    let (bank, app) = jarm(json!({
        "authorization_encrypted_response_alg": "ECDH-ES",
        "authorization_encrypted_response_enc": "A256GCM",
        "jwks": { "keys": [private.public().to_value()] },
    }))
    .await;
    let open = |departure: &Departure| {
        let key = DecryptionKey::new(&private).unwrap();
        let sealed = departure.parameter("response").unwrap();
        assert_eq!(sealed.split('.').count(), 5, "a JWE");
        let opened = decrypt(sealed, &[key], &Accepted::ALL).unwrap();
        assert_eq!(opened.content_type.as_deref(), Some("JWT"));
        String::from_utf8(opened.plain.to_vec()).unwrap()
    };
    let browser = Browser::new();
    let attempt =
        app.attempt("openid").with("response_type", "code id_token").with("response_mode", "query.jwt");
    let departure = bank.connect(&mut bank.person("bob"), &browser, attempt.url()).await;
    assert_eq!(carrier(&departure), "query");
    let said = verified(&app, &open(&departure), Algorithm::Rs256).await;
    assert!(said["id_token"].is_string());
    app.redeem(&attempt, said["code"].as_str().unwrap()).await.expect(200);
    // An error is encrypted as well.
    let attempt = app.attempt("openid").with("response_mode", "jwt").with("max_age", "soon");
    let departure = left(browser.open(attempt.url()).await).await;
    assert_eq!(verified(&app, &open(&departure), Algorithm::Rs256).await["error"], "invalid_request");
    // Without encryption it stays refused, and the query is never used (JARM §2.3.1).
    let (_bank, app) = jarm(json!({})).await;
    let attempt =
        app.attempt("openid").with("response_type", "code id_token").with("response_mode", "query.jwt");
    let departure = left(Browser::new().open(attempt.url()).await).await;
    assert_eq!((departure.error(), carrier(&departure)), ("invalid_request", "fragment"));
}

#[tokio::test]
async fn ms_05_what_cannot_be_encrypted_is_not_sent() {
    let (_bank, app) = jarm(json!({
        "authorization_encrypted_response_alg": "ECDH-ES",
        "authorization_encrypted_response_enc": "A256GCM",
        "jwks_uri": "https://127.0.0.1:9/jwks",
    }))
    .await;
    let page = Browser::new()
        .open(app.attempt("openid").with("response_mode", "jwt").with("prompt", "none").url())
        .await;
    assert_eq!((page.status, page.departure.is_none()), (502, true));
}

#[tokio::test]
async fn at_04_a_response_passes_for_no_other_token() {
    let (bank, app) = jarm(json!({})).await;
    let browser = Browser::new();
    let attempt = app.attempt("openid").with("response_mode", "jwt");
    let departure = bank.connect(&mut bank.person("bob"), &browser, attempt.url()).await;
    let response = departure.parameter("response").unwrap();
    assert_eq!(app.userinfo(response).await.status, 401);
    let hinting = app.attempt("openid").with("id_token_hint", response).with("prompt", "none");
    assert_eq!(browser.open(hinting.url()).await.departed().error(), "invalid_request");
}

#[tokio::test]
async fn ms_08_oc_26_the_modes_are_advertised_with_their_algorithms() {
    let (_bank, app) = jarm(json!({})).await;
    let found = app.get("/.well-known/openid-configuration").await.expect(200);
    assert_eq!(
        found["response_modes_supported"],
        json!(["query", "fragment", "form_post", "jwt", "query.jwt", "fragment.jwt", "form_post.jwt"])
    );
    assert_eq!(found["response_types_supported"], json!(["code", "code id_token"]));
    assert_eq!(
        found["authorization_signing_alg_values_supported"],
        found["id_token_signing_alg_values_supported"]
    );
    let listed = |member: &str| found[member].as_array().unwrap().clone();
    assert!(listed("authorization_encryption_alg_values_supported").contains(&json!("ECDH-ES")));
    assert!(listed("authorization_encryption_enc_values_supported").contains(&json!("A256GCM")));
    assert!(!found.text.contains("\"none\",\"RS256\""));
}
