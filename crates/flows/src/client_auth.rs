//! Client authentication for the endpoints that need it (RFC 6749 §2.3).

use std::sync::Arc;

use audit::EventKind;
use jose::{KeySet, Mark};
use protocol::{ClientId, params::Params};
use tokens::{
    client::Client,
    client_auth::{
        Authenticated, AuthenticatedClient, Called, ClientAuthFault, Presented, PresentedFault, authenticate,
    },
};

use crate::{context::RequestContext, error::Result, evidence::client_reason, service::Service};

/// Why the caller of an endpoint is nobody.
#[derive(Debug, thiserror::Error)]
pub enum ClientRefusal {
    /// The credentials can't be read.
    #[error(transparent)]
    Presented(#[from] PresentedFault),
    /// They prove nothing.
    #[error(transparent)]
    Auth(#[from] ClientAuthFault),
}

/// A refusal with what decides how it looks: whether the header was used (ER-02).
#[derive(Debug)]
pub struct Unauthenticated {
    /// Why.
    pub refusal: ClientRefusal,
    /// Whether the request carried an Authorization header.
    pub used_header: bool,
}

/// Asked once a client has proved who it is: may it go on? `Err` says after how many seconds. A
/// client without credentials is never asked about, because anybody can name it, and a stranger
/// could use up its share.
pub type ClientGate<'a> = &'a (dyn Fn(&ClientId) -> std::result::Result<(), u64> + Sync);

/// Asks the gate, if the client has credentials.
pub(crate) fn admitted(client: &Client, gate: ClientGate<'_>) -> std::result::Result<(), u64> {
    if client.is_public() { Ok(()) } else { gate(&client.id) }
}

/// A client whose credentials hold. An assertion still has to be seen for the first time, which endpoints
/// that write something for the client ask together with that write.
#[derive(Debug)]
pub(crate) struct Recognised {
    authenticated: Authenticated,
    used_header: bool,
}

impl Recognised {
    /// See [`Authenticated::claimed`].
    pub(crate) fn claimed(&self) -> &Arc<Client> {
        self.authenticated.claimed()
    }

    /// See [`Authenticated::mark`].
    pub(crate) fn mark(&self) -> Option<Mark> {
        self.authenticated.mark()
    }
}

impl Service {
    /// Authenticates the client of a request, by what it sends or by the certificate of its connection. A
    /// signed assertion is used up by it (OC-24).
    ///
    /// # Errors
    /// [`FlowError`](crate::FlowError).
    pub(crate) async fn authenticate_client(
        &self,
        context: &RequestContext,
        authorization: Option<&str>,
        body: &Params,
        endpoint: &str,
    ) -> Result<std::result::Result<AuthenticatedClient, Unauthenticated>> {
        match self.recognise_client(context, authorization, body, endpoint).await? {
            Ok(recognised) => self.confirm_alone(context, recognised).await,
            Err(refusal) => Ok(Err(refusal)),
        }
    }

    /// Uses up the assertion, if there is one, and nothing else.
    ///
    /// # Errors
    /// [`FlowError`](crate::FlowError).
    pub(crate) async fn confirm_alone(
        &self,
        context: &RequestContext,
        recognised: Recognised,
    ) -> Result<std::result::Result<AuthenticatedClient, Unauthenticated>> {
        let rows = match recognised.mark() {
            Some(mark) => self.0.store.mark_once(&mark).await?,
            None => 0,
        };
        self.confirm_client(context, recognised, rows).await
    }

    /// The client, if the store inserted one row for the assertion that it showed.
    ///
    /// # Errors
    /// [`FlowError`](crate::FlowError).
    pub(crate) async fn confirm_client(
        &self,
        context: &RequestContext,
        recognised: Recognised,
        rows: u64,
    ) -> Result<std::result::Result<AuthenticatedClient, Unauthenticated>> {
        let Recognised { authenticated, used_header } = recognised;
        let known = authenticated.claimed().id.clone();
        match authenticated.confirm(rows) {
            Ok(client) => {
                self.note_use(&client.client().id).await?;
                Ok(Ok(client))
            }
            Err(fault) => {
                let refusal = ClientRefusal::from(fault);
                self.client_failed(context, Some(known), &refusal).await?;
                Ok(Err(Unauthenticated { refusal, used_header }))
            }
        }
    }

    /// Holds the credentials of a request against what its client registered.
    ///
    /// # Errors
    /// [`FlowError`](crate::FlowError).
    pub(crate) async fn recognise_client(
        &self,
        context: &RequestContext,
        authorization: Option<&str>,
        body: &Params,
        endpoint: &str,
    ) -> Result<std::result::Result<Recognised, Unauthenticated>> {
        let used_header = authorization.is_some();
        let refuse = |refusal| Unauthenticated { refusal, used_header };
        let presented = match Presented::parse(authorization, body) {
            Ok(presented) => presented,
            Err(fault) => {
                let refusal = ClientRefusal::from(fault);
                self.client_failed(context, None, &refusal).await?;
                return Ok(Err(refuse(refusal)));
            }
        };
        let client = self.client(presented.client_id()).await?;
        let known = client.as_ref().map(|client| client.id.clone());
        let (issuer, mutual) = (&self.0.policies.issuer, &self.0.policies.mutual_tls);
        let alias = mutual.alias.as_deref();
        let certificate = context.certificate.get();
        let called = Called { issuer, endpoint, alias, certificate, authorities: &mutual.authorities };
        let keys = match &client {
            Some(client) if presented.needs_keys(client) => self.client_keys(client).await.ok(),
            _ => None,
        };
        let check =
            |keys: Option<&KeySet>| authenticate(&presented, client.clone(), keys, &called, self.now());
        let mut checked = check(keys.as_deref());
        if let (Err(fault), Some(client)) = (&checked, &client)
            && fault.is_key_unknown()
            && let Some(keys) = self.client_keys_anew(client).await
        {
            checked = check(Some(&keys));
        }
        match checked {
            Ok(authenticated) => Ok(Ok(Recognised { authenticated, used_header })),
            Err(fault) => {
                let refusal = ClientRefusal::from(fault);
                self.client_failed(context, known, &refusal).await?;
                Ok(Err(refuse(refusal)))
            }
        }
    }

    async fn client_failed(
        &self,
        context: &RequestContext,
        client: Option<ClientId>,
        refusal: &ClientRefusal,
    ) -> Result<()> {
        let event = self.event(context, EventKind::ClientAuthenticationFailed, self.now());
        self.note(event.client(client).reason(refusal.to_string())).await?;
        let reason = client_reason(refusal);
        metrics::counter!("chancery_client_authentications_failed_total", "reason" => reason).increment(1);
        Ok(())
    }
}
