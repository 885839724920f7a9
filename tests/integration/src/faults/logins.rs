//! Many logins at once: passwords are hashed by the cores that also answer the token endpoint.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::thread::JoinHandle;
use std::time::Duration;

use testkit::postgres::Cluster;
use testkit::{Browser, Page, Person, RelyingParty};
use tokio::task::JoinSet;
use tokio::time::sleep;

use super::now;
use super::site::Site;
use crate::bank::Engine;

/// How many log in at once: as many in the soak as the requirement says, fewer in every test run.
fn logins() -> usize {
    if super::is_soak() { 500 } else { 120 }
}

/// What half of the token requests and all but one in a hundred of them may take, at most. A debug binary, its
/// clients and other tests share few cores here, so this shows only that nobody starves; the strict figure
/// (p99 within twice its idle value) is the bench's, on a release binary and an idle machine.
const HALF: Duration = Duration::from_millis(400);
const NEARLY_ALL: Duration = Duration::from_millis(2500);

/// Latencies of requests sent at a steady beat, whatever the answers take. A thread of its own sends them:
/// the customers' browsers, which read pages, shall not delay what is measured.
struct Beat {
    stop: Arc<AtomicBool>,
    thread: JoinHandle<Vec<Duration>>,
}

impl Beat {
    fn start(app: RelyingParty) -> Self {
        let stop = Arc::new(AtomicBool::new(false));
        let stopped = stop.clone();
        let thread = std::thread::spawn(move || {
            let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build();
            runtime.unwrap().block_on(beat(app, &stopped))
        });
        Self { stop, thread }
    }

    async fn stop(self) -> Vec<Duration> {
        self.stop.store(true, Ordering::Relaxed);
        tokio::task::spawn_blocking(|| self.thread.join()).await.unwrap().unwrap()
    }
}

async fn beat(app: RelyingParty, stop: &AtomicBool) -> Vec<Duration> {
    let mut asked = JoinSet::new();
    let mut beat = tokio::time::interval(Duration::from_millis(10));
    beat.set_missed_tick_behavior(tokio::time::MissedTickBehavior::Skip);
    while !stop.load(Ordering::Relaxed) {
        beat.tick().await;
        let app = app.clone();
        asked.spawn(async move {
            let sent = now();
            app.client_credentials("accounts:read").await.expect(200);
            sent.elapsed()
        });
    }
    let mut took = asked.join_all().await;
    took.sort_unstable();
    took
}

fn at(took: &[Duration], share: f64) -> Duration {
    took[((took.len() as f64 * share) as usize).min(took.len() - 1)]
}

/// Signs in with an empty browser; who is told to come again comes again. Customers do not move in step:
/// each begins a little after the one before, and comes again in a time of their own.
async fn login(app: RelyingParty, number: usize, again: Arc<AtomicUsize>) {
    let number = number as u64;
    sleep(Duration::from_millis(number * 5)).await;
    let patience = Duration::from_millis(1000 + number * 37 % 1000);
    let browser = Browser::new();
    let mut alice = Person::new("alice", "harbour-lantern-violet");
    let attempt = app.attempt("openid accounts:read");
    let mut page = browser.open(attempt.url()).await.expect(200);
    while page.departure.is_none() {
        page = if page.has("login-submit") {
            password(&browser, &page, &alice, patience, &again).await
        } else {
            alice.answer(&browser, &page, testkit::totp::machine_time()).await
        };
    }
    let code = page.departed().code().to_owned();
    app.redeem(&attempt, &code).await.expect(200);
}

async fn password(
    browser: &Browser,
    page: &Page,
    person: &Person,
    patience: Duration,
    again: &AtomicUsize,
) -> Page {
    loop {
        let form =
            page.form("login-submit").with("username", &person.username).with("password", &person.password);
        let answer = browser.send(form).await;
        if answer.status != 503 {
            return answer;
        }
        again.fetch_add(1, Ordering::Relaxed);
        sleep(patience).await;
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn many_logins_leave_the_token_endpoint_alone() {
    let cluster = Cluster::start_new();
    let site = Site::new(Engine::Postgres, Some(&cluster), "");
    let (_process, _) = site.serve().await;
    let app = site.installation.web_app();
    let again = Arc::new(AtomicUsize::new(0));
    // Consent is remembered from here on, and everything is warm.
    login(app.clone(), 0, again.clone()).await;
    let beat = Beat::start(site.batch_job());
    sleep(Duration::from_secs(3)).await;
    let idle = beat.stop().await;

    let beat = Beat::start(site.batch_job());
    let began = now();
    let mut running = JoinSet::new();
    for number in 0..logins() {
        running.spawn(login(app.clone(), number, again.clone()));
    }
    let done = running.join_all().await.len();
    let took = began.elapsed();
    let busy = beat.stop().await;
    let shown = |took: &[Duration]| {
        let ms = |share| at(took, share).as_secs_f64() * 1e3;
        format!("p50 {:.1} ms, p99 {:.1} ms of {} requests", ms(0.5), ms(0.99), took.len())
    };
    println!(
        "{done} logins at once in {:.1} s ({} times told to come again); token endpoint idle: {}; meanwhile: {}",
        took.as_secs_f64(),
        again.load(Ordering::Relaxed),
        shown(&idle),
        shown(&busy)
    );
    assert_eq!(done, logins());
    assert!(at(&busy, 0.5) < HALF && at(&busy, 0.99) < NEARLY_ALL, "the token endpoint starves");
}
