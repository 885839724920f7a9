//! Provider metadata (OpenID Connect Discovery §3, RFC 8414 §2), derived from configuration and
//! from the same enums that the endpoints match on (OC-26). Rendered once per snapshot, as the key
//! set is: clients ask for both far more often than they change.

use bytes::Bytes;
use consent::Catalogue;
use jose::{
    Algorithm, ContentEncryption, KeyManagement, digest::sha256, dpop::ALGORITHMS as DPOP_ALGORITHMS,
};
use keys::Keyring;
use protocol::{
    acr::Acr,
    claims::claim_names,
    client::{AuthMethod, GrantType, ResponseMode, ResponseType},
    provider::{EndpointAliases, ProviderMetadata},
};
use tokens::client::SubjectType;

use crate::policies::{MutualTls, Policies};

/// The values of `display` that the pages are made for: one layout, for small windows and for fingers too.
/// The parameter itself changes nothing (OC-07).
const DISPLAYS: [&str; 3] = ["page", "popup", "touch"];

/// Claims that every ID token may have, beside those that scopes release.
const ID_TOKEN_CLAIMS: [&str; 7] = ["sub", "iss", "auth_time", "acr", "amr", "sid", "nonce"];

/// A public document as it is sent, with a name for exactly these bytes.
#[derive(Clone, Debug)]
pub struct Document {
    /// JSON.
    pub body: Bytes,
    /// A strong entity tag, quotes included (RFC 9110 §8.8.3).
    pub entity_tag: Bytes,
}

/// What anybody may read of a snapshot.
#[derive(Clone, Debug)]
pub struct Documents {
    /// The provider metadata.
    pub metadata: Document,
    /// The key set (RFC 7517 §5).
    pub jwks: Document,
}

impl Documents {
    pub(crate) fn render(policies: &Policies, catalogue: &Catalogue, keyring: &Keyring) -> Self {
        let metadata = serde_json::to_string(&metadata(policies, catalogue, keyring));
        let metadata = metadata.expect("lists and strings can be written as JSON");
        Self { metadata: Document::new(metadata), jwks: Document::new(keyring.jwks_json().to_owned()) }
    }
}

impl Document {
    fn new(text: String) -> Self {
        let entity_tag = format!("\"{}\"", sha256(&text)).into();
        Self { body: text.into(), entity_tag }
    }
}

/// The document that both well-known paths serve (F2-06).
fn metadata(policies: &Policies, catalogue: &Catalogue, keyring: &Keyring) -> ProviderMetadata {
    let issuer = &policies.issuer;
    let at = |path: &str| format!("{issuer}{path}");
    let client_algorithms: Vec<&'static str> = Algorithm::ALL.iter().map(|known| known.as_str()).collect();
    let opening: Vec<&'static str> =
        keyring.key_management().into_iter().map(KeyManagement::as_str).collect();
    let signing: Vec<&'static str> = keyring.algorithms().into_iter().map(Algorithm::as_str).collect();
    let management = || KeyManagement::ALL.map(KeyManagement::as_str).to_vec();
    let methods = || {
        let all = AuthMethod::ALL.iter().copied();
        all.filter(|method| policies.mutual_tls.allows(*method)).collect::<Vec<_>>()
    };
    let content = || ContentEncryption::ALL.map(ContentEncryption::as_str).to_vec();
    ProviderMetadata {
        issuer: issuer.clone(),
        authorization_endpoint: at("/authorize"),
        token_endpoint: at("/token"),
        userinfo_endpoint: at("/userinfo"),
        jwks_uri: at("/jwks"),
        introspection_endpoint: at("/introspect"),
        revocation_endpoint: at("/revoke"),
        end_session_endpoint: at("/end-session"),
        device_authorization_endpoint: at("/device_authorization"),
        check_session_iframe: at("/check-session"),
        backchannel_logout_supported: true,
        backchannel_logout_session_supported: true,
        frontchannel_logout_supported: true,
        frontchannel_logout_session_supported: true,
        pushed_authorization_request_endpoint: at("/par"),
        require_pushed_authorization_requests: policies.protection.require_pushed_requests,
        tls_client_certificate_bound_access_tokens: policies.mutual_tls.enabled.then_some(true),
        mtls_endpoint_aliases: aliases(&policies.mutual_tls),
        dpop_signing_alg_values_supported: DPOP_ALGORITHMS.map(Algorithm::as_str).to_vec(),
        registration_endpoint: policies.registration.as_ref().map(|_| at("/register")),
        client_id_metadata_document_supported: policies.client_documents.as_ref().map(|_| true),
        authorization_details_types_supported: catalogue.detail_types().names().map(str::to_owned).collect(),
        scopes_supported: catalogue.supported().map(ToString::to_string).collect(),
        response_types_supported: ResponseType::ALL.to_vec(),
        response_modes_supported: ResponseMode::ALL.to_vec(),
        grant_types_supported: GrantType::ALL.to_vec(),
        acr_values_supported: Acr::ALL.to_vec(),
        subject_types_supported: SubjectType::NAMES,
        id_token_signing_alg_values_supported: signing.clone(),
        id_token_encryption_alg_values_supported: management(),
        id_token_encryption_enc_values_supported: content(),
        userinfo_signing_alg_values_supported: signing.clone(),
        authorization_signing_alg_values_supported: signing.clone(),
        authorization_encryption_alg_values_supported: management(),
        authorization_encryption_enc_values_supported: content(),
        userinfo_encryption_alg_values_supported: management(),
        userinfo_encryption_enc_values_supported: content(),
        token_endpoint_auth_methods_supported: methods(),
        token_endpoint_auth_signing_alg_values_supported: client_algorithms.clone(),
        introspection_endpoint_auth_methods_supported: vec![
            AuthMethod::ClientSecretBasic,
            AuthMethod::ClientSecretPost,
        ],
        introspection_signing_alg_values_supported: signing,
        introspection_encryption_alg_values_supported: management(),
        introspection_encryption_enc_values_supported: content(),
        revocation_endpoint_auth_methods_supported: methods(),
        revocation_endpoint_auth_signing_alg_values_supported: client_algorithms.clone(),
        claim_types_supported: ["normal"],
        claims_supported: ID_TOKEN_CLAIMS.into_iter().chain(claim_names()).collect(),
        claims_parameter_supported: true,
        request_parameter_supported: true,
        request_uri_parameter_supported: true,
        require_request_uri_registration: true,
        request_object_signing_alg_values_supported: client_algorithms.clone(),
        request_object_encryption_enc_values_supported: match opening.is_empty() {
            true => Vec::new(),
            false => content(),
        },
        request_object_encryption_alg_values_supported: opening,
        code_challenge_methods_supported: ["S256"],
        authorization_response_iss_parameter_supported: true,
        display_values_supported: DISPLAYS,
        ui_locales_supported: policies.ui_locales.clone(),
        service_documentation: None,
    }
}

/// The endpoints at the host that asks for certificates, if it is not the issuer's (MT-07).
fn aliases(mutual: &MutualTls) -> Option<EndpointAliases> {
    let base = mutual.alias.as_ref().filter(|_| mutual.enabled)?;
    let at = |path: &str| format!("{base}{path}");
    Some(EndpointAliases {
        token_endpoint: at("/token"),
        pushed_authorization_request_endpoint: at("/par"),
        revocation_endpoint: at("/revoke"),
        introspection_endpoint: at("/introspect"),
        device_authorization_endpoint: at("/device_authorization"),
        userinfo_endpoint: at("/userinfo"),
    })
}
