//! What a key of ours is for: to sign with, or to be encrypted to.
//!
//! Both kinds live the same life. A key that others encrypt to is announced, becomes active, retires and
//! is destroyed by the same plan; all of its published life it opens what was encrypted to it.

use std::{fmt, str::FromStr};

use jose::{Algorithm, KeyManagement, jwe::EncryptionKeyType};
use serde::{Serialize, Serializer};

/// The algorithm that a key of ours is made for.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum KeyAlgorithm {
    /// It signs with this.
    Signature(Algorithm),
    /// It opens what clients encrypt to it.
    Encryption(EncryptionKeyType),
}

/// A name that no key of ours can have.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{0:?} is none of RS256, PS256, ES256, EdDSA, RSA-OAEP-256, ECDH-ES")]
pub struct UnknownKeyAlgorithm(pub String);

impl KeyAlgorithm {
    /// Every one.
    pub const ALL: [Self; 6] = [
        Self::Signature(Algorithm::Rs256),
        Self::Signature(Algorithm::Ps256),
        Self::Signature(Algorithm::Es256),
        Self::Signature(Algorithm::EdDsa),
        Self::Encryption(EncryptionKeyType::Rsa),
        Self::Encryption(EncryptionKeyType::P256),
    ];

    /// The JWA name; that of the first algorithm, where a key serves several.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Signature(algorithm) => algorithm.as_str(),
            Self::Encryption(EncryptionKeyType::Rsa) => KeyManagement::RsaOaep256.as_str(),
            Self::Encryption(EncryptionKeyType::P256) => KeyManagement::EcdhEs.as_str(),
        }
    }

    /// The signature algorithm, if it signs.
    pub const fn signature(self) -> Option<Algorithm> {
        match self {
            Self::Signature(algorithm) => Some(algorithm),
            Self::Encryption(_) => None,
        }
    }
}

impl From<Algorithm> for KeyAlgorithm {
    fn from(algorithm: Algorithm) -> Self {
        Self::Signature(algorithm)
    }
}

impl From<EncryptionKeyType> for KeyAlgorithm {
    fn from(key_type: EncryptionKeyType) -> Self {
        Self::Encryption(key_type)
    }
}

impl PartialEq<Algorithm> for KeyAlgorithm {
    fn eq(&self, other: &Algorithm) -> bool {
        *self == Self::Signature(*other)
    }
}

impl FromStr for KeyAlgorithm {
    type Err = UnknownKeyAlgorithm;

    fn from_str(name: &str) -> Result<Self, UnknownKeyAlgorithm> {
        let known = Self::ALL.into_iter().find(|known| known.as_str() == name);
        // The newer name of EdDSA, as everywhere.
        let known = known.or_else(|| name.parse().ok().map(Self::Signature));
        known.ok_or_else(|| UnknownKeyAlgorithm(name.chars().take(32).collect()))
    }
}

impl fmt::Display for KeyAlgorithm {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

impl Serialize for KeyAlgorithm {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.serialize_str(self.as_str())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_are_read_as_they_are_written() {
        for algorithm in KeyAlgorithm::ALL {
            assert_eq!(algorithm.as_str().parse(), Ok(algorithm));
        }
        assert_eq!("Ed25519".parse(), Ok(KeyAlgorithm::Signature(Algorithm::EdDsa)));
        for refused in ["none", "HS256", "RSA1_5", "dir", "ECDH-ES+A128KW", ""] {
            assert!(refused.parse::<KeyAlgorithm>().is_err(), "{refused}");
        }
    }
}
