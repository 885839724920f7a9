//! The keys that a running process signs and verifies with.
//!
//! Built from the stored records whenever they change, and shared: every key is parsed once, and
//! the JWKS is rendered once.

use chrono::{DateTime, Utc};
use jose::{Algorithm, DecryptionKey, JwkFault, KeyFault, KeyManagement, KeySet, PublicKey, SigningKey};

use crate::{KeyAlgorithm, KeyRecordFault, KeyState, Sealer, SigningKeyRecord};

/// Signers, verifiers and the JWKS of one moment.
#[derive(Debug)]
pub struct Keyring {
    signers: Vec<SigningKey>,
    decryption_keys: Vec<DecryptionKey>,
    verification_keys: KeySet,
    jwks_json: String,
}

/// A stored key that cannot be used. It is better not to start than to sign with half of the keys.
#[derive(Debug, thiserror::Error)]
pub enum KeyringError {
    /// The private half does not open, for want of its key-encryption key, say.
    #[error("signing key {kid} cannot be opened: {fault}")]
    Private {
        /// Which key.
        kid: String,
        /// What failed.
        fault: KeyRecordFault,
    },
    /// The private half does not sign.
    #[error("signing key {kid} cannot be used: {fault}")]
    Signer {
        /// Which key.
        kid: String,
        /// What failed.
        fault: KeyFault,
    },
    /// The public half is no acceptable JWK.
    #[error("the public half of signing key {kid} is refused: {fault}")]
    Public {
        /// Which key.
        kid: String,
        /// What is wrong with it.
        fault: JwkFault,
    },
    /// `kid`, algorithm, public and private half are not of one key.
    #[error("the record of signing key {0} contradicts itself")]
    Inconsistent(String),
    /// Two records have one `kid` (F2-37).
    #[error("two signing keys are called {0}")]
    DuplicateKid(String),
}

impl Keyring {
    /// Parses every published key. Retired keys whose time has come are left out, even if nobody
    /// has destroyed them yet.
    ///
    /// # Errors
    /// [`KeyringError`] names the key and what is wrong with it.
    pub fn build(
        records: &[SigningKeyRecord],
        sealer: &Sealer,
        now: DateTime<Utc>,
    ) -> Result<Self, KeyringError> {
        let mut published: Vec<_> = records.iter().filter(|key| is_published(key, now)).collect();
        // Those that sign and the active ones first, because some clients take the first one that fits;
        // among them the one that signs.
        published.sort_by_key(|key| {
            let newest_first = std::cmp::Reverse((key.activates_at, key.kid.as_str()));
            let encrypts = key.algorithm.signature().is_none();
            (encrypts, key.state != KeyState::Active, key.state == KeyState::Retired, newest_first)
        });
        let mut signers: Vec<SigningKey> = Vec::new();
        let mut decryption_keys = Vec::new();
        let mut public: Vec<PublicKey> = Vec::with_capacity(published.len());
        for record in published {
            let key = public_key(record)?;
            if public.iter().any(|other| other.kid() == key.kid()) {
                return Err(KeyringError::DuplicateKid(record.kid.clone()));
            }
            if record.algorithm.signature().is_none() {
                // Whatever its state: who holds an older or newer copy of the list encrypts to it.
                decryption_keys.push(decryption_key(record, &key, sealer)?);
            } else if record.state != KeyState::Retired {
                // An announced key is opened too: better to learn of a fault before it must sign.
                let signer = signing_key(record, &key, sealer)?;
                let has_signer = signers.iter().any(|own| record.algorithm == own.algorithm());
                if record.state == KeyState::Active && !has_signer {
                    signers.push(signer);
                }
            }
            public.push(key);
        }
        let verification_keys = KeySet::new(public);
        Ok(Self { jwks_json: verification_keys.to_json(), signers, decryption_keys, verification_keys })
    }

    /// The key that signs with `algorithm`, if it is configured.
    pub fn signer(&self, algorithm: Algorithm) -> Option<&SigningKey> {
        self.signers.iter().find(|key| key.algorithm() == algorithm)
    }

    /// The algorithms that there is a signer for, in the order of [`Algorithm::ALL`].
    pub fn algorithms(&self) -> Vec<Algorithm> {
        Algorithm::ALL.into_iter().filter(|wanted| self.signer(*wanted).is_some()).collect()
    }

    /// What opens request objects that clients encrypted to us: announced, active and retired keys.
    pub fn decryption_keys(&self) -> &[DecryptionKey] {
        &self.decryption_keys
    }

    /// The algorithms that clients may encrypt to us with, in the order of [`KeyManagement::ALL`].
    pub fn key_management(&self) -> Vec<KeyManagement> {
        let mut found = KeyManagement::ALL.to_vec();
        found.retain(|alg| self.decryption_keys.iter().any(|key| key.public().encrypts(*alg)));
        found
    }

    /// What our tokens are verified with: announced, active and retired keys.
    pub fn verification_keys(&self) -> &KeySet {
        &self.verification_keys
    }

    /// The JWKS document (RFC 7517 §5): the same keys as JSON text, each with a unique `kid`,
    /// `use` and `alg` (F2-37).
    pub fn jwks_json(&self) -> &str {
        &self.jwks_json
    }
}

fn is_published(record: &SigningKeyRecord, now: DateTime<Utc>) -> bool {
    let over = record.state == KeyState::Retired && record.destroys_at.is_some_and(|end| end <= now);
    record.state.is_published() && !over
}

fn public_key(record: &SigningKeyRecord) -> Result<PublicKey, KeyringError> {
    let key = PublicKey::from_value(&record.public_jwk)
        .map_err(|fault| KeyringError::Public { kid: record.kid.clone(), fault })?;
    let named = key.kid() == Some(&record.kid) && key.thumbprint().to_string() == record.kid;
    let fits = match record.algorithm {
        KeyAlgorithm::Signature(algorithm) => key.algorithms().eq([algorithm]),
        KeyAlgorithm::Encryption(key_type) => {
            let wanted = key_type.algorithms();
            KeyManagement::ALL.into_iter().all(|alg| key.encrypts(alg) == wanted.contains(&alg))
        }
    };
    if named && fits { Ok(key) } else { Err(KeyringError::Inconsistent(record.kid.clone())) }
}

fn signing_key(
    record: &SigningKeyRecord,
    public: &PublicKey,
    sealer: &Sealer,
) -> Result<SigningKey, KeyringError> {
    let kid = || record.kid.clone();
    let private = record.open(sealer).map_err(|fault| KeyringError::Private { kid: kid(), fault })?;
    if private.public() != public {
        return Err(KeyringError::Inconsistent(kid()));
    }
    SigningKey::new(&private).map_err(|fault| KeyringError::Signer { kid: kid(), fault })
}

fn decryption_key(
    record: &SigningKeyRecord,
    public: &PublicKey,
    sealer: &Sealer,
) -> Result<DecryptionKey, KeyringError> {
    let kid = || record.kid.clone();
    let private = record.open_decryption(sealer);
    let private = private.map_err(|fault| KeyringError::Private { kid: kid(), fault })?;
    if private.public() != public {
        return Err(KeyringError::Inconsistent(kid()));
    }
    DecryptionKey::new(&private).map_err(|fault| KeyringError::Signer { kid: kid(), fault })
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;
    use crate::{KeyEncryptionKey, SealFault, Transition};
    use chrono::TimeDelta;
    use serde_json::{Value, json};

    fn at(seconds: i64) -> DateTime<Utc> {
        DateTime::from_timestamp(seconds, 0).unwrap()
    }

    fn sealer() -> Sealer {
        Sealer::new(&KeyEncryptionKey::from_bytes([3; 32]), &[])
    }

    fn key(algorithm: impl Into<KeyAlgorithm>, activates_at: i64) -> SigningKeyRecord {
        SigningKeyRecord::generate(algorithm, at(activates_at), &sealer(), [1; 12], at(0)).unwrap()
    }

    fn step(mut record: SigningKeyRecord, transition: Transition) -> SigningKeyRecord {
        record.apply(transition, at(0)).unwrap();
        record
    }

    fn retire() -> Transition {
        Transition::Retire { retain_for: TimeDelta::seconds(100) }
    }

    fn published(ring: &Keyring) -> Vec<String> {
        let keys = ring.verification_keys().keys();
        keys.iter().map(|key| key.kid().unwrap().to_owned()).collect()
    }

    #[test]
    fn oc_22_published_from_announcement_to_retirement() {
        let active = key(Algorithm::Es256, 0);
        let announced = key(Algorithm::Es256, 50);
        let retired = step(key(Algorithm::Es256, 0), retire());
        let revoked = step(key(Algorithm::Es256, 0), Transition::Revoke);
        let destroyed = step(key(Algorithm::Es256, 50), Transition::Destroy);
        let records = [&destroyed, &revoked, &retired, &announced, &active].map(SigningKeyRecord::clone);

        let ring = Keyring::build(&records, &sealer(), at(99)).unwrap();
        assert_eq!(published(&ring), [active.kid.clone(), announced.kid.clone(), retired.kid]);
        assert_eq!(ring.signer(Algorithm::Es256).unwrap().kid(), active.kid);
        assert!(ring.signer(Algorithm::Rs256).is_none());
        assert_eq!(ring.algorithms(), [Algorithm::Es256]);

        let later = Keyring::build(&records, &sealer(), at(100)).unwrap();
        assert_eq!(published(&later), [active.kid, announced.kid]);
    }

    #[test]
    fn f2_37_the_jwks_is_complete_and_public() {
        let records = [key(Algorithm::Rs256, 0), key(Algorithm::EdDsa, 0)];
        let ring = Keyring::build(&records, &sealer(), at(0)).unwrap();
        let jwks: Value = serde_json::from_str(ring.jwks_json()).unwrap();
        let keys = jwks["keys"].as_array().unwrap();
        assert_eq!(keys.len(), 2);
        for key in keys {
            assert_eq!(key["use"], "sig");
            assert!(key["alg"].is_string() && key["kid"].is_string());
            assert!(key.get("d").is_none() && key.get("p").is_none());
        }
        assert_ne!(keys[0]["kid"], keys[1]["kid"]);
        let twice = [records[0].clone(), records[0].clone()];
        assert!(matches!(Keyring::build(&twice, &sealer(), at(0)), Err(KeyringError::DuplicateKid(_))));
    }

    #[test]
    fn what_a_retired_key_signed_still_verifies() {
        let first = key(Algorithm::Es256, 0);
        let before = Keyring::build(std::slice::from_ref(&first), &sealer(), at(0)).unwrap();
        let token = before.signer(Algorithm::Es256).unwrap().sign("JWT", &json!({})).unwrap();
        let records = [step(first.clone(), retire()), key(Algorithm::Es256, 0)];
        let after = Keyring::build(&records, &sealer(), at(1)).unwrap();
        assert!(jose::verify(&token, after.verification_keys(), &Algorithm::ALL).is_ok());
        let records = [step(first, Transition::Revoke), records[1].clone()];
        let revoked = Keyring::build(&records, &sealer(), at(1)).unwrap();
        assert!(jose::verify(&token, revoked.verification_keys(), &Algorithm::ALL).is_err());
    }

    #[test]
    fn the_newest_of_two_active_keys_signs() {
        let older = key(Algorithm::Es256, -10);
        let newer = key(Algorithm::Es256, 0);
        for records in [[older.clone(), newer.clone()], [newer.clone(), older]] {
            let ring = Keyring::build(&records, &sealer(), at(1)).unwrap();
            assert_eq!(ring.signer(Algorithm::Es256).unwrap().kid(), newer.kid);
        }
    }

    #[test]
    fn jar_04_oc_22_encryption_keys_are_published_for_encryption_and_open_all_their_life() {
        use jose::jwe::{self, Accepted, EncryptionKeyType};
        let ends = key(EncryptionKeyType::P256, 0);
        let records = [
            key(EncryptionKeyType::Rsa, 0),
            step(ends.clone(), retire()),
            key(EncryptionKeyType::P256, 50),
            step(key(EncryptionKeyType::P256, 0), Transition::Revoke),
            key(Algorithm::Es256, 0),
        ];
        let ring = Keyring::build(&records, &sealer(), at(10)).unwrap();
        let jwks: Value = serde_json::from_str(ring.jwks_json()).unwrap();
        let uses: Vec<_> = jwks["keys"].as_array().unwrap().iter().map(|key| key["use"].clone()).collect();
        assert_eq!(uses, ["sig", "enc", "enc", "enc"]);
        assert!(jwks["keys"].as_array().unwrap().iter().all(|key| key.get("d").is_none()));
        assert_eq!(ring.key_management(), KeyManagement::ALL);
        let kids: Vec<_> = ring.decryption_keys().iter().map(DecryptionKey::kid).collect();
        assert!(kids.contains(&ends.kid.as_str()) && kids.len() == 3);
        for record in records.iter().take(3) {
            let public = PublicKey::from_value(&record.public_jwk).unwrap();
            let KeyAlgorithm::Encryption(key_type) = record.algorithm else { panic!() };
            let with = jose::Encryption {
                key_management: key_type.algorithms()[0],
                content: jose::ContentEncryption::A256Gcm,
            };
            let sealed = jwe::encrypt(b"x", &KeySet::new(vec![public]), with, None).unwrap();
            assert!(jwe::decrypt(&sealed, ring.decryption_keys(), &Accepted::ALL).is_ok());
        }
        // They verify nothing.
        assert!(!ring.verification_keys().supports(Algorithm::Rs256));
        let later = Keyring::build(&records, &sealer(), at(100)).unwrap();
        assert!(later.decryption_keys().iter().all(|key| key.kid() != ends.kid));
    }

    #[test]
    fn records_that_contradict_themselves_are_refused() {
        let good = key(Algorithm::Es256, 0);
        let other = key(Algorithm::Es256, 0);
        let renamed = SigningKeyRecord { kid: other.kid.clone(), ..good.clone() };
        let swapped = SigningKeyRecord { public_jwk: other.public_jwk, ..good.clone() };
        let relabelled = SigningKeyRecord { algorithm: Algorithm::EdDsa.into(), ..good.clone() };
        for bad in [renamed, swapped, relabelled] {
            let refused = Keyring::build(&[bad], &sealer(), at(0)).unwrap_err();
            assert!(matches!(refused, KeyringError::Inconsistent(_)), "{refused}");
        }
        let stranger = Sealer::new(&KeyEncryptionKey::from_bytes([4; 32]), &[]);
        let refused = Keyring::build(&[good], &stranger, at(0)).unwrap_err();
        assert!(matches!(
            refused,
            KeyringError::Private { fault: KeyRecordFault::Seal(SealFault::UnknownKey), .. }
        ));
    }
}
