//! A bank that asks for certificates (RFC 8705), and those who show them, in real handshakes.

use base64::{Engine as _, engine::general_purpose::URL_SAFE_NO_PAD};
use chancery::{
    config::Settings,
    listen::{Access, Certificates, Limits, Listener},
};
use flows::{Policies, policies::MutualTls};
use jose::{certificate::Authorities, digest::sha256};
use rcgen::{
    BasicConstraints, CertificateParams, CertifiedIssuer, DnType, ExtendedKeyUsagePurpose, IsCa, KeyPair,
    PublicKeyData, SanType,
};
use serde_json::{Value, json};
use testkit::{Answer, TempDir};
use tokio_util::sync::CancellationToken;
use web::{App, WebConfig, mutual_router, public_router};

use crate::{
    bank::{Bank, Engine},
    steps::answer,
};

/// A certificate authority.
pub struct Authority(CertifiedIssuer<'static, KeyPair>);

/// A certificate with its key.
pub struct Identity {
    certificate: rcgen::Certificate,
    key: KeyPair,
}

fn parameters(name: &str) -> CertificateParams {
    let mut parameters = CertificateParams::default();
    parameters.distinguished_name = rcgen::DistinguishedName::new();
    parameters.distinguished_name.push(DnType::CountryName, "GB");
    parameters.distinguished_name.push(DnType::OrganizationName, "Ledgerline Ltd");
    parameters.distinguished_name.push(DnType::CommonName, name);
    // The bank's clock begins in January 2027.
    parameters.not_before = rcgen::date_time_ymd(2026, 1, 1);
    parameters.not_after = rcgen::date_time_ymd(2028, 1, 1);
    parameters
}

impl Authority {
    /// A new one.
    pub fn new() -> Self {
        let mut parameters = parameters("Client CA");
        parameters.not_after = rcgen::date_time_ymd(2038, 1, 1);
        parameters.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
        Self(CertifiedIssuer::self_signed(parameters, KeyPair::generate().unwrap()).unwrap())
    }

    /// Its certificate.
    pub fn pem(&self) -> String {
        self.0.pem()
    }

    /// A certificate for clients: every kind of name that can be registered is derived from `name`.
    pub fn issue(&self, name: &str) -> Identity {
        self.issue_with(name, |_| {})
    }

    /// The same, changed.
    pub fn issue_with(&self, name: &str, change: impl FnOnce(&mut CertificateParams)) -> Identity {
        let mut parameters = parameters(name);
        parameters.extended_key_usages = vec![ExtendedKeyUsagePurpose::ClientAuth];
        parameters.subject_alt_names = vec![
            SanType::DnsName(format!("{name}.example").try_into().unwrap()),
            SanType::URI(format!("https://{name}.example/id").try_into().unwrap()),
            SanType::IpAddress("192.0.2.7".parse().unwrap()),
            SanType::Rfc822Name(format!("tls@{name}.example").try_into().unwrap()),
        ];
        change(&mut parameters);
        let key = KeyPair::generate().unwrap();
        Identity { certificate: parameters.signed_by(&key, &self.0).unwrap(), key }
    }
}

impl Identity {
    /// A certificate that nobody vouches for.
    pub fn self_signed() -> Self {
        Self::of_key(KeyPair::generate().unwrap(), 2028)
    }

    /// Another certificate for the same key, valid until this year.
    pub fn renewed(&self, until: i32) -> Self {
        Self::of_key(KeyPair::from_pem(&self.key.serialize_pem()).unwrap(), until)
    }

    fn of_key(key: KeyPair, until: i32) -> Self {
        let mut parameters = parameters("Self");
        parameters.not_after = rcgen::date_time_ymd(until, 1, 1);
        Self { certificate: parameters.self_signed(&key).unwrap(), key }
    }

    /// `x5t#S256`.
    pub fn thumbprint(&self) -> String {
        sha256(self.certificate.der()).to_string()
    }

    /// In PEM.
    pub fn pem(&self) -> String {
        self.certificate.pem()
    }

    /// In DER.
    pub fn der(&self) -> &[u8] {
        self.certificate.der()
    }

    /// Its public key.
    pub fn jwks(&self) -> Value {
        let point = self.key.der_bytes();
        let (x, y) = (URL_SAFE_NO_PAD.encode(&point[1..33]), URL_SAFE_NO_PAD.encode(&point[33..]));
        json!({ "keys": [{ "kty": "EC", "crv": "P-256", "x": x, "y": y }] })
    }

    /// An HTTP client that shows it, and trusts this server certificate.
    pub fn client(&self, server: &str) -> reqwest::Client {
        let pem = format!("{}{}", self.key.serialize_pem(), self.certificate.pem());
        let identity = reqwest::Identity::from_pem(pem.as_bytes()).unwrap();
        trusting(server).identity(identity).build().unwrap()
    }
}

/// An HTTP client that trusts one server certificate.
pub fn trusting(server: &str) -> reqwest::ClientBuilder {
    let server = reqwest::Certificate::from_pem(server.as_bytes()).unwrap();
    let builder = reqwest::Client::builder().no_proxy().redirect(reqwest::redirect::Policy::none());
    builder.tls_certs_only([server]).timeout(std::time::Duration::from_secs(30))
}

/// A server certificate for localhost, with its files.
pub struct ServerCertificate {
    /// In PEM.
    pub pem: String,
    /// Where `server.crt` and `server.key` are.
    pub directory: TempDir,
}

impl ServerCertificate {
    /// A new one.
    pub fn new() -> Self {
        let pair = rcgen::generate_simple_self_signed(["localhost".to_owned()]).unwrap();
        let directory = testkit::tempdir().unwrap();
        std::fs::write(directory.path().join("server.crt"), pair.cert.pem()).unwrap();
        std::fs::write(directory.path().join("server.key"), pair.signing_key.serialize_pem()).unwrap();
        Self { pem: pair.cert.pem(), directory }
    }
}

/// A bank with a listener for clients that show certificates, and one with TLS for everybody else.
pub struct MutualBank {
    /// The bank; its own listener is a third one, with plain http.
    pub bank: Bank,
    /// Who may vouch for clients.
    pub authority: Authority,
    /// Where clients that show a certificate connect, `https://localhost:…`.
    pub alias: String,
    /// Where nobody is asked for one, `https://localhost:…`.
    pub public: String,
    /// What clients trust.
    pub server: ServerCertificate,
    stop: CancellationToken,
}

impl Drop for MutualBank {
    fn drop(&mut self) {
        self.stop.cancel();
    }
}

impl MutualBank {
    /// Opens it on SQLite.
    pub async fn open() -> Self {
        Self::with(|_| {}).await
    }

    /// Opens it with changed policies.
    pub async fn with(change: impl FnOnce(&mut Policies)) -> Self {
        Self::behind(&[], change).await
    }

    /// Opens it where these are proxies, none of which says what its clients show.
    pub async fn behind(proxies: &[&str], change: impl FnOnce(&mut Policies)) -> Self {
        let (authority, server, stop) =
            (Authority::new(), ServerCertificate::new(), CancellationToken::new());
        let files = server.directory.path();
        let certificates = Certificates::read(&files.join("server.crt"), &files.join("server.key")).unwrap();
        let mutual = listener(Some(certificates.mutual_config().unwrap())).await;
        let public = listener(Some(certificates.server_config().unwrap())).await;
        let at = |listener: &Listener| format!("https://localhost:{}", listener.address().unwrap().port());
        let (alias, public_url) = (at(&mutual), at(&public));
        let bank = Bank::with(Engine::Sqlite, |policies| {
            policies.mutual_tls = MutualTls {
                enabled: true,
                alias: Some(alias.clone()),
                authorities: Authorities::from_pem(authority.pem().as_bytes()).unwrap(),
            };
            change(policies);
        })
        .await;
        let proxies = proxies.iter().map(|network| network.parse().unwrap()).collect();
        let app = App::new(bank.service.clone(), WebConfig::new(&bank.issuer, "Test Bank", proxies));
        tokio::spawn(mutual.serve(mutual_router(&app), stop.clone()));
        tokio::spawn(public.serve(public_router(&app), stop.clone()));
        Self { bank, authority, alias, public: public_url, server, stop }
    }

    /// Somebody with a certificate.
    pub fn shows(&self, identity: &Identity) -> Caller {
        Caller { http: identity.client(&self.server.pem), base: self.alias.clone() }
    }

    /// Somebody without.
    pub fn shows_none(&self) -> Caller {
        Caller { http: trusting(&self.server.pem).build().unwrap(), base: self.alias.clone() }
    }
}

/// A plain or TLS listener of the real kind, on a port that the system chose.
pub async fn listener(tls: Option<std::sync::Arc<rustls::ServerConfig>>) -> Listener {
    let limits = Limits::new(&Settings::new("http://localhost:1".parse().unwrap()));
    Listener::bind(([127, 0, 0, 1], 0).into(), tls, Access::Anyone, limits).await.unwrap()
}

/// Somebody who calls endpoints.
pub struct Caller {
    /// What calls.
    pub http: reqwest::Client,
    /// Where.
    pub base: String,
}

impl Caller {
    /// The same at another host.
    pub fn at(&self, base: &str) -> Self {
        Self { http: self.http.clone(), base: base.to_owned() }
    }

    /// Posts a form.
    pub async fn post(&self, path: &str, fields: &[(&str, &str)]) -> Answer {
        answer(self.http.post(format!("{}{path}", self.base)).form(fields)).await
    }

    /// Asks for a token of the client's own.
    pub async fn own_token(&self, client: &str) -> Answer {
        let grant = ("grant_type", "client_credentials");
        self.post("/token", &[grant, ("client_id", client), ("scope", "accounts:read")]).await
    }

    /// Asks userinfo, with the token in the header.
    pub async fn userinfo(&self, token: &str) -> Answer {
        answer(self.http.get(format!("{}/userinfo", self.base)).bearer_auth(token)).await
    }
}
