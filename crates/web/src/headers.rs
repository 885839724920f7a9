//! Security headers.
//!
//! Pages can't be framed, run no inline script and load nothing from elsewhere (BCP-12, BCP-13).
//! `form-action` admits the verified redirect target where a page leads there, because Chromium
//! applies it to the redirect that follows a post (BCP-22).

use axum::response::Response;
use http::{HeaderMap, HeaderName, HeaderValue, header};

use crate::App;

/// What a page's forms may lead to beside this server; handlers put it into a response's extensions.
#[derive(Clone, Debug)]
pub struct FormTarget(pub String);

/// What every page's answer says: nothing is stored, framed, sniffed or told to others.
pub fn protect_page(app: &App, response: &mut Response) {
    let target = response.extensions_mut().remove::<FormTarget>();
    let policy = match target {
        None => HeaderValue::from_static(POLICY),
        Some(FormTarget(target)) => content_security_policy(&target),
    };
    let fixed = [
        (header::X_FRAME_OPTIONS, "DENY"),
        (header::REFERRER_POLICY, "no-referrer"),
        (header::X_CONTENT_TYPE_OPTIONS, "nosniff"),
        (HeaderName::from_static("permissions-policy"), "camera=(), geolocation=(), microphone=()"),
    ];
    let headers = response.headers_mut();
    for (name, value) in fixed {
        headers.insert(name, HeaderValue::from_static(value));
    }
    headers.entry(header::CACHE_CONTROL).or_insert(HeaderValue::from_static("no-store"));
    headers.insert(header::CONTENT_SECURITY_POLICY, policy);
    strict_transport(app, headers);
}

/// What every answer for programs says.
pub fn protect_endpoint(app: &App, response: &mut Response) {
    let headers = response.headers_mut();
    headers.insert(header::X_CONTENT_TYPE_OPTIONS, HeaderValue::from_static("nosniff"));
    // BCP-18: whatever does not say otherwise may hold a token.
    headers.entry(header::CACHE_CONTROL).or_insert(HeaderValue::from_static("no-store"));
    strict_transport(app, headers);
}

/// F2-03: a year, subdomains included.
fn strict_transport(app: &App, headers: &mut HeaderMap) {
    if app.config.https {
        let value = HeaderValue::from_static("max-age=31536000; includeSubDomains");
        headers.insert(header::STRICT_TRANSPORT_SECURITY, value);
    }
}

const POLICY: &str = "default-src 'none'; style-src 'self'; img-src 'self' data:; script-src 'self'; \
                      font-src 'self'; base-uri 'none'; frame-ancestors 'none'; form-action 'self'";

/// The policy with one more place that a form may lead to.
fn content_security_policy(form_target: &str) -> HeaderValue {
    // A verified redirect URI holds no space or semicolon, but a header is no place for trust.
    let odd = form_target.is_empty() || form_target.contains([';', ',', ' ', '\'', '"']);
    let policy = (!odd).then(|| HeaderValue::from_maybe_shared(format!("{POLICY} {form_target}")));
    policy.and_then(Result::ok).unwrap_or(HeaderValue::from_static(POLICY))
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;

    #[test]
    fn bcp_13_bcp_22_the_policy() {
        let policy = content_security_policy("https://app.example");
        let policy = policy.to_str().unwrap();
        assert!(policy.ends_with("form-action 'self' https://app.example"), "{policy}");
        assert!(!policy.contains("unsafe"));
        for odd in ["", "x; script-src *", "x\ny"] {
            assert_eq!(content_security_policy(odd), POLICY, "{odd}");
        }
        assert!(POLICY.ends_with("form-action 'self'"));
    }
}
