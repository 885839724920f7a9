//! Private signing keys: made, kept as wiped JSON, and parsed into signers once.
//!
//! josekit's `Jwk` prints its private members with `Debug` and frees them without wiping, so it
//! never leaves this module, and what can be wiped is.

use std::{fmt, sync::Arc};

use base64::{Engine, engine::general_purpose::URL_SAFE_NO_PAD};
use josekit::{
    JoseError,
    jwk::{
        Jwk,
        alg::{ec::EcCurve, ed::EdCurve},
    },
    jws::{self, JwsSigner},
};
use serde::Serialize;
use serde_json::{Map, Value};
use zeroize::{Zeroize, Zeroizing};

use crate::{Algorithm, JwkFault, PublicKey, aws, public::text};

/// The size of our RSA keys. 3072 bits would sign three times as slowly; 2048 are what FAPI 2.0
/// §5.4.1 and NIST SP 800-57 ask for up to 2030, and keys rotate long before. Whoever wants more
/// strength takes ES256 or EdDSA, which are also faster.
pub(crate) const RSA_BITS: u32 = 2048;

/// Why a private key cannot be made or used.
#[derive(Debug, thiserror::Error)]
pub enum KeyFault {
    /// The JSON is not a private JWK with `alg`.
    #[error("the private key is not a JWK with an allowed algorithm")]
    Malformed,
    /// The public members are refused.
    #[error(transparent)]
    Jwk(#[from] JwkFault),
    /// `kid` is not the key's thumbprint, or the halves do not belong together.
    #[error("the parts of the private key do not belong together")]
    Inconsistent,
    /// The cryptographic library failed.
    #[error("the cryptographic library refused the key")]
    Library(#[source] Box<dyn std::error::Error + Send + Sync>),
}

impl From<JoseError> for KeyFault {
    fn from(fault: JoseError) -> Self {
        Self::Library(Box::new(fault))
    }
}

/// Why a token was not signed.
#[derive(Debug, thiserror::Error)]
pub enum SignError {
    /// The claims are not a JSON object.
    #[error("the claims cannot be serialized")]
    Claims(#[from] serde_json::Error),
    /// The key did not sign.
    #[error("signing failed")]
    Signature(#[source] Box<dyn std::error::Error + Send + Sync>),
}

/// A private key at rest in memory: a private JWK as text that is wiped when dropped.
pub struct PrivateKey {
    algorithm: Algorithm,
    public: PublicKey,
    json: Zeroizing<Vec<u8>>,
}

impl PrivateKey {
    /// Makes a new key. Its randomness comes from the library's own generator, which cannot be
    /// injected; `kid` is the RFC 7638 thumbprint, so it is unique and says nothing.
    ///
    /// # Errors
    /// [`KeyFault::Library`] if the generator fails.
    pub fn generate(algorithm: Algorithm) -> Result<Self, KeyFault> {
        let jwk = match algorithm {
            Algorithm::Rs256 | Algorithm::Ps256 => Jwk::generate_rsa_key(RSA_BITS)?,
            Algorithm::Es256 => Jwk::generate_ec_key(EcCurve::P256)?,
            Algorithm::EdDsa => Jwk::generate_ed_key(EdCurve::Ed25519)?,
        };
        let mut secret = Secret::from(jwk);
        let thumbprint = PublicKey::from_public_members(&secret.0)?.thumbprint().to_string();
        for (name, value) in [("use", "sig"), ("alg", algorithm.as_str()), ("kid", &thumbprint)] {
            secret.describe(name, value);
        }
        let json = secret.to_json()?;
        let public = PublicKey::from_public_members(&secret.0)?;
        Ok(Self { algorithm, public, json })
    }

    /// Reads what [`PrivateKey::as_json`] gave.
    ///
    /// # Errors
    /// [`KeyFault`] if it is not such a key.
    pub fn from_json(json: Zeroizing<Vec<u8>>) -> Result<Self, KeyFault> {
        let secret = Secret::parse(&json)?;
        let algorithm = text(&secret.0, "alg")?.parse().map_err(|_| KeyFault::Malformed)?;
        let public = PublicKey::from_public_members(&secret.0)?;
        if public.kid() != Some(public.thumbprint().to_string().as_str()) {
            return Err(KeyFault::Inconsistent);
        }
        if public.verifier(algorithm).is_none() {
            return Err(KeyFault::Malformed);
        }
        Ok(Self { algorithm, public, json })
    }

    /// The private JWK, to be sealed and stored.
    pub fn as_json(&self) -> &[u8] {
        &self.json
    }

    /// The algorithm that it signs with.
    pub fn algorithm(&self) -> Algorithm {
        self.algorithm
    }

    /// Its `kid`: the RFC 7638 thumbprint.
    pub fn kid(&self) -> String {
        self.public.thumbprint().to_string()
    }

    /// The public half, with `kid`, `use` and `alg`.
    pub fn public(&self) -> &PublicKey {
        &self.public
    }
}

impl fmt::Debug for PrivateKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "PrivateKey({}, {}, redacted)", self.algorithm, self.public.thumbprint())
    }
}

/// A key that signs: parsed once, cheap to clone, shared between tasks.
#[derive(Clone)]
pub struct SigningKey(Arc<Inner>);

struct Inner {
    kid: String,
    algorithm: Algorithm,
    public: PublicKey,
    signer: Box<dyn JwsSigner>,
}

impl SigningKey {
    /// Parses a private key, and proves by one signature that its halves belong together.
    ///
    /// # Errors
    /// [`KeyFault`] if they do not, or the library refuses the key.
    pub fn new(private: &PrivateKey) -> Result<Self, KeyFault> {
        let secret = Secret::parse(&private.json)?;
        let signer = secret.signer(private.algorithm)?;
        let probe = b"Do both halves of this key belong together?";
        let verifier = private.public.verifier(private.algorithm).ok_or(KeyFault::Malformed)?;
        verifier.verify(probe, &signer.sign(probe)?).map_err(|_| KeyFault::Inconsistent)?;
        Ok(Self(Arc::new(Inner {
            kid: private.kid(),
            algorithm: private.algorithm,
            public: private.public.clone(),
            signer,
        })))
    }

    /// The `kid` that its tokens carry.
    pub fn kid(&self) -> &str {
        &self.0.kid
    }

    /// The algorithm that it signs with.
    pub fn algorithm(&self) -> Algorithm {
        self.0.algorithm
    }

    /// The public half.
    pub fn public(&self) -> &PublicKey {
        &self.0.public
    }

    /// Signs `claims` as a compact JWT whose header is `typ`, `alg`, `kid` (OC-02).
    ///
    /// # Errors
    /// [`SignError`] if the claims do not serialize or the library fails.
    pub fn sign(&self, typ: &str, claims: &impl Serialize) -> Result<String, SignError> {
        let span = tracing::debug_span!(target: "traced", "sign", alg = %self.0.algorithm, kid = self.0.kid);
        let _entered = span.entered();
        let header = Header { typ, alg: self.0.algorithm.as_str(), kid: &self.0.kid };
        self.sign_under(&header, claims)
    }

    /// Signs `claims` as a DPoP proof, whose header shows the public key itself (RFC 9449 §4.2): what a
    /// client does.
    ///
    /// # Errors
    /// As [`sign`](Self::sign).
    pub fn sign_proof(&self, claims: &impl Serialize) -> Result<String, SignError> {
        let header = ProofHeader { typ: "dpop+jwt", alg: self.0.algorithm.as_str(), jwk: &self.0.public };
        self.sign_under(&header, claims)
    }

    /// Signs `claims` under any header.
    pub(crate) fn sign_under(
        &self,
        header: &impl Serialize,
        claims: &impl Serialize,
    ) -> Result<String, SignError> {
        let (header, payload) = (serde_json::to_vec(header)?, serde_json::to_vec(claims)?);
        let length = header.len() + payload.len() + self.0.signer.signature_len();
        let mut token = String::with_capacity(length * 4 / 3 + 8);
        URL_SAFE_NO_PAD.encode_string(header, &mut token);
        token.push('.');
        URL_SAFE_NO_PAD.encode_string(payload, &mut token);
        let signature = self.0.signer.sign(token.as_bytes());
        let signature = signature.map_err(|fault| SignError::Signature(Box::new(fault)))?;
        token.push('.');
        URL_SAFE_NO_PAD.encode_string(signature, &mut token);
        Ok(token)
    }
}

/// The protected header of a DPoP proof.
#[derive(Serialize)]
struct ProofHeader<'a> {
    typ: &'static str,
    alg: &'static str,
    jwk: &'a PublicKey,
}

/// The protected header of our tokens. Written straight to text (RFC 7515 §7.1), because josekit would
/// build a map of it for each.
#[derive(Serialize)]
struct Header<'a> {
    typ: &'a str,
    alg: &'static str,
    kid: &'a str,
}

impl fmt::Debug for SigningKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "SigningKey({}, {}, redacted)", self.0.algorithm, self.0.kid)
    }
}

/// A private JWK taken apart; its texts are wiped when it goes.
pub(crate) struct Secret(Map<String, Value>);

impl From<Jwk> for Secret {
    fn from(jwk: Jwk) -> Self {
        Self(jwk.into())
    }
}

impl Secret {
    pub(crate) fn parse(json: &[u8]) -> Result<Self, KeyFault> {
        // The parser's message could quote the key, so it is dropped.
        serde_json::from_slice(json).map(Self).map_err(|_| KeyFault::Malformed)
    }

    pub(crate) fn members(&self) -> &Map<String, Value> {
        &self.0
    }

    /// Sets a member that is no secret.
    pub(crate) fn describe(&mut self, name: &str, value: &str) {
        self.0.insert(name.to_owned(), Value::String(value.to_owned()));
    }

    /// The key as text that is wiped.
    pub(crate) fn to_json(&self) -> Result<Zeroizing<Vec<u8>>, KeyFault> {
        // Room for an RSA key, so that no half-written copy is left behind by a reallocation.
        let mut json = Zeroizing::new(Vec::with_capacity(4096));
        serde_json::to_writer(&mut *json, &self.0).map_err(|_| KeyFault::Malformed)?;
        Ok(json)
    }

    fn signer(&self, algorithm: Algorithm) -> Result<Box<dyn JwsSigner>, KeyFault> {
        let bytes = |name: &'static str| -> Result<Zeroizing<Vec<u8>>, KeyFault> {
            let decoded = URL_SAFE_NO_PAD.decode(text(&self.0, name)?);
            decoded.map(Zeroizing::new).map_err(|_| JwkFault::Member(name).into())
        };
        Ok(match algorithm {
            Algorithm::Rs256 => self.with_jwk(|jwk| Ok(Box::new(jws::RS256.signer_from_jwk(jwk)?) as _))?,
            Algorithm::Ps256 => self.with_jwk(|jwk| Ok(Box::new(jws::PS256.signer_from_jwk(jwk)?) as _))?,
            Algorithm::Es256 => Box::new(
                aws::Signer::p256(&bytes("d")?, &bytes("x")?, &bytes("y")?)
                    .map_err(|_| KeyFault::Inconsistent)?,
            ),
            Algorithm::EdDsa => Box::new(
                aws::Signer::ed25519(&bytes("d")?, &bytes("x")?).map_err(|_| KeyFault::Inconsistent)?,
            ),
        })
    }

    /// Lends josekit a copy without `kid` (the header gets it from us), and wipes the copy.
    pub(crate) fn with_jwk<T>(
        &self,
        parse: impl FnOnce(&Jwk) -> Result<T, JoseError>,
    ) -> Result<T, KeyFault> {
        let mut copy = self.0.clone();
        copy.remove("kid");
        let jwk = Jwk::from_map(copy)?;
        let parsed = parse(&jwk);
        drop(Self(jwk.into()));
        Ok(parsed?)
    }
}

impl Drop for Secret {
    fn drop(&mut self) {
        for value in self.0.values_mut() {
            if let Value::String(text) = value {
                text.zeroize();
            }
        }
    }
}

#[cfg(test)]
#[path = "private_tests.rs"]
mod tests;
