//! What people do with browsers: several tabs, reloads, the back button, another person at the same machine.
//! Nobody dead-ends, and nobody answers for somebody else.

use audit::EventKind;
use chrono::TimeDelta;
use testkit::{Browser, Page, claims_of};

use crate::bank::{Bank, ENGINES};
use crate::visits::{enrol, is_signed_in, post, session, sign_in, type_password, with_session};

/// What a browser is told of an interaction that is over: a page, not an error of the protocol.
fn assert_over(page: &Page) {
    assert_eq!(page.status, 410, "{}", page.text());
    assert!(page.departure.is_none() && page.has("correlation-id"));
    assert!(page.text().contains("This page has expired"), "{}", page.text());
}

#[tokio::test]
async fn two_tabs_both_come_to_their_end() {
    for engine in ENGINES {
        let bank = Bank::on(engine).await;
        let (mut carol, browser) = (bank.person("carol"), Browser::new());
        let (web, native) = (bank.app("web-app"), bank.app("native-app"));
        let (first, second) = (web.attempt("openid accounts:read"), native.attempt("openid accounts:read"));
        let tab = browser.open(first.url()).await.expect(200);
        let other = browser.open(second.url()).await.expect(200);
        assert!(tab.has("login-submit") && other.has("login-submit"));

        // Signed in in the one, the other still shows its sign-in page: it may be sent, or loaded anew.
        let tab = carol.walk(&browser, tab, "consent-allow", bank.now()).await.expect(200);
        bank.advance(TimeDelta::minutes(1));
        let reloaded = browser.open(&other.url).await.expect(200);
        assert!(reloaded.has("consent-allow"), "{}", reloaded.text());
        let other = carol.walk(&browser, other, "consent-allow", bank.now()).await.expect(200);

        // The answers come in any order, each to its own app.
        let departure = carol.walk(&browser, other, "", bank.now()).await.departed().clone();
        native.redeem(&second, &second.code(&departure)).await.expect(200);
        let departure = carol.walk(&browser, tab, "", bank.now()).await.departed().clone();
        web.redeem(&first, &first.code(&departure)).await.expect(200);
    }
}

#[tokio::test]
async fn one_tab_says_no_and_the_other_yes() {
    let bank = Bank::open().await;
    let (mut bob, browser, app) = (bank.person("bob"), Browser::new(), bank.app("web-app"));
    let (first, second) = (app.attempt("openid accounts:read"), app.attempt("openid accounts:read"));
    let tab = browser.open(first.url()).await;
    let tab = bob.walk(&browser, tab, "consent-allow", bank.now()).await;
    let other = browser.open(second.url()).await.expect(200);
    let denied = browser.submit(&tab, "consent-deny", &[]).await.departed().clone();
    assert_eq!(denied.error(), "access_denied");
    assert_eq!(denied.parameter("state"), Some(first.state.as_str()));
    let allowed = browser.submit(&other, "consent-allow", &[]).await.departed().clone();
    app.redeem(&second, &second.code(&allowed)).await.expect(200);
}

#[tokio::test]
async fn every_page_may_be_loaded_again() {
    let bank = Bank::open().await;
    let (mut carol, browser, app) = (bank.person("carol"), Browser::new(), bank.app("web-app"));
    let attempt = app.attempt("openid accounts:read");
    let mut page = browser.open(attempt.url()).await;
    for button in ["login-submit", "enrol-submit", "consent-allow"] {
        page = carol.walk(&browser, page, button, bank.now()).await.expect(200);
        for _ in 0..2 {
            page = browser.open(&page.url).await.expect(200);
            assert!(page.has(button), "{button}: {}", page.text());
        }
    }
    let departure = browser.submit(&page, "consent-allow", &[]).await.departed().clone();
    app.redeem(&attempt, &attempt.code(&departure)).await.expect(200);
}

#[tokio::test]
async fn the_back_button_leads_on() {
    let bank = Bank::open().await;
    let (mut alice, browser, app) = (bank.person("alice"), Browser::new(), bank.app("web-app"));
    enrol(&bank, &mut alice, &Browser::new()).await;
    bank.advance(TimeDelta::minutes(1));
    let attempt = app.attempt("openid accounts:read");
    let login = browser.open(attempt.url()).await.expect(200);
    let factor = type_password(&browser, &login, "alice", &alice.password).await.expect(200);
    let consent = alice.walk(&browser, factor.clone(), "consent-allow", bank.now()).await.expect(200);

    // Back at the code page, which is sent once more: that code was used, but the way on is open.
    bank.advance(TimeDelta::minutes(1));
    let code = alice.code(bank.now());
    let page = browser.submit(&factor, "otp-submit", &[("otp", &code)]).await.expect(200);
    assert!(page.has("consent-allow"));
    // Back at the sign-in page: signing in again means the second factor again.
    bank.advance(TimeDelta::minutes(1));
    let page = type_password(&browser, &login, "alice", &alice.password).await.expect(200);
    assert!(page.has("otp-submit"));
    // The consent page of before is not enough now; it leads to what is missing.
    let page = browser.submit(&consent, "consent-allow", &[]).await.expect(200);
    assert!(page.has("otp-submit"), "{}", page.text());
    let departure = alice.walk(&browser, page, "", bank.now()).await.departed().clone();
    app.redeem(&attempt, &attempt.code(&departure)).await.expect(200);

    // Now it is over, for every page of it and every button.
    for (page, button) in [(&login, "login-submit"), (&factor, "otp-submit"), (&consent, "consent-allow")] {
        assert_over(&browser.submit(page, button, &[]).await);
        assert_over(&browser.open(&page.url).await);
    }
    assert_over(&browser.submit(&consent, "consent-deny", &[]).await);
    assert_over(&browser.submit(&login, "cancel", &[]).await);
    assert_eq!(bank.audited(EventKind::AuthorizationIssued).await, 1);
}

#[tokio::test]
async fn a_double_click_gives_one_code() {
    for engine in ENGINES {
        let bank = Bank::on(engine).await;
        let (mut bob, browser) = (bank.person("bob"), Browser::new());
        let page = browser.open(bank.app("web-app").attempt("openid accounts:read").url()).await;
        let page = bob.walk(&browser, page, "consent-allow", bank.now()).await;
        let form = page.form("consent-allow");
        let (a, b, c) = tokio::join!(post(&browser, &form), post(&browser, &form), post(&browser, &form));
        let mut statuses = [a, b, c].map(|answer| answer.status().as_u16());
        statuses.sort_unstable();
        assert_eq!(statuses, [303, 410, 410]);
        assert_eq!(bank.audited(EventKind::AuthorizationIssued).await, 1);
    }
}

#[tokio::test]
async fn an_interaction_expires() {
    let bank = Bank::open().await;
    let (bob, browser) = (bank.person("bob"), Browser::new());
    let page = browser.open(bank.app("web-app").attempt("openid").url()).await.expect(200);
    bank.advance(TimeDelta::minutes(30) - TimeDelta::seconds(1));
    browser.open(&page.url).await.expect(200);
    bank.advance(TimeDelta::seconds(1));
    assert_over(&browser.open(&page.url).await);
    assert_over(&type_password(&browser, &page, "bob", &bob.password).await);
    assert_over(&browser.submit(&page, "cancel", &[]).await);
    assert!(!is_signed_in(&bank, &browser).await);
    // Swept from the store, or never there: the same page.
    bank.service.sweep().await.unwrap();
    assert_over(&browser.open(&page.url).await);
    assert_over(&browser.open(bank.url("/interaction/01890000-0000-7000-8000-000000000000")).await);
    browser.open(bank.url("/interaction/nonsense")).await.expect(404);
}

#[tokio::test]
async fn bcp_16_an_interaction_belongs_to_its_browser() {
    let bank = Bank::open().await;
    let (mut bob, browser, app) = (bank.person("bob"), Browser::new(), bank.app("web-app"));
    let page = browser.open(app.attempt("openid accounts:read").url()).await.expect(200);
    let consent = bob.walk(&browser, page.clone(), "consent-allow", bank.now()).await.expect(200);

    // A stranger sent the address, or the whole form; with no cookies, with their own, with bob's session alone.
    let stranger = Browser::new();
    stranger.open(app.attempt("openid").url()).await.expect(200);
    let thief = with_session(&bank, &session(&bank, &browser));
    for other in [&Browser::new(), &stranger, &thief] {
        for answer in [
            other.open(&page.url).await,
            other.submit(&page, "login-submit", &[("username", "bob"), ("password", &bob.password)]).await,
            other.submit(&consent, "consent-allow", &[]).await,
            other.submit(&consent, "consent-deny", &[]).await,
            other.submit(&consent, "switch-user", &[]).await,
        ] {
            assert_eq!(answer.status, 403);
            assert!(answer.departure.is_none() && answer.has("correlation-id"), "{}", answer.text());
            assert!(!answer.text().contains("Bob") && !answer.text().contains("Web App"), "it tells nothing");
        }
    }
    // Within the browser the token must be that of this very interaction.
    let elsewhere = browser.open(app.attempt("openid accounts:read").url()).await.expect(200);
    let foreign = elsewhere.form("consent-allow").value("csrf").unwrap().to_owned();
    let wrong: [Option<&str>; 4] = [None, Some(""), Some("wrong"), Some(&foreign)];
    for button in ["consent-allow", "consent-deny", "switch-user"] {
        for csrf in wrong {
            let form = consent.form(button).without("csrf");
            let form = csrf.map_or_else(|| form.clone(), |csrf| form.clone().also("csrf", csrf));
            assert_eq!(browser.send(form).await.status, 403, "{button} with {csrf:?}");
        }
    }
    assert!(bank.audited(EventKind::ForgeryRefused).await >= 27);
    assert_eq!(bank.audited(EventKind::AuthorizationIssued).await, 0);
    // And bob can still answer.
    assert!(browser.submit(&consent, "consent-allow", &[]).await.departed().parameter("code").is_some());
}

#[tokio::test]
async fn bcp_16_login_forgery_signs_nobody_in() {
    let bank = Bank::open().await;
    let (victim, mallory) = (Browser::new(), bank.person("alice"));
    // The attacker's own form, interaction and account, posted by the victim's browser.
    let attackers = Browser::new();
    let page = attackers.open(bank.url("/account")).await.expect(200);
    let form = page.form("login-submit").with("username", "alice").with("password", &mallory.password);
    let fields: Vec<_> = form.fields.iter().map(|(name, value)| (name.as_str(), value.as_str())).collect();
    let answer = victim.post_from_another_site(&form.action, &fields).await;
    assert_eq!(answer.status, 403);
    assert!(victim.cookie(&bank.issuer, "chancery-session-dev").is_none());
    let answer = victim.send(form).await;
    assert_eq!(answer.status, 403);
    assert!(!is_signed_in(&bank, &victim).await);
}

#[tokio::test]
async fn somebody_else_takes_over_at_the_consent_page() {
    let bank = Bank::open().await;
    let (mut bob, mut alice, browser) = (bank.person("bob"), bank.person("alice"), Browser::new());
    let app = bank.app("web-app");
    let attempt = app.attempt("openid profile accounts:read");
    let page = browser.open(attempt.url()).await;
    let page = bob.walk(&browser, page, "consent-allow", bank.now()).await;
    assert!(page.text().contains("Bob Example"));
    let his = session(&bank, &browser);
    let page = browser.submit(&page, "switch-user", &[]).await.expect(200);
    assert!(page.has("login-submit"));
    assert!(!is_signed_in(&bank, &with_session(&bank, &his)).await, "he is signed out");
    let page = alice.walk(&browser, page, "consent-allow", bank.now()).await;
    assert!(page.text().contains("Alice Example") && !page.text().contains("Bob Example"));
    let departure = browser.submit(&page, "consent-allow", &[]).await.departed().clone();
    let tokens = app.redeem(&attempt, &attempt.code(&departure)).await.expect(200);
    let userinfo = app.userinfo(tokens.str("access_token")).await.expect(200);
    assert_eq!(userinfo.str("name"), "Alice Example");
}

#[tokio::test]
async fn another_person_signs_in_where_somebody_was() {
    for engine in ENGINES {
        let bank = Bank::on(engine).await;
        let (mut bob, mut alice, browser) = (bank.person("bob"), bank.person("alice"), Browser::new());
        let app = bank.app("own-app");
        let attempt = app.attempt("openid accounts:read");
        let departure = bank.connect(&mut bob, &browser, attempt.url()).await;
        let bobs = app.redeem(&attempt, &attempt.code(&departure)).await.expect(200);
        let his = session(&bank, &browser);

        bank.advance(TimeDelta::minutes(1));
        let attempt = app.attempt("openid accounts:read").with("prompt", "login");
        let departure = bank.connect(&mut alice, &browser, attempt.url()).await;
        let hers = app.redeem(&attempt, &attempt.code(&departure)).await.expect(200);
        let (bobs_id, her_id) = (claims_of(bobs.str("id_token")), claims_of(hers.str("id_token")));
        assert_ne!(bobs_id["sub"], her_id["sub"]);
        assert_ne!(bobs_id["sid"], her_id["sid"]);
        // His session is over, and with it what was bound to it; hers is not his.
        assert!(!is_signed_in(&bank, &with_session(&bank, &his)).await);
        app.refresh(bobs.str("refresh_token")).await.expect_error(400, "invalid_grant");
        app.refresh(hers.str("refresh_token")).await.expect(200);
        assert!(browser.open(bank.url("/account")).await.text().contains("Alice Example"));
    }
}

#[tokio::test]
async fn signing_out_in_another_tab_leads_back_to_the_sign_in_page() {
    let bank = Bank::open().await;
    let (mut bob, browser, app) = (bank.person("bob"), Browser::new(), bank.app("web-app"));
    let attempt = app.attempt("openid accounts:read");
    let page = browser.open(attempt.url()).await;
    let consent = bob.walk(&browser, page, "consent-allow", bank.now()).await;
    let account = sign_in(&bank, &mut bob, &browser).await;
    browser.submit(&account, "sign-out", &[]).await.expect(200);
    let page = browser.submit(&consent, "consent-allow", &[]).await.expect(200);
    assert!(page.has("login-submit"), "{}", page.text());
    let departure = bob.walk(&browser, page, "", bank.now()).await.departed().clone();
    app.redeem(&attempt, &attempt.code(&departure)).await.expect(200);
}

#[tokio::test]
async fn f2_32_every_page_can_be_cancelled() {
    let bank = Bank::open().await;
    let (mut carol, app) = (bank.person("carol"), bank.app("web-app"));
    for button in ["login-submit", "enrol-submit"] {
        let (browser, attempt) = (Browser::new(), app.attempt("openid accounts:read"));
        let page = browser.open(attempt.url()).await;
        let page = carol.walk(&browser, page, button, bank.now()).await.expect(200);
        let departure = browser.submit(&page, "cancel", &[]).await.departed().clone();
        assert_eq!(departure.error(), "access_denied", "{button}");
        assert_eq!(departure.parameter("state"), Some(attempt.state.as_str()));
        assert_eq!(departure.parameter("iss"), Some(bank.issuer.as_str()));
        assert_eq!(departure.parameter("code"), None);
        assert_over(&browser.open(&page.url).await);
    }
}
