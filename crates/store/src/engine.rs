//! The two engines: opening, transactions, and the macros that run one body on either.
//!
//! PostgreSQL is a pool. SQLite is two: readers, and the one connection that writes. Write-ahead
//! logging lets the readers go on meanwhile, and with one writer in the process and `BEGIN
//! IMMEDIATE` no transaction can read first and then find that it may not write.

use std::{path::Path, str::FromStr, time::Duration};

use sqlx::{
    PgPool, Postgres, Sqlite, SqlitePool, Transaction,
    postgres::{PgConnectOptions, PgPoolOptions},
    sqlite::{SqliteConnectOptions, SqliteJournalMode, SqlitePoolOptions, SqliteSynchronous},
};

use crate::{
    error::{Result, StoreError},
    sql,
};

/// How to reach the database.
#[derive(Clone)]
pub struct StoreOptions {
    /// `postgres://…` or `sqlite:path`. May hold a password, so `Debug` does not show it.
    pub url: String,
    /// The most connections that this process holds; on SQLite, readers.
    pub max_connections: u32,
    /// How long a request waits for a free connection before it is refused.
    pub acquire_timeout: Duration,
}

impl StoreOptions {
    /// The defaults: sixteen connections, five seconds.
    pub fn new(url: impl Into<String>) -> Self {
        Self { url: url.into(), max_connections: 16, acquire_timeout: Duration::from_secs(5) }
    }
}

impl std::fmt::Debug for StoreOptions {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let engine = self.url.split(':').next().unwrap_or_default();
        write!(f, "StoreOptions({engine}, {} connections)", self.max_connections)
    }
}

/// The database of one issuer. Its methods read; whatever changes is a method of [`Tx`]. Cloning
/// gives another handle to the same connections.
///
/// Reads take a connection of their own. Do them before a transaction is begun, never while one is
/// open in the same task, or enough such tasks starve each other.
#[derive(Clone, Debug)]
pub enum Store {
    /// PostgreSQL, for any number of nodes.
    Postgres(PgPool),
    /// SQLite, for one.
    Sqlite(SqlitePools),
}

/// The connections to an SQLite file.
#[derive(Clone, Debug)]
pub struct SqlitePools {
    pub(crate) reader: SqlitePool,
    pub(crate) writer: SqlitePool,
}

/// An open transaction. Dropping it rolls it back.
///
/// No network call, no signing and no read through [`Store`] belongs between
/// [`begin`](Store::begin) and [`commit`](Self::commit).
#[derive(Debug)]
#[must_use = "a transaction that is not committed leaves nothing"]
pub enum Tx {
    /// On PostgreSQL.
    Postgres(Transaction<'static, Postgres>),
    /// On SQLite.
    Sqlite(Transaction<'static, Sqlite>),
}

/// Something that only one node may do at a time.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Lock {
    /// To make or move on signing keys.
    SigningKeys,
    /// To apply declared resources.
    Declarations,
}

/// Runs one body on whichever engine there is; it is compiled once for each.
macro_rules! on_store {
    ($store:expr, $db:ident => $body:expr) => {
        match $store {
            $crate::Store::Postgres(pool) => {
                let $db = pool;
                $body
            }
            $crate::Store::Sqlite(pools) => {
                let $db = &pools.reader;
                $body
            }
        }
    };
}

/// The same within a transaction.
macro_rules! on_tx {
    ($tx:expr, $db:ident => $body:expr) => {
        match $tx {
            $crate::Tx::Postgres(tx) => {
                let $db = &mut **tx;
                $body
            }
            $crate::Tx::Sqlite(tx) => {
                let $db = &mut **tx;
                $body
            }
        }
    };
}

/// Runs a statement in a transaction; gives the number of rows that it changed.
macro_rules! change {
    ($tx:expr, $sql:expr $(, $arg:expr)* $(,)?) => {
        on_tx!($tx, db => {
            sqlx::query($sql)$(.bind($arg))*.execute(db).await.map(|done| done.rows_affected())
        })
        .map_err($crate::StoreError::from)
    };
}

/// Runs a statement in a transaction and gives every row that it returns. Statements that write
/// are always driven to their end: SQLite finishes them only then.
macro_rules! returning {
    ($tx:expr, $row:ty, $sql:expr $(, $arg:expr)* $(,)?) => {
        on_tx!($tx, db => sqlx::query_as::<_, $row>($sql)$(.bind($arg))*.fetch_all(db).await)
            .map_err($crate::StoreError::from)
    };
}

/// Reads every row.
macro_rules! all {
    ($store:expr, $row:ty, $sql:expr $(, $arg:expr)* $(,)?) => {
        on_store!($store, db => sqlx::query_as::<_, $row>($sql)$(.bind($arg))*.fetch_all(db).await)
            .map_err($crate::StoreError::from)
    };
}

/// Reads the one row, if it is there.
macro_rules! optional {
    ($store:expr, $row:ty, $sql:expr $(, $arg:expr)* $(,)?) => {
        on_store!($store, db => sqlx::query_as::<_, $row>($sql)$(.bind($arg))*.fetch_optional(db).await)
            .map_err($crate::StoreError::from)
    };
}

/// Reads the one value that is always there.
macro_rules! scalar {
    ($store:expr, $type:ty, $sql:expr $(, $arg:expr)* $(,)?) => {
        on_store!($store, db => sqlx::query_scalar::<_, $type>($sql)$(.bind($arg))*.fetch_one(db).await)
            .map_err($crate::StoreError::from)
    };
}

pub(crate) use {all, change, on_store, on_tx, optional, returning, scalar};

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
            .application_name("chancery");
        let pool = PgPoolOptions::new()
            .max_connections(options.max_connections.max(2))
            .acquire_timeout(options.acquire_timeout)
            .connect_with(connect)
            .await?;
        Ok(Self::Postgres(pool))
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
            .busy_timeout(Duration::from_secs(5));
        let writer = SqlitePoolOptions::new()
            .min_connections(1)
            .max_connections(1)
            .idle_timeout(None)
            .max_lifetime(None)
            .acquire_timeout(options.acquire_timeout)
            .connect_with(connect.clone())
            .await?;
        let reader = SqlitePoolOptions::new()
            .max_connections(options.max_connections.max(1))
            .acquire_timeout(options.acquire_timeout)
            .connect_with(connect.pragma("query_only", "ON"))
            .await?;
        Ok(Self::Sqlite(SqlitePools { reader, writer }))
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
        Ok(match self {
            Self::Postgres(pool) => Tx::Postgres(pool.begin().await?),
            Self::Sqlite(pools) => Tx::Sqlite(pools.writer.begin_with("BEGIN IMMEDIATE").await?),
        })
    }

    /// Closes every connection, after those in use are given back.
    pub async fn close(&self) {
        match self {
            Self::Postgres(pool) => pool.close().await,
            Self::Sqlite(pools) => {
                pools.reader.close().await;
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
        match self {
            Self::Postgres(tx) => tx.commit().await?,
            Self::Sqlite(tx) => tx.commit().await?,
        }
        Ok(())
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
            sqlx::query(sql::ADVISORY_LOCK).bind(number).execute(&mut **tx).await?;
        }
        Ok(())
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
