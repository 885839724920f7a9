//! Refresh tokens (RFC 6749 §6, RFC 9700 §4.14): rotating for public clients, stable for confidential
//! ones, narrower or equal, and ended by time, reuse, a changed password.

use chrono::TimeDelta;
use testkit::{Browser, claims_of};

use crate::{bank::Bank, steps::tokens_for};

const LASTING: &str = "openid accounts:read offline_access";

#[tokio::test]
async fn bcp_08_a_public_clients_token_rotates_and_reuse_ends_the_family() {
    let bank = Bank::open().await;
    let (app, api) = (bank.app("native-app"), bank.api("accounts-api"));
    let first = tokens_for(&bank, &app, LASTING).await;
    let second = app.refresh(first.str("refresh_token")).await.expect(200);
    let third = app.refresh(second.str("refresh_token")).await.expect(200);
    assert_ne!(first.str("refresh_token"), second.str("refresh_token"));
    for live in [&first, &second, &third] {
        assert!(api.is_active(live.str("access_token")).await, "rotation leaves access tokens alone");
    }
    let other = tokens_for(&bank, &app, LASTING).await;

    // The first one again: somebody has a copy, and nobody can say who.
    app.refresh(first.str("refresh_token")).await.expect_error(400, "invalid_grant");
    for token in [&first, &second, &third] {
        app.refresh(token.str("refresh_token")).await.expect_error(400, "invalid_grant");
        assert!(!api.is_active(token.str("access_token")).await);
    }
    assert!(bank.audited(audit::EventKind::RefreshReuseDetected).await >= 1);
    app.refresh(other.str("refresh_token")).await.expect(200);
}

#[tokio::test]
async fn bcp_08_a_confidential_clients_token_stays() {
    let bank = Bank::open().await;
    let app = bank.app("web-app");
    let tokens = tokens_for(&bank, &app, LASTING).await;
    let refresh = tokens.str("refresh_token");
    for _ in 0..3 {
        bank.advance(TimeDelta::hours(1));
        let again = app.refresh(refresh).await.expect(200);
        assert_eq!(again["refresh_token"].as_str().unwrap_or(refresh), refresh);
        assert!(bank.api("accounts-api").is_active(again.str("access_token")).await);
    }
    // It is bound to the client's authentication.
    bank.app("own-app").refresh(refresh).await.expect_error(400, "invalid_grant");
}

#[tokio::test]
async fn bcp_09_refresh_tokens_end_when_they_are_not_used_and_at_last() {
    for id in ["web-app", "native-app"] {
        let days = TimeDelta::days(1);
        let bank = Bank::with(crate::bank::Engine::Sqlite, |policies| {
            policies.tokens.refresh_idle = days * 10;
            policies.tokens.refresh_absolute = days * 25;
            policies.consent_lifetime = Some(days * 400);
        })
        .await;
        let app = bank.app(id);
        let unused = tokens_for(&bank, &app, LASTING).await;
        let mut used = tokens_for(&bank, &app, LASTING).await.str("refresh_token").to_owned();
        for _ in 0..2 {
            bank.advance(days * 9);
            used = app.refresh(&used).await.expect(200).str("refresh_token").to_owned();
        }
        app.refresh(unused.str("refresh_token")).await.expect_error(400, "invalid_grant");
        // 18 days old; used 6 days ago when its last day comes.
        bank.advance(days * 6);
        used = app.refresh(&used).await.expect(200).str("refresh_token").to_owned();
        bank.advance(days);
        app.refresh(&used).await.expect_error(400, "invalid_grant");
    }
}

#[tokio::test]
async fn bcp_09_a_changed_password_ends_every_grant() {
    let bank = Bank::open().await;
    let (browser, mut alice) = (Browser::new(), bank.person("alice"));
    let (app, api) = (bank.app("web-app"), bank.api("accounts-api"));
    let attempt = app.attempt(LASTING);
    let departure = bank.connect(&mut alice, &browser, attempt.url()).await;
    let tokens = app.redeem(&attempt, &attempt.code(&departure)).await.expect(200);
    let attempt = app.attempt("openid");
    let departure = bank.connect(&mut alice, &browser, attempt.url()).await;
    let unspent = attempt.code(&departure);
    let native = tokens_for(&bank, &bank.app("native-app"), LASTING).await;
    let opaque = tokens_for(&bank, &app, "openid cards:read").await;

    let page = browser.open(bank.url("/account")).await;
    let fields = [("current_password", "harbour-lantern-violet"), ("new_password", "quartz-ferry-mitten-42")];
    browser.submit(&page, "password-submit", &fields).await.expect(200);
    assert_eq!(bank.audited(audit::EventKind::PasswordChanged).await, 1);

    app.refresh(tokens.str("refresh_token")).await.expect_error(400, "invalid_grant");
    bank.app("native-app").refresh(native.str("refresh_token")).await.expect_error(400, "invalid_grant");
    app.redeem(&attempt, &unspent).await.expect_error(400, "invalid_grant");
    assert!(!api.is_active(tokens.str("access_token")).await);
    assert!(!bank.api("cards-api").is_active(opaque.str("access_token")).await);
    app.userinfo(tokens.str("access_token")).await.expect(401);
    // The new password leads to new ones.
    alice.password = "quartz-ferry-mitten-42".into();
    let attempt = app.attempt(LASTING);
    let departure = bank.connect(&mut alice, &Browser::new(), attempt.url()).await;
    app.redeem(&attempt, &attempt.code(&departure)).await.expect(200);
}

#[tokio::test]
async fn bcp_09_a_password_that_an_operator_sets_ends_every_grant_too() {
    let bank = Bank::open().await;
    let app = bank.app("web-app");
    let tokens = tokens_for(&bank, &app, LASTING).await;
    let again = |password: &str| {
        format!(
            "[[user]]\nusername = \"alice\"\npassword = \"{password}\"\n\
             roles = [\"account-viewer\", \"payment-initiator\"]"
        )
    };
    bank.declare(&again("harbour-lantern-violet")).await.unwrap();
    app.refresh(tokens.str("refresh_token")).await.expect(200);
    bank.declare(&again("another-ladder-cobalt")).await.unwrap();
    app.refresh(tokens.str("refresh_token")).await.expect_error(400, "invalid_grant");
}

#[tokio::test]
async fn rf_01_scope_narrows_and_never_widens() {
    let bank = Bank::open().await;
    let app = bank.app("web-app");
    let tokens = tokens_for(&bank, &app, "openid profile accounts:read offline_access").await;
    let refresh = tokens.str("refresh_token");
    let with = async |scope: &str| {
        app.token(&[("grant_type", "refresh_token"), ("refresh_token", refresh), ("scope", scope)]).await
    };
    let narrow = with("openid").await.expect(200);
    assert_eq!(narrow["scope"], "openid");
    assert_eq!(claims_of(narrow.str("access_token"))["scope"], "openid");
    let found = app.userinfo(narrow.str("access_token")).await.expect(200);
    assert_eq!(found.json.as_object().unwrap().len(), 1, "no profile: {}", found.text);
    // Narrowing once does not narrow for ever (RFC 6749 §6: the refresh token keeps its scope).
    let full = app.refresh(refresh).await.expect(200);
    assert_eq!(full["scope"], "accounts:read offline_access openid profile");
    // Without `openid` there is no ID token either.
    assert_eq!(with("accounts:read").await.expect(200).json.get("id_token"), None);
    for wider in ["payments:write", "openid email", "openid accounts:read cards:read", "no-such-scope"] {
        with(wider).await.expect_error(400, "invalid_scope");
    }
    with("bad\"scope").await.expect_error(400, "invalid_scope");
    bank.app("own-app").refresh(refresh).await.expect_error(400, "invalid_grant");
    app.refresh(refresh).await.expect(200);
}

#[tokio::test]
async fn refresh_tokens_are_for_clients_that_registered_the_grant() {
    let bank = Bank::open().await;
    let legacy = bank.app("legacy-app");
    let tokens = tokens_for(&bank, &legacy, "openid accounts:read").await;
    assert_eq!(tokens.json.get("refresh_token"), None);
    legacy.refresh("anything").await.expect_error(400, "unauthorized_client");
    // Every grant type has its own parameter: an access token is no refresh token.
    let app = bank.app("web-app");
    let tokens = tokens_for(&bank, &app, "openid cards:read offline_access").await;
    app.refresh(tokens.str("access_token")).await.expect_error(400, "invalid_grant");
    app.refresh(tokens.str("id_token")).await.expect_error(400, "invalid_grant");
}
