//! How a refusal looks on the wire: one table from reason to status, `WWW-Authenticate` (RFC 6750 §3) and body.

use axum::{
    Json,
    http::{HeaderValue, StatusCode, header},
    response::{IntoResponse, Response},
};
use serde_json::json;

use crate::token::TokenRefusal;

/// Why a request is refused.
#[derive(Debug, thiserror::Error)]
pub(crate) enum Refusal {
    #[error("this API needs an access token")]
    NoToken,
    #[error("{0}")]
    InvalidRequest(&'static str),
    #[error("{0}")]
    InvalidToken(#[from] TokenRefusal),
    #[error("the access token lacks the scope {0}")]
    InsufficientScope(&'static str),
    #[error("the access token lacks the role {role}")]
    MissingRole { role: &'static str, scope: &'static str },
    /// Somebody must be asked anew who they are (RFC 9470 §3).
    #[error("this takes a stronger or more recent authentication of the customer")]
    StepUp { acr: &'static str, max_age: i64 },
    #[error("the access token speaks for no customer")]
    NoCustomer,
    #[error("the issuer of access tokens cannot be reached")]
    IssuerUnavailable,
    #[error("there is no such account")]
    NoSuchAccount,
    #[error("{0}")]
    InvalidPayment(&'static str),
    #[error("the account does not hold that much")]
    Unaffordable,
}

impl Refusal {
    fn status(&self) -> StatusCode {
        match self {
            Self::NoToken | Self::InvalidToken(_) | Self::StepUp { .. } => StatusCode::UNAUTHORIZED,
            Self::InvalidRequest(_) | Self::InvalidPayment(_) => StatusCode::BAD_REQUEST,
            Self::InsufficientScope(_) | Self::MissingRole { .. } | Self::NoCustomer => StatusCode::FORBIDDEN,
            Self::NoSuchAccount => StatusCode::NOT_FOUND,
            Self::Unaffordable => StatusCode::UNPROCESSABLE_ENTITY,
            Self::IssuerUnavailable => StatusCode::SERVICE_UNAVAILABLE,
        }
    }

    fn code(&self) -> &'static str {
        match self {
            Self::NoToken => "unauthorized",
            Self::InvalidRequest(_) => "invalid_request",
            Self::InvalidToken(_) => "invalid_token",
            Self::InsufficientScope(_) | Self::MissingRole { .. } | Self::NoCustomer => "insufficient_scope",
            Self::StepUp { .. } => "insufficient_user_authentication",
            Self::IssuerUnavailable => "temporarily_unavailable",
            Self::NoSuchAccount => "not_found",
            Self::InvalidPayment(_) => "invalid_payment",
            Self::Unaffordable => "insufficient_funds",
        }
    }

    /// The challenge of RFC 6750 §3. Without any credentials it names no error (§3.1); refusals that have
    /// nothing to do with the token have no challenge.
    fn challenge(&self) -> Option<String> {
        const REALM: &str = "Bearer realm=\"accounts\"";
        let error = || format!("{REALM}, error=\"{}\", error_description=\"{self}\"", self.code());
        match self {
            Self::NoToken => Some(REALM.to_owned()),
            Self::InvalidRequest(_) | Self::InvalidToken(_) | Self::NoCustomer => Some(error()),
            Self::StepUp { acr, max_age } => {
                Some(format!("{}, acr_values=\"{acr}\", max_age=\"{max_age}\"", error()))
            }
            Self::InsufficientScope(scope) | Self::MissingRole { scope, .. } => {
                Some(format!("{}, scope=\"{scope}\"", error()))
            }
            _ => None,
        }
    }
}

impl IntoResponse for Refusal {
    fn into_response(self) -> Response {
        let body = Json(json!({ "error": self.code(), "error_description": self.to_string() }));
        let mut response = (self.status(), body).into_response();
        let headers = response.headers_mut();
        if let Some(challenge) = self.challenge().and_then(|text| HeaderValue::try_from(text).ok()) {
            headers.insert(header::WWW_AUTHENTICATE, challenge);
        }
        if matches!(self, Self::IssuerUnavailable) {
            headers.insert(header::RETRY_AFTER, HeaderValue::from_static("2"));
        }
        headers.insert(header::CACHE_CONTROL, HeaderValue::from_static("no-store"));
        response
    }
}
