//! ES256 and EdDSA through aws-lc, behind josekit's signer and verifier traits.
//!
//! Signing with P-256 and Ed25519 is the hot path of the token endpoint, and aws-lc is about twice
//! as fast there as the system's OpenSSL. Both directions parse the key once.

use std::{fmt, sync::Arc};

use crate::public::Curve;
use aws_lc_rs::{
    rand::SystemRandom,
    signature::{
        ECDSA_P256_SHA256_FIXED, ECDSA_P256_SHA256_FIXED_SIGNING, ECDSA_P384_SHA384_FIXED,
        ECDSA_P521_SHA512_FIXED, ED25519, EcdsaKeyPair, Ed25519KeyPair, ParsedPublicKey,
        RSA_PSS_2048_8192_SHA256, RsaPublicKeyComponents,
    },
};
use josekit::{
    JoseError,
    jws::{self, JwsAlgorithm, JwsSigner, JwsVerifier},
};

/// The bytes do not make a key of this curve, or private and public half do not belong together.
#[derive(Debug)]
pub(crate) struct Rejected;

#[derive(Clone)]
enum Pair {
    P256(Arc<EcdsaKeyPair>),
    Ed25519(Arc<Ed25519KeyPair>),
}

/// A private key that signs through aws-lc.
#[derive(Clone)]
pub(crate) struct Signer(Pair);

impl Signer {
    /// An ES256 signer from the fixed-length members of a JWK (RFC 7518 §6.2).
    pub(crate) fn p256(d: &[u8], x: &[u8], y: &[u8]) -> Result<Self, Rejected> {
        let point = uncompressed(x, y);
        EcdsaKeyPair::from_private_key_and_public_key(&ECDSA_P256_SHA256_FIXED_SIGNING, d, &point)
            .map(|pair| Self(Pair::P256(Arc::new(pair))))
            .map_err(|_| Rejected)
    }

    /// An EdDSA signer from the members of an Ed25519 JWK (RFC 8037 §2).
    pub(crate) fn ed25519(d: &[u8], x: &[u8]) -> Result<Self, Rejected> {
        if d.len() != 32 {
            return Err(Rejected);
        }
        Ed25519KeyPair::from_seed_and_public_key(d, x)
            .map(|pair| Self(Pair::Ed25519(Arc::new(pair))))
            .map_err(|_| Rejected)
    }
}

impl fmt::Debug for Signer {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Signer({}, redacted)", self.algorithm().name())
    }
}

impl JwsSigner for Signer {
    fn algorithm(&self) -> &dyn JwsAlgorithm {
        match self.0 {
            Pair::P256(_) => &jws::ES256,
            Pair::Ed25519(_) => &jws::EdDSA,
        }
    }

    fn key_id(&self) -> Option<&str> {
        None
    }

    fn signature_len(&self) -> usize {
        64
    }

    fn sign(&self, message: &[u8]) -> Result<Vec<u8>, JoseError> {
        match &self.0 {
            Pair::P256(pair) => pair.sign(&SystemRandom::new(), message),
            Pair::Ed25519(pair) => pair.try_sign(message),
        }
        .map(|signature| signature.as_ref().to_vec())
        .map_err(|fault| JoseError::InvalidSignature(fault.into()))
    }

    fn box_clone(&self) -> Box<dyn JwsSigner> {
        Box::new(self.clone())
    }
}

/// A public key that verifies through aws-lc.
#[derive(Clone)]
pub(crate) struct Verifier {
    key: ParsedPublicKey,
    algorithm: &'static (dyn JwsAlgorithm + 'static),
}

impl Verifier {
    /// An ES256 verifier. The point is checked to lie on the curve.
    pub(crate) fn p256(x: &[u8], y: &[u8]) -> Result<Self, Rejected> {
        let key = point_on(Curve::P256, x, y)?;
        Ok(Self { key, algorithm: &jws::ES256 })
    }

    /// An EdDSA verifier for Ed25519.
    pub(crate) fn ed25519(x: &[u8]) -> Result<Self, Rejected> {
        let key = ParsedPublicKey::new(&ED25519, x).map_err(|_| Rejected)?;
        Ok(Self { key, algorithm: &jws::EdDSA })
    }
}

impl fmt::Debug for Verifier {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Verifier({})", self.algorithm.name())
    }
}

impl JwsVerifier for Verifier {
    fn algorithm(&self) -> &dyn JwsAlgorithm {
        self.algorithm
    }

    fn key_id(&self) -> Option<&str> {
        None
    }

    fn verify(&self, message: &[u8], signature: &[u8]) -> Result<(), JoseError> {
        self.key.verify_sig(message, signature).map_err(|fault| JoseError::InvalidSignature(fault.into()))
    }

    fn box_clone(&self) -> Box<dyn JwsVerifier> {
        Box::new(self.clone())
    }
}

/// A public key that came with what it signed: parsed for one signature.
pub(crate) enum Proof {
    /// ES256 or EdDSA.
    Parsed(ParsedPublicKey),
    /// PS256: modulus and exponent, without leading zeros.
    Rsa { n: Vec<u8>, e: Vec<u8> },
}

impl Proof {
    /// A point of P-256, checked to lie on the curve.
    pub(crate) fn p256(x: &[u8], y: &[u8]) -> Result<Self, Rejected> {
        point_on(Curve::P256, x, y).map(Self::Parsed)
    }

    /// A key of Ed25519.
    pub(crate) fn ed25519(x: &[u8]) -> Result<Self, Rejected> {
        ParsedPublicKey::new(&ED25519, x).map(Self::Parsed).map_err(|_| Rejected)
    }

    /// Did this key sign `message`?
    pub(crate) fn holds(&self, message: &[u8], signature: &[u8]) -> bool {
        match self {
            Self::Parsed(key) => key.verify_sig(message, signature).is_ok(),
            Self::Rsa { n, e } => {
                let key = RsaPublicKeyComponents { n, e };
                key.verify(&RSA_PSS_2048_8192_SHA256, message, signature).is_ok()
            }
        }
    }
}

/// Parses an elliptic-curve point, refusing one that is not on its curve.
pub(crate) fn point_on(curve: Curve, x: &[u8], y: &[u8]) -> Result<ParsedPublicKey, Rejected> {
    let point = uncompressed(x, y);
    match curve {
        Curve::P256 => ParsedPublicKey::new(&ECDSA_P256_SHA256_FIXED, point),
        Curve::P384 => ParsedPublicKey::new(&ECDSA_P384_SHA384_FIXED, point),
        Curve::P521 => ParsedPublicKey::new(&ECDSA_P521_SHA512_FIXED, point),
    }
    .map_err(|_| Rejected)
}

/// SEC 1 §2.3.3: 0x04, then both coordinates. The caller has checked their lengths.
fn uncompressed(x: &[u8], y: &[u8]) -> Vec<u8> {
    [&[4], x, y].concat()
}
