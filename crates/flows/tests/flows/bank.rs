//! A service without its front door, over either engine, with a small bank declared in it.

use std::sync::{Arc, Mutex};

use audit::{Event, EventKind};
use chrono::{DateTime, TimeDelta, Utc};
use consent::{ResourceServer, Role};
use flows::{
    Clock, Policies, Random, RequestContext, Service, SystemRandom,
    declare::{Declared, DeclaredClient, DeclaredPassword, DeclaredUser},
    service::Parts,
};
use jose::{Algorithm, digest::sha256};
use keys::{KeyEncryptionKey, RotationPolicy, Sealer};
use mfa::{HashingParams, Pepper, SecondFactorPolicy, SessionPolicy, ThrottlePolicy, User};
use protocol::{CorrelationId, claims::StandardClaims, params::Params, secret::Password};
use serde_json::{Value, from_value, json};
use store::{AuditFilter, DeclaredRole, Store, StoreOptions};
use tokens::{client::ClientSettings, policy::TokenPolicy};
use uuid::Uuid;

const ISSUER: &str = "https://as.example";
pub const API: &str = "https://bank.example/api";
pub const PASSWORD: &str = "harbour-lantern-violet";
const VERIFIER: &str = "dBjftJeZ4CVP-mB92K27uhbUJU1p1r_wW1gFWFOEjXk";
const CHALLENGE: &str = "E9Melhoa2OwvFrEMTJguCHaoeK1t8URWbuGJSstw-cM";

struct TestClock(Mutex<DateTime<Utc>>);

impl Clock for TestClock {
    fn now(&self) -> DateTime<Utc> {
        *self.0.lock().unwrap()
    }
}

/// The operating system's generator, and a way into the middle of a flow: where it draws a secret, something
/// else may happen first.
#[derive(Default)]
struct TestRandom(Mutex<Option<Meanwhile>>);

/// Before how many drawn bytes something happens, and what.
type Meanwhile = (Draw, Box<dyn FnOnce() + Send>);

/// What a flow draws.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Draw {
    /// So many bytes of a secret: 32 of a cookie or a code, 16 of a salt.
    Secret(usize),
    /// A name.
    Name,
}

impl TestRandom {
    fn happen(&self, draw: Draw) {
        let due = self.0.lock().unwrap().take_if(|(before, _)| *before == draw);
        if let Some((_, meanwhile)) = due {
            meanwhile();
        }
    }
}

impl Random for TestRandom {
    fn fill(&self, bytes: &mut [u8]) {
        self.happen(Draw::Secret(bytes.len()));
        SystemRandom.fill(bytes);
    }

    fn fill_name(&self, bytes: &mut [u8]) {
        self.happen(Draw::Name);
        SystemRandom.fill_name(bytes);
    }
}

pub struct Bank {
    pub service: Service,
    clock: Arc<TestClock>,
    random: Arc<TestRandom>,
    url: String,
    _directory: tempfile::TempDir,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Engine {
    Sqlite,
    Postgres,
}

pub async fn bank(engine: Engine) -> Bank {
    let (url, directory) = database(engine).await;
    let (clock, random) = (clock(), Arc::new(TestRandom::default()));
    let service = Service::new(parts(&url, &clock, random.clone()).await).await.unwrap();
    let bank = Bank { service, clock, random, url, _directory: directory };
    bank.declare(&declared()).await;
    bank
}

/// A service that was only put together, over a database that no server has used.
pub async fn assembled() -> (Service, tempfile::TempDir) {
    let (url, directory) = database(Engine::Sqlite).await;
    let parts = parts(&url, &clock(), Arc::new(SystemRandom)).await;
    (Service::assemble(parts).await.unwrap(), directory)
}

fn clock() -> Arc<TestClock> {
    Arc::new(TestClock(Mutex::new(DateTime::from_timestamp(1_800_000_000, 0).unwrap())))
}

async fn database(engine: Engine) -> (String, tempfile::TempDir) {
    let directory = tempfile::tempdir().unwrap();
    let url = match engine {
        Engine::Sqlite => format!("sqlite:{}", directory.path().join("bank.db").display()),
        Engine::Postgres => tokio::task::spawn_blocking(testkit::postgres::fresh_database).await.unwrap(),
    };
    (url, directory)
}

async fn parts(url: &str, clock: &Arc<TestClock>, random: Arc<dyn Random>) -> Parts {
    let store = Store::open(&StoreOptions::new(url)).await.unwrap();
    store.migrate().await.unwrap();
    let days = TimeDelta::days;
    let policies = Policies {
        issuer: ISSUER.to_owned(),
        bank_name: "Test Bank".to_owned(),
        second_factor: SecondFactorPolicy::IfEnrolled,
        tokens: TokenPolicy::default(),
        sessions: SessionPolicy::default(),
        throttle: ThrottlePolicy::default(),
        hashing: HashingParams::default(),
        hashing_slots: 2,
        interaction_lifetime: TimeDelta::minutes(30),
        consent_lifetime: None,
        rotation: RotationPolicy::new(&[Algorithm::Es256], days(90), days(1), days(1)).unwrap(),
        registration: None,
        client_documents: None,
        protection: flows::policies::ProtectionPolicy::default(),
        mutual_tls: flows::policies::MutualTls::default(),
        outbound: outbound::OutboundPolicy::default(),
        upstreams: Vec::new(),
        ui_locales: Vec::new(),
    };
    Parts {
        store,
        clock: clock.clone(),
        random,
        sealer: Sealer::new(&KeyEncryptionKey::from_bytes([7; 32]), &[]),
        pepper: Pepper::new([9; 32]),
        policies,
    }
}

impl Bank {
    pub fn advance(&self, by: TimeDelta) {
        *self.clock.0.lock().unwrap() += by;
    }

    /// Lets another server of the bank do something before this one draws the next time.
    pub fn meanwhile<F, W>(&self, before: Draw, work: W)
    where
        F: Future<Output = ()>,
        W: FnOnce(Service) -> F + Send + 'static,
    {
        let (url, clock) = (self.url.clone(), self.clock.clone());
        let there = move || {
            let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
            runtime.block_on(async {
                let parts = parts(&url, &clock, Arc::new(SystemRandom)).await;
                work(Service::new(parts).await.unwrap()).await;
            });
        };
        let meanwhile = || std::thread::spawn(there).join().unwrap();
        *self.random.0.lock().unwrap() = Some((before, Box::new(meanwhile)));
    }

    /// Whether what was to happen meanwhile has happened.
    pub fn happened(&self) -> bool {
        self.random.0.lock().unwrap().is_none()
    }

    pub async fn declare(&self, wanted: &Declared) {
        self.service.declare(wanted).await.unwrap().unwrap();
    }

    /// Declares alice with these roles; her password stays.
    pub async fn give_roles(&self, roles: &[&str]) {
        self.declare(&Declared { users: vec![alice(None, roles)], ..Declared::default() }).await;
    }

    pub async fn alice(&self) -> User {
        self.service.store().user_by_name(&"alice".parse().unwrap()).await.unwrap().unwrap()
    }

    pub async fn events(&self, kind: EventKind) -> Vec<Event> {
        let filter = AuditFilter { kind: Some(kind), ..AuditFilter::default() };
        self.service.settle_audit().await.unwrap();
        self.service.store().audit_events(&filter, 100).await.unwrap()
    }

    /// Disables a client behind the back of every cache, as another node would.
    pub async fn disable(&self, client: &str) {
        let store = self.service.store();
        let mut record = store.client(&client.parse().unwrap()).await.unwrap().unwrap();
        record.disabled = true;
        let mut tx = store.begin().await.unwrap();
        tx.put_client(&record).await.unwrap();
        tx.commit().await.unwrap();
    }

    pub async fn token(&self, form: &str) -> Result<Value, String> {
        let answer = self.service.token(&context(), None, &params(form), &|_| Ok(())).await.unwrap();
        answer.map(|tokens| serde_json::to_value(tokens).unwrap()).map_err(|refusal| refusal.to_string())
    }

    pub async fn redeem(&self, code: &str) -> Result<Value, String> {
        let form = format!(
            "grant_type=authorization_code&code={code}&client_id=app&client_secret=app-secret&code_verifier={VERIFIER}"
        );
        self.token(&form).await
    }

    pub async fn refresh(&self, tokens: &Value, more: &str) -> Result<Value, String> {
        let token = tokens["refresh_token"].as_str().unwrap();
        let form = format!(
            "grant_type=refresh_token&refresh_token={token}&client_id=app&client_secret=app-secret{more}"
        );
        self.token(&form).await
    }

    /// What the bank's API hears about the access token of an answer.
    pub async fn introspect(&self, tokens: &Value) -> Value {
        let token = tokens["access_token"].as_str().unwrap();
        let form = format!("token={token}&client_id=bank-api&client_secret=api-secret");
        let answer = self.service.introspect(&context(), None, &params(&form), false).await.unwrap().unwrap();
        serde_json::to_value(answer.response).unwrap()
    }
}

pub fn context() -> RequestContext {
    RequestContext {
        address: None,
        correlation: CorrelationId(Uuid::from_u128(1)),
        user_agent: None,
        dpop: flows::context::DpopHeader::Absent,
        certificate: flows::context::PresentedCertificate::Absent,
    }
}

pub fn params(form: &str) -> Params {
    Params::parse(form.as_bytes()).unwrap()
}

/// An authorization request of the app.
pub fn request(scope: &str) -> Params {
    params(&format!(
        "client_id=app&redirect_uri=https://app.example/cb&response_type=code&state=s&scope={}\
         &code_challenge={CHALLENGE}&code_challenge_method=S256",
        scope.replace(' ', "+")
    ))
}

pub fn alice(password: Option<&str>, roles: &[&str]) -> DeclaredUser {
    DeclaredUser {
        username: "alice".parse().unwrap(),
        password: password.map(|text| DeclaredPassword::Plain(Password::new(text))),
        roles: roles.iter().map(|role| role.parse().unwrap()).collect(),
        claims: StandardClaims { name: Some("Alice".to_owned()), ..StandardClaims::default() },
        second_factor: None,
        accounts: Vec::new(),
    }
}

fn declared() -> Declared {
    let role = |name: &str| DeclaredRole { name: name.parse::<Role>().unwrap(), description: String::new() };
    let scope = |name: &str, role: &str| {
        from_value(
            json!({ "name": name, "title": name, "description": name, "audience": API, "roles": [role] }),
        )
        .unwrap()
    };
    let api: ResourceServer = from_value(json!({
        "audience": API, "name": "Accounts API",
        "introspection": { "id": "bank-api", "secret": sha256("api-secret") }
    }))
    .unwrap();
    let client = |id: &str, grants: &[&str], more: Value| {
        let mut metadata = json!({
            "client_name": id, "token_endpoint_auth_method": "client_secret_post",
            "id_token_signed_response_alg": "ES256", "grant_types": grants,
            "scope": "openid profile offline_access accounts:read payments:write",
        });
        metadata.as_object_mut().unwrap().extend(more.as_object().unwrap().clone());
        DeclaredClient {
            id: id.parse().unwrap(),
            metadata: from_value(metadata).unwrap(),
            settings: ClientSettings::default(),
            secret: Some(sha256(format!("{id}-secret"))),
        }
    };
    let redirect = json!({ "redirect_uris": ["https://app.example/cb"] });
    Declared {
        roles: vec![role("account-viewer"), role("payment-initiator")],
        resource_servers: vec![api],
        scopes: vec![scope("accounts:read", "account-viewer"), scope("payments:write", "payment-initiator")],
        detail_types: Vec::new(),
        clients: vec![
            client("app", &["authorization_code", "refresh_token"], redirect),
            client("batch", &["client_credentials"], json!({})),
        ],
        users: vec![alice(Some(PASSWORD), &["account-viewer", "payment-initiator"])],
    }
}

/// Instantiates the named tests for each engine.
macro_rules! on_both_engines {
    ($($name:ident),* $(,)?) => {
        mod sqlite {$(
            #[tokio::test]
            async fn $name() { super::$name(crate::bank::bank(crate::bank::Engine::Sqlite).await).await }
        )*}
        mod postgres {$(
            #[tokio::test]
            async fn $name() { super::$name(crate::bank::bank(crate::bank::Engine::Postgres).await).await }
        )*}
    };
}
