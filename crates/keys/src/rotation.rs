//! What is due: a pure function from the keys there are to the steps to take.
//!
//! The rules (OC-22, OIDC Core §10.1.1): there is always an active key for each configured
//! algorithm; a successor is published for `announce_for` before it signs, so that every cached
//! JWKS knows it; its predecessor stays published for `retain_for`, until its last token is dead.
//! Only when there is no active key at all (the first start, or a revocation) is there nothing to
//! wait for, and the next key signs at once.
//!
//! The plan is computed and applied in one transaction; applied, it leaves nothing to do, so two
//! nodes that plan one after the other rotate once. [`next_step`] says when there will be something to
//! do again, so that nobody has to ask all the time.

use std::collections::BTreeMap;

use chrono::{DateTime, TimeDelta, Utc};
use jose::{Algorithm, jwe::EncryptionKeyType};

use crate::{KeyAlgorithm, KeyState, SigningKeyRecord, Transition};

/// A node may notice a change of keys up to a second late: it then publishes a new key later, and signs
/// with a retired one longer, than the records say. Times that must overlap do so by this much more.
pub const NOTICE: TimeDelta = TimeDelta::seconds(2);

/// No duration may be longer, so that sums of times and durations cannot overflow.
const LONGEST: TimeDelta = TimeDelta::days(3653);

/// How keys rotate.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct RotationPolicy {
    /// The configured algorithms, and how long a key of each signs.
    periods: BTreeMap<KeyAlgorithm, TimeDelta>,
    announce_for: TimeDelta,
    retain_for: TimeDelta,
}

/// A rotation policy that cannot work.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum RotationPolicyFault {
    /// Without an algorithm nothing can be signed.
    #[error("at least one signing algorithm is needed")]
    NoAlgorithm,
    /// A negative duration, or one of over ten years.
    #[error("{0} must not be negative or longer than ten years")]
    OutOfRange(&'static str),
    /// A key would be replaced before its successor may sign.
    #[error("the rotation period must be longer than the time for which keys are announced")]
    PeriodTooShort,
}

impl RotationPolicy {
    /// A policy: keys of each of `algorithms` are replaced every `period`, published `announce_for`
    /// (at least the cache lifetime of the JWKS) before they sign, and `retain_for` (at least the
    /// life of the longest token) after.
    ///
    /// # Errors
    /// [`RotationPolicyFault`] says what cannot work.
    pub fn new(
        algorithms: &[Algorithm],
        period: TimeDelta,
        announce_for: TimeDelta,
        retain_for: TimeDelta,
    ) -> Result<Self, RotationPolicyFault> {
        if algorithms.is_empty() {
            return Err(RotationPolicyFault::NoAlgorithm);
        }
        let durations = [("period", period), ("announce_for", announce_for), ("retain_for", retain_for)];
        for (name, duration) in durations {
            if duration < TimeDelta::zero() || duration > LONGEST {
                return Err(RotationPolicyFault::OutOfRange(name));
            }
        }
        if period <= announce_for {
            return Err(RotationPolicyFault::PeriodTooShort);
        }
        let periods = algorithms.iter().map(|algorithm| (KeyAlgorithm::from(*algorithm), period)).collect();
        Ok(Self { periods, announce_for, retain_for })
    }

    /// The same with a schedule of its own for the keys of one algorithm; nothing changes if it is
    /// not among the configured ones.
    ///
    /// # Errors
    /// [`RotationPolicyFault`] says what cannot work.
    pub fn with_period(
        mut self,
        algorithm: Algorithm,
        period: TimeDelta,
    ) -> Result<Self, RotationPolicyFault> {
        if period > LONGEST {
            return Err(RotationPolicyFault::OutOfRange("period"));
        }
        if period <= self.announce_for {
            return Err(RotationPolicyFault::PeriodTooShort);
        }
        self.periods.entry(algorithm.into()).and_modify(|own| *own = period);
        Ok(self)
    }

    /// The same with keys that others encrypt to, replaced every `period` like those that sign.
    ///
    /// # Errors
    /// [`RotationPolicyFault`] says what cannot work.
    pub fn with_encryption(
        mut self,
        key_types: &[EncryptionKeyType],
        period: TimeDelta,
    ) -> Result<Self, RotationPolicyFault> {
        if period > LONGEST {
            return Err(RotationPolicyFault::OutOfRange("period"));
        }
        if period <= self.announce_for {
            return Err(RotationPolicyFault::PeriodTooShort);
        }
        self.periods.extend(key_types.iter().map(|key_type| (KeyAlgorithm::from(*key_type), period)));
        Ok(self)
    }

    /// The same, with retired keys published for at least so long: the life of a token that some
    /// resource server declares, say.
    #[must_use]
    pub fn retaining_at_least(mut self, retain_for: TimeDelta) -> Self {
        self.retain_for = self.retain_for.max(retain_for.min(LONGEST));
        self
    }

    /// The configured algorithms, each once.
    pub fn algorithms(&self) -> impl Iterator<Item = KeyAlgorithm> {
        self.periods.keys().copied()
    }

    /// How long a key of an algorithm signs; `None` if it is not configured.
    pub fn period(&self, algorithm: impl Into<KeyAlgorithm>) -> Option<TimeDelta> {
        self.periods.get(&algorithm.into()).copied()
    }

    /// Whether there are to be keys of an algorithm.
    pub fn has(&self, algorithm: impl Into<KeyAlgorithm>) -> bool {
        self.periods.contains_key(&algorithm.into())
    }

    /// How long a key is published before it signs.
    pub fn announce_for(&self) -> TimeDelta {
        self.announce_for
    }

    /// How long a key stays published after it signed last.
    pub fn retain_for(&self) -> TimeDelta {
        self.retain_for
    }
}

/// One step of a plan.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum KeyAction {
    /// Make a key with [`SigningKeyRecord::generate`].
    Generate {
        /// What it signs with.
        algorithm: KeyAlgorithm,
        /// When it is to sign first; now, if there is no other.
        activates_at: DateTime<Utc>,
    },
    /// Let an announced key sign.
    Activate {
        /// Which key.
        kid: String,
    },
    /// Let an active key sign no more.
    Retire {
        /// Which key.
        kid: String,
        /// How long it stays published.
        retain_for: TimeDelta,
    },
    /// Stop publishing a key, and wipe its private half.
    Destroy {
        /// Which key.
        kid: String,
    },
}

impl KeyAction {
    /// The transition to apply to an existing record; `None` for [`KeyAction::Generate`].
    pub fn transition(&self) -> Option<(&str, Transition)> {
        match self {
            Self::Generate { .. } => None,
            Self::Activate { kid } => Some((kid, Transition::Activate)),
            Self::Retire { kid, retain_for } => Some((kid, Transition::Retire { retain_for: *retain_for })),
            Self::Destroy { kid } => Some((kid, Transition::Destroy)),
        }
    }
}

/// What is due `now`, to be applied in this order.
pub fn plan(records: &[SigningKeyRecord], policy: &RotationPolicy, now: DateTime<Utc>) -> Vec<KeyAction> {
    let mut actions = Vec::new();
    for algorithm in policy.algorithms() {
        plan_algorithm(&Keys::of(records, algorithm), policy, now, &mut actions);
    }
    for record in records {
        let configured = policy.has(record.algorithm);
        let kid = record.kid.clone();
        match record.state {
            KeyState::Retired if retained_until(record, policy).is_some_and(|end| end <= now) => {
                actions.push(KeyAction::Destroy { kid });
            }
            KeyState::Active if !configured => {
                actions.push(KeyAction::Retire { kid, retain_for: policy.retain_for });
            }
            KeyState::Announced if !configured => actions.push(KeyAction::Destroy { kid }),
            _ => {}
        }
    }
    actions
}

/// When [`plan`] will have something to do for the keys of `algorithm`, if nobody touches them before:
/// `now` if it has already, a time to come otherwise, `None` if there is nothing to wait for.
pub fn next_step(
    records: &[SigningKeyRecord],
    policy: &RotationPolicy,
    algorithm: impl Into<KeyAlgorithm>,
    now: DateTime<Utc>,
) -> Option<DateTime<Utc>> {
    let algorithm = algorithm.into();
    let of = records.iter().filter(|key| key.algorithm == algorithm);
    let ends = of.filter(|key| key.state == KeyState::Retired).filter_map(|key| retained_until(key, policy));
    let keys = Keys::of(records, algorithm);
    let step = match (policy.has(algorithm), keys.active.as_slice(), keys.announced.as_slice()) {
        (false, [], []) => None,
        (true, [_], [next]) => Some(next.activates_at.max(next.created_at + policy.announce_for)),
        (true, [current], []) => Some(keys.ends(current, policy) - policy.announce_for),
        _ => Some(now),
    };
    ends.chain(step).min().map(|step| step.max(now))
}

/// What an operator's wish for a new key of `algorithm` comes to: the successor is announced, and
/// takes over through [`plan`] after `announce_for`. Nothing, if a successor is announced already.
pub fn rotate_now(
    records: &[SigningKeyRecord],
    policy: &RotationPolicy,
    algorithm: impl Into<KeyAlgorithm>,
    now: DateTime<Utc>,
) -> Vec<KeyAction> {
    let algorithm = algorithm.into();
    let keys = Keys::of(records, algorithm);
    match (keys.active.is_empty(), keys.announced.is_empty()) {
        (true, _) => {
            let mut actions = Vec::new();
            plan_algorithm(&keys, policy, now, &mut actions);
            actions
        }
        (false, true) => {
            vec![KeyAction::Generate { algorithm, activates_at: now + policy.announce_for }]
        }
        (false, false) => Vec::new(),
    }
}

/// The same without waiting: the successor signs now, and the keys that signed retire. Who has cached
/// the JWKS refuses its tokens until they fetch it again; for emergencies only.
pub fn rotate_at_once(
    records: &[SigningKeyRecord],
    policy: &RotationPolicy,
    algorithm: impl Into<KeyAlgorithm>,
    now: DateTime<Utc>,
) -> Vec<KeyAction> {
    let algorithm = algorithm.into();
    let keys = Keys::of(records, algorithm);
    let successor = match keys.announced.first() {
        Some(next) => KeyAction::Activate { kid: next.kid.clone() },
        None => KeyAction::Generate { algorithm, activates_at: now },
    };
    let retain_for = policy.retain_for;
    let retire = |key: &&SigningKeyRecord| KeyAction::Retire { kid: key.kid.clone(), retain_for };
    std::iter::once(successor).chain(keys.active.iter().map(retire)).collect()
}

/// The keys of one algorithm that may still sign.
struct Keys<'a> {
    algorithm: KeyAlgorithm,
    /// The one that signs comes first, should two nodes have activated one each.
    active: Vec<&'a SigningKeyRecord>,
    /// The one that is due first comes first.
    announced: Vec<&'a SigningKeyRecord>,
}

impl<'a> Keys<'a> {
    fn of(records: &'a [SigningKeyRecord], algorithm: KeyAlgorithm) -> Self {
        let in_state = |state| {
            let mut found: Vec<_> =
                records.iter().filter(|key| key.algorithm == algorithm && key.state == state).collect();
            found.sort_by_key(|key| (key.activates_at, &key.kid));
            found
        };
        let mut active = in_state(KeyState::Active);
        active.reverse();
        Self { algorithm, active, announced: in_state(KeyState::Announced) }
    }

    /// When the schedule wants `current` to sign no more.
    fn ends(&self, current: &SigningKeyRecord, policy: &RotationPolicy) -> DateTime<Utc> {
        current.activates_at + policy.period(self.algorithm).unwrap_or(LONGEST)
    }
}

fn plan_algorithm(
    keys: &Keys<'_>,
    policy: &RotationPolicy,
    now: DateTime<Utc>,
    actions: &mut Vec<KeyAction>,
) {
    let algorithm = keys.algorithm;
    let activate = |key: &SigningKeyRecord| KeyAction::Activate { kid: key.kid.clone() };
    let retire =
        |key: &&SigningKeyRecord| KeyAction::Retire { kid: key.kid.clone(), retain_for: policy.retain_for };
    match (keys.active.first(), keys.announced.first()) {
        (None, None) => actions.push(KeyAction::Generate { algorithm, activates_at: now }),
        // Nothing else can sign: a key that some clients have not seen yet is better than none.
        (None, Some(next)) => actions.push(activate(next)),
        (Some(_), Some(next)) if is_due(next, policy, now) => {
            actions.push(activate(next));
            actions.extend(keys.active.iter().map(retire));
        }
        (Some(current), next) => {
            let ends = keys.ends(current, policy);
            if next.is_none() && ends - policy.announce_for <= now {
                let activates_at = ends.max(now + policy.announce_for);
                actions.push(KeyAction::Generate { algorithm, activates_at });
            }
            actions.extend(keys.active.iter().skip(1).map(retire));
        }
    }
    // One successor is enough. A surplus one never signed, so nobody misses it.
    let surplus = keys.announced.iter().skip(1);
    actions.extend(surplus.map(|key| KeyAction::Destroy { kid: key.kid.clone() }));
}

fn is_due(key: &SigningKeyRecord, policy: &RotationPolicy, now: DateTime<Utc>) -> bool {
    key.activates_at <= now && key.created_at + policy.announce_for <= now
}

/// Until when a retired key is published: what was promised when it retired, or longer if tokens
/// have been configured to live longer since.
fn retained_until(key: &SigningKeyRecord, policy: &RotationPolicy) -> Option<DateTime<Utc>> {
    let by_policy = key.retires_at.map(|retired| retired + policy.retain_for);
    key.destroys_at.max(by_policy)
}

#[cfg(test)]
#[path = "rotation_tests.rs"]
mod tests;
