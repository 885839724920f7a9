//! The schema: one tree of migrations for both engines, and whether the database is at its end.
//!
//! Migrations expand first and contract a release later, so that the previous release keeps working
//! on the newer schema while nodes are replaced one by one.

use std::collections::BTreeSet;

use sqlx::migrate::Migrator;

use crate::{
    Store,
    engine::{all, on_store},
    error::Result,
    sql,
};

static MIGRATIONS: Migrator = Migrator { ignore_missing: true, ..sqlx::migrate!("../../migrations") };

/// Where the schema stands, seen from this release.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum SchemaState {
    /// It has every migration.
    Current,
    /// It lacks some; this release can't work on it.
    Behind {
        /// The missing migrations, as `0001 initial`.
        missing: Vec<String>,
    },
    /// A later release has migrated it; this one still works on it.
    Ahead {
        /// The versions that this release does not know.
        unknown: Vec<i64>,
    },
}

impl Store {
    /// Applies the missing migrations, each in a transaction. On PostgreSQL several nodes may call
    /// it at once.
    ///
    /// # Errors
    /// [`StoreError::Migration`](crate::StoreError::Migration) if one fails or differs from what
    /// was applied.
    pub async fn migrate(&self) -> Result<()> {
        match self {
            Self::Postgres(pool) => MIGRATIONS.run(pool).await?,
            Self::Sqlite(pools) => MIGRATIONS.run(&pools.writer).await?,
        }
        Ok(())
    }

    /// Compares the schema with this release, changing nothing.
    ///
    /// # Errors
    /// [`StoreError`](crate::StoreError) if the database can't be asked.
    pub async fn schema_state(&self) -> Result<SchemaState> {
        let applied = self.applied().await?;
        let missing: Vec<String> = MIGRATIONS
            .iter()
            .filter(|known| !applied.contains(&known.version))
            .map(|known| format!("{:04} {}", known.version, known.description))
            .collect();
        if !missing.is_empty() {
            return Ok(SchemaState::Behind { missing });
        }
        let unknown: Vec<i64> =
            applied.into_iter().filter(|version| !MIGRATIONS.version_exists(*version)).collect();
        Ok(if unknown.is_empty() { SchemaState::Current } else { SchemaState::Ahead { unknown } })
    }

    async fn applied(&self) -> Result<BTreeSet<i64>> {
        let exists = match self {
            Self::Postgres(pool) => {
                sqlx::query_scalar::<_, bool>(sql::POSTGRES_HAS_MIGRATIONS).fetch_one(pool).await?
            }
            Self::Sqlite(pools) => {
                sqlx::query_scalar::<_, bool>(sql::SQLITE_HAS_MIGRATIONS).fetch_one(&pools.reader).await?
            }
        };
        if !exists {
            return Ok(BTreeSet::new());
        }
        let rows: Vec<(i64,)> = all!(self, (i64,), sql::APPLIED_MIGRATIONS)?;
        Ok(rows.into_iter().map(|(version,)| version).collect())
    }
}
