//! Clients, catalogue, keys, audit: what goes in comes out, and changes are counted.

use audit::EventKind;
use chrono::TimeDelta;
use keys::{KeyState, Transition};
use protocol::client::ClientMetadata;
use serde_json::{Value, json};
use sqlx::types::Json;
use tokens::client::ClientRecord;

use super::{Bench, commit, fixtures::*, suite};
use crate::{AuditFilter, Changes, DeclaredRole, engine::on_tx, hot::Redemption};

suite!(
    clients_round_trip,
    new_clients_disturb_nobody,
    rows_of_a_later_release_are_read,
    the_catalogue_round_trips,
    keys_round_trip,
    events_are_filtered_and_paged,
    times_are_cut
);

async fn clients_round_trip(bench: Bench) {
    let mut record = client();
    commit!(bench.one, tx => tx.put_client(&record));
    assert_eq!(bench.other.client(&app()).await.unwrap(), Some(record.clone()));
    record.disabled = true;
    record.secrets.clear();
    record.created_at = at(50);
    record.updated_at = at(50);
    commit!(bench.one, tx => tx.put_client(&record));
    record.created_at = at(0);
    assert_eq!(bench.other.clients().await.unwrap(), vec![record]);
    assert_eq!(bench.other.changes().await.unwrap(), Changes { clients: 2, catalogue: 0, keys: 0 });
    assert_eq!(bench.other.client(&"nobody".parse().unwrap()).await.unwrap(), None);
}

/// A client that registers itself is new to everybody, so nothing is counted (DR-01).
async fn new_clients_disturb_nobody(bench: Bench) {
    let record = client();
    assert_eq!(commit!(bench.one, tx => tx.insert_client(&record)), 1);
    let other = ClientRecord { metadata: ClientMetadata::default(), ..record.clone() };
    assert_eq!(commit!(bench.one, tx => tx.insert_client(&other)), 0, "nobody takes another's identifier");
    assert_eq!(bench.other.client(&app()).await.unwrap(), Some(record));
    assert_eq!(bench.other.changes().await.unwrap(), Changes::default());
}

/// While one release replaces another, nodes of both serve: an older one reads what a newer one wrote, as
/// long as it need not ignore what binds it.
async fn rows_of_a_later_release_are_read(bench: Bench) {
    let write = async |table: &str, column: &str, more: Value| {
        let (text, document) = match (table, column) {
            ("clients", "metadata") => {
                ("UPDATE clients SET metadata = $1", serde_json::to_value(client().metadata))
            }
            ("clients", _) => ("UPDATE clients SET settings = $1", serde_json::to_value(client().settings)),
            ("scopes", _) => ("UPDATE scopes SET definition = $1", serde_json::to_value(scope())),
            _ => ("UPDATE resource_servers SET definition = $1", serde_json::to_value(resource_server())),
        };
        let mut document = document.unwrap();
        document.as_object_mut().unwrap().extend(more.as_object().unwrap().clone());
        commit!(bench.one, tx => async {
            let done = on_tx!(&mut tx, db => {
                sqlx::query(text).bind(Json(&document)).execute(db).await.map(drop)
            });
            done.map_err(crate::StoreError::from)
        });
    };
    commit!(bench.one, tx => async {
        tx.put_client(&client()).await?;
        tx.put_scope(&scope()).await?;
        tx.put_resource_server(&resource_server()).await
    });
    let later = json!({ "later_types": ["x"], "later_uri": "https://a.example", "later_flag": false });
    write("clients", "metadata", later.clone()).await;
    write("scopes", "definition", later.clone()).await;
    write("resource_servers", "definition", later).await;
    write("clients", "settings", json!({ "later_bound": null, "later_list": [], "later_flag": false })).await;
    assert_eq!(bench.other.client(&app()).await.unwrap(), Some(client()));
    assert_eq!(bench.other.clients().await.unwrap(), [client()]);
    assert_eq!(bench.other.scopes().await.unwrap(), [scope()]);
    assert_eq!(bench.other.resource_servers().await.unwrap(), [resource_server()]);
    // Who would write it back must know it whole.
    let mut tx = bench.one.begin().await.unwrap();
    assert!(tx.client(&app()).await.is_err());
    drop(tx);
    // A demand that this release can't honour is not ignored, nor is a bound that an operator set.
    write("clients", "metadata", json!({ "later_bound_tokens": true })).await;
    let fault = bench.other.client(&app()).await.unwrap_err().to_string();
    assert!(fault.contains("later_bound_tokens") && fault.contains("ledgerline"), "{fault}");
    write("clients", "metadata", json!({})).await;
    write("clients", "settings", json!({ "later_networks": ["10.0.0.0/8"] })).await;
    assert!(bench.other.client(&app()).await.is_err());
    write("clients", "settings", json!({})).await;
    assert_eq!(bench.other.client(&app()).await.unwrap(), Some(client()));
}

async fn the_catalogue_round_trips(bench: Bench) {
    let role =
        DeclaredRole { name: "account-viewer".parse().unwrap(), description: "Sees accounts".to_owned() };
    for _ in 0..2 {
        commit!(bench.one, tx => async {
            tx.put_scope(&scope()).await?;
            tx.put_resource_server(&resource_server()).await?;
            tx.put_role(&role).await
        });
    }
    assert_eq!(bench.other.scopes().await.unwrap(), vec![scope()]);
    assert_eq!(bench.other.resource_servers().await.unwrap(), vec![resource_server()]);
    assert_eq!(bench.other.roles().await.unwrap(), vec![role]);
    assert_eq!(bench.other.changes().await.unwrap(), Changes { clients: 0, catalogue: 6, keys: 0 });
}

async fn keys_round_trip(bench: Bench) {
    let mut record = key("one");
    commit!(bench.one, tx => tx.insert_signing_key(&record));
    assert_eq!(bench.other.signing_keys().await.unwrap(), vec![record.clone()]);
    for (from, step) in [
        (KeyState::Active, Transition::Retire { retain_for: TimeDelta::hours(1) }),
        (KeyState::Retired, Transition::Destroy),
    ] {
        record.apply(step, at(100)).unwrap();
        assert_eq!(commit!(bench.one, tx => tx.transition_signing_key(&record, from)), 1);
        assert_eq!(commit!(bench.one, tx => tx.transition_signing_key(&record, from)), 0);
        assert_eq!(bench.other.signing_keys().await.unwrap(), vec![record.clone()]);
    }
    assert!(bench.other.changes().await.unwrap().keys >= 3);
}

async fn events_are_filtered_and_paged(bench: Bench) {
    let full = event(3, EventKind::ConsentWithdrawn)
        .user(ALICE)
        .client(app())
        .session(session(10).session.id)
        .grant(grant().id)
        .consent(consent(30).id)
        .interaction(interaction().id)
        .address("192.0.2.7".parse::<std::net::IpAddr>().unwrap())
        .correlation(protocol::CorrelationId(uuid::Uuid::from_u128(9)))
        .reason("because")
        .detail("note", "one\nline");
    let events = [event(1, EventKind::LoginFailed), event(2, EventKind::LoginFailed).user(ALICE), full];
    for event in &events {
        commit!(bench.one, tx => tx.record(event));
    }
    let read = async |filter: AuditFilter, limit| {
        let events = bench.other.audit_events(&filter, limit).await.unwrap();
        events.iter().map(|event| event.id.as_u128()).collect::<Vec<_>>()
    };
    let all = AuditFilter::default;
    assert_eq!(bench.other.audit_events(&all(), 1).await.unwrap(), [events[2].clone()]);
    assert_eq!(read(all(), 9).await, [3, 2, 1]);
    assert_eq!(read(AuditFilter { before: Some(events[2].id), ..all() }, 1).await, [2]);
    assert_eq!(read(AuditFilter { user: Some(ALICE), ..all() }, 9).await, [3, 2]);
    assert_eq!(read(AuditFilter { client: Some(app()), ..all() }, 9).await, [3]);
    assert_eq!(read(AuditFilter { kind: Some(EventKind::LoginFailed), ..all() }, 9).await, [2, 1]);
    assert_eq!(read(AuditFilter { since: Some(at(2)), until: Some(at(3)), ..all() }, 9).await, [2]);
}

/// A clock has nanoseconds; a time that is compared after it was stored must not have become later.
async fn times_are_cut(bench: Bench) {
    connected(&bench).await;
    let precise = at(60) + TimeDelta::nanoseconds(1);
    let code = tokens::grant::CodeRecord { digest: digest("precise"), expires_at: precise, ..code() };
    commit!(bench.one, tx => tx.insert_code(&code));
    let (read, _) = bench.other.code(&code.digest).await.unwrap().unwrap();
    assert_eq!(read.expires_at, at(60));
    let told = event(1, EventKind::CodeRedeemed);
    let redeem = async |now| {
        let (code, client) = (&code.digest, &app());
        let redemption = Redemption { code, client, access: None, refresh: None, event: &told, now };
        bench.one.redeem_code(&redemption).await.unwrap()
    };
    assert_eq!(redeem(precise).await, 0);
    // Whole seconds are written without a fraction and still come before the rest of the second.
    let whole = at(60) - TimeDelta::nanoseconds(123_456_000);
    assert_eq!(redeem(whole).await, 1);
}
