//! The front door: axum routes, tower layers, pages.
//!
//! A request is named and placed once ([`request`]), its body is read strictly ([`form`]), a flow
//! does the work, and the outcome is rendered. Nothing is decided here but how things look on the
//! wire: [`wire`] is the one table in which a reviewer sees every wire error.
//!
//! * [`router`] lists every route, with its layers; [`limits`] says how much one caller may ask for.
//! * [`endpoints`] are for programs: metadata, token, userinfo, introspection, revocation.
//! * [`browser`] is for people: authorization, interaction, account, logout.
//! * [`pages`] is what people see.

pub mod app;
pub mod browser;
pub mod certificate;
pub mod cookies;
mod cors;
pub mod endpoints;
mod evidence;
pub mod form;
mod front;
pub mod headers;
pub mod limits;
pub mod pages;
pub mod peer;
pub mod request;
pub mod response;
pub mod router;
mod series;
pub mod traced;
pub mod wire;

pub use app::{App, WebConfig};
pub use certificate::CertificateHeader;
pub use peer::Peer;
pub use router::{mutual_router, public_router};
pub use traced::Traced;
