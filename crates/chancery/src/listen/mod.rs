//! The listeners: TCP, TLS and HTTP up to the point where a request meets the router.
//!
//! What a connection may cost is bounded here, before any of our own code runs: who may connect, how
//! many there are, in all and of one caller, how long a handshake, a header and a pause may take, how many streams an HTTP/2 peer may open or reset.
//! A stop is gentle: nothing new is accepted, requests in progress finish within a deadline.

mod access;
mod busy;
mod callers;
mod certificates;
mod mutual;
mod serve;
mod signals;

pub use access::Access;
pub use callers::Callers;
pub use certificates::{CertificateFault, Certificates};
pub use serve::{Limits, Listener};
pub use signals::{reload_on_hangup, stop_on_signal};

#[cfg(test)]
mod tests;
