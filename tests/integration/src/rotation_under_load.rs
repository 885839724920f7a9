//! Signing keys rotate while tokens are issued and verified all the time (OC-22).
//!
//! Nodes are processes of the binary. Clients get access tokens and ID tokens from each of them without a
//! pause; a resource server on the npm package `jose`, in a process of its own, verifies all of them with
//! copies of the published keys that are as old as `Cache-Control` allows. A whole life passes in seconds,
//! because every period is configured to be as short as the rules admit.

#![expect(clippy::disallowed_methods, reason = "real processes live in real time")]

use std::collections::BTreeMap;
use std::process::Stdio;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use chrono::{DateTime, Utc};
use serde_json::{Value, json};
use testkit::{Browser, ClientAuth, Person, Process, RelyingParty, claims_of, free_port, scripts};
use tokio::io::{AsyncBufReadExt, AsyncWriteExt, BufReader};
use tokio::process::Child;
use tokio::sync::mpsc;
use tokio::task::JoinHandle;
use tokio::time::sleep;

use crate::bank::Engine;
use crate::running::{Answered, Installation};

const BANK: &str = include_str!("bank.toml");
/// Within a second, and half of one more for what a busy machine needs.
const NOTICED: f64 = 1.5;
/// How long clients may keep the published keys, in seconds.
const JWKS_CACHE: f64 = 1.0;
/// Every period is as short as the rules admit: tokens of three seconds, keys kept for one.
const PERIODS: &str = "[limits]\nendpoints = 0\nclients = 0\npages = 0\n\
    [tokens]\naccess_token = \"3s\"\nid_token = \"3s\"\n\
    [keys]\nencryption = []\njwks_cache = \"1s\"\nannounce = \"3s\"\nretain = \"5s\"\n";

/// What was seen of one node.
#[derive(Default)]
struct Seen {
    /// When a key was first and last in the JWKS, by kid, with its algorithm.
    published: BTreeMap<String, (String, Instant)>,
    gone: BTreeMap<String, Instant>,
    /// By kid: when the first token was signed with it, and when the last one that was expires.
    signed: BTreeMap<String, (Instant, DateTime<Utc>)>,
    /// The key that signed last, by algorithm.
    signer: BTreeMap<String, String>,
    issued: u64,
}

/// What is seen of all nodes.
struct Watch {
    nodes: Vec<Mutex<Seen>>,
    phase: Mutex<&'static str>,
    stop: AtomicBool,
    tokens: mpsc::UnboundedSender<String>,
}

impl Watch {
    fn enter(&self, phase: &'static str) {
        *self.phase.lock().unwrap() = phase;
    }

    fn token(&self, node: usize, phase: &str, r#use: &str, token: &str) {
        let header = URL_SAFE_NO_PAD.decode(token.split('.').next().unwrap()).unwrap();
        let header: Value = serde_json::from_slice(&header).unwrap();
        let (kid, alg) = (header["kid"].as_str().unwrap(), header["alg"].as_str().unwrap());
        let expires = DateTime::from_timestamp(claims_of(token)["exp"].as_i64().unwrap(), 0).unwrap();
        let mut seen = self.nodes[node].lock().unwrap();
        seen.issued += 1;
        seen.signer.insert(alg.to_owned(), kid.to_owned());
        let signed = seen.signed.entry(kid.to_owned()).or_insert((Instant::now(), expires));
        signed.1 = signed.1.max(expires);
        drop(seen);
        let line = json!({ "token": token, "use": r#use, "node": node, "phase": phase });
        let _ = self.tokens.send(line.to_string());
    }

    fn keys(&self, node: usize, keys: &[Value]) {
        let now = Instant::now();
        let mut seen = self.nodes[node].lock().unwrap();
        for key in keys {
            let (kid, alg) = (key["kid"].as_str().unwrap(), key["alg"].as_str().unwrap());
            seen.published.entry(kid.to_owned()).or_insert((alg.to_owned(), now));
        }
        let gone = |kid: &&String| keys.iter().all(|key| key["kid"] != ***kid);
        let gone: Vec<String> = seen.published.keys().filter(gone).cloned().collect();
        for kid in gone {
            seen.gone.entry(kid).or_insert(now);
        }
    }

    /// Waits until every node shows something, and tells when each did first.
    async fn on_every_node(&self, what: &str, shows: impl Fn(&Seen) -> Option<Instant>) -> Vec<Instant> {
        for _ in 0..3000 {
            let all: Option<Vec<Instant>> =
                self.nodes.iter().map(|node| shows(&node.lock().unwrap())).collect();
            if let Some(all) = all {
                return all;
            }
            sleep(Duration::from_millis(10)).await;
        }
        panic!("after 30 seconds not every node shows {what}");
    }

    async fn published(&self, kid: &str) -> Vec<Instant> {
        self.on_every_node("a published key", |seen| seen.published.get(kid).map(|found| found.1)).await
    }

    async fn signed(&self, kid: &str) -> Vec<Instant> {
        self.on_every_node("a key that signs", |seen| seen.signed.get(kid).map(|found| found.0)).await
    }

    async fn gone(&self, kid: &str) -> Vec<Instant> {
        self.on_every_node("a key that is gone", |seen| seen.gone.get(kid).copied()).await
    }

    /// A key of an algorithm that none of these is, once one node publishes it.
    async fn new_key(&self, alg: &str, known: &[String]) -> String {
        let new = |seen: &Seen| {
            let mut of = seen.published.iter().filter(|(_, (own, _))| own == alg);
            of.find(|(kid, _)| !known.contains(kid)).map(|(kid, _)| kid.clone())
        };
        for _ in 0..3000 {
            if let Some(kid) = self.nodes.iter().find_map(|node| new(&node.lock().unwrap())) {
                return kid;
            }
            sleep(Duration::from_millis(10)).await;
        }
        panic!("no new {alg} key within 30 seconds");
    }

    fn kids(&self, alg: &str) -> Vec<String> {
        let seen = self.nodes[0].lock().unwrap();
        seen.published.iter().filter(|(_, (own, _))| own == alg).map(|(kid, _)| kid.clone()).collect()
    }

    fn signer(&self, alg: &str) -> String {
        self.nodes[0].lock().unwrap().signer[alg].clone()
    }

    /// When the last token of a key expires, whichever node signed it.
    fn last_expiry(&self, kid: &str) -> DateTime<Utc> {
        let of = |node: &Mutex<Seen>| node.lock().unwrap().signed.get(kid).map(|signed| signed.1);
        self.nodes.iter().filter_map(of).max().unwrap()
    }
}

/// The verifying client: it gets every token, and reports at the end.
struct Verifier {
    child: Child,
    output: tokio::io::Lines<BufReader<tokio::process::ChildStdout>>,
    writer: JoinHandle<()>,
}

impl Verifier {
    async fn start(issuer: &str, nodes: &[String], mut lines: mpsc::UnboundedReceiver<String>) -> Self {
        let jwks: Vec<String> = nodes.iter().map(|base| format!("{base}/jwks")).collect();
        let jwks = jwks.join(",");
        let environment = [
            ("ISSUER", issuer),
            ("JWKS", &jwks),
            ("ID_AUDIENCE", "web-app"),
            ("ACCESS_AUDIENCE", "https://api.bank.example"),
        ];
        let mut command = scripts::node_command("tests/clients", "verifier.mjs", &environment).await;
        let mut child = command.stdin(Stdio::piped()).stdout(Stdio::piped()).spawn().unwrap();
        let mut input = child.stdin.take().unwrap();
        let mut output = BufReader::new(child.stdout.take().unwrap()).lines();
        assert_eq!(output.next_line().await.unwrap().as_deref(), Some("READY"));
        let writer = tokio::spawn(async move {
            while let Some(mut line) = lines.recv().await {
                line.push('\n');
                if input.write_all(line.as_bytes()).await.is_err() {
                    return;
                }
            }
        });
        Self { child, output, writer }
    }

    async fn report(mut self) -> Value {
        self.writer.await.unwrap();
        let report = self.output.next_line().await.unwrap().expect("the verifier reports");
        assert!(self.child.wait().await.unwrap().success());
        serde_json::from_str(&report).unwrap()
    }
}

/// Nodes under load, and everybody who watches them.
struct Load {
    bank: Installation,
    _nodes: Vec<Process>,
    watch: Arc<Watch>,
    workers: Vec<JoinHandle<()>>,
    verifier: Verifier,
}

impl Load {
    async fn start(engine: Engine, nodes: usize, more: &str) -> Self {
        let bank = Installation::plain(engine);
        bank.configure(&format!("{PERIODS}{more}"));
        tokio::task::block_in_place(|| bank.apply(BANK));
        let mut processes = vec![bank.serve().await];
        let mut bases = vec![bank.issuer.clone()];
        for _ in 1..nodes {
            let (port, admin) = (free_port(), free_port());
            let mut command = bank.command(&["serve"]);
            command.env("CHANCERY__LISTEN__PUBLIC", format!("127.0.0.1:{port}"));
            command.env("CHANCERY__LISTEN__ADMIN", format!("127.0.0.1:{admin}"));
            let process = Process::start("another chancery serve", &mut command);
            processes.push(process.ready(&format!("http://127.0.0.1:{admin}/health/ready")).await);
            bases.push(format!("http://localhost:{port}"));
        }
        let (tokens, lines) = mpsc::unbounded_channel();
        let verifier = Verifier::start(&bank.issuer, &bases, lines).await;
        let watch = Arc::new(Watch {
            nodes: bases.iter().map(|_| Mutex::default()).collect(),
            phase: Mutex::new("before"),
            stop: AtomicBool::new(false),
            tokens,
        });
        let refresh_token = connect(&bank).await;
        let mut workers = Vec::new();
        for (node, base) in bases.iter().enumerate() {
            workers.push(tokio::spawn(poll(watch.clone(), node, party(base, "web-app"))));
            let batch = || party(base, "batch-job");
            workers.push(tokio::spawn(own_tokens(watch.clone(), node, batch())));
            workers.push(tokio::spawn(own_tokens(watch.clone(), node, batch())));
            let (app, token) = (party(base, "web-app"), refresh_token.clone());
            workers.push(tokio::spawn(refreshed_tokens(watch.clone(), node, app, token)));
        }
        Self { bank, _nodes: processes, watch, workers, verifier }
    }

    /// Runs a command as an operator would, and tells when it ended.
    fn command(&self, arguments: &[&str]) -> (Answered, Instant) {
        let answered = tokio::task::block_in_place(|| self.bank.run(arguments));
        answered.expect(0, &[]);
        (answered, Instant::now())
    }

    /// Ends the load, and judges: no failure but in these phases, and none at all for who asks for keys
    /// that it does not know.
    async fn finish(self, title: &str, forced: &[&str]) -> Value {
        self.watch.stop.store(true, Ordering::Relaxed);
        for worker in self.workers {
            worker.await.unwrap();
        }
        let issued: Vec<u64> = self.watch.nodes.iter().map(|node| node.lock().unwrap().issued).collect();
        drop(self.watch);
        let report = self.verifier.report().await;
        say(&format!("{title}: issued by node {issued:?}; {report:#}"));
        assert!(issued.iter().all(|node| *node > 200), "that was no load: {issued:?}");
        assert!(report["verified"].as_u64().unwrap() > 2 * issued.iter().sum::<u64>());
        assert!(report["last_looks"].as_u64().unwrap() > issued.iter().sum::<u64>() / 4);
        assert_eq!(report["eager_failures"], json!({}));
        for phase in report["failures"].as_object().unwrap().keys() {
            assert!(forced.contains(&phase.as_str()), "tokens failed to verify: {report:#}");
        }
        report
    }
}

fn party(base: &str, client: &str) -> RelyingParty {
    let secret = match client {
        "web-app" => "web-app-secret-0123456789abcd",
        _ => "batch-job-secret-0123456789ab",
    };
    RelyingParty::new(base, client, ClientAuth::Basic(secret.to_owned()), "https://web.example/cb")
}

/// A customer connects the app, once.
async fn connect(bank: &Installation) -> String {
    let app = party(&bank.issuer, "web-app");
    let attempt = app.attempt("openid offline_access accounts:read");
    let mut person = Person::new("bob", "granite-teapot-orbit");
    let departure = person.connect(&Browser::new(), attempt.url(), Utc::now()).await;
    let tokens = app.redeem(&attempt, &attempt.code(&departure)).await.expect(200);
    tokens.str("refresh_token").to_owned()
}

/// Looks at the published keys all the time.
async fn poll(watch: Arc<Watch>, node: usize, app: RelyingParty) {
    while !watch.stop.load(Ordering::Relaxed) {
        let answer = app.get("/jwks").await.expect(200);
        watch.keys(node, answer.json["keys"].as_array().unwrap());
        sleep(Duration::from_millis(20)).await;
    }
}

/// Gets tokens for a program itself, all the time.
async fn own_tokens(watch: Arc<Watch>, node: usize, app: RelyingParty) {
    while !watch.stop.load(Ordering::Relaxed) {
        let phase = *watch.phase.lock().unwrap();
        let tokens = app.client_credentials("accounts:read").await.expect(200);
        watch.token(node, phase, "access", tokens.str("access_token"));
        sleep(Duration::from_millis(15)).await;
    }
}

/// Gets access tokens and ID tokens for a customer's app, all the time.
async fn refreshed_tokens(watch: Arc<Watch>, node: usize, app: RelyingParty, refresh_token: String) {
    while !watch.stop.load(Ordering::Relaxed) {
        let phase = *watch.phase.lock().unwrap();
        let tokens = app.refresh(&refresh_token).await.expect(200);
        watch.token(node, phase, "access", tokens.str("access_token"));
        watch.token(node, phase, "id", tokens.str("id_token"));
        sleep(Duration::from_millis(25)).await;
    }
}

/// Seconds after a moment; nothing is noticed before it happened.
fn seconds_after(moment: Instant, seen: &[Instant]) -> Vec<f64> {
    seen.iter().map(|seen| seen.saturating_duration_since(moment).as_secs_f64()).collect()
}

fn assert_noticed(what: &str, seconds: &[f64]) {
    say(&format!("{what}: noticed by each node after {seconds:.3?} s"));
    assert!(seconds.iter().all(|seconds| *seconds <= NOTICED), "{what}: {seconds:?}");
}

fn say(text: &str) {
    println!("{text}");
}

/// The key was published everywhere for as long as anybody may cache the keys before it signed anywhere.
async fn assert_published_long_enough(watch: &Watch, kid: &str) {
    let published = watch.published(kid).await.into_iter().max().unwrap();
    let signed = watch.signed(kid).await.into_iter().min().unwrap();
    let ahead = signed.saturating_duration_since(published).as_secs_f64();
    say(&format!("published on every node {ahead:.3} s before it signed on any"));
    assert!(ahead >= JWKS_CACHE, "{ahead}");
}

/// The key was published until the last of its tokens had expired.
async fn assert_kept_long_enough(watch: &Watch, kid: &str) {
    let gone = watch.gone(kid).await.into_iter().min().unwrap();
    let gone = Utc::now() - gone.elapsed();
    let kept = (gone - watch.last_expiry(kid)).as_seconds_f64();
    say(&format!("published for {kept:.3} s after its last token had expired"));
    assert!(kept > 0.0, "{kept}");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn oc_22_keys_rotate_on_schedule_under_load_on_two_nodes() {
    // The keys of one algorithm sign longer than those of the other.
    let schedule = "active = \"5s\"\nactive_by_algorithm = [\"RS256=6s\"]\n";
    let load = Load::start(Engine::Postgres, 2, schedule).await;
    let watch = load.watch.clone();
    sleep(Duration::from_millis(300)).await;
    let known = watch.kids("ES256");
    let kid = watch.new_key("ES256", &known).await;
    watch.published(&kid).await;
    watch.enter("announced");
    watch.signed(&kid).await;
    watch.enter("active");
    assert_published_long_enough(&watch, &kid).await;
    let known = watch.kids("ES256");
    let next = match known
        .iter()
        .find(|other| **other != kid && !watch.nodes[0].lock().unwrap().signed.contains_key(*other))
    {
        Some(announced) => announced.clone(),
        None => watch.new_key("ES256", &known).await,
    };
    watch.signed(&next).await;
    watch.enter("retired");
    watch.gone(&kid).await;
    watch.enter("destroyed");
    assert_kept_long_enough(&watch, &kid).await;
    sleep(Duration::from_millis(500)).await;
    let rotated = watch.nodes[1].lock().unwrap().signed.len();
    drop(watch);
    let report = load.finish("on schedule, two nodes", &[]).await;
    for phase in ["before", "announced", "active", "retired", "destroyed"] {
        assert!(
            report["tokens"][phase]["0"].as_u64() > Some(0)
                && report["tokens"][phase]["1"].as_u64() > Some(0)
        );
    }
    assert!(rotated >= 5, "both algorithms rotate: {rotated}");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn oc_22_an_operator_rotates_keys_under_load_on_two_nodes() {
    by_command(Engine::Postgres, 2, "by command, two nodes on PostgreSQL").await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn oc_22_an_operator_rotates_keys_under_load_on_sqlite() {
    by_command(Engine::Sqlite, 1, "by command, one node and the command line on SQLite").await;
}

async fn by_command(engine: Engine, nodes: usize, title: &str) {
    let load = Load::start(engine, nodes, "active = \"1h\"\n").await;
    let watch = load.watch.clone();
    sleep(Duration::from_secs(1)).await;
    rotate(&load, &watch).await;
    force(&load, &watch).await;
    revoke(&load, &watch).await;
    drop(watch);
    let report = load.finish(title, &["forced", "retired by force", "revoked"]).await;
    assert!(report["revoked_refused"].as_u64() > Some(0), "what a revoked key signed is refused");
}

/// `keys rotate`: announced at once, signing in time, and the former key is kept and destroyed.
async fn rotate(load: &Load, watch: &Watch) {
    let (before, former) = (watch.kids("ES256"), watch.signer("ES256"));
    let early = tokio::task::block_in_place(|| load.bank.run(&["keys", "retire", &former]));
    early.expect(1, &["no other ES256 key has been published for long enough"]);
    let (rotated, ended) = load.command(&["keys", "rotate", "--json"]);
    let rotated: Value = serde_json::from_str(&rotated.stdout).unwrap();
    let rotated = rotated.as_array().unwrap();
    assert_eq!(rotated.len(), 2);
    for key in rotated {
        let (key, fresh) = (&key["key"], &key["fresh"]);
        let (kid, alg) = (key["kid"].as_str().unwrap(), key["algorithm"].as_str().unwrap());
        assert!(fresh == true && !before.contains(&kid.to_owned()));
        assert_noticed(
            &format!("keys rotate, {alg} published"),
            &seconds_after(ended, &watch.published(kid).await),
        );
    }
    watch.enter("announced");
    for key in rotated {
        let (kid, alg) = (key["key"]["kid"].as_str().unwrap(), key["key"]["algorithm"].as_str().unwrap());
        let from: DateTime<Utc> = key["key"]["signs_from"].as_str().unwrap().parse().unwrap();
        let signed = watch.signed(kid).await;
        watch.enter("active");
        let late: Vec<f64> =
            signed.iter().map(|at| (Utc::now() - at.elapsed() - from).as_seconds_f64()).collect();
        say(&format!("{alg} signs {late:.3?} s after the time that was told (in whole seconds)"));
        // A second of rounding, one until a node looks, one until the other notices.
        assert!(late.iter().all(|late| (0.0..3.5).contains(late)), "{late:?}");
        assert_published_long_enough(watch, kid).await;
    }
    watch.gone(&former).await;
    watch.enter("destroyed");
    assert_kept_long_enough(watch, &former).await;
}

/// `keys rotate --force` and `keys retire --force`: at once, and loudly.
async fn force(load: &Load, watch: &Watch) {
    watch.enter("forced");
    let (forced, ended) =
        load.command(&["keys", "rotate", "--force", "--yes", "--algorithm", "ES256", "--json"]);
    let forced: Value = serde_json::from_str(&forced.stdout).unwrap();
    assert_eq!(forced[0]["forced"], true);
    let kid = forced[0]["key"]["kid"].as_str().unwrap();
    assert_noticed("keys rotate --force, ES256 signs", &seconds_after(ended, &watch.signed(kid).await));
    sleep(Duration::from_millis(1500)).await;
    watch.enter("after force");
    sleep(Duration::from_millis(300)).await;

    watch.enter("retired by force");
    let (former, known) = (watch.signer("RS256"), watch.kids("RS256"));
    let (retired, ended) = load.command(&["keys", "retire", &former, "--force", "--yes"]);
    assert!(retired.stderr.contains("FORCED"), "{}", retired.stderr);
    let next = watch.new_key("RS256", &known).await;
    assert_noticed("keys retire --force, RS256 signs", &seconds_after(ended, &watch.signed(&next).await));
    sleep(Duration::from_millis(1500)).await;
    // Retired is not revoked: it stays published.
    for node in &watch.nodes {
        assert!(!node.lock().unwrap().gone.contains_key(&former));
    }
    watch.enter("after retirement");
    sleep(Duration::from_millis(300)).await;
}

/// `keys revoke`: gone at once, with everything that it signed.
async fn revoke(load: &Load, watch: &Watch) {
    watch.enter("revoked");
    let (kid, known) = (watch.signer("ES256"), watch.kids("ES256"));
    let _ = watch.tokens.send(json!({ "revoked": kid }).to_string());
    let (revoked, ended) = load.command(&["keys", "revoke", &kid, "--yes"]);
    assert!(revoked.stderr.contains("REVOKED"), "{}", revoked.stderr);
    assert_noticed("keys revoke, ES256 gone", &seconds_after(ended, &watch.gone(&kid).await));
    let next = watch.new_key("ES256", &known).await;
    assert_noticed("keys revoke, another ES256 key signs", &seconds_after(ended, &watch.signed(&next).await));
    sleep(Duration::from_millis(1500)).await;
    watch.enter("after revocation");
    sleep(Duration::from_millis(500)).await;
}
