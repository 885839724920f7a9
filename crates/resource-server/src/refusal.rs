//! Every refusal: its status, its challenges and its body, in one table.

use http::{
    HeaderName, HeaderValue, Response, StatusCode,
    header::{CACHE_CONTROL, CONTENT_TYPE, RETRY_AFTER, WWW_AUTHENTICATE},
};
use jose::DpopFault;
use serde_json::json;

use crate::{
    access::Lacking,
    presented::{PresentationFault, Scheme},
    token::TokenFault,
};

/// The header with which a server hands out nonces (RFC 9449 §8).
pub(crate) const DPOP_NONCE: HeaderName = HeaderName::from_static("dpop-nonce");

/// Why a request does not come through.
#[derive(Debug, thiserror::Error)]
pub enum Refusal {
    /// No token, or not as it must be sent.
    #[error(transparent)]
    Presentation(#[from] PresentationFault),
    /// The token does not count here.
    #[error(transparent)]
    Token(#[from] TokenFault),
    /// The proof does not count (RFC 9449 §7.1).
    #[error(transparent)]
    Proof(#[from] DpopFault),
    /// The proof was used before (RFC 9449 §11.1).
    #[error("the proof was used before")]
    Replayed,
    /// The token counts, and does not allow this.
    #[error(transparent)]
    Lacking(#[from] Lacking),
    /// The issuer could not be asked. Nothing is let through on a guess.
    #[error("the issuer of access tokens cannot be reached")]
    IssuerUnavailable,
}

impl Refusal {
    /// The status (RFC 6750 §3.1, RFC 9449 §7.1, RFC 9470 §3).
    #[must_use]
    pub const fn status(&self) -> StatusCode {
        match self {
            Self::Presentation(PresentationFault::InQuery | PresentationFault::Malformed) => {
                StatusCode::BAD_REQUEST
            }
            Self::Presentation(PresentationFault::Absent | PresentationFault::Proof)
            | Self::Token(_)
            | Self::Proof(_)
            | Self::Replayed
            | Self::Lacking(Lacking::Authentication { .. }) => StatusCode::UNAUTHORIZED,
            Self::Lacking(_) => StatusCode::FORBIDDEN,
            Self::IssuerUnavailable => StatusCode::SERVICE_UNAVAILABLE,
        }
    }

    /// The error code on the wire. None when nothing was presented (RFC 6750 §3.1).
    #[must_use]
    pub const fn code(&self) -> Option<&'static str> {
        Some(match self {
            Self::Presentation(PresentationFault::Absent) => return None,
            Self::Presentation(PresentationFault::InQuery | PresentationFault::Malformed) => {
                "invalid_request"
            }
            Self::Presentation(PresentationFault::Proof) | Self::Replayed => "invalid_dpop_proof",
            Self::Proof(fault) if fault.wants_nonce() => "use_dpop_nonce",
            Self::Proof(_) => "invalid_dpop_proof",
            Self::Token(_) => "invalid_token",
            Self::Lacking(Lacking::Authentication { .. }) => "insufficient_user_authentication",
            Self::Lacking(_) => "insufficient_scope",
            Self::IssuerUnavailable => "temporarily_unavailable",
        })
    }

    /// What the client is told. Fixed text, or the route's own demand: nothing that the client sent comes
    /// back, not even what is wrong with the inside of its proof.
    #[must_use]
    pub fn description(&self) -> String {
        match self {
            Self::Proof(DpopFault::Jose(_) | DpopFault::Key(_) | DpopFault::Claim(_)) => {
                "the proof is not a DPoP proof with an acceptable key and algorithm".to_owned()
            }
            told => told.to_string(),
        }
    }

    /// The answer. `scheme` is how the token came; without one both are offered.
    #[must_use]
    pub fn response<B: From<String>>(&self, scheme: Option<Scheme>, nonce: Option<&str>) -> Response<B> {
        let body = json!({ "error": self.code().unwrap_or("unauthorized"), "error_description": self.description() });
        let mut response = Response::new(B::from(body.to_string()));
        *response.status_mut() = self.status();
        let headers = response.headers_mut();
        headers.insert(CONTENT_TYPE, HeaderValue::from_static("application/json"));
        headers.insert(CACHE_CONTROL, HeaderValue::from_static("no-store"));
        if matches!(self, Self::IssuerUnavailable) {
            headers.insert(RETRY_AFTER, HeaderValue::from_static("2"));
            return response;
        }
        // A bound token that came as a bearer token is told how it has to come (DP-12, DP-13).
        let schemes: &[Scheme] = match (self, scheme) {
            (Self::Token(TokenFault::Bound | TokenFault::BearerNotTaken), _) | (_, None) => {
                &[Scheme::Bearer, Scheme::Dpop]
            }
            (_, Some(Scheme::Bearer)) => &[Scheme::Bearer],
            (_, Some(Scheme::Dpop)) => &[Scheme::Dpop],
        };
        for scheme in schemes {
            if let Ok(value) = HeaderValue::try_from(self.challenge(*scheme)) {
                headers.append(WWW_AUTHENTICATE, value);
            }
        }
        if let Some(nonce) = nonce.and_then(|nonce| HeaderValue::try_from(nonce).ok()) {
            headers.insert(DPOP_NONCE, nonce);
        }
        response
    }

    fn challenge(&self, scheme: Scheme) -> String {
        let mut parts = Vec::new();
        if let Some(code) = self.code() {
            parts.push(format!("error=\"{code}\""));
            parts.push(format!("error_description=\"{}\"", self.description().replace(['"', '\\'], "'")));
        }
        match self {
            Self::Lacking(Lacking::Scope(scopes)) => parts.push(format!("scope=\"{}\"", scopes.join(" "))),
            Self::Lacking(Lacking::Authentication { acr_values, max_age }) => {
                if !acr_values.is_empty() {
                    parts.push(format!("acr_values=\"{}\"", acr_values.join(" ")));
                }
                parts.extend(max_age.map(|seconds| format!("max_age=\"{seconds}\"")));
            }
            _ => {}
        }
        let name = match scheme {
            Scheme::Bearer => "Bearer",
            Scheme::Dpop => {
                let algorithms: Vec<_> =
                    jose::dpop::ALGORITHMS.iter().map(|algorithm| algorithm.as_str()).collect();
                parts.push(format!("algs=\"{}\"", algorithms.join(" ")));
                "DPoP"
            }
        };
        if parts.is_empty() { name.to_owned() } else { format!("{name} {}", parts.join(", ")) }
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;

    fn challenges(refusal: &Refusal, scheme: Option<Scheme>) -> (u16, Vec<String>) {
        let response: Response<String> = refusal.response(scheme, None);
        let values = response.headers().get_all(WWW_AUTHENTICATE).iter();
        (response.status().as_u16(), values.map(|value| value.to_str().unwrap().to_owned()).collect())
    }

    #[test]
    fn dp_13_su_01_challenges_say_what_is_wanted() {
        let (status, found) = challenges(&PresentationFault::Absent.into(), None);
        assert_eq!((status, found), (401, vec!["Bearer".into(), "DPoP algs=\"PS256 ES256 EdDSA\"".into()]));
        let (status, found) = challenges(&DpopFault::NonceMissing.into(), Some(Scheme::Dpop));
        assert_eq!(status, 401);
        assert!(found.len() == 1 && found[0].starts_with("DPoP error=\"use_dpop_nonce\", "), "{found:?}");
        let (status, found) = challenges(&TokenFault::Bound.into(), Some(Scheme::Bearer));
        assert_eq!(status, 401);
        assert!(found[1].starts_with("DPoP error=\"invalid_token\", "), "{found:?}");
        let step_up = Lacking::Authentication { acr_values: vec!["strong".into()], max_age: Some(60) };
        let (status, found) = challenges(&step_up.into(), Some(Scheme::Bearer));
        assert_eq!(status, 401);
        assert!(found[0].starts_with("Bearer error=\"insufficient_user_authentication\", "), "{found:?}");
        assert!(found[0].ends_with(", acr_values=\"strong\", max_age=\"60\""), "{found:?}");
        let (status, found) =
            challenges(&Lacking::Scope(vec!["a".into(), "b".into()]).into(), Some(Scheme::Bearer));
        assert_eq!(status, 403);
        assert!(found[0].ends_with(", scope=\"a b\""), "{found:?}");
        assert_eq!(challenges(&Refusal::IssuerUnavailable, None), (503, vec![]));
    }

    #[test]
    fn dp_13_nothing_of_a_proof_comes_back() {
        let fault = DpopFault::Jose(jose::JoseFault::Algorithm("x\"\u{7f} é".into()));
        let (status, found) = challenges(&fault.into(), Some(Scheme::Dpop));
        assert_eq!(status, 401);
        assert_eq!(
            found,
            ["DPoP error=\"invalid_dpop_proof\", error_description=\"the proof is not a DPoP proof with an \
                acceptable key and algorithm\", algs=\"PS256 ES256 EdDSA\""]
        );
    }
}
