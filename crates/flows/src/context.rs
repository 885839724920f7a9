//! The request as far as flows and the audit trail need it. `web` builds one per request, once.

use std::{net::IpAddr, sync::Arc};

use chrono::{DateTime, Utc};
use jose::certificate::{CertificateFault, ClientCertificate, HeldCertificate};
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

impl PresentedCertificate {
    /// The certificate, or why it is none.
    ///
    /// # Errors
    /// [`CertificateFault::Unreadable`].
    pub fn get(&self) -> Result<Option<&ClientCertificate>, CertificateFault> {
        match self {
            Self::Absent => Ok(None),
            Self::One(certificate) => Ok(Some(certificate)),
            Self::Unreadable => Err(CertificateFault::Unreadable),
        }
    }

    /// The same as something that tokens can be bound to now.
    ///
    /// # Errors
    /// [`CertificateFault`].
    pub fn held(&self, now: DateTime<Utc>) -> Result<Option<HeldCertificate>, CertificateFault> {
        self.get()?.map(|certificate| certificate.held(now)).transpose()
    }
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
