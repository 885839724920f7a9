//! The bank under test: the whole server on a loopback port, in this process, on either engine, with
//! a clock that stands still until a test moves it.

use std::{
    collections::BTreeMap,
    path::Path,
    sync::{Arc, Mutex, OnceLock},
};

use axum::{Router, extract::Request, middleware::Next};
use chancery::{config::Settings, declare};
use chrono::{DateTime, TimeDelta, Utc};
use flows::{Clock, Policies, Service, SystemRandom, declare::DeclaredPassword, service::Parts};
use jose::Algorithm;
use keys::{KeyEncryptionKey, Sealer, SigningKeyRecord};
use mfa::{HashMemory, HashingParams, PasswordHash, Pepper, SecondFactorPolicy};
use store::{AuditFilter, Store, StoreOptions};
use testkit::{Browser, ClientAuth, Departure, Person, RelyingParty, ResourceServer, TempDir};
use tokio::{net::TcpListener, task::JoinHandle};
use web::{
    App, Peer, WebConfig,
    limits::{FakeRelativeClock, LimitPolicy, Timer},
    public_router,
};

/// Both engines, for tests that must hold on each.
pub const ENGINES: [Engine; 2] = [Engine::Sqlite, Engine::Postgres];

/// A database engine.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Engine {
    /// A file of its own.
    Sqlite,
    /// A database of its own in the test process's cluster.
    Postgres,
}

/// A clock that a test moves.
#[derive(Debug)]
pub struct TestClock(Mutex<DateTime<Utc>>);

impl TestClock {
    /// Moves on.
    pub fn advance(&self, by: TimeDelta) {
        *self.0.lock().unwrap() += by;
    }
}

impl Clock for TestClock {
    fn now(&self) -> DateTime<Utc> {
        *self.0.lock().unwrap()
    }
}

/// The bank.
pub struct Bank {
    /// The issuer, `http://localhost:…`.
    pub issuer: String,
    /// The clock.
    pub clock: Arc<TestClock>,
    /// The use cases, for what no endpoint shows.
    pub service: Service,
    url: String,
    server: JoinHandle<()>,
    directory: TempDir,
}

impl Drop for Bank {
    fn drop(&mut self) {
        self.server.abort();
    }
}

/// Another server process of the same bank: the same issuer, keys and database, nothing else shared.
pub struct Node {
    /// Where it listens, `http://localhost:…`.
    pub address: String,
    /// Its use cases.
    pub service: Service,
    server: JoinHandle<()>,
}

impl Drop for Node {
    fn drop(&mut self) {
        self.server.abort();
    }
}

impl Bank {
    /// Opens the bank on SQLite.
    pub async fn open() -> Self {
        Self::on(Engine::Sqlite).await
    }

    /// Opens the bank on an engine.
    pub async fn on(engine: Engine) -> Self {
        Self::with(engine, |_| {}).await
    }

    /// Opens the bank with changed policies.
    pub async fn with(engine: Engine, change: impl FnOnce(&mut Policies)) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let issuer = format!("http://localhost:{}", listener.local_addr().unwrap().port());
        Self::behind(engine, issuer, listener, change).await
    }

    /// Opens the bank under an issuer whose front is elsewhere, such as behind TLS.
    pub async fn behind(
        engine: Engine,
        issuer: String,
        listener: TcpListener,
        change: impl FnOnce(&mut Policies),
    ) -> Self {
        let directory = testkit::tempdir().unwrap();
        let url = match engine {
            Engine::Sqlite => format!("sqlite:{}", directory.path().join("bank.db").display()),
            Engine::Postgres => testkit::postgres::fresh_database(),
        };
        let store = Store::open(&StoreOptions::new(&url)).await.unwrap();
        store.migrate().await.unwrap();
        let mut settings = Settings::new(issuer.parse().unwrap());
        settings.keys.algorithms = vec![Algorithm::Rs256, Algorithm::Es256];
        settings.keys.encryption = Vec::new();
        let mut policies = settings.policies().unwrap();
        policies.bank_name = "Test Bank".into();
        policies.second_factor = SecondFactorPolicy::IfEnrolled;
        change(&mut policies);
        let clock = Arc::new(TestClock(Mutex::new(DateTime::from_timestamp(1_800_000_000, 0).unwrap())));
        insert_keys(&store, clock.now()).await;
        let service = Service::new(parts(store, &clock, policies)).await.unwrap();
        declare_to(&service, include_str!("bank.toml")).await;
        let server = serve(listener, &issuer, &service);
        Self { issuer, clock, service, url, server, directory }
    }

    /// Starts a second server on this bank's database, as behind a load balancer.
    pub async fn another_node(&self) -> Node {
        self.changed_node(|_| ()).await
    }

    /// The same with other rules, as after a change of the configuration.
    pub async fn changed_node(&self, change: impl FnOnce(&mut Policies)) -> Node {
        let store = Store::open(&StoreOptions::new(&self.url)).await.unwrap();
        let mut policies = self.service.policies().clone();
        change(&mut policies);
        let service = Service::new(parts(store, &self.clock, policies)).await.unwrap();
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = format!("http://localhost:{}", listener.local_addr().unwrap().port());
        let server = serve(listener, &self.issuer, &service);
        Node { address, service, server }
    }

    /// Starts another server of this bank that limits its callers; their clock stands still until it is
    /// advanced.
    pub async fn limited(&self, limits: LimitPolicy) -> (Node, FakeRelativeClock) {
        let clock = FakeRelativeClock::default();
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = format!("http://localhost:{}", listener.local_addr().unwrap().port());
        let config = config(&self.issuer).with_limits(limits);
        let app = App::timed(self.service.clone(), config, &Timer::Manual(clock.clone()));
        (Node { address, service: self.service.clone(), server: serve_app(listener, &app) }, clock)
    }

    /// Every byte that an SQLite database wrote, write-ahead log included.
    pub fn database_bytes(&self) -> Vec<u8> {
        let files = std::fs::read_dir(self.directory.path()).unwrap();
        files.flat_map(|file| std::fs::read(file.unwrap().path()).unwrap()).collect()
    }

    /// Now, by the bank's clock.
    pub fn now(&self) -> DateTime<Utc> {
        self.clock.now()
    }

    /// Moves the bank's clock.
    pub fn advance(&self, by: TimeDelta) {
        self.clock.advance(by);
    }

    /// The address of a path.
    pub fn url(&self, path: &str) -> String {
        format!("{}{path}", self.issuer)
    }

    /// A customer of `bank.toml`.
    pub fn person(&self, username: &str) -> Person {
        let password = match username {
            "alice" => "harbour-lantern-violet",
            "bob" => "granite-teapot-orbit",
            "carol" => "walnut-comet-ribbon",
            "dave" => "meadow-anchor-pixel",
            other => panic!("bank.toml knows no {other}"),
        };
        Person::new(username, password)
    }

    /// A client of `bank.toml`.
    pub fn app(&self, id: &str) -> RelyingParty {
        let basic = |secret: &str| ClientAuth::Basic(secret.to_owned());
        let (auth, redirect_uri) = match id {
            "web-app" => (basic("web-app-secret-0123456789abcd"), "https://web.example/cb"),
            "legacy-app" => {
                (ClientAuth::Post("legacy-app-secret-0123456789a".into()), "https://legacy.example/cb")
            }
            "native-app" => (ClientAuth::None, "http://127.0.0.1:4711/cb"),
            "spa" => (ClientAuth::None, "https://spa.example/cb"),
            "batch-job" => (basic("batch-job-secret-0123456789ab"), "https://unused.example/cb"),
            "own-app" => (basic("own-app-secret-0123456789abcd"), "https://own.example/cb"),
            "strict-app" => (basic("strict-app-secret-0123456789a"), "https://strict.example/cb"),
            "fresh-app" => (basic("fresh-app-secret-0123456789ab"), "https://fresh.example/cb"),
            other => panic!("bank.toml knows no {other}"),
        };
        RelyingParty::new(&self.issuer, id, auth, redirect_uri)
    }

    /// A resource server of `bank.toml`.
    pub fn api(&self, id: &str) -> ResourceServer {
        let secret = match id {
            "accounts-api" => "accounts-api-secret-0123456789",
            "cards-api" => "cards-api-secret-0123456789ab",
            other => panic!("bank.toml knows no {other}"),
        };
        ResourceServer::new(&self.issuer, id, ClientAuth::Basic(secret.to_owned()))
    }

    /// Declares more, as an operator would with `chancery apply`; the text says what is wrong with it.
    pub async fn declare(&self, toml: &str) -> Result<(), String> {
        let declared = declare::parse(toml, Path::new("more.toml"), |_| None);
        let declared = declared.map_err(|faults| format!("{faults:?}"))?;
        self.service.declare(&declared).await.unwrap().map_err(|fault| fault.to_string())
    }

    /// Leads a customer through every page; answers what came back to the client.
    pub async fn connect(&self, person: &mut Person, browser: &Browser, url: impl AsRef<str>) -> Departure {
        person.connect(browser, url, self.now()).await
    }

    /// How many audit events of a kind there are.
    pub async fn audited(&self, kind: audit::EventKind) -> usize {
        let filter = AuditFilter { kind: Some(kind), ..AuditFilter::default() };
        self.trail(&filter, 1000).await.len()
    }

    /// The newest audit events, those included that wait for their batch.
    pub async fn trail(&self, filter: &AuditFilter, limit: u32) -> Vec<audit::Event> {
        self.service.settle_audit().await.unwrap();
        self.service.store().audit_events(filter, limit).await.unwrap()
    }
}

fn parts(store: Store, clock: &Arc<TestClock>, policies: Policies) -> Parts {
    Parts {
        store,
        clock: clock.clone(),
        random: Arc::new(SystemRandom),
        sealer: Sealer::new(&KeyEncryptionKey::from_bytes([7; 32]), &[]),
        pepper: Pepper::new([9; 32]),
        policies,
    }
}

fn serve(listener: TcpListener, issuer: &str, service: &Service) -> JoinHandle<()> {
    serve_app(listener, &App::new(service.clone(), config(issuer)))
}

fn config(issuer: &str) -> WebConfig {
    WebConfig::new(issuer, "Test Bank", vec!["10.0.0.0/8".parse().unwrap()])
}

fn serve_app(listener: TcpListener, app: &App) -> JoinHandle<()> {
    let router = placed(public_router(app));
    tokio::spawn(async move { axum::serve(listener, router).await.unwrap() })
}

/// Every bank has the same signing keys, because making one takes long.
async fn insert_keys(store: &Store, now: DateTime<Utc>) {
    static KEYS: OnceLock<Vec<SigningKeyRecord>> = OnceLock::new();
    let keys = KEYS.get_or_init(|| {
        let sealer = Sealer::new(&KeyEncryptionKey::from_bytes([7; 32]), &[]);
        let make = |algorithm, nonce| SigningKeyRecord::generate(algorithm, now, &sealer, [nonce; 12], now);
        vec![make(Algorithm::Rs256, 1).unwrap(), make(Algorithm::Es256, 2).unwrap()]
    });
    let mut tx = store.begin().await.unwrap();
    for key in keys {
        tx.insert_signing_key(key).await.unwrap();
    }
    tx.commit().await.unwrap();
}

/// The hash of a password of `bank.toml`; each is made once, because that takes long too.
fn hashed(password: DeclaredPassword) -> DeclaredPassword {
    static HASHES: Mutex<BTreeMap<String, PasswordHash>> = Mutex::new(BTreeMap::new());
    let DeclaredPassword::Plain(plain) = password else { return password };
    let mut hashes = HASHES.lock().unwrap();
    let hash = hashes.entry(plain.expose().to_owned()).or_insert_with(|| {
        mfa::hash(
            &plain,
            &Pepper::new([9; 32]),
            HashingParams::default(),
            [3; 16],
            &mut HashMemory::default(),
        )
        .unwrap()
    });
    DeclaredPassword::Hash(hash.clone())
}

async fn declare_to(service: &Service, text: &str) {
    let mut declared = declare::parse(text, Path::new("bank.toml"), |_| None).unwrap();
    for user in &mut declared.users {
        user.password = user.password.take().map(hashed);
    }
    service.declare(&declared).await.unwrap().unwrap();
}

/// Gives every request a peer, as the real listeners do.
fn placed(router: Router) -> Router {
    router.layer(axum::middleware::from_fn(|mut request: Request, next: Next| {
        request.extensions_mut().insert(Peer { address: ([127, 0, 0, 1], 9).into(), tls: false });
        next.run(request)
    }))
}
