//! Where browsers are sent (RFC 9700 §2.1, §4.1, §4.11): to registered redirect URIs and nowhere else.

use rstest::rstest;
use testkit::{Attempt, Browser, Page};

use crate::bank::Bank;

/// BCP-03: a page of our own says what is wrong; nobody is sent anywhere and nothing begins.
fn assert_local(page: &Page, status: u16, case: &str) {
    assert_eq!(page.status, status, "{case}: {}", page.text());
    assert!(page.departure.is_none(), "{case}: left for {:?}", page.departure);
    assert!(!page.headers.contains_key("location") && !page.headers.contains_key("set-cookie"), "{case}");
    assert!(!page.body.contains("evil.example"), "{case}: the page repeats what it was told");
    let links = [page.attributes("a", "href"), page.attributes("form", "action")].concat();
    assert!(links.iter().all(|link| link.starts_with('/')), "{case}: {links:?}");
    assert!(page.attributes("meta[http-equiv]", "content").is_empty());
}

fn to(bank: &Bank, app: &str, redirect_uri: &str) -> Attempt {
    bank.app(app).attempt("openid").with("redirect_uri", redirect_uri)
}

/// Name, and the address that is asked for.
const NOT_THE_REGISTERED_STRING: &[(&str, &str)] = &[
    ("trailing_slash", "https://web.example/cb/"),
    ("letter_case_of_path", "https://web.example/CB"),
    ("letter_case_of_host", "https://WEB.example/cb"),
    ("letter_case_of_scheme", "HTTPS://web.example/cb"),
    ("default_port", "https://web.example:443/cb"),
    ("other_port", "https://web.example:8443/cb"),
    ("http", "http://web.example/cb"),
    ("longer_path", "https://web.example/cb/evil.example"),
    ("dot_segments", "https://web.example/x/../cb"),
    ("encoded", "https://web.example/%63b"),
    ("query", "https://web.example/cb?next=evil.example"),
    ("other_query", "https://web.example/cb?tenant=2"),
    ("more_query", "https://web.example/cb?tenant=1&x=1"),
    ("empty_query", "https://web.example/cb?"),
    ("fragment", "https://web.example/cb#evil.example"),
    ("userinfo", "https://web.example@evil.example/cb"),
    ("subdomain", "https://evil.web.example/cb"),
    ("suffix", "https://web.example.evil.example/cb"),
    ("backslash", "https://evil.example\\@web.example/cb"),
    ("scheme_relative", "//web.example/cb"),
    ("relative", "/cb"),
    ("leading_space", " https://web.example/cb"),
    ("line_break", "https://web.example/cb\r\nX-Evil: 1"),
    ("null", "https://web.example/cb\0"),
    ("other_clients", "https://spa.example/cb"),
    ("script", "javascript:alert(1)"),
    ("data", "data:text/html,evil.example"),
    ("our_own", "http://localhost/account"),
];

#[tokio::test]
async fn bcp_01_bcp_03_f2_11_only_the_exact_string_is_followed() {
    let (bank, browser) = (Bank::open().await, Browser::new());
    for &(case, redirect_uri) in NOT_THE_REGISTERED_STRING {
        assert_local(&browser.open(to(&bank, "web-app", redirect_uri).url()).await, 400, case);
        // An error must not go there either.
        let broken = to(&bank, "web-app", redirect_uri).with("response_type", "token");
        assert_local(&browser.open(broken.url()).await, 400, case);
        let silent = to(&bank, "web-app", redirect_uri).with("prompt", "none");
        assert_local(&browser.open(silent.with("response_mode", "form_post").url()).await, 400, case);
    }
}

#[tokio::test]
async fn bcp_01_a_registered_query_stays_and_grows() {
    let (bank, browser) = (Bank::open().await, Browser::new());
    let attempt = to(&bank, "web-app", "https://web.example/cb?tenant=1");
    let departure = bank.connect(&mut bank.person("bob"), &browser, attempt.url()).await;
    assert!(departure.url.as_str().starts_with("https://web.example/cb?tenant=1&"), "{}", departure.url);
    assert_eq!(departure.parameter("tenant"), Some("1"));
    attempt.code(&departure);
}

#[rstest]
#[case::as_registered("http://127.0.0.1/cb")]
#[case::any_port("http://127.0.0.1:51234/cb")]
#[case::private_use("com.example.native:/cb")]
#[tokio::test]
async fn bcp_01_native_clients_choose_their_loopback_port(#[case] redirect_uri: &str) {
    let (bank, browser) = (Bank::open().await, Browser::new());
    let mut app = bank.app("native-app");
    app.redirect_uri = redirect_uri.to_owned();
    let attempt = app.attempt("openid");
    let departure = bank.connect(&mut bank.person("bob"), &browser, attempt.url()).await;
    assert!(departure.url.as_str().starts_with(redirect_uri), "{}", departure.url);
    app.redeem(&attempt, &attempt.code(&departure)).await.expect(200);
}

/// Name, and the address that is asked for.
const NOT_A_LOOPBACK_PORT: &[(&str, &str)] = &[
    ("a_name", "http://localhost:51234/cb"),
    ("another_address", "http://127.0.0.2:51234/cb"),
    ("not_registered_v6", "http://[::1]:51234/cb"),
    ("short_form", "http://127.1:51234/cb"),
    ("number", "http://2130706433:51234/cb"),
    ("path", "http://127.0.0.1:51234/other"),
    ("https", "https://127.0.0.1:51234/cb"),
    ("port_out_of_range", "http://127.0.0.1:65536/cb"),
    ("port_as_userinfo", "http://127.0.0.1:51234@evil.example/cb"),
    ("private_use_path", "com.example.native:/other"),
    ("private_use_host", "com.example.native://evil.example/cb"),
];

#[tokio::test]
async fn bcp_01_nothing_else_may_differ() {
    let (bank, browser) = (Bank::open().await, Browser::new());
    for &(case, redirect_uri) in NOT_A_LOOPBACK_PORT {
        assert_local(&browser.open(to(&bank, "native-app", redirect_uri).url()).await, 400, case);
    }
}

/// Name, and the parameter that is wrong.
const NOBODY_TO_ANSWER: &[(&str, &str, &str)] = &[
    ("no_client", "client_id", ""),
    ("unknown_client", "client_id", "nobody"),
    ("hostile_client", "client_id", "<b>evil.example</b>"),
    ("resource_server", "client_id", "accounts-api"),
    ("client_without_redirects", "client_id", "batch-job"),
    ("oc_32_no_redirect_uri", "redirect_uri", ""),
];

#[tokio::test]
async fn bcp_03_oc_32_without_client_and_address_there_is_a_page() {
    let (bank, browser) = (Bank::open().await, Browser::new());
    for &(case, name, value) in NOBODY_TO_ANSWER {
        let attempt = bank.app("web-app").attempt("openid");
        assert_local(&browser.open(attempt.with(name, value).url()).await, 400, case);
    }
    // A client with one registered URI is no exception (RFC 6749 §3.1.2.3 would let it be).
    let one = bank.app("spa").attempt("openid").without("redirect_uri");
    assert_local(&browser.open(one.url()).await, 400, "one registered URI");
}

#[tokio::test]
async fn bcp_03_repeated_client_or_address_is_nobodys() {
    let (bank, browser) = (Bank::open().await, Browser::new());
    let attempt = bank.app("web-app").attempt("openid");
    for (name, value) in [
        ("client_id", "spa"),
        ("client_id", "web-app"),
        ("redirect_uri", "https://evil.example/cb"),
        ("redirect_uri", "https://web.example/cb"),
    ] {
        assert_local(&browser.open(attempt.clone().also(name, value).url()).await, 400, name);
    }
}

#[tokio::test]
async fn f2_11_an_address_deregistered_meanwhile_gets_nothing() {
    let (bank, browser) = (Bank::open().await, Browser::new());
    let mut bob = bank.person("bob");
    let page = browser.open(bank.app("spa").attempt("openid").url()).await;
    let page = bob.walk(&browser, page, "consent-allow", bank.now()).await;
    let moved = "[[client]]\nclient_id = 'spa'\ntoken_endpoint_auth_method = 'none'\n\
                 redirect_uris = ['https://moved.example/cb']\nscope = 'openid'\n";
    bank.declare(moved).await.unwrap();
    let page = browser.submit(&page, "consent-allow", &[]).await;
    assert!(page.departure.is_none(), "{:?}", page.departure);
    assert_eq!(page.status, 410);
    assert_eq!(bank.audited(audit::EventKind::AuthorizationIssued).await, 0);
}

#[rstest]
#[case("/login?return_to=https://evil.example&next=https://evil.example")]
#[case("/account?redirect_uri=https://evil.example")]
#[case("/end-session?post_logout_redirect_uri=https://evil.example&client_id=web-app")]
#[case("/end-session?post_logout_redirect_uri=https://web.example/bye/evil.example&client_id=web-app")]
#[case("/signed-out?post_logout_redirect_uri=https://evil.example")]
#[case("//evil.example")]
#[case("/interaction/https://evil.example")]
#[case("/authorize/https://evil.example")]
#[tokio::test]
async fn f2_11_no_other_endpoint_redirects_to_strangers(#[case] path: &str) {
    let (bank, browser) = (Bank::open().await, Browser::new());
    let page = browser.open(bank.url(path)).await;
    assert!(page.departure.is_none(), "left for {:?}", page.departure);
    assert!(page.status < 500, "{}", page.status);
    assert!(!page.attributes("a, form", "href").iter().any(|link| link.contains("evil.example")));
    // Signed in, and after the sign-out button, as little.
    bank.connect(&mut bank.person("bob"), &browser, bank.app("web-app").attempt("openid").url()).await;
    let page = browser.open(bank.url(path)).await;
    assert!(page.departure.is_none(), "left for {:?}", page.departure);
    if page.url.path() == "/end-session" && page.has("sign-out") {
        let page = browser.submit(&page, "sign-out", &[]).await;
        assert!(page.departure.is_none(), "left for {:?}", page.departure);
    }
}

/// Name, kind of client, and what it would register.
const NEVER_REGISTERED: &[(&str, &str, &str)] = &[
    ("fragment", "web", "https://new.example/cb#x"),
    ("empty_fragment", "web", "https://new.example/cb#"),
    ("wildcard_host", "web", "https://*.new.example/cb"),
    ("wildcard_path", "web", "https://new.example/*"),
    ("userinfo", "web", "https://user@new.example/cb"),
    ("password", "web", "https://user:pass@new.example/cb"),
    ("relative", "web", "/cb"),
    ("f2_24_http", "web", "http://new.example/cb"),
    ("f2_24_loopback_of_a_web_client", "web", "http://127.0.0.1/cb"),
    ("f2_24_http_of_a_native_client", "native", "http://new.example/cb"),
    ("f2_24_loopback_by_name", "native", "http://localhost/cb"),
    ("f2_24_other_loopback", "native", "http://127.0.0.2/cb"),
    ("bcp_21_script", "native", "javascript:alert(1)"),
    ("bcp_21_data", "native", "data:text/html,x"),
    ("bcp_21_no_reversed_domain", "native", "myapp:/cb"),
    ("bcp_21_private_use_of_a_web_client", "web", "com.example.app:/cb"),
];

#[tokio::test]
async fn bcp_02_f2_24_such_addresses_cannot_be_registered() {
    let bank = Bank::open().await;
    let client = |kind: &str, uri: &str| {
        format!(
            "[[client]]\nclient_id = 'another'\ntoken_endpoint_auth_method = 'none'\nscope = 'openid'\n\
             application_type = '{kind}'\nredirect_uris = ['https://new.example/ok', '{uri}']\n"
        )
    };
    for &(case, kind, uri) in NEVER_REGISTERED {
        let refusal = bank.declare(&client(kind, uri)).await;
        assert!(refusal.is_err(), "{case}: {uri} was taken");
        let page = Browser::new().open(to(&bank, "web-app", uri).with("client_id", "another").url()).await;
        assert_local(&page, 400, case);
    }
    bank.declare(&client("native", "http://[::1]/cb")).await.unwrap();
}
