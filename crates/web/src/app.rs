//! What every handler shares.

use std::{net::IpAddr, ops::Deref, sync::Arc};

use flows::Service;
use http::HeaderValue;
use ipnet::IpNet;
use tokio_util::task::TaskTracker;

use crate::pages::Language;

use crate::{
    CertificateHeader, Traced,
    limits::{LimitPolicy, Limits, Timer},
};

/// How the front door is built.
#[derive(Clone, Debug)]
pub struct WebConfig {
    /// The bank's name, on every page.
    pub bank_name: String,
    /// Host and port of the issuer, as customers compare it with the address bar.
    pub host: String,
    /// Whether the issuer is https. Then cookies have the `__Host-` prefix and HSTS is sent; plain
    /// http exists only for development on loopback.
    pub https: bool,
    /// The language of whoever asks for none that there is.
    pub language: Language,
    /// How long clients may keep metadata and keys, in seconds.
    pub jwks_cache_seconds: u32,
    /// Proxies whose forwarding headers are believed (BCP-15).
    pub trusted_proxies: Vec<IpNet>,
    /// How these proxies say which certificate a client showed; not at all unless it is set (MT-09).
    pub certificate_header: Option<CertificateHeader>,
    /// How much one caller may ask for; without limits unless they are set.
    pub limits: LimitPolicy,
    /// How requests are traced; not at all unless it is set.
    pub traced: Option<Traced>,
}

impl WebConfig {
    /// The configuration for an issuer.
    pub fn new(issuer: &str, bank_name: impl Into<String>, trusted_proxies: Vec<IpNet>) -> Self {
        let https = issuer.starts_with("https://");
        let host = issuer.split_once("://").map_or(issuer, |(_, rest)| rest);
        let host = host.split('/').next().unwrap_or_default().to_owned();
        let limits = LimitPolicy::default();
        let jwks_cache_seconds = 300;
        let language = Language::default();
        Self {
            bank_name: bank_name.into(),
            host,
            https,
            language,
            jwks_cache_seconds,
            certificate_header: None,
            trusted_proxies,
            limits,
            traced: None,
        }
    }

    /// Whether this address is one of the configured proxies (BCP-15).
    pub fn trusts(&self, address: IpAddr) -> bool {
        let address = address.to_canonical();
        self.trusted_proxies.iter().any(|network| network.contains(&address))
    }

    /// The same with limits.
    #[must_use]
    pub fn with_limits(self, limits: LimitPolicy) -> Self {
        Self { limits, ..self }
    }
}

/// The state of the router. Every request gets it, so it is one pointer.
#[derive(Clone)]
pub struct App(Arc<Shared>);

/// What an [`App`] points to.
pub struct Shared {
    /// The use cases.
    pub service: Service,
    /// How the front door is built.
    pub config: WebConfig,
    /// What callers have asked for lately.
    pub limits: Arc<Limits>,
    /// Requests that go on whether anybody waits for them or not.
    pub(crate) unfinished: TaskTracker,
    /// `Cache-Control` of metadata and keys.
    pub(crate) document_caching: HeaderValue,
}

impl Deref for App {
    type Target = Shared;

    fn deref(&self) -> &Shared {
        &self.0
    }
}

impl App {
    /// Puts both together.
    pub fn new(service: Service, config: WebConfig) -> Self {
        Self::timed(service, config, &Timer::default())
    }

    /// The same with limits that go by a clock of the caller's.
    pub fn timed(service: Service, config: WebConfig, timer: &Timer) -> Self {
        let limits = Arc::new(Limits::new(config.limits.clone(), timer));
        let seconds = config.jwks_cache_seconds;
        let document_caching = HeaderValue::from_maybe_shared(format!("public, max-age={seconds}"))
            .expect("a number can stand in a header");
        Self(Arc::new(Shared { service, config, limits, unfinished: TaskTracker::new(), document_caching }))
    }

    /// Waits for what requests began whose callers have gone, but no longer than until `deadline` is over.
    /// Nothing new may be served any more.
    pub async fn finish(&self, deadline: impl Future) {
        self.unfinished.close();
        tokio::select! {
            () = self.unfinished.wait() => {}
            _ = deadline => {
                tracing::warn!(requests = self.unfinished.len(), "some requests did not end in time");
            }
        }
    }
}
