//! PostgreSQL stopped and started, and halted (every process of it) and let go on, under load.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

use testkit::postgres::{Cluster, Stop};
use testkit::{Answer, RelyingParty};
use tokio::task::JoinHandle;
use tokio::time::sleep;

use super::ledger::{ASKS, Ask, Book, Heard, Ledger, Tally};
use super::load::{Actors, Load};
use super::site::Site;
use super::verdict::verdict;
use super::{now, rounds};
use crate::bank::Engine;

/// No request waits longer for a database that is away, with a second for a busy machine.
const PATIENCE: Duration = Duration::from_secs(7);
/// By then everything works again.
const RECOVERY: Duration = Duration::from_secs(8);

/// How the database goes away.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Away {
    Stopped(Stop),
    Paused,
}

/// What somebody saw who asked all the time.
#[derive(Clone, Copy, Debug)]
struct Seen {
    at: Instant,
    took: Duration,
    /// `None`: no answer.
    status: Option<u16>,
}

/// Asks for one address ten times a second.
struct Watch {
    stop: Arc<AtomicBool>,
    task: JoinHandle<Vec<Seen>>,
}

impl Watch {
    fn start(app: &RelyingParty, url: String) -> Self {
        let (stop, http) = (Arc::new(AtomicBool::new(false)), app.http().clone());
        let stopped = stop.clone();
        let task = tokio::spawn(async move {
            let mut seen = Vec::new();
            while !stopped.load(Ordering::Relaxed) {
                let at = now();
                let answer = Answer::of(http.get(&url)).await.ok();
                seen.push(Seen { at, took: at.elapsed(), status: answer.map(|answer| answer.status) });
                sleep(Duration::from_millis(100)).await;
            }
            seen
        });
        Self { stop, task }
    }

    async fn stop(self) -> Vec<Seen> {
        self.stop.store(true, Ordering::Relaxed);
        self.task.await.unwrap()
    }
}

/// When things happened.
struct Times {
    began: Instant,
    away: Instant,
    back: Instant,
    end: Instant,
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn postgres_stopped_or_paused_is_told_truly_and_survived() {
    let cluster = Cluster::start_new();
    let site = Site::new(Engine::Postgres, Some(&cluster), "");
    let (mut process, _) = site.serve().await;
    let actors = Actors::signed_in(&site).await;
    let ways = [
        (Away::Stopped(Stop::Immediate), 3),
        (Away::Paused, 8),
        (Away::Stopped(Stop::Fast), 7),
        (Away::Paused, 2),
    ];
    for round in 0..rounds(2, Duration::from_secs(15)) {
        let (way, seconds) = ways[round % ways.len()];
        let ledger = Ledger::default();
        let app = site.batch_job();
        let ready = Watch::start(&app, format!("{}/health/ready", site.installation.admin));
        let cached = ["/.well-known/openid-configuration", "/jwks"]
            .map(|path| Watch::start(&app, site.installation.url(path)));
        let load = Load::start(&actors, &ledger);
        let began = now();
        sleep(Duration::from_secs(1)).await;
        let away = now();
        match way {
            Away::Stopped(how) => cluster.stop(how),
            Away::Paused => cluster.pause(),
        }
        sleep(Duration::from_secs(seconds)).await;
        match way {
            Away::Stopped(_) => cluster.start(),
            Away::Paused => cluster.resume(),
        }
        let back = now();
        let recovered = super::wait_for("everything works", Duration::from_secs(30), async || {
            recovery(&ledger.book(), back).is_some()
        });
        recovered.await;
        sleep(Duration::from_secs(1)).await;
        let times = Times { began, away, back, end: now() };
        load.stop().await;
        assert!(process.ended().is_none(), "the server runs on");
        let seen = ready.stop().await;
        for watch in cached {
            assert_cached(&watch.stop().await);
        }
        let book = ledger.book().clone();
        judge(&site, way, book, &seen, &times).await;
    }
}

async fn judge(site: &Site, way: Away, book: Book, seen: &[Seen], times: &Times) {
    let Times { began, away, back, end } = *times;
    let tally = Tally::between(&book, began, end);
    let recovered = recovery(&book, back).expect("it was waited for");
    let told = seen.iter().find(|seen| seen.at >= away && seen.status == Some(503));
    let told = told.map(|seen| seen.at + seen.took - away).expect("readiness says 503 while it is away");
    let ready = seen.iter().find(|seen| seen.at >= back && seen.status == Some(200));
    let ready = ready.map(|seen| seen.at + seen.took - back).expect("readiness says 200 when it is back");
    let unanswered_ready = seen.iter().filter(|seen| seen.status.is_none()).count();
    let during = Tally::between(&book, away, back);
    let odd: Vec<u16> = tally.refused.keys().copied().filter(|status| *status != 503).collect();
    let verdict = verdict(site, book, None).await;
    println!("PostgreSQL {way:?} for {:.1} s: {tally}", (back - away).as_secs_f64());
    println!("    meanwhile: {during}");
    println!(
        "    unready after {:.2} s, ready again after {:.2} s, everything works after {:.2} s; {verdict}",
        told.as_secs_f64(),
        ready.as_secs_f64(),
        recovered.as_secs_f64()
    );
    assert_eq!((unanswered_ready, tally.unanswered), (0, 0), "the server always answers");
    assert!(odd.is_empty(), "only 503: {tally}");
    assert!(during.refused.contains_key(&503), "the database was missed: {during}");
    assert!(tally.slowest < PATIENCE, "requests fail fast: {tally}");
    assert!(told < Duration::from_secs(4) && ready < RECOVERY && recovered < RECOVERY);
    verdict.assert_clean("PostgreSQL away");
}

/// How long after `back` everything had worked once; `None` if something has not.
fn recovery(book: &Book, back: Instant) -> Option<Duration> {
    let first = |ask: Ask| {
        let done = book.exchanges.iter();
        let done = done.filter(|e| e.ask == ask && e.sent >= back && e.heard == Heard::Acknowledged);
        done.map(|e| e.sent + e.took - back).min()
    };
    ASKS.into_iter().map(first).try_fold(Duration::ZERO, |latest, one| Some(latest.max(one?)))
}

/// What is rendered once needs no database.
fn assert_cached(seen: &[Seen]) {
    assert!(!seen.is_empty());
    for seen in seen {
        assert_eq!(seen.status, Some(200));
        assert!(seen.took < Duration::from_secs(2), "{seen:?}");
    }
}
