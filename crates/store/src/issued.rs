//! Tokens, by digest: refresh tokens, opaque access tokens, JWTs that were revoked, and the marks of
//! proofs that were seen.

use chrono::{DateTime, Utc};
use jose::Digest;
use protocol::{ClientId, GrantId, TokenId, client::GrantType};
use serde_json::Value;
use sqlx::{FromRow, Row as _, types::Json};
use tokens::{
    grant::{AccessTokenRecord, GrantLine, RefreshKind, RefreshRecord},
    presented::{Above, ClientRights},
};
use uuid::Uuid;

use crate::{
    Store, Tx,
    engine::{change, on_store, on_tx, optional, scalar},
    error::Result,
    grants::LineRow,
    row::{Joined, Micros, Row, shown},
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
    bound_to: Option<Vec<u8>>,
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
            bound_to: self.bound_to.map(|bytes| row.digest("bound_to", &bytes)).transpose()?,
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

/// What stands above an access token.
struct AboveRow {
    line: Option<LineRow>,
    /// Of a token without a grant.
    client: Option<ClientRow>,
}

/// What a client may do on its own behalf.
struct ClientRow {
    scope: Option<String>,
    grant_types: Option<Json<Value>>,
    detail_types: Option<Json<Value>>,
}

impl ClientRow {
    fn parse(self, client: &ClientId) -> Result<ClientRights> {
        let row = Row::new("clients", client);
        // `null` where the registration leaves it out.
        let grants: Option<Vec<GrantType>> = row.maybe("metadata.grant_types", self.grant_types)?;
        Ok(ClientRights {
            client_credentials: grants.is_some_and(|grants| grants.contains(&GrantType::ClientCredentials)),
            scope: row.parse("metadata.scope", self.scope.as_deref().unwrap_or_default())?,
            detail_types: row.maybe("metadata.authorization_details_types", self.detail_types)?,
        })
    }
}

impl AboveRow {
    fn read<R: sqlx::Row>(row: &R) -> sqlx::Result<Self>
    where
        LineRow: Joined<R>,
        for<'r> bool: sqlx::Decode<'r, R::Database> + sqlx::Type<R::Database>,
        for<'r> Option<String>: sqlx::Decode<'r, R::Database> + sqlx::Type<R::Database>,
        for<'r> Option<Json<Value>>: sqlx::Decode<'r, R::Database> + sqlx::Type<R::Database>,
        for<'n> &'n str: sqlx::ColumnIndex<R>,
    {
        let line = LineRow::joined(row)?;
        let client = if line.is_none() && row.try_get("t_client_enabled")? {
            Some(ClientRow {
                scope: row.try_get("k_scope")?,
                grant_types: row.try_get("k_grant_types")?,
                detail_types: row.try_get("k_detail_types")?,
            })
        } else {
            None
        };
        Ok(Self { line, client })
    }

    fn parse(self, grant: Option<GrantId>, client: &ClientId) -> Result<Above> {
        Ok(match (grant, self.line) {
            (Some(_), Some(line)) => Above::Grant(Box::new(line.parse()?)),
            (Some(_), None) => Above::Nothing,
            (None, _) => Above::Client(self.client.map(|row| row.parse(client)).transpose()?),
        })
    }
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

    /// An opaque access token with what stands above it, in one read.
    ///
    /// # Errors
    /// [`StoreError`](crate::StoreError).
    pub async fn access_token(&self, digest: &Digest) -> Result<Option<(AccessTokenRecord, Above)>> {
        let found = on_store!(self, db => {
            let row = sqlx::query(statement::ACCESS).bind(&digest.as_bytes()[..]).fetch_optional(db).await;
            row.and_then(|row| {
                row.map(|row| Ok((AccessRow::from_row(&row)?, AboveRow::read(&row)?))).transpose()
            })
        })?;
        let Some((token, above)) = found else { return Ok(None) };
        let token = token.parse()?;
        let above = above.parse(token.grant, &token.client)?;
        Ok(Some((token, above)))
    }

    /// What stands above a JWT access token of this grant, or of this client's own, and whether the
    /// token was revoked on its own, in one read. `iat` is when it was issued, in seconds: a client that was
    /// deleted and registered again since does not bring the tokens of the first one back.
    ///
    /// # Errors
    /// [`StoreError`](crate::StoreError).
    pub async fn above_jwt(
        &self,
        id: TokenId,
        grant: Option<GrantId>,
        client: &ClientId,
        iat: i64,
    ) -> Result<(bool, Above)> {
        let after = DateTime::from_timestamp(iat.saturating_add(1), 0).unwrap_or_default();
        let (denied, above) = on_store!(self, db => {
            let query = sqlx::query(statement::ABOVE_JWT);
            let query = query.bind(id.0).bind(grant.map(|grant| grant.0)).bind(client.as_str());
            let query = query.bind(after);
            query.fetch_one(db).await.and_then(|row| Ok((row.try_get("t_denied")?, AboveRow::read(&row)?)))
        })?;
        Ok((denied, above.parse(grant, client)?))
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
}
