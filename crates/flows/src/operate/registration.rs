//! Initial access tokens: made, and ended.

use audit::EventKind;
use chrono::{DateTime, Utc};
use jose::digest::sha256;
use protocol::secret::ClientSecret;
use tokens::initial_token::InitialTokenRecord;
use uuid::Uuid;

use super::{Operate, Operated, not_found, rule};

/// What an operator says about an initial access token.
#[derive(Clone, Debug)]
pub struct InitialTokenDraft {
    /// The policy that it carries.
    pub policy: String,
    /// Whom it is for.
    pub note: String,
    /// How many clients it registers; `None` for any number.
    pub max_uses: Option<i64>,
    /// When it ends; `None` for never.
    pub expires_at: Option<DateTime<Utc>>,
}

impl Operate<'_> {
    /// Makes an initial access token (DR-01). The token itself is nowhere but in the answer.
    ///
    /// # Errors
    /// [`FlowError`](crate::FlowError).
    pub async fn create_initial_token(
        &self,
        draft: InitialTokenDraft,
    ) -> Operated<(InitialTokenRecord, ClientSecret)> {
        let now = self.service.now();
        let Some(rules) = &self.service.policies().registration else {
            return Ok(Err(rule("registration is switched off: set registration.enabled")));
        };
        if rules.policy(&draft.policy).is_none() {
            let known: Vec<_> = rules.policies.iter().map(|policy| policy.name.as_str()).collect();
            let known = known.join(", ");
            return Ok(Err(rule(format!("there is no policy {}; there are: {known}", draft.policy))));
        }
        if draft.expires_at.is_some_and(|end| end <= now) {
            return Ok(Err(rule("the token would have expired already")));
        }
        let token = ClientSecret::from_entropy(self.service.entropy());
        let record = InitialTokenRecord {
            id: self.service.id(),
            digest: sha256(token.expose()),
            policy: draft.policy,
            note: draft.note,
            max_uses: draft.max_uses,
            uses: 0,
            created_at: now,
            expires_at: draft.expires_at,
            revoked_at: None,
        };
        let mut tx = self.alone().await?;
        tx.insert_initial_token(&record).await?;
        let event = self.event(EventKind::InitialTokenCreated, now);
        let event = event.detail("initial_token_id", record.id.to_string()).detail("policy", &record.policy);
        tx.record(&event).await?;
        tx.commit().await?;
        Ok(Ok((record, token)))
    }

    /// Ends an initial access token. Clients that came with it stay.
    ///
    /// # Errors
    /// [`FlowError`](crate::FlowError).
    pub async fn revoke_initial_token(&self, id: Uuid) -> Operated<()> {
        let now = self.service.now();
        let mut tx = self.alone().await?;
        if tx.revoke_initial_token(id, now).await? == 0 {
            return Ok(Err(not_found("usable initial access token", id)));
        }
        let event = self.event(EventKind::InitialTokenRevoked, now);
        tx.record(&event.detail("initial_token_id", id.to_string())).await?;
        tx.commit().await?;
        Ok(Ok(()))
    }
}
