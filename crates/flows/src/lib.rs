//! The use cases: load, decide, sign, apply.
//!
//! Each flow reads what a decision needs, lets a pure room decide, signs, and applies the effects in
//! one short transaction. No HTTP is known here, and nothing is decided here. This is the room that
//! owns the clock, the randomness, the caches and the bounded password pool; everything else gets
//! them as values.
//!
//! * [`service`] is the whole server without its front door: a [`Service`](service::Service) has one
//!   method per use case, in the modules below.
//! * [`authorize`] and [`interaction`] lead a person from a request to a code; [`sign_in`],
//!   [`second_factor`] and [`enrolment`] are what they do on the way; [`account`] is what they do afterwards.
//! * [`token`], [`introspect`], [`revoke`], [`userinfo`], [`logout`] are the other endpoints.
//! * Logout tokens are delivered by a worker of every node ([`Service::deliver_logouts`]).
//! * [`declare`], [`operate`], [`signing_keys`], [`maintenance`], [`evidence`], [`backup`] are for operators and for
//!   the server itself.

pub mod account;
mod audit_queue;
pub mod authorize;
mod backchannel;
pub mod backup;
pub mod caches;
pub mod client_auth;
pub mod client_documents;
pub mod client_keys;
pub mod clock;
pub mod context;
pub mod declare;
pub mod deliver;
mod device;
pub mod device_flow;
pub mod dpop;
pub mod enrolment;
pub mod error;
pub mod evidence;
mod exchange;
pub mod federation;
mod hashing;
pub mod interaction;
pub mod introspect;
pub mod logout;
pub mod maintenance;
pub mod metadata;
pub mod operate;
pub mod passwords;
pub mod policies;
pub mod presented;
pub mod pushed;
pub mod random;
pub mod registration;
pub mod request_object;
mod responses;
pub mod revoke;
pub mod second_factor;
pub mod sector;
pub mod service;
pub mod session_state;
pub mod sign_in;
pub mod signing_keys;
mod subjects;
mod surroundings;
pub mod token;
mod unused_clients;
pub mod userinfo;
pub mod visitor;

pub use clock::{Clock, SystemClock};
pub use context::RequestContext;
pub use error::FlowError;
pub use policies::Policies;
pub use random::{Random, SystemRandom};
pub use service::Service;
