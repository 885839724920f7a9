//! `chancery registration …`

use flows::{Service, operate::InitialTokenDraft};
use serde_json::{Value, json};
use store::Store;
use tokens::initial_token::{InitialTokenRecord, InitialTokenState};
use uuid::Uuid;

use super::{
    Failure,
    answer::{Answer, Table, time},
    input,
    operator::{operate, outcome, with_service},
};
use crate::cli::{
    Common,
    registration::{RegistrationCommand, TokenCreate, TokensCommand},
};

/// Runs one of them.
///
/// # Errors
/// As the exit codes say.
pub async fn run(command: &RegistrationCommand, common: &Common) -> Result<Answer, Failure> {
    let RegistrationCommand::Tokens(command) = command;
    match command {
        TokensCommand::Create(arguments) => {
            with_service(common, async |service| create(service, arguments).await).await
        }
        TokensCommand::List { all } => with_service(common, async |service| list(service, *all).await).await,
        TokensCommand::Revoke { id, confirm } => {
            input::confirm(*confirm, &format!("Let nobody register with {id} any more?"))?;
            with_service(common, async |service| revoke(service, *id).await).await
        }
    }
}

async fn create(service: &Service, arguments: &TokenCreate) -> Result<Answer, Failure> {
    let draft = InitialTokenDraft {
        policy: arguments.policy.clone(),
        note: arguments.note.clone(),
        max_uses: if arguments.reusable { None } else { Some(arguments.uses.unwrap_or(1)) },
        expires_at: arguments.expires.0.map(|span| service.now() + span),
    };
    let (record, token) = outcome(operate(service).create_initial_token(draft).await)?;
    let mut members = shown(&record, InitialTokenState::Usable);
    members["initial_access_token"] = token.expose().into();
    let note = format!("initial access token {} is made; it is shown this once:", record.id);
    Ok(Answer::new(token.expose(), members).note(note))
}

async fn list(service: &Service, all: bool) -> Result<Answer, Failure> {
    let store: &Store = service.store();
    let now = service.now();
    let mut tokens = store.initial_tokens().await.map_err(Failure::new)?;
    tokens.retain(|token| all || token.state(now) == InitialTokenState::Usable);
    let mut table = Table::new(["ID", "POLICY", "USED", "STATE", "EXPIRES", "NOTE"]);
    for token in &tokens {
        table.row([
            token.id.to_string(),
            token.policy.clone(),
            token.max_uses.map_or_else(|| token.uses.to_string(), |most| format!("{} of {most}", token.uses)),
            token.state(now).as_str().to_owned(),
            time(token.expires_at),
            token.note.clone(),
        ]);
    }
    Ok(table.answer(tokens.iter().map(|token| shown(token, token.state(now))).collect()))
}

async fn revoke(service: &Service, id: Uuid) -> Result<Answer, Failure> {
    outcome(operate(service).revoke_initial_token(id).await)?;
    Ok(Answer::new(format_args!("initial access token {id} is revoked"), json!({ "id": id })))
}

/// Everything about a token but the token.
fn shown(record: &InitialTokenRecord, state: InitialTokenState) -> Value {
    json!({
        "id": record.id,
        "policy": record.policy,
        "note": record.note,
        "uses": record.uses,
        "max_uses": record.max_uses,
        "state": state.as_str(),
        "created_at": time(record.created_at),
        "expires_at": record.expires_at.map(time),
        "revoked_at": record.revoked_at.map(time),
    })
}
