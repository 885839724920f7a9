//! Tokens, by digest: refresh tokens, opaque access tokens, JWTs that were revoked, and the marks of
//! proofs that were seen.

use chrono::{DateTime, Utc};
use jose::Digest;
use protocol::{ClientId, GrantId, TokenId};
use serde_json::Value;
use sqlx::types::Json;
use tokens::grant::{AccessTokenRecord, GrantLine, RefreshKind, RefreshRecord};
use uuid::Uuid;

use crate::{
    Store, Tx,
    engine::{change, on_store, on_tx, optional, scalar},
    error::Result,
    grants::LineRow,
    row::{Micros, Row, shown},
    sql::tokens as statement,
};

#[derive(sqlx::FromRow)]
struct RefreshRow {
    digest: Vec<u8>,
    grant_id: Uuid,
    client_id: String,
    kind: String,
    issued_at: DateTime<Utc>,
    idle_expires_at: DateTime<Utc>,
    expires_at: DateTime<Utc>,
    consumed_at: Option<DateTime<Utc>>,
    #[sqlx(flatten)]
    line: LineRow,
}

impl RefreshRow {
    fn parse(self) -> Result<(RefreshRecord, GrantLine)> {
        let key = shown(&self.digest);
        let row = Row::new("refresh_tokens", &key);
        let refresh = RefreshRecord {
            digest: row.digest("digest", &self.digest)?,
            grant: GrantId(self.grant_id),
            client: row.parse("client_id", &self.client_id)?,
            kind: row.known("kind", &self.kind, RefreshKind::parse(&self.kind))?,
            issued_at: self.issued_at,
            idle_expires_at: self.idle_expires_at,
            expires_at: self.expires_at,
            consumed_at: self.consumed_at,
        };
        Ok((refresh, self.line.parse()?))
    }
}

#[derive(sqlx::FromRow)]
struct AccessRow {
    digest: Vec<u8>,
    id: Uuid,
    grant_id: Option<Uuid>,
    client_id: String,
    claims: Json<Value>,
    issued_at: DateTime<Utc>,
    expires_at: DateTime<Utc>,
    revoked_at: Option<DateTime<Utc>>,
}

impl AccessRow {
    fn parse(self) -> Result<AccessTokenRecord> {
        let row = Row::new("access_tokens", &self.id);
        Ok(AccessTokenRecord {
            digest: row.digest("digest", &self.digest)?,
            id: TokenId(self.id),
            grant: self.grant_id.map(GrantId),
            client: row.parse("client_id", &self.client_id)?,
            claims: row.document("claims", self.claims)?,
            issued_at: self.issued_at,
            expires_at: self.expires_at,
            revoked_at: self.revoked_at,
        })
    }
}

#[derive(sqlx::FromRow)]
struct AccessLineRow {
    #[sqlx(flatten)]
    token: AccessRow,
    #[sqlx(flatten)]
    line: LineRow,
}

impl Store {
    /// A refresh token, usable or not, with its grant's line, in one read.
    ///
    /// # Errors
    /// [`StoreError`](crate::StoreError).
    pub async fn refresh_token(&self, digest: &Digest) -> Result<Option<(RefreshRecord, GrantLine)>> {
        let row = optional!(self, RefreshRow, statement::REFRESH, &digest.as_bytes()[..])?;
        row.map(RefreshRow::parse).transpose()
    }

    /// An opaque access token with its grant's line; without one if it came from client_credentials.
    ///
    /// # Errors
    /// [`StoreError`](crate::StoreError).
    pub async fn access_token(
        &self,
        digest: &Digest,
    ) -> Result<Option<(AccessTokenRecord, Option<GrantLine>)>> {
        let key = &digest.as_bytes()[..];
        if let Some(row) = optional!(self, AccessLineRow, statement::ACCESS_LINE, key)? {
            return Ok(Some((row.token.parse()?, Some(row.line.parse()?))));
        }
        let row = optional!(self, AccessRow, statement::GRANTLESS_ACCESS, key)?;
        row.map(|row| Ok((row.parse()?, None))).transpose()
    }

    /// Whether a client is registered and not disabled, as the database has it now: what a token
    /// without a grant lives by.
    ///
    /// # Errors
    /// [`StoreError`](crate::StoreError).
    pub async fn client_is_enabled(&self, id: &ClientId) -> Result<bool> {
        scalar!(self, bool, statement::CLIENT_IS_ENABLED, id.as_str())
    }

    /// Whether a JWT access token was revoked on its own.
    ///
    /// # Errors
    /// [`StoreError`](crate::StoreError).
    pub async fn is_denied(&self, id: TokenId) -> Result<bool> {
        scalar!(self, bool, statement::IS_DENIED, id.0)
    }
}

impl Tx {
    /// Inserts a refresh token.
    ///
    /// # Errors
    /// [`StoreError::Conflict`](crate::StoreError::Conflict) if there is no such grant.
    pub async fn insert_refresh(&mut self, refresh: &RefreshRecord) -> Result<()> {
        change!(
            self,
            statement::INSERT_REFRESH,
            &refresh.digest.as_bytes()[..],
            refresh.grant.0,
            refresh.client.as_str(),
            refresh.kind.as_str(),
            refresh.issued_at.us(),
            refresh.idle_expires_at.us(),
            refresh.expires_at.us(),
            refresh.consumed_at.us(),
        )
        .map(drop)
    }

    /// Spends a rotating refresh token (BCP-08). One caller, on any node, gets the row; there is
    /// none either if it has expired at `now`, idle or absolutely.
    ///
    /// # Errors
    /// [`StoreError`](crate::StoreError).
    pub async fn rotate_refresh(&mut self, digest: &Digest, now: DateTime<Utc>) -> Result<u64> {
        change!(self, statement::ROTATE_REFRESH, &digest.as_bytes()[..], now.us())
    }

    /// Moves the idle end of a stable refresh token on (BCP-09), never back and never beyond its
    /// absolute end. Once a minute is enough.
    ///
    /// # Errors
    /// [`StoreError`](crate::StoreError).
    pub async fn touch_refresh(&mut self, digest: &Digest, idle_expires_at: DateTime<Utc>) -> Result<u64> {
        change!(self, statement::TOUCH_REFRESH, &digest.as_bytes()[..], idle_expires_at.us())
    }

    /// Inserts an opaque access token.
    ///
    /// # Errors
    /// [`StoreError::Conflict`](crate::StoreError::Conflict) if there is no such grant.
    pub async fn insert_access_token(&mut self, token: &AccessTokenRecord) -> Result<()> {
        change!(
            self,
            statement::INSERT_ACCESS,
            &token.digest.as_bytes()[..],
            token.id.0,
            token.grant.map(|grant| grant.0),
            token.client.as_str(),
            Json(&token.claims),
            token.issued_at.us(),
            token.expires_at.us(),
            token.revoked_at.us(),
        )
        .map(drop)
    }

    /// Revokes an opaque access token on its own. No row if it was revoked before.
    ///
    /// # Errors
    /// [`StoreError`](crate::StoreError).
    pub async fn revoke_access_token(&mut self, digest: &Digest, at: DateTime<Utc>) -> Result<u64> {
        change!(self, statement::REVOKE_ACCESS, &digest.as_bytes()[..], at.us())
    }

    /// Revokes a JWT access token on its own; remembered until the token's own end. No row if it
    /// was revoked before.
    ///
    /// # Errors
    /// [`StoreError`](crate::StoreError).
    pub async fn deny_token(&mut self, id: TokenId, expires_at: DateTime<Utc>) -> Result<u64> {
        change!(self, statement::DENY, id.0, expires_at.us())
    }

    /// Marks a proof as seen; `kind` keeps proofs of different kinds apart. One caller, on any node,
    /// gets the row. The mark is kept until `expires_at`, from when on the proof must be refused as
    /// expired (BCP-15, OC-24).
    ///
    /// # Errors
    /// [`StoreError`](crate::StoreError).
    pub async fn mark_once(
        &mut self,
        kind: &'static str,
        digest: &Digest,
        expires_at: DateTime<Utc>,
    ) -> Result<u64> {
        change!(self, statement::MARK, kind, &digest.as_bytes()[..], expires_at.us())
    }
}
