//! For programs: metadata, keys, token, userinfo, introspection, revocation.

pub mod device;
pub mod metadata;
pub mod pushed;
pub mod registration;
pub mod token;
pub mod userinfo;

use axum::response::Response;
use flows::dpop::NonceOf;
use http::{HeaderMap, HeaderName, HeaderValue, header};

use crate::App;

/// The Authorization header as it came; one that is no text counts as malformed, not as absent.
fn authorization(headers: &HeaderMap) -> Option<&str> {
    headers.get(header::AUTHORIZATION).map(|value| value.to_str().unwrap_or("?"))
}

const DPOP_NONCE: HeaderName = HeaderName::from_static("dpop-nonce");

/// Says the nonce for the next proof, where proofs need one: in every answer, so that nobody has to be
/// refused to learn it (DP-07).
fn with_nonce(app: &App, server: NonceOf, mut response: Response) -> Response {
    let nonce = app.service.dpop_nonce(server).and_then(|nonce| HeaderValue::from_maybe_shared(nonce).ok());
    if let Some(nonce) = nonce {
        response.headers_mut().insert(DPOP_NONCE, nonce);
    }
    response
}
