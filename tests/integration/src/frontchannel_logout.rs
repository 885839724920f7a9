//! OpenID Connect Front-Channel Logout 1.0: the page after a logout frames the clients of the session.

use serde_json::json;
use testkit::{Browser, ClientAuth, Page, RelyingParty, claims_of};
use url::Url;

use crate::{bank::Bank, steps::declare_client, visits::is_signed_in};

async fn framed(bank: &Bank, id: &str, host: &str) -> RelyingParty {
    let metadata = json!({
        "client_name": id,
        "token_endpoint_auth_method": "none",
        "redirect_uris": [format!("https://{host}/cb")],
        "post_logout_redirect_uris": [format!("https://{host}/bye")],
        "scope": "openid",
        "frontchannel_logout_uri": format!("https://{host}/out?tenant=a%26b"),
        "frontchannel_logout_session_required": true,
    });
    declare_client(bank, id, metadata).await.unwrap();
    RelyingParty::new(&bank.issuer, id, ClientAuth::None, &format!("https://{host}/cb"))
}

fn frames(page: &Page) -> Vec<Url> {
    let urls = page.attributes("iframe", "src");
    urls.iter().map(|url| Url::parse(url).unwrap()).collect()
}

fn parameters(url: &Url) -> Vec<(String, String)> {
    url.query_pairs().into_owned().collect()
}

#[tokio::test]
async fn fl_01_each_client_of_the_session_is_framed_with_iss_and_sid() {
    let bank = Bank::open().await;
    let (one, two) =
        (framed(&bank, "one", "one.example").await, framed(&bank, "two", "two.example:8443").await);
    let other = framed(&bank, "other", "other.example").await;
    let (mut bob, browser, elsewhere) = (bank.person("bob"), Browser::new(), Browser::new());
    let mut id_token = String::new();
    for app in [&one, &two] {
        let attempt = app.attempt("openid");
        let departure = bank.connect(&mut bob, &browser, attempt.url()).await;
        id_token =
            app.redeem(&attempt, &attempt.code(&departure)).await.expect(200).str("id_token").to_owned();
    }
    bank.connect(&mut bob, &elsewhere, other.attempt("openid").url()).await;
    let quiet = bank.app("web-app");
    bank.connect(&mut bob, &browser, quiet.attempt("openid").url()).await;

    let parameters_sent = [
        ("id_token_hint", id_token.as_str()),
        ("post_logout_redirect_uri", "https://two.example:8443/bye"),
        ("state", "s 1"),
    ];
    let url = Url::parse_with_params(&bank.url("/end-session"), parameters_sent).unwrap();
    let page = browser.open(url.as_str()).await.expect(200);
    let sid = claims_of(&id_token)["sid"].as_str().unwrap().to_owned();
    let found = frames(&page);
    assert_eq!(found.len(), 2, "{}", page.body);
    for (url, origin) in found.iter().zip(["https://one.example", "https://two.example:8443"]) {
        assert_eq!(url.origin().ascii_serialization(), origin);
        let expected = [("tenant", "a&b"), ("iss", bank.issuer.as_str()), ("sid", &sid)];
        assert_eq!(parameters(url), expected.map(|(name, value)| (name.to_owned(), value.to_owned())));
    }
    // Exactly these are framed (BCP-12), nobody frames us, and no script is inline (BCP-13).
    let policy = page.header("content-security-policy").unwrap();
    assert!(policy.contains("; frame-src https://one.example https://two.example:8443"), "{policy}");
    assert!(policy.contains("frame-ancestors 'none'") && !policy.contains("unsafe"), "{policy}");
    assert_eq!(page.header("referrer-policy"), Some("no-referrer"));
    // Without scripts a link leads on, with the state on it.
    let onward = page.attributes("#continue", "href");
    assert_eq!(onward, ["https://two.example:8443/bye?state=s+1"]);
    assert!(!is_signed_in(&bank, &browser).await);
    assert!(is_signed_in(&bank, &elsewhere).await);
}

#[tokio::test]
async fn fl_01_the_account_page_tells_clients_too_and_only_once() {
    let bank = Bank::open().await;
    let one = framed(&bank, "one", "one.example").await;
    let (mut bob, browser) = (bank.person("bob"), Browser::new());
    bank.connect(&mut bob, &browser, one.attempt("openid").url()).await;
    let account = browser.open(bank.url("/account")).await;
    let page = browser.submit(&account, "sign-out", &[]).await.expect(200);
    assert_eq!(frames(&page).len(), 1);
    assert_eq!(page.attributes("#continue", "href"), ["/signed-out"]);
    // A session that nobody shared with a client goes straight on.
    crate::visits::sign_in(&bank, &mut bob, &browser).await;
    let account = browser.open(bank.url("/account")).await;
    let page = browser.submit(&account, "sign-out", &[]).await.expect(200);
    assert_eq!((page.url.path(), frames(&page).len()), ("/signed-out", 0));
}

#[tokio::test]
async fn fl_01_whoever_leaves_for_somebody_else_is_signed_out_of_their_apps() {
    let bank = Bank::open().await;
    let one = framed(&bank, "one", "one.example").await;
    let (mut bob, mut dave, browser) = (bank.person("bob"), bank.person("dave"), Browser::new());
    bank.connect(&mut bob, &browser, one.attempt("openid").url()).await;
    bank.advance(chrono::TimeDelta::minutes(1));
    let attempt = one.attempt("openid").with("prompt", "select_account");
    let page = browser.open(attempt.url()).await;
    let page = browser.submit(&page, "use-another-account", &[]).await.expect(200);
    assert_eq!(frames(&page).len(), 1, "{}", page.text());
    let onward = page.attributes("#continue", "href").remove(0);
    let page = browser.open(bank.url(&onward)).await;
    assert!(page.has("login-submit"), "{} {}", page.url, page.text());
    let page = dave.walk(&browser, page, "", bank.now()).await;
    one.redeem(&attempt, &attempt.code(page.departed())).await.expect(200);
}

#[tokio::test]
async fn fl_02_the_metadata_says_what_is_true() {
    let bank = Bank::open().await;
    let found = bank.app("web-app").get("/.well-known/openid-configuration").await.expect(200);
    for flag in [
        "backchannel_logout_supported",
        "backchannel_logout_session_supported",
        "frontchannel_logout_supported",
        "frontchannel_logout_session_supported",
    ] {
        assert_eq!(found[flag], json!(true), "{flag}");
    }
    assert_eq!(found.str("check_session_iframe"), bank.url("/check-session"));
    assert_eq!(found.str("end_session_endpoint"), bank.url("/end-session"));
}
