//! `chancery migrate`, and how every other command opens the database.

use serde_json::json;
use store::{SchemaState, Store};

use crate::{
    cli::Common,
    commands::{Failure, answer::Answer, settings},
    config::Settings,
};

/// Brings the schema up to date.
///
/// # Errors
/// If the database does not answer, or a migration fails; then the schema is as it was before that
/// migration.
pub async fn migrate(common: &Common) -> Result<Answer, Failure> {
    let store = connect(&settings(common)?).await?;
    let before = store.schema_state().await.map_err(Failure::new)?;
    if let SchemaState::Contracted { by } = &before {
        return Err(contracted(by));
    }
    store.migrate().await.map_err(Failure::new)?;
    store.close().await;
    let (text, applied) = match before {
        SchemaState::Current => ("the schema was up to date".to_owned(), Vec::new()),
        SchemaState::Ahead { .. } | SchemaState::Contracted { .. } => {
            ("the schema is that of a later release; nothing was changed".to_owned(), Vec::new())
        }
        SchemaState::Behind { missing } => (format!("applied: {}", missing.join(", ")), missing),
    };
    Ok(Answer::new(text, json!({ "applied": applied })))
}

/// Opens the database. A schema that is behind is brought up to date if `migrate` says so, else
/// refused.
///
/// # Errors
/// If the database does not answer, or its schema is behind or too far ahead.
pub async fn open(settings: &Settings, migrate: bool) -> Result<Store, Failure> {
    let store = connect(settings).await?;
    match store.schema_state().await.map_err(Failure::new)? {
        SchemaState::Current => {}
        SchemaState::Ahead { unknown } => {
            tracing::warn!(?unknown, "the database was migrated by a later release");
        }
        SchemaState::Contracted { by } => return Err(contracted(&by)),
        SchemaState::Behind { missing } if migrate => {
            store.migrate().await.map_err(Failure::new)?;
            tracing::info!(?missing, "schema brought up to date");
        }
        SchemaState::Behind { missing } => {
            return Err(Failure::new(format_args!(
                "the database schema is behind; missing: {}\n    Run `chancery migrate`, or start with --migrate.",
                missing.join(", ")
            )));
        }
    }
    Ok(store)
}

fn contracted(by: &[String]) -> Failure {
    Failure::new(format_args!(
        "a later release has taken away what this one needs of the database: {}\n    Run that release.",
        by.join(", ")
    ))
}

/// Opens the database, whatever its schema.
///
/// # Errors
/// If it does not answer.
pub async fn connect(settings: &Settings) -> Result<Store, Failure> {
    let options = settings.store_options().ok_or_else(|| Failure::new("database.url is missing"))?;
    Store::open(&options).await.map_err(Failure::new)
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;

    fn on(directory: &tempfile::TempDir) -> Settings {
        let mut settings = Settings::new("http://localhost:8400".parse().unwrap());
        settings.database.url = Some(format!("sqlite:{}/x.db", directory.path().display()).into());
        settings
    }

    #[tokio::test]
    async fn a_schema_that_is_behind_is_refused_unless_told_to_migrate() {
        let directory = tempfile::tempdir().unwrap();
        let refusal = open(&on(&directory), false).await.unwrap_err();
        assert!(refusal.message.contains("chancery migrate"), "{}", refusal.message);
        open(&on(&directory), true).await.unwrap().close().await;
        open(&on(&directory), false).await.unwrap();
    }
}
