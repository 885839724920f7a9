//! OpenID Connect RP-Initiated Logout 1.0: who is asked first, and where one may be sent.

use audit::EventKind;
use chrono::TimeDelta;
use testkit::{Answer, Browser, Page, Person};
use url::Url;

use crate::bank::{Bank, ENGINES};
use crate::visits::{is_signed_in, sign_in};

const BYE: &str = "https://web.example/bye";

/// Connects an app without lasting access; the tokens' `id_token` is the hint.
async fn connect(bank: &Bank, person: &mut Person, browser: &Browser, app: &str, scope: &str) -> Answer {
    let app = bank.app(app);
    let attempt = app.attempt(scope);
    let departure = bank.connect(person, browser, attempt.url()).await;
    app.redeem(&attempt, &attempt.code(&departure)).await.expect(200)
}

fn end_session(bank: &Bank, parameters: &[(&str, &str)]) -> String {
    Url::parse_with_params(&bank.url("/end-session"), parameters).unwrap().into()
}

/// A page that says that it is done, at our own place.
fn assert_stayed(page: &Page) {
    assert!(page.departure.is_none(), "went to {:?}", page.departure);
    assert_eq!((page.status, page.url.path()), (200, "/signed-out"), "{}", page.text());
}

#[tokio::test]
async fn lo_01_without_a_hint_the_person_confirms_first() {
    for engine in ENGINES {
        let bank = Bank::on(engine).await;
        let (mut bob, browser) = (bank.person("bob"), Browser::new());
        let parameters = [("client_id", "web-app"), ("post_logout_redirect_uri", BYE), ("state", "s")];
        for post in [false, true] {
            sign_in(&bank, &mut bob, &browser).await;
            let asked = if post {
                browser.post_from_another_site(bank.url("/end-session"), &parameters).await
            } else {
                browser.open(end_session(&bank, &parameters)).await
            };
            let asked = asked.expect(200);
            assert!(asked.has("sign-out") && asked.has("stay"), "{}", asked.text());
            assert!(asked.text().contains("Web App") && asked.text().contains("bob"));
            // Chromium applies form-action to the redirect that follows the answer.
            let policy = asked.header("content-security-policy").unwrap();
            assert!(policy.contains("form-action 'self' https://web.example"), "{policy}");

            // Nobody can say yes in the person's place.
            let form = asked.form("sign-out").without("csrf");
            for forged in [form.clone(), form.clone().also("csrf", "wrong")] {
                assert!(browser.send(forged).await.has("sign-out"));
            }
            assert!(is_signed_in(&bank, &browser).await);
            let departure = browser.submit(&asked, "sign-out", &[]).await.departed().clone();
            assert_eq!(departure.url.as_str(), "https://web.example/bye?state=s");
            assert!(!is_signed_in(&bank, &browser).await);
        }
        assert!(bank.audited(EventKind::LogoutRefused).await >= 2);
        assert_eq!(bank.audited(EventKind::SessionEnded).await, 2);
    }
}

#[tokio::test]
async fn lo_01_a_hint_of_this_session_needs_no_question() {
    let bank = Bank::open().await;
    let (mut bob, browser) = (bank.person("bob"), Browser::new());
    for post in [false, true] {
        let tokens = connect(&bank, &mut bob, &browser, "web-app", "openid").await;
        let hint = [("id_token_hint", tokens.str("id_token")), ("post_logout_redirect_uri", BYE)];
        let left = if post {
            browser.post_from_another_site(bank.url("/end-session"), &hint).await
        } else {
            browser.open(end_session(&bank, &hint)).await
        };
        assert_eq!(left.departed().url.as_str(), BYE);
        assert!(!is_signed_in(&bank, &browser).await);
        bank.advance(TimeDelta::minutes(1));
    }
    let tokens = connect(&bank, &mut bob, &browser, "web-app", "openid").await;
    assert_stayed(&browser.open(end_session(&bank, &[("id_token_hint", tokens.str("id_token"))])).await);
    assert!(!is_signed_in(&bank, &browser).await);
}

#[tokio::test]
async fn lo_01_a_hint_of_another_session_or_person_is_no_consent() {
    let bank = Bank::open().await;
    let (mut bob, mut alice) = (bank.person("bob"), bank.person("alice"));
    let (here, there, hers) = (Browser::new(), Browser::new(), Browser::new());
    connect(&bank, &mut bob, &here, "web-app", "openid").await;
    let elsewhere = connect(&bank, &mut bob, &there, "web-app", "openid").await;
    let foreign = connect(&bank, &mut alice, &hers, "web-app", "openid").await;
    for tokens in [&elsewhere, &foreign] {
        let hint = [("id_token_hint", tokens.str("id_token")), ("post_logout_redirect_uri", BYE)];
        let asked = here.open(end_session(&bank, &hint)).await.expect(200);
        assert!(asked.has("sign-out") && asked.has("stay"));
    }
    for browser in [&here, &there, &hers] {
        assert!(is_signed_in(&bank, browser).await);
    }
}

#[tokio::test]
async fn lo_02_only_registered_addresses_are_gone_to() {
    let bank = Bank::open().await;
    let (mut bob, browser) = (bank.person("bob"), Browser::new());
    let hint = connect(&bank, &mut bob, &browser, "web-app", "openid").await.str("id_token").to_owned();
    let other = connect(&bank, &mut bob, &browser, "own-app", "openid").await.str("id_token").to_owned();
    let (signed, signature) = hint.rsplit_once('.').unwrap();
    let tampered = format!("{signed}.{}", signature.chars().rev().collect::<String>());
    let page = browser.open(bank.url("/account")).await;
    browser.submit(&page, "sign-out", &[]).await.expect(200);

    // Nobody is signed in any more: there is no question, only where to go.
    let own_uri = [("id_token_hint", hint.as_str()), ("post_logout_redirect_uri", BYE)];
    assert_eq!(browser.open(end_session(&bank, &own_uri)).await.departed().url.as_str(), BYE);
    let longer = format!("{BYE}/more");
    let with_query = format!("{BYE}?x=y");
    for (hint, client, uri) in [
        (Some(hint.as_str()), None, "https://evil.example/bye"),
        (Some(hint.as_str()), None, longer.as_str()),
        (Some(hint.as_str()), None, with_query.as_str()),
        (Some(hint.as_str()), None, "https://web.example/BYE"),
        (Some(hint.as_str()), None, "https://WEB.example/bye"),
        (Some(hint.as_str()), None, "https://web.example:443/bye"),
        // A registered redirect URI is not a registered logout URI.
        (Some(hint.as_str()), None, "https://web.example/cb"),
        // Another client's hint, or two that contradict each other.
        (Some(other.as_str()), None, BYE),
        (Some(hint.as_str()), Some("own-app"), BYE),
        (Some(other.as_str()), Some("web-app"), BYE),
        // A hint that is not ours, whatever is said beside it.
        (Some(tampered.as_str()), None, BYE),
        (Some(tampered.as_str()), Some("web-app"), BYE),
        (Some("nonsense"), Some("web-app"), BYE),
        (None, Some("nobody"), BYE),
        (None, None, BYE),
    ] {
        let mut parameters = vec![("post_logout_redirect_uri", uri), ("state", "s")];
        parameters.extend(hint.map(|hint| ("id_token_hint", hint)));
        parameters.extend(client.map(|client| ("client_id", client)));
        let page = browser.open(end_session(&bank, &parameters)).await;
        assert_stayed(&page);
        assert!(!page.url.as_str().contains("state"), "LO-03: {}", page.url);
    }
}

#[tokio::test]
async fn lo_02_a_tampered_hint_signs_nobody_out() {
    let bank = Bank::open().await;
    let (mut bob, browser) = (bank.person("bob"), Browser::new());
    let hint = connect(&bank, &mut bob, &browser, "web-app", "openid").await.str("id_token").to_owned();
    let (signed, _) = hint.rsplit_once('.').unwrap();
    for hint in [format!("{signed}."), format!("{signed}.AAAA"), signed.to_owned(), "x.y.z".to_owned()] {
        let parameters =
            [("id_token_hint", hint.as_str()), ("client_id", "web-app"), ("post_logout_redirect_uri", BYE)];
        let asked = browser.open(end_session(&bank, &parameters)).await.expect(200);
        assert!(asked.has("stay"), "{}", asked.text());
        assert!(is_signed_in(&bank, &browser).await);
    }
    // Confirmed by the person, it still leads nowhere.
    let parameters =
        [("id_token_hint", "x.y.z"), ("client_id", "web-app"), ("post_logout_redirect_uri", BYE)];
    let asked = browser.open(end_session(&bank, &parameters)).await;
    assert_stayed(&browser.submit(&asked, "sign-out", &[]).await);
    assert!(!is_signed_in(&bank, &browser).await);
}

#[tokio::test]
async fn lo_03_state_comes_back_unchanged_and_expired_hints_work() {
    let bank = Bank::open().await;
    let (mut bob, browser) = (bank.person("bob"), Browser::new());
    let hint = connect(&bank, &mut bob, &browser, "web-app", "openid").await.str("id_token").to_owned();
    // ID tokens live for five minutes, sessions for longer.
    bank.advance(TimeDelta::minutes(14));
    assert!(is_signed_in(&bank, &browser).await);
    let state = "a b&c=d+e%20/?#é";
    let parameters = [("id_token_hint", hint.as_str()), ("post_logout_redirect_uri", BYE), ("state", state)];
    let page = browser.open(end_session(&bank, &parameters)).await;
    let departure = page.departed();
    assert_eq!(departure.parameter("state"), Some(state));
    assert_eq!(departure.parameters.len(), 1, "nothing else is added");
    assert!(!is_signed_in(&bank, &browser).await);
}

#[tokio::test]
async fn bl_04_logout_ends_what_is_bound_to_the_session_and_nothing_else() {
    for engine in ENGINES {
        let bank = Bank::on(engine).await;
        let (mut bob, browser, other) = (bank.person("bob"), Browser::new(), Browser::new());
        let bound = connect(&bank, &mut bob, &browser, "web-app", "openid accounts:read").await;
        let lasting =
            connect(&bank, &mut bob, &browser, "native-app", "openid offline_access accounts:read").await;
        let elsewhere = connect(&bank, &mut bob, &other, "own-app", "openid accounts:read").await;
        let (web, native, own, api) =
            (bank.app("web-app"), bank.app("native-app"), bank.app("own-app"), bank.api("accounts-api"));
        assert!(api.is_active(bound.str("access_token")).await);

        browser.open(end_session(&bank, &[("id_token_hint", bound.str("id_token"))])).await.expect(200);
        web.refresh(bound.str("refresh_token")).await.expect_error(400, "invalid_grant");
        native.refresh(lasting.str("refresh_token")).await.expect(200);
        own.refresh(elsewhere.str("refresh_token")).await.expect(200);
        assert!(api.is_active(lasting.str("access_token")).await);
        assert!(is_signed_in(&bank, &other).await);
    }
}

#[tokio::test]
async fn malformed_requests_are_refused_and_nothing_ends() {
    let bank = Bank::open().await;
    let (mut bob, browser) = (bank.person("bob"), Browser::new());
    sign_in(&bank, &mut bob, &browser).await;
    for query in ["state=a&state=b", "client_id=a&client_id=b", "id_token_hint=a&id_token_hint=b"] {
        let page = browser.open(bank.url(&format!("/end-session?{query}"))).await;
        assert_eq!((page.status, page.has("correlation-id")), (400, true), "{query}");
    }
    assert!(is_signed_in(&bank, &browser).await);
}

#[tokio::test]
async fn lo_01_another_site_takes_no_cookie_away() {
    let bank = Bank::open().await;
    let (mut bob, browser) = (bank.person("bob"), Browser::new());
    sign_in(&bank, &mut bob, &browser).await;
    // A post from there carries no Lax cookie, but the browser takes the cookies of its answer. With a token
    // of the confirmation page made up, it is asked about like any other.
    let parameters = [("client_id", "web-app"), ("csrf", "made-up")];
    let asked = browser.post_from_another_site(bank.url("/end-session"), &parameters).await;
    assert!(asked.has("sign-out"), "{} {}", asked.url, asked.text());
    assert!(is_signed_in(&bank, &browser).await);
    assert_eq!(bank.audited(EventKind::SessionEnded).await, 0);
    // Nor does a picture on its page, which has no cookies of ours either.
    let answer = reqwest::Client::builder().redirect(reqwest::redirect::Policy::none()).build().unwrap();
    let answer = answer.get(bank.url("/end-session")).send().await.unwrap();
    assert_eq!(answer.status(), 303);
    assert_eq!(answer.headers().get("set-cookie"), None);
}
