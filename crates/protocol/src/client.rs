//! Client metadata (RFC 7591 §2, OpenID Connect Registration §2): how a client describes itself.
//!
//! This is the wire form. Whether a set of members may be registered together is decided by
//! `tokens`, which turns it into the client that the endpoints know.

use std::fmt;

use serde::{Deserialize, Serialize};
use serde_json::Value;

pub use crate::uri::ApplicationType;

macro_rules! wire_enum {
    ($(#[$doc:meta])* $name:ident { $($(#[$vdoc:meta])* $variant:ident = $text:literal),* $(,)? }) => {
        $(#[$doc])*
        #[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
        pub enum $name { $($(#[$vdoc])* #[serde(rename = $text)] $variant),* }

        impl $name {
            /// Every value that this server knows.
            pub const ALL: &[Self] = &[$(Self::$variant),*];

            /// The value on the wire.
            pub const fn as_str(self) -> &'static str {
                match self { $(Self::$variant => $text),* }
            }

            /// The value of that name, if this server knows it.
            pub fn parse(text: &str) -> Option<Self> {
                Self::ALL.iter().copied().find(|value| value.as_str() == text)
            }
        }

        impl fmt::Display for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str(self.as_str())
            }
        }
    };
}

wire_enum! {
    /// How a client authenticates at the token endpoint (RFC 7591 §2, OpenID Connect Core §9).
    AuthMethod {
        /// No secret: a public client.
        None = "none",
        /// HTTP Basic.
        ClientSecretBasic = "client_secret_basic",
        /// Secret in the form body.
        ClientSecretPost = "client_secret_post",
        /// Signed assertion (RFC 7523).
        PrivateKeyJwt = "private_key_jwt",
        /// Certificate of a trusted authority (RFC 8705 §2.1).
        TlsClientAuth = "tls_client_auth",
        /// Certificate with a registered key (RFC 8705 §2.2).
        SelfSignedTlsClientAuth = "self_signed_tls_client_auth",
    }
}

wire_enum! {
    /// A grant type (RFC 6749 §4).
    GrantType {
        /// RFC 6749 §4.1.
        AuthorizationCode = "authorization_code",
        /// RFC 6749 §6.
        RefreshToken = "refresh_token",
        /// RFC 6749 §4.4.
        ClientCredentials = "client_credentials",
        /// RFC 8693.
        TokenExchange = "urn:ietf:params:oauth:grant-type:token-exchange",
        /// RFC 7523 §2.1.
        JwtBearer = "urn:ietf:params:oauth:grant-type:jwt-bearer",
        /// RFC 8628 §3.4.
        DeviceCode = "urn:ietf:params:oauth:grant-type:device_code",
        /// Stands beside `code id_token` in a registration (OpenID Connect Registration §2): an ID token
        /// leaves the authorization endpoint. The token endpoint knows no such grant, and an access
        /// token never comes of it (BCP-07).
        Implicit = "implicit",
    }
}

wire_enum! {
    /// A response type; access tokens never leave the authorization endpoint (BCP-07, O21-02).
    ResponseType {
        /// RFC 6749 §4.1.1.
        Code = "code",
        /// A code, and an ID token beside it (OpenID Connect Core §3.3).
        CodeIdToken = "code id_token",
    }
}

wire_enum! {
    /// How the authorization response travels; what the names mean is in
    /// [`response_mode`](crate::response_mode).
    ResponseMode {
        /// In the query of the redirect URI.
        Query = "query",
        /// In its fragment (OAuth 2.0 Multiple Response Types §2.1).
        Fragment = "fragment",
        /// In a form that the browser posts (OAuth 2.0 Form Post Response Mode).
        FormPost = "form_post",
        /// In a signed JWT, where the response type's default puts it (JARM §2.3.4).
        Jwt = "jwt",
        /// In a signed JWT in the query (JARM §2.3.1).
        QueryJwt = "query.jwt",
        /// In a signed JWT in the fragment (JARM §2.3.2).
        FragmentJwt = "fragment.jwt",
        /// In a signed JWT in a form that the browser posts (JARM §2.3.3).
        FormPostJwt = "form_post.jwt",
    }
}

wire_enum! {
    /// The form of access tokens.
    TokenFormat {
        /// A signed JWT (RFC 9068) that resource servers may check offline.
        Jwt = "jwt",
        /// A random value that only introspection explains (RFC 7662).
        Opaque = "opaque",
    }
}

wire_enum! {
    /// Which rules a client lives under.
    Profile {
        /// OAuth 2.1 and OpenID Connect with the security of RFC 9700.
        General = "general",
        /// FAPI 2.0 Security Profile.
        Fapi2 = "fapi2",
        /// The same with FAPI 2.0 Message Signing: signed requests and signed responses.
        Fapi2MessageSigning = "fapi2-message-signing",
    }
}

#[expect(clippy::derivable_impls, reason = "the enum is made by a macro that can't mark a default")]
impl Default for TokenFormat {
    fn default() -> Self {
        Self::Jwt
    }
}

/// What a client registers. Unknown members are refused, so that a mistyped one is noticed.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct ClientMetadata {
    /// The name that customers see on login and consent pages.
    pub client_name: Option<String>,
    /// The client's own page.
    pub client_uri: Option<String>,
    /// A picture; never hot-linked to users (DR-06).
    pub logo_uri: Option<String>,
    /// The client's privacy policy.
    pub policy_uri: Option<String>,
    /// The client's terms of service.
    pub tos_uri: Option<String>,
    /// Whom to write to.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub contacts: Vec<String>,
    /// Web or native.
    pub application_type: ApplicationType,
    /// Where responses may go.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub redirect_uris: Vec<String>,
    /// Where a person may be sent after logout (RP-Initiated Logout §3.1).
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub post_logout_redirect_uris: Vec<String>,
    /// How it authenticates; the default is `client_secret_basic` (RFC 7591 §2).
    pub token_endpoint_auth_method: Option<AuthMethod>,
    /// The algorithm of its assertions, by JWA name.
    pub token_endpoint_auth_signing_alg: Option<String>,
    /// The grants it may use; the default is `authorization_code` (RFC 7591 §2).
    pub grant_types: Option<Vec<GrantType>>,
    /// The response types it may use; the default is `code`.
    pub response_types: Option<Vec<ResponseType>>,
    /// The response modes it may ask for; without it, every one (MS-09).
    #[serde(skip_serializing_if = "Option::is_none")]
    pub response_modes: Option<Vec<ResponseMode>>,
    /// The scope it may ask for.
    pub scope: Option<crate::Scope>,
    /// Its public keys.
    pub jwks: Option<Value>,
    /// The algorithm of its ID tokens; the default is RS256 (OC-01).
    pub id_token_signed_response_alg: Option<String>,
    /// Ask again for login after so many seconds (OC-34).
    pub default_max_age: Option<u64>,
    /// Always put `auth_time` into the ID token (OC-34).
    pub require_auth_time: bool,
    /// Authentication context classes in order of preference (OC-34).
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub default_acr_values: Vec<String>,
    /// Identifies the software (RFC 7591 §2).
    pub software_id: Option<String>,
    /// Its version.
    pub software_version: Option<String>,
    /// Where its public keys are, instead of `jwks` (RFC 7591 §2).
    #[serde(skip_serializing_if = "Option::is_none")]
    pub jwks_uri: Option<String>,
    /// How its users are named to it: `public` or `pairwise` (OpenID Connect Core §8).
    #[serde(skip_serializing_if = "Option::is_none")]
    pub subject_type: Option<String>,
    /// The document that lists the redirect URIs of its sector (OpenID Connect Core §8.1).
    #[serde(skip_serializing_if = "Option::is_none")]
    pub sector_identifier_uri: Option<String>,
    /// How ID tokens are encrypted to it: the key management, by JWA name.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub id_token_encrypted_response_alg: Option<String>,
    /// How ID tokens are encrypted to it: the content encryption, by JWA name.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub id_token_encrypted_response_enc: Option<String>,
    /// The algorithm of userinfo as a JWT; without it userinfo is JSON (OC-20).
    #[serde(skip_serializing_if = "Option::is_none")]
    pub userinfo_signed_response_alg: Option<String>,
    /// How userinfo is encrypted to it: the key management.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub userinfo_encrypted_response_alg: Option<String>,
    /// How userinfo is encrypted to it: the content encryption.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub userinfo_encrypted_response_enc: Option<String>,
    /// The algorithm of its request objects (JAR-03).
    #[serde(skip_serializing_if = "Option::is_none")]
    pub request_object_signing_alg: Option<String>,
    /// How it encrypts request objects to us: the key management.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub request_object_encryption_alg: Option<String>,
    /// How it encrypts request objects to us: the content encryption.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub request_object_encryption_enc: Option<String>,
    /// Whether its authorization requests must be signed (JAR-07).
    #[serde(skip_serializing_if = "is_false")]
    pub require_signed_request_object: bool,
    /// The `request_uri` values that it may use (OC-25).
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub request_uris: Vec<String>,
    /// Where somebody else may start a login at it (OC-27).
    #[serde(skip_serializing_if = "Option::is_none")]
    pub initiate_login_uri: Option<String>,
    /// Where logout tokens go (Back-Channel Logout §2.2).
    #[serde(skip_serializing_if = "Option::is_none")]
    pub backchannel_logout_uri: Option<String>,
    /// Whether they must name the session (BL-03).
    #[serde(skip_serializing_if = "is_false")]
    pub backchannel_logout_session_required: bool,
    /// What is framed at logout (Front-Channel Logout §2).
    #[serde(skip_serializing_if = "Option::is_none")]
    pub frontchannel_logout_uri: Option<String>,
    /// Whether the frame must name the session (FL-01).
    #[serde(skip_serializing_if = "is_false")]
    pub frontchannel_logout_session_required: bool,
    /// The algorithm of its authorization responses as JWTs (JARM §3).
    #[serde(skip_serializing_if = "Option::is_none")]
    pub authorization_signed_response_alg: Option<String>,
    /// How they are encrypted to it: the key management.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub authorization_encrypted_response_alg: Option<String>,
    /// How they are encrypted to it: the content encryption.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub authorization_encrypted_response_enc: Option<String>,
    /// Its access tokens are always bound to a key by DPoP (RFC 9449 §5.2).
    #[serde(skip_serializing_if = "is_false")]
    pub dpop_bound_access_tokens: bool,
    /// Its access tokens are bound to its certificate (RFC 8705 §3.4).
    #[serde(skip_serializing_if = "is_false")]
    pub tls_client_certificate_bound_access_tokens: bool,
    /// The subject of its certificate, in the text form of RFC 4514 (RFC 8705 §2.1.2).
    #[serde(skip_serializing_if = "Option::is_none")]
    pub tls_client_auth_subject_dn: Option<String>,
    /// A DNS name of its certificate.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub tls_client_auth_san_dns: Option<String>,
    /// A URI of its certificate.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub tls_client_auth_san_uri: Option<String>,
    /// An IP address of its certificate.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub tls_client_auth_san_ip: Option<String>,
    /// An e-mail address of its certificate.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub tls_client_auth_san_email: Option<String>,
    /// The types of authorization details that it may ask for (RFC 9396 §10, RAR-02).
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub authorization_details_types: Vec<String>,
    /// Its authorization requests are always pushed (RFC 9126 §6).
    #[serde(skip_serializing_if = "is_false")]
    pub require_pushed_authorization_requests: bool,
}

const fn is_false(value: &bool) -> bool {
    !*value
}
