//! Two processes on one PostgreSQL: what may happen once happens once, whichever of them is asked.

use std::sync::Arc;
use std::time::Duration;

use testkit::postgres::Cluster;
use testkit::{Answer, Browser, Person, RelyingParty};
use tokio::sync::Barrier;
use tokio::task::JoinSet;

use super::ledger::{Ledger, Tally};
use super::load::{Actors, CONSENTING, LASTING, Load};
use super::site::{CUSTOMERS, Site, customer};
use super::verdict::verdict;
use super::{now, rounds};
use crate::bank::Engine;

/// Pairs presented at the same time, each of a customer whom the load leaves alone.
const SIDE_BY_SIDE: usize = CUSTOMERS - CONSENTING;

/// How the presentations of one value on both nodes ended.
#[derive(Debug, Default)]
struct Races {
    pairs: usize,
    won_here: usize,
    won_there: usize,
    none: usize,
    doubled: usize,
}

impl Races {
    fn add(&mut self, here: &Answer, there: &Answer) {
        self.pairs += 1;
        match (here.status, there.status) {
            (200, 400) => self.won_here += 1,
            (400, 200) => self.won_there += 1,
            (200, 200) => self.doubled += 1,
            (400, 400) => self.none += 1,
            other => panic!("{other:?}: {} {}", here.text, there.text),
        }
    }

    fn assert_once(&self, what: &str) {
        println!("two nodes, {what}: {self:?}");
        assert_eq!((self.doubled, self.none), (0, 0), "{what}: one wins, and only one: {self:?}");
    }
}

/// Lets two requests go at the same moment.
async fn at_once<F: Future<Output = Answer> + Send + 'static>(here: F, there: F) -> (Answer, Answer) {
    let barrier = Arc::new(Barrier::new(2));
    let [here, there] = [here, there].map(|request| {
        let barrier = barrier.clone();
        tokio::spawn(async move {
            barrier.wait().await;
            request.await
        })
    });
    (here.await.unwrap(), there.await.unwrap())
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn bcp_19_single_use_holds_across_two_processes() {
    let cluster = Cluster::start_new();
    let site = Site::new(Engine::Postgres, Some(&cluster), "");
    let (_one, _) = site.serve().await;
    let (_two, address) = site.serve_beside().await;
    // Everything else goes on meanwhile.
    let actors = Actors::signed_in(&site).await.also_at(&address);
    let ledger = Ledger::default();
    let began = now();
    let load = Load::start(&actors, &ledger);
    let pairs = 32 * rounds(1, Duration::from_secs(10));
    let mut running = JoinSet::new();
    for number in CONSENTING..CUSTOMERS {
        let here = site.native_app();
        let mut there = here.clone();
        there.issuer = address.parse().unwrap();
        running.spawn(races(here, there, customer(number), pairs / SIDE_BY_SIDE));
    }
    let (mut codes, mut rotations) = (Races::default(), Races::default());
    for (some, others) in running.join_all().await {
        for (races, more) in [(&mut codes, some), (&mut rotations, others)] {
            races.pairs += more.pairs;
            races.won_here += more.won_here;
            races.won_there += more.won_there;
            races.none += more.none;
            races.doubled += more.doubled;
        }
    }
    load.stop().await;
    let book = ledger.book().clone();
    let tally = Tally::between(&book, began, now());
    codes.assert_once("codes");
    rotations.assert_once("rotating refresh tokens");
    println!("two nodes, beside it: {tally}");
    assert_eq!(tally.acknowledged, tally.sent, "{tally}");
    verdict(&site, book, None).await.assert_clean("two nodes");
}

/// One customer's pairs: a code on both nodes at once; then the refresh token of another code. Which node is
/// asked first takes turns.
async fn races(here: RelyingParty, there: RelyingParty, mut person: Person, pairs: usize) -> (Races, Races) {
    let (mut codes, mut rotations) = (Races::default(), Races::default());
    let browser = Browser::new();
    for number in 0..pairs {
        let attempt = here.attempt(LASTING).with("prompt", "consent");
        let departure = person.connect(&browser, attempt.url(), testkit::totp::machine_time()).await;
        let code = departure.code().to_owned();
        let redeem = |app: &RelyingParty| {
            let (app, attempt, code) = (app.clone(), attempt.clone(), code.clone());
            async move { app.redeem(&attempt, &code).await }
        };
        let (a, b) = in_turns(number, &here, &there, redeem).await;
        codes.add(&a, &b);

        let attempt = here.attempt(LASTING).with("prompt", "consent");
        let departure = person.connect(&browser, attempt.url(), testkit::totp::machine_time()).await;
        let tokens = here.redeem(&attempt, departure.code()).await.expect(200);
        let token = tokens.str("refresh_token").to_owned();
        let refresh = |app: &RelyingParty| {
            let (app, token) = (app.clone(), token.clone());
            async move { app.refresh(&token).await }
        };
        let (a, b) = in_turns(number, &here, &there, refresh).await;
        rotations.add(&a, &b);
    }
    (codes, rotations)
}

/// The answers of both nodes, whichever was spawned first.
async fn in_turns<F: Future<Output = Answer> + Send + 'static>(
    number: usize,
    here: &RelyingParty,
    there: &RelyingParty,
    request: impl Fn(&RelyingParty) -> F,
) -> (Answer, Answer) {
    if number.is_multiple_of(2) {
        at_once(request(here), request(there)).await
    } else {
        let (b, a) = at_once(request(there), request(here)).await;
        (a, b)
    }
}
