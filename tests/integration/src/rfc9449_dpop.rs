//! DPoP (RFC 9449): tokens that are bound to a key, at the token and PAR endpoints and at userinfo.

use flows::Policies;
use jose::Algorithm;
use serde_json::{Value, json};
use testkit::{Answer, ClientAuth, RelyingParty, claims_of};

use crate::{
    bank::{Bank, ENGINES, Engine},
    dpop_key::{DpopKey, FapiClient, claims, declare, metadata, post, push, redeem, refresh},
    steps::{answer, code_for, declare_client, new_key},
};

const GRANT: (&str, &str) = ("grant_type", "client_credentials");

fn nonces(policies: &mut Policies) {
    policies.protection.dpop_nonce = true;
}

async fn own_token(app: &RelyingParty, proof: Option<&str>) -> Answer {
    post(app, "/token", &[GRANT, ("scope", "accounts:read")], proof).await
}

async fn userinfo(
    app: &RelyingParty,
    method: reqwest::Method,
    authorization: &str,
    proof: Option<&str>,
) -> Answer {
    let mut request = app.http().request(method, app.endpoint("/userinfo"));
    request = request.header("authorization", authorization);
    if let Some(proof) = proof {
        request = request.header("dpop", proof);
    }
    answer(request).await
}

#[tokio::test]
async fn dp_05_tokens_are_bound_jwt_and_opaque_and_introspection_says_so() {
    let bank = Bank::open().await;
    for algorithm in [Algorithm::Es256, Algorithm::EdDsa, Algorithm::Ps256] {
        let key = DpopKey::new(algorithm);
        let job = bank.app("batch-job");
        let tokens = own_token(&job, Some(&key.proof(&bank, "/token"))).await.expect(200);
        assert_eq!(tokens.str("token_type"), "DPoP");
        let said = claims_of(tokens.str("access_token"));
        assert_eq!(said["cnf"], json!({ "jkt": key.thumbprint() }));
    }
    // Without a proof everything is as it was.
    let plain = own_token(&bank.app("batch-job"), None).await.expect(200);
    assert_eq!(plain.str("token_type"), "Bearer");
    assert_eq!(claims_of(plain.str("access_token")).get("cnf"), None);

    let key = DpopKey::new(Algorithm::Es256);
    declare_opaque(&bank).await;
    let app = FapiClient::known(&bank, "opaque-app", OPAQUE_KEY.with(Clone::clone)).app;
    let tokens = own_token(&app, Some(&key.proof(&bank, "/token"))).await.expect(200);
    assert!(!tokens.str("access_token").contains('.'), "opaque");
    let active = bank.api("accounts-api").introspect(tokens.str("access_token")).await.expect(200);
    assert_eq!(active["active"], Value::Bool(true));
    assert_eq!(active["token_type"], "DPoP");
    assert_eq!(active["cnf"]["jkt"], key.thumbprint());
}

thread_local! {
    static OPAQUE_KEY: jose::SigningKey = new_key(Algorithm::Es256);
}

/// A client whose access tokens are opaque.
async fn declare_opaque(bank: &Bank) {
    use flows::declare::{Declared, DeclaredClient};
    let key = OPAQUE_KEY.with(Clone::clone);
    let client = DeclaredClient {
        id: "opaque-app".parse().unwrap(),
        metadata: serde_json::from_value(metadata(&key)).unwrap(),
        settings: tokens::client::ClientSettings {
            access_token_format: Some(protocol::client::TokenFormat::Opaque),
            ..Default::default()
        },
        secret: None,
    };
    bank.service.declare(&Declared { clients: vec![client], ..Declared::default() }).await.unwrap().unwrap();
}

#[tokio::test]
async fn dp_01_dp_02_dp_03_bad_proofs_are_400_and_consume_no_code_dp_15() {
    let bank = Bank::open().await;
    let app = bank.app("web-app");
    let key = DpopKey::new(Algorithm::Es256);
    let (attempt, code) = code_for(&bank, &app, "openid accounts:read").await;
    let now = bank.now().timestamp();
    let changes: [fn(&mut Value, i64); 8] = [
        |it, _| it["htm"] = json!("GET"),
        |it, _| it["htu"] = json!("https://evil.example/token"),
        |it, _| it["htu"] = json!(it["htu"].as_str().unwrap().replace("/token", "/par")),
        |it, now| it["iat"] = json!(now - 61),
        |it, now| it["iat"] = json!(now + 61),
        |it, _| drop(it.as_object_mut().unwrap().remove("jti")),
        |it, _| it["jti"] = json!("x".repeat(300)),
        |it, _| it["iat"] = json!("soon"),
    ];
    for change in changes {
        let mut claims = claims(&bank, "POST", "/token");
        change(&mut claims, now);
        let refused = redeem(&app, &attempt, &code, Some(&key.sign(&claims))).await;
        refused.expect_error(400, "invalid_dpop_proof");
    }
    for broken in ["", "x", "a.b.c"] {
        redeem(&app, &attempt, &code, Some(broken)).await.expect_error(400, "invalid_dpop_proof");
    }
    // Two headers are none.
    let (one, two) = (key.proof(&bank, "/token"), key.proof(&bank, "/token"));
    let request = app.http().post(app.endpoint("/token")).header("dpop", one).header("dpop", two);
    let ClientAuth::Basic(secret) = &app.auth else { panic!("web-app has a secret") };
    let body = [GRANT];
    let twice = answer(request.basic_auth(&app.client_id, Some(secret)).form(&body)).await;
    twice.expect_error(400, "invalid_dpop_proof");
    // Nothing of this used the code up.
    let tokens = redeem(&app, &attempt, &code, Some(&key.proof(&bank, "/token"))).await.expect(200);
    assert_eq!(tokens.str("token_type"), "DPoP");
}

#[tokio::test]
async fn dp_02_twenty_spellings_of_htu() {
    let bank = Bank::open().await;
    let (app, key) = (bank.app("batch-job"), DpopKey::new(Algorithm::Es256));
    let host = bank.issuer.strip_prefix("http://").unwrap();
    let (name, port) = host.split_once(':').unwrap();
    let same = [
        format!("http://{host}/token"),
        format!("HTTP://{host}/token"),
        format!("http://{}:{port}/token", name.to_uppercase()),
        format!("http://{host}/token?a=b"),
        format!("http://{host}/token#f"),
        format!("http://{host}/./token"),
        format!("http://{host}/%74oken"),
    ];
    let other = [
        format!("https://{host}/token"),
        format!("http://{name}/token"),
        format!("http://127.0.0.1:{port}/token"),
        format!("http://{host}/Token"),
        format!("http://{host}/token/"),
        format!("http://{host}//token"),
        format!("http://{host}/token%00"),
        format!("http://{host}\\token"),
        format!("http:{host}/token"),
        format!("http:/{host}/token"),
        format!("http://user@{host}/token"),
        format!("http://{host}@evil.example/token"),
        format!("http://{host} /token"),
        format!(" http://{host}/token"),
        "/token".to_owned(),
        String::new(),
    ];
    for (spellings, status) in [(&same[..], 200), (&other[..], 400)] {
        for htu in spellings {
            let mut claims = claims(&bank, "POST", "/token");
            claims["htu"] = json!(htu);
            let answer = own_token(&app, Some(&key.sign(&claims))).await;
            assert_eq!(answer.status, status, "{htu:?}: {}", answer.text);
        }
    }
}

#[tokio::test]
async fn dp_04_a_replayed_proof_is_refused_on_both_engines_and_on_every_node() {
    for engine in ENGINES {
        let bank = Bank::on(engine).await;
        let (app, key) = (bank.app("batch-job"), DpopKey::new(Algorithm::Es256));
        let proof = key.proof(&bank, "/token");
        own_token(&app, Some(&proof)).await.expect(200);
        own_token(&app, Some(&proof)).await.expect_error(400, "invalid_dpop_proof");
        // Raced, one wins.
        let proof = key.proof(&bank, "/token");
        let race = (0..6).map(|_| own_token(&app, Some(&proof)));
        let won = futures(race).await.into_iter().filter(|answer| answer.status == 200).count();
        assert_eq!(won, 1, "{engine:?}");
    }
    let bank = Bank::on(Engine::Postgres).await;
    let node = bank.another_node().await;
    let key = DpopKey::new(Algorithm::Es256);
    let proof = key.proof(&bank, "/token");
    let here = bank.app("batch-job");
    let there = RelyingParty::new(&node.address, "batch-job", here.auth.clone(), &here.redirect_uri);
    own_token(&here, Some(&proof)).await.expect(200);
    own_token(&there, Some(&proof)).await.expect_error(400, "invalid_dpop_proof");
}

async fn futures<F: Future<Output = Answer>>(all: impl Iterator<Item = F>) -> Vec<Answer> {
    let mut set: Vec<_> = all.map(Box::pin).collect();
    let mut done = Vec::new();
    std::future::poll_fn(|context| {
        set.retain_mut(|future| match future.as_mut().poll(context) {
            std::task::Poll::Ready(answer) => {
                done.push(answer);
                false
            }
            std::task::Poll::Pending => true,
        });
        if set.is_empty() { std::task::Poll::Ready(()) } else { std::task::Poll::Pending }
    })
    .await;
    done
}

#[tokio::test]
async fn dp_06_public_clients_refresh_with_their_key_and_confidential_ones_with_any() {
    let bank = Bank::open().await;
    let (key, other) = (DpopKey::new(Algorithm::Es256), DpopKey::new(Algorithm::Es256));
    let spa = bank.app("spa");
    let (attempt, code) = code_for(&bank, &spa, "openid accounts:read offline_access").await;
    let tokens = redeem(&spa, &attempt, &code, Some(&key.proof(&bank, "/token"))).await.expect(200);
    let token = tokens.str("refresh_token");
    refresh(&spa, token, None).await.expect_error(400, "invalid_grant");
    refresh(&spa, token, Some(&other.proof(&bank, "/token"))).await.expect_error(400, "invalid_grant");
    // DP-15: neither used it up.
    let again = refresh(&spa, token, Some(&key.proof(&bank, "/token"))).await.expect(200);
    assert_eq!(again.str("token_type"), "DPoP");
    let next = again.str("refresh_token");
    refresh(&spa, next, Some(&other.proof(&bank, "/token"))).await.expect_error(400, "invalid_grant");

    let web = bank.app("web-app");
    let (attempt, code) = code_for(&bank, &web, "openid accounts:read offline_access").await;
    let tokens = redeem(&web, &attempt, &code, Some(&key.proof(&bank, "/token"))).await.expect(200);
    let bound =
        refresh(&web, tokens.str("refresh_token"), Some(&other.proof(&bank, "/token"))).await.expect(200);
    assert_eq!(claims_of(bound.str("access_token"))["cnf"]["jkt"], other.thumbprint());
}

#[tokio::test]
async fn dp_07_dp_16_nonces_are_asked_for_rotate_and_are_shared_by_nodes() {
    let bank = Bank::with(Engine::Postgres, nonces).await;
    let node = bank.another_node().await;
    let (app, key) = (bank.app("web-app"), DpopKey::new(Algorithm::Es256));
    let (attempt, code) = code_for(&bank, &app, "openid accounts:read").await;
    let refused = redeem(&app, &attempt, &code, Some(&key.proof(&bank, "/token"))).await;
    refused.expect_error(400, "use_dpop_nonce");
    let first = refused.header("dpop-nonce").unwrap().to_owned();
    bank.advance(chrono::TimeDelta::minutes(3));
    let with = |bank: &Bank, nonce: &str| {
        let mut claims = claims(bank, "POST", "/token");
        claims["nonce"] = json!(nonce);
        key.sign(&claims)
    };
    let stale = own_token(&bank.app("batch-job"), Some(&with(&bank, &first))).await;
    stale.expect_error(400, "use_dpop_nonce");
    let second = stale.header("dpop-nonce").unwrap().to_owned();
    assert_ne!(first, second);
    let job = bank.app("batch-job");
    let there = RelyingParty::new(&node.address, "batch-job", job.auth.clone(), &job.redirect_uri);
    let good = own_token(&there, Some(&with(&bank, &second))).await.expect(200);
    assert!(good.header("dpop-nonce").is_some(), "a success says the next one, too");
    // PAR takes the same nonces; userinfo asks for none here (DP-14).
    let pushed = push(&app, &app.attempt("openid"), Some(&key.proof(&bank, "/par"))).await;
    pushed.expect_error(400, "use_dpop_nonce");
}

#[tokio::test]
async fn dp_15_a_refusal_for_a_nonce_consumes_no_code_and_no_refresh_token() {
    let bank = Bank::with(Engine::Sqlite, nonces).await;
    let (spa, key) = (bank.app("spa"), DpopKey::new(Algorithm::Es256));
    let (attempt, code) = code_for(&bank, &spa, "openid accounts:read offline_access").await;
    let with = |nonce: &str| {
        let mut claims = claims(&bank, "POST", "/token");
        claims["nonce"] = json!(nonce);
        key.sign(&claims)
    };
    let refused = redeem(&spa, &attempt, &code, Some(&key.proof(&bank, "/token"))).await;
    refused.expect_error(400, "use_dpop_nonce");
    let nonce = refused.header("dpop-nonce").unwrap();
    let tokens = redeem(&spa, &attempt, &code, Some(&with(nonce))).await.expect(200);
    let token = tokens.str("refresh_token");
    refresh(&spa, token, Some(&with("stale"))).await.expect_error(400, "use_dpop_nonce");
    refresh(&spa, token, Some(&with(nonce))).await.expect(200);
}

#[tokio::test]
async fn dp_08_f2_15_dpop_jkt_binds_the_code() {
    let bank = Bank::open().await;
    let (key, other) = (DpopKey::new(Algorithm::Es256), DpopKey::new(Algorithm::Es256));
    let app = bank.app("web-app");
    let attempt = app.attempt("openid accounts:read").with("dpop_jkt", &key.thumbprint());
    let departure = bank.connect(&mut bank.person("alice"), &testkit::Browser::new(), attempt.url()).await;
    let code = attempt.code(&departure);
    redeem(&app, &attempt, &code, None).await.expect_error(400, "invalid_grant");
    let wrong = redeem(&app, &attempt, &code, Some(&other.proof(&bank, "/token"))).await;
    wrong.expect_error(400, "invalid_grant");
    redeem(&app, &attempt, &code, Some(&key.proof(&bank, "/token"))).await.expect(200);
    // Two keys that contradict each other.
    let attempt = app.attempt("openid").with("dpop_jkt", &key.thumbprint());
    let refused = push(&app, &attempt, Some(&other.proof(&bank, "/par"))).await;
    refused.expect_error(400, "invalid_request");
    push(&app, &attempt, Some(&key.proof(&bank, "/par"))).await.expect(201);
}

#[tokio::test]
async fn dp_09_a_client_that_asked_for_it_never_gets_bearer_tokens() {
    let bank = Bank::open().await;
    let key = new_key(Algorithm::Es256);
    let mut metadata = metadata(&key);
    metadata["dpop_bound_access_tokens"] = json!(true);
    declare(&bank, "bound-app", metadata, None).await.unwrap();
    let app = FapiClient::known(&bank, "bound-app", key).app;
    own_token(&app, None).await.expect_error(400, "invalid_dpop_proof");
    let dpop = DpopKey::new(Algorithm::EdDsa);
    let tokens = own_token(&app, Some(&dpop.proof(&bank, "/token"))).await.expect(200);
    assert_eq!(tokens.str("token_type"), "DPoP");
}

#[tokio::test]
async fn dp_10_bcp_23_what_metadata_and_scripts_learn() {
    let bank = Bank::open().await;
    let app = bank.app("web-app");
    let metadata = app.get("/.well-known/openid-configuration").await.expect(200);
    assert_eq!(metadata["dpop_signing_alg_values_supported"], json!(["PS256", "ES256", "EdDSA"]));
    for path in ["/token", "/par", "/userinfo"] {
        let answer = answer(app.http().post(app.endpoint(path))).await;
        let exposed = answer.header("access-control-expose-headers").unwrap_or_default();
        assert!(exposed.contains("dpop-nonce"), "{path}");
    }
}

#[tokio::test]
async fn dp_11_dp_12_dp_13_f2_38_userinfo_takes_a_bound_token_only_with_its_proof() {
    let bank = Bank::open().await;
    let (app, key) = (bank.app("web-app"), DpopKey::new(Algorithm::Es256));
    let (attempt, code) = code_for(&bank, &app, "openid").await;
    let tokens = redeem(&app, &attempt, &code, Some(&key.proof(&bank, "/token"))).await.expect(200);
    let token = tokens.str("access_token");
    let get = async |scheme: &str, proof: Option<&str>| {
        userinfo(&app, reqwest::Method::GET, &format!("{scheme} {token}"), proof).await
    };
    let good = || key.proof_with(&bank, "GET", token);
    get("DPoP", Some(&good())).await.expect(200);
    get("dpop", Some(&good())).await.expect(200);
    let challenged = |answer: Answer, error: &str| {
        answer.expect_error(401, error);
        let challenge = answer.header("www-authenticate").unwrap().to_owned();
        assert!(challenge.starts_with(&format!("DPoP error=\"{error}\"")), "{challenge}");
        assert!(challenge.contains("algs=\"PS256 ES256 EdDSA\""), "{challenge}");
    };
    // Who sends nothing learns both ways to send a token.
    let nobody = app.http().get(format!("{}/userinfo", bank.issuer)).send().await.unwrap();
    let ways: Vec<_> = nobody.headers().get_all("www-authenticate").iter().collect();
    assert_eq!(ways, ["Bearer realm=\"chancery\"", "DPoP algs=\"PS256 ES256 EdDSA\""]);
    challenged(get("Bearer", None).await, "invalid_token");
    challenged(get("Bearer", Some(&good())).await, "invalid_token");
    challenged(get("DPoP", None).await, "invalid_token");
    let other = DpopKey::new(Algorithm::Es256);
    challenged(get("DPoP", Some(&other.proof_with(&bank, "GET", token))).await, "invalid_token");
    challenged(get("DPoP", Some(&key.proof_with(&bank, "POST", token))).await, "invalid_dpop_proof");
    challenged(get("DPoP", Some(&key.proof_with(&bank, "GET", "another"))).await, "invalid_dpop_proof");
    let without_hash = key.sign(&claims(&bank, "GET", "/userinfo"));
    challenged(get("DPoP", Some(&without_hash)).await, "invalid_dpop_proof");
    let once = good();
    get("DPoP", Some(&once)).await.expect(200);
    challenged(get("DPoP", Some(&once)).await, "invalid_dpop_proof");
    // Never from a body.
    let request = app.http().post(app.endpoint("/userinfo")).form(&[("access_token", token)]);
    challenged(answer(request.header("dpop", key.proof_with(&bank, "POST", token))).await, "invalid_token");
    // A token that is not bound is no DPoP token.
    let (attempt, code) = code_for(&bank, &app, "openid").await;
    let plain = redeem(&app, &attempt, &code, None).await.expect(200);
    let plain = plain.str("access_token");
    let proof = key.proof_with(&bank, "GET", plain);
    let refused = userinfo(&app, reqwest::Method::GET, &format!("DPoP {plain}"), Some(&proof)).await;
    challenged(refused, "invalid_token");
}

#[tokio::test]
async fn dp_14_the_resource_server_has_nonces_of_its_own() {
    let both = |policies: &mut Policies| {
        policies.protection.dpop_nonce = true;
        policies.protection.dpop_resource_nonce = true;
    };
    let bank = Bank::with(Engine::Sqlite, both).await;
    let (app, key) = (bank.app("web-app"), DpopKey::new(Algorithm::Es256));
    let (attempt, code) = code_for(&bank, &app, "openid").await;
    let nonced = |path: &str, nonce: &str| {
        let mut claims = claims(&bank, "POST", path);
        claims["nonce"] = json!(nonce);
        key.sign(&claims)
    };
    let asked = redeem(&app, &attempt, &code, Some(&nonced("/token", "x"))).await;
    let of_server = asked.header("dpop-nonce").unwrap().to_owned();
    let tokens = redeem(&app, &attempt, &code, Some(&nonced("/token", &of_server))).await.expect(200);
    let token = tokens.str("access_token");
    let get = async |nonce: &str| {
        let mut claims = claims(&bank, "GET", "/userinfo");
        claims["ath"] = json!(jose::digest::sha256(token).to_string());
        claims["nonce"] = json!(nonce);
        userinfo(&app, reqwest::Method::GET, &format!("DPoP {token}"), Some(&key.sign(&claims))).await
    };
    let nobody = app.http().get(format!("{}/userinfo", bank.issuer)).send().await.unwrap();
    assert!(nobody.status() == 401 && nobody.headers().contains_key("dpop-nonce"), "{nobody:?}");
    let refused = get(&of_server).await;
    refused.expect_error(401, "use_dpop_nonce");
    let of_resource = refused.header("dpop-nonce").unwrap().to_owned();
    assert_ne!(of_server, of_resource);
    get(&of_resource).await.expect(200);
}

#[tokio::test]
async fn par_07_a_client_may_ask_for_pushed_requests_only() {
    let bank = Bank::open().await;
    let key = new_key(Algorithm::Es256);
    let mut metadata = metadata(&key);
    metadata["require_pushed_authorization_requests"] = json!(true);
    declare_client(&bank, "pushing-app", metadata).await.unwrap();
    let app = FapiClient::known(&bank, "pushing-app", key).app;
    let browser = testkit::Browser::new();
    let departure = browser.open(app.attempt("openid").url()).await;
    let departure = departure.departed();
    assert_eq!(departure.parameter("error"), Some("invalid_request"));
    push(&app, &app.attempt("openid"), None).await.expect(201);
}
