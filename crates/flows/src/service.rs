//! The server without its front door.

use std::sync::{Arc, OnceLock};

use audit::{Event, EventKind};
use chrono::{DateTime, Utc};
use keys::Sealer;
use mfa::Pepper;
use outbound::Outbound;
use store::Store;
use tokens::{mint::Mint, step::StepPolicy, subject::SubjectKey};

use crate::{
    audit_queue::AuditQueue,
    backchannel::Deliveries,
    caches::{Caches, Declared},
    client_keys::ClientKeySets,
    clock::Clock,
    context::RequestContext,
    device_flow::WrongCodes,
    dpop::ServerNonces,
    error::Result,
    federation::Upstreams,
    passwords::Passwords,
    policies::Policies,
    random::{Draw, Random},
    request_object::FetchedObjects,
};

/// Everything that the use cases share. Cheap to clone; `web` keeps one.
#[derive(Clone)]
pub struct Service(pub(crate) Arc<Inner>);

pub(crate) struct Inner {
    pub(crate) store: Store,
    pub(crate) clock: Arc<dyn Clock>,
    pub(crate) random: Arc<dyn Random>,
    pub(crate) sealer: Sealer,
    pub(crate) device_keys: Box<mfa::device::DeviceKeys>,
    pub(crate) passwords: Passwords,
    pub(crate) caches: Caches,
    pub(crate) policies: Policies,
    pub(crate) audit_queue: AuditQueue,
    pub(crate) outbound: Outbound,
    pub(crate) subjects: OnceLock<SubjectKey>,
    pub(crate) client_keys: ClientKeySets,
    pub(crate) request_objects: FetchedObjects,
    pub(crate) nonces: ServerNonces,
    pub(crate) upstreams: Upstreams,
    pub(crate) deliveries: Deliveries,
    pub(crate) wrong_codes: WrongCodes,
}

/// What a [`Service`] is made of.
pub struct Parts {
    /// The database, migrated.
    pub store: Store,
    /// The time.
    pub clock: Arc<dyn Clock>,
    /// The randomness.
    pub random: Arc<dyn Random>,
    /// Opens private keys and TOTP seeds.
    pub sealer: Sealer,
    /// Goes into every password hash.
    pub pepper: Pepper,
    /// The rules.
    pub policies: Policies,
}

impl Service {
    /// Puts the parts together for serving: as [`assemble`](Self::assemble), and makes the first signing keys
    /// where there are none.
    ///
    /// # Errors
    /// [`FlowError`](crate::FlowError) when the store does not answer or what it holds can't work.
    pub async fn new(parts: Parts) -> Result<Self> {
        let service = Self::assemble(parts).await?;
        service.tend_signing_keys().await?;
        service.tend_subject_key().await?;
        service.reload().await?;
        Ok(service)
    }

    /// Puts the parts together and fills the caches; changes nothing in the store.
    ///
    /// # Errors
    /// As [`new`](Self::new).
    pub async fn assemble(parts: Parts) -> Result<Self> {
        let Parts { store, clock, random, sealer, pepper, policies } = parts;
        let passwords = Passwords::new(pepper, policies.hashing, policies.hashing_slots);
        let device_keys = sealer.derived("known devices").into_boxed_slice();
        let caches = Caches::empty();
        let audit_queue = AuditQueue::new();
        let outbound = Outbound::new(policies.outbound.clone());
        let nonces = ServerNonces::new(&sealer);
        let upstreams = Upstreams::new(&policies.upstreams, &outbound);
        let inner = Inner {
            store,
            clock,
            random,
            sealer,
            device_keys,
            passwords,
            caches,
            policies,
            audit_queue,
            upstreams,
            outbound,
            subjects: OnceLock::new(),
            client_keys: ClientKeySets::default(),
            request_objects: FetchedObjects::default(),
            nonces,
            deliveries: Deliveries::default(),
            wrong_codes: WrongCodes::default(),
        };
        let service = Self(Arc::new(inner));
        service.read_subject_key().await?;
        service.reload().await?;
        Ok(service)
    }

    /// The rules.
    pub fn policies(&self) -> &Policies {
        &self.0.policies
    }

    /// The database.
    pub fn store(&self) -> &Store {
        &self.0.store
    }

    /// Now.
    pub fn now(&self) -> DateTime<Utc> {
        self.0.clock.now()
    }

    /// The randomness.
    pub(crate) fn random(&self) -> &dyn Random {
        &*self.0.random
    }

    /// A new random value of 256 bits, such as for a cookie.
    pub fn entropy(&self) -> [u8; 32] {
        self.random().bytes()
    }

    /// A new UUIDv7.
    pub fn id(&self) -> uuid::Uuid {
        self.random().id(self.now())
    }

    /// What operators declared, as of the last poll.
    pub fn declared(&self) -> Arc<Declared> {
        self.0.caches.declared()
    }

    /// An audit event with the facts of the request.
    pub(crate) fn event(&self, context: &RequestContext, kind: EventKind, now: DateTime<Utc>) -> Event {
        Event::new(kind, now, self.random().id(now)).address(context.address).correlation(context.correlation)
    }

    /// Writes one audit event in a transaction of its own, for refusals of people that change nothing
    /// else. Those of programs are [`note`](Self::note)d.
    pub(crate) async fn record(&self, event: &Event) -> Result<()> {
        Ok(self.0.store.record(event).await?)
    }

    /// The mint over what is declared.
    pub(crate) fn mint<'a>(&'a self, declared: &'a Declared) -> Result<Mint<'a>> {
        Ok(Mint {
            issuer: &self.0.policies.issuer,
            keyring: &declared.keyring,
            catalogue: &declared.catalogue,
            policy: &self.0.policies.tokens,
            subjects: self.subjects()?,
        })
    }

    /// The rules of the next step over what is declared.
    pub(crate) fn step_policy<'a>(&'a self, declared: &'a Declared) -> Result<StepPolicy<'a>> {
        Ok(StepPolicy {
            second_factor: self.0.policies.second_factor,
            sessions: &self.0.policies.sessions,
            catalogue: &declared.catalogue,
            subjects: self.subjects()?,
        })
    }
}
