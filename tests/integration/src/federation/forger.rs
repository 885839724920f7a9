//! A provider that forges what it likes.

use std::sync::{Arc, Mutex};

use axum::{Form, Json, Router, extract::State, routing};
use jose::{Algorithm, PrivateKey, SigningKey};
use serde_json::{Value, json};
use tokio::task::JoinHandle;

use super::front::Front;

/// Where people sign in: not where the issuer is.
pub const LOGIN_ORIGIN: &str = "https://login.forger.example";

type Forgery = Box<dyn FnOnce(&mut Value) -> Option<String> + Send>;

struct Shared {
    issuer: String,
    key: SigningKey,
    nonce: Mutex<String>,
    now: Mutex<i64>,
    forgery: Mutex<Option<Forgery>>,
    redeemed: Mutex<usize>,
    /// Whether the code says which nonce the ID token has.
    repeats: Mutex<bool>,
}

/// The provider.
pub struct Forger {
    pub issuer: String,
    shared: Arc<Shared>,
    server: JoinHandle<()>,
}

impl Drop for Forger {
    fn drop(&mut self) {
        self.server.abort();
    }
}

pub fn key() -> SigningKey {
    SigningKey::new(&PrivateKey::generate(Algorithm::Es256).unwrap()).unwrap()
}

impl Forger {
    pub fn open(front: &Front, iss_promised: bool) -> Self {
        let issuer = front.issuer.clone();
        let shared = Arc::new(Shared {
            issuer: issuer.clone(),
            key: key(),
            nonce: Mutex::default(),
            now: Mutex::default(),
            forgery: Mutex::default(),
            redeemed: Mutex::default(),
            repeats: Mutex::default(),
        });
        let metadata = json!({
            "issuer": issuer, "authorization_endpoint": format!("{LOGIN_ORIGIN}/go"),
            "token_endpoint": format!("{issuer}/token"), "jwks_uri": format!("{issuer}/jwks"),
            "response_types_supported": ["code"], "subject_types_supported": ["public"],
            "id_token_signing_alg_values_supported": ["ES256"],
            "authorization_response_iss_parameter_supported": iss_promised,
        });
        let mut jwk = shared.key.public().to_value();
        jwk["kid"] = json!(shared.key.kid());
        let jwks = json!({ "keys": [jwk] });
        let router = Router::new()
            .route("/.well-known/openid-configuration", routing::get(move || async { Json(metadata) }))
            .route("/jwks", routing::get(move || async { Json(jwks) }))
            .route("/token", routing::post(token))
            .with_state(shared.clone());
        let listener = front.inner();
        let server = tokio::spawn(async move { axum::serve(listener, router).await.unwrap() });
        Self { issuer, shared, server }
    }

    /// The next ID token carries this nonce, is made at this time, and is changed like this. A change may
    /// give another token in its place.
    pub fn next(
        &self,
        nonce: &str,
        now: i64,
        forgery: impl FnOnce(&mut Value) -> Option<String> + Send + 'static,
    ) {
        *self.shared.nonce.lock().unwrap() = nonce.to_owned();
        *self.shared.now.lock().unwrap() = now;
        *self.shared.forgery.lock().unwrap() = Some(Box::new(forgery));
    }

    /// From now on every code is the nonce of the ID token, made at this time, which nothing else changes.
    pub fn repeat_nonces(&self, now: i64) {
        *self.shared.now.lock().unwrap() = now;
        *self.shared.repeats.lock().unwrap() = true;
    }

    /// How often a code came to its token endpoint.
    pub fn redeemed(&self) -> usize {
        *self.shared.redeemed.lock().unwrap()
    }
}

async fn token(State(shared): State<Arc<Shared>>, Form(fields): Form<Vec<(String, String)>>) -> Json<Value> {
    *shared.redeemed.lock().unwrap() += 1;
    assert!(fields.iter().any(|(name, _)| name == "code_verifier"));
    let now = *shared.now.lock().unwrap();
    let nonce = match *shared.repeats.lock().unwrap() {
        true => fields.iter().find(|(name, _)| name == "code").unwrap().1.clone(),
        false => shared.nonce.lock().unwrap().clone(),
    };
    let mut claims = json!({
        "iss": shared.issuer, "sub": "mallory", "aud": "south", "iat": now, "exp": now + 300, "auth_time": now,
        "nonce": nonce, "email": "alice@bank.example", "email_verified": true,
        "preferred_username": "alice",
    });
    let forgery = shared.forgery.lock().unwrap().take();
    let forged = forgery.and_then(|forgery| forgery(&mut claims));
    let id_token = forged.unwrap_or_else(|| shared.key.sign("JWT", &claims).unwrap());
    Json(json!({ "access_token": "at", "token_type": "Bearer", "id_token": id_token }))
}
