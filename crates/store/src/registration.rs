//! Clients that registered themselves, and the initial access tokens that let them.

use chrono::{DateTime, Utc};
use jose::Digest;
use protocol::ClientId;
use tokens::initial_token::{InitialTokenRecord, Origin, Registration};
use uuid::Uuid;

use crate::{
    Store, Tx,
    declared::Topic,
    engine::{all, change, change_alone, on_store, on_tx, on_writer, optional, returning},
    error::Result,
    row::{Micros, Row},
    sql::registration as statement,
};

#[derive(sqlx::FromRow)]
struct TokenRow {
    id: Uuid,
    digest: Vec<u8>,
    policy: String,
    note: String,
    max_uses: Option<i64>,
    uses: i64,
    created_at: DateTime<Utc>,
    expires_at: Option<DateTime<Utc>>,
    revoked_at: Option<DateTime<Utc>>,
}

impl TokenRow {
    fn parse(self) -> Result<InitialTokenRecord> {
        let digest = Row::new("initial_access_tokens", &self.id).digest("digest", &self.digest)?;
        Ok(InitialTokenRecord {
            id: self.id,
            digest,
            policy: self.policy,
            note: self.note,
            max_uses: self.max_uses,
            uses: self.uses,
            created_at: self.created_at,
            expires_at: self.expires_at,
            revoked_at: self.revoked_at,
        })
    }
}

#[derive(sqlx::FromRow)]
struct RegistrationRow {
    client_id: String,
    origin: String,
    policy: String,
    initial_token: Option<Uuid>,
    management_digest: Option<Vec<u8>>,
    software_statement: Option<String>,
    registered_at: DateTime<Utc>,
    fetched_at: Option<DateTime<Utc>>,
}

impl RegistrationRow {
    fn parse(self) -> Result<Registration> {
        let row = Row::new("registrations", &self.client_id);
        let management = self.management_digest.as_deref();
        Ok(Registration {
            client: row.parse("client_id", &self.client_id)?,
            origin: row.known("origin", &self.origin, Origin::parse(&self.origin))?,
            management: management.map(|bytes| row.digest("management_digest", bytes)).transpose()?,
            policy: self.policy,
            initial_token: self.initial_token,
            software_statement: self.software_statement,
            registered_at: self.registered_at,
            fetched_at: self.fetched_at,
        })
    }
}

impl Store {
    /// Every initial access token, oldest first.
    ///
    /// # Errors
    /// [`StoreError`](crate::StoreError).
    pub async fn initial_tokens(&self) -> Result<Vec<InitialTokenRecord>> {
        all!(self, TokenRow, statement::INITIAL_TOKENS)?.into_iter().map(TokenRow::parse).collect()
    }

    /// One initial access token.
    ///
    /// # Errors
    /// [`StoreError`](crate::StoreError).
    pub async fn initial_token(&self, digest: &Digest) -> Result<Option<InitialTokenRecord>> {
        let row = optional!(self, TokenRow, statement::INITIAL_TOKEN, &digest.as_bytes()[..])?;
        row.map(TokenRow::parse).transpose()
    }

    /// Every client that no operator declared, by identifier.
    ///
    /// # Errors
    /// [`StoreError`](crate::StoreError).
    pub async fn registrations(&self) -> Result<Vec<Registration>> {
        let rows = all!(self, RegistrationRow, statement::REGISTRATIONS)?;
        rows.into_iter().map(RegistrationRow::parse).collect()
    }

    /// Notes that a client was used, unless that was noted after `noted_before`. No row for a client that an
    /// operator declared.
    ///
    /// # Errors
    /// [`StoreError`](crate::StoreError).
    pub async fn note_client_use(
        &self,
        client: &ClientId,
        now: DateTime<Utc>,
        noted_before: DateTime<Utc>,
    ) -> Result<u64> {
        change_alone!(self, statement::NOTE_USE, client.as_str(), now.us(), noted_before.us())
    }

    /// Where one client comes from; `None` if an operator declared it.
    ///
    /// # Errors
    /// [`StoreError`](crate::StoreError).
    pub async fn registration(&self, client: &ClientId) -> Result<Option<Registration>> {
        let row = optional!(self, RegistrationRow, statement::REGISTRATION, client.as_str())?;
        row.map(RegistrationRow::parse).transpose()
    }
}

impl Tx {
    /// Inserts a new initial access token.
    ///
    /// # Errors
    /// [`StoreError`](crate::StoreError).
    pub async fn insert_initial_token(&mut self, token: &InitialTokenRecord) -> Result<()> {
        change!(
            self,
            statement::INSERT_INITIAL_TOKEN,
            token.id,
            &token.digest.as_bytes()[..],
            &token.policy,
            &token.note,
            token.max_uses,
            token.uses,
            token.created_at.us(),
            token.expires_at.us(),
            token.revoked_at.us(),
        )
        .map(drop)
    }

    /// Uses an initial access token once. No row if it has ended or has no use left: then nothing may
    /// be registered with it, however many try at once.
    ///
    /// # Errors
    /// [`StoreError`](crate::StoreError).
    pub async fn use_initial_token(&mut self, digest: &Digest, at: DateTime<Utc>) -> Result<u64> {
        change!(self, statement::USE_INITIAL_TOKEN, &digest.as_bytes()[..], at.us())
    }

    /// Ends an initial access token. No row if there is none, or if it was revoked before.
    ///
    /// # Errors
    /// [`StoreError`](crate::StoreError).
    pub async fn revoke_initial_token(&mut self, id: Uuid, at: DateTime<Utc>) -> Result<u64> {
        change!(self, statement::REVOKE_INITIAL_TOKEN, id, at.us())
    }

    /// Where one client comes from, as this transaction sees it.
    ///
    /// # Errors
    /// [`StoreError`](crate::StoreError).
    pub async fn registration(&mut self, client: &ClientId) -> Result<Option<Registration>> {
        let mut rows = returning!(self, RegistrationRow, statement::REGISTRATION, client.as_str())?;
        rows.pop().map(RegistrationRow::parse).transpose()
    }

    /// Says where a client comes from, or what has changed about that: its registration access token,
    /// its software statement, when its document was read.
    ///
    /// # Errors
    /// [`StoreError`](crate::StoreError).
    pub async fn put_registration(&mut self, registration: &Registration) -> Result<()> {
        change!(
            self,
            statement::PUT_REGISTRATION,
            registration.client.as_str(),
            registration.origin.as_str(),
            &registration.policy,
            registration.initial_token,
            registration.management.as_ref().map(|digest| &digest.as_bytes()[..]),
            registration.software_statement.as_deref(),
            registration.registered_at.us(),
            registration.fetched_at.us(),
        )
        .map(drop)
    }

    /// Forgets clients of a policy that registered themselves, that nobody ever consented to, and that
    /// nobody has used since `before`; at most `batch` of them. Answers which.
    ///
    /// # Errors
    /// [`StoreError`](crate::StoreError).
    pub async fn forget_unused_clients(
        &mut self,
        policy: &str,
        before: DateTime<Utc>,
        batch: u32,
    ) -> Result<Vec<ClientId>> {
        let gone =
            returning!(self, (String,), statement::FORGET_UNUSED, policy, before.us(), i64::from(batch))?;
        if !gone.is_empty() {
            self.bump(Topic::Clients).await?;
        }
        gone.iter().map(|(id,)| Row::new("clients", id).parse("id", id)).collect()
    }

    /// Ends a client's registration access token (DR-09). No row if it had none.
    ///
    /// # Errors
    /// [`StoreError`](crate::StoreError).
    pub async fn end_management(&mut self, client: &ClientId) -> Result<u64> {
        change!(self, statement::END_MANAGEMENT, client.as_str())
    }
}
