//! The token request and its response (RFC 6749 §4.1.3, §4.4.2, §5.1, §6).

use serde::{Deserialize, Serialize};

use crate::{
    Scope,
    authorization_details::{AuthorizationDetails, DetailsFault},
    client::GrantType,
    exchange::{JwtBearerRequest, TokenExchangeRequest},
    params::Params,
    secret::{AccessToken, AuthorizationCode, CodeVerifierText, DeviceCode, PresentedToken, RefreshToken},
    uri::is_resource_indicator,
};

/// A token request by what it asks for. Client credentials are not in it: they were taken off
/// before (`ClientCredentials` in `tokens`).
#[derive(Clone, Debug)]
pub enum TokenRequest {
    /// Redeem a code (RFC 6749 §4.1.3).
    AuthorizationCode(CodeRequest),
    /// Refresh (RFC 6749 §6).
    RefreshToken(RefreshRequest),
    /// A client on its own behalf (RFC 6749 §4.4.2).
    ClientCredentials(ClientCredentialsRequest),
    /// A token for another (RFC 8693).
    TokenExchange(Box<TokenExchangeRequest>),
    /// An assertion about a person (RFC 7523 §2.1).
    JwtBearer(JwtBearerRequest),
    /// A device that polls (RFC 8628 §3.4).
    DeviceCode(DeviceTokenRequest),
}

/// The members of a device's poll.
#[derive(Clone, Debug)]
pub struct DeviceTokenRequest {
    /// `device_code`.
    pub device_code: DeviceCode,
    /// `resource` indicators, which can only narrow.
    pub resources: Vec<String>,
}

/// The members of a code redemption.
#[derive(Clone, Debug)]
pub struct CodeRequest {
    /// `code`.
    pub code: AuthorizationCode,
    /// `redirect_uri`; optional with PKCE, compared when it came (O21-05).
    pub redirect_uri: Option<String>,
    /// `code_verifier`, its form not yet checked.
    pub code_verifier: Option<CodeVerifierText>,
    /// `resource` indicators, which can only narrow (RFC 8707 §2.2).
    pub resources: Vec<String>,
    /// `authorization_details`, which can only narrow (RFC 9396 §6).
    pub details: Option<AuthorizationDetails>,
}

/// The members of a refresh.
#[derive(Clone, Debug)]
pub struct RefreshRequest {
    /// `refresh_token`.
    pub refresh_token: RefreshToken,
    /// `scope`, which can only narrow (RF-01).
    pub scope: Option<Scope>,
    /// `resource` indicators, which can only narrow.
    pub resources: Vec<String>,
    /// `authorization_details`, which can only narrow (RFC 9396 §6).
    pub details: Option<AuthorizationDetails>,
}

/// The members of a client credentials request.
#[derive(Clone, Debug)]
pub struct ClientCredentialsRequest {
    /// `scope`.
    pub scope: Option<Scope>,
    /// `resource` indicators.
    pub resources: Vec<String>,
    /// `authorization_details`.
    pub details: Option<AuthorizationDetails>,
}

/// What is wrong with the form of a token request.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum TokenRequestFault {
    /// A parameter came more than once (O21-04).
    #[error("parameter {0} is repeated")]
    Repeated(String),
    /// A parameter that the grant type needs did not come.
    #[error("{0} is missing")]
    Missing(&'static str),
    /// A grant type that this server does not have, `password` included (F2-07).
    #[error("grant_type is not supported")]
    UnsupportedGrantType,
    /// `scope` has characters that no scope has.
    #[error("scope is malformed")]
    ScopeMalformed,
    /// `resource` is no absolute URI without fragment (RI-01).
    #[error("resource is not an absolute URI without fragment")]
    ResourceMalformed,
    /// `authorization_details` is no array of typed objects (RAR-01).
    #[error(transparent)]
    Details(#[from] DetailsFault),
    /// `authorization_details` beside a grant that never has any.
    #[error("this grant type takes no authorization_details")]
    DetailsUnexpected,
    /// A type of token that this server does not take or make there (TX-01).
    #[error("{0} is not a type of token that can be exchanged here")]
    TokenTypeUnknown(&'static str),
}

impl TokenRequest {
    /// Reads the parameters.
    ///
    /// # Errors
    /// The first [`TokenRequestFault`].
    pub fn parse(params: &Params) -> Result<Self, TokenRequestFault> {
        use TokenRequestFault as Fault;
        if let Some(name) = params.repeated() {
            return Err(Fault::Repeated(name.to_owned()));
        }
        let required = |name: &'static str| params.get(name).ok_or(Fault::Missing(name));
        let grant_type = GrantType::parse(required("grant_type")?).ok_or(Fault::UnsupportedGrantType)?;
        let resources: Vec<String> = params.all("resource").map(str::to_owned).collect();
        if !resources.iter().all(|resource| is_resource_indicator(resource)) {
            return Err(Fault::ResourceMalformed);
        }
        let scope = params.get("scope").map(str::parse).transpose().map_err(|_| Fault::ScopeMalformed);
        let details = AuthorizationDetails::parameter(params)?;
        if details.is_some() && matches!(grant_type, GrantType::JwtBearer | GrantType::DeviceCode) {
            return Err(Fault::DetailsUnexpected);
        }
        Ok(match grant_type {
            GrantType::AuthorizationCode => Self::AuthorizationCode(CodeRequest {
                code: AuthorizationCode::new(required("code")?),
                redirect_uri: params.get("redirect_uri").map(str::to_owned),
                code_verifier: params.get("code_verifier").map(CodeVerifierText::new),
                resources,
                details,
            }),
            GrantType::RefreshToken => Self::RefreshToken(RefreshRequest {
                refresh_token: RefreshToken::new(required("refresh_token")?),
                scope: scope?,
                resources,
                details,
            }),
            GrantType::ClientCredentials => {
                Self::ClientCredentials(ClientCredentialsRequest { scope: scope?, resources, details })
            }
            GrantType::TokenExchange => Self::TokenExchange(Box::new(TokenExchangeRequest::parse(
                params, scope?, resources, details,
            )?)),
            GrantType::JwtBearer => Self::JwtBearer(JwtBearerRequest {
                assertion: PresentedToken::new(required("assertion")?),
                scope: scope?,
                resources,
            }),
            GrantType::DeviceCode => Self::DeviceCode(DeviceTokenRequest {
                device_code: DeviceCode::new(required("device_code")?),
                resources,
            }),
            // A word of registrations; nothing is granted here.
            GrantType::Implicit => return Err(Fault::UnsupportedGrantType),
        })
    }

    /// The grant type that the request names.
    pub fn grant_type(&self) -> GrantType {
        match self {
            Self::AuthorizationCode(_) => GrantType::AuthorizationCode,
            Self::RefreshToken(_) => GrantType::RefreshToken,
            Self::ClientCredentials(_) => GrantType::ClientCredentials,
            Self::TokenExchange(_) => GrantType::TokenExchange,
            Self::JwtBearer(_) => GrantType::JwtBearer,
            Self::DeviceCode(_) => GrantType::DeviceCode,
        }
    }
}

/// The key that an access token is bound to: `cnf` (RFC 7800 §3.1).
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Confirmation {
    /// The thumbprint of a DPoP key, in base64url (RFC 9449 §6.1).
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub jkt: Option<String>,
    /// The thumbprint of a certificate, in base64url (RFC 8705 §3.1).
    #[serde(rename = "x5t#S256", skip_serializing_if = "Option::is_none", default)]
    pub x5t_s256: Option<String>,
}

impl Confirmation {
    /// `token_type` of a token that is bound like that: only DPoP has a scheme of its own (RFC 9449 §5).
    pub fn token_type(bound: Option<&Self>) -> &'static str {
        if bound.is_some_and(|bound| bound.jkt.is_some()) { "DPoP" } else { "Bearer" }
    }
}

/// A successful answer of the token endpoint (RFC 6749 §5.1). Sent with `no-store` (BCP-18).
#[derive(Clone, Debug, Serialize)]
pub struct TokenResponse {
    /// The access token.
    pub access_token: AccessToken,
    /// `Bearer`, or `DPoP` (RFC 9449 §5).
    pub token_type: &'static str,
    /// Its lifetime in seconds; always there (ER-03).
    pub expires_in: i64,
    /// The scope that was granted; left out where only details were, as no scope is empty (RFC 6749 §3.3).
    #[serde(skip_serializing_if = "Scope::is_empty")]
    pub scope: Scope,
    /// What exactly was granted, enriched maybe (RFC 9396 §7, RAR-03).
    #[serde(skip_serializing_if = "AuthorizationDetails::is_empty")]
    pub authorization_details: AuthorizationDetails,
    /// What was issued; only in the answer to a token exchange (RFC 8693 §2.2.1).
    #[serde(skip_serializing_if = "Option::is_none")]
    pub issued_token_type: Option<&'static str>,
    /// The refresh token, where the grant has one.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub refresh_token: Option<RefreshToken>,
    /// The ID token, where the scope has `openid` (F2-33, OC-10).
    #[serde(skip_serializing_if = "Option::is_none")]
    pub id_token: Option<String>,
}

#[cfg(test)]
mod tests {
    use rstest::rstest;

    use super::*;

    fn parse(body: &str) -> Result<GrantType, TokenRequestFault> {
        TokenRequest::parse(&Params::parse(body.as_bytes()).unwrap()).map(|request| request.grant_type())
    }

    #[rstest]
    #[case("grant_type=password&username=u&password=p", TokenRequestFault::UnsupportedGrantType)]
    #[case("grant_type=authorization_code", TokenRequestFault::Missing("code"))]
    #[case("grant_type=refresh_token", TokenRequestFault::Missing("refresh_token"))]
    #[case("code=c", TokenRequestFault::Missing("grant_type"))]
    #[case("grant_type=authorization_code&code=a&code=b", TokenRequestFault::Repeated("code".into()))]
    #[case("grant_type=client_credentials&scope=%22", TokenRequestFault::ScopeMalformed)]
    #[case(
        "grant_type=client_credentials&authorization_details=x",
        TokenRequestFault::Details(DetailsFault::NotJson)
    )]
    #[case(
        "grant_type=urn:ietf:params:oauth:grant-type:device_code&authorization_details=%5B%7B%22type%22:%22a%22%7D%5D",
        TokenRequestFault::DetailsUnexpected
    )]
    fn f2_07_o21_04_refused_forms(#[case] body: &str, #[case] fault: TokenRequestFault) {
        assert_eq!(parse(body), Err(fault));
    }

    #[test]
    fn the_three_grants() {
        assert_eq!(parse("grant_type=authorization_code&code=c"), Ok(GrantType::AuthorizationCode));
        assert_eq!(parse("grant_type=refresh_token&refresh_token=r"), Ok(GrantType::RefreshToken));
        assert_eq!(parse("grant_type=client_credentials"), Ok(GrantType::ClientCredentials));
    }
}
