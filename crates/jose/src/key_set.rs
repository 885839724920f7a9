//! A JWK Set (RFC 7517 §5): a client's `jwks`, or the keys that we publish.

use protocol::json::{self, JsonFault};
use serde::{Serialize, Serializer, ser::SerializeStruct};
use serde_json::Value;

use crate::{Algorithm, JwkFault, PublicKey, jwe::KeyManagement};

/// More keys than any client rotates through; each may cost one verification (JO-01).
const MAX_KEYS: usize = 32;
/// The longest key set that is read, in bytes.
const MAX_BYTES: usize = 64 * 1024;

/// Public keys to verify with.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct KeySet {
    keys: Vec<PublicKey>,
}

/// Why a key set was refused.
#[derive(Debug, thiserror::Error)]
pub enum KeySetFault {
    /// Not JSON, or an object in it repeats a member (JO-02).
    #[error("the key set is not acceptable JSON: {0}")]
    Json(#[from] JsonFault),
    /// No object with an array `keys`.
    #[error("a key set must be an object with an array \"keys\"")]
    NotAKeySet,
    /// Over 64 KiB, or over 32 keys.
    #[error("the key set is too large")]
    TooLarge,
    /// One of the keys is refused, and with it the set.
    #[error("key {index} of the set: {fault}")]
    Key {
        /// Position in the array, from 0.
        index: usize,
        /// What is wrong with it.
        fault: JwkFault,
    },
}

impl KeySet {
    /// Reads a key set from bytes, strictly.
    ///
    /// # Errors
    /// See [`KeySet::from_value`]; also [`KeySetFault::Json`] for duplicate members (JO-02).
    pub fn from_slice(bytes: &[u8]) -> Result<Self, KeySetFault> {
        if bytes.len() > MAX_BYTES {
            return Err(KeySetFault::TooLarge);
        }
        Self::from_value(&json::from_slice::<Value>(bytes)?)
    }

    /// Reads a key set. Keys of an unknown `kty` are passed over (RFC 7517 §5); any other bad key
    /// refuses the set, so that a mistake is seen when it is registered. Equal `kid`s are allowed:
    /// `kty`, `use`, `alg` and `crv` decide between them (F2-37).
    ///
    /// # Errors
    /// [`KeySetFault`] names the key and what is wrong with it.
    pub fn from_value(value: &Value) -> Result<Self, KeySetFault> {
        Self::read(value, |fault| matches!(fault, JwkFault::KeyType(_)))
    }

    fn read(value: &Value, passed_over: impl Fn(&JwkFault) -> bool) -> Result<Self, KeySetFault> {
        let Some(Value::Array(items)) = value.get("keys") else {
            return Err(KeySetFault::NotAKeySet);
        };
        if items.len() > MAX_KEYS {
            return Err(KeySetFault::TooLarge);
        }
        let mut keys = Vec::with_capacity(items.len());
        for (index, item) in items.iter().enumerate() {
            match PublicKey::from_value(item) {
                Ok(key) => keys.push(key),
                Err(fault) if passed_over(&fault) => {}
                Err(fault) => return Err(KeySetFault::Key { index, fault }),
            }
        }
        Ok(Self { keys })
    }

    /// Reads a key set that somebody publishes for all his correspondents, from bytes, strictly: what is
    /// out of our range there, such as another curve, is meant for others and passed over (RFC 7517 §5).
    ///
    /// # Errors
    /// As [`KeySet::from_slice`].
    pub fn from_published(bytes: &[u8]) -> Result<Self, KeySetFault> {
        if bytes.len() > MAX_BYTES {
            return Err(KeySetFault::TooLarge);
        }
        Self::read(&json::from_slice::<Value>(bytes)?, |fault| {
            matches!(fault, JwkFault::KeyType(_) | JwkFault::Curve(_))
        })
    }

    /// A set of keys that are parsed already.
    pub fn new(keys: Vec<PublicKey>) -> Self {
        Self { keys }
    }

    /// The keys, in their order.
    pub fn keys(&self) -> &[PublicKey] {
        &self.keys
    }

    /// Is there no key at all?
    pub fn is_empty(&self) -> bool {
        self.keys.is_empty()
    }

    /// Is there a key that verifies signatures of this algorithm?
    pub fn supports(&self, algorithm: Algorithm) -> bool {
        self.keys.iter().any(|key| key.verifier(algorithm).is_some())
    }

    /// The key to encrypt to with this algorithm: the first that says `use: enc`, else the first that
    /// does not say what it is for.
    pub fn encrypting(&self, algorithm: KeyManagement) -> Option<&PublicKey> {
        let fit = || self.keys.iter().filter(|key| key.encrypts(algorithm));
        fit().find(|key| key.is_for_encryption_only()).or_else(|| fit().next())
    }

    /// The set as JSON text.
    pub fn to_json(&self) -> String {
        serde_json::to_string(self).expect("keys are maps of JSON values")
    }

    /// The keys that may have made a signature: fit for the algorithm, and either of the `kid` or
    /// without one.
    pub(crate) fn candidates<'a>(
        &'a self,
        algorithm: Algorithm,
        kid: Option<&'a str>,
    ) -> impl Iterator<Item = &'a PublicKey> {
        self.keys.iter().filter(move |key| {
            key.verifier(algorithm).is_some() && (kid.is_none() || key.kid().is_none() || key.kid() == kid)
        })
    }
}

impl Serialize for KeySet {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let mut set = serializer.serialize_struct("KeySet", 1)?;
        set.serialize_field("keys", &self.keys)?;
        set.end()
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;
    use crate::{PrivateKey, SigningKey};
    use serde_json::json;

    #[test]
    fn what_is_published_for_others_is_passed_over() {
        let own = SigningKey::new(&PrivateKey::generate(Algorithm::Es256).unwrap()).unwrap();
        let with = |other: Value| json!({"keys": [own.public(), other]});
        for foreign in [
            json!({"kty": "OKP", "crv": "X448", "x": "AAAA"}),
            json!({"kty": "EC", "crv": "secp256k1", "x": "AAAA", "y": "AAAA"}),
            json!({"kty": "AKP", "pub": "x"}),
        ] {
            let set = KeySet::from_published(with(foreign).to_string().as_bytes()).unwrap();
            assert_eq!(set.keys(), [own.public().clone()]);
        }
        // A mistake with a secret is none that may be passed over (DR-04).
        for mistake in [json!({"kty": "oct", "k": "AAAA"}), json!({"kty": "AKP", "pub": "x", "priv": "y"})] {
            assert!(KeySet::from_published(with(mistake).to_string().as_bytes()).is_err());
        }
    }
}
