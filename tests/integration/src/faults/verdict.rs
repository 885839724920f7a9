//! The reckoning: everything that was told is asked for again.

use std::fmt;
use std::future::Future;
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

use testkit::RelyingParty;
use tokio::task::JoinSet;

use super::evidence::{assert_whole, audited};
use super::ledger::{Ask, Book, Code, Family, Stage};
use super::site::Site;
use crate::bank::Engine;

/// How far the audit of tokens that leave no row may be behind: 100 ms, and what a debug build adds that shares
/// few cores with other tests. The figure is printed.
const BEHIND: Duration = Duration::from_millis(750);
const SIDE_BY_SIDE: usize = 6;

/// What came out.
#[derive(Clone, Debug, Default)]
pub struct Verdict {
    /// Acknowledged and not there.
    pub lost: Vec<String>,
    /// Used twice.
    pub doubled: Vec<String>,
    /// Access tokens that live.
    pub tokens: usize,
    /// Families whose last token worked, once.
    pub families: usize,
    /// Spent values that were presented again and refused.
    pub replays: usize,
    /// What was presented without an answer, and turned out to be spent.
    pub unsure_spent: usize,
    /// And what turned out not to be.
    pub unsure_unspent: usize,
    /// Codes in hand that still worked; they may be lost, because that fails closed.
    pub kept_codes: (usize, usize),
    /// Events of stateless tokens that were issued just before the end and are not in the trail.
    pub unaudited: usize,
    /// And how long before the end the oldest of these was issued.
    pub unaudited_for: Duration,
}

impl fmt::Display for Verdict {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let (kept, had) = self.kept_codes;
        write!(
            f,
            "lost {}, doubled {}; alive: {} access tokens, {} families, {kept} of {had} unspent codes; replays refused {}; \
             unanswered requests: {} done, {} not; stateless events lost {} (of the last {} ms)",
            self.lost.len(),
            self.doubled.len(),
            self.tokens,
            self.families,
            self.replays,
            self.unsure_spent,
            self.unsure_unspent,
            self.unaudited,
            self.unaudited_for.as_millis()
        )
    }
}

impl Verdict {
    fn lost(&mut self, what: impl fmt::Display) {
        self.lost.push(what.to_string());
    }

    fn add(&mut self, other: Self) {
        self.lost.extend(other.lost);
        self.doubled.extend(other.doubled);
        self.tokens += other.tokens;
        self.families += other.families;
        self.replays += other.replays;
        self.unsure_spent += other.unsure_spent;
        self.unsure_unspent += other.unsure_unspent;
        self.kept_codes.0 += other.kept_codes.0;
        self.kept_codes.1 += other.kept_codes.1;
    }

    /// Nothing is lost and nothing doubled.
    pub fn assert_clean(&self, what: &str) {
        assert!(self.lost.is_empty(), "{what}: lost {:#?}", self.lost);
        assert!(self.doubled.is_empty(), "{what}: doubled {:#?}", self.doubled);
    }
}

/// Asks for everything in the book. `crashed` is when the server was killed; without it, it lives, and its
/// audit trail must be complete.
pub async fn verdict(site: &Site, book: Book, crashed: Option<Instant>) -> Verdict {
    let mut verdict = Verdict::default();
    audit(site, &book, crashed, &mut verdict).await;
    let apis = site.apis();
    // First who is alive: the replays that follow end families.
    let alive = in_parallel(book.tokens, move |token| {
        let api = apis[usize::from(token.jti.is_none())].clone();
        async move {
            let mut found = Verdict::default();
            if api.is_active(&token.value).await {
                found.tokens = 1;
            } else {
                found.lost(format_args!("an access token of {:?}", token.ask));
            }
            found
        }
    });
    alive.await.into_iter().for_each(|found| verdict.add(found));
    let app = site.native_app();
    let families = in_parallel(book.families, move |family| {
        let app = app.clone();
        async move { of_family(&app, family).await }
    });
    families.await.into_iter().for_each(|found| verdict.add(found));
    let codes = in_parallel(book.codes, |code| async move { of_code(code).await });
    codes.await.into_iter().for_each(|found| verdict.add(found));
    verdict.lost.extend(book.odd);
    assert_whole(&site.database);
    verdict
}

/// The last token works once; then it, and those before it, never again.
async fn of_family(app: &RelyingParty, family: Family) -> Verdict {
    let mut found = Verdict::default();
    let last = family.chain.last().expect("a family has a token");
    let answer = app.refresh(last).await;
    match (answer.status, family.unsure) {
        (200, false) => found.families += 1,
        (200, true) => found.unsure_unspent += 1,
        (400, true) => found.unsure_spent += 1,
        (status, _) => found.lost(format_args!("a refresh token: {status} {}", answer.text)),
    }
    // The oldest first: its replay ends the family, so the others can prove nothing after it.
    for spent in [&family.chain[0], last] {
        match app.refresh(spent).await.status {
            400 => found.replays += 1,
            status => found.doubled.push(format!("a spent refresh token: {status}")),
        }
    }
    found
}

async fn of_code(code: Code) -> Verdict {
    let mut found = Verdict::default();
    let status = code.app.redeem(&code.attempt, &code.code).await.status;
    match (code.stage, status) {
        (Stage::Redeemed, 400) => found.replays += 1,
        (Stage::InHand, 200) => found.kept_codes = (1, 1),
        (Stage::InHand, 400) => found.kept_codes = (0, 1),
        (Stage::Unsure, 200) => found.unsure_unspent += 1,
        (Stage::Unsure, 400) => found.unsure_spent += 1,
        (stage, status) => found.doubled.push(format!("a code ({stage:?}): {status}")),
    }
    match code.app.redeem(&code.attempt, &code.code).await.status {
        400 => found.replays += 1,
        status => found.doubled.push(format!("a spent code: {status}")),
    }
    found
}

/// Every acknowledged token has its event; of the last moment before a crash, those that leave a row.
async fn audit(site: &Site, book: &Book, crashed: Option<Instant>, verdict: &mut Verdict) {
    if crashed.is_none() {
        // A server that lives writes what it has gathered.
        tokio::time::sleep(Duration::from_secs(1)).await;
    }
    let known = audited(&site.database);
    for token in &book.tokens {
        let Some(jti) = token.jti.as_ref().filter(|jti| !known.contains(*jti)) else { continue };
        let before = crashed.map(|end| end.saturating_duration_since(token.at));
        match before {
            Some(before) if token.ask == Ask::Own && before < BEHIND => {
                verdict.unaudited += 1;
                verdict.unaudited_for = verdict.unaudited_for.max(before);
            }
            _ => verdict
                .lost(format_args!("the event of {jti} ({:?}), issued {before:?} before the end", token.ask)),
        }
    }
}

/// Runs these a few at a time.
async fn in_parallel<I, T, F>(items: Vec<I>, task: impl Fn(I) -> F + Send + Sync + 'static) -> Vec<T>
where
    I: Send + 'static,
    T: Send + 'static,
    F: Future<Output = T> + Send + 'static,
{
    let (queue, task) = (Arc::new(Mutex::new(items.into_iter())), Arc::new(task));
    let mut running = JoinSet::new();
    for _ in 0..SIDE_BY_SIDE {
        let (queue, task) = (queue.clone(), task.clone());
        running.spawn(async move {
            let mut done = Vec::new();
            loop {
                let Some(item) = queue.lock().unwrap().next() else { return done };
                done.push(task(item).await);
            }
        });
    }
    running.join_all().await.into_iter().flatten().collect()
}

/// The engine's name in a line of figures.
pub fn named(engine: Engine) -> &'static str {
    match engine {
        Engine::Sqlite => "SQLite",
        Engine::Postgres => "PostgreSQL",
    }
}
