//! Clients that registered themselves and that nobody needs (RFC 7591 §5 leaves it to the server how long a
//! registration lasts).
//!
//! Whoever may register may register often, and a row that nothing ever takes away is a way to fill a
//! database. So a policy says after how long without use a client is forgotten, if no person ever consented
//! to it: then no evidence names it. Use is that it authenticated; that is noted at most once a day, so a
//! client that works all day costs one write. What is noted may therefore lag behind, and a client gets the
//! benefit of that doubt.

use audit::{Actor, Event, EventKind};
use chrono::TimeDelta;
use protocol::ClientId;
use store::Lock;

use crate::{error::Result, random::Draw, service::Service};

/// What identifiers begin with that this server gives to clients which register themselves.
pub(crate) const PREFIX: &str = "r.";
/// Use is noted so often.
const NOTED: TimeDelta = TimeDelta::days(1);
/// How far what is noted may lie behind the last use: a node writes nothing within [`NOTED`] of its own last
/// write, nor where another node wrote within that time.
const LAG: TimeDelta = TimeDelta::days(2);
/// So many go at once.
const BATCH: u32 = 100;

impl Service {
    /// Notes that a client has authenticated, if it is one that can be forgotten.
    pub(crate) async fn note_use(&self, client: &ClientId) -> Result<()> {
        if !client.as_str().starts_with(PREFIX) {
            return Ok(());
        }
        let (now, noted) = (self.now(), &self.0.caches.used_clients);
        if noted.get(client).is_some_and(|last| now < last + NOTED) {
            return Ok(());
        }
        self.0.store.note_client_use(client, now, now - NOTED).await?;
        noted.insert(client.clone(), now);
        Ok(())
    }

    /// Forgets the clients of every policy that have not been used for as long as it says.
    ///
    /// # Errors
    /// [`FlowError`](crate::FlowError).
    pub(crate) async fn forget_unused_clients(&self) -> Result<u64> {
        let Some(rules) = &self.0.policies.registration else { return Ok(0) };
        let mut total = 0;
        for policy in &rules.policies {
            let Some(lifetime) = policy.unused_lifetime else { continue };
            loop {
                let gone = self.forget_some(&policy.name, lifetime).await?;
                total += gone as u64;
                if gone < BATCH as usize {
                    break;
                }
            }
        }
        Ok(total)
    }

    async fn forget_some(&self, policy: &str, lifetime: TimeDelta) -> Result<usize> {
        let now = self.now();
        let mut tx = self.0.store.begin().await?;
        tx.lock(Lock::Declarations).await?;
        let gone = tx.forget_unused_clients(policy, now - lifetime - LAG, BATCH).await?;
        for client in &gone {
            let event = Event::new(EventKind::ClientDeleted, now, self.random().id(now)).by(Actor::System);
            tx.record(&event.client(client.clone()).detail("why", "unused").detail("policy", policy)).await?;
        }
        tx.commit().await?;
        Ok(gone.len())
    }
}
