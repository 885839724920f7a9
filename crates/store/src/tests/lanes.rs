//! Connections that end, and requests that are given up.

use std::time::Duration;

use tokio::{
    task::JoinSet,
    time::{sleep, timeout},
};

use super::{Bench, commit, fixtures::*, on_postgres, suite};
use crate::engine::{on_store, on_tx};

suite!(what_is_given_up_is_taken_back, a_transaction_given_up_holds_no_lock);

const END_OTHERS: &str = "SELECT count(pg_terminate_backend(pid)) FROM pg_stat_activity
    WHERE datname = current_database() AND pid <> pg_backend_pid()";

async fn end_connections(bench: &Bench) {
    let ended = on_store!(&bench.other, db => sqlx::query_scalar::<_, i64>(END_OTHERS).fetch_one(db).await);
    assert!(ended.unwrap() > 0);
}

/// As after a restart: every connection is dead, and nobody was told.
#[tokio::test]
async fn postgres_ends_connections_and_readers_do_not_notice() {
    let bench = on_postgres().await;
    for _ in 0..3 {
        let mut many = JoinSet::new();
        for _ in 0..8 {
            let store = bench.one.clone();
            many.spawn(async move { store.ping().await });
        }
        assert!(many.join_all().await.iter().all(Result::is_ok));
        end_connections(&bench).await;
        bench.one.ping().await.unwrap();
        assert_eq!(bench.one.clients().await.unwrap(), vec![]);
    }
    end_connections(&bench).await;
    commit!(bench.one, tx => tx.put_client(&client()));
}

/// Of a write nobody knows what became of it, so it is not run again; the next one is carried out.
#[tokio::test]
async fn postgres_ends_connections_and_a_write_fails_once() {
    let bench = on_postgres().await;
    bench.one.ping().await.unwrap();
    end_connections(&bench).await;
    let mark = async || bench.one.mark_once(&mark("assertion", "jti", at(60))).await;
    assert!(mark().await.is_err());
    assert_eq!(mark().await.unwrap(), 1);
    assert_eq!(mark().await.unwrap(), 0);
}

/// A browser that goes away ends the request at any point of its work.
async fn what_is_given_up_is_taken_back(bench: Bench) {
    commit!(bench.one, tx => tx.put_client(&client()));
    for microseconds in (0..4000).step_by(40) {
        let work = async {
            bench.one.clients().await.unwrap();
            commit!(bench.one, tx => tx.put_client(&client()));
        };
        drop(timeout(Duration::from_micros(microseconds), work).await);
    }
    assert_eq!(bench.one.clients().await.unwrap(), vec![client()]);
    commit!(bench.one, tx => tx.put_client(&client()));
    for _ in 0..100 {
        if bench.one.pools().iter().all(|pool| pool.in_use == 0) {
            return;
        }
        sleep(Duration::from_millis(20)).await;
    }
    panic!("{:?}", bench.one.pools());
}

async fn a_transaction_given_up_holds_no_lock(bench: Bench) {
    commit!(bench.one, tx => tx.put_client(&client()));
    let mut tx = bench.one.begin().await.unwrap();
    on_tx!(&mut tx, db => sqlx::query("UPDATE clients SET disabled = TRUE").execute(db).await.map(drop))
        .unwrap();
    drop(tx);
    commit!(bench.other, tx => tx.put_client(&client()));
    assert_eq!(bench.one.clients().await.unwrap(), vec![client()]);
}
