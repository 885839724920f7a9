//! What only operators do. Reads within their transaction, so that rules are checked against what
//! will be there (they hold [`Lock::Declarations`](crate::Lock)); lists in pages; and the verbs that
//! take something away. What processes cache is counted as changed here too.

use chrono::{DateTime, Utc};
use consent::{ConsentRecord, DetailTypeDefinition, ResourceServer, ScopeDefinition};
use mfa::{PasswordHash, User};
use protocol::{ClientId, ConsentId, UserId};
use sqlx::types::Json;
use tokens::client::ClientRecord;

use crate::{
    DeclaredRole, Store, Tx,
    consents::ConsentRow,
    declared::{ClientRow, DefinitionRow, Topic},
    engine::{all, change, on_store, on_tx, returning},
    error::Result,
    people::UserRow,
    row::Micros,
    sql::{declared, operate as statement},
};

/// Which users to list. What is absent is no condition.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct UserFilter {
    /// This text is part of the name.
    pub containing: Option<String>,
    /// After this name: the last of the previous page.
    pub after: Option<String>,
}

/// Which consents to list. What is absent is no condition.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct ConsentFilter {
    /// Of this customer.
    pub user: Option<UserId>,
    /// For this client.
    pub client: Option<ClientId>,
    /// Not ended at this time.
    pub live_at: Option<DateTime<Utc>>,
    /// Older than this one: the last of the previous page.
    pub before: Option<ConsentId>,
}

impl Store {
    /// At most `limit` users, by name.
    ///
    /// # Errors
    /// [`StoreError`](crate::StoreError).
    pub async fn users_page(&self, filter: &UserFilter, limit: u32) -> Result<Vec<User>> {
        let pattern = filter.containing.as_deref().map(containing);
        let after = filter.after.as_deref();
        let rows = all!(self, UserRow, statement::USERS, after, pattern.as_deref(), i64::from(limit))?;
        rows.into_iter().map(UserRow::parse).collect()
    }

    /// At most `limit` consents, newest first.
    ///
    /// # Errors
    /// [`StoreError`](crate::StoreError).
    pub async fn consents_page(&self, filter: &ConsentFilter, limit: u32) -> Result<Vec<ConsentRecord>> {
        let rows = all!(
            self,
            ConsentRow,
            statement::CONSENTS,
            filter.user.map(|user| user.0),
            filter.client.as_ref().map(ClientId::as_str),
            filter.live_at.us(),
            filter.before.map(|id| id.0),
            i64::from(limit),
        )?;
        rows.into_iter().map(ConsentRow::parse).collect()
    }
}

/// A LIKE pattern; `!` escapes what LIKE would read.
fn containing(text: &str) -> String {
    let mut pattern = String::from("%");
    for c in text.to_lowercase().chars() {
        if matches!(c, '%' | '_' | '!') {
            pattern.push('!');
        }
        pattern.push(c);
    }
    pattern.push('%');
    pattern
}

impl Tx {
    /// One client, even if it is disabled.
    ///
    /// # Errors
    /// [`StoreError`](crate::StoreError).
    pub async fn client(&mut self, id: &ClientId) -> Result<Option<ClientRecord>> {
        let mut rows = returning!(self, ClientRow, declared::CLIENT, id.as_str())?;
        rows.pop().map(ClientRow::parse).transpose()
    }

    /// Every client, disabled ones too, by identifier.
    ///
    /// # Errors
    /// [`StoreError`](crate::StoreError).
    pub async fn clients(&mut self) -> Result<Vec<ClientRecord>> {
        returning!(self, ClientRow, declared::CLIENTS)?.into_iter().map(ClientRow::parse).collect()
    }

    /// Every declared scope, by name.
    ///
    /// # Errors
    /// [`StoreError`](crate::StoreError).
    pub async fn scopes(&mut self) -> Result<Vec<ScopeDefinition>> {
        let rows = returning!(self, DefinitionRow, declared::SCOPES)?;
        rows.into_iter().map(|row| row.parse("scopes")).collect()
    }

    /// Every resource server, by identifier.
    ///
    /// # Errors
    /// [`StoreError`](crate::StoreError).
    pub async fn resource_servers(&mut self) -> Result<Vec<ResourceServer>> {
        let rows = returning!(self, DefinitionRow, declared::RESOURCE_SERVERS)?;
        rows.into_iter().map(|row| row.parse("resource_servers")).collect()
    }

    /// Every type of authorization details, by name.
    ///
    /// # Errors
    /// [`StoreError`](crate::StoreError).
    pub async fn detail_types(&mut self) -> Result<Vec<DetailTypeDefinition>> {
        let rows = returning!(self, DefinitionRow, declared::DETAIL_TYPES)?;
        rows.into_iter().map(|row| row.parse("detail_types")).collect()
    }

    /// Every declared role, by name.
    ///
    /// # Errors
    /// [`StoreError`](crate::StoreError).
    pub async fn roles(&mut self) -> Result<Vec<DeclaredRole>> {
        returning!(self, (String, String), declared::ROLES)?.into_iter().map(DeclaredRole::read).collect()
    }

    /// Removes a client that nobody ever consented to. No row if there is none, or if consents name
    /// it: such a client is disabled instead.
    ///
    /// # Errors
    /// [`StoreError`](crate::StoreError).
    pub async fn remove_client(&mut self, id: &ClientId) -> Result<u64> {
        let rows = change!(self, statement::REMOVE_CLIENT, id.as_str())?;
        self.bump(Topic::Clients).await?;
        Ok(rows)
    }

    /// Withdraws every live consent for a client. Gives how many.
    ///
    /// # Errors
    /// [`StoreError`](crate::StoreError).
    pub async fn withdraw_consents_of_client(&mut self, id: &ClientId, at: DateTime<Utc>) -> Result<u64> {
        change!(self, statement::WITHDRAW_OF_CLIENT, id.as_str(), at.us())
    }

    /// Revokes every living grant of a client and with it all codes and tokens below. Gives how many
    /// grants.
    ///
    /// # Errors
    /// [`StoreError`](crate::StoreError).
    pub async fn revoke_grants_of_client(&mut self, id: &ClientId, at: DateTime<Utc>) -> Result<u64> {
        change!(self, statement::REVOKE_GRANTS_OF_CLIENT, id.as_str(), at.us())
    }

    /// Revokes the opaque access tokens that a client got for itself. Gives how many.
    ///
    /// # Errors
    /// [`StoreError`](crate::StoreError).
    pub async fn revoke_access_tokens_of_client(&mut self, id: &ClientId, at: DateTime<Utc>) -> Result<u64> {
        change!(self, statement::REVOKE_ACCESS_OF_CLIENT, id.as_str(), at.us())
    }

    /// Removes a scope. No row if there is none.
    ///
    /// # Errors
    /// [`StoreError`](crate::StoreError).
    pub async fn remove_scope(&mut self, name: &str) -> Result<u64> {
        let rows = change!(self, statement::REMOVE_SCOPE, name)?;
        self.bump(Topic::Catalogue).await?;
        Ok(rows)
    }

    /// Removes a resource server. No row if there is none.
    ///
    /// # Errors
    /// [`StoreError`](crate::StoreError).
    pub async fn remove_resource_server(&mut self, audience: &str) -> Result<u64> {
        let rows = change!(self, statement::REMOVE_RESOURCE_SERVER, audience)?;
        self.bump(Topic::Catalogue).await?;
        Ok(rows)
    }

    /// Inserts a new user. No row if the name is taken.
    ///
    /// # Errors
    /// [`StoreError`](crate::StoreError).
    pub async fn insert_user(&mut self, user: &User) -> Result<u64> {
        change!(
            self,
            statement::INSERT_USER,
            user.id.0,
            user.username.as_str(),
            user.password.as_ref().map(PasswordHash::expose),
            Json(&user.claims),
            Json(&user.roles),
            user.second_factor.map(|policy| policy.as_str()),
            user.created_at.us(),
            user.password_changed_at.us(),
            user.disabled_at.us(),
        )
    }

    /// Lets a disabled user sign in again; what ended when they were disabled stays ended. No row if
    /// they were not disabled.
    ///
    /// # Errors
    /// [`StoreError`](crate::StoreError).
    pub async fn enable_user(&mut self, user: UserId) -> Result<u64> {
        change!(self, statement::ENABLE_USER, user.0)
    }
}
