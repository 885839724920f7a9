//! Interactions: authorization requests that wait for a person.

use chrono::{DateTime, Utc};
use protocol::{InteractionId, SessionId};
use serde_json::Value;
use sqlx::types::Json;
use tokens::interaction::InteractionRecord;
use uuid::Uuid;

use crate::{
    Store, Tx,
    bind::bind_interaction,
    engine::{change, on_store, on_tx, optional, spanned},
    error::Result,
    row::{Micros, Row, joined},
    sql::interactions as statement,
};

#[derive(sqlx::FromRow)]
pub(crate) struct InteractionRow {
    id: Uuid,
    client_id: Option<String>,
    purpose: Json<Value>,
    browser: Vec<u8>,
    version: i64,
    created_at: DateTime<Utc>,
    expires_at: DateTime<Utc>,
    completed_at: Option<DateTime<Utc>>,
    chosen_session: Option<Uuid>,
}

joined!(InteractionRow, "i_", "i_id", {
    id,
    client_id,
    purpose,
    browser,
    version,
    created_at,
    expires_at,
    completed_at,
    chosen_session,
});

impl InteractionRow {
    pub(crate) fn parse(self) -> Result<InteractionRecord> {
        let row = Row::new("interactions", &self.id);
        Ok(InteractionRecord {
            id: InteractionId(self.id),
            client: self.client_id.map(|text| row.parse("client_id", &text)).transpose()?,
            purpose: row.document("purpose", self.purpose)?,
            browser: row.digest("browser", &self.browser)?,
            version: self.version,
            created_at: self.created_at,
            expires_at: self.expires_at,
            completed_at: self.completed_at,
            chosen_session: self.chosen_session.map(SessionId),
        })
    }
}

impl Store {
    /// An interaction, open or not.
    ///
    /// # Errors
    /// [`StoreError`](crate::StoreError).
    pub async fn interaction(&self, id: InteractionId) -> Result<Option<InteractionRecord>> {
        optional!(self, InteractionRow, statement::GET, id.0)?.map(InteractionRow::parse).transpose()
    }
}

impl Tx {
    /// Stores an interaction that begins.
    ///
    /// # Errors
    /// [`StoreError`](crate::StoreError).
    pub async fn begin_interaction(&mut self, interaction: &InteractionRecord) -> Result<()> {
        spanned!(self, statement::INSERT, {
            on_tx!(self, db => {
                bind_interaction!(sqlx::query(statement::INSERT), interaction).execute(db).await.map(drop)
            })
            .map_err(Into::into)
        })
    }

    /// Completes an interaction at the version that was read. One caller gets the row.
    ///
    /// # Errors
    /// [`StoreError`](crate::StoreError).
    pub async fn complete_interaction(
        &mut self,
        id: InteractionId,
        version: i64,
        at: DateTime<Utc>,
    ) -> Result<u64> {
        change!(self, statement::COMPLETE, id.0, version, at.us())
    }

    /// Keeps which session the person chose to go on with, at the version that was read (OC-06). One
    /// caller gets the row.
    ///
    /// # Errors
    /// [`StoreError`](crate::StoreError).
    pub async fn choose_session(
        &mut self,
        id: InteractionId,
        version: i64,
        session: SessionId,
    ) -> Result<u64> {
        change!(self, statement::CHOOSE, id.0, version, session.0)
    }
}
