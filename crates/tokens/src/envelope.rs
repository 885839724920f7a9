//! What is signed for one client and leaves this server only as that client registered: in an envelope to
//! its key, or open.
//!
//! The text is private, and [`Envelope::sealed`] is its only exit, so that what a client wants encrypted
//! cannot be sent readable by mistake. Where there is no key, nothing is sent.

use std::fmt;

use jose::{
    Encryption, KeySet,
    jwe::{EncryptFault, encrypt},
};

/// Something signed, or a document, on its way to a client.
pub struct Envelope {
    content: String,
    encryption: Option<Encryption>,
    nested: bool,
}

impl Envelope {
    /// A signed token, which is encrypted if the client wants that (Core §16.14: signed, then encrypted).
    pub const fn signed(token: String, encryption: Option<Encryption>) -> Self {
        Self { content: token, encryption, nested: true }
    }

    /// A document without signature, which is only ever encrypted (Core §5.3.2).
    pub const fn document(content: String, encryption: Encryption) -> Self {
        Self { content, encryption: Some(encryption), nested: false }
    }

    /// How it is to be encrypted; whoever delivers it needs keys then.
    pub const fn encryption(&self) -> Option<Encryption> {
        self.encryption
    }

    /// What is sent. `keys` are the client's; they are looked at only if it wants encryption.
    ///
    /// # Errors
    /// [`EncryptFault`]; nothing may be sent in its place.
    pub fn sealed(self, keys: Option<&KeySet>) -> Result<String, EncryptFault> {
        let Some(with) = self.encryption else { return Ok(self.content) };
        let keys = keys.ok_or(EncryptFault::NoKey(with.key_management))?;
        encrypt(self.content.as_bytes(), keys, with, self.nested.then_some("JWT"))
    }
}

impl fmt::Debug for Envelope {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Envelope").field("encryption", &self.encryption).finish_non_exhaustive()
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use jose::{
        ContentEncryption, DecryptionKey, KeyManagement, PrivateDecryptionKey,
        jwe::{Accepted, EncryptionKeyType, decrypt},
    };

    use super::*;

    const PAIR: Encryption =
        Encryption { key_management: KeyManagement::EcdhEs, content: ContentEncryption::A256Gcm };

    #[test]
    fn what_a_client_wants_encrypted_never_leaves_readable() {
        let private = PrivateDecryptionKey::generate(EncryptionKeyType::P256).unwrap();
        let keys = KeySet::new(vec![private.public().clone()]);
        assert_eq!(Envelope::signed("a.b.c".into(), None).sealed(None).unwrap(), "a.b.c");
        let sealed = Envelope::signed("a.b.c".into(), Some(PAIR)).sealed(Some(&keys)).unwrap();
        assert!(!sealed.contains("a.b.c"));
        let key = DecryptionKey::new(&private).unwrap();
        let opened = decrypt(&sealed, std::slice::from_ref(&key), &Accepted::ALL).unwrap();
        assert_eq!((opened.plain.as_slice(), opened.content_type.as_deref()), (&b"a.b.c"[..], Some("JWT")));
        let document = Envelope::document("{}".into(), PAIR).sealed(Some(&keys)).unwrap();
        assert_eq!(decrypt(&document, &[key], &Accepted::ALL).unwrap().content_type, None);
        for keys in [None, Some(&KeySet::default())] {
            let refused = Envelope::signed("a.b.c".into(), Some(PAIR)).sealed(keys);
            assert!(matches!(refused, Err(EncryptFault::NoKey(KeyManagement::EcdhEs))));
        }
    }
}
