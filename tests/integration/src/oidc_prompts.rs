//! What OpenID Connect Core §3.1.2.1 lets a client ask of the login: `prompt`, `max_age`, hints, `acr_values`.

use chrono::TimeDelta;
use rstest::rstest;
use serde_json::Value;
use testkit::{Attempt, Browser, Departure, Person, RelyingParty, claims_of};

use crate::bank::Bank;

const CA: &str = "urn:openbanking:psd2:ca";
const SCA: &str = "urn:openbanking:psd2:sca";

/// One person at one browser.
struct Visit {
    bank: Bank,
    browser: Browser,
    person: Person,
}

impl Visit {
    async fn of(username: &str) -> Self {
        let bank = Bank::open().await;
        let person = bank.person(username);
        Self { bank, browser: Browser::new(), person }
    }

    fn app(&self, id: &str) -> RelyingParty {
        self.bank.app(id)
    }

    /// Goes all the way; the claims of the ID token.
    async fn claims(&mut self, app: &str, bend: impl FnOnce(Attempt) -> Attempt) -> Value {
        let app = self.app(app);
        let attempt = bend(app.attempt("openid"));
        let departure = self.bank.connect(&mut self.person, &self.browser, attempt.url()).await;
        let tokens = app.redeem(&attempt, &attempt.code(&departure)).await.expect(200);
        claims_of(tokens.str("id_token"))
    }

    /// The whole ID token.
    async fn id_token(&mut self, app: &str) -> String {
        let app = self.app(app);
        let attempt = app.attempt("openid");
        let departure = self.bank.connect(&mut self.person, &self.browser, attempt.url()).await;
        let tokens = app.redeem(&attempt, &attempt.code(&departure)).await.expect(200);
        tokens.str("id_token").to_owned()
    }

    /// `prompt=none`: what the app is told. Nothing may be shown, and nothing may be begun.
    async fn silently(&self, app: &str, bend: impl FnOnce(Attempt) -> Attempt) -> Departure {
        let attempt = bend(self.app(app).attempt("openid").with("prompt", "none"));
        let page = self.browser.open(attempt.url()).await;
        assert!(!page.headers.contains_key("set-cookie"));
        let departure = page.departed().clone();
        assert_eq!(departure.parameter("state"), Some(attempt.state.as_str()));
        departure
    }

    /// The id of the button that the first page of a request shows.
    async fn first_page(&self, app: &str, bend: impl FnOnce(Attempt) -> Attempt) -> &'static str {
        let page = self.browser.open(bend(self.app(app).attempt("openid")).url()).await;
        let buttons = ["login-submit", "otp-submit", "enrol-submit", "consent-allow"];
        buttons.into_iter().find(|button| page.has(button)).unwrap_or(if page.departure.is_some() {
            "none"
        } else {
            "unknown"
        })
    }
}

#[tokio::test]
async fn oc_05_prompt_none_without_a_session_wants_a_login() {
    let visit = Visit::of("bob").await;
    assert_eq!(visit.silently("web-app", |a| a).await.error(), "login_required");
    // A session that has run out is none.
    let mut visit = visit;
    visit.claims("web-app", |a| a).await;
    visit.bank.advance(TimeDelta::hours(13));
    assert_eq!(visit.silently("web-app", |a| a).await.error(), "login_required");
}

#[tokio::test]
async fn oc_05_prompt_none_without_consent_wants_consent() {
    let mut visit = Visit::of("bob").await;
    visit.claims("web-app", |a| a).await;
    assert_eq!(visit.silently("spa", |a| a).await.error(), "consent_required");
    let wider = visit.silently("web-app", |a| a.with("scope", "openid profile")).await;
    assert_eq!(wider.error(), "consent_required");
}

#[tokio::test]
async fn oc_05_prompt_none_without_a_second_factor_wants_interaction() {
    let mut visit = Visit::of("bob").await;
    visit.claims("web-app", |a| a).await;
    assert_eq!(visit.silently("strict-app", |a| a).await.error(), "interaction_required");
    let stronger = visit.silently("web-app", |a| a.with("acr_values", SCA)).await;
    assert_eq!(stronger.error(), "interaction_required");
}

#[tokio::test]
async fn oc_05_oc_33_prompt_none_succeeds_where_nothing_is_missing() {
    let mut visit = Visit::of("bob").await;
    let first = visit.claims("web-app", |a| a).await;
    visit.bank.advance(TimeDelta::minutes(5));
    assert!(visit.silently("web-app", |a| a).await.parameter("code").is_some());
    let again = visit.claims("web-app", |a| a.with("prompt", "none")).await;
    assert_eq!((&first["sub"], &first["auth_time"]), (&again["sub"], &again["auth_time"]));
}

#[rstest]
#[case("none login")]
#[case("login none")]
#[case("none consent")]
#[case("consent login none")]
#[tokio::test]
async fn oc_06_none_beside_another_prompt_is_an_error(#[case] prompt: &str) {
    let mut visit = Visit::of("bob").await;
    visit.claims("web-app", |a| a).await;
    let attempt = visit.app("web-app").attempt("openid").with("prompt", prompt);
    assert_eq!(visit.browser.open(attempt.url()).await.departed().error(), "invalid_request");
}

#[tokio::test]
async fn oc_06_prompt_login_authenticates_again() {
    let mut visit = Visit::of("bob").await;
    let first = visit.claims("web-app", |a| a).await;
    let cookie = visit.browser.cookie(&visit.bank.issuer, "chancery-session-dev");
    visit.bank.advance(TimeDelta::seconds(90));
    assert_eq!(visit.first_page("web-app", |a| a).await, "none");
    assert_eq!(visit.first_page("web-app", |a| a.with("prompt", "login")).await, "login-submit");
    let again = visit.claims("web-app", |a| a.with("prompt", "login")).await;
    let moved = again["auth_time"].as_i64().unwrap() - first["auth_time"].as_i64().unwrap();
    assert_eq!(moved, 90);
    assert_eq!(first["sub"], again["sub"]);
    // SE-01: the id of the session changes at each login.
    let renewed = visit.browser.cookie(&visit.bank.issuer, "chancery-session-dev");
    assert!(renewed.is_some() && renewed != cookie);
}

#[tokio::test]
async fn oc_06_prompt_login_asks_for_every_factor_again() {
    let mut visit = Visit::of("carol").await;
    assert_eq!(visit.claims("web-app", |a| a).await["acr"], SCA);
    visit.bank.advance(TimeDelta::seconds(90));
    let attempt = visit.app("web-app").attempt("openid").with("prompt", "login");
    let page = visit.browser.open(attempt.url()).await;
    assert!(page.has("login-submit"));
    let page = visit.person.answer(&visit.browser, &page, visit.bank.now()).await;
    assert!(page.has("otp-submit"), "{}", page.text());
    let page = visit.person.answer(&visit.browser, &page, visit.bank.now()).await;
    attempt.code(page.departed());
}

#[tokio::test]
async fn oc_06_a_wrong_password_at_prompt_login_leads_nowhere() {
    let mut visit = Visit::of("bob").await;
    visit.claims("web-app", |a| a).await;
    visit.bank.advance(TimeDelta::seconds(1));
    let attempt = visit.app("web-app").attempt("openid").with("prompt", "login");
    let page = visit.browser.open(attempt.url()).await;
    let failed = visit.browser.submit(&page, "login-submit", &[("username", "bob"), ("password", "x")]).await;
    assert!(failed.departure.is_none() && failed.has("login-submit"));
    // Nor does loading the page again, though the old session still lives.
    assert!(visit.browser.open(page.url).await.has("login-submit"));
    assert!(visit.silently("web-app", |a| a).await.parameter("code").is_some());
}

#[tokio::test]
async fn oc_06_prompt_consent_asks_again() {
    let mut visit = Visit::of("bob").await;
    visit.claims("web-app", |a| a).await;
    assert_eq!(visit.first_page("web-app", |a| a.with("prompt", "consent")).await, "consent-allow");
    // Even the bank's own client, which is never asked otherwise.
    visit.claims("own-app", |a| a).await;
    assert_eq!(visit.first_page("own-app", |a| a.with("prompt", "consent")).await, "consent-allow");
    visit.bank.advance(TimeDelta::seconds(1));
    assert_eq!(visit.first_page("web-app", |a| a.with("prompt", "login consent")).await, "login-submit");
}

#[tokio::test]
async fn oc_04_max_age_wants_a_recent_login() {
    let mut visit = Visit::of("bob").await;
    let first = visit.claims("web-app", |a| a.with("max_age", "600")).await;
    assert_eq!(first["auth_time"].as_i64(), Some(visit.bank.now().timestamp()));
    visit.bank.advance(TimeDelta::seconds(600));
    assert_eq!(visit.first_page("web-app", |a| a.with("max_age", "600")).await, "none");
    let within = visit.claims("web-app", |a| a.with("max_age", "600")).await;
    assert_eq!(within["auth_time"], first["auth_time"]);
    visit.bank.advance(TimeDelta::seconds(1));
    assert_eq!(visit.first_page("web-app", |a| a.with("max_age", "600")).await, "login-submit");
    assert_eq!(visit.silently("web-app", |a| a.with("max_age", "600")).await.error(), "login_required");
    let again = visit.claims("web-app", |a| a.with("max_age", "600")).await;
    assert_eq!(again["auth_time"].as_i64(), Some(visit.bank.now().timestamp()));
}

#[tokio::test]
async fn oc_04_max_age_zero_is_prompt_login() {
    let mut visit = Visit::of("bob").await;
    visit.claims("web-app", |a| a).await;
    visit.bank.advance(TimeDelta::seconds(1));
    assert_eq!(visit.first_page("web-app", |a| a.with("max_age", "0")).await, "login-submit");
    assert_eq!(visit.silently("web-app", |a| a.with("max_age", "0")).await.error(), "login_required");
    let claims = visit.claims("web-app", |a| a.with("max_age", "0")).await;
    assert_eq!(claims["auth_time"].as_i64(), Some(visit.bank.now().timestamp()));
}

#[tokio::test]
async fn oc_34_the_clients_defaults_count_where_the_request_is_silent() {
    let mut visit = Visit::of("bob").await;
    // default_acr_values: bob has to enrol a second factor.
    let claims = visit.claims("fresh-app", |a| a).await;
    assert_eq!(claims["acr"], SCA);
    assert!(claims["auth_time"].is_i64(), "require_auth_time");
    // default_max_age: five minutes.
    visit.bank.advance(TimeDelta::seconds(300));
    assert_eq!(visit.first_page("fresh-app", |a| a).await, "none");
    visit.bank.advance(TimeDelta::seconds(1));
    assert_eq!(visit.first_page("fresh-app", |a| a).await, "login-submit");
    assert_eq!(visit.silently("fresh-app", |a| a).await.error(), "login_required");
    assert_eq!(visit.first_page("fresh-app", |a| a.with("max_age", "600")).await, "none");
}

#[tokio::test]
async fn oc_34_default_max_age_does_not_touch_other_clients() {
    let mut visit = Visit::of("bob").await;
    visit.claims("fresh-app", |a| a).await;
    visit.claims("web-app", |a| a).await;
    visit.bank.advance(TimeDelta::seconds(301));
    assert_eq!(visit.first_page("web-app", |a| a).await, "none");
}

#[tokio::test]
async fn oc_29_the_acr_is_one_of_the_supported() {
    let mut visit = Visit::of("bob").await;
    let metadata = visit.app("web-app").get("/.well-known/openid-configuration").await.expect(200);
    let supported = metadata["acr_values_supported"].as_array().unwrap().clone();
    for value in &supported {
        let asked = value.as_str().unwrap();
        let claims = visit.claims("web-app", |a| a.with("acr_values", asked)).await;
        assert!(supported.contains(&claims["acr"]), "{claims}");
        if asked == SCA {
            assert_eq!(claims["acr"], SCA);
            assert_eq!(claims["amr"], serde_json::json!(["pwd", "otp", "mfa"]));
        }
    }
}

#[tokio::test]
async fn oc_29_oc_07_unknown_classes_never_fail_a_request() {
    let mut visit = Visit::of("bob").await;
    let claims = visit.claims("web-app", |a| a.with("acr_values", "urn:x:gold 1 2 \u{72c0}")).await;
    assert_eq!((&claims["acr"], &claims["amr"]), (&CA.into(), &serde_json::json!(["pwd"])));
}

#[tokio::test]
async fn oc_19_acr_values_are_a_wish_where_a_weaker_class_is_listed() {
    let mut visit = Visit::of("bob").await;
    let wish = format!("{SCA} {CA}");
    let claims = visit.claims("web-app", |a| a.with("acr_values", &wish)).await;
    assert_eq!(claims["acr"], CA, "bob has no second factor, and need not have one");
    // Who has one is asked for it: nobody is told a better class than was shown.
    visit.claims("strict-app", |a| a).await;
    visit.bank.advance(TimeDelta::seconds(60));
    let claims = visit.claims("web-app", |a| a.with("acr_values", &wish).with("prompt", "login")).await;
    assert_eq!(claims["acr"], SCA);
}

#[tokio::test]
async fn oc_19_step_up_asks_for_the_missing_factor_alone() {
    let mut visit = Visit::of("bob").await;
    let first = visit.claims("web-app", |a| a).await;
    visit.bank.advance(TimeDelta::seconds(60));
    assert_eq!(visit.first_page("strict-app", |a| a).await, "enrol-submit");
    let stepped = visit.claims("strict-app", |a| a).await;
    assert_eq!((&stepped["acr"], &stepped["auth_time"]), (&SCA.into(), &first["auth_time"]));
}

#[tokio::test]
async fn oc_09_a_hint_at_somebody_else_wants_their_login() {
    let mut visit = Visit::of("bob").await;
    let of_bob = visit.id_token("web-app").await;
    let (browser, mut dave) = (Browser::new(), visit.bank.person("dave"));
    visit.bank.connect(&mut dave, &browser, visit.app("web-app").attempt("openid").url()).await;
    visit.bank.advance(TimeDelta::seconds(1));
    // Dave sits there; the app means bob.
    let attempt = visit.app("web-app").attempt("openid").with("id_token_hint", &of_bob);
    let silent = browser.open(attempt.clone().with("prompt", "none").url()).await;
    assert_eq!(silent.departed().error(), "login_required");
    let page = browser.open(attempt.url()).await;
    assert!(page.has("login-submit"));
    // Dave again: bob's app learns nothing of him.
    let page = dave.walk(&browser, page, "", visit.bank.now()).await;
    assert_eq!(page.departed().error(), "login_required");
    visit.bank.advance(TimeDelta::seconds(1));
    // Bob himself.
    let departure = visit.bank.connect(&mut visit.person, &browser, attempt.url()).await;
    let tokens = visit.app("web-app").redeem(&attempt, &attempt.code(&departure)).await.expect(200);
    assert_eq!(claims_of(tokens.str("id_token"))["sub"], claims_of(&of_bob)["sub"]);
}

#[tokio::test]
async fn oc_09_an_expired_hint_of_ones_own_is_accepted() {
    let mut visit = Visit::of("bob").await;
    let token = visit.id_token("web-app").await;
    let expires = claims_of(&token)["exp"].as_i64().unwrap();
    while visit.bank.now().timestamp() <= expires {
        visit.bank.advance(TimeDelta::minutes(10));
        assert!(visit.silently("web-app", |a| a).await.parameter("code").is_some(), "the session lives");
    }
    let departure = visit.silently("web-app", |a| a.with("id_token_hint", &token)).await;
    assert!(departure.parameter("code").is_some(), "{:?}", departure.parameters);
}

#[tokio::test]
async fn oc_09_a_hint_that_we_did_not_issue_to_this_client_is_refused() {
    let mut visit = Visit::of("bob").await;
    let token = visit.id_token("web-app").await;
    let (head, rest) = token.split_once('.').unwrap();
    let (claims, signature) = rest.split_once('.').unwrap();
    let swapped: String = signature.chars().rev().collect();
    let unsigned = format!("eyJhbGciOiJub25lIn0.{claims}.");
    for forged in [format!("{head}.{claims}.{swapped}"), unsigned, "hint".into(), "..".into()] {
        let departure = visit.silently("web-app", |a| a.with("id_token_hint", &forged)).await;
        assert_eq!(departure.error(), "invalid_request", "{forged}");
    }
    let departure = visit.silently("spa", |a| a.with("id_token_hint", &token)).await;
    assert_eq!(departure.error(), "invalid_request", "another client's");
}

#[tokio::test]
async fn oc_07_login_hint_fills_the_field_and_is_not_believed() {
    let visit = Visit::of("bob").await;
    let hint = "<i>mallory</i>\"";
    let attempt = visit.app("web-app").attempt("openid").with("login_hint", hint);
    let page = visit.browser.open(attempt.url()).await;
    assert_eq!(page.attributes("#username", "value"), [hint]);
    assert!(!page.body.contains("<i>"));
    let mut person = visit.person.clone();
    let page = person.walk(&visit.browser, page, "", visit.bank.now()).await;
    attempt.code(page.departed());
}
