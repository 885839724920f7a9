//! Whatever may happen once happens once, however many try, on two nodes.

use audit::EventKind;
use consent::{ConsentUpsert, ConsentWithdrawal};
use keys::{KeyState, Transition};
use mfa::{
    AttemptReservation, Attempts, PasswordChange, PasswordHash, RecoveryCodeUse, TotpAcceptance,
    TotpConfirmation,
    recovery::RecoveryCodeReplacement,
    session::{SessionEnd, SessionRenewal},
};
use protocol::UserId;
use tokens::grant::{CodeRecord, GrantRecord, RefreshKind};
use tokio::task::JoinSet;
use uuid::Uuid;

use super::{Bench, commit, fixtures::*, suite};
use crate::{
    Lock,
    hot::{CodeIssue, Redemption, Rotation, SessionStart},
    upstream::{UpstreamAttempt, UpstreamLink},
};

const TASKS: usize = 50;

suite!(
    one_redeems_a_code,
    one_rotates_a_refresh_token,
    one_uses_a_one_time_password,
    one_enrols_an_authenticator,
    one_replaces_an_authenticator,
    one_uses_a_recovery_code,
    one_attempt_is_reserved,
    one_renews_a_session,
    one_ends_a_session,
    one_completes_an_interaction,
    one_opens_a_consent,
    one_widens_a_consent,
    one_withdraws_a_consent,
    one_revokes,
    one_marks,
    one_pushes,
    one_moves_a_key,
    one_node_makes_the_first_key,
    one_comes_back_from_a_provider,
    one_subject_becomes_one_user,
    nobodys_change_of_roles_is_lost,
    bcp_09_no_sign_in_survives_a_password_change,
    bcp_09_no_code_survives_a_password_change,
);

/// Runs a verb in fifty transactions at once, half on each node. Exactly one must get the row.
macro_rules! race {
    ($bench:expr, $tx:ident => $verb:expr) => {{
        let mut tasks = JoinSet::new();
        for number in 0..TASKS {
            let store = if number % 2 == 0 { $bench.one.clone() } else { $bench.other.clone() };
            tasks.spawn(async move { commit!(store, $tx => $verb) });
        }
        let mut rows = tasks.join_all().await;
        rows.sort_unstable();
        let mut expected = vec![0; TASKS - 1];
        expected.push(1);
        assert_eq!(rows, expected);
    }};
}

/// The same for a verb that is a transaction by itself.
macro_rules! race_alone {
    ($bench:expr, $number:ident, $store:ident => $verb:expr) => {{
        let mut tasks = JoinSet::new();
        for $number in 0..TASKS as u128 {
            let $store = if $number % 2 == 0 { $bench.one.clone() } else { $bench.other.clone() };
            tasks.spawn(async move { $verb.unwrap() });
        }
        let mut rows = tasks.join_all().await;
        rows.sort_unstable();
        let mut expected = vec![0; TASKS - 1];
        expected.push(1);
        assert_eq!(rows, expected);
    }};
}

/// Of fifty events and tokens that were offered, one was stored: that of the one who got the row.
async fn one_of_each(bench: &Bench) {
    let events = bench.other.audit_events(&crate::AuditFilter::default(), 99).await.unwrap();
    assert_eq!(events.len(), 1);
    let mut stored = 0;
    for number in 0..TASKS {
        let token = bench.one.refresh_token(&digest(&number.to_string())).await.unwrap();
        stored += usize::from(token.is_some());
    }
    assert_eq!(stored, 1);
}

async fn one_redeems_a_code(bench: Bench) {
    connected(&bench).await;
    let client = leak(app());
    race_alone!(bench, number, store => {
        let told = event(number, EventKind::CodeRedeemed);
        let token = tokens::grant::RefreshRecord {
            digest: digest(&number.to_string()),
            ..refresh(RefreshKind::Rotating)
        };
        let (code, refresh, event) = (&code().digest, Some(&token), &told);
        store.redeem_code(&Redemption { code, client, access: None, refresh, event, now: at(1) }).await
    });
    one_of_each(&bench).await;
}

async fn one_rotates_a_refresh_token(bench: Bench) {
    connected(&bench).await;
    commit!(bench.one, tx => tx.insert_refresh(&refresh(RefreshKind::Rotating)));
    let digest = digest("refresh");
    race_alone!(bench, number, store => {
        let told = event(number, EventKind::TokenRefreshed);
        let token = tokens::grant::RefreshRecord {
            digest: crate::tests::fixtures::digest(&number.to_string()),
            ..refresh(RefreshKind::Rotating)
        };
        let (presented, successor, event) = (&digest, &token, &told);
        store.rotate_refresh(&Rotation { presented, successor, access: None, event, now: at(1) }).await
    });
    one_of_each(&bench).await;
}

async fn one_uses_a_one_time_password(bench: Bench) {
    connected(&bench).await;
    let confirm = TotpConfirmation { user: ALICE, step: 5, at: at(0) };
    commit!(bench.one, tx => tx.enrol_totp(&confirm, &[7; 50], None));
    race!(bench, tx => tx.accept_totp(&TotpAcceptance { user: ALICE, step: 6 }));
}

async fn one_enrols_an_authenticator(bench: Bench) {
    connected(&bench).await;
    race!(bench, tx => tx.enrol_totp(&TotpConfirmation { user: ALICE, step: 5, at: at(0) }, &[7; 50], None));
}

async fn one_replaces_an_authenticator(bench: Bench) {
    connected(&bench).await;
    let first = TotpConfirmation { user: ALICE, step: 5, at: at(0) };
    commit!(bench.one, tx => tx.enrol_totp(&first, &[7; 50], None));
    let before = Some(at(0));
    race!(bench, tx => tx.enrol_totp(&TotpConfirmation { user: ALICE, step: 6, at: at(1) }, &[8; 50], before));
}

async fn one_uses_a_recovery_code(bench: Bench) {
    connected(&bench).await;
    let set = RecoveryCodeReplacement { user: ALICE, digests: vec![digest("a"), digest("b")], at: at(0) };
    commit!(bench.one, tx => tx.replace_recovery_codes(&set));
    let spend = RecoveryCodeUse { user: ALICE, digest: digest("a"), at: at(1) };
    race!(bench, tx => tx.use_recovery_code(&spend));
    assert_eq!(bench.one.recovery_codes_left(ALICE).await.unwrap(), 1);
}

async fn one_attempt_is_reserved(bench: Bench) {
    let first = AttemptReservation {
        account: digest("alice"),
        before: Attempts::default(),
        after: Attempts { failures: 1, last_failure_at: Some(at(0)) },
    };
    race_alone!(bench, _number, store => store.reserve_attempt(&first).await);
    // Even where the count stays the same, because the old failure was forgotten.
    let next = AttemptReservation {
        before: first.after,
        after: Attempts { failures: 1, last_failure_at: Some(at(90_000)) },
        ..first
    };
    race_alone!(bench, _number, store => store.reserve_attempt(&next).await);
}

async fn one_renews_a_session(bench: Bench) {
    connected(&bench).await;
    let before = session(10).session;
    let session = mfa::Session { digest: digest("new"), ..before.clone() };
    let renewal = leak(SessionRenewal { before: before.digest, session });
    race!(bench, tx => tx.renew_session(renewal));
}

async fn one_ends_a_session(bench: Bench) {
    connected(&bench).await;
    let end = SessionEnd { id: session(10).session.id, user: ALICE, at: at(5) };
    race!(bench, tx => tx.end_session(&end));
}

async fn one_completes_an_interaction(bench: Bench) {
    let record = leak(interaction());
    bench.one.begin_interaction(record).await.unwrap();
    race!(bench, tx => tx.complete_interaction(record.id, 1, at(5)));
}

async fn one_opens_a_consent(bench: Bench) {
    commit!(bench.one, tx => async {
        tx.put_client(&client()).await?;
        tx.put_user(&user(ALICE, "alice")).await
    });
    let mut tasks = JoinSet::new();
    for number in 0..TASKS {
        let store = if number % 2 == 0 { bench.one.clone() } else { bench.other.clone() };
        let upsert = create(consent(1000 + number as u128));
        tasks.spawn(async move { commit!(store, tx => tx.put_consent(&upsert)) });
    }
    assert_eq!(tasks.join_all().await.into_iter().sum::<u64>(), 1);
    assert_eq!(bench.one.consents_of(ALICE).await.unwrap().len(), 1);
}

async fn one_widens_a_consent(bench: Bench) {
    connected(&bench).await;
    let record = consent::ConsentRecord { version: 2, ..consent(30) };
    let replace = leak(ConsentUpsert::Replace { record, expected_version: 1 });
    race!(bench, tx => tx.put_consent(replace));
}

async fn one_withdraws_a_consent(bench: Bench) {
    connected(&bench).await;
    let withdrawal = leak(ConsentWithdrawal { id: consent(30).id, user: ALICE, at: at(5) });
    race!(bench, tx => tx.withdraw_consent(withdrawal));
}

async fn one_revokes(bench: Bench) {
    connected(&bench).await;
    commit!(bench.one, tx => tx.insert_access_token(&access_token(None)));
    race!(bench, tx => tx.revoke_access_token(&access_token(None).digest, at(5)));
    race!(bench, tx => tx.revoke_grant(grant().id, at(5)));
}

async fn one_marks(bench: Bench) {
    race!(bench, tx => tx.deny_token(access_token(None).id, at(5)));
    race_alone!(bench, _number, store => store.mark_once(&mark("assertion", "jti", at(60))).await);
    race_alone!(bench, _number, store => async {
        let (assertion, proof) = (mark("assertion", "both", at(60)), mark("proof", "both", at(60)));
        let rows = store.mark_both(&assertion, &proof).await?;
        assert_eq!(rows.0, rows.1, "two statements with the same proofs never share them out");
        Ok::<_, crate::StoreError>(rows.0)
    }.await);
}

/// Of parallel pushes with one assertion, one is stored.
async fn one_pushes(bench: Bench) {
    connected(&bench).await;
    let assertion = mark("assertion", "push", at(60));
    race_alone!(bench, number, store => store.push_request(&pushed(number), Some(&assertion)).await);
    let stored = async |number| bench.other.pushed_with_visit(&pushed(number).digest, None).await.unwrap();
    let mut kept = 0;
    for number in 0..TASKS as u128 {
        kept += usize::from(stored(number).await.is_some());
    }
    assert_eq!(kept, 1);
    assert_eq!(bench.one.push_request(&pushed(TASKS as u128), None).await.unwrap(), 1);
}

async fn one_moves_a_key(bench: Bench) {
    let mut record = key("one");
    commit!(bench.one, tx => tx.insert_signing_key(&record));
    record.apply(Transition::Revoke, at(5)).unwrap();
    let record = leak(record);
    race!(bench, tx => tx.transition_signing_key(record, KeyState::Active));
}

/// Of parallel answers to one attempt, one is heard.
async fn one_comes_back_from_a_provider(bench: Bench) {
    let attempt = UpstreamAttempt {
        digest: digest("state"),
        provider: "north".to_owned(),
        browser: digest("browser"),
        purpose: serde_json::json!({"kind": "leave"}),
        created_at: at(0),
        expires_at: at(60),
    };
    bench.one.begin_upstream_attempt(&attempt).await.unwrap();
    let refused = async |provider, browser, now| {
        let browser = digest(browser);
        let used = bench.one.use_upstream_attempt(&attempt.digest, provider, &browser, at(now)).await;
        assert_eq!(used.unwrap(), None, "{provider} {browser} {now}");
    };
    refused("south", "browser", 5).await;
    refused("north", "another", 5).await;
    refused("north", "browser", 60).await;
    race_alone!(bench, _number, store => async {
        let used = store.use_upstream_attempt(&digest("state"), "north", &digest("browser"), at(5)).await?;
        Ok::<_, crate::StoreError>(u64::from(used.is_some_and(|(_, since)| since == at(0))))
    }.await);
}

/// Somebody new signs in with many tabs at once: one of the users that are made is kept.
async fn one_subject_becomes_one_user(bench: Bench) {
    let link = |user| UpstreamLink {
        issuer: "https://north.example".to_owned(),
        subject: "alice".to_owned(),
        user,
        brought: true,
        label: None,
        linked_at: at(0),
    };
    race_alone!(bench, number, store => async {
        let id = UserId(Uuid::from_u128(1000 + number));
        // Some know the person by the same name, some by another.
        let new = user(id, &format!("north/alice{}", number % 3));
        let mut tx = store.begin().await?;
        if tx.insert_user(&new).await? != 1 || tx.link_upstream(&link(id)).await? != 1 {
            return Ok(0);
        }
        tx.commit().await?;
        Ok::<_, crate::StoreError>(1)
    }.await);
    let users = bench.other.users().await.unwrap();
    assert_eq!(users.len(), 1);
    let kept = bench.other.upstream_link("https://north.example", "alice").await.unwrap().unwrap();
    assert_eq!(kept.user, users[0].id);
}

/// Whoever writes roles that depend on the present ones holds them.
async fn nobodys_change_of_roles_is_lost(bench: Bench) {
    connected(&bench).await;
    let mut tasks = JoinSet::new();
    for number in 0..TASKS {
        let store = if number % 2 == 0 { bench.one.clone() } else { bench.other.clone() };
        tasks.spawn(async move {
            let mut tx = store.begin().await.unwrap();
            let mut held = tx.hold_user(ALICE).await.unwrap().unwrap();
            held.roles.push(format!("role-{number}"));
            assert_eq!(tx.follow_upstream(ALICE, &held.claims, &held.roles).await.unwrap(), 1);
            tx.commit().await.unwrap();
        });
    }
    tasks.join_all().await;
    assert_eq!(bench.one.user(ALICE).await.unwrap().unwrap().roles.len(), 1 + TASKS);
    commit!(bench.one, tx => tx.disable_user(ALICE, at(1)));
    assert_eq!(commit!(bench.one, tx => tx.hold_user(ALICE)), None);
}

/// The password is changed amid work that began before. Whoever comes first, nothing of that work stays.
async fn amid_a_password_change<T, F, W>(bench: &Bench, work: W) -> Vec<T>
where
    T: Send + 'static,
    F: Future<Output = T> + Send + 'static,
    W: Fn(crate::Store, u128) -> F,
{
    let mut tasks = JoinSet::new();
    let mut change = None;
    for number in 1000..1000 + TASKS as u128 {
        let store = if number % 2 == 0 { bench.one.clone() } else { bench.other.clone() };
        tasks.spawn(work(store.clone(), number));
        if number == 1002 {
            change = Some(tokio::spawn(async move {
                let hash = PasswordHash::from_phc(PHC.replace("t=2", "t=3")).unwrap();
                let change = PasswordChange { user: ALICE, hash, at: at(5), keep_session: None };
                commit!(store, tx => tx.change_password(&change))
            }));
        }
    }
    let done = tasks.join_all().await;
    assert_eq!(change.unwrap().await.unwrap(), 1);
    done
}

async fn bcp_09_no_sign_in_survives_a_password_change(bench: Bench) {
    connected(&bench).await;
    amid_a_password_change(&bench, async |store, number| {
        let new = session(number);
        let login = event(number, EventKind::LoginSucceeded);
        let started = event(number + 1000, EventKind::SessionStarted);
        let start = SessionStart { session: &new, password_changed_at: None, events: [&login, &started] };
        store.start_session(&start).await.unwrap()
    })
    .await;
    assert_eq!(bench.one.sessions_of(ALICE, at(6)).await.unwrap(), []);
}

async fn bcp_09_no_code_survives_a_password_change(bench: Bench) {
    connected(&bench).await;
    let rows = amid_a_password_change(&bench, async |store, number| {
        let id = protocol::GrantId(Uuid::from_u128(number));
        let grant = GrantRecord { id, ..grant() };
        let code = CodeRecord { digest: digest(&number.to_string()), grant: id, ..code() };
        let event = &event(number, EventKind::AuthorizationIssued);
        let (grant, code) = (&grant, &code);
        let (interaction, consent, pushed, now) = (None, None, None, at(3));
        store.issue_code(&CodeIssue { interaction, consent, grant, code, pushed, event, now }).await.unwrap()
    })
    .await;
    let mut stored = 0;
    for number in 1000..1000 + TASKS as u128 {
        if let Some(line) = bench.one.grant_line(protocol::GrantId(Uuid::from_u128(number))).await.unwrap() {
            assert_eq!(line.grant.revoked_at, Some(at(5)));
            stored += 1;
        }
    }
    assert_eq!(stored, rows.into_iter().sum::<u64>());
}

/// Nodes that start together on an empty database end up with one key.
async fn one_node_makes_the_first_key(bench: Bench) {
    let mut tasks = JoinSet::new();
    for number in 0..TASKS {
        let store = if number % 2 == 0 { bench.one.clone() } else { bench.other.clone() };
        tasks.spawn(async move {
            let mut tx = store.begin().await.unwrap();
            tx.lock(Lock::SigningKeys).await.unwrap();
            if tx.signing_keys().await.unwrap().is_empty() {
                let kid = Uuid::from_u128(number as u128).to_string();
                tx.insert_signing_key(&key(&kid)).await.unwrap();
            }
            tx.commit().await.unwrap();
        });
    }
    tasks.join_all().await;
    assert_eq!(bench.one.signing_keys().await.unwrap().len(), 1);
}
