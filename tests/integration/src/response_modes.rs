//! Response types and modes (OpenID Connect Core §3.3, OAuth 2.0 Multiple Response Types, Form Post): what
//! leaves the authorization endpoint, and how.

use chrono::TimeDelta;
use jose::{Algorithm, digest::half_hash};
use rstest::rstest;
use serde_json::{Value, json};
use testkit::{Attempt, Browser, ClientAuth, Departure, RelyingParty, claims_of};

use crate::{bank::Bank, steps::declare_client};

const CALLBACK: &str = "https://hybrid.example/cb";

/// A bank with a client that registered both response types, and whatever else.
async fn hybrid(more: Value) -> (Bank, RelyingParty) {
    let bank = Bank::open().await;
    let mut metadata = json!({
        "client_name": "Hybrid App",
        "token_endpoint_auth_method": "none",
        "redirect_uris": [CALLBACK],
        "response_types": ["code", "code id_token"],
        "grant_types": ["authorization_code", "implicit"],
        "scope": "openid profile accounts:read",
    });
    metadata.as_object_mut().unwrap().extend(more.as_object().unwrap().clone());
    declare_client(&bank, "hybrid-app", metadata).await.unwrap();
    let app = RelyingParty::new(&bank.issuer, "hybrid-app", ClientAuth::None, CALLBACK);
    (bank, app)
}

fn with_id_token(app: &RelyingParty) -> Attempt {
    app.attempt("openid profile").with("response_type", "code id_token")
}

/// Whether the response is in the query, the fragment or a form.
fn carrier(departure: &Departure) -> &'static str {
    match (departure.url.query(), departure.url.fragment()) {
        (Some(_), None) => "query",
        (None, Some(_)) => "fragment",
        (None, None) => "form",
        both => panic!("in two places: {both:?}"),
    }
}

#[tokio::test]
async fn oc_13_bcp_07_code_id_token_gives_both_and_never_an_access_token() {
    let (bank, app) = hybrid(json!({})).await;
    let (browser, mut bob) = (Browser::new(), bank.person("bob"));
    for response_type in ["code id_token", "id_token code"] {
        let attempt = with_id_token(&app).with("response_type", response_type);
        let departure = bank.connect(&mut bob, &browser, attempt.url()).await;
        assert_eq!(carrier(&departure), "fragment", "OC-12: the default where a token is");
        let mut names: Vec<&str> = departure.parameters.iter().map(|(name, _)| name.as_str()).collect();
        names.sort_unstable();
        assert_eq!(names, ["code", "id_token", "iss", "session_state", "state"]);
        let code = attempt.code(&departure);
        let front = claims_of(departure.parameter("id_token").unwrap());
        assert_eq!(front["c_hash"], half_hash(Algorithm::Rs256, &code));
        assert_eq!(front["s_hash"], half_hash(Algorithm::Rs256, &attempt.state));
        assert_eq!(front["nonce"], attempt.nonce.as_str());
        assert_eq!(front.get("at_hash"), None, "there is no access token beside it");
        assert_eq!(front.get("name"), None, "nothing about the person passes the browser");
        let tokens = app.redeem(&attempt, &code).await.expect(200);
        let back = claims_of(tokens.str("id_token"));
        assert_eq!(back["at_hash"], half_hash(Algorithm::Rs256, tokens.str("access_token")));
        for claim in ["iss", "sub", "aud", "nonce", "auth_time", "acr", "amr", "sid"] {
            assert_eq!(front[claim], back[claim], "{claim} of both ID tokens");
        }
    }
}

#[tokio::test]
async fn oc_18_oc_13_claims_asked_for_by_name_are_in_both_id_tokens() {
    let (bank, app) = hybrid(json!({})).await;
    let claims = json!({"id_token": {"name": {"essential": true}, "email": null}}).to_string();
    let attempt = with_id_token(&app).with("claims", &claims);
    let departure = bank.connect(&mut bank.person("alice"), &Browser::new(), attempt.url()).await;
    let front = claims_of(departure.parameter("id_token").unwrap());
    let tokens = app.redeem(&attempt, &attempt.code(&departure)).await.expect(200);
    let back = claims_of(tokens.str("id_token"));
    assert!(front["name"].is_string(), "{front}");
    assert_eq!(front["name"], back["name"]);
    for unasked in ["given_name", "email"] {
        assert_eq!(front.get(unasked), None, "{unasked}: not asked for, or not the client's to ask");
    }
}

#[tokio::test]
async fn oc_02_the_id_token_beside_a_code_is_signed_by_a_published_key() {
    let (bank, app) = hybrid(json!({ "id_token_signed_response_alg": "ES256" })).await;
    let attempt = with_id_token(&app);
    let departure = bank.connect(&mut bank.person("bob"), &Browser::new(), attempt.url()).await;
    let keys = jose::KeySet::from_slice(app.get("/jwks").await.text.as_bytes()).unwrap();
    let token = departure.parameter("id_token").unwrap();
    let verified = jose::verify(token, &keys, &[Algorithm::Es256]).unwrap();
    assert_eq!(verified.claims.into_map()["c_hash"], half_hash(Algorithm::Es256, departure.code()));
    // It opens nothing (AT-04).
    assert_eq!(app.userinfo(token).await.status, 401);
}

#[tokio::test]
async fn oc_03_without_a_nonce_no_id_token_leaves_the_authorization_endpoint() {
    let (_bank, app) = hybrid(json!({})).await;
    for attempt in [with_id_token(&app).without("nonce"), with_id_token(&app).with("nonce", "")] {
        let page = Browser::new().open(attempt.url()).await;
        assert_eq!(page.departed().error(), "invalid_request");
        assert_eq!(carrier(page.departed()), "fragment");
        assert_eq!(page.departed().parameter("state"), Some(attempt.state.as_str()));
    }
    let page = Browser::new().open(app.attempt("openid").without("nonce").url()).await;
    assert!(page.departure.is_none(), "a code alone needs none");
}

#[tokio::test]
async fn oc_10_code_id_token_needs_the_openid_scope() {
    let (_bank, app) = hybrid(json!({})).await;
    let page = Browser::new().open(with_id_token(&app).with("scope", "accounts:read").url()).await;
    assert_eq!(page.departed().error(), "invalid_request");
}

#[rstest]
#[case("code id_token", "unauthorized_client", "fragment")]
#[case("id_token", "unsupported_response_type", "fragment")]
#[case("token", "unsupported_response_type", "fragment")]
#[case("code token", "unsupported_response_type", "fragment")]
#[case("code id_token token", "unsupported_response_type", "fragment")]
#[case("none", "unsupported_response_type", "query")]
#[tokio::test]
async fn dr_04_bcp_07_o21_02_who_did_not_register_it_does_not_get_it(
    #[case] response_type: &str,
    #[case] error: &str,
    #[case] place: &str,
) {
    let bank = Bank::open().await;
    let attempt = bank.app("web-app").attempt("openid").with("response_type", response_type);
    let page = Browser::new().open(attempt.url()).await;
    assert_eq!((page.departed().error(), carrier(page.departed())), (error, place));
}

#[rstest]
#[case("code", "", "query")]
#[case("code", "query", "query")]
#[case("code", "fragment", "fragment")]
#[case("code", "form_post", "form")]
#[case("code id_token", "", "fragment")]
#[case("code id_token", "fragment", "fragment")]
#[case("code id_token", "form_post", "form")]
#[tokio::test]
async fn oc_12_oc_11_answers_and_errors_travel_in_the_requested_mode(
    #[case] response_type: &str,
    #[case] mode: &str,
    #[case] place: &str,
) {
    let (bank, app) = hybrid(json!({})).await;
    let browser = Browser::new();
    let attempt = with_id_token(&app).with("response_type", response_type).with("response_mode", mode);
    let departure = bank.connect(&mut bank.person("bob"), &browser, attempt.url()).await;
    assert_eq!(carrier(&departure), place);
    app.redeem(&attempt, &attempt.code(&departure)).await.expect(200);
    assert_eq!(departure.parameter("id_token").is_some(), response_type == "code id_token");
    for (name, value, error) in [("prompt", "none", "login_required"), ("max_age", "soon", "invalid_request")]
    {
        let bent = attempt.clone().with(name, value);
        let page = Browser::new().open(bent.url()).await;
        let left = match page.form_to_another_site() {
            Some(form) => Browser::new().send(form).await,
            None => page,
        };
        let refusal = left.departed();
        assert_eq!((refusal.error(), carrier(refusal)), (error, place), "{name}");
        assert_eq!(refusal.parameter("iss"), Some(bank.issuer.as_str()), "F2-23");
        assert_eq!(refusal.parameter("state"), Some(attempt.state.as_str()));
    }
}

#[tokio::test]
async fn ms_08_an_id_token_is_refused_in_the_query_and_the_refusal_goes_to_the_fragment() {
    let (_bank, app) = hybrid(json!({})).await;
    for mode in ["query", "query.jwt"] {
        let page = Browser::new().open(with_id_token(&app).with("response_mode", mode).url()).await;
        let departure = page.departed();
        assert_eq!((departure.error(), carrier(departure)), ("invalid_request", "fragment"), "{mode}");
    }
    let page = Browser::new().open(with_id_token(&app).with("response_mode", "carrier_pigeon").url()).await;
    assert_eq!((page.departed().error(), carrier(page.departed())), ("invalid_request", "fragment"));
}

#[tokio::test]
async fn ms_09_registered_response_modes_restrict_what_may_be_asked() {
    let (bank, app) = hybrid(json!({ "response_modes": ["form_post"] })).await;
    let browser = Browser::new();
    let attempt = app.attempt("openid").with("response_mode", "form_post");
    let departure = bank.connect(&mut bank.person("bob"), &browser, attempt.url()).await;
    app.redeem(&attempt, &attempt.code(&departure)).await.expect(200);
    for refused in ["", "query", "fragment", "jwt"] {
        let page = browser.open(app.attempt("openid").with("response_mode", refused).url()).await;
        let form = page.form_to_another_site().expect("errors travel as the client can read them");
        assert_eq!(form.value("error"), Some("invalid_request"), "{refused}");
    }
}

#[tokio::test]
async fn oc_12_bcp_22_the_posting_page_is_stored_by_nobody_and_leads_only_to_the_client() {
    let (bank, app) = hybrid(json!({})).await;
    let (browser, mut bob) = (Browser::new(), bank.person("bob"));
    bank.connect(&mut bob, &browser, app.attempt("openid profile").url()).await;
    let attempt = with_id_token(&app).with("response_mode", "form_post").with("ui_locales", "zh-TW");
    let page = browser.open(attempt.url()).await.expect(200);
    assert_eq!(page.header("cache-control"), Some("no-store"));
    let policy = page.header("content-security-policy").unwrap();
    assert!(policy.ends_with("form-action 'self' https://hybrid.example"), "{policy}");
    assert!(policy.contains("script-src 'self'") && !policy.contains("unsafe"), "{policy}");
    assert_eq!(page.attributes("html", "lang"), ["zh-Hant"], "OC-07: to the very last page");
    assert!(page.has("continue"), "without scripts there is a button");
    let form = page.form_to_another_site().unwrap();
    assert!(form.value("id_token").is_some() && form.value("code").is_some());
    for script in page.attributes("script", "src") {
        assert!(script.starts_with("/assets/"), "{script}");
    }
}

#[tokio::test]
async fn oc_07_ui_locales_hold_from_the_first_page_to_the_last() {
    let (bank, app) = hybrid(json!({})).await;
    let (browser, mut alice) = (Browser::new(), bank.person("alice"));
    for wanted in ["zh-TW", "zh-Hant-HK en", "fr zh-Hant"] {
        let attempt =
            app.attempt("openid accounts:read").with("ui_locales", wanted).with("prompt", "login consent");
        let mut page = browser.open(attempt.url()).await;
        let mut pages = 0;
        while page.departure.is_none() {
            assert_eq!(page.attributes("html", "lang"), ["zh-Hant"], "{wanted}: {}", page.url);
            page = alice.answer(&browser, &page, bank.now()).await;
            pages += 1;
        }
        assert!(pages >= 2, "sign-in and consent");
        bank.advance(TimeDelta::seconds(60));
    }
    // A page that answers nobody speaks the language, too; a wrong password does not change it.
    let lost =
        app.attempt("openid").with("redirect_uri", "https://evil.example/").with("ui_locales", "zh-TW");
    assert_eq!(browser.open(lost.url()).await.attributes("html", "lang"), ["zh-Hant"]);
    let page = Browser::new().open(app.attempt("openid").with("ui_locales", "en").url()).await;
    assert_eq!(page.attributes("html", "lang"), ["en"]);
}

#[tokio::test]
async fn oc_07_display_and_claims_locales_change_nothing() {
    let (_bank, app) = hybrid(json!({})).await;
    let text = |page: testkit::Page| page.texts("main").join("\n");
    let plain = text(Browser::new().open(app.attempt("openid").url()).await);
    for (name, value) in [("display", "popup"), ("display", "wap"), ("claims_locales", "zh-Hant fr")] {
        let page = Browser::new().open(app.attempt("openid").with(name, value).url()).await.expect(200);
        assert_eq!(text(page), plain, "{name}={value}");
    }
}

#[tokio::test]
async fn oc_27_initiate_login_uri_is_https_and_shown_nowhere() {
    let (bank, app) = hybrid(json!({ "initiate_login_uri": "https://hybrid.example/start" })).await;
    let (browser, mut bob) = (Browser::new(), bank.person("bob"));
    let mut page = browser.open(app.attempt("openid").url()).await;
    while page.departure.is_none() {
        assert!(!page.body.contains("hybrid.example/start"), "{}", page.url);
        page = bob.answer(&browser, &page, bank.now()).await;
    }
    for refused in ["http://hybrid.example/start", "javascript:alert(1)"] {
        let metadata = json!({
            "token_endpoint_auth_method": "none", "redirect_uris": [CALLBACK],
            "scope": "openid", "initiate_login_uri": refused,
        });
        assert!(declare_client(&bank, "other-app", metadata).await.is_err(), "{refused}");
    }
}
