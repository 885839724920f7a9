//! FAPI 2.0 Security Profile: a client under `fapi2`, beside general ones at the same server.

use chrono::TimeDelta;
use flows::declare::DeclareFault;
use jose::Algorithm;
use protocol::client::Profile;
use serde_json::{Value, json};
use testkit::{Browser, ClientAuth, RelyingParty, claims_of};

use crate::{
    bank::{Bank, Engine},
    dpop_key::{
        DpopKey, FapiClient, REDIRECT, assertion, declare, metadata, post, push, pushed_url, redeem, refresh,
    },
    steps::{header_of, new_key},
};

const SCOPE: &str = "openid accounts:read offline_access";

#[tokio::test]
async fn f2_09_f2_13_f2_15_f2_33_f2_34_the_whole_flow() {
    for engine in [Engine::Sqlite, Engine::Postgres] {
        let bank = Bank::on(engine).await;
        let client = FapiClient::declared(&bank, Profile::Fapi2).await;
        let (app, key) = (&client.app, DpopKey::new(Algorithm::Es256));
        let (attempt, code) = client.code(&bank, SCOPE, Some(&key.proof(&bank, "/par"))).await;
        let tokens = redeem(app, &attempt, &code, Some(&key.proof(&bank, "/token"))).await.expect(200);
        assert_eq!(tokens.str("token_type"), "DPoP");
        assert_eq!(claims_of(tokens.str("access_token"))["cnf"]["jkt"], key.thumbprint());
        for token in ["access_token", "id_token"] {
            assert_eq!(header_of(tokens.str(token))["alg"], "ES256", "{token}");
        }
        // F2-13: the refresh token stays, whatever it is used for; DP-06: with any key.
        let first = tokens.str("refresh_token");
        for _ in 0..2 {
            let other = DpopKey::new(Algorithm::EdDsa);
            let again = refresh(app, first, Some(&other.proof(&bank, "/token"))).await.expect(200);
            assert_eq!(again.str("refresh_token"), first);
        }
        refresh(app, first, None).await.expect_error(400, "invalid_dpop_proof");
    }
}

#[tokio::test]
async fn f2_09_dp_15_without_a_proof_there_is_no_token_and_nothing_is_used_up() {
    let bank = Bank::open().await;
    let client = FapiClient::declared(&bank, Profile::Fapi2).await;
    let (app, key) = (&client.app, DpopKey::new(Algorithm::Ps256));
    let own = [("grant_type", "client_credentials"), ("scope", "accounts:read")];
    post(app, "/token", &own, None).await.expect_error(400, "invalid_dpop_proof");
    post(app, "/token", &own, Some(&key.proof(&bank, "/token"))).await.expect(200);
    let (attempt, code) = client.code(&bank, SCOPE, None).await;
    redeem(app, &attempt, &code, None).await.expect_error(400, "invalid_dpop_proof");
    redeem(app, &attempt, &code, Some(&key.proof(&bank, "/token"))).await.expect(200);
    // F2-25: a second time it is a replay, which ends the family.
    redeem(app, &attempt, &code, Some(&key.proof(&bank, "/token"))).await.expect_error(400, "invalid_grant");
}

#[tokio::test]
async fn f2_12_f2_10_only_the_issuer_as_a_string_is_the_audience() {
    let bank = Bank::open().await;
    let client = FapiClient::declared(&bank, Profile::Fapi2).await;
    let now = bank.now().timestamp();
    let key = DpopKey::new(Algorithm::Es256);
    let with = |made: String| {
        let auth = ClientAuth::Assertion(std::sync::Arc::new(move || made.clone()));
        RelyingParty::new(&bank.issuer, "fapi-app", auth, REDIRECT)
    };
    let at = |path: &str| format!("{}{path}", bank.issuer);
    for audience in [
        json!([bank.issuer]),
        json!([bank.issuer, at("/token")]),
        json!(at("/token")),
        json!(at("/par")),
        json!(at("/")),
        json!("https://other.example"),
        json!(["https://other.example", bank.issuer]),
    ] {
        let app = with(assertion(&client.key, "fapi-app", &audience, now));
        let refused = push(&app, &app.attempt("openid"), None).await;
        refused.expect_error(401, "invalid_client");
        let app = with(assertion(&client.key, "fapi-app", &audience, now));
        let own = [("grant_type", "client_credentials")];
        let refused = post(&app, "/token", &own, Some(&key.proof(&bank, "/token"))).await;
        refused.expect_error(401, "invalid_client");
    }
    // F2-34: a good key, but RS256 is no algorithm of the profile.
    let rsa = new_key(Algorithm::Rs256);
    declare(&bank, "rsa-app", metadata(&rsa), Some(Profile::Fapi2)).await.unwrap();
    let made = assertion(&rsa, "rsa-app", &json!(bank.issuer), now);
    let auth = ClientAuth::Assertion(std::sync::Arc::new(move || made.clone()));
    let app = RelyingParty::new(&bank.issuer, "rsa-app", auth, REDIRECT);
    push(&app, &app.attempt("openid"), None).await.expect_error(401, "invalid_client");
    // F2-20: nobody at all.
    let nobody = RelyingParty::new(&bank.issuer, "fapi-app", ClientAuth::None, REDIRECT);
    push(&nobody, &nobody.attempt("openid"), None).await.expect_error(401, "invalid_client");
}

#[tokio::test]
async fn f2_14_a_code_lives_a_minute() {
    let bank = Bank::open().await;
    let client = FapiClient::declared(&bank, Profile::Fapi2).await;
    let key = DpopKey::new(Algorithm::Es256);
    let (attempt, code) = client.code(&bank, SCOPE, None).await;
    bank.advance(TimeDelta::seconds(61));
    let app = FapiClient::known(&bank, "fapi-app", client.key.clone()).app;
    let late = redeem(&app, &attempt, &code, Some(&key.proof(&bank, "/token"))).await;
    late.expect_error(400, "invalid_grant");
}

#[tokio::test]
async fn f2_18_f2_19_f2_21_f2_22_requests_are_pushed_and_whole() {
    let bank = Bank::open().await;
    let client = FapiClient::declared(&bank, Profile::Fapi2).await;
    let app = &client.app;
    let page = Browser::new().open(app.attempt("openid").url()).await;
    assert_eq!(page.departed().error(), "invalid_request");
    let good = || app.attempt("openid");
    for (attempt, error) in [
        (good().with("response_type", "token"), "unsupported_response_type"),
        (good().without("code_challenge").without("code_challenge_method"), "invalid_request"),
        (good().without("code_challenge_method"), "invalid_request"),
        (good().with("code_challenge_method", "plain"), "invalid_request"),
        (good().without("redirect_uri"), "invalid_request"),
        (good().with("redirect_uri", "https://fapi.example/other"), "invalid_request"),
    ] {
        push(app, &attempt, None).await.expect_error(400, error);
    }
    let hybrid = push(app, &good().with("response_type", "code id_token"), None).await;
    assert_eq!(hybrid.status, 400, "{}", hybrid.text);
    // A wrong verifier.
    let key = DpopKey::new(Algorithm::Es256);
    let (mut attempt, code) = client.code(&bank, "openid accounts:read", None).await;
    attempt.verifier = "a".repeat(43);
    let wrong = redeem(app, &attempt, &code, Some(&key.proof(&bank, "/token"))).await;
    wrong.expect_error(400, "invalid_grant");
}

#[tokio::test]
async fn f2_08_f2_10_f2_34_clients_that_cannot_have_the_profile() {
    let bank = Bank::open().await;
    let key = new_key(Algorithm::Es256);
    let refused = async |member: &str, value: Value| {
        let mut metadata = metadata(&key);
        metadata[member] = value;
        match declare(&bank, "unfit-app", metadata, Some(Profile::Fapi2)).await {
            Err(DeclareFault::Client { faults, .. }) => faults,
            other => panic!("{other:?}"),
        }
    };
    let public = refused("token_endpoint_auth_method", json!("none")).await;
    assert!(public.contains("profile fapi2: it is a public client"), "{public}");
    let secret = refused("token_endpoint_auth_method", json!("client_secret_basic")).await;
    assert!(secret.contains("only private_key_jwt will do"), "{secret}");
    let rs256 = refused("id_token_signed_response_alg", json!("RS256")).await;
    assert!(rs256.contains("only PS256, ES256 and EdDSA will do"), "{rs256}");
    let plain = refused("redirect_uris", json!(["http://fapi.example/cb"])).await;
    assert!(plain.contains("redirect_uris"), "F2-24: {plain}");
}

#[tokio::test]
async fn f2_08_new_confidential_clients_with_financial_scopes_have_the_profile_unless_somebody_chose() {
    let bank = Bank::open().await;
    let scope = "[[scope]]\nname = \"funds:read\"\ntitle = \"Funds\"\ndescription = \"Are there enough?\"\n\
                 audience = \"https://accounts.bank.example\"\nfinancial = true";
    let audience = bank.service.declared().catalogue.resource_servers().next().unwrap().audience.clone();
    bank.declare(&scope.replace("https://accounts.bank.example", &audience)).await.unwrap();
    let key = new_key(Algorithm::Es256);
    let mut financial = metadata(&key);
    financial["scope"] = json!("openid funds:read");
    declare(&bank, "by-default", financial.clone(), None).await.unwrap();
    declare(&bank, "by-choice", financial.clone(), Some(Profile::General)).await.unwrap();
    declare(&bank, "no-finance", metadata(&key), None).await.unwrap();
    let profile = async |id: &str| bank.service.client(id).await.unwrap().unwrap().protection.profile;
    assert_eq!(profile("by-default").await, Profile::Fapi2);
    assert_eq!(profile("by-choice").await, Profile::General);
    assert_eq!(profile("no-finance").await, Profile::General);
    // Said again without a choice, everything stays as it is.
    declare(&bank, "by-default", financial.clone(), None).await.unwrap();
    declare(&bank, "by-choice", financial, None).await.unwrap();
    assert_eq!(profile("by-default").await, Profile::Fapi2);
    assert_eq!(profile("by-choice").await, Profile::General);
}

#[tokio::test]
async fn f2_16_clocks_may_differ_by_ten_seconds() {
    let bank = Bank::open().await;
    let client = FapiClient::declared(&bank, Profile::Fapi2).await;
    let key = DpopKey::new(Algorithm::Es256);
    for (ahead, status) in [(10, 200), (61, 400)] {
        let mut claims = crate::dpop_key::claims(&bank, "POST", "/token");
        claims["iat"] = json!(bank.now().timestamp() + ahead);
        let own = [("grant_type", "client_credentials")];
        let answer = post(&client.app, "/token", &own, Some(&key.sign(&claims))).await;
        assert_eq!(answer.status, status, "{ahead}: {}", answer.text);
    }
}

#[tokio::test]
async fn ms_01_message_signing_refuses_unsigned_pushes() {
    let bank = Bank::open().await;
    let client = FapiClient::declared(&bank, Profile::Fapi2MessageSigning).await;
    let refused = push(&client.app, &client.app.attempt("openid"), None).await;
    assert_eq!(refused.status, 400, "{}", refused.text);
}

#[tokio::test]
async fn general_clients_go_on_as_before_beside_it() {
    let bank = Bank::open().await;
    FapiClient::declared(&bank, Profile::Fapi2).await;
    let app = bank.app("web-app");
    let tokens = crate::steps::tokens_for(&bank, &app, "openid accounts:read").await;
    assert_eq!(tokens.str("token_type"), "Bearer");
    assert_eq!(header_of(tokens.str("id_token"))["alg"], "RS256");
    let pushed = push(&app, &app.attempt("openid"), None).await.expect(201);
    assert!(pushed_url(&app, pushed.str("request_uri")).contains("request_uri="));
}
