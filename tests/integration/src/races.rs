//! What may happen once happens once, however many ask at the same time, on both engines and on two
//! servers side by side (BCP-19, BCP-08, SE-03, OC-24).

use std::{collections::BTreeMap, future::Future, sync::Arc};

use chrono::TimeDelta;
use jose::Algorithm;
use serde_json::json;
use testkit::{Answer, Browser, ClientAuth, Form, Page, Person, RelyingParty, ResourceServer};
use tokio::{sync::Barrier, task::JoinSet};

use crate::{
    bank::{Bank, ENGINES, Engine},
    steps::{code_for, declare_client, new_key, signing_client, tokens_for},
};

const RUNNERS: usize = 50;
const LASTING: &str = "openid accounts:read offline_access";

/// Lets every runner start at the same moment.
async fn race<T, F>(runners: Vec<F>) -> Vec<T>
where
    T: Send + 'static,
    F: Future<Output = T> + Send + 'static,
{
    let barrier = Arc::new(Barrier::new(runners.len()));
    let mut running = JoinSet::new();
    for runner in runners {
        let barrier = barrier.clone();
        running.spawn(async move {
            barrier.wait().await;
            runner.await
        });
    }
    running.join_all().await
}

/// The one winner; everybody else must have been told `invalid_grant`.
fn winner(answers: Vec<Answer>) -> Answer {
    let (mut won, lost): (Vec<_>, Vec<_>) = answers.into_iter().partition(|answer| answer.status == 200);
    assert_eq!((won.len(), lost.len()), (1, RUNNERS - 1), "exactly one wins");
    for answer in &lost {
        answer.expect_error(400, "invalid_grant");
    }
    won.pop().unwrap()
}

/// The winner's tokens are dead: the losers were thieves, or the winner was.
async fn assert_dead(app: &RelyingParty, api: &ResourceServer, tokens: &Answer) {
    assert!(!api.is_active(tokens.str("access_token")).await);
    app.userinfo(tokens.str("access_token")).await.expect_error(401, "invalid_token");
    app.refresh(tokens.str("refresh_token")).await.expect_error(400, "invalid_grant");
}

/// The same client, talking to another server.
fn at(app: &RelyingParty, address: &str) -> RelyingParty {
    let mut app = app.clone();
    app.issuer = address.parse().unwrap();
    app
}

/// The same resource server, talking to another server.
fn api_at(api: &ResourceServer, address: &str) -> ResourceServer {
    ResourceServer::new(address, &api.id, api.auth.clone())
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn bcp_19_one_code_is_redeemed_once_and_then_the_family_is_dead() {
    for engine in ENGINES {
        let bank = Bank::on(engine).await;
        for id in ["web-app", "native-app"] {
            let (app, api) = (bank.app(id), bank.api("accounts-api"));
            let (attempt, code) = code_for(&bank, &app, LASTING).await;
            let runners = (0..RUNNERS).map(|_| {
                let (app, attempt, code) = (app.clone(), attempt.clone(), code.clone());
                async move { app.redeem(&attempt, &code).await }
            });
            let tokens = winner(race(runners.collect()).await);
            assert_dead(&app, &api, &tokens).await;
        }
        assert_eq!(bank.audited(audit::EventKind::CodeRedeemed).await, 2, "{engine:?}");
        assert_eq!(bank.audited(audit::EventKind::CodeReplayed).await, 2 * (RUNNERS - 1), "{engine:?}");
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn bcp_08_one_rotating_refresh_token_is_used_once_and_then_the_family_is_dead() {
    for engine in ENGINES {
        let bank = Bank::on(engine).await;
        let (app, api) = (bank.app("native-app"), bank.api("accounts-api"));
        let first = tokens_for(&bank, &app, LASTING).await;
        let runners = (0..RUNNERS).map(|_| {
            let (app, token) = (app.clone(), first.str("refresh_token").to_owned());
            async move { app.refresh(&token).await }
        });
        let tokens = winner(race(runners.collect()).await);
        assert_dead(&app, &api, &tokens).await;
        assert!(!api.is_active(first.str("access_token")).await);
        assert_eq!(bank.audited(audit::EventKind::TokenRefreshed).await, 1, "{engine:?}");
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn bcp_08_a_stable_refresh_token_serves_everybody_who_holds_the_secret() {
    for engine in ENGINES {
        let bank = Bank::on(engine).await;
        let app = bank.app("web-app");
        let first = tokens_for(&bank, &app, LASTING).await;
        bank.advance(TimeDelta::hours(1));
        let runners = (0..RUNNERS).map(|_| {
            let (app, token) = (app.clone(), first.str("refresh_token").to_owned());
            async move { app.refresh(&token).await }
        });
        for answer in race(runners.collect()).await {
            assert_eq!(answer.status, 200, "{}", answer.text);
        }
        app.refresh(first.str("refresh_token")).await.expect(200);
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn oc_24_one_assertion_authenticates_once() {
    for engine in ENGINES {
        let bank = Bank::on(engine).await;
        let key = new_key(Algorithm::Es256);
        declare_client(&bank, "signing-app", signing_client(&[&key])).await.unwrap();
        let claims = json!({
            "iss": "signing-app", "sub": "signing-app", "aud": bank.issuer, "jti": "once",
            "exp": bank.now().timestamp() + 60
        });
        let assertion = key.sign("JWT", &claims).unwrap();
        let mut app = bank.app("batch-job");
        app.auth = ClientAuth::Assertion(Arc::new(move || assertion.clone()));
        let runners = (0..RUNNERS).map(|_| {
            let app = app.clone();
            async move { app.client_credentials("accounts:read").await }
        });
        let answers = race(runners.collect()).await;
        let won = answers.iter().filter(|answer| answer.status == 200).count();
        assert_eq!(won, 1, "{engine:?}");
        let lost = answers.iter().filter(|answer| answer.status != 200);
        lost.for_each(|answer| answer.expect_error(401, "invalid_client"));
    }
}

/// A person with a second factor, and many browsers that have shown the password and stand at the next
/// page: the sessions of somebody who knows the password and saw one code.
async fn at_the_second_factor(bank: &Bank, page: &str) -> (Person, Vec<(Browser, Form)>) {
    let mut carol = bank.person("carol");
    let app = bank.app("web-app");
    let _ = bank.connect(&mut carol, &Browser::new(), app.attempt("openid").url()).await;
    // Time in which the code of enrolment becomes old.
    bank.advance(TimeDelta::minutes(2));
    let mut waiting = Vec::new();
    for _ in 0..RUNNERS {
        let browser = Browser::new();
        let shown = browser.open(app.attempt("openid").url()).await;
        let fields = [("username", carol.username.as_str()), ("password", carol.password.as_str())];
        let shown = browser.submit(&shown, "login-submit", &fields).await;
        assert!(shown.has(page), "{}", shown.text());
        let form = shown.form(page);
        waiting.push((browser, form));
    }
    (carol, waiting)
}

/// How many came past the second factor, and how many of the others were told to try again.
fn logins(engine: Engine, pages: &[Page]) -> usize {
    let through = |page: &&Page| page.departure.is_some() || page.has("consent-allow");
    for page in pages.iter().filter(|page| !through(page)) {
        assert!(page.has("otp-submit") || page.has("recovery-submit"), "{engine:?}: {}", page.text());
        assert!(page.status < 500);
    }
    pages.iter().filter(through).count()
}

/// Throttling off, so that the single use itself is what holds.
async fn patient_bank(engine: Engine) -> Bank {
    Bank::with(engine, |policies| policies.throttle.free = 1000).await
}

async fn failures(bank: &Bank) -> BTreeMap<String, usize> {
    let filter = store::AuditFilter {
        kind: Some(audit::EventKind::SecondFactorFailed),
        ..store::AuditFilter::default()
    };
    let mut counts = BTreeMap::new();
    for event in bank.trail(&filter, 1000).await {
        *counts.entry(event.reason.unwrap_or_default()).or_default() += 1;
    }
    counts
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn se_03_one_totp_code_is_one_login() {
    for engine in ENGINES {
        let bank = patient_bank(engine).await;
        let (mut carol, waiting) = at_the_second_factor(&bank, "otp-submit").await;
        let code = carol.code(bank.now());
        let runners = waiting.into_iter().map(|(browser, form)| {
            let form = form.with("otp", &code);
            async move { browser.send(form).await }
        });
        let pages = race(runners.collect()).await;
        assert_eq!(logins(engine, &pages), 1, "{engine:?}");
        assert_eq!(bank.audited(audit::EventKind::SecondFactorSucceeded).await, 1, "{engine:?}");
        println!("{engine:?}: one login of {RUNNERS}; the others: {:?}", failures(&bank).await);
        // Used up for those who come later, too.
        let browser = Browser::new();
        let shown = browser.open(bank.app("web-app").attempt("openid").url()).await;
        let fields = [("username", carol.username.as_str()), ("password", carol.password.as_str())];
        let shown = browser.submit(&shown, "login-submit", &fields).await;
        let again = browser.submit(&shown, "otp-submit", &[("otp", &code)]).await;
        assert!(again.has("otp-submit") && again.departure.is_none());
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn se_03_one_recovery_code_is_one_login() {
    for engine in ENGINES {
        let bank = patient_bank(engine).await;
        let (carol, waiting) = at_the_second_factor(&bank, "recovery-submit").await;
        let code = carol.recovery_codes[3].clone();
        let runners = waiting.into_iter().map(|(browser, form)| {
            let form = form.with("recovery_code", &code);
            async move { browser.send(form).await }
        });
        let pages = race(runners.collect()).await;
        assert_eq!(logins(engine, &pages), 1, "{engine:?}");
        assert_eq!(bank.audited(audit::EventKind::RecoveryCodeUsed).await, 1, "{engine:?}");
        println!("{engine:?}: one login of {RUNNERS}; the others: {:?}", failures(&bank).await);
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn bcp_19_two_servers_on_one_database_redeem_a_code_once() {
    let bank = Bank::on(Engine::Postgres).await;
    let node = bank.another_node().await;
    let here = bank.app("native-app");
    let there = at(&here, &node.address);
    let sides = |index: usize| if index.is_multiple_of(2) { here.clone() } else { there.clone() };
    // A code from here, redeemed on both sides; then a rotating token of a code from there.
    let (attempt, code) = code_for(&bank, &here, LASTING).await;
    let runners = (0..RUNNERS).map(|index| {
        let (app, attempt, code) = (sides(index), attempt.clone(), code.clone());
        async move { app.redeem(&attempt, &code).await }
    });
    let tokens = winner(race(runners.collect()).await);
    let api = bank.api("accounts-api");
    let api_there = api_at(&api, &node.address);
    assert_dead(&there, &api_there, &tokens).await;
    assert_dead(&here, &api, &tokens).await;

    let first = tokens_for(&bank, &here, LASTING).await;
    let runners = (0..RUNNERS).map(|index| {
        let (app, token) = (sides(index), first.str("refresh_token").to_owned());
        async move { app.refresh(&token).await }
    });
    let tokens = winner(race(runners.collect()).await);
    assert_dead(&there, &api_there, &tokens).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn two_servers_on_one_database_are_one_bank() {
    let bank = Bank::on(Engine::Postgres).await;
    let node = bank.another_node().await;
    let here = bank.app("web-app");
    let there = at(&here, &node.address);
    let api = bank.api("accounts-api");
    let api_there = api_at(&api, &node.address);
    let (keys, keys_there) = (here.get("/jwks").await, there.get("/jwks").await);
    assert_eq!(keys.json, keys_there.json, "one set of keys");
    let metadata = there.get("/.well-known/openid-configuration").await;
    assert_eq!(metadata["issuer"], bank.issuer);

    // What is issued here lives there, and dies there when it ends here.
    let tokens = tokens_for(&bank, &here, LASTING).await;
    assert!(api_there.is_active(tokens.str("access_token")).await);
    let second = there.refresh(tokens.str("refresh_token")).await.expect(200);
    assert!(api.is_active(second.str("access_token")).await);
    here.revoke(second.str("access_token")).await.expect(200);
    assert!(!api_there.is_active(second.str("access_token")).await);
    there.revoke(tokens.str("refresh_token")).await.expect(200);
    assert!(!api.is_active(tokens.str("access_token")).await);

    // A client declared here is known there when its change has been noticed.
    let client = "[[client]]\nclient_id = \"late-app\"\nclient_secret = \"late-app-secret-0123456789ab\"\n\
                  grant_types = [\"client_credentials\"]\nscope = \"accounts:read\"";
    let mut late = there.clone();
    late.client_id = "late-app".into();
    late.auth = ClientAuth::Basic("late-app-secret-0123456789ab".into());
    late.client_credentials("accounts:read").await.expect_error(401, "invalid_client");
    bank.declare(client).await.unwrap();
    assert!(node.service.reload().await.unwrap(), "the change is seen");
    late.client_credentials("accounts:read").await.expect(200);
    assert!(!node.service.reload().await.unwrap(), "and seen once");
}
