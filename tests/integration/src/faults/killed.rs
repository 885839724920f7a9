//! `kill -9` in the middle of load, and a new process on the same database.

use std::time::Duration;

use testkit::postgres::Cluster;

use super::ledger::{Ledger, Tally};
use super::load::{Actors, Load};
use super::site::Site;
use super::verdict::{named, verdict};
use super::{now, rounds};
use crate::bank::{ENGINES, Engine};

/// How long the load runs before each kill: the kills shall not fall on one beat.
const LOADS: [u64; 5] = [900, 1270, 740, 1530, 1110];

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn a_killed_server_loses_nothing_that_it_acknowledged() {
    for engine in ENGINES {
        let cluster = (engine == Engine::Postgres).then(Cluster::start_new);
        let site = Site::new(engine, cluster.as_ref(), "");
        let (mut process, _) = site.serve().await;
        let actors = Actors::signed_in(&site).await;
        for round in 0..rounds(2, Duration::from_secs(8)) {
            let ledger = Ledger::default();
            let began = now();
            let load = Load::start(&actors, &ledger);
            tokio::time::sleep(Duration::from_millis(LOADS[round % LOADS.len()])).await;
            let end = now();
            process.kill();
            load.stop().await;
            let (again, ready) = site.serve().await;
            process = again;
            let book = ledger.book().clone();
            let tally = Tally::between(&book, began, end);
            let verdict = verdict(&site, book, Some(end)).await;
            let (name, ready) = (named(engine), ready.as_secs_f64());
            println!("killed, {name}, round {}: {tally}; ready again in {ready:.2} s; {verdict}", round + 1);
            assert!(tally.acknowledged > 20 && tally.unanswered > 0, "there was load: {tally}");
            assert!(tally.refused.is_empty(), "{tally}");
            verdict.assert_clean(name);
        }
    }
}
