//! Grants, the line above each, and the codes that stand for them.

use chrono::{DateTime, Utc};
use jose::Digest;
use protocol::{ConsentId, GrantId, SessionId, UserId, pkce::CodeChallenge};
use serde_json::Value;
use sqlx::types::Json;
use tokens::{
    disclosed::GrantedClaims,
    grant::{CodeRecord, GrantLine, GrantRecord},
};
use uuid::Uuid;

use crate::{
    Store, Tx,
    engine::{change, on_store, on_tx, optional},
    error::Result,
    row::{Micros, Row, joined, shown},
    sql::grants as statement,
};

/// The columns of a grant and everything above it, in whichever statement they stand.
#[derive(sqlx::FromRow)]
pub(crate) struct LineRow {
    g_id: Uuid,
    g_consent_id: Uuid,
    g_client_id: String,
    g_user_id: Uuid,
    g_session_id: Uuid,
    g_session_bound: bool,
    g_scope: String,
    g_audience: Json<Value>,
    g_auth_time: DateTime<Utc>,
    g_acr: String,
    g_amr: Json<Value>,
    g_created_at: DateTime<Utc>,
    g_revoked_at: Option<DateTime<Utc>>,
    g_expires_at: DateTime<Utc>,
    g_details: Option<Json<Value>>,
    c_details: Option<Json<Value>>,
    k_detail_types: Option<Json<Value>>,
    k_disabled: bool,
    k_scope: Option<String>,
    c_scope: String,
    c_resources: Json<Value>,
    c_withdrawn_at: Option<DateTime<Utc>>,
    c_expires_at: Option<DateTime<Utc>>,
    s_ended_at: Option<DateTime<Utc>>,
    s_expires_at: Option<DateTime<Utc>>,
    u_disabled_at: Option<DateTime<Utc>>,
    u_roles: Json<Value>,
}

joined!(LineRow, "", "g_id", {
    g_id,
    g_consent_id,
    g_client_id,
    g_user_id,
    g_session_id,
    g_session_bound,
    g_scope,
    g_audience,
    g_auth_time,
    g_acr,
    g_amr,
    g_created_at,
    g_revoked_at,
    g_expires_at,
    g_details,
    c_details,
    k_detail_types,
    k_disabled,
    k_scope,
    c_scope,
    c_resources,
    c_withdrawn_at,
    c_expires_at,
    s_ended_at,
    s_expires_at,
    u_disabled_at,
    u_roles,
});

impl LineRow {
    pub(crate) fn parse(self) -> Result<GrantLine> {
        let row = Row::new("grants", &self.g_id);
        let (scope, claims) = GrantedClaims::split(&row.parse("scope", &self.g_scope)?);
        let grant = GrantRecord {
            id: GrantId(self.g_id),
            consent: ConsentId(self.g_consent_id),
            client: row.parse("client_id", &self.g_client_id)?,
            user: UserId(self.g_user_id),
            session: SessionId(self.g_session_id),
            session_bound: self.g_session_bound,
            scope,
            claims,
            details: row.maybe("details", self.g_details)?,
            audience: row.document("audience", self.g_audience)?,
            auth_time: self.g_auth_time,
            acr: row.parse("acr", &self.g_acr)?,
            amr: row.document("amr", self.g_amr)?,
            created_at: self.g_created_at,
            revoked_at: self.g_revoked_at,
            expires_at: self.g_expires_at,
        };
        let user_roles = Row::new("users", &self.g_user_id).document("roles", self.u_roles)?;
        let consent = Row::new("consents", &self.g_consent_id);
        Ok(GrantLine {
            grant,
            client_disabled: self.k_disabled,
            client_scope: Row::new("clients", &self.g_client_id)
                .parse("metadata.scope", self.k_scope.as_deref().unwrap_or_default())?,
            client_detail_types: Row::new("clients", &self.g_client_id)
                .maybe("metadata.authorization_details_types", self.k_detail_types)?,
            consent_details: consent.maybe("details", self.c_details)?,
            consent_scope: consent.parse("scope", &self.c_scope)?,
            consent_resources: consent.document("resources", self.c_resources)?,
            consent_withdrawn_at: self.c_withdrawn_at,
            consent_expires_at: self.c_expires_at,
            session_ended_at: self.s_ended_at,
            session_expires_at: self.s_expires_at,
            user_disabled_at: self.u_disabled_at,
            user_roles,
        })
    }
}

#[derive(sqlx::FromRow)]
struct CodeRow {
    digest: Vec<u8>,
    grant_id: Uuid,
    client_id: String,
    redirect_uri: String,
    code_challenge: Option<String>,
    nonce: Option<String>,
    issued_at: DateTime<Utc>,
    expires_at: DateTime<Utc>,
    keep_until: DateTime<Utc>,
    consumed_at: Option<DateTime<Utc>>,
    dpop_jkt: Option<Vec<u8>>,
    #[sqlx(flatten)]
    line: LineRow,
}

impl CodeRow {
    fn parse(self) -> Result<(CodeRecord, GrantLine)> {
        let key = shown(&self.digest);
        let row = Row::new("codes", &key);
        let challenge = self.code_challenge.map(CodeChallenge::try_from).transpose();
        let code = CodeRecord {
            digest: row.digest("digest", &self.digest)?,
            grant: GrantId(self.grant_id),
            client: row.parse("client_id", &self.client_id)?,
            redirect_uri: self.redirect_uri,
            code_challenge: challenge.map_err(|fault| row.corrupt("code_challenge", fault))?,
            nonce: self.nonce,
            issued_at: self.issued_at,
            expires_at: self.expires_at,
            keep_until: self.keep_until,
            consumed_at: self.consumed_at,
            dpop_jkt: self.dpop_jkt.map(|bytes| row.digest("dpop_jkt", &bytes)).transpose()?,
        };
        Ok((code, self.line.parse()?))
    }
}

impl Store {
    /// A grant with everything above it, in one read. Without a row of the session, both of its
    /// times are absent, which counts as ended.
    ///
    /// # Errors
    /// [`StoreError`](crate::StoreError).
    pub async fn grant_line(&self, id: GrantId) -> Result<Option<GrantLine>> {
        optional!(self, LineRow, statement::LINE, id.0)?.map(LineRow::parse).transpose()
    }

    /// A code, spent or not, with its grant's line, in one read.
    ///
    /// # Errors
    /// [`StoreError`](crate::StoreError).
    pub async fn code(&self, digest: &Digest) -> Result<Option<(CodeRecord, GrantLine)>> {
        let row = optional!(self, CodeRow, statement::CODE, &digest.as_bytes()[..])?;
        row.map(CodeRow::parse).transpose()
    }
}

impl Tx {
    /// Revokes a grant and with it everything issued from it. No row if it was revoked before.
    ///
    /// # Errors
    /// [`StoreError`](crate::StoreError).
    pub async fn revoke_grant(&mut self, id: GrantId, at: DateTime<Utc>) -> Result<u64> {
        change!(self, statement::REVOKE, id.0, at.us())
    }

    /// Revokes every grant of a user. Gives how many.
    ///
    /// # Errors
    /// [`StoreError`](crate::StoreError).
    pub async fn revoke_grants_of(&mut self, user: UserId, at: DateTime<Utc>) -> Result<u64> {
        change!(self, statement::REVOKE_OF_USER, user.0, at.us())
    }
}
