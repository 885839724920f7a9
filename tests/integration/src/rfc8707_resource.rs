//! Resource indicators (RFC 8707) along the whole life of a grant: at the authorization endpoint, with a
//! code, with a refresh token, and where there is no person.

use serde_json::json;
use testkit::{Browser, claims_of};

use crate::bank::Bank;

const ACCOUNTS: &str = "https://api.bank.example";
const CARDS: &str = "https://cards.bank.example";

#[tokio::test]
async fn ri_01_at_03_every_request_names_one_of_what_was_granted() {
    let bank = Bank::open().await;
    let app = bank.app("web-app");
    let attempt = app.attempt("openid offline_access accounts:read cards:read");
    let attempt = attempt.also("resource", ACCOUNTS).also("resource", CARDS);
    let departure = bank.connect(&mut bank.person("alice"), &Browser::new(), attempt.url()).await;
    let code = attempt.code(&departure);
    let first = [
        ("grant_type", "authorization_code"),
        ("code", &code),
        ("redirect_uri", &app.redirect_uri),
        ("code_verifier", &attempt.verifier),
        ("resource", ACCOUNTS),
    ];
    let tokens = app.token(&first).await.expect(200);
    let refresh = tokens.str("refresh_token").to_owned();
    let refreshing = |more: &[(&'static str, &'static str)]| {
        let mut fields = vec![("grant_type", "refresh_token"), ("refresh_token", refresh.as_str())];
        fields.extend(more);
        fields.into_iter().map(|(name, value)| (name.to_owned(), value.to_owned())).collect::<Vec<_>>()
    };
    let ask = async |more: &[(&'static str, &'static str)]| {
        let fields = refreshing(more);
        let fields: Vec<(&str, &str)> = fields.iter().map(|(name, value)| (&**name, &**value)).collect();
        app.token(&fields).await
    };
    // The grant stays for both; each token is for one.
    let accounts = ask(&[("resource", ACCOUNTS)]).await.expect(200);
    assert_eq!(claims_of(accounts.str("access_token"))["aud"], json!([ACCOUNTS, bank.issuer]));
    let cards = ask(&[("resource", CARDS)]).await.expect(200);
    assert!(bank.api("cards-api").is_active(cards.str("access_token")).await);
    assert_eq!(cards["scope"], "cards:read offline_access openid");
    // A scope of one resource server says which is meant; the same one twice is one.
    let implied = ask(&[("scope", "accounts:read")]).await.expect(200);
    assert_eq!(claims_of(implied.str("access_token"))["aud"], ACCOUNTS);
    ask(&[("resource", CARDS), ("resource", CARDS)]).await.expect(200);
    for (more, error) in [
        (&[][..], "invalid_target"),
        (&[("resource", ACCOUNTS), ("resource", CARDS)][..], "invalid_target"),
        (&[("resource", "https://elsewhere.example")][..], "invalid_target"),
        (&[("resource", "https://api.bank.example/")][..], "invalid_target"),
        (&[("resource", "https://api.bank.example#x")][..], "invalid_target"),
        (&[("resource", "api")][..], "invalid_target"),
        (&[("scope", "accounts:read"), ("resource", CARDS)][..], "invalid_target"),
    ] {
        ask(more).await.expect_error(400, error);
    }
}

#[tokio::test]
async fn ri_01_a_grant_for_one_is_never_one_for_another() {
    let bank = Bank::open().await;
    let app = bank.app("web-app");
    let attempt = app.attempt("openid offline_access accounts:read").also("resource", ACCOUNTS);
    let departure = bank.connect(&mut bank.person("alice"), &Browser::new(), attempt.url()).await;
    let tokens = app.redeem(&attempt, &attempt.code(&departure)).await.expect(200);
    let refresh = tokens.str("refresh_token");
    // It exists, and the client may ask for it; this person was not asked.
    let fields = [("grant_type", "refresh_token"), ("refresh_token", refresh), ("resource", CARDS)];
    app.token(&fields).await.expect_error(400, "invalid_target");
    app.refresh(refresh).await.expect(200);
}

#[tokio::test]
async fn ri_01_a_client_of_its_own_names_its_resource_too() {
    let bank = Bank::open().await;
    let job = bank.app("batch-job");
    let ask = async |more: &[(&str, &str)]| {
        job.token(&[&[("grant_type", "client_credentials")][..], more].concat()).await
    };
    ask(&[]).await.expect_error(400, "invalid_target");
    let accounts = ask(&[("resource", ACCOUNTS)]).await.expect(200);
    assert_eq!(accounts["scope"], "accounts:read");
    assert_eq!(claims_of(accounts.str("access_token"))["aud"], ACCOUNTS);
    ask(&[("resource", ACCOUNTS), ("resource", CARDS)]).await.expect_error(400, "invalid_target");
    ask(&[("resource", "https://elsewhere.example")]).await.expect_error(400, "invalid_target");
    ask(&[("resource", CARDS), ("scope", "accounts:read")]).await.expect_error(400, "invalid_scope");
}
