//! Provider metadata (OpenID Connect Discovery §3, RFC 8414 §2).
//!
//! Every member is built from configuration and from the enums that the endpoints really match on,
//! so the document can't promise what the code does not do (OC-26).

use serde::Serialize;

use crate::{
    acr::Acr,
    client::{AuthMethod, GrantType, ResponseMode, ResponseType},
};

/// Where clients that show a certificate find the endpoints (RFC 8705 §5).
#[derive(Clone, Debug, Serialize)]
pub struct EndpointAliases {
    /// RFC 6749 §3.2.
    pub token_endpoint: String,
    /// RFC 9126.
    pub pushed_authorization_request_endpoint: String,
    /// RFC 7009.
    pub revocation_endpoint: String,
    /// RFC 7662.
    pub introspection_endpoint: String,
    /// RFC 8628.
    pub device_authorization_endpoint: String,
    /// OpenID Connect Core §5.3.
    pub userinfo_endpoint: String,
}

/// The document that both well-known paths serve (F2-06).
#[derive(Clone, Debug, Serialize)]
pub struct ProviderMetadata {
    /// The issuer, without trailing slash unless it was configured so.
    pub issuer: String,
    /// RFC 6749 §3.1.
    pub authorization_endpoint: String,
    /// RFC 6749 §3.2.
    pub token_endpoint: String,
    /// OpenID Connect Core §5.3.
    pub userinfo_endpoint: String,
    /// RFC 7517 §5.
    pub jwks_uri: String,
    /// RFC 7662.
    pub introspection_endpoint: String,
    /// RFC 7009.
    pub revocation_endpoint: String,
    /// RP-Initiated Logout §2.1.
    pub end_session_endpoint: String,
    /// RFC 8628 §4.
    pub device_authorization_endpoint: String,
    /// Session Management §3.3.
    pub check_session_iframe: String,
    /// Back-Channel Logout §2.1.
    pub backchannel_logout_supported: bool,
    /// Back-Channel Logout §2.1: logout tokens have `sid`.
    pub backchannel_logout_session_supported: bool,
    /// Front-Channel Logout §3.
    pub frontchannel_logout_supported: bool,
    /// Front-Channel Logout §3: frames carry `iss` and `sid`.
    pub frontchannel_logout_session_supported: bool,
    /// RFC 9126 §5.
    pub pushed_authorization_request_endpoint: String,
    /// RFC 9126 §5: whether nothing else will do.
    pub require_pushed_authorization_requests: bool,
    /// RFC 9449 §5.1 (DP-10).
    pub dpop_signing_alg_values_supported: Vec<&'static str>,
    /// RFC 8705 §3.3; said only where clients can show certificates (MT-06).
    #[serde(skip_serializing_if = "Option::is_none")]
    pub tls_client_certificate_bound_access_tokens: Option<bool>,
    /// RFC 8705 §5; only where clients that show certificates have a host of their own (MT-07).
    #[serde(skip_serializing_if = "Option::is_none")]
    pub mtls_endpoint_aliases: Option<EndpointAliases>,
    /// RFC 7591 §3; only where registration is switched on.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub registration_endpoint: Option<String>,
    /// Client ID Metadata Documents §5; said only where it is so.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub client_id_metadata_document_supported: Option<bool>,
    /// RFC 9396 §10; only where types are declared.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub authorization_details_types_supported: Vec<String>,
    /// The catalogue of scopes.
    pub scopes_supported: Vec<String>,
    /// Each for clients that registered it.
    pub response_types_supported: Vec<ResponseType>,
    /// Each for clients that registered it, or registered nothing about modes.
    pub response_modes_supported: Vec<ResponseMode>,
    /// RFC 6749 §4.
    pub grant_types_supported: Vec<GrantType>,
    /// The classes that `acr_values` may ask for.
    pub acr_values_supported: Vec<Acr>,
    /// `public`, `pairwise` (OC-21).
    pub subject_types_supported: [&'static str; 2],
    /// By JWA name.
    pub id_token_signing_alg_values_supported: Vec<&'static str>,
    /// Key management of encrypted ID tokens.
    pub id_token_encryption_alg_values_supported: Vec<&'static str>,
    /// Content encryption of encrypted ID tokens.
    pub id_token_encryption_enc_values_supported: Vec<&'static str>,
    /// Algorithms of signed userinfo; unsigned, which it is by default, has none (OC-20).
    pub userinfo_signing_alg_values_supported: Vec<&'static str>,
    /// Key management of encrypted userinfo.
    pub userinfo_encryption_alg_values_supported: Vec<&'static str>,
    /// Content encryption of encrypted userinfo.
    pub userinfo_encryption_enc_values_supported: Vec<&'static str>,
    /// What signs authorization responses that are JWTs (JARM §4); `none` is never among them (MS-07).
    pub authorization_signing_alg_values_supported: Vec<&'static str>,
    /// Key management of encrypted ones (JARM §4).
    pub authorization_encryption_alg_values_supported: Vec<&'static str>,
    /// Content encryption of encrypted ones (JARM §4).
    pub authorization_encryption_enc_values_supported: Vec<&'static str>,
    /// At the token endpoint.
    pub token_endpoint_auth_methods_supported: Vec<AuthMethod>,
    /// Algorithms of client assertions.
    pub token_endpoint_auth_signing_alg_values_supported: Vec<&'static str>,
    /// At the introspection endpoint.
    pub introspection_endpoint_auth_methods_supported: Vec<AuthMethod>,
    /// Of answers as JWTs (RFC 9701 §7), by JWA name.
    pub introspection_signing_alg_values_supported: Vec<&'static str>,
    /// Of answers as JWTs: the key management.
    pub introspection_encryption_alg_values_supported: Vec<&'static str>,
    /// Of answers as JWTs: the content encryption.
    pub introspection_encryption_enc_values_supported: Vec<&'static str>,
    /// At the revocation endpoint.
    pub revocation_endpoint_auth_methods_supported: Vec<AuthMethod>,
    /// Algorithms of client assertions at the revocation endpoint.
    pub revocation_endpoint_auth_signing_alg_values_supported: Vec<&'static str>,
    /// Always `normal`.
    pub claim_types_supported: [&'static str; 1],
    /// Claims that ID tokens and userinfo may have.
    pub claims_supported: Vec<&'static str>,
    /// OpenID Connect Core §5.5 (OC-18).
    pub claims_parameter_supported: bool,
    /// OC-28: said, because the default would be false.
    pub request_parameter_supported: bool,
    /// OC-28: said although it is the default.
    pub request_uri_parameter_supported: bool,
    /// OC-25: only references that the client registered.
    pub require_request_uri_registration: bool,
    /// By JWA name; `none` is never among them (OC-28).
    pub request_object_signing_alg_values_supported: Vec<&'static str>,
    /// How request objects may be encrypted to us: the key management, as our published keys have it.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub request_object_encryption_alg_values_supported: Vec<&'static str>,
    /// The content encryption beside it.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub request_object_encryption_enc_values_supported: Vec<&'static str>,
    /// S256 alone (BCP-06).
    pub code_challenge_methods_supported: [&'static str; 1],
    /// RFC 9207 §3 (IS-01).
    pub authorization_response_iss_parameter_supported: bool,
    /// The same pages serve each (Core §3.1.2.1).
    pub display_values_supported: [&'static str; 3],
    /// Languages of the pages.
    pub ui_locales_supported: Vec<String>,
    /// What a developer should read.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub service_documentation: Option<String>,
}
