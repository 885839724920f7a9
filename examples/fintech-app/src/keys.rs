//! The keys of a confidential app, and what it proves with them (FAPI 2.0 Security Profile §5.3.3): to the bank
//! that it is this client (`private_key_jwt`, RFC 7523), and with every request that it holds the key to which
//! its access tokens are bound (DPoP, RFC 9449).
//!
//! Neither key leaves the process. A real app keeps the first one for as long as it is registered at the bank;
//! this one draws both when it starts and registers anew.

use std::{
    collections::HashMap,
    sync::{Mutex, PoisonError},
};

use aws_lc_rs::digest::{SHA256, digest};
use base64::{Engine, engine::general_purpose::URL_SAFE_NO_PAD};
use chrono::{DateTime, TimeDelta, Utc};
use josekit::{
    JoseError,
    jwk::{Jwk, alg::ec::EcCurve},
    jws::{ES256, JwsHeader, alg::ecdsa::EcdsaJwsSigner, serialize_compact},
};
use openidconnect::CsrfToken;
use serde_json::{Value, json};

/// How long an assertion counts; it is used at once.
const ASSERTION: TimeDelta = TimeDelta::minutes(1);

/// One key to sign in at the bank with, and one that tokens are bound to.
pub struct Keys {
    client: Pair,
    sender: Pair,
    /// The nonce that each server wants to see in the next proof (RFC 9449 §8.2), by origin.
    nonces: Mutex<HashMap<String, String>>,
}

struct Pair {
    signer: EcdsaJwsSigner,
    public: Jwk,
}

impl Pair {
    fn draw(kid: Option<&str>) -> Result<Self, JoseError> {
        let mut private = Jwk::generate_ec_key(EcCurve::P256)?;
        let mut public = private.to_public_key()?;
        if let Some(kid) = kid {
            private.set_key_id(kid);
            public.set_key_id(kid);
        }
        Ok(Self { signer: ES256.signer_from_jwk(&private)?, public })
    }

    fn sign(&self, header: &JwsHeader, claims: &Value) -> Result<String, JoseError> {
        serialize_compact(claims.to_string().as_bytes(), header, &self.signer)
    }
}

impl Keys {
    /// Two new ES256 keys.
    ///
    /// # Errors
    /// If the cryptographic library can't make them.
    pub fn draw() -> Result<Self, JoseError> {
        let kid = CsrfToken::new_random().into_secret();
        Ok(Self { client: Pair::draw(Some(&kid))?, sender: Pair::draw(None)?, nonces: Mutex::default() })
    }

    /// The key set that is registered at the bank (RFC 7517 §5).
    #[must_use]
    pub fn jwks(&self) -> Value {
        let mut key = self.client.public.clone();
        key.set_key_use("sig");
        key.set_algorithm("ES256");
        json!({ "keys": [key] })
    }

    /// Who we are, said to the issuer and to nobody else (RFC 7523 §3, FAPI 2.0 §5.3.3.2).
    pub(crate) fn assertion(
        &self,
        client_id: &str,
        issuer: &str,
        now: DateTime<Utc>,
    ) -> Result<String, JoseError> {
        let (now, end) = (now.timestamp(), (now + ASSERTION).timestamp());
        let claims = json!({
            "iss": client_id, "sub": client_id, "aud": issuer, "jti": CsrfToken::new_random().into_secret(),
            "iat": now, "exp": end,
        });
        self.client.sign(&JwsHeader::new(), &claims)
    }

    /// That we hold the key, for one request (RFC 9449 §4.2). `token` comes with it to a protected resource.
    pub(crate) fn proof(
        &self,
        method: &str,
        uri: &http::Uri,
        token: Option<&str>,
        now: DateTime<Utc>,
    ) -> Result<String, JoseError> {
        let mut header = JwsHeader::new();
        header.set_token_type("dpop+jwt");
        header.set_jwk(self.sender.public.clone());
        let target = uri.to_string();
        let target = target.split(['?', '#']).next().unwrap_or_default();
        let mut claims = json!({
            "jti": CsrfToken::new_random().into_secret(), "htm": method, "htu": target, "iat": now.timestamp(),
        });
        if let Some(token) = token {
            claims["ath"] = URL_SAFE_NO_PAD.encode(digest(&SHA256, token.as_bytes())).into();
        }
        if let Some(nonce) = self.lock().get(&origin(uri)) {
            claims["nonce"] = nonce.as_str().into();
        }
        self.sender.sign(&header, &claims)
    }

    /// Remembers what a server wants to see next time.
    pub(crate) fn learn_nonce(&self, uri: &http::Uri, nonce: &str) {
        self.lock().insert(origin(uri), nonce.to_owned());
    }

    fn lock(&self) -> std::sync::MutexGuard<'_, HashMap<String, String>> {
        self.nonces.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

fn origin(uri: &http::Uri) -> String {
    let part = |text: Option<&str>| text.unwrap_or_default().to_owned();
    format!("{}://{}", part(uri.scheme_str()), part(uri.authority().map(http::uri::Authority::as_str)))
}

impl std::fmt::Debug for Keys {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Keys(redacted)")
    }
}
