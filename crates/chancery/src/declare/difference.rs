//! What would change: the file against the store, shown before anything happens.
//!
//! Both sides are brought to one normal form, a JSON object for each resource without absent and
//! empty members, so that a default that is written out is no change. Secrets are compared, never
//! shown.

use std::{collections::BTreeMap, fmt};

use mfa::PasswordHash;
use protocol::secret::Password;
use serde::Serialize;
use serde_json::{Map, Value};

use crate::declare::{Declared, DeclaredPassword};

/// A member whose value is a digest of a secret.
const SECRET: &str = "secret";
/// A member whose value is a password.
const PASSWORD: &str = "password";

/// What kind of thing changes; in the order in which changes are applied, because scopes name
/// resource servers and users name roles.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Kind {
    /// `[[role]]`
    Role,
    /// `[[resource_server]]`
    ResourceServer,
    /// `[[scope]]`
    Scope,
    /// `[[authorization_details_type]]`
    DetailType,
    /// `[[client]]`
    Client,
    /// `[[user]]`
    User,
}

impl fmt::Display for Kind {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(match self {
            Self::Role => "role",
            Self::ResourceServer => "resource server",
            Self::Scope => "scope",
            Self::DetailType => "details type",
            Self::Client => "client",
            Self::User => "user",
        })
    }
}

/// What happens to one resource.
#[derive(Clone, Debug, PartialEq, Serialize)]
#[serde(tag = "action", rename_all = "snake_case")]
pub enum Action {
    /// It is new.
    Create,
    /// Some members change.
    Update {
        /// Which ones.
        fields: Vec<Field>,
    },
    /// Nothing.
    Unchanged,
    /// The store has it, the file does not; it stays as it is.
    NotInFile,
}

/// One member that changes.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct Field {
    /// Its name.
    pub name: String,
    /// The values, unless they are secret.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub values: Option<FieldValues>,
}

/// Both values of a member; `null` where it is absent.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct FieldValues {
    /// In the store.
    pub from: Value,
    /// In the file.
    pub to: Value,
}

/// One line of the difference.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct Change {
    /// What it is.
    pub resource: Kind,
    /// Its name: client id, audience, scope, role or user name.
    pub name: String,
    /// What happens to it.
    #[serde(flatten)]
    pub action: Action,
}

/// One side in normal form: resources by kind and name.
type Inventory<'a> = BTreeMap<(Kind, String), Resource<'a>>;

struct Resource<'a> {
    members: Map<String, Value>,
    password: Option<&'a DeclaredPassword>,
}

/// Compares the file (`wanted`) with the store (`current`). `matches` says whether a password in
/// clear is the one that a stored hash was made of; it takes as long as a sign-in, once for each
/// user whose password stands in the file.
pub fn difference(
    current: &Declared,
    wanted: &Declared,
    matches: impl Fn(&Password, &PasswordHash) -> bool,
) -> Vec<Change> {
    let mut current = inventory(current);
    let mut changes = Vec::new();
    for ((resource, name), wanted) in inventory(wanted) {
        let action = match current.remove(&(resource, name.clone())) {
            None => Action::Create,
            Some(current) => {
                let fields = fields(&current, &wanted, &matches);
                if fields.is_empty() { Action::Unchanged } else { Action::Update { fields } }
            }
        };
        changes.push(Change { resource, name, action });
    }
    changes.extend(current.into_keys().map(|(resource, name)| Change {
        resource,
        name,
        action: Action::NotInFile,
    }));
    changes
}

fn fields(
    current: &Resource<'_>,
    wanted: &Resource<'_>,
    matches: &impl Fn(&Password, &PasswordHash) -> bool,
) -> Vec<Field> {
    let mut names: Vec<&String> = current.members.keys().chain(wanted.members.keys()).collect();
    names.sort_unstable();
    names.dedup();
    let mut fields: Vec<Field> = names
        .into_iter()
        .filter_map(|name| {
            let (from, to) = (current.members.get(name), wanted.members.get(name));
            // A secret that the file does not mention stays.
            if from == to || (name == SECRET && to.is_none()) {
                return None;
            }
            let shown = |value: Option<&Value>| value.cloned().unwrap_or_default();
            let values = (name != SECRET).then(|| FieldValues { from: shown(from), to: shown(to) });
            Some(Field { name: name.clone(), values })
        })
        .collect();
    if password_changes(current.password, wanted.password, matches) {
        fields.push(Field { name: PASSWORD.to_owned(), values: None });
    }
    fields
}

fn password_changes(
    current: Option<&DeclaredPassword>,
    wanted: Option<&DeclaredPassword>,
    matches: &impl Fn(&Password, &PasswordHash) -> bool,
) -> bool {
    match (current, wanted) {
        (_, None) => false,
        (Some(DeclaredPassword::Hash(current)), Some(DeclaredPassword::Hash(wanted))) => current != wanted,
        (Some(DeclaredPassword::Hash(current)), Some(DeclaredPassword::Plain(wanted))) => {
            !matches(wanted, current)
        }
        (_, Some(_)) => true,
    }
}

fn inventory(declared: &Declared) -> Inventory<'_> {
    let mut inventory = Inventory::new();
    let mut add = |kind, name: &str, members: Map<String, Value>, password| {
        inventory.insert((kind, name.to_owned()), Resource { members: without_absent(members), password });
    };
    for role in &declared.roles {
        let members = Map::from_iter([("description".to_owned(), Value::from(role.description.as_str()))]);
        add(Kind::Role, role.name.as_str(), members, None);
    }
    for server in &declared.resource_servers {
        let mut members = object(server);
        if let Some(Value::Object(mut introspection)) = members.remove("introspection") {
            members.insert("introspection_id".to_owned(), introspection.remove("id").unwrap_or_default());
            members.insert(SECRET.to_owned(), introspection.remove(SECRET).unwrap_or_default());
        }
        add(Kind::ResourceServer, &server.audience, members, None);
    }
    for scope in &declared.scopes {
        add(Kind::Scope, scope.name.as_str(), object(scope), None);
    }
    for kind in &declared.detail_types {
        let mut members = object(kind);
        members.remove("type");
        add(Kind::DetailType, &kind.name, members, None);
    }
    for client in &declared.clients {
        let mut members = object(&client.metadata);
        members.extend(object(&client.settings));
        members.insert(SECRET.to_owned(), client.secret.map(|digest| digest.to_string()).into());
        add(Kind::Client, client.id.as_str(), members, None);
    }
    for user in &declared.users {
        let mut roles: Vec<_> = user.roles.iter().map(|role| role.as_str()).collect();
        roles.sort_unstable();
        roles.dedup();
        let mut members = object(&user.claims);
        members.insert("roles".to_owned(), roles.into());
        members.insert("second_factor".to_owned(), user.second_factor.map(|policy| policy.as_str()).into());
        let accounts = serde_json::to_value(&user.accounts).unwrap_or_default();
        members.insert("accounts".to_owned(), accounts);
        add(Kind::User, user.username.as_str(), members, user.password.as_ref());
    }
    inventory
}

pub(crate) fn object(value: &impl Serialize) -> Map<String, Value> {
    match serde_json::to_value(value) {
        Ok(Value::Object(members)) => members,
        _ => Map::new(),
    }
}

/// Absent, `null` and empty are the same here: no member of a resource tells them apart.
pub(crate) fn without_absent(members: Map<String, Value>) -> Map<String, Value> {
    members
        .into_iter()
        .filter(|(_, value)| match value {
            Value::Null => false,
            Value::String(text) => !text.is_empty(),
            Value::Array(items) => !items.is_empty(),
            Value::Object(members) => !members.is_empty(),
            _ => true,
        })
        .collect()
}

/// The whole difference as people read it: `+` is new, `~` changes, `=` is as it should be, `?` is not
/// in the file.
pub struct Shown<'a>(pub &'a [Change]);

impl fmt::Display for Shown<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let mut counts = [0_usize; 4];
        for Change { resource, name, action } in self.0 {
            let (column, sign, note) = match action {
                Action::Create => (0, '+', ""),
                Action::Update { .. } => (1, '~', ""),
                Action::Unchanged => (2, '=', ""),
                Action::NotInFile => (3, '?', "  (not in this file; left alone)"),
            };
            counts[column] += 1;
            writeln!(f, "{sign} {resource:<15} {name}{note}")?;
            let Action::Update { fields } = action else { continue };
            for field in fields {
                match &field.values {
                    None => writeln!(f, "    {}: secret changes", field.name)?,
                    Some(values) => writeln!(f, "    {}: {} -> {}", field.name, values.from, values.to)?,
                }
            }
        }
        let [create, update, unchanged, other] = counts;
        write!(f, "{create} to create, {update} to change, {unchanged} unchanged, {other} not in this file")
    }
}

/// Whether anything is to be done.
pub fn is_change(changes: &[Change]) -> bool {
    changes.iter().any(|change| matches!(change.action, Action::Create | Action::Update { .. }))
}

#[cfg(test)]
#[path = "difference_tests.rs"]
mod tests;
