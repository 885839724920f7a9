//! What a customer is asked, in which words, for how long it holds, and what their own roles allow.

use audit::EventKind;
use chrono::TimeDelta;
use rstest::rstest;
use serde_json::json;
use testkit::{Answer, Attempt, Browser, Page, Person, claims_of};

use crate::bank::{Bank, ENGINES, Engine};

/// One person at one browser.
struct Visit {
    bank: Bank,
    browser: Browser,
    person: Person,
}

impl Visit {
    async fn of(username: &str) -> Self {
        Self::at(Bank::open().await, username)
    }

    fn at(bank: Bank, username: &str) -> Self {
        let person = bank.person(username);
        Self { bank, browser: Browser::new(), person }
    }

    fn attempt(&self, app: &str, scope: &str) -> Attempt {
        self.bank.app(app).attempt(scope)
    }

    /// Goes on until the consent page, or until the app has its answer.
    async fn ask(&mut self, app: &str, scope: &str) -> (Attempt, Page) {
        let attempt = self.attempt(app, scope);
        let page = self.browser.open(attempt.url()).await;
        let page = self.person.walk(&self.browser, page, "consent-allow", self.bank.now()).await;
        (attempt, page)
    }

    /// Goes all the way; the token response.
    async fn tokens(&mut self, app: &str, scope: &str) -> Answer {
        let attempt = self.attempt(app, scope);
        let departure = self.bank.connect(&mut self.person, &self.browser, attempt.url()).await;
        self.bank.app(app).redeem(&attempt, &attempt.code(&departure)).await.expect(200)
    }

    async fn press(&self, page: &Page, button: &str) -> Page {
        self.browser.submit(page, button, &[]).await
    }
}

/// The scope of a token response, in order of the alphabet.
fn scope_of(tokens: &Answer) -> Vec<&str> {
    let mut scope: Vec<&str> = tokens.str("scope").split(' ').collect();
    scope.sort_unstable();
    scope
}

fn asked(page: &Page) -> bool {
    page.has("consent-allow")
}

#[tokio::test]
async fn f2_28_the_page_says_who_what_and_how_long() {
    let bank =
        Bank::with(Engine::Sqlite, |policies| policies.consent_lifetime = Some(TimeDelta::days(90))).await;
    let mut visit = Visit::at(bank, "alice");
    let (_, page) =
        visit.ask("web-app", "openid profile email accounts:read payments:write offline_access").await;
    let text = page.text();
    let until = (visit.bank.now() + TimeDelta::days(90)).format("%-d %B %Y").to_string();
    for words in [
        "Web App asks for access",
        "Test Bank",
        "Signed in as Alice Example",
        "Accounts API",
        "See your accounts",
        "Names and numbers of your accounts.",
        "Send payments",
        "Move money.",
        "Acts for you",
        "Your email address",
        "alice@bank.example",
        "Stays connected when you are away",
        "After either choice you go to web.example",
        &format!("Until {until}"),
    ] {
        assert!(text.contains(words), "{words:?} is not on the page: {text}");
    }
    // What was not asked is not on it.
    for words in ["See your cards", "+64 4 000 0000", "Quay Street"] {
        assert!(!text.contains(words), "{words:?} is on the page");
    }
    // Both answers are buttons, and neither was pressed already.
    assert!(page.has("consent-allow") && page.has("consent-deny"));
    assert_eq!(visit.bank.audited(EventKind::ConsentGranted).await, 0);
}

#[tokio::test]
async fn f2_28_without_an_end_the_page_says_so_and_hostile_names_are_text() {
    let bank = Bank::with(Engine::Sqlite, |policies| policies.consent_lifetime = None).await;
    let mut visit = Visit::at(bank, "bob");
    let client = "[[client]]\nclient_id = 'odd'\ntoken_endpoint_auth_method = 'none'\nscope = 'openid'\n\
                  client_name = '<script>alert(1)</script>'\nredirect_uris = ['https://odd.example/cb']\n";
    visit.bank.declare(client).await.unwrap();
    let attempt = visit.attempt("web-app", "openid").with("client_id", "odd");
    let attempt = attempt.with("redirect_uri", "https://odd.example/cb");
    let page = visit.browser.open(attempt.url()).await;
    assert!(!page.body.contains("<script>alert"), "on the sign-in page");
    let page = visit.person.walk(&visit.browser, page, "consent-allow", visit.bank.now()).await;
    assert!(!page.body.contains("<script>alert"), "on the consent page");
    assert!(page.text().contains("<script>alert(1)</script> asks for access"), "{}", page.text());
    assert!(page.text().contains("Until you withdraw it"));
}

#[tokio::test]
async fn oc_33_a_decision_is_remembered_until_it_widens() {
    for engine in ENGINES {
        let mut visit = Visit::at(Bank::on(engine).await, "bob");
        visit.tokens("web-app", "openid accounts:read").await;
        for narrower in ["openid accounts:read", "openid", "accounts:read"] {
            let (attempt, page) = visit.ask("web-app", narrower).await;
            attempt.code(page.departed());
        }
        // Wider: asked again, with the new line marked.
        let (_, page) = visit.ask("web-app", "openid accounts:read profile").await;
        assert!(asked(&page), "{engine:?}");
        assert!(page.text().contains("Now it asks for more"), "{}", page.text());
        let marked = page.texts("h3:has(.new)");
        assert_eq!(marked.len(), 1, "{marked:?}");
        assert!(marked[0].contains("Your profile"), "{marked:?}");
        // Not answering changes nothing; answering widens once for all.
        let (attempt, narrow) = visit.ask("web-app", "openid accounts:read").await;
        attempt.code(narrow.departed());
        visit.press(&page, "consent-allow").await.departed();
        for scope in ["openid accounts:read profile", "openid profile", "openid accounts:read"] {
            let (attempt, page) = visit.ask("web-app", scope).await;
            attempt.code(page.departed());
        }
        // One consent, not two: the account page lists the app once.
        let account = visit.browser.open(visit.bank.url("/account")).await;
        assert_eq!(account.attributes("button[id^=withdraw-]", "id").len(), 1);
    }
}

#[tokio::test]
async fn consent_is_one_persons_to_one_app() {
    let mut visit = Visit::of("bob").await;
    visit.tokens("web-app", "openid").await;
    assert!(asked(&visit.ask("spa", "openid").await.1), "another app");
    let mut other = visit.bank.person("dave");
    let browser = Browser::new();
    let page = browser.open(visit.attempt("web-app", "openid").url()).await;
    assert!(asked(&other.walk(&browser, page, "consent-allow", visit.bank.now()).await), "another person");
}

#[tokio::test]
async fn a_withdrawn_consent_is_asked_again_and_its_tokens_are_dead() {
    for engine in ENGINES {
        let mut visit = Visit::at(Bank::on(engine).await, "bob");
        let (app, api) = (visit.bank.app("web-app"), visit.bank.api("accounts-api"));
        let kept = visit.tokens("spa", "openid accounts:read").await;
        let tokens = visit.tokens("web-app", "openid accounts:read offline_access").await;
        let pending = visit.attempt("web-app", "openid accounts:read");
        let pending_page = visit.browser.open(pending.url()).await;
        let pending_code = pending.code(pending_page.departed());
        let account = visit.browser.open(visit.bank.url("/account")).await;
        let entry = account.texts("form:has(button[id^=withdraw-])");
        let index = entry.iter().position(|text| text.contains("Web App")).unwrap();
        let button = account.attributes("button[id^=withdraw-]", "id").remove(index);
        visit.press(&account, &button).await.expect(200);
        assert!(!api.is_active(tokens.str("access_token")).await, "{engine:?}");
        app.refresh(tokens.str("refresh_token")).await.expect_error(400, "invalid_grant");
        app.redeem(&pending, &pending_code).await.expect_error(400, "invalid_grant");
        // The other app keeps what it has.
        assert!(api.is_active(kept.str("access_token")).await);
        // A silent request is told; a loud one asks.
        let silent = visit.attempt("web-app", "openid").with("prompt", "none");
        assert_eq!(visit.browser.open(silent.url()).await.departed().error(), "consent_required");
        let (attempt, page) = visit.ask("web-app", "openid accounts:read").await;
        assert!(asked(&page) && !page.text().contains("Now it asks for more"), "{}", page.text());
        attempt.code(visit.press(&page, "consent-allow").await.departed());
    }
}

#[tokio::test]
async fn a_consent_ends_with_its_time_and_takes_its_tokens_along() {
    let lifetime = TimeDelta::minutes(12);
    let bank = Bank::with(Engine::Sqlite, |policies| policies.consent_lifetime = Some(lifetime)).await;
    let mut visit = Visit::at(bank, "bob");
    let (app, api) = (visit.bank.app("web-app"), visit.bank.api("accounts-api"));
    visit.tokens("web-app", "openid accounts:read offline_access").await;
    visit.bank.advance(TimeDelta::minutes(11));
    // Remembering does not extend it.
    let (attempt, page) = visit.ask("web-app", "openid accounts:read offline_access").await;
    let tokens = app.redeem(&attempt, &attempt.code(page.departed())).await.expect(200);
    assert!(api.is_active(tokens.str("access_token")).await);
    visit.bank.advance(TimeDelta::minutes(1));
    assert!(!api.is_active(tokens.str("access_token")).await, "the token outlives the consent");
    app.userinfo(tokens.str("access_token")).await.expect(401);
    app.refresh(tokens.str("refresh_token")).await.expect_error(400, "invalid_grant");
    let silent = visit.attempt("web-app", "openid").with("prompt", "none");
    assert_eq!(visit.browser.open(silent.url()).await.departed().error(), "consent_required");
    let (attempt, page) = visit.ask("web-app", "openid accounts:read offline_access").await;
    assert!(asked(&page));
    let page = visit.press(&page, "consent-allow").await;
    let fresh = app.redeem(&attempt, &attempt.code(page.departed())).await.expect(200);
    assert!(api.is_active(fresh.str("access_token")).await);
    assert!(!api.is_active(tokens.str("access_token")).await, "the old one stays dead");
}

#[tokio::test]
async fn f2_17_nobody_can_allow_more_than_their_own_roles() {
    let mut visit = Visit::of("bob").await;
    let (attempt, page) = visit.ask("web-app", "openid accounts:read payments:write").await;
    assert!(asked(&page));
    assert!(!page.text().contains("Send payments"), "offered what bob may not give: {}", page.text());
    let page = visit.press(&page, "consent-allow").await;
    let tokens = visit.bank.app("web-app").redeem(&attempt, &attempt.code(page.departed())).await.expect(200);
    assert_eq!(scope_of(&tokens), ["accounts:read", "openid"]);
    assert_eq!(claims_of(tokens.str("access_token"))["roles"], json!(["account-viewer"]));
    // What was left out is not asked again each time.
    let (attempt, page) = visit.ask("web-app", "openid accounts:read payments:write").await;
    attempt.code(page.departed());
}

#[tokio::test]
async fn f2_17_who_may_give_nothing_is_refused_without_a_page() {
    let mut visit = Visit::of("dave").await;
    let (_, page) = visit.ask("web-app", "accounts:read").await;
    assert_eq!(page.departed().error(), "access_denied");
    assert_eq!(visit.bank.audited(EventKind::ConsentGranted).await, 0);
    // Who he is he may tell.
    let tokens = visit.tokens("web-app", "openid accounts:read").await;
    assert_eq!(tokens["scope"], "openid");
    assert!(!visit.bank.api("accounts-api").is_active(tokens.str("access_token")).await);
    // Nor does the bank's own app get more of him.
    let own = visit.tokens("own-app", "openid accounts:read").await;
    assert_eq!(own["scope"], "openid");
}

#[tokio::test]
async fn f2_17_a_role_that_is_taken_away_is_gone_from_new_tokens() {
    let mut visit = Visit::of("bob").await;
    let tokens = visit.tokens("web-app", "openid accounts:read").await;
    assert_eq!(scope_of(&tokens), ["accounts:read", "openid"]);
    visit.bank.declare("[[user]]\nusername = 'bob'\nroles = []\n").await.unwrap();
    let tokens = visit.tokens("web-app", "openid accounts:read").await;
    assert_eq!(tokens["scope"], "openid");
    let claims = claims_of(tokens.str("access_token"));
    assert!(claims.get("roles").is_none_or(|roles| *roles == json!([])), "{claims}");
}

#[tokio::test]
async fn a_scope_can_demand_a_second_factor() {
    let mut visit = Visit::of("alice").await;
    visit.tokens("web-app", "openid accounts:read").await;
    assert!(visit.person.secret.is_none(), "a password was enough to see accounts");
    let attempt = visit.attempt("web-app", "openid payments:write");
    let page = visit.browser.open(attempt.clone().with("prompt", "none").url()).await;
    assert_eq!(page.departed().error(), "interaction_required");
    let page = visit.browser.open(attempt.url()).await;
    assert!(page.has("enrol-submit"), "{}", page.text());
    let departure = visit.bank.connect(&mut visit.person, &visit.browser, attempt.url()).await;
    let tokens = visit.bank.app("web-app").redeem(&attempt, &attempt.code(&departure)).await.expect(200);
    let claims = claims_of(tokens.str("access_token"));
    assert_eq!(claims["roles"], json!(["payment-initiator"]));
    assert_eq!(claims["acr"], "urn:openbanking:psd2:sca");
    // A remembered consent does not replace the factor: a new login needs both again.
    let (browser, mut alice) = (Browser::new(), visit.person.clone());
    visit.bank.advance(TimeDelta::seconds(60));
    let page = browser.open(visit.attempt("web-app", "openid payments:write").url()).await;
    let page = alice.answer(&browser, &page, visit.bank.now()).await;
    assert!(page.has("otp-submit"), "{}", page.text());
}

#[tokio::test]
async fn the_banks_own_app_is_not_asked_about_but_recorded() {
    let mut visit = Visit::of("bob").await;
    let (attempt, page) = visit.ask("own-app", "openid profile accounts:read").await;
    attempt.code(page.departed());
    assert_eq!(visit.bank.audited(EventKind::ConsentGranted).await, 1);
    let account = visit.browser.open(visit.bank.url("/account")).await;
    assert!(account.text().contains("Bank's own App"), "{}", account.text());
    let (attempt, page) = visit.ask("own-app", "openid profile accounts:read").await;
    attempt.code(page.departed());
    assert_eq!(visit.bank.audited(EventKind::ConsentGranted).await, 1, "recorded once");
}

#[rstest]
#[case::sign_in("bob", "login-submit", "cancel")]
#[case::consent("bob", "consent-allow", "consent-deny")]
#[case::enrolment("carol", "enrol-submit", "cancel")]
#[tokio::test]
async fn f2_32_giving_up_tells_the_app(#[case] who: &str, #[case] stop: &str, #[case] button: &str) {
    let mut visit = Visit::of(who).await;
    let attempt = visit.attempt("web-app", "openid");
    let page = visit.browser.open(attempt.url()).await;
    let page = visit.person.walk(&visit.browser, page, stop, visit.bank.now()).await;
    let gone = visit.press(&page, button).await;
    let departure = gone.departed();
    assert_eq!(departure.error(), "access_denied");
    assert_eq!(departure.parameter("state"), Some(attempt.state.as_str()));
    assert_eq!(visit.bank.audited(EventKind::ConsentDenied).await, 1);
    // It is over: the way back does not undo it.
    let again = visit.browser.open(page.url.clone()).await;
    assert_eq!((again.status, again.departure.is_none()), (410, true));
    if stop == "consent-allow" {
        let again = visit.press(&page, "consent-allow").await;
        assert_eq!((again.status, again.departure.is_none()), (410, true));
    }
    assert_eq!(visit.bank.audited(EventKind::AuthorizationIssued).await, 0);
    assert_eq!(visit.bank.audited(EventKind::ConsentGranted).await, 0);
    // A no is not remembered.
    assert!(asked(&visit.ask("web-app", "openid").await.1));
}

#[tokio::test]
async fn f2_32_giving_up_at_the_second_factor_tells_the_app() {
    let mut visit = Visit::of("carol").await;
    visit.tokens("web-app", "openid").await;
    visit.bank.advance(TimeDelta::seconds(60));
    let attempt = visit.attempt("web-app", "openid").with("prompt", "login");
    let page = visit.browser.open(attempt.url()).await;
    let page = visit.person.walk(&visit.browser, page, "otp-submit", visit.bank.now()).await;
    assert_eq!(visit.press(&page, "cancel").await.departed().error(), "access_denied");
}

#[tokio::test]
async fn a_deleted_client_is_not_declared_back_to_life() {
    let bank = Bank::open().await;
    crate::steps::tokens_for(&bank, &bank.app("web-app"), "openid").await;
    let id = "web-app".parse().unwrap();
    let deleted = bank.service.operate("tester").delete_client(&id).await.unwrap().unwrap();
    assert!(!deleted.removed, "a consent names it");
    let again = "[[client]]\nclient_id = \"web-app\"\nclient_name = \"Web App\"\n\
                 redirect_uris = [\"https://web.example/cb\"]\nscope = \"openid\"\n";
    let refusal = bank.declare(again).await.unwrap_err();
    assert!(refusal.contains("web-app was deleted"), "{refusal}");
}
