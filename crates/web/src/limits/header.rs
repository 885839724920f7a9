//! The size of a request's header. The listener bounds what it buffers; this bounds what the router
//! looks at, whatever the version of HTTP.

use axum::{
    extract::Request,
    middleware::Next,
    response::{IntoResponse, Response},
};
use http::StatusCode;

/// Fields of one request. Browsers send some twenty, proxies add a few.
pub const MAX_FIELDS: usize = 64;
/// Bytes of all names and values together.
pub const MAX_BYTES: usize = 16 * 1024;
/// Bytes of path and query. An authorization request with a signed request object is the longest.
pub const MAX_TARGET: usize = 32 * 1024;

/// The layer: 431 (RFC 6585 §5) or 414 (RFC 9110 §15.5.15), before anything reads the request.
pub async fn bound(request: Request, next: Next) -> Response {
    let headers = request.headers();
    let bytes: usize = headers.iter().map(|(name, value)| name.as_str().len() + value.len()).sum();
    if headers.len() > MAX_FIELDS || bytes > MAX_BYTES {
        return StatusCode::REQUEST_HEADER_FIELDS_TOO_LARGE.into_response();
    }
    if request.uri().path_and_query().is_some_and(|target| target.as_str().len() > MAX_TARGET) {
        return StatusCode::URI_TOO_LONG.into_response();
    }
    next.run(request).await
}
