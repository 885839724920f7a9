//! Clients that look after their registration (RFC 7592).

use audit::EventKind;
use chrono::TimeDelta;
use flows::operate::ClientDraft;
use http::Method;
use mfa::SecondFactorPolicy;
use serde_json::{Value, json};
use testkit::{Answer, Browser};
use tokio::task::JoinSet;

use crate::{
    bank::{Bank, ENGINES, Engine},
    publisher::Publisher,
    rfc7591_registration::{app, bank, partner, register, rules, token},
    steps::{answer, tokens_for},
};

async fn manage(method: Method, registered: &Answer, token: &str, body: Option<&Value>) -> Answer {
    let request = reqwest::Client::new().request(method, registered.str("registration_client_uri"));
    let request = request.bearer_auth(token);
    answer(match body {
        Some(body) => request.json(body),
        None => request,
    })
    .await
}

async fn registered(bank: &Bank) -> Answer {
    let token = token(bank, None).await;
    register(bank, Some(&token), &partner()).await.expect(201)
}

fn own(registered: &Answer) -> &str {
    registered.str("registration_access_token")
}

#[tokio::test]
async fn dr_07_management_needs_the_clients_own_token() {
    let bank = bank(Engine::Sqlite, false).await;
    let (mine, other) = (registered(&bank).await, registered(&bank).await);
    let read = manage(Method::GET, &mine, own(&mine), None).await.expect(200);
    assert_eq!(read["client_id"], mine["client_id"]);
    assert_eq!(read["registration_access_token"], mine["registration_access_token"]);
    assert!(read.json.get("client_secret").is_none(), "only its digest is known");
    assert_eq!(read["client_secret_expires_at"], mine["client_secret_expires_at"]);
    let initial = token(&bank, None).await;
    let mut body = partner();
    body["client_id"] = mine["client_id"].clone();
    for method in [Method::GET, Method::PUT, Method::DELETE] {
        for wrong in [own(&other), initial.as_str(), mine.str("client_secret"), "guess"] {
            let body = (method == Method::PUT).then_some(&body);
            let refused = manage(method.clone(), &mine, wrong, body).await;
            refused.expect_error(401, "invalid_token");
            assert!(refused.header("www-authenticate").unwrap().contains("invalid_token"));
        }
        let uri = mine.str("registration_client_uri");
        let bare = answer(reqwest::Client::new().request(method.clone(), uri).json(&body)).await;
        bare.expect_error(401, "invalid_token");
        // A client that an operator declared has no such token, and one that is unknown looks the same.
        for id in ["web-app", "nobody", "%00"] {
            let request =
                reqwest::Client::new().request(method.clone(), bank.url(&format!("/register/{id}")));
            answer(request.bearer_auth(own(&mine)).json(&body)).await.expect_error(401, "invalid_token");
        }
    }
    manage(Method::GET, &mine, own(&mine), None).await.expect(200);
}

#[tokio::test]
async fn dr_08_an_update_replaces_everything() {
    for engine in ENGINES {
        let bank = bank(engine, false).await;
        let mine = registered(&bank).await;
        let update = json!({
            "client_id": mine["client_id"], "client_secret": mine["client_secret"], "client_name": "Renamed",
            "redirect_uris": ["https://new.partner.example/cb"], "scope": "openid",
        });
        bank.advance(TimeDelta::seconds(5));
        let changed = manage(Method::PUT, &mine, own(&mine), Some(&update)).await.expect(200);
        assert_eq!(changed["client_name"], "Renamed");
        assert_eq!(changed["scope"], "openid");
        assert_eq!(changed["client_id_issued_at"], mine["client_id_issued_at"]);
        assert!(changed.json.get("client_secret").is_none(), "the old one goes on");
        // What an update does not name is back at its default.
        let less =
            json!({ "client_id": mine["client_id"], "redirect_uris": ["https://new.partner.example/cb"] });
        let changed = manage(Method::PUT, &mine, own(&mine), Some(&less)).await.expect(200);
        assert!(changed.json.get("client_name").is_none());
        assert_eq!(changed["scope"], "accounts:read openid profile");
        let read = manage(Method::GET, &mine, own(&mine), None).await.expect(200);
        assert_eq!(read.json, changed.json);
        // It holds at once.
        let mut party = app(&bank, &mine);
        let gone = Browser::new().open(party.attempt("openid").url()).await;
        assert!(gone.departure.is_none(), "the old redirect URI is unknown");
        party.redirect_uri = "https://new.partner.example/cb".into();
        tokens_for(&bank, &party, "openid").await;
        assert_eq!(bank.audited(EventKind::ClientChanged).await, 2);
    }
}

#[tokio::test]
async fn dr_08_what_the_server_sets_is_read_only() {
    let bank = bank(Engine::Sqlite, false).await;
    let mine = registered(&bank).await;
    let mut base = partner();
    base["client_id"] = mine["client_id"].clone();
    for (member, value) in [
        ("client_id", json!("web-app")),
        ("client_id", Value::Null),
        ("client_secret", json!("a secret of my own choice, long enough")),
        ("registration_access_token", mine["registration_access_token"].clone()),
        ("registration_client_uri", mine["registration_client_uri"].clone()),
        ("client_secret_expires_at", json!(0)),
        ("client_id_issued_at", json!(0)),
        ("scope", json!("payments:write")),
        ("application_type", json!("native")),
    ] {
        let mut update = base.clone();
        update[member] = value;
        let refused = manage(Method::PUT, &mine, own(&mine), Some(&update)).await;
        refused.expect_error(400, "invalid_client_metadata");
    }
    let mut update = base;
    update["redirect_uris"] = json!(["https://evil.example/cb"]);
    let refused = manage(Method::PUT, &mine, own(&mine), Some(&update)).await;
    refused.expect_error(400, "invalid_redirect_uri");
    let read = manage(Method::GET, &mine, own(&mine), None).await.expect(200);
    assert_eq!(read["redirect_uris"], mine["redirect_uris"], "a refused update changes nothing");
}

#[tokio::test]
async fn dr_08_secrets_follow_the_method() {
    let bank = bank(Engine::Sqlite, false).await;
    let mine = registered(&bank).await;
    let mut update = partner();
    update["client_id"] = mine["client_id"].clone();
    update["token_endpoint_auth_method"] = "none".into();
    let public = manage(Method::PUT, &mine, own(&mine), Some(&update)).await.expect(200);
    assert!(public.json.get("client_secret_expires_at").is_none());
    app(&bank, &mine).revoke("x").await.expect_error(401, "invalid_client");
    update["token_endpoint_auth_method"] = "client_secret_basic".into();
    let again = manage(Method::PUT, &mine, own(&mine), Some(&update)).await.expect(200);
    assert_ne!(again["client_secret"], mine["client_secret"]);
    app(&bank, &again).revoke("x").await.expect(200);
}

#[tokio::test]
async fn dr_09_delete_ends_everything() {
    for engine in ENGINES {
        let bank = bank(engine, false).await;
        let mut partner = partner();
        partner["grant_types"] = json!(["authorization_code", "refresh_token"]);
        let initial = token(&bank, None).await;
        let mine = register(&bank, Some(&initial), &partner).await.expect(201);
        let party = app(&bank, &mine);
        let tokens = tokens_for(&bank, &party, "openid accounts:read offline_access").await;
        let api = bank.api("accounts-api");
        assert!(api.is_active(tokens.str("access_token")).await);
        let gone = manage(Method::DELETE, &mine, own(&mine), None).await.expect(204);
        assert!(gone.text.is_empty());
        for method in [Method::GET, Method::DELETE] {
            manage(method, &mine, own(&mine), None).await.expect_error(401, "invalid_token");
        }
        assert!(!api.is_active(tokens.str("access_token")).await);
        party.refresh(tokens.str("refresh_token")).await.expect_error(401, "invalid_client");
        assert!(Browser::new().open(party.attempt("openid").url()).await.departure.is_none());
        // Consents are evidence: the record stays, disabled, and still says where it came from.
        let id = mine.str("client_id").parse().unwrap();
        assert!(bank.service.store().client(&id).await.unwrap().unwrap().disabled);
        assert!(bank.service.store().registration(&id).await.unwrap().unwrap().management.is_none());
        // One that nobody consented to is gone without a trace.
        let unused = register(&bank, Some(&initial), &partner).await.expect(201);
        manage(Method::DELETE, &unused, own(&unused), None).await.expect(204);
        let id = unused.str("client_id").parse().unwrap();
        assert!(bank.service.store().client(&id).await.unwrap().is_none());
        assert!(bank.service.store().registration(&id).await.unwrap().is_none());
        assert_eq!(bank.audited(EventKind::ClientDeleted).await, 2);
    }
}

#[tokio::test]
async fn dr_09_many_deletes_at_once_are_one() {
    for engine in ENGINES {
        let bank = bank(engine, false).await;
        let mine = registered(&bank).await;
        let mut racing = JoinSet::new();
        for _ in 0..12 {
            let request = reqwest::Client::new().delete(mine.str("registration_client_uri"));
            racing.spawn(answer(request.bearer_auth(own(&mine))));
        }
        let statuses = racing.join_all().await;
        let done = statuses.iter().filter(|answer| answer.status == 204).count();
        assert_eq!(done, 1, "{engine:?}");
        assert!(statuses.iter().all(|answer| [204, 401].contains(&answer.status)));
    }
}

#[tokio::test]
async fn dr_09_an_operator_ends_a_registered_client_too() {
    let bank = bank(Engine::Sqlite, false).await;
    let mine = registered(&bank).await;
    let id = mine.str("client_id").parse().unwrap();
    bank.service.operate("test").delete_client(&id).await.unwrap().unwrap();
    manage(Method::GET, &mine, own(&mine), None).await.expect_error(401, "invalid_token");
}

#[tokio::test]
async fn dr_08_dr_10_an_update_leaves_what_an_operator_has_set() {
    let bank = bank(Engine::Sqlite, false).await;
    let mine = registered(&bank).await;
    let id = mine.str("client_id").parse().unwrap();
    let edit = |mut draft: ClientDraft| {
        draft.settings.second_factor = Some(SecondFactorPolicy::Required);
        draft.settings.may_act = Some("gateway".parse().unwrap());
        Ok(draft)
    };
    bank.service.operate("test").update_client(&id, edit).await.unwrap().unwrap();
    let mut update = partner();
    update["client_id"] = mine["client_id"].clone();
    update["client_name"] = "Renamed".into();
    manage(Method::PUT, &mine, own(&mine), Some(&update)).await.expect(200);
    let stored = bank.service.store().client(&id).await.unwrap().unwrap();
    assert_eq!(stored.metadata.client_name.as_deref(), Some("Renamed"));
    assert_eq!(stored.settings.second_factor, Some(SecondFactorPolicy::Required));
    assert!(stored.settings.may_act.is_some());
}

#[tokio::test]
async fn dr_07_an_update_on_its_way_does_not_revive_a_client() {
    for engine in ENGINES {
        let publisher = Publisher::open().await;
        let both = json!(["https://app.partner.example/cb", "https://new.partner.example/cb"]);
        publisher.publish("/sector.json", &both);
        let bank = Bank::with(engine, |policies| {
            policies.registration = Some(rules(false));
            policies.outbound = publisher.policy();
        })
        .await;
        let initial = token(&bank, None).await;
        let mut wish = partner();
        wish["sector_identifier_uri"] = publisher.url("/sector.json").into();
        let mine = register(&bank, Some(&initial), &wish).await.expect(201);
        let id = mine.str("client_id").parse().unwrap();
        tokens_for(&bank, &app(&bank, &mine), "openid accounts:read").await;
        let gate = publisher.hold("/sector.json");
        wish["client_id"] = mine["client_id"].clone();
        wish["redirect_uris"] = both;
        let request = reqwest::Client::new().put(mine.str("registration_client_uri"));
        let update = tokio::spawn(answer(request.bearer_auth(own(&mine)).json(&wish)));
        publisher.asked("/sector.json", 2).await;
        bank.service.operate("test").delete_client(&id).await.unwrap().unwrap();
        gate.add_permits(1);
        update.await.unwrap().expect_error(401, "invalid_token");
        assert!(bank.service.store().client(&id).await.unwrap().unwrap().disabled, "{engine:?}");
    }
}

#[tokio::test]
async fn oc_21_dr_08_an_update_calls_people_as_before() {
    let bank = bank(Engine::Sqlite, false).await;
    let initial = token(&bank, None).await;
    let mut wish = partner();
    wish["subject_type"] = "pairwise".into();
    let mine = register(&bank, Some(&initial), &wish).await.expect(201);
    wish["client_id"] = mine["client_id"].clone();
    let put = async |wish: &Value| manage(Method::PUT, &mine, own(&mine), Some(wish)).await;
    // Whoever could move to another's host would learn by what names that one knows its people.
    let mut moved = wish.clone();
    moved["redirect_uris"] = json!(["https://victim.partner.example/cb"]);
    put(&moved).await.expect_error(400, "invalid_client_metadata");
    let mut public = wish.clone();
    public["subject_type"] = "public".into();
    put(&public).await.expect_error(400, "invalid_client_metadata");
    wish["redirect_uris"] = json!(["https://app.partner.example/cb", "https://app.partner.example/other"]);
    put(&wish).await.expect(200);
}
