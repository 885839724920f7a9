//! The userinfo endpoint (OpenID Connect Core §5.3).

use audit::EventKind;
use protocol::secret::AccessToken;
use serde_json::{Map, Value};
use tokens::presented::{DeadToken, UserinfoFault, userinfo_subject};

use crate::{context::RequestContext, error::Result, service::Service};

impl Service {
    /// The claims that an access token opens: `sub`, and what its scope releases (OC-16, OC-17).
    ///
    /// # Errors
    /// [`FlowError`](crate::FlowError).
    pub async fn userinfo(
        &self,
        context: &RequestContext,
        token: &AccessToken,
    ) -> Result<std::result::Result<Map<String, Value>, UserinfoFault>> {
        let found = self.find_access_token(token.expose()).await?;
        let declared = self.declared();
        let subject = userinfo_subject(found, &self.0.policies.issuer, &declared.catalogue, self.now());
        let (user, live) = match subject {
            Ok(subject) => subject,
            Err(fault) => return self.userinfo_refused(context, fault).await,
        };
        let Some(user) = self.0.store.user(user).await? else {
            return self.userinfo_refused(context, UserinfoFault::Dead(DeadToken::Unknown)).await;
        };
        let mut claims = Map::new();
        claims.insert("sub".into(), Value::String(user.id.to_string()));
        claims.extend(user.claims.released_by(&live.claims().scope));
        Ok(Ok(claims))
    }

    async fn userinfo_refused(
        &self,
        context: &RequestContext,
        fault: UserinfoFault,
    ) -> Result<std::result::Result<Map<String, Value>, UserinfoFault>> {
        let event = self.event(context, EventKind::UserinfoRefused, self.now()).reason(fault.to_string());
        self.note(event).await?;
        Ok(Err(fault))
    }
}
