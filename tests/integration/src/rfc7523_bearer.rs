//! The JWT bearer grant (RFC 7523 §2.1): an issuer that an operator trusts says who a person is; what may be
//! had for it is what that person allowed.

use audit::EventKind;
use chrono::TimeDelta;
use flows::declare::{Declared, DeclaredClient};
use jose::{Algorithm, SigningKey, digest::sha256};
use serde_json::{Value, json};
use testkit::{Answer, ClientAuth, RelyingParty, claims_of};
use tokens::{
    assertion_grant::{AssertionRule, SubjectMapping},
    client::ClientSettings,
};

use crate::{
    bank::{Bank, ENGINES, Engine},
    publisher::Publisher,
    steps::{new_key, tokens_for},
};

const BEARER: &str = "urn:ietf:params:oauth:grant-type:jwt-bearer";
const HR: &str = "https://hr.example";
const SECRET: &str = "payroll-secret-0123456789abcdef";

fn jwks(key: &SigningKey) -> Value {
    json!({ "keys": [key.public().to_value()] })
}

struct Payroll {
    app: RelyingParty,
    key: SigningKey,
}

impl Payroll {
    /// A client that may bring assertions of the employer's identity service.
    async fn of(bank: &Bank) -> Self {
        Self::with_keys(bank, new_key(Algorithm::Es256), None).await
    }

    /// The same with the keys by value, or at a place.
    async fn with_keys(bank: &Bank, key: SigningKey, jwks_uri: Option<String>) -> Self {
        let rule = AssertionRule {
            issuer: HR.into(),
            jwks: jwks_uri.is_none().then(|| jwks(&key)),
            jwks_uri,
            subject_claim: None,
            subject: SubjectMapping::Username,
            scope: "openid profile accounts:read cards:read payments:write".parse().unwrap(),
            max_lifetime: None,
        };
        let client = DeclaredClient {
            id: "payroll".parse().unwrap(),
            metadata: serde_json::from_value(json!({
                "client_name": "Payroll",
                "redirect_uris": ["https://payroll.example/cb"],
                "grant_types": ["authorization_code", BEARER],
                "scope": "openid accounts:read cards:read payments:write",
            }))
            .unwrap(),
            settings: ClientSettings { assertion_issuer: vec![rule], ..ClientSettings::default() },
            secret: Some(sha256(SECRET)),
        };
        let declared = Declared { clients: vec![client], ..Declared::default() };
        bank.service.declare(&declared).await.unwrap().unwrap();
        let auth = ClientAuth::Basic(SECRET.into());
        Self { app: RelyingParty::new(&bank.issuer, "payroll", auth, "https://payroll.example/cb"), key }
    }

    fn assertion(&self, bank: &Bank, jti: &str, change: &Value) -> String {
        let now = bank.now().timestamp();
        let mut claims = json!({
            "iss": HR, "sub": "alice", "aud": bank.issuer, "jti": jti, "iat": now, "exp": now + 60,
        });
        for (name, value) in change.as_object().unwrap() {
            match value {
                Value::Null => drop(claims.as_object_mut().unwrap().remove(name)),
                value => claims[name] = value.clone(),
            }
        }
        self.key.sign("JWT", &claims).unwrap()
    }

    async fn bring(&self, assertion: &str, more: &[(&str, &str)]) -> Answer {
        let base = [("grant_type", BEARER), ("assertion", assertion)];
        self.app.token(&[&base[..], more].concat()).await
    }
}

#[tokio::test]
async fn jb_01_an_assertion_gives_once_what_the_person_allowed() {
    for engine in ENGINES {
        let bank = Bank::on(engine).await;
        let payroll = Payroll::of(&bank).await;
        // Who never allowed anything gives nothing.
        let refused = payroll.bring(&payroll.assertion(&bank, "0", &json!({})), &[]).await;
        refused.expect_error(400, "invalid_grant");
        let connected = tokens_for(&bank, &payroll.app, "openid accounts:read").await;
        let subject = claims_of(connected.str("id_token"))["sub"].clone();

        let assertion = payroll.assertion(&bank, "1", &json!({}));
        let answer = payroll.bring(&assertion, &[("scope", "accounts:read")]).await.expect(200);
        assert_eq!((&answer["scope"], &answer["expires_in"]), (&json!("accounts:read"), &json!(300)));
        assert!(answer.json.get("refresh_token").is_none() && answer.json.get("id_token").is_none());
        let claims = claims_of(answer.str("access_token"));
        assert_eq!((&claims["sub"], &claims["client_id"]), (&subject, &json!("payroll")));
        // Nobody here saw the person (SU-02).
        assert!(["acr", "amr", "auth_time"].iter().all(|name| claims.get(*name).is_none()), "{claims}");
        let api = bank.api("accounts-api");
        assert!(api.is_active(answer.str("access_token")).await);
        assert_eq!(bank.audited(EventKind::AssertionGranted).await, 1);
        // Once.
        payroll.bring(&assertion, &[("scope", "accounts:read")]).await.expect_error(400, "invalid_grant");
        // The consent is the parent.
        let user = subject.as_str().unwrap().parse().unwrap();
        let consents = bank.service.store().consents_of(user).await.unwrap();
        let _ = bank.service.operate("alex").revoke_consent(consents[0].id).await.unwrap().unwrap();
        assert!(!api.is_active(answer.str("access_token")).await);
        let refused = payroll.bring(&payroll.assertion(&bank, "2", &json!({})), &[]).await;
        refused.expect_error(400, "invalid_grant");
    }
}

#[tokio::test]
async fn jb_01_of_many_at_once_one_is_answered() {
    for engine in ENGINES {
        let bank = Bank::on(engine).await;
        let payroll = Payroll::of(&bank).await;
        let _ = tokens_for(&bank, &payroll.app, "openid accounts:read").await;
        let assertion = payroll.assertion(&bank, "race", &json!({}));
        let (one, two, three) = tokio::join!(
            payroll.bring(&assertion, &[]),
            payroll.bring(&assertion, &[]),
            payroll.bring(&assertion, &[]),
        );
        let mut statuses = [one.status, two.status, three.status];
        statuses.sort_unstable();
        assert_eq!(statuses, [200, 400, 400], "{engine:?}");
    }
}

#[tokio::test]
async fn jb_01_assertions_that_break_a_rule() {
    let bank = Bank::open().await;
    let payroll = Payroll::of(&bank).await;
    let _ = tokens_for(&bank, &payroll.app, "openid accounts:read").await;
    let now = bank.now().timestamp();
    for (number, change) in [
        json!({"iss": "https://elsewhere.example"}),
        json!({"iss": null}),
        json!({"sub": null}),
        json!({"sub": "nobody"}),
        json!({"sub": "alice@bank.example"}),
        json!({"aud": null}),
        json!({"aud": "https://elsewhere.example"}),
        json!({"aud": [bank.issuer, "https://elsewhere.example"]}),
        json!({"exp": null}),
        json!({"exp": now - 11}),
        json!({"exp": now + 3600}),
        json!({"nbf": now + 60}),
        json!({"jti": null}),
    ]
    .iter()
    .enumerate()
    {
        let assertion = payroll.assertion(&bank, &format!("broken-{number}"), change);
        payroll.bring(&assertion, &[]).await.expect_error(400, "invalid_grant");
    }
    let claims = json!({
        "iss": HR, "sub": "alice", "aud": bank.issuer, "jti": "x", "iat": now, "exp": now + 60,
    });
    let stranger = new_key(Algorithm::Es256).sign("JWT", &claims).unwrap();
    let typed = payroll.key.sign("at+jwt", &claims).unwrap();
    for assertion in [stranger.as_str(), &typed, "nonsense", "a.b.c"] {
        payroll.bring(assertion, &[]).await.expect_error(400, "invalid_grant");
    }
    payroll.app.token(&[("grant_type", BEARER)]).await.expect_error(400, "invalid_request");
    // Both of our names are ours.
    for (jti, aud) in
        [("endpoint", json!(bank.url("/token"))), ("both", json!([bank.issuer, bank.url("/token")]))]
    {
        payroll.bring(&payroll.assertion(&bank, jti, &json!({ "aud": aud })), &[]).await.expect(200);
    }
}

#[tokio::test]
async fn jb_01_scope_is_bounded_by_rule_consent_and_proof() {
    let bank = Bank::open().await;
    let payroll = Payroll::of(&bank).await;
    let attempt = payroll.app.attempt("openid accounts:read payments:write");
    let browser = testkit::Browser::new();
    let _ = bank.connect(&mut bank.person("alice"), &browser, attempt.url()).await;
    for (number, (scope, error)) in [
        ("profile", "invalid_scope"),
        ("email", "invalid_scope"),
        ("payments:write", "invalid_scope"),
        ("cards:read", "invalid_grant"),
    ]
    .into_iter()
    .enumerate()
    {
        let assertion = payroll.assertion(&bank, &format!("scope-{number}"), &json!({}));
        payroll.bring(&assertion, &[("scope", scope)]).await.expect_error(400, error);
    }
    let all = payroll.bring(&payroll.assertion(&bank, "all", &json!({})), &[]).await.expect(200);
    assert_eq!(all["scope"], "accounts:read openid", "what takes two factors is left out");
    let elsewhere = payroll.assertion(&bank, "target", &json!({}));
    let resource = [("resource", "https://cards.bank.example"), ("scope", "openid")];
    payroll.bring(&elsewhere, &resource).await.expect_error(400, "invalid_target");
    // Without registration there is nothing, however good the assertion.
    let web = bank.app("web-app");
    let assertion = payroll.assertion(&bank, "web", &json!({}));
    let refused = web.token(&[("grant_type", BEARER), ("assertion", &assertion)]).await;
    refused.expect_error(400, "unauthorized_client");
}

#[tokio::test]
async fn jb_01_out_04_keys_of_an_issuer_are_fetched_and_followed() {
    let publisher = Publisher::open().await;
    let bank = Bank::with(Engine::Sqlite, |policies| {
        policies.outbound = publisher.policy();
        policies.outbound.retry_after = std::time::Duration::ZERO;
    })
    .await;
    let first = new_key(Algorithm::Es256);
    publisher.publish("/hr", &jwks(&first));
    let mut payroll = Payroll::with_keys(&bank, first, Some(publisher.url("/hr"))).await;
    tokens_for(&bank, &payroll.app, "openid accounts:read").await;
    let bring = async |payroll: &Payroll, jti: &str| {
        payroll.bring(&payroll.assertion(&bank, jti, &json!({})), &[("scope", "accounts:read")]).await
    };
    bring(&payroll, "one").await.expect(200);
    bring(&payroll, "two").await.expect(200);
    assert_eq!(publisher.read("/hr"), 1, "fetched once, for a while");
    // A stranger's keys are looked for once in a window, whoever signs with them and how often.
    let issuers = std::mem::replace(&mut payroll.key, new_key(Algorithm::Es256));
    for jti in ["three", "four", "five"] {
        bring(&payroll, jti).await.expect_error(400, "invalid_grant");
    }
    assert_eq!(publisher.read("/hr"), 2);
    // The issuer rotates.
    publisher.publish("/hr", &jwks(&payroll.key));
    bank.advance(TimeDelta::seconds(31));
    bring(&payroll, "six").await.expect(200);
    payroll.key = issuers;
    bring(&payroll, "seven").await.expect_error(400, "invalid_grant");
    assert_eq!(publisher.read("/hr"), 3);
    // While nothing can be had, nothing is believed that is not known.
    publisher.put("/hr", 500, "", "");
    bank.advance(TimeDelta::hours(3));
    bring(&payroll, "eight").await.expect_error(400, "invalid_grant");
}
