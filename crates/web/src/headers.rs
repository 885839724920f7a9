//! Security headers.
//!
//! Pages can't be framed, run no inline script and load nothing from elsewhere (BCP-12, BCP-13).
//! `form-action` admits the verified redirect target where a page leads there, because Chromium
//! applies it to the redirect that follows a post (BCP-22).

use axum::{
    extract::{Request, State},
    middleware::Next,
    response::Response,
};
use http::{HeaderName, HeaderValue, header};

use crate::App;

/// What a page's forms may lead to beside this server; handlers put it into a response's extensions.
#[derive(Clone, Debug)]
pub struct FormTarget(pub String);

/// The layer around every page: nothing is stored, framed, sniffed or told to others.
pub async fn protect_pages(State(app): State<App>, request: Request, next: Next) -> Response {
    let mut response = next.run(request).await;
    let target = response.extensions_mut().remove::<FormTarget>();
    let policy = content_security_policy(target.as_ref().map(|target| target.0.as_str()));
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
    if let Ok(policy) = HeaderValue::from_str(&policy) {
        headers.insert(header::CONTENT_SECURITY_POLICY, policy);
    }
    strict_transport(&app, &mut response);
    response
}

/// The layer around endpoints for programs.
pub async fn protect_endpoints(State(app): State<App>, request: Request, next: Next) -> Response {
    let mut response = next.run(request).await;
    let headers = response.headers_mut();
    headers.insert(header::X_CONTENT_TYPE_OPTIONS, HeaderValue::from_static("nosniff"));
    // BCP-18: whatever does not say otherwise may hold a token.
    headers.entry(header::CACHE_CONTROL).or_insert(HeaderValue::from_static("no-store"));
    strict_transport(&app, &mut response);
    response
}

/// F2-03: a year, subdomains included.
fn strict_transport(app: &App, response: &mut Response) {
    if app.config.https {
        let value = HeaderValue::from_static("max-age=31536000; includeSubDomains");
        response.headers_mut().insert(header::STRICT_TRANSPORT_SECURITY, value);
    }
}

fn content_security_policy(form_target: Option<&str>) -> String {
    // A verified redirect URI holds no space or semicolon, but a header is no place for trust.
    let target =
        form_target.filter(|target| !target.contains([';', ',', ' ', '\'', '"'])).unwrap_or_default();
    format!(
        "default-src 'none'; style-src 'self'; img-src 'self' data:; script-src 'self'; font-src 'self'; \
         base-uri 'none'; frame-ancestors 'none'; form-action 'self' {target}"
    )
    .trim_end()
    .to_owned()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn bcp_13_bcp_22_the_policy() {
        let policy = content_security_policy(Some("https://app.example"));
        assert!(policy.ends_with("form-action 'self' https://app.example"), "{policy}");
        assert!(!policy.contains("unsafe"));
        assert!(content_security_policy(None).ends_with("form-action 'self'"));
        assert!(content_security_policy(Some("x; script-src *")).ends_with("form-action 'self'"));
    }
}
