//! OpenID Connect Back-Channel Logout 1.0: who is told that a session ended, with what, and how often.

use std::collections::BTreeSet;

use audit::EventKind;
use chrono::TimeDelta;
use serde_json::{Value, json};
use testkit::{Answer, Browser, ClientAuth, Person, RelyingParty, claims_of};
use url::Url;

use crate::{
    bank::{Bank, ENGINES, Engine},
    receiver::Receiver,
    steps::{declare_client, header_of},
    visits::{is_signed_in, sign_in},
};

const EVENT: &str = "http://schemas.openid.net/event/backchannel-logout";

/// A bank whose outbound requests may reach the receiver.
async fn bank_for(engine: Engine, receiver: &Receiver) -> Bank {
    Bank::with(engine, |policies| policies.outbound = receiver.policy()).await
}

/// Declares a public client that wants logout tokens at that path.
async fn listener(bank: &Bank, receiver: &Receiver, id: &str, more: Value) -> RelyingParty {
    let mut metadata = json!({
        "client_name": id,
        "token_endpoint_auth_method": "none",
        "redirect_uris": [format!("https://{id}.example/cb")],
        "post_logout_redirect_uris": [format!("https://{id}.example/bye")],
        "grant_types": ["authorization_code", "refresh_token"],
        "scope": "openid offline_access accounts:read",
        "backchannel_logout_uri": receiver.url(&format!("/{id}")),
        "backchannel_logout_session_required": true,
    });
    metadata.as_object_mut().unwrap().extend(more.as_object().unwrap().clone());
    declare_client(bank, id, metadata).await.unwrap();
    RelyingParty::new(&bank.issuer, id, ClientAuth::None, &format!("https://{id}.example/cb"))
}

async fn connect(
    bank: &Bank,
    app: &RelyingParty,
    person: &mut Person,
    browser: &Browser,
    scope: &str,
) -> Answer {
    let attempt = app.attempt(scope);
    let departure = bank.connect(person, browser, attempt.url()).await;
    app.redeem(&attempt, &attempt.code(&departure)).await.expect(200)
}

async fn end_session(bank: &Bank, browser: &Browser, id_token: &str) {
    let url = Url::parse_with_params(&bank.url("/end-session"), [("id_token_hint", id_token)]).unwrap();
    browser.open(url.as_str()).await.expect(200);
}

/// The logout tokens that came to a path.
fn tokens(receiver: &Receiver, path: &str) -> Vec<String> {
    let came = receiver.received().into_iter().filter(|request| request.path == path);
    came.map(|request| {
        assert_eq!(request.content_type, "application/x-www-form-urlencoded");
        request.body.strip_prefix("logout_token=").expect("one parameter").to_owned()
    })
    .collect()
}

#[tokio::test]
async fn bl_01_bl_03_oc_35_a_logout_token_names_the_session_of_the_id_token() {
    for engine in ENGINES {
        let receiver = Receiver::open().await;
        let bank = bank_for(engine, &receiver).await;
        let app = listener(&bank, &receiver, "one", json!({"id_token_signed_response_alg": "ES256"})).await;
        let rsa = listener(&bank, &receiver, "two", json!({})).await;
        let (mut bob, browser) = (bank.person("bob"), Browser::new());
        let answer = connect(&bank, &app, &mut bob, &browser, "openid").await;
        connect(&bank, &rsa, &mut bob, &browser, "openid").await;
        let id_token = claims_of(answer.str("id_token"));
        end_session(&bank, &browser, answer.str("id_token")).await;
        assert!(receiver.received().is_empty(), "the person does not wait for clients");
        assert_eq!(bank.service.deliver_due_logouts().await.unwrap(), 2);

        let [token] = tokens(&receiver, "/one").try_into().unwrap();
        let (header, claims) = (header_of(&token), claims_of(&token));
        assert_eq!(header["typ"], "logout+jwt");
        assert_eq!(header["alg"], "ES256", "as its ID tokens");
        assert_eq!(header["kid"], header_of(answer.str("id_token"))["kid"]);
        for member in ["iss", "sub", "aud", "sid"] {
            assert_eq!(claims[member], id_token[member], "{member}");
        }
        assert_eq!(claims["aud"], "one");
        let iat = claims["iat"].as_i64().unwrap();
        assert_eq!(iat, bank.now().timestamp());
        assert!((1..=120).contains(&(claims["exp"].as_i64().unwrap() - iat)));
        assert_eq!(claims["events"], json!({ EVENT: {} }));
        assert!(claims["jti"].as_str().unwrap().len() >= 22);
        let members: BTreeSet<&str> = claims.as_object().unwrap().keys().map(String::as_str).collect();
        assert_eq!(members, ["aud", "events", "exp", "iat", "iss", "jti", "sid", "sub"].into(), "no nonce");
        let [other] = tokens(&receiver, "/two").try_into().unwrap();
        assert_eq!(header_of(&other)["alg"], "RS256");
        assert_ne!(claims_of(&other)["jti"], claims["jti"]);
        assert_eq!(bank.audited(EventKind::LogoutDelivered).await, 2);
        assert_eq!(bank.service.deliver_due_logouts().await.unwrap(), 0, "once is enough");

        // AT-04: it opens nothing, and is no hint.
        app.userinfo(&token).await.expect_error(401, "invalid_token");
        sign_in(&bank, &mut bob, &browser).await;
        let url = Url::parse_with_params(&bank.url("/end-session"), [("id_token_hint", &token)]).unwrap();
        assert!(browser.open(url.as_str()).await.has("stay"));
    }
}

#[tokio::test]
async fn bl_02_every_ending_tells_exactly_the_clients_of_that_session() {
    let receiver = Receiver::open().await;
    let bank = bank_for(Engine::Sqlite, &receiver).await;
    let app = listener(&bank, &receiver, "one", json!({})).await;
    let quiet = bank.app("web-app");
    let operator = bank.service.operate("tester");
    let mut bob = bank.person("bob");
    let mut expected = 0;
    for ending in ["account", "other browser", "password", "operator", "switch", "disable"] {
        let (browser, other) = (Browser::new(), Browser::new());
        let answer = connect(&bank, &app, &mut bob, &browser, "openid accounts:read").await;
        connect(&bank, &quiet, &mut bob, &browser, "openid").await;
        let sid = claims_of(answer.str("id_token"))["sid"].clone();
        match ending {
            "account" => {
                let page = browser.open(bank.url("/account")).await;
                browser.submit(&page, "sign-out", &[]).await.expect(200);
            }
            "other browser" => {
                let page = sign_in(&bank, &mut bob, &other).await;
                let button = format!("end-session-{}", sid.as_str().unwrap());
                browser_end(&other, &page, &button).await;
            }
            "password" => {
                sign_in(&bank, &mut bob, &other).await;
                operator
                    .set_password("bob", "granite-teapot-orbit".to_owned().into())
                    .await
                    .unwrap()
                    .unwrap();
            }
            "operator" => assert_eq!(operator.end_sessions("bob", None).await.unwrap().unwrap(), 1),
            "switch" => {
                let asked = browser.open(quiet.attempt("openid profile").url()).await;
                assert!(browser.submit(&asked, "switch-user", &[]).await.has("login-submit"));
            }
            _ => assert!(operator.disable_user("bob").await.unwrap().unwrap()),
        }
        assert!(!is_signed_in(&bank, &browser).await, "{ending}");
        bank.service.deliver_due_logouts().await.unwrap();
        expected += 1;
        let told = tokens(&receiver, "/one");
        assert_eq!(told.len(), expected, "{ending}");
        assert_eq!(claims_of(told.last().unwrap())["sid"], sid, "{ending}");
        bank.advance(TimeDelta::minutes(1));
        operator.end_sessions("bob", None).await.unwrap().unwrap();
    }
    assert_eq!(receiver.received().len(), expected, "nobody else is told");
}

async fn browser_end(browser: &Browser, page: &testkit::Page, button: &str) {
    assert!(page.has(button), "no {button} in {}", page.body);
    browser.submit(page, button, &[]).await.expect(200);
}

#[tokio::test]
async fn bl_02_failures_are_retried_with_growing_waits_and_given_up() {
    let receiver = Receiver::open().await;
    let bank = bank_for(Engine::Sqlite, &receiver).await;
    let app = listener(&bank, &receiver, "one", json!({})).await;
    let (mut bob, browser) = (bank.person("bob"), Browser::new());
    let answer = connect(&bank, &app, &mut bob, &browser, "openid").await;
    receiver.answer(503);
    end_session(&bank, &browser, answer.str("id_token")).await;
    let mut attempts = 0;
    for _ in 0..8 * 3600 / 5 {
        attempts += bank.service.deliver_due_logouts().await.unwrap();
        bank.advance(TimeDelta::seconds(5));
    }
    let came = tokens(&receiver, "/one");
    assert_eq!((came.len(), attempts), (9, 9));
    let ids: BTreeSet<String> = came.iter().map(|token| claims_of(token)["jti"].to_string()).collect();
    assert_eq!(ids.len(), came.len(), "each attempt has a token of its own, fresh enough to be taken");
    let times: Vec<i64> = came.iter().map(|token| claims_of(token)["iat"].as_i64().unwrap()).collect();
    let waits: Vec<i64> = times.windows(2).map(|pair| pair[1] - pair[0]).collect();
    assert!(waits.is_sorted() && waits[0] <= 5, "{waits:?}");
    assert_eq!(bank.audited(EventKind::LogoutDeliveryFailed).await, 1);
    assert_eq!(bank.audited(EventKind::LogoutDelivered).await, 0);

    // What was given up is swept in the end.
    receiver.answer(200);
    bank.advance(TimeDelta::hours(12));
    bank.service.sweep().await.unwrap();
    assert_eq!(bank.service.deliver_due_logouts().await.unwrap(), 0);
}

#[tokio::test]
async fn bl_02_a_retry_survives_the_node_and_two_nodes_deliver_once() {
    for engine in ENGINES {
        let receiver = Receiver::open().await;
        let bank = bank_for(engine, &receiver).await;
        let apps = ["one", "two", "three", "four", "five"];
        let mut first = None;
        let (mut bob, browser) = (bank.person("bob"), Browser::new());
        for id in apps {
            let app = listener(&bank, &receiver, id, json!({})).await;
            let answer = connect(&bank, &app, &mut bob, &browser, "openid").await;
            first.get_or_insert(answer);
        }
        receiver.answer(500);
        end_session(&bank, &browser, first.unwrap().str("id_token")).await;
        assert_eq!(bank.service.deliver_due_logouts().await.unwrap(), 5);
        // Another process takes over where the first one stopped; both try at the same time.
        let (one, other) = (bank.another_node().await, bank.another_node().await);
        receiver.answer(204);
        bank.advance(TimeDelta::minutes(1));
        let both = tokio::join!(one.service.deliver_due_logouts(), other.service.deliver_due_logouts());
        assert_eq!(both.0.unwrap() + both.1.unwrap(), 5, "{engine:?}");
        for id in apps {
            assert_eq!(tokens(&receiver, &format!("/{id}")).len(), 2, "{engine:?} {id}");
        }
        assert_eq!(bank.audited(EventKind::LogoutDelivered).await, 5);
    }
}

#[tokio::test]
async fn bl_02_one_slow_client_delays_nobody() {
    let receiver = Receiver::open().await;
    let policy = receiver.policy();
    let bank = Bank::with(Engine::Sqlite, |policies| {
        policies.outbound = outbound::OutboundPolicy { per_host: 64, ..policy };
    })
    .await;
    let slow = listener(&bank, &receiver, "slow", json!({})).await;
    let quick = listener(&bank, &receiver, "quick", json!({})).await;
    let mut bob = bank.person("bob");
    let worker = bank.service.clone();
    let worker = tokio::spawn(async move { worker.deliver_logouts().await });
    // More sessions than one client gets places for.
    for _ in 0..6 {
        let browser = Browser::new();
        let answer = connect(&bank, &slow, &mut bob, &browser, "openid").await;
        end_session(&bank, &browser, answer.str("id_token")).await;
    }
    let browser = Browser::new();
    let answer = connect(&bank, &quick, &mut bob, &browser, "openid").await;
    let mut waited = 0;
    end_session(&bank, &browser, answer.str("id_token")).await;
    while tokens(&receiver, "/quick").is_empty() {
        assert!(waited < 200, "the slow client's timeout is five seconds");
        waited += 1;
        tokio::time::sleep(std::time::Duration::from_millis(20)).await;
    }
    // Four places; on a busy machine one call may have run out of time, which its receiver does not notice.
    assert!((1..=5).contains(&receiver.waiting()), "{}", receiver.waiting());
    worker.abort();
}

#[tokio::test]
async fn out_01_logout_tokens_never_go_to_private_hosts() {
    let receiver = Receiver::open().await;
    // Nothing is on the list.
    let bank = Bank::open().await;
    let app =
        listener(&bank, &receiver, "one", json!({"backchannel_logout_uri": "https://127.0.0.1:1/x"})).await;
    let named = listener(&bank, &receiver, "two", json!({})).await;
    let (mut bob, browser) = (bank.person("bob"), Browser::new());
    let answer = connect(&bank, &app, &mut bob, &browser, "openid").await;
    connect(&bank, &named, &mut bob, &browser, "openid").await;
    end_session(&bank, &browser, answer.str("id_token")).await;
    assert_eq!(bank.service.deliver_due_logouts().await.unwrap(), 2);
    assert!(receiver.received().is_empty());
    assert_eq!(bank.audited(EventKind::LogoutDeliveryFailed).await, 2, "and it is not tried again");
}

#[tokio::test]
async fn bl_04_what_is_bound_to_the_session_ends_and_lasting_access_does_not() {
    let receiver = Receiver::open().await;
    let bank = bank_for(Engine::Sqlite, &receiver).await;
    let app = listener(&bank, &receiver, "one", json!({})).await;
    let (mut bob, browser, other) = (bank.person("bob"), Browser::new(), Browser::new());
    let lasting = connect(&bank, &app, &mut bob, &other, "openid offline_access accounts:read").await;
    let bound = connect(&bank, &app, &mut bob, &browser, "openid accounts:read").await;
    bank.service.operate("tester").end_sessions("bob", None).await.unwrap().unwrap();
    bank.service.deliver_due_logouts().await.unwrap();
    assert_eq!(tokens(&receiver, "/one").len(), 2, "both sessions had the client");
    app.refresh(bound.str("refresh_token")).await.expect_error(400, "invalid_grant");
    app.refresh(lasting.str("refresh_token")).await.expect(200);
}

#[tokio::test]
async fn bl_01_fl_01_addresses_that_may_not_be_registered() {
    let bank = Bank::open().await;
    let client = |member: &str, uri: &str| {
        json!({
            "token_endpoint_auth_method": "none",
            "redirect_uris": ["https://app.example/cb"],
            "scope": "openid",
            member: uri,
        })
    };
    for uri in ["http://app.example/out", "https://app.example/out#f", "https://u@app.example/", "out"] {
        assert!(declare_client(&bank, "odd", client("backchannel_logout_uri", uri)).await.is_err(), "{uri}");
    }
    for uri in ["https://evil.example/out", "https://app.example:8443/out", "http://app.example/out"] {
        assert!(declare_client(&bank, "odd", client("frontchannel_logout_uri", uri)).await.is_err(), "{uri}");
    }
    declare_client(&bank, "odd", client("frontchannel_logout_uri", "https://app.example/out?x=1"))
        .await
        .unwrap();
}

#[tokio::test]
async fn bl_02_a_session_that_runs_out_tells_its_clients_and_an_idle_one_does_not_yet() {
    for engine in ENGINES {
        let receiver = Receiver::open().await;
        let bank = bank_for(engine, &receiver).await;
        let app = listener(&bank, &receiver, "one", json!({})).await;
        let (mut bob, browser) = (bank.person("bob"), Browser::new());
        let answer = connect(&bank, &app, &mut bob, &browser, "openid").await;
        let told = async || {
            bank.service.sweep().await.unwrap();
            bank.service.deliver_due_logouts().await.unwrap();
            tokens(&receiver, "/one")
        };
        // Nobody comes back to the bank's own pages while they use the app.
        bank.advance(bank.service.policies().sessions.idle * 4);
        assert!(told().await.is_empty());
        bank.advance(bank.service.policies().sessions.absolute);
        let told = told().await;
        assert_eq!(told.len(), 1);
        assert_eq!(claims_of(&told[0])["sid"], claims_of(answer.str("id_token"))["sid"]);
    }
}
