//! Fingerprints: how bearer values are stored, compared and named.
//!
//! Codes, tokens and session ids are kept only as SHA-256 digests. Those values are random and
//! long, so a fast digest is right for them (passwords go elsewhere). Comparison is constant-time,
//! because a digest of a secret compared byte by byte tells an attacker how far he came.

use std::{fmt, hash, str::FromStr};

use aws_lc_rs::{digest as lc, hmac};
use base64::{Engine, engine::general_purpose::URL_SAFE_NO_PAD};
use serde::{Deserialize, Deserializer, Serialize, Serializer, de};
use subtle::ConstantTimeEq;

use crate::Algorithm;

/// A SHA-256 or HMAC-SHA-256 value. Equality is constant-time; serde and `Display` use base64url
/// without padding; `Debug` shows only the first characters.
#[derive(Clone, Copy)]
pub struct Digest([u8; 32]);

/// Text or bytes that are not a 32-byte digest.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("not a 32-byte digest")]
pub struct NotADigest;

impl Digest {
    /// Takes 32 bytes that were a digest before, for example from a database row.
    pub const fn from_bytes(bytes: [u8; 32]) -> Self {
        Self(bytes)
    }

    /// The 32 bytes, for storage.
    pub const fn as_bytes(&self) -> &[u8; 32] {
        &self.0
    }
}

impl TryFrom<&[u8]> for Digest {
    type Error = NotADigest;

    fn try_from(bytes: &[u8]) -> Result<Self, NotADigest> {
        bytes.try_into().map(Self).map_err(|_| NotADigest)
    }
}

impl FromStr for Digest {
    type Err = NotADigest;

    fn from_str(text: &str) -> Result<Self, NotADigest> {
        let bytes = URL_SAFE_NO_PAD.decode(text).map_err(|_| NotADigest)?;
        Self::try_from(bytes.as_slice())
    }
}

impl PartialEq for Digest {
    fn eq(&self, other: &Self) -> bool {
        self.0.ct_eq(&other.0).into()
    }
}

impl Eq for Digest {}

impl hash::Hash for Digest {
    fn hash<H: hash::Hasher>(&self, state: &mut H) {
        self.0.hash(state);
    }
}

impl fmt::Display for Digest {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&URL_SAFE_NO_PAD.encode(self.0))
    }
}

impl fmt::Debug for Digest {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Digest({}…)", URL_SAFE_NO_PAD.encode(&self.0[..6]))
    }
}

impl Serialize for Digest {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(self)
    }
}

impl<'de> Deserialize<'de> for Digest {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        String::deserialize(deserializer)?.parse().map_err(de::Error::custom)
    }
}

/// SHA-256 of some bytes.
pub fn sha256(bytes: impl AsRef<[u8]>) -> Digest {
    finish(lc::digest(&lc::SHA256, bytes.as_ref()).as_ref())
}

/// SHA-256 of several parts, each preceded by its length, so that no two different lists of parts
/// have the same input (`["ab", "c"]` is not `["a", "bc"]`).
pub fn sha256_framed(parts: &[&[u8]]) -> Digest {
    let mut context = lc::Context::new(&lc::SHA256);
    for part in parts {
        context.update(&(part.len() as u64).to_be_bytes());
        context.update(part);
    }
    finish(context.finish().as_ref())
}

/// HMAC-SHA-256 (RFC 2104) over several parts, framed like [`sha256_framed`].
pub fn hmac_sha256(key: &[u8], parts: &[&[u8]]) -> Digest {
    let mut context = hmac::Context::with_key(&hmac::Key::new(hmac::HMAC_SHA256, key));
    for part in parts {
        context.update(&(part.len() as u64).to_be_bytes());
        context.update(part);
    }
    finish(context.sign().as_ref())
}

/// The value of `at_hash` or `c_hash` in an ID token signed with `algorithm` (OIDC Core §3.1.3.6,
/// §3.3.2.11): the left-most half of the hash that the algorithm uses, in base64url. That is
/// SHA-256 but for EdDSA with Ed25519, which hashes with SHA-512, and so do client libraries here.
pub fn half_hash(algorithm: Algorithm, value: &str) -> String {
    let hash = match algorithm {
        Algorithm::Rs256 | Algorithm::Ps256 | Algorithm::Es256 => &lc::SHA256,
        Algorithm::EdDsa => &lc::SHA512,
    };
    let hashed = lc::digest(hash, value.as_bytes());
    let (left, _) = hashed.as_ref().split_at(hash.output_len() / 2);
    URL_SAFE_NO_PAD.encode(left)
}

fn finish(bytes: &[u8]) -> Digest {
    Digest(bytes.try_into().expect("SHA-256 yields 32 bytes"))
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;

    #[test]
    fn sha256_of_the_standard_example() {
        // FIPS 180-2 appendix B.1
        let hex: String = sha256("abc").as_bytes().iter().map(|b| format!("{b:02x}")).collect();
        assert_eq!(hex, "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad");
    }

    #[test]
    fn oc_13_half_hash_of_the_standard_example() {
        // OIDC Core appendix A.3: the access token and its at_hash
        assert_eq!(
            half_hash(Algorithm::Rs256, "jHkWEdUXMU1BwAsC4vtUsZwnNvTIxEl0z9K3vx5KF0Y"),
            "77QmUPtjPfzWtF2AnpK9RQ"
        );
        assert_eq!(half_hash(Algorithm::EdDsa, "x").len(), 43);
    }

    #[test]
    fn framed_parts_do_not_run_together() {
        assert_ne!(sha256_framed(&[b"ab", b"c"]), sha256_framed(&[b"a", b"bc"]));
        assert_ne!(hmac_sha256(b"k", &[b"ab", b"c"]), hmac_sha256(b"k", &[b"a", b"bc"]));
        assert_ne!(hmac_sha256(b"k", &[b"a"]), hmac_sha256(b"l", &[b"a"]));
    }

    #[test]
    fn a_digest_survives_text_and_json() {
        let digest = sha256("value");
        assert_eq!(digest.to_string().parse::<Digest>().unwrap(), digest);
        let json = serde_json::to_string(&digest).unwrap();
        assert_eq!(serde_json::from_str::<Digest>(&json).unwrap(), digest);
        assert_eq!("too-short".parse::<Digest>(), Err(NotADigest));
        assert!(!format!("{digest:?}").contains(&digest.to_string()));
    }
}
