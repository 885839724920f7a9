//! Clients of sessions, and the queue of logout tokens (Back-Channel Logout §2.5).
//!
//! The verbs that end sessions fill the queue themselves, in the transaction of the ending, so that no
//! ending is forgotten (see [`sessions`](crate::sessions)).

use chrono::{DateTime, Utc};
use protocol::{ClientId, SessionId, UserId};
use tokens::logout::{LogoutNotice, NOTICE_LIFETIME};
use uuid::Uuid;

use crate::{
    Store, Tx,
    engine::{all, change, change_alone, on_store, on_tx, on_writer},
    error::Result,
    row::{Micros, Row},
    sql::logouts as statement,
};

#[derive(sqlx::FromRow)]
struct NoticeRow {
    session_id: Uuid,
    client_id: String,
    user_id: Uuid,
    created_at: DateTime<Utc>,
    attempts: i64,
    expires_at: DateTime<Utc>,
}

impl NoticeRow {
    fn parse(self) -> Result<LogoutNotice> {
        Ok(LogoutNotice {
            client: Row::new("logout_notices", &self.session_id).parse("client_id", &self.client_id)?,
            session: SessionId(self.session_id),
            user: UserId(self.user_id),
            created_at: self.created_at,
            attempts: self.attempts,
            expires_at: self.expires_at,
        })
    }
}

impl Store {
    /// Notes that a client gets an ID token in a session and wants to hear of its end. Once is enough.
    /// Gives 1, or 0 if the session has ended; whoever ends it at the same moment tells the client.
    ///
    /// # Errors
    /// [`StoreError`](crate::StoreError).
    pub async fn take_part(&self, session: SessionId, client: &ClientId, at: DateTime<Utc>) -> Result<u64> {
        let mut tx = self.begin().await?;
        let held = change!(&mut tx, statement::HOLD_SESSION, session.0)?;
        if held == 1 {
            change!(&mut tx, statement::TAKE_PART, session.0, client.as_str(), at.us())?;
        }
        tx.commit().await?;
        Ok(held)
    }

    /// The clients that took part in a session and want to hear of its end, by name.
    ///
    /// # Errors
    /// [`StoreError`](crate::StoreError).
    pub async fn participants(&self, session: SessionId) -> Result<Vec<ClientId>> {
        let rows = all!(self, (String,), statement::PARTICIPANTS, session.0)?;
        let row = Row::new("session_clients", &session);
        rows.into_iter().map(|(client,)| row.parse("client_id", &client)).collect()
    }

    /// Notices that are due, oldest first, at most `per_client` of each client and `limit` together.
    ///
    /// # Errors
    /// [`StoreError`](crate::StoreError).
    pub async fn due_logouts(
        &self,
        now: DateTime<Utc>,
        (per_client, limit): (u32, u32),
    ) -> Result<Vec<LogoutNotice>> {
        let (each, limit) = (i64::from(per_client), i64::from(limit));
        let rows = all!(self, NoticeRow, statement::DUE, now.us(), each, limit)?;
        rows.into_iter().map(NoticeRow::parse).collect()
    }

    /// Claims a notice for one attempt: nobody else finds it due before `until`. One caller gets the
    /// row, on any node.
    ///
    /// # Errors
    /// [`StoreError`](crate::StoreError).
    pub async fn claim_logout(&self, notice: &LogoutNotice, until: DateTime<Utc>) -> Result<u64> {
        let (session, client) = (notice.session.0, notice.client.as_str());
        change_alone!(self, statement::CLAIM, session, client, notice.attempts, until.us())
    }

    /// Lets the next attempt of a claimed notice wait until `due`. No row if the claim was lost.
    ///
    /// # Errors
    /// [`StoreError`](crate::StoreError).
    pub async fn postpone_logout(&self, notice: &LogoutNotice, due: DateTime<Utc>) -> Result<u64> {
        let (session, client) = (notice.session.0, notice.client.as_str());
        change_alone!(self, statement::POSTPONE, session, client, notice.attempts, due.us())
    }
}

impl Tx {
    /// Ends the attempts of a claimed notice. No row if the claim was lost.
    ///
    /// # Errors
    /// [`StoreError`](crate::StoreError).
    pub async fn finish_logout(&mut self, notice: &LogoutNotice, at: DateTime<Utc>) -> Result<u64> {
        let (session, client) = (notice.session.0, notice.client.as_str());
        change!(self, statement::FINISH, session, client, notice.attempts, at.us())
    }

    /// Queues logout tokens for a session that ended at `at`.
    pub(crate) async fn tell_of_session(&mut self, session: SessionId, at: DateTime<Utc>) -> Result<()> {
        let end = at + NOTICE_LIFETIME;
        change!(self, statement::ENQUEUE_OF_SESSION, session.0, at.us(), end.us()).map(drop)
    }

    /// Queues logout tokens for every session that ended at `at`.
    pub(crate) async fn tell_of_all(&mut self, at: DateTime<Utc>) -> Result<()> {
        let end = at + NOTICE_LIFETIME;
        change!(self, statement::ENQUEUE_OF_ALL, at.us(), at.us(), end.us()).map(drop)
    }

    /// Queues logout tokens for every session that ended by itself, as was noted at `at`.
    pub(crate) async fn tell_of_expired(&mut self, at: DateTime<Utc>) -> Result<()> {
        let end = at + NOTICE_LIFETIME;
        change!(self, statement::ENQUEUE_OF_EXPIRED, at.us(), at.us(), end.us()).map(drop)
    }

    /// Queues logout tokens for every session of a user that ended at `at`.
    pub(crate) async fn tell_of_user(&mut self, user: UserId, at: DateTime<Utc>) -> Result<()> {
        let end = at + NOTICE_LIFETIME;
        change!(self, statement::ENQUEUE_OF_USER, user.0, at.us(), end.us()).map(drop)
    }
}
