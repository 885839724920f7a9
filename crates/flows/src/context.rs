//! The request as far as flows and the audit trail need it. `web` builds one per request, once.

use std::{net::IpAddr, sync::Arc};

use jose::certificate::ClientCertificate;
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
    /// The proof of a key that came with it.
    pub dpop: DpopHeader,
    /// The certificate of the connection on which it came (RFC 8705).
    pub certificate: PresentedCertificate,
}

/// The certificate that a client showed in the TLS handshake, here or at a configured proxy.
#[derive(Clone, Debug, Default)]
pub enum PresentedCertificate {
    /// None.
    #[default]
    Absent,
    /// One; nobody has vouched for it yet.
    One(Arc<ClientCertificate>),
    /// Something that can't be read. It is no certificate, and never the same as none.
    Unreadable,
}

/// The `DPoP` header of a request, which may be there once (RFC 9449 §4.3).
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub enum DpopHeader {
    /// None.
    #[default]
    Absent,
    /// One, not yet verified.
    One(String),
    /// Several, or one that is no text.
    Unreadable,
}
