//! What comes back from the bank, judged before anything in it is believed.
//!
//! The order matters: `state` first (did this browser ask?), then `iss` (did the bank that we asked answer?
//! RFC 9207 §2.4), and only then is an error shown or a code redeemed.

use openidconnect::AuthorizationCode;
use serde::Deserialize;

/// The parameters of an authorization response (RFC 6749 §4.1.2, RFC 9207 §2). A repeated one fails to parse.
#[derive(Debug, Default, Deserialize)]
pub(crate) struct Response {
    pub(crate) state: Option<String>,
    code: Option<String>,
    iss: Option<String>,
    error: Option<String>,
    error_description: Option<String>,
}

/// Why a response leads nowhere.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub(crate) enum Refusal {
    #[error("the response does not say who sent it")]
    IssuerMissing,
    #[error("the response comes from another issuer")]
    IssuerMismatch,
    #[error("the bank answered {error}")]
    Declined { error: String, description: Option<String> },
    #[error("the response holds neither a code nor an error")]
    Empty,
}

/// Judges a response whose `state` this browser is known to have sent. `issuer` is the one we asked;
/// `iss_promised` is its metadata's `authorization_response_iss_parameter_supported`.
pub(crate) fn judge(
    response: Response,
    issuer: &str,
    iss_promised: bool,
) -> Result<AuthorizationCode, Refusal> {
    match present(response.iss) {
        Some(iss) if iss != issuer => return Err(Refusal::IssuerMismatch),
        None if iss_promised => return Err(Refusal::IssuerMissing),
        _ => {}
    }
    if let Some(error) = present(response.error) {
        return Err(Refusal::Declined { error, description: present(response.error_description) });
    }
    present(response.code).map(AuthorizationCode::new).ok_or(Refusal::Empty)
}

/// An empty parameter counts as absent (RFC 6749 §3.1).
fn present(parameter: Option<String>) -> Option<String> {
    parameter.filter(|value| !value.is_empty())
}

#[cfg(test)]
mod tests {
    use super::*;

    const BANK: &str = "https://bank.example";

    fn response(query: &str) -> Response {
        parse(query).unwrap()
    }

    fn parse(query: &str) -> Result<Response, impl std::fmt::Debug> {
        let uri: http::Uri = format!("/callback?{query}").parse().unwrap();
        axum::extract::Query::<Response>::try_from_uri(&uri).map(|parsed| parsed.0)
    }

    #[test]
    fn is_01_a_response_of_another_issuer_is_refused_before_anything_else_in_it() {
        let table = [
            ("code=c&iss=https://bank.example", true, None),
            ("code=c&iss=https://bank.example", false, None),
            ("code=c", false, None),
            ("code=c", true, Some(Refusal::IssuerMissing)),
            ("code=c&iss=", true, Some(Refusal::IssuerMissing)),
            ("code=c&iss=https://bank.example/", true, Some(Refusal::IssuerMismatch)),
            ("code=c&iss=https://evil.example", false, Some(Refusal::IssuerMismatch)),
            ("error=access_denied&iss=https://evil.example", true, Some(Refusal::IssuerMismatch)),
            ("error=access_denied", true, Some(Refusal::IssuerMissing)),
        ];
        for (query, promised, refusal) in table {
            assert_eq!(judge(response(query), BANK, promised).err(), refusal, "{query} {promised}");
        }
    }

    #[test]
    fn an_error_is_passed_on_and_wins_over_a_code() {
        let declined = judge(response("error=access_denied&error_description=no&code=c"), BANK, false);
        let expected = Refusal::Declined { error: "access_denied".into(), description: Some("no".into()) };
        assert_eq!(declined.err(), Some(expected));
        assert_eq!(judge(response("state=s"), BANK, false).err(), Some(Refusal::Empty));
    }

    #[test]
    fn o21_04_a_repeated_parameter_is_refused() {
        for query in ["code=a&code=b", "code=a&state=s&state=s", "code=a&iss=x&iss=y"] {
            assert!(parse(query).is_err(), "{query}");
        }
        assert!(parse("code=a&unknown=1&unknown=2").is_ok(), "unknown parameters are ignored");
    }
}
