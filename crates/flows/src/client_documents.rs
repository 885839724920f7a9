//! Clients that are a document on the web ([`tokens::client_document`]): read when they are named, kept in
//! memory for as long as the document says, within bounds.
//!
//! A stranger can name any URL, so nothing is written for it. Only when a person allows such a client
//! something does it get a row, because the ledger of consents names it. A client that has one goes on for
//! a day while its host is away, and an operator can delete it, which refuses it for good.

use std::{sync::Arc, time::Duration};

use chrono::{DateTime, TimeDelta, Utc};
use moka::sync::Cache;
use outbound::OutboundFault;
use protocol::{ClientId, registration::MAX_BODY};
use store::Lock;
use tokens::{
    client::{Client, ClientRecord},
    client_document::{document_host, read_document},
    initial_token::{Origin, Registration},
    registration::{HostRule, RegistrationPolicy, asked},
};

use crate::{
    error::{FlowError, Result},
    service::Service,
};

/// A document is read again after so long at the earliest, whatever it says.
const SHORTEST: Duration = Duration::from_secs(60);
/// And after so long at the latest.
const LONGEST: Duration = Duration::from_secs(24 * 60 * 60);
/// Where it does not say.
const USUAL: Duration = Duration::from_secs(5 * 60);
/// All documents together take about so many bytes at most.
const MEMORY: u64 = 16 * 1024 * 1024;
/// A client that people consented to goes on for so long while its document can't be read.
const GRACE: TimeDelta = TimeDelta::hours(24);

/// Which documents may be clients, and what they may be.
#[derive(Clone, Debug)]
pub struct DocumentRules {
    /// What they may be.
    pub policy: RegistrationPolicy,
    /// The hosts whose documents are read.
    pub hosts: Vec<HostRule>,
}

/// A document as it was read.
#[derive(Clone, Debug)]
pub(crate) struct KnownDocument {
    /// `None` where there is no client, or none that lives in the document.
    record: Option<Arc<ClientRecord>>,
    client: Option<Arc<Client>>,
    until: DateTime<Utc>,
    /// About how many bytes it takes.
    weight: u32,
}

/// The documents that are kept, by snapshot and identifier. Strangers say how large their documents are and
/// how many there are, so what is bounded is all of them together.
pub(crate) type KnownDocuments = Cache<(u64, ClientId), KnownDocument>;

/// An empty memory for documents.
pub(crate) fn known_documents() -> KnownDocuments {
    let weigh = |(_, id): &(u64, ClientId), known: &KnownDocument| {
        known.weight.saturating_add(u32::try_from(id.as_str().len()).unwrap_or(u32::MAX))
    };
    Cache::builder().weigher(weigh).max_capacity(MEMORY).build()
}

impl KnownDocument {
    fn nobody(until: DateTime<Utc>) -> Self {
        Self { record: None, client: None, until, weight: 256 }
    }
}

impl Service {
    /// Whether a `client_id` may name a document.
    pub(crate) fn names_a_document(&self, id: &ClientId) -> bool {
        let Some(rules) = &self.0.policies.client_documents else { return false };
        document_host(id.as_str()).is_some_and(|host| {
            let name = host.split(':').next().unwrap_or_default();
            rules.hosts.iter().any(|rule| rule.admits(name))
        })
    }

    /// Where a client's document is, for the consent page; `None` for every other client.
    pub fn document_host(&self, client: &Client) -> Option<String> {
        if self.names_a_document(&client.id) { document_host(client.id.as_str()) } else { None }
    }

    /// The client that a document describes; `None` if there is none, or an operator deleted it. One that an
    /// operator declared under such a name is that one.
    pub(crate) async fn document_client(&self, id: &ClientId) -> Result<Option<Arc<Client>>> {
        Ok(self.document(id).await?.client)
    }

    async fn document(&self, id: &ClientId) -> Result<KnownDocument> {
        let now = self.now();
        let key = (self.declared().generation, id.clone());
        if let Some(known) = self.0.caches.documents.get(&key)
            && known.until > now
        {
            return Ok(known);
        }
        let stored = self.0.store.client(id).await?;
        let registration = match &stored {
            None => None,
            Some(_) => self.0.store.registration(id).await?,
        };
        let known = match stored {
            Some(stored) if stored.disabled => KnownDocument::nobody(now + TimeDelta::minutes(1)),
            Some(stored) if registration.is_none() => {
                let client = Some(self.under_policy(parsed(&stored)?));
                KnownDocument { record: None, client, until: now + TimeDelta::minutes(1), weight: 4096 }
            }
            stored => self.read_client_document(id, stored, registration, now).await?,
        };
        self.0.caches.documents.insert(key, known.clone());
        Ok(known)
    }

    async fn read_client_document(
        &self,
        id: &ClientId,
        stored: Option<ClientRecord>,
        registration: Option<Registration>,
        now: DateTime<Utc>,
    ) -> Result<KnownDocument> {
        let until = |life: Duration| now + TimeDelta::from_std(life).unwrap_or_default();
        let nobody = KnownDocument::nobody(until(SHORTEST));
        let Some(rules) = &self.0.policies.client_documents else { return Ok(nobody) };
        let fetched = match self.0.outbound.get(id.as_str(), &["application/json"]).await {
            Ok(fetched) => fetched,
            Err(fault) => {
                tracing::info!(client = id.as_str(), %fault, "a client's document can't be read");
                let read_at = registration.and_then(|registration| registration.fetched_at);
                let fresh = read_at.is_some_and(|read_at| read_at + GRACE > now);
                return Ok(match stored {
                    Some(stored) if fresh && is_passing(&fault) => {
                        self.known(stored, until(SHORTEST), MAX_BODY).unwrap_or(nobody)
                    }
                    _ => nobody,
                });
            }
        };
        let declared = self.declared();
        let record = match read_document(id, &fetched.body, &rules.policy, &declared.catalogue, now) {
            Ok(record) => match self.may_ask(&record, stored.as_ref()).await {
                true => record,
                false => return Ok(nobody),
            },
            Err(fault) => {
                tracing::info!(client = id.as_str(), %fault, "a client's document is refused");
                return Ok(nobody);
            }
        };
        let life = fetched.max_age.unwrap_or(USUAL).clamp(SHORTEST, LONGEST);
        let Some(known) = self.known(record.clone(), until(life), fetched.body.len()) else {
            return Ok(nobody);
        };
        if let (Some(stored), Some(registration)) = (stored, registration) {
            let record = ClientRecord { created_at: stored.created_at, ..record };
            let changed = (&stored.metadata, &stored.settings) != (&record.metadata, &record.settings);
            self.write_document(&record, &registration, changed, now).await?;
        }
        Ok(known)
    }

    /// A document that makes a client, with what this server asks of all of them; `None` if it breaks a rule
    /// of its profile.
    fn known(&self, record: ClientRecord, until: DateTime<Utc>, length: usize) -> Option<KnownDocument> {
        match parsed(&record) {
            Ok(client) => {
                let client = Some(self.under_policy(client));
                // As it was written, as it was read, and as the endpoints know it.
                let weight = u32::try_from(4096 + 4 * length).unwrap_or(u32::MAX);
                Some(KnownDocument { record: Some(Arc::new(record)), client, until, weight })
            }
            Err(fault) => {
                tracing::info!(client = record.id.as_str(), %fault, "a client's document is refused");
                None
            }
        }
    }

    /// Whether a client lived in a document that is not read any more: because its host was taken off the
    /// list, or all of them.
    pub(crate) async fn was_a_document(&self, id: &ClientId) -> Result<bool> {
        let registration = self.0.store.registration(id).await?;
        Ok(registration.is_some_and(|registration| registration.origin == Origin::Document))
    }

    /// Whether there are keys for it here, and whether what it names on the web may be asked.
    async fn may_ask(&self, record: &ClientRecord, before: Option<&ClientRecord>) -> bool {
        let metadata = &record.metadata;
        let admits =
            |(_, url): (_, &str)| self.0.outbound.admits(url.split('#').next().unwrap_or_default()).is_ok();
        let signed = [
            &metadata.id_token_signed_response_alg,
            &metadata.userinfo_signed_response_alg,
            &metadata.authorization_signed_response_alg,
        ];
        let has_key =
            |name: &String| name.parse().is_ok_and(|alg: jose::Algorithm| self.policies().rotation.has(alg));
        signed.into_iter().flatten().all(has_key)
            && asked(metadata).all(admits)
            && self.check_sector(metadata, before.map(|before| &before.metadata)).await.is_ok()
    }

    /// Gives a client that is a document its row, before the first consent names it.
    pub(crate) async fn keep_document(&self, client: &Client) -> Result<()> {
        if !self.names_a_document(&client.id) {
            return Ok(());
        }
        let Some(record) = self.document(&client.id).await?.record else { return Ok(()) };
        if self.0.store.client(&client.id).await?.is_some() {
            return Ok(());
        }
        let now = self.now();
        let policy = self.0.policies.client_documents.as_ref().map(|rules| rules.policy.name.clone());
        let registration = Registration {
            client: client.id.clone(),
            origin: Origin::Document,
            policy: policy.unwrap_or_default(),
            initial_token: None,
            management: None,
            software_statement: None,
            registered_at: now,
            fetched_at: Some(now),
        };
        self.write_document(&record, &registration, true, now).await
    }

    async fn write_document(
        &self,
        record: &ClientRecord,
        registration: &Registration,
        changed: bool,
        now: DateTime<Utc>,
    ) -> Result<()> {
        let registration = Registration { fetched_at: Some(now), ..registration.clone() };
        let mut tx = self.0.store.begin().await?;
        tx.lock(Lock::Declarations).await?;
        match tx.client(&record.id).await? {
            // Deleted by an operator in the meantime.
            Some(stored) if stored.disabled => return Ok(()),
            Some(_) if changed => tx.note_client(record).await?,
            Some(_) => {}
            None => drop(tx.insert_client(record).await?),
        }
        tx.put_registration(&registration).await?;
        Ok(tx.commit().await?)
    }
}

fn parsed(record: &ClientRecord) -> Result<Client> {
    Client::parse(record).map_err(|faults| {
        let faults = faults.iter().map(ToString::to_string).collect::<Vec<_>>().join("; ");
        FlowError::StoredClient { id: record.id.clone(), faults }
    })
}

/// Whether it may be over soon; a document that its host says is gone is gone.
const fn is_passing(fault: &OutboundFault) -> bool {
    match fault {
        OutboundFault::TimedOut | OutboundFault::Unreachable | OutboundFault::FailedRecently => true,
        OutboundFault::Status(status) => status.as_u16() >= 500 || status.as_u16() == 429,
        OutboundFault::Url
        | OutboundFault::NotPublic
        | OutboundFault::ContentType
        | OutboundFault::TooLarge => false,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn out_04_documents_together_have_a_bound() {
        let (documents, until) = (known_documents(), DateTime::UNIX_EPOCH);
        for number in 0..2000 {
            let id: ClientId = format!("https://app.example/{number}").parse().unwrap();
            let large = KnownDocument { weight: 256 * 1024, ..KnownDocument::nobody(until) };
            documents.insert((1, id), large);
        }
        documents.run_pending_tasks();
        assert!(documents.entry_count() >= 1 && documents.weighted_size() <= MEMORY);
    }
}
