//! The authorization endpoint of RFC 6749: what comes back, with which codes, and what hostile input does.

use proptest::{
    prelude::*,
    test_runner::{Config, TestRunner},
};
use rstest::rstest;
use serde_json::json;
use testkit::{Attempt, Browser, Departure, Page, claims_of};

use crate::bank::Bank;

const API: &str = "https://api.bank.example";
const CARDS: &str = "https://cards.bank.example";

/// The response parameters by name, sorted.
fn names(departure: &Departure) -> Vec<&str> {
    let mut names: Vec<&str> = departure.parameters.iter().map(|(name, _)| name.as_str()).collect();
    names.sort_unstable();
    names
}

/// ER-01: an error goes to the app with `error*`, `state`, `iss` and `session_state`, and with nothing else.
fn assert_refused(page: &Page, attempt: &Attempt, issuer: &str, error: &str) {
    let departure = page.departed();
    assert_eq!(departure.error(), error, "{:?}", departure.parameters);
    assert_eq!(names(departure), ["error", "error_description", "iss", "session_state", "state"]);
    assert_eq!(departure.parameter("state"), Some(attempt.state.as_str()));
    assert_eq!(departure.parameter("iss"), Some(issuer));
    let description = departure.parameter("error_description").unwrap();
    let allowed = |c: char| matches!(c, ' '..='~') && c != '"' && c != '\\';
    assert!(description.chars().all(allowed), "{description}");
    assert!(!page.headers.contains_key("set-cookie"), "a refusal starts nothing");
}

#[tokio::test]
async fn bcp_07_a_response_is_a_code_with_state_and_iss_and_no_token() {
    let (bank, browser) = (Bank::open().await, Browser::new());
    let attempt = bank.app("web-app").attempt("openid accounts:read");
    let departure = bank.connect(&mut bank.person("bob"), &browser, attempt.url()).await;
    assert_eq!(departure.url.as_str().split('?').next(), Some("https://web.example/cb"));
    assert_eq!(departure.url.fragment(), None);
    assert_eq!(names(&departure), ["code", "iss", "session_state", "state"]);
    // F2-36: 128 random bits are 22 characters of base64url.
    assert!(attempt.code(&departure).len() >= 22);
}

#[rstest]
#[case::long("s".repeat(1500))]
#[case::reserved("a b+c%20d&e=f?g#h/i;j,k'l\"m<n>o\\p".to_owned())]
#[case::not_ascii("état 狀態 🦀".to_owned())]
#[case::like_a_header("x\u{2028}Location: https://evil.example".to_owned())]
#[tokio::test]
async fn f2_30_any_state_returns_unmodified(#[case] state: String) {
    let (bank, browser) = (Bank::open().await, Browser::new());
    let attempt = bank.app("web-app").attempt("openid").with("state", &state);
    let refused = browser.open(attempt.clone().with("prompt", "none").url()).await;
    assert_eq!(refused.departed().parameter("state"), Some(state.as_str()), "in an error");
    let departure = bank.connect(&mut bank.person("bob"), &browser, attempt.url()).await;
    assert_eq!(departure.parameter("state"), Some(state.as_str()), "in a success");
}

#[tokio::test]
async fn f2_30_without_state_there_is_none_and_an_empty_one_is_none() {
    let (bank, browser) = (Bank::open().await, Browser::new());
    let attempt = bank.app("web-app").attempt("openid").with("prompt", "none");
    for attempt in [attempt.clone().without("state"), attempt.with("state", "")] {
        assert_eq!(browser.open(attempt.url()).await.departed().parameter("state"), None);
    }
}

/// A parameter and its value.
type Parameter = (&'static str, &'static str);

/// Name, what is asked, and the error.
const MISTAKES: &[(&str, &[Parameter], &str)] = &[
    ("no_response_type", &[("response_type", "")], "invalid_request"),
    ("implicit", &[("response_type", "token")], "unsupported_response_type"),
    ("front_channel_id_token", &[("response_type", "id_token")], "unsupported_response_type"),
    ("hybrid", &[("response_type", "code id_token")], "unauthorized_client"),
    ("hybrid_with_token", &[("response_type", "code token")], "unsupported_response_type"),
    ("nonsense", &[("response_type", "none of these")], "unsupported_response_type"),
    ("no_scope", &[("scope", "")], "invalid_scope"),
    ("unknown_scope", &[("scope", "made:up")], "invalid_scope"),
    ("malformed_scope", &[("scope", "openid \"x\"")], "invalid_scope"),
    (
        "scope_of_others",
        &[
            ("client_id", "spa"),
            ("redirect_uri", "https://spa.example/cb"),
            ("scope", "openid payments:write"),
        ],
        "invalid_scope",
    ),
    ("request_object", &[("request", "eyJhbGciOiJub25lIn0.e30.")], "invalid_request_object"),
    ("request_uri", &[("request_uri", "https://web.example/r")], "invalid_request_uri"),
    ("registration", &[("registration", "{}")], "registration_not_supported"),
    ("prompt", &[("prompt", "dance")], "invalid_request"),
    ("prompt_none_mixed", &[("prompt", "none login")], "invalid_request"),
    ("max_age", &[("max_age", "soon")], "invalid_request"),
    ("negative_max_age", &[("max_age", "-1")], "invalid_request"),
    ("hint", &[("id_token_hint", "x.y.z")], "invalid_request"),
    ("long_state_or_nonce", &[("nonce", LONG)], "invalid_request"),
    ("unknown_resource", &[("resource", "https://elsewhere.example")], "invalid_target"),
    ("relative_resource", &[("resource", "/accounts")], "invalid_target"),
    ("resource_with_fragment", &[("resource", "https://api.bank.example#x")], "invalid_target"),
];

#[tokio::test]
async fn rfc6749_4_1_2_1_each_mistake_has_its_code() {
    let bank = Bank::open().await;
    for &(case, bend, error) in MISTAKES {
        let attempt = bank.app("web-app").attempt("openid accounts:read");
        let attempt = bend.iter().fold(attempt, |attempt, (name, value)| attempt.with(name, value));
        let page = Browser::new().open(attempt.url()).await;
        assert_eq!(page.departed().error(), error, "{case}");
        assert_refused(&page, &attempt, &bank.issuer, error);
    }
    assert_eq!(bank.audited(audit::EventKind::AuthorizationRefused).await, MISTAKES.len());
    assert_eq!(bank.audited(audit::EventKind::AuthorizationIssued).await, 0);
}

/// Just over what is kept of a nonce.
const LONG: &str = match std::str::from_utf8(&[b'n'; 8193]) {
    Ok(text) => text,
    Err(_) => panic!("ASCII is UTF-8"),
};

#[tokio::test]
async fn o21_04_repeated_parameters_are_refused_where_the_answer_may_go() {
    let (bank, browser) = (Bank::open().await, Browser::new());
    let attempt = bank.app("web-app").attempt("openid");
    for name in ["scope", "nonce", "response_type", "code_challenge", "response_mode", "unheard-of"] {
        let bent = attempt.clone().also(name, "x").also(name, "y");
        assert_refused(&browser.open(bent.url()).await, &bent, &bank.issuer, "invalid_request");
    }
    // Which state was meant nobody knows, so none is returned.
    let page = browser.open(attempt.clone().also("state", "other").url()).await;
    assert_eq!((page.departed().error(), page.departed().parameter("state")), ("invalid_request", None));
    // `resource` may repeat (RFC 8707 §2).
    let page = browser.open(attempt.also("resource", API).also("resource", CARDS).url()).await;
    assert!(page.has("login-submit"), "{}", page.text());
}

#[tokio::test]
async fn er_01_descriptions_are_plain_and_not_localized() {
    let bank = Bank::open().await;
    let attempt = bank.app("web-app").attempt("openid").with("prompt", "dance");
    let mut descriptions = Vec::new();
    for (ui_locales, accept) in [("en", "en"), ("zh-Hant", "zh-Hant")] {
        let client = Browser::new();
        let request = client.client().get(attempt.clone().with("ui_locales", ui_locales).url());
        let response = request.header("accept-language", accept).send().await.unwrap();
        let location = response.headers()["location"].to_str().unwrap().to_owned();
        let query = url::Url::parse(&location).unwrap();
        descriptions
            .push(query.query_pairs().find(|(n, _)| n == "error_description").unwrap().1.into_owned());
    }
    assert_eq!(descriptions[0], descriptions[1]);
    // What a hostile parameter is called does not get out as it came.
    let attempt = bank.app("web-app").attempt("openid").also("\"\\狀\r\n", "1").also("\"\\狀\r\n", "2");
    let page = Browser::new().open(attempt.url()).await;
    if page.departure.is_some() {
        assert_refused(&page, &attempt, &bank.issuer, "invalid_request");
    } else {
        assert_eq!(page.status, 400);
    }
}

#[tokio::test]
async fn f2_26_every_redirect_after_a_post_is_303() {
    let (bank, browser) = (Bank::open().await, Browser::new());
    let attempt = bank.app("web-app").attempt("openid");
    let post = async |form: testkit::Form| {
        browser.client().post(form.action.clone()).form(&form.fields).send().await.unwrap()
    };
    let page = browser.open(attempt.url()).await;
    let login = page.form("login-submit").with("username", "bob").with("password", "granite-teapot-orbit");
    assert_eq!(post(login).await.status(), 303, "login");
    let page = browser.open(page.url).await;
    let response = post(page.form("consent-allow")).await;
    assert_eq!(response.status(), 303, "consent");
    assert!(response.headers()["location"].to_str().unwrap().starts_with("https://web.example/cb?code="));
    let page = browser.open(attempt.with("prompt", "consent").url()).await;
    assert_eq!(post(page.form("consent-deny")).await.status(), 303, "denial");
    let posted = bank.app("web-app").attempt("openid");
    let request = browser.client().post(bank.url("/authorize")).form(&posted.parameters);
    assert_eq!(request.send().await.unwrap().status(), 303, "a posted request");
}

#[tokio::test]
async fn f2_33_oc_10_openid_and_only_openid_brings_an_id_token() {
    let (bank, browser) = (Bank::open().await, Browser::new());
    let (app, mut bob) = (bank.app("web-app"), bank.person("bob"));
    for (scope, expected) in [("openid accounts:read", true), ("accounts:read", false)] {
        let attempt = app.attempt(scope);
        let code = attempt.code(&bank.connect(&mut bob, &browser, attempt.url()).await);
        let tokens = app.redeem(&attempt, &code).await.expect(200);
        assert_eq!(tokens["id_token"].is_string(), expected, "{scope}");
        // Whoever asked for no identity may not look it up either.
        let userinfo = app.userinfo(tokens.str("access_token")).await.status;
        assert_eq!(userinfo == 200, expected, "{scope}: {userinfo}");
    }
}

#[tokio::test]
async fn at_03_the_audience_follows_scope_and_resource() {
    let (bank, browser) = (Bank::open().await, Browser::new());
    let (app, mut bob) = (bank.app("web-app"), bank.person("bob"));
    let mut audience = async |attempt: Attempt| {
        let code = attempt.code(&bank.connect(&mut bob, &browser, attempt.url()).await);
        let tokens = app.redeem(&attempt, &code).await.expect(200);
        let aud = claims_of(tokens.str("access_token"))["aud"].clone();
        aud.as_array().cloned().unwrap_or_else(|| vec![aud])
    };
    let implied = audience(app.attempt("openid accounts:read")).await;
    assert!(implied.contains(&json!(API)) && !implied.contains(&json!(CARDS)), "{implied:?}");
    let named = audience(app.attempt("openid accounts:read").also("resource", API)).await;
    assert_eq!(named, implied);
    let own = audience(app.attempt("openid profile")).await;
    assert_eq!(own, [json!(bank.issuer)], "without a resource the token is for the issuer alone");
}

#[rstest]
#[case::several_and_none_named("openid accounts:read cards:read", &[], "invalid_target")]
#[case::one_named_of_two("openid accounts:read cards:read", &[API], "invalid_scope")]
#[case::another_named("openid accounts:read", &[CARDS], "invalid_scope")]
#[case::one_unknown("openid accounts:read", &[API, "https://elsewhere.example"], "invalid_target")]
#[tokio::test]
async fn at_03_an_ambiguous_audience_is_refused(
    #[case] scope: &str,
    #[case] resources: &[&str],
    #[case] error: &str,
) {
    let bank = Bank::open().await;
    let attempt = bank.app("web-app").attempt(scope);
    let attempt = resources.iter().fold(attempt, |attempt, resource| attempt.also("resource", resource));
    assert_refused(&Browser::new().open(attempt.url()).await, &attempt, &bank.issuer, error);
}

#[tokio::test]
async fn bcp_10_a_token_is_of_use_to_its_audience_alone() {
    let (bank, browser) = (Bank::open().await, Browser::new());
    let (app, mut bob) = (bank.app("web-app"), bank.person("bob"));
    for (scope, at_accounts, at_cards) in [("accounts:read", true, false), ("cards:read", false, true)] {
        let attempt = app.attempt(scope);
        let code = attempt.code(&bank.connect(&mut bob, &browser, attempt.url()).await);
        let tokens = app.redeem(&attempt, &code).await.expect(200);
        let token = tokens.str("access_token");
        assert_eq!(bank.api("accounts-api").is_active(token).await, at_accounts, "{scope}");
        assert_eq!(bank.api("cards-api").is_active(token).await, at_cards, "{scope}");
    }
}

#[tokio::test]
async fn bcp_11_a_client_id_can_never_be_a_subject() {
    let (bank, browser) = (Bank::open().await, Browser::new());
    let attempt = bank.app("web-app").attempt("openid");
    let code = attempt.code(&bank.connect(&mut bank.person("bob"), &browser, attempt.url()).await);
    let tokens = bank.app("web-app").redeem(&attempt, &code).await.expect(200);
    let sub = claims_of(tokens.str("id_token"))["sub"].as_str().unwrap().to_owned();
    assert!(uuid::Uuid::parse_str(&sub).is_ok(), "{sub}");
    let client = |id: &str| {
        format!(
            "[[client]]\nclient_id = '{id}'\nclient_secret = 'another-secret-0123456789abcd'\n\
             redirect_uris = ['https://new.example/cb']\nscope = 'openid'\n"
        )
    };
    bank.declare(&client("no-uuid")).await.unwrap();
    for spelling in [sub.clone(), sub.to_uppercase(), sub.replace('-', ""), format!("urn:uuid:{sub}")] {
        assert!(bank.declare(&client(&spelling)).await.is_err(), "{spelling}");
    }
}

/// A request is answered with a page of the 4xx kind, with an error at the app, or with a sign-in page.
async fn assert_harmless(bank: &Bank, raw: &str, page: &Page) {
    let shown = raw.chars().take(200).collect::<String>();
    assert!(page.status < 500, "{} for {shown}", page.status);
    match &page.departure {
        Some(departure) => {
            assert!(departure.parameter("code").is_none(), "a code for {shown}");
            assert_eq!(departure.url.host_str(), Some("web.example"), "{shown}");
            assert!(!departure.error().is_empty());
        }
        None => assert!(page.status >= 400 || page.has("login-submit"), "{} for {shown}", page.status),
    }
    assert_eq!(bank.audited(audit::EventKind::AuthorizationIssued).await, 0);
    assert_eq!(bank.audited(audit::EventKind::ConsentGranted).await, 0);
}

#[tokio::test]
async fn hostile_requests_are_refused_and_leave_nothing() {
    let (bank, browser) = (Bank::open().await, Browser::new());
    let good = bank.app("web-app").attempt("openid").url();
    let good = good.split_once('?').unwrap().1.to_owned();
    let many: String = (0..101).map(|n| format!("&p{n}=1")).collect();
    let hostile = [
        String::new(),
        "&&&===&=&%".into(),
        format!("{good}&x=%ff%fe"),
        format!("{good}&x=%00"),
        format!("{good}&x=%"),
        format!("{good}&x=%zz"),
        format!("{good}&login_hint=%0d%0aSet-Cookie:%20a=b"),
        format!("{good}&{}=1", "n".repeat(129)),
        format!("{good}&x={}", "v".repeat(33 * 1024)),
        format!("{good}&login_hint={}", "v".repeat(20 * 1024)),
        format!("{good}&acr_values={}", "a+".repeat(9000)),
        format!("{good}&max_age=99999999999999999999999999"),
        format!("{good}&max_age=18446744073709551615"),
        format!("{good}{many}"),
        format!("{good}&client_id=web-app"),
        format!("{good}&redirect_uri=https%3A%2F%2Fweb.example%2Fcb"),
        format!("{good}&login_hint=%3Cscript%3Ealert(1)%3C%2Fscript%3E"),
    ];
    for raw in &hostile {
        let page = browser.open(format!("{}?{raw}", bank.url("/authorize"))).await;
        assert_harmless(&bank, raw, &page).await;
        assert!(!page.body.contains("<script>alert"), "unescaped");
        let form = "application/x-www-form-urlencoded";
        let request = browser.client().post(bank.url("/authorize")).header("content-type", form);
        let response = request.body(raw.clone()).send().await.unwrap();
        let status = response.status().as_u16();
        assert!(status == 303 || (400..500).contains(&status), "{status} for POST {raw:.200}");
        if let Some(location) = response.headers().get("location") {
            let next = format!("{}{}", bank.issuer, location.to_str().unwrap());
            assert!(next.starts_with(&bank.url("/authorize?")), "{next}");
            assert_harmless(&bank, raw, &browser.open(next).await).await;
        }
    }
}

#[rstest]
#[case::too_large("application/x-www-form-urlencoded", "x".repeat(70 * 1024), 413)]
#[case::json("application/json", "{}".into(), 415)]
#[case::untyped("", "client_id=web-app".into(), 415)]
#[case::not_text("application/x-www-form-urlencoded", "client_id=%ff".into(), 400)]
#[tokio::test]
async fn oc_08_a_posted_request_is_a_form(#[case] kind: &str, #[case] body: String, #[case] status: u16) {
    let bank = Bank::open().await;
    let http = bank.app("web-app").http().clone();
    let request = http.post(bank.url("/authorize")).header("content-type", kind).body(body);
    let response = request.send().await.unwrap();
    assert_eq!(response.status(), status);
    assert!(!response.headers().contains_key("location"));
}

#[test]
fn no_combination_of_parameters_makes_a_server_error() {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
    let (bank, browser) = runtime.block_on(async { (Bank::open().await, Browser::new()) });
    let app = bank.app("web-app");
    let name = prop::sample::select(vec![
        "client_id",
        "redirect_uri",
        "response_type",
        "response_mode",
        "scope",
        "state",
        "nonce",
        "prompt",
        "max_age",
        "acr_values",
        "id_token_hint",
        "login_hint",
        "ui_locales",
        "claims_locales",
        "display",
        "resource",
        "request",
        "request_uri",
        "code_challenge",
        "code_challenge_method",
        "claims",
        "iss",
    ]);
    let value = prop_oneof![
        "\\PC{0,40}",
        "[ -~]{0,40}",
        Just(String::new()),
        Just("openid".to_owned()),
        Just("none".to_owned()),
        Just("form_post".to_owned()),
        Just("https://evil.example/cb".to_owned()),
        Just("{\"id_token\":{\"acr\":{\"essential\":true}}}".to_owned()),
        "[a-zA-Z0-9._-]{1,300}",
    ];
    let bends = prop::collection::vec((name, value, any::<bool>()), 1..6);
    let config = Config { cases: 150, failure_persistence: None, ..Config::default() };
    let outcome = TestRunner::new(config).run(&bends, |bends| {
        let attempt =
            bends.into_iter().fold(app.attempt("openid accounts:read"), |attempt, (n, v, replace)| {
                if replace { attempt.with(n, &v) } else { attempt.also(n, &v) }
            });
        runtime.block_on(async {
            let page = browser.open(attempt.url()).await;
            // A response by form stays on a page of ours.
            let page = match page.form_to_another_site() {
                Some(form) => browser.send(form).await,
                None => page,
            };
            assert_harmless(&bank, &format!("{:?}", attempt.parameters), &page).await;
        });
        Ok(())
    });
    outcome.unwrap();
}

/// HEAD throws the answer away, so it may not cause one: no code is issued by it.
#[tokio::test]
async fn bcp_07_head_issues_no_code() {
    let bank = Bank::open().await;
    let (browser, mut bob) = (Browser::new(), bank.person("bob"));
    let url = bank.app("web-app").attempt("openid").url();
    bank.connect(&mut bob, &browser, &url).await;
    let issued = bank.audited(audit::EventKind::AuthorizationIssued).await;
    let answer = browser.client().head(&url).send().await.unwrap();
    assert_eq!(answer.status(), 405);
    assert_eq!(bank.audited(audit::EventKind::AuthorizationIssued).await, issued);
    assert!(browser.open(&url).await.departed().parameter("code").is_some(), "GET still does");
}
