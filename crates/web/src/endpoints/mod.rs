//! For programs: metadata, keys, token, userinfo, introspection, revocation.

pub mod metadata;
pub mod token;
pub mod userinfo;

use http::{HeaderMap, header};

/// The Authorization header as it came; one that is no text counts as malformed, not as absent.
fn authorization(headers: &HeaderMap) -> Option<&str> {
    headers.get(header::AUTHORIZATION).map(|value| value.to_str().unwrap_or("?"))
}
