//! Browser sessions.

use std::net::IpAddr;

use chrono::{DateTime, Utc};
use jose::Digest;
use mfa::session::{NewSession, Session, SessionEnd, SessionRenewal};
use protocol::{SessionId, UserId};
use serde_json::Value;
use sqlx::types::Json;
use uuid::Uuid;

use crate::{
    Store, Tx,
    engine::{all, change, on_store, on_tx, optional},
    error::Result,
    row::{Micros, Row, joined},
    sql::sessions as statement,
};

#[derive(sqlx::FromRow)]
pub(crate) struct SessionRow {
    id: Uuid,
    digest: Vec<u8>,
    user_id: Uuid,
    auth_time: DateTime<Utc>,
    acr: String,
    amr: Json<Value>,
    created_at: DateTime<Utc>,
    last_seen_at: DateTime<Utc>,
    expires_at: DateTime<Utc>,
    ended_at: Option<DateTime<Utc>>,
    user_agent: Option<String>,
    address: Option<String>,
}

joined!(SessionRow, "s_", "s_id", {
    id,
    digest,
    user_id,
    auth_time,
    acr,
    amr,
    created_at,
    last_seen_at,
    expires_at,
    ended_at,
    user_agent,
    address,
});

impl SessionRow {
    pub(crate) fn parse(self) -> Result<Session> {
        let row = Row::new("sessions", &self.id);
        Ok(Session {
            id: SessionId(self.id),
            digest: row.digest("digest", &self.digest)?,
            user: UserId(self.user_id),
            created_at: self.created_at,
            auth_time: self.auth_time,
            last_seen_at: self.last_seen_at,
            expires_at: self.expires_at,
            acr: row.parse("acr", &self.acr)?,
            amr: row.document("amr", self.amr)?,
            ended_at: self.ended_at,
            address: self.address.map(|text| row.parse::<IpAddr>("address", &text)).transpose()?,
            user_agent: self.user_agent,
        })
    }
}

impl Store {
    /// The session of a cookie, live or not.
    ///
    /// # Errors
    /// [`StoreError`](crate::StoreError).
    pub async fn session_by_digest(&self, digest: &Digest) -> Result<Option<Session>> {
        let row = optional!(self, SessionRow, statement::BY_DIGEST, &digest.as_bytes()[..])?;
        row.map(SessionRow::parse).transpose()
    }

    /// The session of a `sid`, live or not.
    ///
    /// # Errors
    /// [`StoreError`](crate::StoreError).
    pub async fn session(&self, id: SessionId) -> Result<Option<Session>> {
        optional!(self, SessionRow, statement::BY_ID, id.0)?.map(SessionRow::parse).transpose()
    }

    /// The sessions of a user that have neither ended nor reached their absolute end, last used
    /// first. Idle ones are among them; see [`Session::is_live`].
    ///
    /// # Errors
    /// [`StoreError`](crate::StoreError).
    pub async fn sessions_of(&self, user: UserId, now: DateTime<Utc>) -> Result<Vec<Session>> {
        let rows = all!(self, SessionRow, statement::OF_USER, user.0, now.us())?;
        rows.into_iter().map(SessionRow::parse).collect()
    }
}

impl Tx {
    /// Inserts a session.
    ///
    /// # Errors
    /// [`StoreError`](crate::StoreError).
    pub async fn insert_session(&mut self, effect: &NewSession) -> Result<()> {
        let session = &effect.session;
        change!(
            self,
            statement::INSERT,
            session.id.0,
            &session.digest.as_bytes()[..],
            session.user.0,
            session.auth_time.us(),
            session.acr.as_str(),
            Json(&session.amr),
            session.created_at.us(),
            session.last_seen_at.us(),
            session.expires_at.us(),
            session.ended_at.us(),
            session.user_agent.as_deref(),
            session.address.map(|address| address.to_string()),
        )
        .map(drop)
    }

    /// Gives a session a new cookie and what else changed with it (SE-01). No row if another
    /// request renewed or ended it first.
    ///
    /// # Errors
    /// [`StoreError`](crate::StoreError).
    pub async fn renew_session(&mut self, effect: &SessionRenewal) -> Result<u64> {
        let session = &effect.session;
        change!(
            self,
            statement::RENEW,
            session.id.0,
            &effect.before.as_bytes()[..],
            &session.digest.as_bytes()[..],
            session.auth_time.us(),
            session.acr.as_str(),
            Json(&session.amr),
            session.last_seen_at.us(),
            session.expires_at.us(),
        )
    }

    /// Ends a session of that user. Grants that are bound to it end with it, because every use of
    /// theirs looks up to it (BL-04), and clients that took part are going to be told (BL-02).
    ///
    /// # Errors
    /// [`StoreError`](crate::StoreError).
    pub async fn end_session(&mut self, effect: &SessionEnd) -> Result<u64> {
        let rows = change!(self, statement::END, effect.id.0, effect.user.0, effect.at.us())?;
        if rows > 0 {
            self.tell_of_session(effect.id, effect.at).await?;
        }
        Ok(rows)
    }

    /// Ends every session of a user but `except`; clients that took part are going to be told. Gives how
    /// many.
    ///
    /// # Errors
    /// [`StoreError`](crate::StoreError).
    pub async fn end_sessions_of(
        &mut self,
        user: UserId,
        except: Option<SessionId>,
        at: DateTime<Utc>,
    ) -> Result<u64> {
        let rows = change!(self, statement::END_OF_USER, user.0, except.map(|id| id.0), at.us())?;
        if rows > 0 {
            self.tell_of_user(user, at).await?;
        }
        Ok(rows)
    }
}
