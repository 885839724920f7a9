//! The policy against real sockets: a TLS server on loopback that would answer, if it were asked.

#![allow(clippy::unwrap_used, reason = "a test may fail like this")]

use std::{
    net::IpAddr,
    sync::{
        Arc,
        atomic::{AtomicUsize, Ordering},
    },
    time::Duration,
};

use rcgen::{CertifiedKey, generate_simple_self_signed};
use rustls::pki_types::PrivateKeyDer;
use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    net::TcpListener,
};

use crate::{AllowedHost, Outbound, OutboundFault, OutboundPolicy, address::is_public};

/// A TLS server that gives every request the same answer and counts connections.
struct Peer {
    port: u16,
    certificate: String,
    connections: Arc<AtomicUsize>,
}

impl Peer {
    /// `answer` is written once the request was read; where it is empty nothing ever comes.
    async fn answering(answer: impl Into<Vec<u8>>) -> Self {
        Self::named(&["localhost", "127.0.0.1"], answer).await
    }

    /// The same with a certificate for these names.
    async fn named(names: &[&str], answer: impl Into<Vec<u8>>) -> Self {
        let names: Vec<String> = names.iter().map(|name| (*name).to_owned()).collect();
        let CertifiedKey { cert, signing_key } = generate_simple_self_signed(names).unwrap();
        let provider = Arc::new(rustls::crypto::aws_lc_rs::default_provider());
        let key = PrivateKeyDer::try_from(signing_key.serialize_der()).unwrap();
        let tls = rustls::ServerConfig::builder_with_provider(provider)
            .with_safe_default_protocol_versions()
            .unwrap()
            .with_no_client_auth()
            .with_single_cert(vec![cert.der().clone()], key)
            .unwrap();
        let acceptor = tokio_rustls::TlsAcceptor::from(Arc::new(tls));
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let port = listener.local_addr().unwrap().port();
        let connections = Arc::new(AtomicUsize::new(0));
        let (seen, answer) = (connections.clone(), answer.into());
        tokio::spawn(async move {
            loop {
                let (stream, _) = listener.accept().await.unwrap();
                seen.fetch_add(1, Ordering::SeqCst);
                let (acceptor, answer) = (acceptor.clone(), answer.clone());
                tokio::spawn(async move {
                    let Ok(mut stream) = acceptor.accept(stream).await else { return };
                    let mut buffer = [0; 4096];
                    let _ = stream.read(&mut buffer).await;
                    if answer.is_empty() {
                        tokio::time::sleep(Duration::from_secs(60)).await;
                    }
                    let _ = stream.write_all(&answer).await;
                    let _ = stream.shutdown().await;
                });
            }
        });
        Self { port, certificate: cert.pem(), connections }
    }

    async fn json(body: &str) -> Self {
        Self::answering(response("200 OK", "application/json", "", body)).await
    }

    fn url(&self, host: &str) -> String {
        format!("https://{host}:{}/keys", self.port)
    }

    /// A sender that lists this peer.
    fn listed(&self, mut policy: OutboundPolicy) -> Outbound {
        let root_certificate = Some(self.certificate.clone());
        policy.allow = vec![AllowedHost { host: "localhost".into(), port: self.port, root_certificate }];
        Outbound::new(policy)
    }

    fn connections(&self) -> usize {
        self.connections.load(Ordering::SeqCst)
    }
}

fn response(status: &str, kind: &str, headers: &str, body: &str) -> String {
    let length = body.len();
    format!(
        "HTTP/1.1 {status}\r\nContent-Type: {kind}\r\nContent-Length: {length}\r\n\
         Connection: close\r\n{headers}\r\n{body}"
    )
}

#[test]
fn out_01_only_global_unicast_is_public() {
    for text in ["93.184.216.34", "8.8.8.8", "2606:2800:220:1::1", "2a00:1450::1", "::ffff:8.8.8.8"] {
        assert!(is_public(text.parse().unwrap()), "{text}");
    }
    for text in [
        "0.0.0.0",
        "10.1.2.3",
        "100.64.0.1",
        "127.0.0.1",
        "127.255.255.254",
        "169.254.169.254",
        "172.16.0.1",
        "172.31.255.255",
        "192.0.0.8",
        "192.0.2.1",
        "192.88.99.1",
        "192.168.1.1",
        "198.18.0.1",
        "198.51.100.1",
        "203.0.113.1",
        "224.0.0.1",
        "240.0.0.1",
        "255.255.255.255",
        "::",
        "::1",
        "::ffff:127.0.0.1",
        "::ffff:169.254.169.254",
        "::127.0.0.1",
        "64:ff9b::7f00:1",
        "64:ff9b:1::1",
        "100::1",
        "2001::1",
        "2001:db8::1",
        "2002:7f00:1::",
        "3fff::1",
        "fc00::1",
        "fd00:ec2::254",
        "fe80::1",
        "fec0::1",
        "ff02::1",
    ] {
        assert!(!is_public(text.parse::<IpAddr>().unwrap()), "{text}");
    }
}

#[tokio::test]
async fn out_01_no_byte_goes_to_a_host_that_is_not_public() {
    let peer = Peer::json("{}").await;
    let outbound = Outbound::new(OutboundPolicy::default());
    for host in [
        "127.0.0.1",
        "localhost",
        "LOCALHOST",
        "0x7f.1",
        "2130706433",
        "0177.0.0.1",
        "127.1",
        "[::1]",
        "[::ffff:127.0.0.1]",
        "[::ffff:7f00:1]",
        "0.0.0.0",
        "[::]",
        "169.254.169.254",
    ] {
        let answer = outbound.get(&peer.url(host), &["application/json"]).await;
        assert_eq!(answer, Err(OutboundFault::NotPublic), "{host}");
    }
    assert_eq!(peer.connections(), 0);
}

#[tokio::test]
async fn out_01_only_https_urls_without_credentials() {
    let outbound = Outbound::new(OutboundPolicy::default());
    let long = format!("https://example.com/{}", "a".repeat(3000));
    for url in [
        "http://example.com/",
        "ftp://example.com/",
        "file:///etc/passwd",
        "https://",
        "data:,x",
        "https://user@example.com/",
        "https://user:secret@example.com/",
        "javascript:alert(1)",
        "",
        &long,
    ] {
        assert_eq!(outbound.admits(url), Err(OutboundFault::Url), "{url}");
    }
    assert_eq!(outbound.admits("https://example.com/keys"), Ok(()));
    assert_eq!(outbound.admits("https://10.0.0.1/keys"), Err(OutboundFault::NotPublic));
}

#[tokio::test]
async fn out_03_a_listed_host_is_reached_by_its_name_and_port_only() {
    let body = r#"{"keys":[]}"#;
    let answer =
        response("200 OK", "application/json; charset=utf-8", "Cache-Control: public, max-age=60\r\n", body);
    let peer = Peer::answering(answer).await;
    let outbound = peer.listed(OutboundPolicy::default());
    let fetched = outbound.get(&peer.url("localhost"), &["application/json"]).await.unwrap();
    assert_eq!(fetched.body, body);
    assert_eq!(fetched.max_age, Some(Duration::from_secs(60)));
    let other = Peer::json("{}").await;
    for url in [peer.url("127.0.0.1"), other.url("localhost")] {
        assert_eq!(outbound.get(&url, &["application/json"]).await, Err(OutboundFault::NotPublic), "{url}");
    }
    assert_eq!(other.connections(), 0);
}

#[tokio::test]
async fn f2_05_a_certificate_of_nobody_known_is_refused() {
    let peer = Peer::json("{}").await;
    let allow = vec![AllowedHost { host: "localhost".into(), port: peer.port, root_certificate: None }];
    let outbound = Outbound::new(OutboundPolicy { allow, ..OutboundPolicy::default() });
    let answer = outbound.get(&peer.url("localhost"), &["application/json"]).await;
    assert_eq!(answer, Err(OutboundFault::Unreachable));
}

#[tokio::test]
async fn f2_05_a_certificate_for_another_name_is_refused() {
    // Both certificates are trusted; they differ in nothing but the name.
    for (name, good) in [("localhost", true), ("other.example", false)] {
        let peer = Peer::named(&[name], response("200 OK", "application/json", "", "{}")).await;
        let root_certificate = Some(peer.certificate.clone());
        let allow = vec![AllowedHost { host: "localhost".into(), port: peer.port, root_certificate }];
        let outbound = Outbound::new(OutboundPolicy { allow, ..OutboundPolicy::default() });
        let answer = outbound.get(&peer.url("localhost"), &["application/json"]).await;
        assert_eq!((answer.is_ok(), peer.connections()), (good, 1), "{name}: {answer:?}");
        assert!(good || answer == Err(OutboundFault::Unreachable));
    }
}

#[tokio::test]
async fn out_01_redirects_are_not_followed() {
    let beyond = Peer::json("{}").await;
    let location = format!("Location: {}\r\n", beyond.url("localhost"));
    let peer = Peer::answering(response("302 Found", "application/json", &location, "{}")).await;
    let roots = [&peer, &beyond].map(|peer| AllowedHost {
        host: "localhost".into(),
        port: peer.port,
        root_certificate: Some(peer.certificate.clone()),
    });
    let outbound = Outbound::new(OutboundPolicy { allow: roots.into(), ..OutboundPolicy::default() });
    let answer = outbound.get(&peer.url("localhost"), &["application/json"]).await;
    assert_eq!(answer, Err(OutboundFault::Status(http::StatusCode::FOUND)));
    assert_eq!(beyond.connections(), 0);
}

#[tokio::test]
async fn out_02_size_type_and_time_are_bounded() {
    let short =
        OutboundPolicy { timeout: Duration::from_millis(300), max_body: 1000, ..OutboundPolicy::default() };
    let endless = format!("HTTP/1.1 200 OK\r\nContent-Type: application/json\r\n\r\n{}", " ".repeat(5000));
    let cases = [
        (endless, OutboundFault::TooLarge),
        (response("200 OK", "text/html", "", "{}"), OutboundFault::ContentType),
        (String::new(), OutboundFault::TimedOut),
    ];
    for (answer, fault) in cases {
        let peer = Peer::answering(answer).await;
        let outbound = peer.listed(short.clone());
        assert_eq!(outbound.get(&peer.url("localhost"), &["application/json"]).await, Err(fault));
    }
}

#[tokio::test]
async fn out_02_a_failure_is_remembered_for_a_while() {
    let peer = Peer::answering(response("500 Oh", "application/json", "", "{}")).await;
    let outbound =
        peer.listed(OutboundPolicy { retry_after: Duration::from_millis(200), ..OutboundPolicy::default() });
    let get = || outbound.get("https://localhost/never", &["application/json"]);
    assert_eq!(get().await, Err(OutboundFault::NotPublic), "another port of the listed host");
    let url = peer.url("localhost");
    let failed = Err(OutboundFault::Status(http::StatusCode::INTERNAL_SERVER_ERROR));
    assert_eq!(outbound.get(&url, &["application/json"]).await, failed);
    assert_eq!(outbound.get(&url, &["application/json"]).await, Err(OutboundFault::FailedRecently));
    assert_eq!(peer.connections(), 1);
    tokio::time::sleep(Duration::from_millis(250)).await;
    assert_eq!(outbound.get(&url, &["application/json"]).await, failed);
    assert_eq!(peer.connections(), 2);
}

#[tokio::test]
async fn out_02_a_failure_of_one_purpose_is_none_of_another() {
    let body = r#"{"keys":[]}"#;
    let peer = Peer::answering(response("200 OK", "application/jwk-set+json", "", body)).await;
    let outbound = peer.listed(OutboundPolicy::default());
    let url = peer.url("localhost");
    assert_eq!(outbound.get(&url, &["application/json"]).await, Err(OutboundFault::ContentType));
    assert_eq!(outbound.get(&url, &["application/json"]).await, Err(OutboundFault::FailedRecently));
    let keys = outbound.get(&url, &["application/json", "application/jwk-set+json"]).await;
    assert_eq!(keys.unwrap().body, body, "nobody shuts a client's keys away by naming them as a document");
}

#[tokio::test]
async fn out_02_one_host_gets_few_requests_at_once() {
    let peer = Peer::answering("").await;
    let policy =
        OutboundPolicy { timeout: Duration::from_millis(400), per_host: 2, ..OutboundPolicy::default() };
    let outbound = peer.listed(policy);
    let mut running = tokio::task::JoinSet::new();
    for n in 0..6 {
        let (outbound, url) = (outbound.clone(), format!("{}?{n}", peer.url("localhost")));
        running.spawn(async move { outbound.get(&url, &["application/json"]).await });
    }
    tokio::time::sleep(Duration::from_millis(200)).await;
    assert_eq!(peer.connections(), 2);
    while let Some(answer) = running.join_next().await {
        assert_eq!(answer.unwrap(), Err(OutboundFault::TimedOut));
    }
}
