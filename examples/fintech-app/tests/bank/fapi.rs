//! The bank's side of FAPI 2.0, as far as an app can get it wrong: every assertion and proof is verified, counts
//! once, and proofs carry the nonce that was handed out with the last refusal.

#![expect(clippy::result_large_err, reason = "a refusal is the answer itself")]

use std::collections::{HashMap, HashSet};

use axum::{
    Json,
    extract::State,
    http::{HeaderMap, StatusCode, Uri, header},
    response::{IntoResponse, Response},
};
use base64::{Engine, engine::general_purpose::URL_SAFE_NO_PAD};
use josekit::{
    jwk::Jwk,
    jws::{ES256, JwsContext},
};
use serde_json::{Value, json};

use super::{StubBank, now, parameter, refused};

#[derive(Default)]
pub struct Seen {
    /// Every browser's app registered its own.
    clients: Vec<Jwk>,
    used: HashSet<String>,
    pushed: Vec<String>,
    bearer: bool,
}

impl Seen {
    pub fn register(&mut self, jwks: &Value) {
        let key = jwks["keys"][0].as_object().unwrap().clone();
        assert!(!key.contains_key("d"), "private keys stay at home");
        self.clients.push(Jwk::from_map(key).unwrap());
    }

    pub const fn token_type(&self) -> &'static str {
        if self.bearer { "Bearer" } else { "DPoP" }
    }

    pub fn request(&self, carried: &str) -> String {
        match parameter(carried, "request_uri").rsplit_once(':') {
            Some((_, index)) => {
                format!("https://pushed.example/?{}", self.pushed[index.parse::<usize>().unwrap()])
            }
            None => carried.to_owned(),
        }
    }

    /// FAPI 2.0 §5.3.3.2.
    pub fn authenticates(&mut self, issuer: &str, form: &HashMap<String, String>) -> bool {
        let Some(assertion) = form.get("client_assertion") else { return false };
        assert_eq!(form["client_assertion_type"], "urn:ietf:params:oauth:client-assertion-type:jwt-bearer");
        let Some(claims) = self.clients.iter().find_map(|key| verified(assertion, key)) else { return false };
        let good = claims["iss"] == "ledgerline"
            && claims["sub"] == "ledgerline"
            && claims["aud"] == issuer
            && claims["exp"].as_i64().unwrap() > now();
        good && self.used.insert(claims["jti"].as_str().unwrap().to_owned())
    }

    /// RFC 9449 §4.3. The nonce is one that a refusal has handed out.
    pub fn proves(
        &mut self,
        headers: &HeaderMap,
        method: &str,
        url: &str,
        token: Option<&str>,
    ) -> Result<(), Response> {
        let proof = headers["dpop"].to_str().unwrap();
        let header: Value =
            serde_json::from_slice(&URL_SAFE_NO_PAD.decode(proof.split('.').next().unwrap()).unwrap())
                .unwrap();
        assert_eq!(header["typ"], "dpop+jwt");
        assert_eq!(header["jwk"].get("d"), None, "private keys stay at home");
        let key = Jwk::from_map(header["jwk"].as_object().unwrap().clone()).unwrap();
        let claims = verified(proof, &key).unwrap();
        assert_eq!((&claims["htm"], &claims["htu"]), (&json!(method), &json!(url)));
        assert!((claims["iat"].as_i64().unwrap() - now()).abs() < 5);
        assert_eq!(claims.get("ath").is_some(), token.is_some());
        assert!(self.used.insert(claims["jti"].as_str().unwrap().to_owned()), "proofs count once");
        if claims["nonce"] == "of this bank" {
            return Ok(());
        }
        let mut refused = refused(StatusCode::BAD_REQUEST, "use_dpop_nonce");
        if token.is_some() {
            *refused.status_mut() = StatusCode::UNAUTHORIZED;
            let challenge = "DPoP error=\"use_dpop_nonce\"".parse().unwrap();
            refused.headers_mut().insert(header::WWW_AUTHENTICATE, challenge);
        }
        refused.headers_mut().insert("dpop-nonce", "of this bank".parse().unwrap());
        Err(refused)
    }
}

fn verified(token: &str, key: &Jwk) -> Option<Value> {
    let mut verifier = ES256.verifier_from_jwk(key).unwrap();
    verifier.remove_key_id();
    let (payload, _) = JwsContext::new().deserialize_compact(token, &verifier).ok()?;
    serde_json::from_slice(&payload).ok()
}

impl StubBank {
    pub fn issue_bearer_tokens(&self) {
        self.inner.lock().unwrap().fapi.bearer = true;
    }

    /// Bearer from the public app, DPoP from the other.
    pub fn presents(&self, method: &str, headers: &HeaderMap, uri: &Uri) -> Result<(), Response> {
        let sent = headers[header::AUTHORIZATION].to_str().unwrap();
        let (scheme, token) = sent.split_once(' ').unwrap();
        let payload = URL_SAFE_NO_PAD.decode(token.split('.').nth(1).unwrap()).unwrap();
        let claims: Value = serde_json::from_slice(&payload).unwrap();
        let bound = claims["client_id"] == "ledgerline";
        assert_eq!(scheme, if bound { "DPoP" } else { "Bearer" });
        let url = format!("{}{}", self.issuer, uri.path());
        let mut inner = self.inner.lock().unwrap();
        if bound { inner.fapi.proves(headers, method, &url, Some(token)) } else { Ok(()) }
    }
}

pub async fn push(State(bank): State<StubBank>, headers: HeaderMap, body: String) -> Response {
    let form: HashMap<String, String> = url::form_urlencoded::parse(body.as_bytes()).into_owned().collect();
    let mut inner = bank.inner.lock().unwrap();
    if let Err(refused) = inner.fapi.proves(&headers, "POST", &format!("{}/par", bank.issuer), None) {
        return refused;
    }
    if !inner.fapi.authenticates(&bank.issuer, &form) {
        return refused(StatusCode::UNAUTHORIZED, "invalid_client");
    }
    inner.fapi.pushed.push(body);
    let name = format!("urn:example:{}", inner.fapi.pushed.len() - 1);
    (StatusCode::CREATED, Json(json!({ "request_uri": name, "expires_in": 60 }))).into_response()
}
