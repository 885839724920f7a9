//! The `claims` parameter (OpenID Connect Core §5.5): single claims in either place, demands on `sub` and
//! `acr`, and the consent that stands before each of them.

use serde_json::{Value, json};
use testkit::{Attempt, Browser, Departure, Page, Person, claims_of};

use crate::bank::{Bank, ENGINES};

const CA: &str = "urn:openbanking:psd2:ca";
const SCA: &str = "urn:openbanking:psd2:sca";

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

    fn attempt(&self, app: &str, scope: &str, claims: &Value) -> Attempt {
        self.bank.app(app).attempt(scope).with("claims", &claims.to_string())
    }

    async fn go(&mut self, attempt: &Attempt) -> Departure {
        self.bank.connect(&mut self.person, &self.browser, attempt.url()).await
    }

    /// Goes all the way: the ID token's claims, and userinfo.
    async fn told(&mut self, app: &str, scope: &str, claims: &Value) -> (Value, Value) {
        let attempt = self.attempt(app, scope, claims);
        let departure = self.go(&attempt).await;
        let party = self.bank.app(app);
        let tokens = party.redeem(&attempt, &attempt.code(&departure)).await.expect(200);
        // The scope of the answer names scopes alone.
        assert_eq!(tokens.str("scope"), scope);
        let userinfo = party.userinfo(tokens.str("access_token")).await.expect(200);
        (claims_of(tokens.str("id_token")), userinfo.json)
    }

    /// Goes on until the consent page, or until the app has its answer.
    async fn asked(&mut self, attempt: &Attempt) -> Page {
        let page = self.browser.open(attempt.url()).await;
        self.person.walk(&self.browser, page, "consent-allow", self.bank.now()).await
    }

    async fn silently(&self, attempt: Attempt) -> Departure {
        self.browser.open(attempt.with("prompt", "none").url()).await.departed().clone()
    }
}

fn members(object: &Value) -> Vec<&str> {
    let mut names: Vec<&str> = object.as_object().unwrap().keys().map(String::as_str).collect();
    names.sort_unstable();
    names
}

#[tokio::test]
async fn oc_18_oc_30_each_place_gets_exactly_what_was_asked_for_there() {
    for engine in ENGINES {
        let bank = Bank::on(engine).await;
        let person = bank.person("alice");
        let mut visit = Visit { bank, browser: Browser::new(), person };
        let claims = json!({
            "userinfo": {"email": {"essential": true}, "birthdate": null, "picture": null, "roles": null},
            "id_token": {"given_name": null, "auth_time": {"essential": true}, "address": {"essential": true}}
        });
        let (id_token, userinfo) = visit.told("web-app", "openid", &claims).await;
        // There is no picture of alice, and no such claim as roles.
        assert_eq!(members(&userinfo), ["birthdate", "email", "sub"]);
        assert_eq!(userinfo["email"], "alice@bank.example");
        assert_eq!(id_token["given_name"], "Alice");
        assert_eq!(id_token["address"]["country"], "NZ");
        assert!(id_token["auth_time"].is_i64());
        for unasked in ["email", "birthdate", "name", "roles", "phone_number"] {
            assert_eq!(id_token.get(unasked), None, "{unasked}");
        }
        assert_eq!(userinfo["sub"], id_token["sub"]);
    }
}

#[tokio::test]
async fn oc_18_claims_of_a_requested_scope_may_come_in_the_id_token_too() {
    let mut visit = Visit::of("alice").await;
    let claims = json!({"id_token": {"email": null}});
    let (id_token, userinfo) = visit.told("web-app", "email openid", &claims).await;
    assert_eq!((&id_token["email"], &userinfo["email"]), (&json!("alice@bank.example"), &id_token["email"]));
    assert_eq!(id_token.get("email_verified"), None, "only what was asked for by name");
    assert_eq!(userinfo["email_verified"], true, "the scope releases both at userinfo");
}

#[tokio::test]
async fn oc_18_claims_survive_a_refresh() {
    let mut visit = Visit::of("alice").await;
    let claims = json!({"id_token": {"nickname": null, "email": null}, "userinfo": {"name": null}});
    let attempt = visit.attempt("web-app", "openid", &claims);
    let departure = visit.go(&attempt).await;
    let party = visit.bank.app("web-app");
    let tokens = party.redeem(&attempt, &attempt.code(&departure)).await.expect(200);
    let renewed = party.refresh(tokens.str("refresh_token")).await.expect(200);
    assert_eq!(claims_of(renewed.str("id_token"))["email"], "alice@bank.example");
    let userinfo = party.userinfo(renewed.str("access_token")).await.expect(200);
    assert_eq!(members(&userinfo.json), ["name", "sub"]);
}

#[tokio::test]
async fn oc_18_single_claims_are_consented_to_in_readable_words() {
    let mut visit = Visit::of("alice").await;
    let claims = json!({"userinfo": {"email": null, "phone_number": null}, "id_token": {"birthdate": null}});
    let attempt = visit.attempt("web-app", "openid", &claims);
    let page = visit.asked(&attempt).await;
    let text = page.text();
    for words in ["Email address", "alice@bank.example", "Phone number", "+64 4 000 0000", "Date of birth"] {
        assert!(text.contains(words), "{words:?} is not on the page: {text}");
    }
    assert!(!text.contains("claim:") && !text.contains("Quay Street"));
    // In the person's language.
    let chinese = visit.browser.open(attempt.clone().with("ui_locales", "zh-Hant").url()).await;
    assert!(chinese.text().contains("出生日期"), "{}", chinese.text());
    let departure = visit.browser.submit(&page, "consent-allow", &[]).await;
    attempt.code(departure.departed());
    // Remembered; more is asked again (OC-33, OC-05).
    let again = visit.silently(visit.attempt("web-app", "openid", &claims)).await;
    assert!(again.parameter("code").is_some(), "{:?}", again.parameters);
    let more = json!({"userinfo": {"email": null, "address": null}});
    let more = visit.silently(visit.attempt("web-app", "openid", &more)).await;
    assert_eq!(more.error(), "consent_required");
    // The account page says it, too.
    let account = visit.browser.open(visit.bank.url("/account")).await;
    assert!(account.text().contains("Date of birth") && !account.text().contains("claim:"));
}

#[tokio::test]
async fn oc_18_oc_30_a_client_learns_nothing_that_it_is_not_registered_for() {
    let mut visit = Visit::of("alice").await;
    // legacy-app may ask for profile, not for email or phone.
    let claims =
        json!({"userinfo": {"email": {"essential": true}, "name": null}, "id_token": {"phone_number": null}});
    let attempt = visit.attempt("legacy-app", "openid", &claims);
    let page = visit.asked(&attempt).await;
    assert!(!page.text().contains("alice@bank.example"));
    let (id_token, userinfo) = visit.told("legacy-app", "openid", &claims).await;
    assert_eq!(members(&userinfo), ["name", "sub"]);
    assert_eq!(id_token.get("phone_number"), None);
}

#[tokio::test]
async fn oc_18_a_withdrawn_consent_stops_single_claims_at_once() {
    let mut visit = Visit::of("alice").await;
    let claims = json!({"userinfo": {"email": null}});
    let attempt = visit.attempt("web-app", "openid", &claims);
    let departure = visit.go(&attempt).await;
    let party = visit.bank.app("web-app");
    let tokens = party.redeem(&attempt, &attempt.code(&departure)).await.expect(200);
    let account = visit.browser.open(visit.bank.url("/account")).await;
    let button = crate::visits::buttons(&account, "withdraw-").remove(0);
    visit.browser.submit(&account, &button, &[]).await;
    party.userinfo(tokens.str("access_token")).await.expect_error(401, "invalid_token");
}

#[tokio::test]
async fn oc_18_a_demanded_other_sub_fails() {
    let mut visit = Visit::of("bob").await;
    let (id_token, _) = visit.told("web-app", "openid", &json!({})).await;
    let bob = id_token["sub"].as_str().unwrap().to_owned();
    for place in ["id_token", "userinfo"] {
        let himself = visit.attempt("web-app", "openid", &json!({place: {"sub": {"value": bob}}}));
        assert!(visit.silently(himself).await.parameter("code").is_some());
        for other in [json!({"value": "248289761001"}), json!({"values": ["a", "b"]}), json!({"value": 7})] {
            let attempt = visit.attempt("web-app", "openid", &json!({place: {"sub": other}}));
            assert_eq!(visit.silently(attempt).await.error(), "login_required");
        }
    }
    // With pages, whom the app means may sign in; nobody else helps.
    visit.bank.advance(chrono::TimeDelta::seconds(1));
    let attempt = visit.attempt("web-app", "openid", &json!({"id_token": {"sub": {"value": "somebody"}}}));
    let page = visit.browser.open(attempt.url()).await;
    assert!(page.has("login-submit"));
    let page = visit.person.walk(&visit.browser, page, "", visit.bank.now()).await;
    assert_eq!(page.departed().error(), "login_required");
}

#[tokio::test]
async fn oc_19_an_essential_acr_is_met_or_the_authentication_fails() {
    let mut visit = Visit::of("bob").await;
    let acr = |asked: Value| json!({"id_token": {"acr": asked}});
    // Nobody reaches it.
    let never = acr(json!({"essential": true, "value": "urn:mace:incommon:iap:silver"}));
    let attempt = visit.attempt("web-app", "openid", &never);
    let refused = visit.browser.open(attempt.url()).await.departed().clone();
    assert_eq!(refused.error(), "unmet_authentication_requirements");
    assert_eq!(refused.parameter("state"), Some(attempt.state.as_str()));
    // One that is voluntary never fails a request.
    let wish = acr(json!({"value": "urn:mace:incommon:iap:silver"}));
    assert_eq!(visit.told("web-app", "openid", &wish).await.0["acr"], CA);
    // Two factors: not silently, and bob sets one up.
    let strong = acr(json!({"essential": true, "values": ["urn:mace:incommon:iap:silver", SCA]}));
    let silent = visit.silently(visit.attempt("web-app", "openid", &strong)).await;
    assert!(["interaction_required", "login_required"].contains(&silent.error()), "{}", silent.error());
    visit.bank.advance(chrono::TimeDelta::seconds(60));
    assert_eq!(visit.told("web-app", "openid", &strong).await.0["acr"], SCA);
    // Who showed two has also shown one, and the client gets a class that it listed.
    let weak = acr(json!({"essential": true, "value": CA}));
    assert_eq!(visit.told("web-app", "openid", &weak).await.0["acr"], CA);
    assert_eq!(visit.told("web-app", "openid", &json!({})).await.0["acr"], SCA);
}

#[tokio::test]
async fn oc_18_jo_02_malformed_claims_are_refused_at_the_client() {
    let visit = Visit::of("bob").await;
    for malformed in [
        "",
        "[]",
        "email",
        r#"{"userinfo":{},"userinfo":{}}"#,
        r#"{"id_token":{"email":null,"email":null}}"#,
        r#"{"id_token":{"email":1}}"#,
        &format!(r#"{{"userinfo":{{"x":{{"value":"{}"}}}}}}"#, "x".repeat(8 * 1024)),
    ] {
        let attempt = visit.bank.app("web-app").attempt("openid").with("claims", malformed);
        let departure = visit.browser.open(attempt.url()).await;
        if malformed.is_empty() {
            // O21-04: an empty parameter is an absent one.
            assert!(departure.has("login-submit"));
            continue;
        }
        assert_eq!(departure.departed().error(), "invalid_request", "{malformed:.40}");
        assert_eq!(departure.departed().parameter("state"), Some(attempt.state.as_str()));
    }
}

#[tokio::test]
async fn oc_26_metadata_says_what_claims_can_be_asked_for() {
    let bank = Bank::open().await;
    let metadata = bank.app("web-app").get("/.well-known/openid-configuration").await.expect(200);
    assert_eq!(metadata["claims_parameter_supported"], true);
    let supported: Vec<&str> =
        metadata["claims_supported"].as_array().unwrap().iter().map(|name| name.as_str().unwrap()).collect();
    for claim in protocol::claims::claim_names() {
        assert!(supported.contains(&claim), "{claim}");
    }
}

/// OC-31: a user can have every claim of Core §5.1, and userinfo says each of them.
#[tokio::test]
async fn oc_31_a_user_can_hold_every_standard_claim() {
    let bank = Bank::open().await;
    let user = r#"
        [[user]]
        username = "frida"
        password = "granite-teapot-orbit"
        [user.claims]
        name = "Frida Q. Example"
        given_name = "Frida"
        family_name = "Example"
        middle_name = "Quinn"
        nickname = "Fri"
        preferred_username = "frida.example"
        profile = "https://frida.example/"
        picture = "https://frida.example/me.png"
        website = "https://blog.frida.example/"
        email = "frida@bank.example"
        email_verified = true
        gender = "female"
        birthdate = "0000-10-31"
        zoneinfo = "Europe/Paris"
        locale = "fr-FR"
        phone_number = "+33 1 00 00 00 00"
        phone_number_verified = true
        updated_at = 1700000000
        [user.claims.address]
        formatted = "1 Rue\n75000 Paris"
        street_address = "1 Rue"
        locality = "Paris"
        region = "IDF"
        postal_code = "75000"
        country = "FR"
    "#;
    bank.declare(user).await.unwrap();
    let person = Person::new("frida", "granite-teapot-orbit");
    let mut visit = Visit { bank, browser: Browser::new(), person };
    let all: serde_json::Map<String, Value> =
        protocol::claims::claim_names().map(|name| (name.to_owned(), Value::Null)).collect();
    let (id_token, userinfo) =
        visit.told("web-app", "openid", &json!({"userinfo": all, "id_token": all})).await;
    for name in protocol::claims::claim_names() {
        assert!(userinfo.get(name).is_some(), "{name} is missing");
        assert_eq!(userinfo[name], id_token[name]);
    }
    assert_eq!(members(&userinfo).len(), 1 + protocol::claims::claim_names().count());
    assert_eq!(userinfo["address"]["postal_code"], "75000");
    assert_eq!(userinfo["updated_at"], 1_700_000_000);
}
