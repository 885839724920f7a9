//! The tower layer: judge, then pass on or refuse.

use std::{
    future::Future,
    mem,
    pin::Pin,
    sync::Arc,
    task::{Context, Poll},
};

use http::{HeaderValue, Request, Response};
use tower::{Layer, Service};

use crate::{Access, ResourceServer, refusal::DPOP_NONCE};

/// Protects every service that it is put around.
#[derive(Clone, Debug)]
pub struct Protect {
    server: ResourceServer,
    access: Arc<Access>,
}

impl Protect {
    pub(crate) fn new(server: ResourceServer, access: Access) -> Self {
        Self { server, access: Arc::new(access) }
    }
}

impl<S> Layer<S> for Protect {
    type Service = Protected<S>;

    fn layer(&self, inner: S) -> Protected<S> {
        Protected { protect: self.clone(), inner }
    }
}

/// A service that is reached only with an access token that allows it. It finds an
/// [`AccessToken`](crate::AccessToken) among the extensions of each request.
#[derive(Clone, Debug)]
pub struct Protected<S> {
    protect: Protect,
    inner: S,
}

impl<S, In, Out> Service<Request<In>> for Protected<S>
where
    S: Service<Request<In>, Response = Response<Out>> + Clone + Send + 'static,
    S::Future: Send,
    In: Send + 'static,
    Out: From<String>,
{
    type Response = Response<Out>;
    type Error = S::Error;
    type Future = Pin<Box<dyn Future<Output = Result<Self::Response, S::Error>> + Send>>;

    fn poll_ready(&mut self, context: &mut Context<'_>) -> Poll<Result<(), S::Error>> {
        self.inner.poll_ready(context)
    }

    fn call(&mut self, request: Request<In>) -> Self::Future {
        let Protect { server, access } = self.protect.clone();
        // The one that was polled ready does the work, its clone waits for the next request.
        let waiting = self.inner.clone();
        let mut inner = mem::replace(&mut self.inner, waiting);
        Box::pin(async move {
            let now = server.now();
            let (mut parts, body) = request.into_parts();
            let nonce = server.nonce(now);
            match server.judge(&parts, &access, now).await {
                Ok(token) => {
                    parts.extensions.insert(token);
                    let mut response = inner.call(Request::from_parts(parts, body)).await?;
                    if let Some(nonce) = nonce.and_then(|nonce| HeaderValue::try_from(nonce).ok()) {
                        response.headers_mut().insert(DPOP_NONCE, nonce);
                    }
                    Ok(response)
                }
                Err((refusal, scheme)) => {
                    tracing::debug!(%refusal, "a request was refused");
                    Ok(refusal.response(scheme, nonce.as_deref()))
                }
            }
        })
    }
}

#[cfg(test)]
#[path = "layer_tests.rs"]
mod tests;
