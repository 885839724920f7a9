//! Cross-origin rules (Fetch standard, "HTTP extensions"): browser apps call the endpoints for
//! programs from anywhere, without cookies (BCP-23). They are the same for every origin, so the
//! headers are constants and answers do not vary by origin.

use axum::response::Response;
use http::{HeaderMap, HeaderName, HeaderValue, header};

const SHARED: [(HeaderName, &str); 2] = [
    (header::ACCESS_CONTROL_ALLOW_ORIGIN, "*"),
    (
        header::ACCESS_CONTROL_EXPOSE_HEADERS,
        "www-authenticate,retry-after,ratelimit,ratelimit-policy,dpop-nonce",
    ),
];
const PREFLIGHT: [(HeaderName, &str); 4] = [
    (header::ACCESS_CONTROL_ALLOW_ORIGIN, "*"),
    (header::ACCESS_CONTROL_ALLOW_METHODS, "GET,POST"),
    (header::ACCESS_CONTROL_ALLOW_HEADERS, "authorization,content-type,dpop"),
    (header::ACCESS_CONTROL_MAX_AGE, "3600"),
];

/// Lets scripts of any origin read an answer.
pub fn share(response: &mut Response) {
    insert(response.headers_mut(), SHARED);
}

/// The answer to a browser that asks before it sends a request; whatever it asks, it learns the rules.
pub fn preflight() -> Response {
    let mut response = Response::default();
    insert(response.headers_mut(), PREFLIGHT);
    response
}

fn insert<const N: usize>(headers: &mut HeaderMap, fixed: [(HeaderName, &'static str); N]) {
    for (name, value) in fixed {
        headers.insert(name, HeaderValue::from_static(value));
    }
}
