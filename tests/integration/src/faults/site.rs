//! An installation under load: its configuration, its database from outside, its processes.

use std::path::{Path, PathBuf};
use std::time::Duration;

use testkit::postgres::Cluster;
use testkit::{ClientAuth, Person, Process, RelyingParty, ResourceServer, free_port};

use super::now;
use crate::bank::Engine;
use crate::running::Installation;

const BANK: &str = include_str!("../bank.toml");
/// How many customers there are beside those of the bank's description: whoever answers one app's question
/// in two tabs at once is asked again, and that is another subject.
pub const CUSTOMERS: usize = 8;

/// Nobody is limited: every actor comes from one address, and refusals shall have one reason.
const UNLIMITED: &str =
    "[log]\nfilter = \"warn\"\n[limits]\nexempt = [\"127.0.0.0/8\", \"::1\"]\nclients = 0\n";

/// Where the rows are.
#[derive(Clone, Debug)]
pub enum Database {
    /// An SQLite file.
    File(PathBuf),
    /// An SQLite file in a file system that only the server sees, reached through its process. It is looked at
    /// as a copy, because SQLite resolves links and would look in ours.
    Elsewhere(PathBuf),
    /// A PostgreSQL URL.
    Url(String),
}

impl Database {
    /// The rows of a statement, columns separated by `|`.
    pub fn query(&self, sql: &str) -> Vec<String> {
        match self {
            Self::File(file) => testkit::sqlite::query(file, sql),
            Self::Elsewhere(file) => {
                let directory = testkit::tempdir().unwrap();
                let copy = directory.path().join("copy.db");
                for suffix in ["", "-wal"] {
                    let part = |path: &Path| PathBuf::from(format!("{}{suffix}", path.display()));
                    if part(file).exists() {
                        std::fs::copy(part(file), part(&copy)).unwrap();
                    }
                }
                testkit::sqlite::query(&copy, sql)
            }
            Self::Url(url) => testkit::postgres::query(url, sql),
        }
    }

    /// The one number that a statement gives.
    pub fn count(&self, sql: &str) -> usize {
        self.query(sql)[0].parse().unwrap()
    }
}

/// The bank that is to fail.
pub struct Site {
    /// Its files.
    pub installation: Installation,
    /// Its rows.
    pub database: Database,
}

/// One of the customers.
pub fn customer(number: usize) -> Person {
    Person::new(&format!("customer-{number}"), &format!("harbour-meadow-comet-{number}"))
}

impl Site {
    /// On this engine, PostgreSQL as durable as in production; everything declared, nothing running.
    pub fn new(engine: Engine, cluster: Option<&Cluster>, more: &str) -> Self {
        let installation = Installation::plain(Engine::Sqlite);
        installation.configure(&format!("{UNLIMITED}{more}"));
        let file = installation.config().with_file_name("chancery.db");
        let database = match (engine, cluster) {
            (Engine::Postgres, Some(cluster)) => {
                let url = cluster.database("bank");
                installation.write("database-url", &url);
                Database::Url(url)
            }
            _ => Database::File(file),
        };
        let customers = (0..CUSTOMERS).map(|number| {
            let Person { username, password, .. } = customer(number);
            format!("[[user]]\nusername = \"{username}\"\npassword = \"{password}\"\nroles = [\"account-viewer\"]\n")
        });
        installation.apply(&format!("{BANK}\n{}", customers.collect::<String>()));
        Self { installation, database }
    }

    /// Serves; says how long it took until it was ready.
    pub async fn serve(&self) -> (Process, Duration) {
        let began = now();
        let process = Process::start("chancery serve", &mut self.installation.command(&["serve"]));
        let process = process.ready(&format!("{}/health/ready", self.installation.admin)).await;
        (process, began.elapsed())
    }

    /// Serves as another node beside it; gives the node's address.
    pub async fn serve_beside(&self) -> (Process, String) {
        let (public, admin) = (free_port(), free_port());
        let mut command = self.installation.command(&["serve"]);
        command
            .env("CHANCERY__LISTEN__PUBLIC", format!("127.0.0.1:{public}"))
            .env("CHANCERY__LISTEN__ADMIN", format!("127.0.0.1:{admin}"));
        let process = Process::start("another chancery serve", &mut command);
        let process = process.ready(&format!("http://127.0.0.1:{admin}/health/ready")).await;
        (process, format!("http://localhost:{public}"))
    }

    /// The public client with rotating refresh tokens.
    pub fn native_app(&self) -> RelyingParty {
        RelyingParty::new(
            &self.installation.issuer,
            "native-app",
            ClientAuth::None,
            "http://127.0.0.1:4711/cb",
        )
    }

    /// The client that acts for itself.
    pub fn batch_job(&self) -> RelyingParty {
        let auth = ClientAuth::Basic("batch-job-secret-0123456789ab".to_owned());
        RelyingParty::new(&self.installation.issuer, "batch-job", auth, "https://nowhere.example/cb")
    }

    /// The APIs that ask about tokens: that of JWTs, and that of opaque ones.
    pub fn apis(&self) -> [ResourceServer; 2] {
        [("accounts-api", "accounts-api-secret-0123456789"), ("cards-api", "cards-api-secret-0123456789ab")]
            .map(|(id, secret)| {
                ResourceServer::new(&self.installation.issuer, id, ClientAuth::Basic(secret.to_owned()))
            })
    }
}
