//! The floor: what axum alone costs on this machine, in this hour.
//!
//! The same machine is up to twice as slow in one hour as in another. What a server on the same stack costs
//! that does nothing, or nothing but one ES256 signature, is therefore measured beside every run; the
//! quotient of the two is what may be compared.

use std::process::{Command, Stdio};

use aws_lc_rs::{
    rand::SystemRandom,
    signature::{ECDSA_P256_SHA256_FIXED_SIGNING, EcdsaKeyPair},
};
use axum::{
    Json, Router,
    routing::{get, post},
};
use base64::{Engine, engine::general_purpose::URL_SAFE_NO_PAD};
use testkit::{Process, free_port};

use crate::{
    drive::{Figures, Processes},
    scenarios::Repeat,
};

/// The first argument of the process that is the floor.
pub const FLOOR: &str = "--floor";

/// A hello, and an ES256 JWT in a token response.
pub async fn measured(go: impl AsyncFn(Vec<Repeat>, Processes) -> Figures, workers: usize) -> [Figures; 2] {
    let port = free_port();
    let mut command = Command::new(std::env::current_exe().expect("a process knows its executable"));
    command.args([FLOOR, &port.to_string()]).stdin(Stdio::null());
    let origin = format!("http://127.0.0.1:{port}");
    let server = Process::start("floor", &mut command).ready(&origin).await;
    let processes = Processes { server: server.id(), postgres: None };
    let hello = (0..workers).map(|_| Repeat::get(&origin, "/")).collect();
    let hello = go(hello, processes).await;
    let signed = (0..workers).map(|_| Repeat::client_credentials(&origin)).collect();
    let signed = go(signed, processes).await;
    server.terminate().await;
    [hello, signed]
}

/// Serves them.
pub async fn serve(port: &str) {
    let key = EcdsaKeyPair::generate(&ECDSA_P256_SHA256_FIXED_SIGNING).expect("a key can be made");
    let key: &'static EcdsaKeyPair = Box::leak(Box::new(key));
    let claims = serde_json::json!({
        "iss": "https://issuer.example", "sub": "app", "aud": "https://api.example", "client_id": "app",
        "exp": 1_800_000_300, "iat": 1_800_000_000, "jti": "0190c8c5-7f5e-7c3a-9d3e-6f0a0b0c0d0e", "scope": "accounts:read",
    });
    let token = move || async move {
        let random = SystemRandom::new();
        let claims = serde_json::to_vec(&claims).expect("JSON can be written");
        let header = URL_SAFE_NO_PAD.encode(br#"{"alg":"ES256","typ":"at+jwt","kid":"floor"}"#);
        let mut jwt = format!("{header}.{}", URL_SAFE_NO_PAD.encode(claims));
        let signature = key.sign(&random, jwt.as_bytes()).expect("a key signs");
        jwt.push('.');
        jwt.push_str(&URL_SAFE_NO_PAD.encode(signature));
        Json(serde_json::json!({ "access_token": jwt, "token_type": "Bearer", "expires_in": 300 }))
    };
    let app = Router::new().route("/", get(|| async { "hello" })).route("/token", post(token));
    let listener = tokio::net::TcpListener::bind(format!("127.0.0.1:{port}")).await;
    axum::serve(listener.expect("the port is free"), app).await.expect("it serves until it is ended");
}
