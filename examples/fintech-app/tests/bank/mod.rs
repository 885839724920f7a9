//! A bank small enough to read: an issuer that signs RS256, and an account API. And a visitor with a cookie jar.
//! What the bank asks of an app with keys is in [`fapi`].

pub mod fapi;

use std::{
    collections::HashMap,
    sync::{Arc, Mutex},
};

use axum::{
    Form, Json, Router,
    extract::State,
    http::{HeaderMap, StatusCode, Uri, header},
    response::{IntoResponse, Response},
    routing::{get, post},
};
use chrono::Utc;
use fintech_app::{Brand, Config, Keys};
use josekit::{
    jwk::Jwk,
    jws::{JwsHeader, RS256, serialize_compact},
};
use openidconnect::{PkceCodeChallenge, PkceCodeVerifier};
use reqwest::cookie::{CookieStore, Jar};
use serde_json::{Value, json};
use tokio::net::TcpListener;
use url::Url;

pub fn parameter(url: &str, name: &str) -> String {
    let url = Url::parse(url).unwrap();
    url.query_pairs().find(|(key, _)| key == name).map(|(_, value)| value.into_owned()).unwrap_or_default()
}

struct Code {
    client: String,
    nonce: String,
    challenge: String,
}

#[derive(Default)]
struct Inner {
    fapi: fapi::Seen,
    keys: Vec<Jwk>,
    published: usize,
    codes: HashMap<String, Code>,
    refresh: u32,
    withdrawn: bool,
    revoked: bool,
    forged: Option<(String, Value)>,
}

#[derive(Clone)]
pub struct StubBank {
    pub issuer: String,
    inner: Arc<Mutex<Inner>>,
}

impl StubBank {
    pub async fn start() -> Self {
        let (bank, listener) = Self::prepared().await;
        bank.serve(listener);
        bank
    }

    pub async fn prepared() -> (Self, TcpListener) {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let issuer = format!("http://{}", listener.local_addr().unwrap());
        let inner = Inner { keys: vec![key("k0")], published: 1, ..Inner::default() };
        (Self { issuer, inner: Arc::new(Mutex::new(inner)) }, listener)
    }

    pub fn serve(&self, listener: TcpListener) {
        let router = Router::new()
            .route("/.well-known/openid-configuration", get(metadata))
            .route("/jwks", get(jwks))
            .route("/par", post(fapi::push))
            .route("/token", post(token))
            .route("/userinfo", get(userinfo))
            .route("/revoke", post(revoke))
            .route("/accounts", get(accounts))
            .route("/payments", post(pay))
            .route("/accounts/{id}/balances", get(balances))
            .with_state(self.clone());
        tokio::spawn(async move { axum::serve(listener, router).await });
    }

    /// What the bank's redirect back looks like once the customer has said yes.
    pub fn approve(&self, request: &str) -> String {
        let request = &self.pushed(request);
        let code = format!("code-{}", parameter(request, "state"));
        self.inner.lock().unwrap().codes.insert(
            code.clone(),
            Code {
                client: parameter(request, "client_id"),
                nonce: parameter(request, "nonce"),
                challenge: parameter(request, "code_challenge"),
            },
        );
        let back = parameter(request, "redirect_uri");
        format!("{back}?code={code}&state={}&iss={}", parameter(request, "state"), self.issuer)
    }

    /// What was asked, in full: the reference that the browser carries stands for a pushed request.
    pub fn pushed(&self, request: &str) -> String {
        self.inner.lock().unwrap().fapi.request(request)
    }

    pub fn withdraw(&self) {
        self.inner.lock().unwrap().withdrawn = true;
    }
    pub fn was_revoked(&self) -> bool {
        self.inner.lock().unwrap().revoked
    }
    pub fn forge_claim(&self, claim: &str, value: Value) {
        self.inner.lock().unwrap().forged = Some((claim.into(), value));
    }
    /// Signs with a new key from now on.
    pub fn rotate(&self, publish: bool) {
        let mut inner = self.inner.lock().unwrap();
        let name = format!("k{}", inner.keys.len());
        inner.keys.push(key(&name));
        if publish {
            inner.published = inner.keys.len();
        }
    }

    fn id_token(&self, inner: &Inner, client: &str, nonce: Option<&str>) -> String {
        let now = now();
        let mut claims = json!({
            "iss": self.issuer, "sub": "alice", "aud": client, "iat": now, "exp": now + 300, "auth_time": now,
            "acr": "urn:openbanking:psd2:sca", "amr": ["pwd", "otp"],
        });
        if let Some(nonce) = nonce {
            claims["nonce"] = nonce.into();
        }
        if let Some((claim, value)) = &inner.forged {
            claims[claim] = value.clone();
        }
        sign(inner.keys.last().unwrap(), "JWT", &claims)
    }

    fn tokens(&self, inner: &mut Inner, client: &str, nonce: Option<&str>) -> Response {
        inner.refresh += 1;
        let access =
            json!({ "sub": "alice", "client_id": client, "roles": ["account-viewer"], "n": inner.refresh });
        Json(json!({
            "access_token": sign(inner.keys.last().unwrap(), "at+jwt", &access), "expires_in": 300,
            "token_type": if client == "ledgerline" { inner.fapi.token_type() } else { "Bearer" },
            "refresh_token": format!("refresh-{}", inner.refresh), "id_token": self.id_token(inner, client, nonce),
            "scope": "openid profile accounts:read balances:read offline_access payments:write",
        }))
        .into_response()
    }
}

#[expect(clippy::disallowed_methods, reason = "the app under test compares the tokens with the real time")]
fn now() -> i64 {
    Utc::now().timestamp()
}

fn key(kid: &str) -> Jwk {
    let mut key = Jwk::generate_rsa_key(2048).unwrap();
    key.set_key_id(kid);
    key
}

fn sign(key: &Jwk, typ: &str, claims: &Value) -> String {
    let mut header = JwsHeader::new();
    header.set_token_type(typ);
    let signer = RS256.signer_from_jwk(key).unwrap();
    serialize_compact(claims.to_string().as_bytes(), &header, &signer).unwrap()
}

async fn metadata(State(bank): State<StubBank>) -> Json<Value> {
    let at = |path: &str| format!("{}{path}", bank.issuer);
    Json(json!({
        "issuer": bank.issuer, "authorization_endpoint": at("/authorize"), "token_endpoint": at("/token"),
        "jwks_uri": at("/jwks"), "pushed_authorization_request_endpoint": at("/par"), "userinfo_endpoint": at("/userinfo"), "revocation_endpoint": at("/revoke"),
        "end_session_endpoint": at("/end-session"), "response_types_supported": ["code"],
        "subject_types_supported": ["public"], "id_token_signing_alg_values_supported": ["RS256", "ES256"],
        "authorization_response_iss_parameter_supported": true,
    }))
}

async fn jwks(State(bank): State<StubBank>) -> Json<Value> {
    let inner = bank.inner.lock().unwrap();
    let public = |key: &Jwk| {
        let mut public = key.to_public_key().unwrap();
        public.set_key_id(key.key_id().unwrap());
        public
    };
    Json(json!({ "keys": inner.keys[..inner.published].iter().map(public).collect::<Vec<_>>() }))
}

fn refused(status: StatusCode, error: &str) -> Response {
    (status, Json(json!({ "error": error }))).into_response()
}

/// An assertion from the app with keys, the bare name from the public one.
fn client_of(issuer: &str, inner: &mut Inner, form: &HashMap<String, String>) -> Option<String> {
    let id = form.get("client_id")?;
    let known = if id == "ledgerline" { inner.fapi.authenticates(issuer, form) } else { id == "pocketwise" };
    known.then(|| id.clone())
}

async fn token(
    State(bank): State<StubBank>,
    headers: HeaderMap,
    Form(form): Form<HashMap<String, String>>,
) -> Response {
    let mut inner = bank.inner.lock().unwrap();
    let Some(client) = client_of(&bank.issuer, &mut inner, &form) else {
        return refused(StatusCode::UNAUTHORIZED, "invalid_client");
    };
    if client == "ledgerline"
        && let Err(refused) = inner.fapi.proves(&headers, "POST", &format!("{}/token", bank.issuer), None)
    {
        return refused;
    }
    let invalid = refused(StatusCode::BAD_REQUEST, "invalid_grant");
    if form["grant_type"] == "refresh_token" {
        let current = format!("refresh-{}", inner.refresh);
        return if inner.withdrawn || form["refresh_token"] != current {
            invalid
        } else {
            bank.tokens(&mut inner, &client, None)
        };
    }
    let Some(code) = inner.codes.remove(&form["code"]) else { return invalid };
    let verifier = PkceCodeVerifier::new(form["code_verifier"].clone());
    if code.client != client
        || PkceCodeChallenge::from_code_verifier_sha256(&verifier).as_str() != code.challenge
    {
        return invalid;
    }
    bank.tokens(&mut inner, &client, Some(&code.nonce))
}

async fn userinfo(State(bank): State<StubBank>, uri: Uri, headers: HeaderMap) -> Response {
    match bank.presents("GET", &headers, &uri) {
        Ok(()) => Json(json!({ "sub": "alice", "name": "Alice Example" })).into_response(),
        Err(refused) => refused,
    }
}

async fn revoke(State(bank): State<StubBank>, Form(form): Form<HashMap<String, String>>) -> StatusCode {
    let mut inner = bank.inner.lock().unwrap();
    let known = client_of(&bank.issuer, &mut inner, &form).is_some() && form["token"].starts_with("refresh-");
    inner.revoked = known;
    if known { StatusCode::OK } else { StatusCode::UNAUTHORIZED }
}

async fn accounts(State(bank): State<StubBank>, uri: Uri, headers: HeaderMap) -> Response {
    if let Err(refused) = bank.presents("GET", &headers, &uri) {
        return refused;
    }
    if bank.inner.lock().unwrap().withdrawn {
        return refused(StatusCode::UNAUTHORIZED, "invalid_token");
    }
    let account = json!({ "account_id": "a-1", "name": "Everyday account", "kind": "current", "number": "•••• 1", "iban": "DE1" });
    Json(json!({ "accounts": [account] })).into_response()
}

async fn pay(
    State(bank): State<StubBank>,
    uri: Uri,
    headers: HeaderMap,
    Json(mut order): Json<Value>,
) -> Response {
    if let Err(refused) = bank.presents("POST", &headers, &uri) {
        return refused;
    }
    order["payment_id"] = "pay-1".into();
    (StatusCode::CREATED, Json(order)).into_response()
}

async fn balances() -> Json<Value> {
    Json(json!({ "balances": [{ "kind": "available", "amount": "2841.17", "currency": "EUR" }] }))
}

/// A person with a browser that follows no redirect by itself.
pub struct Visitor {
    pub client: reqwest::Client,
    jar: Arc<Jar>,
    base: String,
}

impl Visitor {
    /// Starts the apps for `bank` on a port of their own and visits them.
    pub async fn of(bank: &StubBank) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let base = format!("http://{}", listener.local_addr().unwrap());
        let keys = Arc::new(Keys::draw().unwrap());
        bank.inner.lock().unwrap().fapi.register(&keys.jwks());
        let config = Config {
            issuer: bank.issuer.clone(),
            bank_name: "Stub Bank".into(),
            bank_account_url: None,
            bank_api: bank.issuer.parse().unwrap(),
            public_url: base.parse().unwrap(),
            brands: vec![Brand::ledgerline(keys), Brand::pocketwise()],
        };
        tokio::spawn(fintech_app::serve(config, listener, std::future::pending()));
        let jar = Arc::new(Jar::default());
        let builder = reqwest::Client::builder().cookie_provider(Arc::clone(&jar));
        Self { client: builder.redirect(reqwest::redirect::Policy::none()).build().unwrap(), jar, base }
    }

    pub fn url(&self, path: &str) -> String {
        format!("{}{path}", self.base)
    }
    pub fn cookie(&self) -> String {
        self.jar.cookies(&self.base.parse().unwrap()).unwrap().to_str().unwrap().to_owned()
    }
    pub async fn get(&self, url: &str) -> reqwest::Response {
        self.client.get(url).send().await.unwrap()
    }
    pub async fn page(&self, path: &str) -> String {
        let response = self.get(&self.url(path)).await;
        assert_eq!(response.status(), StatusCode::OK);
        response.text().await.unwrap()
    }
    /// Posts a form and returns where it leads.
    pub async fn post(&self, path: &str, body: &'static str) -> String {
        let request = self
            .client
            .post(self.url(path))
            .header(header::CONTENT_TYPE, "application/x-www-form-urlencoded");
        let response = request.body(body).send().await.unwrap();
        assert_eq!(response.status(), StatusCode::SEE_OTHER);
        response.headers()[header::LOCATION].to_str().unwrap().to_owned()
    }
    pub async fn connect(&self, app: &str, payments: bool) -> String {
        self.post(&format!("/{app}/connect"), if payments { "payments=yes" } else { "" }).await
    }
    pub async fn try_connect(&self, app: &str) -> (StatusCode, String) {
        let request = self.client.post(self.url(&format!("/{app}/connect")));
        let request = request.header(header::CONTENT_TYPE, "application/x-www-form-urlencoded");
        let response = request.send().await.unwrap();
        (response.status(), response.text().await.unwrap())
    }
    /// The whole way, up to the connected page.
    pub async fn connected(&self, app: &str, bank: &StubBank) {
        let answer = self.get(&bank.approve(&self.connect(app, false).await)).await;
        assert_eq!(answer.status(), StatusCode::SEE_OTHER, "{}", answer.text().await.unwrap());
        assert!(self.page(&format!("/{app}")).await.contains("2841.17"));
    }
}
