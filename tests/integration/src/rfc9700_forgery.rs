//! Forged posts (RFC 9700 §4.7, BCP-16): every form of an interaction carries a token tied to that
//! transaction and to the browser that began it.

use audit::EventKind;
use rstest::rstest;
use testkit::{Browser, Form, Page};

use crate::bank::Bank;

/// The interaction of `browser`, walked to the page with `stop`.
async fn page_at(bank: &Bank, browser: &Browser, app: &str, stop: &str) -> Page {
    let page = browser.open(bank.app(app).attempt("openid").url()).await;
    let mut person = bank.person(if stop == "enrol-submit" { "carol" } else { "bob" });
    person.walk(browser, page, stop, bank.now()).await
}

fn filled(page: &Page, button: &str) -> Form {
    let form = page.form(button);
    match button {
        "login-submit" => form.with("username", "bob").with("password", "granite-teapot-orbit"),
        "enrol-submit" => form.with("otp", "123456"),
        _ => form,
    }
}

const FORMS: [(&str, &str); 6] = [
    ("login-submit", "login-submit"),
    ("login-submit", "cancel"),
    ("enrol-submit", "enrol-submit"),
    ("consent-allow", "consent-allow"),
    ("consent-allow", "consent-deny"),
    ("consent-allow", "switch-user"),
];

/// Nothing happened but the note that somebody tried.
async fn assert_refused(bank: &Bank, answer: &Page, what: &str) {
    assert_eq!(answer.status, 403, "{what}: {}", answer.text());
    assert!(answer.departure.is_none(), "{what}");
    assert!(!answer.headers.contains_key("set-cookie"), "{what}");
    for kind in [EventKind::ConsentGranted, EventKind::ConsentDenied, EventKind::AuthorizationIssued] {
        assert_eq!(bank.audited(kind).await, 0, "{what}");
    }
    assert!(bank.audited(EventKind::ForgeryRefused).await > 0, "{what} is not on record");
}

#[tokio::test]
async fn bcp_16_a_post_needs_its_token() {
    for (stop, button) in FORMS {
        let (bank, browser) = (Bank::open().await, Browser::new());
        let page = page_at(&bank, &browser, "web-app", stop).await;
        let form = filled(&page, button);
        for (what, forged) in [
            ("without", form.clone().without("csrf")),
            ("empty", form.clone().with("csrf", "")),
            ("wrong", form.clone().with("csrf", "AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA")),
            (
                "twice",
                form.clone().without("csrf").also("csrf", "x").also("csrf", form.value("csrf").unwrap()),
            ),
        ] {
            let answer = browser.send(forged).await;
            assert_refused(&bank, &answer, &format!("{button} {what}")).await;
        }
        // The same form as it was is good.
        let answer = browser.send(form).await;
        assert!(button == "enrol-submit" || answer.status < 400, "{button}: {}", answer.text());
    }
}

#[tokio::test]
async fn bcp_16_the_token_of_another_transaction_is_wrong() {
    let (bank, browser) = (Bank::open().await, Browser::new());
    let first = page_at(&bank, &browser, "web-app", "consent-allow").await;
    let second = page_at(&bank, &browser, "spa", "consent-allow").await;
    let (of_first, of_second) = (first.form("consent-allow"), second.form("consent-allow"));
    assert_ne!(of_first.value("csrf"), of_second.value("csrf"));
    let crossed = of_first.with("csrf", of_second.value("csrf").unwrap());
    assert_refused(&bank, &browser.send(crossed).await, "crossed").await;
}

#[rstest]
#[case("login-submit", "login-submit")]
#[case("consent-allow", "consent-allow")]
#[tokio::test]
async fn bcp_16_another_browser_cannot_use_the_page(#[case] stop: &str, #[case] button: &str) {
    let (bank, victim, thief) = (Bank::open().await, Browser::new(), Browser::new());
    let page = page_at(&bank, &victim, "web-app", stop).await;
    // With no cookies at all, and with cookies of its own.
    assert_refused(&bank, &thief.send(filled(&page, button)).await, "no cookies").await;
    page_at(&bank, &thief, "spa", stop).await;
    assert_refused(&bank, &thief.send(filled(&page, button)).await, "own cookies").await;
    let opened = thief.open(page.url.clone()).await;
    assert_eq!(opened.status, 403, "{}", opened.text());
    assert!(opened.attributes("input[name=csrf]", "value").is_empty());
}

#[tokio::test]
async fn bcp_16_a_post_from_another_site_does_nothing() {
    let (bank, browser) = (Bank::open().await, Browser::new());
    let page = page_at(&bank, &browser, "web-app", "consent-allow").await;
    let form = page.form("consent-allow");
    let fields: Vec<(&str, &str)> = form.fields.iter().map(|(n, v)| (n.as_str(), v.as_str())).collect();
    let answer = browser.post_from_another_site(form.action.as_str(), &fields).await;
    assert_refused(&bank, &answer, "cross-site").await;
}

#[tokio::test]
async fn interactions_that_never_began_are_not_there() {
    let (bank, browser) = (Bank::open().await, Browser::new());
    for id in ["0", "../account", "%00", "00000000-0000-7000-8000-000000000000", &"9".repeat(4000)] {
        let status = browser.open(bank.url(&format!("/interaction/{id}"))).await.status;
        assert!((200..500).contains(&status), "{status} for {id:.40}");
    }
}

/// Two people use one browser: what one of them was asked, the other does not allow by it.
#[tokio::test]
async fn bcp_16_f2_28_a_question_to_one_person_is_not_answered_by_another() {
    let (bank, browser) = (Bank::open().await, Browser::new());
    // bob and alice may both be asked for the same.
    let url = bank.app("web-app").attempt("openid accounts:read").url();
    let page = browser.open(&url).await;
    let asked = bank.person("bob").walk(&browser, page, "consent-allow", bank.now()).await;
    let form = asked.form("consent-allow");

    let page = browser.submit(&asked, "switch-user", &[]).await;
    bank.person("alice").walk(&browser, page, "consent-allow", bank.now()).await;

    let answer = browser.send(form).await;
    assert!(answer.departure.is_none(), "bob's page is no answer of alice's");
    assert!(answer.has("consent-allow"), "alice is asked herself");
    assert_eq!(bank.audited(EventKind::ConsentGranted).await, 0);
}
