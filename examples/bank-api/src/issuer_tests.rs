//! The API against a small issuer: late start, rotation, withdrawal, and how refusals look on the wire.

use std::sync::{
    Mutex as Lock,
    atomic::{AtomicUsize, Ordering},
};

use axum::{
    Form, Json, Router,
    extract::State,
    http::{HeaderMap, StatusCode, header},
    response::{IntoResponse, Response},
    routing::{get, post},
};
use josekit::{
    jwk::{Jwk, alg::ec::EcCurve},
    jws::{self, JwsHeader},
};
use serde_json::{Value, json};
use tokio::net::TcpListener;

use super::*;

const AUDIENCE: &str = "https://api.bank.example";

#[derive(Default)]
struct Inner {
    address: Lock<String>,
    keys: Lock<Vec<Jwk>>,
    published: AtomicUsize,
    fetches: AtomicUsize,
    withdrawn: Lock<bool>,
}

#[derive(Clone, Default)]
struct Stub(Arc<Inner>);

impl Stub {
    async fn prepared() -> (Self, TcpListener) {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let stub = Self::default();
        *stub.0.address.lock().unwrap() = format!("http://{}", listener.local_addr().unwrap());
        stub.rotate(true);
        (stub, listener)
    }
    async fn start() -> Self {
        let (stub, listener) = Self::prepared().await;
        stub.serve(listener);
        stub
    }
    fn serve(&self, listener: TcpListener) {
        let router = Router::new()
            .route("/.well-known/openid-configuration", get(metadata))
            .route("/jwks", get(jwks))
            .route("/introspect", post(introspect))
            .with_state(self.clone());
        tokio::spawn(async move { axum::serve(listener, router).await });
    }
    fn issuer(&self) -> String {
        self.0.address.lock().unwrap().clone()
    }
    fn rotate(&self, publish: bool) {
        let mut keys = self.0.keys.lock().unwrap();
        let mut key = Jwk::generate_ec_key(EcCurve::P256).unwrap();
        key.set_key_id(format!("k{}", keys.len()));
        keys.push(key);
        if publish {
            self.0.published.store(keys.len(), Ordering::SeqCst);
        }
    }
    fn withdraw(&self) {
        *self.0.withdrawn.lock().unwrap() = true;
    }
    fn fetches(&self) -> usize {
        self.0.fetches.load(Ordering::SeqCst)
    }
    fn token(&self, scope: &str, roles: &[&str]) -> String {
        let claims = json!({
            "iss": self.issuer(), "aud": AUDIENCE, "sub": "alice", "client_id": "ledgerline", "jti": "1",
            "iat": crate::now().timestamp(), "exp": crate::now().timestamp() + 3600, "scope": scope, "roles": roles,
        });
        let mut header = JwsHeader::new();
        header.set_token_type("at+jwt");
        let signer = jws::ES256.signer_from_jwk(self.0.keys.lock().unwrap().last().unwrap()).unwrap();
        jws::serialize_compact(claims.to_string().as_bytes(), &header, &signer).unwrap()
    }
    fn config(&self, introspect: bool) -> Config {
        let introspection = introspect
            .then(|| IntrospectionCredentials { client_id: "accounts".into(), client_secret: "s:1".into() });
        Config { issuer: self.issuer(), audience: AUDIENCE.into(), introspection }
    }
    fn room(&self, introspect: bool) -> Issuer {
        Issuer::new(self.config(introspect)).unwrap()
    }
}

async fn metadata(State(stub): State<Stub>) -> Json<Value> {
    let issuer = stub.issuer();
    Json(json!({
        "issuer": issuer, "jwks_uri": format!("{issuer}/jwks"), "introspection_endpoint": format!("{issuer}/introspect"),
    }))
}

async fn jwks(State(stub): State<Stub>) -> Json<Value> {
    stub.0.fetches.fetch_add(1, Ordering::SeqCst);
    let keys = stub.0.keys.lock().unwrap();
    let public = |key: &Jwk| {
        let mut public = key.to_public_key().unwrap();
        public.set_key_id(key.key_id().unwrap());
        public
    };
    let published = &keys[..stub.0.published.load(Ordering::SeqCst)];
    Json(json!({ "keys": published.iter().map(public).collect::<Vec<_>>() }))
}

async fn introspect(
    State(stub): State<Stub>,
    headers: HeaderMap,
    Form(form): Form<Vec<(String, String)>>,
) -> Response {
    // accounts:s%3A1
    if headers.get(header::AUTHORIZATION).is_none_or(|sent| sent != "Basic YWNjb3VudHM6cyUzQTE=") {
        return StatusCode::UNAUTHORIZED.into_response();
    }
    let opaque_for = |audience: &str| {
        Json(json!({
            "active": true, "iss": stub.issuer(), "sub": "alice", "client_id": "ledgerline", "aud": audience,
            "scope": "accounts:read", "roles": ["account-viewer"],
        }))
    };
    let token = &form.iter().find(|(name, _)| name == "token").unwrap().1;
    match token.as_str() {
        _ if *stub.0.withdrawn.lock().unwrap() => Json(json!({ "active": false })),
        "opaque" => opaque_for(AUDIENCE),
        "opaque-for-another" => opaque_for("https://other.example"),
        token if token.starts_with("ey") => Json(json!({ "active": true, "sub": "alice" })),
        _ => Json(json!({ "active": false })),
    }
    .into_response()
}

fn refused(result: Result<AccessToken, Refusal>) -> TokenRefusal {
    match result {
        Err(Refusal::InvalidToken(refusal)) => refusal,
        other => panic!("expected a refused token, got {other:?}"),
    }
}

#[tokio::test]
async fn the_issuer_may_come_up_after_the_api() {
    let (stub, listener) = Stub::prepared().await;
    let address = listener.local_addr().unwrap();
    drop(listener);
    let (issuer, token) = (stub.room(true), stub.token("accounts:read", &[]));
    assert!(matches!(issuer.accept(&token, crate::now()).await, Err(Refusal::IssuerUnavailable)));
    stub.serve(TcpListener::bind(address).await.unwrap());
    assert!(issuer.accept(&token, crate::now()).await.is_ok());
}

#[tokio::test]
async fn a_rotated_key_costs_one_fetch_and_an_invented_one_no_flood() {
    let stub = Stub::start().await;
    let (issuer, start) = (stub.room(false), crate::now());
    let later = |seconds: i64| start + TimeDelta::seconds(seconds);
    for _ in 0..3 {
        issuer.accept(&stub.token("", &[]), start).await.unwrap();
    }
    assert_eq!(stub.fetches(), 1, "keys are kept");
    stub.rotate(true);
    issuer.accept(&stub.token("", &[]), later(60)).await.unwrap();
    assert_eq!(stub.fetches(), 2);
    stub.rotate(false);
    for second in [61, 62, 69] {
        assert_eq!(
            refused(issuer.accept(&stub.token("", &[]), later(second)).await),
            TokenRefusal::UnknownKey
        );
    }
    assert_eq!(stub.fetches(), 2, "not more often than every ten seconds");
    assert_eq!(refused(issuer.accept(&stub.token("", &[]), later(71)).await), TokenRefusal::UnknownKey);
    assert_eq!(stub.fetches(), 3);
}

#[tokio::test]
async fn a_withdrawal_is_felt_at_once_with_introspection_only() {
    let stub = Stub::start().await;
    let (online, offline, token) = (stub.room(true), stub.room(false), stub.token("accounts:read", &[]));
    assert!(online.accept(&token, crate::now()).await.is_ok());
    stub.withdraw();
    assert_eq!(refused(online.accept(&token, crate::now()).await), TokenRefusal::Inactive);
    assert!(offline.accept(&token, crate::now()).await.is_ok(), "nobody asked");
}

#[tokio::test]
async fn opaque_tokens_are_asked_about_and_must_be_for_this_api() {
    let stub = Stub::start().await;
    let (online, offline) = (stub.room(true), stub.room(false));
    let accepted = online.accept("opaque", crate::now()).await.unwrap();
    assert!(accepted.subject == "alice" && accepted.roles.contains("account-viewer"));
    assert_eq!(refused(online.accept("opaque-for-another", crate::now()).await), TokenRefusal::Audience);
    assert_eq!(refused(online.accept("unknown", crate::now()).await), TokenRefusal::Inactive);
    assert_eq!(refused(offline.accept("opaque", crate::now()).await), TokenRefusal::Malformed);
}

#[tokio::test]
async fn metadata_of_another_issuer_is_not_believed() {
    let stub = Stub::start().await;
    let config = Config { issuer: format!("{}/", stub.issuer()), ..stub.config(false) };
    let issuer = Issuer::new(config).unwrap();
    let answer = issuer.accept(&stub.token("", &[]), crate::now()).await;
    assert!(matches!(answer, Err(Refusal::IssuerUnavailable)));
}

#[tokio::test]
async fn refusals_say_on_the_wire_what_rfc_6750_wants() {
    let stub = Stub::start().await;
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let base = format!("http://{}", listener.local_addr().unwrap());
    tokio::spawn(crate::serve(stub.config(true), listener, std::future::pending()));
    let http = reqwest::Client::new();
    let ask = async |path: &str, token: Option<String>| {
        let request = http.get(format!("{base}{path}"));
        let request = match token {
            Some(token) => request.bearer_auth(token),
            None => request,
        };
        let response = request.send().await.unwrap();
        let challenge =
            response.headers().get(header::WWW_AUTHENTICATE).map(|text| text.to_str().unwrap().to_owned());
        (response.status(), challenge.unwrap_or_default(), response.json::<Value>().await.unwrap())
    };
    let viewer = || Some(stub.token("accounts:read balances:read", &["account-viewer"]));
    let error = |code: &str, text: &str| {
        format!("Bearer realm=\"accounts\", error=\"{code}\", error_description=\"{text}\"")
    };

    let (status, challenge, _) = ask("/accounts", None).await;
    assert_eq!((status, challenge.as_str()), (StatusCode::UNAUTHORIZED, "Bearer realm=\"accounts\""));
    let (status, challenge, _) = ask("/accounts", Some("nonsense".into())).await;
    let inactive = "the access token was withdrawn, revoked or has expired";
    assert_eq!((status, challenge), (StatusCode::UNAUTHORIZED, error("invalid_token", inactive)));
    let (status, challenge, _) =
        ask("/accounts", Some(stub.token("balances:read", &["account-viewer"]))).await;
    let lacks = error("insufficient_scope", "the access token lacks the scope accounts:read");
    assert_eq!((status, challenge), (StatusCode::FORBIDDEN, format!("{lacks}, scope=\"accounts:read\"")));
    let (status, _, _) = ask("/accounts?access_token=x", viewer()).await;
    assert_eq!(status, StatusCode::BAD_REQUEST);

    let (status, challenge, body) = ask("/accounts", viewer()).await;
    assert_eq!((status, challenge.as_str()), (StatusCode::OK, ""));
    let id = body["accounts"][0]["account_id"].as_str().unwrap();
    let (status, _, body) = ask(&format!("/accounts/{id}/balances"), viewer()).await;
    assert_eq!((status, body["balances"].as_array().unwrap().len()), (StatusCode::OK, 2));
    assert_eq!(ask("/accounts/another/balances", viewer()).await.0, StatusCode::NOT_FOUND);

    let order = json!({ "from_account": id_of(&ask("/accounts", viewer()).await.2), "creditor": "Rent", "amount": "5", "currency": "EUR" });
    let pay = async |token: String| {
        http.post(format!("{base}/payments")).bearer_auth(token).json(&order).send().await.unwrap().status()
    };
    assert_eq!(pay(viewer().unwrap()).await, StatusCode::FORBIDDEN);
    assert_eq!(pay(stub.token("payments:write", &["account-viewer"])).await, StatusCode::FORBIDDEN, "role");
    assert_eq!(pay(stub.token("payments:write", &["payment-initiator"])).await, StatusCode::CREATED);
}

fn id_of(accounts: &Value) -> String {
    accounts["accounts"][0]["account_id"].as_str().unwrap().to_owned()
}
