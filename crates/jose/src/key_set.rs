//! A JWK Set (RFC 7517 §5): a client's `jwks`, or the keys that we publish.

use protocol::json::{self, JsonFault};
use serde::{Serialize, Serializer, ser::SerializeStruct};
use serde_json::Value;

use crate::{Algorithm, JwkFault, PublicKey};

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
                Err(JwkFault::KeyType(_)) => {}
                Err(fault) => return Err(KeySetFault::Key { index, fault }),
            }
        }
        Ok(Self { keys })
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
