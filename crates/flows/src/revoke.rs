//! The revocation endpoint (RFC 7009).

use audit::EventKind;
use jose::digest::sha256;
use protocol::{introspection::TokenParameterFault, params::Params, revocation::RevocationRequest};
use tokens::presented::{Revocable, Revocation, revoke};

use crate::{
    client_auth::{ClientGate, Unauthenticated, admitted},
    context::RequestContext,
    error::Result,
    service::Service,
};

/// Why nothing is revoked.
#[derive(Debug, thiserror::Error)]
pub enum RevocationRefusal {
    /// The client is not authenticated (RV-01).
    #[error("client authentication failed")]
    Client(Unauthenticated),
    /// The client has sent too many requests: it may come again after so many seconds.
    #[error("too many requests; retry after {0} s")]
    Limited(u64),
    /// The request is malformed.
    #[error(transparent)]
    Form(#[from] TokenParameterFault),
}

impl Service {
    /// Handles a revocation request. An unknown or foreign token is a success that does nothing. `gate`
    /// limits how often an authenticated client comes.
    ///
    /// # Errors
    /// [`FlowError`](crate::FlowError).
    pub async fn revoke(
        &self,
        context: &RequestContext,
        authorization: Option<&str>,
        body: &Params,
        gate: ClientGate<'_>,
    ) -> Result<std::result::Result<(), RevocationRefusal>> {
        let parsed = RevocationRequest::parse(body);
        let now = self.now();
        let refused = |fault: TokenParameterFault| {
            let event = self.event(context, EventKind::RevocationRefused, now).reason(fault.to_string());
            (event, RevocationRefusal::Form(fault))
        };
        if let Err(fault @ TokenParameterFault::Repeated(_)) = parsed {
            let (event, refusal) = refused(fault);
            self.note(event).await?;
            return Ok(Err(refusal));
        }
        let client = match self.authenticate_client(context, authorization, body, "/revoke").await? {
            Ok(client) => client,
            Err(refusal) => return Ok(Err(RevocationRefusal::Client(refusal))),
        };
        if let Err(seconds) = admitted(client.client(), gate) {
            return Ok(Err(RevocationRefusal::Limited(seconds)));
        }
        let request = match parsed {
            Ok(request) => request,
            Err(fault) => {
                let (event, refusal) = refused(fault);
                self.note(event.client(client.client().id.clone())).await?;
                return Ok(Err(refusal));
            }
        };
        // The hint decides nothing (RV-03): look for both kinds.
        let token = request.token.expose();
        let found = match self.0.store.refresh_token(&sha256(token)).await? {
            Some((record, _)) => Some(Revocable::Refresh(record)),
            None => self.find_access_token(token).await?.map(Box::new).map(Revocable::Access),
        };
        let decision = revoke(&client, found);
        if let Revocation::Nothing { foreign } = decision {
            if foreign {
                let refused = self.event(context, EventKind::RevocationRefused, now);
                let refused = refused.client(client.client().id.clone());
                self.note(refused.reason("token_of_another_client")).await?;
            }
            return Ok(Ok(()));
        }
        let event = self.event(context, EventKind::TokenRevoked, now).client(client.client().id.clone());
        let mut tx = self.0.store.begin().await?;
        let (rows, event) = match &decision {
            Revocation::Nothing { .. } => return Ok(Ok(())),
            Revocation::Grant(grant) => (tx.revoke_grant(*grant, now).await?, event.grant(*grant)),
            Revocation::AccessToken(digest) => (tx.revoke_access_token(digest, now).await?, event),
            Revocation::Jwt { id, expires_at } => {
                (tx.deny_token(*id, *expires_at).await?, event.detail("jti", id.to_string()))
            }
        };
        // What was revoked before is revoked, but not once more.
        if rows == 1 {
            tx.record(&event).await?;
        }
        tx.commit().await?;
        Ok(Ok(()))
    }
}
