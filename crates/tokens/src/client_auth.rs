//! Client authentication (RFC 6749 §2.3, OpenID Connect Core §9), once for every endpoint that
//! needs it.
//!
//! [`Presented::parse`] finds which method a request uses; [`authenticate`] holds it against the
//! one method that the client registered. Its answer, [`AuthenticatedClient`], is what the token,
//! revocation and introspection decisions demand, so none of them can forget it.

use std::sync::Arc;

use chrono::{DateTime, Utc};
use jose::{
    AssertionFault, AssertionPolicy, ClientAssertion as VerifiedAssertion, JoseFault, KeySet, Replayed,
    Unreplayed,
    digest::{Digest, sha256},
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

    /// Whether it takes the client's keys to judge it.
    pub const fn needs_keys(&self) -> bool {
        matches!(self.proof, Proof::Assertion(_))
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
    /// Whether the assertion may be signed with a key that we have not fetched yet.
    pub const fn is_key_unknown(&self) -> bool {
        matches!(self, Self::Assertion(AssertionFault::Jose(JoseFault::NoKey { .. } | JoseFault::Signature)))
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

impl UnreplayedClient {
    /// What to insert into the replay table.
    pub fn digest(&self) -> Digest {
        self.proof.digest()
    }

    /// When the replay table may forget it.
    pub fn expires_at(&self) -> DateTime<Utc> {
        self.proof.expires_at()
    }

    /// Gives out the proof if exactly one row was inserted.
    ///
    /// # Errors
    /// [`ClientAuthFault::Replayed`] otherwise.
    pub fn confirm(self, rows: u64) -> Result<AuthenticatedClient, ClientAuthFault> {
        self.proof.confirm(rows)?;
        Ok(AuthenticatedClient(self.client))
    }
}

/// Holds the presented credentials against the registered method. An assertion is for the issuer, or for
/// the endpoint that was called, which is named by its path. `keys` are the client's, which only an
/// assertion needs.
///
/// # Errors
/// [`ClientAuthFault`].
pub fn authenticate(
    presented: &Presented,
    client: Option<Arc<Client>>,
    keys: Option<&KeySet>,
    issuer: &str,
    endpoint: &str,
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
            // RFC 9126 §2: at the PAR endpoint the token endpoint's URL counts, too.
            let token = format!("{issuer}/token");
            let token = if endpoint == "/par" { token.as_str() } else { issuer };
            let endpoint = format!("{issuer}{endpoint}");
            let policy = AssertionPolicy {
                client_id: client.id.as_str(),
                accepted_audiences: if issuer_alone { &[issuer] } else { &[issuer, &endpoint, token] },
                audience_must_be_string: issuer_alone,
                algorithms,
                max_lifetime: AssertionPolicy::MAX_LIFETIME,
                leeway: AssertionPolicy::LEEWAY,
            };
            let proof = verify_client_assertion(assertion.expose(), keys, &policy, now)?;
            return Ok(Authenticated::Assertion(UnreplayedClient { client, proof }));
        }
        (registered, _) => {
            let registered = registered.method();
            return Err(ClientAuthFault::WrongMethod { registered, used: presented.method() });
        }
    }
    Ok(Authenticated::Done(AuthenticatedClient(client)))
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

    fn check(client: Client, header: Option<&str>, body: &str) -> Result<(), &'static str> {
        let presented = Presented::parse(header, &form(body)).map_err(|_| "presented")?;
        match authenticate(&presented, Some(Arc::new(client)), None, "https://as.example", "/token", now()) {
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
        let result = authenticate(&presented, None, None, "https://as.example", "/token", now());
        assert!(matches!(result, Err(ClientAuthFault::UnknownClient)));
    }
}
