//! The main job: an app obtains delegated access to a customer's accounts, uses it, and loses it.

use chrono::TimeDelta;
use testkit::{Browser, claims_of};

use crate::bank::{Bank, ENGINES};

#[tokio::test]
async fn an_app_obtains_refreshes_and_loses_access_on_both_engines() {
    for engine in ENGINES {
        let bank = Bank::on(engine).await;
        let (browser, mut carol) = (Browser::new(), bank.person("carol"));
        let (app, api) = (bank.app("web-app"), bank.api("accounts-api"));

        // Sign-in, enrolment of an authenticator, recovery codes, consent.
        let attempt = app.attempt("openid profile accounts:read offline_access");
        let departure = bank.connect(&mut carol, &browser, attempt.url()).await;
        assert!(carol.secret.is_some(), "carol's account demands a second factor");
        let tokens = app.redeem(&attempt, &attempt.code(&departure)).await.expect(200);
        let id_token = claims_of(tokens.str("id_token"));
        assert_eq!(id_token["nonce"], attempt.nonce.as_str());
        assert_eq!(id_token["acr"], "urn:openbanking:psd2:sca");

        let access = tokens.str("access_token");
        assert_eq!(claims_of(access)["roles"], serde_json::json!(["account-viewer"]));
        assert!(api.is_active(access).await);
        let userinfo = app.userinfo(access).await.expect(200);
        assert_eq!(userinfo.str("sub"), id_token["sub"]);
        assert_eq!(userinfo.str("name"), "Carol Example");

        bank.advance(TimeDelta::minutes(4));
        let refreshed = app.refresh(tokens.str("refresh_token")).await.expect(200);
        assert!(api.is_active(refreshed.str("access_token")).await);

        // The customer withdraws: everything below the consent is dead at once.
        let account = browser.open(bank.url("/account")).await;
        let button = account.attributes("button[id^=withdraw-]", "id").pop().unwrap();
        browser.submit(&account, &button, &[]).await.expect(200);
        assert!(!api.is_active(refreshed.str("access_token")).await);
        app.userinfo(refreshed.str("access_token")).await.expect(401);
        app.refresh(refreshed.str("refresh_token")).await.expect_error(400, "invalid_grant");
    }
}
