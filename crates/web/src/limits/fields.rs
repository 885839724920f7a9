//! What answers say of limits: `RateLimit-Policy` and `RateLimit` (draft-ietf-httpapi-ratelimit-headers-10
//! §3, §4), and `Retry-After` of a refusal (RFC 6585 §4). Each limit that a request met has its item;
//! their lists may be split over several fields.

use std::fmt::Write;

use axum::response::Response;
use http::{HeaderName, HeaderValue, header};

use crate::{
    limits::{Standing, Verdict},
    response::json_error,
    wire::WireError,
};

/// The share as it is.
pub const RATELIMIT: HeaderName = HeaderName::from_static("ratelimit");
/// The share as it should be.
pub const RATELIMIT_POLICY: HeaderName = HeaderName::from_static("ratelimit-policy");

/// Adds what a limit says to a response.
pub fn write(response: &mut Response, standing: &Standing) {
    let Standing { limit, quota, remaining, reset } = standing;
    let mut text = String::with_capacity(48);
    for (name, value) in [
        (RATELIMIT_POLICY, format_args!("\"{limit}\";q={quota};w=60")),
        (RATELIMIT, format_args!("\"{limit}\";r={remaining};t={reset}")),
    ] {
        text.clear();
        // Writing to a String can't fail.
        let _ = text.write_fmt(value);
        if let Ok(value) = HeaderValue::from_str(&text) {
            response.headers_mut().append(name, value);
        }
    }
}

/// The refusal of an endpoint for programs, with when to come again.
pub fn refusal(error: WireError, seconds: u64) -> Response {
    let mut response = json_error(error, false);
    response.headers_mut().insert(header::RETRY_AFTER, HeaderValue::from(seconds));
    response
}

/// Counts a refusal; labels of low cardinality.
pub(super) fn count(verdict: &Verdict) {
    if let Verdict::Beyond(standing) = verdict {
        metrics::counter!("chancery_requests_limited_total", "limit" => standing.limit).increment(1);
        tracing::debug!(limit = standing.limit, "too many requests");
    }
}
