//! What a request brings: one access token, how it is said to be bound, and the proof.

use http::{HeaderMap, Uri, header::AUTHORIZATION};

/// The longest token that is looked at, in bytes; the limit of a JWT too (JO-01).
const MAX_TOKEN_BYTES: usize = 16 * 1024;

/// The scheme under which the token came (RFC 6750 §2.1, RFC 9449 §7.1).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Scheme {
    /// `Bearer`: for tokens that are not bound, or bound to a certificate.
    Bearer,
    /// `DPoP`: for tokens that are bound to a key.
    Dpop,
}

/// An access token as it was sent.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Presented<'a> {
    /// Its scheme.
    pub scheme: Scheme,
    /// The token.
    pub token: &'a str,
    /// The proof of possession in the `DPoP` header.
    pub proof: Option<&'a str>,
}

/// Why there is none.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum PresentationFault {
    /// No credentials at all.
    #[error("this API needs an access token")]
    Absent,
    /// Where it would end in logs and histories (OAuth 2.1 §5, O21-03).
    #[error("access tokens are not accepted in the query")]
    InQuery,
    /// More than one way, or one that can't be read.
    #[error("the Authorization header is malformed, or there is more than one")]
    Malformed,
    /// More than one proof (RFC 9449 §4.3), or one that is no text.
    #[error("the DPoP header is malformed, or there is more than one")]
    Proof,
}

/// The token from the one place where it is taken: the `Authorization` header (F2-38). Scheme names have no
/// letter case (DP-12).
///
/// # Errors
/// [`PresentationFault`].
pub fn presented<'a>(headers: &'a HeaderMap, uri: &Uri) -> Result<Presented<'a>, PresentationFault> {
    let query = uri.query().unwrap_or_default();
    if url::form_urlencoded::parse(query.as_bytes()).any(|(name, _)| name == "access_token") {
        return Err(PresentationFault::InQuery);
    }
    let value = one(headers, AUTHORIZATION.as_str(), PresentationFault::Malformed)?;
    let proof = one(headers, "dpop", PresentationFault::Proof)?;
    let (scheme, token) =
        value.ok_or(PresentationFault::Absent)?.split_once(' ').ok_or(PresentationFault::Malformed)?;
    let scheme = if scheme.eq_ignore_ascii_case("bearer") {
        Scheme::Bearer
    } else if scheme.eq_ignore_ascii_case("dpop") {
        Scheme::Dpop
    } else {
        // Another scheme is no attempt to present an access token.
        return Err(PresentationFault::Absent);
    };
    let token = token.trim_start_matches(' ');
    if is_token(token) { Ok(Presented { scheme, token, proof }) } else { Err(PresentationFault::Malformed) }
}

/// `b64token` (RFC 6750 §2.1), which both schemes take.
fn is_token(token: &str) -> bool {
    let body = token.trim_end_matches('=');
    let allowed = |byte: u8| byte.is_ascii_alphanumeric() || b"-._~+/".contains(&byte);
    !body.is_empty() && token.len() <= MAX_TOKEN_BYTES && body.bytes().all(allowed)
}

fn one<'a>(
    headers: &'a HeaderMap,
    name: &str,
    fault: PresentationFault,
) -> Result<Option<&'a str>, PresentationFault> {
    let mut values = headers.get_all(name).iter();
    let Some(first) = values.next() else { return Ok(None) };
    if values.next().is_some() {
        return Err(fault);
    }
    first.to_str().map(Some).map_err(|_| fault)
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use http::{HeaderName, HeaderValue};

    use super::*;

    type Sent<'a> = &'a [(&'static str, &'a str)];

    fn sent(values: Sent<'_>) -> HeaderMap {
        let pair = |(name, value): &(&'static str, &str)| {
            (HeaderName::from_static(name), HeaderValue::from_str(value).unwrap())
        };
        values.iter().map(pair).collect()
    }

    #[test]
    fn f2_38_o21_03_the_token_counts_only_in_one_authorization_header() {
        let at = |path: &str| path.parse::<Uri>().unwrap();
        let headers = sent(&[("authorization", "bEARER abc")]);
        let expected = Presented { scheme: Scheme::Bearer, token: "abc", proof: None };
        assert_eq!(presented(&headers, &at("/?page=2")), Ok(expected));
        let long = format!("Bearer {}", "a".repeat(MAX_TOKEN_BYTES + 1));
        let table: [(Sent<'_>, &str, PresentationFault); 13] = [
            (&[("authorization", "Bearer abc")], "/?access_token=abc", PresentationFault::InQuery),
            (&[], "/?a=b&access%5Ftoken=abc", PresentationFault::InQuery),
            (
                &[("authorization", "Bearer a"), ("authorization", "Bearer a")],
                "/",
                PresentationFault::Malformed,
            ),
            (&[("authorization", "Bearer")], "/", PresentationFault::Malformed),
            (&[("authorization", "Bearer ")], "/", PresentationFault::Malformed),
            (&[("authorization", "Bearer a b")], "/", PresentationFault::Malformed),
            (&[("authorization", "Bearer a,DPoP a")], "/", PresentationFault::Malformed),
            (&[("authorization", "Bearer \ta")], "/", PresentationFault::Malformed),
            (&[("authorization", "Bearer a=b")], "/", PresentationFault::Malformed),
            (&[("authorization", "Bearer ==")], "/", PresentationFault::Malformed),
            (&[("authorization", &long)], "/", PresentationFault::Malformed),
            (&[("authorization", "Basic YTpi")], "/", PresentationFault::Absent),
            (&[], "/", PresentationFault::Absent),
        ];
        for (headers, uri, fault) in table {
            assert_eq!(presented(&sent(headers), &at(uri)), Err(fault), "{headers:?} {uri}");
        }
    }

    #[test]
    fn dp_12_the_scheme_has_no_letter_case_and_there_is_one_proof() {
        let uri = Uri::from_static("/");
        let headers = sent(&[("authorization", "dpop abc"), ("dpop", "proof")]);
        let expected = Presented { scheme: Scheme::Dpop, token: "abc", proof: Some("proof") };
        assert_eq!(presented(&headers, &uri), Ok(expected));
        let two = sent(&[("authorization", "DPoP abc"), ("dpop", "a"), ("dpop", "b")]);
        assert_eq!(presented(&two, &uri), Err(PresentationFault::Proof));
    }
}
