//! Provider metadata (OpenID Connect Discovery §3, RFC 8414 §2).
//!
//! Every member is built from configuration and from the enums that the endpoints really match on,
//! so the document can't promise what the code does not do (OC-26).

use serde::Serialize;

use crate::{
    acr::Acr,
    client::{AuthMethod, GrantType, ResponseMode, ResponseType},
};

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
    /// The catalogue of scopes.
    pub scopes_supported: Vec<String>,
    /// `code` alone.
    pub response_types_supported: Vec<ResponseType>,
    /// `query`, `form_post`.
    pub response_modes_supported: Vec<ResponseMode>,
    /// RFC 6749 §4.
    pub grant_types_supported: Vec<GrantType>,
    /// The classes that `acr_values` may ask for.
    pub acr_values_supported: Vec<Acr>,
    /// Always `public`.
    pub subject_types_supported: [&'static str; 1],
    /// By JWA name.
    pub id_token_signing_alg_values_supported: Vec<&'static str>,
    /// At the token endpoint.
    pub token_endpoint_auth_methods_supported: Vec<AuthMethod>,
    /// Algorithms of client assertions.
    pub token_endpoint_auth_signing_alg_values_supported: Vec<&'static str>,
    /// At the introspection endpoint.
    pub introspection_endpoint_auth_methods_supported: Vec<AuthMethod>,
    /// At the revocation endpoint.
    pub revocation_endpoint_auth_methods_supported: Vec<AuthMethod>,
    /// Algorithms of client assertions at the revocation endpoint.
    pub revocation_endpoint_auth_signing_alg_values_supported: Vec<&'static str>,
    /// Always `normal`.
    pub claim_types_supported: [&'static str; 1],
    /// Claims that ID tokens and userinfo may have.
    pub claims_supported: Vec<&'static str>,
    /// OpenID Connect Core §5.5: not supported.
    pub claims_parameter_supported: bool,
    /// OC-28: said although it is the default.
    pub request_parameter_supported: bool,
    /// OC-28: said, because the default would be true.
    pub request_uri_parameter_supported: bool,
    /// S256 alone (BCP-06).
    pub code_challenge_methods_supported: [&'static str; 1],
    /// RFC 9207 §3 (IS-01).
    pub authorization_response_iss_parameter_supported: bool,
    /// Languages of the pages.
    pub ui_locales_supported: Vec<String>,
    /// What a developer should read.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub service_documentation: Option<String>,
}
