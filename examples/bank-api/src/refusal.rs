//! What the bank itself refuses, and how that looks on the wire. Refusals that are about the token are those
//! of the `resource-server` crate.

use axum::{
    Json,
    body::Body,
    http::{HeaderValue, StatusCode, header},
    response::{IntoResponse, Response},
};
use resource_server::presented::Scheme;
use serde_json::json;

/// Why a request is refused that came through with a good token.
#[derive(Debug, thiserror::Error)]
pub(crate) enum Refusal {
    /// The token is good, and does not allow this very call.
    #[error("{0}")]
    Token(Box<resource_server::Refusal>, Scheme),
    #[error("the customer approved another payment than this one")]
    OtherPayment,
    #[error("this payment was approved once, and is paid")]
    PaidAlready,
    #[error("there is no such account")]
    NoSuchAccount,
    #[error("{0}")]
    InvalidPayment(&'static str),
    #[error("the account does not hold that much")]
    Unaffordable,
}

impl IntoResponse for Refusal {
    fn into_response(self) -> Response {
        let (status, code) = match &self {
            Self::Token(refusal, scheme) => return refusal.response::<Body>(Some(*scheme), None),
            Self::OtherPayment => (StatusCode::FORBIDDEN, "insufficient_scope"),
            Self::PaidAlready => (StatusCode::CONFLICT, "already_paid"),
            Self::NoSuchAccount => (StatusCode::NOT_FOUND, "not_found"),
            Self::InvalidPayment(_) => (StatusCode::BAD_REQUEST, "invalid_payment"),
            Self::Unaffordable => (StatusCode::UNPROCESSABLE_ENTITY, "insufficient_funds"),
        };
        let body = Json(json!({ "error": code, "error_description": self.to_string() }));
        let mut response = (status, body).into_response();
        response.headers_mut().insert(header::CACHE_CONTROL, HeaderValue::from_static("no-store"));
        response
    }
}
