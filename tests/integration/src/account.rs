//! The account pages: sessions, connected apps, password, sign-out; and that nobody reaches them for another.

use audit::EventKind;
use chrono::TimeDelta;
use protocol::{ConsentId, SessionId};
use testkit::{Answer, Browser, Departure, Page, Person, claims_of};

use crate::bank::{Bank, ENGINES};
use crate::visits::{buttons, enrol, is_signed_in, post, session, sign_in, type_password, with_session};

const BROWSER: &str = "chancery-browser-dev";
const NEW: &str = "velvet-harpoon-lunar-92";

/// Connects an app, with everything that is asked on the way.
async fn connect(bank: &Bank, person: &mut Person, browser: &Browser, app: &str, scope: &str) -> Answer {
    let app = bank.app(app);
    let attempt = app.attempt(scope);
    let departure: Departure = bank.connect(person, browser, attempt.url()).await;
    app.redeem(&attempt, &attempt.code(&departure)).await.expect(200)
}

/// Posts to an address of the account pages with the fields of a form on the page.
async fn post_to(bank: &Bank, browser: &Browser, page: &Page, path: &str, fields: &[(&str, &str)]) -> Page {
    let mut form = page.form("sign-out");
    form.action = bank.url(path).parse().unwrap();
    browser.send(fields.iter().fold(form, |form, (name, value)| form.also(name, value))).await
}

async fn change_password(browser: &Browser, page: &Page, current: &str, new: &str) -> Page {
    let fields = [("current_password", current), ("new_password", new)];
    browser.submit(page, "password-submit", &fields).await
}

#[tokio::test]
async fn sessions_are_listed_and_ended_on_both_engines() {
    for engine in ENGINES {
        let bank = Bank::on(engine).await;
        let (mut bob, here, there) = (bank.person("bob"), Browser::new(), Browser::new());
        // In the other browser an app is connected whose access lasts as long as the session.
        let tokens = connect(&bank, &mut bob, &there, "web-app", "openid accounts:read").await;
        sign_in(&bank, &mut bob, &there).await;
        let page = sign_in(&bank, &mut bob, &here).await;
        assert_eq!(page.texts("section[aria-labelledby=sessions] .entry").len(), 2);
        let ends = buttons(&page, "end-session-");
        assert_eq!(ends.len(), 1, "the session that shows the page is ended by signing out");
        let page = here.submit(&page, &ends[0], &[]).await.expect(200);
        assert!(buttons(&page, "end-session-").is_empty());
        assert!(!is_signed_in(&bank, &there).await);
        assert!(is_signed_in(&bank, &here).await);
        bank.app("web-app").refresh(tokens.str("refresh_token")).await.expect_error(400, "invalid_grant");
        assert_eq!(bank.audited(EventKind::SessionEnded).await, 1);
    }
}

#[tokio::test]
async fn connected_apps_are_listed_and_withdrawn_one_by_one() {
    let bank = Bank::open().await;
    let (mut bob, browser) = (bank.person("bob"), Browser::new());
    let scope = "openid offline_access accounts:read";
    let web = connect(&bank, &mut bob, &browser, "web-app", scope).await;
    let native = connect(&bank, &mut bob, &browser, "native-app", scope).await;
    let page = sign_in(&bank, &mut bob, &browser).await;
    let apps = page.texts("section[aria-labelledby=apps] .entry");
    assert_eq!(apps.len(), 2);
    let web_entry = apps.iter().position(|text| text.contains("Web App")).unwrap();
    assert!(apps[web_entry].contains("See your accounts"), "{}", apps[web_entry]);

    let button = &buttons(&page, "withdraw-")[web_entry];
    let page = browser.submit(&page, button, &[]).await.expect(200);
    assert_eq!(page.texts("section[aria-labelledby=apps] .entry").len(), 1);
    assert!(page.text().contains("Native App") && !page.text().contains("Web App"));
    let (web_app, native_app, api) = (bank.app("web-app"), bank.app("native-app"), bank.api("accounts-api"));
    web_app.refresh(web.str("refresh_token")).await.expect_error(400, "invalid_grant");
    assert!(!api.is_active(web.str("access_token")).await);
    assert!(api.is_active(native.str("access_token")).await);
    native_app.refresh(native.str("refresh_token")).await.expect(200);

    // The next request asks again.
    let page = browser.open(web_app.attempt(scope).url()).await.expect(200);
    assert!(page.has("consent-allow"));
    assert_eq!(bank.audited(EventKind::ConsentWithdrawn).await, 1);
}

#[tokio::test]
async fn bcp_09_a_new_password_ends_other_sessions_and_every_grant() {
    for engine in ENGINES {
        let bank = Bank::on(engine).await;
        let (mut bob, here, there) = (bank.person("bob"), Browser::new(), Browser::new());
        let lasting =
            connect(&bank, &mut bob, &there, "web-app", "openid offline_access accounts:read").await;
        let bound = connect(&bank, &mut bob, &here, "own-app", "openid accounts:read").await;
        let page = sign_in(&bank, &mut bob, &here).await;
        assert!(is_signed_in(&bank, &there).await);

        let page = change_password(&here, &page, &bob.password, NEW).await.expect(200);
        assert!(page.has("sign-out"), "who changed it stays");
        assert!(is_signed_in(&bank, &here).await);
        assert!(!is_signed_in(&bank, &there).await);
        for (app, tokens) in [("web-app", &lasting), ("own-app", &bound)] {
            let app = bank.app(app);
            app.refresh(tokens.str("refresh_token")).await.expect_error(400, "invalid_grant");
            app.userinfo(tokens.str("access_token")).await.expect(401);
            assert!(!bank.api("accounts-api").is_active(tokens.str("access_token")).await);
        }
        let fresh = Browser::new();
        let page = fresh.open(bank.url("/account")).await;
        assert_eq!(type_password(&fresh, &page, "bob", &bob.password).await.status, 403);
        assert!(type_password(&fresh, &page, "bob", NEW).await.expect(200).has("sign-out"));
        assert_eq!(bank.audited(EventKind::PasswordChanged).await, 1);
    }
}

#[tokio::test]
async fn weak_passwords_are_refused_and_nothing_changes() {
    let bank = Bank::open().await;
    let (mut alice, browser) = (bank.person("alice"), Browser::new());
    let page = sign_in(&bank, &mut alice, &browser).await;
    let (long, short) = ("x7-".repeat(400), "tR7;q/x");
    let current = alice.password.clone();
    for weak in ["", short, "password", "Passw0rd1", "12345678", "aliceexample", &long] {
        let refused = change_password(&browser, &page, &current, weak).await;
        assert_eq!((refused.status, refused.has("error")), (422, true), "{weak}");
        assert!(refused.has("password-submit"), "the person tries again on the same page");
    }
    let refused = change_password(&browser, &page, "not-the-password", NEW).await;
    assert_eq!((refused.status, refused.has("error")), (422, true));
    assert_eq!(bank.audited(EventKind::PasswordChangeRefused).await, 8);
    assert_eq!(bank.audited(EventKind::PasswordChanged).await, 0);

    // The page is no way round the limit on guesses, and none of them ends the session.
    for _ in 0..4 {
        change_password(&browser, &page, "guess", NEW).await.expect(422);
    }
    change_password(&browser, &page, &current, NEW).await.expect(429);
    bank.advance(TimeDelta::seconds(2));
    let page = change_password(&browser, &page, &current, NEW).await.expect(200);
    assert!(page.has("sign-out"));
}

#[tokio::test]
async fn signing_out_ends_the_session_and_what_is_bound_to_it() {
    let bank = Bank::open().await;
    let (mut bob, browser) = (bank.person("bob"), Browser::new());
    let bound = connect(&bank, &mut bob, &browser, "web-app", "openid accounts:read").await;
    let page = sign_in(&bank, &mut bob, &browser).await;
    let cookie = session(&bank, &browser);
    let answer = post(&browser, &page.form("sign-out")).await;
    assert_eq!(answer.status(), 303);
    let removal = answer.headers()["set-cookie"].to_str().unwrap();
    assert!(removal.starts_with("chancery-session-dev=;") && removal.contains("Max-Age=0"), "{removal}");
    let page = browser.open(bank.url(answer.headers()["location"].to_str().unwrap())).await.expect(200);
    assert!(page.has("sign-in"), "{}", page.text());
    assert!(!is_signed_in(&bank, &with_session(&bank, &cookie)).await, "a copy of the cookie is dead, too");
    bank.app("web-app").refresh(bound.str("refresh_token")).await.expect_error(400, "invalid_grant");
    // The page that is still open in another tab leads to the sign-in page.
    let page = browser.open(bank.url("/account")).await.expect(200);
    assert!(page.has("login-submit"));
}

#[tokio::test]
async fn recovery_codes_are_renewed_for_who_has_an_authenticator() {
    let bank = Bank::open().await;
    let (mut alice, mut bob) = (bank.person("alice"), bank.person("bob"));
    let (hers, his) = (Browser::new(), Browser::new());
    let page = enrol(&bank, &mut alice, &hers).await;
    let codes = hers.submit(&page, "totp-recovery-codes", &[]).await.expect(200);
    assert_eq!(codes.texts("#recovery-codes li").len(), 10);
    assert!(hers.submit(&codes, "codes-saved", &[]).await.expect(200).has("sign-out"));
    // bob has none, and no button; a post of his own making gives him nothing.
    let page = sign_in(&bank, &mut bob, &his).await;
    assert!(!page.has("totp-recovery-codes") && page.has("totp-enrol"));
    let answer = post_to(&bank, &his, &page, "/account/totp", &[("change", "recovery-codes")]).await;
    assert!(answer.has("sign-out") && !answer.has("recovery-codes"));
    assert_eq!(bank.audited(EventKind::RecoveryCodesGenerated).await, 2);
}

#[tokio::test]
async fn bcp_16_every_post_carries_the_token_of_its_session() {
    let bank = Bank::open().await;
    let (mut bob, browser, other) = (bank.person("bob"), Browser::new(), Browser::new());
    let tokens = connect(&bank, &mut bob, &browser, "web-app", "openid offline_access accounts:read").await;
    sign_in(&bank, &mut bob, &other).await;
    let foreign = bank.person("alice");
    let attacker = Browser::new();
    let theirs = sign_in(&bank, &mut foreign.clone(), &attacker).await;
    let stolen = theirs.form("sign-out").value("csrf").unwrap().to_owned();
    let page = sign_in(&bank, &mut bob, &browser).await;

    let withdraw = page.attributes("form[action*=withdraw]", "action").pop().unwrap();
    let end = page.attributes("form[action*=sessions]", "action").pop().unwrap();
    let password = [("current_password", bob.password.as_str()), ("new_password", NEW)];
    let posts: [(&str, &[(&str, &str)]); 6] = [
        (&withdraw, &[]),
        (&end, &[]),
        ("/account/password", &password),
        ("/account/totp", &[("change", "enrol")]),
        ("/account/totp", &[("change", "recovery-codes")]),
        ("/account/sign-out", &[]),
    ];
    for (path, fields) in posts {
        for csrf in [None, Some(""), Some("wrong"), Some(stolen.as_str())] {
            let mut form = page.form("sign-out").without("csrf");
            form.action = bank.url(path).parse().unwrap();
            let form = fields.iter().fold(form, |form, (name, value)| form.also(name, value));
            let form = csrf.map_or_else(|| form.clone(), |csrf| form.clone().also("csrf", csrf));
            let answer = browser.send(form).await;
            assert_eq!(answer.status, 403, "{path} with {csrf:?}: {}", answer.text());
            assert!(answer.has("correlation-id"), "a page says so");
        }
        // What another site makes the browser send carries no cookies; it does nothing, and leaves those alone.
        let fields: Vec<_> = fields.iter().copied().chain([("csrf", stolen.as_str())]).collect();
        let before = browser.cookie(&bank.issuer, BROWSER);
        let answer = browser.post_from_another_site(bank.url(path), &fields).await;
        assert_eq!((answer.status, answer.url.path()), (200, "/account"), "{path}");
        assert_eq!(browser.cookie(&bank.issuer, BROWSER), before, "{path}");
    }
    assert!(is_signed_in(&bank, &browser).await && is_signed_in(&bank, &other).await);
    bank.app("web-app").refresh(tokens.str("refresh_token")).await.expect(200);
    sign_in(&bank, &mut bob, &Browser::new()).await;
    assert_eq!(bank.audited(EventKind::ForgeryRefused).await, 24);
}

#[tokio::test]
async fn the_ids_of_others_open_nothing() {
    let bank = Bank::open().await;
    let (mut bob, his, mut alice, hers) =
        (bank.person("bob"), Browser::new(), bank.person("alice"), Browser::new());
    let tokens = connect(&bank, &mut bob, &his, "web-app", "openid offline_access accounts:read").await;
    let id_token = claims_of(tokens.str("id_token"));
    let consent = buttons(&sign_in(&bank, &mut bob, &his).await, "withdraw-").pop().unwrap();
    let consent: ConsentId = consent.trim_start_matches("withdraw-").parse().unwrap();
    let session: SessionId = id_token["sid"].as_str().unwrap().parse().unwrap();

    let page = sign_in(&bank, &mut alice, &hers).await;
    assert!(!page.text().contains("Web App"), "she sees her own only");
    let unknown = "01890000-0000-7000-8000-000000000000";
    let mut answers = Vec::new();
    for path in [
        format!("/account/apps/{consent}/withdraw"),
        format!("/account/apps/{unknown}/withdraw"),
        format!("/account/sessions/{session}/end"),
        format!("/account/sessions/{unknown}/end"),
    ] {
        let answer = post_to(&bank, &hers, &page, &path, &[]).await;
        answers.push((answer.status, answer.body.clone()));
    }
    assert_eq!(answers[0], answers[1], "whether there is such a consent is not said");
    assert_eq!(answers[2], answers[3]);
    for path in ["/account/apps/x/withdraw", "/account/sessions/x/end"] {
        post_to(&bank, &hers, &page, path, &[]).await.expect(404);
    }
    assert!(is_signed_in(&bank, &his).await);
    bank.app("web-app").refresh(tokens.str("refresh_token")).await.expect(200);
    assert_eq!(bank.audited(EventKind::ConsentWithdrawn).await, 0);
    assert_eq!(bank.audited(EventKind::SessionEnded).await, 0);
}

/// Whoever stole the cookie loses it with the password.
#[tokio::test]
async fn se_01_a_password_change_gives_the_session_a_new_cookie() {
    let bank = Bank::open().await;
    let (browser, mut bob) = (Browser::new(), bank.person("bob"));
    let page = sign_in(&bank, &mut bob, &browser).await;
    let stolen = session(&bank, &browser);
    let passwords =
        [("current_password", bob.password.as_str()), ("new_password", "saffron-glacier-mandolin")];
    let changed = browser.submit(&page, "password-submit", &passwords).await.expect(200);
    assert_ne!(session(&bank, &browser), stolen);
    assert!(!is_signed_in(&bank, &with_session(&bank, &stolen)).await);
    // The page that says so still works: its forms carry the new session's token.
    browser.submit(&changed, "sign-out", &[]).await.expect(200);
    assert!(!is_signed_in(&bank, &browser).await);
}
