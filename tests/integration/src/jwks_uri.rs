//! Keys of clients by reference (RFC 7591 §2, OUT-04): fetched when needed, kept within bounds.

use std::sync::{
    Arc, Mutex,
    atomic::{AtomicU64, Ordering},
};

use chrono::TimeDelta;
use jose::{Algorithm, SigningKey};
use serde_json::{Value, json};
use testkit::{Answer, ClientAuth, RelyingParty};
use tokio::net::TcpListener;

use crate::{
    bank::{Bank, Engine},
    publisher::Publisher,
    steps::{declare_client, new_key},
};

static JTI: AtomicU64 = AtomicU64::new(1);

/// A batch job that signs its assertions with whichever key it has now.
struct Job {
    app: RelyingParty,
    key: Arc<Mutex<SigningKey>>,
}

impl Job {
    async fn declare(bank: &Bank, jwks_uri: &str) -> Self {
        let metadata = json!({
            "client_name": "Remote Keys",
            "token_endpoint_auth_method": "private_key_jwt",
            "grant_types": ["client_credentials"],
            "scope": "accounts:read",
            "jwks_uri": jwks_uri,
        });
        declare_client(bank, "remote-job", metadata).await.unwrap();
        let key = Arc::new(Mutex::new(new_key(Algorithm::Es256)));
        let (signing, issuer, clock) = (key.clone(), bank.issuer.clone(), bank.clock.clone());
        let auth = ClientAuth::Assertion(Arc::new(move || {
            let jti = JTI.fetch_add(1, Ordering::Relaxed).to_string();
            let exp = flows::Clock::now(&*clock).timestamp() + 60;
            let claims =
                json!({"iss": "remote-job", "sub": "remote-job", "aud": issuer, "jti": jti, "exp": exp});
            signing.lock().unwrap().sign("JWT", &claims).unwrap()
        }));
        let app = RelyingParty::new(&bank.issuer, "remote-job", auth, "https://unused.example/cb");
        Self { app, key }
    }

    fn rotate(&self) {
        *self.key.lock().unwrap() = new_key(Algorithm::Es256);
    }

    fn jwks(&self) -> Value {
        json!({"keys": [self.key.lock().unwrap().public().to_value()]})
    }

    async fn token(&self) -> Answer {
        self.app.client_credentials("accounts:read").await
    }
}

async fn bank(publisher: &Publisher) -> Bank {
    let mut policy = publisher.policy();
    // The bank's own memory of failures is what is shown; its clock is the test's.
    policy.retry_after = std::time::Duration::ZERO;
    Bank::with(Engine::Sqlite, |policies| policies.outbound = policy).await
}

#[tokio::test]
async fn out_04_keys_are_kept_for_as_long_as_their_owner_says_within_bounds() {
    let publisher = Publisher::open().await;
    let bank = bank(&publisher).await;
    let job = Job::declare(&bank, &publisher.url("/keys")).await;
    let reads = || publisher.read("/keys");
    publisher.publish("/keys", &job.jwks());
    for _ in 0..3 {
        job.token().await.expect(200);
    }
    assert_eq!(reads(), 1);
    bank.advance(TimeDelta::minutes(9));
    job.token().await.expect(200);
    assert_eq!(reads(), 1, "ten minutes where nothing is said");
    let caching = |control: &str| {
        let fields = format!("Content-Type: application/jwk-set+json\r\nCache-Control: {control}\r\n");
        publisher.put("/keys", 200, &fields, &job.jwks().to_string());
    };
    caching("max-age=0");
    bank.advance(TimeDelta::minutes(2));
    job.token().await.expect(200);
    job.token().await.expect(200);
    assert_eq!(reads(), 2, "not more often than once a minute");
    caching("max-age=31536000");
    bank.advance(TimeDelta::seconds(61));
    job.token().await.expect(200);
    assert_eq!(reads(), 3);
    bank.advance(TimeDelta::minutes(59));
    job.token().await.expect(200);
    assert_eq!(reads(), 3);
    bank.advance(TimeDelta::minutes(2));
    job.token().await.expect(200);
    assert_eq!(reads(), 4, "not for longer than an hour");
}

#[tokio::test]
async fn out_04_an_unknown_key_is_looked_for_once_in_a_window() {
    let publisher = Publisher::open().await;
    let bank = bank(&publisher).await;
    let job = Job::declare(&bank, &publisher.url("/keys")).await;
    publisher.publish("/keys", &job.jwks());
    job.token().await.expect(200);
    job.rotate();
    publisher.publish("/keys", &job.jwks());
    job.token().await.expect(200);
    assert_eq!(publisher.read("/keys"), 2, "a rotated key works at once");
    job.rotate();
    for _ in 0..5 {
        job.token().await.expect_error(401, "invalid_client");
    }
    assert_eq!(publisher.read("/keys"), 2, "whoever invents keys causes no traffic");
    publisher.publish("/keys", &job.jwks());
    bank.advance(TimeDelta::seconds(31));
    job.token().await.expect(200);
    assert_eq!(publisher.read("/keys"), 3, "the window is shorter than a minute");
}

#[tokio::test]
async fn out_02_out_04_a_failure_is_not_repeated_at_once_and_old_keys_stand_in() {
    let publisher = Publisher::open().await;
    let bank = bank(&publisher).await;
    let job = Job::declare(&bank, &publisher.url("/keys")).await;
    for _ in 0..5 {
        job.token().await.expect_error(401, "invalid_client");
    }
    assert_eq!(publisher.read("/keys"), 1, "negative cache");
    publisher.publish("/keys", &job.jwks());
    bank.advance(TimeDelta::seconds(31));
    job.token().await.expect(200);
    publisher.put("/keys", 500, "", "");
    bank.advance(TimeDelta::minutes(11));
    job.token().await.expect(200);
    bank.advance(TimeDelta::minutes(61));
    job.token().await.expect_error(401, "invalid_client");
}

#[tokio::test]
async fn f2_35_dr_04_jo_02_a_bad_set_is_no_set() {
    let publisher = Publisher::open().await;
    let bank = bank(&publisher).await;
    let job = Job::declare(&bank, &publisher.url("/keys")).await;
    let good = job.jwks().to_string();
    let key = job.jwks()["keys"][0].clone();
    let mut private = key.clone();
    private["d"] = json!("AAAA");
    let oct = json!({"kty": "oct", "k": "AAAA"});
    let json_type = "Content-Type: application/json\r\n";
    let many = json!({"keys": vec![key.clone(); 33]}).to_string();
    for (case, fields, body) in [
        ("a private key", json_type, json!({"keys": [private]}).to_string()),
        ("a shared secret", json_type, json!({"keys": [key, oct]}).to_string()),
        ("no set", json_type, "[]".to_owned()),
        ("a repeated member", json_type, good.replacen('{', r#"{"keys":[],"#, 1)),
        ("too many keys", json_type, many),
        ("too long", json_type, format!("{good}{}", " ".repeat(70_000))),
        ("HTML", "Content-Type: text/html\r\n", good.clone()),
    ] {
        publisher.put("/keys", 200, fields, &body);
        job.token().await.expect_error(401, "invalid_client");
        bank.advance(TimeDelta::seconds(31));
        assert!(publisher.read("/keys") > 0, "{case}");
    }
    // Keys that are meant for others are passed over (RFC 7517 §5).
    let foreign = json!({"kty": "OKP", "crv": "X448", "x": "AAAA"});
    let mut set = job.jwks();
    set["keys"].as_array_mut().unwrap().extend([foreign, json!({"kty": "AKP", "pub": "x"})]);
    publisher.publish("/keys", &set);
    job.token().await.expect(200);
}

#[tokio::test]
async fn out_01_hostile_places_get_no_byte() {
    let bank = Bank::open().await;
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let port = listener.local_addr().unwrap().port();
    for uri in [
        format!("https://127.0.0.1:{port}/keys"),
        format!("https://localhost:{port}/keys"),
        format!("https://[::1]:{port}/keys"),
        format!("https://[::ffff:127.0.0.1]:{port}/keys"),
        format!("https://0.0.0.0:{port}/keys"),
        "https://169.254.169.254/keys".to_owned(),
        "https://192.168.1.1/keys".to_owned(),
        "https://[fd00::1]/keys".to_owned(),
    ] {
        let job = Job::declare(&bank, &uri).await;
        job.token().await.expect_error(401, "invalid_client");
    }
    let nobody = tokio::time::timeout(std::time::Duration::from_millis(100), listener.accept()).await;
    assert!(nobody.is_err(), "somebody connected");
}

#[tokio::test]
async fn dr_04_keys_by_value_and_by_reference_exclude_each_other() {
    let bank = Bank::open().await;
    let metadata = json!({
        "token_endpoint_auth_method": "private_key_jwt",
        "grant_types": ["client_credentials"],
        "jwks": {"keys": [new_key(Algorithm::Es256).public().to_value()]},
        "jwks_uri": "https://keys.example/jwks",
    });
    let fault = declare_client(&bank, "both", metadata).await.unwrap_err().to_string();
    assert!(fault.contains("jwks_uri"), "{fault}");
    let plain = json!({
        "token_endpoint_auth_method": "private_key_jwt",
        "grant_types": ["client_credentials"],
        "jwks_uri": "http://keys.example/jwks",
    });
    assert!(declare_client(&bank, "plain", plain).await.is_err());
}
