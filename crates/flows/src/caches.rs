//! What every request reads and operators seldom change: clients, catalogue, keys.
//!
//! A snapshot is swapped whole, so one request never sees half of a change. The change sequence of
//! the store is polled once a second (the command line is another process); when it moved, what
//! moved is read again. Clients are parsed one by one as they are asked for, and forgotten all
//! together.

use std::sync::{
    Arc, PoisonError, RwLock,
    atomic::{AtomicU64, Ordering},
};
use std::time::Duration;

use chrono::{DateTime, Utc};
use consent::Catalogue;
use jose::KeySet;
use keys::{Keyring, SigningKeyRecord};
use moka::sync::Cache;
use protocol::ClientId;
use store::Changes;
use tokens::{client::Client, client_document::document_host};

use crate::{
    client_documents::{KnownDocuments, known_documents},
    error::{FlowError, Result},
    evidence::Stopwatch,
    metadata::Documents,
    service::Service,
};

/// At most so many parsed clients are kept.
const CLIENTS: u64 = 10_000;
/// Keys of issuers of software statements are read again after so long.
const STATEMENT_KEYS: Duration = Duration::from_secs(300);

/// The declared things that fit in memory as a whole.
#[derive(Debug)]
pub struct Declared {
    /// Scopes and resource servers.
    pub catalogue: Catalogue,
    /// Signing keys.
    pub keyring: Keyring,
    /// The records that the keyring was made of; they tell what is to become of them.
    pub(crate) signing_keys: Vec<SigningKeyRecord>,
    /// What anybody may read of both.
    pub documents: Documents,
    changes: Changes,
    /// Counts the snapshots. Clients are cached under it, so that one which was read before a change
    /// and arrives after it is never asked for again.
    pub(crate) generation: u64,
}

pub(crate) struct Caches {
    declared: RwLock<Option<Arc<Declared>>>,
    generations: AtomicU64,
    /// `None` is remembered too, so that unknown client ids don't reach the database each time.
    clients: Cache<(u64, ClientId), Option<Arc<Client>>>,
    /// Clients that are documents, under the snapshot at which they were asked for: one that was on its way
    /// while an operator ended it is never asked for again.
    pub(crate) documents: KnownDocuments,
    /// When clients that registered themselves were last noted to be used, by this node.
    pub(crate) used_clients: Cache<ClientId, DateTime<Utc>>,
    /// Keys that software statements are verified with, by URL.
    pub(crate) statement_keys: Cache<String, KeySet>,
}

impl Caches {
    pub(crate) fn empty() -> Self {
        Self {
            declared: RwLock::new(None),
            generations: AtomicU64::new(0),
            clients: Cache::new(CLIENTS),
            documents: known_documents(),
            used_clients: Cache::new(CLIENTS),
            statement_keys: Cache::builder().max_capacity(100).time_to_live(STATEMENT_KEYS).build(),
        }
    }

    /// # Panics
    /// Before the first [`Service::reload`], which `Service::new` makes.
    pub(crate) fn declared(&self) -> Arc<Declared> {
        let declared = self.declared.read().unwrap_or_else(PoisonError::into_inner);
        declared.clone().expect("a service is made with its caches filled")
    }
}

impl Service {
    /// A client by the identifier that a request claims; `None` when it is unknown or disabled.
    ///
    /// # Errors
    /// [`FlowError`].
    pub async fn client(&self, id: &str) -> Result<Option<Arc<Client>>> {
        let Ok(id) = id.parse::<ClientId>() else { return Ok(None) };
        if self.names_a_document(&id) {
            return self.document_client(&id).await;
        }
        let key = (self.declared().generation, id);
        if let Some(known) = self.0.caches.clients.get(&key) {
            return Ok(known);
        }
        let id = &key.1;
        let mut record = self.0.store.client(id).await?.filter(|record| !record.disabled);
        if record.is_some() && document_host(id.as_str()).is_some() && self.was_a_document(id).await? {
            // Its document is not read any more, so nobody says what it may be.
            record = None;
        }
        let client = match record {
            None => None,
            Some(record) => Some(self.under_policy(Client::parse(&record).map_err(|faults| {
                let faults = faults.iter().map(ToString::to_string).collect::<Vec<_>>().join("; ");
                FlowError::StoredClient { id: id.clone(), faults }
            })?)),
        };
        self.0.caches.clients.insert(key, client.clone());
        Ok(client)
    }

    /// What a client asks for, and what this server asks of all of them (PAR-07).
    pub(crate) fn under_policy(&self, mut client: Client) -> Arc<Client> {
        client.protection.pushed_requests |= self.0.policies.protection.require_pushed_requests;
        Arc::new(client)
    }

    /// Reads what changed since the last time, and forgets parsed clients if any of them did.
    /// Answers whether anything had changed.
    ///
    /// # Errors
    /// [`FlowError`]; the old snapshot stays.
    pub async fn reload(&self) -> Result<bool> {
        let store = &self.0.store;
        let asked = Stopwatch::start();
        let changes = store.changes().await?;
        metrics::histogram!("chancery_store_probe_seconds").record(asked.seconds());
        let before = self.0.caches.declared.read().unwrap_or_else(PoisonError::into_inner).clone();
        if before.as_ref().is_some_and(|before| before.changes == changes) {
            return Ok(false);
        }
        let scopes = store.scopes().await?;
        let servers = store.resource_servers().await?;
        let types = store.detail_types().await?;
        let catalogue = Catalogue::new(scopes, servers)
            .and_then(|catalogue| catalogue.with_detail_types(types))
            .map_err(|fault| FlowError::StoredCatalogue(fault.to_string()))?;
        let signing_keys = store.signing_keys().await?;
        let keyring = Keyring::build(&signing_keys, &self.0.sealer, self.now())?;
        let documents = Documents::render(&self.0.policies, &catalogue, &keyring);
        let generation = self.0.caches.generations.fetch_add(1, Ordering::Relaxed);
        let declared =
            Arc::new(Declared { catalogue, keyring, signing_keys, documents, changes, generation });
        *self.0.caches.declared.write().unwrap_or_else(PoisonError::into_inner) = Some(declared);
        self.0.caches.clients.invalidate_all();
        self.0.caches.documents.invalidate_all();
        Ok(true)
    }

    /// [`reload`](Self::reload) once something is committed: that stands whatever comes of this, and the
    /// watch over changes reads it soon.
    pub(crate) async fn reload_committed(&self) {
        if let Err(fault) = self.reload().await {
            tracing::warn!(%fault, "a change is committed but could not be read again yet");
        }
    }

    /// Forgets everything cached, as after a lost connection to the database, and reads it again.
    ///
    /// # Errors
    /// [`FlowError`].
    pub async fn reload_everything(&self) -> Result<()> {
        self.0.caches.clients.invalidate_all();
        self.reload().await.map(drop)
    }
}
