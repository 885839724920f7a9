//! `bench`: what a request costs.
//!
//! Measures what the bare stack costs in this hour, then starts the release server on SQLite and on a durable PostgreSQL, drives it, and prints server CPU
//! per request (from /proc, all threads), PostgreSQL's CPU beside it, throughput, latencies and
//! resident memory. CPU per request is the figure that survives a noisy machine.
//!
//! `cargo build --release -p chancery && cargo run --release -p bench [seconds [engine]]`

#![allow(clippy::print_stdout, reason = "a table is what this program is for")]

mod cpu;
mod drive;
mod fapi;
mod floor;
mod rush;
mod scenarios;

use std::{path::Path, process::Command, time::Duration};

use drive::{Figures, Processes, Work, measure};
use scenarios::{CodeFlow, Login, Repeat, Rotate, alice, app, customer, private_app, public_app};
use testkit::{Browser, Process, RelyingParty, free_port, tempdir, workspace_root};

const WORKERS: usize = 16;
const WARM: Duration = Duration::from_secs(2);

#[tokio::main]
async fn main() {
    if std::env::args().nth(1).as_deref() == Some(rush::CUSTOMERS) {
        return rush::customers(&std::env::args().nth(2).expect("the issuer is the second argument")).await;
    }
    if std::env::args().nth(1).as_deref() == Some(floor::FLOOR) {
        return floor::serve(&std::env::args().nth(2).expect("the port is the second argument")).await;
    }
    let seconds = std::env::args().nth(1).and_then(|text| text.parse().ok()).unwrap_or(8);
    let time = Duration::from_secs(seconds);
    println!(
        "| scenario | engine | server CPU µs | of it hashing | PostgreSQL CPU µs | req/s | p50 µs | p99 µs | RSS MiB | requests | failed |"
    );
    println!("|---|---|---:|---:|---:|---:|---:|---:|---:|---:|---:|");
    let [hello, signed] = floor::measured(async |work, floor| go(work, floor, time).await, WORKERS).await;
    row("floor: axum, a hello", "-", &hello);
    row("floor: axum, one ES256 JWT", "-", &signed);
    let (bare, whole) = fapi::proofs();
    let only = std::env::args().nth(2);
    for engine in
        ["sqlite", "postgres"].into_iter().filter(|engine| only.as_deref().is_none_or(|only| only == *engine))
    {
        let directory = tempdir().expect("a temporary directory can be made");
        let url = match engine {
            "sqlite" => format!("sqlite:{}", directory.path().join("bench.db").display()),
            _ => testkit::postgres::fresh_database(),
        };
        run(engine, &url, directory.path(), time).await;
    }
    println!("\nA DPoP proof takes {whole:.1} µs, the signature in it {bare:.1}: {:.2} times", whole / bare);
}

async fn run(engine: &str, url: &str, directory: &Path, time: Duration) {
    let (public, admin) = (free_port(), free_port());
    let issuer = format!("http://localhost:{public}");
    let config = directory.join("chancery.toml");
    let text = format!(
        "issuer = \"{issuer}\"\n[database]\nurl = \"{url}\"\nmax_connections = 8\n[listen]\npublic = \"127.0.0.1:{public}\"\n\
         admin = \"127.0.0.1:{admin}\"\n[limits]\nexempt = [\"127.0.0.0/8\", \"::1\"]\nclients = 0\n[log]\nfilter = \"warn\"\n{}",
        std::env::var("BENCH_CONFIG").unwrap_or_default()
    );
    std::fs::write(&config, text).expect("the configuration can be written");
    let key = fapi::Key::new();
    key.publish(directory);
    let bank = directory.join("bank.toml");
    std::fs::write(&bank, scenarios::bank()).expect("the bank can be written");
    let bank = bank.display().to_string();
    let binary = workspace_root().join("target/release/chancery");
    let chancery = || {
        let mut command = Command::new(&binary);
        command.arg("--config").arg(&config);
        command
    };
    for arguments in [&["migrate"][..], &["apply", "--yes", "-f", &bank]] {
        let done = chancery()
            .args(arguments)
            .output()
            .expect("build the server first: cargo build --release -p chancery");
        assert!(done.status.success(), "{}", String::from_utf8_lossy(&done.stderr));
    }
    let server = Process::start("chancery", chancery().arg("serve"));
    let server = server.ready(&format!("http://127.0.0.1:{admin}/health/ready")).await;
    let postgres = (engine == "postgres").then(testkit::postgres::postmaster).flatten();
    let processes = Processes { server: server.id(), postgres };
    scenarios(engine, &issuer, processes, time).await;
    of_fapi(engine, &issuer, &key, processes, time).await;
    let (idle, busy) = rush::rush(&issuer, processes, time).await;
    row("client_credentials, 100 a second, idle", engine, &idle);
    row(&format!("the same during {} logins at once", rush::LOGINS), engine, &busy);
    println!("p99 during the logins is {:.2} times its idle value", busy.p99 / idle.p99);
    server.terminate().await;
}

async fn scenarios(engine: &str, issuer: &str, processes: Processes, time: Duration) {
    let repeat = |make: &dyn Fn() -> Repeat| (0..WORKERS).map(|_| make()).collect::<Vec<_>>();
    let discovery = repeat(&|| Repeat::get(issuer, "/.well-known/openid-configuration"));
    row("discovery", engine, &go(discovery, processes, time).await);
    row("JWKS", engine, &go(repeat(&|| Repeat::get(issuer, "/jwks")), processes, time).await);
    let credentials = repeat(&|| Repeat::client_credentials(issuer));
    row("client_credentials, secret, ES256 JWT", engine, &go(credentials, processes, time).await);

    let token = app(issuer).client_credentials("cards:read").await.expect(200);
    let body = format!("token={}", token.str("access_token"));
    let api = ("cards-api", "cards-api-secret-0123456789ab");
    let introspect = repeat(&|| Repeat::post(issuer, "/introspect", &body, api));
    row("introspection, opaque", engine, &go(introspect, processes, time).await);

    let mut rotations = Vec::new();
    for _ in 0..WORKERS {
        let party = public_app(issuer);
        let attempt = party.attempt("openid offline_access accounts:read").with("prompt", "consent");
        let departure = alice().connect(&Browser::new(), attempt.url(), testkit::totp::machine_time()).await;
        let tokens = party.redeem(&attempt, departure.code()).await.expect(200);
        rotations.push(Rotate::new(party, tokens.str("refresh_token").to_owned()));
    }
    row("refresh, rotating, ID token", engine, &go(rotations, processes, time).await);

    row("code flow from a session (2 requests)", engine, &flow(app(issuer), processes, time).await);
    let private = flow(private_app(issuer), processes, time).await;
    row("the same, ID token as JWE, pairwise subject", engine, &private);

    let logins = (0..4).map(|_| Login::new(app(issuer))).collect();
    row(
        "code flow with login and consent (6 requests, Argon2id)",
        engine,
        &go(logins, processes, time).await,
    );
}

/// The code flow from a session in which the client is remembered.
async fn flow(party: RelyingParty, processes: Processes, time: Duration) -> Figures {
    let (browser, issuer) = (Browser::new(), party.issuer.as_str());
    let attempt = party.attempt("openid accounts:read");
    alice().connect(&browser, attempt.url(), testkit::totp::machine_time()).await;
    let cookie = |name: &str| browser.cookie(issuer, name).map(|value| format!("{name}={value}"));
    let cookies = ["chancery-session-dev", "chancery-browser-dev"].into_iter().filter_map(cookie);
    let cookies = cookies.collect::<Vec<_>>().join("; ");
    go((0..WORKERS).map(|_| CodeFlow::new(party.clone(), cookies.clone())).collect(), processes, time).await
}

async fn of_fapi(engine: &str, issuer: &str, key: &fapi::Key, processes: Processes, time: Duration) {
    let client = || fapi::Client::new(issuer, key);
    let pushes = (0..WORKERS).map(|_| fapi::Push(client())).collect();
    row("PAR, private_key_jwt", engine, &go(pushes, processes, time).await);
    let bound = (0..WORKERS).map(|_| fapi::Bound(client())).collect();
    row("client_credentials, private_key_jwt, DPoP", engine, &go(bound, processes, time).await);
    let mut flows = Vec::new();
    for number in 0..WORKERS as u64 {
        flows.push(fapi::Flow::signed_in(client(), customer(number)).await);
    }
    row("FAPI flow from a session, with consent (5 requests)", engine, &go(flows, processes, time).await);
}

async fn go<W: Work>(workers: Vec<W>, processes: Processes, time: Duration) -> Figures {
    measure(workers, processes, WARM, time).await
}

fn row(scenario: &str, engine: &str, figures: &Figures) {
    let postgres = figures.postgres.map_or_else(|| "-".to_owned(), |cpu| format!("{cpu:.0}"));
    println!(
        "| {scenario} | {engine} | {:.0} | {:.0} | {postgres} | {:.0} | {:.0} | {:.0} | {:.0} | {} | {} |",
        figures.server,
        figures.hashing,
        figures.rate,
        figures.p50,
        figures.p99,
        figures.resident,
        figures.done,
        figures.failed
    );
}
