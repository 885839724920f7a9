//! Signing keys. Whoever makes or moves keys holds [`Lock::SigningKeys`](crate::Lock), reads, plans
//! and applies in one transaction, so that nodes which start together make one key.

use chrono::{DateTime, Utc};
use keys::{KeyState, SigningKeyRecord};
use serde_json::Value;
use sqlx::types::Json;

use crate::{
    Store, Tx,
    declared::Topic,
    engine::{all, change, on_store, on_tx, returning},
    error::Result,
    row::{Micros, Row},
    sql::keys as statement,
};

#[derive(sqlx::FromRow)]
struct KeyRow {
    kid: String,
    algorithm: String,
    state: String,
    created_at: DateTime<Utc>,
    activates_at: DateTime<Utc>,
    retires_at: Option<DateTime<Utc>>,
    destroys_at: Option<DateTime<Utc>>,
    sealed_private: Vec<u8>,
    public_jwk: Json<Value>,
}

impl KeyRow {
    fn parse(self) -> Result<SigningKeyRecord> {
        let row = Row::new("signing_keys", &self.kid);
        Ok(SigningKeyRecord {
            algorithm: row.parse("algorithm", &self.algorithm)?,
            state: row.parse("state", &self.state)?,
            created_at: self.created_at,
            activates_at: self.activates_at,
            retires_at: self.retires_at,
            destroys_at: self.destroys_at,
            sealed_private: self.sealed_private,
            public_jwk: self.public_jwk.0,
            kid: self.kid,
        })
    }
}

impl Store {
    /// Every signing key, oldest first, destroyed ones too.
    ///
    /// # Errors
    /// [`StoreError`](crate::StoreError).
    pub async fn signing_keys(&self) -> Result<Vec<SigningKeyRecord>> {
        all!(self, KeyRow, statement::ALL_KEYS)?.into_iter().map(KeyRow::parse).collect()
    }
}

impl Tx {
    /// The same within a transaction that holds the lock.
    ///
    /// # Errors
    /// [`StoreError`](crate::StoreError).
    pub async fn signing_keys(&mut self) -> Result<Vec<SigningKeyRecord>> {
        returning!(self, KeyRow, statement::ALL_KEYS)?.into_iter().map(KeyRow::parse).collect()
    }

    /// Inserts a key.
    ///
    /// # Errors
    /// [`StoreError`](crate::StoreError).
    pub async fn insert_signing_key(&mut self, key: &SigningKeyRecord) -> Result<()> {
        change!(
            self,
            statement::INSERT,
            &key.kid,
            key.algorithm.as_str(),
            key.state.as_str(),
            key.created_at.us(),
            key.activates_at.us(),
            key.retires_at.us(),
            key.destroys_at.us(),
            &key.sealed_private,
            Json(&key.public_jwk),
        )?;
        self.bump(Topic::Keys).await
    }

    /// Writes a key after a step, if it is still in the state `from` that the step began in. One
    /// caller gets the row.
    ///
    /// # Errors
    /// [`StoreError`](crate::StoreError).
    pub async fn transition_signing_key(&mut self, key: &SigningKeyRecord, from: KeyState) -> Result<u64> {
        let rows = change!(
            self,
            statement::TRANSITION,
            &key.kid,
            from.as_str(),
            key.state.as_str(),
            key.activates_at.us(),
            key.retires_at.us(),
            key.destroys_at.us(),
            &key.sealed_private,
        )?;
        self.bump(Topic::Keys).await?;
        Ok(rows)
    }
}
