//! The whole layer against an issuer on loopback, with real keys and proofs.
#![allow(clippy::unwrap_used)]

use std::sync::{
    Arc,
    atomic::{AtomicBool, AtomicUsize, Ordering},
};

use axum::{Extension, Form, Json, Router, body::Body, routing::get};
use base64::{Engine, engine::general_purpose::URL_SAFE_NO_PAD};
use chrono::{DateTime, Utc};
use http::{HeaderMap, Request, Response, StatusCode};
use jose::{Algorithm, KeySet, PrivateKey, SigningKey, digest::sha256};
use serde_json::{Value, json};
use tower::{Layer, ServiceExt};

use super::*;
use crate::{AccessToken, ClientCertificate, Config};

const API: &str = "https://api.example";

fn now() -> DateTime<Utc> {
    crate::Clock::default().now()
}

struct Issuer {
    url: String,
    key: SigningKey,
    asked: Arc<AtomicUsize>,
    stands: Arc<AtomicBool>,
}

impl Issuer {
    async fn start() -> Self {
        let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
        let url = format!("http://{}", listener.local_addr().unwrap());
        let key = SigningKey::new(&PrivateKey::generate(Algorithm::Es256).unwrap()).unwrap();
        let asked = Arc::new(AtomicUsize::new(0));
        let stands = Arc::new(AtomicBool::new(true));
        let metadata = json!({
            "issuer": url, "jwks_uri": format!("{url}/jwks"), "introspection_endpoint": format!("{url}/introspect"),
        });
        let keys: Value = serde_json::from_str(&KeySet::new(vec![key.public().clone()]).to_json()).unwrap();
        let (counted, alive, issuer) = (asked.clone(), stands.clone(), url.clone());
        let introspect = move |headers: HeaderMap, Form(form): Form<Vec<(String, String)>>| async move {
            assert_eq!(headers["authorization"], "Basic YXBpJTNBMTpzJTI2MQ==");
            counted.fetch_add(1, Ordering::SeqCst);
            let known = form[0] == ("token".to_owned(), "opaque".to_owned()) || form[0].1.starts_with("ey");
            if !known || !alive.load(Ordering::SeqCst) {
                return Json(json!({"active": false}));
            }
            let mut claims = claims(&issuer);
            claims["active"] = json!(true);
            Json(claims)
        };
        let app = Router::new()
            .route("/.well-known/openid-configuration", get(move || async move { Json(metadata) }))
            .route("/jwks", get(move || async move { Json(keys) }))
            .route("/introspect", axum::routing::post(introspect));
        tokio::spawn(async move { axum::serve(listener, app).await });
        Self { url, key, asked, stands }
    }

    fn token(&self, change: impl FnOnce(&mut Value)) -> String {
        let mut claims = claims(&self.url);
        change(&mut claims);
        self.key.sign("at+jwt", &claims).unwrap()
    }

    fn config(&self) -> Config {
        Config::new(&self.url, API)
    }
}

fn claims(issuer: &str) -> Value {
    let now = now().timestamp();
    json!({
        "iss": issuer, "aud": API, "sub": "alice", "client_id": "app", "iat": now, "exp": now + 300, "jti": "1",
        "scope": "accounts:read", "acr": "strong", "auth_time": now,
    })
}

async fn ask(config: Config, requests: impl IntoIterator<Item = Request<Body>>) -> Vec<Response<Body>> {
    let server = ResourceServer::new(config).unwrap();
    let inner = tower::service_fn(|request: Request<Body>| async move {
        let token = request.extensions().get::<AccessToken>().unwrap();
        Ok::<_, std::convert::Infallible>(Response::new(Body::from(token.subject.clone())))
    });
    let protected = server.require(Access::scope("accounts:read")).layer(inner);
    let mut answers = Vec::new();
    for request in requests {
        answers.push(protected.clone().oneshot(request).await.unwrap());
    }
    answers
}

fn request(scheme: &str, token: &str, proof: Option<&str>) -> Request<Body> {
    let builder = Request::get("/accounts?page=2").header("authorization", format!("{scheme} {token}"));
    let builder = proof.into_iter().fold(builder, |builder, proof| builder.header("dpop", proof));
    builder.body(Body::empty()).unwrap()
}

fn proof(key: &SigningKey, token: &str, change: impl FnOnce(&mut Value)) -> String {
    let ath = URL_SAFE_NO_PAD.encode(sha256(token).as_bytes());
    let mut claims = json!({
        "jti": "p1", "htm": "GET", "htu": "https://api.example/accounts", "iat": now().timestamp(), "ath": ath,
    });
    change(&mut claims);
    key.sign_proof(&claims).unwrap()
}

fn error(answer: &Response<Body>) -> &str {
    answer
        .headers()
        .get_all("www-authenticate")
        .iter()
        .next_back()
        .map_or("", |value| value.to_str().unwrap())
}

#[tokio::test]
async fn f2_38_a_jwt_is_verified_with_the_published_keys() {
    let issuer = Issuer::start().await;
    let good = issuer.token(|_| {});
    let forger = SigningKey::new(&PrivateKey::generate(Algorithm::Es256).unwrap()).unwrap();
    let forged = forger.sign("at+jwt", &claims(&issuer.url)).unwrap();
    let id_token = issuer.key.sign("JWT", &claims(&issuer.url)).unwrap();
    let tokens = [
        good,
        forged,
        id_token,
        issuer.token(|claims| claims["aud"] = json!("https://other.example")),
        issuer.token(|claims| claims["scope"] = json!("balances:read")),
        "opaque".to_owned(),
        issuer.token(|claims| drop(claims.as_object_mut().unwrap().remove("jti"))),
    ];
    let answers = ask(issuer.config(), tokens.iter().map(|token| request("Bearer", token, None))).await;
    let statuses: Vec<_> = answers.iter().map(|answer| answer.status().as_u16()).collect();
    assert_eq!(statuses, [200, 401, 401, 401, 403, 401, 401]);
    assert!(error(&answers[1]).contains("invalid_token"));
    assert!(error(&answers[4]).contains("scope=\"accounts:read\""));
}

#[tokio::test]
async fn in_03_with_credentials_every_token_is_asked_about_and_opaque_ones_are_taken() {
    let issuer = Issuer::start().await;
    let jwt = issuer.token(|_| {});
    let config = || issuer.config().introspecting("api:1", "s&1");
    let both = || [request("Bearer", &jwt, None), request("Bearer", "opaque", None)];
    let statuses = |answers: Vec<Response<Body>>| {
        answers.iter().map(|answer| answer.status().as_u16()).collect::<Vec<_>>()
    };
    assert_eq!(statuses(ask(config(), both()).await), [200, 200]);
    assert_eq!(issuer.asked.load(Ordering::SeqCst), 2);
    issuer.stands.store(false, Ordering::SeqCst);
    assert_eq!(statuses(ask(config(), both()).await), [401, 401]);
    issuer.stands.store(true, Ordering::SeqCst);
    let believing = config().believing_for(std::time::Duration::from_secs(60));
    let again = [request("Bearer", "opaque", None), request("Bearer", "opaque", None)];
    assert_eq!(statuses(ask(believing, again).await), [200, 200]);
    assert_eq!(issuer.asked.load(Ordering::SeqCst), 5);
}

#[tokio::test]
async fn dp_11_dp_12_dp_13_a_bound_token_needs_its_own_new_proof() {
    let issuer = Issuer::start().await;
    let key = SigningKey::new(&PrivateKey::generate(Algorithm::Es256).unwrap()).unwrap();
    let jkt = key.public().thumbprint().to_string();
    let bound = issuer.token(|claims| claims["cnf"] = json!({ "jkt": jkt }));
    let bearer = issuer.token(|_| {});
    let good = proof(&key, &bound, |_| {});
    let another = SigningKey::new(&PrivateKey::generate(Algorithm::Es256).unwrap()).unwrap();
    let sent = [
        request("DPoP", &bound, Some(&good)),
        request("dpop", &bound, Some(&good)),
        request("Bearer", &bound, Some(&proof(&key, &bound, |claims| claims["jti"] = json!("p2")))),
        request("DPoP", &bound, None),
        request("DPoP", &bound, Some(&proof(&another, &bound, |_| {}))),
        request("DPoP", &bound, Some(&proof(&key, &bearer, |_| {}))),
        request("DPoP", &bound, Some(&proof(&key, &bound, |claims| claims["htm"] = json!("POST")))),
        request(
            "DPoP",
            &bound,
            Some(&proof(&key, &bound, |claims| claims["htu"] = json!("https://evil.example/accounts"))),
        ),
        request("DPoP", &bearer, Some(&proof(&key, &bearer, |_| {}))),
    ];
    let answers = ask(issuer.config(), sent).await;
    let statuses: Vec<_> = answers.iter().map(|answer| answer.status().as_u16()).collect();
    assert_eq!(statuses, [200, 401, 401, 401, 401, 401, 401, 401, 401]);
    let codes =
        ["invalid_dpop_proof", "invalid_token", "invalid_token", "invalid_token", "invalid_dpop_proof"];
    for (answer, code) in answers[1..].iter().zip(codes) {
        assert!(error(answer).starts_with(&format!("DPoP error=\"{code}\"")), "{}", error(answer));
        assert!(error(answer).ends_with("algs=\"PS256 ES256 EdDSA\""));
    }
}

#[tokio::test]
async fn dp_14_nonces_are_of_this_server_and_come_with_every_answer() {
    let issuer = Issuer::start().await;
    let key = SigningKey::new(&PrivateKey::generate(Algorithm::Es256).unwrap()).unwrap();
    let jkt = key.public().thumbprint().to_string();
    let bound = issuer.token(|claims| claims["cnf"] = json!({ "jkt": jkt }));
    let server = ResourceServer::new(issuer.config().with_nonces()).unwrap();
    let inner = tower::service_fn(|_: Request<Body>| async {
        Ok::<_, std::convert::Infallible>(Response::new(Body::empty()))
    });
    let protected = server.require(Access::any()).layer(inner);
    let first = protected.clone().oneshot(request("DPoP", &bound, Some(&proof(&key, &bound, |_| {}))));
    let first = first.await.unwrap();
    assert_eq!(first.status(), StatusCode::UNAUTHORIZED);
    assert!(error(&first).starts_with("DPoP error=\"use_dpop_nonce\""));
    let nonce = first.headers()["dpop-nonce"].to_str().unwrap().to_owned();
    let again = proof(&key, &bound, |claims| claims["nonce"] = json!(nonce));
    let answer = protected.oneshot(request("DPoP", &bound, Some(&again))).await.unwrap();
    assert_eq!(answer.status(), StatusCode::OK);
    assert!(answer.headers().contains_key("dpop-nonce"));

    // Another process of the same API takes it only if the two share the key.
    let proof = proof(&key, &bound, |claims| (claims["nonce"], claims["jti"]) = (json!(nonce), json!("p2")));
    let sent = || [request("DPoP", &bound, Some(&proof))];
    assert_eq!(ask(issuer.config().with_nonces(), sent()).await[0].status(), StatusCode::UNAUTHORIZED);
    let shared = || issuer.config().with_shared_nonces([7; 32]);
    let nonce = ResourceServer::new(shared()).unwrap().nonce(now()).unwrap();
    let proof = self::proof(&key, &bound, |claims| claims["nonce"] = json!(nonce));
    assert_eq!(ask(shared(), [request("DPoP", &bound, Some(&proof))]).await[0].status(), StatusCode::OK);
}

#[tokio::test]
async fn su_01_a_route_that_has_read_the_call_may_still_ask_for_more() {
    let issuer = Issuer::start().await;
    let server = ResourceServer::new(issuer.config()).unwrap();
    let pay = |Extension(token): Extension<AccessToken>| async move {
        match token.demand(&Access::any().acr(&["stronger"]), now()) {
            Ok(()) => Response::new(Body::empty()),
            Err(lacking) => crate::Refusal::from(lacking).response(Some(token.scheme()), None),
        }
    };
    let app: Router = Router::new().route("/accounts", get(pay)).layer(server.require(Access::any()));
    let key = SigningKey::new(&PrivateKey::generate(Algorithm::Es256).unwrap()).unwrap();
    let jkt = key.public().thumbprint().to_string();
    let bound = issuer.token(|claims| claims["cnf"] = json!({ "jkt": jkt }));
    for (request, scheme) in [
        (request("Bearer", &issuer.token(|_| {}), None), "Bearer"),
        (request("DPoP", &bound, Some(&proof(&key, &bound, |_| {}))), "DPoP"),
    ] {
        let answer = app.clone().oneshot(request).await.unwrap();
        assert_eq!(answer.status(), StatusCode::UNAUTHORIZED);
        let expected = format!("{scheme} error=\"insufficient_user_authentication\"");
        assert!(error(&answer).starts_with(&expected), "{}", error(&answer));
        assert!(error(&answer).contains("acr_values=\"stronger\""));
    }
}

#[tokio::test]
async fn mt_05_f2_09_a_certificate_is_read_from_the_extensions() {
    let issuer = Issuer::start().await;
    let certificate = ClientCertificate(b"certificate".to_vec());
    let thumbprint = certificate.thumbprint().to_string();
    let bound = issuer.token(|claims| claims["cnf"] = json!({ "x5t#S256": thumbprint }));
    let bearer = issuer.token(|_| {});
    let with = |token: &str, certificate: Option<&ClientCertificate>| {
        let mut request = request("Bearer", token, None);
        certificate.cloned().map(|certificate| request.extensions_mut().insert(certificate));
        request
    };
    let other = ClientCertificate(b"another".to_vec());
    let sent = [
        with(&bound, Some(&certificate)),
        with(&bound, Some(&other)),
        with(&bound, None),
        with(&bearer, None),
    ];
    let answers = ask(issuer.config().bound_only(), sent).await;
    let statuses: Vec<_> = answers.iter().map(|answer| answer.status().as_u16()).collect();
    assert_eq!(statuses, [200, 401, 401, 401]);
}

#[tokio::test]
async fn an_issuer_that_does_not_answer_lets_nobody_through() {
    let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
    let url = format!("http://{}", listener.local_addr().unwrap());
    drop(listener);
    let key = SigningKey::new(&PrivateKey::generate(Algorithm::Es256).unwrap()).unwrap();
    let token = key.sign("at+jwt", &claims(&url)).unwrap();
    let answers = ask(Config::new(&url, API), [request("Bearer", &token, None)]).await;
    assert_eq!(answers[0].status(), StatusCode::SERVICE_UNAVAILABLE);
    assert!(answers[0].headers().contains_key("retry-after"));
}

#[tokio::test]
async fn three_lines_protect_an_axum_router() {
    let issuer = Issuer::start().await;
    let server = ResourceServer::new(issuer.config()).unwrap();
    let who = |Extension(token): Extension<AccessToken>| async move { token.subject };
    let app: Router =
        Router::new().route("/accounts", get(who)).layer(server.require(Access::scope("accounts:read")));
    let answer = app.oneshot(request("Bearer", &issuer.token(|_| {}), None)).await.unwrap();
    assert_eq!(answer.status(), StatusCode::OK);
    assert_eq!(axum::body::to_bytes(answer.into_body(), 100).await.unwrap(), "alice");
}
