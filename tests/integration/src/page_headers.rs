//! What stands around every page: policies against framing, scripts and leaks; cookies; no CORS.

use std::collections::BTreeMap;

use axum::{Router, body::Body};
use http::{HeaderMap, Request, Response, header};
use reqwest::Method;
use testkit::{Browser, Page};
use tower::ServiceExt;
use url::Url;
use web::{App, WebConfig, public_router};

use crate::bank::Bank;

/// The directives of a Content-Security-Policy.
fn policy(page: &Page) -> BTreeMap<String, Vec<String>> {
    let text = page.header("content-security-policy").expect("a policy");
    let directives = text.split(';').map(|directive| {
        let mut words = directive.split_whitespace().map(str::to_owned);
        (words.next().expect("a directive has a name"), words.collect())
    });
    directives.collect()
}

/// BCP-12, BCP-13: what holds for every page, whatever it is about.
fn assert_guarded(name: &str, page: &Page) {
    let csp = policy(page);
    let of = |directive: &str| csp.get(directive).map(|values| values.join(" ")).unwrap_or_default();
    assert_eq!(of("default-src"), "'none'", "{name}");
    assert_eq!(of("frame-ancestors"), "'none'", "{name}");
    assert_eq!(of("base-uri"), "'none'", "{name}");
    assert_eq!(of("script-src"), "'self'", "{name}");
    assert_eq!(of("style-src"), "'self'", "{name}");
    let all = page.header("content-security-policy").unwrap();
    for unsafe_word in ["unsafe-inline", "unsafe-eval", "*", "http: ", "https: "] {
        assert!(!all.contains(unsafe_word), "{name}: {all}");
    }
    for (header, value) in [
        ("x-frame-options", "DENY"),
        ("referrer-policy", "no-referrer"),
        ("x-content-type-options", "nosniff"),
        ("cache-control", "no-store"),
    ] {
        assert_eq!(page.header(header), Some(value), "{name}: {header}");
    }
    assert_eq!(page.header("strict-transport-security"), None, "{name}: promised https on http");
    assert_no_cors(name, &page.headers);
    // No inline script or style, and nothing from elsewhere.
    assert!(page.texts("script:not([src])").is_empty() && page.texts("style").is_empty(), "{name}");
    assert!(page.attributes("[style]", "style").is_empty(), "{name}");
    assert!(page.texts("iframe, frame, object, embed, base").is_empty(), "{name}");
    for event in ["onclick", "onload", "onsubmit", "onerror", "onfocus", "onchange"] {
        assert!(page.attributes(&format!("[{event}]"), event).is_empty(), "{name}: {event}");
    }
    let loaded =
        [page.attributes("script[src], img[src], source[src]", "src"), page.attributes("link[href]", "href")];
    for address in loaded.concat() {
        let own =
            (address.starts_with('/') && !address.starts_with("//")) || address.starts_with("data:image/");
        assert!(own, "{name} loads {address}");
    }
    assert!(page.attributes("a[href]", "href").iter().all(|link| !link.starts_with("javascript:")), "{name}");
}

/// F2-04: nobody else's script may read it.
fn assert_no_cors(name: &str, headers: &HeaderMap) {
    let cors = headers.keys().find(|name| name.as_str().starts_with("access-control-"));
    assert_eq!(cors, None, "{name}");
}

/// Where the answers to a page's forms may lead.
fn form_action(page: &Page) -> Vec<String> {
    policy(page).remove("form-action").expect("form-action")
}

/// Walks carol through everything and keeps each page by the button that it was known by.
async fn every_page(bank: &Bank, app: &str, browser: &Browser) -> Vec<(&'static str, Page)> {
    let mut carol = bank.person("carol");
    let attempt = bank.app(app).attempt("openid");
    let mut pages = Vec::new();
    let mut page = browser.open(attempt.url()).await;
    pages.push(("login-submit", page.clone()));
    let wrong = browser.submit(&page, "login-submit", &[("username", "carol"), ("password", "x")]).await;
    pages.push(("failed login", wrong));
    for stop in ["enrol-submit", "codes-saved", "consent-allow"] {
        page = carol.walk(browser, page, stop, bank.now()).await;
        pages.push((stop, page.clone()));
    }
    carol.walk(browser, page, "", bank.now()).await.departed();
    bank.advance(chrono::TimeDelta::seconds(60));
    let page = browser.open(attempt.clone().with("prompt", "login").url()).await;
    let page = carol.walk(browser, page, "otp-submit", bank.now()).await;
    pages.push(("otp-submit", page.clone()));
    pages.push(("failed code", browser.submit(&page, "otp-submit", &[("otp", "000000")]).await));
    carol.walk(browser, page, "", bank.now()).await.departed();
    pages.push(("form_post", browser.open(attempt.with("response_mode", "form_post").url()).await));
    pages
}

#[tokio::test]
async fn bcp_12_bcp_13_every_page_is_guarded() {
    let (bank, browser) = (Bank::open().await, Browser::new());
    let mut pages = every_page(&bank, "web-app", &browser).await;
    for (name, path) in [
        ("account", "/account"),
        ("sign-out", "/end-session"),
        ("signed-out", "/signed-out"),
        ("refused request", "/authorize?client_id=nobody"),
        ("interaction of nobody", "/interaction/00000000-0000-7000-8000-000000000000"),
        ("unknown address", "/nowhere"),
    ] {
        pages.push((name, browser.open(bank.url(path)).await));
    }
    for (name, page) in &pages {
        assert!(
            page.departure.is_none() && page.body.contains("<html"),
            "{name} is no page: {}",
            page.status
        );
        assert_guarded(name, page);
    }
}

#[tokio::test]
async fn bcp_18_redirects_with_codes_are_not_stored_and_tell_no_referrer() {
    let (bank, browser) = (Bank::open().await, Browser::new());
    let attempt = bank.app("web-app").attempt("openid");
    bank.connect(&mut bank.person("bob"), &browser, attempt.url()).await;
    let page = browser.open(attempt.url()).await;
    attempt.code(page.departed());
    assert_eq!(page.header("cache-control"), Some("no-store"));
    assert_eq!(page.header("referrer-policy"), Some("no-referrer"));
    assert_no_cors("redirect", &page.headers);
}

#[tokio::test]
async fn bcp_22_form_action_admits_the_apps_address_where_a_form_leads_there() {
    for (app, source) in [("web-app", "https://web.example"), ("native-app", "http://127.0.0.1:4711")] {
        let bank = Bank::open().await;
        for (name, page) in every_page(&bank, app, &Browser::new()).await {
            assert_eq!(form_action(&page), ["'self'", source], "{name}");
        }
    }
}

#[tokio::test]
async fn bcp_22_private_schemes_and_addresses_have_sources_that_browsers_understand() {
    let (bank, browser) = (Bank::open().await, Browser::new());
    let attempt = bank.app("native-app").attempt("openid");
    let private = attempt.clone().with("redirect_uri", "com.example.native:/cb");
    assert_eq!(form_action(&browser.open(private.url()).await), ["'self'", "com.example.native:"]);
    // A host source can't be an IPv6 address (CSP Level 3 §2.3.1), so its scheme stands in.
    let six = "[[client]]\nclient_id = 'native-app'\napplication_type = 'native'\nscope = 'openid'\n\
               token_endpoint_auth_method = 'none'\nredirect_uris = ['http://[::1]/cb']\n";
    bank.declare(six).await.unwrap();
    let loopback = attempt.with("redirect_uri", "http://[::1]:4711/cb");
    assert_eq!(form_action(&browser.open(loopback.url()).await), ["'self'", "http:"]);
}

#[tokio::test]
async fn bcp_22_no_page_admits_an_address_that_was_not_verified() {
    let (bank, browser) = (Bank::open().await, Browser::new());
    let attempt = bank.app("web-app").attempt("openid").with("redirect_uri", "https://evil.example/cb");
    assert_eq!(form_action(&browser.open(attempt.url()).await), ["'self'"]);
    assert_eq!(form_action(&browser.open(bank.url("/account")).await), ["'self'"]);
    assert_eq!(form_action(&browser.open(bank.url("/nowhere")).await), ["'self'"]);
}

#[tokio::test]
async fn f2_04_bcp_23_no_page_answers_cors_not_even_preflights() {
    let bank = Bank::open().await;
    let http = bank.app("spa").http().clone();
    let ask = async |method: Method, path: &str| {
        let request = http
            .request(method, bank.url(path))
            .header("origin", "https://spa.example")
            .header("access-control-request-method", "GET")
            .header("access-control-request-headers", "authorization");
        request.send().await.unwrap().headers().clone()
    };
    let id = "/interaction/00000000-0000-7000-8000-000000000000";
    for path in ["/authorize", "/authorize?client_id=spa", id, "/login", "/account", "/end-session"] {
        for method in [Method::OPTIONS, Method::GET, Method::POST, Method::HEAD] {
            assert_no_cors(&format!("{method} {path}"), &ask(method.clone(), path).await);
        }
    }
    // The same question is answered where browser apps need it, and then without credentials.
    let token = ask(Method::OPTIONS, "/token").await;
    assert_eq!(token["access-control-allow-origin"], "*");
    assert!(!token.contains_key("access-control-allow-credentials"));
}

/// The bank as an https issuer, without a socket.
fn https(bank: &Bank) -> Router {
    public_router(&App::new(
        bank.service.clone(),
        WebConfig::new("https://id.bank.example", "Test Bank", vec![]),
    ))
}

async fn page_of(url: &str, response: Response<Body>) -> Page {
    let (parts, body) = response.into_parts();
    let bytes = axum::body::to_bytes(body, 1 << 20).await.unwrap();
    Page {
        url: Url::parse(&format!("https://id.bank.example{url}")).unwrap(),
        status: parts.status.as_u16(),
        headers: parts.headers,
        body: String::from_utf8(bytes.to_vec()).unwrap(),
        departure: None,
    }
}

/// What a response sets under this name: `name=value`, then the attributes in order of the alphabet.
fn set_cookie(headers: &HeaderMap, name: &str) -> (String, Vec<String>) {
    let all = headers.get_all(header::SET_COOKIE).iter().map(|value| value.to_str().unwrap());
    let mut named = all.filter(|cookie| cookie.starts_with(&format!("{name}=")));
    let cookie = named.next().unwrap_or_else(|| panic!("no cookie {name} in {headers:?}"));
    assert_eq!(named.next(), None, "{name} is set twice");
    let mut parts = cookie.split("; ").map(str::to_owned);
    let pair = parts.next().unwrap();
    let mut attributes: Vec<String> = parts.collect();
    attributes.sort();
    (pair, attributes)
}

/// SE-01: every cookie of the response is one for this host alone, by https alone, and, but for the one of
/// session management, for no script.
fn assert_host_cookies(headers: &HeaderMap) {
    for cookie in headers.get_all(header::SET_COOKIE) {
        let cookie = cookie.to_str().unwrap();
        assert!(cookie.starts_with("__Host-chancery-"), "{cookie}");
        let attributes: Vec<&str> = cookie.split("; ").skip(1).collect();
        // The one for session management, which scripts may read and which opens nothing.
        let state = cookie.starts_with("__Host-chancery-state=");
        assert!(!state || !attributes.contains(&"HttpOnly"), "{cookie}");
        let own = if state { ["SameSite=None"].as_slice() } else { &["HttpOnly", "SameSite=Lax"] };
        for needed in ["Path=/", "Secure"].iter().chain(own) {
            assert!(attributes.contains(needed), "{needed} is not in {cookie}");
        }
        assert!(!cookie.contains("Domain="), "{cookie}");
    }
}

#[tokio::test]
async fn f2_03_se_01_https_brings_hsts_and_host_cookies() {
    let bank = Bank::open().await;
    let router = https(&bank);
    let get = async |path: &str, cookie: &str| {
        let request = Request::get(path).header("cookie", cookie).body(Body::empty()).unwrap();
        router.clone().oneshot(request).await.unwrap()
    };
    let hsts = "max-age=31536000; includeSubDomains";
    let path = bank.app("web-app").attempt("openid").url().strip_prefix(&bank.issuer).unwrap().to_owned();
    let response = get(&path, "").await;
    assert_eq!(response.headers()["strict-transport-security"], hsts);
    assert_host_cookies(response.headers());
    let (browser, attributes) = set_cookie(response.headers(), "__Host-chancery-browser");
    // No Max-Age: how long it counts is for the store to say.
    assert_eq!(attributes, ["HttpOnly", "Path=/", "SameSite=Lax", "Secure"]);

    let location = response.headers()["location"].to_str().unwrap().to_owned();
    let page = page_of(&location, get(&location, &browser).await).await;
    assert_eq!(page.header("strict-transport-security"), Some(hsts));
    let form = page.form("login-submit").with("username", "bob").with("password", "granite-teapot-orbit");
    let body = url::form_urlencoded::Serializer::new(String::new()).extend_pairs(&form.fields).finish();
    let login = async |cookie: &str| {
        let request = Request::post(form.action.path())
            .header("content-type", "application/x-www-form-urlencoded")
            .header("cookie", cookie)
            .body(Body::from(body.clone()))
            .unwrap();
        router.clone().oneshot(request).await.unwrap()
    };
    // A cookie under the name for plain http is not believed on https.
    let downgraded = login(&browser.replace("__Host-chancery-browser", "chancery-browser-dev")).await;
    assert_eq!(downgraded.status(), 403);
    let response = login(&browser).await;
    assert_eq!(response.status(), 303);
    assert_host_cookies(response.headers());
    let (session, attributes) = set_cookie(response.headers(), "__Host-chancery-session");
    assert_eq!(attributes, ["HttpOnly", "Path=/", "SameSite=Lax", "Secure"]);
    // F2-36: 128 random bits are 22 characters of base64url.
    assert!(session.split_once('=').unwrap().1.len() >= 22);
    for path in ["/token", "/jwks", "/nowhere", "/.well-known/openid-configuration", "/userinfo"] {
        assert_eq!(get(path, "").await.headers()["strict-transport-security"], hsts, "{path}");
    }
}

#[tokio::test]
async fn se_01_plain_http_has_its_own_names_and_no_secure() {
    let (bank, browser) = (Bank::open().await, Browser::new());
    let attempt = bank.app("web-app").attempt("openid");
    let response = browser.client().get(attempt.url()).send().await.unwrap();
    let (_, attributes) = set_cookie(response.headers(), "chancery-browser-dev");
    assert_eq!(attributes, ["HttpOnly", "Path=/", "SameSite=Lax"]);
    // A browser that has one keeps it: other tabs depend on it.
    let response = browser.client().get(attempt.url()).send().await.unwrap();
    assert!(!response.headers().contains_key("set-cookie"));
}
