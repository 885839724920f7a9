//! RFC 8628, the device flow: codes, polls, the pages of the person, and what guessing gets.

use std::collections::BTreeSet;

use audit::EventKind;
use chrono::TimeDelta;
use serde_json::{Value, json};
use testkit::{Answer, Browser, ClientAuth, Page, Person, RelyingParty, claims_of};

use crate::{
    bank::{Bank, ENGINES, Engine},
    steps::declare_client,
    visits::is_signed_in,
};

const GRANT: &str = "urn:ietf:params:oauth:grant-type:device_code";

async fn tv(bank: &Bank, id: &str, more: Value) -> RelyingParty {
    let mut metadata = json!({
        "client_name": "Ledgerline TV",
        "token_endpoint_auth_method": "none",
        "grant_types": [GRANT, "refresh_token"],
        "scope": "openid offline_access accounts:read",
    });
    metadata.as_object_mut().unwrap().extend(more.as_object().unwrap().clone());
    declare_client(bank, id, metadata).await.unwrap();
    RelyingParty::new(&bank.issuer, id, ClientAuth::None, "https://unused.example/cb")
}

async fn begin(app: &RelyingParty, scope: &str) -> Answer {
    app.post("/device_authorization", &[("scope", scope)]).await.expect(200)
}

async fn poll(app: &RelyingParty, device: &Answer) -> Answer {
    app.token(&[("grant_type", GRANT), ("device_code", device.str("device_code"))]).await
}

/// Types the code and stops at the page that asks to compare it.
async fn type_code(bank: &Bank, browser: &Browser, code: &str) -> Page {
    let page = browser.open(bank.url("/device")).await.expect(200);
    browser.submit(&page, "code-submit", &[("user_code", code)]).await
}

/// Everything up to the page that says that the person may go back.
async fn allow(bank: &Bank, person: &mut Person, browser: &Browser, device: &Answer) -> Page {
    let page = type_code(bank, browser, device.str("user_code")).await;
    let page = browser.submit(&page, "code-confirm", &[]).await;
    person.walk(browser, page, "device-allowed", bank.now()).await.expect(200)
}

#[tokio::test]
async fn dv_01_the_answer_is_complete_and_the_code_can_be_read_aloud() {
    let bank = Bank::open().await;
    let app = tv(&bank, "tv", json!({})).await;
    let device = begin(&app, "openid accounts:read").await;
    assert_eq!(device.header("cache-control"), Some("no-store"));
    let members: BTreeSet<&str> = device.json.as_object().unwrap().keys().map(String::as_str).collect();
    let expected = [
        "device_code",
        "expires_in",
        "interval",
        "user_code",
        "verification_uri",
        "verification_uri_complete",
    ];
    assert_eq!(members, expected.into());
    assert_eq!((&device["expires_in"], &device["interval"]), (&json!(600), &json!(5)));
    let code = device.str("user_code");
    assert!(code.len() == 9 && code.chars().all(|c| "BCDFGHJKLMNPQRSTVWXZ-".contains(c)), "{code}");
    assert_eq!(device.str("verification_uri"), bank.url("/device"));
    assert_eq!(device.str("verification_uri_complete"), bank.url(&format!("/device?user_code={code}")));
    assert_eq!(device.str("device_code").len(), 43);
    let found = app.get("/.well-known/openid-configuration").await.expect(200);
    assert_eq!(found.str("device_authorization_endpoint"), bank.url("/device_authorization"));
    assert!(found["grant_types_supported"].as_array().unwrap().contains(&json!(GRANT)));

    // Typed as people type.
    let browser = Browser::new();
    let typed = format!(" {} ", code.to_lowercase().replace('-', " "));
    let page = type_code(&bank, &browser, &typed).await.expect(200);
    assert_eq!(page.texts("#code"), [code]);
    // Nothing of either code is kept as it is.
    let bytes = bank.database_bytes();
    for secret in [code, &code.replace('-', ""), device.str("device_code")] {
        assert!(!bytes.windows(secret.len()).any(|window| window == secret.as_bytes()), "{secret}");
    }
}

#[tokio::test]
async fn dv_02_dv_03_a_device_is_connected_and_its_code_is_spent_once() {
    for engine in ENGINES {
        let bank = Bank::on(engine).await;
        let app = tv(&bank, "tv", json!({})).await;
        let (mut bob, browser) = (bank.person("bob"), Browser::new());
        let device = begin(&app, "openid offline_access accounts:read").await;
        poll(&app, &device).await.expect_error(400, "authorization_pending");
        allow(&bank, &mut bob, &browser, &device).await;
        let tokens = poll(&app, &device).await.expect(200);
        assert_eq!(tokens["scope"], "accounts:read offline_access openid");
        let id_token = claims_of(tokens.str("id_token"));
        assert_eq!((&id_token["aud"], &id_token["nonce"]), (&json!("tv"), &Value::Null));
        assert!(bank.api("accounts-api").is_active(tokens.str("access_token")).await);
        // Spent: the second use ends what the first one gave (BCP-19).
        poll(&app, &device).await.expect_error(400, "invalid_grant");
        assert!(!bank.api("accounts-api").is_active(tokens.str("access_token")).await);
        app.refresh(tokens.str("refresh_token")).await.expect_error(400, "invalid_grant");

        // Many polls at the same moment: one gets the tokens.
        bank.advance(TimeDelta::minutes(1));
        let device = begin(&app, "openid accounts:read").await;
        allow(&bank, &mut bob, &browser, &device).await;
        let mut tasks = tokio::task::JoinSet::new();
        for _ in 0..10 {
            let (app, device) = (app.clone(), device.clone());
            tasks.spawn(async move { poll(&app, &device).await.status });
        }
        let won = tasks.join_all().await.into_iter().filter(|status| *status == 200).count();
        assert_eq!(won, 1, "{engine:?}");
    }
}

#[tokio::test]
async fn dv_02_early_polls_slow_down_and_codes_expire() {
    let bank = Bank::open().await;
    let app = tv(&bank, "tv", json!({})).await;
    let device = begin(&app, "openid").await;
    poll(&app, &device).await.expect_error(400, "authorization_pending");
    poll(&app, &device).await.expect_error(400, "slow_down");
    // Five seconds are no longer enough, and every early poll costs five more.
    bank.advance(TimeDelta::seconds(6));
    poll(&app, &device).await.expect_error(400, "slow_down");
    bank.advance(TimeDelta::seconds(15));
    poll(&app, &device).await.expect_error(400, "authorization_pending");
    bank.advance(TimeDelta::minutes(10));
    poll(&app, &device).await.expect_error(400, "expired_token");
    let page = type_code(&bank, &Browser::new(), device.str("user_code")).await;
    assert_eq!(page.status, 403);
    bank.service.sweep().await.unwrap();
    poll(&app, &device).await.expect_error(400, "invalid_grant");
}

#[tokio::test]
async fn dv_03_the_code_is_bound_to_its_client() {
    let bank = Bank::open().await;
    let (app, other) = (tv(&bank, "tv", json!({})).await, tv(&bank, "tv-two", json!({})).await);
    let (mut bob, browser) = (bank.person("bob"), Browser::new());
    let device = begin(&app, "openid").await;
    poll(&other, &device).await.expect_error(400, "invalid_grant");
    allow(&bank, &mut bob, &browser, &device).await;
    poll(&other, &device).await.expect_error(400, "invalid_grant");
    // Nor is it an authorization code of anybody.
    let fields = [("grant_type", "authorization_code"), ("code", device.str("device_code"))];
    app.token(&fields).await.expect_error(400, "unauthorized_client");
    poll(&app, &device).await.expect(200);
    poll(&app, &Answer { json: json!({"device_code": "nonsense"}), ..device })
        .await
        .expect_error(400, "invalid_grant");
}

#[tokio::test]
async fn dv_04_guessing_is_slowed_down_for_the_browser() {
    let bank = Bank::open().await;
    let app = tv(&bank, "tv", json!({})).await;
    let device = begin(&app, "openid").await;
    let browser = Browser::new();
    let page = browser.open(bank.url("/device")).await;
    let mut refused = None;
    for attempt in 0..20 {
        let page = browser.submit(&page, "code-submit", &[("user_code", "BBBB-BBBB")]).await;
        match page.status {
            403 => {}
            429 => {
                refused = Some(attempt);
                break;
            }
            other => panic!("{other}: {}", page.text()),
        }
    }
    assert!(refused.is_some_and(|attempt| attempt >= 3), "{refused:?}");
    // Even the right code is not heard now; from another browser it is.
    let page = browser.submit(&page, "code-submit", &[("user_code", device.str("user_code"))]).await;
    assert_eq!(page.status, 429);
    assert!(type_code(&bank, &Browser::new(), device.str("user_code")).await.has("code-confirm"));
    assert!(bank.audited(EventKind::DeviceRefused).await >= 3);
}

#[tokio::test]
async fn dv_04_guessing_is_limited_in_total() {
    let bank = Bank::open().await;
    let mut wrong = 0;
    for _ in 0..70 {
        // A new browser each time, as a machine would.
        let page = type_code(&bank, &Browser::new(), "BBBB-BBBB").await;
        match page.status {
            403 => wrong += 1,
            429 => break,
            other => panic!("{other}"),
        }
    }
    assert_eq!(wrong, 60);
    bank.advance(TimeDelta::minutes(1));
    assert_eq!(type_code(&bank, &Browser::new(), "BBBB-BBBB").await.status, 403);
}

#[tokio::test]
async fn dv_04_confirming_is_no_way_around_the_limit() {
    let bank = Bank::open().await;
    let app = tv(&bank, "tv", json!({})).await;
    begin(&app, "openid").await;
    let client = reqwest::Client::new();
    // Whoever makes up a browser's cookie makes up the token of its pages, too.
    let confirm = async |number: usize| {
        let cookie = format!("made-up-{number}");
        let token = jose::digest::hmac_sha256(cookie.as_bytes(), &[b"device", b"BBBBBBBB"]).to_string();
        let form = [("user_code", "BBBB-BBBB"), ("csrf", token.as_str())];
        let request = client.post(bank.url("/device/confirm")).form(&form);
        let request = request.header("cookie", format!("chancery-browser-dev={cookie}"));
        request.send().await.unwrap().status().as_u16()
    };
    for number in 0..60 {
        assert_eq!(confirm(number).await, 410, "{number}");
    }
    assert_eq!(confirm(60).await, 429);
    assert_eq!(type_code(&bank, &Browser::new(), "BBBB-BBBB").await.status, 429, "they are counted together");
    bank.advance(TimeDelta::minutes(1));
    // The same browser waits longer and longer.
    let mut same = Vec::new();
    for _ in 0..20 {
        same.push(confirm(61).await);
    }
    assert!(same.starts_with(&[410]) && same.ends_with(&[429]), "{same:?}");
}

#[tokio::test]
async fn dv_02_who_decides_too_late_is_told_so() {
    let bank = Bank::open().await;
    let app = tv(&bank, "tv", json!({})).await;
    let (mut bob, browser) = (bank.person("bob"), Browser::new());
    // The person takes too long on the pages.
    let device = begin(&app, "openid").await;
    bank.advance(TimeDelta::minutes(6));
    let page = type_code(&bank, &browser, device.str("user_code")).await;
    let page = browser.submit(&page, "code-confirm", &[]).await;
    let page = bob.walk(&browser, page, "consent-allow", bank.now()).await;
    bank.advance(TimeDelta::minutes(5));
    assert_eq!(browser.submit(&page, "consent-allow", &[]).await.status, 410);
    poll(&app, &device).await.expect_error(400, "expired_token");
    // The device takes too long to ask.
    let device = begin(&app, "openid").await;
    allow(&bank, &mut bob, &browser, &device).await;
    bank.advance(TimeDelta::minutes(11));
    poll(&app, &device).await.expect_error(400, "expired_token");
}

#[tokio::test]
async fn dv_05_the_page_names_the_client_warns_and_never_implies_consent() {
    let bank = Bank::open().await;
    // The bank's own app would skip consent elsewhere; and here bob allowed it before.
    let app = tv(&bank, "tv", json!({})).await;
    let (mut bob, browser) = (bank.person("bob"), Browser::new());
    for complete in [false, true] {
        let device = begin(&app, "openid accounts:read").await;
        let code = device.str("user_code");
        let page = if complete {
            let first = browser.open(device.str("verification_uri_complete")).await;
            assert!(is_signed_in(&bank, &browser).await, "signed in already");
            first
        } else {
            type_code(&bank, &browser, code).await
        };
        assert_eq!(page.texts("#code"), [code]);
        assert!(page.text().contains("Ledgerline TV"));
        assert!(page.has("warning") && page.text().contains("stop"), "{}", page.text());
        poll(&app, &device).await.expect_error(400, "authorization_pending");
        let page = browser.submit(&page, "code-confirm", &[]).await;
        let page = bob.walk(&browser, page, "consent-allow", bank.now()).await;
        assert!(page.text().contains("Ledgerline TV") && page.has("consent-deny"));
        bank.advance(TimeDelta::seconds(10));
        poll(&app, &device).await.expect_error(400, "authorization_pending");
        let page = browser.submit(&page, "consent-allow", &[]).await.expect(200);
        assert!(page.has("device-allowed"), "{}", page.text());
        poll(&app, &device).await.expect(200);
    }
    // A browser that comes for the first time is told apart from others before its code is looked up.
    let device = begin(&app, "openid").await;
    let stranger = Browser::new();
    let page = stranger.open(device.str("verification_uri_complete")).await.expect(200);
    assert!(!page.has("code-confirm"));
    assert_eq!(page.form("code-submit").value("user_code"), Some(device.str("user_code")));
    assert!(stranger.submit(&page, "code-submit", &[]).await.has("code-confirm"));
}

#[tokio::test]
async fn dv_05_bcp_16_nobody_else_confirms_and_one_person_decides() {
    let bank = Bank::open().await;
    let app = tv(&bank, "tv", json!({})).await;
    let device = begin(&app, "openid").await;
    let (here, there) = (Browser::new(), Browser::new());
    let page = type_code(&bank, &here, device.str("user_code")).await;
    let other = type_code(&bank, &there, device.str("user_code")).await;
    for forged in [page.form("code-confirm").without("csrf"), other.form("code-confirm")] {
        assert_eq!(here.send(forged).await.status, 403);
    }
    assert!(here.submit(&page, "code-confirm", &[]).await.has("login-submit"));
    assert_eq!(there.submit(&other, "code-confirm", &[]).await.status, 410, "somebody was faster");
    assert_eq!(type_code(&bank, &there, device.str("user_code")).await.status, 403);
}

#[tokio::test]
async fn dv_02_the_person_says_no() {
    let bank = Bank::open().await;
    let app = tv(&bank, "tv", json!({})).await;
    let (mut bob, browser) = (bank.person("bob"), Browser::new());
    let device = begin(&app, "openid accounts:read").await;
    let page = type_code(&bank, &browser, device.str("user_code")).await;
    let page = browser.submit(&page, "code-confirm", &[]).await;
    let page = bob.walk(&browser, page, "consent-deny", bank.now()).await;
    assert!(browser.submit(&page, "consent-deny", &[]).await.expect(200).has("device-denied"));
    poll(&app, &device).await.expect_error(400, "access_denied");
    assert_eq!(type_code(&bank, &browser, device.str("user_code")).await.status, 403);
}

#[tokio::test]
async fn dv_06_who_did_not_register_the_grant_has_none() {
    let bank = Bank::with(Engine::Sqlite, |_| {}).await;
    let app = bank.app("spa");
    app.post("/device_authorization", &[("scope", "openid")]).await.expect_error(400, "unauthorized_client");
    app.token(&[("grant_type", GRANT), ("device_code", "x")]).await.expect_error(400, "unauthorized_client");
    let tv = tv(&bank, "tv", json!({})).await;
    for (scope, error) in
        [("", "invalid_scope"), ("payments:write", "invalid_scope"), ("\"", "invalid_scope")]
    {
        tv.post("/device_authorization", &[("scope", scope)]).await.expect_error(400, error);
    }
    let nobody = RelyingParty::new(&bank.issuer, "nobody", ClientAuth::None, "https://unused.example/cb");
    let refused = nobody.post("/device_authorization", &[("scope", "openid")]).await;
    assert_eq!(refused["error"], "invalid_client");
    assert_eq!(bank.audited(EventKind::DeviceStarted).await, 0);
}
