//! What FAPI costs: a client that signs its assertions and proofs, and binds every token to a key.
//!
//! Each request has an assertion and a proof of its own, because each is good for one use; the driver signs
//! them, and its CPU is not counted.

use std::{
    path::Path,
    sync::{
        Arc,
        atomic::{AtomicU64, Ordering},
    },
};

use aws_lc_rs::{
    rand::SystemRandom,
    signature::{
        ECDSA_P256_SHA256_FIXED, ECDSA_P256_SHA256_FIXED_SIGNING, EcdsaKeyPair, KeyPair, ParsedPublicKey,
    },
};
use base64::{Engine, engine::general_purpose::URL_SAFE_NO_PAD};
use chrono::{DateTime, Utc};
use jose::{DpopPolicy, verify_dpop};
use serde_json::{Value, json};
use testkit::{Attempt, Browser, ClientAuth, Page, Person, RelyingParty};

use crate::drive::{self, Work};

const CLIENT: &str = "fapi-app";
const SCOPE: &str = "openid accounts:read";
/// The file with the client's public key that the bank's file names.
pub const KEYS: &str = "fapi-app.jwks";

/// An ES256 key that signs JWTs.
#[derive(Clone)]
pub struct Key(Arc<EcdsaKeyPair>);

impl Key {
    /// A new one.
    pub fn new() -> Self {
        let key = EcdsaKeyPair::generate(&ECDSA_P256_SHA256_FIXED_SIGNING).expect("a key can be made");
        Self(Arc::new(key))
    }

    fn jwk(&self) -> Value {
        let point = self.0.public_key().as_ref();
        let encoded = |bytes: &[u8]| URL_SAFE_NO_PAD.encode(bytes);
        json!({ "kty": "EC", "crv": "P-256", "x": encoded(&point[1..33]), "y": encoded(&point[33..]) })
    }

    /// Writes the public key as a JWK Set.
    pub fn publish(&self, directory: &Path) {
        let mut jwk = self.jwk();
        jwk["kid"] = json!("one");
        let set = json!({ "keys": [jwk] }).to_string();
        std::fs::write(directory.join(KEYS), set).expect("the keys can be written");
    }

    fn sign(&self, header: &Value, claims: &Value) -> String {
        let part = |value: &Value| URL_SAFE_NO_PAD.encode(value.to_string());
        let signed = format!("{}.{}", part(header), part(claims));
        let signature = self.0.sign(&SystemRandom::new(), signed.as_bytes()).expect("a key signs");
        format!("{signed}.{}", URL_SAFE_NO_PAD.encode(signature))
    }

    fn proof(&self, method: &str, url: &str, at: i64) -> String {
        let header = json!({ "typ": "dpop+jwt", "alg": "ES256", "jwk": self.jwk() });
        self.sign(&header, &json!({ "jti": once(), "htm": method, "htu": url, "iat": at }))
    }
}

/// A value that no other is like.
fn once() -> String {
    static COUNT: AtomicU64 = AtomicU64::new(0);
    format!("bench-{}-{:012}", std::process::id(), COUNT.fetch_add(1, Ordering::Relaxed))
}

fn clock() -> i64 {
    testkit::totp::machine_time().timestamp()
}

/// One such client with a connection of its own.
pub struct Client {
    party: RelyingParty,
    proofs: Key,
}

impl Client {
    /// At this issuer; every client signs its assertions with the same key.
    pub fn new(issuer: &str, key: &Key) -> Self {
        let (key, audience) = (key.clone(), issuer.to_owned());
        let assertion = move || {
            let header = json!({ "typ": "JWT", "alg": "ES256", "kid": "one" });
            let (iat, jti) = (clock(), once());
            let claims = json!({ "iss": CLIENT, "sub": CLIENT, "aud": audience, "iat": iat, "exp": iat + 60, "jti": jti });
            key.sign(&header, &claims)
        };
        let auth = ClientAuth::Assertion(Arc::new(assertion));
        Self { party: RelyingParty::new(issuer, CLIENT, auth, "https://fapi.example/cb"), proofs: Key::new() }
    }

    async fn push(&self, attempt: &Attempt) -> Option<String> {
        let fields: Vec<_> = attempt.parameters.iter().map(|(n, v)| (n.as_str(), v.as_str())).collect();
        let answer = self.party.post("/par", &fields).await;
        (answer.status == 201).then(|| answer.str("request_uri").to_owned())
    }

    async fn token(&self, fields: &[(&str, &str)]) -> bool {
        let url = self.party.endpoint("/token");
        let ClientAuth::Assertion(make) = &self.party.auth else { return false };
        let assertion = make();
        let kind = "urn:ietf:params:oauth:client-assertion-type:jwt-bearer";
        let mut body = fields.to_vec();
        body.extend([("client_assertion_type", kind), ("client_assertion", assertion.as_str())]);
        let proof = self.proofs.proof("POST", url.as_str(), clock());
        let sent = self.party.http().post(url).header("dpop", proof).form(&body).send().await;
        match sent {
            Ok(response) => response.status() == 200 && response.bytes().await.is_ok(),
            Err(_) => false,
        }
    }
}

/// Pushes a request, authenticated with an assertion (RFC 9126).
pub struct Push(pub Client);

impl Work for Push {
    async fn once(&mut self) -> bool {
        self.0.push(&self.0.party.attempt(SCOPE)).await.is_some()
    }
}

/// Client credentials with an assertion, for a token bound to a key (RFC 9449).
pub struct Bound(pub Client);

impl Work for Bound {
    async fn once(&mut self) -> bool {
        self.0.token(&[("grant_type", "client_credentials"), ("scope", "accounts:read")]).await
    }
}

/// Push, authorize, the consent page, its answer, token: from a session that exists.
pub struct Flow {
    client: Client,
    browser: Browser,
}

impl Flow {
    /// With a browser in which somebody is signed in; one consents at a time, so everybody has one of their own.
    pub async fn signed_in(client: Client, mut person: Person) -> Self {
        let flow = Self { client, browser: Browser::new() };
        let (attempt, page) = flow.opened().await.expect("a request is pushed and opened");
        let done = person.walk(&flow.browser, page, "", testkit::totp::machine_time()).await;
        assert!(flow.redeemed(&attempt, &done).await, "the first flow ends with a token");
        flow
    }

    async fn opened(&self) -> Option<(Attempt, Page)> {
        let attempt = self.client.party.attempt(SCOPE).with("prompt", "consent");
        let request_uri = self.client.push(&attempt).await?;
        let mut url = self.client.party.endpoint("/authorize");
        url.query_pairs_mut().append_pair("client_id", CLIENT).append_pair("request_uri", &request_uri);
        Some((attempt, self.browser.open(url).await))
    }

    async fn redeemed(&self, attempt: &Attempt, page: &Page) -> bool {
        let code = attempt.code(page.departed());
        let fields = [
            ("grant_type", "authorization_code"),
            ("code", code.as_str()),
            ("redirect_uri", &self.client.party.redirect_uri),
            ("code_verifier", &attempt.verifier),
        ];
        self.client.token(&fields).await
    }
}

impl Work for Flow {
    async fn once(&mut self) -> bool {
        let Some((attempt, page)) = self.opened().await else { return false };
        if !page.has("consent-allow") {
            return false;
        }
        let page = self.browser.send(page.form("consent-allow")).await;
        self.redeemed(&attempt, &page).await
    }
}

/// What a proof costs beside the signature in it, in microseconds: the bare signature with a key that is
/// parsed already, and all of RFC 9449 §4.3. Each is the best of several rounds, which noise only lengthens.
pub fn proofs() -> (f64, f64) {
    const ROUNDS: usize = 15;
    const EACH: usize = 400;
    let (key, at, url) = (Key::new(), 1_800_000_000, "https://id.example/token");
    let now = DateTime::<Utc>::from_timestamp(at, 0).expect("it is a time");
    let proofs: Vec<_> = (0..EACH).map(|_| key.proof("POST", url, at)).collect();
    let parsed = ParsedPublicKey::new(&ECDSA_P256_SHA256_FIXED, key.0.public_key().as_ref())
        .expect("the key can be parsed");
    let signatures: Vec<_> = proofs
        .iter()
        .map(|proof| {
            let (signed, signature) = proof.rsplit_once('.').expect("a JWS has three parts");
            (signed.as_bytes(), URL_SAFE_NO_PAD.decode(signature).expect("it is base64url"))
        })
        .collect();
    let policy = DpopPolicy { method: "POST", url, access_token: None, nonces: None };
    let best = |round: &dyn Fn()| {
        let times = (0..ROUNDS).map(|_| {
            let began = drive::now();
            round();
            began.elapsed().as_secs_f64() * 1e6 / EACH as f64
        });
        times.fold(f64::INFINITY, f64::min)
    };
    let bare = best(&|| {
        for (signed, signature) in &signatures {
            assert!(parsed.verify_sig(signed, signature).is_ok());
        }
    });
    let whole = best(&|| {
        for proof in &proofs {
            assert!(verify_dpop(proof, &policy, now).is_ok());
        }
    });
    (bare, whole)
}
