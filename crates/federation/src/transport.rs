//! The seam between the `openidconnect` crate and the one policy of outbound requests.

use std::{future::Future, pin::Pin, sync::Arc};

use openidconnect::{AsyncHttpClient, HttpRequest, HttpResponse};
use outbound::{Outbound, OutboundFault};

/// What carries a request to a provider.
pub type Answering<'a> = Pin<Box<dyn Future<Output = Result<HttpResponse, OutboundFault>> + Send + 'a>>;

/// Carries requests to providers; [`Outbound`] does, under its policy.
pub trait Transport: Send + Sync {
    /// Sends a request and answers whatever comes back.
    fn send(&self, request: HttpRequest) -> Answering<'_>;
}

impl Transport for Outbound {
    fn send(&self, request: HttpRequest) -> Answering<'_> {
        Box::pin(async move { Ok(Self::send(self, request).await?.map(|body| body.to_vec())) })
    }
}

/// A transport as the crate wants it.
#[derive(Clone)]
pub(crate) struct Wire(pub(crate) Arc<dyn Transport>);

impl<'c> AsyncHttpClient<'c> for Wire {
    type Error = OutboundFault;
    type Future = Answering<'c>;
    fn call(&'c self, request: HttpRequest) -> Self::Future {
        self.0.send(request)
    }
}
