//! Who is at the other end of a connection.

use std::net::SocketAddr;

use flows::context::PresentedCertificate;

/// What the listener knows of a connection. Every request carries it as an extension.
///
/// This is the transport's own view: behind a proxy it describes the proxy. Whoever wants the
/// browser's address asks whether this address is a configured proxy before it believes a header
/// (BCP-15).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Peer {
    /// The address that connected.
    pub address: SocketAddr,
    /// Whether the connection is TLS that ends here.
    pub tls: bool,
}

/// The certificate that was shown in a handshake that ended here. Requests on the listener for such clients
/// carry it as an extension.
#[derive(Clone, Debug)]
pub struct PeerCertificate(pub PresentedCertificate);
