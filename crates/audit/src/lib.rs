//! The vocabulary of security events.
//!
//! Every login, second factor, consent, token and refusal becomes one [`Event`], which the store
//! writes in the transaction that it belongs to. The set of kinds is closed and their texts are
//! stable, because auditors and alerts search for them. An event names people, clients and objects
//! by identifier and never holds a bearer value: [`detail`] decides what may be recorded beside the
//! identifiers, and makes it safe to write on one line (BCP-17).

pub mod detail;
mod event;
mod kind;

pub use event::Event;
pub use kind::{Actor, EventKind, Outcome, UnknownText};
