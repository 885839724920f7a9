//! Pushed authorization requests (RFC 9126): the PAR endpoint, and what a browser brings of them.
//!
//! A push runs through the same parameters, redirect and list of checks as `/authorize`; only the answer
//! differs. What is stored has passed them all, so the browser carries a random name and nothing else.

use std::sync::Arc;

use audit::EventKind;
use jose::digest::{Digest, sha256};
use protocol::{
    authorization::{AuthorizationRequest, REFERENCE_PREFIX},
    params::Params,
};
use tokens::{
    checks::AuthorizationFault,
    client::Client,
    client_auth::AuthenticatedClient,
    pushed::{push, redeem_reference},
    redirect::{RedirectFault, VerifiedRedirect},
};

use crate::{
    authorize::Authorization,
    client_auth::{ClientGate, Unauthenticated, admitted},
    context::RequestContext,
    dpop::{DpopAt, DpopRefusal},
    error::Result,
    service::Service,
    visitor::Cookies,
};

/// Why a request was not taken.
#[derive(Debug, thiserror::Error)]
pub enum PushRefusal {
    /// A parameter came more than once, so that nothing is believed.
    #[error("parameter {0} is repeated")]
    Repeated(String),
    /// The client is not authenticated (F2-20).
    #[error("client authentication failed")]
    Client(Unauthenticated),
    /// The client has sent too many requests: it may come again after so many seconds (PAR-05).
    #[error("too many requests; retry after {0} s")]
    Limited(u64),
    /// The proof of a key proves nothing.
    #[error(transparent)]
    Dpop(#[from] DpopRefusal),
    /// `dpop_jkt` is the thumbprint of another key than the proof's (DP-08).
    #[error("dpop_jkt is not the thumbprint of the key of the DPoP proof")]
    OtherKey,
    /// `request_uri` came with the push (PAR-02).
    #[error("request_uri may not be pushed")]
    RequestUri,
    /// The answer could go nowhere (PAR-10, F2-22).
    #[error("{0}")]
    Redirect(RedirectFault),
    /// A check found something.
    #[error(transparent)]
    Fault(#[from] AuthorizationFault),
}

/// What the client gets (RFC 9126 §2.2).
#[derive(Clone, Debug)]
pub struct Pushed {
    /// For the `request_uri` parameter of the authorization request.
    pub request_uri: String,
    /// Until when a browser may bring it, in seconds.
    pub expires_in: i64,
}

type Answer = Result<std::result::Result<Pushed, PushRefusal>>;

impl Service {
    /// Takes a pushed authorization request. `authorization` is the header as it came.
    ///
    /// # Errors
    /// [`FlowError`](crate::FlowError).
    pub async fn push(
        &self,
        context: &RequestContext,
        authorization: Option<&str>,
        body: &Params,
        gate: ClientGate<'_>,
    ) -> Answer {
        if let Some(name) = body.repeated() {
            return self.push_refused(context, None, PushRefusal::Repeated(name.to_owned())).await;
        }
        let recognised = match self.recognise_client(context, authorization, body, "/par").await? {
            Ok(recognised) => recognised,
            Err(refusal) => return Ok(Err(PushRefusal::Client(refusal))),
        };
        // Not audited: a flood must not become a flood of rows. Asked before the assertion is used up,
        // because that is a write: whoever has a signed one has more than a name.
        if let Err(seconds) = admitted(recognised.claimed(), gate) {
            return Ok(Err(PushRefusal::Limited(seconds)));
        }
        let request = match self.checked_push(context, recognised.claimed(), body).await? {
            Ok(request) => request,
            Err(refusal) => {
                return match self.confirm_alone(context, recognised).await? {
                    Ok(client) => self.push_refused(context, Some(&client), refusal).await,
                    Err(replayed) => Ok(Err(PushRefusal::Client(replayed))),
                };
            }
        };
        let policies = &self.0.policies;
        let lifetime = policies.protection.pushed_request_lifetime;
        let lifetimes = (lifetime, policies.interaction_lifetime);
        let id = &recognised.claimed().id;
        let (reference, record) = push(id, request, self.entropy(), lifetimes, self.now());
        // Stored only if the assertion was not seen before.
        let rows = self.0.store.push_request(&record, recognised.mark().as_ref()).await?;
        Ok(self.confirm_client(context, recognised, rows).await?.map_err(PushRefusal::Client).map(|_| {
            let request_uri = format!("{REFERENCE_PREFIX}{}", reference.expose());
            Pushed { request_uri, expires_in: lifetime.num_seconds() }
        }))
    }

    /// The request, if it would pass at the authorization endpoint.
    async fn checked_push(
        &self,
        context: &RequestContext,
        client: &Arc<Client>,
        body: &Params,
    ) -> Result<std::result::Result<AuthorizationRequest, PushRefusal>> {
        if body.get("request_uri").is_some() {
            return Ok(Err(PushRefusal::RequestUri));
        }
        let proof = match self.unreplayed_dpop(context, DpopAt::authorization_server("POST", "/par")) {
            Ok(None) => None,
            Ok(Some(proof)) => match self.used_up(proof).await? {
                Ok(proof) => Some(proof.thumbprint().to_string()),
                Err(refusal) => return Ok(Err(refusal.into())),
            },
            Err(refusal) => return Ok(Err(refusal.into())),
        };
        let client = Arc::clone(client);
        let params = match self.effective_parameters(&client, body).await {
            Ok(params) => params,
            Err(refusal) => return Ok(Err(AuthorizationFault::from(refusal).into())),
        };
        let redirect =
            match VerifiedRedirect::verify_pushed(&AuthorizationRequest::addressee(&params), &client) {
                Ok(redirect) => redirect,
                Err(fault) => return Ok(Err(PushRefusal::Redirect(fault))),
            };
        let mut request = match AuthorizationRequest::parse(&params) {
            Ok(request) => request,
            Err(fault) => return Ok(Err(AuthorizationFault::from(fault).into())),
        };
        if proof.is_some() && request.dpop_jkt.is_some() && proof != request.dpop_jkt {
            return Ok(Err(PushRefusal::OtherKey));
        }
        request.dpop_jkt = request.dpop_jkt.or(proof);
        // It will be; under which name is decided when it has passed.
        request.pushed = Some(String::new());
        let declared = self.declared();
        let checked = self.revalidate(request.clone(), client, redirect, &declared);
        Ok(checked.map(|_| request).map_err(Into::into))
    }

    /// Goes on with a request that was pushed. Nothing else that the browser brings is looked at
    /// (PAR-09).
    pub(crate) async fn authorize_pushed(
        &self,
        context: &RequestContext,
        client: Arc<Client>,
        digest: &Digest,
        cookies: &Cookies,
    ) -> Result<Authorization> {
        let session = cookies.session.as_ref().map(|cookie| sha256(cookie.expose()));
        let found = self.0.store.pushed_with_visit(digest, session.as_ref()).await?;
        let (found, visit) = found.unzip();
        let request = match redeem_reference(found, &client.id, self.now()) {
            Ok(request) => request,
            Err(fault) => {
                return self.refuse_locally(context, RedirectFault::Reference(fault), Some(&client)).await;
            }
        };
        let redirect = match VerifiedRedirect::of_stored(&request, &client) {
            Ok(redirect) => redirect,
            Err(fault) => return self.refuse_locally(context, fault, Some(&client)).await,
        };
        let declared = self.declared();
        let validated = self.revalidate(request, client.clone(), redirect.clone(), &declared);
        let validated = match validated {
            Ok(validated) => validated,
            Err(fault) => {
                // Changed since it was pushed; that is its answer.
                self.0.store.consume_pushed(digest, self.now()).await?;
                let response = self.refuse(context, &client, redirect, fault.into(), None).await?;
                return Ok(Authorization::Respond(response));
            }
        };
        let facts = self.received(visit.flatten()).await?;
        self.proceed(context, validated, redirect, facts, cookies).await
    }

    async fn push_refused(
        &self,
        context: &RequestContext,
        client: Option<&AuthenticatedClient>,
        refusal: PushRefusal,
    ) -> Answer {
        let event = self.event(context, EventKind::AuthorizationRefused, self.now());
        let event = event.client(client.map(|client| client.client().id.clone()));
        self.note(event.detail("pushed", "true").reason(refusal.to_string())).await?;
        Ok(Err(refusal))
    }
}
