//! Whoever sent a token is who it was issued to: DPoP (RFC 9449 §7.2) and mutual TLS (RFC 8705 §3).

use jose::{Digest, VerifiedDpop, digest::sha256};

use crate::{
    presented::Scheme,
    token::{AccessToken, TokenFault},
};

/// The certificate with which the client made the connection, in DER. Whoever ends TLS puts it among the
/// extensions of a request; a header from a proxy counts only if the proxy is the only one who can set it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ClientCertificate(pub Vec<u8>);

impl ClientCertificate {
    /// Its SHA-256 thumbprint (RFC 8705 §3.1).
    #[must_use]
    pub fn thumbprint(&self) -> Digest {
        sha256(&self.0)
    }
}

/// Whether the sender proves what the token is bound to. `proof` was verified for this request and this
/// token, and is seen for the first time.
///
/// # Errors
/// [`TokenFault::Bound`], [`TokenFault::Unbound`], or [`TokenFault::BearerNotTaken`] where only bound
/// tokens are taken.
pub fn check(
    token: &AccessToken,
    scheme: Scheme,
    proof: Option<&VerifiedDpop>,
    certificate: Option<&ClientCertificate>,
    bound_only: bool,
) -> Result<(), TokenFault> {
    let same = |expected: &str, found: Option<Digest>| matches!((expected.parse::<Digest>(), found), (Ok(expected), Some(found)) if expected == found);
    match (&token.jkt, scheme) {
        (Some(jkt), Scheme::Dpop) if same(jkt, proof.map(VerifiedDpop::thumbprint)) => {}
        // Under the scheme Bearer a key proves nothing, whatever header comes with it (DP-12).
        (Some(_), _) => return Err(TokenFault::Bound),
        (None, Scheme::Dpop) => return Err(TokenFault::Unbound),
        (None, Scheme::Bearer) => {}
    }
    match &token.x5t_s256 {
        Some(expected) if same(expected, certificate.map(ClientCertificate::thumbprint)) => {}
        Some(_) => return Err(TokenFault::Bound),
        None if bound_only && token.jkt.is_none() => return Err(TokenFault::BearerNotTaken),
        None => {}
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use serde_json::json;

    use super::*;
    use crate::token::tests::token;

    #[test]
    fn mt_05_a_certificate_bound_token_counts_only_with_its_certificate() {
        let (own, other) = (ClientCertificate(b"own".to_vec()), ClientCertificate(b"other".to_vec()));
        let bound = token(&json!({"cnf": {"x5t#S256": own.thumbprint().to_string()}})).unwrap();
        let check = |certificate| check(&bound, Scheme::Bearer, None, certificate, true);
        assert_eq!(check(Some(&own)), Ok(()));
        assert_eq!(check(Some(&other)), Err(TokenFault::Bound));
        assert_eq!(check(None), Err(TokenFault::Bound));
    }

    #[test]
    fn dp_12_a_key_bound_token_is_no_bearer_token_and_the_reverse() {
        let bound = token(&json!({"cnf": {"jkt": sha256("key").to_string()}})).unwrap();
        let bearer = token(&json!({})).unwrap();
        assert_eq!(check(&bound, Scheme::Bearer, None, None, false), Err(TokenFault::Bound));
        assert_eq!(check(&bound, Scheme::Dpop, None, None, false), Err(TokenFault::Bound));
        assert_eq!(check(&bearer, Scheme::Dpop, None, None, false), Err(TokenFault::Unbound));
        assert_eq!(check(&bearer, Scheme::Bearer, None, None, false), Ok(()));
        assert_eq!(check(&bearer, Scheme::Bearer, None, None, true), Err(TokenFault::BearerNotTaken));
        let garbage = token(&json!({"cnf": {"jkt": "short"}})).unwrap();
        assert_eq!(check(&garbage, Scheme::Dpop, None, None, false), Err(TokenFault::Bound));
    }
}
