//! What every handler shares.

use std::sync::Arc;

use flows::Service;
use ipnet::IpNet;

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
    /// Proxies whose forwarding headers are believed (BCP-15).
    pub trusted_proxies: Vec<IpNet>,
}

impl WebConfig {
    /// The configuration for an issuer.
    pub fn new(issuer: &str, bank_name: impl Into<String>, trusted_proxies: Vec<IpNet>) -> Self {
        let https = issuer.starts_with("https://");
        let host = issuer.split_once("://").map_or(issuer, |(_, rest)| rest);
        let host = host.split('/').next().unwrap_or_default().to_owned();
        Self { bank_name: bank_name.into(), host, https, trusted_proxies }
    }
}

/// The state of the router.
#[derive(Clone)]
pub struct App {
    /// The use cases.
    pub service: Service,
    /// How the front door is built.
    pub config: Arc<WebConfig>,
}

impl App {
    /// Puts both together.
    pub fn new(service: Service, config: WebConfig) -> Self {
        Self { service, config: Arc::new(config) }
    }
}
