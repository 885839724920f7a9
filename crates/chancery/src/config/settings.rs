//! Every setting there is. The documentation comments are the text of `docs/configuration.md`.

use std::{net::SocketAddr, path::PathBuf};

use ipnet::IpNet;
use jose::{Algorithm, jwe::EncryptionKeyType};
use mfa::SecondFactorPolicy;
use secrecy::SecretString;

use crate::config::{
    outbound::Place,
    registration::{IssuerTable, PolicyTable},
    section::{Section, section},
    value::{Issuer, Schedule, Share, Span, choice},
};

choice! {
    /// How log lines look.
    LogFormat {
        /// For people.
        Human = "human",
        /// One JSON object a line.
        Json = "json",
    }
}

choice! {
    /// How a proxy says which certificate a client showed.
    CertificateHeader {
        /// RFC 9440.
        Rfc9440 = "rfc9440",
        /// nginx's `$ssl_client_escaped_cert`.
        Nginx = "nginx",
        /// Envoy.
        Envoy = "envoy",
    }
}

section! {
    /// Where everything is kept. One URL chooses the engine.
    Database "database" {
        /// `postgres://user@host/name`, or `sqlite:///var/lib/chancery/chancery.db` for a single
        /// node. Required, here or as `url_file`.
        url: Option<SecretString> = None;
        /// A file that holds the URL, because it may contain a password.
        url_file: Option<PathBuf> = None;
        /// How many connections to PostgreSQL one process opens at most.
        max_connections: u32 = 10;
        /// Whether `serve` brings a schema that is behind up to date. Otherwise it refuses to start
        /// and names the command to run.
        migrate_on_start: bool = false;
    }
}

section! {
    /// The two listeners, and what one connection may cost.
    Listen "listen" {
        /// Where browsers and clients connect. Without `tls` this must be a loopback address,
        /// or `proxy.trusted` must name who may connect.
        public: SocketAddr = SocketAddr::from(([127, 0, 0, 1], 8400));
        /// Where health (`/health/live`, `/health/ready`) and metrics (`/metrics`) are served, in
        /// plain http. Never expose it to the internet.
        admin: SocketAddr = SocketAddr::from(([127, 0, 0, 1], 8401));
        /// How long a connection may take to send the header of a request, and stay idle between
        /// two requests.
        header_timeout: Span = Span::seconds(10);
        /// How long a TLS handshake may take.
        handshake_timeout: Span = Span::seconds(10);
        /// How long requests in progress may take to finish when the server stops.
        drain: Span = Span::seconds(30);
        /// How many connections are open at most; further ones wait.
        max_connections: u32 = 4096;
        /// How many of them one address may have on the public listener (one IPv4 address or IPv6
        /// /64, but not a trusted proxy and not `limits.exempt`); further ones are closed at once. 0
        /// is no limit.
        max_connections_per_address: u32 = 512;
        /// The networks that may connect to the public listener; empty for all. Connections from
        /// elsewhere are closed at once, this machine's own included. It is about whoever connects:
        /// behind a proxy, that is the proxy.
        public_allow: Vec<IpNet> = Vec::new();
        /// The same for the admin listener. Name `127.0.0.1` and `::1` if `chancery health` or a
        /// probe on this machine is to work.
        admin_allow: Vec<IpNet> = Vec::new();
    }
}

section! {
    /// How many requests one caller may send in a minute. A minute's share may be used at once and
    /// grows back evenly; beyond it the answer is 429 with `Retry-After`, and every answer says how
    /// the caller stands (`RateLimit`, `RateLimit-Policy`). 0 is no limit. An address is one IPv4
    /// address or one IPv6 /64; behind a proxy it is what a trusted proxy says in `X-Forwarded-For`,
    /// so a proxy that does not say it makes all callers one. Each node counts for itself.
    Limits "limits" {
        /// Passwords, one-time passwords and recovery codes of one address, of whichever account.
        /// Raise it where thousands of customers share one address.
        guesses: u32 = 60;
        /// Other pages and forms of one address. To sign in and consent takes about ten.
        pages: u32 = 600;
        /// Requests of one address to the token, introspection, revocation and userinfo endpoints.
        endpoints: u32 = 6000;
        /// Requests of one address to the registration endpoint, if there is one.
        registrations: u32 = 60;
        /// Requests of one authenticated client to the token and revocation endpoints. Clients
        /// without credentials have no share of their own, because anybody could use it up.
        clients: u32 = 6000;
        /// Networks that no limit by address holds for, such as the bank's own API gateways.
        exempt: Vec<IpNet> = Vec::new();
    }
}

section! {
    /// Built-in TLS 1.3 and 1.2 on the public listener. The files are read again on SIGHUP.
    Tls "tls" {
        /// PEM file with the certificate, followed by the intermediate ones.
        certificate: Option<PathBuf> = None;
        /// PEM file with the private key of the certificate.
        key: Option<PathBuf> = None;
    }
}

section! {
    /// Reverse proxies in front of the server.
    Proxy "proxy" {
        /// The addresses or networks of proxies that end TLS. `X-Forwarded-For`
        /// is believed from these and from nobody else; a plain http listener
        /// beyond loopback takes connections from these and from nobody else.
        trusted: Vec<IpNet> = Vec::new();
        /// How they say which certificate a client showed: `rfc9440` (`Client-Cert`), `nginx`
        /// (`X-SSL-Client-Cert`, set to `$ssl_client_escaped_cert`) or `envoy`
        /// (`X-Forwarded-Client-Cert` in the mode `SANITIZE_SET`). The proxy must set or drop this
        /// header on every request. Without it no header is believed.
        certificate_header: Option<CertificateHeader> = None;
    }
}

section! {
    /// Clients that show a certificate (RFC 8705): to authenticate, or to have their tokens bound to
    /// it. See `docs/mutual-tls.md`.
    Mtls "mtls" {
        /// Where they connect, with TLS that asks for a certificate; an address of its own, so that
        /// browsers are never asked. Needs `tls`. Leave it out if a proxy does this; see
        /// `proxy.certificate_header`. A certificate that one of `proxy.trusted` shows is its own and
        /// counts as nobody's, so no client may connect from those addresses.
        listen: Option<SocketAddr> = None;
        /// The https URL at which clients reach that listener, or the proxy that asks for
        /// certificates; it is published as `mtls_endpoint_aliases`. Leave it out if the proxy asks for
        /// certificates at the issuer's own host.
        url: Option<String> = None;
        /// PEM file with the certificate authorities that may vouch for clients of the method
        /// `tls_client_auth`, roots or issuing ones; each vouches for what it issued. Without it
        /// there is only `self_signed_tls_client_auth`. Read at the start.
        authorities_file: Option<PathBuf> = None;
    }
}

section! {
    /// What must never be lost or seen. Prefer the files; they may end with a line feed.
    Secrets "secrets" {
        /// Seals private keys and TOTP seeds in the database: 32 random bytes in base64, as
        /// `openssl rand -base64 32` prints them. Required unless issuer and listener are on
        /// loopback. Whoever loses it loses the signing keys and every second factor.
        key_encryption_key: Option<SecretString> = None;
        /// A file that holds the key-encryption key.
        key_encryption_key_file: Option<PathBuf> = None;
        /// Mixed into every password hash, so that a stolen database alone is worth nothing to a
        /// guesser: 32 random bytes in base64. Required like the key-encryption key. It may never
        /// change, because no password would match any more.
        password_pepper: Option<SecretString> = None;
        /// A file that holds the pepper.
        password_pepper_file: Option<PathBuf> = None;
    }
}

section! {
    /// Keys of the server's own, and their rotation.
    Keys "keys" {
        /// The algorithms for which there is a key. RS256 is what OpenID Connect clients expect
        /// where they register nothing else; ES256 is far cheaper.
        algorithms: Vec<Algorithm> = vec![Algorithm::Rs256, Algorithm::Es256];
        /// The kinds of keys that clients may encrypt request objects to, each by the algorithm that it
        /// is for: `RSA-OAEP-256`, and `ECDH-ES` with its two key-wrapping forms. They are published and
        /// rotate like those that sign; an empty list means that nothing can be encrypted to this server.
        encryption: Vec<EncryptionKeyType> = EncryptionKeyType::ALL.to_vec();
        /// How long clients and proxies may cache the published keys.
        jwks_cache: Span = Span::hours(1);
        /// How long a new key is published before it signs. At least two seconds more than
        /// `jwks_cache`, or clients meet a key that they do not know.
        announce: Span = Span::days(1);
        /// How long a key signs.
        active: Span = Span::days(90);
        /// How long the keys of single algorithms sign, where it is not `active`: such as
        /// `RS256=365d`.
        active_by_algorithm: Vec<Schedule> = Vec::new();
        /// How long a key stays published after it has ceased to sign. At least two seconds more
        /// than the longest token lives; where a resource server declares tokens that live longer,
        /// the key stays as long as they do.
        retain: Span = Span::days(7);
    }
}

section! {
    /// How long codes and tokens live.
    Tokens "tokens" {
        /// Authorization codes; at most a minute.
        code: Span = Span::seconds(60);
        /// Access tokens, where the resource server says nothing else.
        access_token: Span = Span::minutes(5);
        /// The algorithm of access tokens that are JWTs; one of `keys.algorithms`.
        access_token_algorithm: Algorithm = Algorithm::Es256;
        /// ID tokens.
        id_token: Span = Span::minutes(5);
        /// Refresh tokens that are not used.
        refresh_idle: Span = Span::days(30);
        /// Refresh tokens from the day the customer consented, used or not. A consent that ends
        /// earlier ends them too.
        refresh_absolute: Span = Span::days(180);
    }
}

choice! {
    /// Whether proofs need a nonce.
    NonceMode {
        /// Their own clock suffices.
        Off = "off",
        /// They need one.
        Required = "required",
    }
}

section! {
    /// Access tokens that are bound to a key of the client (DPoP, RFC 9449). Any client may use them;
    /// these are about the proofs.
    Dpop "dpop" {
        /// Whether proofs for the token and PAR endpoints need a nonce of this server: `off` or
        /// `required`. With it no proof can be made in advance, at the price of one refusal when a
        /// client comes for the first time.
        nonce: NonceMode = NonceMode::Off;
        /// The same for userinfo.
        resource_nonce: NonceMode = NonceMode::Off;
    }
}

section! {
    /// Authorization requests that clients push before they send the browser (PAR, RFC 9126). Any
    /// client may.
    Pushed "pushed_requests" {
        /// Whether every client must. Clients of the profile `fapi2` always must.
        required: bool = false;
        /// How long a browser may take to bring the reference; less than ten minutes.
        lifetime: Span = Span::seconds(60);
    }
}

section! {
    /// How long a customer stays signed in.
    Sessions "sessions" {
        /// Without any activity.
        idle: Span = Span::minutes(15);
        /// At most, activity or not.
        absolute: Span = Span::hours(12);
    }
}

section! {
    /// How long a customer may take from the app's request to the answer.
    Interactions "interactions" {
        /// Sign-in, second factor and consent together.
        lifetime: Span = Span::minutes(30);
    }
}

section! {
    /// Second factors.
    SecondFactor "second_factor" {
        /// `required`: nobody signs in without one, and whoever has none enrols at the first
        /// sign-in. `if-enrolled`: asked of those who have one, and of everybody where client,
        /// scope, user record or a requested `acr` demands it.
        policy: SecondFactorPolicy = SecondFactorPolicy::Required;
    }
}

section! {
    /// Password hashing with Argon2id. One hash takes `memory_kib` of memory and tens of
    /// milliseconds of a processor, by intent.
    Passwords "passwords" {
        /// How many hashes are computed at the same time; further sign-ins wait. Memory for hashing
        /// is at most this times `memory_kib`. Without it: one less than the machine has processors, so
        /// that a rush of sign-ins leaves one to every other endpoint, but at least 1 and at most 8.
        concurrent_hashes: Option<u32> = None;
        /// Memory of one hash, in KiB.
        memory_kib: u32 = 19 * 1024;
        /// Passes over the memory.
        iterations: u32 = 2;
    }
}

section! {
    /// What customers see.
    Pages "pages" {
        /// The bank's name, on every page.
        bank_name: String = "Chancery".to_owned();
        /// The language of pages for a browser that asks for none that there is: `en` or
        /// `zh-Hant`.
        language: String = "en".to_owned();
    }
}

section! {
    /// What customers allow apps to do.
    Consent "consent" {
        /// How long a consent lives where neither client nor scope says less. European rules for
        /// account information say 180 days.
        lifetime: Span = Span::days(180);
    }
}

section! {
    /// Log lines, on standard error. They never contain secrets.
    Log "log" {
        /// How lines look.
        format: LogFormat = LogFormat::Human;
        /// Which lines are written: `error`, `warn`, `info`, `debug`, `trace`, also by module, such
        /// as `info,store=debug`.
        filter: String = "info".to_owned();
    }
}

section! {
    /// Traces, by OTLP over HTTP (protobuf). Off unless `endpoint` is set. A span is the name of a
    /// route, a statement or a step, with its time and outcome; queries, bodies, header values,
    /// addresses and names of people are in none.
    Traces "traces" {
        /// Where the collector takes spans, as a whole URL: `http://127.0.0.1:4318/v1/traces`. With
        /// https its certificate must be one that this machine trusts.
        endpoint: Option<String> = None;
        /// The share of requests that is traced, from 0 to 1.
        sample: Share = Share::ALL;
        /// Whether a request that comes from one of `proxy.trusted` continues the trace that its
        /// `traceparent` names (W3C Trace Context), sampled or not as that says. Only for proxies
        /// that set the header themselves: one that hands a stranger's header on lets the stranger
        /// choose what is traced. Otherwise the header is ignored.
        follow_proxies: bool = false;
        /// How long one delivery may take, repetitions included, and how long a stop waits for the
        /// last one.
        timeout: Span = Span::seconds(5);
        /// Headers for the collector, such as its API key: one `Name: value` a line.
        headers: Option<SecretString> = None;
        /// A file that holds these headers.
        headers_file: Option<PathBuf> = None;
    }
}

section! {
    /// Requests that the server sends: for clients' keys, request objects and sector documents, and
    /// for logout. They go by https to hosts on the public internet and to nobody else, whatever a
    /// client registers.
    Outbound "outbound" {
        /// Hosts that may be reached although their addresses are private, as `host:port`, exactly as
        /// in the URL: for intranets and tests. Whoever may register a client can make the server
        /// send requests there.
        allow: Vec<Place> = Vec::new();
        /// PEM file with root certificates that the hosts of `allow` may have beside the ones that
        /// the system trusts.
        root_certificate: Option<PathBuf> = None;
        /// How long one request may take, to the last byte of the answer.
        timeout: Span = Span::seconds(5);
        /// The largest answer that is read, in KiB.
        max_answer_kib: u32 = 256;
        /// How many requests to one host are under way at the same time; further ones wait.
        per_host: u32 = 4;
        /// How long a URL that failed is left alone.
        retry_after: Span = Span::seconds(10);
    }
}

section! {
    /// Clients that register themselves (RFC 7591) and manage their registration (RFC 7592). Closed
    /// unless it is switched on, and then open to whoever brings an initial access token
    /// (`chancery registration tokens create`) or a software statement of a listed issuer. See
    /// `docs/registration.md`.
    Registration "registration" {
        /// Whether there is a registration endpoint.
        enabled: bool = false;
        /// What clients may and may never ask for: `[[registration.policies]]` with `name`, `scopes`
        /// (absent: everything that is declared, for public clients without what is financial), `grant_types`, `response_types`, `auth_methods`,
        /// `redirect_hosts` (such as `app.example`, `*.apps.example`, `*`), `native`, `link_hosts`,
        /// `pkce_exempt`, `secret_lifetime`, `consent_lifetime`. None lets a client be first-party.
        policies: Vec<PolicyTable> = Vec::new();
        /// The policy of those who bring nothing. For tests only: with it, everybody on the internet
        /// can make clients.
        anonymous_policy: Option<String> = None;
        /// Whose software statements are believed: `[[registration.statement_issuers]]` with `issuer`,
        /// `jwks_file` or `jwks_uri`, and `policy` if a statement is enough to register.
        statement_issuers: Vec<IssuerTable> = Vec::new();
    }
}

section! {
    /// Clients that are a document on the web: their `client_id` is the https URL of their metadata
    /// (Client ID Metadata Documents, as clients of the Model Context Protocol have). They are public
    /// or have keys, never a secret.
    ClientDocuments "client_documents" {
        /// Whether there are such clients.
        enabled: bool = false;
        /// The hosts whose documents are read, such as `app.example`, `*.apps.example`, or `*` for
        /// every host on the public internet.
        hosts: Vec<String> = vec!["*".to_owned()];
        /// What they may ask for.
        scopes: Vec<String> = vec!["openid".to_owned(), "profile".to_owned(), "offline_access".to_owned()];
        /// How long a consent to them lasts; not set for the usual time.
        consent_lifetime: Option<Span> = None;
    }
}

/// The whole configuration, checked.
#[derive(Clone, Debug)]
pub struct Settings {
    /// Who we are: the issuer identifier (RFC 8414 §2), which is also the base of every endpoint's
    /// URL.
    pub issuer: Issuer,
    /// `[database]`
    pub database: Database,
    /// `[listen]`
    pub listen: Listen,
    /// `[limits]`
    pub limits: Limits,
    /// `[tls]`
    pub tls: Tls,
    /// `[proxy]`
    pub proxy: Proxy,
    /// `[mtls]`
    pub mtls: Mtls,
    /// `[secrets]`
    pub secrets: Secrets,
    /// `[keys]`
    pub keys: Keys,
    /// `[tokens]`
    pub tokens: Tokens,
    /// `[dpop]`
    pub dpop: Dpop,
    /// `[pushed_requests]`
    pub pushed: Pushed,
    /// `[sessions]`
    pub sessions: Sessions,
    /// `[interactions]`
    pub interactions: Interactions,
    /// `[second_factor]`
    pub second_factor: SecondFactor,
    /// `[passwords]`
    pub passwords: Passwords,
    /// `[pages]`
    pub pages: Pages,
    /// `[consent]`
    pub consent: Consent,
    /// `[registration]`
    pub registration: Registration,
    /// `[client_documents]`
    pub client_documents: ClientDocuments,
    /// `[log]`
    pub log: Log,
    /// `[traces]`
    pub traces: Traces,
    /// `[outbound]`
    pub outbound: Outbound,
    /// `[[upstream]]`
    pub upstreams: Vec<federation::UpstreamConfig>,
}

/// What the reference says of the one setting outside every section.
pub const ISSUER_ABOUT: &str = "The issuer identifier: the public URL of this server, without path and trailing slash, \
    exactly as clients know it. It is in every token and every answer; to change it is to become another issuer. \
    Must be https, except on loopback.";

impl Settings {
    /// Every setting at its default.
    pub fn new(issuer: Issuer) -> Self {
        Self {
            issuer,
            database: Database::default(),
            listen: Listen::default(),
            limits: Limits::default(),
            tls: Tls::default(),
            proxy: Proxy::default(),
            mtls: Mtls::default(),
            secrets: Secrets::default(),
            keys: Keys::default(),
            tokens: Tokens::default(),
            dpop: Dpop::default(),
            pushed: Pushed::default(),
            sessions: Sessions::default(),
            interactions: Interactions::default(),
            second_factor: SecondFactor::default(),
            passwords: Passwords::default(),
            pages: Pages::default(),
            consent: Consent::default(),
            registration: Registration::default(),
            client_documents: ClientDocuments::default(),
            log: Log::default(),
            traces: Traces::default(),
            outbound: Outbound::default(),
            upstreams: Vec::new(),
        }
    }

    /// The sections in the order of the reference.
    pub fn sections(&mut self) -> [&mut dyn Section; 22] {
        [
            &mut self.database,
            &mut self.listen,
            &mut self.limits,
            &mut self.tls,
            &mut self.proxy,
            &mut self.mtls,
            &mut self.secrets,
            &mut self.keys,
            &mut self.tokens,
            &mut self.dpop,
            &mut self.pushed,
            &mut self.sessions,
            &mut self.interactions,
            &mut self.second_factor,
            &mut self.passwords,
            &mut self.pages,
            &mut self.consent,
            &mut self.registration,
            &mut self.client_documents,
            &mut self.log,
            &mut self.traces,
            &mut self.outbound,
        ]
    }

    /// Whether this can only be a developer's server: plain http, issuer and listener on loopback.
    /// There a key-encryption key is not demanded, and cookies lack the `__Host-` prefix.
    pub fn is_development(&self) -> bool {
        !self.issuer.is_https() && self.issuer.is_loopback() && self.listen.public.ip().is_loopback()
    }

    /// Whether the server itself speaks TLS.
    pub fn has_tls(&self) -> bool {
        self.tls.certificate.is_some()
    }
}
