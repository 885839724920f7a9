//! Token exchange (RFC 8693): a service that was shown a customer's token gets one for the service behind
//! it, if an operator wrote that down, and never a better one.

use audit::EventKind;
use chrono::TimeDelta;
use jose::Algorithm;
use serde_json::json;
use testkit::{Answer, Browser, ClientAuth, RelyingParty, ResourceServer, claims_of};

use crate::{
    bank::{Bank, ENGINES},
    dpop_key::{DpopKey, post, redeem},
    steps::{code_for, new_key, tokens_for},
};

const EXCHANGE: &str = "urn:ietf:params:oauth:grant-type:token-exchange";
const ACCESS: &str = "urn:ietf:params:oauth:token-type:access_token";
const JWT: &str = "urn:ietf:params:oauth:token-type:jwt";
const CARDS: &str = "https://cards.bank.example";
const LEDGER: &str = "https://ledger.bank.example";

/// A gateway before the accounts API may call the ledger, and the cards for the web app's customers; an
/// auditor may only when it shows who acts.
const RULES: &str = r#"
[[resource_server]]
audience = "https://ledger.bank.example"
name = "Ledger"
introspection = { id = "ledger-api", secret = "ledger-api-secret-0123456789" }

[[client]]
client_id = "gateway"
client_secret = "gateway-secret-0123456789abcdef"
grant_types = ["urn:ietf:params:oauth:grant-type:token-exchange", "client_credentials"]
scope = "accounts:read"
[[client.exchange]]
from_audience = "https://api.bank.example"
audience = "https://ledger.bank.example"
scope = "accounts:read payments:write"
[[client.exchange]]
from_audience = "https://api.bank.example"
from_clients = ["web-app"]
audience = "https://cards.bank.example"
scope = "accounts:read"

[[client]]
client_id = "auditor"
client_secret = "auditor-secret-0123456789abcdef"
grant_types = ["urn:ietf:params:oauth:grant-type:token-exchange", "client_credentials"]
scope = "accounts:read"
[[client.exchange]]
from_audience = "https://ledger.bank.example"
audience = "https://api.bank.example"
scope = "accounts:read"
actor_required = true

[[client]]
client_id = "guarded-app"
client_secret = "guarded-secret-0123456789abcdef"
redirect_uris = ["https://guarded.example/cb"]
grant_types = ["authorization_code"]
scope = "openid accounts:read"
may_act = "auditor"
"#;

fn client(bank: &Bank, id: &str) -> RelyingParty {
    let secret = format!("{}-secret-0123456789abcdef", id.trim_end_matches("-app"));
    let redirect = format!("https://{}.example/cb", id.trim_end_matches("-app"));
    RelyingParty::new(&bank.issuer, id, ClientAuth::Basic(secret), &redirect)
}

fn ledger(bank: &Bank) -> ResourceServer {
    ResourceServer::new(&bank.issuer, "ledger-api", ClientAuth::Basic("ledger-api-secret-0123456789".into()))
}

async fn exchange(client: &RelyingParty, subject: &str, more: &[(&str, &str)]) -> Answer {
    let base = [("grant_type", EXCHANGE), ("subject_token", subject), ("subject_token_type", ACCESS)];
    client.token(&[&base[..], more].concat()).await
}

#[tokio::test]
async fn tx_02_tx_04_a_gateway_gets_a_shadow_of_the_customers_token() {
    for engine in ENGINES {
        let bank = Bank::on(engine).await;
        bank.declare(RULES).await.unwrap();
        let (app, gateway) = (bank.app("web-app"), client(&bank, "gateway"));
        let tokens = tokens_for(&bank, &app, "openid profile offline_access accounts:read").await;
        let subject = tokens.str("access_token");
        let old = claims_of(subject);
        bank.advance(TimeDelta::seconds(100));

        let new = exchange(&gateway, subject, &[("audience", LEDGER)]).await.expect(200);
        assert_eq!((new.str("issued_token_type"), new.str("token_type")), (ACCESS, "Bearer"));
        assert_eq!((&new["scope"], &new["expires_in"]), (&json!("accounts:read"), &json!(200)));
        assert!(new.json.get("refresh_token").is_none() && new.json.get("id_token").is_none());
        assert_eq!(new.header("cache-control"), Some("no-store"));
        let claims = claims_of(new.str("access_token"));
        for same in ["sub", "exp", "grant_id", "auth_time", "acr", "amr", "roles"] {
            assert_eq!(claims[same], old[same], "{same}");
        }
        assert_eq!((&claims["aud"], &claims["client_id"]), (&json!(LEDGER), &json!("gateway")));
        assert_eq!(claims["act"], json!({ "sub": "gateway" }));
        let seen = ledger(&bank).introspect(new.str("access_token")).await.expect(200);
        assert_eq!((&seen["active"], &seen["scope"]), (&json!(true), &json!("accounts:read")));
        assert_eq!((&seen["act"], &seen["roles"]), (&json!({ "sub": "gateway" }), &old["roles"]));
        // Nobody else takes it, userinfo included.
        assert!(!bank.api("accounts-api").is_active(new.str("access_token")).await);
        gateway.userinfo(new.str("access_token")).await.expect_error(403, "insufficient_scope");

        // Opaque where the resource server wants it so.
        let opaque = exchange(&gateway, subject, &[("resource", CARDS)]).await.expect(200);
        assert!(!opaque.str("access_token").contains('.'));
        let cards = bank.api("cards-api");
        let seen = cards.introspect(opaque.str("access_token")).await.expect(200);
        assert_eq!((&seen["sub"], &seen["act"]["sub"]), (&old["sub"], &json!("gateway")));
        assert_eq!(bank.audited(EventKind::TokenExchanged).await, 2);

        // The end of the grant is the end of all.
        app.revoke(tokens.str("refresh_token")).await.expect(200);
        assert!(!ledger(&bank).is_active(new.str("access_token")).await);
        assert!(!cards.is_active(opaque.str("access_token")).await);
        exchange(&gateway, subject, &[("audience", LEDGER)]).await.expect_error(400, "invalid_request");
    }
}

#[tokio::test]
async fn tx_04_a_withdrawn_consent_and_a_deleted_holder_end_it() {
    let bank = Bank::open().await;
    bank.declare(RULES).await.unwrap();
    let gateway = client(&bank, "gateway");
    let tokens = tokens_for(&bank, &bank.app("web-app"), "openid accounts:read").await;
    let ledger = ledger(&bank);
    let new =
        async || exchange(&gateway, tokens.str("access_token"), &[("audience", LEDGER)]).await.expect(200);
    let first = new().await;
    // The gateway may end what it holds, and that alone.
    gateway.revoke(first.str("access_token")).await.expect(200);
    assert!(!ledger.is_active(first.str("access_token")).await);
    let second = new().await;
    assert!(ledger.is_active(second.str("access_token")).await);
    let user = claims_of(tokens.str("id_token"))["sub"].as_str().unwrap().parse().unwrap();
    let consents = bank.service.store().consents_of(user).await.unwrap();
    let _ = bank.service.operate("alex").revoke_consent(consents[0].id).await.unwrap().unwrap();
    assert!(!ledger.is_active(second.str("access_token")).await);
}

#[tokio::test]
async fn tx_01_malformed_requests() {
    let bank = Bank::open().await;
    bank.declare(RULES).await.unwrap();
    let gateway = client(&bank, "gateway");
    let tokens = tokens_for(&bank, &bank.app("web-app"), "openid accounts:read").await;
    let subject = tokens.str("access_token");
    let base = [("grant_type", EXCHANGE), ("subject_token", subject), ("audience", LEDGER)];
    let ask = async |more: &[(&str, &str)]| gateway.token(&[&base[..], more].concat()).await;
    let fine = ("subject_token_type", ACCESS);
    ask(&[("subject_token_type", JWT)]).await.expect(200);
    ask(&[fine, ("requested_token_type", JWT)]).await.expect(200);
    for more in [
        &[][..],
        &[("subject_token_type", "access_token")],
        &[("subject_token_type", "urn:ietf:params:oauth:token-type:id_token")],
        &[("subject_token_type", "urn:ietf:params:oauth:token-type:refresh_token")],
        &[("subject_token_type", "urn:ietf:params:oauth:token-type:saml2")],
        &[fine, fine],
        &[fine, ("actor_token", subject)],
        &[fine, ("actor_token_type", ACCESS)],
        &[fine, ("actor_token", "nonsense"), ("actor_token_type", ACCESS)],
        &[fine, ("requested_token_type", "urn:ietf:params:oauth:token-type:refresh_token")],
    ] {
        ask(more).await.expect_error(400, "invalid_request");
    }
    gateway.token(&[("grant_type", EXCHANGE), fine]).await.expect_error(400, "invalid_request");
    // Opaque tokens can't be had as JWTs.
    let jwt = [("requested_token_type", JWT), ("audience", CARDS)];
    exchange(&gateway, subject, &jwt).await.expect_error(400, "invalid_request");
}

#[tokio::test]
async fn tx_03_only_what_is_written_down() {
    let bank = Bank::open().await;
    bank.declare(RULES).await.unwrap();
    let (web, native, gateway) = (bank.app("web-app"), bank.app("native-app"), client(&bank, "gateway"));
    // Payments take a second factor, which carol sets up.
    let attempt = web.attempt("openid accounts:read payments:write");
    let departure = bank.connect(&mut bank.person("carol"), &Browser::new(), attempt.url()).await;
    let of_web = web.redeem(&attempt, &attempt.code(&departure)).await.expect(200);
    let of_native = tokens_for(&bank, &native, "openid accounts:read").await;
    let for_cards = tokens_for(&bank, &web, "openid cards:read").await;
    let subject = of_web.str("access_token");
    exchange(&gateway, of_native.str("access_token"), &[("audience", LEDGER)]).await.expect(200);
    for (subject, more, error) in [
        (subject, &[("audience", "https://elsewhere.example")][..], "invalid_target"),
        (subject, &[("audience", "https://api.bank.example")][..], "invalid_target"),
        (subject, &[("audience", "web-app")][..], "invalid_target"),
        (subject, &[("audience", LEDGER), ("audience", CARDS)][..], "invalid_target"),
        (subject, &[("audience", LEDGER), ("resource", "https://elsewhere.example")][..], "invalid_target"),
        (subject, &[("audience", LEDGER), ("resource", "ledger")][..], "invalid_target"),
        (subject, &[][..], "invalid_target"),
        // The rule for cards is about the web app's customers.
        (of_native.str("access_token"), &[("audience", CARDS)][..], "invalid_target"),
        // Not for the API that the gateway speaks for.
        (for_cards.str("access_token"), &[("audience", LEDGER)][..], "unauthorized_client"),
        (subject, &[("audience", CARDS), ("scope", "payments:write")][..], "invalid_scope"),
        (subject, &[("audience", LEDGER), ("scope", "openid accounts:read")][..], "invalid_scope"),
        (
            of_native.str("access_token"),
            &[("audience", LEDGER), ("scope", "payments:write")][..],
            "invalid_scope",
        ),
    ] {
        exchange(&gateway, subject, more).await.expect_error(400, error);
    }
    // Twice the same target is one; narrowed scope is what it says.
    let twice = [("audience", LEDGER), ("resource", LEDGER), ("scope", "payments:write")];
    assert_eq!(exchange(&gateway, subject, &twice).await.expect(200)["scope"], "payments:write");
    // Who is not registered for it, has no rules, or can't prove who it is.
    exchange(&web, subject, &[("audience", LEDGER)]).await.expect_error(400, "unauthorized_client");
    exchange(&native, subject, &[("audience", LEDGER)]).await.expect_error(400, "unauthorized_client");
    let public = "[[client]]\nclient_id = \"public-gateway\"\ntoken_endpoint_auth_method = \"none\"\n\
                  grant_types = [\"urn:ietf:params:oauth:grant-type:token-exchange\"]\nscope = \"accounts:read\"";
    assert!(bank.declare(public).await.is_err(), "a public client can't even be declared so");
}

#[tokio::test]
async fn tx_05_who_acts_is_said_in_order_and_may_be_limited() {
    let bank = Bank::open().await;
    bank.declare(RULES).await.unwrap();
    let (gateway, auditor) = (client(&bank, "gateway"), client(&bank, "auditor"));
    let tokens = tokens_for(&bank, &bank.app("web-app"), "openid accounts:read").await;
    let first = exchange(&gateway, tokens.str("access_token"), &[("audience", LEDGER)]).await.expect(200);
    let first = first.str("access_token");
    let of_auditor = auditor.client_credentials("accounts:read").await.expect(200);
    let of_gateway = gateway.client_credentials("accounts:read").await.expect(200);
    let acting = |token: &str| {
        [("actor_token".to_owned(), token.to_owned()), ("actor_token_type".to_owned(), ACCESS.to_owned())]
    };
    let ask = async |subject: &str, actor: Option<&str>| {
        let actor = actor.map(acting);
        let more: Vec<(&str, &str)> =
            actor.iter().flatten().map(|(name, value)| (&**name, &**value)).collect();
        exchange(&auditor, subject, &more).await
    };
    ask(first, None).await.expect_error(400, "invalid_request");
    ask(first, Some(of_gateway.str("access_token"))).await.expect_error(400, "invalid_request");
    ask(first, Some(tokens.str("access_token"))).await.expect_error(400, "invalid_request");
    let second = ask(first, Some(of_auditor.str("access_token"))).await.expect(200);
    let claims = claims_of(second.str("access_token"));
    assert_eq!(claims["act"], json!({ "sub": "auditor", "act": { "sub": "gateway" } }));
    assert_eq!(claims["sub"], claims_of(tokens.str("access_token"))["sub"]);
    assert!(bank.api("accounts-api").is_active(second.str("access_token")).await);

    // An app whose customers only the auditor may act for.
    let guarded = tokens_for(&bank, &client(&bank, "guarded-app"), "openid accounts:read").await;
    assert_eq!(claims_of(guarded.str("access_token"))["may_act"], json!({ "sub": "auditor" }));
    let refused = exchange(&gateway, guarded.str("access_token"), &[("audience", LEDGER)]).await;
    refused.expect_error(400, "invalid_request");
}

#[tokio::test]
async fn tx_06_dead_bound_and_foreign_tokens() {
    let bank = Bank::open().await;
    bank.declare(RULES).await.unwrap();
    let gateway = client(&bank, "gateway");
    let tokens = tokens_for(&bank, &bank.app("web-app"), "openid offline_access accounts:read").await;
    let subject = tokens.str("access_token");
    let claims = claims_of(subject);
    let declared = bank.service.declared();
    let ours = declared.keyring.signer(Algorithm::Es256).unwrap();
    // Our signature, and a key that this request does not prove.
    let mut bound = claims.clone();
    bound["cnf"] = json!({ "jkt": "0ZcOCORZNYy-DWpqq30jZyJGHTN0d2HglBV3uiguA4I" });
    let bound = ours.sign("at+jwt", &bound).unwrap();
    // A stranger's signature under our name, and under theirs.
    let stranger = new_key(Algorithm::Es256);
    let forged = stranger.sign("at+jwt", &claims).unwrap();
    let mut elsewhere = claims.clone();
    elsewhere["iss"] = json!("https://elsewhere.example");
    let elsewhere = stranger.sign("at+jwt", &elsewhere).unwrap();
    let own = gateway.client_credentials("accounts:read").await.expect(200);
    for (name, token) in [
        ("bound", &*bound),
        ("forged", &forged),
        ("foreign", &elsewhere),
        ("id token", tokens.str("id_token")),
        ("refresh token", tokens.str("refresh_token")),
        ("nonsense", "nonsense"),
        ("of no person", own.str("access_token")),
    ] {
        let refused = exchange(&gateway, token, &[("audience", LEDGER)]).await;
        assert_eq!((refused.status, &refused["error"]), (400, &json!("invalid_request")), "{name}");
    }
    exchange(&gateway, subject, &[("audience", LEDGER)]).await.expect(200);
    bank.advance(TimeDelta::seconds(300));
    exchange(&gateway, subject, &[("audience", LEDGER)]).await.expect_error(400, "invalid_request");
}

/// A client that narrows its own tokens, for the ledger.
const WALLET: &str = r#"
[[resource_server]]
audience = "https://ledger.bank.example"
name = "Ledger"

[[client]]
client_id = "wallet-app"
client_secret = "wallet-secret-0123456789abcdef"
redirect_uris = ["https://wallet.example/cb"]
grant_types = ["authorization_code", "urn:ietf:params:oauth:grant-type:token-exchange"]
scope = "openid accounts:read"
[[client.exchange]]
audience = "https://ledger.bank.example"
scope = "accounts:read"
"#;

#[tokio::test]
async fn tx_06_a_bound_token_is_exchanged_with_its_proof_and_stays_bound() {
    let bank = Bank::open().await;
    bank.declare(WALLET).await.unwrap();
    let wallet = client(&bank, "wallet-app");
    let (key, other) = (DpopKey::new(Algorithm::Es256), DpopKey::new(Algorithm::Es256));
    let (attempt, code) = code_for(&bank, &wallet, "openid accounts:read").await;
    let bound = redeem(&wallet, &attempt, &code, Some(&key.proof(&bank, "/token"))).await.expect(200);
    assert_eq!(bound["token_type"], "DPoP");
    let fields = [
        ("grant_type", EXCHANGE),
        ("subject_token", bound.str("access_token")),
        ("subject_token_type", ACCESS),
        ("audience", LEDGER),
    ];
    let bring = async |proof: Option<String>| post(&wallet, "/token", &fields, proof.as_deref()).await;
    bring(None).await.expect_error(400, "invalid_request");
    bring(Some(other.proof(&bank, "/token"))).await.expect_error(400, "invalid_request");
    let used = key.proof(&bank, "/token");
    let exchanged = bring(Some(used.clone())).await.expect(200);
    assert_eq!(exchanged["token_type"], "DPoP");
    let claims = claims_of(exchanged.str("access_token"));
    assert_eq!((&claims["cnf"]["jkt"], &claims["aud"]), (&json!(key.thumbprint()), &json!(LEDGER)));
    bring(Some(used)).await.expect_error(400, "invalid_dpop_proof");
}
