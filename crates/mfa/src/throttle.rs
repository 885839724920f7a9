//! Guessing made slow: after a few failures an account answers only after a delay, which doubles up
//! to a limit and is forgotten after quiet time (SE-03).
//!
//! Accounts are never locked for good, or a stranger could lock a customer out. For the same reason
//! failures are counted apart for each [`Guesser`]: a browser that the account knows does not wait for
//! what strangers did. Failures are kept under a digest of the typed name, whether or not an account
//! has it, so that unknown names are delayed alike (SE-02). An attempt is counted *before* its secret
//! is checked, by a conditional statement ([`AttemptReservation`]), and forgiven if the secret was
//! right: otherwise a thousand guesses in parallel would all be the first.

use chrono::{DateTime, TimeDelta, Utc};
use jose::digest::{Digest, sha256_framed};
use protocol::SessionId;

use crate::{device::DeviceId, user::Username};

/// What is guessed; each has its own count.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum AttemptKind {
    /// The password.
    Password,
    /// The one-time password or a recovery code.
    SecondFactor,
}

impl AttemptKind {
    /// The stable text.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Password => "password",
            Self::SecondFactor => "second_factor",
        }
    }
}

/// Who makes an attempt, as far as it matters for the count.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Guesser {
    /// Anybody: all strangers to the account share one count.
    Stranger,
    /// A browser that has been signed in to the account.
    Device(DeviceId),
    /// Whoever is signed in to the account and is asked for the password once more.
    Session(SessionId),
}

/// Under which key the attempts of a guesser on an account are counted.
pub fn attempts_key(name: &Username, kind: AttemptKind, guesser: Guesser) -> Digest {
    let parts = |guesser, mark| -> [&[u8]; 5] {
        [b"attempts", kind.as_str().as_bytes(), name.as_str().as_bytes(), guesser, mark]
    };
    match guesser {
        Guesser::Stranger => account_key(name, kind),
        Guesser::Device(id) => sha256_framed(&parts(b"device", id.as_bytes())),
        Guesser::Session(id) => sha256_framed(&parts(b"session", id.0.as_bytes())),
    }
}

/// Under which key the attempts of strangers on an account are counted.
pub fn account_key(name: &Username, kind: AttemptKind) -> Digest {
    sha256_framed(&[b"attempts", kind.as_str().as_bytes(), name.as_str().as_bytes()])
}

/// Failures in a row. The default is an account without any, which has no row.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Attempts {
    /// How many.
    pub failures: i64,
    /// When the last one was.
    pub last_failure_at: Option<DateTime<Utc>>,
}

/// How slow guessing becomes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct ThrottlePolicy {
    /// Failures that cost nothing.
    pub free: i64,
    /// The delay after the first failure that does; it doubles with each further one.
    pub base: TimeDelta,
    /// The longest delay.
    pub cap: TimeDelta,
    /// After this time without a failure all are forgotten.
    pub forget_after: TimeDelta,
}

impl Default for ThrottlePolicy {
    /// Four free failures, then 2 s, 4 s, 8 s … at most 15 minutes; forgotten after a day. That
    /// leaves a guesser under a hundred six-digit codes a day.
    fn default() -> Self {
        Self {
            free: 4,
            base: TimeDelta::seconds(2),
            cap: TimeDelta::minutes(15),
            forget_after: TimeDelta::days(1),
        }
    }
}

impl ThrottlePolicy {
    /// The delay after so many failures in a row.
    pub fn delay(&self, failures: i64) -> TimeDelta {
        if failures <= self.free {
            return TimeDelta::zero();
        }
        let doublings =
            u32::try_from(failures.saturating_sub(self.free).saturating_sub(1)).unwrap_or(u32::MAX);
        let factor = 2_i32.checked_pow(doublings).unwrap_or(i32::MAX);
        self.base.checked_mul(factor).map_or(self.cap, |delay| delay.min(self.cap))
    }

    fn remembered(&self, attempts: Attempts, now: DateTime<Utc>) -> i64 {
        let recent = attempts.last_failure_at.is_some_and(|last| now - last < self.forget_after);
        if recent { attempts.failures.max(0) } else { 0 }
    }
}

/// The account answers again after this time.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("too many failures; retry after {} s", .0.num_seconds())]
pub struct RetryAfter(pub TimeDelta);

impl RetryAfter {
    /// Whole seconds to wait, at least one, for a `Retry-After` header (RFC 9110 §10.2.3).
    pub fn seconds(self) -> i64 {
        let whole = self.0.num_seconds();
        (if TimeDelta::seconds(whole) < self.0 { whole + 1 } else { whole }).max(1)
    }
}

/// Whether an attempt may be made now.
///
/// # Errors
/// [`RetryAfter`], at most the policy's cap.
pub fn allowed(attempts: Attempts, policy: &ThrottlePolicy, now: DateTime<Utc>) -> Result<(), RetryAfter> {
    let delay = policy.delay(policy.remembered(attempts, now));
    let Some(last) = attempts.last_failure_at else { return Ok(()) };
    // A clock that ran ahead on another node must not lengthen the delay.
    let passed = (now - last).max(TimeDelta::zero());
    if passed >= delay { Ok(()) } else { Err(RetryAfter(delay - passed)) }
}

/// The count after one more failure.
#[must_use]
pub fn after_failure(attempts: Attempts, policy: &ThrottlePolicy, now: DateTime<Utc>) -> Attempts {
    let failures = policy.remembered(attempts, now).saturating_add(1);
    Attempts { failures, last_failure_at: Some(now) }
}

/// Effect: count an attempt before its secret is checked.
///
/// Where `before` is the default (no row), insert `after` unless there is a row by now; else
/// `UPDATE … SET failures, last_failure_at WHERE account AND failures = before.failures`. No row
/// means that another attempt on the account is running: refuse this one. When the secret turns out
/// right, delete the row.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct AttemptReservation {
    /// From [`account_key`].
    pub account: Digest,
    /// What was read.
    pub before: Attempts,
    /// What to write.
    pub after: Attempts,
}

/// Reserves an attempt, if one may be made now.
///
/// # Errors
/// [`RetryAfter`].
pub fn reserve(
    account: Digest,
    attempts: Attempts,
    policy: &ThrottlePolicy,
    now: DateTime<Utc>,
) -> Result<AttemptReservation, RetryAfter> {
    allowed(attempts, policy, now)?;
    Ok(AttemptReservation { account, before: attempts, after: after_failure(attempts, policy, now) })
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use proptest::prelude::*;
    use rstest::rstest;

    use super::*;

    fn at(seconds: i64) -> DateTime<Utc> {
        DateTime::UNIX_EPOCH + TimeDelta::seconds(seconds)
    }

    fn failed(failures: i64, last: i64) -> Attempts {
        Attempts { failures, last_failure_at: Some(at(last)) }
    }

    #[rstest]
    #[case(0, 0)]
    #[case(4, 0)]
    #[case(5, 2)]
    #[case(6, 4)]
    #[case(13, 512)]
    #[case(14, 900)]
    #[case(i64::MAX, 900)]
    fn se_03_the_delay_grows_to_its_cap(#[case] failures: i64, #[case] seconds: i64) {
        assert_eq!(ThrottlePolicy::default().delay(failures), TimeDelta::seconds(seconds));
    }

    #[test]
    fn se_03_an_attempt_during_the_delay_is_refused() {
        let policy = ThrottlePolicy::default();
        assert_eq!(allowed(failed(6, 100), &policy, at(103)), Err(RetryAfter(TimeDelta::seconds(1))));
        assert_eq!(allowed(failed(6, 100), &policy, at(104)), Ok(()));
        assert_eq!(allowed(failed(6, 100), &policy, at(90)), Err(RetryAfter(TimeDelta::seconds(4))));
        assert_eq!(allowed(Attempts::default(), &policy, at(0)), Ok(()));
        assert_eq!(RetryAfter(TimeDelta::milliseconds(1200)).seconds(), 2);
        assert_eq!(RetryAfter(TimeDelta::milliseconds(20)).seconds(), 1);
    }

    #[test]
    fn failures_are_forgotten_after_quiet_time() {
        let policy = ThrottlePolicy::default();
        let later = at(100) + policy.forget_after;
        assert_eq!(allowed(failed(50, 100), &policy, later), Ok(()));
        assert_eq!(after_failure(failed(50, 100), &policy, later).failures, 1);
        assert_eq!(after_failure(failed(50, 100), &policy, later - TimeDelta::seconds(1)).failures, 51);
    }

    #[test]
    fn se_03_a_reservation_counts_before_the_check() {
        let key = account_key(&"alice".parse().unwrap(), AttemptKind::Password);
        let reservation = reserve(key, failed(2, 100), &ThrottlePolicy::default(), at(101)).unwrap();
        assert_eq!(reservation.before, failed(2, 100));
        assert_eq!(reservation.after, failed(3, 101));
        assert!(reserve(key, failed(9, 100), &ThrottlePolicy::default(), at(101)).is_err());
    }

    #[test]
    fn accounts_and_kinds_are_counted_apart() {
        let key = |name: &str, kind| account_key(&name.parse().unwrap(), kind);
        assert_eq!(key("Alice ", AttemptKind::Password), key("alice", AttemptKind::Password));
        assert_ne!(key("alice", AttemptKind::Password), key("bob", AttemptKind::Password));
        assert_ne!(key("alice", AttemptKind::Password), key("alice", AttemptKind::SecondFactor));
    }

    #[test]
    fn se_03_a_known_browser_does_not_wait_for_strangers() {
        let name: Username = "alice".parse().unwrap();
        let device = |byte| Guesser::Device(DeviceId::from_entropy([byte; 16]));
        let session = Guesser::Session(SessionId(uuid::Uuid::from_u128(1)));
        let guessers = [Guesser::Stranger, device(1), device(2), session];
        let keys: std::collections::HashSet<_> = guessers
            .into_iter()
            .flat_map(|guesser| {
                [AttemptKind::Password, AttemptKind::SecondFactor].map(|kind| (guesser, kind))
            })
            .map(|(guesser, kind)| *attempts_key(&name, kind, guesser).as_bytes())
            .collect();
        assert_eq!(keys.len(), 8);
    }

    proptest! {
        #[test]
        fn delays_never_shrink_and_never_pass_the_cap(failures in 0_i64..200, more in 0_i64..200) {
            let policy = ThrottlePolicy::default();
            prop_assert!(policy.delay(failures) <= policy.delay(failures + more));
            prop_assert!(policy.delay(failures + more) <= policy.cap);
        }

        #[test]
        fn waiting_as_told_is_enough(failures in any::<i64>(), last in 0_i64..1_000_000, passed in 0_i64..100_000) {
            let policy = ThrottlePolicy::default();
            let attempts = failed(failures, last);
            if let Err(retry) = allowed(attempts, &policy, at(last + passed)) {
                prop_assert!(retry.0 <= policy.cap);
                let then = at(last + passed) + TimeDelta::seconds(retry.seconds());
                prop_assert_eq!(allowed(attempts, &policy, then), Ok(()));
            }
        }
    }
}
