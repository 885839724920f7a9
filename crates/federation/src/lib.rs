//! Banks and employers as upstream OpenID Providers, through the `openidconnect` crate.
//!
//! Here Chancery is the relying party: it sends a person to a provider that an operator configured,
//! redeems the code that comes back, and believes the ID token as far as the configuration says.
//!
//! * [`config`] is what an operator says of a provider: who it is, how we prove who we are, whom it
//!   answers for, and what its words (`acr`, roles, claims) mean here.
//! * [`provider`] is the provider itself: metadata and keys, fetched when they are needed, kept for a
//!   while, fetched again once when a key is unknown.
//! * [`request`] makes the authorization request: `state`, `nonce`, PKCE S256, and what of our own
//!   request is passed on. [`response`] reads the answer: the `iss` of the response against mix-up, the
//!   exchange of the code, the ID token. [`identity`] is what it yields.
//! * [`logout`] is the end: RP-initiated logout there, back-channel logout tokens from there.
//!
//! Everything sent goes through [`outbound`], so the provider's metadata cannot make this server call
//! what it may not. Nothing here knows users, sessions or the store, and nothing decides who somebody
//! is: an [`UpstreamIdentity`] is what a provider says about its own subject, never an e-mail address
//! that happens to be somebody's here.

pub mod config;
pub mod identity;
pub mod logout;
pub mod provider;
pub mod request;
pub mod response;
#[cfg(test)]
mod tests;
mod transport;

pub use config::{ClientProof, ProviderId, RoleMap, SignatureAlgorithm, UpstreamConfig};
pub use identity::UpstreamIdentity;
pub use logout::UpstreamLogoutToken;
pub use provider::{Provider, UpstreamFault};
pub use request::{AttemptSecrets, UpstreamRequest};
pub use response::UpstreamResponse;
pub use transport::Transport;
