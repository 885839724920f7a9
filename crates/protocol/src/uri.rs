//! URIs that clients register, and the rules for each kind.
//!
//! A URI that a browser will be sent to is the most abused value of OAuth. What may be registered
//! is decided here once, for redirect URIs and for the logout URIs that follow the same rules.

use std::fmt;

use serde::{Deserialize, Serialize};
use url::{Host, Url};

/// Where an authorization response goes (RFC 6749 §3.1.2). Kept as the exact text, because
/// matching is by string comparison (BCP-01).
#[derive(Clone, Debug, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(transparent)]
pub struct RedirectUri(String);

/// Why a URI can't be registered.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum UriFault {
    /// Not an absolute URI, longer than 2000 characters, or with a wildcard.
    #[error("is not an absolute URI of at most 2000 characters without wildcard")]
    Malformed,
    /// Has a fragment (RFC 6749 §3.1.2).
    #[error("may not have a fragment")]
    Fragment,
    /// Has user information (BCP-02).
    #[error("may not have user information")]
    UserInfo,
    /// `http` outside a native client's loopback address (F2-24, RFC 8252 §7.3).
    #[error("may use http only for a native client, on 127.0.0.1 or [::1]")]
    PlainHttp,
    /// A private-use scheme of a web client, or one that is no reversed domain name
    /// (BCP-21, RFC 8252 §7.1).
    #[error("may use a private-use scheme only for a native client, in reverse-domain form")]
    PrivateScheme,
    /// A scheme that runs or shows content instead of reaching a client (BCP-21).
    #[error("uses a scheme that is never allowed")]
    ForbiddenScheme,
}

/// Whether a client runs on a web server or on a device (OpenID Connect Registration §2).
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum ApplicationType {
    /// On a web server, or in a browser.
    #[default]
    Web,
    /// On a person's device, with loopback or private-use redirect URIs (RFC 8252).
    Native,
}

const FORBIDDEN: [&str; 9] =
    ["javascript", "data", "vbscript", "file", "blob", "about", "filesystem", "ws", "wss"];

impl RedirectUri {
    /// Takes a URI for registration by a client of the given type.
    ///
    /// # Errors
    /// [`UriFault`] says which rule it breaks.
    pub fn register(text: &str, application: ApplicationType) -> Result<Self, UriFault> {
        if text.len() > 2000 || text.contains('*') || !text.bytes().all(|b| (0x21..=0x7e).contains(&b)) {
            return Err(UriFault::Malformed);
        }
        let url = Url::parse(text).map_err(|_| UriFault::Malformed)?;
        if url.fragment().is_some() {
            return Err(UriFault::Fragment);
        }
        if !url.username().is_empty() || url.password().is_some() {
            return Err(UriFault::UserInfo);
        }
        if matches!(url.scheme(), "https" | "http") && !is_spelt_out(text) {
            return Err(UriFault::Malformed);
        }
        match url.scheme() {
            "https" => url.host().map(|_| ()).ok_or(UriFault::Malformed)?,
            "http" if application == ApplicationType::Native && is_loopback(&url) => {}
            "http" => return Err(UriFault::PlainHttp),
            scheme if FORBIDDEN.contains(&scheme) => return Err(UriFault::ForbiddenScheme),
            scheme if application == ApplicationType::Native && scheme.contains('.') => {}
            _ => return Err(UriFault::PrivateScheme),
        }
        Ok(Self(text.to_owned()))
    }

    /// The URI as registered.
    pub fn as_str(&self) -> &str {
        &self.0
    }

    /// Whether a request may name `requested` where `self` is registered: the same string, or, for
    /// a native client's loopback redirect, the same but for the port (BCP-01, RFC 8252 §7.3).
    pub fn admits(&self, requested: &str, application: ApplicationType) -> bool {
        self.0 == requested
            || (application == ApplicationType::Native && same_but_loopback_port(&self.0, requested))
    }

    /// The source expression that lets a form's answer lead there under `form-action` (BCP-22): the
    /// origin, or the bare scheme where no origin can be said: of a private-use URI, and of an IPv6
    /// address, which a host source can't be (CSP Level 3 §2.3.1).
    pub fn csp_source(uri: &str) -> Option<String> {
        let url = Url::parse(uri).ok()?;
        match (url.scheme(), url.host()) {
            ("http" | "https", Some(Host::Domain(_) | Host::Ipv4(_))) => {
                Some(url.origin().ascii_serialization())
            }
            (scheme, _) => Some(format!("{scheme}:")),
        }
    }
}

impl fmt::Display for RedirectUri {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

/// Whether an http or https URL has its two slashes and no backslash. URL parsing forgives both, but a
/// browser that reads `https:app.example/cb` in a redirect takes it for a path of ours.
fn is_spelt_out(text: &str) -> bool {
    !text.contains('\\') && text.split_once(':').is_some_and(|(_, rest)| rest.starts_with("//"))
}

fn is_loopback(url: &Url) -> bool {
    match url.host() {
        Some(Host::Ipv4(address)) => address.is_loopback() && address.octets() == [127, 0, 0, 1],
        Some(Host::Ipv6(address)) => address.is_loopback(),
        _ => false,
    }
}

/// Compares all but the port as text, so that nothing which URL parsing would fold together
/// (`%2e`, tabs, backslashes) can slip through.
fn same_but_loopback_port(registered: &str, requested: &str) -> bool {
    fn split(text: &str) -> Option<(&str, &str)> {
        let rest = text.strip_prefix("http://")?;
        let host_end = if rest.starts_with('[') {
            rest.find(']')? + 1
        } else {
            rest.find([':', '/', '?']).unwrap_or(rest.len())
        };
        let (host, tail) = rest.split_at(host_end);
        if !matches!(host, "127.0.0.1" | "[::1]") {
            return None;
        }
        let tail = match tail.strip_prefix(':') {
            None => tail,
            Some(ported) => {
                let digits = ported.bytes().take_while(u8::is_ascii_digit).count();
                (digits > 0 && ported.get(..digits)?.parse::<u16>().is_ok()).then_some(())?;
                ported.get(digits..)?
            }
        };
        (tail.is_empty() || tail.starts_with(['/', '?'])).then_some((host, tail))
    }
    matches!((split(registered), split(requested)), (Some(a), Some(b)) if a == b)
}

/// An `https` URL with a host that a person or a server may be sent to: client, logo, policy and
/// terms pages (DR-06), `initiate_login_uri` (OC-27).
pub fn is_https_url(text: &str) -> bool {
    text.len() <= 2000
        && is_spelt_out(text)
        && Url::parse(text).is_ok_and(|url| {
            url.scheme() == "https"
                && url.host().is_some()
                && url.username().is_empty()
                && url.password().is_none()
        })
}

/// A resource indicator: an absolute URI without fragment (RI-01, RFC 8707 §2).
pub fn is_resource_indicator(text: &str) -> bool {
    text.len() <= 2000 && !text.contains('#') && Url::parse(text).is_ok()
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;
    use rstest::rstest;

    use super::*;

    use ApplicationType::{Native, Web};

    #[rstest]
    #[case("https://app.example/cb", Web, Ok(()))]
    #[case("https://app.example/cb?x=1", Web, Ok(()))]
    #[case("https://app.example/cb#f", Web, Err(UriFault::Fragment))]
    #[case("https://app.example/cb#", Web, Err(UriFault::Fragment))]
    #[case("https://u:p@app.example/cb", Web, Err(UriFault::UserInfo))]
    #[case("https://*.example/cb", Web, Err(UriFault::Malformed))]
    #[case("/cb", Web, Err(UriFault::Malformed))]
    #[case("https:app.example/cb", Web, Err(UriFault::Malformed))]
    #[case("https:/app.example/cb", Web, Err(UriFault::Malformed))]
    #[case("https:\\\\app.example\\cb", Web, Err(UriFault::Malformed))]
    #[case("http:127.0.0.1/cb", Native, Err(UriFault::Malformed))]
    #[case("http://127.0.0.1/cb", Web, Err(UriFault::PlainHttp))]
    #[case("http://127.0.0.1/cb", Native, Ok(()))]
    #[case("http://[::1]:9/cb", Native, Ok(()))]
    #[case("http://localhost/cb", Native, Err(UriFault::PlainHttp))]
    #[case("http://app.example/cb", Native, Err(UriFault::PlainHttp))]
    #[case("javascript:alert(1)", Native, Err(UriFault::ForbiddenScheme))]
    #[case("data:text/html,x", Native, Err(UriFault::ForbiddenScheme))]
    #[case("com.example.app:/cb", Native, Ok(()))]
    #[case("com.example.app:/cb", Web, Err(UriFault::PrivateScheme))]
    #[case("myapp:/cb", Native, Err(UriFault::PrivateScheme))]
    fn bcp_02_bcp_21_f2_24_registration(
        #[case] uri: &str,
        #[case] application: ApplicationType,
        #[case] expected: Result<(), UriFault>,
    ) {
        assert_eq!(RedirectUri::register(uri, application).map(|_| ()), expected);
    }

    #[rstest]
    #[case("https://a.example/cb", "https://a.example/cb", Web, true)]
    #[case("https://a.example/cb", "https://a.example/cb/", Web, false)]
    #[case("https://a.example/cb", "https://a.example/CB", Web, false)]
    #[case("https://a.example/cb", "https://a.example:443/cb", Web, false)]
    #[case("https://a.example/cb", "https://a.example/cb?x=1", Web, false)]
    #[case("http://127.0.0.1/cb", "http://127.0.0.1:5000/cb", Native, true)]
    #[case("http://127.0.0.1:1/cb", "http://127.0.0.1:5000/cb", Native, true)]
    #[case("http://127.0.0.1:1/cb", "http://127.0.0.1/cb", Native, true)]
    #[case("http://[::1]/cb", "http://[::1]:5000/cb", Native, true)]
    #[case("http://127.0.0.1/cb", "http://127.0.0.1:5000/cb", Web, false)]
    #[case("http://127.0.0.1/cb", "http://[::1]:5000/cb", Native, false)]
    #[case("http://127.0.0.1/cb", "http://127.0.0.1:5000@evil.example/cb", Native, false)]
    #[case("http://127.0.0.1/cb", "http://127.0.0.1.evil.example/cb", Native, false)]
    #[case("http://127.0.0.1/cb", "http://127.0.0.1:99999/cb", Native, false)]
    #[case("http://127.0.0.1/cb", "http://127.0.0.1:5000/other", Native, false)]
    #[case("https://a.example/cb", "https://a.example:5000/cb", Native, false)]
    fn bcp_01_matching(
        #[case] registered: &str,
        #[case] requested: &str,
        #[case] application: ApplicationType,
        #[case] admitted: bool,
    ) {
        assert_eq!(RedirectUri(registered.into()).admits(requested, application), admitted);
    }

    #[test]
    fn dr_06_pages_are_spelt_out_https_urls() {
        assert!(is_https_url("https://app.example/privacy"));
        for text in
            ["http://app.example", "https:app.example", "https:\\\\app.example", "https://u@app.example"]
        {
            assert!(!is_https_url(text), "{text}");
        }
    }

    #[test]
    fn bcp_22_sources() {
        assert_eq!(RedirectUri::csp_source("https://a.example:8/cb").as_deref(), Some("https://a.example:8"));
        assert_eq!(RedirectUri::csp_source("com.example.app:/cb").as_deref(), Some("com.example.app:"));
        assert_eq!(RedirectUri::csp_source("http://[::1]:5000/cb").as_deref(), Some("http:"));
    }

    proptest! {
        #[test]
        fn nothing_panics(text in "\\PC{0,80}", other in "\\PC{0,80}") {
            let _ = RedirectUri::register(&text, Native);
            let _ = same_but_loopback_port(&format!("http://{text}"), &format!("http://{other}"));
        }
    }
}
