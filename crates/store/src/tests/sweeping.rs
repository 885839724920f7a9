//! What is over goes; what lives, and what is evidence, stays.

use audit::EventKind;
use mfa::{AttemptReservation, Attempts};
use tokens::grant::RefreshKind;

use super::{Bench, commit, fixtures::*, suite};
use crate::{SweepPlan, Swept};

suite!(what_is_over_goes, sweeps_are_small, a_grant_takes_what_is_below);

fn plan(seconds: i64) -> SweepPlan {
    SweepPlan { now: at(seconds), attempts_before: at(seconds - 100), batch: 100 }
}

fn gone(swept: &Swept) -> Vec<&'static str> {
    swept.tables.iter().filter(|(_, rows)| *rows > 0).map(|(table, _)| *table).collect()
}

async fn full(bench: &Bench) {
    connected(bench).await;
    let after = Attempts { failures: 1, last_failure_at: Some(at(0)) };
    let attempt = AttemptReservation { account: digest("alice"), before: Attempts::default(), after };
    commit!(bench.one, tx => async {
        tx.insert_refresh(&refresh(RefreshKind::Rotating)).await?;
        tx.insert_access_token(&access_token(Some(grant().id))).await?;
        tx.deny_token(access_token(None).id, at(300)).await?;
        tx.record(&event(1, EventKind::LoginSucceeded)).await
    });
    bench.one.begin_interaction(&interaction()).await.unwrap();
    assert_eq!(bench.one.mark_once(&mark("assertion", "jti", at(60))).await.unwrap(), 1);
    assert_eq!(bench.one.reserve_attempt(&attempt).await.unwrap(), 1);
}

async fn what_is_over_goes(bench: Bench) {
    full(&bench).await;
    let steps: [(i64, &[&str]); 8] = [
        (60, &[]),
        (61, &["replay_marks"]),
        (101, &["attempts"]),
        (301, &["access_tokens", "denied_tokens"]),
        (661, &["interactions", "codes"]),
        (3001, &["refresh_tokens"]),
        (4001, &["grants"]),
        (7201, &["sessions"]),
    ];
    for (now, tables) in steps {
        let swept = bench.one.sweep(&plan(now)).await.unwrap();
        assert_eq!(gone(&swept), tables, "at {now}");
    }
    assert_eq!(bench.other.sweep(&plan(1_000_000)).await.unwrap().total(), 0);
    assert_eq!(bench.other.consents_of(ALICE).await.unwrap().len(), 1);
    assert_eq!(bench.other.audit_events(&crate::AuditFilter::default(), 9).await.unwrap().len(), 1);
    assert!(bench.other.user(ALICE).await.unwrap().is_some());
}

async fn sweeps_are_small(bench: Bench) {
    for number in 0..5 {
        bench.one.mark_once(&mark("assertion", &number.to_string(), at(0))).await.unwrap();
    }
    let plan = SweepPlan { batch: 2, ..plan(1) };
    let mut rows = Vec::new();
    loop {
        let swept = bench.one.sweep(&plan).await.unwrap();
        rows.push(swept.total());
        if !swept.is_full(&plan) {
            break;
        }
    }
    assert_eq!(rows, [2, 2, 1]);
}

async fn a_grant_takes_what_is_below(bench: Bench) {
    full(&bench).await;
    let lasting =
        tokens::grant::CodeRecord { digest: digest("lasting"), keep_until: at(9_000_000), ..code() };
    commit!(bench.one, tx => tx.insert_code(&lasting));
    bench.one.sweep(&plan(4001)).await.unwrap();
    assert!(bench.other.code(&lasting.digest).await.unwrap().is_none());
    assert!(bench.other.grant_line(grant().id).await.unwrap().is_none());
}
