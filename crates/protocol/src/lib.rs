//! The wire vocabulary of OAuth 2.0 and OpenID Connect.
//!
//! Whatever arrives from outside becomes a typed value here, or is refused here if the bytes alone
//! can decide it: parameters that repeat, JSON members that repeat, URIs that no client may
//! register, verifiers of the wrong length. Nothing in this crate knows a clock, a key, a database
//! or HTTP, so everything in it can be tested with plain values.
//!
//! * [`params`] and [`json`] are the two strict readers for bytes from outside.
//! * [`authorization`], [`token`], [`introspection`], [`revocation`] and [`logout`] are the
//!   requests and responses of the endpoints.
//! * [`client`] and [`provider`] are the metadata of both parties.
//! * [`scope`], [`claims`], [`uri`], [`pkce`] are the parts that they share.
//! * [`secret`] holds what must never be printed.

pub mod acr;
pub mod authorization;
pub mod authorization_details;
pub mod claims;
pub mod claims_request;
pub mod client;
pub mod device;
pub mod error;
pub mod exchange;
pub mod id;
pub mod introspection;
pub mod json;
pub mod logout;
pub mod members;
pub mod params;
pub mod pkce;
pub mod provider;
pub mod registration;
pub mod response_mode;
pub mod revocation;
pub mod scope;
pub mod secret;
pub mod target;
pub mod token;
pub mod uri;

pub use error::{Description, ErrorCode};
pub use id::{ClientId, ConsentId, CorrelationId, GrantId, InteractionId, SessionId, TokenId, UserId};
pub use scope::{Scope, ScopeToken};
