//! Identifiers. Each kind is a type of its own, so a grant's id can't be passed where a consent's
//! is meant. All but the client id are UUIDs that `flows` makes from injected time and entropy.

use std::{fmt, str::FromStr};

use serde::{Deserialize, Serialize};
use uuid::Uuid;

macro_rules! uuid_ids {
    ($($(#[$doc:meta])* $name:ident),* $(,)?) => {$(
        $(#[$doc])*
        #[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
        #[serde(transparent)]
        pub struct $name(pub Uuid);

        impl fmt::Display for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                self.0.hyphenated().fmt(f)
            }
        }

        impl FromStr for $name {
            type Err = uuid::Error;
            fn from_str(text: &str) -> Result<Self, Self::Err> {
                text.parse().map(Self)
            }
        }
    )*};
}

uuid_ids! {
    /// A bank customer. Its text form is the public `sub` (OC-02): never reassigned, at most 255
    /// ASCII characters.
    UserId,
    /// A consent, the parent of grants.
    ConsentId,
    /// A grant: what one consent gave to one client in one authorization; the parent of tokens.
    GrantId,
    /// An interaction: one authorization request that waits for login, second factor or consent.
    InteractionId,
    /// A session of a person's browser. Its text form is the `sid` of ID tokens (OC-35); the
    /// cookie is a secret of its own, so that the id may be public.
    SessionId,
    /// The `jti` of an access token.
    TokenId,
    /// One request as logs, audit events and error pages name it.
    CorrelationId,
}

/// A client's identifier (RFC 6749 §2.2): 1 to 255 visible ASCII characters.
///
/// It can never look like a subject, because one that parses as a UUID is refused (BCP-11).
#[derive(Clone, Debug, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct ClientId(String);

impl ClientId {
    /// The identifier as it stands on the wire.
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

/// Why a text is no client identifier.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum ClientIdFault {
    /// Empty, over 255 characters, or with a character outside `%x21-7E`.
    #[error("a client_id has 1 to 255 visible ASCII characters")]
    Malformed,
    /// It has the form of a subject identifier (BCP-11).
    #[error("a client_id may not have the form of a UUID, because subjects do")]
    LooksLikeSubject,
}

impl TryFrom<String> for ClientId {
    type Error = ClientIdFault;
    fn try_from(text: String) -> Result<Self, ClientIdFault> {
        if text.is_empty() || text.len() > 255 || !text.bytes().all(|b| (0x21..=0x7e).contains(&b)) {
            return Err(ClientIdFault::Malformed);
        }
        if Uuid::try_parse(&text).is_ok() {
            return Err(ClientIdFault::LooksLikeSubject);
        }
        Ok(Self(text))
    }
}

impl FromStr for ClientId {
    type Err = ClientIdFault;
    fn from_str(text: &str) -> Result<Self, ClientIdFault> {
        text.to_owned().try_into()
    }
}

impl From<ClientId> for String {
    fn from(id: ClientId) -> Self {
        id.0
    }
}

impl fmt::Display for ClientId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn bcp_11_a_client_id_never_equals_a_subject() {
        let subject = UserId(Uuid::from_u128(7)).to_string();
        assert_eq!(subject.parse::<ClientId>(), Err(ClientIdFault::LooksLikeSubject));
        assert_eq!("ledgerline".parse::<ClientId>().unwrap().as_str(), "ledgerline");
    }

    #[test]
    fn malformed_client_ids_are_refused() {
        for text in ["", "a b", "caf\u{e9}", "tab\t", &"x".repeat(256)] {
            assert_eq!(text.parse::<ClientId>(), Err(ClientIdFault::Malformed), "{text:?}");
        }
    }
}
