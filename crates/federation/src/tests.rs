//! The room against a provider made of canned answers. Rules of the ID token are shown by the integration
//! tests, with a provider that forges; here is what happens on the wire.

#![allow(clippy::unwrap_used, reason = "a test may fail like this")]

use std::sync::{
    Arc, Mutex,
    atomic::{AtomicUsize, Ordering},
};

use chrono::{DateTime, TimeDelta, Utc};
use jose::{Algorithm, PrivateKey, SigningKey};
use openidconnect::{HttpRequest, HttpResponse};
use outbound::OutboundFault;
use protocol::{acr::Acr, secret::ClientSecret};
use serde_json::{Value, json};

use crate::{
    AttemptSecrets, ClientProof, Provider, Transport, UpstreamConfig, UpstreamFault, UpstreamIdentity,
    UpstreamRequest, UpstreamResponse,
    response::{Freshness, OwnProof},
    transport::Answering,
};

const ISSUER: &str = "https://north.example";
const CALLBACK: &str = "https://south.example/federation/callback/north";

fn now() -> DateTime<Utc> {
    DateTime::from_timestamp(1_800_000_000, 0).unwrap()
}

fn key() -> SigningKey {
    SigningKey::new(&PrivateKey::generate(Algorithm::Es256).unwrap()).unwrap()
}

/// A provider made of answers.
struct North {
    keys: Mutex<Vec<SigningKey>>,
    metadata: Mutex<Value>,
    claims: Mutex<Value>,
    requests: Mutex<Vec<(String, Option<String>, String)>>,
    away: AtomicUsize,
}

impl North {
    fn new() -> Arc<Self> {
        let metadata = json!({
            "issuer": ISSUER, "authorization_endpoint": "https://login.north.example/go",
            "token_endpoint": "https://north.example/token", "jwks_uri": "https://north.example/jwks",
            "end_session_endpoint": "https://north.example/bye",
            "response_types_supported": ["code"], "subject_types_supported": ["public"],
            "id_token_signing_alg_values_supported": ["ES256"],
        });
        Arc::new(Self {
            keys: Mutex::new(vec![key()]),
            metadata: Mutex::new(metadata),
            claims: Mutex::default(),
            requests: Mutex::default(),
            away: AtomicUsize::new(0),
        })
    }

    fn count(&self, path: &str) -> usize {
        self.requests.lock().unwrap().iter().filter(|(url, ..)| url.ends_with(path)).count()
    }

    fn last(&self) -> (String, Option<String>, String) {
        self.requests.lock().unwrap().last().unwrap().clone()
    }

    fn answer(&self, request: &HttpRequest) -> Result<Value, OutboundFault> {
        let authorization = request.headers().get("authorization").map(|v| v.to_str().unwrap().to_owned());
        let body = String::from_utf8(request.body().clone()).unwrap();
        self.requests.lock().unwrap().push((request.uri().to_string(), authorization, body));
        if self.away.load(Ordering::SeqCst) > 0 {
            return Err(OutboundFault::Unreachable);
        }
        Ok(match request.uri().path() {
            "/.well-known/openid-configuration" => self.metadata.lock().unwrap().clone(),
            "/jwks" => {
                let keys = self.keys.lock().unwrap();
                let published = |key: &SigningKey| {
                    let mut jwk = key.public().to_value();
                    jwk["kid"] = json!(key.kid());
                    jwk
                };
                json!({ "keys": keys.iter().map(published).collect::<Vec<_>>() })
            }
            "/token" => {
                let claims = self.claims.lock().unwrap();
                let id_token = self.keys.lock().unwrap()[0].sign("JWT", &*claims).unwrap();
                json!({ "access_token": "at", "token_type": "Bearer", "id_token": id_token })
            }
            other => panic!("nobody asks for {other}"),
        })
    }
}

struct To(Arc<North>);

impl Transport for To {
    fn send(&self, request: HttpRequest) -> Answering<'_> {
        let answer = self.0.answer(&request);
        Box::pin(async move {
            let body = answer?.to_string().into_bytes();
            Ok(HttpResponse::new(body))
        })
    }
}

fn config(proof: ClientProof) -> UpstreamConfig {
    let mut config = UpstreamConfig::new("north".parse().unwrap(), ISSUER, "south", proof);
    config.domains = vec!["north.example".into()];
    config.acr.insert("urn:north:2".into(), Acr::StrongCustomerAuthentication);
    config
}

fn provider(north: &Arc<North>, proof: ClientProof) -> Provider {
    Provider::new(config(proof), Arc::new(To(north.clone())))
}

fn basic() -> ClientProof {
    ClientProof::SecretBasic(ClientSecret::new("a secret: with odd characters"))
}

fn secrets() -> AttemptSecrets {
    AttemptSecrets::derive(&[7; 32], "state")
}

fn request() -> UpstreamRequest {
    UpstreamRequest { redirect_uri: CALLBACK.into(), max_age: TimeDelta::hours(12), ..Default::default() }
}

/// What the provider's ID token must say to be believed.
fn claims(nonce: &str) -> Value {
    let now = now().timestamp();
    json!({ "iss": ISSUER, "sub": "s", "aud": "south", "iat": now, "exp": now + 300, "auth_time": now, "nonce": nonce })
}

async fn redeem(
    provider: &Provider,
    north: &North,
    at: DateTime<Utc>,
) -> Result<UpstreamIdentity, UpstreamFault> {
    let freshness = Freshness { asked_at: at, fresh: false, max_age: TimeDelta::hours(12) };
    redeem_asked(provider, north, at, freshness).await
}

async fn redeem_asked(
    provider: &Provider,
    north: &North,
    at: DateTime<Utc>,
    freshness: Freshness,
) -> Result<UpstreamIdentity, UpstreamFault> {
    let url = provider.authorization_url(&request(), &secrets(), now()).await?;
    let nonce = url.query_pairs().find(|(name, _)| name == "nonce").unwrap().1.into_owned();
    let mut said = claims(&nonce);
    for time in ["iat", "auth_time"] {
        said[time] = json!(at.timestamp());
    }
    said["exp"] = json!(at.timestamp() + 300);
    *north.claims.lock().unwrap() = said;
    let response =
        UpstreamResponse { state: Some("state".into()), code: Some("c".into()), ..Default::default() };
    let own = key();
    let proof = OwnProof { key: Some(&own), assertion_id: "1", redirect_uri: CALLBACK };
    provider.redeem(&response, &secrets(), proof, freshness, at).await
}

#[tokio::test]
async fn the_request_is_bound_and_passes_on_what_it_should() {
    let north = North::new();
    let provider = provider(&north, basic());
    let asked = UpstreamRequest {
        fresh: true,
        strong: true,
        login_hint: Some("alice@north.example".into()),
        ui_locales: vec!["zh-Hant".into()],
        ..request()
    };
    let url = provider.authorization_url(&asked, &secrets(), now()).await.unwrap();
    assert!(url.as_str().starts_with("https://login.north.example/go?"));
    let value = |name: &str| url.query_pairs().find(|(n, _)| n == name).map(|(_, value)| value.into_owned());
    for (name, expected) in [
        ("response_type", "code"),
        ("client_id", "south"),
        ("redirect_uri", CALLBACK),
        ("state", "state"),
        ("scope", "openid profile email"),
        ("code_challenge_method", "S256"),
        ("prompt", "login"),
        ("max_age", "43200"),
        ("acr_values", "urn:north:2"),
        ("login_hint", "alice@north.example"),
        ("ui_locales", "zh-Hant"),
    ] {
        assert_eq!(value(name).as_deref(), Some(expected), "{name}");
    }
    assert!(value("nonce").unwrap().len() == 43 && value("code_challenge").unwrap().len() == 43);
    assert_ne!(value("nonce"), value("code_challenge"));
    // Somebody else's address is not told.
    let asked = UpstreamRequest { login_hint: Some("alice@south.example".into()), ..request() };
    let url = provider.authorization_url(&asked, &secrets(), now()).await.unwrap();
    assert!(!url.as_str().contains("login_hint") && !url.as_str().contains("prompt"));
    let origins = ["https://login.north.example", ISSUER];
    assert_eq!(provider.origins(), origins);
}

#[test]
fn secrets_belong_to_one_state_and_one_server() {
    let nonce = |key, state| AttemptSecrets::derive(&[key; 32], state).nonce().secret().clone();
    assert_eq!(nonce(1, "a"), nonce(1, "a"));
    assert_ne!(nonce(1, "a"), nonce(1, "b"));
    assert_ne!(nonce(1, "a"), nonce(2, "a"));
    let secrets = AttemptSecrets::derive(&[1; 32], "a");
    assert_ne!(secrets.nonce().secret(), secrets.verifier().secret());
}

#[tokio::test]
async fn who_we_are_is_proven_as_configured() {
    for (proof, says) in [
        (basic(), "Basic "),
        (ClientProof::SecretPost(ClientSecret::new("posted")), "client_secret=posted"),
        (ClientProof::Key(key()), "client_assertion="),
        (ClientProof::OwnKey(Algorithm::Es256), "client_assertion="),
    ] {
        let north = North::new();
        let provider = provider(&north, proof);
        let identity = redeem(&provider, &north, now()).await.unwrap();
        assert_eq!((identity.subject.as_str(), identity.acr), ("s", Acr::CustomerAuthentication));
        let (_, authorization, body) = north.last();
        assert!(authorization.unwrap_or_default().starts_with(says) || body.contains(says), "{says}: {body}");
        assert!(body.contains("code_verifier=") && body.contains("grant_type=authorization_code"));
        assert_eq!(body.contains("client_secret="), says.starts_with("client_secret"));
        if says == "client_assertion=" {
            let jwt = body.split("client_assertion=").nth(1).unwrap().split('&').next().unwrap();
            use base64::{Engine, engine::general_purpose::URL_SAFE_NO_PAD};
            let claims = URL_SAFE_NO_PAD.decode(jwt.split('.').nth(1).unwrap()).unwrap();
            let claims: Value = serde_json::from_slice(&claims).unwrap();
            assert_eq!((&claims["iss"], &claims["sub"]), (&json!("south"), &json!("south")));
            assert_eq!(claims["aud"], ISSUER);
            assert_eq!(claims["exp"].as_i64().unwrap() - claims["iat"].as_i64().unwrap(), 60);
        }
    }
}

#[tokio::test]
async fn an_unknown_key_is_looked_for_once() {
    let north = North::new();
    let provider = provider(&north, basic());
    redeem(&provider, &north, now()).await.unwrap();
    assert_eq!((north.count("configuration"), north.count("jwks")), (1, 1));
    // The provider has a new key at once: it is found, without asking for the metadata.
    let later = now() + TimeDelta::minutes(1);
    *north.keys.lock().unwrap() = vec![key()];
    redeem(&provider, &north, later).await.unwrap();
    assert_eq!((north.count("configuration"), north.count("jwks")), (1, 2));
    // A key that it does not publish is not asked for again and again.
    let published = north.keys.lock().unwrap().clone();
    for _ in 0..3 {
        *north.keys.lock().unwrap() = vec![key()];
        assert!(matches!(redeem(&provider, &north, later).await, Err(UpstreamFault::Claim(_))));
    }
    assert_eq!(north.count("jwks"), 2);
    *north.keys.lock().unwrap() = published;
    redeem(&provider, &north, later).await.unwrap();
    // An hour later all of it is read again.
    let much_later = now() + TimeDelta::hours(2);
    *north.claims.lock().unwrap() = Value::Null;
    provider.authorization_url(&request(), &secrets(), much_later).await.unwrap();
    assert_eq!((north.count("configuration"), north.count("jwks")), (2, 3));
}

#[tokio::test]
async fn metadata_that_lead_elsewhere_are_refused() {
    for (name, value) in [
        ("issuer", json!("https://north.example/")),
        ("issuer", json!("https://elsewhere.example")),
        ("authorization_endpoint", json!("http://north.example/go")),
        ("token_endpoint", Value::Null),
    ] {
        let north = North::new();
        let provider = provider(&north, basic());
        north.metadata.lock().unwrap()[name] = value.clone();
        if value.is_null() {
            north.metadata.lock().unwrap().as_object_mut().unwrap().remove(name);
        }
        let refused = provider.authorization_url(&request(), &secrets(), now()).await;
        assert!(refused.is_err(), "{name} {value}");
    }
}

#[tokio::test]
async fn out_02_a_provider_that_is_away_is_left_alone_for_a_while() {
    let north = North::new();
    let provider = provider(&north, basic());
    north.away.store(1, Ordering::SeqCst);
    for _ in 0..3 {
        let refused = provider.authorization_url(&request(), &secrets(), now()).await;
        assert!(matches!(refused, Err(UpstreamFault::Unreachable(_))));
    }
    assert_eq!(north.count("configuration"), 1);
    north.away.store(0, Ordering::SeqCst);
    let later = now() + TimeDelta::seconds(11);
    provider.authorization_url(&request(), &secrets(), later).await.unwrap();
}

#[tokio::test]
async fn the_way_out_carries_the_hint() {
    let north = North::new();
    let mut config = config(basic());
    let provider = Provider::new(config.clone(), Arc::new(To(north.clone())));
    let url = provider.end_session_url(Some("it"), "https://south.example/x", "s", now()).await.unwrap();
    assert_eq!(
        url.as_str(),
        "https://north.example/bye?id_token_hint=it&client_id=south\
         &post_logout_redirect_uri=https%3A%2F%2Fsouth.example%2Fx&state=s"
    );
    config.logout = false;
    let provider = Provider::new(config, Arc::new(To(north)));
    assert!(provider.end_session_url(None, "https://south.example/x", "s", now()).await.is_none());
}

#[tokio::test]
async fn a_node_whose_clock_is_behind_takes_what_another_one_asked_for() {
    let north = North::new();
    let provider = provider(&north, basic());
    for (ahead, accepted) in [(0, true), (2, true), (59, true), (90, false)] {
        let asked_at = now() + TimeDelta::seconds(ahead);
        let freshness = Freshness { asked_at, fresh: true, max_age: TimeDelta::zero() };
        match redeem_asked(&provider, &north, now(), freshness).await {
            Ok(identity) => assert!(accepted && identity.auth_time == now(), "{ahead}"),
            Err(UpstreamFault::NotFresh) => assert!(!accepted, "{ahead}"),
            Err(other) => panic!("{ahead}: {other}"),
        }
    }
}

#[tokio::test]
async fn bcp_22_a_provider_is_asked_once_for_where_it_leads() {
    let north = North::new();
    let provider = provider(&north, basic());
    assert_eq!(provider.origins(), [ISSUER]);
    for _ in 0..3 {
        provider.get_to_know(now()).await.unwrap();
    }
    assert_eq!(provider.origins(), ["https://login.north.example", ISSUER]);
    assert_eq!(north.count("/.well-known/openid-configuration"), 1);
    // One that is away is left alone for a while.
    let gone = North::new();
    gone.away.store(1, Ordering::SeqCst);
    let away = Provider::new(config(basic()), Arc::new(To(gone.clone())));
    assert!(away.get_to_know(now()).await.is_err());
    away.get_to_know(now() + TimeDelta::seconds(9)).await.unwrap();
    assert_eq!(gone.count("/.well-known/openid-configuration"), 1);
    assert!(away.get_to_know(now() + TimeDelta::seconds(10)).await.is_err());
    assert!(!away.is_known());
}
