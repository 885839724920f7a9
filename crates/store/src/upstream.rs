//! Upstream providers: attempts to sign in there, links between their subjects and users, and sessions
//! that rest on their word.

use chrono::{DateTime, Utc};
use jose::Digest;
use protocol::{SessionId, UserId, claims::StandardClaims};
use serde_json::Value;
use sqlx::types::Json;
use uuid::Uuid;

use crate::{
    Store, Tx,
    engine::{all, change, change_alone, on_store, on_tx, on_writer, optional, returning},
    error::Result,
    row::Micros,
    sql::upstream as statement,
};

/// Somebody who is sent to a provider.
#[derive(Clone, Debug)]
pub struct UpstreamAttempt {
    /// The digest of the state.
    pub digest: Digest,
    /// The provider.
    pub provider: String,
    /// The digest of the browser's cookie.
    pub browser: Digest,
    /// What they are sent for.
    pub purpose: Value,
    /// When.
    pub created_at: DateTime<Utc>,
    /// Until when they may come back.
    pub expires_at: DateTime<Utc>,
}

/// Which subject of which issuer is which user.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct UpstreamLink {
    /// The provider's issuer.
    pub issuer: String,
    /// Its subject, compared byte for byte.
    pub subject: String,
    /// The user.
    pub user: UserId,
    /// Whether the provider brought the user, whose roles and claims then follow it.
    pub brought: bool,
    /// What the person recognizes the account there by.
    pub label: Option<String>,
    /// Since when.
    pub linked_at: DateTime<Utc>,
}

/// A session that rests on a provider's word.
#[derive(Clone, Debug)]
pub struct UpstreamSession {
    /// The session.
    pub session: SessionId,
    /// The provider's issuer.
    pub issuer: String,
    /// Its subject.
    pub subject: String,
    /// Its session.
    pub sid: Option<String>,
    /// Its ID token, sealed.
    pub sealed_id_token: Vec<u8>,
    /// Since when.
    pub since: DateTime<Utc>,
}

#[derive(sqlx::FromRow)]
struct LinkRow {
    issuer: String,
    subject: String,
    user_id: Uuid,
    brought: bool,
    label: Option<String>,
    linked_at: DateTime<Utc>,
}

impl LinkRow {
    fn read(self) -> UpstreamLink {
        let Self { issuer, subject, user_id, brought, label, linked_at } = self;
        UpstreamLink { issuer, subject, user: UserId(user_id), brought, label, linked_at }
    }
}

impl Store {
    /// Remembers somebody who is sent to a provider.
    ///
    /// # Errors
    /// [`StoreError`](crate::StoreError).
    pub async fn begin_upstream_attempt(&self, attempt: &UpstreamAttempt) -> Result<()> {
        change_alone!(
            self,
            statement::INSERT_ATTEMPT,
            &attempt.digest.as_bytes()[..],
            attempt.provider.as_str(),
            &attempt.browser.as_bytes()[..],
            Json(&attempt.purpose),
            attempt.created_at.us(),
            attempt.expires_at.us(),
        )
        .map(drop)
    }

    /// Uses a state: gives what its person was sent for, and when, to one caller, who must name the
    /// provider and have the browser's cookie. `None` for everybody else, and when it has expired.
    ///
    /// # Errors
    /// [`StoreError`](crate::StoreError).
    pub async fn use_upstream_attempt(
        &self,
        digest: &Digest,
        provider: &str,
        browser: &Digest,
        at: DateTime<Utc>,
    ) -> Result<Option<(Value, DateTime<Utc>)>> {
        let mut tx = self.begin().await?;
        let rows = returning!(
            &mut tx,
            (Json<Value>, DateTime<Utc>),
            statement::USE_ATTEMPT,
            &digest.as_bytes()[..],
            provider,
            &browser.as_bytes()[..],
            at.us(),
        )?;
        tx.commit().await?;
        Ok(rows.into_iter().next().map(|(purpose, at)| (purpose.0, at)))
    }

    /// The link of a provider's subject.
    ///
    /// # Errors
    /// [`StoreError`](crate::StoreError).
    pub async fn upstream_link(&self, issuer: &str, subject: &str) -> Result<Option<UpstreamLink>> {
        Ok(optional!(self, LinkRow, statement::LINK, issuer, subject)?.map(LinkRow::read))
    }

    /// The links of a user.
    ///
    /// # Errors
    /// [`StoreError`](crate::StoreError).
    pub async fn upstream_links_of(&self, user: UserId) -> Result<Vec<UpstreamLink>> {
        Ok(all!(self, LinkRow, statement::LINKS_OF, user.0)?.into_iter().map(LinkRow::read).collect())
    }

    /// The provider that the session of a cookie rests on: session, issuer, sealed ID token.
    ///
    /// # Errors
    /// [`StoreError`](crate::StoreError).
    pub async fn upstream_of_session(&self, digest: &Digest) -> Result<Option<(SessionId, String, Vec<u8>)>> {
        let row = optional!(self, (Uuid, String, Vec<u8>), statement::SESSION, &digest.as_bytes()[..])?;
        Ok(row.map(|(id, issuer, sealed)| (SessionId(id), issuer, sealed)))
    }

    /// The sessions here that rest on a subject's, or a session's, there. Without either, none.
    ///
    /// # Errors
    /// [`StoreError`](crate::StoreError).
    pub async fn sessions_at_upstream(
        &self,
        issuer: &str,
        subject: Option<&str>,
        sid: Option<&str>,
    ) -> Result<Vec<SessionId>> {
        if subject.is_none() && sid.is_none() {
            return Ok(Vec::new());
        }
        let rows = all!(self, (Uuid,), statement::SESSIONS_AT, issuer, subject, sid)?;
        Ok(rows.into_iter().map(|(id,)| SessionId(id)).collect())
    }
}

impl Tx {
    /// Links a provider's subject and a user. No row if one of them has such a link already.
    ///
    /// # Errors
    /// [`StoreError`](crate::StoreError).
    pub async fn link_upstream(&mut self, link: &UpstreamLink) -> Result<u64> {
        change!(
            self,
            statement::INSERT_LINK,
            link.issuer.as_str(),
            link.subject.as_str(),
            link.user.0,
            link.brought,
            link.label.as_deref(),
            link.linked_at.us(),
        )
    }

    /// Removes a user's link with an issuer.
    ///
    /// # Errors
    /// [`StoreError`](crate::StoreError).
    pub async fn unlink_upstream(&mut self, user: UserId, issuer: &str) -> Result<u64> {
        change!(self, statement::REMOVE_LINK, user.0, issuer)
    }

    /// Notes on whose word a session rests from now on.
    ///
    /// # Errors
    /// [`StoreError`](crate::StoreError).
    pub async fn put_upstream_session(&mut self, upstream: &UpstreamSession) -> Result<()> {
        change!(
            self,
            statement::PUT_SESSION,
            upstream.session.0,
            upstream.issuer.as_str(),
            upstream.subject.as_str(),
            upstream.sid.as_deref(),
            upstream.sealed_id_token.as_slice(),
            upstream.since.us(),
        )
        .map(drop)
    }

    /// Writes what a provider says of a user whom it brought, in a transaction that
    /// [holds](Self::hold_user) them. No row if the user is disabled.
    ///
    /// # Errors
    /// [`StoreError`](crate::StoreError).
    pub async fn follow_upstream(
        &mut self,
        user: UserId,
        claims: &StandardClaims,
        roles: &[String],
    ) -> Result<u64> {
        change!(self, statement::FOLLOW, user.0, Json(claims), Json(roles))
    }
}
