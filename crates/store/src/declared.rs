//! Clients, scopes, resource servers and roles, as an operator declared them, and the sequence that
//! tells every process that they changed.

use chrono::{DateTime, Utc};
use consent::{DetailTypeDefinition, ResourceServer, ScopeDefinition};
use protocol::ClientId;
use serde::{Deserialize, Serialize};
use serde_json::Value;
use sqlx::{postgres::PgListener, types::Json};
use tokens::client::ClientRecord;

use crate::{
    Store, Tx,
    engine::{all, change, on_store, on_tx, optional, within},
    error::Result,
    row::{Micros, Row, is_no_demand, says_nothing},
    sql::{self, declared as statement},
};

/// How often each kind of cached thing was changed. Every process compares it with what it saw
/// last, once a second, and reloads what differs.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Changes {
    /// Changes to clients.
    pub clients: i64,
    /// Changes to scopes, resource servers and roles.
    pub catalogue: i64,
    /// Changes to signing keys.
    pub keys: i64,
}

/// Hears of changes that other nodes commit. It only hastens the poll: while the connection was
/// lost, changes go unheard.
#[derive(Debug)]
pub struct ChangeListener(PgListener);

impl ChangeListener {
    /// Waits for the next change. A lost connection counts as one, because it may hide one.
    ///
    /// # Errors
    /// [`StoreError::Unavailable`](crate::StoreError::Unavailable) if the database can't be reached
    /// again.
    pub async fn changed(&mut self) -> Result<()> {
        self.0.try_recv().await?;
        Ok(())
    }
}

/// What is counted.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Topic {
    Clients,
    Catalogue,
    Keys,
}

impl Topic {
    const fn as_str(self) -> &'static str {
        match self {
            Self::Clients => "clients",
            Self::Catalogue => "catalogue",
            Self::Keys => "keys",
        }
    }
}

/// A role as it was declared.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct DeclaredRole {
    /// Its name, as scopes and users refer to it.
    pub name: consent::Role,
    /// What it allows, in the bank's words.
    #[serde(default)]
    pub description: String,
}

impl DeclaredRole {
    pub(crate) fn read((name, description): (String, String)) -> Result<Self> {
        Ok(Self { name: Row::new("roles", &name).parse("name", &name)?, description })
    }
}

#[derive(sqlx::FromRow)]
pub(crate) struct ClientRow {
    id: String,
    metadata: Json<Value>,
    settings: Json<Value>,
    secrets: Json<Value>,
    disabled: bool,
    created_at: DateTime<Utc>,
    updated_at: DateTime<Utc>,
}

impl ClientRow {
    /// For who writes it back: a later release's members would be lost, so there may be none.
    pub(crate) fn parse(self) -> Result<ClientRecord> {
        self.read(|_| false, |_| false)
    }

    /// For who only reads.
    pub(crate) fn parse_known(self) -> Result<ClientRecord> {
        self.read(is_no_demand, says_nothing)
    }

    fn read(
        self,
        in_metadata: impl Fn(&Value) -> bool,
        in_settings: impl Fn(&Value) -> bool,
    ) -> Result<ClientRecord> {
        let row = Row::new("clients", &self.id);
        Ok(ClientRecord {
            id: row.parse("id", &self.id)?,
            metadata: row.later_document("metadata", self.metadata, in_metadata)?,
            settings: row.later_document("settings", self.settings, in_settings)?,
            secrets: row.document("secrets", self.secrets)?,
            disabled: self.disabled,
            created_at: self.created_at,
            updated_at: self.updated_at,
        })
    }
}

#[derive(sqlx::FromRow)]
pub(crate) struct DefinitionRow {
    name: String,
    definition: Json<Value>,
}

impl DefinitionRow {
    pub(crate) fn parse<T: serde::de::DeserializeOwned>(self, table: &'static str) -> Result<T> {
        Row::new(table, &self.name).later_document("definition", self.definition, is_no_demand)
    }
}

impl Store {
    /// Every client, disabled ones too, by identifier.
    ///
    /// # Errors
    /// [`StoreError`](crate::StoreError).
    pub async fn clients(&self) -> Result<Vec<ClientRecord>> {
        all!(self, ClientRow, statement::CLIENTS)?.into_iter().map(ClientRow::parse_known).collect()
    }

    /// One client, even if it is disabled.
    ///
    /// # Errors
    /// [`StoreError`](crate::StoreError).
    pub async fn client(&self, id: &ClientId) -> Result<Option<ClientRecord>> {
        optional!(self, ClientRow, statement::CLIENT, id.as_str())?.map(ClientRow::parse_known).transpose()
    }

    /// Every declared scope, by name.
    ///
    /// # Errors
    /// [`StoreError`](crate::StoreError).
    pub async fn scopes(&self) -> Result<Vec<ScopeDefinition>> {
        let rows = all!(self, DefinitionRow, statement::SCOPES)?;
        rows.into_iter().map(|row| row.parse("scopes")).collect()
    }

    /// Every resource server, by identifier.
    ///
    /// # Errors
    /// [`StoreError`](crate::StoreError).
    pub async fn resource_servers(&self) -> Result<Vec<ResourceServer>> {
        let rows = all!(self, DefinitionRow, statement::RESOURCE_SERVERS)?;
        rows.into_iter().map(|row| row.parse("resource_servers")).collect()
    }

    /// Every type of authorization details, by name.
    ///
    /// # Errors
    /// [`StoreError`](crate::StoreError).
    pub async fn detail_types(&self) -> Result<Vec<DetailTypeDefinition>> {
        let rows = all!(self, DefinitionRow, statement::DETAIL_TYPES)?;
        rows.into_iter().map(|row| row.parse("detail_types")).collect()
    }

    /// Every declared role, by name.
    ///
    /// # Errors
    /// [`StoreError`](crate::StoreError).
    pub async fn roles(&self) -> Result<Vec<DeclaredRole>> {
        all!(self, (String, String), statement::ROLES)?.into_iter().map(DeclaredRole::read).collect()
    }

    /// How often cached things were changed; see [`Changes`].
    ///
    /// # Errors
    /// [`StoreError`](crate::StoreError).
    pub async fn changes(&self) -> Result<Changes> {
        let mut changes = Changes::default();
        for (topic, sequence) in all!(self, (String, i64), statement::CHANGES)? {
            match topic.as_str() {
                "clients" => changes.clients = sequence,
                "catalogue" => changes.catalogue = sequence,
                "keys" => changes.keys = sequence,
                // A later release may cache more.
                _ => {}
            }
        }
        Ok(changes)
    }

    /// Listens for changes, on a connection of its own. `None` on SQLite, where there is only the
    /// poll.
    ///
    /// # Errors
    /// [`StoreError`](crate::StoreError).
    pub async fn listen(&self) -> Result<Option<ChangeListener>> {
        let Self::Postgres(pool, _) = self else { return Ok(None) };
        let mut listener = PgListener::connect_with(pool).await?;
        listener.listen(sql::CHANNEL).await?;
        Ok(Some(ChangeListener(listener)))
    }
}

impl Tx {
    /// Inserts a client, or replaces everything of it but the time when it was made.
    ///
    /// # Errors
    /// [`StoreError`](crate::StoreError).
    pub async fn put_client(&mut self, client: &ClientRecord) -> Result<()> {
        self.write_client(client).await?;
        self.bump(Topic::Clients).await
    }

    /// The same about a client that every node reads at its source and keeps by itself: nobody's cache has to
    /// hear of it, however often the source changes.
    ///
    /// # Errors
    /// [`StoreError`](crate::StoreError).
    pub async fn note_client(&mut self, client: &ClientRecord) -> Result<()> {
        self.write_client(client).await
    }

    async fn write_client(&mut self, client: &ClientRecord) -> Result<()> {
        change!(
            self,
            statement::PUT_CLIENT,
            client.id.as_str(),
            Json(&client.metadata),
            Json(&client.settings),
            Json(&client.secrets),
            client.disabled,
            client.created_at.us(),
            client.updated_at.us(),
        )?;
        Ok(())
    }

    /// Inserts a client that nobody can have asked for before, so nobody's cache has to hear of it: however
    /// many clients register themselves, nothing is read again for that. No row if the identifier is taken.
    ///
    /// # Errors
    /// [`StoreError`](crate::StoreError).
    pub async fn insert_client(&mut self, client: &ClientRecord) -> Result<u64> {
        change!(
            self,
            statement::INSERT_CLIENT,
            client.id.as_str(),
            Json(&client.metadata),
            Json(&client.settings),
            Json(&client.secrets),
            client.disabled,
            client.created_at.us(),
            client.updated_at.us(),
        )
    }

    /// Inserts or replaces a scope.
    ///
    /// # Errors
    /// [`StoreError`](crate::StoreError).
    pub async fn put_scope(&mut self, scope: &ScopeDefinition) -> Result<()> {
        change!(self, statement::PUT_SCOPE, scope.name.as_str(), Json(scope))?;
        self.bump(Topic::Catalogue).await
    }

    /// Inserts or replaces a resource server.
    ///
    /// # Errors
    /// [`StoreError`](crate::StoreError).
    pub async fn put_resource_server(&mut self, server: &ResourceServer) -> Result<()> {
        change!(self, statement::PUT_RESOURCE_SERVER, &server.audience, Json(server))?;
        self.bump(Topic::Catalogue).await
    }

    /// Inserts or replaces a type of authorization details.
    ///
    /// # Errors
    /// [`StoreError`](crate::StoreError).
    pub async fn put_detail_type(&mut self, kind: &DetailTypeDefinition) -> Result<()> {
        change!(self, statement::PUT_DETAIL_TYPE, kind.name.as_str(), Json(kind))?;
        self.bump(Topic::Catalogue).await
    }

    /// Inserts or replaces a role.
    ///
    /// # Errors
    /// [`StoreError`](crate::StoreError).
    pub async fn put_role(&mut self, role: &DeclaredRole) -> Result<()> {
        change!(self, statement::PUT_ROLE, role.name.as_str(), &role.description)?;
        self.bump(Topic::Catalogue).await
    }

    /// Counts a change, and on PostgreSQL wakes whoever listens when it is committed.
    pub(crate) async fn bump(&mut self, topic: Topic) -> Result<()> {
        change!(self, statement::BUMP, topic.as_str())?;
        if let Self::Postgres(tx) = self {
            within!(tx, db => sqlx::query(sql::NOTIFY).bind(topic.as_str()).execute(db).await)?;
        }
        Ok(())
    }
}
