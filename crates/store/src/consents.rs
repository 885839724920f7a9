//! The consent ledger.

use chrono::{DateTime, Utc};
use consent::{ConsentRecord, ConsentUpsert, ConsentWithdrawal};
use protocol::{ClientId, ConsentId, UserId};
use serde_json::Value;
use sqlx::types::Json;
use uuid::Uuid;

use crate::{
    Store, Tx,
    engine::{all, change, on_store, on_tx, optional},
    error::Result,
    row::{Micros, Row, joined, some_details},
    sql::consents as statement,
};

#[derive(sqlx::FromRow)]
pub(crate) struct ConsentRow {
    id: Uuid,
    user_id: Uuid,
    client_id: String,
    scope: String,
    resources: Json<Value>,
    granted_at: DateTime<Utc>,
    updated_at: DateTime<Utc>,
    expires_at: Option<DateTime<Utc>>,
    withdrawn_at: Option<DateTime<Utc>>,
    version: i64,
    details: Option<Json<Value>>,
}

joined!(ConsentRow, "c_", "c_id", {
    id,
    user_id,
    client_id,
    scope,
    resources,
    granted_at,
    updated_at,
    expires_at,
    withdrawn_at,
    version,
    details,
});

impl ConsentRow {
    pub(crate) fn parse(self) -> Result<ConsentRecord> {
        let row = Row::new("consents", &self.id);
        Ok(ConsentRecord {
            id: ConsentId(self.id),
            user: UserId(self.user_id),
            client: row.parse("client_id", &self.client_id)?,
            scope: row.parse("scope", &self.scope)?,
            resources: row.document("resources", self.resources)?,
            granted_at: self.granted_at,
            updated_at: self.updated_at,
            expires_at: self.expires_at,
            withdrawn_at: self.withdrawn_at,
            version: self.version,
            details: row.maybe("details", self.details)?,
        })
    }
}

impl Store {
    /// The consent of a customer for a client that is not withdrawn, else the last that was.
    ///
    /// # Errors
    /// [`StoreError`](crate::StoreError).
    pub async fn consent(&self, user: UserId, client: &ClientId) -> Result<Option<ConsentRecord>> {
        let row = optional!(self, ConsentRow, statement::LATEST, user.0, client.as_str())?;
        row.map(ConsentRow::parse).transpose()
    }

    /// One consent.
    ///
    /// # Errors
    /// [`StoreError`](crate::StoreError).
    pub async fn consent_by_id(&self, id: ConsentId) -> Result<Option<ConsentRecord>> {
        optional!(self, ConsentRow, statement::BY_ID, id.0)?.map(ConsentRow::parse).transpose()
    }

    /// Every consent that a customer ever gave, last answered first.
    ///
    /// # Errors
    /// [`StoreError`](crate::StoreError).
    pub async fn consents_of(&self, user: UserId) -> Result<Vec<ConsentRecord>> {
        all!(self, ConsentRow, statement::OF_USER, user.0)?.into_iter().map(ConsentRow::parse).collect()
    }
}

impl Tx {
    /// Records an answer. No row if another answer, or a withdrawal, came first; then the
    /// transaction must be dropped, because the proof that goes with the effect does not hold.
    ///
    /// # Errors
    /// [`StoreError`](crate::StoreError).
    pub async fn put_consent(&mut self, effect: &ConsentUpsert) -> Result<u64> {
        match effect {
            ConsentUpsert::Create { record, supersedes } => {
                if let Some(dead) = supersedes {
                    let at = record.granted_at.us();
                    change!(self, statement::SUPERSEDE, dead.0, record.user.0, record.client.as_str(), at)?;
                }
                self.create_consent(record).await
            }
            ConsentUpsert::Replace { record, expected_version } => change!(
                self,
                statement::REPLACE,
                record.id.0,
                record.user.0,
                *expected_version,
                record.scope.to_string(),
                Json(&record.resources),
                record.updated_at.us(),
                record.expires_at.us(),
                record.version,
                some_details(&record.details),
            ),
        }
    }

    async fn create_consent(&mut self, record: &ConsentRecord) -> Result<u64> {
        change!(
            self,
            statement::CREATE,
            record.id.0,
            record.user.0,
            record.client.as_str(),
            record.scope.to_string(),
            Json(&record.resources),
            record.granted_at.us(),
            record.updated_at.us(),
            record.expires_at.us(),
            record.withdrawn_at.us(),
            record.version,
            some_details(&record.details),
        )
    }

    /// Ends a consent of that user and, because everything looks up to it, all below. One caller
    /// gets the row.
    ///
    /// # Errors
    /// [`StoreError`](crate::StoreError).
    pub async fn withdraw_consent(&mut self, effect: &ConsentWithdrawal) -> Result<u64> {
        change!(self, statement::WITHDRAW, effect.id.0, effect.user.0, effect.at.us())
    }
}
