//! TLS in front of banks on loopback: a server speaks to a provider over https or not at all.

use std::sync::Arc;

use flows::Policies;
use outbound::{AllowedHost, OutboundPolicy};
use rcgen::{CertifiedKey, generate_simple_self_signed};
use rustls::pki_types::PrivateKeyDer;
use testkit::Browser;
use tokio::{
    net::{TcpListener, TcpStream},
    task::JoinHandle,
};
use tokio_rustls::TlsAcceptor;

use crate::bank::{Bank, Engine};

/// An https port that leads to a plain one.
pub struct Front {
    /// `https://localhost:…`
    pub issuer: String,
    pub port: u16,
    inner: std::sync::Mutex<Option<TcpListener>>,
    server: JoinHandle<()>,
}

impl Drop for Front {
    fn drop(&mut self) {
        self.server.abort();
    }
}

impl Front {
    async fn open(acceptor: TlsAcceptor) -> Self {
        let inner = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let to = inner.local_addr().unwrap();
        let outer = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let port = outer.local_addr().unwrap().port();
        let server = tokio::spawn(async move {
            loop {
                let (stream, _) = outer.accept().await.unwrap();
                let acceptor = acceptor.clone();
                tokio::spawn(async move {
                    let Ok(mut stream) = acceptor.accept(stream).await else { return };
                    let Ok(mut beyond) = TcpStream::connect(to).await else { return };
                    let _ = tokio::io::copy_bidirectional(&mut stream, &mut beyond).await;
                });
            }
        });
        let issuer = format!("https://localhost:{port}");
        Self { issuer, port, inner: std::sync::Mutex::new(Some(inner)), server }
    }

    /// What listens behind it, once.
    pub fn inner(&self) -> TcpListener {
        self.inner.lock().unwrap().take().unwrap()
    }

    /// Opens a bank behind it.
    pub async fn bank(&self, engine: Engine, change: impl FnOnce(&mut Policies)) -> Bank {
        Bank::behind(engine, self.issuer.clone(), self.inner(), change).await
    }
}

/// Two fronts with one certificate.
pub struct Pair {
    pub north: Front,
    pub south: Front,
    certificate: String,
}

impl Pair {
    pub async fn open() -> Self {
        let CertifiedKey { cert, signing_key } =
            generate_simple_self_signed(["localhost".to_owned()]).unwrap();
        let provider = Arc::new(rustls::crypto::aws_lc_rs::default_provider());
        let key = PrivateKeyDer::try_from(signing_key.serialize_der()).unwrap();
        let tls = rustls::ServerConfig::builder_with_provider(provider)
            .with_safe_default_protocol_versions()
            .unwrap()
            .with_no_client_auth()
            .with_single_cert(vec![cert.der().clone()], key)
            .unwrap();
        let acceptor = TlsAcceptor::from(Arc::new(tls));
        Self {
            north: Front::open(acceptor.clone()).await,
            south: Front::open(acceptor).await,
            certificate: cert.pem(),
        }
    }

    /// A policy that lets each reach the other.
    pub fn outbound(&self) -> OutboundPolicy {
        let host = |port| AllowedHost {
            host: "localhost".into(),
            port,
            root_certificate: Some(self.certificate.clone()),
        };
        OutboundPolicy {
            allow: vec![host(self.north.port), host(self.south.port)],
            ..OutboundPolicy::default()
        }
    }

    pub fn roots(&self) -> Vec<&str> {
        vec![self.certificate.as_str()]
    }

    pub fn browser(&self) -> Browser {
        Browser::trusting(&self.roots())
    }
}
