//! Every request that this server sends to somebody else, under one policy.
//!
//! Clients and upstream banks name URLs, and a server that fetches whatever it is told is a tool for
//! strangers (server-side request forgery). So nothing else in the house may send a request, and
//! everything sent from here obeys one [`OutboundPolicy`]:
//!
//! * https only, certificates verified, no redirect followed, no proxy from the environment (OUT-01,
//!   F2-05);
//! * only to public addresses: [`address`] decides, inside the resolver whose answer is the one that
//!   is connected to, so a name can't be looked up twice with two answers (OUT-01);
//! * in bounded time, with a bounded body, of the expected type, few at once per host, few names looked up
//!   at once, and not again right after a failure (OUT-02);
//! * hosts that an operator listed, by name and port, may be private and have a root certificate of
//!   their own (OUT-03).

pub mod address;
mod client;
mod policy;
mod resolver;
#[cfg(test)]
mod tests;

pub use client::{Fetched, Outbound, OutboundFault};
pub use policy::{AllowedHost, OutboundPolicy};
