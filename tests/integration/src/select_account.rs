//! `prompt=select_account` (OpenID Connect Core §3.1.2.1): who goes on, the person who is signed in to this
//! browser or somebody else.

use chrono::TimeDelta;
use testkit::{Browser, Person, claims_of};

use crate::bank::Bank;

/// A person signs in to the browser and lets the app know them, a minute before anything else happens; how
/// the app calls them.
async fn signed_in(bank: &Bank, browser: &Browser, person: &mut Person) -> String {
    let app = bank.app("web-app");
    let attempt = app.attempt("openid");
    let code = attempt.code(&bank.connect(person, browser, attempt.url()).await);
    let tokens = app.redeem(&attempt, &code).await.expect(200);
    bank.advance(TimeDelta::seconds(60));
    claims_of(tokens.str("id_token"))["sub"].as_str().unwrap().to_owned()
}

#[tokio::test]
async fn oc_06_select_account_shows_who_is_signed_in_and_goes_on_as_them() {
    let (bank, browser) = (Bank::open().await, Browser::new());
    let (app, mut bob) = (bank.app("web-app"), bank.person("bob"));
    let bob_is = signed_in(&bank, &browser, &mut bob).await;
    let attempt = app.attempt("openid").with("prompt", "select_account");
    let page = browser.open(attempt.url()).await.expect(200);
    assert!(page.has("continue-as") && page.has("use-another-account") && page.has("cancel"));
    assert_eq!(page.texts("#account"), ["Bob Example ( bob )"]);
    assert!(page.text().contains("Web App"));
    // It is no form for guesses: no field but the token.
    assert_eq!(page.form("continue-as").fields.len(), 1);
    let again = browser.open(page.url.as_str()).await;
    assert!(again.has("continue-as"), "a reload changes nothing");
    let page = browser.submit(&page, "continue-as", &[]).await;
    let tokens = app.redeem(&attempt, &attempt.code(page.departed())).await.expect(200);
    assert_eq!(claims_of(tokens.str("id_token"))["sub"], bob_is.as_str());
    // It was chosen for that request alone.
    let page = browser.open(app.attempt("openid").with("prompt", "select_account").url()).await;
    assert!(page.has("continue-as"));
}

#[tokio::test]
async fn oc_06_another_account_signs_in_and_is_not_asked_again() {
    let (bank, browser) = (Bank::open().await, Browser::new());
    let (app, mut bob, mut dave) = (bank.app("web-app"), bank.person("bob"), bank.person("dave"));
    let before = signed_in(&bank, &browser, &mut bob).await;
    let attempt = app.attempt("openid").with("prompt", "select_account");
    let page = browser.open(attempt.url()).await;
    let page = browser.submit(&page, "use-another-account", &[]).await;
    assert!(page.has("login-submit") && !page.body.contains("Bob Example"));
    let page = dave.walk(&browser, page, "continue-as", bank.now()).await;
    let tokens = app.redeem(&attempt, &attempt.code(page.departed())).await.expect(200);
    assert_ne!(claims_of(tokens.str("id_token"))["sub"], before.as_str());
}

#[tokio::test]
async fn oc_06_where_nobody_is_signed_in_there_is_nobody_to_choose() {
    let bank = Bank::open().await;
    let attempt = bank.app("web-app").attempt("openid").with("prompt", "select_account");
    let page = Browser::new().open(attempt.url()).await;
    assert!(page.has("login-submit") && !page.has("continue-as"));
}

#[tokio::test]
async fn oc_06_prompts_combine_choose_then_sign_in_then_consent() {
    let (bank, browser) = (Bank::open().await, Browser::new());
    let (app, mut bob) = (bank.app("web-app"), bank.person("bob"));
    signed_in(&bank, &browser, &mut bob).await;
    let attempt = app.attempt("openid").with("prompt", "consent login select_account");
    let page = browser.open(attempt.url()).await;
    let page = browser.submit(&page, "continue-as", &[]).await;
    assert!(page.has("login-submit"), "{}", page.text());
    assert_eq!(page.attributes("#username", "value"), ["bob"], "whom they chose");
    let page = bob.answer(&browser, &page, bank.now()).await;
    let page = browser.submit(&page, "consent-allow", &[]).await;
    app.redeem(&attempt, &attempt.code(page.departed())).await.expect(200);
    for mixed in ["none select_account", "select_account none login"] {
        let page = browser.open(app.attempt("openid").with("prompt", mixed).url()).await;
        assert_eq!(page.departed().error(), "invalid_request", "{mixed}");
    }
}

#[tokio::test]
async fn bcp_16_the_choice_counts_only_for_the_account_that_was_shown() {
    let (bank, browser) = (Bank::open().await, Browser::new());
    let (app, mut bob, mut dave) = (bank.app("web-app"), bank.person("bob"), bank.person("dave"));
    signed_in(&bank, &browser, &mut bob).await;
    let attempt = app.attempt("openid").with("prompt", "select_account");
    let shown = browser.open(attempt.url()).await;
    // Before the person answers, somebody else signs in, in another tab.
    let page = browser.open(app.attempt("openid").with("prompt", "login").url()).await;
    dave.walk(&browser, page, "", bank.now()).await.departed();
    bank.advance(TimeDelta::seconds(60));
    let later = app.attempt("openid").with("prompt", "select_account");
    let dave_shown = browser.open(later.url()).await;
    assert_eq!(dave_shown.texts("#account"), ["Dave Example ( dave )"]);
    // Bob's page, posted into the interaction that shows Dave, chooses nobody.
    let bobs = shown.form("continue-as").value("csrf").unwrap().to_owned();
    let (_, question) = bobs.split_once('.').unwrap();
    let daves = dave_shown.form("continue-as").value("csrf").unwrap().to_owned();
    let (transaction, _) = daves.split_once('.').unwrap();
    let mixed = dave_shown.form("continue-as").with("csrf", &format!("{transaction}.{question}"));
    let page = browser.send(mixed).await;
    assert_eq!(page.texts("#account"), ["Dave Example ( dave )"], "they are asked anew");
    // Without the token nothing is chosen at all.
    let page = browser.open(app.attempt("openid").with("prompt", "select_account").url()).await;
    let forged = page.form("continue-as").with("csrf", "forged");
    assert_eq!(browser.send(forged).await.status, 403);
}

#[tokio::test]
async fn f2_32_oc_07_cancelling_tells_the_app_and_the_page_speaks_the_language() {
    let (bank, browser) = (Bank::open().await, Browser::new());
    let (app, mut bob) = (bank.app("web-app"), bank.person("bob"));
    signed_in(&bank, &browser, &mut bob).await;
    let attempt = app.attempt("openid").with("prompt", "select_account").with("ui_locales", "zh-TW");
    let page = browser.open(attempt.url()).await;
    assert_eq!(page.attributes("html", "lang"), ["zh-Hant"]);
    assert_eq!(page.texts("h1"), ["選擇帳戶"]);
    let page = browser.submit(&page, "cancel", &[]).await;
    assert_eq!(page.departed().error(), "access_denied");
}
