//! The life of a key of ours, to sign with or to be encrypted to: announced, active, retired, destroyed, or revoked.
//!
//! A key is published before it signs, so that no client meets an unknown `kid`, and it stays
//! published until the last token that it signed is dead. [`record`] holds what is stored about a
//! key and the transitions it may take; [`rotation`] decides, as a pure function, what is due now;
//! [`seal`] is how private keys and other secrets rest in the database; [`keyring`] is what a
//! running process signs and verifies with.
//!
//! Durations are `chrono::TimeDelta`, times are UTC, and nothing here reads a clock.

pub mod algorithm;
pub mod keyring;
pub mod record;
pub mod rotation;
pub mod seal;

pub use algorithm::{KeyAlgorithm, UnknownKeyAlgorithm};
pub use keyring::{Keyring, KeyringError};
pub use record::{
    KeyRecordFault, KeyState, SigningKeyRecord, Transition, TransitionRefused, UnknownKeyState,
};
pub use rotation::{
    KeyAction, NOTICE, RotationPolicy, RotationPolicyFault, next_step, plan, rotate_at_once, rotate_now,
};
pub use seal::{KekFault, KeyEncryptionKey, SealFault, Sealer};
