//! Clients: the row that is stored, the rules of registration, and the parsed client that the
//! endpoints know.
//!
//! A [`ClientRecord`] is what an operator declared. [`Client::parse`] applies every rule of
//! registration and parses the keys once; whoever holds a [`Client`] need not check them again. The
//! caches of `flows` hold `Arc<Client>`.

mod certificate;
mod disclosure;
mod exchange;
mod logout;
mod requests;
mod responses;
mod settings;
mod subject;

use std::collections::BTreeSet;

use chrono::{DateTime, Duration, Utc};
use jose::{Algorithm, certificate::CertificateSubject, digest::Digest};
use mfa::SecondFactorPolicy;
use protocol::{
    ClientId, Scope,
    acr::Acr,
    client::{ApplicationType, AuthMethod, ClientMetadata, GrantType, Profile, TokenFormat},
    uri::{RedirectUri, UriFault, is_https_url},
};
use serde::{Deserialize, Serialize};

use crate::{
    assertion_grant::AssertionRule,
    exchange::ExchangeRule,
    profile::{ProfileFault, Protection},
    registration::HostRule,
};

pub use self::{
    disclosure::Disclosure,
    exchange::AssertionIssuer,
    logout::LogoutUris,
    requests::{ClientKeys, MAX_REQUEST_URI, RequestRules},
    responses::{ModeFault, ResponseRules},
    subject::{MAX_SECTOR_BYTES, SectorFault, SubjectType, lists_redirect_uris},
};

/// A stored client.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct ClientRecord {
    /// Its identifier; chosen by the operator, never by the client (BCP-11).
    pub id: ClientId,
    /// What RFC 7591 calls client metadata.
    pub metadata: ClientMetadata,
    /// What only this server knows about it.
    pub settings: ClientSettings,
    /// Digests of its secrets; more than one while a secret is being replaced.
    pub secrets: Vec<SecretDigest>,
    /// A disabled client is unknown at every endpoint.
    pub disabled: bool,
    /// When it was made.
    pub created_at: DateTime<Utc>,
    /// When it was last changed.
    pub updated_at: DateTime<Utc>,
}

/// Settings beyond the registered metadata.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct ClientSettings {
    /// Whether a code flow needs PKCE. Only a confidential general client may be exempt (O21-01).
    pub require_pkce: bool,
    /// The form of its access tokens where the resource server does not say.
    pub access_token_format: Option<TokenFormat>,
    /// A second factor demanded by the client, beyond the server's policy.
    pub second_factor: Option<SecondFactorPolicy>,
    /// How long a consent to this client lasts, in seconds; `None` for the server's default.
    pub consent_lifetime: Option<i64>,
    /// The bank's own client: its consents are recorded without asking.
    pub first_party: bool,
    /// Which rules it lives under; `None` is general. A new client for which nobody chooses gets
    /// [`default_profile`](crate::profile::default_profile).
    pub profile: Option<Profile>,
    /// Whether it may use the device grant although its profile leaves that out (DV-06).
    #[serde(skip_serializing_if = "is_false")]
    pub device_grant: bool,
    /// Hosts of redirect URIs that it may push without having registered them (PAR-08).
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub pushed_redirect_hosts: Vec<String>,
    /// Its refresh tokens are being replaced, one at each use; the replaced one counts for so many seconds
    /// more (F2-13). `None`, as it should be outside a migration: they stay.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub refresh_rotation_grace: Option<i64>,
    /// What it may exchange (TX-03).
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub exchange: Vec<ExchangeRule>,
    /// Who alone may act for its customers: `may_act` of its access tokens (TX-05).
    #[serde(skip_serializing_if = "Option::is_none")]
    pub may_act: Option<ClientId>,
    /// Whose assertions it may bring (JB-01).
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub assertion_issuer: Vec<AssertionRule>,
}

impl Default for ClientSettings {
    fn default() -> Self {
        Self {
            require_pkce: true,
            access_token_format: None,
            second_factor: None,
            consent_lifetime: None,
            first_party: false,
            profile: None,
            device_grant: false,
            pushed_redirect_hosts: Vec::new(),
            refresh_rotation_grace: None,
            exchange: Vec::new(),
            may_act: None,
            assertion_issuer: Vec::new(),
        }
    }
}

/// The digest of a random client secret, and when it stops to count.
///
/// Client secrets are random values of at least 128 bits, so a fast digest protects them as well
/// as a slow one would, at a thousandth of the cost per request.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct SecretDigest {
    /// SHA-256 of the secret.
    pub digest: Digest,
    /// `None` for a secret without end.
    pub expires_at: Option<DateTime<Utc>>,
}

/// How a client proves itself at the token endpoint.
#[derive(Clone, Debug)]
pub enum ClientAuthentication {
    /// A public client: it can't.
    Public,
    /// By secret, in the header.
    SecretBasic(Vec<SecretDigest>),
    /// By secret, in the body.
    SecretPost(Vec<SecretDigest>),
    /// By signed assertion.
    PrivateKeyJwt {
        /// The registered algorithm, or every asymmetric one that this server accepts.
        algorithms: Vec<Algorithm>,
    },
    /// By a certificate for this subject that a trusted authority vouches for (MT-01).
    TlsCertificate(CertificateSubject),
    /// By a certificate whose key is one of its keys (MT-03).
    TlsKey,
}

impl ClientAuthentication {
    /// The registered method.
    pub const fn method(&self) -> AuthMethod {
        match self {
            Self::Public => AuthMethod::None,
            Self::SecretBasic(_) => AuthMethod::ClientSecretBasic,
            Self::SecretPost(_) => AuthMethod::ClientSecretPost,
            Self::PrivateKeyJwt { .. } => AuthMethod::PrivateKeyJwt,
            Self::TlsCertificate(_) => AuthMethod::TlsClientAuth,
            Self::TlsKey => AuthMethod::SelfSignedTlsClientAuth,
        }
    }
}

/// A client whose registration obeys every rule.
#[derive(Clone, Debug)]
pub struct Client {
    /// Its identifier.
    pub id: ClientId,
    /// The name that customers see.
    pub name: String,
    /// Its page, privacy policy and terms, for the consent page.
    pub links: ClientLinks,
    /// Web or native.
    pub application_type: ApplicationType,
    /// How it authenticates.
    pub authentication: ClientAuthentication,
    /// Where its public keys are.
    pub keys: ClientKeys,
    /// How it may pass its authorization requests.
    pub requests: RequestRules,
    /// Where responses may go.
    pub redirect_uris: Vec<RedirectUri>,
    /// Where people may be sent after logout.
    pub post_logout_redirect_uris: Vec<RedirectUri>,
    /// Where it wants to hear that a session ended.
    pub logout: LogoutUris,
    /// How it may be answered by the authorization endpoint.
    pub responses: ResponseRules,
    /// The grants that it may use.
    pub grant_types: BTreeSet<GrantType>,
    /// The scope that it may ask for.
    pub scope: Scope,
    /// The types of authorization details that it may ask for (RAR-02).
    pub detail_types: Vec<String>,
    /// The algorithm of its ID tokens (OC-01).
    pub id_token_algorithm: Algorithm,
    /// How it is told about people.
    pub disclosure: Disclosure,
    /// How people are called towards it (OC-21).
    pub subject_type: SubjectType,
    /// OC-34.
    pub default_max_age: Option<u64>,
    /// OC-34: authentication context classes that it wants when it does not say.
    pub default_acr_values: Vec<String>,
    /// How its requests and tokens are protected.
    pub protection: Protection,
    /// The issuers whose assertions it may bring (JB-01).
    pub assertion_issuers: Vec<AssertionIssuer>,
    /// Hosts of redirect URIs that it may push without having registered them (PAR-08).
    pub pushed_redirects: Vec<HostRule>,
    /// Settings beyond the registered metadata.
    pub settings: ClientSettings,
}

/// Pages of the client that its customers may read.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct ClientLinks {
    /// The client's own page.
    pub home: Option<String>,
    /// Privacy policy.
    pub policy: Option<String>,
    /// Terms of service.
    pub terms: Option<String>,
}

/// Which rule of registration a client breaks. The text completes "client X: …".
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum ClientFault {
    /// A redirect URI that may not be registered (BCP-02, BCP-21, F2-24).
    #[error("redirect_uris: {uri} {fault}")]
    RedirectUri {
        /// The URI.
        uri: String,
        /// The rule.
        fault: UriFault,
    },
    /// A logout URI that may not be registered.
    #[error("post_logout_redirect_uris: {uri} {fault}")]
    LogoutUri {
        /// The URI.
        uri: String,
        /// The rule.
        fault: UriFault,
    },
    /// A place to be told of logouts that may not be registered (FL-01, BL-01).
    #[error("{member}: {fault}")]
    SessionLogoutUri {
        /// The metadata member.
        member: &'static str,
        /// The rule.
        fault: &'static str,
    },
    /// It breaks a rule of its profile.
    #[error("profile {profile}: {fault}")]
    Profile {
        /// The profile.
        profile: Profile,
        /// The rule.
        fault: ProfileFault,
    },
    /// The code flow needs somewhere to go.
    #[error("redirect_uris: the authorization_code grant needs at least one")]
    NoRedirectUri,
    /// A setting that makes no sense.
    #[error("{member}: {problem}")]
    Setting {
        /// The setting.
        member: &'static str,
        /// What is wrong with it.
        problem: &'static str,
    },
    /// A rule of token exchange or of assertions that makes no sense.
    #[error("{member}: {problem}")]
    Exchange {
        /// The setting.
        member: &'static str,
        /// What is wrong with it.
        problem: String,
    },
    /// Nobody knows who brings another's token without credentials (TX-03, JB-01).
    #[error("grant_types: {0} is for confidential clients only")]
    PublicExchange(GrantType),
    /// A public client can't act on its own behalf (CC-01).
    #[error("grant_types: client_credentials is for confidential clients only")]
    PublicClientCredentials,
    /// Grant and response types disagree (DR-04).
    #[error("response_types: code or code id_token, and the authorization_code grant, go together")]
    ResponseTypes,
    /// The grant `implicit` without an ID token to come of it (DR-04, BCP-07).
    #[error("grant_types: implicit stands only beside the response type code id_token")]
    ImplicitAlone,
    /// An empty list of modes: the client could never be answered (MS-09).
    #[error("response_modes: name at least one, or leave it out for all")]
    NoResponseMode,
    /// One half of how something is encrypted to the client.
    #[error("{member}: must be named where its counterpart is")]
    EncryptionIncomplete {
        /// The metadata member that is missing.
        member: &'static str,
    },
    /// `refresh_token` without a grant that yields one.
    #[error("grant_types: refresh_token needs authorization_code beside it")]
    RefreshAlone,
    /// PKCE may be waived for confidential clients only (O21-01).
    #[error("require_pkce: a public client can't be exempt from PKCE")]
    PublicWithoutPkce,
    /// A method that needs a secret, without one.
    #[error("token_endpoint_auth_method: {0} needs a client secret")]
    SecretMissing(AuthMethod),
    /// A secret that the method has no use for.
    #[error("token_endpoint_auth_method: {0} has no use for a client secret")]
    SecretUnused(AuthMethod),
    /// Keys that can't be used, or none where some are needed.
    #[error("jwks: {0}")]
    Keys(String),
    /// Keys by value and by reference (DR-04).
    #[error("jwks: excludes jwks_uri")]
    KeysTwice,
    /// No subject of the certificate, or several (MT-02).
    #[error("tls_client_auth needs exactly one of the members tls_client_auth_*; there are {0}")]
    CertificateSubjects(usize),
    /// A subject that no certificate can have.
    #[error("{member}: {value} is no such name")]
    CertificateSubject {
        /// The metadata member.
        member: &'static str,
        /// The value.
        value: String,
    },
    /// A subject beside a method that does not look at it.
    #[error("{0}: is only for tls_client_auth")]
    CertificateSubjectUnused(&'static str),
    /// Two things that one token can't be bound to.
    #[error("dpop_bound_access_tokens, tls_client_certificate_bound_access_tokens: exclude each other")]
    BoundTwice,
    /// A reference to request objects that may not be used (OC-25, JAR-06).
    #[error("request_uris: must be at most 100 https URLs of at most 512 ASCII characters")]
    RequestUris,
    /// An algorithm that this server does not have.
    #[error("{member}: {value} is not a supported algorithm")]
    Algorithm {
        /// The metadata member.
        member: &'static str,
        /// The value.
        value: String,
    },
    /// A `subject_type` other than `public` and `pairwise` (OC-21).
    #[error("subject_type: {0} is neither public nor pairwise")]
    SubjectType(String),
    /// Pairwise subjects without a host that they could be particular to (OC-21).
    #[error("sector_identifier_uri: pairwise subjects need one, unless all redirect_uris share a host")]
    NoSector,
    /// Something is to be encrypted and no key is fit for it.
    #[error("jwks: has no key that {0} could encrypt to")]
    NoEncryptionKey(jose::KeyManagement),
    /// A page that customers might be sent to and that is no https URL (DR-06).
    #[error("{0}: must be an https URL")]
    Link(&'static str),
    /// An authentication context class that this server never reaches.
    #[error("default_acr_values: {0} is not among acr_values_supported")]
    Acr(String),
    /// A name that can't be shown.
    #[error("client_name: must have 1 to 100 characters and no control characters")]
    Name,
}

impl Client {
    /// Applies the rules of registration.
    ///
    /// # Errors
    /// Every [`ClientFault`] that was found, so that an operator mends them in one go.
    pub fn parse(record: &ClientRecord) -> Result<Self, Vec<ClientFault>> {
        let metadata = &record.metadata;
        let mut faults = Vec::new();
        let method = metadata.token_endpoint_auth_method.unwrap_or(AuthMethod::ClientSecretBasic);
        let protection = Protection::parse(record, &mut faults);
        let subject = certificate::subject(metadata, method, &mut faults);
        let mut authentication =
            authentication(record, method, subject).map_err(|fault| faults.extend(fault)).ok();
        authentication.iter_mut().for_each(|authentication| protection.limit(authentication));
        let redirect_uris = uris(&metadata.redirect_uris, metadata.application_type, |uri, fault| {
            faults.push(ClientFault::RedirectUri { uri, fault });
        });
        let post_logout_redirect_uris =
            uris(&metadata.post_logout_redirect_uris, metadata.application_type, |uri, fault| {
                faults.push(ClientFault::LogoutUri { uri, fault });
            });
        let grant_types: BTreeSet<GrantType> = match &metadata.grant_types {
            Some(types) => types.iter().copied().collect(),
            None => [GrantType::AuthorizationCode].into(),
        };
        let id_token_algorithm = match &metadata.id_token_signed_response_alg {
            None => Some(protection.rules().default_algorithm),
            Some(name) => {
                algorithm(name, "id_token_signed_response_alg").map_err(|fault| faults.push(fault)).ok()
            }
        };
        let logout = LogoutUris::parse(metadata, &mut faults);
        let assertion_issuers = exchange::parse(record, &mut faults);
        let pushed_redirects = settings::parse(record, method, &mut faults);
        let subject_type = SubjectType::parse(metadata, &mut faults);
        let keys = ClientKeys::parse(metadata, &mut faults);
        let disclosure = Disclosure::parse(metadata, &keys, &mut faults);
        let requests = RequestRules::parse(metadata, &protection, &keys, &mut faults);
        let responses =
            ResponseRules::parse(metadata, &grant_types, (&keys, protection.rules()), &mut faults);
        consistency(record, method, &grant_types, &mut faults);
        presentation(metadata, &mut faults);
        match (authentication, id_token_algorithm) {
            (Some(authentication), Some(id_token_algorithm)) if faults.is_empty() => Ok(Self {
                id: record.id.clone(),
                name: metadata.client_name.clone().unwrap_or_else(|| record.id.to_string()),
                links: ClientLinks {
                    home: metadata.client_uri.clone(),
                    policy: metadata.policy_uri.clone(),
                    terms: metadata.tos_uri.clone(),
                },
                application_type: metadata.application_type,
                authentication,
                keys,
                requests,
                redirect_uris,
                post_logout_redirect_uris,
                logout,
                responses,
                grant_types,
                scope: metadata.scope.clone().unwrap_or_default(),
                detail_types: metadata.authorization_details_types.clone(),
                id_token_algorithm,
                disclosure,
                subject_type,
                default_max_age: metadata.default_max_age,
                default_acr_values: metadata.default_acr_values.clone(),
                protection,
                assertion_issuers,
                pushed_redirects,
                settings: record.settings.clone(),
            }),
            _ => Err(faults),
        }
    }

    /// Whether it has no way to authenticate (RFC 6749 §2.1).
    pub const fn is_public(&self) -> bool {
        matches!(self.authentication, ClientAuthentication::Public)
    }

    /// Whether its ID tokens name the session (`sid`): those of clients that are told of its end, or that
    /// come back to end it (OC-35). The others would learn a claim that nobody asked for (OC-30).
    pub fn names_sessions(&self) -> bool {
        self.logout.any() || !self.post_logout_redirect_uris.is_empty()
    }

    /// Whether it may use a grant.
    pub fn may_use(&self, grant: GrantType) -> bool {
        self.grant_types.contains(&grant)
    }

    /// How long a consent to it lasts.
    pub fn consent_lifetime(&self) -> Option<Duration> {
        self.settings.consent_lifetime.and_then(Duration::try_seconds)
    }
}

/// `Err(None)` where the fault was told already.
fn authentication(
    record: &ClientRecord,
    method: AuthMethod,
    subject: Option<CertificateSubject>,
) -> Result<ClientAuthentication, Option<ClientFault>> {
    let secrets = || {
        if record.secrets.is_empty() {
            Err(Some(ClientFault::SecretMissing(method)))
        } else {
            Ok(record.secrets.clone())
        }
    };
    let secret = matches!(method, AuthMethod::ClientSecretBasic | AuthMethod::ClientSecretPost);
    if !secret && !record.secrets.is_empty() {
        return Err(Some(ClientFault::SecretUnused(method)));
    }
    Ok(match method {
        AuthMethod::None => ClientAuthentication::Public,
        AuthMethod::ClientSecretBasic => ClientAuthentication::SecretBasic(secrets()?),
        AuthMethod::ClientSecretPost => ClientAuthentication::SecretPost(secrets()?),
        AuthMethod::PrivateKeyJwt => {
            let algorithms = match &record.metadata.token_endpoint_auth_signing_alg {
                Some(name) => vec![algorithm(name, "token_endpoint_auth_signing_alg")?],
                None => Algorithm::ALL.to_vec(),
            };
            ClientAuthentication::PrivateKeyJwt { algorithms }
        }
        AuthMethod::TlsClientAuth => ClientAuthentication::TlsCertificate(subject.ok_or(None)?),
        AuthMethod::SelfSignedTlsClientAuth => ClientAuthentication::TlsKey,
    })
}

fn algorithm(name: &str, member: &'static str) -> Result<Algorithm, ClientFault> {
    name.parse().map_err(|_| ClientFault::Algorithm { member, value: name.to_owned() })
}

fn uris(
    texts: &[String],
    application: ApplicationType,
    mut fault: impl FnMut(String, UriFault),
) -> Vec<RedirectUri> {
    let register = |text: &String| {
        RedirectUri::register(text, application).map_err(|kind| fault(text.clone(), kind)).ok()
    };
    texts.iter().filter_map(register).collect()
}

/// Rules that look at several members together.
fn consistency(
    record: &ClientRecord,
    method: AuthMethod,
    grant_types: &BTreeSet<GrantType>,
    faults: &mut Vec<ClientFault>,
) {
    let metadata = &record.metadata;
    let public = method == AuthMethod::None;
    let code_flow = grant_types.contains(&GrantType::AuthorizationCode);
    if code_flow && metadata.redirect_uris.is_empty() {
        faults.push(ClientFault::NoRedirectUri);
    }
    if public && grant_types.contains(&GrantType::ClientCredentials) {
        faults.push(ClientFault::PublicClientCredentials);
    }
    for grant in [GrantType::TokenExchange, GrantType::JwtBearer] {
        if public && grant_types.contains(&grant) {
            faults.push(ClientFault::PublicExchange(grant));
        }
    }
    if grant_types.contains(&GrantType::RefreshToken)
        && !code_flow
        && !grant_types.contains(&GrantType::DeviceCode)
    {
        faults.push(ClientFault::RefreshAlone);
    }
    if public && !record.settings.require_pkce {
        faults.push(ClientFault::PublicWithoutPkce);
    }
    if metadata.dpop_bound_access_tokens && metadata.tls_client_certificate_bound_access_tokens {
        faults.push(ClientFault::BoundTwice);
    }
    for value in &metadata.default_acr_values {
        if value.parse::<Acr>().is_err() {
            faults.push(ClientFault::Acr(value.clone()));
        }
    }
}

const fn is_false(value: &bool) -> bool {
    !*value
}

/// Rules for what customers will see.
fn presentation(metadata: &ClientMetadata, faults: &mut Vec<ClientFault>) {
    let links = [
        ("client_uri", &metadata.client_uri),
        ("logo_uri", &metadata.logo_uri),
        ("policy_uri", &metadata.policy_uri),
        ("tos_uri", &metadata.tos_uri),
    ];
    for (member, value) in links {
        if value.as_deref().is_some_and(|url| !is_https_url(url)) {
            faults.push(ClientFault::Link(member));
        }
    }
    let unfit = |name: &str| {
        name.trim().is_empty() || name.chars().count() > 100 || name.chars().any(char::is_control)
    };
    if metadata.client_name.as_deref().is_some_and(unfit) {
        faults.push(ClientFault::Name);
    }
}

#[cfg(test)]
pub(crate) mod tests;
