//! The two engines: opening, transactions, and the macros that run one body on either.
//!
//! PostgreSQL has one set of connections ([`Lanes`]). SQLite has two: readers, and the one connection
//! that writes. Write-ahead logging lets the readers go on meanwhile, and with one writer in the process
//! and `BEGIN IMMEDIATE` no transaction can read first and then find that it may not write.
//!
//! Beside them stands a small pool of sqlx for what is not a request: migrations, the listener, backups.

use std::{
    ops::{Deref, DerefMut},
    path::Path,
    str::FromStr,
    time::Duration,
};

use sqlx::{
    PgPool, Postgres, Sqlite, SqlitePool,
    postgres::{PgConnectOptions, PgPoolOptions},
    sqlite::{SqliteConnectOptions, SqliteJournalMode, SqlitePoolOptions, SqliteSynchronous},
};

use crate::{
    error::{Result, StoreError},
    lanes::{Engine, Lanes, Lease, is_broken, is_dead},
    sql,
};

/// Statements that a connection keeps prepared: more than there are.
const PREPARED: usize = 256;
/// Connections beside those of requests, made when they are needed.
const ASIDE: u32 = 3;
/// How long to wait before a database that does not answer at the start is tried again.
const RETRY: Duration = Duration::from_millis(100);

/// How to reach the database.
#[derive(Clone)]
pub struct StoreOptions {
    /// `postgres://…` or `sqlite:path`. May hold a password, so `Debug` does not show it.
    pub url: String,
    /// The most connections that this process holds; on SQLite, readers.
    pub max_connections: u32,
    /// How long a request waits for a free connection before it is refused.
    pub acquire_timeout: Duration,
    /// How long the answer to one statement may take before the request is refused.
    pub answer_timeout: Duration,
}

impl StoreOptions {
    /// The defaults: sixteen connections, five seconds to wait for anything.
    pub fn new(url: impl Into<String>) -> Self {
        Self {
            url: url.into(),
            max_connections: 16,
            acquire_timeout: Duration::from_secs(5),
            answer_timeout: Duration::from_secs(5),
        }
    }

    /// The same for work on everything there is, whose statements may take as long as they take.
    #[must_use]
    pub fn unhurried(self) -> Self {
        Self { answer_timeout: Duration::from_secs(24 * 60 * 60), ..self }
    }
}

impl std::fmt::Debug for StoreOptions {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let engine = self.url.split(':').next().unwrap_or_default();
        write!(f, "StoreOptions({engine}, {} connections)", self.max_connections)
    }
}

/// The database of one issuer. Its methods read, or change one thing in one statement; whatever else
/// changes is a method of [`Tx`]. Cloning gives another handle to the same connections.
///
/// Each takes a connection of its own. Use them before a transaction is begun, never while one is
/// open in the same task, or enough such tasks starve each other.
#[derive(Clone, Debug)]
pub enum Store {
    /// PostgreSQL, for any number of nodes. The pool is for what is not a request.
    Postgres(PgPool, Lanes<Postgres>),
    /// SQLite, for one.
    Sqlite(SqlitePools),
}

/// The connections to an SQLite file. The pools are for what is not a request.
#[derive(Clone, Debug)]
pub struct SqlitePools {
    pub(crate) reader: SqlitePool,
    pub(crate) writer: SqlitePool,
    pub(crate) reading: Lanes<Sqlite>,
    pub(crate) writing: Lanes<Sqlite>,
}

/// An open transaction. Dropping it rolls it back.
///
/// No network call, no signing and no read through [`Store`] belongs between
/// [`begin`](Store::begin) and [`commit`](Self::commit).
#[derive(Debug)]
#[must_use = "a transaction that is not committed leaves nothing"]
pub enum Tx {
    /// On PostgreSQL.
    Postgres(Open<Postgres>),
    /// On SQLite.
    Sqlite(Open<Sqlite>),
}

/// A connection with an open transaction.
#[derive(Debug)]
pub struct Open<DB: Engine>(Lease<DB>);

impl<DB: Engine> Open<DB> {
    /// Nothing is lost when a connection that rested turns out to be dead here, so another is tried.
    async fn begin(lanes: &Lanes<DB>, statement: &'static str) -> sqlx::Result<Self> {
        let mut lease = lanes.lease().await?;
        match lease.begin(statement).await {
            Err(error) if lease.reused && is_dead(&error) => {
                // Its place first, or everybody whose connection died would wait for a second one.
                drop(lease);
                lease = lanes.lease().await?;
                lease.begin(statement).await?;
            }
            begun => begun?,
        }
        Ok(Self(lease))
    }
}

impl<DB: Engine> Open<DB> {
    /// How long the answer to one statement may take.
    pub(crate) fn answer(&self) -> Duration {
        self.0.answer()
    }

    /// Sees from an outcome whether the connection is over.
    pub(crate) fn judged<T>(&mut self, outcome: sqlx::Result<T>) -> sqlx::Result<T> {
        self.0.judged(outcome)
    }
}

impl<DB: Engine> Deref for Open<DB> {
    type Target = DB::Connection;

    fn deref(&self) -> &DB::Connection {
        &self.0
    }
}

impl<DB: Engine> DerefMut for Open<DB> {
    fn deref_mut(&mut self) -> &mut DB::Connection {
        &mut self.0
    }
}

/// Something that only one node may do at a time.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Lock {
    /// To make or move on signing keys.
    SigningKeys,
    /// To apply declared resources.
    Declarations,
}

/// Runs one body on a connection of whichever engine there is; it is compiled once for each. The body
/// only reads: when a connection that was used before turns out to be dead, it is run once more on
/// another.
macro_rules! on_store {
    ($store:expr, $db:ident => $body:expr) => {
        match $store {
            $crate::Store::Postgres(_, lanes) => $crate::engine::on_lanes!(lanes, $db => $body),
            $crate::Store::Sqlite(pools) => $crate::engine::on_lanes!(&pools.reading, $db => $body),
        }
    };
}

/// See [`on_store`].
macro_rules! on_lanes {
    ($lanes:expr, $db:ident => $body:expr) => {
        async {
            let lanes = $lanes;
            let mut lease = lanes.lease().await?;
            let first = $crate::lanes::in_time(lanes.answer(), async {
                let $db = &mut *lease;
                $body
            })
            .await;
            match lease.judged(first) {
                Err(error) if lease.reused && $crate::lanes::is_dead(&error) => {
                    // Its place first, or everybody whose connection died would wait for a second one.
                    drop(lease);
                    lease = lanes.lease().await?;
                    let again = $crate::lanes::in_time(lanes.answer(), async {
                        let $db = &mut *lease;
                        $body
                    })
                    .await;
                    lease.judged(again)
                }
                done => done,
            }
        }
        .await
    };
}

/// Runs one body that changes something in one statement, which is a transaction by itself. It is never
/// run again: when a connection breaks, nobody knows what became of the statement.
macro_rules! on_writer {
    ($store:expr, $db:ident => $body:expr) => {
        match $store {
            $crate::Store::Postgres(_, lanes) => $crate::engine::once!(lanes, $db => $body),
            $crate::Store::Sqlite(pools) => $crate::engine::once!(&pools.writing, $db => $body),
        }
    };
}

/// See [`on_writer`].
macro_rules! once {
    ($lanes:expr, $db:ident => $body:expr) => {
        async {
            let mut lease = $lanes.lease().await?;
            let done = $crate::lanes::in_time(lease.answer(), async {
                let $db = &mut *lease;
                $body
            })
            .await;
            lease.judged(done)
        }
        .await
    };
}

/// The same within a transaction.
macro_rules! on_tx {
    ($tx:expr, $db:ident => $body:expr) => {
        match $tx {
            $crate::Tx::Postgres(tx) => $crate::engine::within!(tx, $db => $body),
            $crate::Tx::Sqlite(tx) => $crate::engine::within!(tx, $db => $body),
        }
    };
}

/// See [`on_tx`].
macro_rules! within {
    ($tx:expr, $db:ident => $body:expr) => {{
        let tx = $tx;
        let done = $crate::lanes::in_time(tx.answer(), async {
            let $db = &mut **tx;
            $body
        })
        .await;
        tx.judged(done)
    }};
}

/// Does something within a span that is named by where the statement stands and what it is called. Where
/// nobody collects spans this is one comparison.
macro_rules! spanned {
    ($on:expr, $sql:expr, $work:block) => {{
        let span = tracing::debug_span!(
            target: "traced",
            "store",
            otel.name = concat!(module_path!(), " ", stringify!($sql)),
            otel.kind = "client",
            db.system.name = $on.engine_name(),
        );
        tracing::Instrument::instrument(async $work, span).await
    }};
}

/// Runs a statement in a transaction; gives the number of rows that it changed.
macro_rules! change {
    ($tx:expr, $sql:expr $(, $arg:expr)* $(,)?) => {
        $crate::engine::spanned!($tx, $sql, {
            on_tx!($tx, db => {
                sqlx::query($sql)$(.bind($arg))*.execute(db).await.map(|done| done.rows_affected())
            })
            .map_err($crate::StoreError::from)
        })
    };
}

/// Runs a statement that is a transaction by itself; gives the number of rows that it changed.
macro_rules! change_alone {
    ($store:expr, $sql:expr $(, $arg:expr)* $(,)?) => {
        $crate::engine::spanned!($store, $sql, {
            on_writer!($store, db => {
                sqlx::query($sql)$(.bind($arg))*.execute(db).await.map(|done| done.rows_affected())
            })
            .map_err($crate::StoreError::from)
        })
    };
}

/// Runs a statement in a transaction and gives every row that it returns. Statements that write
/// are always driven to their end: SQLite finishes them only then.
macro_rules! returning {
    ($tx:expr, $row:ty, $sql:expr $(, $arg:expr)* $(,)?) => {
        $crate::engine::spanned!($tx, $sql, {
            on_tx!($tx, db => sqlx::query_as::<_, $row>($sql)$(.bind($arg))*.fetch_all(db).await)
                .map_err($crate::StoreError::from)
        })
    };
}

/// Reads every row.
macro_rules! all {
    ($store:expr, $row:ty, $sql:expr $(, $arg:expr)* $(,)?) => {
        $crate::engine::spanned!($store, $sql, {
            on_store!($store, db => sqlx::query_as::<_, $row>($sql)$(.bind($arg))*.fetch_all(db).await)
                .map_err($crate::StoreError::from)
        })
    };
}

/// Reads the one row, if it is there.
macro_rules! optional {
    ($store:expr, $row:ty, $sql:expr $(, $arg:expr)* $(,)?) => {
        $crate::engine::spanned!($store, $sql, {
            on_store!($store, db => sqlx::query_as::<_, $row>($sql)$(.bind($arg))*.fetch_optional(db).await)
                .map_err($crate::StoreError::from)
        })
    };
}

/// Reads the one value that is always there.
macro_rules! scalar {
    ($store:expr, $type:ty, $sql:expr $(, $arg:expr)* $(,)?) => {
        $crate::engine::spanned!($store, $sql, {
            on_store!($store, db => sqlx::query_scalar::<_, $type>($sql)$(.bind($arg))*.fetch_one(db).await)
                .map_err($crate::StoreError::from)
        })
    };
}

pub(crate) use {
    all, change, change_alone, on_lanes, on_store, on_tx, on_writer, once, optional, returning, scalar,
    spanned, within,
};

impl Store {
    /// Opens the database. An SQLite file is made if it is missing, readable by its owner only; a
    /// schema is not, see [`migrate`](Self::migrate).
    ///
    /// # Errors
    /// [`StoreError::Url`] for a URL of neither engine, [`StoreError::Unavailable`] if the database
    /// can't be reached.
    pub async fn open(options: &StoreOptions) -> Result<Self> {
        let url = options.url.as_str();
        if url.starts_with("postgres://") || url.starts_with("postgresql://") {
            Self::open_postgres(options).await
        } else if url.starts_with("sqlite:") {
            Self::open_sqlite(options).await
        } else {
            Err(StoreError::Url("must begin with postgres:// or sqlite:"))
        }
    }

    async fn open_postgres(options: &StoreOptions) -> Result<Self> {
        let connect = PgConnectOptions::from_str(&options.url)
            .map_err(|_| StoreError::Url("is not a PostgreSQL URL"))?
            .application_name("chancery")
            .statement_cache_capacity(PREPARED);
        let lanes = Lanes::new(
            connect.clone(),
            options.max_connections.max(2),
            options.acquire_timeout,
            options.answer_timeout,
        );
        let pool = PgPoolOptions::new()
            .max_connections(ASIDE)
            .acquire_timeout(options.acquire_timeout)
            .idle_timeout(Duration::from_secs(10))
            .connect_lazy_with(connect);
        wait_for(&lanes, options.acquire_timeout).await?;
        Ok(Self::Postgres(pool, lanes))
    }

    async fn open_sqlite(options: &StoreOptions) -> Result<Self> {
        let connect = SqliteConnectOptions::from_str(&options.url)
            .map_err(|_| StoreError::Url("is not an SQLite URL"))?;
        // Each connection would have a database of its own.
        if options.url.contains(":memory:") || options.url.contains("mode=memory") {
            return Err(StoreError::Url("must name a file; a database in memory is not shared"));
        }
        create_private(connect.get_filename()).map_err(sqlx::Error::Io)?;
        let connect = connect
            .create_if_missing(true)
            .journal_mode(SqliteJournalMode::Wal)
            // What was acknowledged survives a loss of power.
            .synchronous(SqliteSynchronous::Full)
            .foreign_keys(true)
            .busy_timeout(Duration::from_secs(5))
            .statement_cache_capacity(PREPARED);
        let query_only = connect.clone().pragma("query_only", "ON");
        let writing = Lanes::new(connect.clone(), 1, options.acquire_timeout, options.answer_timeout);
        let reading = Lanes::new(
            query_only.clone(),
            options.max_connections.max(1),
            options.acquire_timeout,
            options.answer_timeout,
        );
        wait_for(&writing, Duration::ZERO).await?;
        let aside = || SqlitePoolOptions::new().acquire_timeout(options.acquire_timeout);
        let aside = |limit| aside().max_connections(limit).idle_timeout(Duration::from_secs(10));
        let writer = aside(1).connect_lazy_with(connect);
        let reader = aside(ASIDE).connect_lazy_with(query_only);
        Ok(Self::Sqlite(SqlitePools { reader, writer, reading, writing }))
    }

    /// Whether the database answers, for readiness.
    ///
    /// # Errors
    /// [`StoreError::Unavailable`] if it does not.
    pub async fn ping(&self) -> Result<()> {
        scalar!(self, i32, sql::PING).map(drop)
    }

    /// Begins a transaction.
    ///
    /// # Errors
    /// [`StoreError::Unavailable`] if no connection comes free in time.
    pub async fn begin(&self) -> Result<Tx> {
        // The wait for a connection; on SQLite, for whoever writes.
        spanned!(self, begin, {
            Ok(match self {
                Self::Postgres(_, lanes) => Tx::Postgres(Open::begin(lanes, "BEGIN").await?),
                Self::Sqlite(pools) => Tx::Sqlite(Open::begin(&pools.writing, "BEGIN IMMEDIATE").await?),
            })
        })
    }

    pub(crate) fn engine_name(&self) -> &'static str {
        match self {
            Self::Postgres(..) => "postgresql",
            Self::Sqlite(_) => "sqlite",
        }
    }

    /// Closes every connection, after those in use are given back.
    pub async fn close(&self) {
        match self {
            Self::Postgres(pool, lanes) => {
                lanes.close().await;
                pool.close().await;
            }
            Self::Sqlite(pools) => {
                pools.reading.close().await;
                pools.reader.close().await;
                pools.writing.close().await;
                pools.writer.close().await;
            }
        }
    }
}

impl Tx {
    /// Makes everything since [`begin`](Store::begin) last.
    ///
    /// # Errors
    /// [`StoreError`] if the database did not acknowledge it.
    pub async fn commit(self) -> Result<()> {
        spanned!(self, commit, {
            match self {
                Self::Postgres(mut tx) => tx.0.commit().await?,
                Self::Sqlite(mut tx) => tx.0.commit().await?,
            }
            Ok(())
        })
    }

    pub(crate) fn engine_name(&self) -> &'static str {
        match self {
            Self::Postgres(_) => "postgresql",
            Self::Sqlite(_) => "sqlite",
        }
    }

    /// Waits until no other transaction, on any node, holds the lock, and keeps it until the end.
    /// On SQLite every transaction is alone anyway.
    ///
    /// # Errors
    /// [`StoreError::Unavailable`] if the database gives up waiting.
    pub async fn lock(&mut self, lock: Lock) -> Result<()> {
        if let Self::Postgres(tx) = self {
            // Chancery's own range of lock numbers: "CHAN" in the upper half.
            let number = 0x4348_414e_0000_0000_i64 | lock as i64;
            within!(tx, db => sqlx::query(sql::ADVISORY_LOCK).bind(number).execute(db).await)?;
        }
        Ok(())
    }
}

/// Makes the first connection. A database that is being started may need a moment.
async fn wait_for<DB: Engine>(lanes: &Lanes<DB>, patience: Duration) -> Result<()> {
    let mut waited = Duration::ZERO;
    loop {
        match lanes.lease().await {
            Ok(mut lease) => return Ok(lease.judged(Ok(()))?),
            Err(error) if waited >= patience || !is_broken(&error) => return Err(error.into()),
            Err(_) => tokio::time::sleep(RETRY).await,
        }
        waited += RETRY;
    }
}

/// Makes the file before SQLite does, so that nobody else can read it; SQLite gives its companions
/// the same mode.
fn create_private(path: &Path) -> std::io::Result<()> {
    let mut options = std::fs::OpenOptions::new();
    options.append(true).create(true);
    #[cfg(unix)]
    std::os::unix::fs::OpenOptionsExt::mode(&mut options, 0o600);
    options.open(path).map(drop)
}
