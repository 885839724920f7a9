//! How OpenID Connect answers: nonce, `form_post`, requests by POST, offline access.

use rstest::rstest;
use serde_json::Value;
use testkit::{Browser, claims_of};

use crate::bank::Bank;

#[rstest]
#[case::usual("n-0S6_WzA2Mj".to_owned())]
#[case::f2_29_of_64_characters("0123456789abcdef".repeat(4))]
#[case::long("x".repeat(4000))]
#[case::odd("a b+c%20\"\\é狀".to_owned())]
#[tokio::test]
async fn oc_03_f2_29_the_nonce_is_echoed_whole(#[case] nonce: String) {
    let (bank, browser) = (Bank::open().await, Browser::new());
    let app = bank.app("web-app");
    let attempt = app.attempt("openid").with("nonce", &nonce);
    let code = attempt.code(&bank.connect(&mut bank.person("bob"), &browser, attempt.url()).await);
    let tokens = app.redeem(&attempt, &code).await.expect(200);
    assert_eq!(claims_of(tokens.str("id_token"))["nonce"], nonce.as_str());
}

#[tokio::test]
async fn oc_03_no_nonce_asked_no_nonce_given() {
    let (bank, browser) = (Bank::open().await, Browser::new());
    let app = bank.app("web-app");
    let attempt = app.attempt("openid").without("nonce");
    let code = attempt.code(&bank.connect(&mut bank.person("bob"), &browser, attempt.url()).await);
    let tokens = app.redeem(&attempt, &code).await.expect(200);
    assert_eq!(claims_of(tokens.str("id_token")).get("nonce"), None);
}

#[tokio::test]
async fn f2_29_a_nonce_that_is_too_long_is_refused_not_cut() {
    let (bank, browser) = (Bank::open().await, Browser::new());
    let attempt = bank.app("web-app").attempt("openid").with("nonce", &"x".repeat(8 * 1024 + 1));
    assert_eq!(browser.open(attempt.url()).await.departed().error(), "invalid_request");
}

#[tokio::test]
async fn oc_07_what_is_unknown_or_only_polite_never_fails_a_request() {
    let (bank, browser) = (Bank::open().await, Browser::new());
    let attempt = [
        ("display", "hologram"),
        ("ui_locales", "xx-invalid tlh-Piqd \u{1f30d}"),
        ("claims_locales", "de-\u{1f30d} fr"),
        ("acr_values", "a b c"),
        ("login_hint", "someone@elsewhere.example"),
        ("made_up", "1"),
        ("audience", "https://elsewhere.example"),
        ("access_type", "offline"),
    ]
    .into_iter()
    .fold(bank.app("web-app").attempt("openid made:up"), |attempt, (name, value)| attempt.with(name, value));
    attempt.code(&bank.connect(&mut bank.person("bob"), &browser, attempt.url()).await);
}

#[tokio::test]
async fn oc_07_ui_locales_choose_the_language_of_the_pages() {
    let (bank, browser) = (Bank::open().await, Browser::new());
    let attempt = bank.app("web-app").attempt("openid");
    for (wanted, shown) in [("zh-Hant en", "zh-Hant"), ("tlh en", "en"), ("", "en")] {
        let page = browser.open(attempt.clone().with("ui_locales", wanted).url()).await;
        assert_eq!(page.attributes("html", "lang"), [shown], "{wanted}");
    }
}

#[tokio::test]
async fn oc_08_a_request_posted_from_another_site_works_as_a_get_does() {
    let (bank, browser) = (Bank::open().await, Browser::new());
    let (app, mut bob) = (bank.app("web-app"), bank.person("bob"));
    let authorize = bank.url("/authorize");
    let attempt = app.attempt("openid").with("state", "a b&c=d狀");
    let fields: Vec<(&str, &str)> =
        attempt.parameters.iter().map(|(name, value)| (name.as_str(), value.as_str())).collect();
    let page = browser.post_from_another_site(&authorize, &fields).await;
    let departure = bob.walk(&browser, page, "", bank.now()).await.departed().clone();
    assert_eq!(departure.parameter("state"), Some("a b&c=d狀"));
    app.redeem(&attempt, departure.code()).await.expect(200);
    // The session counts, though the post itself did not carry it.
    let page = browser.post_from_another_site(&authorize, &fields).await;
    let again = page.departed();
    assert!(again.code() != departure.code());
    // Errors go the same way, repeated parameters are still seen, and strangers get a page.
    let bent = |name, value| [fields.clone(), vec![(name, value)]].concat();
    let page = browser.post_from_another_site(&authorize, &bent("prompt", "dance")).await;
    assert_eq!(page.departed().error(), "invalid_request");
    let page = browser.post_from_another_site(&authorize, &bent("scope", "openid")).await;
    assert_eq!(page.departed().error(), "invalid_request");
    let page =
        browser.post_from_another_site(&authorize, &bent("redirect_uri", "https://web.example/cb")).await;
    assert_eq!((page.status, page.departure.is_none()), (400, true));
}

#[rstest]
#[case::before_any_page(&[("prompt", "none")], "login_required")]
#[case::a_malformed_request(&[("max_age", "x")], "invalid_request")]
#[tokio::test]
async fn oc_11_errors_go_to_the_redirect_uri_with_the_state(
    #[case] bend: &[(&str, &str)],
    #[case] error: &str,
) {
    let (bank, browser) = (Bank::open().await, Browser::new());
    let state = "  \"quoted\" & <b>%41</b> 狀 ";
    for redirect_uri in ["https://web.example/cb", "https://web.example/cb?tenant=1"] {
        let attempt = bank.app("web-app").attempt("openid").with("state", state);
        let attempt = bend.iter().fold(attempt, |attempt, (n, v)| attempt.with(n, v));
        let page = browser.open(attempt.with("redirect_uri", redirect_uri).url()).await;
        let departure = page.departed();
        assert_eq!((departure.error(), departure.parameter("state")), (error, Some(state)));
        assert!(departure.url.as_str().starts_with(redirect_uri), "{}", departure.url);
        assert_eq!(departure.url.fragment(), None);
    }
}

#[tokio::test]
async fn oc_12_form_post_returns_a_page_that_submits_itself() {
    let (bank, browser) = (Bank::open().await, Browser::new());
    let (app, mut bob) = (bank.app("web-app"), bank.person("bob"));
    let attempt = app.attempt("openid").with("response_mode", "form_post").with("state", "<b>\"'&狀");
    bank.connect(&mut bob, &browser, attempt.url()).await;
    let page = browser.open(attempt.url()).await.expect(200);
    assert_eq!(page.header("cache-control"), Some("no-store"));
    let form = page.form_to_another_site().expect("a form to the app");
    assert_eq!((form.method.as_str(), form.action.as_str()), ("POST", "https://web.example/cb"));
    let mut names: Vec<&str> = form.fields.iter().map(|(name, _)| name.as_str()).collect();
    names.sort_unstable();
    assert_eq!(names, ["code", "iss", "session_state", "state"]);
    assert_eq!(form.value("state"), Some("<b>\"'&狀"));
    // A script of ours submits it; without scripts there is a button.
    let scripts = page.attributes("script", "src");
    assert_eq!(scripts.len(), 1);
    let script = browser.open(page.url.join(&scripts[0]).unwrap()).await.expect(200);
    assert!(script.body.contains("submit"), "{}", script.body);
    assert!(page.has("continue"));
    // The code is in no address.
    let code = form.value("code").unwrap();
    assert!(page.departure.is_none() && !page.url.as_str().contains(code));
    app.redeem(&attempt, code).await.expect(200);
}

#[tokio::test]
async fn oc_12_errors_are_posted_too() {
    let (bank, browser) = (Bank::open().await, Browser::new());
    let attempt = bank.app("web-app").attempt("openid").with("response_mode", "form_post");
    let page = browser.open(attempt.with("prompt", "none").url()).await.expect(200);
    let form = page.form_to_another_site().expect("a form to the app");
    assert_eq!(form.value("error"), Some("login_required"));
    assert_eq!(page.header("cache-control"), Some("no-store"));
}

#[tokio::test]
async fn oc_15_offline_access_is_asked_and_yields_a_refresh_token() {
    let (bank, browser) = (Bank::open().await, Browser::new());
    let (app, mut bob) = (bank.app("web-app"), bank.person("bob"));
    let attempt = app.attempt("openid");
    bank.connect(&mut bob, &browser, attempt.url()).await;
    // New, so it is asked about, in words.
    let attempt = app.attempt("openid offline_access");
    let page = browser.open(attempt.url()).await;
    assert!(page.text().contains("Stays connected when you are away"), "{}", page.text());
    let page = browser.submit(&page, "consent-allow", &[]).await;
    let tokens = app.redeem(&attempt, &attempt.code(page.departed())).await.expect(200);
    app.refresh(tokens.str("refresh_token")).await.expect(200);
}

#[tokio::test]
async fn oc_15_where_it_cannot_be_meant_it_is_ignored() {
    let (bank, browser) = (Bank::open().await, Browser::new());
    let (app, mut bob) = (bank.app("legacy-app"), bank.person("bob"));
    let attempt = app.attempt("openid offline_access");
    let code = attempt.code(&bank.connect(&mut bob, &browser, attempt.url()).await);
    let tokens = app.redeem(&attempt, &code).await.expect(200);
    assert_eq!(tokens.json.get("refresh_token"), None);
    // Nobody can be asked under prompt=none.
    let app = bank.app("web-app");
    bank.connect(&mut bob, &browser, app.attempt("openid").url()).await;
    let attempt = app.attempt("openid offline_access").with("prompt", "none");
    let page = browser.open(attempt.url()).await;
    let tokens = app.redeem(&attempt, &attempt.code(page.departed())).await.expect(200);
    assert_eq!(tokens["scope"], "openid");
    // What may be refreshed without it ends with the session (BL-04).
    if let Some(refresh_token) = tokens.json.get("refresh_token").and_then(Value::as_str) {
        let account = browser.open(bank.url("/account")).await;
        browser.submit(&account, "sign-out", &[]).await;
        app.refresh(refresh_token).await.expect_error(400, "invalid_grant");
    }
}
