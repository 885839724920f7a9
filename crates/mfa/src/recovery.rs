//! Recovery codes: what stands in for a lost authenticator.
//!
//! Ten codes of 80 bits each, shown once, stored as digests (they are random, so a fast digest is
//! right), each good once (SE-03). Written in Crockford's base32, which has no letters that look
//! like digits, in groups of four.

use std::fmt;

use chrono::{DateTime, Utc};
use jose::digest::{Digest, sha256_framed};
use protocol::{UserId, secret::RecoveryCode};
use zeroize::Zeroizing;

use crate::{authentication::VerifiedSecondFactor, single_use::SingleUse};

/// How many codes a set has.
pub const COUNT: usize = 10;

/// Bytes of entropy in one code.
pub const ENTROPY: usize = 10;

/// Characters of one code without its separators: five bits each.
const CHARACTERS: usize = ENTROPY * 8 / 5;

/// Crockford's alphabet: no I, L, O, U.
const ALPHABET: &[u8; 32] = b"0123456789ABCDEFGHJKMNPQRSTVWXYZ";

/// A fresh set: the codes for the person, and the effect for the store.
pub struct RecoveryCodes {
    codes: Vec<RecoveryCode>,
    replacement: RecoveryCodeReplacement,
}

impl fmt::Debug for RecoveryCodes {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("RecoveryCodes(redacted)")
    }
}

/// Effect: replace whatever codes a person has.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct RecoveryCodeReplacement {
    /// Whose.
    pub user: UserId,
    /// The digests of the new set.
    pub digests: Vec<Digest>,
    /// When.
    pub at: DateTime<Utc>,
}

impl RecoveryCodes {
    /// A fresh set out of fresh entropy.
    pub fn generate(user: UserId, entropy: &[[u8; ENTROPY]; COUNT], now: DateTime<Utc>) -> Self {
        let texts: Vec<Zeroizing<String>> = entropy.iter().map(written).collect();
        let digests = texts.iter().map(|text| digest(user, text)).collect();
        let codes = texts.iter().map(|text| RecoveryCode::new(grouped(text))).collect();
        Self { codes, replacement: RecoveryCodeReplacement { user, digests, at: now } }
    }

    /// The codes, to be shown once.
    pub fn codes(&self) -> &[RecoveryCode] {
        &self.codes
    }

    /// What the store keeps of them.
    pub const fn replacement(&self) -> &RecoveryCodeReplacement {
        &self.replacement
    }
}

/// Effect: spend one code.
/// `UPDATE … SET used_at = at WHERE user AND digest AND used_at IS NULL`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct RecoveryCodeUse {
    /// Whose.
    pub user: UserId,
    /// The digest of what was typed.
    pub digest: Digest,
    /// When.
    pub at: DateTime<Utc>,
}

/// What was typed cannot be a recovery code.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("a recovery code has 16 letters and digits")]
pub struct MalformedRecoveryCode;

impl MalformedRecoveryCode {
    /// The stable code for the audit trail.
    pub const fn code(self) -> &'static str {
        "malformed_recovery_code"
    }
}

/// Reads a typed code. Whether it is one of the person's, and unused, is what the rows say.
///
/// # Errors
/// [`MalformedRecoveryCode`], before the store is asked.
pub fn redeem(
    user: UserId,
    typed: &RecoveryCode,
    now: DateTime<Utc>,
) -> Result<(RecoveryCodeUse, SingleUse<VerifiedSecondFactor>), MalformedRecoveryCode> {
    let text = normalized(typed.expose()).ok_or(MalformedRecoveryCode)?;
    let spend = RecoveryCodeUse { user, digest: digest(user, &text), at: now };
    Ok((spend, SingleUse::new(VerifiedSecondFactor::new(user))))
}

/// Bound to the person, so that a digest means nothing in another's row.
fn digest(user: UserId, text: &str) -> Digest {
    sha256_framed(&[b"recovery-code", user.0.as_bytes(), text.as_bytes()])
}

fn written(entropy: &[u8; ENTROPY]) -> Zeroizing<String> {
    let number = entropy.iter().fold(0_u128, |number, byte| number << 8 | u128::from(*byte));
    let character = |index| char::from(ALPHABET[(number >> (5 * index) & 31) as usize]);
    Zeroizing::new((0..CHARACTERS).rev().map(character).collect())
}

fn grouped(text: &str) -> String {
    let mut out = String::with_capacity(text.len() + 3);
    for (index, c) in text.chars().enumerate() {
        if index > 0 && index % 4 == 0 {
            out.push('-');
        }
        out.push(c);
    }
    out
}

/// Case, spaces and hyphens don't matter; I and L are read as 1, O as 0, as Crockford says.
fn normalized(typed: &str) -> Option<Zeroizing<String>> {
    let mut text = Zeroizing::new(String::with_capacity(CHARACTERS + 1));
    for c in typed.chars().filter(|c| !c.is_whitespace() && *c != '-') {
        let c = match c.to_ascii_uppercase() {
            'I' | 'L' => '1',
            'O' => '0',
            other => other,
        };
        if text.len() == CHARACTERS || !c.is_ascii() || !ALPHABET.contains(&(c as u8)) {
            return None;
        }
        text.push(c);
    }
    (text.len() == CHARACTERS).then_some(text)
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use proptest::prelude::*;
    use rstest::rstest;
    use uuid::Uuid;

    use super::*;

    const ALICE: UserId = UserId(Uuid::from_u128(1));
    const BOB: UserId = UserId(Uuid::from_u128(2));

    fn typed(user: UserId, text: &str) -> Result<Digest, MalformedRecoveryCode> {
        redeem(user, &RecoveryCode::new(text), DateTime::UNIX_EPOCH).map(|(spend, _)| spend.digest)
    }

    #[test]
    fn se_03_codes_are_stored_as_digests_of_their_owner() {
        let mut entropy = [[0; ENTROPY]; COUNT];
        for (index, bytes) in entropy.iter_mut().enumerate() {
            bytes[9] = u8::try_from(index).unwrap();
        }
        let set = RecoveryCodes::generate(ALICE, &entropy, DateTime::UNIX_EPOCH);
        assert_eq!(set.codes().len(), COUNT);
        assert_eq!(set.codes()[1].expose(), "0000-0000-0000-0001");
        for (code, stored) in set.codes().iter().zip(&set.replacement().digests) {
            assert_eq!(typed(ALICE, code.expose()).unwrap(), *stored);
            assert_ne!(typed(BOB, code.expose()).unwrap(), *stored);
        }
        assert!(!format!("{set:?}").contains("0000"));
    }

    #[test]
    fn se_03_a_code_counts_once() {
        let code = RecoveryCode::new("0000-0000-0000-0001");
        let (_, first) = redeem(ALICE, &code, DateTime::UNIX_EPOCH).unwrap();
        let (_, second) = redeem(ALICE, &code, DateTime::UNIX_EPOCH).unwrap();
        assert_eq!(first.confirm(1).unwrap().user(), ALICE);
        assert!(second.confirm(0).is_err());
    }

    #[rstest]
    #[case("")]
    #[case("0000-0000-0000-000")]
    #[case("0000-0000-0000-00000")]
    #[case("0000-0000-0000-000U")]
    #[case("0000-0000-0000-000\u{e9}")]
    fn malformed_codes_never_reach_the_store(#[case] text: &str) {
        assert_eq!(typed(ALICE, text), Err(MalformedRecoveryCode));
    }

    proptest! {
        #[test]
        fn people_may_type_them_their_way(entropy in any::<[u8; ENTROPY]>()) {
            let text = written(&entropy);
            let sloppy = grouped(&text).to_lowercase().replace('-', " ").replace('1', "l").replace('0', "O");
            prop_assert_eq!(typed(ALICE, &sloppy), typed(ALICE, &text));
            prop_assert_eq!(text.len(), CHARACTERS);
        }

        #[test]
        fn arbitrary_text_never_panics(text in any::<String>()) {
            let _ = typed(ALICE, &text);
        }
    }
}
