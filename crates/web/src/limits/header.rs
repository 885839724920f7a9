//! The size of a request's header. The listener bounds what it buffers; this bounds what the router
//! looks at, whatever the version of HTTP.

use axum::extract::Request;
use http::StatusCode;

/// Fields of one request. Browsers send some twenty, proxies add a few.
pub const MAX_FIELDS: usize = 64;
/// Bytes of all names and values together.
pub const MAX_BYTES: usize = 16 * 1024;
/// Bytes of path and query. An authorization request with a signed request object is the longest.
pub const MAX_TARGET: usize = 32 * 1024;

/// 431 (RFC 6585 §5) or 414 (RFC 9110 §15.5.15), to be answered before anything reads the request.
pub fn excess(request: &Request) -> Option<StatusCode> {
    let headers = request.headers();
    let bytes: usize = headers.iter().map(|(name, value)| name.as_str().len() + value.len()).sum();
    if headers.len() > MAX_FIELDS || bytes > MAX_BYTES {
        return Some(StatusCode::REQUEST_HEADER_FIELDS_TOO_LARGE);
    }
    let target = request.uri().path_and_query().map_or(0, |target| target.as_str().len());
    (target > MAX_TARGET).then_some(StatusCode::URI_TOO_LONG)
}
