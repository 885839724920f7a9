//! Signing in by password, and the session that comes of it: what a stranger learns (nothing), how fast one
//! may guess, how long a session lives.

use std::collections::BTreeMap;
use std::time::Duration;

use audit::EventKind;
use chrono::TimeDelta;
use mfa::Username;
use testkit::{Browser, Page, claims_of};

use crate::bank::{Bank, ENGINES, Engine};
use crate::visits::{is_signed_in, post, session, sign_in, type_password, with_session};

/// What a stranger sees of an answer: everything but the name that was typed and what is always different.
fn seen(page: &Page, typed: &str) -> (u16, BTreeMap<String, String>, String) {
    let telling = |name: &str| !matches!(name, "date" | "x-request-id" | "content-length");
    let headers = page.headers.iter().filter(|(name, _)| telling(name.as_str()));
    let headers = headers.map(|(name, value)| (name.to_string(), value.to_str().unwrap().to_owned()));
    (page.status, headers.collect(), page.body.replace(&format!("value=\"{typed}\""), "value=\"typed\""))
}

#[tokio::test]
async fn se_02_unknown_and_known_users_are_answered_alike() {
    let bank = Bank::open().await;
    let browser = Browser::new();
    let page = browser.open(bank.url("/account")).await.expect(200);
    let known = type_password(&browser, &page, "alice", "wrong-password").await;
    assert_eq!(known.status, 403);
    assert!(known.has("error"), "{}", known.text());
    let known = seen(&known, "alice");
    assert!(known.2.contains("value=\"typed\""), "the name stays in its field");
    // An account that is disabled, and one that never was; with a password that is right elsewhere, too.
    disable(&bank, "bob").await;
    for (username, password) in [
        ("mallory", "wrong-password"),
        ("mallory", "harbour-lantern-violet"),
        ("bob", "granite-teapot-orbit"),
    ] {
        let answer = type_password(&browser, &page, username, password).await;
        assert_eq!(seen(&answer, username), known, "{username}");
    }
    assert!(!is_signed_in(&bank, &browser).await);
}

async fn disable(bank: &Bank, username: &str) {
    let store = bank.service.store();
    let user = store.user_by_name(&username.parse::<Username>().unwrap()).await.unwrap().unwrap();
    let mut tx = store.begin().await.unwrap();
    assert_eq!(tx.disable_user(user.id, bank.now()).await.unwrap(), 1);
    tx.commit().await.unwrap();
}

#[tokio::test]
async fn se_02_an_unknown_user_costs_as_much_time_as_a_known_one() {
    let bank = Bank::with(Engine::Sqlite, |policies| policies.throttle.free = 1000).await;
    let browser = Browser::new();
    let page = browser.open(bank.url("/account")).await.expect(200);
    let (mut known, mut unknown) = (Duration::MAX, Duration::MAX);
    // The best of many, because a busy machine only adds. Without the hash for nobody the ratio is ten and
    // more, and no patience brings it down.
    for _ in 0..40 {
        known = known.min(time_of(&browser, &page, "alice").await);
        unknown = unknown.min(time_of(&browser, &page, "mallory").await);
        if unknown * 3 > known && known * 3 > unknown {
            return;
        }
    }
    panic!("known: {known:?}, unknown: {unknown:?}");
}

#[expect(clippy::disallowed_methods, reason = "what is measured is time itself")]
async fn time_of(browser: &Browser, page: &Page, username: &str) -> Duration {
    let began = std::time::Instant::now();
    let answer = type_password(browser, page, username, "wrong-password").await;
    let took = began.elapsed();
    assert_eq!(answer.status, 403);
    took
}

#[tokio::test]
async fn se_02_guessing_becomes_slow_for_any_name_on_both_engines() {
    for engine in ENGINES {
        let bank = Bank::on(engine).await;
        let browser = Browser::new();
        let page = browser.open(bank.url("/account")).await.expect(200);
        let mut delayed = Vec::new();
        for username in ["alice", "mallory"] {
            for _ in 0..5 {
                assert_eq!(type_password(&browser, &page, username, "wrong").await.status, 403);
            }
            // Not even the right one counts now; and waiting is said in words and in the header.
            let answer = type_password(&browser, &page, username, "harbour-lantern-violet").await.expect(429);
            assert_eq!(answer.header("retry-after"), Some("2"));
            delayed.push(seen(&answer, username));
            bank.advance(TimeDelta::seconds(2));
            assert_eq!(type_password(&browser, &page, username, "wrong").await.status, 403);
            let answer = type_password(&browser, &page, username, "wrong").await.expect(429);
            assert_eq!(answer.header("retry-after"), Some("4"), "the delay grows");
        }
        assert_eq!(delayed[0], delayed[1], "an account is not told from none by its delay");
        // Others are not held up, and alice is neither for longer than said.
        let mut bob = bank.person("bob");
        sign_in(&bank, &mut bob, &Browser::new()).await;
        bank.advance(TimeDelta::seconds(4));
        let mut alice = bank.person("alice");
        sign_in(&bank, &mut alice, &browser).await;
        // The right password wiped the slate.
        let other = Browser::new();
        let page = other.open(bank.url("/account")).await;
        for _ in 0..5 {
            assert_eq!(type_password(&other, &page, "alice", "wrong").await.status, 403);
        }
        assert!(bank.audited(EventKind::LoginFailed).await >= 17);
    }
}

#[tokio::test]
async fn se_03_strangers_do_not_hold_up_the_customer_at_home() {
    let bank = Bank::open().await;
    let (mut bob, home, away) = (bank.person("bob"), Browser::new(), Browser::new());
    let account = sign_in(&bank, &mut bob, &home).await;
    home.submit(&account, "sign-out", &[]).await.expect(200);
    let page = away.open(bank.url("/account")).await;
    for _ in 0..5 {
        assert_eq!(type_password(&away, &page, "bob", "wrong").await.status, 403);
    }
    assert_eq!(type_password(&away, &page, "bob", &bob.password).await.status, 429);
    let known = home.open(bank.url("/account")).await;
    assert!(type_password(&home, &known, "bob", &bob.password).await.expect(200).has("sign-out"));
    // What the browser keeps of bob says nothing for another account, and gives no guesses without end.
    assert_eq!(type_password(&away, &page, "bob", &bob.password).await.status, 429);
    let again = Browser::new();
    let device = home.cookie(&bank.issuer, "chancery-device-dev").unwrap();
    again.plant_cookie(&bank.issuer, &format!("chancery-device-dev={device}; Path=/"));
    let page = again.open(bank.url("/account")).await;
    for _ in 0..5 {
        assert_eq!(type_password(&again, &page, "bob", "wrong").await.status, 403);
        assert_eq!(type_password(&again, &page, "alice", "wrong").await.status, 403);
    }
    assert_eq!(type_password(&again, &page, "bob", "wrong").await.status, 429);
    assert_eq!(type_password(&again, &page, "alice", "wrong").await.status, 429);
    let fresh = Browser::new();
    let page = fresh.open(bank.url("/account")).await;
    assert_eq!(type_password(&fresh, &page, "alice", "wrong").await.status, 429, "alice's are a stranger's");
}

#[tokio::test]
async fn se_02_lengths_are_capped() {
    let bank = Bank::open().await;
    let browser = Browser::new();
    let page = browser.open(bank.url("/account")).await.expect(200);
    let wrong = seen(&type_password(&browser, &page, "alice", "wrong").await, "alice");
    for length in [1024, 1025, 30_000] {
        let answer = type_password(&browser, &page, "alice", &"x".repeat(length)).await;
        assert_eq!(seen(&answer, "alice"), wrong, "{length}");
    }
    let answer = type_password(&browser, &page, &"a".repeat(10_000), "wrong").await;
    assert_eq!((answer.status, answer.has("login-submit")), (403, true));
    assert!(answer.body.len() < wrong.2.len() + 1000, "what was typed is cut before it is shown again");
    for (username, password) in
        [("", ""), ("alice", ""), ("", "wrong"), ("al ice", "x"), ("a\u{7f}lice", "x")]
    {
        assert_eq!(type_password(&browser, &page, username, password).await.status, 403, "{username:?}");
    }
    // Over the cap of a form nothing is read at all.
    let form = page.form("login-submit").with("password", &"x".repeat(70_000));
    assert_eq!(browser.send(form).await.status, 413);
}

#[tokio::test]
async fn se_01_login_and_step_up_change_the_session_id() {
    let bank = Bank::open().await;
    let mut carol = bank.person("carol");
    // Somebody planted a cookie of their own choosing before carol came.
    let browser = with_session(&bank, "chosen-by-an-attacker");
    let page = browser.open(bank.url("/account")).await.expect(200);
    let enrol = carol.walk(&browser, page, "enrol-submit", bank.now()).await;
    let at_login = session(&bank, &browser);
    assert_ne!(at_login, "chosen-by-an-attacker");
    assert!(!is_signed_in(&bank, &with_session(&bank, "chosen-by-an-attacker")).await);

    carol.walk(&browser, enrol, "sign-out", bank.now()).await.expect(200);
    let stepped_up = session(&bank, &browser);
    assert_ne!(stepped_up, at_login);
    // The new one opens the pages from wherever it is sent, so that the next line means something.
    assert!(is_signed_in(&bank, &with_session(&bank, &stepped_up)).await);
    assert!(with_session(&bank, &at_login).open(bank.url("/account")).await.has("login-submit"));

    // Typing the password again gives another.
    bank.advance(TimeDelta::minutes(1));
    let url = bank.app("web-app").attempt("openid").with("prompt", "login").url();
    bank.connect(&mut carol, &browser, url).await;
    let again = session(&bank, &browser);
    assert!(again != stepped_up && again != at_login);
    assert!(!is_signed_in(&bank, &with_session(&bank, &stepped_up)).await);
    assert!(is_signed_in(&bank, &browser).await);
}

#[tokio::test]
async fn se_01_cookies_are_for_this_host_and_no_script() {
    let bank = Bank::open().await;
    let browser = Browser::new();
    let first = browser.client().get(bank.url("/account")).send().await.unwrap();
    let page = browser.open(bank.url("/account")).await.expect(200);
    let alice = bank.person("alice");
    let form = page.form("login-submit").with("username", "alice").with("password", &alice.password);
    let answer = post(&browser, &form).await;
    assert_eq!(answer.status(), 303, "a credential post is answered by a redirect");
    for (response, expected) in [(first, "chancery-browser-dev"), (answer, "chancery-session-dev")] {
        let mut names = Vec::new();
        for cookie in response.headers().get_all("set-cookie") {
            let cookie = cookie.to_str().unwrap();
            let (pair, attributes) = cookie.split_once("; ").unwrap();
            let (name, value) = pair.split_once('=').unwrap();
            // The one for session management, which scripts may read and which opens nothing.
            let state = name == "chancery-state-dev";
            let (own, others) =
                (["SameSite=None", "Secure", "Path=/"], ["HttpOnly", "SameSite=Lax", "Path=/"]);
            for attribute in if state { own } else { others } {
                assert!(attributes.split("; ").any(|a| a == attribute), "{attribute} in {cookie}");
            }
            assert!(!attributes.contains("Domain"), "{cookie}");
            // 256 random bits, for as long as the browser runs.
            let lasting = attributes.contains("Max-Age") || attributes.contains("Expires");
            assert!(name != expected || value.len() >= 43 && !lasting, "{cookie}");
            names.push(name.to_owned());
        }
        assert!(names.iter().any(|name| name == expected), "{expected} in {names:?}");
    }
}

#[tokio::test]
async fn se_01_a_session_ends_when_idle() {
    let bank = Bank::open().await;
    let (mut bob, browser) = (bank.person("bob"), Browser::new());
    sign_in(&bank, &mut bob, &browser).await;
    for _ in 0..3 {
        bank.advance(TimeDelta::minutes(14));
        assert!(is_signed_in(&bank, &browser).await, "use keeps it alive");
    }
    bank.advance(TimeDelta::minutes(15));
    assert!(!is_signed_in(&bank, &browser).await);
    // Nor does it come back: the app's next request starts at the sign-in page.
    let page = browser.open(bank.app("web-app").attempt("openid").url()).await;
    assert!(page.has("login-submit"));
    let silent = bank.app("web-app").attempt("openid").with("prompt", "none");
    assert_eq!(browser.open(silent.url()).await.departed().error(), "login_required");
}

#[tokio::test]
async fn se_01_a_session_ends_when_old_however_much_it_is_used() {
    let bank = Bank::open().await;
    let (mut bob, browser) = (bank.person("bob"), Browser::new());
    sign_in(&bank, &mut bob, &browser).await;
    for _ in 0..71 {
        bank.advance(TimeDelta::minutes(10));
        assert!(is_signed_in(&bank, &browser).await);
    }
    bank.advance(TimeDelta::minutes(10));
    assert!(!is_signed_in(&bank, &browser).await, "12 hours");
}

#[tokio::test]
async fn se_01_the_session_of_a_disabled_person_is_over() {
    let bank = Bank::open().await;
    let (mut bob, browser) = (bank.person("bob"), Browser::new());
    sign_in(&bank, &mut bob, &browser).await;
    disable(&bank, "bob").await;
    assert!(!is_signed_in(&bank, &browser).await);
}

#[tokio::test]
async fn oc_35_the_sid_stays_while_the_cookie_changes() {
    let bank = Bank::open().await;
    let (mut alice, browser) = (bank.person("alice"), Browser::new());
    let mut sids = Vec::new();
    // At one factor; after the step up to two; in another app; and in another browser.
    let own = bank.app("own-app");
    for (app, scope) in [("own-app", "openid"), ("strict-app", "openid accounts:read"), ("web-app", "openid")]
    {
        let app = bank.app(app);
        let attempt = app.attempt(scope);
        let departure = bank.connect(&mut alice, &browser, attempt.url()).await;
        let tokens = app.redeem(&attempt, &attempt.code(&departure)).await.expect(200);
        sids.push(claims_of(tokens.str("id_token"))["sid"].as_str().unwrap().to_owned());
    }
    assert_eq!(sids[0], sids[1]);
    assert_eq!(sids[0], sids[2]);
    bank.advance(TimeDelta::minutes(1));
    let attempt = own.attempt("openid");
    let departure = bank.connect(&mut alice, &Browser::new(), attempt.url()).await;
    let tokens = own.redeem(&attempt, &attempt.code(&departure)).await.expect(200);
    assert_ne!(claims_of(tokens.str("id_token"))["sid"], sids[0].as_str());
}

#[tokio::test]
async fn oc_04_max_age_counts_from_the_password() {
    let bank = Bank::open().await;
    let (mut bob, browser) = (bank.person("bob"), Browser::new());
    let app = bank.app("own-app");
    sign_in(&bank, &mut bob, &browser).await;
    bank.advance(TimeDelta::seconds(300));
    assert!(browser.open(app.attempt("openid").with("max_age", "300").url()).await.departure.is_some());
    bank.advance(TimeDelta::seconds(1));
    for max_age in ["300", "0"] {
        let attempt = app.attempt("openid").with("max_age", max_age);
        let page = browser.open(attempt.url()).await.expect(200);
        assert!(page.has("login-submit"), "max_age={max_age}");
        let departure = bob.walk(&browser, page, "", bank.now()).await.departed().clone();
        let tokens = app.redeem(&attempt, &attempt.code(&departure)).await.expect(200);
        assert_eq!(claims_of(tokens.str("id_token"))["auth_time"], bank.now().timestamp());
        bank.advance(TimeDelta::seconds(301));
    }
}

/// Several tabs of one person post the right password at the same moment: nobody is told to wait.
#[tokio::test]
async fn se_02_parallel_right_passwords_are_all_accepted() {
    let bank = Bank::open().await;
    let mut tabs = Vec::new();
    for _ in 0..4 {
        let browser = Browser::new();
        let page = browser.open(bank.url("/account")).await;
        let form = page.form("login-submit");
        let form = form.with("username", "bob").with("password", "granite-teapot-orbit");
        tabs.push(tokio::spawn(async move { browser.send(form).await.has("sign-out") }));
    }
    for tab in tabs {
        assert!(tab.await.unwrap());
    }
}
