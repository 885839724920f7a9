//! Client registration on the wire (RFC 7591, RFC 7592): what a client asks for, what it is told, and how
//! both differ from the metadata that operators write.
//!
//! An operator's mistyped member is refused so that it is noticed. A client may send members that this
//! server has never heard of, and they are ignored (RFC 7591 §2); `null` and an empty text say nothing.
//! Members are read one by one, so that a refusal names the one that is wrong.

use serde::Serialize;
use serde_json::{Map, Value};

use crate::{
    client::{AuthMethod, ClientMetadata},
    json,
    members::names_of,
    secret::ClientSecret,
};

/// The largest body that is read, in bytes.
pub const MAX_BODY: usize = 64 * 1024;
/// The longest list in a member.
const MAX_LIST: usize = 50;

/// What a client asks for.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct RegistrationRequest {
    /// The members that this server knows.
    pub metadata: ClientMetadata,
    /// A signed statement about the software, whose values win (RFC 7591 §2.3).
    pub software_statement: Option<String>,
    /// The members of an update that say which client is meant (RFC 7592 §2.2).
    pub named: NamedClient,
    members: Map<String, Value>,
}

/// What an update says about the client beside its metadata.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct NamedClient {
    /// Must be there in an update, and the same.
    pub client_id: Option<String>,
    /// May be there in an update, and must be the same.
    pub client_secret: Option<ClientSecret>,
    /// A member that only the server sets and that is there all the same (DR-08).
    pub read_only: Option<&'static str>,
}

/// Members that an update may not have (RFC 7592 §2.2).
const READ_ONLY: [&str; 4] = [
    "registration_access_token",
    "registration_client_uri",
    "client_secret_expires_at",
    "client_id_issued_at",
];

/// Why a document is no client metadata.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum RegistrationFormFault {
    /// Not JSON, or it repeats a member (JO-02).
    #[error("the body is not acceptable JSON")]
    Json,
    /// JSON, but no object.
    #[error("the body must be a JSON object")]
    NotAnObject,
    /// Over [`MAX_BODY`].
    #[error("the body is too large")]
    TooLarge,
    /// A member of the wrong type, or with a value that this server does not support.
    #[error("{0} has a value that is not supported")]
    Member(String),
    /// A list without end.
    #[error("{0} has too many values")]
    TooMany(String),
}

impl RegistrationFormFault {
    /// Whether it is this member that is wrong.
    pub fn is_about(&self, member: &str) -> bool {
        matches!(self, Self::Member(name) | Self::TooMany(name) if name == member)
    }
}

impl RegistrationRequest {
    /// Reads a body.
    ///
    /// # Errors
    /// [`RegistrationFormFault`].
    pub fn parse(body: &[u8]) -> Result<Self, RegistrationFormFault> {
        if body.len() > MAX_BODY {
            return Err(RegistrationFormFault::TooLarge);
        }
        match json::from_slice(body).map_err(|_| RegistrationFormFault::Json)? {
            Value::Object(members) => Self::read(members),
            _ => Err(RegistrationFormFault::NotAnObject),
        }
    }

    /// Reads members, whether of a body, of a software statement or of a metadata document.
    ///
    /// # Errors
    /// [`RegistrationFormFault`].
    pub fn read(members: Map<String, Value>) -> Result<Self, RegistrationFormFault> {
        let given = |value: &Value| match value {
            Value::Null => false,
            Value::String(text) => !text.is_empty(),
            _ => true,
        };
        let members: Map<String, Value> = members.into_iter().filter(|(_, value)| given(value)).collect();
        let text = |name: &str| match members.get(name) {
            None => Ok(None),
            Some(Value::String(text)) => Ok(Some(text.clone())),
            Some(_) => Err(RegistrationFormFault::Member(name.to_owned())),
        };
        let named = NamedClient {
            client_id: text("client_id")?,
            client_secret: text("client_secret")?.map(ClientSecret::new),
            read_only: READ_ONLY.into_iter().find(|name| members.contains_key(*name)),
        };
        let software_statement = text("software_statement")?;
        let members = known(members);
        Ok(Self { metadata: metadata(&members)?, software_statement, named, members })
    }

    /// The same request with the values of a statement in the place of its own (DR-05, RFC 7591 §2.3).
    ///
    /// # Errors
    /// [`RegistrationFormFault`], as they are found in the statement or in what both make together.
    pub fn overridden_by(&self, claims: Map<String, Value>) -> Result<Self, RegistrationFormFault> {
        let mut members = self.members.clone();
        members.extend(Self::read(claims)?.members);
        Ok(Self { metadata: metadata(&members)?, members, ..self.clone() })
    }

    /// Whether a member was given.
    pub fn has(&self, member: &str) -> bool {
        self.members.contains_key(member)
    }
}

/// The members that this server knows.
fn known(members: Map<String, Value>) -> Map<String, Value> {
    let known = known_members();
    members.into_iter().filter(|(name, _)| known.contains(&name.as_str())).collect()
}

/// The metadata that some members make.
fn metadata(members: &Map<String, Value>) -> Result<ClientMetadata, RegistrationFormFault> {
    for (name, value) in members {
        if value.as_array().is_some_and(|list| list.len() > MAX_LIST) {
            return Err(RegistrationFormFault::TooMany(name.clone()));
        }
        let alone = Map::from_iter([(name.clone(), value.clone())]);
        if serde_json::from_value::<ClientMetadata>(Value::Object(alone)).is_err() {
            return Err(RegistrationFormFault::Member(name.clone()));
        }
    }
    // Each member by itself was fine.
    serde_json::from_value(Value::Object(members.clone())).map_err(|_| RegistrationFormFault::Json)
}

/// The names of the members that this server knows.
pub fn known_members() -> &'static [&'static str] {
    names_of::<ClientMetadata>()
}

/// What a client is told about itself (RFC 7591 §3.2.1, RFC 7592 §3).
#[derive(Clone, Debug, Serialize)]
pub struct RegistrationResponse {
    /// Its identifier.
    pub client_id: String,
    /// When it was given, in seconds since 1970.
    pub client_id_issued_at: i64,
    /// Its secret, the one time that this server knows it.
    #[serde(skip_serializing_if = "Option::is_none", serialize_with = "exposed")]
    pub client_secret: Option<ClientSecret>,
    /// When the secret ends, in seconds since 1970; 0 for never. Absent for a client without one.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub client_secret_expires_at: Option<i64>,
    /// What lets it read, change and delete this registration.
    #[serde(serialize_with = "shown")]
    pub registration_access_token: ClientSecret,
    /// Where.
    pub registration_client_uri: String,
    /// The software statement, as it came.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub software_statement: Option<String>,
    /// Everything that is registered, defaults too.
    #[serde(flatten)]
    pub metadata: Map<String, Value>,
}

fn shown<S: serde::Serializer>(secret: &ClientSecret, serializer: S) -> Result<S::Ok, S::Error> {
    serializer.serialize_str(secret.expose())
}

fn exposed<S: serde::Serializer>(secret: &Option<ClientSecret>, serializer: S) -> Result<S::Ok, S::Error> {
    match secret {
        Some(secret) => serializer.serialize_str(secret.expose()),
        None => serializer.serialize_none(),
    }
}

/// Metadata as a client reads it: without what is absent.
pub fn members_of(metadata: &ClientMetadata) -> Map<String, Value> {
    match serde_json::to_value(metadata) {
        Ok(Value::Object(members)) => members.into_iter().filter(|(_, value)| !value.is_null()).collect(),
        _ => Map::new(),
    }
}

/// Whether a method needs a client secret.
pub const fn needs_secret(method: AuthMethod) -> bool {
    matches!(method, AuthMethod::ClientSecretBasic | AuthMethod::ClientSecretPost)
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;
    use rstest::rstest;
    use serde_json::json;

    use super::*;

    fn read(value: &Value) -> Result<RegistrationRequest, RegistrationFormFault> {
        RegistrationRequest::parse(value.to_string().as_bytes())
    }

    #[test]
    fn dr_02_unknown_members_and_nulls_say_nothing() {
        let request = read(&json!({
            "client_name": "App", "client_uri": null, "tos_uri": "", "org.example.x": { "y": 1 },
            "client_name#de": "Anwendung", "redirect_uris": ["https://a.example/cb"],
        }))
        .unwrap();
        let members = members_of(&request.metadata);
        assert_eq!(members["client_name"], "App");
        assert!(!members.contains_key("tos_uri") && !members.contains_key("client_uri"));
        assert!(known_members().contains(&"redirect_uris"));
    }

    #[rstest]
    #[case(json!({ "redirect_uris": "https://a.example/cb" }), "redirect_uris")]
    #[case(json!({ "redirect_uris": [1] }), "redirect_uris")]
    #[case(json!({ "grant_types": ["password"] }), "grant_types")]
    #[case(json!({ "token_endpoint_auth_method": "client_secret_jwt" }), "token_endpoint_auth_method")]
    #[case(json!({ "response_types": ["token"] }), "response_types")]
    #[case(json!({ "client_name": 7 }), "client_name")]
    #[case(json!({ "software_statement": {} }), "software_statement")]
    fn dr_03_a_refusal_names_the_member(#[case] body: Value, #[case] member: &str) {
        assert_eq!(read(&body), Err(RegistrationFormFault::Member(member.to_owned())));
    }

    #[test]
    fn dr_03_bodies_are_strict_json_objects_of_bounded_size() {
        let parse = |text: &str| RegistrationRequest::parse(text.as_bytes());
        assert_eq!(parse("[]"), Err(RegistrationFormFault::NotAnObject));
        assert_eq!(parse("{"), Err(RegistrationFormFault::Json));
        assert_eq!(parse(r#"{"scope":"a","scope":"b"}"#), Err(RegistrationFormFault::Json));
        assert_eq!(parse(&" ".repeat(MAX_BODY + 1)), Err(RegistrationFormFault::TooLarge));
        let many = json!({ "redirect_uris": vec!["https://a.example/cb"; MAX_LIST + 1] });
        assert_eq!(read(&many), Err(RegistrationFormFault::TooMany("redirect_uris".into())));
    }

    #[test]
    fn dr_08_server_set_members_of_an_update_are_noticed() {
        for name in READ_ONLY {
            let request = read(&json!({ "client_id": "c", "client_secret": "s", (name): 5 }));
            let named = request.unwrap().named;
            assert_eq!((named.client_id.as_deref(), named.read_only), (Some("c"), Some(name)));
        }
    }

    proptest! {
        #[test]
        fn arbitrary_bodies_never_panic(text in "\\PC{0,200}") {
            let _ = RegistrationRequest::parse(text.as_bytes());
        }
    }
}
