//! What travels in an authorization response beside or around its parameters: the ID token of
//! `code id_token`, and the JWT of the signed response modes (JARM).

use std::sync::Arc;

use chrono::{DateTime, Utc};
use serde_json::{Map, Value};
use tokens::{checks::ValidatedAuthorization, client::Client, issue::IssuedCode};

use crate::{
    authorize::AuthorizationRefusal, deliver::Undeliverable, error::Result as Flow, service::Service,
};

impl Service {
    /// The ID token beside a code, as it is sent; none where the response type has none. Signing and
    /// encrypting come before anything is stored.
    pub(crate) async fn id_token_beside(
        &self,
        validated: &ValidatedAuthorization,
        issued: &IssuedCode,
        now: DateTime<Utc>,
    ) -> Flow<Result<Option<String>, AuthorizationRefusal>> {
        let declared = self.declared();
        if !validated.request().response_type.has_id_token() {
            return Ok(Ok(None));
        }
        let person = self.told_in_id_token(issued.grant.user, &issued.grant.claims).await?;
        let envelope = self.mint(&declared)?.id_token_beside(issued, validated, &person, now)?;
        let Some(envelope) = envelope else { return Ok(Ok(None)) };
        let sealed = self.deliver(validated.client(), envelope).await;
        Ok(sealed.map(Some).map_err(|fault| AuthorizationRefusal::Undeliverable(Arc::new(fault))))
    }

    /// The parameters of a response in one JWT, signed and encrypted as the client registered (MS-06). They
    /// hold no `iss`: the JWT has its own, and it stands nowhere else (IS-01).
    ///
    /// # Errors
    /// [`FlowError`](crate::FlowError) where nothing can be signed; [`Undeliverable`] where it can't be
    /// encrypted, and then nothing may be sent at all.
    pub async fn response_jwt(
        &self,
        client: &Client,
        parameters: impl IntoIterator<Item = (&str, &str)>,
    ) -> Flow<Result<String, Undeliverable>> {
        let parameters = parameters.into_iter().map(|(name, value)| (name.to_owned(), Value::from(value)));
        let parameters: Map<String, Value> = parameters.collect();
        let declared = self.declared();
        let envelope = self.mint(&declared)?.authorization_response(client, &parameters, self.now())?;
        Ok(self.deliver(client, envelope).await)
    }
}
