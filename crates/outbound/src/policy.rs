//! What requests to others may do.

use std::time::Duration;

/// The one policy of outbound requests.
#[derive(Clone, Debug)]
pub struct OutboundPolicy {
    /// Hosts that may be private, for tests and intranets; empty unless an operator lists some (OUT-03).
    pub allow: Vec<AllowedHost>,
    /// From the wait for a place to the last byte of the answer.
    pub timeout: Duration,
    /// The largest answer, in bytes.
    pub max_body: usize,
    /// Requests to one host at the same time.
    pub per_host: usize,
    /// For so long a URL that failed is not fetched again.
    pub retry_after: Duration,
}

impl Default for OutboundPolicy {
    fn default() -> Self {
        Self {
            allow: Vec::new(),
            timeout: Duration::from_secs(5),
            max_body: 256 * 1024,
            per_host: 4,
            retry_after: Duration::from_secs(10),
        }
    }
}

/// A host that is trusted by name and port although its addresses may be private (OUT-03).
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct AllowedHost {
    /// As in the URL: a name in lower case, or an address without brackets.
    pub host: String,
    /// The port of the URL; 443 where the URL has none.
    pub port: u16,
    /// A root certificate beside those of the system, as PEM.
    pub root_certificate: Option<String>,
}
