//! The schema: one tree of migrations for both engines, and whether the database is at its end.
//!
//! Migrations expand first and contract a release later, so that the previous release keeps working
//! on the newer schema while nodes are replaced one by one. A migration that contracts says so in its
//! name, `0007_contract_after_0005_….sql`: releases that do not know migration 5 still use what it takes
//! away, and refuse to run on it.

use std::collections::BTreeMap;

use sqlx::migrate::Migrator;

use crate::{
    Store,
    engine::{all, on_store},
    error::Result,
    sql,
};

pub(crate) static MIGRATIONS: Migrator =
    Migrator { ignore_missing: true, ..sqlx::migrate!("../../migrations") };

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
    /// A later release has taken away what this one uses; it can't work on it.
    Contracted {
        /// The migrations that did, as `0007 contract after 0005 …`.
        by: Vec<String>,
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
            Self::Postgres(pool, _) => MIGRATIONS.run(pool).await?,
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
            .filter(|known| !applied.contains_key(&known.version))
            .map(|known| format!("{:04} {}", known.version, known.description))
            .collect();
        let unknown = || applied.iter().filter(|(version, _)| !MIGRATIONS.version_exists(**version));
        let by: Vec<String> = unknown()
            .filter(|(_, description)| {
                contracted_after(description).is_some_and(|after| !MIGRATIONS.version_exists(after))
            })
            .map(|(version, description)| format!("{version:04} {description}"))
            .collect();
        if !by.is_empty() {
            return Ok(SchemaState::Contracted { by });
        }
        if !missing.is_empty() {
            return Ok(SchemaState::Behind { missing });
        }
        let unknown: Vec<i64> = unknown().map(|(version, _)| *version).collect();
        Ok(if unknown.is_empty() { SchemaState::Current } else { SchemaState::Ahead { unknown } })
    }

    async fn applied(&self) -> Result<BTreeMap<i64, String>> {
        let exists = match self {
            Self::Postgres(pool, _) => {
                sqlx::query_scalar::<_, bool>(sql::POSTGRES_HAS_MIGRATIONS).fetch_one(pool).await?
            }
            Self::Sqlite(pools) => {
                sqlx::query_scalar::<_, bool>(sql::SQLITE_HAS_MIGRATIONS).fetch_one(&pools.reader).await?
            }
        };
        if !exists {
            return Ok(BTreeMap::new());
        }
        Ok(all!(self, (i64, String), sql::APPLIED_MIGRATIONS)?.into_iter().collect())
    }
}

/// The migration that a release must know to work without what this one takes away.
pub(crate) fn contracted_after(description: &str) -> Option<i64> {
    description.strip_prefix("contract after ")?.split(' ').next()?.parse().ok()
}
