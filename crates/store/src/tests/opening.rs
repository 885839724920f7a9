//! Opening, migrating, transactions and errors.

use std::collections::BTreeSet;

use sqlx::{Executor, SqlSafeStr};

use super::{Bench, commit, fixtures::*, on_postgres, on_sqlite, options, postgres_url, sqlite_url, suite};
use crate::{
    SchemaState, Store, StoreError, StoreOptions,
    engine::{on_store, on_tx},
    sql,
};

suite!(
    every_statement_is_understood,
    a_later_release_may_have_migrated,
    a_dropped_transaction_leaves_nothing,
    a_damaged_row_is_named,
    constraints_are_conflicts,
);

async fn every_statement_is_understood(bench: Bench) {
    let mut seen = BTreeSet::new();
    for (name, text) in sql::PORTABLE.iter().copied().flatten().copied() {
        assert!(seen.insert(text), "{name} stands twice");
        let prepared = on_store!(&bench.one, pool => pool.prepare(text.into_sql_str()).await.map(drop));
        assert!(prepared.is_ok(), "{name}: {prepared:?}");
    }
    assert!(seen.len() > 50);
    let own = match &bench.one {
        Store::Postgres(..) => sql::hot::postgres::ALL,
        Store::Sqlite(_) => sql::hot::sqlite::ALL,
    };
    for (name, text) in own.iter().copied() {
        let prepared = on_store!(&bench.one, db => db.prepare(text.into_sql_str()).await.map(drop));
        assert!(prepared.is_ok(), "{name}: {prepared:?}");
    }
}

async fn schema(url: String) {
    let store = Store::open(&options(url)).await.unwrap();
    let missing = vec!["0001 initial".to_owned(), "0002 provider".to_owned()];
    assert_eq!(store.schema_state().await.unwrap(), SchemaState::Behind { missing });
    store.ping().await.unwrap();
    store.migrate().await.unwrap();
    assert_eq!(store.schema_state().await.unwrap(), SchemaState::Current);
    store.migrate().await.unwrap();
    store.close().await;
    assert!(store.ping().await.is_err());
}

#[tokio::test]
async fn sqlite_begins_without_a_schema() {
    let (url, _directory) = sqlite_url();
    schema(url).await;
}

#[tokio::test]
async fn postgres_begins_without_a_schema() {
    schema(postgres_url().await).await;
}

#[tokio::test]
async fn nodes_may_migrate_at_once() {
    let url = postgres_url().await;
    let (one, other) = (options(url.clone()), options(url));
    let (one, other) = (Store::open(&one).await.unwrap(), Store::open(&other).await.unwrap());
    let (first, second) = tokio::join!(one.migrate(), other.migrate());
    assert!(first.is_ok() && second.is_ok(), "{first:?} {second:?}");
}

async fn a_later_release_may_have_migrated(bench: Bench) {
    let text = "INSERT INTO _sqlx_migrations (version, description, success, checksum, execution_time)
        VALUES (99990101000000, 'later', TRUE, $1, 0)";
    commit!(bench.one, tx => async { on_tx!(&mut tx, db => sqlx::query(text).bind(&[0_u8][..]).execute(db).await.map(drop)) });
    let unknown = vec![99_990_101_000_000];
    assert_eq!(bench.other.schema_state().await.unwrap(), SchemaState::Ahead { unknown });
    bench.other.migrate().await.unwrap();
}

async fn a_dropped_transaction_leaves_nothing(bench: Bench) {
    let mut tx = bench.one.begin().await.unwrap();
    tx.put_client(&client()).await.unwrap();
    drop(tx);
    assert_eq!(bench.one.clients().await.unwrap(), vec![]);
    assert_eq!(bench.other.changes().await.unwrap().clients, 0);
    commit!(bench.one, tx => tx.put_client(&client()));
    assert_eq!(bench.other.clients().await.unwrap(), vec![client()]);
}

async fn a_damaged_row_is_named(bench: Bench) {
    connected(&bench).await;
    let text = "UPDATE grants SET acr = 'urn:nobody:knows'";
    commit!(bench.one, tx => async { on_tx!(&mut tx, db => sqlx::query(text).execute(db).await.map(drop)) });
    let fault = bench.one.grant_line(grant().id).await.unwrap_err();
    let StoreError::Corrupt { table: "grants", key, why } = &fault else { panic!("{fault:?}") };
    assert_eq!(*key, grant().id.to_string());
    assert!(why.contains("acr"), "{why}");
}

async fn constraints_are_conflicts(bench: Bench) {
    connected(&bench).await;
    let mut tx = bench.one.begin().await.unwrap();
    let twin = tx.put_user(&user(protocol::UserId(uuid::Uuid::from_u128(2)), "alice")).await.unwrap_err();
    assert!(
        matches!(&twin, StoreError::Conflict { constraint } if constraint.contains("username")),
        "{twin:?}"
    );
    drop(tx);
    let mut tx = bench.one.begin().await.unwrap();
    let orphan = tokens::grant::GrantRecord {
        consent: consent(99).id,
        id: protocol::GrantId(uuid::Uuid::nil()),
        ..grant()
    };
    let fault = tx.insert_grant(&orphan).await.unwrap_err();
    assert!(matches!(fault, StoreError::Conflict { .. }), "{fault:?}");
}

#[tokio::test]
async fn urls_of_no_engine_are_refused_and_not_repeated() {
    for url in ["mysql://u:hunter2@h/d", "postgres:hunter2", "sqlite::memory:", "sqlite://x?mode=memory", ""]
    {
        let options = StoreOptions::new(url);
        let fault = Store::open(&options).await.unwrap_err();
        assert!(matches!(fault, StoreError::Url(_)), "{url}: {fault:?}");
        assert!(!format!("{fault} {fault:?} {options:?}").contains("hunter2"));
    }
}

#[cfg(unix)]
#[tokio::test]
async fn an_sqlite_file_is_its_owners() {
    use std::os::unix::fs::PermissionsExt;
    let bench = on_sqlite().await;
    commit!(bench.one, tx => tx.put_client(&client()));
    let directory = bench.directory.as_ref().unwrap().path();
    let mut files = 0;
    for file in std::fs::read_dir(directory).unwrap() {
        let file = file.unwrap();
        assert_eq!(file.metadata().unwrap().permissions().mode() & 0o777, 0o600, "{file:?}");
        files += 1;
    }
    assert_eq!(files, 3, "the database, its log and the log's index");
}

#[tokio::test]
async fn sqlite_readers_cannot_write() {
    let bench = on_sqlite().await;
    let text = "INSERT INTO roles (name, description) VALUES ('a', 'b')";
    let written = on_store!(&bench.one, pool => sqlx::query(text).execute(pool).await.map(drop));
    // On this engine the reading side of the store is separate.
    assert!(written.is_err());
}

#[tokio::test]
async fn postgres_tells_other_nodes_of_changes() {
    let bench = on_postgres().await;
    let mut listener = bench.other.listen().await.unwrap().unwrap();
    let mut tx = bench.one.begin().await.unwrap();
    tx.put_client(&client()).await.unwrap();
    tx.commit().await.unwrap();
    listener.changed().await.unwrap();
    assert_eq!(bench.other.changes().await.unwrap().clients, 1);
}

#[tokio::test]
async fn sqlite_tells_nobody() {
    assert!(on_sqlite().await.one.listen().await.unwrap().is_none());
}
