//! The actors and props of Chancery's tests.
//!
//! Actors speak HTTP to a listening server and know nothing of its code, so the same test drives the
//! in-process router and the real binary: a [`Browser`] without JavaScript, a [`Person`] who fills in the
//! pages, a [`RelyingParty`] that wants tokens, a [`ResourceServer`] that asks about them. Props are a
//! throw-away PostgreSQL ([`postgres::fresh_database`]), a guard for child processes ([`Process`]) and
//! runners for the scripts that bring real clients and a real browser ([`scripts`]).
//!
//! Everything here panics when the world is not as a test expects, with what it saw: a panic is how a test
//! says no. The crate depends on no room of the house.

mod answer;
mod browser;
mod page;
mod person;
pub mod postgres;
mod process;
mod relying_party;
mod resource_server;
pub mod scripts;
pub mod sqlite;
pub mod totp;

pub use answer::{Answer, claims_of};
pub use browser::Browser;
pub use page::{Departure, Form, Page};
pub use person::Person;
pub use process::{Process, chancery_binary, free_port, target_dir, workspace_root};
pub use relying_party::{Attempt, ClientAuth, RelyingParty};
pub use resource_server::ResourceServer;
pub use tempfile::{NamedTempFile, TempDir, tempdir};

/// A client that follows no redirect, uses no proxy, trusts no public authority and gives up after half a
/// minute: what every actor builds on. `roots` are the PEM certificates it trusts for https.
pub(crate) fn http_client(roots: &[&str]) -> reqwest::ClientBuilder {
    let certificates = roots.iter().map(|pem| {
        reqwest::Certificate::from_pem(pem.as_bytes()).expect("the test's own certificate is valid PEM")
    });
    reqwest::Client::builder()
        .redirect(reqwest::redirect::Policy::none())
        .no_proxy()
        .tls_certs_only(certificates)
        // Before the server ends a connection that rests: a request on its way then would be lost.
        .pool_idle_timeout(std::time::Duration::from_secs(5))
        .timeout(std::time::Duration::from_secs(30))
}
