//! A rush of logins: five hundred customers sign in at once, and the token endpoint's latency meanwhile is
//! put beside its idle value.
//!
//! The customers are another process that gives way to everybody (`SCHED_IDLE`), so that reading pages does not
//! cost the server's cores; the beat is one request every ten milliseconds, whatever the answers take.

use std::{
    process::{Command, Stdio},
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering},
    },
    time::Duration,
};

use testkit::Browser;
use tokio::task::JoinSet;

use crate::{
    drive::{Figures, Processes, Work, figures, now},
    scenarios::{Repeat, app, customer},
};

/// How many sign in at once.
pub const LOGINS: usize = 500;
/// The first argument of the process that is the customers.
pub const CUSTOMERS: &str = "--customers";
const BEAT: Duration = Duration::from_millis(10);
/// At least so long is the idle value taken, because a hundredth of few requests is chance.
const IDLE: Duration = Duration::from_secs(10);

/// The token endpoint, idle and then during the rush.
pub async fn rush(issuer: &str, processes: Processes, time: Duration) -> (Figures, Figures) {
    let idle = beat(issuer, processes, async { tokio::time::sleep(time.max(IDLE)).await }).await;
    let mut customers = Command::new("chrt");
    customers.args(["--idle", "0"]).arg(std::env::current_exe().expect("a process knows its executable"));
    let customers = customers
        .args([CUSTOMERS, issuer])
        .stdin(Stdio::null())
        .spawn()
        .expect("chrt (package util-linux) can be run");
    let busy = beat(issuer, processes, async move {
        let ended = tokio::task::spawn_blocking(move || customers.wait_with_output()).await;
        assert!(
            ended.is_ok_and(|ended| ended.is_ok_and(|output| output.status.success())),
            "everybody signs in"
        );
    });
    (idle, busy.await)
}

/// One client_credentials request every [`BEAT`], for as long as something else takes.
async fn beat(issuer: &str, processes: Processes, meanwhile: impl Future<Output = ()>) -> Figures {
    let stop = Arc::new(AtomicBool::new(false));
    let (issuer, stopped) = (issuer.to_owned(), stop.clone());
    let asking = tokio::spawn(async move {
        let mut asked = JoinSet::new();
        let mut resting = Vec::new();
        let mut beat = tokio::time::interval(BEAT);
        while !stopped.load(Ordering::Relaxed) {
            beat.tick().await;
            while let Some(done) = asked.try_join_next() {
                resting.push(done.expect("a request ends"));
            }
            let (mut request, mut latencies, failed) =
                resting.pop().unwrap_or_else(|| (Repeat::client_credentials(&issuer), Vec::new(), 0));
            asked.spawn(async move {
                let began = now();
                let ok = request.once().await;
                if ok {
                    latencies.push(began.elapsed());
                }
                (request, latencies, failed + usize::from(!ok))
            });
        }
        resting.extend(asked.join_all().await);
        resting.into_iter().fold((Vec::new(), 0), |(mut all, failures), (_, latencies, failed)| {
            all.extend(latencies);
            (all, failures + failed)
        })
    });
    let before = processes.used();
    let began = now();
    meanwhile.await;
    stop.store(true, Ordering::Relaxed);
    let (latencies, failed) = asking.await.expect("the beat ends");
    figures(latencies, failed, began.elapsed(), processes, before)
}

/// The customers: all within two seconds, and who is told to come again comes again. They do not move in
/// step: each comes again in a time of their own.
pub async fn customers(issuer: &str) {
    let mut logins = JoinSet::new();
    for number in 0..LOGINS as u64 {
        let app = app(issuer);
        logins.spawn(async move {
            tokio::time::sleep(Duration::from_millis(number * 4)).await;
            let (browser, person) = (Browser::new(), customer(number));
            let attempt = app.attempt("openid accounts:read");
            let page = browser.open(attempt.url()).await.expect(200);
            let form = page.form("login-submit").with("username", &person.username);
            let form = form.with("password", &person.password);
            let mut page = browser.send(form.clone()).await;
            while [429, 503].contains(&page.status) {
                tokio::time::sleep(Duration::from_millis(1000 + number * 37 % 1000)).await;
                page = browser.send(form.clone()).await;
            }
            if page.has("consent-allow") {
                page = browser.send(page.form("consent-allow")).await;
            }
            app.redeem(&attempt, page.departed().code()).await.expect(200);
        });
    }
    logins.join_all().await;
}
