//! Single rows, as tests need them. What serves requests stores them together only, with the verbs of
//! [`hot`](crate::hot).

use tokens::grant::{CodeRecord, GrantRecord, RefreshRecord};

use crate::{
    Result, Tx,
    bind::{bind_code, bind_grant, bind_refresh},
    engine::on_tx,
    row::Micros,
};

const GRANT: &str =
    "INSERT INTO grants (id, consent_id, client_id, user_id, session_id, session_bound, scope,
        audience, auth_time, acr, amr, created_at, revoked_at, expires_at, details)
    VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11, $12, $13, $14, $15)";
const CODE: &str =
    "INSERT INTO codes (digest, grant_id, client_id, redirect_uri, code_challenge, nonce, issued_at,
        expires_at, keep_until, consumed_at)
    VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10)";
const REFRESH: &str =
    "INSERT INTO refresh_tokens (digest, grant_id, client_id, kind, issued_at, idle_expires_at,
        expires_at, consumed_at)
    VALUES ($1, $2, $3, $4, $5, $6, $7, $8)";

impl Tx {
    pub(crate) async fn insert_grant(&mut self, grant: &GrantRecord) -> Result<()> {
        on_tx!(self, db => bind_grant!(sqlx::query(GRANT), grant).execute(db).await.map(drop))?;
        Ok(())
    }

    pub(crate) async fn insert_code(&mut self, code: &CodeRecord) -> Result<()> {
        on_tx!(self, db => bind_code!(sqlx::query(CODE), code).execute(db).await.map(drop))?;
        Ok(())
    }

    pub(crate) async fn insert_refresh(&mut self, refresh: &RefreshRecord) -> Result<()> {
        on_tx!(self, db => bind_refresh!(sqlx::query(REFRESH), Some(refresh)).execute(db).await.map(drop))?;
        Ok(())
    }
}
