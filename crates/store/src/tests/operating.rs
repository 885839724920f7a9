//! What operators do: lists in pages, and what is taken away with a client.

use audit::{EventKind, Outcome};

use super::{Bench, commit, fixtures::*, suite};
use crate::{AuditFilter, ConsentFilter, UserFilter};

suite!(
    a_client_that_was_used_stays_as_evidence,
    a_client_takes_everything_with_it,
    the_catalogue_shrinks_and_is_counted,
    a_name_is_taken_once,
    users_are_listed_in_pages,
    consents_are_listed_in_pages,
    events_are_read_forward,
    a_transaction_sees_its_own_declarations,
);

async fn a_client_that_was_used_stays_as_evidence(bench: Bench) {
    connected(&bench).await;
    let fresh = tokens::client::ClientRecord { id: "never-used".parse().unwrap(), ..client() };
    commit!(bench.one, tx => tx.put_client(&fresh));
    let before = bench.other.changes().await.unwrap().clients;
    assert_eq!(commit!(bench.one, tx => tx.remove_client(&app())), 0);
    assert_eq!(commit!(bench.one, tx => tx.remove_client(&fresh.id)), 1);
    assert_eq!(commit!(bench.one, tx => tx.remove_client(&fresh.id)), 0);
    assert_eq!(bench.other.clients().await.unwrap(), vec![client()]);
    assert!(bench.other.changes().await.unwrap().clients > before);
}

async fn a_client_takes_everything_with_it(bench: Bench) {
    connected(&bench).await;
    let own = tokens::grant::AccessTokenRecord { digest: digest("own"), ..access_token(None) };
    let other = tokens::grant::AccessTokenRecord {
        digest: digest("other"),
        client: "pocketwise".parse().unwrap(),
        ..access_token(None)
    };
    commit!(bench.one, tx => async {
        tx.insert_access_token(&own).await?;
        tx.insert_access_token(&other).await
    });
    let ended = commit!(bench.one, tx => async {
        Ok::<_, crate::StoreError>((
            tx.withdraw_consents_of_client(&app(), at(5)).await?,
            tx.revoke_grants_of_client(&app(), at(5)).await?,
            tx.revoke_access_tokens_of_client(&app(), at(5)).await?,
        ))
    });
    assert_eq!(ended, (1, 1, 1));
    let line = bench.other.grant_line(grant().id).await.unwrap().unwrap();
    assert_eq!((line.grant.revoked_at, line.consent_withdrawn_at), (Some(at(5)), Some(at(5))));
    let revoked = async |digest| bench.other.access_token(&digest).await.unwrap().unwrap().0.revoked_at;
    assert_eq!((revoked(own.digest).await, revoked(other.digest).await), (Some(at(5)), None));
    let again = commit!(bench.one, tx => tx.withdraw_consents_of_client(&app(), at(6)));
    assert_eq!(again, 0, "what has ended keeps its time");
}

async fn the_catalogue_shrinks_and_is_counted(bench: Bench) {
    commit!(bench.one, tx => async {
        tx.put_resource_server(&resource_server()).await?;
        tx.put_scope(&scope()).await
    });
    let before = bench.other.changes().await.unwrap().catalogue;
    assert_eq!(commit!(bench.one, tx => tx.remove_scope("accounts:read")), 1);
    assert_eq!(commit!(bench.one, tx => tx.remove_scope("accounts:read")), 0);
    assert_eq!(commit!(bench.one, tx => tx.remove_resource_server("https://api.example")), 1);
    assert_eq!(bench.other.scopes().await.unwrap(), vec![]);
    assert_eq!(bench.other.resource_servers().await.unwrap(), vec![]);
    assert!(bench.other.changes().await.unwrap().catalogue >= before + 2);
}

async fn a_name_is_taken_once(bench: Bench) {
    let other = protocol::UserId(uuid::Uuid::from_u128(2));
    assert_eq!(commit!(bench.one, tx => tx.insert_user(&user(ALICE, "alice"))), 1);
    assert_eq!(commit!(bench.one, tx => tx.insert_user(&user(other, "alice"))), 0);
    assert_eq!(bench.other.user(other).await.unwrap(), None);
    assert_eq!(commit!(bench.one, tx => tx.enable_user(ALICE)), 0);
    assert_eq!(commit!(bench.one, tx => tx.disable_user(ALICE, at(3))), 1);
    assert_eq!(commit!(bench.one, tx => tx.enable_user(ALICE)), 1);
    assert!(bench.other.user(ALICE).await.unwrap().unwrap().is_enabled());
}

async fn users_are_listed_in_pages(bench: Bench) {
    for (id, name) in (1..).zip(["alice", "al_ice", "bob", "carol"]) {
        let user = user(protocol::UserId(uuid::Uuid::from_u128(id)), name);
        commit!(bench.one, tx => tx.insert_user(&user));
    }
    let list = async |containing: Option<&str>, after: Option<&str>, limit| {
        let filter =
            UserFilter { containing: containing.map(str::to_owned), after: after.map(str::to_owned) };
        let users = bench.other.users_page(&filter, limit).await.unwrap();
        let mut names: Vec<_> = users.iter().map(|user| user.username.to_string()).collect();
        // Engines differ in where they sort an underscore.
        names.sort();
        names
    };
    assert_eq!(list(None, None, 9).await, ["al_ice", "alice", "bob", "carol"]);
    assert_eq!(list(Some("ICE"), None, 9).await, ["al_ice", "alice"]);
    assert_eq!(list(Some("l_i"), None, 9).await, ["al_ice"], "not a pattern");
    assert_eq!(list(None, Some("bob"), 9).await, ["carol"]);
    assert_eq!(list(None, None, 2).await.len(), 2);
}

async fn consents_are_listed_in_pages(bench: Bench) {
    connected(&bench).await;
    let next = consent::ConsentRecord { granted_at: at(5000), expires_at: None, ..consent(31) };
    let upsert = consent::ConsentUpsert::Create { record: next, supersedes: Some(consent(30).id) };
    assert_eq!(commit!(bench.one, tx => tx.put_consent(&upsert)), 1);
    let list = async |filter: ConsentFilter, limit| {
        let consents = bench.other.consents_page(&filter, limit).await.unwrap();
        consents.iter().map(|record| record.id.0.as_u128()).collect::<Vec<_>>()
    };
    let all = ConsentFilter::default;
    assert_eq!(list(all(), 9).await, [31, 30]);
    assert_eq!(list(ConsentFilter { before: Some(consent(31).id), ..all() }, 9).await, [30]);
    assert_eq!(list(ConsentFilter { live_at: Some(at(6000)), ..all() }, 9).await, [31]);
    assert_eq!(list(ConsentFilter { user: Some(ALICE), client: Some(app()), ..all() }, 1).await, [31]);
    assert!(list(ConsentFilter { client: Some("nobody".parse().unwrap()), ..all() }, 9).await.is_empty());
}

async fn events_are_read_forward(bench: Bench) {
    for (id, kind) in (1..).zip([EventKind::LoginFailed, EventKind::LoginSucceeded, EventKind::LoginFailed]) {
        commit!(bench.one, tx => tx.record(&event(id, kind)));
    }
    let read = async |filter: AuditFilter, after, limit| {
        let events = bench.other.audit_events_after(&filter, after, limit).await.unwrap();
        events.iter().map(|event| event.id.as_u128()).collect::<Vec<_>>()
    };
    let all = AuditFilter::default;
    let refused = AuditFilter { outcome: Some(Outcome::Refusal), ..all() };
    assert_eq!(read(all(), None, 2).await, [1, 2]);
    assert_eq!(read(all(), Some(uuid::Uuid::from_u128(2)), 9).await, [3]);
    assert_eq!(read(refused.clone(), None, 9).await, [1, 3]);
    assert_eq!(bench.other.count_audit_events(&refused).await.unwrap(), 2);
    assert_eq!(bench.other.count_audit_events(&all()).await.unwrap(), 3);
}

async fn a_transaction_sees_its_own_declarations(bench: Bench) {
    let mut tx = bench.one.begin().await.unwrap();
    tx.lock(crate::Lock::Declarations).await.unwrap();
    tx.put_client(&client()).await.unwrap();
    tx.put_resource_server(&resource_server()).await.unwrap();
    tx.put_scope(&scope()).await.unwrap();
    assert_eq!(tx.client(&app()).await.unwrap(), Some(client()));
    assert_eq!(tx.clients().await.unwrap().len(), 1);
    assert_eq!(tx.scopes().await.unwrap(), vec![scope()]);
    assert_eq!(tx.resource_servers().await.unwrap(), vec![resource_server()]);
    assert_eq!(tx.roles().await.unwrap(), vec![]);
    drop(tx);
    assert_eq!(bench.other.client(&app()).await.unwrap(), None);
}
