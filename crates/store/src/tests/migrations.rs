//! Rows survive migrations, and the previous release survives them too.
//!
//! For every schema version there is a fixture, `fixtures/schema-000N.sql`, with rows of every table as
//! a server of that time wrote them. Each is put into a database of that version, the later migrations
//! are run, and then this release must read every row. The other rules are of the text: a released
//! migration never changes, a new one only expands, and one that contracts says after what.
//!
//! Fixtures are in PostgreSQL's dialect, with typed constants (`uuid '…'`, `bytea '\x…'`) where SQLite
//! wants a blob; that is all that differs.

use std::{borrow::Cow, collections::BTreeMap, fs, path::Path};

use jose::digest::sha256;
use sqlx::{AssertSqlSafe, SqlSafeStr, migrate::Migrator};

use super::{Bench, commit, on_postgres, on_sqlite, options, postgres_url, sqlite_url};
use crate::{
    SchemaState, Store,
    engine::{on_store, on_tx},
    schema::{MIGRATIONS, contracted_after},
    sql::backup::TABLES,
};

const ROOT: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/../../migrations");
const FIXTURES: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/fixtures");

/// An empty database of each engine; the directory of the first one goes with it.
async fn databases() -> Vec<(Store, Option<tempfile::TempDir>)> {
    let (sqlite, directory) = sqlite_url();
    let mut opened = Vec::new();
    for (url, directory) in [(sqlite, Some(directory)), (postgres_url().await, None)] {
        opened.push((Store::open(&options(url)).await.unwrap(), directory));
    }
    opened
}

fn only(keep: impl Fn(i64) -> bool) -> Migrator {
    let migrations: Vec<_> = MIGRATIONS.iter().filter(|known| keep(known.version)).cloned().collect();
    Migrator { migrations: Cow::Owned(migrations), ignore_missing: true, ..Migrator::DEFAULT }
}

async fn run(migrator: &Migrator, store: &Store) {
    match store {
        Store::Postgres(pool, _) => migrator.run(pool).await.unwrap(),
        Store::Sqlite(pools) => migrator.run(&pools.writer).await.unwrap(),
    }
}

/// A fixture in the words of an engine.
fn fixture(version: i64, store: &Store) -> Option<String> {
    let text = fs::read_to_string(format!("{FIXTURES}/schema-{version:04}.sql")).ok()?;
    Some(match store {
        Store::Postgres(..) => text,
        Store::Sqlite(_) => text.replace("uuid '", "x'").replace(r"bytea '\x", "x'"),
    })
}

async fn execute(store: &Store, text: String) {
    commit!(store, tx => async {
        on_tx!(&mut tx, db => sqlx::raw_sql(AssertSqlSafe(text).into_sql_str()).execute(db).await.map(drop))
    });
}

/// The rows of every table that there is, whatever this release knows.
async fn counts(store: &Store) -> BTreeMap<String, i64> {
    let mut counts = BTreeMap::new();
    for table in store.tables().await.unwrap() {
        if table == "_sqlx_migrations" {
            continue;
        }
        let sql = AssertSqlSafe(format!("SELECT count(*) FROM {table}")).into_sql_str();
        let rows = on_store!(store, db => sqlx::query_scalar::<_, i64>(sql.clone()).fetch_one(db).await);
        counts.insert(table, rows.unwrap());
    }
    counts
}

/// A database of that version with its fixture in it.
async fn seeded(store: &Store, version: i64) -> BTreeMap<String, i64> {
    run(&only(|known| known <= version), store).await;
    execute(store, fixture(version, store).unwrap()).await;
    let before = counts(store).await;
    for (table, rows) in &before {
        assert!(*rows > 0, "fixtures/schema-{version:04}.sql has no row of {table}");
    }
    before
}

fn released() -> BTreeMap<String, String> {
    let text = fs::read_to_string(format!("{ROOT}/released.toml")).unwrap();
    let table: BTreeMap<String, BTreeMap<String, String>> = toml::from_str(&text).unwrap();
    table["sha256"].clone()
}

fn files() -> Vec<(String, String)> {
    let mut files: Vec<_> = fs::read_dir(ROOT)
        .unwrap()
        .map(|entry| entry.unwrap().path())
        .filter(|path| path.extension().is_some_and(|extension| extension == "sql"))
        .map(|path| {
            let name = path.file_name().unwrap().to_str().unwrap().to_owned();
            (name, fs::read_to_string(path).unwrap())
        })
        .collect();
    files.sort();
    files
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_rows_of_every_former_schema_are_read() {
    for version in MIGRATIONS.iter().map(|known| known.version) {
        for (store, _directory) in databases().await {
            if fixture(version, &store).is_none() {
                continue;
            }
            let before = seeded(&store, version).await;
            run(&MIGRATIONS, &store).await;
            assert_eq!(store.schema_state().await.unwrap(), SchemaState::Current);
            let after = counts(&store).await;
            for (table, rows) in &before {
                assert!(after.get(table).is_none_or(|kept| kept == rows), "{table}: {rows} -> {after:?}");
            }
            let read = store.read_everything(&|_| ()).await.unwrap();
            let expected: i64 = after
                .iter()
                // Counted with their users, or never read one by one.
                .filter(|(table, _)| {
                    !["changes", "totp_credentials", "recovery_codes", "replay_marks"]
                        .contains(&table.as_str())
                })
                .map(|(_, rows)| rows)
                .sum();
            assert_eq!(read, u64::try_from(expected).unwrap(), "every row is read once");
        }
    }
}

#[test]
fn every_schema_that_was_left_behind_has_a_fixture() {
    let versions: Vec<i64> = MIGRATIONS.iter().map(|known| known.version).collect();
    let (_, former) = versions.split_last().unwrap();
    // The first schema has one from the beginning.
    for version in former.iter().chain(&versions[..1]) {
        assert!(
            Path::new(&format!("{FIXTURES}/schema-{version:04}.sql")).exists(),
            "migration {version:04} has a successor: make crates/store/fixtures/schema-{version:04}.sql first, with scripts/schema_fixture.py"
        );
    }
}

#[test]
fn released_migrations_never_change() {
    let (released, files) = (released(), files());
    for (name, text) in &files {
        let digest: String = sha256(text).as_bytes().iter().map(|byte| format!("{byte:02x}")).collect();
        match released.get(name) {
            Some(known) => assert_eq!(*known, digest, "{name} was released; write another migration instead"),
            None => assert!(
                released.keys().all(|known| known < name),
                "{name} is not in released.toml, but a later one is"
            ),
        }
    }
    for name in released.keys() {
        assert!(files.iter().any(|(file, _)| file == name), "{name} was released and is gone");
    }
}

#[test]
fn migrations_expand_or_say_what_they_come_after() {
    let files = files();
    for (name, text) in &files[1..] {
        let (version, description) = name.trim_end_matches(".sql").split_once('_').unwrap();
        let version: i64 = version.parse().unwrap();
        let after = contracted_after(&description.replace('_', " "));
        if let Some(after) = after {
            assert!(after < version && MIGRATIONS.version_exists(after), "{name} comes after no migration");
            continue;
        }
        assert_eq!(contractions(text), Vec::<String>::new(), "{name} breaks the previous release");
    }
}

/// What a migration does that the previous release does not survive while it still runs. New tables may
/// be as they like; what is there may only grow, by columns that nobody has to fill in.
fn contractions(text: &str) -> Vec<String> {
    let code: Vec<&str> = text.lines().map(|line| line.split("--").next().unwrap_or_default()).collect();
    let code = code.join(" ");
    let mut made: Vec<String> = Vec::new();
    let mut found = Vec::new();
    for statement in code.split(';') {
        let words: Vec<String> = statement.split_whitespace().map(str::to_uppercase).collect();
        let line = words.join(" ");
        let has = |phrase: &str| format!(" {line} ").contains(&format!(" {phrase} "));
        let about = |table: &String| has(&format!("ON {table}")) || has(&format!("TABLE {table}"));
        match words.first().map(String::as_str) {
            None => {}
            Some("CREATE") if words[1] == "TABLE" => made.push(words[2].trim_end_matches('(').to_owned()),
            Some("CREATE") if words[1] == "INDEX" => {}
            Some("CREATE") if has("UNIQUE INDEX") && made.iter().any(about) => {}
            Some("INSERT" | "UPDATE") => {}
            Some("ALTER") if has("ADD COLUMN") && (!has("NOT NULL") || has("DEFAULT")) && !has("UNIQUE") => {}
            _ => found.push(line),
        }
    }
    found
}

#[test]
fn what_contracts_is_recognized() {
    for fine in [
        "CREATE TABLE a (id UUID NOT NULL PRIMARY KEY);\nCREATE UNIQUE INDEX a_once ON a (id);",
        "ALTER TABLE users ADD COLUMN email TEXT; -- DROP nothing",
        "ALTER TABLE users ADD COLUMN n BIGINT NOT NULL DEFAULT 0;\nUPDATE users SET n = 1;",
        "CREATE INDEX users_by_age ON users (created_at);",
    ] {
        assert_eq!(contractions(fine), Vec::<String>::new());
    }
    for breaks in [
        "ALTER TABLE users DROP COLUMN claims;",
        "ALTER TABLE users RENAME COLUMN claims TO facts;",
        "alter table users rename to people",
        "DROP TABLE roles;",
        "DROP INDEX users_by_age;",
        "ALTER TABLE users ADD COLUMN email TEXT NOT NULL;",
        "ALTER TABLE users ADD COLUMN email TEXT UNIQUE;",
        "CREATE UNIQUE INDEX one_session ON sessions (user_id);",
        "DELETE FROM consents;",
        "CREATE TRIGGER t AFTER INSERT ON users BEGIN SELECT 1; END",
    ] {
        assert!(!contractions(breaks).is_empty(), "{breaks}");
    }
}

/// The tests above must be able to fail: migrations that lose a column, or write what nobody reads.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_bad_migration_is_found_by_reading() {
    for (bad, table) in [
        ("ALTER TABLE resource_servers DROP COLUMN definition;", "definition"),
        ("UPDATE users SET roles = '{\"admin\": true}';", "users"),
        ("UPDATE signing_keys SET algorithm = 'ES512-new';", "signing_keys"),
        ("UPDATE interactions SET purpose = '{}';", "interactions"),
    ] {
        let directory = tempfile::tempdir().unwrap();
        fs::write(directory.path().join("9001_bad.sql"), bad).unwrap();
        let mut migrator = Migrator::new(directory.path()).await.unwrap();
        migrator.set_ignore_missing(true);
        for (store, _directory) in databases().await {
            seeded(&store, 1).await;
            run(&MIGRATIONS, &store).await;
            run(&migrator, &store).await;
            let fault = store.read_everything(&|_| ()).await.unwrap_err().to_string();
            assert!(fault.contains(table), "{bad}: {fault}");
        }
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_schema_that_lost_what_this_release_uses_is_known_by_its_name() {
    for bench in [on_sqlite().await, on_postgres().await] {
        let Bench { one, .. } = bench;
        let applied = async |version: i64, description: &str| {
            let text =
                "INSERT INTO _sqlx_migrations (version, description, success, checksum, execution_time)
                VALUES ($1, $2, TRUE, $3, 0)";
            commit!(one, tx => async {
                on_tx!(&mut tx, db => {
                    let row = sqlx::query(text).bind(version).bind(description).bind(&[0_u8][..]);
                    row.execute(db).await.map(drop)
                })
            });
        };
        // It takes away what nobody needs who knows the first migration.
        applied(9002, "contract after 0001 drop an old column").await;
        assert!(matches!(one.schema_state().await.unwrap(), SchemaState::Ahead { .. }));
        applied(9003, "contract after 9001 drop a newer one").await;
        let by = vec!["9003 contract after 9001 drop a newer one".to_owned()];
        assert_eq!(one.schema_state().await.unwrap(), SchemaState::Contracted { by });
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn every_table_of_the_schema_is_counted() {
    for bench in [on_sqlite().await, on_postgres().await] {
        let known: Vec<&str> = TABLES.iter().map(|(table, _)| *table).collect();
        let counted: Vec<String> = counts(&bench.one).await.into_keys().collect();
        assert_eq!(counted, {
            let mut known = known.clone();
            known.sort_unstable();
            known
        });
    }
}
