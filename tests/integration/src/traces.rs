//! Traces: what a collector is sent, what it is never sent, and who may say how requests are traced.

use std::sync::{Arc, Mutex};
use std::time::Duration;

use axum::{Router, body::Bytes, extract::State, routing::post};
use chrono::DateTime;
use http::HeaderMap;
use opentelemetry_proto::tonic::{
    collector::trace::v1::ExportTraceServiceRequest,
    common::v1::{AnyValue, KeyValue, any_value::Value},
    trace::v1::{Span, span::SpanKind, status::StatusCode},
};
use prost::Message;
use testkit::{Answer, ClientAuth, Person, Process, RelyingParty, free_port};
use tokio::net::TcpListener;

use crate::bank::Engine;
use crate::running::Installation;
use crate::visits::{SESSION, type_password};

const BANK: &str = include_str!("bank.toml");
const API_KEY: &str = "collector-key-0123456789";

/// A collector that keeps what it is sent.
#[derive(Clone, Default)]
struct Collector(Arc<Mutex<Vec<(HeaderMap, Bytes)>>>);

impl Collector {
    /// Listens; gives its endpoint too.
    async fn open() -> (Self, String) {
        async fn take(State(collector): State<Collector>, headers: HeaderMap, body: Bytes) {
            collector.0.lock().unwrap().push((headers, body));
        }
        let collector = Self::default();
        let router = Router::new().route("/v1/traces", post(take)).with_state(collector.clone());
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let endpoint = format!("http://{}/v1/traces", listener.local_addr().unwrap());
        tokio::spawn(axum::serve(listener, router).into_future());
        (collector, endpoint)
    }

    /// Everything that was sent, as it was sent.
    fn bytes(&self) -> Vec<u8> {
        let sent = self.0.lock().unwrap();
        sent.iter().flat_map(|(_, body)| body.to_vec()).collect()
    }

    fn headers(&self) -> HeaderMap {
        self.0.lock().unwrap().first().expect("something was sent").0.clone()
    }

    /// Every span, and what is said of the service.
    fn spans(&self) -> Vec<(Vec<KeyValue>, Span)> {
        let sent = self.0.lock().unwrap();
        let requests = sent.iter().map(|(_, body)| ExportTraceServiceRequest::decode(body.clone()).unwrap());
        let resources = requests.flat_map(|request| request.resource_spans);
        resources
            .flat_map(|resource| {
                let about = resource.resource.clone().unwrap_or_default().attributes;
                let spans = resource.scope_spans.into_iter().flat_map(|scope| scope.spans);
                spans.map(move |span| (about.clone(), span)).collect::<Vec<_>>()
            })
            .collect()
    }

    /// The spans of the requests named so.
    fn requests(&self, name: &str) -> Vec<Span> {
        self.spans().into_iter().map(|(_, span)| span).filter(|span| span.name == name).collect()
    }

    /// The one request that was answered with this correlation id.
    fn request(&self, answer: &Answer) -> Span {
        let id = answer.header("x-request-id").unwrap();
        let spans = self.spans().into_iter().map(|(_, span)| span);
        let mut spans =
            spans.filter(|span| text(&span.attributes, "chancery.correlation_id").as_deref() == Some(id));
        let span = spans.next().expect("the request was traced");
        assert!(spans.next().is_none(), "once");
        span
    }

    /// The names of the spans beneath a request.
    fn beneath(&self, request: &Span) -> Vec<String> {
        let spans = self.spans().into_iter().map(|(_, span)| span);
        spans
            .filter(|span| span.trace_id == request.trace_id && span.span_id != request.span_id)
            .inspect(|span| assert!(!span.parent_span_id.is_empty(), "{} hangs in the air", span.name))
            .map(|span| span.name)
            .collect()
    }
}

fn value(attributes: &[KeyValue], key: &str) -> Option<Value> {
    let found = attributes.iter().find(|attribute| attribute.key == key)?;
    found.value.clone().and_then(|AnyValue { value }| value)
}

fn text(attributes: &[KeyValue], key: &str) -> Option<String> {
    match value(attributes, key)? {
        Value::StringValue(text) => Some(text),
        other => panic!("{key} is {other:?}"),
    }
}

fn batch_job(bank: &Installation) -> RelyingParty {
    let auth = ClientAuth::Basic("batch-job-secret-0123456789ab".to_owned());
    RelyingParty::trusting(&bank.roots(), &bank.issuer, "batch-job", auth, "https://batch.example/cb")
}

/// A token request that names a trace.
async fn token_within(bank: &Installation, traceparent: &str) -> Answer {
    let request = batch_job(bank).http().post(bank.url("/token"));
    let request = request.basic_auth("batch-job", Some("batch-job-secret-0123456789ab"));
    let request = request.header("traceparent", traceparent);
    let fields = [("grant_type", "client_credentials"), ("scope", "accounts:read")];
    Answer::of(request.form(&fields)).await.unwrap().expect(200)
}

#[tokio::test]
async fn bcp_17_a_login_and_its_tokens_are_traced_without_what_is_secret() {
    let (collector, endpoint) = Collector::open().await;
    let bank = Installation::plain(Engine::Sqlite);
    bank.write("collector-headers", &format!("X-Api-Key: {API_KEY}\nX-Tenant: bank\n"));
    bank.configure(&format!(
        "[traces]\nendpoint = \"{endpoint}\"\nheaders_file = \"collector-headers\"\n[log]\nfilter = \"debug\"\n"
    ));
    bank.apply(BANK);
    let process = bank.serve().await;

    let (browser, app) = (bank.browser(), bank.web_app());
    let attempt = app.attempt("openid offline_access accounts:read");
    let page = browser.open(attempt.url()).await;
    let page = type_password(&browser, &page, "bob", "a-guess-that-fails").await;
    let mut person = Person::new("bob", "granite-teapot-orbit");
    let departure = person.walk(&browser, page, "", DateTime::UNIX_EPOCH).await.departed().clone();
    let code = attempt.code(&departure);
    let session = browser.cookie(&bank.issuer, SESSION).unwrap();
    let redeemed = app.redeem(&attempt, &code).await.expect(200);
    let refreshed = app.refresh(redeemed.str("refresh_token")).await.expect(200);
    app.userinfo(refreshed.str("access_token")).await.expect(200);
    let replayed = app.redeem(&attempt, &code).await;
    replayed.expect_error(400, "invalid_grant");
    let (status, log) = process.terminate().await;
    assert_eq!(status.code(), Some(0), "{log}");

    // What a stop found in the queue was delivered too.
    let request = collector.request(&redeemed);
    assert_eq!(request.name, "POST /token");
    assert_eq!(request.kind, i32::from(SpanKind::Server));
    assert!(request.parent_span_id.is_empty(), "it begins a trace");
    assert_eq!(text(&request.attributes, "http.request.method").unwrap(), "POST");
    assert_eq!(text(&request.attributes, "http.route").unwrap(), "/token");
    assert_eq!(value(&request.attributes, "http.response.status_code"), Some(Value::IntValue(200)));
    assert!(request.end_time_unix_nano > request.start_time_unix_nano);
    let beneath = collector.beneath(&request);
    assert!(beneath.iter().any(|name| name == "sign"), "{beneath:?}");
    assert!(beneath.iter().any(|name| name.starts_with("store::")), "{beneath:?}");
    assert_ne!(collector.request(&refreshed).trace_id, request.trace_id, "another request, another trace");
    // A refusal is no error of the server's.
    let refused = collector.request(&replayed);
    assert_eq!(value(&refused.attributes, "http.response.status_code"), Some(Value::IntValue(400)));
    assert!(refused.status.is_none_or(|status| status.code != i32::from(StatusCode::Error)));

    let logins = collector.requests("POST /interaction/{id}/login");
    assert_eq!(logins.len(), 2);
    for login in &logins {
        let beneath = collector.beneath(login);
        assert!(beneath.iter().any(|name| name == "password wait"), "{beneath:?}");
        assert!(beneath.iter().any(|name| name == "password hash"), "{beneath:?}");
    }

    // What polls and starts the server is nobody's request.
    for (_, root) in collector.spans().into_iter().filter(|(_, span)| span.parent_span_id.is_empty()) {
        assert!(root.kind == i32::from(SpanKind::Server) || root.name == "audit batch", "{}", root.name);
    }

    let (about, _) = collector.spans().swap_remove(0);
    assert_eq!(text(&about, "service.name").unwrap(), "chancery");
    assert_eq!(text(&about, "chancery.issuer").unwrap(), bank.issuer);
    assert_eq!(collector.headers()["x-api-key"], API_KEY);
    assert_eq!(collector.headers()["content-type"], "application/x-protobuf");

    let claims = testkit::claims_of(redeemed.str("id_token"));
    for (what, secret) in [
        ("code", code.as_str()),
        ("state", &attempt.state),
        ("nonce", &attempt.nonce),
        ("verifier", &attempt.verifier),
        ("access token", redeemed.str("access_token")),
        ("refresh token", redeemed.str("refresh_token")),
        ("rotated access token", refreshed.str("access_token")),
        ("ID token", redeemed.str("id_token")),
        ("password", "granite-teapot-orbit"),
        ("wrong password", "a-guess-that-fails"),
        ("client secret", "web-app-secret"),
        ("session", &session),
        ("collector's key", API_KEY),
        ("redirect URI", "web.example"),
        ("person", claims["sub"].as_str().unwrap()),
        ("address", "127.0.0.1"),
        ("statement", "SELECT"),
        ("parameters", "code_challenge"),
    ] {
        let (bytes, secret) = (collector.bytes(), secret.as_bytes());
        assert!(!bytes.windows(secret.len()).any(|part| part == secret), "the {what} was exported");
    }
    assert!(!log.contains(API_KEY));
}

/// The trace and the span that a caller names, and whether the caller says that it is sampled.
const TRACE: [u8; 16] = [0xab; 16];
const SAMPLED: &str = "00-abababababababababababababababab-cdcdcdcdcdcdcdcd-01";
const UNSAMPLED: &str = "00-abababababababababababababababab-cdcdcdcdcdcdcdcd-00";

#[tokio::test]
async fn bcp_15_traceparent_counts_only_from_a_proxy_that_is_to_be_followed() {
    for (trusted, follow, sample, continued) in [
        // A stranger can neither choose the trace, nor whether there is one.
        ("10.9.8.7", true, "1", false),
        ("127.0.0.1", false, "1", false),
        ("127.0.0.1", true, "0", true),
    ] {
        let (collector, endpoint) = Collector::open().await;
        let bank = Installation::plain(Engine::Sqlite);
        bank.configure(&format!(
            "[proxy]\ntrusted = [\"{trusted}\"]\n\
             [traces]\nendpoint = \"{endpoint}\"\nfollow_proxies = {follow}\nsample = {sample}\n"
        ));
        bank.apply(BANK);
        let process = bank.serve().await;
        token_within(&bank, UNSAMPLED).await;
        token_within(&bank, SAMPLED).await;
        process.terminate().await;
        let spans = collector.requests("POST /token");
        if continued {
            assert_eq!(spans.len(), 1, "the proxy says what is sampled");
            assert_eq!(spans[0].trace_id, TRACE);
            assert_eq!(spans[0].parent_span_id, [0xcd; 8]);
        } else {
            assert_eq!(spans.len(), 2, "{trusted} {follow}");
            assert!(spans.iter().all(|span| span.trace_id != TRACE && span.parent_span_id.is_empty()));
        }
    }
}

/// The value of a series on the admin listener.
async fn metric(bank: &Installation, series: &str) -> f64 {
    let answer = batch_job(bank).http().get(format!("{}/metrics", bank.admin)).send().await.unwrap();
    let page = answer.text().await.unwrap();
    let line = page.lines().find_map(|line| line.strip_prefix(series)?.strip_prefix(' ')?.parse().ok());
    line.unwrap_or(0.0)
}

#[tokio::test]
async fn a_collector_that_is_away_or_asleep_costs_nothing_but_spans() {
    // Listens, but never answers: the worst of them.
    let asleep = TcpListener::bind("127.0.0.1:0").await.unwrap();
    for port in [free_port(), asleep.local_addr().unwrap().port()] {
        let bank = Installation::plain(Engine::Sqlite);
        bank.configure(&format!(
            "[traces]\nendpoint = \"http://127.0.0.1:{port}/v1/traces\"\ntimeout = \"1s\"\n"
        ));
        bank.apply(BANK);
        let process = bank.serve().await;
        let app = batch_job(&bank);
        let dropped = "chancery_trace_spans_total{outcome=\"dropped\"}";
        let mut rounds = 0;
        while metric(&bank, dropped).await == 0.0 {
            // Each would wait for a second, if it waited at all.
            let requests = async {
                for _ in 0..10 {
                    app.client_credentials("accounts:read").await.expect(200);
                }
            };
            tokio::time::timeout(Duration::from_secs(8), requests).await.expect("requests do not wait");
            rounds += 1;
            assert!(rounds < 1000, "nothing is given up: {}", process.log());
        }
        let log = stopped(process).await;
        assert_eq!(log.matches("the collector does not take spans").count(), 1, "{log}");
        assert!(!log.contains("panicked"), "{log}");
    }
}

/// Stops a server, which waits for its collector no longer than it was told to.
async fn stopped(process: Process) -> String {
    let (status, log) = tokio::time::timeout(Duration::from_secs(10), process.terminate()).await.unwrap();
    assert_eq!(status.code(), Some(0), "{log}");
    log
}
