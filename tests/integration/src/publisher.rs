//! A web server on loopback that publishes documents over TLS, for what the bank reads elsewhere.

use std::{
    collections::BTreeMap,
    sync::{Arc, Mutex},
};

use outbound::{AllowedHost, OutboundPolicy};
use rcgen::{CertifiedKey, generate_simple_self_signed};
use rustls::pki_types::PrivateKeyDer;
use serde_json::Value;
use tokio::{
    io::{AsyncBufReadExt, AsyncWriteExt, BufReader},
    net::TcpListener,
    sync::Semaphore,
    task::JoinHandle,
};
use tokio_rustls::TlsAcceptor;

#[derive(Default)]
struct Shelf {
    documents: BTreeMap<String, (u16, String, String)>,
    read: Vec<String>,
    held: BTreeMap<String, Arc<Semaphore>>,
}

/// The server.
pub struct Publisher {
    port: u16,
    certificate: String,
    shelf: Arc<Mutex<Shelf>>,
    server: JoinHandle<()>,
}

impl Drop for Publisher {
    fn drop(&mut self) {
        self.server.abort();
    }
}

impl Publisher {
    /// A server that has nothing yet.
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
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let port = listener.local_addr().unwrap().port();
        let shelf: Arc<Mutex<Shelf>> = Arc::default();
        let kept = shelf.clone();
        let server = tokio::spawn(async move {
            loop {
                let (stream, _) = listener.accept().await.unwrap();
                let (acceptor, kept) = (acceptor.clone(), kept.clone());
                tokio::spawn(async move {
                    let Ok(stream) = acceptor.accept(stream).await else { return };
                    let mut stream = BufReader::new(stream);
                    let mut line = String::new();
                    stream.read_line(&mut line).await.unwrap();
                    let path = line.split(' ').nth(1).unwrap_or_default().to_owned();
                    while line.trim() != "" {
                        line.clear();
                        stream.read_line(&mut line).await.unwrap();
                    }
                    let held = {
                        let mut shelf = kept.lock().unwrap();
                        shelf.read.push(path.clone());
                        shelf.held.get(&path).cloned()
                    };
                    if let Some(held) = held {
                        held.acquire().await.unwrap().forget();
                    }
                    let (status, fields, body) = {
                        let shelf = kept.lock().unwrap();
                        let nothing = (404, String::new(), String::new());
                        shelf.documents.get(&path).cloned().unwrap_or(nothing)
                    };
                    let length = body.len();
                    let answer = format!(
                        "HTTP/1.1 {status} X\r\n{fields}Content-Length: {length}\r\nConnection: close\r\n\r\n{body}"
                    );
                    let _ = stream.write_all(answer.as_bytes()).await;
                    let _ = stream.shutdown().await;
                });
            }
        });
        Self { port, certificate: cert.pem(), shelf, server }
    }

    /// The address of a path.
    pub fn url(&self, path: &str) -> String {
        format!("https://localhost:{}{path}", self.port)
    }

    /// Publishes JSON under a path from now on.
    pub fn publish(&self, path: &str, document: &Value) {
        self.put(path, 200, "Content-Type: application/json\r\n", &document.to_string());
    }

    /// Answers a path in any way.
    pub fn put(&self, path: &str, status: u16, fields: &str, body: &str) {
        let answer = (status, fields.to_owned(), body.to_owned());
        self.shelf.lock().unwrap().documents.insert(path.to_owned(), answer);
    }

    /// Answers a path only when permits are added: one for each request.
    pub fn hold(&self, path: &str) -> Arc<Semaphore> {
        let held = Arc::new(Semaphore::new(0));
        self.shelf.lock().unwrap().held.insert(path.to_owned(), held.clone());
        held
    }

    /// Waits until a path was asked for so often.
    pub async fn asked(&self, path: &str, times: usize) {
        while self.read(path) < times {
            tokio::task::yield_now().await;
        }
    }

    /// How often a path was read.
    pub fn read(&self, path: &str) -> usize {
        self.shelf.lock().unwrap().read.iter().filter(|read| *read == path).count()
    }

    /// A policy that lets the bank reach this server.
    pub fn policy(&self) -> OutboundPolicy {
        let root_certificate = Some(self.certificate.clone());
        let host = AllowedHost { host: "localhost".into(), port: self.port, root_certificate };
        OutboundPolicy { allow: vec![host], ..OutboundPolicy::default() }
    }
}
