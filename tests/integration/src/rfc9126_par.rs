//! Pushed authorization requests (RFC 9126).

use std::num::NonZeroU32;

use chrono::TimeDelta;
use flows::declare::{Declared, DeclaredClient};
use jose::Algorithm;
use protocol::client::Profile;
use serde_json::json;
use testkit::{Browser, RelyingParty};
use tokens::client::ClientSettings;
use url::Url;
use web::limits::LimitPolicy;

use crate::{
    bank::{Bank, ENGINES, Engine},
    dpop_key::{DpopKey, FapiClient, post, push, pushed_url},
    running::Installation,
    steps::answer,
};

const PREFIX: &str = "urn:ietf:params:oauth:request_uri:";

/// What the browser sees with a reference: the page's error, or none.
async fn brought(app: &RelyingParty, request_uri: &str) -> (u16, String) {
    let page = Browser::new().open(pushed_url(app, request_uri)).await;
    (page.status, page.text())
}

#[tokio::test]
async fn par_01_f2_27_f2_36_the_answer_to_a_push() {
    let bank = Bank::open().await;
    let app = bank.app("web-app");
    let first = push(&app, &app.attempt("openid"), None).await.expect(201);
    let second = push(&app, &app.attempt("openid"), None).await.expect(201);
    assert_eq!(first.header("cache-control"), Some("no-store"));
    assert_eq!(first.header("content-type"), Some("application/json"));
    assert!(first["expires_in"].as_i64().is_some_and(|seconds| (5..600).contains(&seconds)));
    assert_ne!(first.str("request_uri"), second.str("request_uri"));
    assert_eq!(first.str("request_uri").strip_prefix(PREFIX).map(str::len), Some(43), "256 bits");
}

#[tokio::test]
async fn par_02_par_10_what_would_be_refused_later_is_refused_now() {
    let bank = Bank::open().await;
    let app = bank.app("web-app");
    let good = || app.attempt("openid");
    for (attempt, error) in [
        (good().with("request_uri", "urn:ietf:params:oauth:request_uri:x"), "invalid_request"),
        (good().with("redirect_uri", "https://evil.example/cb"), "invalid_request"),
        (good().without("redirect_uri"), "invalid_request"),
        (good().without("response_type"), "invalid_request"),
        (good().with("response_type", "token"), "unsupported_response_type"),
        (good().with("scope", "openid payments:write accounts:nobody admin"), "invalid_scope"),
        (good().with("code_challenge_method", "plain"), "invalid_request"),
        (good().with("prompt", "none login"), "invalid_request"),
        (good().with("dpop_jkt", "short"), "invalid_request"),
        (good().with("resource", "https://unknown.example"), "invalid_target"),
        (good().also("scope", "email"), "invalid_request"),
        (good().with("client_id", "spa"), "invalid_request"),
    ] {
        let fields: Vec<_> = attempt.parameters.iter().map(|(n, v)| (n.as_str(), v.as_str())).collect();
        let refused = post(&app, "/par", &fields, None).await;
        if error == "invalid_scope" && refused.status == 201 {
            continue; // Unknown scopes are ignored where a known one is left.
        }
        refused.expect_error(400, error);
        assert_eq!(refused.header("cache-control"), Some("no-store"));
    }
}

#[tokio::test]
async fn f2_20_par_clients_are_authenticated_and_public_ones_name_themselves() {
    let bank = Bank::open().await;
    let (web, spa) = (bank.app("web-app"), bank.app("spa"));
    let attempt = web.attempt("openid");
    let fields: Vec<_> = attempt.parameters.iter().map(|(n, v)| (n.as_str(), v.as_str())).collect();
    answer(web.http().post(web.endpoint("/par")).form(&fields)).await.expect_error(401, "invalid_client");
    let wrong = web.http().post(web.endpoint("/par")).basic_auth("web-app", Some("wrong"));
    answer(wrong.form(&fields)).await.expect_error(401, "invalid_client");
    push(&spa, &spa.attempt("openid"), None).await.expect(201);
}

#[tokio::test]
async fn par_03_par_09_f2_31_a_reference_is_spent_by_the_answer_and_alone_counts() {
    for engine in ENGINES {
        let bank = Bank::on(engine).await;
        let app = bank.app("web-app");
        let attempt = app.attempt("openid accounts:read");
        let pushed = push(&app, &attempt, None).await.expect(201);
        let uri = pushed.str("request_uri");
        // Looking at the page, twice, in other browsers, spends nothing.
        assert_eq!(brought(&app, uri).await.0, 200);
        assert_eq!(brought(&app, uri).await.0, 200);
        // What else the browser brings counts for nothing.
        let mut url = Url::parse(&pushed_url(&app, uri)).unwrap();
        url.query_pairs_mut()
            .append_pair("redirect_uri", "https://evil.example/cb")
            .append_pair("scope", "openid payments:write")
            .append_pair("state", "evil")
            .append_pair("prompt", "none");
        let (mut alice, browser) = (bank.person("alice"), Browser::new());
        let departure = bank.connect(&mut alice, &browser, url.as_str()).await;
        let code = attempt.code(&departure);
        let tokens = app.redeem(&attempt, &code).await.expect(200);
        assert!(!tokens.str("scope").contains("payments"));
        // And then it is spent, in the same browser, too.
        let page = browser.open(pushed_url(&app, uri)).await;
        assert_eq!(page.status, 400, "{engine:?}");
        assert!(page.text().contains("invalid_request_uri"), "{}", page.text());
    }
}

#[tokio::test]
async fn par_03_bcp_19_one_reference_gives_one_code_however_many_browsers_answer() {
    for engine in ENGINES {
        let bank = Bank::on(engine).await;
        let app = bank.app("web-app");
        // A consent that stands, so that the next request is answered without a page.
        let mut alice = bank.person("alice");
        let browser = Browser::new();
        bank.connect(&mut alice, &browser, app.attempt("openid accounts:read").url()).await;
        let attempt = app.attempt("openid accounts:read");
        let pushed = push(&app, &attempt, None).await.expect(201);
        let url = pushed_url(&app, pushed.str("request_uri"));
        let pages =
            tokio::join!(browser.open(&url), browser.open(&url), browser.open(&url), browser.open(&url));
        let codes = [&pages.0, &pages.1, &pages.2, &pages.3]
            .into_iter()
            .filter(|page| page.departure.as_ref().is_some_and(|it| it.parameter("code").is_some()))
            .count();
        assert_eq!(codes, 1, "{engine:?}");
    }
}

#[tokio::test]
async fn par_03_f2_32_a_refusal_spends_it_too() {
    let bank = Bank::open().await;
    let app = bank.app("web-app");
    let attempt = app.attempt("openid").with("prompt", "none");
    let pushed = push(&app, &attempt, None).await.expect(201);
    let url = pushed_url(&app, pushed.str("request_uri"));
    let page = Browser::new().open(&url).await;
    assert_eq!(page.departed().error(), "login_required");
    assert_eq!(brought(&app, pushed.str("request_uri")).await.0, 400);
}

#[tokio::test]
async fn par_03_par_04_references_of_others_old_ones_and_invented_ones() {
    let bank = Bank::open().await;
    let (app, spa) = (bank.app("web-app"), bank.app("spa"));
    let pushed = push(&app, &app.attempt("openid"), None).await.expect(201);
    let uri = pushed.str("request_uri");
    for (who, uri) in [(&spa, uri), (&app, &format!("{PREFIX}{}", "A".repeat(43))), (&app, PREFIX)] {
        let (status, text) = brought(who, uri).await;
        assert_eq!(status, 400, "{uri}");
        assert!(text.contains("invalid_request_uri"), "{text}");
    }
    bank.advance(TimeDelta::seconds(61));
    let (status, text) = brought(&app, uri).await;
    assert_eq!(status, 400);
    assert!(text.contains("invalid_request_uri"), "{text}");
}

#[tokio::test]
async fn par_04_f2_31_a_person_may_take_longer_than_the_reference_lives() {
    let bank = Bank::open().await;
    let app = bank.app("web-app");
    let attempt = app.attempt("openid accounts:read");
    let pushed = push(&app, &attempt, None).await.expect(201);
    let (mut alice, browser) = (bank.person("alice"), Browser::new());
    let url = pushed_url(&app, pushed.str("request_uri"));
    let page = browser.open(&url).await.expect(200);
    bank.advance(TimeDelta::minutes(5));
    let departure = bank.connect(&mut alice, &browser, &page.url).await;
    attempt.code(&departure);
}

#[tokio::test]
async fn par_05_other_verbs_media_types_and_sizes() {
    let bank = Bank::open().await;
    let app = bank.app("web-app");
    let par = || app.endpoint("/par");
    assert_eq!(answer(app.http().get(par())).await.status, 405);
    assert_eq!(answer(app.http().put(par())).await.status, 405);
    assert_eq!(answer(app.http().post(par()).json(&json!({}))).await.status, 415);
    let big = "x".repeat(70 * 1024);
    assert_eq!(answer(app.http().post(par()).form(&[("state", &big)])).await.status, 413);
}

#[tokio::test]
async fn par_07_the_server_may_demand_it_of_everybody() {
    let bank =
        Bank::with(Engine::Sqlite, |policies| policies.protection.require_pushed_requests = true).await;
    let app = bank.app("web-app");
    let metadata = app.get("/.well-known/openid-configuration").await.expect(200);
    assert_eq!(metadata["require_pushed_authorization_requests"], json!(true));
    assert_eq!(metadata.str("pushed_authorization_request_endpoint"), format!("{}/par", bank.issuer));
    let page = Browser::new().open(app.attempt("openid").url()).await;
    assert_eq!(page.departed().error(), "invalid_request");
    let attempt = app.attempt("openid");
    let pushed = push(&app, &attempt, None).await.expect(201);
    let url = pushed_url(&app, pushed.str("request_uri"));
    attempt.code(&bank.connect(&mut bank.person("alice"), &Browser::new(), url).await);
}

#[tokio::test]
async fn par_assertions_for_general_clients_may_name_issuer_token_or_par_endpoint() {
    let bank = Bank::open().await;
    let client = FapiClient::declared(&bank, Profile::General).await;
    push(&client.app, &client.app.attempt("openid"), None).await.expect(201);
    for (path, status) in [("/par", 201), ("/token", 201), ("/revoke", 401)] {
        let audience = json!(format!("{}{path}", bank.issuer));
        let now = bank.now().timestamp();
        let assertion = crate::dpop_key::assertion(&client.key, "fapi-app", &audience, now);
        let app = RelyingParty::new(
            &bank.issuer,
            "fapi-app",
            testkit::ClientAuth::Assertion(std::sync::Arc::new(move || assertion.clone())),
            &client.app.redirect_uri,
        );
        assert_eq!(push(&app, &app.attempt("openid"), None).await.status, status, "{path}");
    }
}

#[tokio::test]
async fn dp_04_par_03_a_reference_pushed_at_one_node_is_answered_at_the_other() {
    let bank = Bank::on(Engine::Postgres).await;
    let node = bank.another_node().await;
    let (here, key) = (bank.app("web-app"), DpopKey::new(Algorithm::Es256));
    let there = RelyingParty::new(&node.address, "web-app", here.auth.clone(), &here.redirect_uri);
    let attempt = here.attempt("openid");
    let proof = key.proof(&bank, "/par");
    let pushed = push(&there, &attempt, Some(&proof)).await.expect(201);
    push(&here, &attempt, Some(&proof)).await.expect_error(400, "invalid_dpop_proof");
    let url = pushed_url(&here, pushed.str("request_uri"));
    let code = attempt.code(&bank.connect(&mut bank.person("alice"), &Browser::new(), url).await);
    // F2-15: the proof at the push bound the code.
    here.redeem(&attempt, &code).await.expect_error(400, "invalid_grant");
    let bound = crate::dpop_key::redeem(&here, &attempt, &code, Some(&key.proof(&bank, "/token"))).await;
    bound.expect(200);
}

#[tokio::test]
async fn f2_27_how_long_a_reference_lives_is_configured_and_below_ten_minutes() {
    let five = TimeDelta::minutes(5);
    let bank =
        Bank::with(Engine::Sqlite, |policies| policies.protection.pushed_request_lifetime = five).await;
    let app = bank.app("web-app");
    let pushed = push(&app, &app.attempt("openid"), None).await.expect(201);
    assert_eq!(pushed["expires_in"], json!(300));
    bank.advance(TimeDelta::seconds(299));
    assert_eq!(brought(&app, pushed.str("request_uri")).await.0, 200);
    bank.advance(TimeDelta::seconds(2));
    assert_eq!(brought(&app, pushed.str("request_uri")).await.0, 400);
    let installed = Installation::plain(Engine::Sqlite);
    for (lifetime, code) in [("599s", 0), ("10m", 2)] {
        installed.configure(&format!("[pushed_requests]\nlifetime = \"{lifetime}\"\n"));
        let checked = installed.run(&["config", "check"]);
        assert_eq!(checked.code, Some(code), "{lifetime}: {}", checked.stderr);
    }
}

#[tokio::test]
async fn par_05_floods_are_slowed_down() {
    let bank = Bank::open().await;
    let policy = LimitPolicy { endpoints: NonZeroU32::new(3), ..LimitPolicy::default() };
    let (node, _) = bank.limited(policy).await;
    let here = bank.app("web-app");
    let app = RelyingParty::new(&node.address, "web-app", here.auth.clone(), &here.redirect_uri);
    for _ in 0..3 {
        push(&app, &app.attempt("openid"), None).await.expect(201);
    }
    let refused = push(&app, &app.attempt("openid"), None).await;
    refused.expect_error(429, "temporarily_unavailable");
    assert!(refused.header("retry-after").is_some());
}

#[tokio::test]
async fn par_08_f2_11_unregistered_addresses_only_where_an_operator_allowed_their_hosts() {
    let bank = Bank::open().await;
    let key = crate::steps::new_key(Algorithm::Es256);
    for (id, hosts) in [("fapi-app", vec![]), ("free-app", vec!["*.apps.example".to_owned()])] {
        let client = DeclaredClient {
            id: id.parse().unwrap(),
            metadata: serde_json::from_value(crate::dpop_key::metadata(&key)).unwrap(),
            settings: ClientSettings { pushed_redirect_hosts: hosts, ..ClientSettings::default() },
            secret: None,
        };
        let declared = Declared { clients: vec![client], ..Declared::default() };
        bank.service.declare(&declared).await.unwrap().unwrap();
    }
    let (strict, free) = (
        FapiClient::known(&bank, "fapi-app", key.clone()).app,
        FapiClient::known(&bank, "free-app", key).app,
    );
    let elsewhere = "https://a.apps.example/cb";
    let to = |app: &RelyingParty, uri: &str| app.attempt("openid accounts:read").with("redirect_uri", uri);
    push(&strict, &to(&strict, elsewhere), None).await.expect_error(400, "invalid_request");
    for uri in ["https://evil.example/cb", "https://apps.example/cb", "http://a.apps.example/cb"] {
        push(&free, &to(&free, uri), None).await.expect_error(400, "invalid_request");
    }
    let attempt = to(&free, elsewhere);
    let pushed = push(&free, &attempt, None).await.expect(201);
    let url = pushed_url(&free, pushed.str("request_uri"));
    let departure = bank.connect(&mut bank.person("alice"), &Browser::new(), url).await;
    assert!(departure.url.as_str().starts_with(elsewhere), "{}", departure.url);
    let code = departure.parameter("code").unwrap().to_owned();
    // The code is of that address and no other.
    let moved = crate::dpop_key::redeem(&free, &attempt, &code, None).await;
    moved.expect_error(400, "invalid_grant");
    let there = RelyingParty::new(&bank.issuer, "free-app", free.auth.clone(), elsewhere);
    crate::dpop_key::redeem(&there, &attempt, &code, None).await.expect(200);
    // A browser can't bring such an address.
    let page = Browser::new().open(to(&free, elsewhere).url()).await;
    assert_eq!(page.status, 400);
    assert!(page.departure.is_none());
}
