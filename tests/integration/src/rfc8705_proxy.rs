//! Mutual TLS behind a proxy (RFC 8705 §6.5): a real nginx ends TLS and forwards the certificate, in its own
//! form and in that of RFC 9440. What anybody else says in such a header is worth nothing (MT-09).

use std::{
    fmt::Write as _,
    path::{Path, PathBuf},
    process::Command,
};

use base64::{Engine as _, engine::general_purpose::STANDARD};
use flows::policies::MutualTls;
use jose::certificate::Authorities;
use serde_json::json;
use testkit::{Answer, Process, claims_of, free_port};
use tokio_util::sync::CancellationToken;
use web::{App, CertificateHeader, WebConfig, public_router};

use crate::{
    bank::{Bank, Engine},
    mutual::{Authority, Caller, Identity, ServerCertificate, listener, trusting},
    steps::{answer, declare_client},
};

/// Where the proxy connects from; the bank believes nobody else.
const PROXY: &str = "127.0.0.2";

/// A bank behind nginx.
struct Proxied {
    bank: Bank,
    authority: Authority,
    server: ServerCertificate,
    /// Where the outside connects.
    outside: String,
    /// Where only the proxy should connect.
    inside: String,
    form: CertificateHeader,
    stop: CancellationToken,
    _nginx: Process,
}

impl Drop for Proxied {
    fn drop(&mut self) {
        self.stop.cancel();
    }
}

/// Debian puts it where users other than root do not look.
fn nginx() -> PathBuf {
    let paths = std::env::var_os("PATH").unwrap_or_default();
    let places = std::env::split_paths(&paths).chain(["/usr/sbin".into(), "/usr/local/sbin".into()]);
    let found = places.map(|place| place.join("nginx")).find(|path| path.exists());
    found.unwrap_or_else(|| {
        panic!("nginx is missing. Install it with:\n\napt-get install --no-install-recommends nginx\n")
    })
}

/// What docs/mutual-tls.md says, for one of the forms.
fn forwarding(form: CertificateHeader) -> &'static str {
    match form {
        CertificateHeader::Rfc9440 => {
            "proxy_set_header Client-Cert $client_cert; proxy_set_header Client-Cert-Chain \"\";"
        }
        _ => "proxy_set_header X-SSL-Client-Cert $ssl_client_escaped_cert;",
    }
}

/// PEM without its frame and its line ends is the base64 that RFC 9440 §2.2 puts between colons.
fn rfc9440_map() -> String {
    let (mut pattern, mut value) = (String::new(), String::new());
    for line in 10..60 {
        let _ = write!(pattern, "(?:(?<b{line}>[A-Za-z0-9+/=]+)\\n)?");
        let _ = write!(value, "$b{line}");
    }
    format!(
        "map $ssl_client_raw_cert $client_cert {{ default \"\"; \
         \"~^-----BEGIN CERTIFICATE-----\\n{pattern}-----END CERTIFICATE-----\" \":{value}:\"; }}"
    )
}

fn configuration(directory: &Path, form: CertificateHeader, outside: u16, inside: u16) -> PathBuf {
    let place = directory.display();
    let (map, forwarding) = (rfc9440_map(), forwarding(form));
    let text = format!(
        "daemon off; master_process off; pid {place}/nginx.pid; error_log stderr warn;
        events {{ }}
        http {{
            access_log off;
            client_body_temp_path {place}/body; proxy_temp_path {place}/proxy;
            fastcgi_temp_path {place}/fastcgi; uwsgi_temp_path {place}/uwsgi; scgi_temp_path {place}/scgi;
            {map}
            server {{
                listen 127.0.0.1:{outside} ssl;
                ssl_certificate {place}/server.crt; ssl_certificate_key {place}/server.key;
                ssl_verify_client optional_no_ca;
                location / {{
                    proxy_pass http://127.0.0.1:{inside};
                    proxy_bind {PROXY};
                    proxy_set_header Host $http_host;
                    proxy_set_header X-Forwarded-For $remote_addr;
                    {forwarding}
                }}
            }}
        }}"
    );
    let path = directory.join("nginx.conf");
    std::fs::write(&path, text).unwrap();
    path
}

impl Proxied {
    async fn open(form: CertificateHeader) -> Self {
        let (authority, server, stop) =
            (Authority::new(), ServerCertificate::new(), CancellationToken::new());
        let port = free_port();
        let bank = Bank::with(Engine::Sqlite, |policies| {
            policies.mutual_tls = MutualTls {
                enabled: true,
                alias: Some(format!("https://localhost:{port}")),
                authorities: Authorities::from_pem(authority.pem().as_bytes()).unwrap(),
            };
        })
        .await;
        let trusted = vec![format!("{PROXY}/32").parse().unwrap()];
        let config = WebConfig {
            certificate_header: Some(form),
            ..WebConfig::new(&bank.issuer, "Test Bank", trusted)
        };
        let listener = listener(None).await;
        let inside = listener.address().unwrap().port();
        let app = App::new(bank.service.clone(), config);
        tokio::spawn(listener.serve(public_router(&app), stop.clone()));
        let configuration = configuration(server.directory.path(), form, port, inside);
        let mut command = Command::new(nginx());
        command.arg("-p").arg(server.directory.path()).arg("-c").arg(configuration);
        let outside = format!("https://localhost:{port}");
        let nginx = Process::start("nginx", &mut command);
        let nginx = nginx.ready(&format!("{outside}/.well-known/openid-configuration")).await;
        let inside = format!("http://127.0.0.1:{inside}");
        Self { bank, authority, server, outside, inside, form, stop, _nginx: nginx }
    }

    fn shows(&self, identity: &Identity) -> Caller {
        Caller { http: identity.client(&self.server.pem), base: self.outside.clone() }
    }

    fn shows_none(&self) -> Caller {
        Caller { http: trusting(&self.server.pem).build().unwrap(), base: self.outside.clone() }
    }

    /// What a thief would write to be taken for the owner of a certificate.
    fn spoofed(&self, identity: &Identity) -> (&'static str, String) {
        match self.form {
            CertificateHeader::Rfc9440 => ("client-cert", format!(":{}:", STANDARD.encode(identity.der()))),
            _ => ("x-ssl-client-cert", url_encoded(&identity.pem())),
        }
    }
}

fn url_encoded(text: &str) -> String {
    text.bytes().fold(String::new(), |mut all, byte| {
        let _ = write!(all, "%{byte:02X}");
        all
    })
}

/// Asks for a token with these fields in the header.
async fn token_with(caller: &Caller, fields: &[(&str, &str)]) -> Answer {
    let form = [("grant_type", "client_credentials"), ("client_id", "tls-app"), ("scope", "accounts:read")];
    let request = caller.http.post(format!("{}/token", caller.base)).form(&form);
    answer(fields.iter().fold(request, |request, (name, value)| request.header(*name, *value))).await
}

async fn through_nginx(form: CertificateHeader) {
    let house = Proxied::open(form).await;
    let (own, other) = (house.authority.issue("ledgerline"), house.authority.issue("other"));
    let metadata = json!({
        "client_name": "Tls App",
        "grant_types": ["client_credentials"],
        "scope": "accounts:read",
        "token_endpoint_auth_method": "tls_client_auth",
        "tls_client_auth_san_dns": "ledgerline.example",
        "tls_client_certificate_bound_access_tokens": true,
    });
    declare_client(&house.bank, "tls-app", metadata).await.unwrap();
    let tokens = house.shows(&own).own_token("tls-app").await.expect(200);
    assert_eq!(claims_of(tokens.str("access_token"))["cnf"]["x5t#S256"], own.thumbprint(), "{form:?}");
    for stranger in [&other, &Identity::self_signed()] {
        house.shows(stranger).own_token("tls-app").await.expect_error(401, "invalid_client");
    }
    house.shows_none().own_token("tls-app").await.expect_error(401, "invalid_client");

    // Through the proxy the thief's header is overwritten, with his own certificate or with nothing; what he
    // adds to the chain never arrives.
    let (name, value) = house.spoofed(&own);
    for thief in [house.shows(&other), house.shows_none()] {
        token_with(&thief, &[(name, &value)]).await.expect_error(401, "invalid_client");
        token_with(&thief, &[(name, &value), (name, &value)]).await.expect_error(401, "invalid_client");
    }
    token_with(&house.shows(&own), &[("client-cert-chain", "garbage")]).await.expect(200);
    // Past the proxy, from an address that is not its, the header is not even read.
    let http = reqwest::Client::builder().no_proxy().build().unwrap();
    let past = Caller { http, base: house.inside.clone() };
    token_with(&past, &[(name, &value)]).await.expect_error(401, "invalid_client");
    // The same from the proxy's address is what the proxy itself would say; in another form it is nothing.
    let local = Some(PROXY.parse().unwrap());
    let http = reqwest::Client::builder().no_proxy().local_address(local).build().unwrap();
    let proxy = Caller { http, base: house.inside.clone() };
    token_with(&proxy, &[(name, &value)]).await.expect(200);
    token_with(&proxy, &[(name, "garbage")]).await.expect_error(401, "invalid_client");
    token_with(&proxy, &[(name, &value), (name, &value)]).await.expect_error(401, "invalid_client");
    let envoy = format!("Cert=\"{}\"", url_encoded(&own.pem()));
    token_with(&proxy, &[("x-forwarded-client-cert", &envoy)]).await.expect_error(401, "invalid_client");
}

#[tokio::test]
async fn mt_09_nginx_forwards_the_certificate_in_its_own_form_and_overwrites_spoofed_ones() {
    through_nginx(CertificateHeader::Nginx).await;
}

#[tokio::test]
async fn mt_09_nginx_forwards_the_certificate_in_the_form_of_rfc_9440() {
    through_nginx(CertificateHeader::Rfc9440).await;
}

#[tokio::test]
async fn mt_05_mt_09_a_token_bound_by_a_forwarded_certificate_opens_userinfo_through_the_proxy_alone() {
    let house = Proxied::open(CertificateHeader::Nginx).await;
    let own = Identity::self_signed();
    let metadata = json!({
        "client_name": "Tls App",
        "redirect_uris": ["https://tls.example/cb"],
        "scope": "openid accounts:read",
        "token_endpoint_auth_method": "self_signed_tls_client_auth",
        "jwks": own.jwks(),
        "tls_client_certificate_bound_access_tokens": true,
    });
    declare_client(&house.bank, "tls-app", metadata).await.unwrap();
    let app = testkit::RelyingParty::new(
        &house.bank.issuer,
        "tls-app",
        testkit::ClientAuth::None,
        "https://tls.example/cb",
    );
    let (attempt, code) = crate::steps::code_for(&house.bank, &app, "openid accounts:read").await;
    let fields = [
        ("grant_type", "authorization_code"),
        ("client_id", "tls-app"),
        ("code", &code),
        ("redirect_uri", "https://tls.example/cb"),
        ("code_verifier", &attempt.verifier),
    ];
    let caller = house.shows(&own);
    let tokens = caller.post("/token", &fields).await.expect(200);
    let access = tokens.str("access_token");
    caller.userinfo(access).await.expect(200);
    let (name, value) = house.spoofed(&own);
    let plain = reqwest::Client::builder().no_proxy().build().unwrap();
    for (http, base) in [
        (house.shows_none().http, &house.outside),
        (house.shows(&Identity::self_signed()).http, &house.outside),
        (plain, &house.inside),
    ] {
        let request = http.get(format!("{base}/userinfo")).bearer_auth(access).header(name, &value);
        answer(request).await.expect_error(401, "invalid_token");
    }
}
