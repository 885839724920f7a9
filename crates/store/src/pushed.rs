//! Pushed authorization requests (RFC 9126): kept under the digest of their reference until an answer
//! spends them. A code spends its own in [`Store::issue_code`].

use chrono::{DateTime, Utc};
use jose::Digest;
use serde_json::Value;
use sqlx::types::Json;
use tokens::pushed::PushedRecord;

use crate::{
    Store, Tx,
    engine::{change, change_alone, on_store, on_tx, on_writer, optional},
    error::Result,
    row::{Micros, Row, shown},
    sql::pushed as statement,
};

#[derive(sqlx::FromRow)]
struct PushedRow {
    digest: Vec<u8>,
    client_id: String,
    request: Json<Value>,
    created_at: DateTime<Utc>,
    expires_at: DateTime<Utc>,
    keep_until: DateTime<Utc>,
    consumed_at: Option<DateTime<Utc>>,
}

impl PushedRow {
    fn parse(self) -> Result<PushedRecord> {
        let key = shown(&self.digest);
        let row = Row::new("pushed_requests", &key);
        Ok(PushedRecord {
            digest: row.digest("digest", &self.digest)?,
            client: row.parse("client_id", &self.client_id)?,
            request: row.document("request", self.request)?,
            created_at: self.created_at,
            expires_at: self.expires_at,
            keep_until: self.keep_until,
            consumed_at: self.consumed_at,
        })
    }
}

impl Store {
    /// Stores a pushed request.
    ///
    /// # Errors
    /// [`StoreError`](crate::StoreError).
    pub async fn push_request(&self, pushed: &PushedRecord) -> Result<()> {
        change_alone!(
            self,
            statement::PUSH,
            &pushed.digest.as_bytes()[..],
            pushed.client.as_str(),
            Json(&pushed.request),
            pushed.created_at.us(),
            pushed.expires_at.us(),
            pushed.keep_until.us(),
        )
        .map(drop)
    }

    /// A pushed request, usable or not.
    ///
    /// # Errors
    /// [`StoreError`](crate::StoreError).
    pub async fn pushed_request(&self, digest: &Digest) -> Result<Option<PushedRecord>> {
        let row = optional!(self, PushedRow, statement::GET, &digest.as_bytes()[..])?;
        row.map(PushedRow::parse).transpose()
    }

    /// Spends a pushed request whose answer is a refusal. One caller, on any node, gets the row.
    ///
    /// # Errors
    /// [`StoreError`](crate::StoreError).
    pub async fn consume_pushed(&self, digest: &Digest, at: DateTime<Utc>) -> Result<u64> {
        change_alone!(self, statement::CONSUME, &digest.as_bytes()[..], at.us())
    }
}

impl Tx {
    /// The same within a transaction.
    ///
    /// # Errors
    /// [`StoreError`](crate::StoreError).
    pub async fn consume_pushed(&mut self, digest: &Digest, at: DateTime<Utc>) -> Result<u64> {
        change!(self, statement::CONSUME, &digest.as_bytes()[..], at.us())
    }
}
