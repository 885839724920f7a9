//! Clients that are a document on the web (Client ID Metadata Documents): their `client_id` is its URL.

use std::collections::BTreeSet;

use chrono::TimeDelta;
use flows::client_documents::DocumentRules;
use jose::Algorithm;
use protocol::client::{AuthMethod, GrantType, Profile, ResponseType};
use serde_json::{Value, json};
use testkit::{Browser, ClientAuth, RelyingParty};
use tokens::{
    initial_token::Origin,
    registration::{HostRule, RegistrationPolicy},
};

use crate::{
    bank::{Bank, ENGINES, Engine},
    publisher::Publisher,
    steps::{new_key, tokens_for},
};

fn documents(hosts: &str) -> DocumentRules {
    let policy = RegistrationPolicy {
        name: "client_documents".into(),
        scopes: Some("openid profile offline_access accounts:read".parse().unwrap()),
        grant_types: [GrantType::AuthorizationCode, GrantType::RefreshToken].into(),
        response_types: [ResponseType::Code].into(),
        auth_methods: [AuthMethod::None, AuthMethod::PrivateKeyJwt].into(),
        detail_types: BTreeSet::new(),
        redirect_hosts: vec![HostRule::Any],
        native: true,
        link_hosts: Vec::new(),
        pkce_exempt: false,
        secret_lifetime: None,
        consent_lifetime: None,
        unused_lifetime: None,
    };
    DocumentRules { policy, hosts: vec![HostRule::parse(hosts).unwrap()] }
}

async fn bank(engine: Engine, publisher: &Publisher, hosts: &str) -> Bank {
    Bank::with(engine, |policies| {
        policies.client_documents = Some(documents(hosts));
        policies.outbound = publisher.policy();
        policies.outbound.retry_after = std::time::Duration::ZERO;
    })
    .await
}

fn document(publisher: &Publisher, path: &str) -> Value {
    json!({
        "client_id": publisher.url(path), "client_name": "Agent",
        "redirect_uris": [publisher.url("/cb"), "http://127.0.0.1/cb"], "scope": "openid accounts:read",
        "grant_types": ["authorization_code", "refresh_token"], "application_type": "native",
    })
}

fn agent(bank: &Bank, publisher: &Publisher, path: &str) -> RelyingParty {
    RelyingParty::new(&bank.issuer, &publisher.url(path), ClientAuth::None, &publisher.url("/cb"))
}

async fn is_known(bank: &Bank, publisher: &Publisher, path: &str) -> bool {
    let page = Browser::new().open(agent(bank, publisher, path).attempt("openid").url()).await;
    page.status == 200
}

#[tokio::test]
async fn dr_01_documents_are_off_by_default() {
    let publisher = Publisher::open().await;
    publisher.publish("/c.json", &document(&publisher, "/c.json"));
    let bank = Bank::with(Engine::Sqlite, |policies| policies.outbound = publisher.policy()).await;
    assert!(!is_known(&bank, &publisher, "/c.json").await);
    assert_eq!(publisher.read("/c.json"), 0, "not a byte is sent");
    let metadata = bank.app("web-app").get("/.well-known/oauth-authorization-server").await.expect(200);
    assert!(metadata.json.get("client_id_metadata_document_supported").is_none());
}

#[tokio::test]
async fn dr_10_a_person_lets_a_document_in_and_sees_its_host() {
    for engine in ENGINES {
        let publisher = Publisher::open().await;
        publisher.publish("/c.json", &document(&publisher, "/c.json"));
        let bank = bank(engine, &publisher, "*").await;
        let metadata = bank.app("web-app").get("/.well-known/oauth-authorization-server").await.expect(200);
        assert_eq!(metadata["client_id_metadata_document_supported"], true);
        let app = agent(&bank, &publisher, "/c.json");
        let (browser, mut bob) = (Browser::new(), bank.person("bob"));
        let page = browser.open(app.attempt("openid accounts:read").url()).await;
        let page = bob.walk(&browser, page, "consent-allow", bank.now()).await;
        let host = publisher.url("").replace("https://", "");
        assert!(page.texts("#document-host").join(" ").contains(&host), "{}", page.text());
        assert!(bank.service.store().registrations().await.unwrap().is_empty(), "nothing is kept so far");
        let tokens = tokens_for(&bank, &app, "openid accounts:read").await;
        assert!(bank.api("accounts-api").is_active(tokens.str("access_token")).await);
        let kept = bank.service.store().registrations().await.unwrap();
        assert_eq!((kept.len(), kept[0].origin), (1, Origin::Document));
        // A declared client's page says nothing of the kind.
        let browser = Browser::new();
        let page = browser.open(bank.app("web-app").attempt("openid accounts:read").url()).await;
        let page = bank.person("bob").walk(&browser, page, "consent-allow", bank.now()).await;
        assert!(!page.has("document-host"));
        // Without PKCE nothing goes.
        let bare = app.attempt("openid").without("code_challenge").without("code_challenge_method");
        assert_eq!(Browser::new().open(bare.url()).await.departed().error(), "invalid_request");
        // An operator ends it, for good.
        let id = publisher.url("/c.json").parse().unwrap();
        bank.service.operate("test").delete_client(&id).await.unwrap().unwrap();
        bank.service.reload().await.unwrap();
        assert!(!bank.api("accounts-api").is_active(tokens.str("access_token")).await);
        assert!(!is_known(&bank, &publisher, "/c.json").await);
    }
}

#[tokio::test]
async fn dr_10_a_document_that_breaks_a_rule_is_no_client() {
    let publisher = Publisher::open().await;
    let bank = bank(Engine::Sqlite, &publisher, "*").await;
    for (number, more) in [
        json!({ "client_id": publisher.url("/other.json") }),
        json!({ "client_secret": "s3cret" }),
        json!({ "client_secret_expires_at": 0 }),
        json!({ "token_endpoint_auth_method": "client_secret_basic" }),
        json!({ "token_endpoint_auth_method": "private_key_jwt" }),
        json!({ "redirect_uris": [publisher.url("/cb"), "https://evil.example/cb"] }),
        json!({ "redirect_uris": [] }),
        json!({ "redirect_uris": ["javascript:alert(1)"] }),
        json!({ "scope": "openid payments:write" }),
        json!({ "grant_types": ["client_credentials"] }),
        json!({ "jwks_uri": "https://169.254.169.254/keys" }),
        json!({ "logo_uri": "https://bank.example/logo.png" }),
    ]
    .into_iter()
    .enumerate()
    {
        let path = format!("/{number}.json");
        let mut bent = document(&publisher, &path);
        bent.as_object_mut().unwrap().extend(more.as_object().unwrap().clone());
        publisher.publish(&path, &bent);
        assert!(!is_known(&bank, &publisher, &path).await, "{more}");
        assert_eq!(publisher.read(&path), 1);
    }
    let good = document(&publisher, "/good.json").to_string();
    let json = "Content-Type: application/json\r\n";
    for (path, status, fields, body) in [
        ("/html", 200, "Content-Type: text/html\r\n", good.as_str()),
        ("/moved", 302, "Location: /good.json\r\n", ""),
        ("/error", 500, json, good.as_str()),
        ("/broken", 200, json, "{"),
        ("/list", 200, json, "[]"),
        ("/endless", 200, json, &"x".repeat(300_000)),
        ("/twice", 200, json, r#"{"client_id":"a","client_id":"b"}"#),
    ] {
        publisher.put(path, status, fields, body);
        assert!(!is_known(&bank, &publisher, path).await, "{path}");
    }
    assert!(bank.service.store().registrations().await.unwrap().is_empty());
}

#[tokio::test]
async fn out_01_no_byte_is_sent_where_it_must_not_be() {
    let publisher = Publisher::open().await;
    let bank = bank(Engine::Sqlite, &publisher, "*.example").await;
    publisher.publish("/c.json", &document(&publisher, "/c.json"));
    assert!(!is_known(&bank, &publisher, "/c.json").await, "the host is not one of those that are read");
    assert_eq!(publisher.read("/c.json"), 0);
    let bank = self::bank(Engine::Sqlite, &publisher, "*").await;
    for id in [
        publisher.url(""),
        publisher.url("/"),
        publisher.url("/a/../c.json"),
        publisher.url("/c.json#x"),
        publisher.url("/c.json").replace("https", "http"),
        publisher.url("/c.json").replace("localhost", "127.0.0.1"),
        publisher.url("/c.json").replace("https://", "https://u@"),
        "https://[::1]/c.json".into(),
        "https://169.254.169.254/latest".into(),
    ] {
        let app = RelyingParty::new(&bank.issuer, &id, ClientAuth::None, "https://a.example/cb");
        let page = Browser::new().open(app.attempt("openid").url()).await;
        assert_eq!(page.status, 400, "{id}");
    }
    assert_eq!(publisher.read("/c.json") + publisher.read("/"), 0);
}

#[tokio::test]
async fn out_02_documents_are_kept_within_bounds_and_followed() {
    let publisher = Publisher::open().await;
    let bank = bank(Engine::Sqlite, &publisher, "*").await;
    let text = document(&publisher, "/c.json").to_string();
    publisher.put("/c.json", 200, "Content-Type: application/json\r\nCache-Control: max-age=1\r\n", &text);
    for _ in 0..5 {
        assert!(is_known(&bank, &publisher, "/c.json").await);
    }
    assert_eq!(publisher.read("/c.json"), 1, "a document that wants to be read each second is not");
    let app = agent(&bank, &publisher, "/c.json");
    tokens_for(&bank, &app, "openid accounts:read").await;
    // It changes its mind about where answers go.
    let mut moved = document(&publisher, "/c.json");
    moved["redirect_uris"] = json!([publisher.url("/moved")]);
    publisher.publish("/c.json", &moved);
    bank.advance(TimeDelta::minutes(2));
    assert!(!is_known(&bank, &publisher, "/c.json").await);
    let mut app = agent(&bank, &publisher, "/c.json");
    app.redirect_uri = publisher.url("/moved");
    tokens_for(&bank, &app, "openid accounts:read").await;
    // While its host has trouble, a client that people know goes on, for a day.
    publisher.put("/c.json", 503, "", "");
    bank.advance(TimeDelta::hours(1));
    tokens_for(&bank, &app, "openid accounts:read").await;
    bank.advance(TimeDelta::hours(24));
    assert_eq!(Browser::new().open(app.attempt("openid").url()).await.status, 400);
    // One that is gone is gone at once.
    publisher.publish("/c.json", &moved);
    bank.advance(TimeDelta::minutes(2));
    tokens_for(&bank, &app, "openid accounts:read").await;
    publisher.put("/c.json", 404, "", "");
    bank.advance(TimeDelta::minutes(10));
    assert_eq!(Browser::new().open(app.attempt("openid").url()).await.status, 400);
}

#[tokio::test]
async fn par_07_dr_10_what_the_server_asks_of_all_clients_it_asks_of_documents() {
    let publisher = Publisher::open().await;
    publisher.publish("/c.json", &document(&publisher, "/c.json"));
    let key = new_key(Algorithm::Es256);
    let mut payer = document(&publisher, "/payer.json");
    payer.as_object_mut().unwrap().extend(
        json!({
            "scope": "openid transfers:write", "token_endpoint_auth_method": "private_key_jwt",
            "jwks": { "keys": [key.public().to_value()] },
        })
        .as_object()
        .unwrap()
        .clone(),
    );
    publisher.publish("/payer.json", &payer);
    let bank = Bank::with(Engine::Sqlite, |policies| {
        let mut rules = documents("*");
        rules.policy.scopes = Some("openid transfers:write".parse().unwrap());
        policies.client_documents = Some(rules);
        policies.outbound = publisher.policy();
    })
    .await;
    let scope = "[[scope]]\nname = \"transfers:write\"\ntitle = \"Transfers\"\ndescription = \"Move money\"\n\
                 audience = \"https://api.bank.example\"\nfinancial = true";
    bank.declare(scope).await.unwrap();
    // Whoever can authenticate and asks for money lives under FAPI 2.0, wherever it comes from.
    let client = bank.service.client(&publisher.url("/payer.json")).await.unwrap().unwrap();
    assert_eq!(client.protection.profile, Profile::Fapi2);
    assert!(client.protection.bound_tokens && client.protection.pushed_requests);
    let strict = self::bank(Engine::Sqlite, &publisher, "*").await;
    let strict = strict.changed_node(|policies| policies.protection.require_pushed_requests = true).await;
    let client = strict.service.client(&publisher.url("/c.json")).await.unwrap().unwrap();
    assert!(client.protection.pushed_requests, "PAR-07 holds for documents");
}

#[tokio::test]
async fn dr_10_a_document_that_is_not_read_any_more_is_no_client() {
    let publisher = Publisher::open().await;
    publisher.publish("/c.json", &document(&publisher, "/c.json"));
    let bank = bank(Engine::Sqlite, &publisher, "*").await;
    let app = agent(&bank, &publisher, "/c.json");
    tokens_for(&bank, &app, "openid accounts:read").await;
    let id = publisher.url("/c.json");
    assert!(bank.service.client(&id).await.unwrap().is_some(), "it has a row");
    let off = bank.changed_node(|policies| policies.client_documents = None).await;
    assert!(off.service.client(&id).await.unwrap().is_none(), "documents are switched off");
    let fewer = bank.changed_node(|policies| policies.client_documents = Some(documents("*.example"))).await;
    assert!(fewer.service.client(&id).await.unwrap().is_none(), "its host was taken off the list");
}

#[tokio::test]
async fn dr_09_a_document_on_its_way_does_not_outlive_an_operators_word() {
    let publisher = Publisher::open().await;
    let text = document(&publisher, "/c.json").to_string();
    let lasting = "Content-Type: application/json\r\nCache-Control: max-age=86400\r\n";
    publisher.put("/c.json", 200, lasting, &text);
    let bank = bank(Engine::Sqlite, &publisher, "*").await;
    tokens_for(&bank, &agent(&bank, &publisher, "/c.json"), "openid accounts:read").await;
    let id = publisher.url("/c.json");
    bank.advance(TimeDelta::days(2));
    let (before, gate) = (publisher.read("/c.json"), publisher.hold("/c.json"));
    let reading = tokio::spawn({
        let (service, id) = (bank.service.clone(), id.clone());
        async move { service.client(&id).await.unwrap().is_some() }
    });
    publisher.asked("/c.json", before + 1).await;
    bank.service.operate("test").delete_client(&id.parse().unwrap()).await.unwrap().unwrap();
    bank.service.reload().await.unwrap();
    gate.add_permits(1);
    reading.await.unwrap();
    assert!(bank.service.client(&id).await.unwrap().is_none(), "deleted is deleted");
}
