//! The public keys of clients, wherever they are (OUT-04).
//!
//! Keys by value were parsed with the client. Keys by reference (`jwks_uri`) are fetched when somebody
//! needs them, parsed once, and kept for as long as their owner says, within bounds. A signature by an
//! unknown key may mean that the client has rotated, so it makes the set be fetched again, but not more
//! than once in a [window](WINDOW): nobody can make this server hammer somebody else's by signing with
//! invented keys. A fetch that failed is not repeated at once either.
//!
//! Nothing here may be called while a transaction is open: a fetch takes as long as a stranger wishes,
//! up to the bound of `outbound`.

use std::sync::{Arc, PoisonError, RwLock};

use chrono::{DateTime, TimeDelta, Utc};
use jose::KeySet;
use moka::sync::Cache;
use outbound::OutboundFault;
use protocol::ClientId;
use tokens::client::{Client, ClientKeys};
use tokio::sync::Mutex;

use crate::service::Service;

/// So many key sets are kept.
const SETS: u64 = 1_000;
/// How long a set counts whose owner says nothing, or no more than this whatever he says.
const USUAL: TimeDelta = TimeDelta::minutes(10);
/// No set is fetched more often than this for being old.
const SHORTEST: TimeDelta = TimeDelta::minutes(1);
/// No set counts for longer, so that a withdrawn key does not live for ever.
const LONGEST: TimeDelta = TimeDelta::hours(1);
/// In so long, unknown keys cause at most one fetch per client, and a failed fetch is not repeated.
const WINDOW: TimeDelta = TimeDelta::seconds(30);
/// So long an old set still counts while its owner can't be reached.
const STALE: TimeDelta = TimeDelta::hours(1);

/// What key sets are served as.
const MEDIA: [&str; 3] = ["application/json", "application/jwk-set+json", "text/plain"];

/// Why a client's keys can't be had.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum ClientKeysFault {
    /// It registered none.
    #[error("it has registered no keys")]
    None,
    /// Its server does not give them.
    #[error("jwks_uri: {0}")]
    Fetch(#[from] OutboundFault),
    /// What its server gives is no acceptable key set.
    #[error("jwks_uri: {0}")]
    Document(String),
}

/// The fetched sets, by client and place: a client that registers another place gets another entry.
pub(crate) struct ClientKeySets(Cache<(ClientId, String), Arc<Slot>>);

impl Default for ClientKeySets {
    fn default() -> Self {
        Self(Cache::new(SETS))
    }
}

/// One client's place. Who finds its set too old fetches it; whoever comes meanwhile waits for that.
#[derive(Default)]
struct Slot {
    held: RwLock<Held>,
    fetching: Mutex<()>,
}

#[derive(Clone, Default)]
struct Held {
    keys: Option<Arc<KeySet>>,
    /// Until when `keys` count without question.
    fresh_until: Option<DateTime<Utc>>,
    /// The last failure, and until when it stands in place of another try.
    failed: Option<(ClientKeysFault, DateTime<Utc>)>,
    /// When an unknown key last caused a fetch.
    forced_at: Option<DateTime<Utc>>,
}

impl Held {
    /// What can be said without asking anybody.
    fn answer(&self, now: DateTime<Utc>) -> Option<Result<Arc<KeySet>, ClientKeysFault>> {
        if let Some(keys) = &self.keys
            && self.fresh_until.is_some_and(|until| now < until)
        {
            return Some(Ok(Arc::clone(keys)));
        }
        let (fault, until) = self.failed.as_ref()?;
        (now < *until).then(|| self.stale(now).ok_or_else(|| fault.clone()))
    }

    /// An old set, while it may stand in for one that can't be fetched.
    fn stale(&self, now: DateTime<Utc>) -> Option<Arc<KeySet>> {
        let until = self.fresh_until? + STALE;
        self.keys.clone().filter(|_| now < until)
    }

    fn take(&mut self, fetched: Result<(Arc<KeySet>, TimeDelta), ClientKeysFault>, now: DateTime<Utc>) {
        match fetched {
            Ok((keys, lasts)) => {
                self.keys = Some(keys);
                self.fresh_until = Some(now + lasts);
                self.failed = None;
            }
            Err(fault) => self.failed = Some((fault, now + WINDOW)),
        }
    }
}

impl Slot {
    fn held(&self) -> Held {
        self.held.read().unwrap_or_else(PoisonError::into_inner).clone()
    }

    fn change(&self, change: impl FnOnce(&mut Held)) {
        change(&mut self.held.write().unwrap_or_else(PoisonError::into_inner));
    }
}

impl Service {
    /// The public keys of a client: to verify what it signed, or to encrypt to it.
    ///
    /// Fetches them if they are elsewhere and not in the cache; never call it within a transaction.
    ///
    /// # Errors
    /// [`ClientKeysFault`].
    pub async fn client_keys(&self, client: &Client) -> Result<Arc<KeySet>, ClientKeysFault> {
        self.keys_of(&client.id, &client.keys).await
    }

    /// The same for keys that a client relies on: its own, or those of an issuer that it brings assertions
    /// of.
    pub(crate) async fn keys_of(
        &self,
        client: &ClientId,
        keys: &ClientKeys,
    ) -> Result<Arc<KeySet>, ClientKeysFault> {
        let uri = match keys {
            ClientKeys::None => return Err(ClientKeysFault::None),
            ClientKeys::Registered(keys) => return Ok(Arc::clone(keys)),
            ClientKeys::At(uri) => uri,
        };
        let slot = self.key_slot(client, uri);
        if let Some(known) = slot.held().answer(self.now()) {
            return known;
        }
        let _turn = slot.fetching.lock().await;
        // Somebody else may have had it fetched while we waited.
        if let Some(known) = slot.held().answer(self.now()) {
            return known;
        }
        let fetched = self.fetch_keys(uri).await;
        let now = self.now();
        slot.change(|held| held.take(fetched, now));
        slot.held().answer(now).unwrap_or(Err(ClientKeysFault::None))
    }

    /// The keys of a client after one of them was not among those that are cached: fetched again, unless
    /// that happened in the last half minute. `None` where nothing newer is to be had.
    pub async fn client_keys_anew(&self, client: &Client) -> Option<Arc<KeySet>> {
        self.keys_anew(&client.id, &client.keys).await
    }

    pub(crate) async fn keys_anew(&self, client: &ClientId, keys: &ClientKeys) -> Option<Arc<KeySet>> {
        let ClientKeys::At(uri) = keys else { return None };
        let slot = self.key_slot(client, uri);
        let before = slot.held().keys;
        let _turn = slot.fetching.lock().await;
        let (held, now) = (slot.held(), self.now());
        // Somebody else had the same trouble, and found something.
        if let (Some(before), Some(keys)) = (before, &held.keys)
            && !Arc::ptr_eq(&before, keys)
        {
            return Some(Arc::clone(keys));
        }
        if held.forced_at.is_some_and(|last| now < last + WINDOW) {
            return None;
        }
        slot.change(|held| held.forced_at = Some(now));
        let fetched = self.fetch_keys(uri).await;
        let newer = fetched.as_ref().ok().map(|(keys, _)| Arc::clone(keys));
        slot.change(|held| held.take(fetched, now));
        newer
    }

    fn key_slot(&self, client: &ClientId, uri: &str) -> Arc<Slot> {
        self.0.client_keys.0.get_with((client.clone(), uri.to_owned()), Arc::default)
    }

    async fn fetch_keys(&self, uri: &str) -> Result<(Arc<KeySet>, TimeDelta), ClientKeysFault> {
        let fetched = self.0.outbound.get(uri, &MEDIA).await?;
        let keys = KeySet::from_published(&fetched.body)
            .map_err(|fault| ClientKeysFault::Document(fault.to_string()))?;
        let said = fetched.max_age.and_then(|age| TimeDelta::from_std(age).ok());
        Ok((Arc::new(keys), said.unwrap_or(USUAL).clamp(SHORTEST, LONGEST)))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn at(seconds: i64) -> DateTime<Utc> {
        DateTime::from_timestamp(seconds, 0).unwrap_or_default()
    }

    #[test]
    fn out_04_failures_and_age_have_their_bounds() {
        let keys = Arc::new(KeySet::default());
        let fault = || ClientKeysFault::Fetch(OutboundFault::TimedOut);
        let mut held = Held::default();
        assert_eq!(held.answer(at(0)), None, "nothing is known yet");
        held.take(Err(fault()), at(0));
        assert_eq!(held.answer(at(29)), Some(Err(fault())), "negative cache");
        assert_eq!(held.answer(at(30)), None);
        held.take(Ok((keys, SHORTEST)), at(30));
        assert!(held.answer(at(89)).is_some_and(|answer| answer.is_ok()));
        assert_eq!(held.answer(at(90)), None, "too old");
        held.take(Err(fault()), at(90));
        assert!(held.answer(at(91)).is_some_and(|answer| answer.is_ok()), "old keys stand in");
        assert_eq!(held.answer(at(120)), None, "and it is tried again");
        held.take(Err(fault()), at(3700));
        assert_eq!(held.answer(at(3701)), Some(Err(fault())), "not for ever");
    }
}
