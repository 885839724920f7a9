//! Names become addresses here, and only public ones leave. The connection goes to what this
//! resolver answered, so the address is pinned: there is no second look-up to lie to (OUT-01).

use std::{net::SocketAddr, sync::Arc};

use reqwest::dns::{Addrs, Name, Resolve, Resolving};
use tokio::sync::Semaphore;

use crate::address::is_public;

/// A name that leads into a private network.
#[derive(Debug, thiserror::Error)]
#[error("the host has an address that is not public")]
pub(crate) struct NotPublic;

/// So many names are looked up at once. A look-up is a call of the system that holds a thread and that
/// nobody can break off, so strangers who name hosts whose servers are slow to answer must not be able to
/// take every thread there is.
const LOOKUPS: usize = 32;

/// Resolves like the system, and refuses a name as soon as one of its addresses is not public: a
/// host that mixes both has no honest reason to.
pub(crate) struct PublicOnly(Arc<Semaphore>);

impl PublicOnly {
    pub(crate) fn new() -> Self {
        Self(Arc::new(Semaphore::new(LOOKUPS)))
    }
}

impl Resolve for PublicOnly {
    fn resolve(&self, name: Name) -> Resolving {
        let places = Arc::clone(&self.0);
        Box::pin(async move {
            let place = places.acquire_owned().await?;
            // Its place is taken until it is over, even when whoever wanted it has given up.
            let lookup = tokio::spawn(async move {
                let found = tokio::net::lookup_host((name.as_str(), 0)).await.map(Vec::from_iter);
                drop(place);
                found
            });
            let found: Vec<SocketAddr> = lookup.await??;
            if !found.iter().all(|found| is_public(found.ip())) {
                return Err(NotPublic.into());
            }
            Ok(Box::new(found.into_iter()) as Addrs)
        })
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use tokio::time::timeout;

    use super::*;

    #[tokio::test]
    async fn out_02_few_names_are_looked_up_at_once() {
        let resolver = PublicOnly(Arc::new(Semaphore::new(0)));
        let lookup = || resolver.resolve("localhost".parse().unwrap());
        assert!(timeout(Duration::from_millis(50), lookup()).await.is_err(), "it waits for a place");
        resolver.0.add_permits(1);
        for _ in 0..2 {
            let refused = lookup().await.err().unwrap();
            assert!(refused.is::<NotPublic>(), "and gives it back");
        }
    }
}
