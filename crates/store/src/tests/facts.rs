//! What is read together is what was stored apart.

use consent::ConsentWithdrawal;
use mfa::TotpConfirmation;

use super::{Bench, commit, fixtures::*, suite};

suite!(
    a_visit_is_read_at_once,
    an_interaction_brings_the_visit,
    par_09_a_pushed_request_brings_the_visit,
    an_account_is_read_at_once,
);

async fn enrol(bench: &Bench) {
    let confirmation = TotpConfirmation { user: ALICE, step: 5, at: at(1) };
    commit!(bench.one, tx => tx.enrol_totp(&confirmation, &[7; 50], None));
}

async fn a_visit_is_read_at_once(bench: Bench) {
    connected(&bench).await;
    let cookie = session(10).session.digest;
    let visit = async || bench.other.visit(&cookie, Some(&app())).await.unwrap().unwrap();
    assert!(visit().await.totp.is_none());
    enrol(&bench).await;
    let read = visit().await;
    assert_eq!((&read.session, &read.user), (&session(10).session, &user(ALICE, "alice")));
    assert_eq!(read.totp, bench.one.totp(ALICE).await.unwrap());
    assert_eq!(read.consent, Some(consent(30)));
    assert!(bench.other.visit(&cookie, None).await.unwrap().unwrap().consent.is_none());
    let stranger = "pocketwise".parse().unwrap();
    assert!(bench.other.visit(&cookie, Some(&stranger)).await.unwrap().unwrap().consent.is_none());
    assert!(bench.other.visit(&digest("nobody"), Some(&app())).await.unwrap().is_none());
    // The open one, else the last that was.
    let withdrawal = ConsentWithdrawal { id: consent(30).id, user: ALICE, at: at(5) };
    commit!(bench.one, tx => tx.withdraw_consent(&withdrawal));
    assert_eq!(visit().await.consent.unwrap().withdrawn_at, Some(at(5)));
    commit!(bench.one, tx => tx.put_consent(&create(consent(31))));
    assert_eq!(visit().await.consent, Some(consent(31)));
}

async fn an_interaction_brings_the_visit(bench: Bench) {
    connected(&bench).await;
    enrol(&bench).await;
    let record = interaction();
    bench.one.begin_interaction(&record).await.unwrap();
    let cookie = session(10).session.digest;
    let read = async |session| bench.other.interaction_with_visit(record.id, session).await.unwrap().unwrap();
    let (found, visit) = read(Some(&cookie)).await;
    assert_eq!(found, record);
    let visit = visit.unwrap();
    assert_eq!((visit.session, visit.user), (session(10).session, user(ALICE, "alice")));
    assert_eq!((visit.totp, visit.consent), (bench.one.totp(ALICE).await.unwrap(), Some(consent(30))));
    for session in [None, Some(&digest("nobody"))] {
        let (found, visit) = read(session).await;
        assert_eq!(found, record);
        assert!(visit.is_none());
    }
    let unknown = protocol::InteractionId(uuid::Uuid::nil());
    assert!(bench.other.interaction_with_visit(unknown, Some(&cookie)).await.unwrap().is_none());
}

async fn par_09_a_pushed_request_brings_the_visit(bench: Bench) {
    connected(&bench).await;
    enrol(&bench).await;
    let record = pushed(1);
    bench.one.push_request(&record, None).await.unwrap();
    let cookie = session(10).session.digest;
    let read = async |session| bench.other.pushed_with_visit(&record.digest, session).await.unwrap().unwrap();
    let (found, visit) = read(Some(&cookie)).await;
    assert_eq!(found, record);
    let visit = visit.unwrap();
    assert_eq!((visit.session, visit.user), (session(10).session, user(ALICE, "alice")));
    assert_eq!((visit.totp, visit.consent), (bench.one.totp(ALICE).await.unwrap(), Some(consent(30))));
    for session in [None, Some(&digest("nobody"))] {
        let (found, visit) = read(session).await;
        assert_eq!(found, record);
        assert!(visit.is_none());
    }
    assert!(bench.other.pushed_with_visit(&digest("unknown"), Some(&cookie)).await.unwrap().is_none());
}

async fn an_account_is_read_at_once(bench: Bench) {
    connected(&bench).await;
    let name = "alice".parse().unwrap();
    assert!(bench.other.account(&name).await.unwrap().unwrap().totp.is_none());
    enrol(&bench).await;
    let account = bench.other.account(&name).await.unwrap().unwrap();
    assert_eq!((account.user, account.totp), (user(ALICE, "alice"), bench.one.totp(ALICE).await.unwrap()));
    assert!(bench.other.account(&"nobody".parse().unwrap()).await.unwrap().is_none());
}
