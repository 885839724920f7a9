//! Rich authorization details (RFC 9396 §2): what exactly is asked for, as an array of typed objects.
//!
//! Here the bytes are read, strictly: an array of objects, each with a `type`, no member twice. Whether a
//! type is known and its members are right is said by the catalogue of types in `consent`.

use std::fmt;

use serde::{Deserialize, Serialize};
use serde_json::{Map, Value};

use crate::{json, params::Params};

/// The longest parameter that is read, in bytes.
pub const MAX_BYTES: usize = 16 * 1024;
/// So many details may be asked for at once; more can't be judged by a person.
pub const MAX_DETAILS: usize = 16;
/// The longest name of a type, in bytes.
const MAX_TYPE_BYTES: usize = 256;

/// One detail: an object whose `type` says what else is in it. `Debug` shows the type only, because the rest
/// may be personal.
#[derive(Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(try_from = "Map<String, Value>", into = "Map<String, Value>")]
pub struct AuthorizationDetail {
    kind: String,
    members: Map<String, Value>,
}

/// The details of one request, grant or token, in their order.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(transparent)]
pub struct AuthorizationDetails(Vec<AuthorizationDetail>);

/// Why the parameter is refused: `invalid_authorization_details` (RFC 9396 §5, RAR-01).
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum DetailsFault {
    /// More than [`MAX_BYTES`] or [`MAX_DETAILS`].
    #[error("authorization_details is too large")]
    TooLarge,
    /// Not JSON, or a member is there twice (JO-02).
    #[error("authorization_details is not acceptable JSON")]
    NotJson,
    /// Not an array of objects.
    #[error("authorization_details must be an array of objects")]
    NotAnArray,
    /// An object without a `type` that is a text.
    #[error("every authorization detail needs a type")]
    NoType,
}

impl AuthorizationDetails {
    /// Reads the parameter. An empty array asks for nothing, like an absent parameter.
    ///
    /// # Errors
    /// [`DetailsFault`].
    pub fn parse(text: &str) -> Result<Self, DetailsFault> {
        if text.len() > MAX_BYTES {
            return Err(DetailsFault::TooLarge);
        }
        Self::from_value(json::from_slice(text.as_bytes()).map_err(|_| DetailsFault::NotJson)?)
    }

    /// Reads them from JSON that was read strictly, such as a claim of a request object.
    ///
    /// # Errors
    /// [`DetailsFault`].
    pub fn from_value(value: Value) -> Result<Self, DetailsFault> {
        let Value::Array(items) = value else { return Err(DetailsFault::NotAnArray) };
        if items.len() > MAX_DETAILS {
            return Err(DetailsFault::TooLarge);
        }
        let detail = |item| match item {
            Value::Object(members) => AuthorizationDetail::try_from(members),
            _ => Err(DetailsFault::NotAnArray),
        };
        items.into_iter().map(detail).collect::<Result<_, _>>().map(Self)
    }

    /// Reads the parameter `authorization_details`, which may be absent; an empty array counts as absent.
    ///
    /// # Errors
    /// [`DetailsFault`].
    pub fn parameter(params: &Params) -> Result<Option<Self>, DetailsFault> {
        let details = params.get("authorization_details").map(Self::parse).transpose()?;
        Ok(details.filter(|details| !details.is_empty()))
    }

    /// Is nothing asked for?
    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// How many there are.
    pub fn len(&self) -> usize {
        self.0.len()
    }

    /// Each detail.
    pub fn iter(&self) -> impl Iterator<Item = &AuthorizationDetail> {
        self.0.iter()
    }

    /// Those for which `keep` holds.
    #[must_use]
    pub fn filtered(&self, keep: impl Fn(&AuthorizationDetail) -> bool) -> Self {
        Self(self.0.iter().filter(|detail| keep(detail)).cloned().collect())
    }
}

impl FromIterator<AuthorizationDetail> for AuthorizationDetails {
    fn from_iter<I: IntoIterator<Item = AuthorizationDetail>>(details: I) -> Self {
        Self(details.into_iter().collect())
    }
}

impl AuthorizationDetail {
    /// Its `type`.
    pub fn kind(&self) -> &str {
        &self.kind
    }

    /// A member.
    pub fn get(&self, name: &str) -> Option<&Value> {
        self.members.get(name)
    }

    /// Every member, `type` among them.
    pub const fn members(&self) -> &Map<String, Value> {
        &self.members
    }

    /// The same with one member set: how a grant is enriched (RFC 9396 §7.1). The `type` stays.
    #[must_use]
    pub fn with(mut self, name: &str, value: Value) -> Self {
        if name != "type" {
            self.members.insert(name.to_owned(), value);
        }
        self
    }

    /// The same without one member; the `type` stays.
    #[must_use]
    pub fn without(mut self, name: &str) -> Self {
        if name != "type" {
            self.members.remove(name);
        }
        self
    }

    /// Does this ask for nothing beyond `granted` (RAR-04)? Of arrays (actions, locations, accounts, …) a
    /// part may be asked for; every other member must be the same. What is granted for certain accounts
    /// only is not asked for without naming them.
    pub fn is_within(&self, granted: &Self) -> bool {
        let narrower = |(name, asked): (&String, &Value)| match (asked, granted.members.get(name)) {
            (Value::Array(asked), Some(Value::Array(granted))) => {
                !asked.is_empty() && asked.iter().all(|item| granted.contains(item))
            }
            (asked, Some(granted)) => asked == granted,
            (_, None) => false,
        };
        self.members.iter().all(narrower)
            && granted.members.keys().all(|name| self.members.contains_key(name))
    }
}

impl TryFrom<Map<String, Value>> for AuthorizationDetail {
    type Error = DetailsFault;

    fn try_from(members: Map<String, Value>) -> Result<Self, DetailsFault> {
        match members.get("type") {
            Some(Value::String(kind)) if (1..=MAX_TYPE_BYTES).contains(&kind.len()) => {
                Ok(Self { kind: kind.clone(), members })
            }
            _ => Err(DetailsFault::NoType),
        }
    }
}

impl From<AuthorizationDetail> for Map<String, Value> {
    fn from(detail: AuthorizationDetail) -> Self {
        detail.members
    }
}

impl fmt::Debug for AuthorizationDetail {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "AuthorizationDetail({:?})", self.kind)
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use serde_json::json;

    use super::*;

    fn detail(value: Value) -> AuthorizationDetail {
        serde_json::from_value(value).unwrap()
    }

    #[test]
    fn rar_01_an_array_of_typed_objects_and_nothing_else() {
        let parsed =
            AuthorizationDetails::parse(r#"[{"type":"payment_initiation","amount":"1.00"}]"#).unwrap();
        assert_eq!(parsed.iter().map(AuthorizationDetail::kind).collect::<Vec<_>>(), ["payment_initiation"]);
        assert!(AuthorizationDetails::parse("[]").unwrap().is_empty());
        let many = format!("[{}]", vec![r#"{"type":"a"}"#; MAX_DETAILS + 1].join(","));
        let long = format!(r#"[{{"type":"a","note":"{}"}}]"#, "x".repeat(MAX_BYTES));
        let table = [
            ("", DetailsFault::NotJson),
            ("[", DetailsFault::NotJson),
            (r#"[{"type":"a","type":"b"}]"#, DetailsFault::NotJson),
            (r#"[{"type":"a","x":{"y":1,"y":2}}]"#, DetailsFault::NotJson),
            (r#"{"type":"a"}"#, DetailsFault::NotAnArray),
            (r#"["a"]"#, DetailsFault::NotAnArray),
            ("null", DetailsFault::NotAnArray),
            ("[{}]", DetailsFault::NoType),
            (r#"[{"type":1}]"#, DetailsFault::NoType),
            (r#"[{"type":""}]"#, DetailsFault::NoType),
            (&many, DetailsFault::TooLarge),
            (&long, DetailsFault::TooLarge),
        ];
        for (text, fault) in table {
            assert_eq!(AuthorizationDetails::parse(text), Err(fault), "{}", &text[..text.len().min(60)]);
        }
    }

    #[test]
    fn rar_04_a_part_may_be_asked_for_and_nothing_beyond() {
        let granted = detail(json!({
            "type": "account_information", "actions": ["read", "list"], "accounts": ["1", "2"], "until": "2027-01-01",
        }));
        let asked = |change: Value| {
            let mut members = granted.members().clone();
            for (name, value) in change.as_object().unwrap() {
                match value {
                    Value::Null => drop(members.remove(name)),
                    value => drop(members.insert(name.clone(), value.clone())),
                }
            }
            AuthorizationDetail::try_from(members).unwrap().is_within(&granted)
        };
        assert!(asked(json!({})));
        assert!(asked(json!({"actions": ["read"], "accounts": ["2"]})));
        for wider in [
            json!({"actions": ["read", "write"]}),
            json!({"actions": []}),
            json!({"actions": "read"}),
            json!({"accounts": null}),
            json!({"until": "2028-01-01"}),
            json!({"until": null}),
            json!({"type": "payment_initiation"}),
            json!({"more": true}),
        ] {
            assert!(!asked(wider.clone()), "{wider}");
        }
    }

    #[test]
    fn debug_shows_no_members() {
        let shown = format!("{:?}", detail(json!({"type": "a", "iban": "GB33BUKB20201555555555"})));
        assert_eq!(shown, r#"AuthorizationDetail("a")"#);
    }
}
