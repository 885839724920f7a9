//! The queue of logout tokens: filled by every ending, claimed once, fair to every client.

use chrono::TimeDelta;
use mfa::session::SessionEnd;
use protocol::{ClientId, SessionId};
use tokens::{client::ClientRecord, logout::LogoutNotice};
use tokio::task::JoinSet;

use super::{Bench, commit, fixtures::*, suite};
use crate::{SweepPlan, upstream::UpstreamAttempt};

suite!(
    bl_02_an_ending_queues_the_clients_of_that_session,
    bl_02_one_node_claims_a_notice,
    bl_02_a_busy_client_hides_nobody,
    bl_02_done_and_expired_notices_go,
    bl_02_sessions_that_end_by_themselves_tell_their_clients,
    bl_02_a_client_that_comes_while_the_session_ends_is_told_or_refused,
    bl_02_a_restored_database_tells_the_clients_of_what_it_ends,
    bl_01_a_token_whose_sessions_stay_is_not_marked,
);

fn listener(id: &str, uri: Option<&str>) -> ClientRecord {
    let mut record = ClientRecord { id: id.parse().unwrap(), ..client() };
    record.metadata.backchannel_logout_uri = uri.map(str::to_owned);
    record
}

/// Three clients, two of which want logout tokens, and sessions of Alice.
async fn open(bench: &Bench, sessions: u128) -> Vec<SessionId> {
    connected(bench).await;
    let clients = [
        listener("one", Some("https://one.example/out")),
        listener("two", Some("https://two.example/out")),
        listener("quiet", None),
    ];
    let mut made = Vec::new();
    for client in &clients {
        commit!(bench.one, tx => tx.put_client(client));
    }
    for number in 100..100 + sessions {
        let new = session(number);
        commit!(bench.one, tx => tx.insert_session(&new));
        for client in ["one", "two", "quiet"] {
            let id: ClientId = client.parse().unwrap();
            assert_eq!(bench.one.take_part(new.session.id, &id, at(1)).await.unwrap(), 1);
            assert_eq!(bench.other.take_part(new.session.id, &id, at(2)).await.unwrap(), 1);
        }
        made.push(new.session.id);
    }
    made
}

async fn due(bench: &Bench, seconds: i64) -> Vec<LogoutNotice> {
    bench.other.due_logouts(at(seconds), (100, 100)).await.unwrap()
}

async fn bl_02_an_ending_queues_the_clients_of_that_session(bench: Bench) {
    let sessions = open(&bench, 2).await;
    let (first, second) = (sessions[0], sessions[1]);
    let participants = bench.one.participants(first).await.unwrap();
    assert_eq!(participants.iter().map(ClientId::as_str).collect::<Vec<_>>(), ["one", "quiet", "two"]);
    let end = SessionEnd { id: first, user: ALICE, at: at(10) };
    // What is rolled back tells nobody.
    let mut undone = bench.one.begin().await.unwrap();
    assert_eq!(undone.end_session(&end).await.unwrap(), 1);
    drop(undone);
    assert_eq!(due(&bench, 10).await, []);

    commit!(bench.one, tx => tx.end_session(&end));
    let told = |notices: Vec<LogoutNotice>| {
        let mut told: Vec<_> =
            notices.into_iter().map(|notice| (notice.session, notice.client.to_string())).collect();
        told.sort();
        told
    };
    assert_eq!(due(&bench, 9).await, []);
    let both = |session| vec![(session, "one".to_owned()), (session, "two".to_owned())];
    assert_eq!(told(due(&bench, 10).await), both(first));
    assert_eq!(due(&bench, 10).await[0].user, ALICE);
    // Ended once more, or with all the others: nothing is queued twice.
    assert_eq!(commit!(bench.one, tx => tx.end_session(&end)), 0);
    commit!(bench.one, tx => tx.end_sessions_of(ALICE, None, at(10)));
    assert_eq!(told(due(&bench, 10).await), [both(first), both(second)].concat());
    // A session that is not there takes nobody's part, and nobody is disturbed by it.
    let nowhere = SessionId(uuid::Uuid::from_u128(999));
    assert_eq!(bench.one.take_part(nowhere, &app(), at(1)).await.unwrap(), 0);
}

async fn bl_02_one_node_claims_a_notice(bench: Bench) {
    let sessions = open(&bench, 1).await;
    commit!(bench.one, tx => tx.end_session(&SessionEnd { id: sessions[0], user: ALICE, at: at(10) }));
    let notice = due(&bench, 10).await.remove(0);
    let mut tasks = JoinSet::new();
    for number in 0..50 {
        let store = if number % 2 == 0 { bench.one.clone() } else { bench.other.clone() };
        let notice = notice.clone();
        tasks.spawn(async move { store.claim_logout(&notice, at(70)).await.unwrap() });
    }
    assert_eq!(tasks.join_all().await.iter().sum::<u64>(), 1);
    let client = notice.client.clone();
    let of = |notices: Vec<LogoutNotice>| notices.into_iter().find(|found| found.client == client);
    assert_eq!(of(due(&bench, 69).await), None, "claimed");
    let again = of(due(&bench, 70).await).unwrap();
    assert_eq!(again.attempts, 1, "the claim ran out");
    // Whoever lost the claim changes nothing any more.
    assert_eq!(bench.one.claim_logout(&again, at(130)).await.unwrap(), 1);
    assert_eq!(bench.other.postpone_logout(&again, at(0)).await.unwrap(), 0);
    assert_eq!(commit!(bench.other, tx => tx.finish_logout(&again, at(80))), 0);
    let held = LogoutNotice { attempts: 2, ..again };
    assert_eq!(bench.one.postpone_logout(&held, at(90)).await.unwrap(), 1);
    assert_eq!(of(due(&bench, 90).await), Some(held.clone()));
    assert_eq!(commit!(bench.one, tx => tx.finish_logout(&held, at(95))), 1);
    assert_eq!(of(due(&bench, 1000).await), None);
}

async fn bl_02_a_busy_client_hides_nobody(bench: Bench) {
    let sessions = open(&bench, 6).await;
    for (number, session) in sessions.iter().enumerate() {
        let at = at(10 + i64::try_from(number).unwrap());
        commit!(bench.one, tx => tx.end_session(&SessionEnd { id: *session, user: ALICE, at }));
    }
    let some = bench.one.due_logouts(at(100), (2, 3)).await.unwrap();
    let clients: Vec<&str> = some.iter().map(|notice| notice.client.as_str()).collect();
    assert_eq!(clients.len(), 3);
    let of = |name: &str| clients.iter().filter(|client| **client == name).count();
    assert!(of("one") <= 2 && of("two") >= 1, "{clients:?}");
    assert!(some.is_sorted_by_key(|notice| notice.created_at), "oldest first");
}

async fn bl_02_done_and_expired_notices_go(bench: Bench) {
    let sessions = open(&bench, 1).await;
    commit!(bench.one, tx => tx.end_session(&SessionEnd { id: sessions[0], user: ALICE, at: at(10) }));
    let expiry = due(&bench, 10).await[0].expires_at;
    let plan = |now| SweepPlan { now, attempts_before: at(-1000), batch: 100 };
    let swept = |swept: crate::Swept| {
        swept.tables.into_iter().find(|(table, _)| *table == "logout_notices").map(|(_, rows)| rows)
    };
    let kept = bench.one.sweep(&plan(expiry)).await.unwrap();
    assert_eq!(swept(kept), Some(0));
    let gone = bench.one.sweep(&plan(expiry + TimeDelta::seconds(1))).await.unwrap();
    assert_eq!(swept(gone), Some(2));
    assert_eq!(bench.one.participants(sessions[0]).await.unwrap(), [], "they go with their session");
}

async fn bl_02_sessions_that_end_by_themselves_tell_their_clients(bench: Bench) {
    let sessions = open(&bench, 3).await;
    // One was ended by hand, long ago: its clients know.
    commit!(bench.one, tx => tx.end_session(&SessionEnd { id: sessions[0], user: ALICE, at: at(10) }));
    let plan = |now, batch| SweepPlan { now, attempts_before: at(-1000), batch };
    bench.one.sweep(&plan(at(7200), 100)).await.unwrap();
    assert_eq!(due(&bench, 7200).await.len(), 2, "nothing is over yet");
    // Two nodes sweep at once, in small batches.
    let mut tasks = JoinSet::new();
    for number in 0..12 {
        let store = if number % 2 == 0 { bench.one.clone() } else { bench.other.clone() };
        tasks.spawn(async move { store.sweep(&plan(at(7201), 2)).await.unwrap() });
    }
    tasks.join_all().await;
    for session in &sessions {
        assert_eq!(bench.other.session(*session).await.unwrap(), None);
        let told = due(&bench, 7201).await.into_iter().filter(|notice| notice.session == *session);
        assert_eq!(told.count(), 2, "the clients that want to be told");
    }
}

async fn bl_02_a_client_that_comes_while_the_session_ends_is_told_or_refused(bench: Bench) {
    let sessions = open(&bench, 12).await;
    let late: ClientId = "late".parse().unwrap();
    commit!(bench.one, tx => tx.put_client(&listener("late", Some("https://late.example/out"))));
    for session in sessions {
        let (one, other, client) = (bench.one.clone(), bench.other.clone(), late.clone());
        let part = tokio::spawn(async move { one.take_part(session, &client, at(9)).await.unwrap() });
        let end = tokio::spawn(async move {
            let mut tx = other.begin().await.unwrap();
            tx.end_session(&SessionEnd { id: session, user: ALICE, at: at(10) }).await.unwrap();
            tokio::task::yield_now().await;
            tx.commit().await.unwrap();
        });
        let (took_part, ended) = tokio::join!(part, end);
        ended.unwrap();
        let told = due(&bench, 10).await;
        let told = told.iter().filter(|notice| notice.session == session && notice.client == late).count();
        assert_eq!(told as u64, took_part.unwrap());
    }
}

async fn bl_02_a_restored_database_tells_the_clients_of_what_it_ends(bench: Bench) {
    let sessions = open(&bench, 2).await;
    let attempt = UpstreamAttempt {
        digest: digest("state"),
        provider: "north".to_owned(),
        browser: digest("browser"),
        purpose: serde_json::json!({"kind": "leave"}),
        created_at: at(0),
        expires_at: at(900),
    };
    bench.one.begin_upstream_attempt(&attempt).await.unwrap();
    let ended = commit!(bench.one, tx => tx.end_everything(at(20), 1, false));
    assert_eq!(ended.sessions, 3, "one has no clients that want to be told");
    for session in sessions {
        let told = due(&bench, 20).await.into_iter().filter(|notice| notice.session == session);
        assert_eq!(told.count(), 2);
    }
    let back = bench.one.use_upstream_attempt(&digest("state"), "north", &digest("browser"), at(21)).await;
    assert_eq!(back.unwrap(), None, "nobody comes back on a way that was open in the copy");
}

async fn bl_01_a_token_whose_sessions_stay_is_not_marked(bench: Bench) {
    let seen = mark("upstream_logout", "jti", at(60));
    let mut undone = bench.one.begin().await.unwrap();
    assert_eq!(undone.mark_once(&seen).await.unwrap(), 1);
    drop(undone);
    assert_eq!(commit!(bench.other, tx => tx.mark_once(&seen)), 1);
    assert_eq!(commit!(bench.one, tx => tx.mark_once(&seen)), 0);
}
