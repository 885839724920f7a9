//! The audit trail: every security event with its facts, and never a secret, neither there nor in the logs
//! nor anywhere in the database (BCP-17).

use std::{
    collections::BTreeMap,
    io,
    sync::{Arc, Mutex},
};

use audit::{Actor, Event, EventKind, Outcome};
use axum::body::Body;
use chrono::TimeDelta;
use http::Request;
use store::AuditFilter;
use testkit::{Answer, Browser, ClientAuth, Person};
use tower::ServiceExt;
use web::{App, Peer, WebConfig, public_router};

use crate::{
    bank::{Bank, ENGINES},
    steps::answer,
};

async fn trail(bank: &Bank) -> Vec<Event> {
    let mut events = bank.trail(&AuditFilter::default(), 10_000).await;
    events.reverse();
    events
}

async fn last(bank: &Bank, kind: EventKind) -> Event {
    let filter = AuditFilter { kind: Some(kind), ..AuditFilter::default() };
    let events = bank.trail(&filter, 1).await;
    // Events of one instant have no order: what a test does next is later.
    bank.advance(TimeDelta::seconds(1));
    events.into_iter().next().unwrap_or_else(|| panic!("no {kind} event"))
}

#[tokio::test]
async fn the_main_job_leaves_its_events_with_their_facts_on_both_engines() {
    for engine in ENGINES {
        let bank = Bank::on(engine).await;
        let (browser, mut carol) = (Browser::new(), bank.person("carol"));
        let app = bank.app("web-app");
        let attempt = app.attempt("openid accounts:read offline_access");
        let departure = bank.connect(&mut carol, &browser, attempt.url()).await;
        let tokens = app.redeem(&attempt, &attempt.code(&departure)).await.expect(200);
        let refreshed = app.refresh(tokens.str("refresh_token")).await.expect(200);
        app.revoke(refreshed.str("access_token")).await.expect(200);
        bank.app("batch-job").client_credentials("accounts:read").await.expect(200);
        let account = browser.open(bank.url("/account")).await;
        let button = account.attributes("button[id^=withdraw-]", "id").pop().unwrap();
        let account = browser.submit(&account, &button, &[]).await.expect(200);
        let _ = browser.submit(&account, "sign-out", &[]).await;

        let happened: Vec<Event> = trail(&bank)
            .await
            .into_iter()
            .filter(|event| !matches!(event.actor, Actor::Operator | Actor::System))
            .collect();
        let kinds: Vec<EventKind> = happened.iter().map(|event| event.kind).collect();
        for kind in [
            EventKind::LoginSucceeded,
            EventKind::SessionStarted,
            EventKind::SecondFactorEnrolled,
            EventKind::RecoveryCodesGenerated,
            EventKind::SessionRenewed,
            EventKind::ConsentGranted,
            EventKind::AuthorizationIssued,
            EventKind::CodeRedeemed,
            EventKind::TokenRefreshed,
            EventKind::TokenRevoked,
            EventKind::TokenIssued,
            EventKind::ConsentWithdrawn,
            EventKind::SessionEnded,
        ] {
            let times = kinds.iter().filter(|it| **it == kind).count();
            assert_eq!(times, 1, "{engine:?}: {kind} in {kinds:?}");
        }
        let user = happened.iter().find_map(|event| event.user).unwrap();
        for event in &happened {
            assert_eq!(event.outcome, Outcome::Success, "{event:?}");
            assert_eq!(event.at, bank.now());
            assert!(event.address.is_some_and(|it| it.is_loopback()), "{event:?}");
            assert!(event.correlation.is_some(), "{event:?}");
            assert_eq!(event.actor, event.kind.usual_actor(), "{event:?}");
            let of_the_client_alone = matches!(event.kind, EventKind::TokenIssued | EventKind::TokenRevoked);
            assert!(of_the_client_alone || event.user == Some(user), "{event:?}");
        }
        let redeemed = last(&bank, EventKind::CodeRedeemed).await;
        assert_eq!(redeemed.client.as_ref().map(|id| id.as_str()), Some("web-app"));
        assert!(redeemed.grant.is_some() && redeemed.consent.is_some());
        let withdrawn = last(&bank, EventKind::ConsentWithdrawn).await;
        assert_eq!(withdrawn.consent, redeemed.consent);
    }
}

/// A reason for each refusal, exact inside although the answer outside is vague.
#[tokio::test]
async fn refusals_leave_their_reasons() {
    let bank = Bank::open().await;
    let (browser, mut carol) = (Browser::new(), bank.person("carol"));
    let app = bank.app("web-app");
    let mut liar = app.clone();
    liar.auth = ClientAuth::Basic("wrong".into());
    let refused = liar.refresh("x").await;
    let event = last(&bank, EventKind::ClientAuthenticationFailed).await;
    assert_eq!(event.reason.as_deref(), Some("wrong_client_secret"));
    assert_eq!(event.client.as_ref().map(|id| id.as_str()), Some("web-app"));
    // The name by which support finds it.
    let correlation = event.correlation.map(|id| id.to_string());
    assert_eq!(refused.header("x-request-id"), correlation.as_deref());

    let page = browser.open(app.attempt("openid").url()).await;
    let wrong = [("username", "carol"), ("password", "not-it-at-all")];
    let page = browser.submit(&page, "login-submit", &wrong).await;
    assert_eq!(last(&bank, EventKind::LoginFailed).await.reason.as_deref(), Some("wrong_password"));
    let unknown = [("username", "nobody-here"), ("password", "not-it-at-all")];
    let page = browser.submit(&page, "login-submit", &unknown).await;
    let event = last(&bank, EventKind::LoginFailed).await;
    assert_eq!((event.reason.as_deref(), event.user), (Some("unknown_user"), None));
    assert!(!serde_json::to_string(&event).unwrap().contains("nobody-here"), "may be a mistyped password");
    let forged = page.form("login-submit").with("csrf", "forged").with("username", "carol");
    browser.send(forged.with("password", "x")).await;
    assert_eq!(last(&bank, EventKind::ForgeryRefused).await.outcome, Outcome::Refusal);

    let attempt = app.attempt("openid offline_access");
    let departure = bank.connect(&mut carol, &browser, attempt.url()).await;
    let code = attempt.code(&departure);
    app.redeem(&attempt, "unknown-code").await.expect(400);
    assert_eq!(last(&bank, EventKind::TokenRefused).await.reason.as_deref(), Some("unknown_code"));
    bank.app("own-app").redeem(&attempt, &code).await.expect(400);
    assert_eq!(last(&bank, EventKind::TokenRefused).await.reason.as_deref(), Some("code_of_another_client"));
    let tokens = app.redeem(&attempt, &code).await.expect(200);
    app.redeem(&attempt, &code).await.expect(400);
    let replayed = last(&bank, EventKind::CodeReplayed).await;
    assert!(replayed.grant.is_some());
    app.userinfo(tokens.str("access_token")).await.expect(401);
    assert_eq!(last(&bank, EventKind::UserinfoRefused).await.reason.as_deref(), Some("grant_revoked"));
    bank.app("own-app").revoke(tokens.str("access_token")).await.expect(200);
    assert_eq!(
        last(&bank, EventKind::RevocationRefused).await.reason.as_deref(),
        Some("token_of_another_client")
    );
    let stranger = testkit::ResourceServer::new(&bank.issuer, "cards-api", ClientAuth::Basic("wrong".into()));
    stranger.introspect("x").await.expect(401);
    let event = last(&bank, EventKind::IntrospectionRefused).await;
    assert_eq!((event.actor, event.outcome), (Actor::ResourceServer, Outcome::Refusal));

    let page = Browser::new().open(app.attempt("openid").with("response_type", "token").url()).await;
    assert_eq!(page.departed().error(), "unsupported_response_type");
    assert_eq!(last(&bank, EventKind::AuthorizationRefused).await.outcome, Outcome::Refusal);
    let page = browser.open(app.attempt("openid accounts:read").with("prompt", "consent").url()).await;
    let page = carol.walk(&browser, page, "consent-deny", bank.now()).await;
    browser.submit(&page, "consent-deny", &[]).await;
    assert_eq!(last(&bank, EventKind::ConsentDenied).await.outcome, Outcome::Refusal);
    let account = browser.open(bank.url("/account")).await;
    let fields = [("current_password", "wrong-one"), ("new_password", "quartz-ferry-mitten-42")];
    browser.submit(&account, "password-submit", &fields).await;
    let event = last(&bank, EventKind::PasswordChangeRefused).await;
    assert_eq!(event.reason.as_deref(), Some("wrong_password"));
}

/// What log lines come to.
#[derive(Clone, Default)]
struct Lines(Arc<Mutex<Vec<u8>>>);

impl io::Write for Lines {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.0.lock().unwrap().extend_from_slice(bytes);
        Ok(bytes.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

/// Every secret that passed through a test, by name.
#[derive(Default)]
struct Secrets(BTreeMap<String, String>);

impl Secrets {
    fn add(&mut self, name: &str, value: &str) {
        assert!(value.len() >= 6, "{name} is too short to be looked for");
        self.0.insert(format!("{name} {}", self.0.len()), value.to_owned());
    }

    fn tokens(&mut self, answer: &Answer) {
        for member in ["access_token", "refresh_token", "id_token"] {
            if let Some(value) = answer[member].as_str() {
                // Of a JWT the signature is what makes it one.
                self.add(member, value.rsplit('.').next().unwrap());
            }
        }
    }

    fn cookies(&mut self, bank: &Bank, browser: &Browser) {
        for name in ["chancery-session-dev", "chancery-browser-dev"] {
            if let Some(value) = browser.cookie(&bank.issuer, name) {
                self.add(name, &value);
            }
        }
    }

    fn person(&mut self, person: &Person) {
        self.add("password", &person.password);
        if let Some(secret) = &person.secret {
            self.add("totp secret", &secret.replace(' ', ""));
        }
        person.recovery_codes.iter().for_each(|code| self.add("recovery code", code));
    }

    fn assert_absent(&self, place: &str, text: &[u8]) {
        for (name, secret) in &self.0 {
            let found = text.windows(secret.len()).position(|window| window == secret.as_bytes());
            let around = found.map(|at| {
                String::from_utf8_lossy(&text[at.saturating_sub(80)..(at + 80).min(text.len())]).into_owned()
            });
            assert!(found.is_none(), "{place} has the {name}: {around:?}");
        }
    }
}

/// Everything that a bank does in a day, good and bad, with the secrets of it written down.
async fn a_day(bank: &Bank) -> Secrets {
    let mut secrets = Secrets::default();
    let (browser, mut carol) = (Browser::new(), bank.person("carol"));
    let (app, native) = (bank.app("web-app"), bank.app("native-app"));
    for scope in ["openid profile accounts:read offline_access", "openid cards:read offline_access"] {
        for app in [&app, &native] {
            let attempt = app.attempt(scope);
            let page = browser.open(attempt.url()).await;
            if let Some(csrf) = page.attributes("input[name=csrf]", "value").pop() {
                secrets.add("csrf", &csrf);
                secrets.cookies(bank, &browser);
            }
            let page = carol.walk(&browser, page, "", bank.now()).await;
            let code = attempt.code(page.departed());
            secrets.add("code", &code);
            secrets.add("verifier", &attempt.verifier);
            secrets.cookies(bank, &browser);
            let tokens = app.redeem(&attempt, &code).await.expect(200);
            let second = app.refresh(tokens.str("refresh_token")).await.expect(200);
            app.userinfo(second.str("access_token")).await.expect(200);
            bank.api("cards-api").introspect(second.str("access_token")).await.expect(200);
            secrets.tokens(&tokens);
            secrets.tokens(&second);
            // Misuse: what is refused is not written down either.
            bank.app("own-app").refresh(tokens.str("refresh_token")).await.expect(400);
            bank.app("own-app").revoke(tokens.str("access_token")).await.expect(200);
            bank.app("own-app").redeem(&attempt, &code).await.expect(400);
            app.redeem(&attempt, &code).await.expect(400);
            app.userinfo(second.str("access_token")).await.expect(401);
            app.userinfo(second.str("refresh_token")).await.expect(401);
        }
    }
    secrets.person(&carol);
    mistakes(bank, &carol, &mut secrets).await;
    bank.advance(TimeDelta::minutes(2));
    let account = browser.open(bank.url("/account")).await;
    let fields = [("current_password", carol.password.as_str()), ("new_password", "quartz-ferry-mitten-42")];
    browser.submit(&account, "password-submit", &fields).await.expect(200);
    secrets.add("new password", "quartz-ferry-mitten-42");
    secrets
}

/// Secrets in the wrong place, or nearly right.
async fn mistakes(bank: &Bank, carol: &Person, secrets: &mut Secrets) {
    let app = bank.app("web-app");
    for secret in ["web-app-secret-0123456789abcd", "cards-api-secret-0123456789ab"] {
        secrets.add("client secret", secret);
    }
    let mut liar = app.clone();
    liar.auth = ClientAuth::Basic("mistyped-secret-of-a-client".into());
    liar.refresh("mistyped-refresh-token-value").await.expect(401);
    app.token(&[("grant_type", "refresh_token"), ("refresh_token", "mistyped-refresh-token-value")])
        .await
        .expect(400);
    app.token(&[("grant_type", "password"), ("username", "carol"), ("password", &carol.password)])
        .await
        .expect(400);
    app.token(&[("code", "twice-sent-code-value"), ("code", "twice-sent-code-value")]).await.expect(400);
    let mut url = app.endpoint("/userinfo");
    url.query_pairs_mut().append_pair("access_token", "token-in-a-query-string");
    answer(app.http().get(url)).await.expect(401);
    let login = Browser::new();
    let page = login.open(app.attempt("openid").url()).await;
    // A password typed into the field above.
    let fields = [("username", "typed-password-as-name"), ("password", "mistyped-password-value")];
    login.submit(&page, "login-submit", &fields).await;
    for mistyped in [
        "mistyped-secret-of-a-client",
        "mistyped-refresh-token-value",
        "twice-sent-code-value",
        "token-in-a-query-string",
        "typed-password-as-name",
        "mistyped-password-value",
    ] {
        secrets.add("mistyped value", mistyped);
    }
}

#[tokio::test]
async fn bcp_17_no_secret_is_in_audit_trail_logs_or_database() {
    let lines = Lines::default();
    let written = lines.clone();
    // Everything, at every level, of every library on this thread; the server runs on it too.
    let subscriber = tracing_subscriber::fmt()
        .with_max_level(tracing::Level::TRACE)
        .with_ansi(false)
        .with_writer(move || written.clone())
        .finish();
    // While there is a single subscriber, a call site that another test's thread meets first asks that
    // thread's subscriber, finds none and stays silent for ever; a second one makes it ask them all.
    let second = tracing::Dispatch::new(tracing_subscriber::registry());
    let guard = tracing::subscriber::set_default(subscriber);
    let bank = Bank::open().await;
    let secrets = a_day(&bank).await;
    drop((guard, second));
    let log = lines.0.lock().unwrap().clone();
    let text = String::from_utf8_lossy(&log);
    assert!(text.contains("/token") && text.contains("answered"), "the server's lines are captured");
    secrets.assert_absent("the log", &log);
    let events = trail(&bank).await;
    assert!(events.len() > 40);
    secrets.assert_absent("the audit trail", serde_json::to_string(&events).unwrap().as_bytes());
    // Bearer values are kept as digests, passwords as hashes, seeds sealed: a stolen file opens nothing.
    let database = bank.database_bytes();
    assert!(database.windows(7).any(|window| window == b"web-app"), "the bytes are the database's");
    secrets.assert_absent("the database", &database);
}

/// What came with a request that failed stands on no error page.
#[tokio::test]
async fn bcp_17_error_pages_repeat_no_parameter() {
    let bank = Bank::open().await;
    let browser = Browser::new();
    let sent = "value-that-might-be-a-secret";
    for path in [
        "/authorize?client_id=ghost&code_challenge=SENT&state=SENT&id_token_hint=SENT&login_hint=SENT",
        "/authorize?client_id=web-app&redirect_uri=https://web.example/SENT&code=SENT&access_token=SENT",
        "/authorize?client_id=web-app&client_id=SENT&redirect_uri=https://web.example/cb",
        "/end-session?id_token_hint=SENT&post_logout_redirect_uri=https://SENT.example/&state=SENT",
        "/interaction/00000000-0000-7000-8000-000000000000?code=SENT",
        "/nowhere?access_token=SENT",
    ] {
        let page = browser.open(bank.url(&path.replace("SENT", sent))).await;
        assert!(page.departure.is_none() && !page.body.contains(sent), "{path}: {}", page.text());
        assert!(page.header("referrer-policy") == Some("no-referrer"), "{path}");
    }
}

/// Where a request came from is the peer's address, unless the peer is a configured proxy.
#[tokio::test]
async fn bcp_15_forwarding_headers_count_only_from_configured_proxies() {
    let bank = Bank::open().await;
    let config = WebConfig::new(&bank.issuer, "Test Bank", vec!["10.0.0.0/8".parse().unwrap()]);
    let router = public_router(&App::new(bank.service.clone(), config));
    for (peer, forwarded, seen) in [
        ("192.0.2.7", Some("203.0.113.9"), "192.0.2.7"),
        ("192.0.2.7", None, "192.0.2.7"),
        ("10.1.2.3", Some("203.0.113.9"), "203.0.113.9"),
        ("10.1.2.3", Some("198.51.100.1, 203.0.113.9"), "203.0.113.9"),
        ("10.1.2.3", Some("203.0.113.9, 10.9.9.9"), "203.0.113.9"),
        ("10.1.2.3", Some("nonsense"), "10.1.2.3"),
        ("10.1.2.3", None, "10.1.2.3"),
        ("::ffff:10.1.2.3", Some("2001:db8::1"), "2001:db8::1"),
    ] {
        let address = (peer.parse::<std::net::IpAddr>().unwrap(), 9).into();
        let mut request = Request::post("/token")
            .header("content-type", "application/x-www-form-urlencoded")
            .header("x-forwarded-host", "evil.example")
            .header("x-forwarded-proto", "https")
            .header("x-client-cert", "MIIB")
            .extension(Peer { address, tls: false });
        if let Some(forwarded) = forwarded {
            request = request.header("x-forwarded-for", forwarded);
        }
        let response =
            router.clone().oneshot(request.body(Body::from("client_id=ghost&grant_type=x")).unwrap());
        assert_eq!(response.await.unwrap().status(), 401);
        let event = last(&bank, EventKind::ClientAuthenticationFailed).await;
        assert_eq!(event.address.map(|it| it.to_string()).as_deref(), Some(seen), "{peer} {forwarded:?}");
    }
}
