//! One suite for both engines. Every test gets two handles to one fresh database, as two nodes have
//! them; on SQLite they are two processes' worth of pools on one file.
#![allow(clippy::cognitive_complexity, reason = "a test reads best as one list of assertions")]

mod declared;
mod facts;
mod fixtures;
mod hot;
mod lanes;
mod lines;
mod logouts;
mod migrations;
mod opening;
mod operating;
mod people;
mod races;
mod rows;
mod sweeping;

use std::time::Duration;

use crate::{Store, StoreOptions};

/// A fresh, migrated database, seen from two nodes.
pub(crate) struct Bench {
    pub(crate) one: Store,
    pub(crate) other: Store,
    /// Removed with the bench; PostgreSQL has none.
    pub(crate) directory: Option<tempfile::TempDir>,
}

pub(crate) fn options(url: String) -> StoreOptions {
    StoreOptions { max_connections: 8, acquire_timeout: Duration::from_secs(60), ..StoreOptions::new(url) }
}

pub(crate) fn sqlite_url() -> (String, tempfile::TempDir) {
    let directory = tempfile::tempdir().unwrap();
    (format!("sqlite:{}", directory.path().join("chancery.db").display()), directory)
}

pub(crate) async fn postgres_url() -> String {
    tokio::task::spawn_blocking(testkit::postgres::fresh_database).await.unwrap()
}

async fn bench(url: String, directory: Option<tempfile::TempDir>) -> Bench {
    let one = Store::open(&options(url.clone())).await.unwrap();
    one.migrate().await.unwrap();
    let other = Store::open(&options(url)).await.unwrap();
    Bench { one, other, directory }
}

pub(crate) async fn on_sqlite() -> Bench {
    let (url, directory) = sqlite_url();
    bench(url, Some(directory)).await
}

pub(crate) async fn on_postgres() -> Bench {
    bench(postgres_url().await, None).await
}

/// Instantiates the named tests for each engine.
macro_rules! suite {
    ($($name:ident),* $(,)?) => {
        mod sqlite {$(
            #[tokio::test(flavor = "multi_thread", worker_threads = 2)]
            async fn $name() { super::$name(crate::tests::on_sqlite().await).await }
        )*}
        mod postgres {$(
            #[tokio::test(flavor = "multi_thread", worker_threads = 2)]
            async fn $name() { super::$name(crate::tests::on_postgres().await).await }
        )*}
    };
}

/// One transaction that commits.
macro_rules! commit {
    ($store:expr, $tx:ident => $body:expr) => {{
        let mut $tx = $store.begin().await.unwrap();
        let done = $body.await.unwrap();
        $tx.commit().await.unwrap();
        done
    }};
}

pub(crate) use {commit, suite};
