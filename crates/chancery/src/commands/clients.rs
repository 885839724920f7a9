//! `chancery clients …`

use std::collections::BTreeMap;

use flows::{
    Service,
    operate::{ClientAndSecret, ClientDraft},
};
use protocol::{
    ClientId,
    client::{AuthMethod, Profile},
};
use serde_json::{Map, Value, json};
use store::Store;
use tokens::{
    client::{ClientRecord, ClientSettings},
    profile::{Finding, Verdict},
};

use super::{
    Failure, UNFIT,
    answer::{Answer, Table, clean, details, json, time},
    input,
    operator::{found, operate, outcome, with_service, with_store},
};
use crate::{
    cli::{
        Common,
        clients::{ClientCreate, ClientMembers, ClientUpdate, ClientsCommand, RotateClientSecret},
    },
    declare::difference::{object, without_absent},
};

/// What `show` says beyond what may be changed.
const READ_ONLY: [&str; 6] = ["client_id", "origin", "disabled", "created_at", "updated_at", "secrets"];

/// Runs one of them.
///
/// # Errors
/// As the exit codes say.
pub async fn run(command: &ClientsCommand, common: &Common) -> Result<Answer, Failure> {
    match command {
        ClientsCommand::List { all } => with_store(common, async |store| list(store, *all).await).await,
        ClientsCommand::Show { client_id } => {
            with_store(common, async |store| show(store, client_id).await).await
        }
        ClientsCommand::Check { client_id, profile } => {
            with_service(common, async |service| check(service, client_id, *profile).await).await
        }
        ClientsCommand::Create(arguments) => {
            with_service(common, async |service| create(service, arguments).await).await
        }
        ClientsCommand::Update(arguments) => {
            with_service(common, async |service| update(service, arguments).await).await
        }
        ClientsCommand::Delete { client_id, confirm } => {
            let question = format!("End every consent, grant and token of {client_id}, for good?");
            input::confirm(*confirm, &question)?;
            with_service(common, async |service| delete(service, client_id).await).await
        }
        ClientsCommand::RotateSecret(arguments) => {
            with_service(common, async |service| rotate_secret(service, arguments).await).await
        }
    }
}

async fn list(store: &Store, all: bool) -> Result<Answer, Failure> {
    let mut clients = store.clients().await.map_err(Failure::new)?;
    clients.retain(|client| all || !client.disabled);
    let registrations = store.registrations().await.map_err(Failure::new)?;
    let origins: BTreeMap<&ClientId, &str> =
        registrations.iter().map(|came| (&came.client, came.origin.as_str())).collect();
    let origin = |client: &ClientRecord| origins.get(&client.id).copied().unwrap_or("declared");
    let mut table =
        Table::new(["CLIENT ID", "NAME", "AUTHENTICATION", "GRANTS", "ORIGIN", "STATE", "UPDATED"]);
    for client in &clients {
        let metadata = &client.metadata;
        let method = metadata.token_endpoint_auth_method.unwrap_or(AuthMethod::ClientSecretBasic);
        let grants = metadata.grant_types.as_deref().map_or_else(
            || "authorization_code".to_owned(),
            |grants| grants.iter().map(|grant| grant.as_str()).collect::<Vec<_>>().join(" "),
        );
        table.row([
            client.id.to_string(),
            metadata.client_name.clone().unwrap_or_default(),
            method.to_string(),
            grants,
            origin(client).to_owned(),
            if client.disabled { "deleted" } else { "active" }.to_owned(),
            time(client.updated_at),
        ]);
    }
    let members = |client: &ClientRecord| {
        let mut members = shown(client);
        members["origin"] = origin(client).into();
        members
    };
    Ok(table.answer(clients.iter().map(members).collect()))
}

async fn show(store: &Store, id: &ClientId) -> Result<Answer, Failure> {
    let record = found("client", id, store.client(id).await.map_err(Failure::new)?)?;
    let came = store.registration(id).await.map_err(Failure::new)?;
    Ok(answer(&record, came.as_ref().map_or("declared", |came| came.origin.as_str())))
}

async fn check(service: &Service, id: &ClientId, profile: Option<Profile>) -> Result<Answer, Failure> {
    let checked = outcome(operate(service).check_client(id, profile).await)?;
    let (profile, findings) = (checked.checked, &checked.findings);
    let having = |verdict| findings.iter().filter(move |finding| finding.verdict == verdict);
    let broken = having(Verdict::Broken).count();
    let said = match broken {
        0 => format!("nothing keeps client {id} from profile {profile}"),
        1 => format!("1 thing keeps client {id} from profile {profile}"),
        many => format!("{many} things keep client {id} from profile {profile}"),
    };
    let mut lines =
        vec![if checked.own == profile { said } else { format!("{said}; it has {}", checked.own) }];
    for (verdict, title) in [
        (Verdict::Broken, "to be changed in its registration:"),
        (Verdict::Demanded, "asked of its program, at each request:"),
        (Verdict::Kept, "as it should be:"),
    ] {
        let found: Vec<_> = having(verdict).collect();
        if !found.is_empty() {
            lines.push(format!("\n{title}"));
            let line = |finding: &&Finding| {
                format!("  {:<19} {}  [{}]", finding.rule, clean(&finding.text), finding.cites)
            };
            lines.extend(found.iter().map(line));
        }
    }
    let json = json!({
        "client_id": id, "profile": checked.own, "checked": profile, "fits": checked.fits(), "findings": findings
    });
    let answer = Answer::new(lines.join("\n"), json);
    Ok(if checked.fits() { answer } else { answer.ending(UNFIT) })
}

async fn create(service: &Service, arguments: &ClientCreate) -> Result<Answer, Failure> {
    let draft = patched(&ClientDraft::default(), patch(&arguments.members)?)
        .map_err(|faults| Failure::given(faults.join("\n")))?;
    let secret = input::secret(&arguments.secret)?;
    let given = secret.is_some();
    let id = arguments.client_id.clone();
    let mut made = outcome(operate(service).create_client(id, draft, secret).await)?;
    if given {
        made.secret = None;
    }
    Ok(with_secret(&made, &format!("client {} is registered", made.record.id)))
}

async fn update(service: &Service, arguments: &ClientUpdate) -> Result<Answer, Failure> {
    let patch = patch(&arguments.members)?;
    let edit = |draft| patched(&draft, patch);
    let changed = outcome(operate(service).update_client(&arguments.client_id, edit).await)?;
    Ok(with_secret(&changed, &format!("client {} is changed", changed.record.id)))
}

async fn delete(service: &Service, id: &ClientId) -> Result<Answer, Failure> {
    let ended = outcome(operate(service).delete_client(id).await)?;
    let (consents, grants, tokens) = (ended.consents, ended.grants, ended.access_tokens);
    let text = format!(
        "client {id} is deleted: {consents} consents withdrawn, {grants} grants and {tokens} tokens revoked"
    );
    let json = json!({
        "client_id": id, "consents": consents, "grants": grants, "access_tokens": tokens, "removed": ended.removed
    });
    let answer = Answer::new(text, json);
    Ok(if ended.removed {
        answer
    } else {
        answer.note("consents name it, so its record stays, disabled, and its identifier stays taken")
    })
}

async fn rotate_secret(service: &Service, arguments: &RotateClientSecret) -> Result<Answer, Failure> {
    let secret = input::secret(&arguments.secret)?;
    let given = secret.is_some();
    let id = &arguments.client_id;
    let mut rotated = outcome(operate(service).rotate_client_secret(id, secret, arguments.keep_old).await)?;
    if given {
        rotated.secret = None;
    }
    let until = rotated.record.secrets.iter().filter_map(|secret| secret.expires_at).max();
    let done = match until {
        Some(until) => format!("client {id} has a new secret; the old one counts until {}", time(until)),
        None => format!("client {id} has a new secret; the old one no longer counts"),
    };
    Ok(with_secret(&rotated, &done))
}

/// What was done. A new secret stands alone on standard output.
fn with_secret(done: &ClientAndSecret, text: &str) -> Answer {
    let mut members = shown(&done.record);
    match &done.secret {
        None => Answer::new(text, members),
        Some(secret) => {
            members["client_secret"] = secret.expose().into();
            Answer::new(secret.expose(), members).note(format_args!("{text}; the secret is shown this once:"))
        }
    }
}

fn answer(record: &ClientRecord, origin: &str) -> Answer {
    let mut members = shown(record);
    members["origin"] = origin.into();
    let secrets = record.secrets.iter().map(|secret| match secret.expires_at {
        None => "current".to_owned(),
        Some(end) => format!("until {}", time(end)),
    });
    let mut readable = members.clone();
    readable["secrets"] = secrets.collect();
    Answer::new(readable.as_object().map(details).unwrap_or_default(), members)
}

/// Everything about a client but its secrets, of which only the end is shown.
fn shown(record: &ClientRecord) -> Value {
    let secrets = record.secrets.iter().map(|secret| json!({ "expires_at": secret.expires_at.map(time) }));
    let mut members = Map::new();
    members.insert("client_id".to_owned(), json(&record.id));
    members.extend(object(&record.metadata));
    members.extend(object(&record.settings));
    members.insert("secrets".to_owned(), secrets.collect());
    members.insert("disabled".to_owned(), record.disabled.into());
    members.insert("created_at".to_owned(), time(record.created_at).into());
    members.insert("updated_at".to_owned(), time(record.updated_at).into());
    Value::Object(without_absent(members))
}

/// What the arguments say, as members.
fn patch(members: &ClientMembers) -> Result<Map<String, Value>, Failure> {
    let mut patch = input::document(members.from.as_deref())?;
    patch.retain(|name, _| !READ_ONLY.contains(&name.as_str()));
    input::put(&mut patch, "client_name", members.name.as_ref());
    input::put(&mut patch, "application_type", members.application_type.as_ref());
    input::put(&mut patch, "token_endpoint_auth_method", members.auth_method);
    input::put_all(&mut patch, "redirect_uris", &members.redirect_uri);
    input::put_all(&mut patch, "post_logout_redirect_uris", &members.post_logout_redirect_uri);
    input::put_all(&mut patch, "grant_types", &members.grant_type);
    input::put(&mut patch, "scope", members.scope.as_ref());
    if let Some(path) = &members.jwks_file {
        patch.insert("jwks".to_owned(), Value::Object(input::document(Some(path))?));
    }
    input::put(&mut patch, "id_token_signed_response_alg", members.id_token_algorithm.as_ref());
    input::put(&mut patch, "access_token_format", members.access_token_format);
    input::put(&mut patch, "second_factor", members.second_factor);
    input::put(&mut patch, "consent_lifetime", members.consent_lifetime.map(|lifetime| lifetime.0));
    input::put(&mut patch, "profile", members.profile);
    input::put(&mut patch, "device_grant", members.device_grant);
    input::put_all(&mut patch, "pushed_redirect_hosts", &members.pushed_redirect_host);
    input::put(&mut patch, "refresh_rotation_grace", members.refresh_rotation_grace.map(|grace| grace.0));
    input::put(&mut patch, "first_party", members.first_party);
    input::put(&mut patch, "require_pkce", members.require_pkce);
    Ok(patch)
}

/// The draft with the patch applied to it. What is absent and a default are the same.
fn patched(draft: &ClientDraft, patch: Map<String, Value>) -> Result<ClientDraft, Vec<String>> {
    // Keys are replaced whole: half of one set and half of another would be neither.
    let mut members = without_absent(object(&draft.metadata));
    if patch.contains_key("jwks") {
        members.remove("jwks");
    }
    let settings = serde_aux::serde_introspection::serde_introspect::<ClientSettings>();
    members.extend(without_absent(object(&draft.settings)));
    input::merge(&mut members, patch);
    let mut faults = Vec::new();
    for name in ["consent_lifetime", "refresh_rotation_grace"] {
        if let Err(fault) = input::lifetime_in_seconds(&mut members, name) {
            faults.push(fault);
        }
    }
    let (settings, metadata) = members.into_iter().partition(|(name, _)| settings.contains(&name.as_str()));
    let settings = input::typed(settings).map_err(|fault| faults.push(fault)).ok();
    let metadata = input::typed(metadata).map_err(|fault| faults.push(fault)).ok();
    match (metadata, settings) {
        (Some(metadata), Some(settings)) if faults.is_empty() => Ok(ClientDraft { metadata, settings }),
        _ => Err(faults),
    }
}
