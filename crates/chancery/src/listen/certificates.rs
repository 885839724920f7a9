//! The server's certificate, and which TLS it speaks.
//!
//! TLS 1.3 and 1.2 only (F2-01). Browsers and machines share the listener, so under TLS 1.2 only the
//! four ECDHE AES-GCM suites are offered (F2-02, RFC 9325 §4.2).

use std::{
    fmt,
    path::{Path, PathBuf},
    sync::{Arc, PoisonError, RwLock},
};

use super::mutual::PossessionOnly;
use rustls::{
    ServerConfig,
    crypto::{CryptoProvider, aws_lc_rs},
    pki_types::{CertificateDer, PrivateKeyDer, pem::PemObject},
    server::{ClientHello, ResolvesServerCert},
    sign::CertifiedKey,
};

/// Why a certificate can't be served.
#[derive(Debug, thiserror::Error)]
pub enum CertificateFault {
    /// A file is missing, unreadable or not PEM.
    #[error("{path}: {error}")]
    File {
        /// Which file.
        path: PathBuf,
        /// Why.
        error: rustls::pki_types::pem::Error,
    },
    /// The file has no certificate.
    #[error("{0}: no certificate in it")]
    Empty(PathBuf),
    /// The key can't be used, or belongs to another certificate.
    #[error("certificate and key: {0}")]
    Pair(#[from] rustls::Error),
}

/// A certificate that can be replaced while connections are open.
pub struct Certificates {
    certificate: PathBuf,
    key: PathBuf,
    provider: Arc<CryptoProvider>,
    current: RwLock<Arc<CertifiedKey>>,
}

impl Certificates {
    /// Reads both PEM files.
    ///
    /// # Errors
    /// [`CertificateFault`] names the file.
    pub fn read(certificate: &Path, key: &Path) -> Result<Arc<Self>, CertificateFault> {
        let provider = Arc::new(provider());
        let current = pair(certificate, key, &provider)?;
        Ok(Arc::new(Self {
            certificate: certificate.to_owned(),
            key: key.to_owned(),
            provider,
            current: RwLock::new(Arc::new(current)),
        }))
    }

    /// Reads the files again. New connections get the new certificate.
    ///
    /// # Errors
    /// [`CertificateFault`]; the former certificate then stays in use.
    pub fn reload(&self) -> Result<(), CertificateFault> {
        let fresh = pair(&self.certificate, &self.key, &self.provider)?;
        *self.current.write().unwrap_or_else(PoisonError::into_inner) = Arc::new(fresh);
        Ok(())
    }

    /// The TLS of the listener for clients that show a certificate (RFC 8705): the same, and every certificate
    /// whose key the client holds is taken.
    ///
    /// # Errors
    /// As [`server_config`](Self::server_config).
    pub fn mutual_config(self: &Arc<Self>) -> Result<Arc<ServerConfig>, CertificateFault> {
        let verifier = Arc::new(PossessionOnly(Arc::clone(&self.provider)));
        let mut config = ServerConfig::builder_with_provider(Arc::clone(&self.provider))
            .with_protocol_versions(&[&rustls::version::TLS13, &rustls::version::TLS12])?
            .with_client_cert_verifier(verifier)
            .with_cert_resolver(Arc::clone(self) as Arc<dyn ResolvesServerCert>);
        config.alpn_protocols = vec![b"h2".to_vec(), b"http/1.1".to_vec()];
        // A resumed session would skip the certificate.
        config.session_storage = Arc::new(rustls::server::NoServerSessionStorage {});
        config.send_tls13_tickets = 0;
        Ok(Arc::new(config))
    }

    /// The TLS of the public listener.
    ///
    /// # Errors
    /// If the cryptographic library does not have what the versions need.
    pub fn server_config(self: &Arc<Self>) -> Result<Arc<ServerConfig>, CertificateFault> {
        let mut config = ServerConfig::builder_with_provider(Arc::clone(&self.provider))
            .with_protocol_versions(&[&rustls::version::TLS13, &rustls::version::TLS12])?
            .with_no_client_auth()
            .with_cert_resolver(Arc::clone(self) as Arc<dyn ResolvesServerCert>);
        config.alpn_protocols = vec![b"h2".to_vec(), b"http/1.1".to_vec()];
        Ok(Arc::new(config))
    }
}

impl fmt::Debug for Certificates {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Certificates").field("certificate", &self.certificate).finish_non_exhaustive()
    }
}

impl ResolvesServerCert for Certificates {
    fn resolve(&self, _hello: ClientHello<'_>) -> Option<Arc<CertifiedKey>> {
        Some(Arc::clone(&self.current.read().unwrap_or_else(PoisonError::into_inner)))
    }
}

fn pair(certificate: &Path, key: &Path, provider: &CryptoProvider) -> Result<CertifiedKey, CertificateFault> {
    let file = |path: &Path, error| CertificateFault::File { path: path.to_owned(), error };
    let chain = CertificateDer::pem_file_iter(certificate)
        .and_then(Iterator::collect::<Result<Vec<_>, _>>)
        .map_err(|error| file(certificate, error))?;
    if chain.is_empty() {
        return Err(CertificateFault::Empty(certificate.to_owned()));
    }
    let key = PrivateKeyDer::from_pem_file(key).map_err(|error| file(key, error))?;
    Ok(CertifiedKey::from_der(chain, key, provider)?)
}

/// TLS 1.3's suites, then those four of TLS 1.2 that F2-02 allows.
fn provider() -> CryptoProvider {
    use aws_lc_rs::cipher_suite as suite;
    CryptoProvider {
        cipher_suites: vec![
            suite::TLS13_AES_128_GCM_SHA256,
            suite::TLS13_AES_256_GCM_SHA384,
            suite::TLS13_CHACHA20_POLY1305_SHA256,
            suite::TLS_ECDHE_ECDSA_WITH_AES_128_GCM_SHA256,
            suite::TLS_ECDHE_ECDSA_WITH_AES_256_GCM_SHA384,
            suite::TLS_ECDHE_RSA_WITH_AES_128_GCM_SHA256,
            suite::TLS_ECDHE_RSA_WITH_AES_256_GCM_SHA384,
        ],
        ..aws_lc_rs::default_provider()
    }
}
