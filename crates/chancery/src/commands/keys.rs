//! `chancery keys …`

use chrono::TimeDelta;
use flows::{
    Service,
    operate::{MovedKeys, RotatedKey},
};
use keys::{KeyAlgorithm, KeyState, SigningKeyRecord};
use serde_json::{Value, json};
use store::Store;

use super::{
    Failure, abandon,
    answer::{Answer, Table, json, time},
    input,
    operator::{operate, outcome, with_service, with_store},
};
use crate::cli::{Common, keys::KeysCommand};

const FORCED: &str = "Clients and resource servers that keep a copy of the published keys refuse new tokens \
                      until they fetch them again.";

/// Runs one of them.
///
/// # Errors
/// As the exit codes say.
pub async fn run(command: &KeysCommand, common: &Common) -> Result<Answer, Failure> {
    match command {
        KeysCommand::List => with_store(common, list).await,
        KeysCommand::AbandonSealed { confirm } => abandon::run(*confirm, common).await,
        KeysCommand::Rotate { algorithm, force, confirm } => {
            if *force {
                input::confirm(*confirm, &format!("Sign with a new key at once? {FORCED}"))?;
            }
            with_service(common, async |service| rotate(service, algorithm, *force).await).await
        }
        KeysCommand::Retire { kid, force, confirm } => {
            if *force {
                input::confirm(*confirm, &format!("Retire {kid} at once? {FORCED}"))?;
            }
            with_service(common, async |service| {
                let moved = outcome(operate(service).retire_key(kid, *force).await)?;
                let answer = moved_answer(&moved, kid);
                Ok(if *force { answer.note(format_args!("FORCED: {FORCED}")) } else { answer })
            })
            .await
        }
        KeysCommand::Revoke { kid, confirm } => {
            let question = format!("Withdraw {kid}? Every token that it signed fails.");
            input::confirm(*confirm, &question)?;
            with_service(common, async |service| {
                let moved = outcome(operate(service).revoke_key(kid).await)?;
                let answer = moved_answer(&moved, kid);
                Ok(answer.note(
                    "REVOKED: what it signed is refused as soon as the keys are fetched again; who keeps a copy \
                     accepts it until then",
                ))
            })
            .await
        }
    }
}

async fn list(store: &Store) -> Result<Answer, Failure> {
    let records = store.signing_keys().await.map_err(Failure::new)?;
    Ok(table(&records).answer(records.iter().map(shown).collect()))
}

fn table<'a>(records: impl IntoIterator<Item = &'a SigningKeyRecord>) -> Table {
    let mut table =
        Table::new(["KID", "ALG", "STATE", "CREATED", "SIGNS FROM", "SIGNS UNTIL", "PUBLISHED UNTIL"]);
    for record in records {
        table.row([
            record.kid.clone(),
            record.algorithm.to_string(),
            record.state.to_string(),
            time(record.created_at),
            time(record.activates_at),
            time(record.retires_at),
            time(record.destroys_at),
        ]);
    }
    table
}

async fn rotate(service: &Service, algorithms: &[KeyAlgorithm], force: bool) -> Result<Answer, Failure> {
    let rotated = outcome(operate(service).rotate_keys(algorithms, force).await)?;
    let announce_for = service.policies().rotation.announce_for();
    let text: Vec<String> = rotated.iter().map(|key| explained(key, announce_for, force)).collect();
    let json = rotated.iter().map(|key| {
        json!({
            "key": shown(&key.successor),
            "fresh": key.fresh,
            "signs_until_then": key.until_then.as_ref().map(|key| &key.kid),
            "forced": force,
        })
    });
    let answer = Answer::new(text.join("\n"), json.collect());
    Ok(if force { answer.note(format_args!("FORCED: {FORCED}")) } else { answer })
}

/// When the successor signs, and why then.
fn explained(rotated: &RotatedKey, announce_for: TimeDelta, force: bool) -> String {
    let RotatedKey { successor, fresh, until_then } = rotated;
    let (algorithm, kid) = (successor.algorithm, &successor.kid);
    let Some(current) = until_then else {
        let why = if force { "because it was forced" } else { "because there was no other" };
        return format!("{algorithm}: {kid} signs from now on, {why}.");
    };
    let happened = if *fresh {
        format!("{algorithm}: {kid} is published now.")
    } else {
        format!("{algorithm}: {kid} was published before; nothing was changed.")
    };
    let (from, current) = (time(successor.activates_at), &current.kid);
    let announce_for = humantime::format_duration(announce_for.to_std().unwrap_or_default());
    format!(
        "{happened}\n    It will sign from {from}; until then {current} signs. A new key is published for \
         {announce_for} (keys.announce) before it signs, so that no client with an older copy of the published \
         keys meets a token that it can't verify. --force does not wait."
    )
}

fn moved_answer(moved: &MovedKeys, kid: &str) -> Answer {
    let touched = || moved.records.iter().filter(|record| moved.touched.contains(&record.kid));
    let answer = table(touched()).answer(touched().map(shown).collect());
    let key = moved.records.iter().find(|record| record.kid == kid);
    let signer = moved.records.iter().find(|record| {
        record.state == KeyState::Active && key.is_some_and(|key| key.algorithm == record.algorithm)
    });
    match signer {
        Some(signer) => answer.note(format_args!("{} signs {} now", signer.kid, signer.algorithm)),
        None => answer,
    }
}

fn shown(record: &SigningKeyRecord) -> Value {
    json!({
        "kid": record.kid,
        "algorithm": record.algorithm,
        "state": record.state,
        "created_at": time(record.created_at),
        "signs_from": time(record.activates_at),
        "signs_until": json(record.retires_at.map(time)),
        "published_until": json(record.destroys_at.map(time)),
    })
}
