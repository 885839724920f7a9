//! A bank's account API, protected by the `resource-server` layer; it shares no code with the server.
//!
//! What is here is what is a bank's own: invented accounts, of which each customer gets their own from the
//! `sub` of the token, and the rule that larger payments take two recent factors ([`payments`]). What each
//! route demands of a token is said in [`router`], and everything else about tokens is the layer's: where the
//! keys are, whether a token still stands (RFC 7662), so that a withdrawn consent is felt at once, whose it
//! is (DPoP), and how a refusal looks.
//!
//! The API starts before or after the issuer: keys are looked up when the first token arrives.

mod accounts;
mod payments;
mod refusal;
mod routes;

use std::{future::Future, sync::Arc};

use axum::{
    Router,
    extract::DefaultBodyLimit,
    routing::{get, post},
};
use resource_server::{Access, ConfigFault, ResourceServer};
use tokio::net::TcpListener;

use crate::accounts::Ledger;

pub use resource_server::Clock;

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
    /// The machine's clock, unless a test has its own.
    pub clock: Clock,
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
    /// The layer that protects the API could not be made.
    #[error("the API can't be protected")]
    Protection(#[from] ConfigFault),
    /// The listener failed.
    #[error("the listener failed")]
    Listener(#[source] std::io::Error),
}

pub(crate) struct Api {
    audience: String,
    clock: Clock,
    ledger: Ledger,
}

/// The routes of the API, for use inside another process or a test.
///
/// # Errors
/// [`ServeError::Protection`].
pub fn router(config: Config) -> Result<Router, ServeError> {
    let mut protection =
        resource_server::Config::new(&config.issuer, &config.audience).with_clock(config.clock.clone());
    if let Some(credentials) = &config.introspection {
        protection = protection.introspecting(&credentials.client_id, &credentials.client_secret);
    }
    let server = ResourceServer::new(protection)?;
    // Scope and role must both allow a call; the role says what the customer themselves may do.
    let see_accounts = server.require(Access::scope("accounts:read").role("account-viewer"));
    let see_balances = server.require(Access::scope("balances:read").role("account-viewer"));
    // By which right, the payment itself tells: see `payments`.
    let send_payments = server.require(Access::any());
    Ok(Router::new()
        .route("/", get(routes::about))
        .route("/health", get(routes::health))
        .route("/accounts", get(routes::accounts).layer(see_accounts))
        .route("/accounts/{id}/balances", get(routes::balances).layer(see_balances))
        .route("/payments", post(routes::pay).layer(send_payments))
        .layer(DefaultBodyLimit::max(16 * 1024))
        .with_state(Arc::new(Api {
            audience: config.audience,
            clock: config.clock,
            ledger: Ledger::default(),
        })))
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
