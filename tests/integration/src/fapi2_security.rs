//! FAPI 2.0 Security Profile: a client under `fapi2`, beside general ones at the same server.

use chrono::TimeDelta;
use flows::declare::{DeclareFault, Declared, DeclaredClient};
use jose::Algorithm;
use protocol::client::Profile;
use serde_json::{Value, json};
use testkit::{Browser, ClientAuth, RelyingParty, claims_of};
use tokens::client::ClientSettings;

use crate::{
    bank::{Bank, ENGINES, Engine},
    dpop_key::{
        DpopKey, FapiClient, REDIRECT, assertion, declare, metadata, post, push, pushed_url, redeem, refresh,
    },
    rfc9701_introspection::{TYPE, ask},
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
        // What is signed about its tokens is signed so, too.
        let answer = ask(&bank, TYPE, tokens.str("access_token")).await.expect(200);
        assert_eq!(header_of(&answer.text)["alg"], "ES256");
        assert_eq!(claims_of(&answer.text)["token_introspection"]["active"], true);
        // F2-13: the refresh token stays, whatever it is used for; DP-06: with any key.
        let first = tokens.str("refresh_token");
        for _ in 0..2 {
            let other = DpopKey::new(Algorithm::EdDsa);
            let again = refresh(app, first, Some(&other.proof(&bank, "/token"))).await.expect(200);
            assert_eq!(again.str("refresh_token"), first);
        }
        refresh(app, first, None).await.expect_error(400, "invalid_request");
    }
}

#[tokio::test]
async fn f2_09_dp_15_without_a_proof_there_is_no_token_and_nothing_is_used_up() {
    let bank = Bank::open().await;
    let client = FapiClient::declared(&bank, Profile::Fapi2).await;
    let (app, key) = (&client.app, DpopKey::new(Algorithm::Ps256));
    let own = [("grant_type", "client_credentials"), ("scope", "accounts:read")];
    post(app, "/token", &own, None).await.expect_error(400, "invalid_request");
    post(app, "/token", &own, Some(&key.proof(&bank, "/token"))).await.expect(200);
    let (attempt, code) = client.code(&bank, SCOPE, None).await;
    redeem(app, &attempt, &code, None).await.expect_error(400, "invalid_request");
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
    let named = declare(&bank, "rsa-app", metadata(&rsa), Some(Profile::Fapi2)).await;
    assert!(format!("{named:?}").contains("none of its keys can sign with PS256"), "{named:?}");
    let mut unnamed = metadata(&rsa);
    unnamed["jwks"]["keys"][0].as_object_mut().unwrap().remove("alg");
    declare(&bank, "rsa-app", unnamed, Some(Profile::Fapi2)).await.unwrap();
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
    assert!(secret.contains("client_secret_basic; only private_key_jwt, "), "{secret}");
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

/// A client of the profile whose refresh tokens are being replaced, or not.
async fn migrating(bank: &Bank, client: &FapiClient, grace: Option<i64>) {
    let declared = DeclaredClient {
        id: "fapi-app".parse().unwrap(),
        metadata: serde_json::from_value(metadata(&client.key)).unwrap(),
        settings: ClientSettings {
            profile: Some(Profile::Fapi2),
            refresh_rotation_grace: grace,
            ..ClientSettings::default()
        },
        secret: None,
    };
    let declared = Declared { clients: vec![declared], ..Declared::default() };
    bank.service.declare(&declared).await.unwrap().unwrap();
}

#[tokio::test]
async fn f2_13_a_migration_replaces_refresh_tokens_and_the_old_ones_end_later() {
    for engine in ENGINES {
        let bank = Bank::on(engine).await;
        let client = FapiClient::declared(&bank, Profile::Fapi2).await;
        let key = DpopKey::new(Algorithm::Es256);
        let (attempt, code) = client.code(&bank, SCOPE, None).await;
        let tokens =
            redeem(&client.app, &attempt, &code, Some(&key.proof(&bank, "/token"))).await.expect(200);
        let first = tokens.str("refresh_token").to_owned();
        let used = async |token: &str| {
            let app = FapiClient::known(&bank, "fapi-app", client.key.clone()).app;
            refresh(&app, token, Some(&key.proof(&bank, "/token"))).await
        };
        migrating(&bank, &client, Some(600)).await;
        let second = used(&first).await.expect(200).str("refresh_token").to_owned();
        assert_ne!(second, first);
        // The answer was lost: the old one is used again, and gives another that is as good.
        let third = used(&first).await.expect(200).str("refresh_token").to_owned();
        assert!(third != first && third != second);
        // When all have new ones, tokens stay again; what was replaced ends all the same, and ends nothing else.
        migrating(&bank, &client, None).await;
        bank.advance(TimeDelta::seconds(599));
        assert_eq!(used(&first).await.expect(200).str("refresh_token"), first);
        bank.advance(TimeDelta::seconds(2));
        used(&first).await.expect_error(400, "invalid_grant");
        bank.advance(TimeDelta::days(20));
        for token in [&second, &third] {
            assert_eq!(used(token).await.expect(200).str("refresh_token"), token, "{engine:?}");
        }
    }
}

#[tokio::test]
async fn f2_12_oc_24_an_assertion_counts_once_on_all_nodes_together() {
    let bank = Bank::on(Engine::Postgres).await;
    let node = bank.another_node().await;
    let client = FapiClient::declared(&bank, Profile::Fapi2).await;
    let made = assertion(&client.key, "fapi-app", &json!(bank.issuer), bank.now().timestamp());
    let at = |address: &str| {
        let made = made.clone();
        let auth = ClientAuth::Assertion(std::sync::Arc::new(move || made.clone()));
        RelyingParty::new(address, "fapi-app", auth, REDIRECT)
    };
    let attempt = client.app.attempt("openid");
    push(&at(&bank.issuer), &attempt, None).await.expect(201);
    push(&at(&node.address), &attempt, None).await.expect_error(401, "invalid_client");
}

/// Pushed, refused or answered with tokens: an assertion is used up, and a second use leaves nothing behind.
#[tokio::test]
async fn f2_12_oc_24_an_assertion_is_used_up_whatever_becomes_of_the_request() {
    for engine in ENGINES {
        let bank = Bank::on(engine).await;
        let client = FapiClient::declared(&bank, Profile::Fapi2).await;
        let once = || {
            let made = assertion(&client.key, "fapi-app", &json!(bank.issuer), bank.now().timestamp());
            let auth = ClientAuth::Assertion(std::sync::Arc::new(move || made.clone()));
            RelyingParty::new(&bank.issuer, "fapi-app", auth, REDIRECT)
        };
        let (good, mut bad) = (client.app.attempt("openid"), client.app.attempt("openid"));
        bad.parameters.retain(|(name, _)| name != "code_challenge");
        let key = DpopKey::new(Algorithm::Es256);
        let token = async |app: &RelyingParty, grant: &str, proof: &str| {
            post(app, "/token", &[("grant_type", grant), ("scope", "accounts:read")], Some(proof)).await
        };
        let app = once();
        push(&app, &good, None).await.expect(201);
        push(&app, &good, None).await.expect_error(401, "invalid_client");
        let app = once();
        push(&app, &bad, None).await.expect_error(400, "invalid_request");
        push(&app, &good, None).await.expect_error(401, "invalid_client");
        token(&app, "client_credentials", &key.proof(&bank, "/token"))
            .await
            .expect_error(401, "invalid_client");
        let (app, proof) = (once(), key.proof(&bank, "/token"));
        token(&app, "client_credentials", &proof).await.expect(200);
        token(&app, "client_credentials", &key.proof(&bank, "/token"))
            .await
            .expect_error(401, "invalid_client");
        // The proof, too: whoever sends both again is nobody, and a new assertion does not help an old proof.
        token(&app, "client_credentials", &proof).await.expect_error(401, "invalid_client");
        token(&once(), "client_credentials", &proof).await.expect_error(400, "invalid_dpop_proof");
        let app = once();
        token(&app, "nothing", &key.proof(&bank, "/token")).await.expect_error(400, "unsupported_grant_type");
        token(&app, "client_credentials", &key.proof(&bank, "/token"))
            .await
            .expect_error(401, "invalid_client");
    }
}

#[tokio::test]
async fn dv_06_the_device_grant_is_off_under_the_profile_unless_an_operator_says_so() {
    let bank = Bank::open().await;
    let key = new_key(Algorithm::Es256);
    let mut metadata = metadata(&key);
    let device = "urn:ietf:params:oauth:grant-type:device_code";
    metadata["grant_types"] = json!(["authorization_code", "refresh_token", device]);
    let refused = declare(&bank, "fapi-app", metadata.clone(), Some(Profile::Fapi2)).await;
    assert!(format!("{refused:?}").contains("or set device_grant"), "{refused:?}");
    let settings =
        ClientSettings { profile: Some(Profile::Fapi2), device_grant: true, ..ClientSettings::default() };
    let declared = DeclaredClient {
        id: "fapi-app".parse().unwrap(),
        metadata: serde_json::from_value(metadata).unwrap(),
        settings,
        secret: None,
    };
    let declared = Declared { clients: vec![declared], ..Declared::default() };
    bank.service.declare(&declared).await.unwrap().unwrap();
    let app = FapiClient::known(&bank, "fapi-app", key).app;
    let started = post(&app, "/device_authorization", &[("scope", "openid accounts:read")], None).await;
    let started = started.expect(200);
    // What it polls for is bound like everything else (F2-09).
    let poll = [("grant_type", device), ("device_code", started.str("device_code"))];
    post(&app, "/token", &poll, None).await.expect_error(400, "invalid_request");
    let proof = DpopKey::new(Algorithm::Es256).proof(&bank, "/token");
    post(&app, "/token", &poll, Some(&proof)).await.expect_error(400, "authorization_pending");
}

#[tokio::test]
async fn f2_09_no_grant_leads_past_the_key() {
    let bank = Bank::open().await;
    let client = FapiClient::declared(&bank, Profile::Fapi2).await;
    let urn = |name: &str| format!("urn:ietf:params:oauth:{name}");
    let (exchange, bearer, device) =
        (urn("grant-type:token-exchange"), urn("grant-type:jwt-bearer"), urn("grant-type:device_code"));
    let kind = urn("token-type:access_token");
    for fields in [
        &[("grant_type", "client_credentials")][..],
        &[("grant_type", "refresh_token"), ("refresh_token", "x")],
        &[("grant_type", "authorization_code"), ("code", "x"), ("redirect_uri", REDIRECT)],
        &[("grant_type", &exchange), ("subject_token", "x"), ("subject_token_type", &kind)],
        &[("grant_type", &bearer), ("assertion", "a.b.c")],
        &[("grant_type", &device), ("device_code", "x")],
    ] {
        post(&client.app, "/token", fields, None).await.expect_error(400, "invalid_request");
    }
}
