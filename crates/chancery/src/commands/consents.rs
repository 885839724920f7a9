//! `chancery consents …`

use chrono::{DateTime, Utc};
use consent::ConsentRecord;
use flows::{Clock, Service, SystemClock};
use protocol::{ClientId, ConsentId};
use serde_json::{Map, Value, json};
use store::{ConsentFilter, Store};

use super::{
    Failure,
    answer::{Answer, Table, details, json, time},
    input,
    operator::{found, operate, outcome, with_service, with_store},
    people::People,
    users,
};
use crate::cli::{Common, consents::ConsentsCommand};

/// Runs one of them.
///
/// # Errors
/// As the exit codes say.
pub async fn run(command: &ConsentsCommand, common: &Common) -> Result<Answer, Failure> {
    match command {
        ConsentsCommand::List { user, client, all, before, limit } => {
            with_store(common, async |store| {
                let wanted = Wanted { user: user.as_deref(), client: client.as_ref(), all: *all };
                list(store, wanted, *before, *limit).await
            })
            .await
        }
        ConsentsCommand::Show { id } => with_store(common, async |store| show(store, *id).await).await,
        ConsentsCommand::Revoke { id, confirm } => {
            let question = format!("Withdraw consent {id}? Every grant and token below it is dead at once.");
            input::confirm(*confirm, &question)?;
            with_service(common, async |service| revoke(service, *id).await).await
        }
    }
}

struct Wanted<'a> {
    user: Option<&'a str>,
    client: Option<&'a ClientId>,
    all: bool,
}

async fn list(
    store: &Store,
    wanted: Wanted<'_>,
    before: Option<ConsentId>,
    limit: u32,
) -> Result<Answer, Failure> {
    let now = SystemClock.now();
    let user = match wanted.user {
        Some(name) => Some(users::named(store, name).await?.id),
        None => None,
    };
    let live_at = (!wanted.all).then_some(now);
    let filter = ConsentFilter { user, client: wanted.client.cloned(), live_at, before };
    let mut consents = store.consents_page(&filter, limit.saturating_add(1)).await.map_err(Failure::new)?;
    let more = consents.len() > limit as usize;
    consents.truncate(limit as usize);
    let mut table = Table::new(["CONSENT", "USER", "CLIENT", "SCOPE", "STATE", "GRANTED", "ENDS"]);
    let mut people = People::new(store);
    for record in &consents {
        table.row([
            record.id.to_string(),
            people.name(record.user).await?,
            record.client.to_string(),
            record.scope.to_string(),
            state(record, now).to_owned(),
            time(record.granted_at),
            time(record.withdrawn_at.or(record.expires_at)),
        ]);
    }
    let answer = table.answer(consents.iter().map(|record| Value::Object(shown(record, now))).collect());
    Ok(match consents.last().filter(|_| more) {
        Some(last) => answer.note(format_args!("there are more: --before {}", last.id)),
        None => answer,
    })
}

async fn show(store: &Store, id: ConsentId) -> Result<Answer, Failure> {
    let record = found("consent", id, store.consent_by_id(id).await.map_err(Failure::new)?)?;
    let mut members = shown(&record, SystemClock.now());
    members.insert("username".to_owned(), People::new(store).name(record.user).await?.into());
    Ok(Answer::new(details(&members), Value::Object(members)))
}

async fn revoke(service: &Service, id: ConsentId) -> Result<Answer, Failure> {
    let (record, revoked) = outcome(operate(service).revoke_consent(id).await)?;
    let text = if revoked {
        format!("consent {id} is withdrawn; every grant and token of {} below it is dead", record.client)
    } else {
        format!("consent {id} was over before")
    };
    Ok(Answer::new(text, json!({ "id": id, "revoked": revoked })))
}

fn shown(record: &ConsentRecord, now: DateTime<Utc>) -> Map<String, Value> {
    let mut members = Map::new();
    let mut put = |name: &str, value| members.insert(name.to_owned(), value);
    put("id", json(record.id));
    put("state", state(record, now).into());
    put("user", json(record.user));
    put("client_id", json(&record.client));
    put("scope", json(&record.scope));
    put("resources", json(&record.resources));
    put("authorization_details", json(&record.details));
    put("granted_at", time(record.granted_at).into());
    put("updated_at", time(record.updated_at).into());
    put("expires_at", json(record.expires_at.map(time)));
    put("withdrawn_at", json(record.withdrawn_at.map(time)));
    members
}

fn state(record: &ConsentRecord, now: DateTime<Utc>) -> &'static str {
    match record.withdrawn_at {
        Some(_) => "withdrawn",
        None if record.is_live(now) => "live",
        None => "expired",
    }
}
