//! `chancery keys …`

use chrono::{DateTime, SecondsFormat, Utc};
use keys::SigningKeyRecord;

use crate::{
    cli::{Common, KeysCommand},
    commands::{Failure, database, say, settings},
};

/// Runs one of them.
///
/// # Errors
/// If the database does not answer.
pub async fn run(command: KeysCommand, common: &Common) -> Result<(), Failure> {
    match command {
        KeysCommand::List => {
            let store = database::open(&settings(common)?, false).await?;
            let records = store.signing_keys().await.map_err(Failure::new)?;
            store.close().await;
            say(row(
                "KID",
                "ALG",
                "STATE",
                ["CREATED", "SIGNS FROM", "SIGNS UNTIL", "PUBLISHED UNTIL"].map(str::to_owned),
            ))?;
            records.iter().try_for_each(|record| say(line(record)))
        }
    }
}

fn line(record: &SigningKeyRecord) -> String {
    let times = [Some(record.created_at), Some(record.activates_at), record.retires_at, record.destroys_at];
    row(&record.kid, record.algorithm.as_str(), record.state.as_str(), times.map(time))
}

fn row(kid: &str, algorithm: &str, state: &str, times: [String; 4]) -> String {
    let [created, from, until, published] = times;
    format!("{kid:<43}  {algorithm:<5}  {state:<9}  {created:<20}  {from:<20}  {until:<20}  {published}")
}

fn time(at: Option<DateTime<Utc>>) -> String {
    at.map_or_else(|| "-".to_owned(), |at| at.to_rfc3339_opts(SecondsFormat::Secs, true))
}
