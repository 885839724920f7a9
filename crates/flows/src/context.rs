//! The request as far as flows and the audit trail need it. `web` builds one per request, once.

use std::net::IpAddr;

use protocol::CorrelationId;

/// Who asks, and under which name this request stands in logs and audit.
#[derive(Clone, Debug)]
pub struct RequestContext {
    /// Where it came from; a forwarded address only if a configured proxy said so (BCP-15).
    pub address: Option<IpAddr>,
    /// The name of the request.
    pub correlation: CorrelationId,
    /// What the browser says it is; shown to the person in the list of sessions.
    pub user_agent: Option<String>,
}
