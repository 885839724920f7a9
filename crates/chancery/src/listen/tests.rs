#![allow(clippy::unwrap_used)]
//! Real sockets, real handshakes.

use std::{
    net::{IpAddr, Ipv4Addr, SocketAddr},
    sync::Arc,
    time::Duration,
};

use axum::{Extension, Router, routing::get};
use rustls::{
    ClientConfig, ProtocolVersion, SupportedCipherSuite,
    crypto::{CryptoProvider, aws_lc_rs},
    pki_types::{CertificateDer, ServerName},
};
use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    net::TcpStream,
    sync::Notify,
    task::JoinHandle,
    time::timeout,
};
use tokio_rustls::{TlsConnector, client::TlsStream};
use tokio_util::sync::CancellationToken;
use web::peer::Peer;

use super::*;

const LIMITS: Limits = Limits {
    header_timeout: Duration::from_millis(300),
    handshake_timeout: Duration::from_millis(300),
    drain: Duration::from_secs(20),
    max_connections: 16,
};
/// Far longer than anything here takes; a test that reaches it has failed.
const PATIENCE: Duration = Duration::from_secs(20);

struct Server {
    address: SocketAddr,
    stop: CancellationToken,
    task: JoinHandle<()>,
}

async fn start(app: Router, tls: Option<Arc<rustls::ServerConfig>>, access: Access) -> Server {
    let address = SocketAddr::from(([127, 0, 0, 1], 0));
    let listener = Listener::bind(address, tls, access, LIMITS).await.unwrap();
    let address = listener.address().unwrap();
    let stop = CancellationToken::new();
    let task = tokio::spawn(listener.serve(app, stop.clone()));
    Server { address, stop, task }
}

fn app() -> Router {
    let peer =
        |Extension(peer): Extension<Peer>| async move { format!("tls={} {}", peer.tls, peer.address.ip()) };
    Router::new().route("/", get(peer))
}

struct Identity {
    directory: tempfile::TempDir,
    certificate: CertificateDer<'static>,
}

impl Identity {
    fn new() -> Self {
        let directory = tempfile::tempdir().unwrap();
        let certificate = write_pair(directory.path());
        Self { directory, certificate }
    }

    fn certificates(&self) -> Arc<Certificates> {
        Certificates::read(&self.directory.path().join("cert.pem"), &self.directory.path().join("key.pem"))
            .unwrap()
    }
}

fn write_pair(directory: &std::path::Path) -> CertificateDer<'static> {
    let made = rcgen::generate_simple_self_signed(["localhost".to_owned()]).unwrap();
    std::fs::write(directory.join("cert.pem"), made.cert.pem()).unwrap();
    std::fs::write(directory.join("key.pem"), made.signing_key.serialize_pem()).unwrap();
    made.cert.der().clone()
}

/// A client that trusts only `certificate` and offers only `suites`.
async fn handshake(
    address: SocketAddr,
    certificate: &CertificateDer<'static>,
    suites: Vec<SupportedCipherSuite>,
    alpn: &[&str],
) -> std::io::Result<TlsStream<TcpStream>> {
    let mut roots = rustls::RootCertStore::empty();
    roots.add(certificate.clone()).unwrap();
    let provider = CryptoProvider { cipher_suites: suites, ..aws_lc_rs::default_provider() };
    let versions: Vec<_> = [&rustls::version::TLS13, &rustls::version::TLS12]
        .into_iter()
        .filter(|v| provider.cipher_suites.iter().any(|suite| suite.version() == *v))
        .collect();
    let mut config = ClientConfig::builder_with_provider(Arc::new(provider))
        .with_protocol_versions(&versions)
        .unwrap()
        .with_root_certificates(roots)
        .with_no_client_auth();
    config.alpn_protocols = alpn.iter().map(|name| name.as_bytes().to_vec()).collect();
    let tcp = TcpStream::connect(address).await?;
    TlsConnector::from(Arc::new(config)).connect(ServerName::try_from("localhost").unwrap(), tcp).await
}

fn suites(tls12: bool, names: &[&str]) -> Vec<SupportedCipherSuite> {
    aws_lc_rs::ALL_CIPHER_SUITES
        .iter()
        .copied()
        .filter(|suite| (suite.version().version == ProtocolVersion::TLSv1_2) == tls12)
        .filter(|suite| {
            names.is_empty() || names.iter().any(|name| format!("{:?}", suite.suite()).contains(name))
        })
        .collect()
}

async fn read_to_end(stream: &mut (impl AsyncReadExt + Unpin)) -> String {
    let mut bytes = Vec::new();
    // A peer that cuts the connection may do so without a goodbye.
    let _ = timeout(PATIENCE, stream.read_to_end(&mut bytes)).await.unwrap();
    String::from_utf8_lossy(&bytes).into_owned()
}

const REQUEST: &[u8] = b"GET / HTTP/1.1\r\nhost: localhost\r\nconnection: close\r\n\r\n";

#[tokio::test]
async fn f2_01_tls_1_3_is_preferred_and_the_request_knows_its_peer() {
    let identity = Identity::new();
    let config = identity.certificates().server_config().unwrap();
    let server = start(app(), Some(config), Access::Anyone).await;
    let all = aws_lc_rs::ALL_CIPHER_SUITES.to_vec();
    let mut stream =
        handshake(server.address, &identity.certificate, all.clone(), &["http/1.1"]).await.unwrap();
    assert_eq!(stream.get_ref().1.protocol_version(), Some(ProtocolVersion::TLSv1_3));
    stream.write_all(REQUEST).await.unwrap();
    assert!(read_to_end(&mut stream).await.ends_with("tls=true 127.0.0.1"));
    let stream = handshake(server.address, &identity.certificate, all, &["h2", "http/1.1"]).await.unwrap();
    assert_eq!(stream.get_ref().1.alpn_protocol(), Some(&b"h2"[..]));
}

#[tokio::test]
async fn f2_02_tls_1_2_only_with_ecdhe_aes_gcm() {
    let identity = Identity::new();
    let config = identity.certificates().server_config().unwrap();
    let offered: Vec<_> = config
        .crypto_provider()
        .cipher_suites
        .iter()
        .filter(|suite| suite.version().version == ProtocolVersion::TLSv1_2)
        .map(|suite| format!("{:?}", suite.suite()))
        .collect();
    assert_eq!(offered.len(), 4);
    assert!(offered.iter().all(|name| name.contains("ECDHE") && name.contains("_GCM_")), "{offered:?}");

    let server = start(app(), Some(config), Access::Anyone).await;
    let gcm = handshake(server.address, &identity.certificate, suites(true, &["_GCM_"]), &[]).await.unwrap();
    assert_eq!(gcm.get_ref().1.protocol_version(), Some(ProtocolVersion::TLSv1_2));
    let chacha = handshake(server.address, &identity.certificate, suites(true, &["CHACHA20"]), &[]).await;
    let refusal = chacha.unwrap_err().to_string();
    assert!(refusal.contains("HandshakeFailure"), "{refusal}");
}

/// OpenSSL offers what rustls has no code for: CBC suites, and TLS 1.1.
async fn openssl(address: SocketAddr, arguments: &[&str]) -> String {
    let output = timeout(
        PATIENCE,
        tokio::process::Command::new("openssl")
            .args(["s_client", "-connect", &address.to_string()])
            .args(arguments)
            .stdin(std::process::Stdio::null())
            .output(),
    )
    .await
    .unwrap()
    .unwrap();
    format!("{}{}", String::from_utf8_lossy(&output.stdout), String::from_utf8_lossy(&output.stderr))
}

#[tokio::test]
async fn f2_01_f2_02_old_versions_and_cbc_get_an_alert() {
    let identity = Identity::new();
    let config = identity.certificates().server_config().unwrap();
    let server = start(app(), Some(config), Access::Anyone).await;
    let good = openssl(server.address, &["-tls1_2", "-cipher", "ECDHE-ECDSA-AES128-GCM-SHA256"]).await;
    assert!(good.contains("ECDHE-ECDSA-AES128-GCM-SHA256") && !good.contains("alert"), "{good}");
    let cbc = openssl(server.address, &["-tls1_2", "-cipher", "ECDHE-ECDSA-AES128-SHA256"]).await;
    assert!(cbc.contains("alert handshake failure"), "{cbc}");
    for version in ["-tls1", "-tls1_1"] {
        let old = openssl(server.address, &[version, "-cipher", "ALL:@SECLEVEL=0"]).await;
        assert!(old.contains("SSL alert number") && old.contains("Cipher is (NONE)"), "{version}: {old}");
    }
}

#[tokio::test]
async fn a_new_certificate_is_served_after_a_reload_and_a_broken_one_is_not() {
    let identity = Identity::new();
    let certificates = identity.certificates();
    let server = start(app(), Some(certificates.server_config().unwrap()), Access::Anyone).await;
    let fresh = write_pair(identity.directory.path());
    certificates.reload().unwrap();
    assert!(handshake(server.address, &fresh, suites(false, &[]), &[]).await.is_ok());
    assert!(handshake(server.address, &identity.certificate, suites(false, &[]), &[]).await.is_err());

    std::fs::write(identity.directory.path().join("cert.pem"), "nonsense").unwrap();
    assert!(matches!(certificates.reload(), Err(CertificateFault::Empty(_))));
    assert!(handshake(server.address, &fresh, suites(false, &[]), &[]).await.is_ok());
}

#[tokio::test]
async fn slow_clients_are_cut() {
    let identity = Identity::new();
    let tls = start(app(), Some(identity.certificates().server_config().unwrap()), Access::Anyone).await;
    let plain = start(app(), None, Access::Anyone).await;
    // A handshake that never begins, a request that never begins, and one that never ends.
    for (address, bytes) in
        [(tls.address, &b""[..]), (plain.address, b""), (plain.address, b"GET / HTTP/1.1\r\nx: ")]
    {
        let mut stream = TcpStream::connect(address).await.unwrap();
        stream.write_all(bytes).await.unwrap();
        let answer = read_to_end(&mut stream).await;
        assert!(!answer.contains("200"), "{answer}");
    }
}

#[tokio::test]
async fn a_stop_lets_a_request_finish_and_takes_no_new_one() {
    let (begun, release) = (Arc::new(Notify::new()), Arc::new(Notify::new()));
    let (told, awaited) = (Arc::clone(&begun), Arc::clone(&release));
    let slow = move || async move {
        told.notify_one();
        awaited.notified().await;
        "finished"
    };
    let server = start(Router::new().route("/", get(slow)), None, Access::Anyone).await;
    let mut stream = TcpStream::connect(server.address).await.unwrap();
    let mut idle = TcpStream::connect(server.address).await.unwrap();
    stream.write_all(b"GET / HTTP/1.1\r\nhost: x\r\n\r\n").await.unwrap();
    timeout(PATIENCE, begun.notified()).await.unwrap();
    server.stop.cancel();
    assert_eq!(read_to_end(&mut idle).await, "", "an idle connection is closed at once");
    release.notify_one();
    assert!(read_to_end(&mut stream).await.ends_with("finished"));
    timeout(PATIENCE, server.task).await.unwrap().unwrap();
    assert!(TcpStream::connect(server.address).await.is_err());
}

#[tokio::test]
async fn who_is_not_on_the_list_is_cut_off_at_once() {
    let settings = |allow: &str| {
        let mut settings = crate::config::Settings::new("http://localhost:8400".parse().unwrap());
        settings.listen.public_allow = vec![allow.parse().unwrap()];
        settings.listen.admin_allow = settings.listen.public_allow.clone();
        settings
    };
    for access in [Access::public, Access::admin] {
        let open = start(app(), None, access(&settings("127.0.0.0/8"))).await;
        let mut stream = TcpStream::connect(open.address).await.unwrap();
        stream.write_all(REQUEST).await.unwrap();
        assert!(read_to_end(&mut stream).await.ends_with("tls=false 127.0.0.1"));

        let shut = start(app(), None, access(&settings("192.0.2.0/24"))).await;
        let mut stream = TcpStream::connect(shut.address).await.unwrap();
        // Not a byte was sent: nothing but the address decides.
        assert_eq!(read_to_end(&mut stream).await, "");
    }
}

#[test]
fn an_allow_list_narrows_what_the_listener_admits() {
    let within = |networks: &[&str], access| {
        let networks = networks.iter().map(|network| network.parse().unwrap()).collect();
        Access::Within(networks, Box::new(access))
    };
    let proxies = || Access::Only(vec!["10.1.0.0/16".parse().unwrap()]);
    let from = |text: &str| SocketAddr::new(text.parse().unwrap(), 1);
    assert!(within(&["10.1.2.0/24"], proxies()).admits(from("10.1.2.3")));
    assert!(within(&["10.1.2.0/24"], proxies()).admits(from("::ffff:10.1.2.3")));
    assert!(!within(&["10.1.2.0/24"], proxies()).admits(from("10.1.3.3")), "a proxy, but not on the list");
    assert!(!within(&["10.0.0.0/8"], proxies()).admits(from("10.2.0.1")), "on the list, but no proxy");
    assert!(!within(&["10.0.0.0/8"], Access::Anyone).admits(from("127.0.0.1")), "this machine is not named");
    assert!(within(&["2001:db8::/32"], Access::Anyone).admits(from("2001:db8::1")));
}

#[tokio::test]
async fn one_caller_cannot_take_every_place() {
    let address = SocketAddr::from(([127, 0, 0, 1], 0));
    let listener = Listener::bind(address, None, Access::Anyone, LIMITS).await.unwrap();
    let listener = listener.with_callers(Callers::new(2, Vec::new()));
    let address = listener.address().unwrap();
    tokio::spawn(listener.serve(app(), CancellationToken::new()));
    let mut open = [TcpStream::connect(address).await.unwrap(), TcpStream::connect(address).await.unwrap()];
    let mut third = TcpStream::connect(address).await.unwrap();
    assert_eq!(read_to_end(&mut third).await, "", "closed at once");
    for stream in &mut open {
        stream.write_all(REQUEST).await.unwrap();
        assert!(read_to_end(stream).await.contains("200 OK"));
    }
    // The places are free again as soon as the server has seen the connections end.
    let served = async {
        loop {
            let mut stream = TcpStream::connect(address).await.unwrap();
            let _ = stream.write_all(REQUEST).await;
            if read_to_end(&mut stream).await.contains("200 OK") {
                return;
            }
        }
    };
    timeout(PATIENCE, served).await.unwrap();
}

#[tokio::test]
async fn an_idle_http2_connection_is_closed() {
    let identity = Identity::new();
    let tls = identity.certificates().server_config().unwrap();
    let server = start(app(), Some(tls), Access::Anyone).await;
    let mut stream =
        handshake(server.address, &identity.certificate, aws_lc_rs::ALL_CIPHER_SUITES.to_vec(), &["h2"])
            .await
            .unwrap();
    // The preface and empty settings (RFC 9113 §3.4), and then nothing, not even an answer to a ping.
    stream.write_all(b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n\0\0\0\x04\0\0\0\0\0").await.unwrap();
    let mut bytes = Vec::new();
    let _ = timeout(PATIENCE, stream.read_to_end(&mut bytes)).await.expect("the server hangs up");
    assert!(!bytes.is_empty(), "it had said what it allows");
}

#[tokio::test]
async fn an_idle_http1_connection_is_closed() {
    let server = start(app(), None, Access::Anyone).await;
    let mut stream = TcpStream::connect(server.address).await.unwrap();
    stream.write_all(b"GET / HTTP/1.1\r\nhost: localhost\r\n\r\n").await.unwrap();
    assert!(read_to_end(&mut stream).await.ends_with("127.0.0.1"), "the server hangs up");
}

#[tokio::test]
async fn too_many_header_fields_are_refused() {
    let server = start(app(), None, Access::Anyone).await;
    for (fields, expected) in [(50, "200 OK"), (70, "431 Request Header Fields Too Large")] {
        let fields: String = (0..fields).map(|field| format!("x-{field}: v\r\n")).collect();
        let mut stream = TcpStream::connect(server.address).await.unwrap();
        let request = format!("GET / HTTP/1.1\r\nhost: x\r\nconnection: close\r\n{fields}\r\n");
        stream.write_all(request.as_bytes()).await.unwrap();
        let answer = read_to_end(&mut stream).await;
        assert!(answer.contains(expected), "{answer}");
    }
}

#[test]
fn bcp_15_only_configured_proxies_reach_a_plain_listener() {
    let only = Access::Only(vec!["10.1.0.0/16".parse().unwrap()]);
    let from = |text: &str| SocketAddr::new(text.parse().unwrap(), 1);
    for (address, admitted) in [
        ("10.1.2.3", true),
        ("::ffff:10.1.2.3", true),
        ("127.0.0.1", true),
        ("::1", true),
        ("10.2.0.1", false),
        ("2001:db8::1", false),
    ] {
        assert_eq!(only.admits(from(address)), admitted, "{address}");
    }
    assert!(Access::Anyone.admits(SocketAddr::new(IpAddr::V4(Ipv4Addr::new(192, 0, 2, 1)), 1)));
}
