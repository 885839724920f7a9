//! The parameters of token exchange (RFC 8693 §2.1) and of the JWT bearer grant (RFC 7523 §2.1).
//!
//! The types of token are a closed list: those that this server issues. Whatever else a request names is
//! refused here, so nothing behind has to ask what to do with a SAML assertion.

use crate::{
    Scope, authorization_details::AuthorizationDetails, params::Params, secret::PresentedToken,
    token::TokenRequestFault as Fault,
};

/// A type of token that can be exchanged or asked for (RFC 8693 §3).
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum TokenType {
    /// An access token of this server, JWT or opaque.
    AccessToken,
    /// A JWT; here always an access token that is one.
    Jwt,
}

impl TokenType {
    /// Every type that this server knows.
    pub const ALL: [Self; 2] = [Self::AccessToken, Self::Jwt];

    /// The URI on the wire.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::AccessToken => "urn:ietf:params:oauth:token-type:access_token",
            Self::Jwt => "urn:ietf:params:oauth:token-type:jwt",
        }
    }

    fn parse(name: &'static str, text: &str) -> Result<Self, Fault> {
        Self::ALL.into_iter().find(|known| known.as_str() == text).ok_or(Fault::TokenTypeUnknown(name))
    }
}

/// A token with what its sender says it is.
#[derive(Clone, Debug)]
pub struct TypedToken {
    /// The token.
    pub token: PresentedToken,
    /// What it is said to be.
    pub kind: TokenType,
}

/// The members of a token exchange (RFC 8693 §2.1).
#[derive(Clone, Debug)]
pub struct TokenExchangeRequest {
    /// On whose behalf: `subject_token`.
    pub subject: TypedToken,
    /// Who acts, if not the client itself: `actor_token`.
    pub actor: Option<TypedToken>,
    /// `requested_token_type`.
    pub requested: Option<TokenType>,
    /// Where the new token is to be used: every `audience` and every `resource`.
    pub targets: Vec<String>,
    /// `scope`, which can only narrow.
    pub scope: Option<Scope>,
    /// `authorization_details`, which can only narrow (RFC 9396 §6).
    pub details: Option<AuthorizationDetails>,
}

impl TokenExchangeRequest {
    /// Reads the parameters; `resources` were found to be well-formed.
    pub(crate) fn parse(
        params: &Params,
        scope: Option<Scope>,
        resources: Vec<String>,
        details: Option<AuthorizationDetails>,
    ) -> Result<Self, Fault> {
        let typed = |token: &'static str, kind: &'static str| match (params.get(token), params.get(kind)) {
            (None, None) => Ok(None),
            // Both or neither (TX-01).
            (None, Some(_)) => Err(Fault::Missing(token)),
            (Some(_), None) => Err(Fault::Missing(kind)),
            (Some(value), Some(text)) => Ok(Some(TypedToken {
                token: PresentedToken::new(value),
                kind: TokenType::parse(kind, text)?,
            })),
        };
        let requested = params.get("requested_token_type");
        let mut targets: Vec<String> = params.all("audience").map(str::to_owned).collect();
        targets.extend(resources);
        targets.sort_unstable();
        targets.dedup();
        Ok(Self {
            subject: typed("subject_token", "subject_token_type")?.ok_or(Fault::Missing("subject_token"))?,
            actor: typed("actor_token", "actor_token_type")?,
            requested: requested.map(|text| TokenType::parse("requested_token_type", text)).transpose()?,
            targets,
            scope,
            details,
        })
    }
}

/// The members of a JWT bearer grant (RFC 7523 §2.1).
#[derive(Clone, Debug)]
pub struct JwtBearerRequest {
    /// `assertion`, a JWT of a trusted issuer about a person.
    pub assertion: PresentedToken,
    /// `scope`.
    pub scope: Option<Scope>,
    /// `resource` indicators.
    pub resources: Vec<String>,
}

#[cfg(test)]
mod tests {
    use rstest::rstest;

    use super::*;
    use crate::token::TokenRequest;

    const EXCHANGE: &str = "grant_type=urn:ietf:params:oauth:grant-type:token-exchange";
    const ACCESS: &str = "urn:ietf:params:oauth:token-type:access_token";

    fn parse(rest: &str) -> Result<TokenExchangeRequest, Fault> {
        let params = Params::parse(format!("{EXCHANGE}{rest}").as_bytes()).unwrap();
        match TokenRequest::parse(&params)? {
            TokenRequest::TokenExchange(request) => Ok(*request),
            other => panic!("{other:?}"),
        }
    }

    #[rstest]
    #[case("", Fault::Missing("subject_token"))]
    #[case("&subject_token=t", Fault::Missing("subject_token_type"))]
    #[case("&subject_token_type=urn:ietf:params:oauth:token-type:jwt", Fault::Missing("subject_token"))]
    #[case("&subject_token=t&subject_token_type=jwt", Fault::TokenTypeUnknown("subject_token_type"))]
    #[case(
        "&subject_token=t&subject_token_type=urn:ietf:params:oauth:token-type:id_token",
        Fault::TokenTypeUnknown("subject_token_type")
    )]
    #[case(
        "&subject_token=t&subject_token_type=urn:ietf:params:oauth:token-type:jwt&actor_token=a",
        Fault::Missing("actor_token_type")
    )]
    #[case(
        "&subject_token=t&subject_token_type=urn:ietf:params:oauth:token-type:jwt&actor_token_type=x",
        Fault::Missing("actor_token")
    )]
    #[case(
        "&subject_token=t&subject_token_type=urn:ietf:params:oauth:token-type:jwt&requested_token_type=x",
        Fault::TokenTypeUnknown("requested_token_type")
    )]
    #[case("&subject_token=t&subject_token=u", Fault::Repeated("subject_token".into()))]
    fn tx_01_refused_forms(#[case] rest: &str, #[case] fault: Fault) {
        assert_eq!(parse(rest).unwrap_err(), fault);
    }

    #[test]
    fn tx_01_audience_and_resource_may_repeat() {
        let rest = format!(
            "&subject_token=t&subject_token_type={ACCESS}&audience=b&audience=a&resource=https://c.example&resource=https://c.example"
        );
        let request = parse(&rest).unwrap();
        assert_eq!(request.targets, ["a", "b", "https://c.example"]);
        assert_eq!(request.subject.kind, TokenType::AccessToken);
        assert!(request.actor.is_none() && request.requested.is_none());
    }
}
