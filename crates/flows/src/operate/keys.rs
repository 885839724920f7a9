//! Signing keys that an operator rotates, retires or revokes, out of turn.
//!
//! Whatever an operator takes away, the rotation plan is carried out in the same transaction, so that
//! there is a signing key at every moment.

use audit::EventKind;
use chrono::{DateTime, Utc};
use keys::{
    KeyAlgorithm, KeyState, RotationPolicy, SigningKeyRecord, Transition, plan, rotate_at_once, rotate_now,
};

use super::{Operate, OperateFault, Operated, not_found};
use crate::signing_keys::KeyStep;
pub use crate::signing_keys::MovedKeys;

type Decision = Result<Vec<KeyStep>, OperateFault>;

/// What rotating one algorithm came to.
#[derive(Clone, Debug)]
pub struct RotatedKey {
    /// The key that signs from now on, or takes over.
    pub successor: SigningKeyRecord,
    /// Whether it was made or moved just now; otherwise it was announced before.
    pub fresh: bool,
    /// The key that signs until then; `None` if the successor signs already.
    pub until_then: Option<SigningKeyRecord>,
}

impl Operate<'_> {
    /// Publishes a new key for each of `algorithms` (all that are configured, if empty). It signs once
    /// every cached JWKS knows it; if `at_once`, now, and whoever has cached the JWKS refuses its
    /// tokens for a while.
    ///
    /// # Errors
    /// [`FlowError`](crate::FlowError).
    pub async fn rotate_keys(&self, algorithms: &[KeyAlgorithm], at_once: bool) -> Operated<Vec<RotatedKey>> {
        let policy = &self.service.rotation();
        let algorithms =
            if algorithms.is_empty() { policy.algorithms().collect() } else { algorithms.to_vec() };
        let unknown = algorithms.iter().filter(|algorithm| !policy.has(**algorithm));
        let faults: Vec<String> = unknown
            .map(|algorithm| format!("{algorithm} is not among keys.algorithms and keys.encryption"))
            .collect();
        if !faults.is_empty() {
            return Ok(Err(OperateFault::Rules(faults)));
        }
        let rotate = if at_once { rotate_at_once } else { rotate_now };
        let decide = |records: &[SigningKeyRecord], now| -> Decision {
            let actions = algorithms.iter().flat_map(|algorithm| rotate(records, policy, *algorithm, now));
            Ok(actions.map(KeyStep::from).collect())
        };
        let moved = match self.move_keys(decide, if at_once { "forced" } else { "rotated" }).await? {
            Ok(moved) => moved,
            Err(fault) => return Ok(Err(fault)),
        };
        Ok(Ok(algorithms.iter().filter_map(|algorithm| outcome(&moved, *algorithm)).collect()))
    }

    /// Retires the key that signs: it stays published for as long as its tokens live. Refused unless a
    /// successor has been published for long enough, or `force`.
    ///
    /// # Errors
    /// [`FlowError`](crate::FlowError).
    pub async fn retire_key(&self, kid: &str, force: bool) -> Operated<MovedKeys> {
        let policy = &self.service.rotation();
        let retire = Transition::Retire { retain_for: policy.retain_for() };
        let decide = |records: &[SigningKeyRecord], now: DateTime<Utc>| -> Decision {
            let steps = step_and_plan(records, policy, kid, retire, now)?;
            let key = records.iter().find(|record| record.kid == kid);
            let needs_successor = key.filter(|key| policy.has(key.algorithm) && !force);
            let known = |key: &SigningKeyRecord| {
                records.iter().any(|record| {
                    record.algorithm == key.algorithm
                        && record.kid != key.kid
                        && (record.state == KeyState::Active
                            || record.state == KeyState::Announced
                                && record.created_at + policy.announce_for() <= now)
                })
            };
            match needs_successor {
                Some(key) if !known(key) => Err(OperateFault::State(format!(
                    "no other {} key has been published for long enough to take over; `chancery keys rotate` \
                     publishes one and retires this one in time, --force does not wait",
                    key.algorithm
                ))),
                _ => Ok(steps),
            }
        };
        self.move_keys(decide, if force { "forced" } else { "retired" }).await
    }

    /// Revokes a compromised key: it is published no longer, its private half is destroyed, and
    /// everything that it signed fails wherever the JWKS is fresh.
    ///
    /// # Errors
    /// [`FlowError`](crate::FlowError).
    pub async fn revoke_key(&self, kid: &str) -> Operated<MovedKeys> {
        let policy = &self.service.rotation();
        let decide =
            |records: &[SigningKeyRecord], now| step_and_plan(records, policy, kid, Transition::Revoke, now);
        self.move_keys(decide, "revoked").await
    }

    async fn move_keys(
        &self,
        decide: impl Fn(&[SigningKeyRecord], DateTime<Utc>) -> Decision,
        reason: &str,
    ) -> Operated<MovedKeys> {
        self.service.move_keys(decide, |kind: EventKind, now| self.event(kind, now).reason(reason)).await
    }
}

/// The step, and what the plan says is due after it.
fn step_and_plan(
    records: &[SigningKeyRecord],
    policy: &RotationPolicy,
    kid: &str,
    transition: Transition,
    now: DateTime<Utc>,
) -> Decision {
    let mut after = records.to_vec();
    let key = after.iter_mut().find(|record| record.kid == kid).ok_or_else(|| not_found("key", kid))?;
    key.apply(transition, now).map_err(|refused| OperateFault::State(refused.to_string()))?;
    let step = KeyStep::Move { kid: kid.to_owned(), transition };
    let due = plan(&after, policy, now).into_iter().map(KeyStep::from);
    Ok(std::iter::once(step).chain(due).collect())
}

fn outcome(moved: &MovedKeys, algorithm: KeyAlgorithm) -> Option<RotatedKey> {
    let newest = |state| {
        let of = moved.records.iter().filter(|key| key.algorithm == algorithm && key.state == state);
        of.max_by_key(|key| (key.activates_at, key.created_at))
    };
    let (announced, active) = (newest(KeyState::Announced), newest(KeyState::Active));
    let successor = announced.or(active)?;
    Some(RotatedKey {
        successor: successor.clone(),
        fresh: moved.touched.contains(&successor.kid),
        until_then: announced.and(active).cloned(),
    })
}
