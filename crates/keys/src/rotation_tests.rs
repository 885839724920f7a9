#![allow(clippy::unwrap_used)]

use super::*;
use proptest::prelude::*;
use rstest::rstest;

const PERIOD: i64 = 1_000;
const ANNOUNCE: i64 = 100;
const RETAIN: i64 = 300;

fn at(seconds: i64) -> DateTime<Utc> {
    DateTime::from_timestamp(seconds, 0).unwrap()
}

fn policy_of(algorithms: &[Algorithm]) -> RotationPolicy {
    let seconds = TimeDelta::seconds;
    RotationPolicy::new(algorithms, seconds(PERIOD), seconds(ANNOUNCE), seconds(RETAIN)).unwrap()
}

fn policy() -> RotationPolicy {
    policy_of(&[Algorithm::Es256])
}

/// A key without the expensive part.
fn key(kid: &str, state: KeyState, created: i64, activates: i64) -> SigningKeyRecord {
    SigningKeyRecord {
        kid: kid.to_owned(),
        algorithm: Algorithm::Es256.into(),
        state,
        created_at: at(created),
        activates_at: at(activates),
        retires_at: None,
        destroys_at: None,
        sealed_private: vec![1],
        public_jwk: serde_json::Value::Null,
    }
}

fn retired(kid: &str, retired_at: i64, destroys_at: i64) -> SigningKeyRecord {
    SigningKeyRecord {
        retires_at: Some(at(retired_at)),
        destroys_at: Some(at(destroys_at)),
        ..key(kid, KeyState::Retired, 0, 0)
    }
}

fn generate(activates_at: i64) -> KeyAction {
    KeyAction::Generate { algorithm: Algorithm::Es256.into(), activates_at: at(activates_at) }
}

fn activate(kid: &str) -> KeyAction {
    KeyAction::Activate { kid: kid.to_owned() }
}

fn retire(kid: &str) -> KeyAction {
    KeyAction::Retire { kid: kid.to_owned(), retain_for: TimeDelta::seconds(RETAIN) }
}

fn destroy(kid: &str) -> KeyAction {
    KeyAction::Destroy { kid: kid.to_owned() }
}

use KeyState::{Active, Announced, Destroyed, Revoked};

#[rstest]
#[case::the_first_key_is_active_at_once(vec![], 5, vec![generate(5)])]
#[case::a_fresh_key_signs_on(vec![key("a", Active, 0, 0)], 899, vec![])]
#[case::its_successor_is_announced(vec![key("a", Active, 0, 0)], 900, vec![generate(1_000)])]
#[case::late_but_never_short(vec![key("a", Active, 0, 0)], 5_000, vec![generate(5_100)])]
#[case::the_successor_waits(
    vec![key("a", Active, 0, 0), key("b", Announced, 900, 1_000)], 999, vec![]
)]
#[case::and_takes_over(
    vec![key("a", Active, 0, 0), key("b", Announced, 900, 1_000)], 1_000,
    vec![activate("b"), retire("a")]
)]
#[case::announced_long_enough_whatever_was_planned(
    vec![key("a", Active, 0, 0), key("b", Announced, 990, 1_000)], 1_000, vec![]
)]
#[case::a_retired_key_is_kept(
    vec![key("b", Active, 0, 1_000), retired("a", 1_000, 1_300)], 1_299, vec![]
)]
#[case::and_then_destroyed(
    vec![key("b", Active, 0, 1_000), retired("a", 1_000, 1_300)], 1_300, vec![destroy("a")]
)]
#[case::longer_if_tokens_live_longer_now(
    vec![key("b", Active, 0, 1_000), retired("a", 1_000, 1_010)], 1_299, vec![]
)]
#[case::as_long_as_promised_if_shorter_now(
    vec![key("b", Active, 0, 1_000), retired("a", 1_000, 1_500)], 1_400, vec![]
)]
#[case::after_a_revocation_the_successor_takes_over_early(
    vec![key("a", Revoked, 0, 0), key("b", Announced, 900, 1_000)], 901, vec![activate("b")]
)]
#[case::or_a_new_key_at_once(vec![key("a", Revoked, 0, 0)], 901, vec![generate(901)])]
#[case::two_active_become_one(
    vec![key("a", Active, 0, 10), key("b", Active, 0, 20)], 30, vec![retire("a")]
)]
#[case::two_successors_become_one(
    vec![key("a", Active, 0, 0), key("c", Announced, 900, 1_001), key("b", Announced, 900, 1_000)],
    950, vec![destroy("c")]
)]
#[case::dead_keys_stay_as_they_are(
    vec![key("a", Active, 0, 0), key("b", Destroyed, 0, 0), key("c", Revoked, 0, 0)], 1, vec![]
)]
fn oc_22_what_is_due(
    #[case] records: Vec<SigningKeyRecord>,
    #[case] now: i64,
    #[case] expected: Vec<KeyAction>,
) {
    assert_eq!(plan(&records, &policy(), at(now)), expected);
}

#[test]
fn each_algorithm_may_have_a_schedule_of_its_own() {
    let seconds = TimeDelta::seconds;
    let policy = policy_of(&[Algorithm::Es256, Algorithm::Rs256]);
    let policy = policy.with_period(Algorithm::Rs256, seconds(5_000)).unwrap();
    let records = [
        key("a", Active, 0, 0),
        SigningKeyRecord { algorithm: Algorithm::Rs256.into(), ..key("b", Active, 0, 0) },
    ];
    let next = |algorithm| next_step(&records, &policy, algorithm, at(10));
    assert_eq!(next(Algorithm::Es256), Some(at(900)));
    assert_eq!(next(Algorithm::Rs256), Some(at(4_900)));
    assert_eq!(next(Algorithm::EdDsa), None);
    assert_eq!(plan(&records, &policy, at(900)), [generate(1_000)]);
    for (period, fault) in [
        (ANNOUNCE, RotationPolicyFault::PeriodTooShort),
        (i64::MAX / 1_000, RotationPolicyFault::OutOfRange("period")),
    ] {
        assert_eq!(policy.clone().with_period(Algorithm::Rs256, seconds(period)), Err(fault));
    }
}

#[test]
fn retention_follows_the_longest_token() {
    let policy = policy().retaining_at_least(TimeDelta::seconds(RETAIN - 1));
    assert_eq!(policy.retain_for(), TimeDelta::seconds(RETAIN));
    let policy = policy.retaining_at_least(TimeDelta::seconds(RETAIN + 1));
    let records = [key("b", Active, 0, 1_000), retired("a", 1_000, 1_000 + RETAIN)];
    assert_eq!(plan(&records, &policy, at(1_000 + RETAIN)), []);
    assert_eq!(plan(&records, &policy, at(1_001 + RETAIN)), [destroy("a")]);
}

#[test]
fn an_algorithm_that_is_no_longer_configured_fades_out() {
    let records = [key("a", Active, 0, 0), key("b", Announced, 0, 50)];
    assert_eq!(
        plan(&records, &policy_of(&[Algorithm::EdDsa]), at(10)),
        [
            KeyAction::Generate { algorithm: Algorithm::EdDsa.into(), activates_at: at(10) },
            retire("a"),
            destroy("b")
        ]
    );
}

#[rstest]
#[case(vec![], vec![generate(50)])]
#[case(vec![key("a", Active, 0, 0)], vec![generate(150)])]
#[case(vec![key("a", Active, 0, 0), key("b", Announced, 40, 140)], vec![])]
#[case(vec![key("a", Revoked, 0, 0), key("b", Announced, 40, 140)], vec![activate("b")])]
fn an_operator_may_rotate_early(#[case] records: Vec<SigningKeyRecord>, #[case] expected: Vec<KeyAction>) {
    assert_eq!(rotate_now(&records, &policy(), Algorithm::Es256, at(50)), expected);
}

#[rstest]
#[case(vec![], vec![generate(50)])]
#[case(vec![key("a", Active, 0, 0)], vec![generate(50), retire("a")])]
#[case(vec![key("a", Active, 0, 0), key("b", Announced, 40, 140)], vec![activate("b"), retire("a")])]
#[case(vec![key("a", Revoked, 0, 0)], vec![generate(50)])]
fn an_operator_may_force_it(#[case] records: Vec<SigningKeyRecord>, #[case] expected: Vec<KeyAction>) {
    assert_eq!(rotate_at_once(&records, &policy(), Algorithm::Es256, at(50)), expected);
}

#[rstest]
#[case(&[], 1_000, 100, 300, RotationPolicyFault::NoAlgorithm)]
#[case(&[Algorithm::Es256], 100, 100, 300, RotationPolicyFault::PeriodTooShort)]
#[case(&[Algorithm::Es256], -1, 100, 300, RotationPolicyFault::OutOfRange("period"))]
#[case(&[Algorithm::Es256], 100, -1, 300, RotationPolicyFault::OutOfRange("announce_for"))]
#[case(&[Algorithm::Es256], 100, 1, i64::MAX / 1_000, RotationPolicyFault::OutOfRange("retain_for"))]
fn impossible_policies_are_refused(
    #[case] algorithms: &[Algorithm],
    #[case] period: i64,
    #[case] announce: i64,
    #[case] retain: i64,
    #[case] fault: RotationPolicyFault,
) {
    let seconds = TimeDelta::seconds;
    assert_eq!(
        RotationPolicy::new(algorithms, seconds(period), seconds(announce), seconds(retain)),
        Err(fault)
    );
}

/// Carries a plan out as the store does.
fn carry_out(records: &mut Vec<SigningKeyRecord>, actions: &[KeyAction], now: DateTime<Utc>) {
    for action in actions {
        if let KeyAction::Generate { algorithm, activates_at } = action {
            let state = if *activates_at <= now { Active } else { Announced };
            let kid = format!("k{}", records.len());
            let made = key(&kid, state, now.timestamp(), activates_at.timestamp());
            records.push(SigningKeyRecord { algorithm: *algorithm, ..made });
        }
        if let Some((kid, transition)) = action.transition() {
            let record = records.iter_mut().find(|record| record.kid == kid).unwrap();
            record.apply(transition, now).unwrap();
        }
    }
}

/// What happens to the keys of a process that is not always awake.
#[derive(Clone, Copy, Debug)]
enum Event {
    Sleep(i64),
    Revoke(prop::sample::Index),
    RotateNow,
}

fn events() -> impl Strategy<Value = Vec<Event>> {
    let event = prop_oneof![
        6 => (0..400_i64).prop_map(Event::Sleep),
        1 => (0..5_000_i64).prop_map(Event::Sleep),
        1 => any::<prop::sample::Index>().prop_map(Event::Revoke),
        1 => Just(Event::RotateNow),
    ];
    prop::collection::vec(event, 1..60)
}

proptest! {
    #[test]
    fn oc_22_no_history_breaks_the_rules(history in events()) {
        let policy = policy_of(&[Algorithm::Es256, Algorithm::Rs256]);
        let mut records: Vec<SigningKeyRecord> = Vec::new();
        let mut now = at(0);
        for event in history {
            match event {
                Event::Sleep(seconds) => now += TimeDelta::seconds(seconds),
                Event::Revoke(which) if !records.is_empty() => {
                    let which = which.index(records.len());
                    let _ = records[which].apply(Transition::Revoke, now);
                }
                Event::Revoke(_) => {}
                Event::RotateNow => {
                    let actions = rotate_now(&records, &policy, Algorithm::Es256, now);
                    carry_out(&mut records, &actions, now);
                }
            }
            let before = records.clone();
            let actions = plan(&records, &policy, now);
            carry_out(&mut records, &actions, now);

            // Carried out, nothing is left to do.
            prop_assert_eq!(plan(&records, &policy, now), vec![]);
            // Nor is there until the moment that is foretold, and at that moment there is.
            let steps = Algorithm::ALL.into_iter().filter_map(|alg| next_step(&records, &policy, alg, now));
            let next = steps.min().unwrap();
            prop_assert!(next > now);
            prop_assert_eq!(plan(&records, &policy, next - TimeDelta::seconds(1)), vec![]);
            prop_assert_ne!(plan(&records, &policy, next), vec![]);
            for algorithm in policy.algorithms() {
                let active = |records: &[SigningKeyRecord]| -> Vec<String> {
                    let active = |key: &&SigningKeyRecord| key.algorithm == algorithm && key.state == Active;
                    records.iter().filter(active).map(|key| key.kid.clone()).collect()
                };
                // There is one signer, and a new one was announced unless there was none.
                let (old, new) = (active(&before), active(&records));
                prop_assert_eq!(new.len(), 1);
                if !old.is_empty() && !old.contains(&new[0]) {
                    let signer = records.iter().find(|key| key.kid == new[0]).unwrap();
                    prop_assert!(signer.created_at + TimeDelta::seconds(ANNOUNCE) <= now);
                }
            }
            // Whatever was destroyed after it had signed was published long enough.
            for key in records.iter().filter(|key| key.state == Destroyed) {
                if let (Some(retired), Some(destroyed)) = (key.retires_at, key.destroys_at) {
                    prop_assert!(destroyed >= retired + TimeDelta::seconds(RETAIN));
                }
            }
        }
    }
}
