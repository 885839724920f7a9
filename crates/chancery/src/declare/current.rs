//! What the store has, in the form in which a file would declare it.

use mfa::User;
use store::Store;
use tokens::client::ClientRecord;

use crate::declare::{Declared, DeclaredClient, DeclaredPassword, DeclaredUser};

impl Declared {
    /// Reads everything from the store, for a [difference](crate::declare::difference()). Disabled
    /// clients and users are there too.
    ///
    /// # Errors
    /// If the store does not answer, or a row is damaged.
    pub async fn stored(store: &Store) -> store::Result<Self> {
        Ok(Self {
            roles: store.roles().await?,
            resource_servers: store.resource_servers().await?,
            scopes: store.scopes().await?,
            clients: store.clients().await?.into_iter().map(DeclaredClient::from).collect(),
            users: store.users().await?.into_iter().map(DeclaredUser::from).collect(),
        })
    }
}

impl From<ClientRecord> for DeclaredClient {
    /// While a secret is being replaced, the one without end is the one that a file declares.
    fn from(record: ClientRecord) -> Self {
        let lasting = record.secrets.iter().rev().find(|secret| secret.expires_at.is_none());
        Self {
            secret: lasting.map(|secret| secret.digest),
            id: record.id,
            metadata: record.metadata,
            settings: record.settings,
        }
    }
}

impl From<User> for DeclaredUser {
    /// A role with a name that no file could declare is left out, and so shows as a difference.
    fn from(user: User) -> Self {
        Self {
            roles: user.roles.into_iter().filter_map(|role| role.try_into().ok()).collect(),
            username: user.username,
            password: user.password.map(DeclaredPassword::Hash),
            claims: user.claims,
            second_factor: user.second_factor,
        }
    }
}
