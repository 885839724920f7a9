//! The second factor: time-based one-time passwords (RFC 6238) of six digits, every 30 seconds,
//! over SHA-1, which is what every authenticator app understands.
//!
//! A code counts once (SE-03, RFC 6238 §5.2): the step of the last accepted code is kept, only
//! later steps are accepted, and the store moves it forward by a conditional statement, so that of
//! parallel uses of one code exactly one wins. The seed is stored sealed; this room gets it opened.

use std::fmt;

use chrono::{DateTime, Utc};
use protocol::{UserId, secret::OneTimePassword};
use totp_rs::{Builder, Secret};
use zeroize::Zeroizing;

use crate::{authentication::VerifiedSecondFactor, single_use::SingleUse};

/// The seconds for which one code stands.
pub const STEP_SECONDS: i64 = 30;

/// A shared seed of 160 bits (RFC 4226 §4), wiped when dropped.
#[derive(Clone)]
pub struct TotpSecret(Zeroizing<[u8; 20]>);

/// An opened seed has another length than 20 bytes.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("a TOTP seed has 20 bytes")]
pub struct MalformedSeed;

impl TotpSecret {
    /// A new seed out of fresh entropy.
    pub fn from_entropy(entropy: [u8; 20]) -> Self {
        Self(Zeroizing::new(entropy))
    }

    /// The bytes, to be sealed.
    pub fn expose(&self) -> &[u8; 20] {
        &self.0
    }

    fn builder(&self) -> Builder {
        Builder::new().with_secret(Secret::from(*self.0)).with_skew(1)
    }
}

/// Takes an opened seed.
impl TryFrom<&[u8]> for TotpSecret {
    type Error = MalformedSeed;
    fn try_from(bytes: &[u8]) -> Result<Self, MalformedSeed> {
        bytes.try_into().map(Self::from_entropy).map_err(|_| MalformedSeed)
    }
}

impl fmt::Debug for TotpSecret {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("TotpSecret(redacted)")
    }
}

/// An authenticator as it is stored.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct TotpCredential {
    /// Whose.
    pub user: UserId,
    /// The seed, sealed with the user's id as associated data.
    pub sealed_seed: Vec<u8>,
    /// The step of the last accepted code; [`NO_STEP`] before the first.
    pub last_step: i64,
    /// When the first code was accepted. Until then it is only being enrolled, and is no factor.
    pub confirmed_at: Option<DateTime<Utc>>,
}

/// The `last_step` of an authenticator that has not been used yet.
pub const NO_STEP: i64 = -1;

impl TotpCredential {
    /// An authenticator that waits for its first code.
    pub const fn unconfirmed(user: UserId, sealed_seed: Vec<u8>) -> Self {
        Self { user, sealed_seed, last_step: NO_STEP, confirmed_at: None }
    }

    /// Whether it counts as a factor.
    pub const fn is_enrolled(&self) -> bool {
        self.confirmed_at.is_some()
    }
}

/// Effect: move the last accepted step forward.
/// `UPDATE … SET last_step = step WHERE user AND confirmed AND last_step < step`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct TotpAcceptance {
    /// Whose.
    pub user: UserId,
    /// The step of the accepted code.
    pub step: i64,
}

/// Effect: confirm an authenticator by its first code.
/// `UPDATE … SET last_step = step, confirmed_at = at WHERE user AND NOT confirmed AND last_step < step`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct TotpConfirmation {
    /// Whose.
    pub user: UserId,
    /// The step of the accepted code.
    pub step: i64,
    /// When.
    pub at: DateTime<Utc>,
}

/// Why a code was not accepted.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum TotpFault {
    /// Not six digits.
    #[error("a one-time password has six digits")]
    Malformed,
    /// No code of the present, the previous or the next step.
    #[error("the one-time password is wrong")]
    Wrong,
    /// A code of a step that was accepted already (RFC 6238 §5.2).
    #[error("the one-time password was used before")]
    Replayed,
    /// The authenticator is not confirmed yet, or it is already.
    #[error("the authenticator is in another state")]
    State,
}

impl TotpFault {
    /// The stable code for the audit trail.
    pub const fn code(self) -> &'static str {
        match self {
            Self::Malformed => "malformed_otp",
            Self::Wrong => "wrong_otp",
            Self::Replayed => "replayed_otp",
            Self::State => "otp_state",
        }
    }
}

/// The step of an acceptable code.
///
/// White space in what was typed is ignored; the present step and one either side count (RFC 6238
/// §5.2), if later than `last_step`.
///
/// # Errors
/// [`TotpFault`].
pub fn check(
    secret: &TotpSecret,
    code: &OneTimePassword,
    now: DateTime<Utc>,
    last_step: i64,
) -> Result<i64, TotpFault> {
    let digits: Zeroizing<String> =
        Zeroizing::new(code.expose().chars().filter(|c| !c.is_whitespace()).take(7).collect());
    if digits.len() != 6 || !digits.bytes().all(|b| b.is_ascii_digit()) {
        return Err(TotpFault::Malformed);
    }
    let seconds = u64::try_from(now.timestamp()).map_err(|_| TotpFault::Wrong)?;
    let totp = secret.builder().build().expect("a seed of 20 bytes is within the bounds of RFC 6238");
    let step = totp.check(&digits, seconds).ok_or(TotpFault::Wrong)?;
    let step = i64::try_from(step).map_err(|_| TotpFault::Wrong)?;
    if step > last_step { Ok(step) } else { Err(TotpFault::Replayed) }
}

/// Checks a code of an enrolled authenticator. `secret` is its opened seed.
///
/// # Errors
/// [`TotpFault`].
pub fn accept(
    credential: &TotpCredential,
    secret: &TotpSecret,
    code: &OneTimePassword,
    now: DateTime<Utc>,
) -> Result<(TotpAcceptance, SingleUse<VerifiedSecondFactor>), TotpFault> {
    if !credential.is_enrolled() {
        return Err(TotpFault::State);
    }
    let step = check(secret, code, now, credential.last_step)?;
    let user = credential.user;
    Ok((TotpAcceptance { user, step }, SingleUse::new(VerifiedSecondFactor::new(user))))
}

/// Checks the first code of an authenticator that is being enrolled.
///
/// # Errors
/// [`TotpFault`].
pub fn confirm(
    credential: &TotpCredential,
    secret: &TotpSecret,
    code: &OneTimePassword,
    now: DateTime<Utc>,
) -> Result<(TotpConfirmation, SingleUse<VerifiedSecondFactor>), TotpFault> {
    if credential.is_enrolled() {
        return Err(TotpFault::State);
    }
    let step = check(secret, code, now, credential.last_step)?;
    let user = credential.user;
    Ok((TotpConfirmation { user, step, at: now }, SingleUse::new(VerifiedSecondFactor::new(user))))
}

/// What the enrolment page shows. It contains the seed; nothing of it is stored or logged.
#[derive(Clone)]
pub struct TotpEnrolment {
    uri: Zeroizing<String>,
    manual_key: Zeroizing<String>,
    qr_png: Zeroizing<Vec<u8>>,
}

impl TotpEnrolment {
    /// Presents a seed for an authenticator app. `issuer` is the bank's name and `account` the
    /// user's; a colon in either becomes a space, and both are cut, so that the code stays readable.
    ///
    /// # Errors
    /// [`UnpresentableSeed`] if no QR code can be drawn, which needs an empty name or a fault of the
    /// library.
    pub fn new(secret: &TotpSecret, issuer: &str, account: &str) -> Result<Self, UnpresentableSeed> {
        let (issuer, account) = (label(issuer), label(account));
        let builder = secret.builder().with_account_name(account);
        let totp = builder.with_issuer(Some(issuer).filter(|issuer| !issuer.is_empty())).build();
        let totp = totp.map_err(|_| UnpresentableSeed)?;
        Ok(Self {
            uri: Zeroizing::new(totp.to_url().map_err(|_| UnpresentableSeed)?),
            manual_key: Zeroizing::new(grouped(&Zeroizing::new(totp.secret().to_base32()))),
            qr_png: Zeroizing::new(totp.to_qr_png().map_err(|_| UnpresentableSeed)?),
        })
    }

    /// The `otpauth://` URI.
    pub fn uri(&self) -> &str {
        &self.uri
    }

    /// The seed in base32, in groups of four, to be typed by hand.
    pub fn manual_key(&self) -> &str {
        &self.manual_key
    }

    /// The URI as a QR code, a PNG.
    pub fn qr_png(&self) -> &[u8] {
        &self.qr_png
    }
}

impl fmt::Debug for TotpEnrolment {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("TotpEnrolment(redacted)")
    }
}

/// No QR code can be drawn for the seed.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("the TOTP seed cannot be shown as a QR code")]
pub struct UnpresentableSeed;

fn label(text: &str) -> String {
    let clean = |c: char| if c == ':' || c.is_control() { ' ' } else { c };
    text.chars().map(clean).take(64).collect::<String>().trim().to_owned()
}

fn grouped(text: &str) -> String {
    let mut out = String::with_capacity(text.len() + text.len() / 4);
    for (index, c) in text.chars().enumerate() {
        if index > 0 && index % 4 == 0 {
            out.push(' ');
        }
        out.push(c);
    }
    out
}

#[cfg(test)]
#[path = "totp_tests.rs"]
mod tests;
