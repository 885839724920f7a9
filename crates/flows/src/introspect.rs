//! The introspection endpoint (RFC 7662).

use audit::{Actor, EventKind};
use jose::Algorithm;
use protocol::{
    client::Profile,
    introspection::{IntrospectionRequest, IntrospectionResponse, TokenParameterFault},
    params::Params,
};
use tokens::{
    client_auth::Presented,
    presented::{IntrospectionCaller, introspect},
    profile::Rules,
};

use crate::{context::RequestContext, error::Result, service::Service};

/// Why nothing is said about a token.
#[derive(Debug, thiserror::Error)]
pub enum IntrospectionRefusal {
    /// No resource server's credentials (IN-01).
    #[error("resource_server_not_authenticated")]
    Unauthenticated {
        /// Whether the request carried an Authorization header.
        used_header: bool,
    },
    /// The request is malformed.
    #[error(transparent)]
    Form(#[from] TokenParameterFault),
}

/// An answer, as it is to be sent.
#[derive(Clone, Debug)]
pub struct Introspected {
    /// What is said.
    pub response: IntrospectionResponse,
    /// The same as a JWT, where the resource server asked for one (RFC 9701 §4).
    pub token: Option<String>,
}

impl Service {
    /// Handles an introspection request; `signed` says whether the answer is to be a JWT (IN-05).
    ///
    /// # Errors
    /// [`FlowError`](crate::FlowError).
    pub async fn introspect(
        &self,
        context: &RequestContext,
        authorization: Option<&str>,
        body: &Params,
        signed: bool,
    ) -> Result<std::result::Result<Introspected, IntrospectionRefusal>> {
        let declared = self.declared();
        let presented = Presented::parse(authorization, body).ok();
        let caller = presented
            .and_then(|shown| IntrospectionCaller::authenticate(&shown, &declared.catalogue, self.now()));
        let Some(caller) = caller else {
            let refusal = IntrospectionRefusal::Unauthenticated { used_header: authorization.is_some() };
            return self.introspection_refused(context, refusal).await;
        };
        let request = match IntrospectionRequest::parse(body) {
            Ok(request) => request,
            Err(fault) => return self.introspection_refused(context, fault.into()).await,
        };
        let found = self.find_access_token(request.token.expose()).await?;
        let (response, dead) = introspect(&caller, found, &declared.catalogue, self.now());
        if let Some(dead) = dead {
            tracing::debug!(audience = caller.audience(), reason = %dead, "introspected token is inactive");
        }
        let token = match signed {
            false => None,
            true => {
                let algorithms = self.algorithms_about(&response).await?;
                let mint = self.mint(&declared)?;
                Some(mint.introspection(&caller, &response, algorithms, self.now())?)
            }
        };
        Ok(Ok(Introspected { response, token }))
    }

    /// What the profile of the client whose token an answer is about signs with (F2-34). As it is stored:
    /// who asks about a token makes us fetch no document and judges no keys. A client that is gone was
    /// perhaps a financial one.
    async fn algorithms_about(&self, response: &IntrospectionResponse) -> Result<&'static [Algorithm]> {
        let profile = match response {
            IntrospectionResponse::Active(token) => {
                let record = self.0.store.client(&token.client_id).await?;
                record.map_or(Profile::Fapi2, |record| record.settings.profile.unwrap_or(Profile::General))
            }
            IntrospectionResponse::Inactive => Profile::General,
        };
        Ok(Rules::of(profile).algorithms)
    }

    async fn introspection_refused(
        &self,
        context: &RequestContext,
        refusal: IntrospectionRefusal,
    ) -> Result<std::result::Result<Introspected, IntrospectionRefusal>> {
        let event = self.event(context, EventKind::IntrospectionRefused, self.now());
        self.note(event.by(Actor::ResourceServer).reason(refusal.to_string())).await?;
        Ok(Err(refusal))
    }
}
