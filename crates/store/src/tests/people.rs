//! Users, factors, attempts, sessions.

use mfa::{
    AttemptReservation, PasswordChange, PasswordHash, RecoveryCodeUse, TotpAcceptance, TotpConfirmation,
    TotpReset,
    recovery::RecoveryCodeReplacement,
    session::{SessionEnd, SessionRenewal, SessionTouch},
    throttle::{ThrottlePolicy, reserve},
};

use super::{Bench, commit, fixtures::*, suite};

suite!(
    users_round_trip,
    bcp_09_a_password_change_ends_the_rest,
    disabling_ends_everything,
    se_03_totp_moves_forward_only,
    se_03_an_authenticator_is_replaced_knowingly,
    se_03_recovery_codes_are_replaced_whole,
    se_03_attempts_are_counted_once,
    se_01_sessions_are_renewed,
);

async fn users_round_trip(bench: Bench) {
    let alice = user(ALICE, "alice");
    commit!(bench.one, tx => tx.put_user(&alice));
    assert_eq!(bench.other.user(ALICE).await.unwrap(), Some(alice.clone()));
    assert_eq!(bench.other.user_by_name(&"Alice".parse().unwrap()).await.unwrap(), Some(alice.clone()));
    let declared = mfa::User {
        password: None,
        roles: vec![],
        second_factor: None,
        disabled_at: Some(at(9)),
        ..alice.clone()
    };
    commit!(bench.one, tx => tx.put_user(&declared));
    let expected = mfa::User { password: alice.password, ..declared };
    assert_eq!(bench.other.users().await.unwrap(), vec![expected]);
}

async fn bcp_09_a_password_change_ends_the_rest(bench: Bench) {
    connected(&bench).await;
    commit!(bench.one, tx => tx.insert_session(&session(11)));
    let hash = PasswordHash::from_phc(PHC.replace("t=2", "t=3")).unwrap();
    let keep_session = Some(session(11).session.id);
    let change = PasswordChange { user: ALICE, hash: hash.clone(), at: at(5), keep_session };
    assert_eq!(commit!(bench.one, tx => tx.change_password(&change)), 1);
    let alice = bench.other.user(ALICE).await.unwrap().unwrap();
    assert_eq!((alice.password, alice.password_changed_at), (Some(hash), Some(at(5))));
    let live = bench.other.sessions_of(ALICE, at(6)).await.unwrap();
    assert_eq!(live, vec![session(11).session]);
    let line = bench.other.grant_line(grant().id).await.unwrap().unwrap();
    assert_eq!((line.grant.revoked_at, line.session_ended_at), (Some(at(5)), Some(at(5))));
}

async fn disabling_ends_everything(bench: Bench) {
    connected(&bench).await;
    assert_eq!(commit!(bench.one, tx => tx.disable_user(ALICE, at(5))), 1);
    assert_eq!(commit!(bench.one, tx => tx.disable_user(ALICE, at(6))), 0);
    let line = bench.other.grant_line(grant().id).await.unwrap().unwrap();
    assert_eq!((line.user_disabled_at, line.grant.revoked_at), (Some(at(5)), Some(at(5))));
    assert_eq!(bench.other.sessions_of(ALICE, at(6)).await.unwrap(), vec![]);
}

async fn se_03_totp_moves_forward_only(bench: Bench) {
    connected(&bench).await;
    let accept = async |step| commit!(bench.one, tx => tx.accept_totp(&TotpAcceptance { user: ALICE, step }));
    assert_eq!(accept(100).await, 0, "there is none yet");
    let confirm = TotpConfirmation { user: ALICE, step: 100, at: at(1) };
    assert_eq!(commit!(bench.one, tx => tx.enrol_totp(&confirm, &[7; 50], None)), 1);
    assert_eq!((accept(100).await, accept(99).await, accept(101).await, accept(101).await), (0, 0, 1, 0));
    let stored = bench.other.totp(ALICE).await.unwrap().unwrap();
    assert_eq!((stored.last_step, stored.confirmed_at), (101, Some(at(1))));

    let reset = TotpReset { user: ALICE, at: at(2), keep_session: None };
    assert_eq!(commit!(bench.one, tx => tx.reset_totp(&reset)), 1);
    assert_eq!(bench.other.totp(ALICE).await.unwrap(), None);
    assert_eq!(bench.other.sessions_of(ALICE, at(3)).await.unwrap(), vec![]);
}

async fn se_03_an_authenticator_is_replaced_knowingly(bench: Bench) {
    connected(&bench).await;
    let by = |step, second| TotpConfirmation { user: ALICE, step, at: at(second) };
    assert_eq!(commit!(bench.one, tx => tx.enrol_totp(&by(100, 1), &[7; 50], None)), 1);
    assert_eq!(commit!(bench.one, tx => tx.enrol_totp(&by(101, 2), &[8; 50], None)), 0, "there is one");
    assert_eq!(commit!(bench.one, tx => tx.enrol_totp(&by(101, 2), &[8; 50], Some(at(9)))), 0, "another one");
    assert_eq!(commit!(bench.one, tx => tx.enrol_totp(&by(101, 2), &[8; 50], Some(at(1)))), 1);
    let stored = bench.other.totp(ALICE).await.unwrap().unwrap();
    assert_eq!((stored.sealed_seed, stored.last_step, stored.confirmed_at), (vec![8; 50], 101, Some(at(2))));
}

async fn se_03_recovery_codes_are_replaced_whole(bench: Bench) {
    connected(&bench).await;
    let replace = |names: [&str; 2]| RecoveryCodeReplacement {
        user: ALICE,
        digests: names.map(digest).to_vec(),
        at: at(0),
    };
    let spend = async |name| {
        let effect = RecoveryCodeUse { user: ALICE, digest: digest(name), at: at(1) };
        commit!(bench.one, tx => tx.use_recovery_code(&effect))
    };
    commit!(bench.one, tx => tx.replace_recovery_codes(&replace(["a", "b"])));
    assert_eq!((spend("a").await, spend("a").await, spend("c").await), (1, 0, 0));
    assert_eq!(bench.other.recovery_codes_left(ALICE).await.unwrap(), 1);
    commit!(bench.one, tx => tx.replace_recovery_codes(&replace(["c", "d"])));
    assert_eq!(bench.other.recovery_codes_left(ALICE).await.unwrap(), 2);
    assert_eq!((spend("b").await, spend("c").await), (0, 1));
}

async fn se_03_attempts_are_counted_once(bench: Bench) {
    let account = digest("alice");
    let policy = ThrottlePolicy::default();
    let count =
        async |reservation: AttemptReservation| bench.one.reserve_attempt(&reservation).await.unwrap();
    let mut before = bench.other.attempts(&account).await.unwrap();
    assert_eq!(before, mfa::Attempts::default());
    for failures in 1..4 {
        let reservation = reserve(account, before, &policy, later(at(0), failures * 100)).unwrap();
        assert_eq!(count(reservation).await, 1);
        assert_eq!(count(reservation).await, 0, "what was read is no longer true");
        before = bench.other.attempts(&account).await.unwrap();
        assert_eq!(before, reservation.after);
        assert_eq!(before.failures, failures);
    }
    commit!(bench.one, tx => tx.forgive_attempts(&account));
    assert_eq!(bench.other.attempts(&account).await.unwrap(), mfa::Attempts::default());
}

async fn se_01_sessions_are_renewed(bench: Bench) {
    connected(&bench).await;
    let before = session(10).session;
    assert_eq!(bench.other.session_by_digest(&before.digest).await.unwrap(), Some(before.clone()));
    let session = mfa::Session {
        digest: digest("new cookie"),
        acr: protocol::acr::Acr::StrongCustomerAuthentication,
        amr: vec![protocol::acr::Amr::Pwd, protocol::acr::Amr::Otp],
        auth_time: at(1),
        last_seen_at: at(2),
        expires_at: at(9000),
        ..before.clone()
    };
    let renewal = SessionRenewal { before: before.digest, session: session.clone() };
    assert_eq!(commit!(bench.one, tx => tx.renew_session(&renewal)), 1);
    assert_eq!(commit!(bench.one, tx => tx.renew_session(&renewal)), 0);
    assert_eq!(bench.other.session_by_digest(&before.digest).await.unwrap(), None);
    assert_eq!(bench.other.session(before.id).await.unwrap(), Some(session.clone()));

    bench.one.touch_session(&SessionTouch { id: before.id, at: at(90) }).await.unwrap();
    bench.one.touch_session(&SessionTouch { id: before.id, at: at(80) }).await.unwrap();
    assert_eq!(bench.other.session(before.id).await.unwrap().unwrap().last_seen_at, at(90));

    let stranger = protocol::UserId(uuid::Uuid::from_u128(2));
    let end = |user| SessionEnd { id: before.id, user, at: at(100) };
    assert_eq!(commit!(bench.one, tx => tx.end_session(&end(stranger))), 0);
    assert_eq!(commit!(bench.one, tx => tx.end_session(&end(ALICE))), 1);
    let renewal = SessionRenewal { before: session.digest, session };
    assert_eq!(commit!(bench.one, tx => tx.renew_session(&renewal)), 0, "what ended stays ended");
}
