//! What every handler shares.

use std::sync::Arc;

use flows::Service;
use ipnet::IpNet;

use crate::pages::Language;

use crate::limits::{LimitPolicy, Limits, Timer};

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
    /// How much one caller may ask for; without limits unless they are set.
    pub limits: LimitPolicy,
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
            trusted_proxies,
            limits,
        }
    }

    /// The same with limits.
    #[must_use]
    pub fn with_limits(self, limits: LimitPolicy) -> Self {
        Self { limits, ..self }
    }
}

/// The state of the router.
#[derive(Clone)]
pub struct App {
    /// The use cases.
    pub service: Service,
    /// How the front door is built.
    pub config: Arc<WebConfig>,
    /// What callers have asked for lately.
    pub limits: Arc<Limits>,
}

impl App {
    /// Puts both together.
    pub fn new(service: Service, config: WebConfig) -> Self {
        Self::timed(service, config, &Timer::default())
    }

    /// The same with limits that go by a clock of the caller's.
    pub fn timed(service: Service, config: WebConfig, timer: &Timer) -> Self {
        let limits = Arc::new(Limits::new(config.limits.clone(), timer));
        Self { service, config: Arc::new(config), limits }
    }
}
