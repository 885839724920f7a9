//! Secrets at rest: AES-256-GCM under a key-encryption key.
//!
//! A sealed value is bound to the record it belongs to (associated data), so that whoever can
//! write to the database cannot move a secret from one record to another. The format names its
//! version and the key-encryption key, so that keys can be replaced while old values still open:
//!
//! ```text
//! version (1 byte, 1) | key-encryption key id (8) | nonce (12) | ciphertext and tag
//! ```

use std::{fmt, str::FromStr};

use aes_gcm::{
    Aes256Gcm, KeyInit, Nonce,
    aead::{Aead, Payload},
};
use base64::{
    Engine, alphabet,
    engine::{DecodePaddingMode, GeneralPurpose, GeneralPurposeConfig},
};
use jose::digest::{hmac_sha256, sha256_framed};
use zeroize::Zeroizing;

const VERSION: u8 = 1;
const KEK_ID_LEN: usize = 8;
/// The length of the nonce that the caller passes in, in bytes.
pub const NONCE_LEN: usize = 12;
const HEADER_LEN: usize = 1 + KEK_ID_LEN;

const LENIENT: GeneralPurposeConfig =
    GeneralPurposeConfig::new().with_decode_padding_mode(DecodePaddingMode::Indifferent);
const STANDARD: GeneralPurpose = GeneralPurpose::new(&alphabet::STANDARD, LENIENT);
const URL_SAFE: GeneralPurpose = GeneralPurpose::new(&alphabet::URL_SAFE, LENIENT);

/// A 256-bit key that encrypts other secrets. It comes from a file or the environment, and is
/// wiped when dropped.
#[derive(Clone)]
pub struct KeyEncryptionKey(Zeroizing<[u8; 32]>);

/// Text that is no usable key-encryption key. It says nothing of the text.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum KekFault {
    /// Neither 64 hexadecimal digits nor base64 of 32 bytes.
    #[error(
        "the key-encryption key must be 32 bytes in base64 or hexadecimal, as `openssl rand -base64 32` prints them"
    )]
    Malformed,
    /// All bytes are equal: a placeholder, not a key.
    #[error("the key-encryption key is a placeholder; make one with `openssl rand -base64 32`")]
    Placeholder,
}

impl KeyEncryptionKey {
    /// Takes 32 random bytes.
    pub fn from_bytes(bytes: [u8; 32]) -> Self {
        Self(Zeroizing::new(bytes))
    }

    /// Names the key without giving anything of it away.
    fn id(&self) -> [u8; KEK_ID_LEN] {
        let digest = sha256_framed(&[b"chancery key-encryption key", &*self.0]);
        let mut id = [0; KEK_ID_LEN];
        id.copy_from_slice(&digest.as_bytes()[..KEK_ID_LEN]);
        id
    }
}

impl FromStr for KeyEncryptionKey {
    type Err = KekFault;

    /// Reads 64 hexadecimal digits, or base64 in either alphabet with or without padding. White
    /// space around it, such as the line end of a secret file, is ignored.
    fn from_str(text: &str) -> Result<Self, KekFault> {
        let text = text.trim();
        let decoded = match text.len() {
            64 => hex(text),
            43 | 44 => STANDARD.decode(text).or_else(|_| URL_SAFE.decode(text)).ok(),
            _ => None,
        };
        let decoded = Zeroizing::new(decoded.ok_or(KekFault::Malformed)?);
        let bytes: [u8; 32] = decoded.as_slice().try_into().map_err(|_| KekFault::Malformed)?;
        let key = Self::from_bytes(bytes);
        if key.0.iter().all(|byte| *byte == key.0[0]) {
            return Err(KekFault::Placeholder);
        }
        Ok(key)
    }
}

impl fmt::Debug for KeyEncryptionKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("KeyEncryptionKey(redacted)")
    }
}

fn hex(text: &str) -> Option<Vec<u8>> {
    let digit = |byte: u8| char::from(byte).to_digit(16);
    text.as_bytes()
        .chunks(2)
        .map(|pair| match pair {
            [high, low] => u8::try_from(digit(*high)? * 16 + digit(*low)?).ok(),
            _ => None,
        })
        .collect()
}

/// Why a value was not sealed or opened.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum SealFault {
    /// Too short, or of another version.
    #[error("the sealed value has an unknown format")]
    Format,
    /// No key-encryption key that we have sealed it.
    #[error("the value was sealed under a key-encryption key that is not configured")]
    UnknownKey,
    /// The value was altered, or belongs to another record.
    #[error("the sealed value was altered or belongs to another record")]
    Tampered,
    /// The value is larger than the cipher allows.
    #[error("the value is too large to be sealed")]
    TooLarge,
}

struct Kek {
    id: [u8; KEK_ID_LEN],
    cipher: Aes256Gcm,
    /// What other keys are derived from; it gives nothing of the key away.
    root: Zeroizing<[u8; 32]>,
}

impl Kek {
    fn new(key: &KeyEncryptionKey) -> Self {
        let cipher = Aes256Gcm::new_from_slice(&*key.0).expect("the key has 32 bytes");
        let root = Zeroizing::new(*hmac_sha256(&*key.0, &[b"chancery derived keys"]).as_bytes());
        Self { id: key.id(), cipher, root }
    }
}

/// Seals under the current key-encryption key, and opens under it or a previous one.
pub struct Sealer {
    current: Kek,
    previous: Vec<Kek>,
}

impl Sealer {
    /// A sealer that seals under `current`. `previous` keys only open, until everything is sealed
    /// anew.
    pub fn new(current: &KeyEncryptionKey, previous: &[KeyEncryptionKey]) -> Self {
        Self { current: Kek::new(current), previous: previous.iter().map(Kek::new).collect() }
    }

    /// Keys for another purpose than sealing, derived from the key-encryption keys (NIST SP 800-108r1
    /// §4.1, one block): the first from the current one, to write with; all of them to read.
    pub fn derived(&self, purpose: &str) -> Vec<Zeroizing<[u8; 32]>> {
        let keys = std::iter::once(&self.current).chain(&self.previous);
        keys.map(|kek| Zeroizing::new(*hmac_sha256(&*kek.root, &[purpose.as_bytes()]).as_bytes())).collect()
    }

    /// Seals `plain` for the record that `identity` names. `nonce` must be fresh randomness for
    /// every call: a repeated nonce breaks the cipher (NIST SP 800-38D §8).
    ///
    /// # Errors
    /// [`SealFault::TooLarge`] beyond 64 GiB.
    pub fn seal(&self, plain: &[u8], identity: &[u8], nonce: [u8; NONCE_LEN]) -> Result<Vec<u8>, SealFault> {
        let mut sealed = vec![VERSION];
        sealed.extend_from_slice(&self.current.id);
        let aad = [&sealed, identity].concat();
        let payload = Payload { msg: plain, aad: &aad };
        let ciphertext =
            self.current.cipher.encrypt(&Nonce::from(nonce), payload).map_err(|_| SealFault::TooLarge)?;
        sealed.extend_from_slice(&nonce);
        sealed.extend_from_slice(&ciphertext);
        Ok(sealed)
    }

    /// Opens what was sealed for the record that `identity` names.
    ///
    /// # Errors
    /// [`SealFault`] says why not.
    pub fn open(&self, sealed: &[u8], identity: &[u8]) -> Result<Zeroizing<Vec<u8>>, SealFault> {
        let (header, rest) = sealed.split_at_checked(HEADER_LEN).ok_or(SealFault::Format)?;
        let (nonce, ciphertext) = rest.split_at_checked(NONCE_LEN).ok_or(SealFault::Format)?;
        let nonce: [u8; NONCE_LEN] = nonce.try_into().map_err(|_| SealFault::Format)?;
        if header[0] != VERSION {
            return Err(SealFault::Format);
        }
        let mut keys = std::iter::once(&self.current).chain(&self.previous);
        let kek = keys.find(|kek| kek.id == header[1..]).ok_or(SealFault::UnknownKey)?;
        let aad = [header, identity].concat();
        let payload = Payload { msg: ciphertext, aad: &aad };
        kek.cipher.decrypt(&Nonce::from(nonce), payload).map(Zeroizing::new).map_err(|_| SealFault::Tampered)
    }

    /// Was the value sealed under a previous key, so that it should be sealed anew?
    pub fn is_outdated(&self, sealed: &[u8]) -> bool {
        sealed.get(1..HEADER_LEN).is_none_or(|id| id != self.current.id)
    }
}

impl fmt::Debug for Sealer {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Sealer(redacted, {} previous keys)", self.previous.len())
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;
    use proptest::prelude::*;
    use rstest::rstest;

    fn sealer() -> Sealer {
        Sealer::new(&KeyEncryptionKey::from_bytes([1; 32]), &[])
    }

    #[rstest]
    #[case("AAECAwQFBgcICQoLDA0ODxAREhMUFRYXGBkaGxwdHh8=")]
    #[case("AAECAwQFBgcICQoLDA0ODxAREhMUFRYXGBkaGxwdHh8")]
    #[case(" AAECAwQFBgcICQoLDA0ODxAREhMUFRYXGBkaGxwdHh8=\n")]
    #[case("000102030405060708090a0b0c0d0e0f101112131415161718191a1b1c1d1e1f")]
    #[case("000102030405060708090A0B0C0D0E0F101112131415161718191A1B1C1D1E1F")]
    fn a_key_is_read_in_every_usual_spelling(#[case] text: &str) {
        let key: KeyEncryptionKey = text.parse().unwrap();
        assert_eq!(*key.0, std::array::from_fn(|index| u8::try_from(index).unwrap()));
    }

    #[rstest]
    #[case("", KekFault::Malformed)]
    #[case("change-me", KekFault::Malformed)]
    #[case("AAECAwQFBgcICQoLDA0ODw==", KekFault::Malformed)]
    #[case("+_ECAwQFBgcICQoLDA0ODxAREhMUFRYXGBkaGxwdHh8=", KekFault::Malformed)]
    #[case("g00102030405060708090a0b0c0d0e0f101112131415161718191a1b1c1d1e1f", KekFault::Malformed)]
    #[case("AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA=", KekFault::Placeholder)]
    fn anything_else_is_refused(#[case] text: &str, #[case] fault: KekFault) {
        assert_eq!(text.parse::<KeyEncryptionKey>().unwrap_err(), fault);
        assert!(!fault.to_string().contains("AAAA"));
    }

    #[test]
    fn derived_keys_differ_by_purpose_and_key_and_follow_a_change() {
        let [one, two] = [1, 2].map(|byte| KeyEncryptionKey::from_bytes([byte; 32]));
        let only = Sealer::new(&one, &[]).derived("a");
        assert_ne!(only, Sealer::new(&one, &[]).derived("b"));
        assert_ne!(only, Sealer::new(&two, &[]).derived("a"));
        assert_ne!(*only[0], *one.0);
        assert_eq!(Sealer::new(&two, &[one]).derived("a")[1], only[0]);
    }

    #[test]
    fn previous_keys_open_but_do_not_seal() {
        let old = KeyEncryptionKey::from_bytes([1; 32]);
        let new = KeyEncryptionKey::from_bytes([2; 32]);
        let sealed = Sealer::new(&old, &[]).seal(b"seed", b"totp:alice", [7; 12]).unwrap();
        let both = Sealer::new(&new, std::slice::from_ref(&old));
        assert_eq!(*both.open(&sealed, b"totp:alice").unwrap(), b"seed");
        assert!(both.is_outdated(&sealed));
        let anew = both.seal(b"seed", b"totp:alice", [8; 12]).unwrap();
        assert!(!both.is_outdated(&anew));
        let only_new = Sealer::new(&new, &[]);
        assert_eq!(*only_new.open(&anew, b"totp:alice").unwrap(), b"seed");
        assert_eq!(only_new.open(&sealed, b"totp:alice"), Err(SealFault::UnknownKey));
    }

    #[test]
    fn a_sealed_value_belongs_to_its_record() {
        let sealed = sealer().seal(b"seed", b"totp:alice", [7; 12]).unwrap();
        assert_eq!(sealer().open(&sealed, b"totp:bob"), Err(SealFault::Tampered));
    }

    #[test]
    fn debug_is_redacted() {
        let key = KeyEncryptionKey::from_bytes([0xAB; 32]);
        assert_eq!(format!("{key:?}"), "KeyEncryptionKey(redacted)");
        assert_eq!(format!("{:?}", Sealer::new(&key, &[])), "Sealer(redacted, 0 previous keys)");
    }

    proptest! {
        #[test]
        fn what_is_sealed_opens(plain: Vec<u8>, identity: Vec<u8>, nonce: [u8; 12]) {
            let sealed = sealer().seal(&plain, &identity, nonce).unwrap();
            prop_assert_eq!(&*sealer().open(&sealed, &identity).unwrap(), &plain);
        }

        #[test]
        fn any_altered_bit_is_noticed(plain: Vec<u8>, at: prop::sample::Index, bit in 0..8_u8) {
            let mut sealed = sealer().seal(&plain, b"id", [7; 12]).unwrap();
            let at = at.index(sealed.len());
            sealed[at] ^= 1 << bit;
            prop_assert!(sealer().open(&sealed, b"id").is_err());
        }

        #[test]
        fn arbitrary_bytes_never_open(bytes: Vec<u8>) {
            prop_assert!(sealer().open(&bytes, b"id").is_err());
            sealer().is_outdated(&bytes);
        }
    }
}
