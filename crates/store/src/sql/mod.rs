//! Every statement, once, under a name.
//!
//! One text serves both engines: `$1` parameters, `RETURNING`, `ON CONFLICT`, partial indexes, and
//! nothing that only one of them knows. A test prepares each on both, which stands in for checking
//! queries at compile time. The writes of every request have a form for each engine, in [`hot`];
//! the other few statements of one engine are at the end of this file.

/// Names statements, and lists them for the test.
macro_rules! statements {
    ($($(#[$doc:meta])* $name:ident = $sql:expr;)*) => {
        $($(#[$doc])* pub(crate) const $name: &str = $sql;)*
        /// Every statement of this subject.
        #[cfg(test)]
        pub(crate) const ALL: &[(&str, &str)] = &[$((stringify!($name), $name)),*];
    };
}

pub(crate) mod audit;
pub(crate) mod backup;
pub(crate) mod consents;
pub(crate) mod declared;
pub(crate) mod devices;
pub(crate) mod exchange;
pub(crate) mod facts;
pub(crate) mod grants;
pub(crate) mod hot;
pub(crate) mod interactions;
pub(crate) mod keys;
pub(crate) mod logouts;
pub(crate) mod operate;
pub(crate) mod people;
pub(crate) mod pushed;
pub(crate) mod registration;
pub(crate) mod secrets;
pub(crate) mod sessions;
pub(crate) mod sweep;
pub(crate) mod tokens;
pub(crate) mod upstream;

pub(crate) const PING: &str = "SELECT 1";
pub(crate) const APPLIED_MIGRATIONS: &str = "SELECT version, description FROM _sqlx_migrations WHERE success";

/// Every statement that both engines understand.
#[cfg(test)]
pub(crate) const PORTABLE: &[&[(&str, &str)]] = &[
    &[("PING", PING), ("APPLIED_MIGRATIONS", APPLIED_MIGRATIONS)],
    audit::ALL,
    backup::ALL,
    consents::ALL,
    declared::ALL,
    devices::ALL,
    exchange::ALL,
    facts::ALL,
    grants::ALL,
    interactions::ALL,
    keys::ALL,
    logouts::ALL,
    operate::ALL,
    people::ALL,
    pushed::ALL,
    registration::ALL,
    secrets::ALL,
    sessions::ALL,
    sweep::ALL,
    tokens::ALL,
    upstream::ALL,
];

// Statements of one engine: those of `hot`, the catalogue of tables, and locks and notifications that only
// PostgreSQL has or needs.

pub(crate) const POSTGRES_HAS_MIGRATIONS: &str = "SELECT to_regclass('_sqlx_migrations') IS NOT NULL";
pub(crate) const SQLITE_HAS_MIGRATIONS: &str =
    "SELECT EXISTS (SELECT 1 FROM sqlite_master WHERE type = 'table' AND name = '_sqlx_migrations')";
pub(crate) const ADVISORY_LOCK: &str = "SELECT pg_advisory_xact_lock($1)";
/// Where PostgreSQL tells of changes; [`NOTIFY`] names it too.
pub(crate) const CHANNEL: &str = "chancery_changes";
/// Delivered when the transaction commits.
pub(crate) const NOTIFY: &str = "SELECT pg_notify('chancery_changes', $1)";
