//! Finding out what a presented token is.

use jose::{digest::sha256, verify_access_token};
use tokens::{
    grant::GrantLine,
    mint::AccessTokenClaims,
    presented::{Above, FoundAccessToken},
};

use crate::{error::Result, service::Service};

impl Service {
    /// An access token of ours with everything above it: a JWT by its signature, an opaque one by
    /// its digest. `None` for whatever we did not issue, and for an expired JWT.
    pub(crate) async fn find_access_token(&self, token: &str) -> Result<Option<FoundAccessToken>> {
        if token.contains('.') {
            return self.find_jwt(token).await;
        }
        let Some((record, line)) = self.0.store.access_token(&sha256(token)).await? else { return Ok(None) };
        let above = self.above(&record.claims, line).await?;
        let revoked = record.revoked_at.is_some();
        Ok(Some(FoundAccessToken { claims: record.claims, digest: Some(record.digest), revoked, above }))
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
        let above = self.above(&claims, line).await?;
        Ok(Some(FoundAccessToken { claims, digest: None, revoked, above }))
    }

    /// What a token lives by: its grant, or the client alone. The database is asked, not the cache,
    /// so that a disabled client's tokens are dead on every node at once.
    async fn above(&self, claims: &AccessTokenClaims, line: Option<GrantLine>) -> Result<Above> {
        Ok(match (claims.grant_id, line) {
            (Some(_), Some(line)) => Above::Grant(Box::new(line)),
            (Some(_), None) => Above::Nothing,
            (None, _) => Above::Client { enabled: self.0.store.client_is_enabled(&claims.client_id).await? },
        })
    }
}
