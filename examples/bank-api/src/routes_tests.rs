//! The API in front of an issuer that is asked about opaque tokens: what each route demands, and what it says.

use axum::{
    Form, Json, Router,
    body::Body,
    http::{Method, Request, StatusCode, header},
    routing::{get, post},
};
use http_body_util::BodyExt;
use serde_json::{Value, json};
use tokio::net::TcpListener;
use tower::ServiceExt;

use crate::{Config, IntrospectionCredentials, router};

const API: &str = "https://api.bank.example";

/// Tokens that say themselves what they allow: `accounts.read+balances.read~<role>`, or `withdrawn`.
async fn api() -> Router {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let issuer = format!("http://{}", listener.local_addr().unwrap());
    let metadata = json!({
        "issuer": issuer, "jwks_uri": format!("{issuer}/jwks"), "introspection_endpoint": format!("{issuer}/introspect"),
    });
    let introspect = async |Form(form): Form<Vec<(String, String)>>| {
        let answer = form[0].1.split_once('~').map(|(scope, role)| {
            json!({
                "active": true, "aud": API, "sub": "alice", "client_id": "ledgerline", "exp": 32_503_680_000_i64,
                "scope": scope.replace('+', " ").replace('.', ":"), "roles": [role],
            })
        });
        Json(answer.unwrap_or_else(|| json!({ "active": false })))
    };
    let stub = Router::new()
        .route("/.well-known/openid-configuration", get(async || Json(metadata)))
        .route("/introspect", post(introspect));
    tokio::spawn(async move { axum::serve(listener, stub).await });
    let credentials = IntrospectionCredentials { client_id: "accounts".into(), client_secret: "s:1".into() };
    router(Config {
        issuer,
        audience: API.into(),
        introspection: Some(credentials),
        clock: crate::Clock::default(),
    })
    .unwrap()
}

struct Said {
    status: StatusCode,
    challenge: String,
    body: Value,
}

async fn ask(api: &Router, method: Method, path: &str, token: Option<&str>, body: &Value) -> Said {
    let mut request = Request::builder().method(method).uri(path).header("content-type", "application/json");
    if let Some(token) = token {
        request = request.header(header::AUTHORIZATION, format!("Bearer {token}"));
    }
    let answer = api.clone().oneshot(request.body(Body::from(body.to_string())).unwrap()).await.unwrap();
    let status = answer.status();
    let challenge =
        answer.headers().get(header::WWW_AUTHENTICATE).map(|text| text.to_str().unwrap().to_owned());
    let body = answer.into_body().collect().await.unwrap().to_bytes();
    let body = serde_json::from_slice(&body).unwrap_or_default();
    Said { status, challenge: challenge.unwrap_or_default(), body }
}

#[tokio::test]
async fn f2_38_every_route_demands_its_own_scope_and_role() {
    let api = api().await;
    let get = async |path: &str, token: Option<&str>| ask(&api, Method::GET, path, token, &Value::Null).await;
    assert_eq!(get("/health", None).await.status, 200);
    assert_eq!(get("/", None).await.body["audience"], API);
    let nobody = get("/accounts", None).await;
    assert_eq!((nobody.status.as_u16(), nobody.challenge.as_str()), (401, "Bearer"));

    const VIEWER: &str = "accounts.read+balances.read~account-viewer";
    let accounts = get("/accounts", Some("accounts.read~account-viewer")).await;
    assert_eq!(accounts.status, 200);
    let id = accounts.body["accounts"][0]["account_id"].as_str().unwrap();
    let balances = format!("/accounts/{id}/balances");
    let seen = get(&balances, Some(VIEWER)).await;
    assert_eq!((seen.status.as_u16(), seen.body["balances"].as_array().unwrap().len()), (200, 2));
    assert_eq!(get("/accounts/another/balances", Some(VIEWER)).await.status, 404);
    let table = [
        ("/accounts", "balances.read~account-viewer", 403, "scope=\"accounts:read\""),
        ("/accounts", "accounts.read~payment-initiator", 403, "insufficient_scope"),
        (balances.as_str(), "accounts.read~account-viewer", 403, "scope=\"balances:read\""),
        (&balances, "balances.read~payment-initiator", 403, "insufficient_scope"),
        ("/accounts", "withdrawn", 401, "invalid_token"),
    ];
    for (path, token, status, said) in table {
        let refused = get(path, Some(token)).await;
        assert_eq!(refused.status.as_u16(), status, "{path} {token}");
        assert!(refused.challenge.contains(said), "{path} {token}: {}", refused.challenge);
    }
    assert_eq!(get("/accounts?access_token=x", Some(VIEWER)).await.status, 400);

    let mut order = json!({ "from_account": id, "creditor": "Rent", "amount": "5", "currency": "EUR" });
    let pay =
        async |token: Option<&str>, order: &Value| ask(&api, Method::POST, "/payments", token, order).await;
    assert_eq!(pay(None, &Value::Null).await.status, 401, "whoever has no token is told nothing else");
    assert_eq!(pay(Some(VIEWER), &order).await.status, 403);
    assert_eq!(pay(Some("payments.write~account-viewer"), &order).await.status, 403);
    let payer = Some("payments.write~payment-initiator");
    assert_eq!(pay(payer, &order).await.status, 201);
    assert_eq!(pay(payer, &Value::Null).await.body["error"], "invalid_payment");
    order["amount"] = json!("45");
    let more = pay(payer, &order).await;
    assert_eq!(more.status, 401);
    assert!(
        more.challenge.starts_with("Bearer error=\"insufficient_user_authentication\""),
        "{}",
        more.challenge
    );
}
