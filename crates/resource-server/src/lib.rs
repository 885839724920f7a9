//! The resource server's side of OAuth: a tower layer that lets only those requests through whose access
//! token allows them.
//!
//! ```no_run
//! # use axum::{Router, routing::get};
//! # use resource_server::{Access, Config, ResourceServer};
//! # fn main() -> Result<(), resource_server::ConfigFault> {
//! let server = ResourceServer::new(Config::new("https://id.bank.example", "https://api.bank.example"))?;
//! let accounts = Access::scope("accounts:read").role("account-viewer");
//! let app: Router = Router::new().route("/accounts", get(|| async { "…" })).layer(server.require(accounts));
//! # Ok(()) }
//! ```
//!
//! A request that comes through carries an [`AccessToken`] among its extensions. One that does not is
//! answered as the standards say (RFC 6750 §3, RFC 9449 §7.1, RFC 9470 §3); [`Refusal`] is the whole table.
//!
//! How a request is judged, in this order:
//!
//! 1. [`presented`]: one token, from the `Authorization` header only (F2-38), with its scheme and proof.
//! 2. [`issuer`]: what the token says. A JWT (RFC 9068) is verified against the issuer's published keys,
//!    which are cached; an opaque one is introspected (RFC 7662). With credentials for introspection a JWT
//!    is asked about too, so that a withdrawn consent counts at once.
//! 3. [`binding`]: whoever sent it is who it was issued to (DPoP, RFC 9449; mutual TLS, RFC 8705).
//! 4. [`access`]: the token allows this call: scope, roles, authorization details, and how and when the
//!    person signed in.
//!
//! Each step but the second is a pure function. The guide is `docs/resource-server.md`.

pub mod access;
pub mod binding;
mod clock;
pub mod issuer;
mod layer;
pub mod presented;
pub mod refusal;
mod server;
pub mod token;

/// The examples of the guide compile.
#[cfg(doctest)]
#[doc = include_str!("../../../docs/resource-server.md")]
struct Guide;

pub use access::Access;
pub use binding::ClientCertificate;
pub use clock::Clock;
pub use layer::{Protect, Protected};
pub use refusal::Refusal;
pub use server::{Config, ConfigFault, ResourceServer};
pub use token::AccessToken;
