//! `chancery resource-servers …` and `chancery scopes …`

use consent::{ResourceServer, ScopeDefinition};
use flows::{Service, operate::ResourceServerAndSecret};
use protocol::{ScopeToken, client::TokenFormat};
use serde_json::{Map, Value, json};
use store::Store;

use super::{
    Failure,
    answer::{Answer, Table, details, json, time},
    input,
    operator::{found, operate, outcome, with_service, with_store},
};
use crate::{
    cli::{
        Common,
        catalogue::{ResourceServersCommand, ScopeMembers, ScopesCommand, ServerMembers},
    },
    declare::difference::{object, without_absent},
};

/// Runs a command about resource servers.
///
/// # Errors
/// As the exit codes say.
pub async fn resource_servers(command: &ResourceServersCommand, common: &Common) -> Result<Answer, Failure> {
    match command {
        ResourceServersCommand::List => with_store(common, list_servers).await,
        ResourceServersCommand::Show { audience } => {
            with_store(common, async |store| show_server(store, audience).await).await
        }
        ResourceServersCommand::Delete { audience, confirm } => {
            input::confirm(*confirm, &format!("Delete resource server {audience}?"))?;
            with_service(common, async |service| {
                outcome(operate(service).delete_resource_server(audience).await)?;
                Ok(Answer::new(
                    format!("resource server {audience} is deleted"),
                    json!({ "audience": audience }),
                ))
            })
            .await
        }
        change => with_service(common, async |service| change_server(service, change).await).await,
    }
}

async fn list_servers(store: &Store) -> Result<Answer, Failure> {
    let servers = store.resource_servers().await.map_err(Failure::new)?;
    let mut table = Table::new(["AUDIENCE", "NAME", "TOKENS", "INTROSPECTS AS", "LIFETIME"]);
    for server in &servers {
        table.row([
            server.audience.clone(),
            server.name.clone(),
            server.token_format.to_string(),
            server.introspection.as_ref().map(|known| known.id.to_string()).unwrap_or_default(),
            seconds(server.access_token_lifetime),
        ]);
    }
    Ok(table.answer(servers.iter().map(shown).collect()))
}

async fn show_server(store: &Store, audience: &str) -> Result<Answer, Failure> {
    let servers = store.resource_servers().await.map_err(Failure::new)?;
    let server = servers.into_iter().find(|server| server.audience == audience);
    let shown = shown(&found("resource server", audience, server)?);
    Ok(Answer::new(shown.as_object().map(details).unwrap_or_default(), shown))
}

async fn change_server(service: &Service, command: &ResourceServersCommand) -> Result<Answer, Failure> {
    let operate = operate(service);
    match command {
        ResourceServersCommand::Create { audience, members, secret } => {
            let server = edited(
                ResourceServer {
                    audience: audience.clone(),
                    name: audience.clone(),
                    token_format: TokenFormat::default(),
                    introspection: None,
                    access_token_lifetime: None,
                },
                members,
            );
            let secret = input::secret(secret)?;
            let given = secret.is_some();
            let id = members.introspection_id.clone();
            let made = outcome(operate.create_resource_server(server, id, secret).await)?;
            Ok(with_secret(made, given, &format!("resource server {audience} is declared")))
        }
        ResourceServersCommand::Update { audience, members, no_introspection } => {
            let edit = |before| {
                let mut server = edited(before, members);
                server.introspection = server.introspection.filter(|_| !no_introspection);
                server
            };
            let id = members.introspection_id.clone();
            let made = outcome(operate.update_resource_server(audience, id, edit).await)?;
            Ok(with_secret(made, false, &format!("resource server {audience} is changed")))
        }
        ResourceServersCommand::RotateSecret { audience, keep_old, secret } => {
            let secret = input::secret(secret)?;
            let given = secret.is_some();
            let made = outcome(operate.rotate_resource_server_secret(audience, secret, *keep_old).await)?;
            let former = made.server.introspection.as_ref().and_then(|known| known.former.as_ref());
            let old = former.map_or_else(
                || "the old one no longer counts".to_owned(),
                |former| format!("the old one counts until {}", time(former.expires_at)),
            );
            Ok(with_secret(made, given, &format!("resource server {audience} has a new secret; {old}")))
        }
        ResourceServersCommand::List
        | ResourceServersCommand::Show { .. }
        | ResourceServersCommand::Delete { .. } => Ok(Answer::nothing()),
    }
}

fn edited(server: ResourceServer, members: &ServerMembers) -> ResourceServer {
    ResourceServer {
        name: members.name.clone().unwrap_or(server.name),
        token_format: members.token_format.unwrap_or(server.token_format),
        access_token_lifetime: members
            .access_token_lifetime
            .map_or(server.access_token_lifetime, |lifetime| lifetime.0),
        ..server
    }
}

/// What was done. A new secret stands alone on standard output; one that was `given` is not repeated.
fn with_secret(done: ResourceServerAndSecret, given: bool, text: &str) -> Answer {
    let mut members = shown(&done.server);
    match done.secret.filter(|_| !given) {
        None => Answer::new(text, members),
        Some(secret) => {
            members["introspection_secret"] = secret.expose().into();
            Answer::new(secret.expose(), members)
                .note(format_args!("{text}; the introspection secret is shown this once:"))
        }
    }
}

/// Everything about a resource server but its secrets.
fn shown(server: &ResourceServer) -> Value {
    let mut members = object(server);
    members.remove("introspection");
    if let Some(known) = &server.introspection {
        members.insert("introspection_id".to_owned(), json(&known.id));
        let former = known.former.as_ref().map(|former| time(former.expires_at));
        members.insert("former_secret_until".to_owned(), json(former));
    }
    Value::Object(without_absent(members))
}

/// Runs a command about scopes.
///
/// # Errors
/// As the exit codes say.
pub async fn scopes(command: &ScopesCommand, common: &Common) -> Result<Answer, Failure> {
    match command {
        ScopesCommand::List => with_store(common, list_scopes).await,
        ScopesCommand::Show { name } => with_store(common, async |store| show_scope(store, name).await).await,
        ScopesCommand::Create { name, members } => {
            let scope = patched(Map::new(), name, patch(members)?).map_err(given)?;
            with_service(common, async |service| {
                let scope = outcome(operate(service).create_scope(scope).await)?;
                Ok(Answer::new(format!("scope {name} is declared"), scope_members(&scope)))
            })
            .await
        }
        ScopesCommand::Update { name, members } => {
            let patch = patch(members)?;
            with_service(common, async |service| {
                let edit = |before: ScopeDefinition| patched(object(&before), name, patch);
                let scope = outcome(operate(service).update_scope(name, edit).await)?;
                Ok(Answer::new(format!("scope {name} is changed"), scope_members(&scope)))
            })
            .await
        }
        ScopesCommand::Delete { name, from_clients, confirm } => {
            input::confirm(*confirm, &format!("Delete scope {name}? Tokens and consents lose it at once."))?;
            with_service(common, async |service| {
                let lost = outcome(operate(service).delete_scope(name, *from_clients).await)?;
                let text = match lost.len() {
                    0 => format!("scope {name} is deleted"),
                    count => format!("scope {name} is deleted, and taken from {count} clients"),
                };
                Ok(Answer::new(text, json!({ "name": name, "taken_from": lost })))
            })
            .await
        }
    }
}

async fn list_scopes(store: &Store) -> Result<Answer, Failure> {
    let scopes = store.scopes().await.map_err(Failure::new)?;
    let mut table = Table::new(["SCOPE", "TITLE", "AUDIENCE", "ROLES", "DEMANDS", "LONGEST"]);
    for scope in &scopes {
        let demands = [(scope.sensitive, "attention"), (scope.second_factor_required, "second factor")];
        let demands: Vec<_> = demands.iter().filter(|(asked, _)| *asked).map(|(_, name)| *name).collect();
        table.row([
            scope.name.to_string(),
            scope.title.clone(),
            scope.audience.clone().unwrap_or_default(),
            scope.roles.iter().map(|role| role.as_str()).collect::<Vec<_>>().join(" "),
            demands.join(", "),
            seconds(scope.max_lifetime),
        ]);
    }
    Ok(table.answer(scopes.iter().map(scope_members).collect()))
}

async fn show_scope(store: &Store, name: &ScopeToken) -> Result<Answer, Failure> {
    let scopes = store.scopes().await.map_err(Failure::new)?;
    let scope = found("scope", name, scopes.into_iter().find(|scope| scope.name == *name))?;
    let members = scope_members(&scope);
    Ok(Answer::new(members.as_object().map(details).unwrap_or_default(), members))
}

fn scope_members(scope: &ScopeDefinition) -> Value {
    Value::Object(without_absent(object(scope)))
}

fn patch(members: &ScopeMembers) -> Result<Map<String, Value>, Failure> {
    let mut patch = input::document(members.from.as_deref())?;
    input::put(&mut patch, "title", members.title.as_ref());
    input::put(&mut patch, "description", members.description.as_ref());
    input::put(&mut patch, "audience", members.audience.as_ref());
    input::put_all(&mut patch, "roles", &members.role);
    input::put(&mut patch, "sensitive", members.sensitive);
    input::put(&mut patch, "financial", members.financial);
    input::put(&mut patch, "second_factor_required", members.second_factor_required);
    input::put(&mut patch, "max_lifetime", members.max_lifetime.map(|lifetime| lifetime.0));
    Ok(patch)
}

fn patched(
    before: Map<String, Value>,
    name: &ScopeToken,
    patch: Map<String, Value>,
) -> Result<ScopeDefinition, Vec<String>> {
    let mut members = without_absent(before);
    input::merge(&mut members, patch);
    members.insert("name".to_owned(), json(name));
    let mut faults: Vec<String> = ["title", "description"]
        .iter()
        .filter(|member| !members.contains_key(**member))
        .map(|member| format!("{member}: customers must read something; say --{member}"))
        .collect();
    if let Err(fault) = input::lifetime_in_seconds(&mut members, "max_lifetime") {
        faults.push(fault);
    }
    if !faults.is_empty() {
        return Err(faults);
    }
    input::typed(members).map_err(|fault| vec![fault])
}

#[expect(clippy::needless_pass_by_value, reason = "the shape that map_err wants")]
fn given(faults: Vec<String>) -> Failure {
    Failure::given(faults.join("\n"))
}

/// A lifetime as people write it.
fn seconds(seconds: Option<i64>) -> String {
    let known = seconds.and_then(|seconds| u64::try_from(seconds).ok());
    known.map_or_else(String::new, |seconds| {
        humantime::format_duration(std::time::Duration::from_secs(seconds)).to_string()
    })
}
