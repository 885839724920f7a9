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

/// What a page frames, as source expressions; only the page after a logout frames anything (BCP-12).
#[derive(Clone, Debug)]
pub struct FrameSources(pub Vec<String>);

/// A page that other sites frame: the one that answers session checks (BCP-13).
#[derive(Clone, Copy, Debug)]
pub struct Embeddable;

/// The upstream providers that a page's forms may lead to, as origins.
#[derive(Clone, Debug)]
pub struct UpstreamTargets(pub Vec<String>);

/// What every page's answer says: nothing is stored, framed, sniffed or told to others.
pub fn protect_page(app: &App, response: &mut Response) {
    let marks = response.extensions_mut();
    let (target, frames) = (marks.remove::<FormTarget>(), marks.remove::<FrameSources>());
    let embeddable = marks.remove::<Embeddable>().is_some();
    let upstreams = marks.remove::<UpstreamTargets>();
    let policy = match (target, frames) {
        _ if embeddable => HeaderValue::from_static(EMBEDDED_POLICY),
        (target, None) if upstreams.is_some() => {
            upstream_policy(target.as_ref(), upstreams.as_ref().map_or(&[], |UpstreamTargets(list)| list))
        }
        (None, None) => HeaderValue::from_static(POLICY),
        (Some(FormTarget(target)), _) => content_security_policy(&target),
        (None, Some(FrameSources(sources))) => framing_policy(&sources),
    };
    if !embeddable {
        response.headers_mut().insert(header::X_FRAME_OPTIONS, HeaderValue::from_static("DENY"));
    }
    let fixed = [
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

/// The policy of a page whose forms may lead to upstream providers as well. Both that is no plain origin
/// is left out.
fn upstream_policy(target: Option<&FormTarget>, upstreams: &[String]) -> HeaderValue {
    let sources = target.map(|FormTarget(target)| target).into_iter().chain(upstreams);
    let plain = |source: &&String| !source.is_empty() && !source.contains([';', ',', ' ', '\'', '"']);
    let sources: Vec<&str> = sources.filter(plain).map(String::as_str).collect();
    let policy = HeaderValue::from_maybe_shared(format!("{POLICY} {}", sources.join(" ")));
    policy.unwrap_or(HeaderValue::from_static(POLICY))
}

/// What a page that others frame may do: run our own script.
const EMBEDDED_POLICY: &str = "default-src 'none'; script-src 'self'; base-uri 'none'; form-action 'none'";

/// The policy with exactly these frames (FL-01). A source that is no plain origin is left out.
fn framing_policy(sources: &[String]) -> HeaderValue {
    let plain = |source: &&String| !source.contains([';', ',', ' ', '\'', '"']);
    let mut sources: Vec<&str> = sources.iter().filter(plain).map(String::as_str).collect();
    sources.sort_unstable();
    sources.dedup();
    let policy = HeaderValue::from_maybe_shared(format!("{POLICY}; frame-src {}", sources.join(" ")));
    policy.unwrap_or(HeaderValue::from_static(POLICY))
}

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
    fn bcp_22_forms_may_lead_to_upstream_providers() {
        let upstreams = ["https://north.example", "x; script-src *", ""].map(str::to_owned);
        let target = FormTarget("https://app.example".into());
        let policy = upstream_policy(Some(&target), &upstreams);
        assert_eq!(policy, format!("{POLICY} https://app.example https://north.example"));
        assert_eq!(upstream_policy(None, &upstreams), format!("{POLICY} https://north.example"));
    }

    #[test]
    fn fl_01_the_policy_names_exactly_the_frames() {
        let sources = ["https://b.example", "https://a.example", "https://b.example", "x; script-src *"];
        let policy = framing_policy(&sources.map(str::to_owned));
        assert_eq!(policy, format!("{POLICY}; frame-src https://a.example https://b.example"));
        assert!(!EMBEDDED_POLICY.contains("frame-ancestors") && !EMBEDDED_POLICY.contains("unsafe"));
    }

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
