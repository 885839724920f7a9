//! Token introspection (RFC 7662): resource servers ask, and learn only what is theirs.

use chrono::TimeDelta;
use serde_json::json;
use testkit::{Answer, Browser, ClientAuth, ResourceServer, claims_of};

use crate::{
    bank::{Bank, ENGINES},
    steps::{answer, tokens_for},
};

#[tokio::test]
async fn in_01_only_resource_servers_with_credentials_ask() {
    let bank = Bank::open().await;
    let app = bank.app("web-app");
    let tokens = tokens_for(&bank, &app, "openid accounts:read").await;
    let token = tokens.str("access_token");
    let asks = |id: &str, auth: ClientAuth| ResourceServer::new(&bank.issuer, id, auth);
    let secret = "accounts-api-secret-0123456789";
    assert!(asks("accounts-api", ClientAuth::Basic(secret.into())).is_active(token).await);
    assert!(asks("accounts-api", ClientAuth::Post(secret.into())).is_active(token).await);

    let refused = asks("accounts-api", ClientAuth::Basic("wrong".into())).introspect(token).await;
    refused.expect_error(401, "invalid_client");
    assert!(refused.header("www-authenticate").unwrap().starts_with("Basic"));
    for (id, auth) in [
        ("accounts-api", ClientAuth::None),
        ("accounts-api", ClientAuth::Post("wrong".into())),
        ("cards-api", ClientAuth::Basic(secret.into())),
        ("ghost-api", ClientAuth::Basic(secret.into())),
        // A client is no resource server, its secret no credential here.
        ("web-app", ClientAuth::Basic("web-app-secret-0123456789abcd".into())),
    ] {
        asks(id, auth).introspect(token).await.expect_error(401, "invalid_client");
    }
    // The token's holder can't introspect it, and a bearer token is no credential.
    let bearer = app.http().post(app.endpoint("/introspect")).bearer_auth(token).form(&[("token", token)]);
    answer(bearer).await.expect_error(401, "invalid_client");
    let api = bank.api("accounts-api");
    let none: [(&str, &str); 0] = [];
    let post = |fields: &[(&str, &str)]| {
        app.http().post(app.endpoint("/introspect")).basic_auth("accounts-api", Some(secret)).form(fields)
    };
    answer(post(&none)).await.expect_error(400, "invalid_request");
    answer(post(&[("token", token), ("token", token)])).await.expect_error(400, "invalid_request");
    assert!(api.is_active(token).await);
    // A wrong hint does not matter.
    let hinted = answer(post(&[("token", token), ("token_type_hint", "refresh_token")])).await.expect(200);
    assert_eq!(hinted["active"], true);
    // A token in the query is none (F2-38, O21-03).
    let mut url = app.endpoint("/introspect");
    url.query_pairs_mut().append_pair("token", token);
    let query = app.http().post(url).basic_auth("accounts-api", Some(secret)).form(&none);
    answer(query).await.expect_error(400, "invalid_request");
}

fn assert_inactive(answer: &Answer) {
    assert_eq!((answer.status, answer.text.as_str()), (200, r#"{"active":false}"#));
    assert_eq!(answer.header("cache-control"), Some("no-store"));
}

#[tokio::test]
async fn in_02_whatever_is_not_alive_for_the_asker_is_just_inactive() {
    for engine in ENGINES {
        let bank = Bank::on(engine).await;
        let (app, accounts, cards) = (bank.app("web-app"), bank.api("accounts-api"), bank.api("cards-api"));
        let jwt = tokens_for(&bank, &app, "openid accounts:read offline_access").await;
        let opaque = tokens_for(&bank, &app, "openid cards:read offline_access").await;
        let (jwt_token, opaque_token) = (jwt.str("access_token"), opaque.str("access_token"));
        assert!(accounts.is_active(jwt_token).await && cards.is_active(opaque_token).await);

        // Unknown, foreign audience, another kind of token.
        for token in ["", " ", "nonsense", "a.b.c", "e30.e30.", &"x".repeat(20_000)] {
            if token.is_empty() {
                accounts.introspect(token).await.expect_error(400, "invalid_request");
            } else {
                assert_inactive(&accounts.introspect(token).await);
            }
        }
        assert_inactive(&cards.introspect(jwt_token).await);
        assert_inactive(&accounts.introspect(opaque_token).await);
        for other in [jwt.str("id_token"), jwt.str("refresh_token"), opaque.str("refresh_token")] {
            assert_inactive(&accounts.introspect(other).await);
            assert_inactive(&cards.introspect(other).await);
        }
        let mut tampered = jwt_token.to_owned();
        tampered.replace_range(tampered.len() - 10..tampered.len() - 6, "AAAA");
        assert_inactive(&accounts.introspect(&tampered).await);
        // Revoked.
        app.revoke(opaque_token).await.expect(200);
        assert_inactive(&cards.introspect(opaque_token).await);
        // Expired, by the second.
        bank.advance(TimeDelta::seconds(299));
        assert!(accounts.is_active(jwt_token).await);
        bank.advance(TimeDelta::seconds(1));
        assert_inactive(&accounts.introspect(jwt_token).await);
        assert_inactive(&accounts.introspect(jwt_token).await);
    }
}

#[tokio::test]
async fn in_03_in_04_an_active_answer_says_what_its_audience_needs_and_no_more() {
    for engine in ENGINES {
        let bank = Bank::on(engine).await;
        let app = bank.app("web-app");
        let jwt = tokens_for(&bank, &app, "openid profile accounts:read").await;
        let opaque = tokens_for(&bank, &app, "openid profile cards:read").await;
        let sub = claims_of(jwt.str("id_token"))["sub"].clone();
        let now = bank.now().timestamp();
        for (api, token, audience, scope) in [
            ("accounts-api", &jwt, "https://api.bank.example", "accounts:read"),
            ("cards-api", &opaque, "https://cards.bank.example", "cards:read"),
        ] {
            let found = bank.api(api).introspect(token.str("access_token")).await.expect(200);
            let expected = json!({
                "active": true, "scope": scope, "client_id": "web-app", "sub": sub, "aud": audience,
                "iss": bank.issuer, "iat": now, "exp": now + 300, "token_type": "Bearer",
                "auth_time": now, "acr": "urn:openbanking:psd2:ca", "amr": ["pwd"],
                "roles": ["account-viewer"],
                "jti": found["jti"], "grant_id": found["grant_id"],
            });
            assert_eq!(found.json, expected);
            assert!(found["jti"].is_string() && found["grant_id"].is_string());
        }
        // A client's own token: no person, no grant.
        let own = bank.app("batch-job").client_credentials("accounts:read").await.expect(200);
        let found = bank.api("accounts-api").introspect(own.str("access_token")).await.expect(200);
        assert_eq!((&found["sub"], found.json.get("grant_id")), (&json!("batch-job"), None));
        let own = bank.app("batch-job").client_credentials("cards:read").await.expect(200);
        assert!(bank.api("cards-api").is_active(own.str("access_token")).await);
    }
}

#[tokio::test]
async fn in_03_a_role_that_the_person_lost_is_not_in_the_answer() {
    let bank = Bank::open().await;
    let tokens = tokens_for(&bank, &bank.app("web-app"), "openid accounts:read").await;
    let api = bank.api("accounts-api");
    let before = api.introspect(tokens.str("access_token")).await.expect(200);
    assert_eq!(before["roles"], json!(["account-viewer"]));
    let without = "[[user]]\nusername = \"alice\"\npassword = \"harbour-lantern-violet\"\nroles = []";
    bank.declare(without).await.unwrap();
    let after = api.introspect(tokens.str("access_token")).await.expect(200);
    assert!(after.json.get("roles").is_none_or(|roles| *roles == json!([])), "{}", after.text);
}

#[tokio::test]
async fn in_02_f2_38_the_end_of_consent_session_or_account_is_seen_at_the_next_call() {
    let bank = Bank::open().await;
    let (browser, mut alice) = (Browser::new(), bank.person("alice"));
    let (app, api) = (bank.app("web-app"), bank.api("accounts-api"));
    let attempt = app.attempt("openid accounts:read");
    let departure = bank.connect(&mut alice, &browser, attempt.url()).await;
    let tokens = app.redeem(&attempt, &attempt.code(&departure)).await.expect(200);
    let lasting = tokens_for(&bank, &app, "openid accounts:read offline_access").await;
    assert!(api.is_active(tokens.str("access_token")).await);
    // Without offline_access the grant is the session's.
    let page = browser.open(bank.url("/account")).await;
    let _ = browser.submit(&page, "sign-out", &[]).await;
    assert_inactive(&api.introspect(tokens.str("access_token")).await);
    assert!(api.is_active(lasting.str("access_token")).await);
    app.userinfo(lasting.str("access_token")).await.expect(200);
    app.userinfo(tokens.str("access_token")).await.expect(401);
}
