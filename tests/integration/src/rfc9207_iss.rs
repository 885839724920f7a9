//! `iss` in authorization responses (RFC 9207): in every one, and exactly the issuer of the metadata.

use rstest::rstest;
use testkit::{Browser, Departure};

use crate::bank::Bank;

/// The issuer as the metadata has it.
async fn issuer(bank: &Bank) -> String {
    let metadata = bank.app("web-app").get("/.well-known/openid-configuration").await.expect(200);
    metadata.str("issuer").to_owned()
}

async fn assert_iss(bank: &Bank, departure: &Departure) {
    assert_eq!(departure.parameter("iss"), Some(issuer(bank).await.as_str()), "{:?}", departure.parameters);
}

#[tokio::test]
async fn is_01_the_metadata_promises_it() {
    let bank = Bank::open().await;
    for path in ["/.well-known/openid-configuration", "/.well-known/oauth-authorization-server"] {
        let metadata = bank.app("web-app").get(path).await.expect(200);
        assert_eq!(metadata["authorization_response_iss_parameter_supported"], true);
        assert_eq!(metadata.str("issuer"), bank.issuer);
    }
}

#[rstest]
#[case("query")]
#[case("form_post")]
#[tokio::test]
async fn f2_23_is_01_it_is_in_every_success(#[case] mode: &str) {
    let (bank, browser) = (Bank::open().await, Browser::new());
    let mut bob = bank.person("bob");
    let attempt = bank.app("web-app").attempt("openid").with("response_mode", mode);
    let asked = bank.connect(&mut bob, &browser, attempt.url()).await;
    attempt.code(&asked);
    assert_iss(&bank, &asked).await;
    let silent = bank.connect(&mut bob, &browser, attempt.clone().with("prompt", "none").url()).await;
    attempt.code(&silent);
    assert_iss(&bank, &silent).await;
    let tenant = attempt.with("redirect_uri", "https://web.example/cb?tenant=1").with("prompt", "none");
    assert_iss(&bank, &bank.connect(&mut bob, &browser, tenant.url()).await).await;
}

#[rstest]
#[case("query")]
#[case("form_post")]
#[tokio::test]
async fn f2_23_is_01_it_is_in_every_error(#[case] mode: &str) {
    let bank = Bank::open().await;
    let mut bob = bank.person("bob");
    let attempt = bank.app("web-app").attempt("openid").with("response_mode", mode);
    for (bend, error) in [
        (("response_type", "token"), "unsupported_response_type"),
        (("prompt", "none"), "login_required"),
        (("scope", "made:up"), "invalid_scope"),
        (("resource", "https://elsewhere.example"), "invalid_target"),
    ] {
        let browser = Browser::new();
        let url = attempt.clone().with(bend.0, bend.1).url();
        let departure = bank.connect(&mut bob, &browser, url).await;
        assert_eq!(departure.error(), error);
        assert_iss(&bank, &departure).await;
    }
    for stop in ["login-submit", "consent-allow"] {
        let browser = Browser::new();
        let page = browser.open(attempt.url()).await;
        let page = bob.walk(&browser, page, stop, bank.now()).await;
        let button = if page.has("cancel") { "cancel" } else { "consent-deny" };
        let page = browser.submit(&page, button, &[]).await;
        let departure = bob.walk(&browser, page, "", bank.now()).await.departed().clone();
        assert_eq!(departure.error(), "access_denied");
        assert_iss(&bank, &departure).await;
    }
}
