//! What can go wrong below every verb. Whoever calls decides what it means on the wire: all of it
//! is a server error there, except a [`Conflict`](StoreError::Conflict) that the caller expected.

use sqlx::error::ErrorKind;

/// The answer of every verb.
pub type Result<T, E = StoreError> = std::result::Result<T, E>;

/// Why a verb was not carried out. Nothing of its transaction remains.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum StoreError {
    /// The database can't be reached, has no connection free, or gave up on a statement.
    #[error("the database is unavailable: {0}")]
    Unavailable(#[source] sqlx::Error),
    /// Two transactions stood in each other's way and the database chose this one to give up. The
    /// same transaction may succeed when it is run again.
    #[error("the transaction lost against another one: {0}")]
    Contended(#[source] sqlx::Error),
    /// A constraint of the schema refused the change: something unique is there already, or what
    /// it belongs to is not.
    #[error("the change breaks constraint {constraint}")]
    Conflict {
        /// The constraint's name on PostgreSQL, its columns on SQLite.
        constraint: String,
    },
    /// A row says what this release never writes: damage, or a later release.
    #[error("table {table}, key {key}: {why}")]
    Corrupt {
        /// The table.
        table: &'static str,
        /// The row's key as text; never a bearer value.
        key: String,
        /// The column, and what is wrong with it.
        why: String,
    },
    /// A migration did not apply.
    #[error("the schema could not be migrated: {0}")]
    Migration(#[source] Box<sqlx::migrate::MigrateError>),
    /// The URL names no database that this server knows. It is not repeated here, because it may
    /// hold a password.
    #[error("database URL: {0}")]
    Url(&'static str),
}

impl StoreError {
    /// The kind of trouble, for a label.
    const fn kind(&self) -> &'static str {
        match self {
            Self::Unavailable(_) => "unavailable",
            Self::Contended(_) => "contended",
            Self::Conflict { .. } => "conflict",
            Self::Corrupt { .. } => "corrupt",
            _ => "other",
        }
    }

    fn classify(error: sqlx::Error) -> Self {
        match &error {
            sqlx::Error::ColumnDecode { index, source } => Self::Corrupt {
                table: "(unknown)",
                key: "(unknown)".to_owned(),
                why: format!("column {index}: {source}"),
            },
            sqlx::Error::Database(refusal) => match refusal.kind() {
                ErrorKind::UniqueViolation
                | ErrorKind::ForeignKeyViolation
                | ErrorKind::CheckViolation
                | ErrorKind::NotNullViolation => {
                    let constraint = refusal.constraint().unwrap_or_else(|| refusal.message());
                    Self::Conflict { constraint: constraint.to_owned() }
                }
                _ if is_contention(refusal.code().as_deref()) => Self::Contended(error),
                _ => Self::Unavailable(error),
            },
            _ => Self::Unavailable(error),
        }
    }
}

impl From<sqlx::Error> for StoreError {
    /// Sorts and counts it.
    fn from(error: sqlx::Error) -> Self {
        let error = Self::classify(error);
        metrics::counter!("chancery_store_errors_total", "kind" => error.kind()).increment(1);
        error
    }
}

impl From<sqlx::migrate::MigrateError> for StoreError {
    fn from(error: sqlx::migrate::MigrateError) -> Self {
        Self::Migration(Box::new(error))
    }
}

/// PostgreSQL: serialization failure, deadlock. SQLite: busy, in recovery, by a snapshot, by timeout.
fn is_contention(code: Option<&str>) -> bool {
    matches!(code, Some("40001" | "40P01" | "5" | "261" | "517" | "773"))
}
