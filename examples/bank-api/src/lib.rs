//! A bank's account API, as a resource server that knows Chancery only by its published standards.
//!
//! It shows what a bank's own API has to do with an access token: find the issuer's keys (discovery,
//! JWKS), check the JWT profile (RFC 9068), ask the issuer whether the token still stands (RFC 7662), so
//! that a withdrawn consent is felt at once, and answer refusals as RFC 6750 says. The accounts are
//! invented; each customer gets their own from the `sub` of the token.
//!
//! The API starts before or after the issuer: keys are looked up when the first token arrives.

mod accounts;
mod issuer;
mod refusal;
mod routes;
mod step_up;
mod token;

use std::{future::Future, sync::Arc};

use axum::{
    Router,
    extract::DefaultBodyLimit,
    routing::{get, post},
};
use chrono::{DateTime, Utc};
use tokio::net::TcpListener;

use crate::{accounts::Ledger, issuer::Issuer};

/// What the bank API needs to know about the world.
#[derive(Clone, Debug)]
pub struct Config {
    /// The issuer identifier, exactly as its metadata states it (RFC 8414 §2).
    pub issuer: String,
    /// The audience that tokens for this API carry (RFC 9068 §3), usually the URL of the API.
    pub audience: String,
    /// With credentials every token is introspected, so withdrawal counts at once, and opaque tokens are
    /// accepted. Without them only JWTs are accepted, until they expire.
    pub introspection: Option<IntrospectionCredentials>,
}

/// The name and secret by which this API authenticates at the introspection endpoint (RFC 7662 §2.1),
/// sent as `client_secret_basic`.
#[derive(Clone)]
pub struct IntrospectionCredentials {
    /// The identifier that the issuer gave to this resource server.
    pub client_id: String,
    /// Its secret.
    pub client_secret: String,
}

impl std::fmt::Debug for IntrospectionCredentials {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("IntrospectionCredentials").field("client_id", &self.client_id).finish_non_exhaustive()
    }
}

/// The API could not start or stopped abruptly.
#[derive(Debug, thiserror::Error)]
pub enum ServeError {
    /// The outbound HTTP client could not be built (no TLS roots, say).
    #[error("the HTTP client towards the issuer could not be built")]
    HttpClient(#[source] reqwest::Error),
    /// The listener failed.
    #[error("the listener failed")]
    Listener(#[source] std::io::Error),
}

pub(crate) struct Api {
    audience: String,
    issuer: Issuer,
    ledger: Ledger,
}

/// The routes of the API, for use inside another process or a test.
///
/// # Errors
/// [`ServeError::HttpClient`] when no HTTP client can be built.
pub fn router(config: Config) -> Result<Router, ServeError> {
    let api = Arc::new(Api {
        audience: config.audience.clone(),
        issuer: Issuer::new(config).map_err(ServeError::HttpClient)?,
        ledger: Ledger::default(),
    });
    Ok(Router::new()
        .route("/", get(routes::about))
        .route("/health", get(routes::health))
        .route("/accounts", get(routes::accounts))
        .route("/accounts/{id}/balances", get(routes::balances))
        .route("/payments", post(routes::pay))
        .layer(DefaultBodyLimit::max(16 * 1024))
        .with_state(api))
}

/// Serves the API on `listener` until `shutdown` completes, then finishes the requests under way.
///
/// # Errors
/// See [`ServeError`]. The issuer need not be reachable yet.
pub async fn serve(
    config: Config,
    listener: TcpListener,
    shutdown: impl Future<Output = ()> + Send + 'static,
) -> Result<(), ServeError> {
    let router = router(config)?;
    axum::serve(listener, router).with_graceful_shutdown(shutdown).await.map_err(ServeError::Listener)
}

/// The one place where this example reads the clock.
#[expect(
    clippy::disallowed_methods,
    reason = "an example program owns its clock; the checks take `now` as a value"
)]
pub(crate) fn now() -> DateTime<Utc> {
    Utc::now()
}
