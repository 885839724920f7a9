//! A client that holds a key and proves it (RFC 9449), and one that lives under FAPI 2.0.

use std::sync::{
    Arc,
    atomic::{AtomicU64, Ordering},
};

use flows::declare::{DeclareFault, Declared, DeclaredClient};
use jose::{Algorithm, SigningKey, digest::sha256};
use protocol::client::Profile;
use serde_json::{Value, json};
use testkit::{Answer, Attempt, ClientAuth, RelyingParty};
use tokens::client::ClientSettings;

use crate::{
    bank::Bank,
    steps::{answer, new_key},
};

/// A key for proofs.
#[derive(Clone)]
pub struct DpopKey(SigningKey);

impl DpopKey {
    /// A new one.
    pub fn new(algorithm: Algorithm) -> Self {
        Self(new_key(algorithm))
    }

    /// Its thumbprint: `jkt`.
    pub fn thumbprint(&self) -> String {
        self.0.public().thumbprint().to_string()
    }

    /// Signs a proof with these claims.
    pub fn sign(&self, claims: &Value) -> String {
        self.0.sign_proof(claims).unwrap()
    }

    /// A good proof for a post to a path of the bank.
    pub fn proof(&self, bank: &Bank, path: &str) -> String {
        self.sign(&claims(bank, "POST", path))
    }

    /// A good proof for userinfo.
    pub fn proof_with(&self, bank: &Bank, method: &str, token: &str) -> String {
        let mut claims = claims(bank, method, "/userinfo");
        claims["ath"] = json!(sha256(token).to_string());
        self.sign(&claims)
    }
}

/// The claims of a good proof, with a `jti` that no other has.
pub fn claims(bank: &Bank, method: &str, path: &str) -> Value {
    static COUNT: AtomicU64 = AtomicU64::new(0);
    let jti = format!("proof-{}", COUNT.fetch_add(1, Ordering::Relaxed));
    json!({
        "jti": jti, "htm": method, "htu": format!("{}{path}", bank.issuer), "iat": bank.now().timestamp(),
    })
}

/// Posts fields as a client does, with a proof if there is one.
pub async fn post(app: &RelyingParty, path: &str, fields: &[(&str, &str)], proof: Option<&str>) -> Answer {
    let mut body = fields.to_vec();
    let mut request = app.http().post(app.endpoint(path));
    let assertion;
    let named = fields.iter().any(|(name, _)| *name == "client_id");
    match &app.auth {
        ClientAuth::None if named => {}
        ClientAuth::None => body.push(("client_id", &app.client_id)),
        ClientAuth::Basic(secret) => request = request.basic_auth(&app.client_id, Some(secret)),
        ClientAuth::Post(secret) => body.extend([("client_id", &*app.client_id), ("client_secret", secret)]),
        ClientAuth::Assertion(make) => {
            assertion = make();
            let kind = "urn:ietf:params:oauth:client-assertion-type:jwt-bearer";
            body.extend([("client_assertion_type", kind), ("client_assertion", &assertion)]);
        }
    }
    if let Some(proof) = proof {
        request = request.header("dpop", proof);
    }
    answer(request.form(&body)).await
}

/// Pushes an attempt as it is.
pub async fn push(app: &RelyingParty, attempt: &Attempt, proof: Option<&str>) -> Answer {
    let fields: Vec<_> = attempt.parameters.iter().map(|(n, v)| (n.as_str(), v.as_str())).collect();
    post(app, "/par", &fields, proof).await
}

/// The URL that a browser brings after a push.
pub fn pushed_url(app: &RelyingParty, request_uri: &str) -> String {
    let mut url = app.endpoint("/authorize");
    url.query_pairs_mut().append_pair("client_id", &app.client_id).append_pair("request_uri", request_uri);
    url.into()
}

/// Redeems a code, with a proof if there is one.
pub async fn redeem(app: &RelyingParty, attempt: &Attempt, code: &str, proof: Option<&str>) -> Answer {
    let fields = [
        ("grant_type", "authorization_code"),
        ("code", code),
        ("redirect_uri", &app.redirect_uri),
        ("code_verifier", &attempt.verifier),
    ];
    post(app, "/token", &fields, proof).await
}

/// Uses a refresh token, with a proof if there is one.
pub async fn refresh(app: &RelyingParty, token: &str, proof: Option<&str>) -> Answer {
    post(app, "/token", &[("grant_type", "refresh_token"), ("refresh_token", token)], proof).await
}

/// A confidential client with `private_key_jwt`, for which this profile was chosen, or none.
pub struct FapiClient {
    /// The app.
    pub app: RelyingParty,
    /// What it signs assertions with.
    pub key: SigningKey,
}

/// The redirect URI of the clients of this module.
pub const REDIRECT: &str = "https://fapi.example/cb";

/// Metadata of such a client.
pub fn metadata(key: &SigningKey) -> Value {
    json!({
        "client_name": "Fapi App",
        "redirect_uris": [REDIRECT],
        "token_endpoint_auth_method": "private_key_jwt",
        "grant_types": ["authorization_code", "refresh_token", "client_credentials"],
        "scope": "openid profile offline_access accounts:read",
        "jwks": { "keys": [key.public().to_value()] },
    })
}

/// Declares a client with this metadata, which may be wrong.
pub async fn declare(
    bank: &Bank,
    id: &str,
    metadata: Value,
    profile: Option<Profile>,
) -> Result<(), DeclareFault> {
    let client = DeclaredClient {
        id: id.parse().unwrap(),
        metadata: serde_json::from_value(metadata).unwrap(),
        settings: ClientSettings { profile, ..ClientSettings::default() },
        secret: None,
    };
    bank.service.declare(&Declared { clients: vec![client], ..Declared::default() }).await.unwrap()
}

impl FapiClient {
    /// Declares `fapi-app` under a profile.
    pub async fn declared(bank: &Bank, profile: Profile) -> Self {
        let key = new_key(Algorithm::Es256);
        declare(bank, "fapi-app", metadata(&key), Some(profile)).await.unwrap();
        Self::known(bank, "fapi-app", key)
    }

    /// A client that is declared already.
    pub fn known(bank: &Bank, id: &str, key: SigningKey) -> Self {
        let (issuer, now, signer, name) =
            (bank.issuer.clone(), bank.now().timestamp(), key.clone(), id.to_owned());
        let make = move || assertion(&signer, &name, &json!(issuer), now);
        let auth = ClientAuth::Assertion(Arc::new(make));
        Self { app: RelyingParty::new(&bank.issuer, id, auth, REDIRECT), key }
    }

    /// Pushes a request, lets Alice allow it, and gives the attempt with its code.
    pub async fn code(&self, bank: &Bank, scope: &str, proof: Option<&str>) -> (Attempt, String) {
        let attempt = self.app.attempt(scope);
        let pushed = push(&self.app, &attempt, proof).await.expect(201);
        let url = pushed_url(&self.app, pushed.str("request_uri"));
        let departure = bank.connect(&mut bank.person("alice"), &testkit::Browser::new(), url).await;
        let code = attempt.code(&departure);
        (attempt, code)
    }
}

/// A client assertion for this audience.
pub fn assertion(key: &SigningKey, client: &str, audience: &Value, now: i64) -> String {
    static COUNT: AtomicU64 = AtomicU64::new(0);
    let jti = format!("assertion-{}", COUNT.fetch_add(1, Ordering::Relaxed));
    let claims =
        json!({ "iss": client, "sub": client, "aud": audience, "jti": jti, "iat": now, "exp": now + 60 });
    key.sign("JWT", &claims).unwrap()
}
