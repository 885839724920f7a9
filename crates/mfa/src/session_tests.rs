#![allow(clippy::unwrap_used)]

use jose::digest::sha256;
use proptest::prelude::*;
use rstest::rstest;
use uuid::Uuid;

use super::*;
use crate::authentication::{Authentication, VerifiedPassword};

const ALICE: UserId = UserId(Uuid::from_u128(1));
const BOB: UserId = UserId(Uuid::from_u128(2));

fn at(seconds: i64) -> DateTime<Utc> {
    DateTime::UNIX_EPOCH + TimeDelta::seconds(seconds)
}

fn policy() -> SessionPolicy {
    SessionPolicy { idle: TimeDelta::seconds(900), absolute: TimeDelta::seconds(3600) }
}

fn started() -> Session {
    let origin = SessionOrigin {
        id: SessionId(Uuid::from_u128(3)),
        digest: sha256("first"),
        address: None,
        user_agent: Some("Browser/1\r\nforged".to_owned()),
    };
    start(&VerifiedPassword::new(ALICE, None, false), origin, &policy(), at(0)).session
}

#[test]
fn se_01_login_and_step_up_change_the_cookie_and_keep_the_sid() {
    let session = started();
    assert_eq!((session.acr, &session.amr[..]), (Acr::CustomerAuthentication, &[Amr::Pwd][..]));
    assert_eq!(session.user_agent.as_deref(), Some("Browser/1  forged"));

    let factor = VerifiedSecondFactor::new(ALICE);
    let stepped = step_up(&session, &factor, sha256("second"), &policy(), at(10)).unwrap();
    assert_eq!(stepped.before, session.digest);
    assert_ne!(stepped.session.digest, session.digest);
    assert_eq!(stepped.session.id, session.id);
    assert_eq!(stepped.session.acr, Acr::StrongCustomerAuthentication);
    assert_eq!(stepped.session.auth_time, at(0), "the time of the password");
    assert_eq!(stepped.session.expires_at, session.expires_at, "a second factor prolongs nothing");

    let password = VerifiedPassword::new(ALICE, None, false);
    let renewed = reauthenticate(&stepped.session, &password, sha256("third"), &policy(), at(20)).unwrap();
    assert_eq!(renewed.before, sha256("second"));
    assert_eq!(renewed.session.acr, Acr::CustomerAuthentication, "the second factor is asked for again");
    assert_eq!(renewed.session.auth_time, at(20));
    assert_eq!(renewed.session.expires_at, at(20 + 3600));
}

#[test]
fn factors_of_another_user_renew_nothing() {
    let session = started();
    let factor = VerifiedSecondFactor::new(BOB);
    let stepped = step_up(&session, &factor, sha256("x"), &policy(), at(1));
    assert_eq!(stepped, Err(SessionFault::AnotherUser));
    let password = VerifiedPassword::new(BOB, None, false);
    let renewed = reauthenticate(&session, &password, sha256("x"), &policy(), at(1));
    assert_eq!(renewed, Err(SessionFault::AnotherUser));
    assert_eq!(end(&session, BOB, at(1)), None);
    assert_eq!(end(&session, ALICE, at(1)).map(|end| end.id), Some(session.id));
}

#[rstest]
#[case(0, None, 899, true)]
#[case(0, None, 900, false)]
#[case(3000, None, 3599, true)]
#[case(3000, None, 3600, false)]
#[case(0, Some(5), 6, false)]
fn a_session_ends_idle_old_or_by_hand(
    #[case] seen: i64,
    #[case] ended: Option<i64>,
    #[case] now: i64,
    #[case] live: bool,
) {
    let session = Session { last_seen_at: at(seen), ended_at: ended.map(at), ..started() };
    assert_eq!(session.is_live(&policy(), at(now)), live);
    let proof = Authentication::from_session(&session, &policy(), at(now));
    assert_eq!(proof.is_some(), live);
    let factor = VerifiedSecondFactor::new(ALICE);
    assert_eq!(step_up(&session, &factor, sha256("x"), &policy(), at(now)).is_ok(), live);
}

#[test]
fn oc_35_the_proof_says_what_the_session_knows() {
    let session = started();
    let proof = Authentication::from_session(&session, &policy(), at(1)).unwrap();
    assert_eq!((proof.user(), proof.session()), (ALICE, session.id));
    assert_eq!((proof.auth_time(), proof.acr(), proof.amr()), (at(0), session.acr, &session.amr[..]));
}

proptest! {
    #[test]
    fn last_seen_is_written_at_most_once_a_minute(uses in prop::collection::vec(0_i64..100, 1..60)) {
        let mut session = started();
        let (mut now, mut writes) = (0, Vec::new());
        for pause in uses {
            now += pause;
            if let Some(touch) = session.touch(at(now)) {
                session.last_seen_at = touch.at;
                writes.push(now);
            }
        }
        prop_assert!(writes.windows(2).all(|pair| pair[1] - pair[0] >= 60));
    }
}
