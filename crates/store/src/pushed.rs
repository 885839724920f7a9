//! Pushed authorization requests (RFC 9126): kept under the digest of their reference until an answer
//! spends them. A code spends its own in [`Store::issue_code`].

use chrono::{DateTime, Utc};
use jose::{Digest, Mark};
use serde_json::Value;
use sqlx::types::Json;
use tokens::pushed::PushedRecord;

use crate::{
    Store, Tx,
    engine::{change, change_alone, on_tx, on_writer, once, spanned},
    error::Result,
    row::{Micros, Row, shown},
    sql::{hot, pushed as statement},
};

#[derive(sqlx::FromRow)]
pub(crate) struct PushedRow {
    digest: Vec<u8>,
    client_id: String,
    request: Json<Value>,
    created_at: DateTime<Utc>,
    expires_at: DateTime<Utc>,
    keep_until: DateTime<Utc>,
    consumed_at: Option<DateTime<Utc>>,
}

impl PushedRow {
    pub(crate) fn parse(self) -> Result<PushedRecord> {
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

macro_rules! bind_pushed {
    ($sql:expr, $pushed:expr) => {
        sqlx::query($sql)
            .bind(&$pushed.digest.as_bytes()[..])
            .bind($pushed.client.as_str())
            .bind(Json(&$pushed.request))
            .bind($pushed.created_at.us())
            .bind($pushed.expires_at.us())
            .bind($pushed.keep_until.us())
    };
}

macro_rules! pushing {
    ($db:expr, $pushed:expr) => {
        bind_pushed!(statement::PUSH, $pushed).execute($db).await.map(|done| done.rows_affected())
    };
}

impl Store {
    /// Stores a pushed request and marks the assertion that its client showed, if it showed one. No row
    /// if the assertion was seen before.
    ///
    /// # Errors
    /// [`StoreError`](crate::StoreError).
    pub async fn push_request(&self, pushed: &PushedRecord, assertion: Option<&Mark>) -> Result<u64> {
        let Some(assertion) = assertion else {
            return Ok(spanned!(self, statement::PUSH, { on_writer!(self, db => pushing!(db, pushed)) })?);
        };
        if let Self::Postgres(_, lanes) = self {
            let query = bind_pushed!(hot::postgres::PUSH, pushed).bind(assertion.kind);
            let query = query.bind(&assertion.digest.as_bytes()[..]).bind(assertion.expires_at.us());
            return Ok(spanned!(self, push_request, { once!(lanes, db => query.execute(db).await) })?
                .rows_affected());
        }
        let mut tx = self.begin().await?;
        if tx.mark_once(assertion).await? != 1 {
            return Ok(0);
        }
        on_tx!(&mut tx, db => pushing!(db, pushed))?;
        tx.commit().await?;
        Ok(1)
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
