//! Two small finance apps that connect to a bank, as real OpenID Connect clients.
//!
//! *Ledgerline* is a confidential client that lives under the FAPI 2.0 Security Profile, *Pocketwise* a public
//! one; both live in this one process under their own paths. A person clicks "Connect your bank", signs in at the bank, consents, and comes back to
//! their accounts, with the claims of every token laid open, and buttons to refresh, to disconnect and to
//! sign out at the bank.
//!
//! The protocol is spoken by the `openidconnect` crate and nothing here knows Chancery: what these apps need
//! from an issuer is in its metadata. What the crate leaves out is here: the `iss` parameter (RFC 9207,
//! [`callback`]), `private_key_jwt` and DPoP ([`keys`], [`http_client`]), pushed requests (RFC 9126) and
//! revocation on plain-http loopback ([`oidc`]).

mod bank;
mod callback;
mod claims;
mod http_client;
mod keys;
mod oidc;
mod pages;
mod routes;
mod session;

use std::{future::Future, sync::Arc};

use axum::Router;
use chrono::{DateTime, Utc};
use tokio::net::TcpListener;
use url::Url;

use crate::{bank::Bank, http_client::Http, oidc::Provider, session::Sessions};

pub use josekit::JoseError;
pub use keys::Keys;

/// What the apps need to know about the world.
#[derive(Clone, Debug)]
pub struct Config {
    /// The issuer identifier, exactly as its metadata states it. It need not be reachable at start.
    pub issuer: String,
    /// The bank's name, as people know it.
    pub bank_name: String,
    /// Where a customer manages connected apps at the bank, if there is such a page. Only linked to.
    pub bank_account_url: Option<Url>,
    /// The base URL of the bank's account API.
    pub bank_api: Url,
    /// Where people reach this process. Redirect URIs are `<public_url>/<slug>/callback`, and after logout
    /// `<public_url>/<slug>/signed-out`.
    pub public_url: Url,
    /// The apps, in the order of the home page.
    pub brands: Vec<Brand>,
}

/// One app: a name, a look, and a registration at the issuer.
#[derive(Clone)]
pub struct Brand {
    /// The first path segment of the app's pages, and the name of its look in the style sheet.
    pub slug: String,
    /// The app's name.
    pub name: String,
    /// One sentence on the app.
    pub tagline: String,
    /// The client identifier at the issuer.
    pub client_id: String,
    /// The keys of a confidential client: it pushes its requests, authenticates by `private_key_jwt` and has
    /// its tokens bound by DPoP. Without them the client is public.
    pub keys: Option<Arc<Keys>>,
}

impl Brand {
    /// Ledgerline: a confidential client, `client_id` `ledgerline`.
    #[must_use]
    pub fn ledgerline(keys: Arc<Keys>) -> Self {
        Self {
            slug: "ledgerline".into(),
            name: "Ledgerline".into(),
            tagline: "Every account you have, on one quiet page.".into(),
            client_id: "ledgerline".into(),
            keys: Some(keys),
        }
    }

    /// Pocketwise: a public client, `client_id` `pocketwise`, secured by PKCE alone.
    #[must_use]
    pub fn pocketwise() -> Self {
        Self {
            slug: "pocketwise".into(),
            name: "Pocketwise".into(),
            tagline: "Know what is safe to spend today.".into(),
            client_id: "pocketwise".into(),
            keys: None,
        }
    }
}

impl std::fmt::Debug for Brand {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Brand")
            .field("slug", &self.slug)
            .field("client_id", &self.client_id)
            .field("confidential", &self.keys.is_some())
            .finish_non_exhaustive()
    }
}

/// The apps could not start or stopped abruptly.
#[derive(Debug, thiserror::Error)]
pub enum ServeError {
    /// The configuration contradicts itself.
    #[error("{0}")]
    Config(String),
    /// The outbound HTTP client could not be built (no TLS roots, say).
    #[error("the HTTP client could not be built")]
    HttpClient(#[source] reqwest::Error),
    /// The listener failed.
    #[error("the listener failed")]
    Listener(#[source] std::io::Error),
}

pub(crate) struct App {
    config: Config,
    provider: Provider,
    bank: Bank,
    sessions: Sessions,
}

impl App {
    fn new(config: Config) -> Result<Self, ServeError> {
        let http = Http::new().map_err(ServeError::HttpClient)?;
        let provider = Provider::new(&config, http).map_err(ServeError::Config)?;
        Ok(Self { bank: Bank::new(&config.bank_api), provider, sessions: Sessions::default(), config })
    }

    fn brand(&self, slug: &str) -> Option<&Brand> {
        self.config.brands.iter().find(|brand| brand.slug == slug)
    }
}

/// The pages of the apps, for use inside another process or a test.
///
/// # Errors
/// [`ServeError::Config`] or [`ServeError::HttpClient`].
pub fn router(config: Config) -> Result<Router, ServeError> {
    Ok(routes::router(Arc::new(App::new(config)?)))
}

/// Serves the apps on `listener` until `shutdown` completes, then finishes the requests under way.
///
/// # Errors
/// See [`ServeError`]. Neither the issuer nor the bank's API need be reachable yet.
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
    reason = "an example program owns its clock; decisions take `now` as a value"
)]
pub(crate) fn now() -> DateTime<Utc> {
    Utc::now()
}
