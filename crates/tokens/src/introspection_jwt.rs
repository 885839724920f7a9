//! Answers of introspection as JWTs (RFC 9701): a resource server that must prove later what it was told
//! asks for a signature.

use chrono::{DateTime, Utc};
use consent::introspection_answer::AnswerMetadataFault;
use jose::{Algorithm, jwe::EncryptFault};
use protocol::introspection::IntrospectionResponse;
use serde::Serialize;

use crate::{
    envelope::Envelope,
    mint::{Mint, MintFault},
    presented::IntrospectionCaller,
};

/// The `typ` of such a JWT (RFC 9701 §5), which is no access token's (IN-06).
pub const INTROSPECTION_TYPE: &str = "token-introspection+jwt";

/// Its claims. None of the introspected token's stands at the top, so nobody can take one for the other
/// (RFC 9701 §5, §8.1).
#[derive(Serialize)]
struct Claims<'a> {
    iss: &'a str,
    aud: &'a str,
    iat: i64,
    token_introspection: &'a IntrospectionResponse,
}

/// Why no such JWT can be made: the server's fault.
#[derive(Debug, thiserror::Error)]
pub enum SignedAnswerFault {
    /// It can't be signed.
    #[error(transparent)]
    Mint(#[from] MintFault),
    /// What the resource server registered can't be done.
    #[error(transparent)]
    Registered(#[from] AnswerMetadataFault),
    /// It can't be encrypted, so nothing is sent.
    #[error(transparent)]
    Encrypt(#[from] EncryptFault),
}

impl Mint<'_> {
    /// Signs an answer for the resource server that asked (IN-05), and encrypts it if that registered so
    /// (IN-07). `algorithms` are those of the profile of the client whose token it is about (F2-34);
    /// they count where the resource server registered none.
    ///
    /// # Errors
    /// [`SignedAnswerFault`].
    pub fn introspection(
        &self,
        caller: &IntrospectionCaller,
        response: &IntrospectionResponse,
        algorithms: &[Algorithm],
        now: DateTime<Utc>,
    ) -> Result<String, SignedAnswerFault> {
        let answer = caller.answer();
        // RFC 9701 §6. A deployment without RSA keys signs with what it signs access tokens with.
        let has = |algorithm: &Algorithm| self.keyring.signer(*algorithm).is_some();
        let usual = [Algorithm::Rs256, self.policy.access_token_algorithm];
        let usual = usual.iter().chain(algorithms).find(|usual| algorithms.contains(usual) && has(usual));
        let usual = usual.copied().unwrap_or(self.policy.access_token_algorithm);
        let algorithm = answer.algorithm()?.unwrap_or(usual);
        let key = self.keyring.signer(algorithm).ok_or(MintFault::NoKey(algorithm))?;
        let claims = Claims {
            iss: self.issuer,
            aud: caller.audience(),
            iat: now.timestamp(),
            token_introspection: response,
        };
        let token = key.sign(INTROSPECTION_TYPE, &claims).map_err(MintFault::from)?;
        let (encryption, keys) = answer.encryption()?.unzip();
        Ok(Envelope::signed(token, encryption).sealed(keys.as_ref())?)
    }
}
