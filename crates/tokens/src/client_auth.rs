//! Client authentication (RFC 6749 §2.3, OpenID Connect Core §9), once for every endpoint that
//! needs it.
//!
//! [`Presented::parse`] finds which method a request uses; [`authenticate`] holds it against the
//! one method that the client registered. A certificate is no part of the request but of its connection,
//! so it counts only for clients that registered such a method, and the request names the client (MT-04). Its answer,
//! [`AuthenticatedClient`], is what the token, revocation and introspection decisions demand, so none of
//! them can forget it.

use std::sync::Arc;

use chrono::{DateTime, Utc};
use jose::{
    AssertionFault, AssertionPolicy, ClientAssertion as VerifiedAssertion, JoseFault, KeySet, Mark, Replayed,
    Unreplayed,
    certificate::{Authorities, CertificateFault, ClientCertificate},
    digest::sha256,
    peek_client_id, verify_client_assertion,
};
use protocol::{
    client::AuthMethod,
    params::{Params, basic_credentials},
    secret::{ClientAssertion, ClientSecret},
};

use crate::client::{Client, ClientAuthentication};

const ASSERTION_TYPE: &str = "urn:ietf:params:oauth:client-assertion-type:jwt-bearer";

/// What a request presents as its client's credentials, and the client that it claims.
#[derive(Clone, Debug)]
pub struct Presented {
    client_id: String,
    proof: Proof,
}

#[derive(Clone, Debug)]
enum Proof {
    None,
    Basic(ClientSecret),
    Post(ClientSecret),
    Assertion(ClientAssertion),
}

/// What is wrong with credentials before any client is looked up.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum PresentedFault {
    /// No client at all.
    #[error("no client credentials")]
    Missing,
    /// The Authorization header is no form-encoded Basic credential.
    #[error("malformed Basic credentials")]
    MalformedBasic,
    /// Two methods in one request (OC-23, RFC 6749 §2.3).
    #[error("more than one client authentication method")]
    Several,
    /// `client_id` in the body names another client than the credentials.
    #[error("client_id does not match the client credentials")]
    Contradiction,
    /// An assertion without its type, or of another type.
    #[error("client_assertion_type is missing or not supported")]
    AssertionType,
    /// An assertion from which no subject can be read.
    #[error("malformed client assertion")]
    MalformedAssertion,
}

impl Presented {
    /// Finds the credentials in the Authorization header and the body. A body `client_id` beside
    /// another method is no second method, but it must match (OC-23).
    ///
    /// # Errors
    /// [`PresentedFault`].
    pub fn parse(authorization: Option<&str>, body: &Params) -> Result<Self, PresentedFault> {
        use PresentedFault as Fault;
        let basic = authorization.map(|header| basic(header).ok_or(Fault::MalformedBasic)).transpose()?;
        let secret = body.get("client_secret").map(ClientSecret::new);
        let assertion = body.get("client_assertion").map(ClientAssertion::new);
        let body_id = body.get("client_id");
        if [basic.is_some(), secret.is_some(), assertion.is_some()].into_iter().filter(|used| *used).count()
            > 1
        {
            return Err(Fault::Several);
        }
        if let Some((client_id, secret)) = basic {
            if body_id.is_some_and(|id| id != client_id) {
                return Err(Fault::Contradiction);
            }
            return Ok(Self { client_id, proof: Proof::Basic(secret) });
        }
        if let Some(assertion) = assertion {
            if body.get("client_assertion_type") != Some(ASSERTION_TYPE) {
                return Err(Fault::AssertionType);
            }
            let client_id = peek_client_id(assertion.expose()).ok_or(Fault::MalformedAssertion)?;
            if body_id.is_some_and(|id| id != client_id) {
                return Err(Fault::Contradiction);
            }
            return Ok(Self { client_id, proof: Proof::Assertion(assertion) });
        }
        let client_id = body_id.ok_or(Fault::Missing)?.to_owned();
        Ok(Self { client_id, proof: secret.map_or(Proof::None, Proof::Post) })
    }

    /// The client that is claimed; not yet proven.
    pub fn client_id(&self) -> &str {
        &self.client_id
    }

    /// Whether the request used the Authorization header, which decides how a failure looks
    /// (ER-02).
    pub const fn used_basic(&self) -> bool {
        matches!(self.proof, Proof::Basic(_))
    }

    /// Identifier and secret as a resource server presents them at introspection (IN-01); `None`
    /// for every other method.
    pub fn secret(&self) -> Option<(&str, &ClientSecret)> {
        match &self.proof {
            Proof::Basic(secret) | Proof::Post(secret) => Some((&self.client_id, secret)),
            Proof::None | Proof::Assertion(_) => None,
        }
    }

    /// Whether it takes the keys of this client to judge it.
    pub const fn needs_keys(&self, client: &Client) -> bool {
        let by_key = matches!(client.authentication, ClientAuthentication::TlsKey);
        matches!(self.proof, Proof::Assertion(_)) || (by_key && matches!(self.proof, Proof::None))
    }

    const fn method(&self) -> AuthMethod {
        match self.proof {
            Proof::None => AuthMethod::None,
            Proof::Basic(_) => AuthMethod::ClientSecretBasic,
            Proof::Post(_) => AuthMethod::ClientSecretPost,
            Proof::Assertion(_) => AuthMethod::PrivateKeyJwt,
        }
    }
}

/// The user name and password of a Basic header; the scheme name is case-insensitive (RFC 9110
/// §11.1).
fn basic(header: &str) -> Option<(String, ClientSecret)> {
    let (scheme, credentials) = header.split_once(' ')?;
    scheme.eq_ignore_ascii_case("basic").then(|| basic_credentials(credentials))?
}

/// Why a client is not authenticated. All of them are `invalid_client` outside.
#[derive(Debug, thiserror::Error)]
pub enum ClientAuthFault {
    /// No such client, or a disabled one.
    #[error("unknown_client")]
    UnknownClient,
    /// Another method than the registered one.
    #[error("wrong_authentication_method")]
    WrongMethod {
        /// The registered one.
        registered: AuthMethod,
        /// The one used.
        used: AuthMethod,
    },
    /// The secret is wrong or has ended.
    #[error("wrong_client_secret")]
    WrongSecret,
    /// The keys of the client could not be had.
    #[error("client_keys_unavailable")]
    KeysUnavailable,
    /// The assertion proves nothing.
    #[error("bad_client_assertion")]
    Assertion(#[from] AssertionFault),
    /// The assertion was used before (OC-24).
    #[error("replayed_client_assertion")]
    Replayed(#[from] Replayed),
    /// No certificate, where the client authenticates by one (RFC 8705 §2).
    #[error("client_certificate_missing")]
    CertificateMissing,
    /// The certificate proves nothing.
    #[error("bad_client_certificate: {0}")]
    Certificate(#[from] CertificateFault),
}

/// Proof that a client is who it says; for a public client, that it is registered as one.
#[derive(Clone, Debug)]
pub struct AuthenticatedClient(Arc<Client>);

impl AuthenticatedClient {
    /// The client.
    pub fn client(&self) -> &Client {
        &self.0
    }

    /// The client, shared with the cache.
    pub fn shared(&self) -> Arc<Client> {
        Arc::clone(&self.0)
    }
}

impl ClientAuthFault {
    /// Whether the assertion may be signed with a key that we have not fetched yet, or the certificate be
    /// for one.
    pub const fn is_key_unknown(&self) -> bool {
        matches!(
            self,
            Self::Assertion(AssertionFault::Jose(JoseFault::NoKey { .. } | JoseFault::Signature))
                | Self::Certificate(CertificateFault::Unregistered)
        )
    }
}

/// What authentication comes to before the store has spoken.
#[derive(Debug)]
pub enum Authenticated {
    /// Done.
    Done(AuthenticatedClient),
    /// A signed assertion that holds, if it is seen for the first time.
    Assertion(UnreplayedClient),
}

/// A client whose assertion holds if it is seen for the first time.
#[derive(Debug)]
pub struct UnreplayedClient {
    client: Arc<Client>,
    proof: Unreplayed<VerifiedAssertion>,
}

impl Authenticated {
    /// Whose credentials hold, as far as they go. It is authenticated only when [`confirm`](Self::confirm)
    /// says so.
    pub fn claimed(&self) -> &Arc<Client> {
        match self {
            Self::Done(client) => &client.0,
            Self::Assertion(proof) => &proof.client,
        }
    }

    /// What to insert into the replay table, if anything was shown that counts once (OC-24).
    pub fn mark(&self) -> Option<Mark> {
        match self {
            Self::Done(_) => None,
            Self::Assertion(proof) => Some(proof.proof.mark()),
        }
    }

    /// Gives out the client if exactly one row was inserted, where there is a [`mark`](Self::mark).
    ///
    /// # Errors
    /// [`ClientAuthFault::Replayed`] otherwise.
    pub fn confirm(self, rows: u64) -> Result<AuthenticatedClient, ClientAuthFault> {
        match self {
            Self::Done(client) => Ok(client),
            Self::Assertion(UnreplayedClient { client, proof }) => {
                proof.confirm(rows)?;
                Ok(AuthenticatedClient(client))
            }
        }
    }
}

/// Where credentials are shown: what an assertion may be for, and the certificate of the connection.
#[derive(Clone, Debug)]
pub struct Called<'a> {
    /// Who we are.
    pub issuer: &'a str,
    /// The path of the endpoint.
    pub endpoint: &'a str,
    /// The URL at which clients that show a certificate find the endpoints, if it is another (MT-07).
    pub alias: Option<&'a str>,
    /// The certificate of the connection, or why it is none.
    pub certificate: Result<Option<&'a ClientCertificate>, CertificateFault>,
    /// Who may vouch for certificates (MT-01).
    pub authorities: &'a Authorities,
}

impl Called<'_> {
    fn certificate(&self) -> Result<&ClientCertificate, ClientAuthFault> {
        self.certificate.clone()?.ok_or(ClientAuthFault::CertificateMissing)
    }
}

/// Holds the presented credentials against the registered method. An assertion is for the issuer, or for
/// the endpoint that was called, which is named by its path. `keys` are the client's, which an assertion
/// and a self-signed certificate need.
///
/// # Errors
/// [`ClientAuthFault`].
pub fn authenticate(
    presented: &Presented,
    client: Option<Arc<Client>>,
    keys: Option<&KeySet>,
    called: &Called<'_>,
    now: DateTime<Utc>,
) -> Result<Authenticated, ClientAuthFault> {
    let client = client.ok_or(ClientAuthFault::UnknownClient)?;
    match (&client.authentication, &presented.proof) {
        (ClientAuthentication::Public, Proof::None) => {}
        (ClientAuthentication::SecretBasic(digests), Proof::Basic(secret))
        | (ClientAuthentication::SecretPost(digests), Proof::Post(secret)) => {
            // Every digest is compared, so that time says nothing about which one matched.
            let digest = sha256(secret.expose());
            let matching = digests
                .iter()
                .filter(|stored| (stored.digest == digest) & stored.expires_at.is_none_or(|end| end > now))
                .count();
            if matching == 0 {
                return Err(ClientAuthFault::WrongSecret);
            }
        }
        (ClientAuthentication::PrivateKeyJwt { algorithms }, Proof::Assertion(assertion)) => {
            let keys = keys.ok_or(ClientAuthFault::KeysUnavailable)?;
            let issuer_alone = client.protection.rules().audience_is_issuer;
            let audiences = audiences(called, issuer_alone);
            let audiences: Vec<&str> = audiences.iter().map(String::as_str).collect();
            let policy = AssertionPolicy {
                client_id: client.id.as_str(),
                accepted_audiences: &audiences,
                audience_must_be_string: issuer_alone,
                algorithms,
                max_lifetime: AssertionPolicy::MAX_LIFETIME,
                leeway: AssertionPolicy::LEEWAY,
            };
            let proof = verify_client_assertion(assertion.expose(), keys, &policy, now)?;
            return Ok(Authenticated::Assertion(UnreplayedClient { client, proof }));
        }
        (ClientAuthentication::TlsCertificate(subject), Proof::None) => {
            called.certificate()?.vouched(called.authorities, subject, now)?;
        }
        (ClientAuthentication::TlsKey, Proof::None) => {
            let certificate = called.certificate()?;
            certificate.registered(keys.ok_or(ClientAuthFault::KeysUnavailable)?, now)?;
        }
        (registered, _) => {
            let registered = registered.method();
            return Err(ClientAuthFault::WrongMethod { registered, used: presented.method() });
        }
    }
    Ok(Authenticated::Done(AuthenticatedClient(client)))
}

/// What an assertion may be for.
fn audiences(called: &Called<'_>, issuer_alone: bool) -> Vec<String> {
    let Called { issuer, endpoint, alias, .. } = *called;
    let mut audiences = vec![issuer.to_owned()];
    if issuer_alone {
        return audiences;
    }
    for base in [Some(issuer), alias].into_iter().flatten() {
        audiences.push(format!("{base}{endpoint}"));
        // RFC 9126 §2: at the PAR endpoint the token endpoint's URL counts, too.
        if endpoint == "/par" {
            audiences.push(format!("{base}/token"));
        }
    }
    audiences
}

#[cfg(test)]
impl AuthenticatedClient {
    pub(crate) fn for_tests(client: Client) -> Self {
        Self(Arc::new(client))
    }
}

#[cfg(test)]
mod tests {
    use base64::{Engine, engine::general_purpose::STANDARD};
    use chrono::Duration;
    use rstest::rstest;

    use super::*;
    use crate::{
        client::{
            SecretDigest,
            tests::{client, confidential},
        },
        grant::tests::now,
    };

    fn form(body: &str) -> Params {
        Params::parse(body.as_bytes()).unwrap()
    }

    fn basic_header(user: &str, password: &str) -> String {
        format!("Basic {}", STANDARD.encode(format!("{user}:{password}")))
    }

    fn called() -> Called<'static> {
        static NOBODY: std::sync::LazyLock<Authorities> = std::sync::LazyLock::new(Authorities::default);
        Called {
            issuer: "https://as.example",
            endpoint: "/token",
            alias: None,
            certificate: Ok(None),
            authorities: &NOBODY,
        }
    }

    fn check(client: Client, header: Option<&str>, body: &str) -> Result<(), &'static str> {
        let presented = Presented::parse(header, &form(body)).map_err(|_| "presented")?;
        match authenticate(&presented, Some(Arc::new(client)), None, &called(), now()) {
            Ok(Authenticated::Done(_)) => Ok(()),
            Ok(Authenticated::Assertion(_)) => Err("assertion"),
            Err(ClientAuthFault::WrongMethod { .. }) => Err("method"),
            Err(ClientAuthFault::WrongSecret) => Err("secret"),
            Err(_) => Err("other"),
        }
    }

    #[test]
    fn oc_23_only_the_registered_method_counts() {
        let secret = confidential(AuthMethod::ClientSecretBasic);
        assert_eq!(check(secret.clone(), Some(&basic_header("app", "s3cret")), ""), Ok(()));
        assert_eq!(check(secret.clone(), Some(&basic_header("app", "wrong")), ""), Err("secret"));
        assert_eq!(check(secret.clone(), None, "client_id=app&client_secret=s3cret"), Err("method"));
        assert_eq!(check(secret, None, "client_id=app"), Err("method"));
        let post = confidential(AuthMethod::ClientSecretPost);
        assert_eq!(check(post.clone(), None, "client_id=app&client_secret=s3cret"), Ok(()));
        assert_eq!(check(post, Some(&basic_header("app", "s3cret")), ""), Err("method"));
        assert_eq!(check(client(), None, "client_id=app"), Ok(()));
        assert_eq!(check(client(), None, "client_id=app&client_secret=x"), Err("method"));
    }

    #[test]
    fn an_ended_secret_no_longer_counts() {
        let mut client = confidential(AuthMethod::ClientSecretBasic);
        let digest = sha256("s3cret");
        let ended = SecretDigest { digest, expires_at: Some(now()) };
        let lasting = SecretDigest { digest, expires_at: Some(now() + Duration::seconds(1)) };
        client.authentication = ClientAuthentication::SecretBasic(vec![ended]);
        let header = basic_header("app", "s3cret");
        assert_eq!(check(client.clone(), Some(&header), ""), Err("secret"));
        client.authentication = ClientAuthentication::SecretBasic(vec![lasting]);
        assert_eq!(check(client, Some(&header), ""), Ok(()));
    }

    #[rstest]
    #[case(Some("Basic YTpi"), "client_id=a&client_secret=b", PresentedFault::Several)]
    #[case(Some("Basic YTpi"), "client_id=c", PresentedFault::Contradiction)]
    #[case(Some("Basic !!!"), "", PresentedFault::MalformedBasic)]
    #[case(Some("Bearer x"), "client_id=a", PresentedFault::MalformedBasic)]
    #[case(None, "", PresentedFault::Missing)]
    #[case(None, "client_assertion=x", PresentedFault::AssertionType)]
    #[case(None, "client_assertion=x&client_assertion_type=saml", PresentedFault::AssertionType)]
    #[case(
        None,
        "client_assertion=x&client_assertion_type=urn:ietf:params:oauth:client-assertion-type:jwt-bearer",
        PresentedFault::MalformedAssertion
    )]
    fn oc_23_malformed_credentials(
        #[case] header: Option<&str>,
        #[case] body: &str,
        #[case] fault: PresentedFault,
    ) {
        assert_eq!(Presented::parse(header, &form(body)).unwrap_err(), fault);
    }

    #[test]
    fn an_unknown_client_is_refused() {
        let presented = Presented::parse(None, &form("client_id=ghost")).unwrap();
        let result = authenticate(&presented, None, None, &called(), now());
        assert!(matches!(result, Err(ClientAuthFault::UnknownClient)));
    }

    /// A self-signed certificate, its key as a set, and how the client is that owns it.
    fn by_key() -> (ClientCertificate, KeySet, Client) {
        let key = rcgen::KeyPair::generate().unwrap();
        let certificate = rcgen::CertificateParams::default().self_signed(&key).unwrap();
        let certificate = ClientCertificate::from_der(&[certificate.der()]).unwrap();
        let point = rcgen::PublicKeyData::der_bytes(&key);
        let encode = |bytes| base64::engine::general_purpose::URL_SAFE_NO_PAD.encode(bytes);
        let (x, y) = (encode(&point[1..33]), encode(&point[33..]));
        let keys = serde_json::json!({"keys": [{"kty": "EC", "crv": "P-256", "x": x, "y": y}]});
        let mut client = client();
        client.authentication = ClientAuthentication::TlsKey;
        (certificate, KeySet::from_value(&keys).unwrap(), client)
    }

    #[test]
    fn mt_03_mt_04_a_certificate_counts_for_the_named_client_whose_key_it_has() {
        let (certificate, keys, client) = by_key();
        let (other, _, _) = by_key();
        let with = |client: &Client, certificate, keys: Option<&KeySet>, body: &str| {
            let presented = Presented::parse(None, &form(body)).unwrap();
            let called = Called { certificate, ..called() };
            authenticate(&presented, Some(Arc::new(client.clone())), keys, &called, now())
        };
        let named = "client_id=app";
        let fault = |certificate, keys: Option<&KeySet>| with(&client, certificate, keys, named).unwrap_err();
        assert!(with(&client, Ok(Some(&certificate)), Some(&keys), named).is_ok());
        assert!(matches!(fault(Ok(None), Some(&keys)), ClientAuthFault::CertificateMissing));
        assert!(matches!(fault(Ok(Some(&certificate)), None), ClientAuthFault::KeysUnavailable));
        let unknown = fault(Ok(Some(&other)), Some(&keys));
        assert!(unknown.is_key_unknown(), "its keys may be newer");
        let unreadable = fault(Err(CertificateFault::Unreadable), Some(&keys));
        assert!(matches!(unreadable, ClientAuthFault::Certificate(CertificateFault::Unreadable)));
        // A certificate is none of the credentials of other clients, and a secret none of this one's.
        let secret = confidential(AuthMethod::ClientSecretBasic);
        let as_secret = with(&secret, Ok(Some(&certificate)), Some(&keys), named);
        assert!(matches!(as_secret, Err(ClientAuthFault::WrongMethod { .. })));
        let both = with(&client, Ok(Some(&certificate)), Some(&keys), "client_id=app&client_secret=s3cret");
        assert!(matches!(both, Err(ClientAuthFault::WrongMethod { .. })));
        // MT-04: nobody is looked up by certificate.
        assert_eq!(Presented::parse(None, &form("")).unwrap_err(), PresentedFault::Missing);
    }

    #[test]
    fn f2_12_mt_07_an_assertion_may_be_for_the_alias_of_the_endpoint() {
        let called = Called { endpoint: "/par", alias: Some("https://mtls.as.example"), ..called() };
        assert_eq!(audiences(&called, true), ["https://as.example"]);
        assert_eq!(
            audiences(&called, false),
            [
                "https://as.example",
                "https://as.example/par",
                "https://as.example/token",
                "https://mtls.as.example/par",
                "https://mtls.as.example/token",
            ]
        );
    }
}
