//! What is stored about a signing key, and the steps that it may take.
//!
//! ```text
//! announced ──► active ──► retired ──► destroyed
//!     │           │           │
//!     └───────────┴───────────┴──► revoked        (announced ──► destroyed if never needed)
//! ```
//!
//! Destroyed and revoked keys lose their private half at once. Their rows stay, so that an old
//! `kid` in a log can still be explained.

use std::{fmt, str::FromStr};

use chrono::{DateTime, TimeDelta, Utc};
use jose::{KeyFault, PrivateDecryptionKey, PrivateKey, PublicKey};
use serde::{Deserialize, Serialize};

use crate::{
    KeyAlgorithm,
    seal::{NONCE_LEN, SealFault, Sealer},
};

/// Where a key is in its life.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum KeyState {
    /// Published, but it does not sign yet.
    Announced,
    /// It signs.
    Active,
    /// It signs no more; it is published for as long as its tokens live.
    Retired,
    /// No longer published; the private half is gone.
    Destroyed,
    /// Compromised: withdrawn at once, so that its tokens fail.
    Revoked,
}

/// Text that is no key state.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{0:?} is not a key state")]
pub struct UnknownKeyState(pub String);

impl KeyState {
    /// Every state.
    pub const ALL: [Self; 5] = [Self::Announced, Self::Active, Self::Retired, Self::Destroyed, Self::Revoked];

    /// The name in the database and on the command line.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Announced => "announced",
            Self::Active => "active",
            Self::Retired => "retired",
            Self::Destroyed => "destroyed",
            Self::Revoked => "revoked",
        }
    }

    /// Is the public key in our JWKS?
    pub const fn is_published(self) -> bool {
        matches!(self, Self::Announced | Self::Active | Self::Retired)
    }
}

impl FromStr for KeyState {
    type Err = UnknownKeyState;

    fn from_str(text: &str) -> Result<Self, UnknownKeyState> {
        Self::ALL
            .into_iter()
            .find(|state| state.as_str() == text)
            .ok_or_else(|| UnknownKeyState(text.to_owned()))
    }
}

impl fmt::Display for KeyState {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

/// A step in a key's life.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Transition {
    /// Begin to sign.
    Activate,
    /// Stop signing; stay published for `retain_for`, at least the life of the longest token.
    Retire {
        /// How long the key stays published from now.
        retain_for: TimeDelta,
    },
    /// Stop publishing, and wipe the private half.
    Destroy,
    /// Withdraw a compromised key.
    Revoke,
}

impl Transition {
    const fn name(self) -> &'static str {
        match self {
            Self::Activate => "activated",
            Self::Retire { .. } => "retired",
            Self::Destroy => "destroyed",
            Self::Revoke => "revoked",
        }
    }
}

/// A step that a key in its state may not take.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("a key that is {from} cannot be {to}")]
pub struct TransitionRefused {
    /// The state of the key.
    pub from: KeyState,
    /// What was asked for.
    pub to: &'static str,
}

/// Why a key could not be made, sealed or opened.
#[derive(Debug, thiserror::Error)]
pub enum KeyRecordFault {
    /// The key could not be made, or what was opened is no key.
    #[error(transparent)]
    Key(#[from] KeyFault),
    /// It could not be sealed or opened.
    #[error(transparent)]
    Seal(#[from] SealFault),
}

/// A key of ours as it is stored: one that signs, or one that others encrypt to.
#[derive(Clone, PartialEq)]
pub struct SigningKeyRecord {
    /// The RFC 7638 thumbprint.
    pub kid: String,
    /// What it signs with, or is encrypted to with.
    pub algorithm: KeyAlgorithm,
    /// Where it is in its life.
    pub state: KeyState,
    /// When it was made, and published.
    pub created_at: DateTime<Utc>,
    /// When it signs, or signed, first.
    pub activates_at: DateTime<Utc>,
    /// When it stopped signing.
    pub retires_at: Option<DateTime<Utc>>,
    /// When it is no longer published.
    pub destroys_at: Option<DateTime<Utc>>,
    /// The private JWK, sealed; empty when destroyed or revoked.
    pub sealed_private: Vec<u8>,
    /// The public JWK, with `kid`, `use` and `alg`.
    pub public_jwk: serde_json::Value,
}

impl SigningKeyRecord {
    /// Makes a key: active at once if `activates_at` has come, otherwise announced. `nonce` is
    /// fresh randomness for the seal.
    ///
    /// # Errors
    /// [`KeyRecordFault`] if the key cannot be made or sealed.
    pub fn generate(
        algorithm: impl Into<KeyAlgorithm>,
        activates_at: DateTime<Utc>,
        sealer: &Sealer,
        nonce: [u8; NONCE_LEN],
        now: DateTime<Utc>,
    ) -> Result<Self, KeyRecordFault> {
        let algorithm = algorithm.into();
        let seal = |json: &[u8], kid: &str| sealer.seal(json, &seal_identity(kid), nonce);
        let (kid, sealed_private, public): (_, _, PublicKey) = match algorithm {
            KeyAlgorithm::Signature(algorithm) => {
                let key = PrivateKey::generate(algorithm)?;
                (key.kid(), seal(key.as_json(), &key.kid())?, key.public().clone())
            }
            KeyAlgorithm::Encryption(key_type) => {
                let key = PrivateDecryptionKey::generate(key_type)?;
                (key.kid(), seal(key.as_json(), &key.kid())?, key.public().clone())
            }
        };
        let state = if activates_at <= now { KeyState::Active } else { KeyState::Announced };
        Ok(Self {
            sealed_private,
            public_jwk: public.to_value(),
            kid,
            algorithm,
            state,
            created_at: now,
            activates_at,
            retires_at: None,
            destroys_at: None,
        })
    }

    /// Takes one step. The record is unchanged if the step is refused.
    ///
    /// # Errors
    /// [`TransitionRefused`] names the state and the step.
    pub fn apply(&mut self, transition: Transition, now: DateTime<Utc>) -> Result<(), TransitionRefused> {
        use KeyState::{Active, Announced, Destroyed, Retired, Revoked};
        match (self.state, transition) {
            (Announced, Transition::Activate) => {
                self.state = Active;
                self.activates_at = now;
            }
            (Active, Transition::Retire { retain_for }) => {
                self.state = Retired;
                self.retires_at = Some(now);
                self.destroys_at = Some(now + retain_for);
            }
            (Announced | Retired, Transition::Destroy) => {
                self.state = Destroyed;
                self.destroys_at = Some(now);
                self.sealed_private.clear();
            }
            (Announced | Active | Retired, Transition::Revoke) => {
                self.state = Revoked;
                self.destroys_at = Some(now);
                self.sealed_private.clear();
            }
            (from, refused) => return Err(TransitionRefused { from, to: refused.name() }),
        }
        Ok(())
    }

    /// Opens and reads the private key of one that signs.
    ///
    /// # Errors
    /// [`KeyRecordFault`] if the seal or the key in it is bad.
    pub fn open(&self, sealer: &Sealer) -> Result<PrivateKey, KeyRecordFault> {
        let json = sealer.open(&self.sealed_private, &seal_identity(&self.kid))?;
        Ok(PrivateKey::from_json(json)?)
    }

    /// Opens the private key, whatever it is for.
    ///
    /// # Errors
    /// [`KeyRecordFault`] if the seal or the key in it is bad.
    pub fn opens(&self, sealer: &Sealer) -> Result<(), KeyRecordFault> {
        match self.algorithm {
            KeyAlgorithm::Signature(_) => self.open(sealer).map(drop),
            KeyAlgorithm::Encryption(_) => self.open_decryption(sealer).map(drop),
        }
    }

    /// Opens and reads the private key of one that others encrypt to.
    ///
    /// # Errors
    /// [`KeyRecordFault`] if the seal or the key in it is bad.
    pub fn open_decryption(&self, sealer: &Sealer) -> Result<PrivateDecryptionKey, KeyRecordFault> {
        let json = sealer.open(&self.sealed_private, &seal_identity(&self.kid))?;
        Ok(PrivateDecryptionKey::from_json(json)?)
    }
}

impl fmt::Debug for SigningKeyRecord {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "SigningKeyRecord({}, {}, {})", self.kid, self.algorithm, self.state)
    }
}

/// What binds a sealed private key to its record.
pub fn seal_identity(kid: &str) -> Vec<u8> {
    format!("signing-key:{kid}").into_bytes()
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;
    use crate::seal::KeyEncryptionKey;
    use jose::Algorithm;
    use rstest::rstest;

    fn at(seconds: i64) -> DateTime<Utc> {
        DateTime::from_timestamp(seconds, 0).unwrap()
    }

    fn sealer() -> Sealer {
        Sealer::new(&KeyEncryptionKey::from_bytes([3; 32]), &[])
    }

    fn record(state: KeyState) -> SigningKeyRecord {
        let made = SigningKeyRecord::generate(Algorithm::EdDsa, at(0), &sealer(), [1; 12], at(0)).unwrap();
        SigningKeyRecord { state, ..made }
    }

    #[rstest]
    fn only_the_steps_of_the_picture_are_taken(
        #[values(
            KeyState::Announced,
            KeyState::Active,
            KeyState::Retired,
            KeyState::Destroyed,
            KeyState::Revoked
        )]
        from: KeyState,
    ) {
        use KeyState::{Active, Announced, Destroyed, Retired, Revoked};
        let retire = Transition::Retire { retain_for: TimeDelta::hours(2) };
        for step in [Transition::Activate, retire, Transition::Destroy, Transition::Revoke] {
            let expected = match (from, step) {
                (Announced, Transition::Activate) => Some(Active),
                (Active, Transition::Retire { .. }) => Some(Retired),
                (Announced | Retired, Transition::Destroy) => Some(Destroyed),
                (Announced | Active | Retired, Transition::Revoke) => Some(Revoked),
                _ => None,
            };
            let before = record(from);
            let mut after = before.clone();
            let taken = after.apply(step, at(100));
            match expected {
                Some(state) => assert_eq!((taken, after.state), (Ok(()), state)),
                None => {
                    assert_eq!(taken, Err(TransitionRefused { from, to: step.name() }));
                    assert_eq!(after, before);
                }
            }
        }
    }

    #[test]
    fn times_and_secrets_follow_the_steps() {
        let mut key = record(KeyState::Announced);
        key.apply(Transition::Activate, at(10)).unwrap();
        assert_eq!(key.activates_at, at(10));
        key.apply(Transition::Retire { retain_for: TimeDelta::seconds(5) }, at(20)).unwrap();
        assert_eq!((key.retires_at, key.destroys_at), (Some(at(20)), Some(at(25))));
        assert!(!key.sealed_private.is_empty());
        key.apply(Transition::Destroy, at(30)).unwrap();
        assert!(key.sealed_private.is_empty());
        let mut stolen = record(KeyState::Active);
        stolen.apply(Transition::Revoke, at(30)).unwrap();
        assert!(stolen.sealed_private.is_empty());
    }

    #[test]
    fn a_sealed_key_opens_only_in_its_own_record() {
        let one = record(KeyState::Active);
        assert_eq!(one.open(&sealer()).unwrap().kid(), one.kid);
        let other = record(KeyState::Active);
        let swapped = SigningKeyRecord { sealed_private: other.sealed_private, ..one };
        assert!(matches!(swapped.open(&sealer()), Err(KeyRecordFault::Seal(SealFault::Tampered))));
    }

    #[test]
    fn states_have_one_spelling() {
        for state in KeyState::ALL {
            assert_eq!(state.as_str().parse(), Ok(state));
            assert_eq!(serde_json::to_value(state).unwrap(), state.as_str());
        }
        assert!("Active".parse::<KeyState>().is_err());
    }
}
