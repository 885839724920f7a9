//! The issuer that is late, slow, rotates, lies or is lied about; and every forgery of a token.
#![allow(clippy::unwrap_used)]

use std::sync::{
    Arc, Mutex as Lock,
    atomic::{AtomicUsize, Ordering},
};

use axum::{
    Form, Json, Router,
    extract::State,
    routing::{get, post},
};
use base64::{Engine, engine::general_purpose::URL_SAFE_NO_PAD};
use jose::{Algorithm, PrivateKey, SigningKey};
use serde_json::json;
use tokio::{net::TcpListener, sync::Semaphore};

use super::*;

const API: &str = "https://api.example";
const NOW: i64 = 1_800_000_000;

fn at(second: i64) -> DateTime<Utc> {
    DateTime::from_timestamp(NOW + second, 0).unwrap()
}

fn key() -> SigningKey {
    SigningKey::new(&PrivateKey::generate(Algorithm::Es256).unwrap()).unwrap()
}

struct Inner {
    url: String,
    claimed: Lock<String>,
    /// What is answered about a JWT; nothing makes it inactive.
    answered: Lock<Option<Value>>,
    keys: Lock<Vec<SigningKey>>,
    published: AtomicUsize,
    fetches: AtomicUsize,
    /// Key sets that may be answered.
    patience: Semaphore,
}

#[derive(Clone)]
struct Stub(Arc<Inner>);

impl Stub {
    async fn prepared() -> (Self, TcpListener) {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let url = format!("http://{}", listener.local_addr().unwrap());
        let inner = Inner {
            claimed: Lock::new(url.clone()),
            answered: Lock::default(),
            url,
            keys: Lock::new(vec![key()]),
            published: AtomicUsize::new(1),
            fetches: AtomicUsize::new(0),
            patience: Semaphore::new(100),
        };
        (Self(Arc::new(inner)), listener)
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

    /// Signs with a new key from now on.
    fn rotate(&self, publish: bool) {
        let mut keys = self.0.keys.lock().unwrap();
        keys.push(key());
        if publish {
            self.0.published.store(keys.len(), Ordering::SeqCst);
        }
    }

    fn fetches(&self) -> usize {
        self.0.fetches.load(Ordering::SeqCst)
    }

    fn key(&self) -> SigningKey {
        self.0.keys.lock().unwrap().last().unwrap().clone()
    }

    fn token(&self) -> String {
        self.key().sign("at+jwt", &claims(&self.0.url)).unwrap()
    }

    fn known(&self) -> Arc<Issuer> {
        Arc::new(Issuer::new(Config::new(&self.0.url, API)).unwrap())
    }

    fn asked(&self) -> Arc<Issuer> {
        Arc::new(Issuer::new(Config::new(&self.0.url, API).introspecting("api", "secret")).unwrap())
    }
}

fn claims(issuer: &str) -> Value {
    json!({
        "iss": issuer, "aud": API, "sub": "alice", "client_id": "app", "iat": NOW - 5, "exp": NOW + 3600,
        "jti": "1", "scope": "accounts:read",
    })
}

async fn metadata(State(stub): State<Stub>) -> Json<Value> {
    let url = &stub.0.url;
    Json(json!({
        "issuer": *stub.0.claimed.lock().unwrap(), "jwks_uri": format!("{url}/jwks"),
        "introspection_endpoint": format!("{url}/introspect"),
    }))
}

async fn jwks(State(stub): State<Stub>) -> Json<Value> {
    stub.0.fetches.fetch_add(1, Ordering::SeqCst);
    stub.0.patience.acquire().await.unwrap().forget();
    let keys = stub.0.keys.lock().unwrap();
    let published = &keys[..stub.0.published.load(Ordering::SeqCst)];
    let set = KeySet::new(published.iter().map(|key| key.public().clone()).collect());
    let mut set: Value = serde_json::from_str(&set.to_json()).unwrap();
    set["keys"].as_array_mut().unwrap().push(json!({"kty": "AKP", "kid": "of another time"}));
    Json(set)
}

async fn introspect(State(stub): State<Stub>, Form(form): Form<Vec<(String, String)>>) -> Json<Value> {
    let mut answer = claims(&stub.0.url);
    answer["active"] = json!(true);
    match form[0].1.as_str() {
        "opaque" => answer["token_type"] = json!("Bearer"),
        "for-another" => answer["aud"] = json!("https://other.example"),
        "of-another" => answer["iss"] = json!("https://other.example"),
        "refresh" => answer["token_type"] = json!("refresh_token"),
        "nobodys" => answer = json!({"active": true}),
        "truthy" => answer["active"] = json!("true"),
        token if looks_like_jwt(token) => {
            answer = stub.0.answered.lock().unwrap().clone().unwrap_or_else(|| json!({"active": false}));
        }
        _ => answer = json!({"active": false}),
    }
    Json(answer)
}

fn refused(result: Result<AccessToken, Refusal>) -> TokenFault {
    match result {
        Err(Refusal::Token(fault)) => fault,
        other => panic!("expected a refused token, got {other:?}"),
    }
}

#[tokio::test]
async fn the_issuer_may_come_up_after_the_api() {
    let (stub, listener) = Stub::prepared().await;
    let address = listener.local_addr().unwrap();
    drop(listener);
    let issuer = stub.known();
    assert!(matches!(issuer.read(&stub.token(), at(0)).await, Err(Refusal::IssuerUnavailable)));
    stub.serve(TcpListener::bind(address).await.unwrap());
    assert!(matches!(issuer.read(&stub.token(), at(0)).await, Err(Refusal::IssuerUnavailable)));
    assert!(issuer.read(&stub.token(), at(1)).await.is_ok());
}

#[tokio::test]
async fn who_hangs_up_takes_no_fetch_away_from_others() {
    let stub = Stub::start().await;
    let issuer = stub.known();
    stub.0.patience.forget_permits(100);
    let (first, token) = (issuer.clone(), stub.token());
    let hung_up = tokio::spawn(async move { first.read(&token, at(0)).await });
    while stub.fetches() < 1 {
        tokio::task::yield_now().await;
    }
    hung_up.abort();
    assert!(hung_up.await.unwrap_err().is_cancelled());
    stub.0.patience.add_permits(1);
    issuer.read(&stub.token(), at(0)).await.unwrap();
    assert_eq!(stub.fetches(), 1);
}

#[tokio::test]
async fn a_rotated_key_costs_one_fetch_and_invented_ones_no_flood() {
    let stub = Stub::start().await;
    let issuer = stub.known();
    for _ in 0..3 {
        issuer.read(&stub.token(), at(0)).await.unwrap();
    }
    assert_eq!(stub.fetches(), 1, "keys are kept");
    stub.rotate(true);
    issuer.read(&stub.token(), at(60)).await.unwrap();
    assert_eq!(stub.fetches(), 2);
    for second in [61, 62, 69] {
        stub.rotate(false);
        assert_eq!(refused(issuer.read(&stub.token(), at(second)).await), TokenFault::UnknownKey);
    }
    assert_eq!(stub.fetches(), 2, "not more often than every ten seconds");
    assert_eq!(refused(issuer.read(&stub.token(), at(71)).await), TokenFault::UnknownKey);
    assert_eq!(stub.fetches(), 3);
}

#[tokio::test]
async fn a_slow_issuer_delays_only_tokens_of_unknown_keys() {
    let stub = Stub::start().await;
    let issuer = Arc::new(stub.known());
    let good = stub.token();
    issuer.read(&good, at(0)).await.unwrap();
    stub.0.patience.forget_permits(100);
    stub.rotate(true);
    let (waiting, unknown) = (issuer.clone(), stub.token());
    let waiting = tokio::spawn(async move { waiting.read(&unknown, at(700)).await });
    while stub.fetches() < 2 {
        tokio::task::yield_now().await;
    }
    // The keys are due to be fetched again, and somebody is at it.
    issuer.read(&good, at(700)).await.unwrap();
    assert!(!waiting.is_finished());
    stub.0.patience.add_permits(100);
    waiting.await.unwrap().unwrap();
    assert_eq!(stub.fetches(), 2);
}

#[tokio::test]
async fn f2_38_introspection_is_believed_about_access_tokens_of_this_api_only() {
    let stub = Stub::start().await;
    let issuer = stub.asked();
    assert_eq!(issuer.read("opaque", at(0)).await.unwrap().subject, "alice");
    let table = [
        ("for-another", TokenFault::Audience),
        ("of-another", TokenFault::Issuer),
        ("refresh", TokenFault::Unverified),
        ("nobodys", TokenFault::Incomplete),
        ("truthy", TokenFault::Inactive),
        ("unknown", TokenFault::Inactive),
    ];
    for (token, fault) in table {
        assert_eq!(refused(issuer.read(token, at(0)).await), fault, "{token}");
    }
    assert_eq!(refused(issuer.read("opaque", at(3610)).await), TokenFault::Expired);
    assert_eq!(refused(stub.known().read("opaque", at(0)).await), TokenFault::Unverified, "nobody to ask");
}

#[tokio::test]
async fn f2_17_f2_38_a_jwt_allows_what_the_issuer_answers_about_it_now() {
    let stub = Stub::start().await;
    let issuer = stub.asked();
    let mut signed = claims(&stub.0.url);
    signed["scope"] = json!("accounts:read balances:read");
    signed["roles"] = json!(["account-viewer"]);
    signed["authorization_details"] = json!([{"type": "account_information", "accounts": ["1", "2"]}]);
    (signed["cnf"], signed["grant_id"]) = (json!({"jkt": "k"}), json!("g"));
    let token = stub.key().sign("at+jwt", &signed).unwrap();
    let read = async |answer: Option<Value>| {
        *stub.0.answered.lock().unwrap() = answer;
        issuer.read(&token, at(0)).await
    };
    let answer = |change: Value| {
        let mut answer = signed.clone();
        answer["active"] = json!(true);
        answer.as_object_mut().unwrap().extend(change.as_object().unwrap().clone());
        Some(answer)
    };
    assert_eq!(read(answer(json!({}))).await.unwrap(), stub.known().read(&token, at(0)).await.unwrap());
    let narrower = json!({
        "scope": "balances:read", "roles": [], "sub": "the bank's own name",
        "authorization_details": [{"type": "account_information", "accounts": ["2"]}],
    });
    let now = read(answer(narrower)).await.unwrap();
    assert_eq!(now.scope.iter().collect::<Vec<_>>(), ["balances:read"]);
    assert!(now.roles.is_empty());
    assert_eq!(now.authorization_details[0]["accounts"], json!(["2"]));
    assert_eq!(now.subject, "the bank's own name", "as of an opaque token");
    // What is not said is no longer allowed; who it is and to what it is bound, the JWT says.
    let now = read(Some(json!({"active": true}))).await.unwrap();
    assert!(now.scope.is_empty() && now.roles.is_empty() && now.authorization_details.is_empty());
    assert_eq!((now.subject.as_str(), now.jkt.as_deref()), ("alice", Some("k")));
    assert_eq!((now.id.as_deref(), now.grant_id.as_deref()), (Some("1"), Some("g")));
    let table = [
        (json!({"jti": "2"}), TokenFault::Unverified),
        (json!({"cnf": {"jkt": "another"}}), TokenFault::Unverified),
        (json!({"cnf": {"jkt": "k", "x5t#S256": "c"}}), TokenFault::Unverified),
        (json!({"aud": "https://other.example"}), TokenFault::Audience),
        (json!({"iss": "https://other.example"}), TokenFault::Issuer),
        (json!({"active": false}), TokenFault::Inactive),
    ];
    for (change, fault) in table {
        assert_eq!(refused(read(answer(change.clone())).await), fault, "{change}");
    }
}

#[tokio::test]
async fn metadata_of_another_issuer_is_not_believed() {
    let stub = Stub::start().await;
    *stub.0.claimed.lock().unwrap() = "https://evil.example".into();
    let answer = stub.known().read(&stub.token(), at(0)).await;
    assert!(matches!(answer, Err(Refusal::IssuerUnavailable)));
}

#[tokio::test]
async fn at_04_only_access_tokens_count_whatever_else_the_issuer_signed() {
    let stub = Stub::start().await;
    let issuer = stub.known();
    let read = async |typ: &str| {
        let token = stub.key().sign(typ, &claims(&stub.0.url)).unwrap();
        issuer.read(&token, at(0)).await
    };
    for typ in ["at+jwt", "AT+JWT", "application/at+jwt"] {
        assert!(read(typ).await.is_ok(), "{typ}");
    }
    for typ in ["JWT", "logout+jwt", "token-introspection+jwt", "oauth-authz-req+jwt", "at+jwt; x", ""] {
        assert_eq!(refused(read(typ).await), TokenFault::Unverified, "{typ}");
    }
}

#[tokio::test]
async fn jo_01_jo_02_forged_and_ambiguous_tokens_are_refused() {
    let stub = Stub::start().await;
    let issuer = stub.known();
    let good = stub.token();
    let kid = stub.key().kid().to_owned();
    let (signed, signature) = good.rsplit_once('.').unwrap();
    let (_, body) = signed.split_once('.').unwrap();
    let encode = |part: &str| URL_SAFE_NO_PAD.encode(part);
    let header = |members: Value| {
        let mut header = json!({"typ": "at+jwt", "kid": kid});
        header.as_object_mut().unwrap().extend(members.as_object().unwrap().clone());
        encode(&header.to_string())
    };
    let stranger = key();
    let of_stranger = stranger.sign("at+jwt", &claims(&stub.0.url)).unwrap();
    let (_, foreign) = of_stranger.rsplit_once('.').unwrap();
    let own_key: Value = serde_json::to_value(stranger.public()).unwrap();
    let twice = format!("{{\"sub\":\"mallory\",{}", &claims(&stub.0.url).to_string()[1..]);
    let table = [
        format!("{signed}."),
        format!("{signed}.{foreign}"),
        format!("{}.{body}.", header(json!({"alg": "none"}))),
        format!("{}.{body}.", header(json!({"alg": "NONE"}))),
        format!("{}.{body}.{signature}", header(json!({"alg": "HS256"}))),
        format!("{}.{body}.{signature}", header(json!({"alg": "ES512"}))),
        format!("{}.{body}.{signature}", header(json!({"alg": "ES256", "crit": ["b64"], "b64": false}))),
        format!("{}.{body}.{foreign}", header(json!({"alg": "ES256", "jwk": own_key}))),
        format!("{}.{}.{signature}", header(json!({"alg": "ES256"})), encode(&twice)),
        format!("{}.{body}.{signature}", encode("{\"alg\":\"ES256\",\"alg\":\"ES256\"}")),
        format!("{good}.{body}"),
        "eyJ.a.b".to_owned(),
        format!("ey{}.a.b", "A".repeat(20_000)),
    ];
    for token in table {
        assert_eq!(refused(issuer.read(&token, at(0)).await), TokenFault::Unverified, "{token:.300}");
    }
    // An algorithm that no key of the issuer's has may be that of a new key; it is asked for once.
    let other = format!("{}.{body}.{signature}", header(json!({"alg": "RS256"})));
    assert_eq!(refused(issuer.read(&other, at(0)).await), TokenFault::UnknownKey);
    assert_eq!(refused(issuer.read(&of_stranger, at(0)).await), TokenFault::UnknownKey);
    assert_eq!(stub.fetches(), 1);
}
