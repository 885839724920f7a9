//! Devices that wait for a person (RFC 8628).

use chrono::{DateTime, Utc};
use jose::Digest;
use serde_json::Value;
use sqlx::types::Json;
use tokens::device::{DeviceRecord, DeviceState, NextPoll};

use crate::{
    Store, Tx,
    engine::{change, change_alone, on_store, on_tx, on_writer, optional},
    error::Result,
    row::{Micros, Row, shown},
    sql::devices as statement,
};

#[derive(sqlx::FromRow)]
struct DeviceRow {
    digest: Vec<u8>,
    user_code: Vec<u8>,
    client_id: String,
    request: Json<Value>,
    state: String,
    poll_after: DateTime<Utc>,
    poll_every: i64,
    created_at: DateTime<Utc>,
    expires_at: DateTime<Utc>,
}

impl DeviceRow {
    fn parse(self) -> Result<DeviceRecord> {
        let key = shown(&self.digest);
        let row = Row::new("device_codes", &key);
        Ok(DeviceRecord {
            digest: row.digest("digest", &self.digest)?,
            user_code: row.digest("user_code", &self.user_code)?,
            client: row.parse("client_id", &self.client_id)?,
            request: row.document("request", self.request)?,
            state: row.known("state", &self.state, DeviceState::parse(&self.state))?,
            poll_after: self.poll_after,
            poll_every: self.poll_every,
            created_at: self.created_at,
            expires_at: self.expires_at,
        })
    }
}

impl Store {
    /// Keeps a device that waits. No row if one of its codes is taken.
    ///
    /// # Errors
    /// [`StoreError`](crate::StoreError).
    pub async fn begin_device(&self, device: &DeviceRecord) -> Result<u64> {
        change_alone!(
            self,
            statement::INSERT,
            &device.digest.as_bytes()[..],
            &device.user_code.as_bytes()[..],
            device.client.as_str(),
            Json(&device.request),
            device.state.as_str(),
            device.poll_after.us(),
            device.poll_every,
            device.created_at.us(),
            device.expires_at.us(),
        )
    }

    /// The device of a device code, in any state.
    ///
    /// # Errors
    /// [`StoreError`](crate::StoreError).
    pub async fn device(&self, digest: &Digest) -> Result<Option<DeviceRecord>> {
        let row = optional!(self, DeviceRow, statement::BY_DIGEST, &digest.as_bytes()[..])?;
        row.map(DeviceRow::parse).transpose()
    }

    /// The device of a user code, in any state.
    ///
    /// # Errors
    /// [`StoreError`](crate::StoreError).
    pub async fn device_by_user_code(&self, digest: &Digest) -> Result<Option<DeviceRecord>> {
        let row = optional!(self, DeviceRow, statement::BY_USER_CODE, &digest.as_bytes()[..])?;
        row.map(DeviceRow::parse).transpose()
    }

    /// Notes a poll. The interval never shrinks, however many polls come at the same moment.
    ///
    /// # Errors
    /// [`StoreError`](crate::StoreError).
    pub async fn polled(&self, digest: &Digest, next: &NextPoll) -> Result<u64> {
        change_alone!(self, statement::POLLED, &digest.as_bytes()[..], next.after.us(), next.every)
    }
}

impl Tx {
    /// Takes a device for the person who confirmed its code. One caller gets the row.
    ///
    /// # Errors
    /// [`StoreError`](crate::StoreError).
    pub async fn claim_device(&mut self, digest: &Digest, now: DateTime<Utc>) -> Result<u64> {
        change!(self, statement::CLAIM, &digest.as_bytes()[..], now.us())
    }

    /// Notes that the person said no.
    ///
    /// # Errors
    /// [`StoreError`](crate::StoreError).
    pub async fn deny_device(&mut self, digest: &Digest) -> Result<u64> {
        change!(self, statement::DENY, &digest.as_bytes()[..])
    }
}
