//! The first factor: a password, stored as Argon2id with a pepper (SE-02).
//!
//! Unknown, disabled and password-less accounts take the same path as others: [`verify`] hashes
//! against a dummy of the same cost, so that neither the answer nor its time tells whether an
//! account exists. Lengths are capped before anything is hashed. Hashing costs tens of
//! milliseconds and 19 MiB; the caller runs it on a bounded pool, and keeps the [`HashMemory`] of
//! each of its threads for the next hash.

use std::fmt;

use argon2::{Algorithm, Argon2, Block, Params, Version, password_hash::phc};
use protocol::secret::Password;
use subtle::ConstantTimeEq;
use zeroize::Zeroizing;

use crate::{authentication::VerifiedPassword, user::User};

/// The longest password, in bytes: longer than any person's, short enough to hash.
pub const MAX_BYTES: usize = 1024;

/// The shortest new password, in characters (NIST SP 800-63B §5.1.1.2).
pub const MIN_CHARACTERS: usize = 8;

/// A secret of the whole server that goes into every hash, so that a stolen table alone can't be
/// searched.
#[derive(Clone)]
pub struct Pepper(Zeroizing<[u8; 32]>);

impl Pepper {
    /// Takes the bytes from configuration or from a key derivation.
    pub fn new(bytes: [u8; 32]) -> Self {
        Self(Zeroizing::new(bytes))
    }
}

impl fmt::Debug for Pepper {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Pepper(redacted)")
    }
}

/// A stored password in PHC string format, Argon2id.
#[derive(Clone, PartialEq, Eq)]
pub struct PasswordHash(String);

/// The text is no Argon2id hash in PHC string format.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("not an Argon2id hash in PHC string format")]
pub struct MalformedHash;

impl PasswordHash {
    /// Takes a stored hash back.
    ///
    /// # Errors
    /// [`MalformedHash`], also for hashes of other functions.
    pub fn from_phc(text: impl Into<String>) -> Result<Self, MalformedHash> {
        let text = text.into();
        let parsed = phc::PasswordHash::new(&text).map_err(|_| MalformedHash)?;
        let complete = parsed.salt.is_some() && parsed.hash.is_some();
        let ours = parsed.algorithm == Algorithm::Argon2id.ident() && complete;
        if ours { Ok(Self(text)) } else { Err(MalformedHash) }
    }

    /// The PHC string, for the store alone.
    pub fn expose(&self) -> &str {
        &self.0
    }
}

impl fmt::Debug for PasswordHash {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("PasswordHash(redacted)")
    }
}

/// The cost of a hash.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct HashingParams {
    memory_kib: u32,
    iterations: u32,
    lanes: u32,
}

/// The cost is below what is safe, or above what a server can bear.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("Argon2id takes at least 19456 KiB and 2 iterations and at most 1 GiB, 64 iterations, 16 lanes")]
pub struct UnsafeParams;

impl Default for HashingParams {
    /// 19 MiB, 2 iterations, 1 lane: the first choice of OWASP's password storage cheat sheet.
    fn default() -> Self {
        Self { memory_kib: 19 * 1024, iterations: 2, lanes: 1 }
    }
}

impl HashingParams {
    /// A cost at least that of the default.
    ///
    /// # Errors
    /// [`UnsafeParams`] if it is weaker, or absurd.
    pub fn new(memory_kib: u32, iterations: u32, lanes: u32) -> Result<Self, UnsafeParams> {
        let least = Self::default();
        let memory = (least.memory_kib..=1024 * 1024).contains(&memory_kib);
        let time = (least.iterations..=64).contains(&iterations) && (1..=16).contains(&lanes);
        if memory && time { Ok(Self { memory_kib, iterations, lanes }) } else { Err(UnsafeParams) }
    }

    fn argon2(self) -> Params {
        Params::new(self.memory_kib, self.iterations, self.lanes, None)
            .expect("the bounds of HashingParams lie within those of Argon2")
    }

    /// A well-formed hash of this cost that no password has.
    fn dummy(self) -> PasswordHash {
        let Self { memory_kib, iterations, lanes } = self;
        let salt = "Y2hhbmNlcnkvZHVtbXkvMA";
        let hash = "A".repeat(43);
        PasswordHash(format!("$argon2id$v=19$m={memory_kib},t={iterations},p={lanes}${salt}${hash}"))
    }
}

/// The memory that one hash after another fills. To take 19 MiB from the system and give them back
/// costs nearly as much as an iteration over them, and leaves holes in the heap.
#[derive(Default)]
pub struct HashMemory(Vec<Block>);

impl HashMemory {
    /// As much as a hash of this cost needs.
    fn blocks(&mut self, params: &Params) -> &mut [Block] {
        let count = params.block_count();
        if self.0.len() < count {
            self.0.resize(count, Block::new());
        }
        &mut self.0[..count]
    }
}

impl fmt::Debug for HashMemory {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "HashMemory({} KiB)", self.0.len())
    }
}

/// Argon2id of these bytes. `None` where Argon2 refuses the salt or the cost.
fn argon2id(
    bytes: &[u8],
    salt: &[u8],
    length: usize,
    pepper: &Pepper,
    params: Params,
    memory: &mut HashMemory,
) -> Option<phc::Output> {
    let blocks = memory.blocks(&params);
    let argon2 = Argon2::new_with_secret(&pepper.0[..], Algorithm::Argon2id, Version::V0x13, params).ok()?;
    let mut output = Zeroizing::new([0; phc::Output::MAX_LENGTH]);
    let output = output.get_mut(..length)?;
    argon2.hash_password_into_with_memory(bytes, salt, output, blocks).ok()?;
    phc::Output::new(output).ok()
}

/// A password that is empty or over [`MAX_BYTES`]; it is not hashed at all.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("a password has 1 to 1024 bytes")]
pub struct ImpossibleLength;

fn bounded(password: &Password) -> Result<&[u8], ImpossibleLength> {
    let bytes = password.expose().as_bytes();
    if (1..=MAX_BYTES).contains(&bytes.len()) { Ok(bytes) } else { Err(ImpossibleLength) }
}

/// Hashes a password for storage. `salt` is fresh entropy.
///
/// # Errors
/// [`ImpossibleLength`].
pub fn hash(
    password: &Password,
    pepper: &Pepper,
    params: HashingParams,
    salt: [u8; 16],
    memory: &mut HashMemory,
) -> Result<PasswordHash, ImpossibleLength> {
    let bytes = bounded(password)?;
    let params = params.argon2();
    let hashed = phc::PasswordHash {
        algorithm: Algorithm::Argon2id.ident(),
        version: Some(Version::V0x13.into()),
        params: phc::ParamsString::try_from(&params).expect("a cost can be written in PHC string format"),
        salt: Some(phc::Salt::new(&salt).expect("16 bytes make a salt")),
        hash: Some(
            argon2id(bytes, &salt, OUTPUT_BYTES, pepper, params, memory)
                .expect("Argon2 can hash 1 to 1024 bytes with a salt of 16"),
        ),
    };
    Ok(PasswordHash(hashed.to_string()))
}

/// The length of a new hash, in bytes.
const OUTPUT_BYTES: usize = 32;

/// Whether the password has this hash, at the cost that the hash names.
fn matches(bytes: &[u8], stored: &PasswordHash, pepper: &Pepper, memory: &mut HashMemory) -> bool {
    let Ok(stored) = phc::PasswordHash::new(stored.expose()) else { return false };
    let (Ok(params), Some(salt), Some(expected)) = (Params::try_from(&stored), stored.salt, stored.hash)
    else {
        return false;
    };
    let found = argon2id(bytes, &salt, expected.len(), pepper, params, memory);
    found.is_some_and(|found| bool::from(found.as_bytes().ct_eq(expected.as_bytes())))
}

/// Why a password was not accepted. For the audit trail only: the person reads one and the same
/// text, whatever it was (SE-02).
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum PasswordRefusal {
    /// Empty or over [`MAX_BYTES`].
    #[error("the password has an impossible length")]
    ImpossibleLength,
    /// No account has this name.
    #[error("the account is unknown")]
    UnknownUser,
    /// The account is disabled.
    #[error("the account is disabled")]
    DisabledUser,
    /// The account has no password.
    #[error("the account has no password")]
    NoPassword,
    /// It is another password.
    #[error("the password is wrong")]
    Wrong,
}

impl PasswordRefusal {
    /// The stable code for the audit trail.
    pub const fn code(self) -> &'static str {
        match self {
            Self::ImpossibleLength => "impossible_password_length",
            Self::UnknownUser => "unknown_user",
            Self::DisabledUser => "disabled_user",
            Self::NoPassword => "no_password",
            Self::Wrong => "wrong_password",
        }
    }
}

/// Checks a password. `user` is the account that has the typed name, if there is one; without, the
/// work is the same (SE-02).
///
/// # Errors
/// [`PasswordRefusal`].
pub fn verify(
    password: &Password,
    user: Option<&User>,
    pepper: &Pepper,
    params: HashingParams,
    memory: &mut HashMemory,
) -> Result<VerifiedPassword, PasswordRefusal> {
    let bytes = bounded(password).map_err(|_| PasswordRefusal::ImpossibleLength)?;
    let dummy = params.dummy();
    let stored = user.and_then(|user| user.password.as_ref());
    let compared = stored.unwrap_or(&dummy);
    let matches = matches(bytes, compared, pepper, memory);
    // Only now may the paths part.
    let user = user.ok_or(PasswordRefusal::UnknownUser)?;
    let stored = stored.ok_or(PasswordRefusal::NoPassword)?;
    if !matches {
        return Err(PasswordRefusal::Wrong);
    }
    if !user.is_enabled() {
        return Err(PasswordRefusal::DisabledUser);
    }
    Ok(VerifiedPassword::new(user.id, user.password_changed_at, is_weaker(stored, params)))
}

/// Whether a stored hash is weaker in any respect than `params`.
fn is_weaker(stored: &PasswordHash, params: HashingParams) -> bool {
    let parsed = phc::PasswordHash::new(stored.expose()).ok();
    let had = parsed.and_then(|parsed| Params::try_from(&parsed).ok());
    had.is_none_or(|had| {
        had.m_cost() < params.memory_kib || had.t_cost() < params.iterations || had.p_cost() < params.lanes
    })
}

/// Why a new password is not good enough.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum PasswordWeakness {
    /// Under [`MIN_CHARACTERS`].
    #[error("Use at least {MIN_CHARACTERS} characters.")]
    TooShort,
    /// Over [`MAX_BYTES`].
    #[error("Use at most {MAX_BYTES} bytes.")]
    TooLong,
    /// Easy to guess; the text says why and what would help.
    #[error("{0}")]
    Guessable(String),
}

impl PasswordWeakness {
    /// The stable code, for localization and audit.
    pub const fn code(&self) -> &'static str {
        match self {
            Self::TooShort => "password_too_short",
            Self::TooLong => "password_too_long",
            Self::Guessable(_) => "password_guessable",
        }
    }
}

/// Whether a new password is good enough: long enough, and not guessed in under 10⁸ tries by one
/// who knows `about_the_person` (zxcvbn's score 3 of 4). No rules about kinds of characters.
///
/// # Errors
/// [`PasswordWeakness`], in words for the person.
pub fn acceptable(password: &Password, about_the_person: &[&str]) -> Result<(), PasswordWeakness> {
    let text = password.expose();
    if text.chars().count() < MIN_CHARACTERS {
        return Err(PasswordWeakness::TooShort);
    }
    if text.len() > MAX_BYTES {
        return Err(PasswordWeakness::TooLong);
    }
    let strength = zxcvbn::zxcvbn(text, about_the_person);
    if strength.score() >= zxcvbn::Score::Three {
        return Ok(());
    }
    let advice = strength.feedback().map(ToString::to_string).unwrap_or_default();
    let advice = advice.trim();
    let text = if advice.is_empty() { "This password is easy to guess." } else { advice };
    Err(PasswordWeakness::Guessable(text.to_owned()))
}

#[cfg(test)]
#[path = "password_tests.rs"]
mod tests;
