//! Token introspection (RFC 7662).

use serde::Serialize;

use crate::{ClientId, GrantId, Scope, authorization_details::AuthorizationDetails, params::Params};

/// An introspection request; the resource server's credentials were taken off before.
#[derive(Clone, Debug)]
pub struct IntrospectionRequest {
    /// `token`: an access or a refresh token as somebody presented it.
    pub token: crate::secret::PresentedToken,
}

/// What is wrong with the form of an introspection or revocation request.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum TokenParameterFault {
    /// A parameter came more than once (O21-04).
    #[error("parameter {0} is repeated")]
    Repeated(String),
    /// `token` did not come.
    #[error("token is missing")]
    Missing,
}

impl IntrospectionRequest {
    /// Reads the parameters; `token_type_hint` may be anything and decides nothing.
    ///
    /// # Errors
    /// [`TokenParameterFault`].
    pub fn parse(params: &Params) -> Result<Self, TokenParameterFault> {
        token_parameter(params).map(|token| Self { token: crate::secret::PresentedToken::new(token) })
    }
}

/// The `token` parameter that introspection and revocation share.
pub(crate) fn token_parameter(params: &Params) -> Result<&str, TokenParameterFault> {
    if let Some(name) = params.repeated() {
        return Err(TokenParameterFault::Repeated(name.to_owned()));
    }
    params.get("token").ok_or(TokenParameterFault::Missing)
}

/// The answer (RFC 7662 §2.2).
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum IntrospectionResponse {
    /// Unknown, expired, revoked, or none of the asker's business: all alike (IN-02).
    Inactive,
    /// A live token of which the asker is an audience.
    Active(Box<ActiveToken>),
}

/// The members of an active answer (IN-03), minimal for the resource server that asks.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct ActiveToken {
    /// The scope, as far as it concerns the asker; left out where only details are left.
    #[serde(skip_serializing_if = "Scope::is_empty")]
    pub scope: Scope,
    /// The client that holds the token.
    pub client_id: ClientId,
    /// The person, or the client itself for client_credentials.
    pub sub: String,
    /// Expiry, seconds since 1970.
    pub exp: i64,
    /// Issue, seconds since 1970.
    pub iat: i64,
    /// The audience that asked.
    pub aud: String,
    /// The issuer.
    pub iss: String,
    /// The token's identifier.
    pub jti: String,
    /// `Bearer`, or `DPoP` (RFC 9449 §6.2).
    pub token_type: &'static str,
    /// The key that it is bound to.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub cnf: Option<crate::token::Confirmation>,
    /// The grant that the token came from.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub grant_id: Option<GrantId>,
    /// When the person was authenticated, seconds since 1970 (SU-02).
    #[serde(skip_serializing_if = "Option::is_none")]
    pub auth_time: Option<i64>,
    /// How strongly.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub acr: Option<crate::acr::Acr>,
    /// By which methods.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub amr: Vec<crate::acr::Amr>,
    /// The roles that the scopes give at this audience.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub roles: Vec<String>,
    /// What exactly it allows at this audience (RFC 9396 §9.2, RAR-05).
    #[serde(skip_serializing_if = "AuthorizationDetails::is_empty")]
    pub authorization_details: AuthorizationDetails,
    /// Who acts for the person, after a token exchange (RFC 8693 §4.1).
    #[serde(skip_serializing_if = "Option::is_none")]
    pub act: Option<serde_json::Value>,
    /// Who alone may act for the person (RFC 8693 §4.4).
    #[serde(skip_serializing_if = "Option::is_none")]
    pub may_act: Option<serde_json::Value>,
}

impl Serialize for IntrospectionResponse {
    fn serialize<S: serde::Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        #[derive(Serialize)]
        struct Body<'a> {
            active: bool,
            #[serde(flatten)]
            token: Option<&'a ActiveToken>,
        }
        let token = match self {
            Self::Inactive => None,
            Self::Active(token) => Some(&**token),
        };
        Body { active: token.is_some(), token }.serialize(serializer)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn in_02_an_inactive_answer_says_nothing_else() {
        assert_eq!(serde_json::to_string(&IntrospectionResponse::Inactive).unwrap(), r#"{"active":false}"#);
    }
}
