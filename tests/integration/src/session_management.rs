//! OpenID Connect Session Management 1.0: `session_state`, the browser state, and the frame that compares
//! them, in a real browser.

use axum::{Router, response::Html, routing::get};
use flows::session_state::{browser_state, session_state};
use protocol::secret::SessionCookie;
use serde_json::{Value, json};
use testkit::{Browser, Departure, scripts};
use tokio::net::TcpListener;

use crate::{
    bank::{Bank, Engine},
    steps::declare_client,
    visits::{post, session, sign_in},
};

/// What the frame must find, computed from the session cookie of the browser.
fn expected(bank: &Bank, browser: &Browser, departure: &Departure, client: &str, origin: &str) -> String {
    let state = browser_state(&SessionCookie::new(session(bank, browser)));
    let salt = departure.parameter("session_state").unwrap().split_once('.').unwrap().1.to_owned();
    session_state(&client.parse().unwrap(), origin, &state, &salt)
}

#[tokio::test]
async fn sm_01_responses_carry_the_session_state() {
    let bank = Bank::open().await;
    let (mut bob, browser) = (bank.person("bob"), Browser::new());
    let app = bank.app("web-app");
    let first = bank.connect(&mut bob, &browser, app.attempt("openid").url()).await;
    let state = first.parameter("session_state").unwrap().to_owned();
    assert_eq!(state, expected(&bank, &browser, &first, "web-app", "https://web.example"));
    let second = bank.connect(&mut bob, &browser, app.attempt("openid").url()).await;
    assert_ne!(second.parameter("session_state"), Some(state.as_str()), "each has a salt of its own");
    let form = app.attempt("openid").with("response_mode", "form_post");
    let posted = bank.connect(&mut bob, &browser, form.url()).await;
    assert!(posted.parameter("session_state").is_some());

    // Errors too, with and without a session (ER-01).
    let denied = browser.open(app.attempt("openid profile").url()).await;
    let denied = browser.submit(&denied, "consent-deny", &[]).await.departed().clone();
    assert_eq!(denied.error(), "access_denied");
    let found = denied.parameter("session_state").unwrap();
    assert_eq!(found, expected(&bank, &browser, &denied, "web-app", "https://web.example"));
    let silent = app.attempt("openid").with("prompt", "none");
    let nobody = Browser::new().open(silent.url()).await.departed().clone();
    let found = nobody.parameter("session_state").unwrap();
    let salt = found.split_once('.').unwrap().1;
    assert_eq!(found, session_state(&"web-app".parse().unwrap(), "https://web.example", "", salt));

    // A private-use URI has no origin that could ask.
    let native = bank.app("native-app").attempt("openid").with("redirect_uri", "com.example.native:/cb");
    let departure = bank.connect(&mut bob, &browser, native.url()).await;
    assert_eq!(departure.parameter("session_state"), None);
}

#[tokio::test]
async fn se_01_sm_01_the_state_cookie_follows_the_session_and_opens_nothing() {
    let bank = Bank::open().await;
    let (mut bob, browser) = (bank.person("bob"), Browser::new());
    let page = browser.open(bank.url("/account")).await;
    let form = page.form("login-submit").with("username", "bob").with("password", &bob.password);
    let answer = post(&browser, &form).await;
    let set = |answer: &reqwest::Response| {
        let all =
            answer.headers().get_all("set-cookie").iter().map(|value| value.to_str().unwrap().to_owned());
        all.filter(|cookie| cookie.starts_with("chancery-state-dev=")).collect::<Vec<_>>()
    };
    let [cookie] = set(&answer).try_into().unwrap();
    let (pair, attributes) = cookie.split_once("; ").unwrap();
    for needed in ["SameSite=None", "Secure", "Path=/"] {
        assert!(attributes.contains(needed), "{needed} in {cookie}");
    }
    assert!(!attributes.contains("HttpOnly") && !attributes.contains("Domain"), "{cookie}");
    let value = pair.split_once('=').unwrap().1;
    assert_eq!(value, browser_state(&SessionCookie::new(session(&bank, &browser))));
    assert_ne!(value, session(&bank, &browser));
    for name in ["chancery-session-dev", "chancery-browser-dev", "chancery-device-dev"] {
        let thief = Browser::new();
        thief.plant_cookie(&bank.issuer, &format!("{name}={value}; Path=/"));
        assert!(thief.open(bank.url("/account")).await.has("login-submit"), "{name}");
    }
    // It goes with the session.
    let account = sign_in(&bank, &mut bob, &browser).await;
    let ended = post(&browser, &account.form("sign-out")).await;
    let [cookie] = set(&ended).try_into().unwrap();
    assert!(cookie.starts_with("chancery-state-dev=;") && cookie.contains("Max-Age=0"), "{cookie}");
}

#[tokio::test]
async fn bcp_12_bcp_13_the_frame_is_the_one_page_that_others_may_frame() {
    let bank = Bank::open().await;
    let page = Browser::new().open(bank.url("/check-session")).await.expect(200);
    assert_eq!(page.header("x-frame-options"), None);
    let policy = page.header("content-security-policy").unwrap();
    assert!(!policy.contains("frame-ancestors") && !policy.contains("unsafe"), "{policy}");
    assert!(policy.starts_with("default-src 'none'; script-src 'self'"), "{policy}");
    let [script] = page.attributes("script", "src").try_into().unwrap();
    assert!(script.starts_with("/assets/check-session.js"), "{script}");
    assert!(page.attributes("script", "data-cookie") == ["chancery-state-dev"]);
    assert_eq!(page.header("set-cookie"), None);
    for other in ["/signed-out", "/account", "/nowhere"] {
        let page = Browser::new().open(bank.url(other)).await;
        assert_eq!(page.header("x-frame-options"), Some("DENY"), "{other}");
    }
}

/// A page of a client: frames the bank's and asks it what the test wants to know.
const CLIENT: &str = "<!doctype html><title>Client</title><body></body>";

async fn site() -> String {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap();
    let router =
        Router::new().route("/", get(async || Html(CLIENT))).route("/cb", get(async || Html(CLIENT)));
    tokio::spawn(async move { axum::serve(listener, router).await.unwrap() });
    format!("http://{address}")
}

#[tokio::test]
async fn sm_01_bcp_14_the_frame_answers_the_asking_origin_in_chromium() {
    let bank = Bank::with(Engine::Sqlite, |_| {}).await;
    let (client, stranger) = (site().await, site().await);
    let metadata = json!({
        "client_name": "Watcher",
        "application_type": "native",
        "token_endpoint_auth_method": "none",
        "redirect_uris": [format!("{client}/cb")],
        "scope": "openid",
    });
    declare_client(&bank, "watcher", metadata).await.unwrap();
    let app = testkit::RelyingParty::new(
        &bank.issuer,
        "watcher",
        testkit::ClientAuth::None,
        &format!("{client}/cb"),
    );
    let authorize = app.attempt("openid").url();
    let environment = [
        ("ISSUER", bank.issuer.as_str()),
        ("CLIENT", client.as_str()),
        ("STRANGER", stranger.as_str()),
        ("AUTHORIZE", authorize.as_str()),
        ("CLIENT_ID", "watcher"),
    ];
    let printed = scripts::browser_script("session.mjs", &environment).await;
    let found: Value = serde_json::from_str(printed.lines().last().unwrap()).unwrap();
    assert_eq!(
        found,
        json!({
            "signedIn": "unchanged",
            "again": "unchanged",
            "otherClient": "changed",
            "otherOrigin": "changed",
            "otherSalt": "changed",
            "malformed": ["error", "error", "error", "error"],
            "overheard": [],
            "signedOut": "changed",
            // Cookies are kept from the frame: a client that took this for a change would ask without end.
            "withheld": "error",
        }),
        "{printed}"
    );
}
