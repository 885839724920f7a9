//! What is measured is what is documented, alerted on and shown: `/metrics` of the binary, the list in the
//! code, `docs/metrics.md`, the alert rules and the dashboard are held against each other.

use std::collections::{BTreeMap, BTreeSet};
use std::fs;

use chancery::evidence::{Kind, METRICS, reference};
use serde_json::Value;
use testkit::{Browser, ClientAuth, Person, RelyingParty, ResourceServer, workspace_root};

use crate::bank::{ENGINES, Engine};
use crate::running::Installation;

const BANK: &str = include_str!("bank.toml");

fn read(path: &str) -> String {
    fs::read_to_string(workspace_root().join(path)).unwrap_or_else(|error| panic!("{path}: {error}"))
}

/// Everything in a text that looks like a metric of ours.
fn named(text: &str) -> BTreeSet<String> {
    let is_word = |c: char| c.is_ascii_lowercase() || c.is_ascii_digit() || c == '_';
    let words = text.split(|c: char| !is_word(c)).filter(|word| word.starts_with("chancery_"));
    words.map(|word| series_of(word).to_owned()).collect()
}

/// The metric that a series belongs to: a histogram has three kinds of them.
fn series_of(name: &str) -> &str {
    let histogram = |base: &&str| METRICS.iter().any(|m| m.name == *base && m.kind == Kind::Histogram);
    let suffixes = ["_bucket", "_sum", "_count"];
    suffixes.iter().find_map(|suffix| name.strip_suffix(suffix).filter(histogram)).unwrap_or(name)
}

fn known() -> BTreeSet<String> {
    METRICS.iter().map(|metric| metric.name.to_owned()).collect()
}

#[test]
fn the_document_lists_every_metric() {
    let document = read("docs/metrics.md");
    assert!(document.contains(&reference()), "docs/metrics.md needs this table:\n\n{}", reference());
    assert!(named(&document).is_subset(&known()), "{:?}", named(&document).difference(&known()));
}

#[test]
fn alerts_and_dashboard_use_what_there_is_and_all_of_it() {
    let (alerts, dashboard) =
        (read("packaging/prometheus/alerts.yml"), read("packaging/grafana/chancery.json"));
    let tests = read("packaging/prometheus/alerts_test.yml");
    for (file, text) in [("alerts", &alerts), ("their tests", &tests), ("dashboard", &dashboard)] {
        let unknown: Vec<String> = named(text).difference(&known()).cloned().collect();
        assert!(unknown.is_empty(), "the {file} use what is not measured: {unknown:?}");
    }
    let unused: Vec<String> = known().difference(&named(&dashboard)).cloned().collect();
    assert!(unused.is_empty(), "the dashboard does not show {unused:?}");
    // What must wake somebody.
    for metric in [
        "chancery_database_up",
        "chancery_http_request_seconds",
        "chancery_password_hashes_waiting",
        "chancery_store_acquire_seconds",
        "chancery_tokens_total",
        "chancery_client_authentications_failed_total",
        "chancery_signing_key_age_seconds",
        "chancery_signing_key_next_step_seconds",
        "chancery_requests_limited_total",
        "chancery_audit_queue_oldest_seconds",
        "chancery_sweep_failures_total",
    ] {
        assert!(named(&alerts).contains(metric), "no alert looks at {metric}");
    }
    let dashboard: Value = serde_json::from_str(&dashboard).unwrap();
    let panels = dashboard["panels"].as_array().unwrap();
    let mut ids: Vec<u64> = panels.iter().map(|panel| panel["id"].as_u64().unwrap()).collect();
    ids.dedup();
    assert_eq!(ids.len(), panels.len(), "panels have numbers of their own");
    for panel in panels.iter().filter(|panel| panel["type"] != "row") {
        let targets = panel["targets"].as_array().unwrap();
        assert!(targets.iter().all(|target| target["expr"].is_string()), "{}", panel["title"]);
    }
}

/// One series of `/metrics`.
#[derive(Debug)]
struct Sample {
    name: String,
    labels: String,
    value: f64,
}

/// What `/metrics` says, in the text format of Prometheus.
struct Scrape {
    types: BTreeMap<String, String>,
    helped: BTreeSet<String>,
    samples: Vec<Sample>,
}

impl Scrape {
    async fn of(bank: &Installation) -> Self {
        let page = RelyingParty::new(&bank.admin, "nobody", ClientAuth::None, "https://nobody.example/cb");
        let text = page.get("/metrics").await.expect(200).text;
        let mut scrape = Self { types: BTreeMap::new(), helped: BTreeSet::new(), samples: Vec::new() };
        for line in text.lines().filter(|line| !line.is_empty()) {
            if let Some(rest) = line.strip_prefix("# TYPE ") {
                let (name, kind) = rest.split_once(' ').unwrap();
                scrape.types.insert(name.to_owned(), kind.to_owned());
            } else if let Some(rest) = line.strip_prefix("# HELP ") {
                scrape.helped.insert(rest.split(' ').next().unwrap().to_owned());
            } else {
                let (series, value) = line.rsplit_once(' ').unwrap();
                let (name, labels) = series.split_once('{').unwrap_or((series, ""));
                let (name, labels) = (name.to_owned(), labels.trim_end_matches('}').to_owned());
                scrape.samples.push(Sample { name, labels, value: value.parse().unwrap() });
            }
        }
        scrape
    }

    /// The sum of the series of a metric that have all these labels.
    fn sum(&self, name: &str, labels: &[&str]) -> f64 {
        let is = |sample: &&Sample| {
            sample.name == name && labels.iter().all(|label| sample.labels.contains(label))
        };
        self.samples.iter().filter(is).map(|sample| sample.value).sum()
    }
}

/// Everything that a day brings, good and bad.
async fn a_day(bank: &Installation) {
    let app = bank.web_app();
    let attempt = app.attempt("openid offline_access cards:read");
    let (browser, mut bob) = (Browser::new(), Person::new("bob", "granite-teapot-orbit"));
    let page = browser.open(attempt.url()).await;
    let wrong = [("username", "bob"), ("password", "wrong")];
    browser.submit(&page, "login-submit", &wrong).await;
    let departure = bob.connect(&browser, attempt.url(), testkit::totp::machine_time()).await;
    let code = attempt.code(&departure);
    let tokens = app.redeem(&attempt, &code).await.expect(200);
    app.refresh(tokens.str("refresh_token")).await.expect(200);
    let secret = ClientAuth::Basic("cards-api-secret-0123456789ab".to_owned());
    let api = ResourceServer::new(&bank.issuer, "cards-api", secret);
    assert!(api.is_active(tokens.str("access_token")).await);
    app.redeem(&attempt, &code).await.expect_error(400, "invalid_grant");
    assert!(!api.is_active(tokens.str("access_token")).await);
    browser.open(app.attempt("openid nonsense").with("client_id", "nobody").url()).await.expect(400);
    let denied = browser.open(app.attempt("openid").with("prompt", "none").with("max_age", "0").url()).await;
    assert!(denied.departure.is_some());
    let stranger = RelyingParty::new(
        &bank.issuer,
        "web-app",
        ClientAuth::Basic("not-the-secret".to_owned()),
        "https://web.example/cb",
    );
    stranger.client_credentials("accounts:read").await.expect_error(401, "invalid_client");
    let batch = ClientAuth::Basic("batch-job-secret-0123456789ab".to_owned());
    let batch = RelyingParty::new(&bank.issuer, "batch-job", batch, "https://web.example/cb");
    batch.client_credentials("accounts:read").await.expect(200);
    batch.client_credentials("payments:write").await.expect_error(400, "invalid_scope");
    batch.get("/.well-known/openid-configuration").await.expect(200);
    batch.get("/no/such/path/4711").await.expect(404);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_is_exposed_is_what_is_documented() {
    for engine in ENGINES {
        let bank = Installation::plain(engine);
        bank.apply(BANK);
        let _serving = bank.serve().await;
        let before = Scrape::of(&bank).await;
        // An alert on an increase would miss the first event of a series that is not there yet.
        for reason in ["code_replayed", "refresh_token_reused"] {
            let label = format!("reason=\"{reason}\"");
            assert!(before.samples.iter().any(|s| s.labels.contains(&label) && s.value == 0.0), "{reason}");
        }
        a_day(&bank).await;
        let scrape = Scrape::of(&bank).await;

        for metric in METRICS {
            let kind = match metric.kind {
                Kind::Counter => "counter",
                Kind::Gauge => "gauge",
                Kind::Histogram => "histogram",
            };
            assert_eq!(scrape.types.get(metric.name).map(String::as_str), Some(kind), "{}", metric.name);
            assert!(scrape.helped.contains(metric.name), "{} has no help", metric.name);
        }
        let exposed: BTreeSet<String> = scrape.types.keys().cloned().collect();
        let undocumented: Vec<String> = exposed.difference(&known()).cloned().collect();
        assert!(undocumented.is_empty(), "not in chancery::evidence::METRICS: {undocumented:?}");

        assert_figures(&scrape, engine);
        assert_few_labels(&scrape);
    }
}

fn assert_figures(scrape: &Scrape, engine: Engine) {
    let tokens = |labels: &[&str]| scrape.sum("chancery_tokens_total", labels);
    for (labels, expected) in [
        (&["outcome=\"issued\"", "grant=\"authorization_code\""][..], 1.0),
        (&["outcome=\"issued\"", "grant=\"refresh_token\""], 1.0),
        (&["outcome=\"issued\"", "grant=\"client_credentials\""], 1.0),
        (&["outcome=\"refused\"", "error=\"invalid_grant\"", "reason=\"code_replayed\""], 1.0),
        (&["outcome=\"refused\"", "error=\"invalid_client\"", "reason=\"wrong_client_secret\""], 1.0),
        (&["outcome=\"refused\"", "error=\"invalid_scope\"", "reason=\"scope_not_allowed\""], 1.0),
        (&["outcome=\"refused\""], 3.0),
        (&["outcome=\"failed\""], 0.0),
    ] {
        assert_eq!(tokens(labels), expected, "{labels:?}");
    }
    for (name, labels, expected) in [
        ("chancery_authorizations_total", &["outcome=\"issued\""][..], 1.0),
        ("chancery_authorizations_total", &["error=\"invalid_client\"", "reason=\"unknown_client\""], 1.0),
        ("chancery_authorizations_total", &["error=\"login_required\"", "reason=\"login_required\""], 1.0),
        ("chancery_introspections_total", &["outcome=\"active\""], 1.0),
        ("chancery_introspections_total", &["outcome=\"inactive\""], 1.0),
        ("chancery_client_authentications_failed_total", &["reason=\"wrong_client_secret\""], 1.0),
        ("chancery_logins_total", &["outcome=\"accepted\""], 1.0),
        ("chancery_logins_total", &["outcome=\"refused\""], 1.0),
        ("chancery_password_hash_wait_seconds_count", &[], 2.0),
        ("chancery_password_hashes_running", &[], 0.0),
        ("chancery_password_hashes_waiting", &[], 0.0),
        ("chancery_database_up", &[], 1.0),
        ("chancery_signing_keys", &["state=\"active\""], 4.0),
        ("chancery_store_errors_total", &["kind=\"unavailable\""], 0.0),
    ] {
        assert_eq!(scrape.sum(name, labels), expected, "{name} {labels:?}");
    }
    let age = scrape.sum("chancery_signing_key_age_seconds", &["alg=\"ES256\""]);
    assert!(age > 0.0 && age < 120.0, "{age}");
    // A new key is announced a day before the ninety are over.
    let next = scrape.sum("chancery_signing_key_next_step_seconds", &["alg=\"ES256\""]);
    assert!((next + age - 89.0 * 86_400.0).abs() < 2.0, "{next}");
    let pool = if engine == Engine::Postgres { "pool=\"postgres\"" } else { "pool=\"reader\"" };
    assert_eq!(scrape.sum("chancery_store_connections_limit", &[pool]), 10.0);
    assert!(scrape.sum("chancery_store_connections", &[pool, "state=\"idle\""]) >= 1.0);
    assert!(scrape.sum("chancery_store_acquire_seconds_count", &[]) > 10.0);
}

/// Labels are of closed lists: no client, no person, no address, no path that somebody made up.
fn assert_few_labels(scrape: &Scrape) {
    for sample in &scrape.samples {
        for word in
            ["web-app", "batch-job", "cards-api", "bob", "bank.example", "127.0.0.1", "4711", "nobody"]
        {
            assert!(!sample.labels.contains(word), "{sample:?}");
        }
    }
    let mut series: BTreeMap<&str, usize> = BTreeMap::new();
    for sample in scrape.samples.iter().filter(|sample| !sample.name.ends_with("_bucket")) {
        *series.entry(&sample.name).or_default() += 1;
    }
    let many: Vec<_> = series.iter().filter(|(_, count)| **count > 40).collect();
    assert!(many.is_empty(), "{many:?}");
}
