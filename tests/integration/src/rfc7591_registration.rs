//! Clients that register themselves (RFC 7591): who may, what they may be, and what they are told.

use std::collections::BTreeSet;

use audit::EventKind;
use chrono::TimeDelta;
use flows::{
    operate::InitialTokenDraft,
    registration::{RegistrationRules, StatementIssuer, StatementKeys},
};
use jose::{Algorithm, KeySet, SigningKey};
use protocol::client::{AuthMethod, GrantType, ResponseType};
use rstest::rstest;
use serde_json::{Value, json};
use testkit::{Answer, Browser, ClientAuth, RelyingParty, claims_of};
use tokens::registration::{HostRule, RegistrationPolicy};
use tokio::task::JoinSet;
use web::limits::LimitPolicy;

use crate::{
    bank::{Bank, ENGINES, Engine},
    publisher::Publisher,
    steps::{answer, new_key, tokens_for},
};

/// What the conformance suite's dynamic plans need, and what partners get.
pub fn rules(anonymous: bool) -> RegistrationRules {
    let hosts = |texts: &[&str]| texts.iter().map(|text| HostRule::parse(text).unwrap()).collect();
    let partners = RegistrationPolicy {
        name: "partners".into(),
        scopes: Some("openid profile offline_access accounts:read".parse().unwrap()),
        grant_types: [GrantType::AuthorizationCode, GrantType::RefreshToken].into(),
        response_types: [ResponseType::Code].into(),
        auth_methods: [AuthMethod::None, AuthMethod::ClientSecretBasic, AuthMethod::PrivateKeyJwt].into(),
        detail_types: BTreeSet::new(),
        redirect_hosts: hosts(&["*.partner.example"]),
        native: false,
        link_hosts: Vec::new(),
        pkce_exempt: false,
        secret_lifetime: Some(TimeDelta::days(90)),
        consent_lifetime: None,
        unused_lifetime: None,
    };
    let open = RegistrationPolicy {
        name: "open".into(),
        scopes: None,
        response_types: ResponseType::ALL.iter().copied().collect(),
        auth_methods: AuthMethod::ALL.iter().copied().collect(),
        redirect_hosts: hosts(&["*"]),
        link_hosts: hosts(&["*"]),
        pkce_exempt: true,
        secret_lifetime: None,
        ..partners.clone()
    };
    RegistrationRules {
        policies: vec![partners, open],
        anonymous: anonymous.then(|| "open".into()),
        issuers: Vec::new(),
    }
}

pub async fn bank(engine: Engine, anonymous: bool) -> Bank {
    Bank::with(engine, |policies| policies.registration = Some(rules(anonymous))).await
}

/// An initial access token for partners.
pub async fn token(bank: &Bank, max_uses: Option<i64>) -> String {
    let draft = InitialTokenDraft {
        policy: "partners".into(),
        note: "for a test".into(),
        max_uses,
        expires_at: Some(bank.now() + TimeDelta::days(1)),
    };
    let (_, token) = bank.service.operate("test").create_initial_token(draft).await.unwrap().unwrap();
    token.expose().to_owned()
}

pub async fn register(bank: &Bank, token: Option<&str>, metadata: &Value) -> Answer {
    let request = reqwest::Client::new().post(bank.url("/register")).json(metadata);
    answer(match token {
        Some(token) => request.bearer_auth(token),
        None => request,
    })
    .await
}

pub fn partner() -> Value {
    json!({ "client_name": "Partner", "redirect_uris": ["https://app.partner.example/cb"] })
}

/// A registered client as a relying party.
pub fn app(bank: &Bank, registered: &Answer) -> RelyingParty {
    let secret = registered["client_secret"].as_str();
    let auth = match registered.str("token_endpoint_auth_method") {
        "client_secret_basic" => ClientAuth::Basic(secret.unwrap().into()),
        "client_secret_post" => ClientAuth::Post(secret.unwrap().into()),
        _ => ClientAuth::None,
    };
    let redirect = registered["redirect_uris"][0].as_str().unwrap();
    RelyingParty::new(&bank.issuer, registered.str("client_id"), auth, redirect)
}

#[tokio::test]
async fn dr_01_registration_is_closed_by_default() {
    let shut = Bank::open().await;
    assert_eq!(register(&shut, None, &partner()).await.status, 404);
    assert_eq!(register(&shut, Some("any"), &partner()).await.status, 404);
    let metadata = shut.app("web-app").get("/.well-known/openid-configuration").await.expect(200);
    assert!(metadata.json.get("registration_endpoint").is_none());

    let bank = bank(Engine::Sqlite, false).await;
    let metadata = bank.app("web-app").get("/.well-known/openid-configuration").await.expect(200);
    assert_eq!(metadata["registration_endpoint"], bank.url("/register"));
    for bearer in [None, Some("guess"), Some("")] {
        let refused = register(&bank, bearer, &partner()).await;
        refused.expect_error(401, "invalid_token");
        assert!(refused.header("www-authenticate").unwrap().starts_with("Bearer"));
    }
    // A wrong credential is never treated as none, where strangers may register.
    let open = self::bank(Engine::Sqlite, true).await;
    register(&open, Some("guess"), &partner()).await.expect_error(401, "invalid_token");
    let basic = reqwest::Client::new().post(open.url("/register")).basic_auth("a", Some("b"));
    answer(basic.json(&partner())).await.expect_error(401, "invalid_token");
    register(&open, None, &partner()).await.expect(201);
    assert_eq!(
        bank.audited(EventKind::RegistrationRefused).await,
        2,
        "a header that is none is not worth a line"
    );
}

#[tokio::test]
async fn dr_01_initial_tokens_end_by_use_by_time_and_by_hand() {
    for engine in ENGINES {
        let bank = bank(engine, false).await;
        let (once, often) = (token(&bank, Some(1)).await, token(&bank, None).await);
        // What is refused uses nothing up.
        let refused = json!({ "redirect_uris": ["https://evil.example/cb"] });
        register(&bank, Some(&once), &refused).await.expect_error(400, "invalid_redirect_uri");
        register(&bank, Some(&once), &partner()).await.expect(201);
        register(&bank, Some(&once), &partner()).await.expect_error(401, "invalid_token");
        for _ in 0..3 {
            register(&bank, Some(&often), &partner()).await.expect(201);
        }
        let known = bank.service.store().initial_tokens().await.unwrap();
        assert_eq!(
            known.iter().map(|token| (token.max_uses, token.uses)).collect::<BTreeSet<_>>(),
            [(Some(1), 1), (None, 3)].into()
        );
        let operator = bank.service.operate("test");
        bank.advance(TimeDelta::seconds(1));
        let revoked = token(&bank, None).await;
        let id = bank.service.store().initial_tokens().await.unwrap().pop().unwrap().id;
        operator.revoke_initial_token(id).await.unwrap().unwrap();
        assert!(operator.revoke_initial_token(id).await.unwrap().is_err());
        register(&bank, Some(&revoked), &partner()).await.expect_error(401, "invalid_token");
        bank.advance(TimeDelta::days(1));
        register(&bank, Some(&often), &partner()).await.expect_error(401, "invalid_token");
        bank.advance(TimeDelta::seconds(2));
        bank.service.sweep().await.unwrap();
        assert!(bank.service.store().initial_tokens().await.unwrap().is_empty());
    }
}

#[tokio::test]
async fn dr_01_many_at_once_use_a_single_use_token_once() {
    for engine in ENGINES {
        let bank = bank(engine, false).await;
        let token = token(&bank, Some(1)).await;
        let node = bank.another_node().await;
        let before = bank.service.store().clients().await.unwrap().len();
        let mut racing = JoinSet::new();
        for number in 0..24 {
            let base = if number % 2 == 0 { &bank.issuer } else { &node.address };
            let request = reqwest::Client::new().post(format!("{base}/register"));
            racing.spawn(answer(request.bearer_auth(&token).json(&partner())));
        }
        let mut statuses: Vec<u16> = racing.join_all().await.iter().map(|answer| answer.status).collect();
        statuses.sort_unstable();
        assert_eq!((statuses[0], &statuses[1..]), (201, &[401; 23][..]), "{engine:?}");
        assert_eq!(bank.service.store().clients().await.unwrap().len(), before + 1);
    }
}

#[tokio::test]
async fn dr_02_the_answer_says_all_that_is_stored() {
    let bank = bank(Engine::Sqlite, false).await;
    let token = token(&bank, None).await;
    let metadata = json!({
        "client_name": "Partner", "redirect_uris": ["https://app.partner.example/cb"], "contacts": ["a@b.example"],
        "tos_uri": null, "logo_uri": "", "software_id": "x-1", "nonsense": [1], "client_name#fr": "Partenaire",
    });
    let made = register(&bank, Some(&token), &metadata).await.expect(201);
    assert_eq!(made.header("cache-control"), Some("no-store"));
    assert_eq!(made.header("content-type"), Some("application/json"));
    let id = made.str("client_id").to_owned();
    assert_eq!(made["client_id_issued_at"], bank.now().timestamp());
    assert_eq!(made["client_secret_expires_at"], (bank.now() + TimeDelta::days(90)).timestamp());
    assert_eq!(made.str("client_secret").len(), 43, "256 bits in base64url");
    assert_eq!(made.str("registration_access_token").len(), 43);
    assert_eq!(made.str("registration_client_uri"), bank.url(&format!("/register/{id}")));
    for (member, value) in [
        ("token_endpoint_auth_method", json!("client_secret_basic")),
        ("grant_types", json!(["authorization_code"])),
        ("response_types", json!(["code"])),
        ("application_type", json!("web")),
        ("id_token_signed_response_alg", json!("RS256")),
        ("contacts", json!(["a@b.example"])),
        ("software_id", json!("x-1")),
        ("scope", json!("accounts:read openid profile")),
    ] {
        assert_eq!(made[member], value, "{member}");
    }
    let members = made.json.as_object().unwrap();
    assert!(members.values().all(|value| !value.is_null()), "{}", made.text);
    for absent in ["nonsense", "client_name#fr", "tos_uri", "logo_uri", "software_statement"] {
        assert!(!members.contains_key(absent), "{absent}");
    }
    // What is stored is what was said, and no secret is.
    let record = bank.service.store().client(&id.parse().unwrap()).await.unwrap().unwrap();
    let stored = protocol::registration::members_of(&record.metadata);
    assert!(stored.iter().all(|(name, value)| made[name.as_str()] == *value));
    for secret in ["client_secret", "registration_access_token"] {
        let bytes = bank.database_bytes();
        let secret = made.str(secret).as_bytes();
        assert!(!bytes.windows(secret.len()).any(|window| window == secret), "only digests are kept");
    }
    assert_eq!(bank.audited(EventKind::ClientRegistered).await, 1);
    let origin = bank.service.store().registrations().await.unwrap();
    assert_eq!((origin.len(), origin[0].policy.as_str()), (1, "partners"));
}

#[tokio::test]
async fn dr_02_a_registered_client_works_until_its_secret_ends() {
    let bank = bank(Engine::Sqlite, false).await;
    let token = token(&bank, None).await;
    let made = register(&bank, Some(&token), &partner()).await.expect(201);
    let app = app(&bank, &made);
    let attempt = app.attempt("openid accounts:read");
    let departure = bank.connect(&mut bank.person("alice"), &Browser::new(), attempt.url()).await;
    let code = attempt.code(&departure);
    let tokens = app.redeem(&attempt, &code).await.expect(200);
    assert_eq!(claims_of(tokens.str("id_token"))["aud"], made["client_id"]);
    // OC-01: RS256 where it asked for nothing else; O21-01: PKCE all the same.
    assert_eq!(crate::steps::header_of(tokens.str("id_token"))["alg"], "RS256");
    let bare = app.attempt("openid").without("code_challenge").without("code_challenge_method");
    assert_eq!(Browser::new().open(bare.url()).await.departed().error(), "invalid_request");
    bank.advance(TimeDelta::days(90));
    app.revoke("x").await.expect_error(401, "invalid_client");
}

#[rstest]
#[case::fragment(json!({ "redirect_uris": ["https://a.partner.example/cb#x"] }), "invalid_redirect_uri")]
#[case::http(json!({ "redirect_uris": ["http://a.partner.example/cb"] }), "invalid_redirect_uri")]
#[case::script(json!({ "redirect_uris": ["javascript:alert(1)"] }), "invalid_redirect_uri")]
#[case::none(json!({ "redirect_uris": [] }), "invalid_redirect_uri")]
#[case::absent(json!({ "redirect_uris": null }), "invalid_redirect_uri")]
#[case::no_list(json!({ "redirect_uris": "https://a.partner.example/cb" }), "invalid_redirect_uri")]
#[case::foreign_host(json!({ "redirect_uris": ["https://partner.example.evil.example/cb"] }), "invalid_redirect_uri")]
#[case::grant(json!({ "grant_types": ["client_credentials"] }), "invalid_client_metadata")]
#[case::unknown_grant(json!({ "grant_types": ["password"] }), "invalid_client_metadata")]
#[case::disagreement(json!({ "response_types": [] }), "invalid_client_metadata")]
#[case::response(json!({ "response_types": ["token"] }), "invalid_client_metadata")]
#[case::method(json!({ "token_endpoint_auth_method": "client_secret_post" }), "invalid_client_metadata")]
#[case::algorithm(json!({ "id_token_signed_response_alg": "none" }), "invalid_client_metadata")]
#[case::no_key_of_ours(json!({ "id_token_signed_response_alg": "PS256" }), "invalid_client_metadata")]
#[case::scope(json!({ "scope": "openid payments:write" }), "invalid_client_metadata")]
#[case::no_keys(json!({ "token_endpoint_auth_method": "private_key_jwt" }), "invalid_client_metadata")]
#[case::keys_twice(
    json!({ "jwks": { "keys": [] }, "jwks_uri": "https://a.partner.example/k" }), "invalid_client_metadata"
)]
#[case::private_key(
    json!({ "jwks": { "keys": [{ "kty": "EC", "crv": "P-256", "x": "AA", "y": "AA", "d": "AA" }] } }),
    "invalid_client_metadata"
)]
#[case::oct(json!({ "jwks": { "keys": [{ "kty": "oct", "k": "AA" }] } }), "invalid_client_metadata")]
#[case::http_link(json!({ "client_uri": "http://app.partner.example/" }), "invalid_client_metadata")]
#[case::foreign_link(json!({ "policy_uri": "https://bank.example/privacy" }), "invalid_client_metadata")]
#[case::foreign_logo(json!({ "logo_uri": "https://bank.example/logo.png" }), "invalid_client_metadata")]
#[case::name(json!({ "client_name": "a\nb" }), "invalid_client_metadata")]
#[case::type_(json!({ "default_max_age": "soon" }), "invalid_client_metadata")]
#[case::native(json!({ "application_type": "native" }), "invalid_client_metadata")]
#[case::statement(json!({ "software_statement": "e30.e30.e30" }), "unapproved_software_statement")]
#[tokio::test]
async fn dr_03_dr_04_dr_06_every_refusal_has_its_code(#[case] more: Value, #[case] error: &str) {
    let bank = bank(Engine::Sqlite, false).await;
    let token = token(&bank, Some(1)).await;
    let mut metadata = partner();
    metadata.as_object_mut().unwrap().extend(more.as_object().unwrap().clone());
    let refused = register(&bank, Some(&token), &metadata).await;
    refused.expect_error(400, error);
    assert!(!refused.str("error_description").is_empty());
    assert!(bank.service.store().registrations().await.unwrap().is_empty());
}

#[rstest]
#[case("jwks_uri")]
#[case("sector_identifier_uri")]
#[case("backchannel_logout_uri")]
#[tokio::test]
async fn out_01_urls_that_must_not_be_asked_are_refused_when_registered(#[case] member: &str) {
    let bank = bank(Engine::Sqlite, false).await;
    let token = token(&bank, None).await;
    for host in ["127.0.0.1", "[::1]", "169.254.169.254", "10.1.2.3", "[::ffff:127.0.0.1]", "0.0.0.0"] {
        let mut metadata = partner();
        metadata[member] = format!("https://{host}/x").into();
        register(&bank, Some(&token), &metadata).await.expect_error(400, "invalid_client_metadata");
    }
}

#[tokio::test]
async fn dr_03_bodies_are_json_objects_of_bounded_size() {
    let bank = bank(Engine::Sqlite, true).await;
    let send = |kind: &'static str, body: String| {
        let request = reqwest::Client::new().post(bank.url("/register"));
        answer(request.header("content-type", kind).body(body))
    };
    for body in ["", "[]", "{", r#"{"scope":"a","scope":"b"}"#, "null"] {
        send("application/json", body.into()).await.expect_error(400, "invalid_client_metadata");
    }
    send("text/plain", partner().to_string()).await.expect_error(415, "invalid_client_metadata");
    let long = json!({ "client_name": "x".repeat(70_000) }).to_string();
    send("application/json", long).await.expect_error(413, "invalid_client_metadata");
}

fn directory() -> (SigningKey, KeySet) {
    let key = new_key(Algorithm::Es256);
    let keys = KeySet::from_value(&json!({ "keys": [key.public().to_value()] })).unwrap();
    (key, keys)
}

#[tokio::test]
async fn dr_05_statements_of_configured_issuers_are_enough_and_win() {
    let publisher = Publisher::open().await;
    let (key, keys) = directory();
    let (other, other_keys) = directory();
    publisher.publish("/keys", &serde_json::from_str(&other_keys.to_json()).unwrap());
    let bank = Bank::with(Engine::Sqlite, |policies| {
        let mut rules = rules(false);
        let issuer = |name: &str, keys, policy: Option<&str>| StatementIssuer {
            issuer: name.into(),
            keys,
            policy: policy.map(str::to_owned),
        };
        rules.issuers = vec![
            issuer("https://directory.example", StatementKeys::Known(keys), Some("partners")),
            issuer("https://second.example", StatementKeys::At(publisher.url("/keys")), None),
        ];
        policies.registration = Some(rules);
        policies.outbound = publisher.policy();
    })
    .await;
    let stated = |key: &SigningKey, more: Value| {
        let mut claims = json!({ "iss": "https://directory.example", "software_id": "stated" });
        claims.as_object_mut().unwrap().extend(more.as_object().unwrap().clone());
        key.sign("JWT", &claims).unwrap()
    };
    let statement = stated(&key, json!({ "client_name": "Stated", "scope": "openid" }));
    let mut metadata = partner();
    metadata["software_statement"] = statement.clone().into();
    metadata["scope"] = "openid accounts:read".into();
    let made = register(&bank, None, &metadata).await.expect(201);
    assert_eq!(made["client_name"], "Stated", "the statement's values win");
    assert_eq!((&made["scope"], &made["software_id"]), (&json!("openid"), &json!("stated")));
    assert_eq!(made["software_statement"], statement, "as it came");
    for (statement, error) in [
        (stated(&other, json!({})), "invalid_software_statement"),
        (stated(&key, json!({ "iss": "https://second.example" })), "invalid_software_statement"),
        (stated(&key, json!({ "exp": bank.now().timestamp() })), "invalid_software_statement"),
        (stated(&key, json!({ "aud": "https://other.example" })), "invalid_software_statement"),
        ("nonsense".to_owned(), "invalid_software_statement"),
        // The policy bounds a statement too (DR-10).
        (stated(&key, json!({ "scope": "payments:write" })), "invalid_client_metadata"),
        (stated(&key, json!({ "redirect_uris": ["https://evil.example/cb"] })), "invalid_redirect_uri"),
    ] {
        metadata["software_statement"] = statement.into();
        register(&bank, None, &metadata).await.expect_error(400, error);
    }
    // The second issuer's keys are fetched; a statement of theirs needs an initial access token.
    let second = other.sign("JWT", &json!({ "iss": "https://second.example", "client_name": "2" })).unwrap();
    metadata["software_statement"] = second.into();
    register(&bank, None, &metadata).await.expect_error(401, "invalid_token");
    let token = token(&bank, None).await;
    let made = register(&bank, Some(&token), &metadata).await.expect(201);
    assert_eq!(made["client_name"], "2");
    assert_eq!(publisher.read("/keys"), 1, "read once, then kept a while");
}

#[tokio::test]
async fn dr_10_nobody_registers_as_the_banks_own() {
    let bank = bank(Engine::Sqlite, true).await;
    let metadata = json!({
        "client_name": "Greedy", "redirect_uris": ["https://greedy.example/cb"], "first_party": true,
        "require_pkce": false, "profile": "fapi2", "trusted": true, "client_id": "web-app", "introspection": true,
        "consent_lifetime": 9_999_999, "access_token_format": "opaque", "client_secret": "mine",
    });
    let made = register(&bank, None, &metadata).await.expect(201);
    assert_ne!(made["client_id"], "web-app");
    assert_ne!(made["client_secret"], "mine");
    let record = bank.service.store().client(&made.str("client_id").parse().unwrap()).await.unwrap().unwrap();
    let settings = &record.settings;
    assert!(!settings.first_party && settings.profile.is_none() && settings.consent_lifetime.is_none());
    assert!(uuid::Uuid::try_parse(made.str("client_id")).is_err(), "BCP-11");
    // It is asked for consent like everybody, and may introspect nothing.
    let app = app(&bank, &made);
    let browser = Browser::new();
    let page = browser.open(app.attempt("openid accounts:read").url()).await;
    let page = bank.person("bob").walk(&browser, page, "consent-allow", bank.now()).await;
    assert!(page.has("consent-allow"));
    let introspect = app.post("/introspect", &[("token", "x")]).await;
    assert_eq!(introspect.status, 401);
}

/// What `oidcc-basic-certification-test-plan` with dynamic registration sends: keys by value although a
/// secret authenticates, contacts, one response type, and no scope.
#[tokio::test]
async fn dr_02_the_requests_of_the_conformance_suite_are_served() {
    let bank = bank(Engine::Sqlite, true).await;
    let (_, keys) = directory();
    let keys: Value = serde_json::from_str(&keys.to_json()).unwrap();
    let basic = json!({
        "client_name": "OIDF Conformance Test abc", "grant_types": ["authorization_code"], "jwks": keys,
        "token_endpoint_auth_method": "client_secret_basic", "response_types": ["code"],
        "redirect_uris": ["https://localhost.emobix.co.uk:8443/test/a/x/callback"],
        "contacts": ["certification@oidf.org"],
    });
    for (name, more) in [
        ("plain", json!({})),
        ("post", json!({ "token_endpoint_auth_method": "client_secret_post" })),
        ("keys", json!({ "token_endpoint_auth_method": "private_key_jwt" })),
        ("refresh", json!({ "grant_types": ["authorization_code", "refresh_token"] })),
        ("rs256", json!({ "id_token_signed_response_alg": "RS256" })),
        ("policy", json!({ "policy_uri": "https://localhost.emobix.co.uk:8443/images/logo.png" })),
        ("terms", json!({ "tos_uri": "https://openid.net/privacy-policy" })),
        (
            "logout",
            json!({ "post_logout_redirect_uris": ["https://localhost.emobix.co.uk:8443/test/a/x/out"] }),
        ),
        ("login", json!({ "initiate_login_uri": "https://localhost.emobix.co.uk:8443/test/a/x/login" })),
        (
            "hybrid",
            json!({ "response_types": ["code id_token"], "grant_types": ["authorization_code", "implicit"] }),
        ),
    ] {
        let mut metadata = basic.clone();
        metadata.as_object_mut().unwrap().extend(more.as_object().unwrap().clone());
        let made = register(&bank, None, &metadata).await.expect(201);
        for (member, value) in metadata.as_object().unwrap() {
            // Keys come back as they are understood.
            assert!(member == "jwks" || made[member.as_str()] == *value, "{name}: {member}");
        }
        assert!(made.str("scope").contains("openid"), "{name}");
    }
    // The suite sends no PKCE: this policy exempts confidential clients.
    let made = register(&bank, None, &basic).await.expect(201);
    let app = app(&bank, &made);
    let attempt = app.attempt("openid").without("code_challenge").without("code_challenge_method");
    let departure = bank.connect(&mut bank.person("bob"), &Browser::new(), attempt.url()).await;
    assert!(departure.parameter("code").is_some());
    let mut fragment = basic.clone();
    fragment["redirect_uris"] = json!(["https://a.example/cb#f"]);
    register(&bank, None, &fragment).await.expect_error(400, "invalid_redirect_uri");
    let mut login = basic;
    login["initiate_login_uri"] = "http://localhost.emobix.co.uk/login".into();
    register(&bank, None, &login).await.expect_error(400, "invalid_client_metadata");
}

#[tokio::test]
async fn dr_03_a_sector_lists_every_redirect_uri() {
    let publisher = Publisher::open().await;
    publisher.publish("/good.json", &json!(["https://app.partner.example/cb", "https://more.example/cb"]));
    publisher.publish("/bad.json", &json!(["https://other.partner.example/cb"]));
    publisher.publish("/object.json", &json!({ "a": 1 }));
    let bank = Bank::with(Engine::Sqlite, |policies| {
        policies.registration = Some(rules(true));
        policies.outbound = publisher.policy();
    })
    .await;
    let mut metadata = partner();
    metadata["subject_type"] = "pairwise".into();
    for (path, status) in [("/good.json", 201), ("/bad.json", 400), ("/object.json", 400), ("/none", 400)] {
        metadata["sector_identifier_uri"] = publisher.url(path).into();
        let made = register(&bank, None, &metadata).await;
        assert_eq!(made.status, status, "{path}: {}", made.text);
        assert!(status == 201 || made["error"] == "invalid_client_metadata");
    }
}

#[tokio::test]
async fn dr_01_an_address_registers_only_so_often() {
    let bank = bank(Engine::Sqlite, true).await;
    let limits = LimitPolicy { registrations: std::num::NonZeroU32::new(2), ..LimitPolicy::default() };
    let (node, _) = bank.limited(limits).await;
    let send = || answer(reqwest::Client::new().post(format!("{}/register", node.address)).json(&partner()));
    send().await.expect(201);
    send().await.expect(201);
    let refused = send().await.expect(429);
    assert!(refused.header("retry-after").is_some());
}

#[tokio::test]
async fn dr_01_a_flood_of_registrations_makes_nobody_read_anything_again() {
    let bank = bank(Engine::Sqlite, true).await;
    let before = bank.service.store().changes().await.unwrap();
    for _ in 0..3 {
        let made = register(&bank, None, &partner()).await.expect(201);
        assert!(
            bank.service.client(made.str("client_id")).await.unwrap().is_some(),
            "and it is known at once"
        );
    }
    assert_eq!(bank.service.store().changes().await.unwrap(), before);
}

#[tokio::test]
async fn dr_01_unused_clients_are_forgotten() {
    for engine in ENGINES {
        let bank = Bank::with(engine, |policies| {
            let mut rules = rules(false);
            rules.policies[0].unused_lifetime = Some(TimeDelta::days(30));
            policies.registration = Some(rules);
        })
        .await;
        let token = token(&bank, None).await;
        let made = async || register(&bank, Some(&token), &partner()).await.expect(201);
        let (unused, used, liked) = (made().await, made().await, made().await);
        tokens_for(&bank, &app(&bank, &liked), "openid accounts:read").await;
        let is_known = async |made: &Answer| {
            bank.service.reload().await.unwrap();
            bank.service.client(made.str("client_id")).await.unwrap().is_some()
        };
        bank.advance(TimeDelta::days(20));
        app(&bank, &used).revoke("x").await.expect(200);
        bank.advance(TimeDelta::days(11));
        bank.service.sweep().await.unwrap();
        assert!(is_known(&unused).await);
        // What is noted of its use may be two days behind.
        bank.advance(TimeDelta::days(2));
        bank.service.sweep().await.unwrap();
        assert!(!is_known(&unused).await, "{engine:?}");
        assert!(is_known(&used).await && is_known(&liked).await, "{engine:?}");
        let id = unused.str("client_id").parse().unwrap();
        assert!(bank.service.store().registration(&id).await.unwrap().is_none(), "its token opens nothing");
        assert_eq!(bank.audited(EventKind::ClientDeleted).await, 1);
        bank.advance(TimeDelta::days(31));
        bank.service.sweep().await.unwrap();
        assert!(!is_known(&used).await && is_known(&liked).await, "evidence stays, {engine:?}");
    }
}

#[tokio::test]
async fn dr_01_used_up_initial_tokens_go() {
    for engine in ENGINES {
        let bank = bank(engine, false).await;
        let draft = |max_uses| InitialTokenDraft {
            policy: "partners".into(),
            note: String::new(),
            max_uses,
            expires_at: None,
        };
        let operator = bank.service.operate("test");
        let (_, once) = operator.create_initial_token(draft(Some(1))).await.unwrap().unwrap();
        let (ended, _) = operator.create_initial_token(draft(None)).await.unwrap().unwrap();
        let (lasting, _) = operator.create_initial_token(draft(None)).await.unwrap().unwrap();
        register(&bank, Some(once.expose()), &partner()).await.expect(201);
        operator.revoke_initial_token(ended.id).await.unwrap().unwrap();
        bank.service.sweep().await.unwrap();
        assert_eq!(bank.service.store().initial_tokens().await.unwrap().len(), 3, "for operators to see");
        bank.advance(TimeDelta::days(31));
        bank.service.sweep().await.unwrap();
        let left: Vec<_> =
            bank.service.store().initial_tokens().await.unwrap().iter().map(|token| token.id).collect();
        assert_eq!(left, [lasting.id], "{engine:?}");
    }
}

#[tokio::test]
async fn dr_05_issuers_may_share_their_keys() {
    let (key, keys) = directory();
    let bank = Bank::with(Engine::Sqlite, |policies| {
        let issuer = |issuer: &str| StatementIssuer {
            issuer: issuer.into(),
            keys: StatementKeys::Known(keys.clone()),
            policy: Some("partners".into()),
        };
        let mut rules = rules(false);
        rules.issuers = vec![issuer("https://one.example"), issuer("https://two.example")];
        policies.registration = Some(rules);
    })
    .await;
    let send = async |iss: &str| {
        let mut wish = partner();
        wish["software_statement"] =
            key.sign("JWT", &json!({ "iss": iss, "software_id": "x" })).unwrap().into();
        register(&bank, None, &wish).await
    };
    send("https://one.example").await.expect(201);
    send("https://two.example").await.expect(201);
    send("https://three.example").await.expect_error(400, "invalid_software_statement");
}
