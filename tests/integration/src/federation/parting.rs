//! The end of a session, on either side.

use audit::EventKind;
use chrono::TimeDelta;
use jose::Algorithm;
use serde_json::{Value, json};
use testkit::{Browser, Page};

use super::Banks;
use crate::bank::{ENGINES, Engine};

const EVENT: &str = "http://schemas.openid.net/event/backchannel-logout";

/// Alice of North is signed in at both.
async fn signed_in(banks: &Banks) -> (Browser, Browser, Page) {
    let (browser, there) = (banks.browser(), banks.browser());
    let mut alice = banks.north.person("alice");
    let page = browser.open(banks.south.url("/account")).await;
    let to = banks.to_north(&browser, &page).await;
    let back = banks.through_north(&there, &mut alice, &to).await;
    let page = browser.open(back.url.as_str()).await;
    assert!(page.has("sign-out"), "{} {}", page.url, page.text());
    (browser, there, page)
}

async fn is_signed_in(browser: &Browser, banks: &Banks) -> bool {
    browser.open(banks.south.url("/account")).await.has("sign-out")
}

#[tokio::test]
async fn signing_out_here_signs_out_there() {
    for engine in ENGINES {
        let banks = Banks::open(engine, |config| config.just_in_time = true).await;
        let (browser, there, page) = signed_in(&banks).await;
        let to = browser.submit(&page, "sign-out", &[]).await.departed().clone();
        assert!(to.url.as_str().starts_with(&banks.north.url("/end-session?")), "{}", to.url);
        assert!(to.parameter("id_token_hint").is_some());
        assert!(!is_signed_in(&browser, &banks).await, "the session here has ended whatever happens there");
        let mut back = there.open(to.url.as_str()).await;
        if back.departure.is_none() {
            back = there.submit(&back, "sign-out", &[]).await;
        }
        let page = browser.open(back.departed().url.as_str()).await;
        assert_eq!((page.url.path(), page.status), ("/signed-out", 200));
        let account = there.open(banks.north.url("/account")).await;
        assert!(account.has("login-submit"), "the session there has ended");
    }
}

/// A logout token of North, as the test changes it.
fn token(banks: &Banks, change: impl FnOnce(&mut Value)) -> String {
    typed("logout+jwt", banks, change)
}

fn typed(typ: &str, banks: &Banks, change: impl FnOnce(&mut Value)) -> String {
    let now = banks.north.now().timestamp();
    let mut claims = json!({
        "iss": banks.north.issuer, "aud": "south", "iat": now, "exp": now + 120, "jti": "1",
        "events": { EVENT: {} },
    });
    change(&mut claims);
    let declared = banks.north.service.declared();
    declared.keyring.signer(Algorithm::Es256).unwrap().sign(typ, &claims).unwrap()
}

async fn post(banks: &Banks, token: &str) -> u16 {
    let url = banks.south.url("/federation/backchannel-logout/north");
    let request = banks.browser().client().post(url).form(&[("logout_token", token)]);
    let answer = request.send().await.unwrap();
    assert_eq!(answer.headers()["cache-control"], "no-store");
    answer.status().as_u16()
}

async fn subject(banks: &Banks) -> String {
    let user = banks.north.service.store().user_by_name(&"alice".parse().unwrap()).await.unwrap();
    user.unwrap().id.to_string()
}

#[tokio::test]
async fn a_logout_token_of_the_provider_ends_its_sessions() {
    for engine in ENGINES {
        let banks = Banks::open(engine, |config| config.just_in_time = true).await;
        let (browser, ..) = signed_in(&banks).await;
        let subject = subject(&banks).await;
        assert_eq!(post(&banks, &token(&banks, |claims| claims["sub"] = json!("somebody else"))).await, 200);
        assert!(is_signed_in(&browser, &banks).await);
        let ending = token(&banks, |claims| {
            claims["sub"] = json!(subject);
            claims["jti"] = json!("2");
        });
        assert_eq!(post(&banks, &ending).await, 200);
        assert!(!is_signed_in(&browser, &banks).await);
        // The same token again ends nothing that began since.
        let (browser, ..) = signed_in(&banks).await;
        assert_eq!(post(&banks, &ending).await, 200);
        assert!(is_signed_in(&browser, &banks).await);
    }
}

#[tokio::test]
async fn other_logout_tokens_are_refused() {
    let banks = Banks::open(Engine::Sqlite, |config| config.just_in_time = true).await;
    let (browser, ..) = signed_in(&banks).await;
    let subject = subject(&banks).await;
    let now = banks.north.now();
    let with = |change: fn(&mut Value)| {
        token(&banks, |claims| {
            claims["sub"] = json!(subject);
            change(claims);
        })
    };
    let bad = [
        with(|claims| claims["iss"] = json!("https://elsewhere.example")),
        with(|claims| claims["aud"] = json!("somebody")),
        with(|claims| claims["nonce"] = json!("n")),
        with(|claims| claims["events"] = json!({})),
        with(|claims| claims["events"] = json!({ EVENT: true })),
        with(|claims| claims["jti"] = Value::Null),
        with(|claims| claims["iat"] = Value::Null),
        with(|claims| claims["sub"] = Value::Null),
        token(&banks, |claims| claims["sub"] = json!("")),
        token(&banks, |claims| {
            claims["sub"] = json!(subject);
            claims["exp"] = json!((now - TimeDelta::minutes(5)).timestamp());
        }),
        token(&banks, |claims| {
            claims["sub"] = json!(subject);
            claims["iat"] = json!((now - TimeDelta::minutes(30)).timestamp());
        }),
        typed("at+jwt", &banks, |claims| claims["sub"] = json!(subject)),
        "nonsense".to_owned(),
    ];
    for (number, token) in bad.iter().enumerate() {
        assert_eq!(post(&banks, token).await, 400, "token {number}");
        assert!(is_signed_in(&browser, &banks).await, "token {number}");
    }
    assert_eq!(banks.audited(EventKind::UpstreamLogoutRefused).await, bad.len());
}

#[tokio::test]
async fn bl_02_a_logout_at_the_provider_reaches_us() {
    let banks = Banks::open(Engine::Sqlite, |config| config.just_in_time = true).await;
    let (browser, there, _) = signed_in(&banks).await;
    let page = there.open(banks.north.url("/account")).await;
    there.submit(&page, "sign-out", &[]).await;
    banks.north.service.deliver_due_logouts().await.unwrap();
    assert!(!is_signed_in(&browser, &banks).await);
}
