//! Tokens that have no row of their own, and what the audit trail hears of them.

use std::{collections::BTreeSet, time::Duration};

use audit::EventKind;
use flows::FlowError;
use store::AuditFilter;
use tokio::time::{sleep, timeout};

use super::bank::{Bank, context, params};

on_both_engines!(
    a_token_is_in_the_trail_soon_after_the_answer,
    a_stop_loses_no_event,
    without_a_database_no_token_leaves,
    the_same_events_written_twice_stand_once,
);

const REQUEST: &str = "grant_type=client_credentials&client_id=batch&client_secret=batch-secret";

/// The trail as others see it, without what waits in the queue.
async fn written(bank: &Bank) -> usize {
    let filter = AuditFilter { kind: Some(EventKind::TokenIssued), ..AuditFilter::default() };
    bank.service.store().audit_events(&filter, 10_000).await.unwrap().len()
}

async fn a_token_is_in_the_trail_soon_after_the_answer(bank: Bank) {
    let service = bank.service.clone();
    let keeper = tokio::spawn(async move { service.keep_audit_queue().await });
    for issued in 1..=3 {
        bank.token(REQUEST).await.unwrap();
        // 100 ms, and slack for a busy machine.
        let soon = async {
            while written(&bank).await < issued {
                sleep(Duration::from_millis(5)).await;
            }
        };
        timeout(Duration::from_secs(2), soon).await.expect("the event is written soon");
    }
    assert_eq!(written(&bank).await, 3);
    keeper.abort();
}

async fn a_stop_loses_no_event(bank: Bank) {
    for _ in 0..250 {
        bank.token(REQUEST).await.unwrap();
    }
    assert_eq!(written(&bank).await, 0, "no answer waits for the database");
    bank.service.finish_audit_queue().await;
    let events = bank.events(EventKind::TokenIssued).await;
    assert_eq!(written(&bank).await, 250);
    let names: BTreeSet<_> = events.iter().map(|event| &event.detail["jti"]).collect();
    assert_eq!(names.len(), events.len());
    assert!(events.iter().all(|event| event.client.as_ref().is_some_and(|id| id.as_str() == "batch")));
}

async fn without_a_database_no_token_leaves(bank: Bank) {
    bank.token(REQUEST).await.unwrap();
    let service = bank.service.clone();
    let keeper = tokio::spawn(async move { service.keep_audit_queue().await });
    // Every connection is taken, so nobody can write.
    let mut held = Vec::new();
    while let Ok(Ok(tx)) = timeout(Duration::from_millis(300), bank.service.store().begin()).await {
        held.push(tx);
    }
    let (mut issued, form) = (1, params(REQUEST));
    let fault = loop {
        match bank.service.token(&context(), None, &form, &|_| Ok(())).await {
            Ok(answer) => issued += usize::from(answer.is_ok()),
            Err(fault) => break fault,
        }
        sleep(Duration::from_millis(10)).await;
    };
    assert!(matches!(fault, FlowError::AuditBehind), "{fault}");
    assert!(issued < 60, "{issued} tokens while the trail was behind");
    drop(held);
    bank.token(REQUEST).await.unwrap();
    bank.service.settle_audit().await.unwrap();
    assert_eq!(written(&bank).await, issued + 1);
    keeper.abort();
}

async fn the_same_events_written_twice_stand_once(bank: Bank) {
    bank.token(REQUEST).await.unwrap();
    bank.token(&REQUEST.replace("batch-secret", "wrong")).await.unwrap_err();
    let before = bank.events(EventKind::ClientAuthenticationFailed).await;
    assert_eq!(before[0].reason.as_deref(), Some("wrong_client_secret"));
    let all = bank.service.store().audit_events(&AuditFilter::default(), 1000).await.unwrap();
    let twice = [all.clone(), all.clone()].concat();
    bank.service.store().record_all(&twice).await.unwrap();
    assert_eq!(bank.service.store().audit_events(&AuditFilter::default(), 1000).await.unwrap(), all);
}
