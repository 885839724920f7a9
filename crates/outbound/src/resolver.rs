//! Names become addresses here, and only public ones leave. The connection goes to what this
//! resolver answered, so the address is pinned: there is no second look-up to lie to (OUT-01).

use std::net::SocketAddr;

use reqwest::dns::{Addrs, Name, Resolve, Resolving};

use crate::address::is_public;

/// A name that leads into a private network.
#[derive(Debug, thiserror::Error)]
#[error("the host has an address that is not public")]
pub(crate) struct NotPublic;

/// Resolves like the system, and refuses a name as soon as one of its addresses is not public: a
/// host that mixes both has no honest reason to.
pub(crate) struct PublicOnly;

impl Resolve for PublicOnly {
    fn resolve(&self, name: Name) -> Resolving {
        Box::pin(async move {
            let found: Vec<SocketAddr> = tokio::net::lookup_host((name.as_str(), 0)).await?.collect();
            if !found.iter().all(|found| is_public(found.ip())) {
                return Err(NotPublic.into());
            }
            Ok(Box::new(found.into_iter()) as Addrs)
        })
    }
}
