//! Token revocation (RFC 7009).

use testkit::{ClientAuth, claims_of};

use crate::{
    bank::{Bank, ENGINES},
    steps::{answer, tokens_for},
};

const LASTING: &str = "openid accounts:read offline_access";

#[tokio::test]
async fn rv_01_revocation_is_an_authenticated_form_post() {
    let bank = Bank::open().await;
    let (app, api) = (bank.app("web-app"), bank.api("accounts-api"));
    let tokens = tokens_for(&bank, &app, LASTING).await;
    let (access, refresh) = (tokens.str("access_token"), tokens.str("refresh_token"));

    for unknown in ["nonsense", "a.b.c", "x", &"x".repeat(20_000)] {
        let done = app.revoke(unknown).await.expect(200);
        assert_eq!(done.text, "");
    }
    app.post("/revoke", &[]).await.expect_error(400, "invalid_request");
    app.post("/revoke", &[("token", access), ("token", access)]).await.expect_error(400, "invalid_request");
    let mut liar = app.clone();
    liar.auth = ClientAuth::Basic("wrong".into());
    let refused = liar.revoke(refresh).await;
    refused.expect_error(401, "invalid_client");
    assert!(refused.header("www-authenticate").unwrap().starts_with("Basic"));
    liar.auth = ClientAuth::None;
    liar.revoke(refresh).await.expect_error(401, "invalid_client");
    answer(app.http().post(app.endpoint("/revoke")).form(&[("token", refresh)]))
        .await
        .expect_error(401, "invalid_client");
    let mut url = app.endpoint("/revoke");
    url.query_pairs_mut().append_pair("token", refresh);
    answer(app.http().get(url)).await.expect(405);
    assert!(api.is_active(access).await);
    app.refresh(refresh).await.expect(200);
}

#[tokio::test]
async fn rv_02_another_clients_token_is_neither_revoked_nor_disclosed() {
    let bank = Bank::open().await;
    let (app, stranger, api) = (bank.app("web-app"), bank.app("own-app"), bank.api("accounts-api"));
    let tokens = tokens_for(&bank, &app, LASTING).await;
    let opaque = tokens_for(&bank, &app, "openid cards:read").await;
    let rotating = tokens_for(&bank, &bank.app("native-app"), LASTING).await;
    let unknown = stranger.revoke("nonsense").await;
    for token in [
        tokens.str("access_token"),
        tokens.str("refresh_token"),
        opaque.str("access_token"),
        rotating.str("refresh_token"),
    ] {
        let foreign = stranger.revoke(token).await;
        assert_eq!((foreign.status, &foreign.text), (unknown.status, &unknown.text));
        bank.app("spa").revoke(token).await.expect(200);
    }
    assert!(api.is_active(tokens.str("access_token")).await);
    assert!(bank.api("cards-api").is_active(opaque.str("access_token")).await);
    app.refresh(tokens.str("refresh_token")).await.expect(200);
    bank.app("native-app").refresh(rotating.str("refresh_token")).await.expect(200);
    assert_eq!(bank.audited(audit::EventKind::TokenRevoked).await, 0);
}

#[tokio::test]
async fn rv_03_a_refresh_token_takes_its_access_tokens_along_whatever_the_hint() {
    for engine in ENGINES {
        let bank = Bank::on(engine).await;
        for (id, scope, api) in [
            ("web-app", LASTING, "accounts-api"),
            ("web-app", "openid cards:read offline_access", "cards-api"),
            ("native-app", LASTING, "accounts-api"),
        ] {
            let (app, api) = (bank.app(id), bank.api(api));
            let tokens = tokens_for(&bank, &app, scope).await;
            let again = app.refresh(tokens.str("refresh_token")).await.expect(200);
            let refresh = again.str("refresh_token");
            for hint in ["access_token", "nonsense"] {
                app.post("/revoke", &[("token", "unknown"), ("token_type_hint", hint)]).await.expect(200);
            }
            let other = tokens_for(&bank, &app, scope).await;
            app.post("/revoke", &[("token", refresh), ("token_type_hint", "access_token")]).await.expect(200);
            for access in [tokens.str("access_token"), again.str("access_token")] {
                assert!(!api.is_active(access).await);
                app.userinfo(access).await.expect(401);
            }
            app.refresh(refresh).await.expect_error(400, "invalid_grant");
            assert!(api.is_active(other.str("access_token")).await, "only this grant ends");
            // Once more: still 200.
            app.revoke(refresh).await.expect(200);
        }
    }
}

#[tokio::test]
async fn rv_03_an_access_token_ends_alone() {
    for engine in ENGINES {
        let bank = Bank::on(engine).await;
        for (scope, api) in [(LASTING, "accounts-api"), ("openid cards:read offline_access", "cards-api")] {
            let (app, api) = (bank.app("web-app"), bank.api(api));
            let tokens = tokens_for(&bank, &app, scope).await;
            let second = app.refresh(tokens.str("refresh_token")).await.expect(200);
            let hinted = [("token", tokens.str("access_token")), ("token_type_hint", "refresh_token")];
            app.post("/revoke", &hinted).await.expect(200);
            assert!(!api.is_active(tokens.str("access_token")).await);
            app.userinfo(tokens.str("access_token")).await.expect(401);
            assert!(api.is_active(second.str("access_token")).await);
            app.refresh(tokens.str("refresh_token")).await.expect(200);
            // Swept memories must not bring it back.
            bank.advance(chrono::TimeDelta::seconds(200));
            bank.service.sweep().await.unwrap();
            assert!(!api.is_active(tokens.str("access_token")).await);
        }
        let batch = bank.app("batch-job");
        let own = batch.client_credentials("accounts:read").await.expect(200);
        assert_eq!(claims_of(own.str("access_token"))["sub"], "batch-job");
        batch.revoke(own.str("access_token")).await.expect(200);
        assert!(!bank.api("accounts-api").is_active(own.str("access_token")).await);
    }
}
