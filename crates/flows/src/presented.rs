//! Finding out what a presented token is.

use jose::{digest::sha256, verify_access_token};
use tokens::{
    mint::AccessTokenClaims,
    presented::{Above, FoundAccessToken},
};

use crate::{error::Result, service::Service};

impl Service {
    /// An access token of ours with everything above it: a JWT by its signature, an opaque one by
    /// its digest. `None` for whatever we did not issue, and for an expired JWT.
    pub(crate) async fn find_access_token(&self, token: &str) -> Result<Option<FoundAccessToken>> {
        let mut found = self.find_own(token).await?;
        // What stands above an exchanged token is its origin's grant; its own holder must stand, too.
        if let Some(found) = &mut found
            && found.claims.delegation.origin_client_id.is_some()
            && self.client(found.claims.client_id.as_str()).await?.is_none()
        {
            found.above = Above::Nothing;
        }
        Ok(found)
    }

    async fn find_own(&self, token: &str) -> Result<Option<FoundAccessToken>> {
        if token.contains('.') {
            return self.find_jwt(token).await;
        }
        let Some((record, above)) = self.0.store.access_token(&sha256(token)).await? else { return Ok(None) };
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
        // The database is asked about a client, too, not the cache, so that a disabled client's tokens
        // are dead on every node at once.
        let above = self.0.store.above_jwt(claims.jti, claims.grant_id, &claims.client_id, claims.iat);
        let (revoked, above) = above.await?;
        Ok(Some(FoundAccessToken { claims, digest: None, revoked, above }))
    }
}
