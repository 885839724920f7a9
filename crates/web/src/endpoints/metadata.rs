//! The well-known documents and the key set.

use axum::{
    Json,
    extract::State,
    response::{IntoResponse, Response},
};
use http::{HeaderValue, header};

use crate::App;

/// GET `/.well-known/openid-configuration` and `/.well-known/oauth-authorization-server` (F2-06).
pub async fn provider(State(app): State<App>) -> Response {
    cached(&app, Json(app.service.metadata()).into_response())
}

/// GET `/jwks` (RFC 7517 §5).
pub async fn jwks(State(app): State<App>) -> Response {
    let body = app.service.declared().keyring.jwks_json().to_owned();
    cached(&app, ([(header::CONTENT_TYPE, "application/jwk-set+json")], body).into_response())
}

/// How long clients may keep it is configured; new keys are announced for at least as long before
/// they sign (OC-22).
fn cached(app: &App, mut response: Response) -> Response {
    let value = HeaderValue::from_str(&format!("public, max-age={}", app.config.jwks_cache_seconds));
    if let Ok(value) = value {
        response.headers_mut().insert(header::CACHE_CONTROL, value);
    }
    response
}
