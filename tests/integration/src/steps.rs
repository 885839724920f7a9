//! Steps that many tests take: obtain a code, connect an app, declare one more client, send a request
//! that no decent app would send, sign what nobody should believe.

use base64::{Engine, engine::general_purpose::URL_SAFE_NO_PAD};
use flows::declare::{DeclareFault, Declared, DeclaredClient};
use jose::{Algorithm, PrivateKey, SigningKey};
use serde_json::{Value, json};
use testkit::{Answer, Attempt, Browser, RelyingParty};
use tokens::client::ClientSettings;

use crate::bank::Bank;

/// Alice signs in in a fresh browser and allows what the app asks: the attempt and its code.
pub async fn code_for(bank: &Bank, app: &RelyingParty, scope: &str) -> (Attempt, String) {
    let attempt = app.attempt(scope);
    let departure = bank.connect(&mut bank.person("alice"), &Browser::new(), attempt.url()).await;
    let code = attempt.code(&departure);
    (attempt, code)
}

/// The same, up to the token response.
pub async fn tokens_for(bank: &Bank, app: &RelyingParty, scope: &str) -> Answer {
    let (attempt, code) = code_for(bank, app, scope).await;
    app.redeem(&attempt, &code).await.expect(200)
}

/// Sends a request that was put together by hand.
pub async fn answer(request: reqwest::RequestBuilder) -> Answer {
    let response = request.send().await.unwrap();
    let (status, headers) = (response.status().as_u16(), response.headers().clone());
    let text = response.text().await.unwrap();
    let json = serde_json::from_str(&text).unwrap_or(Value::Null);
    Answer { status, headers, text, json }
}

/// Declares a client with this metadata (RFC 7591) and no secret.
pub async fn declare_client(bank: &Bank, id: &str, metadata: Value) -> Result<(), DeclareFault> {
    let client = DeclaredClient {
        id: id.parse().unwrap(),
        metadata: serde_json::from_value(metadata).unwrap(),
        settings: ClientSettings::default(),
        secret: None,
    };
    bank.service.declare(&Declared { clients: vec![client], ..Declared::default() }).await.unwrap()
}

/// A new signing key, as a client keeps one.
pub fn new_key(algorithm: Algorithm) -> SigningKey {
    SigningKey::new(&PrivateKey::generate(algorithm).unwrap()).unwrap()
}

/// Metadata of a client that acts for itself and signs with one of these keys.
pub fn signing_client(keys: &[&SigningKey]) -> Value {
    let keys: Vec<Value> = keys.iter().map(|key| key.public().to_value()).collect();
    json!({
        "client_name": "Signing App",
        "token_endpoint_auth_method": "private_key_jwt",
        "grant_types": ["client_credentials"],
        "scope": "accounts:read",
        "jwks": { "keys": keys },
    })
}

/// The header of a JWT.
pub fn header_of(jwt: &str) -> Value {
    serde_json::from_slice(&URL_SAFE_NO_PAD.decode(jwt.split('.').next().unwrap()).unwrap()).unwrap()
}

/// A compact JWS over exactly these texts, however malformed they are.
pub fn signed_as_is(header: &str, payload: &str, sign: impl Fn(&[u8]) -> Vec<u8>) -> String {
    let input = format!("{}.{}", URL_SAFE_NO_PAD.encode(header), URL_SAFE_NO_PAD.encode(payload));
    let signature = URL_SAFE_NO_PAD.encode(sign(input.as_bytes()));
    format!("{input}.{signature}")
}
