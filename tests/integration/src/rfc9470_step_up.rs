//! Step-up authentication (RFC 9470), end to end: the bank's API wants more, the app asks for it, the server
//! sees to it and says honestly what was reached.

use chrono::TimeDelta;
use serde_json::{Value, json};
use testkit::{Answer, Browser, claims_of};
use tokio::net::TcpListener;

use crate::{
    bank::{Bank, Engine},
    steps::answer,
};

const SCA: &str = "urn:openbanking:psd2:sca";
const CA: &str = "urn:openbanking:psd2:ca";

/// Payments may be consented to with one factor here; the API asks for the second when it matters.
const SMALL_CHANGE: &str = "[[scope]]\nname = \"payments:write\"\ntitle = \"Send payments\"\n\
    description = \"Move money.\"\naudience = \"https://api.bank.example\"\nroles = [\"payment-initiator\"]\n";

/// The example's bank API in front of this bank.
async fn api(bank: &Bank) -> String {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let url = format!("http://{}", listener.local_addr().unwrap());
    let clock = bank.clock.clone();
    let config = bank_api::Config {
        issuer: bank.issuer.clone(),
        audience: "https://api.bank.example".into(),
        introspection: Some(bank_api::IntrospectionCredentials {
            client_id: "accounts-api".into(),
            client_secret: "accounts-api-secret-0123456789".into(),
        }),
        clock: bank_api::Clock::new(move || flows::Clock::now(&*clock)),
    };
    tokio::spawn(bank_api::serve(config, listener, std::future::pending()));
    url
}

async fn pay(bank: &Bank, api: &str, token: &str, amount: &str) -> Answer {
    let http = bank.app("web-app").http().clone();
    let accounts = answer(http.get(format!("{api}/accounts")).bearer_auth(token)).await.expect(200);
    let order = json!({
        "from_account": accounts["accounts"][1]["account_id"], "creditor": "Landlord",
        "amount": amount, "currency": "EUR",
    });
    answer(http.post(format!("{api}/payments")).bearer_auth(token).json(&order)).await
}

fn parameter<'c>(challenge: &'c str, name: &str) -> &'c str {
    let (_, rest) = challenge.split_once(&format!("{name}=\"")).unwrap();
    rest.split('"').next().unwrap()
}

#[tokio::test]
async fn su_01_su_02_an_api_asks_for_more_and_gets_it() {
    let bank = Bank::open().await;
    bank.declare(SMALL_CHANGE).await.unwrap();
    let (api, app, browser) = (api(&bank).await, bank.app("web-app"), Browser::new());
    let mut alice = bank.person("alice");
    let scope = "openid accounts:read payments:write";
    let attempt = app.attempt(scope);
    let departure = bank.connect(&mut alice, &browser, attempt.url()).await;
    let weak = app.redeem(&attempt, &attempt.code(&departure)).await.expect(200);
    assert_eq!(claims_of(weak.str("access_token"))["acr"], CA);
    pay(&bank, &api, weak.str("access_token"), "30.00").await.expect(201);

    let refused = pay(&bank, &api, weak.str("access_token"), "600.00").await;
    refused.expect_error(401, "insufficient_user_authentication");
    let challenge = refused.header("www-authenticate").unwrap();
    assert_eq!(parameter(challenge, "error"), "insufficient_user_authentication");
    assert_eq!(parameter(challenge, "acr_values"), SCA);

    // The app passes on what it heard, and nothing of its own.
    bank.advance(TimeDelta::seconds(30));
    let attempt = app
        .attempt(scope)
        .with("acr_values", parameter(challenge, "acr_values"))
        .with("max_age", parameter(challenge, "max_age"));
    let departure = bank.connect(&mut alice, &browser, attempt.url()).await;
    let strong = app.redeem(&attempt, &attempt.code(&departure)).await.expect(200);
    let claims = claims_of(strong.str("access_token"));
    // Young enough, so only the second factor was asked for; the first is as old as it is.
    assert_eq!((&claims["acr"], &claims["auth_time"]), (&json!(SCA), &json!(bank.now().timestamp() - 30)));
    assert_eq!(claims_of(strong.str("id_token"))["acr"], SCA);
    let seen = bank.api("accounts-api").introspect(strong.str("access_token")).await.expect(200);
    assert_eq!((&seen["acr"], &seen["auth_time"]), (&claims["acr"], &claims["auth_time"]));
    pay(&bank, &api, strong.str("access_token"), "600.00").await.expect(201);
    // What was issued before says what was true then.
    let seen = bank.api("accounts-api").introspect(weak.str("access_token")).await.expect(200);
    assert_eq!(seen["acr"], CA);
}

#[tokio::test]
async fn su_02_a_refresh_makes_nothing_stronger_or_younger() {
    let bank = Bank::open().await;
    let (app, browser) = (bank.app("web-app"), Browser::new());
    let attempt = app.attempt("openid offline_access accounts:read");
    let departure = bank.connect(&mut bank.person("alice"), &browser, attempt.url()).await;
    let first = app.redeem(&attempt, &attempt.code(&departure)).await.expect(200);
    let before = claims_of(first.str("access_token"));
    bank.advance(TimeDelta::minutes(3));
    let later = app.refresh(first.str("refresh_token")).await.expect(200);
    let after = claims_of(later.str("access_token"));
    assert_eq!((&after["acr"], &after["auth_time"]), (&before["acr"], &before["auth_time"]));
    assert_ne!(after["iat"], before["iat"]);
}

#[tokio::test]
async fn su_02_max_age_brings_the_person_back() {
    let bank = Bank::with(Engine::Sqlite, |policies| policies.sessions.idle = TimeDelta::hours(1)).await;
    let (app, browser) = (bank.app("web-app"), Browser::new());
    let mut alice = bank.person("alice");
    let auth_time = async |person: &mut testkit::Person| -> Value {
        let attempt = app.attempt("openid accounts:read").with("max_age", "300");
        let departure = bank.connect(person, &browser, attempt.url()).await;
        let tokens = app.redeem(&attempt, &attempt.code(&departure)).await.expect(200);
        claims_of(tokens.str("access_token"))["auth_time"].clone()
    };
    let first = auth_time(&mut alice).await;
    bank.advance(TimeDelta::seconds(200));
    assert_eq!(auth_time(&mut alice).await, first, "young enough");
    bank.advance(TimeDelta::seconds(200));
    assert_eq!(auth_time(&mut alice).await, json!(bank.now().timestamp()));
}

#[tokio::test]
async fn su_03_what_cannot_be_met_is_an_error_or_an_honest_answer() {
    let bank = Bank::open().await;
    let (app, browser) = (bank.app("web-app"), Browser::new());
    let metadata = app.get("/.well-known/openid-configuration").await.expect(200);
    assert_eq!(metadata["acr_values_supported"], json!([CA, SCA]));
    let mut bob = bank.person("bob");
    let attempt = app.attempt("openid accounts:read");
    let _ = bank.connect(&mut bob, &browser, attempt.url()).await;
    // Nobody may be asked for the second factor.
    let silent = app.attempt("openid accounts:read").with("acr_values", SCA).with("prompt", "none");
    let page = browser.open(silent.url()).await;
    assert!(
        ["interaction_required", "unmet_authentication_requirements", "login_required"]
            .contains(&page.departed().error()),
        "{}",
        page.departed().error()
    );
    // A class that nobody knows is not claimed to have been reached.
    let unknown = app.attempt("openid accounts:read").with("acr_values", "urn:example:gold");
    let departure = bank.connect(&mut bob, &browser, unknown.url()).await;
    let tokens = app.redeem(&unknown, &unknown.code(&departure)).await.expect(200);
    assert_eq!(claims_of(tokens.str("access_token"))["acr"], CA);
    // Either class will do, so the one that was reached before does.
    let either = app.attempt("openid accounts:read").with("acr_values", &format!("{SCA} {CA}"));
    let departure = bank.connect(&mut bob, &browser, either.url()).await;
    let tokens = app.redeem(&either, &either.code(&departure)).await.expect(200);
    assert_eq!(claims_of(tokens.str("access_token"))["acr"], CA);
    // Nothing less than two factors: bob has to set one up.
    let strong = app.attempt("openid accounts:read").with("acr_values", SCA);
    let departure = bank.connect(&mut bob, &browser, strong.url()).await;
    let tokens = app.redeem(&strong, &strong.code(&departure)).await.expect(200);
    assert_eq!(claims_of(tokens.str("access_token"))["acr"], SCA);
}
