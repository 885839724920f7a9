//! Finding out what a presented token is.

use jose::{digest::sha256, verify_access_token};
use tokens::{mint::AccessTokenClaims, presented::FoundAccessToken};

use crate::{error::Result, service::Service};

impl Service {
    /// An access token of ours with everything above it: a JWT by its signature, an opaque one by
    /// its digest. `None` for whatever we did not issue, and for an expired JWT.
    pub(crate) async fn find_access_token(&self, token: &str) -> Result<Option<FoundAccessToken>> {
        if token.contains('.') {
            return self.find_jwt(token).await;
        }
        let found = self.0.store.access_token(&sha256(token)).await?;
        Ok(found.map(|(record, line)| FoundAccessToken {
            claims: record.claims,
            digest: Some(record.digest),
            revoked: record.revoked_at.is_some(),
            line,
        }))
    }

    async fn find_jwt(&self, token: &str) -> Result<Option<FoundAccessToken>> {
        let declared = self.declared();
        let keys = declared.keyring.verification_keys();
        let Ok(verified) = verify_access_token(token, keys, &self.0.policies.issuer, self.now()) else {
            return Ok(None);
        };
        let claims = serde_json::Value::Object(verified.claims.into_map());
        let Ok(claims) = serde_json::from_value::<AccessTokenClaims>(claims) else { return Ok(None) };
        let revoked = self.0.store.is_denied(claims.jti).await?;
        let line = match claims.grant_id {
            Some(grant) => self.0.store.grant_line(grant).await?,
            None => None,
        };
        Ok(Some(FoundAccessToken { claims, digest: None, revoked, line }))
    }
}
