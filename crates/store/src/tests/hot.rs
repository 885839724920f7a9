//! The writes of every request are all or nothing, in both engines' forms.

use audit::EventKind;
use consent::{ConsentRecord, ConsentUpsert, ConsentWithdrawal};
use mfa::{PasswordChange, PasswordHash, Rehash, SessionEnd, SignInBasis};
use tokens::{
    grant::{AccessTokenRecord, CodeRecord, GrantEnd, GrantRecord, RefreshKind},
    presented::Above,
};
use tokio::task::JoinSet;
use uuid::Uuid;

use super::{Bench, commit, fixtures::*, suite};
use crate::{
    AuditFilter, StoreError,
    hot::{CodeIssue, Redemption, RefreshUse, Rotation, SessionStart},
};

suite!(
    a_redemption_stores_everything,
    a_redemption_that_comes_late_stores_nothing,
    a_redemption_that_breaks_spends_nothing,
    a_rotation_stores_everything,
    a_rotation_that_comes_late_stores_nothing,
    a_renewal_stores_everything_and_lets_the_old_one_end,
    a_use_stores_everything,
    a_code_under_a_standing_consent,
    a_code_ends_its_interaction,
    a_code_with_a_new_consent,
    a_code_with_a_wider_consent,
    a_code_after_an_expired_consent,
    one_answers_an_interaction,
    bcp_09_a_code_of_a_session_that_is_over_is_not_stored,
    a_sign_in_stores_everything,
    bcp_09_a_sign_in_with_what_no_longer_holds_stores_nothing,
    an_event_alone,
);

async fn kinds(bench: &Bench) -> Vec<EventKind> {
    let events = bench.other.audit_events_after(&AuditFilter::default(), None, 99).await.unwrap();
    events.into_iter().map(|event| event.kind).collect()
}

async fn a_redemption_stores_everything(bench: Bench) {
    connected(&bench).await;
    let (access, refresh) = (access_token(Some(grant().id)), refresh(RefreshKind::Rotating));
    let event = event(1, EventKind::CodeRedeemed).user(ALICE).client(app()).reason("for once");
    let redemption = Redemption {
        code: &code().digest,
        client: &app(),
        access: Some(&access),
        refresh: Some(&refresh),
        event: &event,
        now: at(1),
    };
    assert_eq!(bench.one.redeem_code(&redemption).await.unwrap(), 1);
    let (read, _) = bench.other.code(&code().digest).await.unwrap().unwrap();
    assert_eq!(read, CodeRecord { consumed_at: Some(at(1)), ..code() });
    let (read, line) = bench.other.refresh_token(&refresh.digest).await.unwrap().unwrap();
    assert_eq!((read, line.grant), (refresh, grant()));
    let (read, above) = bench.other.access_token(&access.digest).await.unwrap().unwrap();
    assert_eq!(read, access);
    assert!(matches!(above, Above::Grant(line) if line.grant == grant()));
    assert_eq!(bench.other.audit_events(&AuditFilter::default(), 9).await.unwrap(), [event]);
}

async fn a_redemption_that_comes_late_stores_nothing(bench: Bench) {
    connected(&bench).await;
    let (access, refresh) = (access_token(Some(grant().id)), refresh(RefreshKind::Rotating));
    let event = event(1, EventKind::CodeRedeemed);
    for (client, now) in [("pocketwise", at(1)), ("ledgerline", at(60))] {
        let redemption = Redemption {
            code: &code().digest,
            client: &client.parse().unwrap(),
            access: Some(&access),
            refresh: Some(&refresh),
            event: &event,
            now,
        };
        assert_eq!(bench.one.redeem_code(&redemption).await.unwrap(), 0);
    }
    assert_eq!(kinds(&bench).await, []);
    assert!(bench.other.refresh_token(&refresh.digest).await.unwrap().is_none());
    assert!(bench.other.access_token(&access.digest).await.unwrap().is_none());
}

/// A token that can't be stored leaves the code as it was.
async fn a_redemption_that_breaks_spends_nothing(bench: Bench) {
    connected(&bench).await;
    let orphan = tokens::grant::RefreshRecord {
        grant: protocol::GrantId(Uuid::nil()),
        ..refresh(RefreshKind::Rotating)
    };
    let event = event(1, EventKind::CodeRedeemed);
    let redemption = Redemption {
        code: &code().digest,
        client: &app(),
        access: None,
        refresh: Some(&orphan),
        event: &event,
        now: at(1),
    };
    let fault = bench.one.redeem_code(&redemption).await.unwrap_err();
    assert!(matches!(fault, StoreError::Conflict { .. }), "{fault:?}");
    assert_eq!(kinds(&bench).await, []);
    let redemption = Redemption { refresh: None, ..redemption };
    assert_eq!(bench.one.redeem_code(&redemption).await.unwrap(), 1, "and the connection is of use again");
}

async fn a_rotation_stores_everything(bench: Bench) {
    connected(&bench).await;
    let first = refresh(RefreshKind::Rotating);
    commit!(bench.one, tx => tx.insert_refresh(&first));
    let successor = tokens::grant::RefreshRecord { digest: digest("next"), ..first.clone() };
    let access = access_token(Some(grant().id));
    let event = event(1, EventKind::TokenRefreshed);
    let rotation = Rotation {
        presented: &first.digest,
        successor: &successor,
        access: Some(&access),
        event: &event,
        now: at(2),
    };
    assert_eq!(bench.one.rotate_refresh(&rotation).await.unwrap(), 1);
    let (spent, _) = bench.other.refresh_token(&first.digest).await.unwrap().unwrap();
    assert_eq!(spent.consumed_at, Some(at(2)));
    let (read, _) = bench.other.refresh_token(&successor.digest).await.unwrap().unwrap();
    assert_eq!(read, successor);
    assert!(bench.other.access_token(&access.digest).await.unwrap().is_some());
    assert_eq!(kinds(&bench).await, [EventKind::TokenRefreshed]);
}

async fn a_rotation_that_comes_late_stores_nothing(bench: Bench) {
    connected(&bench).await;
    let stable = refresh(RefreshKind::Stable);
    commit!(bench.one, tx => tx.insert_refresh(&stable));
    let successor = tokens::grant::RefreshRecord { digest: digest("next"), ..stable.clone() };
    let access = access_token(Some(grant().id));
    let event = event(1, EventKind::TokenRefreshed);
    for presented in [stable.digest, digest("unknown")] {
        let rotation = Rotation {
            presented: &presented,
            successor: &successor,
            access: Some(&access),
            event: &event,
            now: at(2),
        };
        assert_eq!(bench.one.rotate_refresh(&rotation).await.unwrap(), 0);
    }
    assert!(bench.other.refresh_token(&successor.digest).await.unwrap().is_none());
    assert!(bench.other.access_token(&access.digest).await.unwrap().is_none());
    assert_eq!(kinds(&bench).await, []);
}

/// F2-13: what is replaced ends earlier, never later, and may be used again until then.
async fn a_renewal_stores_everything_and_lets_the_old_one_end(bench: Bench) {
    connected(&bench).await;
    let stable = refresh(RefreshKind::Stable);
    commit!(bench.one, tx => tx.insert_refresh(&stable));
    let read = async |name: &str| bench.other.refresh_token(&digest(name)).await.unwrap();
    let renewed = async |name: &str, presented, now: i64, until: i64| {
        let successor = tokens::grant::RefreshRecord { digest: digest(name), ..stable.clone() };
        let event = event(name.len() as u128, EventKind::TokenRefreshed);
        let renewal =
            Rotation { presented, successor: &successor, access: None, event: &event, now: at(now) };
        bench.one.renew_refresh(&renewal, at(until)).await.unwrap()
    };
    assert_eq!(renewed("a", &stable.digest, 2, 60).await, 1);
    assert_eq!(renewed("ab", &stable.digest, 3, 90).await, 1);
    let (old, _) = bench.other.refresh_token(&stable.digest).await.unwrap().unwrap();
    assert_eq!((old.idle_expires_at, old.expires_at, old.consumed_at), (at(60), at(60), None));
    assert_eq!(renewed("abc", &stable.digest, 60, 120).await, 0, "it has ended");
    assert_eq!(renewed("abcd", &digest("unknown"), 2, 60).await, 0);
    assert_eq!(read("a").await.unwrap().0.expires_at, stable.expires_at);
    assert!(read("ab").await.is_some() && read("abc").await.is_none() && read("abcd").await.is_none());
}

async fn a_use_stores_everything(bench: Bench) {
    connected(&bench).await;
    let stable = refresh(RefreshKind::Stable);
    commit!(bench.one, tx => tx.insert_refresh(&stable));
    let access = access_token(Some(grant().id));
    let event = event(1, EventKind::TokenRefreshed);
    let used = RefreshUse {
        presented: &stable.digest,
        idle_expires_at: Some(at(1500)),
        access: Some(&access),
        event: &event,
    };
    bench.one.use_refresh(&used).await.unwrap();
    let (read, _) = bench.other.refresh_token(&stable.digest).await.unwrap().unwrap();
    assert_eq!((read.idle_expires_at, read.consumed_at), (at(1500), None));
    assert!(bench.other.access_token(&access.digest).await.unwrap().is_some());
    assert_eq!(kinds(&bench).await, [EventKind::TokenRefreshed]);
}

/// A grant and a code beside those of the fixture.
fn another() -> (GrantRecord, CodeRecord) {
    let grant = GrantRecord { id: protocol::GrantId(Uuid::from_u128(77)), ..grant() };
    let code = CodeRecord { digest: digest("another code"), grant: grant.id, ..code() };
    (grant, code)
}

async fn issued(bench: &Bench) -> bool {
    let (grant, code) = another();
    let read = bench.other.code(&code.digest).await.unwrap();
    let line = bench.other.grant_line(grant.id).await.unwrap();
    assert_eq!(read.is_some(), line.is_some(), "a code and its grant are stored together");
    assert!(read.is_none_or(|(read, line)| (read, line.grant) == (code, grant)));
    line.is_some()
}

async fn a_code_under_a_standing_consent(bench: Bench) {
    connected(&bench).await;
    let (grant, code) = another();
    let event = &event(1, EventKind::AuthorizationIssued);
    let issue = CodeIssue {
        interaction: None,
        consent: None,
        grant: &grant,
        code: &code,
        pushed: None,
        event,
        now: at(3),
    };
    assert_eq!(bench.one.issue_code(&issue).await.unwrap(), 1);
    assert!(issued(&bench).await);
    assert_eq!(kinds(&bench).await, [EventKind::AuthorizationIssued]);
    // A withdrawal that was not seen before the issue: what is stored is born dead.
    let withdrawal = ConsentWithdrawal { id: consent(30).id, user: ALICE, at: at(3) };
    commit!(bench.other, tx => tx.withdraw_consent(&withdrawal));
    let access = AccessTokenRecord { digest: digest("late"), ..access_token(Some(grant.id)) };
    let told = crate::tests::fixtures::event(2, EventKind::CodeRedeemed);
    let redemption = Redemption {
        code: &code.digest,
        client: &app(),
        access: Some(&access),
        refresh: None,
        event: &told,
        now: at(4),
    };
    assert_eq!(bench.one.redeem_code(&redemption).await.unwrap(), 1);
    let (_, above) = bench.other.access_token(&access.digest).await.unwrap().unwrap();
    let Above::Grant(line) = above else { panic!("{above:?}") };
    assert_eq!(line.live(&catalogue(), at(5)).unwrap_err(), GrantEnd::ConsentWithdrawn);
}

async fn a_code_ends_its_interaction(bench: Bench) {
    connected(&bench).await;
    bench.one.begin_interaction(&interaction()).await.unwrap();
    let (grant, code) = another();
    let event = &event(1, EventKind::AuthorizationIssued);
    let stale = tokens::interaction::InteractionRecord { version: 7, ..interaction() };
    let issue = CodeIssue {
        interaction: Some(&stale),
        consent: None,
        grant: &grant,
        code: &code,
        pushed: None,
        event,
        now: at(3),
    };
    assert_eq!(bench.one.issue_code(&issue).await.unwrap(), 0);
    assert!(!issued(&bench).await);
    let read = interaction();
    let issue = CodeIssue { interaction: Some(&read), ..issue };
    assert_eq!(bench.one.issue_code(&issue).await.unwrap(), 1);
    assert!(issued(&bench).await);
    let ended = bench.other.interaction(read.id).await.unwrap().unwrap();
    assert_eq!((ended.version, ended.completed_at), (2, Some(at(3))));
    assert_eq!(kinds(&bench).await, [EventKind::AuthorizationIssued]);
}

/// Issues under an answer at the end of the fixture's interaction; gives the rows. What does not happen
/// leaves the interaction open.
async fn answer(bench: &Bench, upsert: &ConsentUpsert) -> u64 {
    let read = interaction();
    if bench.one.interaction(read.id).await.unwrap().is_none() {
        bench.one.begin_interaction(&read).await.unwrap();
    }
    let (grant, code) = another();
    let grant = GrantRecord { consent: upsert.record().id, ..grant };
    let (told, event) = (event(1, EventKind::ConsentGranted), event(2, EventKind::AuthorizationIssued));
    let issue = CodeIssue {
        interaction: Some(&read),
        consent: Some((upsert, &told)),
        grant: &grant,
        code: &code,
        pushed: None,
        event: &event,
        now: at(6000),
    };
    let rows = bench.one.issue_code(&issue).await.unwrap();
    let ended = bench.other.interaction(read.id).await.unwrap().unwrap();
    let line = bench.other.grant_line(grant.id).await.unwrap();
    let expected: &[EventKind] =
        if rows == 1 { &[EventKind::ConsentGranted, EventKind::AuthorizationIssued] } else { &[] };
    assert_eq!(kinds(bench).await, expected);
    assert_eq!((ended.completed_at.is_some(), line.is_some()), (rows == 1, rows == 1));
    rows
}

async fn a_code_with_a_new_consent(bench: Bench) {
    connected(&bench).await;
    assert_eq!(answer(&bench, &create(consent(31))).await, 0, "one is open");
    let withdrawal = ConsentWithdrawal { id: consent(30).id, user: ALICE, at: at(5) };
    commit!(bench.one, tx => tx.withdraw_consent(&withdrawal));
    assert_eq!(answer(&bench, &create(consent(31))).await, 1);
    assert_eq!(bench.other.consent_by_id(consent(31).id).await.unwrap(), Some(consent(31)));
}

async fn a_code_with_a_wider_consent(bench: Bench) {
    connected(&bench).await;
    let record = ConsentRecord {
        scope: "openid accounts:read balances:read".parse().unwrap(),
        resources: vec![],
        updated_at: at(7),
        expires_at: None,
        version: 2,
        ..consent(30)
    };
    let replace = |expected_version| ConsentUpsert::Replace { record: record.clone(), expected_version };
    assert_eq!(answer(&bench, &replace(3)).await, 0, "another answer came first");
    assert_eq!(answer(&bench, &replace(1)).await, 1);
    assert_eq!(bench.other.consent_by_id(record.id).await.unwrap(), Some(record));
}

async fn a_code_after_an_expired_consent(bench: Bench) {
    connected(&bench).await;
    let next = |granted| {
        let record = ConsentRecord { granted_at: granted, expires_at: None, ..consent(31) };
        ConsentUpsert::Create { record, supersedes: Some(consent(30).id) }
    };
    assert_eq!(answer(&bench, &next(at(4999))).await, 0, "the first still stands");
    assert_eq!(answer(&bench, &next(at(5000))).await, 1);
    let first = bench.other.consent_by_id(consent(30).id).await.unwrap().unwrap();
    assert_eq!(first.withdrawn_at, Some(at(5000)));
}

/// The session ended, or was begun anew, after it was read. Every form of the statement looks.
async fn bcp_09_a_code_of_a_session_that_is_over_is_not_stored(bench: Bench) {
    connected(&bench).await;
    let read = interaction();
    bench.one.begin_interaction(&read).await.unwrap();
    let (grant, code) = another();
    let (told, event) = (event(1, EventKind::ConsentGranted), event(2, EventKind::AuthorizationIssued));
    let wider = ConsentRecord { version: 2, ..consent(30) };
    let replace = ConsentUpsert::Replace { record: wider, expected_version: 1 };
    let expired = ConsentRecord { granted_at: at(5000), ..consent(31) };
    let supersede = ConsentUpsert::Create { record: expired, supersedes: Some(consent(30).id) };
    let issue = async |interaction, consent: Option<&ConsentUpsert>, auth_time| {
        let consent_id = consent.map_or(grant.consent, |upsert| upsert.record().id);
        let grant = GrantRecord { auth_time, consent: consent_id, ..grant.clone() };
        let issue = CodeIssue {
            interaction,
            consent: consent.map(|upsert| (upsert, &told)),
            grant: &grant,
            code: &code,
            pushed: None,
            event: &event,
            now: at(3),
        };
        bench.one.issue_code(&issue).await.unwrap()
    };
    let nothing = async |auth_time| {
        for interaction in [None, Some(&read)] {
            for consent in [None, Some(&replace), Some(&supersede)] {
                assert_eq!(issue(interaction, consent, auth_time).await, 0, "{interaction:?} {consent:?}");
            }
        }
        assert!(!issued(&bench).await);
        assert_eq!(kinds(&bench).await, []);
        let consents = bench.other.consents_of(ALICE).await.unwrap();
        assert_eq!(consents, [consent(30)]);
        assert_eq!(bench.other.interaction(read.id).await.unwrap().unwrap(), read);
    };
    nothing(at(1)).await;
    let end = SessionEnd { id: session(10).session.id, user: ALICE, at: at(2) };
    commit!(bench.other, tx => tx.end_session(&end));
    nothing(at(0)).await;
}

/// Tabs that answer together: one consent, one code, one pair of events.
async fn one_answers_an_interaction(bench: Bench) {
    commit!(bench.one, tx => async {
        tx.put_client(&client()).await?;
        tx.put_user(&user(ALICE, "alice")).await?;
        tx.insert_session(&session(10)).await
    });
    let read = leak(interaction());
    bench.one.begin_interaction(read).await.unwrap();
    let mut tasks = JoinSet::new();
    for number in 1000..1050_u128 {
        let store = if number % 2 == 0 { bench.one.clone() } else { bench.other.clone() };
        tasks.spawn(async move {
            let upsert = create(consent(number));
            let id = protocol::GrantId(Uuid::from_u128(number));
            let grant = GrantRecord { id, consent: consent(number).id, ..grant() };
            let code = CodeRecord { digest: digest(&number.to_string()), grant: id, ..code() };
            let told = event(number, EventKind::ConsentGranted);
            let event = event(number + 1000, EventKind::AuthorizationIssued);
            let issue = CodeIssue {
                interaction: Some(read),
                consent: Some((&upsert, &told)),
                grant: &grant,
                code: &code,
                pushed: None,
                event: &event,
                now: at(3),
            };
            store.issue_code(&issue).await.unwrap()
        });
    }
    assert_eq!(tasks.join_all().await.into_iter().sum::<u64>(), 1);
    assert_eq!(bench.one.consents_of(ALICE).await.unwrap().len(), 1);
    assert_eq!(kinds(&bench).await, [EventKind::ConsentGranted, EventKind::AuthorizationIssued]);
    assert_eq!(bench.one.interaction(read.id).await.unwrap().unwrap().version, 2);
}

async fn a_sign_in_stores_everything(bench: Bench) {
    commit!(bench.one, tx => tx.put_user(&user(ALICE, "alice")));
    let new = session(11);
    let (login, started) = (event(1, EventKind::LoginSucceeded), event(2, EventKind::SessionStarted));
    let start = SessionStart { session: &new, password_changed_at: None, events: [&login, &started] };
    assert_eq!(bench.one.start_session(&start).await.unwrap(), 1);
    assert_eq!(bench.other.session(new.session.id).await.unwrap(), Some(new.session.clone()));
    assert_eq!(kinds(&bench).await, [EventKind::LoginSucceeded, EventKind::SessionStarted]);
    let again = bench.one.start_session(&start).await.unwrap_err();
    assert!(matches!(again, StoreError::Conflict { .. }), "{again:?}");
    assert_eq!(kinds(&bench).await.len(), 2);
}

/// The password was changed, or the account disabled, while it was verified.
async fn bcp_09_a_sign_in_with_what_no_longer_holds_stores_nothing(bench: Bench) {
    commit!(bench.one, tx => tx.put_user(&user(ALICE, "alice")));
    let start = async |number: u128, changed_at| {
        let new = session(number);
        let events = [
            event(number * 10, EventKind::LoginSucceeded),
            event(number * 10 + 1, EventKind::SessionStarted),
        ];
        let events = [&events[0], &events[1]];
        let start = SessionStart { session: &new, password_changed_at: changed_at, events };
        let rows = bench.one.start_session(&start).await.unwrap();
        assert_eq!(bench.other.session(new.session.id).await.unwrap().is_some(), rows == 1);
        rows
    };
    // What is written in a transaction has the same condition.
    let hold = async |basis| commit!(bench.one, tx => tx.hold_signing_in(&basis));
    let password = |changed_at| SignInBasis::Password { user: ALICE, changed_at };
    let upstream = SignInBasis::Upstream { user: ALICE };
    assert_eq!((start(11, Some(at(4))).await, hold(password(Some(at(4)))).await), (0, 0));
    assert_eq!((start(12, None).await, hold(password(None)).await, hold(upstream).await), (1, 1, 1));

    let hash = PasswordHash::from_phc(PHC.replace("t=2", "t=3")).unwrap();
    let change = PasswordChange { user: ALICE, hash, at: at(5), keep_session: None };
    commit!(bench.other, tx => tx.change_password(&change));
    assert_eq!((start(13, None).await, hold(password(None)).await), (0, 0));
    assert_eq!((start(14, Some(at(5))).await, hold(password(Some(at(5)))).await), (1, 1));
    assert_eq!(hold(upstream).await, 1, "a provider's word knows nothing of passwords");

    // The same password under stronger parameters is still the same.
    let (before, hash) = (change.hash.clone(), PasswordHash::from_phc(PHC).unwrap());
    commit!(bench.other, tx => tx.rehash_password(&Rehash { user: ALICE, before, hash }));
    assert_eq!(start(15, Some(at(5))).await, 1);

    commit!(bench.other, tx => tx.disable_user(ALICE, at(6)));
    assert_eq!(
        (start(16, Some(at(5))).await, hold(password(Some(at(5)))).await, hold(upstream).await),
        (0, 0, 0)
    );
    assert_eq!(kinds(&bench).await.len(), 6, "nothing is told of what did not happen");
}

async fn an_event_alone(bench: Bench) {
    let told = event(1, EventKind::LoginFailed).user(ALICE).detail("username", "alice");
    bench.one.record(&told).await.unwrap();
    assert_eq!(bench.other.audit_events(&AuditFilter::default(), 9).await.unwrap(), [told]);
}
